"""`a2a login`: sign in to a platform as a person, in the browser of this machine (RFC 8252: a code that comes
back to a port of the loopback interface) or of any other one (RFC 8628: a code to type).

What comes of it is kept as client/tokens.py says, under a profile; nothing of it is shown, logged, or given
to another program.
"""

from __future__ import annotations

import hmac
import re
import secrets
import time
import webbrowser
from html import escape
from http.server import BaseHTTPRequestHandler, HTTPServer
from typing import Any, cast
from urllib.parse import parse_qs, urlsplit

import click

from a2a_cloud.callers.cli.exits import Exit, Failure
from a2a_cloud.callers.cli.open import has_display
from a2a_cloud.callers.cli.options import Options, connected
from a2a_cloud.callers.cli.terminal import clean_line, put_json, say
from a2a_cloud.client import oauth
from a2a_cloud.client.oauth import Granted, OAuthRefused, OAuthUnreachable, Proof, Server
from a2a_cloud.client.profile import origin, read_profiles, resolve, use_profile, write_profile
from a2a_cloud.client.tokens import SignIn, Tokens, best_store

#: Seconds that somebody has in the browser.
_PATIENCE = 600.0
_NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]{0,63}")


@click.command("login")
@connected
@click.argument("where", required=False, default="", metavar="[URL]")
@click.option("--device", is_flag=True, help="Show a code to type in a browser anywhere.")
@click.option("--name", default="", metavar="PROFILE", help="What the profile is called. [the host]")
def login_command(options: Options, where: str, device: bool, name: str) -> int:
    """Sign in to the platform at URL, and let commands mean it from now on."""
    address = _address(options, where)
    server = _server(address)
    profile = name or options.profile or _name_for(address)
    if not _NAME.fullmatch(profile):
        raise Failure(
            Exit.USAGE,
            f"{profile[:60]!r} is no name for a profile.",
            remedy="Use letters, digits, . _ and -.",
        )
    earlier = read_profiles().get(profile, {})
    if earlier.get("key_file") and not name:
        profile = f"{profile}-login"  # The profile `local` is the platform's own, and has its admin's key.
    elif earlier and origin(earlier.get("url", "http://x")) != origin(address):
        raise Failure(
            Exit.USAGE,
            f"The profile {profile} is of {earlier.get('url')}.",
            remedy="Give another name with --name, or remove it: a2a profiles rm " + profile,
        )
    try:
        granted = (
            _by_device(server) if device or not (server.authorize and has_display()) else _by_browser(server)
        )
    except OAuthRefused as refused:
        raise Failure(
            Exit.DENIED,
            f"Nobody was signed in: {refused}.",
            remedy="Try again: a2a login",
            code=refused.error,
        ) from None
    except OAuthUnreachable as error:
        raise Failure(Exit.UNREACHABLE, f"{error}.".replace("..", ".")) from None
    return _keep(options, profile, address, server, granted, earlier)


def _address(options: Options, url: str) -> str:
    given = url or options.url
    if url and options.url and url != options.url:
        raise click.UsageError("The address stands there twice.")
    if given and "://" not in given:
        host = given.partition("/")[0].partition(":")[0]
        given = f"{'http' if host in ('localhost', '127.0.0.1') else 'https'}://{given}"
    address = given or _known(options)
    origin(address)
    return address.rstrip("/")


def _known(options: Options) -> str:
    """The platform that a command would mean; its sign-in may have ended."""
    if options.profile:
        return read_profiles().get(options.profile, {}).get("url", "") or options.target().url
    return resolve(key="none").url


def _server(address: str) -> Server:
    try:
        return oauth.described(address)
    except OAuthRefused as refused:
        raise Failure(
            Exit.FAILED,
            f"The platform at {address} calls itself {refused}.",
            remedy=f"Sign in there: a2a login {refused}",
        ) from None
    except OAuthUnreachable as error:
        raise Failure(
            Exit.UNREACHABLE,
            f"{error}.",
            remedy="Check the address, and that the platform is up.",
            code="unreachable",
        ) from None


def _name_for(address: str) -> str:
    """The profile of that platform, or a name for a new one."""
    for name, table in read_profiles().items():
        if table.get("login") and table.get("url") and origin(table["url"]) == origin(address):
            return name
    return re.sub(r"[^a-z0-9.]+", "-", urlsplit(address).netloc.lower()).strip("-.")[:60] or "platform"


