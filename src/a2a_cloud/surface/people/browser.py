"""What comes from a browser and what goes to it: the session's cookie (RFC 6265bis), forms, and the checks
that keep other sites from acting in somebody's name: Sec-Fetch-Site, Origin, and a token in each form."""

from __future__ import annotations

import hashlib
import hmac
from typing import Any, NamedTuple
from urllib.parse import parse_qsl, urlsplit

import msgspec

from a2a_cloud.model.principal import ANONYMOUS, Principal
from a2a_cloud.model.problem import Forbidden, InvalidParams, Malformed
from a2a_cloud.surface.people.port import Session
from a2a_cloud.surface.ports import Services
from a2a_cloud.surface.request import Headers, Request, UnsupportedMediaType

_MOST_BODY = 64 << 10
_MOST_NEXT = 2048
#: Methods that change nothing.
_SAFE = frozenset({"GET", "HEAD", "OPTIONS"})
SESSION, FORM, ROUND = "session", "form", "outside"


class Where(NamedTuple):
    """From where somebody signs in."""

    agent: str
    address: str


def header(request: Request, name: bytes) -> str:
    """A header that is read only here."""
    return next((value.decode("latin-1") for key, value in request.scope["headers"] if key == name), "")


def where(request: Request) -> Where:
    """From where the request comes."""
    return Where(header(request, b"user-agent"), request.address)


# --- cookies ----------------------------------------------------------------------------------------


def cookie_name(request: Request, kind: str) -> str:
    """With TLS the name alone says that the cookie is this host's own. Without, it holds the port: cookies
    know no ports, and several platforms may run on one machine."""
    if request.secure:
        return f"__Host-a2a-{kind}"
    port = request.base.rpartition(":")[2]
    return f"a2a-{kind}-{port}" if port.isdigit() else f"a2a-{kind}"


def cookie(request: Request, kind: str) -> str:
    """The cookie's value; "" for none, and for two that differ."""
    wanted = cookie_name(request, kind)
    found = ""
    for part in request.cookie.decode("latin-1").split(";"):
        name, _, value = part.strip().partition("=")
        if name == wanted:
            if found and value != found:
                return ""
            found = value
    return found


def set_cookie(request: Request, kind: str, value: str, seconds: float = 0.0) -> tuple[bytes, bytes]:
    """The header that sets it; without a value it is deleted. Without `seconds` it ends with the browser."""
    age = "; Max-Age=0" if not value else f"; Max-Age={int(seconds)}" if seconds else ""
    secure = "; Secure" if request.secure else ""
    line = f"{cookie_name(request, kind)}={value}; Path=/; HttpOnly; SameSite=Lax{secure}{age}"
    return b"set-cookie", line.encode("latin-1")


def session_of(services: Services, request: Request) -> Session | None:
    """The session that the browser shows, whatever it asks for."""
    if services.people is None or not request.cookie:
        return None
    token = cookie(request, SESSION)
    return services.people.sessions.of(token) if token else None


def principal_of(services: Services, request: Request) -> Principal:
    """Who a request is of that brings no key: the session's person, if the request is of our own pages or
    the person went there themselves. Raises Forbidden for a change that another site may have caused."""
    session = session_of(services, request)
    if session is None or session.principal is None:
        return ANONYMOUS
    site = header(request, b"sec-fetch-site")
    own = site == "same-origin" or (not site and header(request, b"origin") == origin(request))
    if request.method in _SAFE:
        # A link from elsewhere leads to a page as its reader; what pages of others load, it does not.
        visits = site in ("", "none") or header(request, b"sec-fetch-mode") == "navigate"
        return session.principal if own or visits else ANONYMOUS
    if not own:
        raise foreign()
    return session.principal


# --- forms ------------------------------------------------------------------------------------------


def origin(request: Request) -> str:
    """The origin of the platform as this browser knows it."""
    parts = urlsplit(request.base)
    return f"{parts.scheme}://{parts.netloc}"


