"""The paths of one agent, below its base (house.md, "Public surface of one agent"), handed to who
answers them.
"""

from __future__ import annotations

from a2a_cloud.model.problem import NotFound
from a2a_cloud.surface.a2a import rest
from a2a_cloud.surface.a2a.card import PATHS as CARD_PATHS
from a2a_cloud.surface.a2a.card import Cards
from a2a_cloud.surface.a2a.operations import Operations
from a2a_cloud.surface.calls import Calls
from a2a_cloud.surface.http import invoke, openapi, runs, sse
from a2a_cloud.surface.links import Links
from a2a_cloud.surface.pages.routes import Pages
from a2a_cloud.surface.ports import Services
from a2a_cloud.surface.request import JSON, Request, segment
from a2a_cloud.surface.streams import Streams
from a2a_cloud.wire.json_text import readable

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
_OWN = frozenset({"invoke", "runs", "sse", "openapi.json", "card", "docs", ".well-known"})


class AgentRoutes:
    """Routes below an agent's base; `operations` are A2A's."""

    __slots__ = ("_cards", "_links", "_services", "operations", "pages", "streams")

    def __init__(self, services: Services, links: Links) -> None:
        self._services = services
        self._links = links
        self._cards = Cards(services.sandbox)
        self.pages = Pages()
        self.streams = Streams(services.runs, services.limits, services.metrics)
        self.operations = Operations(services, Calls(services), self.streams)

    def classify(self, path: str, first: str) -> tuple[str, str]:
        """(route for the metrics, dialect of errors) of a path below the base."""
        if first in _A2A:
            return f"a2a-{first}", "a2a"
        if first in _OWN:
            return first, "problem"
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
            return await self._cards.serve(request)
        if first == "invoke" and tail and "/" not in tail:
            return await invoke.serve(request, self.operations, segment(tail))
        if first == "sse" and tail and "/" not in tail:
            return await sse.serve(request, self.operations, self._links, segment(tail))
        if first == "runs" and tail:
            return await runs.serve(request, self._services, self._links, tail.split("/"))
        if first == "extendedAgentCard" and not tail:
            return await rest.extended_card(request)
        if first == "docs":
            return await self._page(request, tail)
        if first == "openapi.json" and not tail:
            return await openapi.serve(request)
        if request.route == "tenant":
            raise NotFound(
                f"There is no tenant {readable(first)}: this agent declares none.",
                remedy="Leave the tenant out of the path.",
            )
        raise NotFound(
            "There is nothing at this path.", remedy="See /openapi.json for the paths of this agent."
        )

    async def _page(self, request: Request, tail: str) -> None:
        if tail:
            return await self.pages.asset(request, tail)
        release, registry = request.release, self._services.registry
        notice = registry.notices.get((release.agent_no, release.major))
        platform = self._services.base_url
        return await self.pages.docs(request, platform, notice[1] if notice is not None else None)

    def signed(self, request: Request, agent: str) -> bool:
        """Whether a signed link opens this request to a caller without a key. Raises Unauthenticated."""
        if b"sig=" not in request.query_string or request.route not in ("sse", "runs"):
            return False
        runs.check_link(request, self._links, agent)
        return True

    async def options(self, request: Request) -> None:
        """`OPTIONS`: which methods the path takes."""
        first = request.rest[1:].partition("/")[0]
        if not request.rest or first in ("invoke", "message:send", "message:stream"):
            methods = "POST, OPTIONS"
        elif first == "tasks":
            methods = "GET, HEAD, POST, DELETE, OPTIONS"
        else:
            methods = "GET, HEAD, OPTIONS"
        await request.answer(204, b"", JSON, [(b"allow", methods.encode())])
