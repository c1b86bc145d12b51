"""`/account`: what a person sees and changes of their own: organisations, passkeys, password, sessions."""

from __future__ import annotations

import base64
import binascii
from collections.abc import Awaitable, Callable
from typing import Any, Protocol
from urllib.parse import urlsplit

import msgspec

from a2a_cloud.model.problem import InvalidParams, NotFound, Problem, Unauthenticated
from a2a_cloud.model.stamp import stamp
from a2a_cloud.surface.people.browser import (
    ROUND,
    check_token,
    form,
    header,
    origin,
    sent,
    session_of,
    set_cookie,
    where,
)
from a2a_cloud.surface.people.oauth_pages import Page, going_page, render
from a2a_cloud.surface.people.port import LEAST, MOST, People, Session
from a2a_cloud.surface.ports import Services
from a2a_cloud.surface.request import JSON, Headers, Request

_DONE = {
    "passkey": "The passkey is kept: next time, sign in with it.",
    "password": "The password is set, and your other sessions have ended.",
    "removed": "The passkey is removed.",
    "ended": "The session has ended.",
    "others": "All other sessions have ended.",
    "joined": "You are a member now.",
    "made": "Your account is made. A passkey makes signing in easier: add one below.",
    "connected": "The two are connected.",
    "disconnected": "The two are no longer connected.",
}
_NO_STORE: Headers = [(b"cache-control", b"no-store")]
Act = Callable[[Request], Awaitable[None]]


class Show(Protocol):
    """Sends a page."""

    def __call__(
        self, request: Request, page: Page, *, status: int = 200, headers: Headers | None = None
    ) -> Awaitable[None]: ...


