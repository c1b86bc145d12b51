"""Everything that answers a socket begins here: a raw ASGI application (ASGI 3.0) that finds out which
host, which agent and who is calling, hands the request on, and renders every Problem once, in the words
of the route.
"""

from __future__ import annotations

import logging
from collections.abc import MutableMapping
from typing import TYPE_CHECKING, Any

from a2a_cloud.model.principal import ANONYMOUS, Principal
from a2a_cloud.model.problem import AgentNotFound, Internal, InvalidRequest, Problem, Unauthenticated
from a2a_cloud.model.release import Release
from a2a_cloud.ops.logs import about
from a2a_cloud.surface.a2a import jsonrpc as a2a_jsonrpc
from a2a_cloud.surface.a2a.cards import JWKS
from a2a_cloud.surface.a2a.cards import PATHS as CARD_PATHS
from a2a_cloud.surface.admission import Admission, check_reached, private, refusal
from a2a_cloud.surface.agent_routes import AgentRoutes
from a2a_cloud.surface.api.cold import METADATA, ColdRoutes
from a2a_cloud.surface.auth_schemes import PROVEN, proven
from a2a_cloud.surface.cors import cross
from a2a_cloud.surface.front_names import numbered, qualified
from a2a_cloud.surface.hosts import Hosts
from a2a_cloud.surface.identity_port import Issuers
from a2a_cloud.surface.limits import counted, fields_of
from a2a_cloud.surface.links import AgentLinks, Links
from a2a_cloud.surface.pages.routes import wants_page
from a2a_cloud.surface.ports import Services
from a2a_cloud.surface.request import (
    A2A_JSON,
    JSON,
    Gone,
    Headers,
    Receive,
    Request,
    Send,
    check_path,
    segment,
)
from a2a_cloud.wire.problem_json import PROBLEM_JSON, a2a_error, problem_json

if TYPE_CHECKING:
    from a2a_cloud.surface.platform_agent import PlatformAgent

log = logging.getLogger("a2a_cloud.surface")
_MAX_LINKS = 1024
#: First segments of A2A's paths at the platform's own root.
_OWN_A2A = frozenset({"message:send", "message:stream", "tasks", "extendedAgentCard", "v1"})


