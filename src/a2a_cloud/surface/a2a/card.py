"""The AgentCard of a release at one address (A2A 1.0, sections 4.4 and 8; 0.3, section 5.5), built from
what its code and its a2a.toml declare.

One document holds the members of both generations (model/card.py). Its security schemes are those that the
front door enforces; a public agent requires none. Skills for callers with a key stand in the extended card
alone.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from types import MappingProxyType
from typing import Any

from msgspec import UNSET

from a2a_cloud.model.card import (
    HITL,
    IDEMPOTENCY,
    ISOLATION,
    LIMITS,
    PRICING,
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
    OldInterface,
    OpenIdConnectScheme,
    Scopes,
    SecurityRequirement,
    SecurityScheme,
    SkillSchemas,
    SkillSchemasParams,
)
from a2a_cloud.model.issuer import Issuer
from a2a_cloud.model.release import Release, SkillSpec
from a2a_cloud.surface.a2a.grpc.address import tenant_of
from a2a_cloud.surface.ports import Sandbox

_DEFAULT_INPUT = ["text/plain", "application/json"]
_DEFAULT_OUTPUT = ["text/plain", "application/json"]
_BEARER = "A key of the platform, as a bearer token."
_HEADER = "The same key in a header of its own."


def card_of(
    release: Release,
    base: str,
    sandbox: Sandbox,
    *,
    grpc: str = "",
    extended: bool = False,
    limits: Mapping[str, Any] | None = None,
    pricing: Mapping[str, Any] | None = None,
    issuers: Sequence[Issuer] = (),
    schemes: Mapping[str, SecurityScheme] = MappingProxyType({}),
) -> AgentCard:
    """The card of `release`, reached at `base` (no slash at its end), run in `sandbox`; unsigned.

    `grpc` is where gRPC is served, "" for nowhere. `extended`: with the skills that only callers with a key
    see. `limits` and `pricing` are the params of those extensions, None for none. `issuers`: outside ones
    whose tokens it takes. `schemes`: ways to say who calls besides keys and tokens, by name.
    """
    ways = ("bearer", "apiKey", *(one.name for one in issuers), *schemes)
    manifest = release.manifest
    shown = release if extended else release.seen_by(True)
    required = not release.public
    interfaces = [AgentInterface(base, "JSONRPC", "1.0"), AgentInterface(base, "HTTP+JSON", "1.0")]
    if grpc:
        interfaces.append(AgentInterface(grpc, "GRPC", "1.0", tenant_of(release, base)))
    interfaces += [AgentInterface(base, "JSONRPC", "0.3"), AgentInterface(base, "HTTP+JSON", "0.3")]
    card = AgentCard(
        name=release.name,
        description=manifest.description or release.name,
        supported_interfaces=interfaces,
        version=manifest.version,
        capabilities=AgentCapabilities(
            streaming=True,
            push_notifications=True,
            extended_agent_card=release.extended,
            extensions=[
                _schemas(shown),
                _isolation(release, sandbox),
                *([_limits(limits)] if limits is not None else []),
                *([_pricing(pricing)] if pricing is not None else []),
                AgentExtension(IDEMPOTENCY, "A message sent again under its messageId is done once."),
                AgentExtension(HITL, "Questions and approvals that people answer (docs/extensions.md)."),
                *(
                    AgentExtension(one.uri, one.description, one.required, one.params or UNSET)
                    for one in manifest.extensions
                ),
            ],
        ),
        default_input_modes=_modes(shown, "input_modes", _DEFAULT_INPUT),
        default_output_modes=_modes(shown, "output_modes", _DEFAULT_OUTPUT),
        skills=[_skill(spec, ways) for spec in shown.skills],
        security_schemes=_schemes() | {one.name: _outside(one) for one in issuers} | dict(schemes),
        url=base,
        preferred_transport="JSONRPC",
        protocol_version="0.3.0",
        additional_interfaces=[OldInterface(base, "JSONRPC"), OldInterface(base, "HTTP+JSON")],
        supports_authenticated_extended_card=release.extended,
    )
    if required:
        card.security_requirements, card.security = _requirements(ways)
    card.documentation_url = manifest.documentation_url or f"{base}/docs"
    if manifest.provider_name:
        card.provider = AgentProvider(manifest.provider_name, manifest.provider_url or card.documentation_url)
    card.icon_url = manifest.icon_url or UNSET
    return card


def _schemes() -> dict[str, SecurityScheme]:
    return {
        "bearer": SecurityScheme(
            http_auth_security_scheme=HttpAuthScheme("Bearer", _BEARER),
            type="http",
            scheme="Bearer",
            description=_BEARER,
        ),
        "apiKey": SecurityScheme(
            api_key_security_scheme=ApiKeyScheme("X-API-Key", "header", _HEADER),
            type="apiKey",
            name="X-API-Key",
            location="header",
            description=_HEADER,
        ),
    }


def sign_in(issuer: str) -> SecurityScheme:
    """The platform's own tokens: its authorization server describes itself below its address."""
    url = f"{issuer}/.well-known/openid-configuration"
    about = "A token of the platform, as a bearer token: clients sign people in by OAuth."
    return SecurityScheme(
        open_id_connect_security_scheme=OpenIdConnectScheme(url, about),
        type="openIdConnect",
        open_id_connect_url=url,
        description=about,
    )