def _keep(
    options: Options, profile: str, address: str, server: Server, granted: Granted, earlier: dict[str, str]
) -> int:
    kind = earlier.get("login") or best_store()
    signed_in = SignIn(profile, origin(address), kind)
    expires = time.time() + granted.seconds
    kept = (granted.access, granted.refresh, expires)
    signed_in.keep(Tokens(server.issuer, oauth.CLIENT, server.token, server.revoke, *kept))
    write_profile(profile, {"url": address, "login": kind})
    use_profile(profile)
    who: Any = Options(profile=profile).ask(lambda platform: platform.json("GET", "/api/v1/whoami"))
    where = "in a file that only you can read" if kind == "file" else "in the keyring"
    if options.json:
        put_json({"profile": profile, "url": address, "kept": kind, **who})
    say(clean_line(f"signed in as {who.get('principal')}@{who.get('org')} ({who.get('role')}), kept {where}"))
    say(clean_line(f"commands mean {address} now (profile {profile}); another: a2a profiles use NAME"))
    return int(Exit.OK)


# --- a browser anywhere -------------------------------------------------------------------------------


def _by_device(server: Server) -> Granted:
    if not server.device:
        raise OAuthUnreachable("This platform has no sign-in by a code")
    waiting = oauth.begun(server)
    say(clean_line(f"Open {waiting.address} in a browser, and type {waiting.user_code}"))
    if waiting.complete:
        say(clean_line(f"or open {waiting.complete}"))
    say("Go on only if it was you who began this: whoever has the code acts as you.")
    interval, end = waiting.interval, time.monotonic() + waiting.seconds
    while time.monotonic() < end:
        time.sleep(interval)
        try:
            return oauth.polled(server, waiting)
        except OAuthRefused as refused:
            if refused.error == "slow_down":
                interval += 5.0
            elif refused.error != "authorization_pending":
                raise
        except OAuthUnreachable:
            interval *= 2  # RFC 8628, section 3.5.
    raise OAuthRefused("expired_token", "the code has expired")


# --- the browser of this machine ------------------------------------------------------------------------


def _by_browser(server: Server) -> Granted:
    proof, state = Proof(), secrets.token_urlsafe(24)
    with _Callback(server.issuer, state) as callback:
        redirect = f"http://127.0.0.1:{callback.server_port}/callback"
        address = oauth.authorization(server, proof, state, redirect)
        say("Sign in in the browser. If it does not open, open this address:")
        say(clean_line(f"  {address}"))
        webbrowser.open(address)
        code = callback.wait()
    return oauth.redeemed(server, code, proof, redirect)


class _Callback(HTTPServer):
    """A port of the loopback interface that waits for the browser to come back with a code."""

    def __init__(self, issuer: str, state: str) -> None:
        self.issuer = issuer
        self.state = state
        self.answer: dict[str, str] = {}
        super().__init__(("127.0.0.1", 0), _Answers)

    def wait(self) -> str:
        """The code. Raises OAuthRefused."""
        end = time.monotonic() + _PATIENCE
        while not self.answer:
            left = end - time.monotonic()
            if left <= 0:
                raise OAuthRefused("timeout", "nobody signed in in time")
            self.timeout = left
            self.handle_request()
        if "code" not in self.answer:
            error = self.answer.get("error", "invalid_response")
            raise OAuthRefused(error, self.answer.get("error_description", ""))
        return self.answer["code"]

    def handle_error(self, request: Any, client_address: Any) -> None:
        """A connection that broke is none of the person's business."""


class _Answers(BaseHTTPRequestHandler):
    timeout = 10.0

    def do_GET(self) -> None:
        """The one page that there is."""
        waiting = cast("_Callback", self.server)
        parts = urlsplit(self.path)
        host = f"127.0.0.1:{waiting.server_port}"
        fields = {name: values[0] for name, values in parse_qs(parts.query).items() if len(values) == 1}
        # Anybody on this machine can knock here; what counts came back with our state, from our issuer.
        if (
            parts.path != "/callback"
            or self.headers.get("Host") != host
            or not hmac.compare_digest(fields.get("state", "").encode(), waiting.state.encode())
        ):
            return self._page(404, "There is nothing here.")
        if fields.get("iss", waiting.issuer) != waiting.issuer:
            waiting.answer = {"error": "mix_up", "error_description": "another server answered"}
            return self._page(400, "Another server answered. Nobody was signed in.")
        waiting.answer = fields
        if "code" in fields:
            return self._page(
                200, "You are signed in. You can close this window and go back to the terminal."
            )
        return self._page(200, "Nobody was signed in. You can close this window.")

    def _page(self, status: int, text: str) -> None:
        body = f"<!doctype html><meta charset=utf-8><title>a2a</title><p>{escape(text)}</p>".encode()
        self.send_response(status)
        self.send_header("Content-Type", "text/html; charset=utf-8")
        self.send_header("Content-Length", str(len(body)))
        self.send_header("Cache-Control", "no-store")
        self.send_header("Content-Security-Policy", "default-src 'none'")
        self.send_header("Connection", "close")
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, format: str, *args: Any) -> None:  # noqa: A002
        """What a browser asks for holds the code: it is not logged."""
