"""Pages of other origins that may call an agent (Fetch, "CORS protocol"): those that its `[http] cors` names.

Only tokens and keys that the page has itself count there: no answer allows credentials, so a browser sends no
cookie along. What is asked before a call (a preflight) carries no key, and is answered before anybody is
asked for one. A caller for whom the agent does not exist learns nothing from these fields.
"""

from __future__ import annotations

from collections.abc import MutableMapping
from typing import Any

from a2a_cloud.model.problem import Problem
from a2a_cloud.surface.registry_port import Registry
from a2a_cloud.surface.request import JSON, Headers, Request

_METHODS = b"GET, HEAD, POST, PUT, DELETE, OPTIONS"
_SECONDS = b"600"
#: What a page may send besides what it may always send; and what it may read.
_SENT = (
    b"authorization, x-api-key, content-type, accept, last-event-id, idempotency-key, if-none-match, "
    b"traceparent, a2a-version, a2a-extensions, x-a2a-extensions, a2a-release, a2a-grant, a2a-priority, "
    b"a2a-budget, dpop, mcp-protocol-version, mcp-session-id, mcp-method, mcp-name"
)
_READ = (
    b"www-authenticate, retry-after, location, etag, deprecation, sunset, ratelimit, ratelimit-policy, "
    b"a2a-run, a2a-receipt, a2a-task, a2a-context, a2a-extensions, x-a2a-extensions, mcp-session-id, "
    b"dpop-nonce"
)


async def cross(request: Request, registry: Registry, name: str) -> bool:
    """Let a page of another origin read the answer, if the agent wants that. True when the request was a
    preflight, and is answered."""
    origin = request.origin
    try:
        allowed = registry.serving(name).manifest.cors
    except Problem:
        return False
    if origin.decode("latin-1") not in allowed and "*" not in allowed:
        return False
    request.crosses = True
    fields: Headers = [(b"access-control-allow-origin", origin), (b"vary", b"origin")]
    if request.method == "OPTIONS" and any(
        field == b"access-control-request-method" for field, _ in request.scope["headers"]
    ):
        fields += [
            (b"access-control-allow-methods", _METHODS),
            (b"access-control-allow-headers", _SENT),
            (b"access-control-max-age", _SECONDS),
        ]
        await request.answer(204, b"", JSON, fields)
        return True
    fields.append((b"access-control-expose-headers", _READ))
    send = request.send

    async def crossing(message: MutableMapping[str, Any]) -> None:
        if message["type"] == "http.response.start" and request.crosses:
            message["headers"] = [*message["headers"], *fields]
        await send(message)

    request.send = crossing
    return False
