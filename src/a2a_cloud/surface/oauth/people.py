"""Where people decide: the authorization endpoint (RFC 6749, section 3.1; RFC 9700), the page that asks, and
the page for devices (RFC 8628, section 3.3).

Nothing is kept between the pages: the form brings the request along, and it is checked again as if it came
for the first time.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING
from urllib.parse import quote, urlencode, urlsplit

from a2a_cloud.control.oauth import scopes as words
from a2a_cloud.control.oauth.records import BUILT_IN, DOCUMENT, MADE
from a2a_cloud.control.oauth.server import Asked, OAuth, Person, Unredirectable
from a2a_cloud.model.problem import InvalidRequest
from a2a_cloud.surface.oauth.answers import parameters, redirect
from a2a_cloud.surface.people import browser, oauth_pages
from a2a_cloud.surface.people.port import Session
from a2a_cloud.surface.ports import Services
from a2a_cloud.surface.request import Request

if TYPE_CHECKING:
    from authlib.oauth2.rfc6749.errors import OAuth2Error

_HTML = b"text/html; charset=utf-8"
#: Parameters that go from the address into the form, and from there into the answer.
_KEPT = (
    "response_type",
    "client_id",
    "redirect_uri",
    "scope",
    "state",
    "code_challenge",
    "code_challenge_method",
    "resource",
    "nonce",
    "dpop_jkt",
    "max_age",
)
#: Seconds within which somebody signed in, to whom a client wants them to do it again.
_JUST = 300


class Deciding:
    """See the module."""

    def __init__(self, services: Services, oauth: OAuth) -> None:
        self._services = services
        self._oauth = oauth

    # --- a client asks --------------------------------------------------------------------------------

    async def authorize(self, request: Request) -> None:
        """GET /oauth/authorize."""
        request.allow("GET")
        try:
            values = parameters(request.query_string)
        except InvalidRequest as problem:
            return await self._message(request, 400, problem.sentence)
        session = browser.session_of(self._services, request)
        person = _person(session)
        asked = await self._asked(request, values, person)
        if asked is None:
            return None
        prompt = values.get("prompt", "").split()
        if session is None or self._stale(session, values, prompt):
            if "none" in prompt:
                return await self._back(request, values, asked, "login_required")
            return await self._sign_in(request, values, again=session is not None)
        if person is None:
            return await self._message(
                request, 403, "You belong to no organisation here that could allow it."
            )
        if asked.known and "consent" not in prompt:
            return await redirect(request, asked.redirect_uri, await self._oauth.allow(values, asked, person))
        if "none" in prompt:
            return await self._back(request, values, asked, "consent_required")
        client = asked.client
        body, headers = oauth_pages.consent_page(
            session,
            client_name=client.name or client.id,
            client_url=client.uri,
            scopes=[(scope, words.words(scope)) for scope in asked.scopes],
            resource=asked.resource or self._oauth.tokens.issuer(),
            redirect_host=_host(asked.redirect_uri),
            redirect_uri=asked.redirect_uri,
            fields={name: values[name] for name in _KEPT if name in values},
            verified=_verified(asked),
        )
        return await request.answer(200, body, _HTML, headers)

    async def consent(self, request: Request) -> None:
        """POST /oauth/consent: what the person decided."""
        request.allow("POST")
        fields = await browser.form(request)
        session = browser.session_of(self._services, request)
        browser.check_token(self._services, request, fields.get("csrf", ""), session)
        values = {name: fields[name] for name in _KEPT if fields.get(name)}
        person = _person(session)
        if session is None or person is None:
            return await self._sign_in(request, values)
        asked = await self._asked(request, values, person)
        if asked is None:
            return None
        if fields.get("decision") != "allow":
            return await self._back(request, values, asked, "access_denied", "The person said no.")
        return await redirect(request, asked.redirect_uri, await self._oauth.allow(values, asked, person))

    async def _asked(
        self, request: Request, values: Mapping[str, str], person: Person | None
    ) -> Asked | None:
        """The request, if it is one; else it was answered."""
        from authlib.oauth2.rfc6749.errors import OAuth2Error

        try:
            asked = await self._oauth.asked(values, person)
        except Unredirectable as error:
            await self._message(request, 400, str(error))
        except OAuth2Error as error:
            await self._wrong(request, values, error)
        except ValueError:
            await self._message(
                request, 400, "The client that sent you here asks in a way that can't be read."
            )
        else:
            if "request" in values or "request_uri" in values:
                await self._back(request, values, asked, "request_not_supported")
            elif values.get("response_mode", "query") != "query":
                await self._back(request, values, asked, "invalid_request", "response_mode is query here.")
            elif not values.get("max_age", "0").isdecimal():
                await self._back(request, values, asked, "invalid_request", "max_age is no number.")
            else:
                return asked
        return None

    async def _wrong(self, request: Request, values: Mapping[str, str], error: OAuth2Error) -> None:
        if not error.redirect_uri or not self._leads(request, values, str(error.redirect_uri)):
            return await self._message(request, 400, error.description or str(error.error))
        more = self._oauth.refused(values, str(error.error), error.description or "")
        return await redirect(request, str(error.redirect_uri), more)

    async def _back(
        self, request: Request, values: Mapping[str, str], asked: Asked, error: str, why: str = ""
    ) -> None:
        if not self._leads(request, values, asked.redirect_uri):
            return await self._message(request, 400, "Sign in first, then go there again.")
        return await redirect(request, asked.redirect_uri, self._oauth.refused(values, error, why))

    def _leads(self, request: Request, values: Mapping[str, str], uri: str) -> bool:
        """Whether a browser is sent there without anybody's decision. Anybody may register a client, and a
        link to us must not lead a stranger to whatever site that names (RFC 9700, section 4.11.2)."""
        client = self._oauth.clients.known(values.get("client_id", ""))
        if not uri.startswith("https:") or (client is not None and client.kind in (BUILT_IN, MADE)):
            return True
        return browser.session_of(self._services, request) is not None

    def _stale(self, session: Session, values: Mapping[str, str], prompt: list[str]) -> bool:
        """Whether the client wants the person to sign in again."""
        if "login" in prompt:
            return True
        return "max_age" in values and self._services.clock.now() - session.created > int(
            values["max_age"][:9]
        )

    async def _sign_in(self, request: Request, values: Mapping[str, str], *, again: bool = False) -> None:
        kept = {name: values[name] for name in _KEPT if name in values}
        if again:  # Else they would be asked for ever.
            kept["max_age"] = str(max(_JUST, int(kept.get("max_age", "0")[:9])))
        where = f"/oauth/authorize?{urlencode(kept)}"
        await redirect(request, f"/login?{'again=1&' if again else ''}next={quote(where, safe='')}")

    # --- devices --------------------------------------------------------------------------------------

    async def device(self, request: Request) -> None:
        """GET and POST /oauth/device."""
        request.allow("GET", "POST")
        session = browser.session_of(self._services, request)
        if request.method != "POST":
            code = parameters(request.query_string).get("user_code", "")[:20]
            if session is None:
                where = "/oauth/device" + (f"?user_code={quote(code, safe='')}" if code else "")
                return await redirect(request, f"/login?next={quote(where, safe='')}")
            # The code of a link is only written into the field: it is read off a device by who has one.
            return await self._page(request, oauth_pages.device_page(session, code))
        fields = await browser.form(request)
        browser.check_token(self._services, request, fields.get("csrf", ""), session)
        person = _person(session)
        if session is None or person is None:
            return await redirect(request, "/login?next=%2Foauth%2Fdevice")
        found = self._oauth.device(fields.get("user_code", "")[:40], person)
        if found is None:
            error = "There is no device with that code. Look again: codes end after ten minutes."
            return await self._page(request, oauth_pages.device_page(session, "", error), 400)
        device, client = found
        decision = fields.get("decision", "")
        if decision not in ("allow", "deny"):
            confirm = oauth_pages.device_confirm_page(
                session,
                client_name=client.name or client.id,
                user_code=device.user_code,
                scopes=[(scope, words.words(scope)) for scope in device.scope.split()],
                fields={},
            )
            return await self._page(request, confirm)
        allow = decision == "allow"
        if not await self._oauth.decide(device, client, person, allow=allow):
            return await self._message(request, 409, "Somebody has decided about this device already.")
        if allow:
            return await self._message(request, 200, "You may close this page: the device goes on by itself.")
        return await self._message(request, 200, "The device was refused, and gets nothing.")

    async def _page(self, request: Request, page: oauth_pages.Page, status: int = 200) -> None:
        await request.answer(status, page[0], _HTML, page[1])

    async def _message(self, request: Request, status: int, text: str) -> None:
        title = "Done" if status == 200 else "This can't go on"
        await self._page(request, oauth_pages.message_page(title, text), status)


def _person(session: Session | None) -> Person | None:
    if session is None or session.principal is None:
        return None
    return Person(session.account_id, session.principal, session.created)


def _host(uri: str) -> str:
    """Where a code goes, as people read it."""
    parts = urlsplit(uri)
    return parts.netloc if parts.scheme in ("http", "https") else f"{parts.scheme}: (an app)"


def _verified(asked: Asked) -> bool:
    """Whether the client's name is more than what it says of itself."""
    client = asked.client
    if client.kind == DOCUMENT:  # Its id is its address: the name is that host's business.
        return urlsplit(client.id).hostname == urlsplit(asked.redirect_uri).hostname
    return client.kind in (BUILT_IN, MADE)
