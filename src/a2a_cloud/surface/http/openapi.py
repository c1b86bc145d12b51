"""`GET /openapi.json` of an agent."""

from __future__ import annotations

from hashlib import sha256
from typing import Any

import msgspec

from a2a_cloud.model.release import SkillSpec
from a2a_cloud.surface.a2a.operations import Operations
from a2a_cloud.surface.accounting_port import price_of
from a2a_cloud.surface.conditional import MAX_AGE, has_it
from a2a_cloud.surface.request import JSON, Headers, Request
from a2a_cloud.wire.openapi import document

_encode = msgspec.json.Encoder().encode


async def serve(request: Request, operations: Operations) -> None:
    """Answers with the document, or with 304 when the caller has it."""
    request.allow("GET")
    release, gates = request.release.seen_by(request.principal.anonymous), operations.calls.gates

    def fits(spec: SkillSpec, arguments: Any) -> bool:
        return gates.of(release, spec).validator.is_valid(arguments)

    made = document(release, request.base, fits)
    accounting = operations.services.accounting
    for spec in release.skills:
        price, post = price_of(accounting, release, spec.id), made["paths"].get(f"/invoke/{spec.id}")
        if price is not None and post is not None:
            post["post"]["x-a2a-cloud-price"] = price
    since = release.created if accounting is None else max(release.created, accounting.shown.of(release)[1])
    body = _encode(made)
    etag = b'"' + sha256(body).hexdigest()[:32].encode() + b'"'
    headers: Headers = [(b"etag", etag), (b"cache-control", b"private, max-age=%d" % MAX_AGE)]
    headers.append((b"vary", b"Host, Authorization, X-API-Key"))
    if has_it(request, etag, since):
        return await request.answer(304, b"", JSON, headers)
    return await request.answer(200, body, JSON, headers)
