"""Signing in at an outside provider: npm `oidc-provider`, which is certified, with its own pages; and a
provider that lies."""

from __future__ import annotations

import base64
import html
import http.server
import json
import re
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any
from urllib.parse import parse_qs, parse_qsl, urlencode, urlsplit

import outside
import pytest
from joserfc import jwt
from joserfc.jwk import ECKey, KeySet, OctKey

from running import Running, start_platform

sys.path.insert(0, str(Path(__file__).parents[1] / "integration"))
from visitor import Answer, Visitor

PEOPLE: dict[str, dict[str, Any]] = {
    "root": {"email": "root@corp.example", "email_verified": True, "name": "Root", "groups": ["ops", "all"]},
    "dev": {"email": "Dev@corp.example", "email_verified": True, "name": "Dev", "groups": ["all", "coders"]},
    "guest": {"email": "guest@else.example", "email_verified": True, "name": "Guest", "groups": []},
    "sly": {"email": "ada@example.com", "email_verified": True, "name": "Sly", "groups": ["all"]},
    "fake": {"email": "root@corp.example", "email_verified": False, "name": "Fake", "groups": ["all"]},
}
RULES = "groups=ops -> default:admin; groups=cod* -> default:developer # ours\n groups=all -> default:viewer"
CLIENT = {
    "client_id": "platform",
    "client_secret": "a-secret-that-nobody-knows",
    "application_type": "native",
    "redirect_uris": ["http://127.0.0.1/login/oidc/callback"],
    "token_endpoint_auth_method": "client_secret_basic",
}


@contextmanager
def provider(**more: Any) -> Iterator[str]:
    """A provider; gives its issuer."""
    told = json.dumps({"clients": [CLIENT], "people": PEOPLE, "more": more})
    command = [outside.node(), outside.PROGRAMS / "oidc_provider.mjs", outside.modules(), told]
    process = subprocess.Popen(
        [str(part) for part in command], stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, text=True
    )
    try:
        assert process.stdout is not None
        yield json.loads(process.stdout.readline())["issuer"]
    finally:
        process.terminate()
        process.wait(10)
        if process.stdout is not None:
            process.stdout.close()


def settings(issuer: str, rules: str = RULES) -> dict[str, str]:
    return {
        "A2A_OIDC_ISSUER": issuer,
        "A2A_OIDC_CLIENT_ID": CLIENT["client_id"],
        "A2A_OIDC_CLIENT_SECRET": CLIENT["client_secret"],
        "A2A_OIDC_NAME": "Corp",
        "A2A_OIDC_RULES": rules,
        "A2A_LIMITS": "off",
    }  # type: ignore[dict-item]


@pytest.fixture(
    scope="module",
    params=[{}, {"conformIdTokenClaims": False}],
    ids=["claims-in-userinfo", "claims-in-token"],
)
def site(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Running]:
    with provider(**request.param) as issuer:
        running = start_platform([], tmp_path_factory.mktemp("federated"), **settings(issuer))
        yield running
        running.stop()


def at_provider(begun: Answer, login: str) -> str:
    """What a person does at the provider; the address that it sends the browser back to."""
    assert begun.status == 303, begun.text
    issuer = begun.headers["location"].partition("/auth")[0]
    there = Visitor(issuer)
    answer = there.get(begun.headers["location"], site="")
    for _ in range(10):
        while answer.status in (302, 303):
            place = answer.headers["location"]
            if "/login/oidc/callback" in place:
                return place
            answer = there.get(place, site="")
        action = re.search(r'action="([^"]+)"', answer.text)
        assert action is not None, answer.text
        fields = answer.fields()
        if fields["prompt"] == "login":
            fields |= {"login": login, "password": "whatever"}
        answer = there.post(action[1], fields, site="")
    raise AssertionError(answer.text)


def sign_in(
    site: Running, login: str, visitor: Visitor | None = None, path: str = ""
) -> tuple[Visitor, Answer]:
    visitor = visitor or Visitor(site.url)
    begun = visitor.get(path or "/login/oidc?next=/account")
    back = at_provider(begun, login)
    return visitor, visitor.get(back, site="cross-site")


def who(visitor: Visitor) -> tuple[str, str]:
    me = visitor.get("/api/v1/whoami").json()
    return me.get("principal", ""), me.get("role", "")


