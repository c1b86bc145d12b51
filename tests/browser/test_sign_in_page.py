"""Signing in with a real browser: a password, a passkey of a virtual authenticator, consent, signing out."""

from __future__ import annotations

import html
import http.server
import re
import threading
import time
from collections.abc import Iterator
from typing import Any
from urllib.parse import urlencode

import chrome
import pytest

from running import Running, start_platform

pytestmark = pytest.mark.skipif(not chrome.FOUND, reason="Debian's chromium and chromium-driver are not here")

ADA, SECRET = "ada@example.com", "three green teapots sing"


@pytest.fixture(scope="module")
def site(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Running]:
    running = start_platform([], tmp_path_factory.mktemp("people"))
    yield running
    running.stop()


@pytest.fixture(scope="module")
def window(tmp_path_factory: pytest.TempPathFactory) -> Iterator[chrome.Page]:
    with chrome.browser(tmp_path_factory.mktemp("chrome")) as page:
        page.size(1000, 1000)
        yield page


@pytest.fixture(scope="module")
def page(window: chrome.Page, site: Running) -> chrome.Page:
    """A browser whose person is the first admin."""
    end = time.monotonic() + 10
    while not (found := re.search(r"/invite/[A-Za-z0-9_-]{43}", site.log.read_text())):
        assert time.monotonic() < end
        time.sleep(0.02)
    window.go(at(site, found[0]))
    window.shows("Become an admin")
    window.type("#email", ADA)
    window.type("#name", "Ada")
    window.type("#password", "short")
    window.click("#go")
    window.shows("Become an admin")  # The browser itself says what is missing.
    window.type("#password", SECRET)
    window.click("#go")
    window.shows("Your account is made")
    return window


def at(site: Running, path: str) -> str:
    # Passkeys are for names, and not for addresses.
    return f"http://localhost:{site.port}{path}"


def sign_out(page: chrome.Page, site: Running) -> None:
    page.go(at(site, "/account"))
    page.click("#logout")
    page.shows("You are signed out")


def test_a_password_signs_in_and_out(page: chrome.Page, site: Running) -> None:
    sign_out(page, site)
    page.go(at(site, "/account"))
    page.shows("Sign in")
    page.type("#email", ADA)
    page.type("#password", "something else entirely")
    page.click("#go")
    page.shows("don't belong together", "#why")
    page.complaints()  # The browser tells of the 401.
    page.type("#password", SECRET)
    page.click("#go")
    page.shows("This session speaks for it".lower(), "main")
    assert page.run("return location.pathname") == "/account"
    assert page.run("return document.cookie") == ""
    assert not page.complaints()


def test_a_passkey_is_added_and_signs_in(page: chrome.Page, site: Running) -> None:
    device = page.ask(
        "POST",
        "/webauthn/authenticator",
        {
            "protocol": "ctap2",
            "transport": "internal",
            "hasResidentKey": True,
            "hasUserVerification": True,
            "isUserVerified": True,
        },
    )
    page.go(at(site, "/account"))
    page.type("#label", "my laptop")
    page.click("#add")
    page.shows("The passkey is kept", "#done")
    page.shows("my laptop", "#passkey-list")
    # The same device again is told so, by the browser.
    page.click("#add")
    page.shows("has a passkey for you already", "#said")
    sign_out(page, site)
    page.go(at(site, "/login?next=/account"))
    page.click("#passkey")
    page.shows("by passkey", "#session-list")
    page.shows("used", "#passkey-list")
    assert not page.complaints()

    sign_out(page, site)
    page.ask("POST", f"/webauthn/authenticator/{device}/uv", {"isUserVerified": False})
    page.go(at(site, "/login"))
    page.click("#passkey")
    page.shows("No passkey was used", "#said", 30)
    page.ask("POST", f"/webauthn/authenticator/{device}/uv", {"isUserVerified": True})
    page.click("#passkey")
    page.shows("by passkey", "#session-list")
    page.click("#passkey-list button")
    page.shows("The passkey is removed", "#done")
    sign_out(page, site)
    page.go(at(site, "/login"))
    page.click("#passkey")
    page.shows("This passkey opens nothing here", "#said")
    page.complaints()
    page.ask("DELETE", f"/webauthn/authenticator/{device}")
    page.type("#email", ADA)
    page.type("#password", SECRET)
    page.click("#go")
    page.shows("Sessions", "main")


