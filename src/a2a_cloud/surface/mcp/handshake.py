"""MCP until 2025-11-25: `initialize`, sessions, what clients tell and answer, and the GET stream
(basic/lifecycle, basic/transports, basic/utilities/tasks).
"""

from __future__ import annotations

from typing import Any

import msgspec
from msgspec import UNSET

from a2a_cloud.model.problem import (
    InvalidParams,
    InvalidRequest,
    NotAcceptable,
    ProtocolVersionNotSupported,
    Unavailable,
)
from a2a_cloud.surface.mcp.asking import Asking
from a2a_cloud.surface.mcp.events import LEVELS, read_event_id
from a2a_cloud.surface.mcp.following import NOBODY
from a2a_cloud.surface.mcp.headers import McpHeaders
from a2a_cloud.surface.mcp.listening import Listening
from a2a_cloud.surface.mcp.methods import BOTH, Methods, no_method
from a2a_cloud.surface.mcp.sessions import MAX_URIS, Sessions
from a2a_cloud.surface.mcp.streaming import Calls
from a2a_cloud.surface.mcp.work import RESULT, TOOL
from a2a_cloud.surface.request import JSON
from a2a_cloud.wire import mcp, sse
from a2a_cloud.wire.json_text import readable
from a2a_cloud.wire.mcp import (
    HANDSHAKE,
    MODERN,
    Answered,
    Asked,
    CancelledParams,
    Filter,
    InitializeParams,
    LevelParams,
    PageParams,
    Params,
    TaskParams,
    Told,
    UriParams,
    client_of,
    decode_params,
)
from a2a_cloud.wire.mcp_schema import Json

_METHODS: dict[str, type[Params]] = {
    **BOTH,
    "ping": Params,
    "logging/setLevel": LevelParams,
    "resources/subscribe": UriParams,
    "resources/unsubscribe": UriParams,
    "tasks/list": PageParams,
    "tasks/result": TaskParams,
}


class Handshake:
    """Answers those who began with `initialize`."""

    def __init__(self, sessions: Sessions, calls: Calls, methods: Methods) -> None:
        self._sessions = sessions
        self.calls = calls
        self.following = calls.following
        self.methods = methods
        self._services = calls.operations.services
        self._streams = calls.streams

    async def ask(self, asking: Asking, message: Asked, found: McpHeaders) -> None:
        """Answers a request. Raises Problem."""
        if message.method == "initialize":
            return await self._initialize(asking, decode_params(message.params, InitializeParams))
        kind = _METHODS.get(message.method)
        if message.method == "ping" and not found.session:
            return await asking.answer({})
        self._join(asking, found)
        if kind is None:
            raise no_method(message.method, _METHODS)
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
        return await self.methods.serve(asking, method, params)

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

    async def tell(self, asking: Asking, message: Told | Answered, found: McpHeaders) -> None:
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

    async def get(self, asking: Asking, found: McpHeaders) -> None:
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
        self._streams.check(asking.principal)
        wanted = Filter(tools_list_changed=True, prompts_list_changed=True)
        listening = Listening(self._streams, asking, wanted, self.methods.resources, self.methods.tasks)
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

    async def delete(self, asking: Asking, found: McpHeaders) -> None:
        """Ends the session."""
        self._join(asking, found)
        assert asking.session is not None
        self._sessions.end(asking.session)
        await asking.request.answer(204, b"", JSON)
