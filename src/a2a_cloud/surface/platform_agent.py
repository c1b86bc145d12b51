"""The platform as an agent: a card at its own root, and two skills with which a planner finds help there:
`search` among the agents that its caller sees, and `describe` one of them.

A2A 1.0 and 0.3, over JSON-RPC and HTTP+JSON. An answer is a message and no task (A2A 1.0, section 3.1.1):
nothing runs, nothing is kept, and there is nothing to follow, cancel or be notified of. Loaded with the
first request at the root.
"""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import msgspec
from msgspec import UNSET

from a2a_cloud.model.card import SKILL_SCHEMAS
from a2a_cloud.model.principal import DEFAULT_ORG, Principal
from a2a_cloud.model.problem import (
    AgentNotFound,
    ContentTypeNotSupported,
    NotFound,
    PushNotificationNotSupported,
    UnsupportedOperation,
)
from a2a_cloud.model.release import PLATFORM, Manifest, Release, SkillSpec, Visibility
from a2a_cloud.model.scope import owner_scope
from a2a_cloud.model.search import By
from a2a_cloud.model.task import Message, Part, Role, Task
from a2a_cloud.surface.a2a import jsonrpc, rest
from a2a_cloud.surface.a2a.cards import PATHS as CARD_PATHS
from a2a_cloud.surface.a2a.cards import Cards, Encoded
from a2a_cloud.surface.a2a.checks import Caller
from a2a_cloud.surface.a2a.openings import Opening
from a2a_cloud.surface.a2a.operations import NO_NAME, Named, Operations
from a2a_cloud.surface.admission import check_reached, private
from a2a_cloud.surface.api.registry import FILTERS, facts, found_document, read_query, served
from a2a_cloud.surface.calls import Calls, find_skill
from a2a_cloud.surface.front_names import numbered, qualified
from a2a_cloud.surface.links import AgentLinks, Links
from a2a_cloud.surface.parts import is_file
from a2a_cloud.surface.ports import Services
from a2a_cloud.surface.request import Request
from a2a_cloud.surface.streams import Streams
from a2a_cloud.wire.a2a_v1 import (
    ListPushConfigsParams,
    PushConfigList,
    PushConfigParams,
    SendMessageParams,
    TaskPushNotificationConfig,
)
from a2a_cloud.wire.card_early import with_early_members

_DESCRIPTION = (
    "Finds agents on this platform. Ask it in plain words who could help; it answers with the agents that "
    "you may call, their skills and their addresses."
)
_encode = msgspec.json.Encoder().encode
_decode = msgspec.json.Decoder(dict[str, Any]).decode


def _raw(schema: dict[str, Any]) -> msgspec.Raw:
    return msgspec.Raw(_encode(schema))


def _text(description: str) -> dict[str, Any]:
    return {"type": "string", "description": description}


SKILLS = (
    SkillSpec(
        "search",
        "Search agents",
        "Finds agents by words, by meaning, and by what their skills take and give.",
        _raw(
            {
                "type": "object",
                "properties": {
                    "query": _text("What you look for, such as: review a contract. Leave it out for all."),
                    "by": {"type": "string", "enum": list(By), "description": "How texts are compared."},
                    "parameter": _text("A parameter that the skill takes, such as file or amount:number."),
                    "accepts": _text("A media type that the skill takes, such as application/pdf."),
                    "returns": _text("A media type, a JSON type, or a member of the result."),
                    "mode": _text("A media type that the skill takes or gives."),
                    "tag": _text("A tag of the skill."),
                    "limit": {"type": "integer", "minimum": 1, "maximum": 50, "default": 10},
                },
                "additionalProperties": False,
            }
        ),
        _raw(
            {
                "type": "object",
                "properties": {
                    "agents": {"type": "array", "items": {"type": "object"}},
                    "total": {"type": "integer"},
                    "meaning": {"type": "string"},
                },
                "required": ["agents", "total"],
            }
        ),
        tags=["discovery", "registry"],
        examples=["Who can review a contract?", "convert a PDF to text"],
        text_param="query",
        idempotent=True,
    ),
    SkillSpec(
        "describe",
        "Describe an agent",
        "Gives the card of one agent, and what is known of it: health, tags, usage.",
        _raw(
            {
                "type": "object",
                "properties": {"agent": _text("Its name, as search gives it.")},
                "required": ["agent"],
                "additionalProperties": False,
            }
        ),
        _raw({"type": "object", "properties": {"card": {"type": "object"}}, "required": ["card"]}),
        tags=["discovery", "registry"],
        text_param="agent",
        idempotent=True,
    ),
)
#: As a release, so that it is routed and checked as every agent is; no row has these numbers.
RELEASE = Release(
    0,
    0,
    0,
    DEFAULT_ORG,
    1,
    "",
    "",
    Manifest(
        PLATFORM,
        "",
        _DESCRIPTION,
        version="1.0.0",
        default_skill="search",
        visibility=Visibility.PUBLIC,
    ),
    SKILLS,
)