def test_people_come_in_with_the_role_that_the_rules_say(site: Running) -> None:
    assert "Sign in with Corp" in Visitor(site.url).get("/login").text
    for login, expected in (
        ("root", ("root@corp.example", "admin")),
        ("dev", ("dev@corp.example", "developer")),
        ("root", ("root@corp.example", "admin")),
    ):
        visitor, answer = sign_in(site, login)
        assert (answer.status, answer.headers.get("location")) == (303, "/account"), answer.text
        assert who(visitor) == expected
        assert "Corp" in visitor.get("/account").text


def test_who_was_suspended_is_let_in_again_by_people_alone(site: Running) -> None:
    key = {"Authorization": f"Bearer {site.key}", "Content-Type": "application/json", "Accept": "*/*"}
    visitor, _ = sign_in(site, "dev")
    for active, status in ((False, 403), (True, 303)):
        body = json.dumps({"active": active}).encode()
        changed = Visitor(site.url).ask("PUT", "/api/v1/members/dev@corp.example", body, headers=key)
        assert changed.status == 200, changed.text
        assert who(visitor) == (("dev@corp.example", "developer") if active else ("", ""))
        assert sign_in(site, "dev")[1].status == status


def test_who_fits_no_rule_stays_outside(site: Running) -> None:
    visitor, answer = sign_in(site, "guest")
    assert answer.status == 403
    assert "no organisation" in answer.text
    assert who(visitor) == ("", "")


def test_an_address_alone_takes_nobodys_account(site: Running) -> None:
    """Who has an account here, is not yet whoever says at the provider that the address is theirs."""
    ada = Visitor(site.url)
    key = {"Authorization": f"Bearer {site.key}", "Content-Type": "application/json", "Accept": "*/*"}
    made = Visitor(site.url).ask("POST", "/api/v1/links", b'{"kind": "admin"}', headers=key).json()
    fields = {"email": "ada@example.com", "name": "Ada", "password": "three green teapots sing"}
    assert ada.fill(urlsplit(made["url"]).path, fields).status == 303
    _, answer = sign_in(site, "sly")
    assert answer.status == 403
    assert "connect the two" in answer.text
    # A person connects the two from the inside, and comes in by either.
    page = ada.get("/account")
    for fields in ({}, {"csrf": "x"}):
        assert ada.post("/account/connect", fields).status == 403
    assert ada.post("/account/connect", {"csrf": page.csrf}, site="cross-site").status == 403
    begun = ada.post("/account/connect", {"csrf": page.csrf})
    found = re.search(r'content="0;url=([^"]+)"', begun.text)
    assert found is not None
    begun.status, begun.headers["location"] = 303, html.unescape(found[1])
    connected = ada.get(at_provider(begun, "sly"), site="cross-site")
    assert connected.headers["location"] == "/account?done=connected"
    visitor, answer = sign_in(site, "sly")
    assert answer.status == 303
    assert who(visitor) == ("ada@example.com", "owner")
    # Not verified there: nobody's.
    assert sign_in(site, "fake")[1].status == 403


def test_the_answer_is_for_the_browser_that_asked_and_once(site: Running) -> None:
    visitor = Visitor(site.url)
    back = at_provider(visitor.get("/login/oidc"), "root")
    stranger = Visitor(site.url)
    assert stranger.get(back, site="cross-site").status == 400
    stranger.get("/login/oidc")
    assert stranger.get(back, site="cross-site").status == 400
    kept = dict(visitor.cookies)
    assert visitor.get(back, site="cross-site").status == 303
    assert Visitor(site.url, kept).get(back, site="cross-site").status == 400


@pytest.mark.parametrize(
    ("change", "status"),
    [
        ({"state": "x"}, 400),
        ({"state": ""}, 400),
        ({"iss": "https://evil.example"}, 400),
        ({"iss": ""}, 400),
        ({"code": ""}, 403),
        ({"code": "x"}, 502),
        ({"error": "access_denied"}, 403),
    ],
    ids=["state", "no-state", "mix-up", "no-issuer", "no-code", "code", "error"],
)
def test_an_answer_that_was_tampered_with_opens_nothing(
    site: Running, change: dict[str, str], status: int
) -> None:
    visitor = Visitor(site.url)
    back = urlsplit(at_provider(visitor.get("/login/oidc"), "root"))
    query = {name: value for name, value in (dict(parse_qsl(back.query)) | change).items() if value}
    answer = visitor.get(f"{back.path}?{urlencode(query)}", site="cross-site")
    assert answer.status == status, answer.text
    assert who(visitor) == ("", "")


