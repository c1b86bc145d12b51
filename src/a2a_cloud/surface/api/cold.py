"""The platform's own paths, none of them hot: health, metrics, keys of receipts, and the control API
under `/api/v1`.

A table of path patterns and methods; a handler takes the request and the path's variables and gives
(status, document).
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from typing import TYPE_CHECKING, Any

import msgspec

from a2a_cloud.model.principal import Permission, Principal
from a2a_cloud.model.problem import Forbidden, NotFound, Unauthenticated
from a2a_cloud.surface.api import (
    agents,
    approvals,
    audit,
    budgets,
    cards,
    catalog,
    doctor,
    erasures,
    evals,
    grants,
    hooks,
    invoices,
    keys,
    ledger,
    limits,
    members,
    oauth,
    orgs,
    packs,
    payouts,
    people,
    prices,
    push,
    registry,
    releases,
    replays,
    reviews,
    runs,
    secrets,
    upkeep,
    usage,
    workspace_files,
    workspaces,
)
from a2a_cloud.surface.api import credits as paid_in
from a2a_cloud.surface.api import log as logs
from a2a_cloud.surface.api import services as identities
from a2a_cloud.surface.api.exposition import CONTENT_TYPE, exposition
from a2a_cloud.surface.api.scopes import check_scopes
from a2a_cloud.surface.pages.routes import Pages
from a2a_cloud.surface.ports import Services
from a2a_cloud.surface.request import JSON, Request, segment

if TYPE_CHECKING:
    from a2a_cloud.control.oauth.server import OAuth
    from a2a_cloud.surface.oauth.routes import OAuthRoutes
    from a2a_cloud.surface.people.port import People
    from a2a_cloud.surface.people.routes import PeoplePages

_encode = msgspec.json.Encoder().encode
_LOOPBACK = ("127.", "::1")
_HANDED = frozenset({b"forwarded", b"x-forwarded-for", b"x-real-ip", b"via"})

Handler = Callable[[Services, Request, list[str]], Awaitable[tuple[int, Any]]]

_ROUTES: list[tuple[list[str], dict[str, Handler]]] = [
    (["api", "v1", "whoami"], {"GET": keys.whoami}),
    (["api", "v1", "agents"], {"GET": agents.listed}),
    (["api", "v1", "agents", "*"], {"GET": agents.one, "DELETE": releases.delete}),
    (["api", "v1", "agents", "*", "logs"], {"GET": agents.logs}),
    (["api", "v1", "agents", "*", "cards"], {"GET": cards.history}),
    (["api", "v1", "agents", "*", "releases"], {"GET": releases.listed, "POST": releases.deploy}),
    (["api", "v1", "agents", "*", "releases", "*"], {"GET": releases.one}),
    (["api", "v1", "agents", "*", "releases", "*", "*"], {"GET": releases.part}),
    (["api", "v1", "agents", "*", "evals"], {"GET": evals.listed, "POST": evals.start}),
    (["api", "v1", "agents", "*", "evals", "*"], {"GET": evals.one}),
    (["api", "v1", "agents", "*", "evals", "*", "rubric"], {"GET": evals.rubric}),
    (["api", "v1", "agents", "*", "evals", "*", "cancel"], {"POST": evals.cancel}),
    (["api", "v1", "agents", "*", "diff"], {"GET": releases.difference}),
    (["api", "v1", "agents", "*", "rollback"], {"POST": releases.rollback}),
    (["api", "v1", "agents", "*", "promote"], {"POST": releases.promote}),
    (["api", "v1", "agents", "*", "deprecate"], {"POST": releases.deprecate}),
    (["api", "v1", "agents", "*", "restore"], {"POST": releases.restore}),
    (["api", "v1", "agents", "*", "env"], {"GET": releases.variables}),
    (
        ["api", "v1", "agents", "*", "env", "*"],
        {"PUT": releases.put_variable, "DELETE": releases.drop_variable},
    ),
    (["api", "v1", "agents", "*", "prices"], {"GET": prices.listed}),
    (["api", "v1", "agents", "*", "prices", "*"], {"PUT": prices.put, "DELETE": prices.drop}),
    (["api", "v1", "budgets"], {"GET": budgets.listed}),
    (["api", "v1", "budgets", "*"], {"PUT": budgets.put, "DELETE": budgets.drop}),
    (["api", "v1", "credits"], {"GET": paid_in.listed, "POST": paid_in.grant}),
    (["api", "v1", "credits", "refund"], {"POST": paid_in.refund}),
    (["api", "v1", "ledger"], {"GET": ledger.listed}),
    (["api", "v1", "ledger", "accounts"], {"GET": ledger.accounts}),
    (["api", "v1", "ledger", "check"], {"GET": ledger.check}),
    (["api", "v1", "ledger", "balance"], {"POST": ledger.balance}),
    (["api", "v1", "ledger", "*"], {"GET": ledger.one}),
    (["api", "v1", "doctor"], {"GET": doctor.checks}),
    (["api", "v1", "config"], {"GET": upkeep.config}),
    (["api", "v1", "backup"], {"POST": upkeep.backup}),
    (["api", "v1", "search"], {"GET": registry.search}),
    (["api", "v1", "runs"], {"GET": runs.listed}),
    (["api", "v1", "runs", "*"], {"GET": runs.one}),
    (["api", "v1", "runs", "*", "logs"], {"GET": runs.logs}),
    (["api", "v1", "runs", "*", "cancel"], {"POST": runs.cancel}),
    (["api", "v1", "runs", "*", "erase"], {"POST": erasures.erase}),
    (["api", "v1", "tasks", "*"], {"GET": runs.task}),
    (["api", "v1", "packs"], {"POST": packs.make}),
    (["api", "v1", "push"], {"GET": push.listed}),
    (["api", "v1", "push", "*", "retry"], {"POST": push.retry}),
    (["api", "v1", "approvals"], {"GET": approvals.listed}),
    (["api", "v1", "approvals", "policy"], {"GET": approvals.policy, "PUT": approvals.put_policy}),
    (["api", "v1", "approvals", "*"], {"GET": approvals.one}),
    (["api", "v1", "approvals", "*", "approve"], {"POST": approvals.approve}),
    (["api", "v1", "approvals", "*", "deny"], {"POST": approvals.deny}),
    (["api", "v1", "grants"], {"GET": grants.listed}),
    (["api", "v1", "grants", "policy"], {"GET": grants.policy, "PUT": grants.put_policy}),
    (["api", "v1", "grants", "explain"], {"GET": grants.explain}),
    (["api", "v1", "grants", "rotate-key"], {"POST": grants.rotate_key}),
    (["api", "v1", "grants", "*"], {"GET": grants.one}),
    (["api", "v1", "grants", "*", "tree"], {"GET": grants.tree}),
    (["api", "v1", "grants", "*", "revoke"], {"POST": grants.revoke}),
    (["api", "v1", "audit"], {"GET": audit.listed}),
    (["api", "v1", "log"], {"GET": logs.listed}),
    (["api", "v1", "log", "*", "key"], {"POST": logs.rotate}),
    (["api", "v1", "log", "*", "**"], {"GET": logs.read}),
    (["api", "v1", "access"], {"GET": orgs.access}),
    (["api", "v1", "orgs"], {"GET": orgs.listed, "POST": orgs.make}),
    (["api", "v1", "orgs", "*"], {"GET": orgs.one}),
    (["api", "v1", "orgs", "*", "scim"], {"GET": orgs.tokens, "POST": orgs.make_token}),
    (["api", "v1", "orgs", "*", "scim", "*"], {"DELETE": orgs.drop_token}),
    (["api", "v1", "members"], {"GET": members.listed, "POST": members.add}),
    (
        ["api", "v1", "members", "*"],
        {"GET": members.one, "PUT": members.change, "DELETE": members.remove},
    ),
    (["api", "v1", "teams"], {"GET": members.teams, "POST": members.make_team}),
    (["api", "v1", "teams", "*"], {"PUT": members.change_team, "DELETE": members.drop_team}),
    (
        ["api", "v1", "teams", "*", "members", "*"],
        {"PUT": members.join_team, "DELETE": members.leave_team},
    ),
    (["api", "v1", "roles"], {"GET": members.roles}),
    (["api", "v1", "roles", "*"], {"PUT": members.put_role, "DELETE": members.drop_role}),
    (["api", "v1", "hooks"], {"GET": hooks.listed, "POST": hooks.create}),
    (["api", "v1", "hooks", "*"], {"DELETE": hooks.drop}),
    (["api", "v1", "hooks", "*", "rotate"], {"POST": hooks.rotate}),
    (["api", "v1", "keys"], {"GET": keys.listed, "POST": keys.create}),
    (["api", "v1", "keys", "leaked"], {"POST": keys.leaked}),
    (["api", "v1", "keys", "*"], {"DELETE": keys.revoke}),
    (["api", "v1", "keys", "*", "rotate"], {"POST": keys.rotate}),
    (["api", "v1", "oauth", "clients"], {"GET": oauth.clients, "POST": oauth.make}),
    (["api", "v1", "oauth", "clients", "*"], {"DELETE": oauth.drop}),
    (["api", "v1", "oauth", "grants"], {"GET": oauth.grants}),
    (["api", "v1", "oauth", "grants", "*"], {"DELETE": oauth.end_grant}),
    (["api", "v1", "oauth", "rotate-key"], {"POST": oauth.rotate_key}),
    (["api", "v1", "limits"], {"GET": limits.shown}),
    (["api", "v1", "limits", "*"], {"PUT": limits.put, "DELETE": limits.drop}),
    (["api", "v1", "sessions"], {"GET": people.sessions, "DELETE": people.end_sessions}),
    (["api", "v1", "sessions", "*"], {"DELETE": people.end_session}),
    (["api", "v1", "links"], {"GET": people.links, "POST": people.make_link}),
    (["api", "v1", "links", "*"], {"DELETE": people.drop_link}),
    (["api", "v1", "replays"], {"POST": replays.replay}),
    (["api", "v1", "reviews"], {"GET": reviews.listed, "POST": reviews.make}),
    (["api", "v1", "reviews", "*"], {"GET": reviews.one}),
    (["api", "v1", "secrets"], {"GET": secrets.listed}),
    (["api", "v1", "secrets", "*"], {"PUT": secrets.put, "DELETE": secrets.drop}),
    (["api", "v1", "services"], {"GET": identities.listed}),
    (["api", "v1", "services", "bundle"], {"GET": identities.bundle}),
    (["api", "v1", "services", "rotate-root"], {"POST": identities.rotate_root}),
    (["api", "v1", "services", "*", "certificates"], {"POST": identities.certify}),
    (["api", "v1", "services", "*", "tokens"], {"POST": identities.token}),
    (["api", "v1", "services", "*", "revoke"], {"POST": identities.revoke}),
    (["api", "v1", "sigv4-keys"], {"GET": identities.keys, "POST": identities.make_key}),
    (["api", "v1", "sigv4-keys", "*"], {"DELETE": identities.drop_key}),
    (["api", "v1", "usage"], {"GET": usage.usage}),
    (["api", "v1", "invoices"], {"GET": invoices.listed, "POST": invoices.make}),
    (["api", "v1", "invoices", "*"], {"GET": invoices.one}),
    (["api", "v1", "invoices", "*", "verify"], {"GET": invoices.verify}),
    (["api", "v1", "payouts"], {"GET": payouts.statement, "POST": payouts.make}),
    (["api", "v1", "billing", "party"], {"GET": invoices.party, "PUT": invoices.put_party}),
    (["api", "v1", "billing", "clock"], {"GET": invoices.clock, "POST": invoices.advance}),
    (["api", "v1", "workspaces"], {"GET": workspaces.listed}),
    (["api", "v1", "workspaces", "*"], {"GET": workspaces.one, "PUT": workspaces.make}),
    (["api", "v1", "workspaces", "*", "versions"], {"GET": workspaces.versions}),
    (["api", "v1", "workspaces", "*", "diff"], {"GET": workspaces.diff}),
    (["api", "v1", "workspaces", "*", "restore"], {"POST": workspaces.restore}),
    (["api", "v1", "workspaces", "*", "tree"], {"GET": workspaces.tree}),
    (["api", "v1", "workspaces", "*", "commit"], {"POST": workspaces.commit}),
    (["api", "v1", "workspaces", "*", "objects"], {"POST": workspace_files.upload}),
    (
        ["api", "v1", "workspaces", "*", "files", "**"],
        {"GET": workspace_files.read, "PUT": workspace_files.put, "DELETE": workspace_files.delete},
    ),
]
#: What an authorization server and what it protects say of themselves, on every host.
METADATA = ("/.well-known/oauth-", "/.well-known/openid-configuration")
#: First steps of the pages on which people sign in.
_PEOPLE = frozenset({"login", "logout", "account", "invite", "recover"})
#: What anybody may read of the control API.
_OPEN = frozenset({"agents", "search"})


class ColdRoutes:
    """Answers what is neither an agent's nor hot."""

    __slots__ = ("_oauth_routes", "_pages", "_people_pages", "_services")

    def __init__(self, services: Services) -> None:
        self._services = services
        self._pages = Pages(dev=services.dev)
        self._people_pages: PeoplePages | None = None
        self._oauth_routes: OAuthRoutes | None = None

    async def serve(self, request: Request, credentials: Callable[[Request], Principal]) -> None:
        """Answers, or raises Problem."""
        services = self._services
        path = request.path
        if path == "/healthz":
            request.route = "healthz"
            request.allow("GET")
            return await request.answer(200, b'{"status":"ok"}')
        if path == "/readyz":
            request.route = "readyz"
            request.allow("GET")
            if services.ready():
                if services.log is not None and services.log.logs.troubles():
                    return await request.answer(
                        200, b'{"status":"ready","log":"no new checkpoints: see `a2a doctor`"}'
                    )
                return await request.answer(200, b'{"status":"ready"}')
            return await request.answer(503, b'{"status":"not ready"}', JSON, [(b"retry-after", b"1")])
        if path == "/.well-known/jwks.json":
            request.route = "jwks"
            request.allow("GET")
            return await request.answer(
                200, services.jwks(), JSON, [(b"cache-control", b"public, max-age=300")]
            )
        if path == "/metrics":
            request.route = "metrics"
            request.allow("GET")
            self._may_scrape(request, credentials)
            return await request.answer(200, exposition(services), CONTENT_TYPE)
        if path == catalog.PATH:
            request.route = "catalog"
            request.principal = credentials(request)
            return await catalog.serve(services, request)
        if path == "/verify":
            request.route = "verify"
            return await self._pages.verify(request)
        if path == "/_dev" or path.startswith("/_dev/"):
            request.route = "dev"
            return await self._pages.dev(request, path[5:])
        if path == "/billing":
            from a2a_cloud.surface.pages.billing import billing_page  # Loaded with the first that looks.

            request.route = "people"
            request.principal = credentials(request)
            return await billing_page(services, request, request.principal)
        steps = path[1:].removesuffix("/").split("/")
        if services.oauth is not None and (steps[0] == "oauth" or path.startswith(METADATA)):
            return await self._oauth(services.oauth).serve(request)
        if steps[0] in _PEOPLE and services.people is not None:
            request.route = "people"
            return await self._people(services.people, request, steps)
        if steps[0] == "_pages" and len(steps) == 2:
            request.route = "people"
            return await self._pages.asset(request, steps[1])
        if steps[:2] == ["scim", "v2"] and services.orgs is not None:
            from a2a_cloud.surface.scim.routes import ScimRoutes  # Loaded with the first directory.

            request.route = request.dialect = "scim"
            return await ScimRoutes(services.orgs).serve(request, [segment(step) for step in steps[2:]])
        if steps[:2] == ["api", "v1"]:
            request.route = "api"
            return await self._api(request, steps, credentials)
        raise NotFound(
            "There is nothing at this path.", remedy="Agents are at /agents/{name}, listed at /api/v1/agents."
        )

    def _oauth(self, oauth: OAuth) -> OAuthRoutes:
        """The authorization server's addresses, made with the first that is asked for."""
        routes = self._oauth_routes
        if routes is None:
            from a2a_cloud.surface.oauth.routes import OAuthRoutes

            routes = self._oauth_routes = OAuthRoutes(self._services, oauth)
        return routes

    async def _people(self, people: People, request: Request, steps: list[str]) -> None:
        """The pages of people, made with the first browser that comes."""
        if len(steps) > 1 and steps[0] in ("invite", "recover"):
            request.path = f"/{steps[0]}/…"  # What lets somebody in stands in no log.
        pages = self._people_pages
        if pages is None:
            from a2a_cloud.surface.people.routes import PeoplePages

            pages = self._people_pages = PeoplePages(self._services, people)
        return await pages.serve(request, steps)

    async def _api(
        self, request: Request, steps: list[str], credentials: Callable[[Request], Principal]
    ) -> None:
        for pattern, methods in _ROUTES:
            rest = pattern[-1] == "**"
            if len(pattern) != len(steps) and not (rest and len(steps) > len(pattern)):
                continue
            values: list[str] = []
            for want, step in zip(pattern, steps, strict=not rest):
                if want == "**":
                    # All that is left, undecoded and with a slash at its end if there is one.
                    values.append(request.path.split("/", len(pattern))[-1])
                elif want == "*":
                    values.append(segment(step))
                elif want != step:
                    break
            else:
                if request.method == "OPTIONS":
                    allow = ", ".join(("HEAD", *methods) if "GET" in methods else methods).encode()
                    return await request.answer(204, b"", JSON, [(b"allow", allow)])
                request.allow(*methods)
                principal = request.principal = credentials(request)
                reads = request.method in ("GET", "HEAD")
                if principal.anonymous and not (reads and len(steps) < 5 and steps[2] in _OPEN):
                    raise Unauthenticated(
                        "The control API needs a key.", remedy="Send Authorization: Bearer KEY."
                    )
                check_scopes(principal, steps, reads=reads)
                handler = methods["GET" if request.method == "HEAD" else request.method]
                status, document = await handler(self._services, request, values)
                if request.started:
                    return None
                body = document if isinstance(document, bytes) else _encode(document)
                return await request.answer(status, body, JSON, [(b"cache-control", b"no-store")])
        raise NotFound(
            "There is nothing at this path.", remedy="The control API is described in docs/http.md."
        )

    def _may_scrape(self, request: Request, credentials: Callable[[Request], Principal]) -> None:
        # What a proxy of this machine hands on is not from this machine.
        handed = any(name in _HANDED for name, _ in request.scope["headers"])
        if request.address.startswith(_LOOPBACK) and not handed:
            return
        principal = credentials(request)
        if principal.anonymous:
            raise Unauthenticated(
                "Metrics need an admin key from here.", remedy="Send Authorization: Bearer KEY."
            )
        if not principal.may(Permission.MANAGE_PLATFORM):
            raise Forbidden("Metrics are for admins.", remedy="Use an admin's key.")
