"""One MCP request on its way to an answer: who asks, what their client can, which revision they speak."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, cast

from msgspec import UNSET

from a2a_cloud.model.principal import Principal
from a2a_cloud.model.release import Release
from a2a_cloud.surface.links import AgentLinks
from a2a_cloud.surface.mcp.offer import Toolbox
from a2a_cloud.surface.mcp.sessions import Session
from a2a_cloud.surface.request import JSON, Headers, Request
from a2a_cloud.wire.mcp import NO_META, SERVER_INFO, Client, Meta, result
from a2a_cloud.wire.mcp_schema import Json

NO_CLIENT = Client()


class McpCaller:
    """Who calls one agent. Fits `operations.Caller`."""

    __slots__ = ("links", "principal", "release", "speaks", "traceparent")

    #: A2A's extensions have no place in MCP.
    extensions = b""

    def __init__(
        self, release: Release, principal: Principal, links: AgentLinks, traceparent: bytes, speaks: str
    ) -> None:
        self.release = release
        self.principal = principal
        self.links = links
        self.traceparent = traceparent
        self.speaks = speaks


class Asking:
    """A request. `id` is b"" for a notification; `modern` says which revision's rules hold."""

    __slots__ = (
        "client",
        "id",
        "level",
        "links",
        "meta",
        "method",
        "modern",
        "request",
        "responses",
        "seq",
        "session",
        "stamp",
        "state",
        "toolbox",
        "version",
    )

    def __init__(
        self,
        request: Request,
        toolbox: Toolbox,
        stamp: Callable[[], object],
        links: Callable[[Release], AgentLinks],
        version: str,
        *,
        modern: bool,
    ) -> None:
        self.request = request
        self.toolbox = toolbox
        #: Gives something else when something else is offered.
        self.stamp = stamp
        self.links = links
        self.version = version
        self.modern = modern
        self.id = b""
        self.method = ""
        self.meta: Meta = NO_META
        self.client = NO_CLIENT
        self.session: Session | None = None
        #: The least level of log lines that are wanted, "" for none.
        self.level = ""
        #: What the client's user said already, by the name of the request for it.
        self.responses: dict[str, Any] = {}
        self.state = ""
        #: The question that `requestState` belongs to, 0 without one.
        self.seq = 0

    @property
    def principal(self) -> Principal:
        """Who asks."""
        return self.request.principal

    @property
    def streams(self) -> bool:
        """Whether the answer may be an event stream."""
        return b"text/event-stream" in self.request.accept.lower() or b"*/*" in self.request.accept

    @property
    def token(self) -> bytes:
        """The progress token as JSON, b"" without one."""
        token = self.meta.progress_token
        raw = b"" if token is UNSET else bytes(token)
        return raw if raw[:1] == b'"' or raw.lstrip(b"-")[:1].isdigit() else b""

    def caller(self, release: Release) -> McpCaller:
        """The caller of that agent."""
        trace = self.meta.traceparent
        traceparent = trace.encode("utf-8", "replace") if isinstance(trace, str) else self.request.traceparent
        speaks = f"mcp-{self.version}"
        return McpCaller(release, self.request.principal, self.links(release), traceparent, speaks)

    def whole(self, body: Json) -> Json:
        """A result as the revision wants it."""
        if not self.modern:
            return body
        meta = body.get("_meta")
        named: Json = {**cast(Json, meta)} if isinstance(meta, dict) else {}
        named[SERVER_INFO] = self.server_info()
        return {"resultType": "complete", **body, "_meta": named}

    def cached(self, body: Json, milliseconds: int, *, public: bool = False) -> Json:
        """A result that may be kept for a while."""
        if not self.modern:
            return body
        return {**body, "ttlMs": milliseconds, "cacheScope": "public" if public else "private"}

    def server_info(self) -> Json:
        """Who answers."""
        box = self.toolbox
        return {"name": box.name, "title": box.title, "version": box.version}

    async def answer(self, body: Json, headers: Headers | None = None) -> None:
        """Answers with a result."""
        await self.request.answer(200, result(self.id, self.whole(body)), JSON, headers)