def check_origin(request: Request) -> None:
    """Raises Forbidden for what a page of another site sent. A browser that doesn't say (plain http beyond
    this machine) is left to the form's token."""
    site, said = header(request, b"sec-fetch-site"), header(request, b"origin")
    if (site and site not in ("same-origin", "none")) or (
        not site and said not in ("", "null", origin(request))
    ):
        raise foreign()


def foreign() -> Forbidden:
    """That another site is behind a request."""
    return Forbidden("This was sent from another site.", remedy="Open the page here and send it again.")


def form_token(services: Services, value: str) -> str:
    """What a form of somebody who is not signed in has to bring; `value` is that of their cookie."""
    return hmac.new(services.link_key, f"form {value}".encode(), hashlib.sha256).hexdigest()


def check_token(services: Services, request: Request, token: str, session: Session | None) -> None:
    """Raises Forbidden unless the form came from a page that this browser got."""
    check_origin(request)
    if session is not None:
        good = session.csrf
    else:
        value = cookie(request, FORM)
        good = form_token(services, value) if value else ""
    if not good or not hmac.compare_digest(good.encode(), token.encode("utf-8", "replace")):
        raise Forbidden("The page is too old.", remedy="Load it again, then send it again.")


async def form(request: Request) -> dict[str, str]:
    """The fields of a form (application/x-www-form-urlencoded); each may come once. Raises
    UnsupportedMediaType, InvalidParams."""
    if request.media_type() != b"application/x-www-form-urlencoded":
        raise UnsupportedMediaType(
            "The body is no form.", remedy="Send Content-Type: application/x-www-form-urlencoded."
        )
    body = await request.body(_MOST_BODY)
    try:
        pairs = parse_qsl(body.decode("ascii"), keep_blank_values=True, errors="strict", max_num_fields=50)
    except ValueError:
        raise InvalidParams("The form can't be read.") from None
    fields = dict(pairs)
    if len(fields) != len(pairs):
        raise InvalidParams("A field of the form stands there twice.")
    return fields


class Sent(msgspec.Struct):
    """What a page's module sends: the form's token, and what goes with it."""

    csrf: str
    ticket: str = ""
    credential: dict[str, Any] = {}
    label: str = ""
    next: str = ""


_sent = msgspec.json.Decoder(Sent).decode


async def sent(request: Request) -> Sent:
    """The body of a module's request. Raises UnsupportedMediaType, Malformed, InvalidParams."""
    request.expect_json()
    body = await request.body(_MOST_BODY)
    try:
        return _sent(body)
    except msgspec.ValidationError as error:
        raise InvalidParams(f"{error}.") from None
    except (msgspec.DecodeError, UnicodeDecodeError):
        raise Malformed("The body is not valid JSON.") from None


def next_of(text: str, default: str = "/account") -> str:
    """Where to go after a sign-in: a path of this origin and nothing else."""
    if (
        not text.startswith("/")
        or text.startswith("//")
        or len(text) > _MOST_NEXT
        or "\\" in text
        or not (text.isascii() and text.isprintable())
        or " " in text
    ):
        return default
    try:
        parts = urlsplit(text)
    except ValueError:
        return default
    return default if parts.scheme or parts.netloc else text


def page_headers(*, goes_to: str = "") -> Headers:
    """Headers of a page that is for one person. `goes_to`: an address that a form of the page may end at,
    through a redirect (browsers apply form-action to those too)."""
    target = ""
    if goes_to:
        parts = urlsplit(goes_to)
        web = parts.scheme in ("http", "https")
        source = f"{parts.scheme}://{parts.netloc}" if web else f"{parts.scheme}:"
        if all(sign.isalnum() or sign in ":/.-+[]_" for sign in source):
            target = f" {source}"
    policy = (
        "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self' data:; connect-src 'self'; "
        f"base-uri 'none'; form-action 'self'{target}; frame-ancestors 'none'"
    )
    return [
        (b"content-security-policy", policy.encode("latin-1")),
        (b"cross-origin-opener-policy", b"same-origin"),
        (b"cache-control", b"no-store"),
    ]
