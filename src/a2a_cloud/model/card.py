"""The AgentCard (A2A 1.0, section 4.4): how an agent introduces itself, to readers of 1.0 and of 0.3.

One document for both: the members of 1.0, and beside them those that 0.3 requires. Each generation's readers
pass over what they do not know; nothing is said twice in a way that could differ.
"""

from __future__ import annotations

from typing import Any

import msgspec
from msgspec import UNSET, Struct, UnsetType, field

#: Each skill's schemas, as params of this extension of the card (docs/extensions.md).
SKILL_SCHEMAS = "urn:a2a-cloud:skill-schemas:v1"
#: How an agent's runs are kept apart, as params of this one.
ISOLATION = "urn:a2a-cloud:isolation:v1"
#: A message that a caller with a key sends again under its messageId is answered as it was the first time.
IDEMPOTENCY = "urn:a2a-cloud:idempotency:v1"
#: What is enforced on calls, and how long skills take, as params of this one.
LIMITS = "urn:a2a-cloud:limits:v1"
#: What calls cost, as params of this one.
PRICING = "urn:a2a-cloud:pricing:v1"
#: Questions and approvals in a form that clients of kagent's public extension know.
HITL = "https://kagent.dev/extensions/hitl/v1"
#: Extensions of every agent here, which a caller may name in A2A-Extensions.
EXTENSIONS = tuple(uri.encode() for uri in (SKILL_SCHEMAS, ISOLATION, LIMITS, PRICING, IDEMPOTENCY, HITL))


class AgentInterface(Struct, rename="camel", omit_defaults=True):
    """An address and what is spoken there."""

    url: str
    protocol_binding: str
    protocol_version: str
    tenant: str | UnsetType = UNSET


class OldInterface(Struct):
    """The same in 0.3, which has one version for the whole card."""

    url: str
    transport: str


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


class AgentExtension(Struct, rename="camel", omit_defaults=True):
    """An extension that the agent supports. `params` are the extension's own."""

    uri: str
    description: str = ""
    required: bool = False
    params: Any = UNSET


class AgentCapabilities(Struct, rename="camel"):
    """What the agent can do besides answering. `state_transition_history` is of 0.3 (docs/cards.md)."""

    streaming: bool
    push_notifications: bool
    extended_agent_card: bool
    extensions: list[AgentExtension]
    state_transition_history: bool = True


class Scopes(Struct, omit_defaults=True):
    """The scopes that a requirement asks for."""

    list: list[str] = []


class SecurityRequirement(Struct):
    """Schemes that are needed together; a card's requirements are alternatives."""

    schemes: dict[str, Scopes]


class AgentSkill(Struct, rename="camel", omit_defaults=True):
    """A skill as callers read it; `tags` is required. `security` is of 0.3."""

    id: str
    name: str
    description: str
    tags: list[str]
    examples: list[str] = []
    input_modes: list[str] = []
    output_modes: list[str] = []
    security_requirements: list[SecurityRequirement] = []
    security: list[dict[str, list[str]]] = []


class ApiKeyScheme(Struct, omit_defaults=True):
    """A key in a header."""

    name: str
    location: str
    description: str = ""


class HttpAuthScheme(Struct, rename="camel", omit_defaults=True):
    """A bearer token."""

    scheme: str
    description: str = ""
    bearer_format: str = ""


class OpenIdConnectScheme(Struct, rename="camel", omit_defaults=True):
    """A token of an issuer that describes itself there."""

    open_id_connect_url: str
    description: str = ""


class MutualTlsScheme(Struct, omit_defaults=True):
    """A certificate in TLS."""

    description: str = ""


class SecurityScheme(Struct, rename="camel", omit_defaults=True):
    """One of 1.0's members; and the scheme as 0.3 writes it, which is OpenAPI's way: `type`, then what that
    type has."""

    http_auth_security_scheme: HttpAuthScheme | UnsetType = UNSET
    api_key_security_scheme: ApiKeyScheme | UnsetType = UNSET
    open_id_connect_security_scheme: OpenIdConnectScheme | UnsetType = UNSET
    mtls_security_scheme: MutualTlsScheme | UnsetType = UNSET
    type: str = ""
    scheme: str = ""
    name: str = ""
    location: str = field(default="", name="in")
    bearer_format: str = ""
    open_id_connect_url: str = ""
    description: str = ""


class CardSignature(Struct):
    """A JWS over the card's canonical form, its payload left out (8.4.2)."""

    protected: str
    signature: str


class AgentCard(Struct, rename="camel", omit_defaults=True):
    """The card. What stands below `signatures` is of 0.3: the address and transport that it prefers, all that
    it could use, and what a caller has to send."""

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
    signatures: list[CardSignature] | UnsetType = UNSET
    url: str = ""
    preferred_transport: str = ""
    protocol_version: str = ""
    additional_interfaces: list[OldInterface] = []
    security: list[dict[str, list[str]]] | UnsetType = UNSET
    supports_authenticated_extended_card: bool | UnsetType = UNSET