def test_an_address_in_place_of_a_name_has_no_passkeys_and_says_why(page: chrome.Page, site: Running) -> None:
    page.go(f"{site.url}/login")
    page.type("#email", ADA)
    page.type("#password", SECRET)
    page.click("#go")
    page.shows(f"http://localhost:{site.port}/account", "#passkey-section")
    assert page.run("return document.getElementById('add')") is None


def test_the_session_opens_pages_of_agents_and_the_control_api(page: chrome.Page, site: Running) -> None:
    page.go(at(site, "/account"))
    page.shows("Sessions")
    asked = "return fetch(arguments[0], {method: arguments[1], body: arguments[2],"
    asked += " headers: arguments[2] ? {'Content-Type': 'application/json'} : {}})"
    asked += ".then((a) => a.json().then((d) => [a.status, d]))"
    status, me = page.run(asked, "/api/v1/whoami", "GET", None)
    assert (status, me["principal"], me["role"]) == (200, ADA, "owner")
    body = '{"kind": "invite", "email": "bob@example.com"}'
    assert page.run(asked, "/api/v1/links", "POST", body)[0] == 201


class Elsewhere(http.server.BaseHTTPRequestHandler):
    """A page of somebody else's; it also is where an OAuth client waits."""

    def log_message(self, *_: Any) -> None: ...

    def do_GET(self) -> None:
        body = f"<h1>elsewhere</h1><p>{html.escape(self.path)}</p>".encode()
        self.send_response(200)
        self.send_header("Content-Type", "text/html")
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)


@pytest.fixture(scope="module")
def elsewhere() -> Iterator[int]:
    server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), Elsewhere)
    thread = threading.Thread(target=server.serve_forever)
    thread.start()
    yield server.server_port
    server.shutdown()
    thread.join()
    server.server_close()


def test_another_port_is_another_origin(page: chrome.Page, site: Running, elsewhere: int) -> None:
    """It is the same site, so that cookies come along; they are not enough."""
    page.go(f"http://localhost:{elsewhere}/")
    page.shows("elsewhere")
    submit = (
        "const f = document.createElement('form'); f.method = 'post'; f.action = arguments[0];"
        "document.body.append(f); f.submit()"
    )
    page.run(submit, at(site, "/account/sessions/end-others"))
    page.shows("sent from another site")
    page.go(f"http://localhost:{elsewhere}/")
    asked = (
        "return fetch(arguments[0], {method: arguments[1], credentials: 'include', mode: 'no-cors',"
        " body: '{}'}).then((a) => a.type)"
    )
    assert page.run(asked, at(site, "/api/v1/links"), "POST") == "opaque"
    framed = "const f = document.createElement('iframe'); f.src = arguments[0]; document.body.append(f)"
    page.run(framed, at(site, "/account"))
    page.until(lambda: any("frame" in line.lower() for line in page.complaints()), "a complaint")
    page.go("data:text/html,<h1>elsewhere</h1>")
    page.run(submit, at(site, "/account/sessions/end-others"))
    page.shows("You are signed in no more")  # The cookie stayed behind.
    page.complaints()
    page.go(at(site, "/account"))
    page.shows("Sessions", "main")


def test_consent(page: chrome.Page, site: Running, elsewhere: int) -> None:
    """A client asks; the person signs in on the way, reads what it could do, and lets it or doesn't."""
    client = f"http://localhost:{elsewhere}/callback"
    query = urlencode(
        {
            "client_id": "a2a-cli",
            "response_type": "code",
            "redirect_uri": client,
            "scope": "openid all",
            "state": "s-1",
            "code_challenge": "E9Melhoa2OwvFrEMTJguCHaoeK1t8URWbuGJSstw-cM",
            "code_challenge_method": "S256",
        }
    )
    page.go(f"{site.url}/login")
    page.ask("DELETE", "/cookie")
    page.go(f"{site.url}/oauth/authorize?{query}")
    page.type("#email", ADA)
    page.type("#password", SECRET)
    page.click("#go")
    page.shows("to act for you?")
    assert page.find("#scopes")
    page.click("#deny")
    page.shows("error=access_denied")
    page.go(f"{site.url}/oauth/authorize?{query}")
    page.click("#allow")
    page.shows("code=")
    page.shows("state=s-1")
    assert not page.complaints()