class FrontDoor:
    """The ASGI application. `services.base_url` may still change until the first request."""

    def __init__(self, services: Services) -> None:
        self.services = services
        self._ids = services.ids
        self._traces = services.traces
        self._tells = log.isEnabledFor(logging.DEBUG)
        self.admission = Admission(
            services.identity,
            services.registry,
            services.oauth.tokens if services.oauth is not None else None,
        )
        self._registry = services.registry
        self._metrics = services.metrics
        self._quotas = services.quotas
        self._schemes = services.schemes
        self.links = Links(services.link_key, services.clock, services.limits.link_seconds)
        self.routes = AgentRoutes(services, self.links)
        self._cold = ColdRoutes(services)
        self._platform_agent: PlatformAgent | None = None
        self._hosts: Hosts | None = None
        self._agent_links: dict[tuple[int, str], AgentLinks] = {}

    async def __call__(self, scope: MutableMapping[str, Any], receive: Receive, send: Send) -> None:
        """One connection event of ASGI: an HTTP request, or the server's own beginning and end."""
        if scope["type"] != "http":
            if scope["type"] == "lifespan":
                await _lifespan(receive, send)
            return
        request = Request(scope, receive, send)
        request.ids = self._ids
        about.set(request)
        try:
            await self._serve(request)
        except Problem as problem:
            await self._refuse(request, problem)
        except Gone:
            request.status = 499
        except Exception:
            incident = request.id
            log.exception("%s: %s %s failed", incident, request.method, request.path)
            await self._refuse(
                request,
                Internal(
                    "Something went wrong on our side.",
                    remedy=f"Tell the operator this id: {incident}.",
                    info={"incident": incident},
                ),
            )
        finally:
            self._metrics.requests[request.route, request.status] += 1
            if self._tells:
                log.debug("%s %s: %d", request.method, request.path, request.status)
            if self._traces is not None:
                self._end_span(request)
            request.over = True

    def _end_span(self, request: Request) -> None:
        span = getattr(request, "span", None)  # None: its headers could not be read.
        if span is not None and self._traces is not None:
            scheme = request.scope.get("scheme", "http")
            self._traces.end(span, request.method, request.route, request.path, scheme, request.status)

    async def _serve(self, request: Request) -> None:
        scope = request.scope
        request.read_headers()
        if self._traces is not None:
            request.span, request.traceparent = self._traces.begin(request.method, request.traceparent)
        raw: bytes = scope.get("raw_path") or scope["path"].encode("utf-8", "surrogateescape")
        # The usual path has nothing to look at twice.
        if b"%" in raw or b"//" in raw or b"/." in raw or not raw.isascii():
            path = check_path(raw)
        else:
            path = raw.decode("ascii")
            if not path.isprintable() or path[:1] != "/" or "\\" in path:
                check_path(raw)
                raise InvalidRequest("The path is not clean.")
        request.path = path
        hosts = self._hosts
        if hosts is None:
            hosts = self._hosts = Hosts(self.services.base_url, self.services.allowed_hosts)
        host = hosts.read(request.host, scope.get("scheme", "http"))
        if host is None:
            return await self._unknown_host(request)
        if self._schemes:
            await proven(request, self._schemes)
        # The keys of a card are where the card is, and so is what protects the agent.
        if host.agent and path != JWKS and not path.startswith(METADATA):
            request.base = host.origin
            request.rest = "" if path == "/" else path
            return await self._agent(request, host.agent)
        if path.startswith("/agents/"):
            name, slash, rest = path[8:].partition("/")
            request.base = f"{host.origin}/agents/{name}"
            request.rest = slash + rest if rest else ""
            return await self._agent(request, name)
        request.base = host.origin
        if path == "/mcp":
            return await self._catalogue(request)
        if (
            path in CARD_PATHS
            or path[1:].partition("/")[0] in _OWN_A2A
            or (path == "/" and request.method in ("POST", "OPTIONS"))
        ):
            return await self._platform(request, path)
        return await self._cold.serve(request, self._credentials)

    async def _catalogue(self, request: Request) -> None:
        """MCP with all agents that the caller sees."""
        request.dialect = request.route = "mcp"
        request.principal = self._credentials(request)
        origin = request.base
        await self.routes.mcp.catalogue(
            request,
            lambda release: AgentLinks(
                self.links, f"{origin}/agents/{qualified(release)}", qualified(release)
            ),
        )

    async def _platform(self, request: Request, path: str) -> None:
        """The platform as an agent of its own."""
        request.rest = "" if path == "/" else path
        request.dialect = "jsonrpc"
        if request.rest:
            _, request.dialect = self.routes.classify(path, path[1:].partition("/")[0])
        request.route = "platform"
        request.principal = self._credentials(request)
        if request.method == "OPTIONS":
            return await self.routes.options(request)
        return await self.platform_agent.serve(request)

    @property
    def platform_agent(self) -> PlatformAgent:
        """Made when somebody first speaks to it."""
        agent = self._platform_agent
        if agent is None:
            from a2a_cloud.surface.platform_agent import PlatformAgent

            agent = self._platform_agent = PlatformAgent(self.services, self.links, self.routes.streams)
        return agent

    async def _unknown_host(self, request: Request) -> None:
        """A card may be read by any name, and then says the configured address; all else is refused."""
        path = request.path
        if path.startswith("/agents/") and request.method in ("GET", "HEAD"):
            name, slash, rest = path[8:].partition("/")
            if slash + rest in CARD_PATHS:
                request.base = f"{self.services.base_url}/agents/{name}"
                request.rest = slash + rest
                return await self._agent(request, name)
        raise InvalidRequest(
            "This host name is not one of ours.",
            remedy="Use the platform's own address, or add the name to A2A_ALLOWED_HOSTS.",
            info={"host": request.host.decode("latin-1")[:200]},
        )

    async def _agent(self, request: Request, name: str) -> None:
        rest = request.rest
        # The dialect of errors comes first: everything from here on may be refused.
        if not rest:
            request.dialect = request.route = "jsonrpc"
        else:
            first = rest[1:].partition("/")[0]
            request.route, request.dialect = self.routes.classify(rest, first)
        issuers, outside = self.services.issuers, ""
        if "%" in name:
            name = segment(name)
        if request.origin and await cross(request, self._registry, name):
            return None
        if request.route == "hooks":
            # Senders of webhooks may have an Authorization of their own making, and choose no release.
            if numbered(name):
                raise AgentNotFound.of(name)
            principal = ANONYMOUS
        elif issuers is not None and (outside := issuers.token_of(request.authorization)):
            principal = ANONYMOUS  # Until it is known which agent is meant, and whose tokens it takes.
        else:
            principal = self._known(request)
        if not outside:
            principal = request.principal = self._count(request, principal)
        release = self.admission.release(name, principal, request.wanted)
        if outside and issuers is not None:
            principal = request.principal = await self._outside(issuers, request, outside, release)
        if self._registry.notices:
            self._warn(request, release)
        if private(release, principal):
            if wants_page(request):
                return await self.routes.pages.locked(request)
            self._private(request, name, release, principal)
        if principal.scopes is not None:
            check_reached(release, principal)
        request.release = release
        key = (release.no, request.base)
        links = self._agent_links.get(key)
        if links is None:
            if len(self._agent_links) >= _MAX_LINKS:
                self._agent_links.clear()
            links = AgentLinks(self.links, request.base, qualified(release))
            self._agent_links[key] = links
        request.links = links
        if request.method == "OPTIONS":
            return await self.routes.options(request)
        if not rest:
            return await a2a_jsonrpc.serve(request, self.routes.operations)
        return await self.routes.serve(request)

    def _warn(self, request: Request, release: Release) -> None:
        """Say on the answer of a version that will end when that is."""
        fields = self.admission.ending(release)
        if fields:
            _say(request, fields)

    def _private(self, request: Request, name: str, release: Release, principal: Principal) -> None:
        """Nobody from outside the organisation gets in, but by a signed link. Raises Problem."""
        if principal.anonymous and (
            request.rest.startswith("/docs/") or self.routes.signed(request, qualified(release))
        ):
            return  # The pages' own files say nothing of the agent.
        raise refusal(name, principal)

    async def _outside(self, issuers: Issuers, request: Request, token: str, release: Release) -> Principal:
        """Who calls with a token of an outside issuer. Raises Unauthenticated, UpstreamFailed."""
        if request.api_key:
            raise InvalidRequest("There is a token and a key.", remedy="Send one of the two.")
        try:
            principal = await issuers.authenticate(token, release)
        except Unauthenticated:
            self._count(request, ANONYMOUS)
            raise
        return self._count(request, principal)

    def _credentials(self, request: Request) -> Principal:
        """Who calls. Raises Unauthenticated, InvalidRequest."""
        return self._count(request, self._known(request))

    def _known(self, request: Request) -> Principal:
        if self._schemes and (said := request.scope.get(PROVEN)) is not None:
            if isinstance(said, Principal):
                return said
            if isinstance(said, Unauthenticated):
                self._count(request, ANONYMOUS)
            raise said
        if request.cookie and not (request.authorization or request.api_key):
            from a2a_cloud.surface.people.browser import principal_of  # Loaded with the first browser.

            return principal_of(self.services, request)
        try:
            return self.admission.principal(request.authorization, request.api_key, request)
        except Unauthenticated:
            self._count(request, ANONYMOUS)  # Who guesses keys does it at a stranger's rate.
            raise

    def _count(self, request: Request, principal: Principal) -> Principal:
        """Count a request among its caller's; a stranger gets a name. Raises RateLimited."""
        quotas = self._quotas
        if quotas is None:
            return principal
        principal, use = counted(quotas, principal, request)
        if use is not None:
            _say(request, fields_of(use))
        return principal

    async def _refuse(self, request: Request, problem: Problem) -> None:
        self._metrics.problems[problem.code] += 1
        if isinstance(problem, AgentNotFound):
            request.crosses = False
        if problem.operator:
            log.warning("%s %s: %s: %s", request.method, request.path, problem.code, problem.operator)
        if request.started:
            log.info("%s %s was answered already: %s", request.method, request.path, problem.detail)
            return
        if request.dialect == "jsonrpc":
            status = a2a_jsonrpc.status_of(problem)
            await request.refuse(problem, a2a_jsonrpc.refusal(request, problem), JSON, status)
        elif request.dialect == "a2a-0.3":
            from a2a_cloud.wire import a2a_v03_rest  # Loaded with that dialect.

            await request.refuse(problem, a2a_v03_rest.error(problem), JSON, problem.http)
        elif request.dialect == "mcp":
            from a2a_cloud.surface.mcp.server import refusal as mcp_refusal  # The same.

            status, body = mcp_refusal(request, problem)
            await request.refuse(problem, body, JSON, status)
        elif request.dialect == "a2a":
            await request.refuse(problem, a2a_error(problem), A2A_JSON, problem.http)
        elif request.dialect == "scim":
            from a2a_cloud.wire import scim  # The same.

            await request.refuse(problem, scim.error(problem), b"application/scim+json", problem.http)
        else:
            await request.refuse(problem, problem_json(problem), PROBLEM_JSON, problem.http)


def _say(request: Request, fields: Headers) -> None:
    """Have the answer carry further fields. What it says itself comes first."""
    send = request.send

    async def saying(message: MutableMapping[str, Any]) -> None:
        if message["type"] == "http.response.start":
            said = {name for name, _ in message["headers"]}
            message["headers"] = [*message["headers"], *(field for field in fields if field[0] not in said)]
        await send(message)

    request.send = saying


async def _lifespan(receive: Receive, send: Send) -> None:
    while True:
        message = await receive()
        if message["type"] == "lifespan.startup":
            await send({"type": "lifespan.startup.complete"})
        else:
            await send({"type": "lifespan.shutdown.complete"})
            return