def _outside(issuer: Issuer) -> SecurityScheme:
    about = f"A token of {issuer.issuer}, as a bearer token."
    if issuer.jwks_uri:  # Nothing says that it describes itself.
        scheme = HttpAuthScheme("Bearer", about, "JWT")
        return SecurityScheme(
            http_auth_security_scheme=scheme,
            type="http",
            scheme="Bearer",
            bearer_format="JWT",
            description=about,
        )
    return SecurityScheme(
        open_id_connect_security_scheme=OpenIdConnectScheme(issuer.description, about),
        type="openIdConnect",
        open_id_connect_url=issuer.description,
        description=about,
    )


def _requirements(
    names: Sequence[str], scopes: Sequence[str] = ()
) -> tuple[list[SecurityRequirement], list[dict[str, list[str]]]]:
    """Any of the schemes will do, with these scopes: as 1.0 says it, and as 0.3 does."""
    asked = list(scopes)
    return [SecurityRequirement({name: Scopes(asked)}) for name in names], [{name: asked} for name in names]


def _skill(spec: SkillSpec, ways: Sequence[str]) -> AgentSkill:
    modes = spec.input_modes or [
        *_DEFAULT_INPUT,
        *dict.fromkeys(kind for param in spec.files for kind in param.media_types),
    ]
    skill = AgentSkill(
        id=spec.id,
        name=spec.name or spec.id,
        description=spec.description or spec.name or spec.id,
        tags=spec.tags or [spec.id],  # Required, and none at all counts as missing.
        examples=spec.examples,
        input_modes=modes if modes != _DEFAULT_INPUT else [],
        output_modes=spec.output_modes,
    )
    if spec.extended or spec.scopes:
        skill.security_requirements, skill.security = _requirements(ways, spec.scopes)
    return skill


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
        params=SkillSchemasParams(skills),
    )


def _isolation(release: Release, sandbox: Sandbox) -> AgentExtension:
    return AgentExtension(
        uri=ISOLATION,
        description="What keeps this agent's code apart from the machine, and its runs from each other.",
        params=IsolationParams(sandbox.name, release.manifest.sandbox.isolation, list(sandbox.layers)),
    )


def _pricing(params: Mapping[str, Any]) -> AgentExtension:
    return AgentExtension(
        uri=PRICING,
        description="What calls cost (docs/extensions.md).",
        params=params,
    )


def _limits(params: Mapping[str, Any]) -> AgentExtension:
    return AgentExtension(
        uri=LIMITS,
        description="How often it may be called, and how long its skills take (docs/limits.md).",
        params=params,
    )


def _modes(release: Release, field: str, default: list[str]) -> list[str]:
    named = [mode for spec in release.skills for mode in getattr(spec, field)]
    return list(dict.fromkeys(default + named))
