"""`GET /openapi.json` of an agent."""

from __future__ import annotations

from hashlib import sha256

import msgspec

from a2a_cloud.surface.a2a.card import MAX_AGE, has_it
from a2a_cloud.surface.request import JSON, Headers, Request
from a2a_cloud.wire.openapi import document

_encode = msgspec.json.Encoder().encode


async def serve(request: Request) -> None:
    """Answers with the document, or with 304 when the caller has it."""
    request.allow("GET")
    body = _encode(document(request.release, request.base))
    etag = b'"' + sha256(body).hexdigest()[:32].encode() + b'"'
    headers: Headers = [(b"etag", etag), (b"cache-control", b"private, max-age=%d" % MAX_AGE)]
    if has_it(request, etag, request.release.created):
        return await request.answer(304, b"", JSON, headers)
    return await request.answer(200, body, JSON, headers)