def test_what_is_asked_of_the_provider(site: Running) -> None:
    asked = parse_qs(urlsplit(Visitor(site.url).get("/login/oidc").headers["location"]).query)
    assert asked["code_challenge_method"] == ["S256"]
    assert asked["response_type"] == ["code"]
    assert len(asked["state"][0]) == len(asked["nonce"][0]) == len(asked["code_challenge"][0]) == 43
    assert asked["redirect_uri"] == [f"{site.url}/login/oidc/callback"]
    again = Visitor(site.url).get("/login/oidc?again=1").headers["location"]
    assert parse_qs(urlsplit(again).query)["max_age"] == ["0"]


def test_a_restart_in_the_middle_loses_nothing(site: Running) -> None:
    visitor = Visitor(site.url)
    back = at_provider(visitor.get("/login/oidc"), "dev")
    site.env["A2A_PORT"] = str(site.port)
    site.stop()
    site.restart()
    assert visitor.get(back, site="cross-site").status == 303
    assert who(visitor) == ("dev@corp.example", "developer")


def test_who_is_asked_to_sign_in_again_does(site: Running) -> None:
    visitor, answer = sign_in(site, "dev", path="/login/oidc?again=1&next=/account")
    assert answer.status == 303, answer.text
    assert who(visitor) == ("dev@corp.example", "developer")


def test_without_rules_an_invitation_lets_somebody_in(tmp_path: Path) -> None:
    with provider() as issuer:
        site = start_platform([], tmp_path, **settings(issuer, rules=""))
        try:
            assert sign_in(site, "root")[1].status == 403
            key = {"Authorization": f"Bearer {site.key}", "Content-Type": "application/json", "Accept": "*/*"}
            body = b'{"kind": "invite", "email": "guest@else.example", "role": "approver"}'
            made = Visitor(site.url).ask("POST", "/api/v1/links", body, headers=key).json()
            path = urlsplit(made["url"]).path
            begin = f"/login/oidc?invite={path.rpartition('/')[2]}"
            assert begin in Visitor(site.url).get(path).text
            assert sign_in(site, "root", path=begin)[1].status == 403
            visitor, answer = sign_in(site, "guest", path=begin)
            assert answer.status == 303, answer.text
            assert who(visitor) == ("guest@else.example", "approver")
            assert Visitor(site.url).get(path).status == 404
            assert sign_in(site, "guest")[1].status == 303
            # Recovery shuts every door that somebody else may have opened.
            body = b'{"kind": "recover", "email": "guest@else.example"}'
            made = Visitor(site.url).ask("POST", "/api/v1/links", body, headers=key).json()
            back = Visitor(site.url)
            recovered = back.fill(urlsplit(made["url"]).path, {"password": "seven quiet rivers at noon"})
            assert recovered.status == 303, recovered.text
            assert who(visitor) == ("", "")
            assert who(back) == ("guest@else.example", "approver")
            assert sign_in(site, "guest")[1].status == 403
        finally:
            site.stop()


# --- a provider that lies -----------------------------------------------------------------------------


class Liar(http.server.BaseHTTPRequestHandler):
    """Answers as a provider, with an ID token as the test wants it."""

    key = ECKey.generate_key("P-256", {"kid": "one"}, private=True)
    issuer = ""
    nonce = ""
    claims: dict[str, Any] = {}  # noqa: RUF012
    lie = ""

    def log_message(self, *_: Any) -> None: ...

    def _say(self, document: Any) -> None:
        body = json.dumps(document).encode()
        self.send_response(200)
        self.send_header("Content-Type", "application/json")
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def do_GET(self) -> None:
        issuer = Liar.issuer
        if self.path.endswith("openid-configuration"):
            self._say(
                {
                    "issuer": "https://other.example" if Liar.lie == "description" else issuer,
                    "authorization_endpoint": f"{issuer}/auth",
                    "token_endpoint": f"{issuer}/token",
                    "jwks_uri": f"{issuer}/jwks",
                }
            )
        else:
            self._say(KeySet([Liar.key]).as_dict(private=False))

    def do_POST(self) -> None:
        self.rfile.read(int(self.headers["Content-Length"]))
        now = int(time.time())
        claims = {
            "iss": Liar.issuer,
            "aud": "platform",
            "sub": "root",
            "iat": now,
            "exp": now + 300,
            "nonce": Liar.nonce,
            "email": "root@corp.example",
            "email_verified": True,
            "groups": ["ops"],
        } | Liar.claims
        claims = {name: value for name, value in claims.items() if value is not None}
        header, key = {"alg": "ES256", "kid": "one"}, Liar.key
        if Liar.lie == "key":
            key = ECKey.generate_key("P-256", {"kid": "one"}, private=True)
        token = jwt.encode(header, claims, key)
        if Liar.lie == "none":
            head = base64.urlsafe_b64encode(b'{"alg":"none"}').decode().rstrip("=")
            token = f"{head}.{token.split('.')[1]}."
        if Liar.lie == "hmac":
            public = json.dumps(Liar.key.as_dict(private=False)).encode()
            token = jwt.encode({"alg": "HS256"}, claims, OctKey.import_key(public), algorithms=["HS256"])
        self._say({"access_token": "x", "token_type": "Bearer", "id_token": token})


