"""The AgentCard of A2A 1.0 (specification, section 4.4): how an agent introduces itself."""

from __future__ import annotations

import msgspec
from msgspec import UNSET, Struct, UnsetType

#: Each skill's schemas, as params of this extension of the card (docs/extensions.md).
SKILL_SCHEMAS = "urn:a2a-cloud:skill-schemas:v1"
#: How an agent's runs are kept apart, as params of this one.
ISOLATION = "urn:a2a-cloud:isolation:v1"
#: Extensions that a caller may name in A2A-Extensions.
EXTENSIONS = (SKILL_SCHEMAS.encode(), ISOLATION.encode())


class AgentInterface(Struct, rename="camel", omit_defaults=True):
    """An address and what is spoken there."""

    url: str
    protocol_binding: str
    protocol_version: str
    tenant: str | UnsetType = UNSET


class AgentProvider(Struct, rename="camel"):
    """Who offers the agent."""

    organization: str
    url: str


class SkillSchemas(Struct, rename="camel", omit_defaults=True):
    """What a skill takes and gives: JSON Schema 2020-12; `files` are its file parameters."""

    input_schema: msgspec.Raw
    output_schema: msgspec.Raw
    files: list[dict[str, str | bool | list[str]]] = []


class SkillSchemasParams(Struct):
    """Params of the skill-schemas extension: schemas by skill id."""

    skills: dict[str, SkillSchemas]


class IsolationParams(Struct):
    """Params of the isolation extension: the sandbox in force ("jail", "process"), what shares a worker
    ("shared", "caller", "run"), what the sandbox enforces on this machine."""

    sandbox: str
    isolation: str
    layers: list[str]


class AgentExtension(Struct, rename="camel"):
    """An extension that the agent supports."""

    uri: str
    description: str
    required: bool
    params: SkillSchemasParams | IsolationParams


class AgentCapabilities(Struct, rename="camel"):
    """What the agent can do besides answering."""

    streaming: bool
    push_notifications: bool
    extended_agent_card: bool
    extensions: list[AgentExtension]


class AgentSkill(Struct, rename="camel", omit_defaults=True):
    """A skill as callers read it; `tags` is required and may be empty."""

    id: str
    name: str
    description: str
    tags: list[str]
    examples: list[str] = []
    input_modes: list[str] = []
    output_modes: list[str] = []


class ApiKeyScheme(Struct, omit_defaults=True):
    """A key in a header."""

    name: str
    location: str
    description: str = ""


class HttpAuthScheme(Struct, rename="camel", omit_defaults=True):
    """A bearer token."""

    scheme: str
    description: str = ""


class SecurityScheme(Struct, rename="camel", omit_defaults=True):
    """One of its members."""

    api_key_security_scheme: ApiKeyScheme | UnsetType = UNSET
    http_auth_security_scheme: HttpAuthScheme | UnsetType = UNSET


class Scopes(Struct):
    """The scopes that a requirement asks for."""

    list: list[str]


class SecurityRequirement(Struct):
    """Schemes that are needed together; a card's requirements are alternatives."""

    schemes: dict[str, Scopes]


class AgentCard(Struct, rename="camel", omit_defaults=True):
    """The card."""

    name: str
    description: str
    supported_interfaces: list[AgentInterface]
    version: str
    capabilities: AgentCapabilities
    default_input_modes: list[str]
    default_output_modes: list[str]
    skills: list[AgentSkill]
    provider: AgentProvider | UnsetType = UNSET
    documentation_url: str | UnsetType = UNSET
    icon_url: str | UnsetType = UNSET
    security_schemes: dict[str, SecurityScheme] | UnsetType = UNSET
    security_requirements: list[SecurityRequirement] | UnsetType = UNSET
