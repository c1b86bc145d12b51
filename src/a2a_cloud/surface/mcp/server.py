"""MCP over Streamable HTTP at one address, in two revisions (basic/transports of 2025-11-25, and of
2026-07-28): the transport's rules, what a request says of its client, and which method it is.

A request whose `MCP-Protocol-Version` or `_meta` names 2026-07-28 is answered by itself; any other belongs to
a session, which `initialize` begins.
"""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Callable
from typing import Any
from urllib.parse import urlsplit

import msgspec
from msgspec import UNSET

from a2a_cloud.model.problem import (
    Forbidden,
    InvalidParams,
    InvalidRequest,
    MethodNotFound,
    NotAcceptable,
    Problem,
    ProtocolVersionNotSupported,
    Unauthenticated,
    Unavailable,
)
from a2a_cloud.model.release import Release
from a2a_cloud.surface.a2a.operations import Operations
from a2a_cloud.surface.front_names import qualified
from a2a_cloud.surface.hosts import Hosts
from a2a_cloud.surface.links import AgentLinks
from a2a_cloud.surface.mcp import headers as mcp_headers
from a2a_cloud.surface.mcp.asking import Asking
from a2a_cloud.surface.mcp.catalogue import Catalogue
from a2a_cloud.surface.mcp.following import NOBODY, Following
from a2a_cloud.surface.mcp.headers import McpHeaders
from a2a_cloud.surface.mcp.listening import Listening
from a2a_cloud.surface.mcp.methods import LIST_MILLISECONDS, Methods
from a2a_cloud.surface.mcp.offer import AgentToolbox, Offers, Toolbox
from a2a_cloud.surface.mcp.sealed import Sealer
from a2a_cloud.surface.mcp.sessions import MAX_URIS, Sessions
from a2a_cloud.surface.mcp.streaming import LEVELS, Calls, read_event_id
from a2a_cloud.surface.mcp.work import RESULT, TOOL
from a2a_cloud.surface.request import JSON, Request
from a2a_cloud.wire import mcp, mcp_errors, sse
from a2a_cloud.wire.json_text import check_text, readable
from a2a_cloud.wire.mcp import (
    HANDSHAKE,
    MODERN,
    TASKS,
    Answered,
    Asked,
    CallParams,
    CancelledParams,
    CompleteParams,
    Filter,
    InitializeParams,
    LevelParams,
    ListenParams,
    PageParams,
    Params,
    PromptParams,
    TaskParams,
    Told,
    Undecodable,
    UriParams,
    client_of,
    decode_params,
)
from a2a_cloud.wire.mcp_schema import Json

_BOTH: dict[str, type[Params]] = {
    "tools/list": PageParams,
    "tools/call": CallParams,
    "prompts/list": PageParams,
    "prompts/get": PromptParams,
    "resources/list": PageParams,
    "resources/templates/list": PageParams,
    "resources/read": UriParams,
    "completion/complete": CompleteParams,
    "tasks/get": TaskParams,
    "tasks/cancel": TaskParams,
}
_SESSION: dict[str, type[Params]] = {
    **_BOTH,
    "ping": Params,
    "logging/setLevel": LevelParams,
    "resources/subscribe": UriParams,
    "resources/unsubscribe": UriParams,
    "tasks/list": PageParams,
    "tasks/result": TaskParams,
}
_MODERN: dict[str, type[Params]] = {
    **_BOTH,
    "server/discover": Params,
    "tasks/update": TaskParams,
    "subscriptions/listen": ListenParams,
}

#: Catalogues that are kept: callers of one organisation see the same.
_CATALOGUES = 64


