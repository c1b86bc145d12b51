"""MCP over Streamable HTTP at one address, in two revisions (basic/transports of 2025-11-25, and of
2026-07-28): the transport's rules, what a request says of its client, and which method it is.

A request whose `MCP-Protocol-Version` or `_meta` names 2026-07-28 is answered by itself; any other belongs to
a session, which `initialize` begins.
"""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Callable

from msgspec import UNSET

from a2a_cloud.model.problem import Forbidden, InvalidRequest, NotAcceptable, Problem, Unauthenticated
from a2a_cloud.model.release import Release
from a2a_cloud.surface.a2a.operations import Operations
from a2a_cloud.surface.admission import reached
from a2a_cloud.surface.front_names import qualified
from a2a_cloud.surface.hosts import Hosts
from a2a_cloud.surface.links import AgentLinks
from a2a_cloud.surface.mcp import headers as mcp_headers
from a2a_cloud.surface.mcp.asking import Asking
from a2a_cloud.surface.mcp.catalogue import Catalogue
from a2a_cloud.surface.mcp.following import Following
from a2a_cloud.surface.mcp.handshake import Handshake
from a2a_cloud.surface.mcp.headers import McpHeaders
from a2a_cloud.surface.mcp.methods import Methods
from a2a_cloud.surface.mcp.offer import AgentToolbox, Offers, Toolbox
from a2a_cloud.surface.mcp.sealed import Sealer
from a2a_cloud.surface.mcp.sessions import Sessions
from a2a_cloud.surface.mcp.stateless import Stateless
from a2a_cloud.surface.mcp.streaming import Calls
from a2a_cloud.surface.request import JSON, Request
from a2a_cloud.wire import mcp, mcp_errors
from a2a_cloud.wire.json_text import check_text
from a2a_cloud.wire.mcp import HANDSHAKE, MODERN, Answered, Asked, Params, Undecodable, decode_params

#: Catalogues that are kept: callers of one organisation see the same.
_CATALOGUES = 64


class Mcp:
    """The MCP server of the platform: at each agent's address with its skills, at its own with all."""

    def __init__(self, operations: Operations) -> None:
        services = operations.services
        self._services = services
        sealer = Sealer(services.link_key)
        following = Following(operations, sealer)
        calls = following.calls = Calls(following)
        methods = Methods(following)
        self._stateless = Stateless(methods)
        self._handshake = Handshake(Sessions(sealer, services.clock, services.ids), calls, methods)
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
            return tuple(release.no for release in agents())

        def agents() -> list[Release]:
            return [release for release in registry.agents(principal) if reached(release, principal)]

        seen = stamp()
        if principal.anonymous and not seen:
            raise Unauthenticated("No agent here is public.", remedy="Send Authorization: Bearer KEY.")
        key = (principal.anonymous, seen)
        toolbox = self._catalogues.get(key)
        if toolbox is None:
            releases = [release.seen_by(principal.anonymous) for release in agents()]
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
            return await self._handshake.get(asking, found)
        if request.method == "DELETE" and not modern:
            return await self._handshake.delete(asking, found)
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
                return await self._stateless.ask(asking, message, meta, found)
            return await self._handshake.ask(asking, message, found)
        if modern:
            if isinstance(message, Answered):
                raise InvalidRequest(f"A client answers no requests in {MODERN}: there are none.")
            return await request.answer(202, b"", JSON)
        return await self._handshake.tell(asking, message, found)

    def _check_origin(self, request: Request, found: McpHeaders) -> None:
        """A page in a browser may come from our own names alone (DNS rebinding, and pages anywhere)."""
        if not found.origin or request.crosses:
            return
        scheme, _, host = found.origin.partition(b"://")
        hosts = self._hosts
        if hosts is None:
            hosts = self._hosts = Hosts(self._services.base_url, self._services.allowed_hosts)
        if scheme in (b"http", b"https") and hosts.read(host, scheme.decode()) is not None:
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


def refusal(request: Request, problem: Problem) -> tuple[int, bytes]:
    """(HTTP status, body) of a problem on an MCP route."""
    modern = request.speaks == f"mcp-{MODERN}"
    name = b"" if request.rpc_id == b"null" else request.rpc_id
    body = mcp_errors.error(name, problem, modern=modern)
    return mcp_errors.status_of(problem, modern=modern), body


def _says_modern(message: Asked, meta: mcp.Meta, found: McpHeaders) -> bool:
    """Whether a request without a handshake revision in its header is one of 2026-07-28 or later."""
    return meta.version is not UNSET or (message.method == "server/discover" and not found.session)
