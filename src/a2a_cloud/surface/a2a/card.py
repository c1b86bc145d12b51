"""The AgentCard of a release at one address (A2A 1.0, sections 4.4 and 8), with the headers that caches
need.

Its security schemes are those that the front door enforces; a public agent requires none. The card
names the address by which it was fetched, so a copy is kept for each.
"""

from __future__ import annotations

from email.utils import formatdate, parsedate_to_datetime
from hashlib import sha256

import msgspec
from msgspec import UNSET

from a2a_cloud.model.card import (
    ISOLATION,
    SKILL_SCHEMAS,
    AgentCapabilities,
    AgentCard,
    AgentExtension,
    AgentInterface,
    AgentProvider,
    AgentSkill,
    ApiKeyScheme,
    HttpAuthScheme,
    IsolationParams,
    Scopes,
    SecurityRequirement,
    SecurityScheme,
    SkillSchemas,
    SkillSchemasParams,
)
from a2a_cloud.model.release import Release, SkillSpec, Visibility
from a2a_cloud.surface.ports import Sandbox
from a2a_cloud.surface.request import JSON, Headers, Request

PATHS = ("/.well-known/agent-card.json", "/.well-known/agent.json", "/card")
MAX_AGE = 60
_MAX_KEPT = 1024
_DEFAULT_INPUT = ["text/plain", "application/json"]
_DEFAULT_OUTPUT = ["text/plain", "application/json"]
_encode = msgspec.json.Encoder().encode


def card_of(release: Release, base: str, sandbox: Sandbox) -> AgentCard:
    """The card of `release`, reached at `base` (no slash at its end), run in `sandbox`."""
    manifest = release.manifest
    public = manifest.visibility is Visibility.PUBLIC
    schemes = {
        "bearer": SecurityScheme(
            http_auth_security_scheme=HttpAuthScheme("Bearer", "A key of the platform, as a bearer token.")
        ),
        "apiKey": SecurityScheme(
            api_key_security_scheme=ApiKeyScheme(
                "X-API-Key", "header", "The same key in a header of its own."
            )
        ),
    }
    card = AgentCard(
        name=release.name,
        description=manifest.description or release.name,
        supported_interfaces=[
            AgentInterface(base, "JSONRPC", "1.0"),
            AgentInterface(base, "HTTP+JSON", "1.0"),
        ],
        version=manifest.version,
        capabilities=AgentCapabilities(
            streaming=True,
            push_notifications=False,
            extended_agent_card=False,
            extensions=[_schemas(release), _isolation(release, sandbox)],
        ),
        default_input_modes=_modes(release, "input_modes", _DEFAULT_INPUT),
        default_output_modes=_modes(release, "output_modes", _DEFAULT_OUTPUT),
        skills=[_skill(spec) for spec in release.skills],
        security_schemes=schemes,
    )
    if not public:
        card.security_requirements = [SecurityRequirement({name: Scopes([])}) for name in schemes]
    if manifest.provider_name:
        card.provider = AgentProvider(manifest.provider_name, manifest.provider_url)
    card.documentation_url = manifest.documentation_url or f"{base}/docs"
    card.icon_url = manifest.icon_url or UNSET
    return card


def _skill(spec: SkillSpec) -> AgentSkill:
    modes = spec.input_modes or [
        *_DEFAULT_INPUT,
        *dict.fromkeys(kind for param in spec.files for kind in param.media_types),
    ]
    return AgentSkill(
        id=spec.id,
        name=spec.name or spec.id,
        description=spec.description or spec.name or spec.id,
        tags=spec.tags,
        examples=spec.examples,
        input_modes=modes if modes != _DEFAULT_INPUT else [],
        output_modes=spec.output_modes,
    )


def _schemas(release: Release) -> AgentExtension:
    skills = {
        spec.id: SkillSchemas(
            spec.input_schema,
            spec.output_schema,
            [
                {
                    "name": param.name,
                    "required": param.required,
                    "many": param.many,
                    "mediaTypes": param.media_types,
                    "description": param.description,
                }
                for param in spec.files
            ],
        )
        for spec in release.skills
    }
    return AgentExtension(
        uri=SKILL_SCHEMAS,
        description="JSON Schema of each skill's arguments and result.",
        required=False,
        params=SkillSchemasParams(skills),
    )


def _isolation(release: Release, sandbox: Sandbox) -> AgentExtension:
    return AgentExtension(
        uri=ISOLATION,
        description="What keeps this agent's code apart from the machine, and its runs from each other.",
        required=False,
        params=IsolationParams(sandbox.name, release.manifest.sandbox.isolation, list(sandbox.layers)),
    )


def _modes(release: Release, field: str, default: list[str]) -> list[str]:
    named = [mode for spec in release.skills for mode in getattr(spec, field)]
    return list(dict.fromkeys(default + named))


class Cards:
    """Encoded cards by release and address."""

    __slots__ = ("_kept", "_sandbox")

    def __init__(self, sandbox: Sandbox) -> None:
        self._sandbox = sandbox
        self._kept: dict[tuple[int, str], tuple[bytes, bytes]] = {}

    def encoded(self, release: Release, base: str) -> tuple[bytes, bytes]:
        """(the card as JSON, its ETag)."""
        key = (release.no, base)
        found = self._kept.get(key)
        if found is None:
            if len(self._kept) >= _MAX_KEPT:
                self._kept.clear()
            body = _encode(card_of(release, base, self._sandbox))
            found = self._kept[key] = (body, b'"' + sha256(body).hexdigest()[:32].encode() + b'"')
        return found

    async def serve(self, request: Request) -> None:
        """Answers with the card, or with 304 when the caller has it."""
        request.allow("GET")
        release = request.release
        body, etag = self.encoded(release, request.base)
        scope = b"public" if release.manifest.visibility is Visibility.PUBLIC else b"private"
        headers: Headers = [
            (b"etag", etag),
            (b"cache-control", scope + b", max-age=%d" % MAX_AGE),
            (b"last-modified", formatdate(int(release.created), usegmt=True).encode()),
            (b"vary", b"Host, Authorization, X-API-Key"),
        ]
        if has_it(request, etag, release.created):
            return await request.answer(304, b"", JSON, headers)
        return await request.answer(200, body, JSON, headers)


def has_it(request: Request, etag: bytes, modified: float) -> bool:
    """Whether a conditional request names what we would send (RFC 9110, section 13)."""
    if request.if_none_match:
        given = [tag.strip().removeprefix(b"W/") for tag in request.if_none_match.split(b",")]
        return etag in given or b"*" in given
    if request.if_modified_since:
        try:
            since = parsedate_to_datetime(request.if_modified_since.decode("latin-1")).timestamp()
        except (ValueError, TypeError, OverflowError):
            return False
        return int(modified) <= since
    return False