class Mcp:
    """The MCP server of the platform: at each agent's address with its skills, at its own with all."""

    def __init__(self, operations: Operations) -> None:
        services = operations.services
        self._operations = operations
        self._services = services
        self._sealer = Sealer(services.link_key)
        self._sessions = Sessions(self._sealer, services.clock, services.ids)
        self.following = Following(operations, self._sealer)
        self.calls = self.following.calls = Calls(self.following)
        self.methods = Methods(self.following)
        self._offers = Offers()
        self._catalogues: OrderedDict[tuple[bool, tuple[int, ...]], Catalogue] = OrderedDict()
        self._hosts: Hosts | None = None

    async def agent(self, request: Request) -> None:
        """Answers at the address of one agent. Raises Problem; `refusal` says it in MCP's words."""
        release = request.release
        seen = release.seen_by(request.principal.anonymous)
        registry = self._services.registry
        name = qualified(release)

        def stamp() -> object:
            try:
                return registry.serving(name).no
            except Problem:
                return None

        await self._serve(request, AgentToolbox(seen, self._offers.of(seen)), stamp, lambda _: request.links)

    async def catalogue(self, request: Request, links: Callable[[Release], AgentLinks]) -> None:
        """Answers at the platform's own address, with all agents that the caller sees. Raises Problem."""
        principal = request.principal
        registry = self._services.registry

        def stamp() -> tuple[int, ...]:
            return tuple(release.no for release in registry.agents(principal))

        seen = stamp()
        if principal.anonymous and not seen:
            raise Unauthenticated("No agent here is public.", remedy="Send Authorization: Bearer KEY.")
        key = (principal.anonymous, seen)
        toolbox = self._catalogues.get(key)
        if toolbox is None:
            releases = [release.seen_by(principal.anonymous) for release in registry.agents(principal)]
            toolbox = self._catalogues[key] = Catalogue(releases, self._offers)
            if len(self._catalogues) > _CATALOGUES:
                self._catalogues.popitem(last=False)
        await self._serve(request, toolbox, stamp, links)

    async def _serve(
        self,
        request: Request,
        toolbox: Toolbox,
        stamp: Callable[[], object],
        links: Callable[[Release], AgentLinks],
    ) -> None:
        found = mcp_headers.read(request)
        self._check_origin(request, found)
        modern = found.version == MODERN
        request.speaks = f"mcp-{MODERN if modern else HANDSHAKE[0]}"
        version = MODERN if modern else HANDSHAKE[0]
        asking = Asking(request, toolbox, stamp, links, version, modern=modern)
        if request.method == "GET" and not modern:
            return await self._get(asking, found)
        if request.method == "DELETE" and not modern:
            return await self._delete(asking, found)
        request.allow(*(("POST",) if modern else ("POST", "GET", "DELETE")))
        request.expect_json()
        body = await request.body(self._services.limits.body)
        check_text(body)
        message = mcp.decode(body)
        del body
        if isinstance(message, Undecodable):
            request.rpc_id = message.id or b"null"
            raise message.problem
        if isinstance(message, Asked):
            request.rpc_id = message.id
            asking.id, asking.method = message.id, message.method
            self._accepts(request)
            meta = decode_params(message.params, Params).meta
            if modern or (found.version not in HANDSHAKE and _says_modern(message, meta, found)):
                asking.modern, asking.version = True, MODERN
                request.speaks = f"mcp-{MODERN}"
                return await self._modern(asking, message, meta, found)
            return await self._handshake(asking, message, found)
        if modern:
            if isinstance(message, Answered):
                raise InvalidRequest(f"A client answers no requests in {MODERN}: there are none.")
            return await request.answer(202, b"", JSON)
        return await self._other(asking, message, found)

    def _check_origin(self, request: Request, found: McpHeaders) -> None:
        """A page in a browser may come from our own names alone (DNS rebinding, and pages anywhere)."""
        if not found.origin:
            return
        parts = urlsplit(found.origin.decode("latin-1"))
        hosts = self._hosts
        if hosts is None:
            hosts = self._hosts = Hosts(self._services.base_url, self._services.allowed_hosts)
        if parts.scheme in ("http", "https") and hosts.read(parts.netloc.encode(), parts.scheme) is not None:
            return
        raise Forbidden(
            "Pages of this origin may not speak MCP here.",
            remedy="Add its host to A2A_ALLOWED_HOSTS, or send no Origin.",
            info={"origin": found.origin.decode("latin-1")[:200]},
        )

    def _accepts(self, request: Request) -> None:
        accept = request.accept.lower()
        if accept and b"json" not in accept and b"event-stream" not in accept and b"*/*" not in accept:
            raise NotAcceptable(
                "Answers are JSON or event streams.",
                remedy="Send Accept: application/json, text/event-stream.",
            )

    # --- 2026-07-28 -------------------------------------------------------------------------------------

    async def _modern(self, asking: Asking, message: Asked, meta: mcp.Meta, found: McpHeaders) -> None:
        said = _text(meta.version)
        if said is None or meta.capabilities is UNSET:
            name = "protocolVersion" if said is None else "clientCapabilities"
            raise InvalidParams(
                f"params._meta has to have io.modelcontextprotocol/{name}.",
                remedy=f"Send it with every request, or begin a session with initialize ({HANDSHAKE[0]}).",
                info={"field": "_meta"},
            )
        mcp_headers.check(found, message, said)
        if said != MODERN:
            raise ProtocolVersionNotSupported(
                f"MCP {readable(said)} is not served.", info={"requested": said[:100]}
            )
        kind = _MODERN.get(message.method)
        if kind is None:
            raise _no_method(message.method, _MODERN)
        asking.client = client_of(meta.capabilities)
        asking.meta = meta
        asking.level = _level(meta.log_level)
        params: Any = decode_params(message.params, kind)
        methods = self.methods
        if message.method == "tools/call":
            mcp_headers.check_parameters(found, asking.toolbox.tool(params.name), params)
        if message.method == "server/discover":
            return await asking.answer(asking.cached(self._discovery(asking), LIST_MILLISECONDS, public=True))
        if message.method.startswith("tasks/") and not asking.client.tasks:
            from a2a_cloud.model.problem import CapabilityRequired

            raise CapabilityRequired(
                "The client does not declare the tasks extension.",
                info={"capability": f"extensions.{TASKS}"},
            )
        if message.method == "tasks/update":
            if params.input_responses is UNSET:
                raise InvalidParams("tasks/update needs inputResponses.", info={"field": "inputResponses"})
            await methods.tasks.update(asking, params.task_id, params.input_responses)
            return await asking.answer({})
        if message.method == "subscriptions/listen":
            if not asking.streams:
                raise NotAcceptable("This answer is a stream.", remedy="Accept text/event-stream.")
            return await methods.listen(asking, params)
        return await self._both(asking, message.method, params)

    def _discovery(self, asking: Asking) -> Json:
        body: Json = {
            "supportedVersions": list(mcp.SUPPORTED),
            "capabilities": {
                "tools": {"listChanged": True},
                "prompts": {"listChanged": True},
                "resources": {"subscribe": True},
                "completions": {},
                "logging": {},
                "extensions": {TASKS: {}},
            },
        }
        if asking.toolbox.instructions:
            body["instructions"] = asking.toolbox.instructions
        return body

    # --- both -------------------------------------------------------------------------------------------

    async def _both(self, asking: Asking, method: str, params: Any) -> None:
        methods = self.methods
        if method == "tools/call":
            return await methods.call_tool(asking, params)
        if method == "tools/list":
            return await methods.list_tools(asking, params)
        if method == "prompts/list":
            return await methods.list_prompts(asking, params)
        if method == "prompts/get":
            return await methods.get_prompt(asking, params)
        if method == "resources/list":
            return await methods.list_resources(asking, params)
        if method == "resources/templates/list":
            return await methods.list_templates(asking, params)
        if method == "resources/read":
            return await methods.read_resource(asking, params)
        if method == "completion/complete":
            return await methods.complete(asking, params)
        if method == "tasks/get":
            return await asking.answer(await methods.tasks.get(asking, params.task_id))
        assert method == "tasks/cancel"
        return await asking.answer(await methods.tasks.cancel(asking, params.task_id))

    # --- until 2025-11-25 -------------------------------------------------------------------------------

    async def _handshake(self, asking: Asking, message: Asked, found: McpHeaders) -> None:
        if message.method == "initialize":
            return await self._initialize(asking, decode_params(message.params, InitializeParams))
        kind = _SESSION.get(message.method)
        if message.method == "ping" and not found.session:
            return await asking.answer({})
        self._join(asking, found)
        if kind is None:
            raise _no_method(message.method, _SESSION)
        params: Any = decode_params(message.params, kind)
        asking.meta = params.meta
        session = asking.session
        assert session is not None
        method = message.method
        if method == "ping":
            return await asking.answer({})
        if method == "logging/setLevel":
            if params.level not in LEVELS:
                raise InvalidParams(
                    f"There is no level {readable(params.level)}.", remedy=f"Use one of {', '.join(LEVELS)}."
                )
            session.kept.level = params.level
            return await asking.answer({})
        if method == "resources/subscribe":
            return await self._subscribe(asking, params.uri)
        if method == "resources/unsubscribe":
            session.kept.uris.discard(params.uri)
            if session.kept.listening is not None:
                session.kept.listening.unwatch(params.uri)
            return await asking.answer({})
        if method == "tasks/list":
            return await asking.answer(self.methods.tasks.listed(asking, params.cursor))
        if method == "tasks/result":
            work = self.methods.tasks.find(asking, params.task_id, RESULT)
            return await self.following.answer(asking, work)
        return await self._both(asking, method, params)

    async def _initialize(self, asking: Asking, params: InitializeParams) -> None:
        version = params.protocol_version if params.protocol_version in HANDSHAKE else HANDSHAKE[0]
        client = client_of(params.capabilities)._replace(tasks=False)
        session = self._sessions.begin(asking.toolbox.id, asking.principal, version, client)
        body: Json = {
            "protocolVersion": version,
            "capabilities": {
                "tools": {"listChanged": True},
                "prompts": {"listChanged": True},
                "resources": {"subscribe": True, "listChanged": False},
                "completions": {},
                "logging": {},
                "tasks": {"list": {}, "cancel": {}, "requests": {"tools": {"call": {}}}},
            },
            "serverInfo": asking.server_info(),
        }
        if asking.toolbox.instructions:
            body["instructions"] = asking.toolbox.instructions
        await asking.answer(body, [(b"mcp-session-id", session.encode())])

    def _join(self, asking: Asking, found: McpHeaders) -> None:
        """Which session a request belongs to. Raises InvalidRequest, McpSessionNotFound."""
        if found.version and found.version not in HANDSHAKE:
            raise ProtocolVersionNotSupported(
                f"MCP {readable(found.version)} is not served.",
                remedy=f"Use one of {', '.join(mcp.SUPPORTED)}.",
                info={"requested": found.version[:100]},
            )
        if not found.session:
            raise InvalidRequest(
                "The request belongs to no session.",
                remedy="Send initialize first, and its Mcp-Session-Id with every request; or speak "
                f"{MODERN}, which has none.",
            )
        session = self._sessions.read(found.session, asking.toolbox.id, asking.principal)
        asking.session = session
        asking.client = session.client
        asking.version = found.version or session.version
        asking.level = session.level
        asking.request.speaks = f"mcp-{asking.version}"

    async def _subscribe(self, asking: Asking, uri: str) -> None:
        assert asking.session is not None
        kept = asking.session.kept
        self.methods.resources.task_behind(asking, uri)
        if uri not in kept.uris and len(kept.uris) >= MAX_URIS:
            raise InvalidParams(f"A session is subscribed to {MAX_URIS} resources at most.")
        kept.uris.add(uri)
        if kept.listening is not None:
            kept.listening.watch(uri)
        await asking.answer({})

    async def _other(self, asking: Asking, message: Told | Answered, found: McpHeaders) -> None:
        """Notifications, and answers to what the server asked."""
        self._join(asking, found)
        if isinstance(message, Answered):
            await self._answered(asking, message)
        elif message.method == "notifications/cancelled":
            params = decode_params(message.params, CancelledParams)
            if params.request_id is not UNSET and asking.session is not None:
                await self.calls.canceled(asking.session.nonce, bytes(params.request_id))
        await asking.request.answer(202, b"", JSON)

    async def _answered(self, asking: Asking, message: Answered) -> None:
        mark, _, rest = message.id.partition("|")
        fields = rest.split("|", 2)
        if mark != "a2a" or len(fields) != 3:
            raise InvalidRequest("Nobody asked that.", remedy="Answer the requests that come on the stream.")
        ordinal, seq = sse.read_position(fields[1])
        work = self.methods.tasks.find(asking, fields[0], TOOL)
        if work.ordinal != ordinal:
            return
        given: Any = {"action": "cancel"}
        if message.result:
            given = msgspec.json.decode(message.result)
        if not isinstance(given, dict):
            raise InvalidRequest("A result is an object.")
        if not await self.calls.answered(work, seq, fields[2], given):  # type: ignore[reportUnknownArgumentType]
            raise InvalidParams("The answer does not fit the question; it is asked again.")

    async def _get(self, asking: Asking, found: McpHeaders) -> None:
        """The stream for what belongs to no request; or, with Last-Event-ID, one that broke off."""
        if not asking.streams:
            raise NotAcceptable("This answer is a stream.", remedy="Accept text/event-stream.")
        self._join(asking, found)
        session = asking.session
        assert session is not None
        last = asking.request.last_event_id.decode("latin-1").strip()
        if last:
            return await self._take_up(asking, last)
        kept = session.kept
        if not self._services.ready():
            raise Unavailable("The platform is stopping.", retry_after=1)
        self._operations.streams.check(asking.principal)
        wanted = Filter(tools_list_changed=True, prompts_list_changed=True)
        listening = Listening(
            self._operations.streams, asking, wanted, self.methods.resources, self.methods.tasks
        )
        if kept.listening is not None:  # Of two, the later one is told: never both.
            kept.listening.finish()
        kept.listening = listening
        for uri in kept.uris:
            listening.watch(uri)
        try:
            await listening.serve(sse.KEEP_ALIVE)
        finally:
            if kept.listening is listening:
                kept.listening = None

    async def _take_up(self, asking: Asking, last: str) -> None:
        assert asking.session is not None
        place, position = read_event_id(last)
        work = self.methods.tasks.find(asking, place.task_id, place.purpose)
        work.name = place.name
        work.ordinal = position[0]
        asking.id = bytes(place.id)
        asking.level = place.level if place.level in LEVELS else ""
        asking.meta = mcp.Meta(progress_token=place.token)
        with self.calls.pending(asking.session.nonce, asking.id, work):
            await self.calls.stream(asking, work, NOBODY, position)

    async def _delete(self, asking: Asking, found: McpHeaders) -> None:
        self._join(asking, found)
        assert asking.session is not None
        self._sessions.end(asking.session)
        await asking.request.answer(204, b"", JSON)