@pytest.fixture(scope="module")
def lied_to(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Running]:
    server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), Liar)
    thread = threading.Thread(target=server.serve_forever)
    thread.start()
    Liar.issuer = f"http://127.0.0.1:{server.server_port}"
    running = start_platform([], tmp_path_factory.mktemp("lied"), **settings(Liar.issuer))
    yield running
    running.stop()
    server.shutdown()
    thread.join()
    server.server_close()


@pytest.mark.parametrize(
    ("claims", "lie"),
    [
        ({"iss": "https://other.example"}, ""),
        ({"aud": "another"}, ""),
        ({"aud": ["platform", "another"]}, ""),
        ({"aud": ["platform", "another"], "azp": "another"}, ""),
        ({"exp": 1}, ""),
        ({"exp": None}, ""),
        ({"exp": "later"}, ""),
        ({"iat": 9_999_999_999}, ""),
        ({"nonce": "another"}, ""),
        ({"nonce": None}, ""),
        ({"sub": None}, ""),
        ({"sub": ""}, ""),
        ({"sub": 7}, ""),
        ({}, "key"),
        ({}, "none"),
        ({}, "hmac"),
    ],
    ids=[
        *("issuer", "audience", "audiences", "party", "expired", "endless", "no-time", "from-the-future"),
        *("nonce", "no-nonce", "nobody", "empty", "number", "key", "unsigned", "hmac"),
    ],
)
def test_an_id_token_that_is_not_right_opens_nothing(
    lied_to: Running, claims: dict[str, Any], lie: str
) -> None:
    Liar.claims, Liar.lie = claims, lie
    visitor, answer = lied(lied_to)
    assert answer.status == 502, answer.text
    assert who(visitor) == ("", "")


def test_one_that_is_right_does(lied_to: Running) -> None:
    Liar.claims, Liar.lie = {"aud": ["platform", "another"], "azp": "platform"}, ""
    visitor, answer = lied(lied_to)
    assert answer.status == 303, answer.text
    assert who(visitor) == ("root@corp.example", "admin")


def test_a_new_key_of_the_provider_is_looked_up(lied_to: Running) -> None:
    Liar.claims, Liar.lie = {}, "key"
    assert lied(lied_to)[1].status == 502  # The keys were read again a moment ago: not once more.


def lied(site: Running) -> tuple[Visitor, Answer]:
    visitor = Visitor(site.url)
    asked = dict(parse_qsl(urlsplit(visitor.get("/login/oidc").headers["location"]).query))
    Liar.nonce = asked["nonce"]
    query = urlencode({"state": asked["state"], "code": "any"})
    return visitor, visitor.get(f"/login/oidc/callback?{query}", site="cross-site")


# --- settings -----------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("change", "names"),
    [
        ({"A2A_OIDC_ISSUER": "http://idp.example"}, "A2A_OIDC_ISSUER"),
        ({"A2A_OIDC_ISSUER": "what"}, "A2A_OIDC_ISSUER"),
        ({"A2A_OIDC_ISSUER": ""}, "A2A_OIDC_ISSUER"),
        ({"A2A_OIDC_CLIENT_ID": ""}, "A2A_OIDC_CLIENT_ID"),
        ({"A2A_OIDC_RULES": "groups=ops -> admin"}, "A2A_OIDC_RULES"),
    ],
    ids=["http", "word", "missing", "no-client", "rule"],
)
def test_settings_that_can_not_be_used_end_the_start(
    tmp_path: Path, change: dict[str, str], names: str
) -> None:
    with pytest.raises(pytest.fail.Exception, match=names) as failed:
        start_platform([], tmp_path, **(settings("https://idp.example") | change))
    assert CLIENT["client_secret"] not in str(failed.value)
