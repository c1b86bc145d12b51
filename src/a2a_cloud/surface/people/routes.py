"""`/login`, `/logout`, `/account`, `/invite/…`, `/recover/…` and the pages' own files: plain forms that work
without scripts, but for passkeys. A problem is shown on the page that it belongs to."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Mapping
from typing import Any
from urllib.parse import quote, urlsplit

import msgspec

from a2a_cloud.model.problem import Forbidden, NotFound, Problem, Unauthenticated
from a2a_cloud.model.stamp import stamp
from a2a_cloud.surface.pages.assets import HTML
from a2a_cloud.surface.people.account import AccountPages
from a2a_cloud.surface.people.browser import (
    FORM,
    ROUND,
    SESSION,
    check_token,
    cookie,
    form,
    form_token,
    next_of,
    origin,
    sent,
    session_of,
    set_cookie,
    where,
)
from a2a_cloud.surface.people.oauth_pages import Page, going_page, message_page, render, who
from a2a_cloud.surface.people.port import LEAST, MOST, People, Session
from a2a_cloud.surface.ports import Services
from a2a_cloud.surface.request import JSON, Headers, Request, segment

#: First steps of paths that are answered here.
FIRST = frozenset({"login", "logout", "account", "invite", "recover"})


class PeoplePages:
    """Answers. `people` is there."""

    def __init__(self, services: Services, people: People) -> None:
        self._services = services
        self._people = people
        self._account = AccountPages(services, people, self._show)

    async def serve(self, request: Request, steps: list[str]) -> None:
        """Answers, or raises Problem for who is no browser."""
        answer = self._answer(steps)
        if answer is None:
            raise NotFound("There is nothing at this path.", remedy="Sign in at /login.")
        methods, act = answer
        request.allow(*methods)
        try:
            await act(request)
        except Problem as problem:
            if request.started or b"text/html" not in request.accept.lower():
                raise
            page = message_page(problem.title, problem.sentence, link="/account", link_text="To the account")
            headers: Headers = []
            if problem.retry_after is not None:
                headers.append((b"retry-after", b"%d" % int(problem.retry_after)))
            await self._show(request, page, status=problem.http, headers=headers)

    def _answer(
        self, steps: list[str]
    ) -> tuple[tuple[str, ...], Callable[[Request], Awaitable[None]]] | None:
        match steps:
            case ["login"]:
                return ("GET", "POST"), self._login
            case ["login", "passkey", "options"]:
                return ("POST",), self._passkey_options
            case ["login", "passkey"]:
                return ("POST",), self._passkey
            case ["login", "oidc"]:
                return ("GET",), self._outside
            case ["login", "oidc", "callback"]:
                return ("GET",), self._back
            case ["logout"]:
                return ("GET", "POST"), self._logout
            case ["invite", token]:
                return ("GET", "POST"), lambda request: self._invite(request, segment(token))
            case ["recover"]:
                return ("GET", "POST"), self._lost
            case ["recover", token]:
                return ("GET", "POST"), lambda request: self._recover(request, segment(token))
            case ["account", *rest]:
                return self._account.answer(rest)
            case _:
                return None

    # --- signing in ---------------------------------------------------------------------------------

    async def _login(self, request: Request) -> None:
        session = session_of(self._services, request)
        if request.method != "POST":
            query = request.query()
            next_path, again = next_of(query.get("next", "")), query.get("again") == "1"
            if session is not None and not again:
                return await self._go(request, next_path)
            return await self._login_page(request, session, next_path, again)
        fields = await form(request)
        check_token(self._services, request, fields.get("csrf", ""), session)
        next_path, again = next_of(fields.get("next", "")), fields.get("again") == "1"
        email = fields.get("email", "")
        self._count(request, email)
        try:
            account = await self._people.with_password(email, fields.get("password", ""), where(request))
        except Unauthenticated as problem:
            return await self._login_page(request, session, next_path, again, email[:127], problem)
        return await self._in(request, account, "password", next_path, session)

    async def _login_page(
        self,
        request: Request,
        session: Session | None,
        next_path: str,
        again: bool,
        email: str = "",
        problem: Problem | None = None,
    ) -> None:
        token, headers = self._form_token(request, session)
        provider = self._people.provider
        page = render(
            "login",
            csrf=token,
            next=next_path,
            again=again,
            email=email,
            problem="" if problem is None else problem.sentence,
            provider=provider.name if provider is not None else "",
        )
        await self._show(request, page, status=200 if problem is None else problem.http, headers=headers)

    async def _passkey_options(self, request: Request) -> None:
        body = await sent(request)
        check_token(self._services, request, body.csrf, session_of(self._services, request))
        self._count(request)
        await self._tell(request, self._people.passkeys.to_sign_in(host_of(request)))

    async def _passkey(self, request: Request) -> None:
        body = await sent(request)
        session = session_of(self._services, request)
        check_token(self._services, request, body.csrf, session)
        self._count(request)
        account = await self._people.with_passkey(
            body.ticket, body.credential, where(request), rp=host_of(request), origin=origin(request)
        )
        headers = await self._begun(request, account, "passkey", session)
        await self._tell(request, {"next": next_of(body.next)}, headers)

    async def _outside(self, request: Request) -> None:
        """Off to the provider."""
        provider = self._people.provider
        if provider is None:
            raise NotFound(
                "No outside provider is set up here.", remedy="Sign in with a password or a passkey."
            )
        query = request.query()
        claims = {"next": next_of(query.get("next", ""))}
        if query.get("again") == "1":
            claims["again"] = "1"
        if query.get("invite"):
            claims["invite"] = query["invite"][:64]
        self._count(request)
        address, ticket = await provider.begin(origin(request) + "/login/oidc/callback", claims)
        return await self._go(request, address, [set_cookie(request, ROUND, ticket, 600)])

    async def _back(self, request: Request) -> None:
        """Back from the provider."""
        provider = self._people.provider
        if provider is None:
            raise NotFound("No outside provider is set up here.")
        self._count(request)
        outside, claims = await provider.finish(cookie(request, ROUND), request.query())
        session = session_of(self._services, request)
        connect = claims.get("connect", "")
        if connect and (session is None or session.id != connect):
            raise Forbidden("You are signed in no more.", remedy="Sign in, then connect the two again.")
        account = await self._people.with_outside(
            outside, claims.get("invite", ""), session.account_id if connect and session is not None else ""
        )
        over = set_cookie(request, ROUND, "")
        if connect:
            return await self._go(request, "/account?done=connected", [over])
        headers = await self._begun(request, account, provider.name, session)
        return await self._go(request, next_of(claims.get("next", "")), [over, *headers])

    async def _logout(self, request: Request) -> None:
        session = session_of(self._services, request)
        if session is None:
            return await self._go(request, "/login")
        if request.method != "POST":
            return await self._show(request, render("logout", session=session, who=who(session)))
        fields = await form(request)
        check_token(self._services, request, fields.get("csrf", ""), session)
        await self._people.end(session)
        page = message_page("You are signed out", "Bye.", link="/login", link_text="Sign in again")
        return await self._show(request, page, headers=[set_cookie(request, SESSION, "")])

    # --- links --------------------------------------------------------------------------------------

    async def _invite(self, request: Request, token: str) -> None:
        session = session_of(self._services, request)
        self._count(request)
        if request.method != "POST":
            return await self._invite_page(request, token, session)
        fields = await form(request)
        check_token(self._services, request, fields.get("csrf", ""), session)
        if session is not None:
            account = self._people.accounts.by_id(session.account_id)
            if account is None or fields.get("as") != "me":
                raise Forbidden("You are signed in already.", remedy="Sign out first.")
            await self._people.accept_as(account, token)
            return await self._go(request, "/account?done=joined")
        try:
            account = await self._people.accept(
                token, fields.get("email", ""), fields.get("name", ""), fields.get("password", "")
            )
        except Problem as problem:
            if isinstance(problem, NotFound) or problem.http >= 500:
                raise
            return await self._invite_page(request, token, session, fields, problem)
        return await self._in(request, account, "invitation", "/account?done=made", None)

    async def _invite_page(
        self,
        request: Request,
        token: str,
        session: Session | None,
        typed: Mapping[str, str] | None = None,
        problem: Problem | None = None,
    ) -> None:
        link = self._people.offered(token)
        if link is None:
            raise NotFound("This link was used, or has ended.", remedy="Ask for another one.")
        account = self._people.accounts.by_id(session.account_id) if session is not None else None
        csrf, headers = self._form_token(request, session)
        provider = self._people.provider
        page = render(
            "invite",
            csrf=csrf,
            token=token,
            link=link,
            ends=stamp(link.ends)[:16].replace("T", " ") + " UTC",
            session=session,
            email=account.email if account is not None else "",
            typed=typed or {},
            problem="" if problem is None else problem.sentence,
            provider=provider.name if provider is not None else "",
            least=LEAST,
            most=MOST,
        )
        await self._show(request, page, status=200 if problem is None else problem.http, headers=headers)

    async def _lost(self, request: Request) -> None:
        session = session_of(self._services, request)
        if request.method != "POST":
            return await self._recover_page(request, session, "")
        fields = await form(request)
        check_token(self._services, request, fields.get("csrf", ""), session)
        email = fields.get("email", "")
        self._count(request, email)
        if self._people.mails:
            await self._people.ask_recovery(email, self._services.base_url, where(request))
        page = message_page(
            "Look into your mail",
            "If there is an account with this address, a link is on its way to it.",
            link="/login",
            link_text="Back to the sign-in",
        )
        return await self._show(request, page)

    async def _recover(self, request: Request, token: str) -> None:
        session = session_of(self._services, request)
        self._count(request)
        if not self._people.recovering(token):
            raise NotFound("This link was used, or has ended.", remedy="Ask for another one.")
        if request.method != "POST":
            return await self._recover_page(request, session, token)
        fields = await form(request)
        check_token(self._services, request, fields.get("csrf", ""), session)
        try:
            account = await self._people.recover(token, fields.get("password", ""))
        except Problem as problem:
            if isinstance(problem, NotFound) or problem.http >= 500:
                raise
            return await self._recover_page(request, session, token, problem)
        return await self._in(request, account, "recovery", "/account?done=password", None)

    async def _recover_page(
        self, request: Request, session: Session | None, token: str, problem: Problem | None = None
    ) -> None:
        csrf, headers = self._form_token(request, session)
        page = render(
            "recover",
            csrf=csrf,
            token=token,
            mails=self._people.mails,
            problem="" if problem is None else problem.sentence,
            least=LEAST,
            most=MOST,
        )
        await self._show(request, page, status=200 if problem is None else problem.http, headers=headers)

    # --- shared -------------------------------------------------------------------------------------

    def _count(self, request: Request, email: str = "") -> None:
        quotas = self._services.quotas
        if quotas is not None:
            quotas.sign_in(request.address, email.strip().lower()[:127])

    def _form_token(self, request: Request, session: Session | None) -> tuple[str, Headers]:
        """What the page's forms bring along, and the cookie that goes with it."""
        if session is not None:
            return session.csrf, []
        value = cookie(request, FORM)
        if len(value) == 32 and value.isalnum():
            return form_token(self._services, value), []
        value = self._services.ids.new("form")[5:37]
        return form_token(self._services, value), [set_cookie(request, FORM, value)]

    async def _begun(self, request: Request, account: Any, method: str, before: Session | None) -> Headers:
        """Begin a session; the header that keeps it in the browser."""
        token, session = await self._people.begin(account, method, where(request), before=before)
        seconds = max(0.0, session.ends - self._services.clock.now())
        return [set_cookie(request, SESSION, token, seconds)]

    async def _in(
        self, request: Request, account: Any, method: str, next_path: str, before: Session | None
    ) -> None:
        headers = await self._begun(request, account, method, before)
        if next_path.startswith("/oauth/"):
            return await self._show(request, going_page(next_path), headers=headers)
        return await self._go(request, next_path, headers)

    async def _go(self, request: Request, address: str, headers: Headers | None = None) -> None:
        await request.answer(
            303,
            b"",
            HTML,
            [
                (b"location", quote(address, safe="%/:=&?~#+!$,;'@()*[]-._").encode()),
                *_NO_STORE,
                *(headers or []),
            ],
        )

    async def _show(
        self, request: Request, page: Page, *, status: int = 200, headers: Headers | None = None
    ) -> None:
        body, fields = page
        await request.answer(status, body, HTML, [*fields, *(headers or [])])

    async def _tell(self, request: Request, document: Any, headers: Headers | None = None) -> None:
        await request.answer(200, msgspec.json.encode(document), JSON, [*_NO_STORE, *(headers or [])])


_NO_STORE: Headers = [(b"cache-control", b"no-store")]


def host_of(request: Request) -> str:
    """The host name that passkeys are for (the relying party's id)."""
    return urlsplit(request.base).hostname or ""
