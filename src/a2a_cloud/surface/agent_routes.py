"""The paths of one agent, below its base (house.md, "Public surface of one agent"), handed to who
answers them.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from a2a_cloud.model.problem import NotFound
from a2a_cloud.surface.a2a import rest
from a2a_cloud.surface.a2a.cards import PATHS as CARD_PATHS
from a2a_cloud.surface.a2a.operations import Operations, check_tenant
from a2a_cloud.surface.calls import Calls
from a2a_cloud.surface.http import invoke, runs, sse
from a2a_cloud.surface.links import Links
from a2a_cloud.surface.pages.routes import Pages
from a2a_cloud.surface.ports import Services
from a2a_cloud.surface.request import JSON, Request, segment
from a2a_cloud.surface.streams import Streams

if TYPE_CHECKING:
    from a2a_cloud.surface.mcp.server import Mcp

#: First segments that A2A's `/{tenant}/…` can't have.
RESERVED = frozenset(
    {
        "v1",
        "invoke",
        "runs",
        "sse",
        "app",
        "mcp",
        "hooks",
        "sessions",
        "tasks",
        "auth",
        "card",
        "docs",
        ".well-known",
    }
)
_A2A = frozenset({"message:send", "message:stream", "tasks", "extendedAgentCard"})
_OWN = frozenset(
    {"invoke", "sessions", "hooks", "runs", "sse", "openapi.json", "card", "docs", ".well-known"}
)


class AgentRoutes:
    """Routes below an agent's base; `operations` are A2A's."""

    __slots__ = ("_links", "_mcp_server", "_services", "operations", "pages", "streams")

    def __init__(self, services: Services, links: Links) -> None:
        self._services = services
        self._links = links
        self.pages = Pages()
        self.streams = Streams(services.runs, services.limits, services.metrics)
        self.operations = Operations(services, Calls(services), self.streams)
        self._mcp_server: Mcp | None = None

    def classify(self, path: str, first: str) -> tuple[str, str]:
        """(route for the metrics, dialect of errors) of a path below the base."""
        if first in _A2A:
            return f"a2a-{first}", "a2a"
        if first in _OWN:
            return first, "problem"
        if first == "mcp":
            return first, "mcp"
        if first == "v1":
            return "a2a-v1", "a2a-0.3"
        if "%3a" in first.lower() and segment(first) in _A2A:
            return "a2a-message", "a2a"
        if (
            first not in RESERVED
            and path.count("/") > 1
            and path.split("/")[2].partition(":")[0]
            in (
                "message",
                "tasks",
                "extendedAgentCard",
            )
        ):
            return "tenant", "a2a"
        return "other", "problem"

    async def serve(self, request: Request) -> None:
        """Answers, or raises Problem."""
        path = request.rest
        first, _, tail = path[1:].partition("/")
        if "%" in first:
            first = segment(first)
        if first == "message:send" and not tail:
            return await rest.send(request, self.operations)
        if first == "message:stream" and not tail:
            return await rest.stream(request, self.operations)
        if first == "tasks":
            return await rest.tasks(request, self.operations, tail)
        if path in CARD_PATHS:
            return await self.operations.cards.serve(request)
        if first == "invoke" and tail and "/" not in tail:
            return await invoke.serve(request, self.operations, segment(tail))
        if first == "sse" and tail and "/" not in tail:
            return await sse.serve(request, self.operations, self._links, segment(tail))
        if first == "runs" and tail:
            return await runs.serve(request, self._services, self._links, tail.split("/"))
        if first == "hooks" and tail.count("/") == 1:
            from a2a_cloud.surface.http import hooks  # The same.

            skill, _, key = tail.partition("/")
            return await hooks.serve(request, self.operations, segment(skill), segment(key))
        if first == "mcp" and not tail:
            return await self.mcp.agent(request)
        if first == "v1":
            from a2a_cloud.surface.a2a import v03_rest  # Loaded when the first such caller comes.

            return await v03_rest.serve(request, self.operations, tail)
        if first == "sessions":
            from a2a_cloud.surface.a2a import sessions  # The same.

            return await sessions.serve(request, self.operations, tail)
        if first == "extendedAgentCard" and not tail:
            return await rest.extended_card(request, self.operations)
        if first == "docs":
            return await self._page(request, tail)
        if first == "openapi.json" and not tail:
            from a2a_cloud.surface.http import openapi  # The same.

            return await openapi.serve(request, self.operations)
        if request.route == "tenant":
            check_tenant(request.release, first)
            request.rest = "/" + tail
            request.route = f"a2a-{tail.partition('/')[0].partition(':')[0]}"
            return await self.serve(request)
        raise NotFound(
            "There is nothing at this path.", remedy="See /openapi.json for the paths of this agent."
        )

    @property
    def mcp(self) -> Mcp:
        """The MCP server, made when somebody first speaks to it."""
        server = self._mcp_server
        if server is None:
            from a2a_cloud.surface.mcp.server import Mcp

            server = self._mcp_server = Mcp(self.operations)
        return server

    async def _page(self, request: Request, tail: str) -> None:
        if tail:
            return await self.pages.asset(request, tail)
        release, registry = request.release, self._services.registry
        notice = registry.notices.get((release.agent_no, release.major))
        platform = self._services.base_url
        until = notice[1] if notice is not None else None
        return await self.pages.docs(request, platform, until, self._services.accounting)

    def signed(self, request: Request, agent: str) -> bool:
        """Whether a signed link, or a hook's key in the path, opens this request to a caller without a key.
        Raises Unauthenticated."""
        if request.route == "hooks":
            return True  # The hook is looked up by the key, and checks the delivery's signature.
        if b"sig=" not in request.query_string or request.route not in ("sse", "runs"):
            return False
        runs.check_link(request, self._links, agent)
        return True

    async def options(self, request: Request) -> None:
        """`OPTIONS`: which methods the path takes."""
        await request.answer(204, b"", JSON, [(b"allow", f"{_methods(request.rest)}, OPTIONS".encode())])


def _methods(rest: str) -> str:
    """The methods of a path below the base."""
    first = rest[1:].partition("/")[0]
    if first in ("", "invoke", "hooks", "message:send", "message:stream") or rest == "/sessions":
        return "POST"
    if first == "mcp":
        return "GET, POST, DELETE"
    if first == "v1":
        return "GET, HEAD, POST, DELETE"
    if first not in ("tasks", "sessions"):
        return "GET, HEAD"
    if rest.endswith(":cancel"):
        return "POST"
    if rest == "/tasks" or rest.endswith((":subscribe", "/messages", "/pushNotificationConfigs")):
        return "GET, HEAD, POST"
    return "GET, HEAD, DELETE" if first == "sessions" or rest.count("/") > 2 else "GET, HEAD"