def refusal(request: Request, problem: Problem) -> tuple[int, bytes]:
    """(HTTP status, body) of a problem on an MCP route."""
    modern = request.speaks == f"mcp-{MODERN}"
    name = b"" if request.rpc_id == b"null" else request.rpc_id
    body = mcp_errors.error(name, problem, modern=modern)
    return mcp_errors.status_of(problem, modern=modern), body


def _says_modern(message: Asked, meta: mcp.Meta, found: McpHeaders) -> bool:
    """Whether a request without a handshake revision in its header is one of 2026-07-28 or later."""
    return meta.version is not UNSET or (message.method == "server/discover" and not found.session)


def _text(raw: Any) -> str | None:
    if raw is UNSET:
        return None
    try:
        return msgspec.json.decode(raw, type=str)
    except msgspec.MsgspecError:
        return None


def _level(value: Any) -> str:
    if value is UNSET or value is None:
        return ""
    if value not in LEVELS:
        raise InvalidParams(
            "_meta has a log level that there isn't.", remedy=f"Use one of {', '.join(LEVELS)}."
        )
    return str(value)


def _no_method(method: str, known: dict[str, type[Params]]) -> MethodNotFound:
    return MethodNotFound(
        f"There is no method {readable(method)}.", remedy=f"The methods are: {', '.join(known)}."
    )