class _Cards(Cards):
    """The platform's own card."""

    __slots__ = ()

    def public(self, release: Release, base: str) -> Encoded:
        """See Cards."""
        return self._card(release, base, "", _own_members)

    def early(self, release: Release, base: str) -> Encoded:
        """See Cards."""
        return self._card(release, base, "early", lambda card: with_early_members(_own_members(card)))


def _own_members(card: dict[str, Any]) -> dict[str, Any]:
    """The card without what only agents that run can do."""
    able = card["capabilities"]
    able |= {"pushNotifications": False, "extendedAgentCard": False, "stateTransitionHistory": False}
    able["extensions"] = [one for one in able["extensions"] if one["uri"] == SKILL_SCHEMAS]
    card.pop("documentationUrl", None)
    return card


class _Operations(Operations):
    """A2A's operations of an agent whose answers are messages."""

    __slots__ = ("_agents",)

    def __init__(self, services: Services, streams: Streams) -> None:
        super().__init__(services, Calls(services), streams)
        self._agents = Cards(services)
        # No gRPC, no limits and prices of its own, and no issuers that it would take tokens of.
        own = replace(services, grpc_url="", declared=None, accounting=None, issuers=None)
        self.cards = _Cards(own)

    async def send_message(
        self, caller: Caller, params: SendMessageParams, *, named: Named = NO_NAME, shown: bool = False
    ) -> Task | Message:
        """The answer. Raises as Operations, UnsupportedOperation where only a task would do."""
        return await self._answer(caller, params, shown=shown or named is not NO_NAME)

    async def open_message(
        self, caller: Caller, params: SendMessageParams, *, named: Named = NO_NAME
    ) -> Opening:
        """The answer, as a stream of one message."""
        self.streams.check(caller.principal)
        message = await self._answer(caller, params, shown=named is not NO_NAME)
        return Opening(message, owner_scope(caller.principal, 0), "", (0, 0), 0, True)

    async def submit_task(self, caller: Caller, params: SendMessageParams) -> Task:
        """There are no tasks."""
        raise _no_tasks()

    async def _answer(self, caller: Caller, params: SendMessageParams, *, shown: bool) -> Message:
        if shown:
            raise _no_tasks()
        if params.configuration.task_push_notification_config not in (UNSET, None):
            raise _no_push()
        self._check(caller, params)
        message = params.message
        if any(is_file(part) for part in message.parts):
            raise ContentTypeNotSupported(
                "This agent takes no files.", remedy="Send what you look for as text, or as a data part."
            )
        call = await self.calls.of_message(caller.release, caller.principal, params, shown=False)
        text, document = await self.do(
            caller.principal, caller.links.base, call.skill, _decode(call.arguments)
        )
        made = (
            ("text/plain", Part(text=text)),
            ("application/json", Part(data=msgspec.Raw(_encode(document)), media_type="application/json")),
        )
        parts = [part for kind, part in made if _accepted(kind, call.output_modes)]
        ids = self.services.ids
        return Message(ids.new("msg"), Role.AGENT, parts, context_id=call.context_id or ids.new("ctx"))

    async def do(
        self, principal: Principal, base: str, skill: str, arguments: dict[str, Any]
    ) -> tuple[str, dict[str, Any]]:
        """What a skill comes to, in words and as JSON; `arguments` are checked, agents are below `base`."""
        if skill == "search":
            return await self._search(principal, base, arguments)
        return self._describe(principal, base, arguments["agent"])

    async def _search(
        self, principal: Principal, base: str, arguments: dict[str, Any]
    ) -> tuple[str, dict[str, Any]]:
        filters = {name: arguments[name] for name in FILTERS if name in arguments}
        query = read_query(
            arguments.get("query", ""),
            filters,
            by=arguments.get("by", ""),
            limit=arguments.get("limit", 10),
        )
        found = await served(self.services).find(query, principal)
        document = found_document(self.services, found, base)
        return _said(document), document

    def _describe(self, principal: Principal, origin: str, name: str) -> tuple[str, dict[str, Any]]:
        """Raises AgentNotFound, as for an agent that isn't there."""
        if numbered(name):
            raise AgentNotFound.of(name)
        release = self.services.registry.serving(name)
        if private(release, principal):
            raise AgentNotFound.of(name)
        check_reached(release, principal)
        base = f"{origin}/agents/{qualified(release)}"
        extended = release.extended and not principal.anonymous
        card = (self._agents.extended if extended else self._agents.public)(release, base)
        seen = release.seen_by(principal.anonymous)
        document = {"card": msgspec.Raw(card.body), **facts(self.services, seen, principal)}
        skills = "\n".join(f"- {one.id}: {one.description or one.name}" for one in seen.skills)
        return f"{qualified(release)} ({base}): {release.manifest.description}\n{skills}", document

    # --- what it has none of ----------------------------------------------------------------------------

    async def create_push_config(
        self, caller: Caller, params: TaskPushNotificationConfig, name: str = ""
    ) -> TaskPushNotificationConfig:
        """There are no notifications."""
        raise _no_push()

    def get_push_config(self, caller: Caller, params: PushConfigParams) -> TaskPushNotificationConfig:
        """There are no notifications."""
        raise _no_push()

    def list_push_configs(self, caller: Caller, params: ListPushConfigsParams) -> PushConfigList:
        """There are no notifications."""
        raise _no_push()

    async def delete_push_config(self, caller: Caller, params: PushConfigParams) -> None:
        """There are no notifications."""
        raise _no_push()


