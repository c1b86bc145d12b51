"""`/.well-known/api-catalog` (RFC 9727): the agents that the caller sees, as a set of links (RFC 9264) with
the relations of RFC 8631, for programs that know nothing of A2A."""

from __future__ import annotations

from typing import Any

import msgspec

from a2a_cloud.surface.front_names import qualified
from a2a_cloud.surface.ports import Services
from a2a_cloud.surface.request import Request

PATH = "/.well-known/api-catalog"
_PROFILE = "https://www.rfc-editor.org/info/rfc9727"
_TYPE = f'application/linkset+json; profile="{_PROFILE}"'.encode()


async def serve(services: Services, request: Request) -> None:
    """Answers `GET` and `HEAD`; `request.principal` is who asks."""
    request.allow("GET")
    origin = request.base
    linkset: list[dict[str, Any]] = []
    items: list[dict[str, str]] = []
    for release in services.registry.agents(request.principal):
        base = f"{origin}/agents/{qualified(release)}"
        manifest = release.manifest
        items.append({"href": base, "title": manifest.description or release.name})
        linkset.append(
            {
                "anchor": base,
                "service-desc": [
                    {"href": f"{base}/.well-known/agent-card.json", "type": "application/json"},
                    {"href": f"{base}/openapi.json", "type": "application/json"},
                ],
                "service-doc": [
                    {"href": manifest.documentation_url or f"{base}/docs", "type": "text/html"},
                ],
                "status": [{"href": f"{origin}/readyz", "type": "application/json"}],
            }
        )
    platform = {
        "anchor": origin,
        "service-desc": [{"href": f"{origin}/.well-known/agent-card.json", "type": "application/json"}],
        "status": [{"href": f"{origin}/readyz", "type": "application/json"}],
    }
    catalog = {"anchor": f"{origin}{PATH}", "item": items}
    body = msgspec.json.encode({"linkset": [catalog, platform, *linkset]})
    link = f'<{origin}{PATH}>; rel="api-catalog"'.encode()
    scope = b"public" if request.principal.anonymous else b"private"
    headers = [
        (b"link", link),
        (b"cache-control", scope + b", max-age=60"),
        (b"vary", b"Host, Authorization, X-API-Key"),
    ]
    await request.answer(200, body, _TYPE, headers)