class AccountPages:
    """Answers below `/account`."""

    def __init__(self, services: Services, people: People, show: Show) -> None:
        self._services = services
        self._people = people
        self._show = show

    def answer(self, rest: list[str]) -> tuple[tuple[str, ...], Act] | None:
        """(methods, who answers) of a path below `/account`."""
        posts: dict[tuple[str, ...], Act] = {
            ("password",): self._password,
            ("passkeys", "options"): self._passkey_options,
            ("passkeys",): self._add_passkey,
            ("passkeys", "remove"): self._drop_passkey,
            ("sessions", "end"): self._end,
            ("sessions", "end-others"): self._end_others,
            ("org",): self._move,
            ("connect",): self._connect,
            ("disconnect",): self._disconnect,
        }
        if not rest:
            return ("GET",), self._page
        found = posts.get(tuple(rest))
        return None if found is None else (("POST",), found)

    async def _page(self, request: Request) -> None:
        session = session_of(self._services, request)
        if session is None:
            return await _go(request, "/login?next=/account")
        return await self._account_page(request, session, done=_DONE.get(request.query().get("done", ""), ""))

    async def _account_page(
        self, request: Request, session: Session, *, done: str = "", problem: Problem | None = None
    ) -> None:
        people = self._people
        account = people.accounts.by_id(session.account_id)
        if account is None:
            raise NotFound("There is no such account.")
        provider = people.provider
        host = urlsplit(request.base).hostname or ""
        page = render(
            "account",
            session=session,
            account=account,
            orgs=people.members.orgs(account.id),
            passkeys=[_passkey(each) for each in people.passkeys.listed(account.id)],
            sessions=[_session(each) for each in people.sessions.listed(account.id)],
            fresh=people.fresh(session),
            by_name=not _is_address(host),
            named=request.base.replace(host, "localhost", 1) + "/account" if host.startswith("127.") else "",
            device=device_of(request),
            provider=provider.name if provider is not None else "",
            provider_connected=provider is not None and provider.issuer in people.connected(account.id),
            done=done,
            problem="" if problem is None else problem.sentence,
            least=LEAST,
            most=MOST,
        )
        await self._show(request, page, status=200 if problem is None else problem.http)

    async def _asked(self, request: Request) -> tuple[Session, dict[str, str]]:
        """The session and the form, once it is sure that it comes from the person's own page."""
        session = self._session(request)
        fields = await form(request)
        check_token(self._services, request, fields.get("csrf", ""), session)
        return session, fields

    def _session(self, request: Request) -> Session:
        session = session_of(self._services, request)
        if session is None:
            raise Unauthenticated("You are signed in no more.", remedy="Sign in at /login.")
        return session

    async def _password(self, request: Request) -> None:
        session, fields = await self._asked(request)
        try:
            await self._people.change_password(
                session, fields.get("old", ""), fields.get("new", ""), where(request)
            )
        except (Unauthenticated, InvalidParams) as problem:
            if isinstance(problem, Unauthenticated):
                problem = InvalidParams("The password until now is another one.")
            return await self._account_page(request, session, problem=problem)
        return await _go(request, "/account?done=password")

    async def _passkey_options(self, request: Request) -> None:
        session = self._session(request)
        body = await sent(request)
        check_token(self._services, request, body.csrf, session)
        account = self._people.accounts.by_id(session.account_id)
        await _tell(
            request, self._people.passkeys.to_register(account, urlsplit(request.base).hostname or "")
        )

    async def _add_passkey(self, request: Request) -> None:
        session = self._session(request)
        body = await sent(request)
        check_token(self._services, request, body.csrf, session)
        await self._people.add_passkey(
            session,
            body.ticket,
            body.credential,
            body.label,
            rp=urlsplit(request.base).hostname or "",
            origin=origin(request),
        )
        await _tell(request, {"added": True})

    async def _drop_passkey(self, request: Request) -> None:
        session, fields = await self._asked(request)
        if not self._people.fresh(session):
            return await _go(request, "/login?again=1&next=/account")
        try:
            credential = base64.urlsafe_b64decode(fields.get("id", ""))
        except (ValueError, binascii.Error):
            raise InvalidParams("That is no passkey.") from None
        await self._people.drop_passkey(session, credential)
        return await _go(request, "/account?done=removed")

    async def _end(self, request: Request) -> None:
        session, fields = await self._asked(request)
        if not await self._people.end(session, fields.get("id", "")):
            raise NotFound("There is no such session.", remedy="Load the page again.")
        await _go(request, "/account?done=ended")

    async def _end_others(self, request: Request) -> None:
        session, _ = await self._asked(request)
        await self._people.end_others(session)
        await _go(request, "/account?done=others")

    async def _move(self, request: Request) -> None:
        session, fields = await self._asked(request)
        if not await self._people.sessions.move(session, fields.get("org", "")):
            raise NotFound("You are no member of that organisation.", remedy="Load the page again.")
        await _go(request, "/account")

    async def _connect(self, request: Request) -> None:
        """Off to the provider, to come back as the same person. Only the person's own page begins this:
        otherwise another site could have its own identity connected."""
        session, _ = await self._asked(request)
        provider = self._people.provider
        if provider is None:
            raise NotFound("No outside provider is set up here.")
        if not self._people.fresh(session):
            return await _go(request, "/login?again=1&next=/account")
        # Which session asked is looked at again on the way back.
        address, ticket = await provider.begin(
            origin(request) + "/login/oidc/callback", {"connect": session.id}
        )
        return await self._show(
            request, going_page(address), headers=[set_cookie(request, ROUND, ticket, 600)]
        )

    async def _disconnect(self, request: Request) -> None:
        session, _ = await self._asked(request)
        provider = self._people.provider
        if provider is None:
            raise NotFound("No outside provider is set up here.")
        if not self._people.fresh(session):
            return await _go(request, "/login?again=1&next=/account")
        try:
            await self._people.disconnect(session, provider.issuer)
        except InvalidParams as problem:
            return await self._account_page(request, session, problem=problem)
        return await _go(request, "/account?done=disconnected")


def _passkey(one: Any) -> dict[str, Any]:
    return {
        "id": base64.urlsafe_b64encode(one.id).decode(),
        "label": one.label,
        "rp": one.rp,
        "created": stamp(one.created)[:10],
        "used": stamp(one.used)[:10] if one.used is not None else "",
    }


def _session(one: Session) -> dict[str, Any]:
    return {
        "id": one.id,
        "agent": one.agent,
        "address": one.address,
        "method": one.method,
        "created": stamp(one.created)[:16].replace("T", " "),
        "seen": stamp(one.seen)[:16].replace("T", " "),
    }


def _is_address(host: str) -> bool:
    return ":" in host or host.replace(".", "").isdigit()


def device_of(request: Request) -> str:
    """A name for this device, out of what its browser says."""
    agent = header(request, b"user-agent")
    browser = next((name for name in ("Firefox", "Edg", "Chrome", "Safari") if name in agent), "this browser")
    system = next((name for name in ("Android", "iPhone", "Mac OS", "Windows", "Linux") if name in agent), "")
    plain = "Edge" if browser == "Edg" else browser
    return f"{plain} on {system}" if system else plain


async def _go(request: Request, path: str) -> None:
    await request.answer(303, b"", b"text/html; charset=utf-8", [(b"location", path.encode()), *_NO_STORE])


async def _tell(request: Request, document: Any) -> None:
    await request.answer(200, msgspec.json.encode(document), JSON, _NO_STORE)