def _no_tasks() -> UnsupportedOperation:
    return UnsupportedOperation(
        "This agent answers with messages and has no tasks.", remedy="Use SendMessage (message/send)."
    )


def _no_push() -> PushNotificationNotSupported:
    return PushNotificationNotSupported(
        "This agent sends no notifications: its answers come at once.", remedy="Leave the config out."
    )


def _accepted(kind: str, wanted: list[str]) -> bool:
    """Whether the caller takes an answer of that media type; who names none takes all."""
    main = kind.partition("/")[0]
    return not wanted or any(
        one.partition(";")[0].strip() in (kind, f"{main}/*", "*/*", "*") for one in wanted
    )


def _said(document: dict[str, Any]) -> str:
    """What was found, in words."""
    agents: list[dict[str, Any]] = document["agents"]
    if not agents:
        return "No agent that you may call fits."
    lines: list[str] = []
    for one in agents:
        lines.append(f"{one['name']} ({one['url']}): {one['description']}")
        lines += [f"- {skill['id']}: {skill['description'] or skill['name']}" for skill in one["skills"]]
    if document["total"] > len(agents):
        lines.append(f"And {document['total'] - len(agents)} more.")
    return "\n".join(lines)


class PlatformAgent:
    """Its routes at the root of the platform's own address."""

    __slots__ = ("_links", "_operations")

    def __init__(self, services: Services, links: Links, streams: Streams) -> None:
        self._links = links
        self._operations = _Operations(services, streams)

    async def call(self, principal: Principal, skill: str, arguments: bytes) -> bytes:
        """For an agent here that calls it (runtime/children.py). Raises SkillNotFound, InvalidParams, …"""
        operations = self._operations
        spec = find_skill(RELEASE, skill or RELEASE.manifest.default_skill)
        checked = operations.calls.gates.of(RELEASE, spec).check(_decode(arguments))
        base = operations.services.base_url
        _, document = await operations.do(principal, base, spec.id, _decode(checked))
        return _encode(document)

    async def serve(self, request: Request) -> None:
        """Answers, or raises Problem. `request.rest` is "" for the root itself."""
        request.release = RELEASE
        request.links = AgentLinks(self._links, request.base, PLATFORM)
        path, operations = request.rest, self._operations
        if not path:
            return await jsonrpc.serve(request, operations)
        if path in CARD_PATHS:
            return await operations.cards.serve(request)
        first, _, tail = path[1:].partition("/")
        if first == "message:send" and not tail:
            return await rest.send(request, operations)
        if first == "message:stream" and not tail:
            return await rest.stream(request, operations)
        if first == "tasks":
            return await rest.tasks(request, operations, tail)
        if first == "extendedAgentCard" and not tail:
            return await rest.extended_card(request, operations)
        if first == "v1":
            from a2a_cloud.surface.a2a import v03_rest  # Loaded when the first such caller comes.

            return await v03_rest.serve(request, operations, tail)
        raise NotFound("There is nothing at this path.", remedy="See /.well-known/agent-card.json.")
