"""What others try at the authorization server: the attacks of RFC 6819 and RFC 9700 that have a place here,
and what the victim has afterwards."""

from __future__ import annotations

import re
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from typing import Any
from urllib.parse import urlencode

import pytest
from joserfc import jwt
from joserfc.jwk import ECKey, OctKey
from oauth_client import REDIRECT, Client, Pkce, Said, ask, b64, back, claims, post_form, post_json
from oauth_site import signed_in
from visitor import Visitor

from running import AGENTS, Running, start_platform

DEVICE = "urn:ietf:params:oauth:grant-type:device_code"


@pytest.fixture(scope="module")
def site(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Running]:
    running = start_platform([AGENTS / "desk"], tmp_path_factory.mktemp("abuse"), A2A_LIMITS="off")
    yield running
    running.stop()
    log = running.log.read_text()
    assert not re.search(r"a2[a-z]_[A-Za-z0-9_-]{43}|eyJ[A-Za-z0-9_-]{20}", log.replace("/invite/", ""))


@pytest.fixture(scope="module")
def ada(site: Running) -> Visitor:
    return signed_in(site)


@pytest.fixture(scope="module")
def client(site: Running) -> Client:
    return Client.registered(site.url)


def who(site: Running, token: str, **more: str) -> Said:
    return ask(site.url, "GET", "/api/v1/whoami", headers={"Authorization": f"Bearer {token}"} | more)


# --- codes --------------------------------------------------------------------------------------------


def test_a_code_that_is_used_twice_ends_what_came_of_it(site: Running, ada: Visitor, client: Client) -> None:
    pkce = Pkce()
    code = client.code(ada, pkce)
    first = client.redeem(code, pkce).body
    assert who(site, first["access_token"]).status == 200
    assert client.redeem(code, pkce).error == "invalid_grant"
    assert who(site, first["access_token"]).status == 401
    assert client.refresh(first["refresh_token"]).error == "invalid_grant"


def test_of_many_who_use_one_code_at_once_at_most_one_gets_tokens(
    site: Running, ada: Visitor, client: Client
) -> None:
    pkce = Pkce()
    code = client.code(ada, pkce)
    with ThreadPoolExecutor(8) as many:
        said = list(many.map(lambda _: client.redeem(code, pkce), range(8)))
    good = [one for one in said if one.status == 200]
    assert len(good) <= 1
    assert all(one.error == "invalid_grant" for one in said if one.status != 200)
    for one in good:  # And they are over: somebody else had the code too.
        assert who(site, one.body["access_token"]).status == 401
        assert client.refresh(one.body["refresh_token"]).error == "invalid_grant"


def test_of_many_who_use_one_refresh_token_at_once_none_keeps_anything(
    site: Running, ada: Visitor, client: Client
) -> None:
    tokens = client.tokens(ada)
    with ThreadPoolExecutor(8) as many:
        said = list(many.map(lambda _: client.refresh(tokens["refresh_token"]), range(8)))
    good = [one.body for one in said if one.status == 200]
    assert len(good) <= 1
    for one in (tokens, *good):
        assert who(site, one["access_token"]).status == 401
        assert client.refresh(one["refresh_token"]).error == "invalid_grant"


def test_another_client_has_no_use_for_a_code(site: Running, ada: Visitor, client: Client) -> None:
    pkce, thief = Pkce(), Client.registered(site.url)
    code = client.code(ada, pkce)
    assert thief.redeem(code, pkce).error == "invalid_grant"
    assert client.redeem(code, pkce, redirect_uri="http://127.0.0.1:9/other").error == "invalid_grant"
    assert client.redeem(code, pkce).status == 200


def test_another_client_has_no_use_for_a_refresh_token(site: Running, ada: Visitor, client: Client) -> None:
    token = client.tokens(ada)["refresh_token"]
    assert Client.registered(site.url).refresh(token).error == "invalid_grant"
    assert client.refresh(token, scope="agents.call all").error == "invalid_scope"
    assert client.refresh(token).status == 200


@pytest.mark.parametrize(
    "more",
    [
        {"code_challenge": "", "code_challenge_method": ""},
        {"code_challenge_method": "plain"},
        {"code_challenge_method": ""},
        {"code_challenge": ""},
        {"code_challenge": "short"},
        {"code_challenge_method": "s256"},
    ],
    ids=["none", "plain", "no-method", "no-challenge", "short", "case"],
)
def test_pkce_is_s256_and_nothing_less(
    site: Running, ada: Visitor, client: Client, more: dict[str, str]
) -> None:
    came = back(ada.get(client.address(Pkce(), **more)))
    assert (came["error"], came["iss"]) == ("invalid_request", site.url)
    secret = Client.registered(site.url, token_endpoint_auth_method="client_secret_basic")
    assert back(ada.get(secret.address(Pkce(), **more)))["error"] == "invalid_request"


def test_a_code_without_its_verifier_is_worth_nothing(ada: Visitor, client: Client) -> None:
    pkce = Pkce()
    code = client.code(ada, pkce)
    assert client.redeem(code, pkce, code_verifier="").error == "invalid_request"
    assert client.redeem(code, pkce, code_verifier=pkce.challenge).error == "invalid_grant"
    assert client.redeem(code, pkce, code_verifier=Pkce().verifier).error == "invalid_grant"


# --- where codes go -----------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "uri",
    [
        "https://evil.example/cb",
        "http://127.0.0.1:9/callback/../evil",
        "http://127.0.0.1:9/callback?x=1",
        "http://127.0.0.1:9/callback#x",
        "http://127.0.0.1:9/CALLBACK",
        "http://127.0.0.1.evil.example/callback",
        "http://127.0.0.1:9@evil.example/callback",
        "http://user@127.0.0.1:9/callback",
        "http://localhost:9/callback",
        "https://127.0.0.1:9/callback",
        "//evil.example/callback",
        "/callback",
        "http://127.0.0.1:9/callback\\@evil.example",
        "javascript:alert(1)",
        "",
    ],
)
def test_nobody_is_sent_where_the_client_never_said(ada: Visitor, client: Client, uri: str) -> None:
    shown = ada.get(client.address(Pkce(), redirect_uri=uri))
    assert shown.status == 400
    assert "location" not in shown.headers
    assert "evil" not in shown.text


def test_any_port_of_the_own_machine_will_do(ada: Visitor, client: Client) -> None:
    assert ada.get(client.address(Pkce(), redirect_uri="http://127.0.0.1:54321/callback")).status == 200


@pytest.mark.parametrize(
    "uri",
    [
        "http://client.example/cb",
        "https://",
        "https://a@b.example/cb",
        "https://client.example/cb#fragment",
        "javascript:alert(1)",
        "data:text/html,x",
        "file:///etc/passwd",
        "vbscript:x",
        "https://client.example/\ncb",
        "https://client.example/c b",
        "relative/path",
        "",
    ],
)
def test_no_client_registers_such_an_address(site: Running, uri: str) -> None:
    said = post_json(site.url, "/oauth/register", {"redirect_uris": [uri]})
    assert (said.status, said.error) == (400, "invalid_redirect_uri")


@pytest.mark.parametrize(
    "metadata",
    [
        {"grant_types": ["client_credentials"]},
        {"grant_types": ["urn:ietf:params:oauth:grant-type:token-exchange"]},
        {"grant_types": ["password"]},
        {"response_types": ["token"]},
        {"token_endpoint_auth_method": "tls_client_auth"},
        {"token_endpoint_auth_method": "private_key_jwt"},
        {"client_name": "a\u202eb"},
        {"client_name": "x" * 300},
        {"client_uri": "javascript:alert(1)"},
        {"scope": 'a"b'},
        {"redirect_uris": "https://a.example/"},
    ],
    ids=lambda value: next(iter(value)) + "-" + re.sub(r"\W+", "", str(next(iter(value.values()))))[:12],
)
def test_nobody_registers_for_more_than_is_open(site: Running, metadata: dict[str, Any]) -> None:
    said = post_json(site.url, "/oauth/register", {"redirect_uris": [REDIRECT]} | metadata)
    assert (said.status, said.error) == (400, "invalid_client_metadata")


def test_a_link_to_us_leads_no_stranger_elsewhere(site: Running, ada: Visitor) -> None:
    """Anybody may register a client, at any site."""
    there = "https://evil.example/cb"
    evil = Client.registered(site.url, redirect_uris=[there])
    for more in ({"prompt": "none"}, {"scope": '"'}, {"code_challenge": ""}, {"response_type": "token"}):
        address = evil.address(Pkce(), **({"redirect_uri": there} | more))
        assert "evil.example" not in Visitor(site.url).get(address).headers.get("location", ""), more
        assert back(ada.get(address))["error"]  # Who is signed in is sent back with an error.


@pytest.mark.parametrize("next_path", ["https://evil.example", "//evil.example", "/\\evil.example"])
def test_a_sign_in_leads_to_pages_of_ours(site: Running, next_path: str) -> None:
    visitor = Visitor(site.url)
    answer = visitor.sign_in("ada@example.com", "three green teapots sing", next_path)
    assert "evil" not in answer.headers.get("location", "") + answer.text


# --- mixing up ----------------------------------------------------------------------------------------


def test_every_answer_says_whose_it_is(site: Running, ada: Visitor, client: Client) -> None:
    asked = [
        client.address(Pkce(), prompt="none"),
        client.address(Pkce(), response_type="token"),
        client.address(Pkce(), scope='"'),
        client.address(Pkce(), request="x.y.z"),
        client.address(Pkce(), response_mode="fragment"),
        client.address(Pkce(), resource="https://other.example/mcp"),
        client.address(Pkce(), max_age="x"),
        client.address(Pkce(), max_age="²"),
    ]
    errors = [back(ada.get(address)) for address in asked]
    assert [one["iss"] for one in errors] == [site.url] * len(asked)
    assert [one["error"] for one in errors] == [
        "consent_required",
        "unsupported_response_type",
        "invalid_scope",
        "request_not_supported",
        "invalid_request",
        "invalid_target",
        "invalid_request",
        "invalid_request",
    ]


@pytest.mark.parametrize(
    "name", ["client_id", "redirect_uri", "scope", "state", "code_challenge", "resource"]
)
def test_a_parameter_stands_there_once(ada: Visitor, client: Client, name: str) -> None:
    twice = client.address(Pkce(), resource=f"{client.base}/mcp") + "&" + urlencode({name: "x"})
    assert ada.get(twice).status == 400


@pytest.mark.parametrize(
    "resource",
    [
        "https://other.example/mcp",
        "http://127.0.0.1:1/mcp",
        "{base}/agents/desk/tasks",
        "{base}/agents/desk/mcp#x",
        "{base}/agents/desk/mcp?x=1",
        "{base}/agents/desk/../other/mcp",
        "{base}/oauth/token",
        "ftp://x",
        "desk",
    ],
)
def test_tokens_are_for_resources_of_ours(site: Running, ada: Visitor, client: Client, resource: str) -> None:
    came = ada.get(client.address(Pkce(), resource=resource.replace("{base}", site.url)))
    assert back(came)["error"] == "invalid_target"


def test_a_token_of_one_client_says_so(site: Running, ada: Visitor, client: Client) -> None:
    assert claims(client.tokens(ada)["access_token"])["client_id"] == client.id


# --- forms that others send ---------------------------------------------------------------------------


def test_nobody_allows_in_anothers_name(site: Running, ada: Visitor, client: Client) -> None:
    shown = ada.get(client.address(Pkce()))
    fields = shown.fields() | {"decision": "allow"}
    assert ada.post("/oauth/consent", fields | {"csrf": ""}).status == 403
    assert ada.post("/oauth/consent", fields | {"csrf": "0" * 64}).status == 403
    assert ada.post("/oauth/consent", fields, site="cross-site").status == 403
    assert ada.post("/oauth/consent", fields, headers={"Content-Type": "text/plain"}).status == 415
    assert ada.get(f"/oauth/consent?{urlencode(fields)}").status == 405
    assert Visitor(site.url).post("/oauth/consent", fields).status == 403
    other = Visitor(site.url)
    other.sign_in("ada@example.com", "three green teapots sing")
    assert other.post("/oauth/consent", fields).status == 403  # The form of another browser.


def test_a_form_that_was_changed_is_checked_anew(ada: Visitor, client: Client) -> None:
    shown = ada.get(client.address(Pkce())).fields() | {"decision": "allow"}
    assert ada.post("/oauth/consent", shown | {"redirect_uri": "https://evil.example/cb"}).status == 400
    assert back(ada.post("/oauth/consent", shown | {"code_challenge_method": "plain"}))["error"]
    assert back(ada.post("/oauth/consent", shown | {"resource": "https://evil.example"}))["error"]


def test_the_page_can_not_be_framed(ada: Visitor, client: Client) -> None:
    policy = ada.get(client.address(Pkce())).headers["content-security-policy"]
    assert "frame-ancestors 'none'" in policy
    assert "script-src 'self'" in policy


def test_what_a_client_says_of_itself_is_text(site: Running, ada: Visitor) -> None:
    name = '<script>alert("x")</script>'
    loud = Client.registered(site.url, client_name=name)
    page = ada.get(loud.address(Pkce(), state='"><script>', scope="agents.call")).text
    assert "<script>alert" not in page
    assert '"><script>' not in page


def test_guessed_device_codes_run_out(site: Running, ada: Visitor) -> None:
    """A person who types (or is made to type) wrong codes can't go on with a right one for a while."""
    visitor = Visitor(site.url)
    visitor.sign_in("ada@example.com", "three green teapots sing")
    token = visitor.get("/oauth/device").csrf
    device = post_form(site.url, "/oauth/device_authorization", {"client_id": "a2a-cli"}).body
    for n in range(10):
        wrong = f"BBBB-BBB{'BCDFGHJKLM'[n]}"
        assert visitor.post("/oauth/device", {"csrf": token, "user_code": wrong}).status == 400
    right = {"csrf": token, "user_code": device["user_code"], "decision": "allow"}
    assert visitor.post("/oauth/device", right).status == 400
    poll = {
        "grant_type": "urn:ietf:params:oauth:grant-type:device_code",
        "device_code": device["device_code"],
    }
    assert Client(site.url, "a2a-cli").token(**poll).error == "authorization_pending"


def test_a_link_to_a_device_decides_nothing(site: Running, ada: Visitor) -> None:
    device = post_form(site.url, "/oauth/device_authorization", {"client_id": "a2a-cli"}).body
    page = ada.get(device["verification_uri_complete"].removeprefix(site.url) + "&decision=allow")
    assert page.status == 200
    poll = {
        "grant_type": "urn:ietf:params:oauth:grant-type:device_code",
        "device_code": device["device_code"],
    }
    assert Client(site.url, "a2a-cli").token(**poll).error == "authorization_pending"


# --- tokens -------------------------------------------------------------------------------------------


def test_secrets_don_t_belong_into_addresses(site: Running, ada: Visitor, client: Client) -> None:
    token = client.tokens(ada)["access_token"]
    assert ask(site.url, "GET", f"/api/v1/whoami?access_token={token}").status == 401
    fields = {"grant_type": "refresh_token", "refresh_token": "a2r_x", "client_id": client.id}
    said = post_form(site.url, f"/oauth/token?{urlencode(fields)}", fields)
    assert (said.status, said.error) == (400, "invalid_request")
    assert ask(site.url, "GET", f"/oauth/token?{urlencode(fields)}").status == 405


def test_a_forged_token_opens_nothing(site: Running, ada: Visitor, client: Client) -> None:
    tokens = client.tokens(ada)
    good = tokens["access_token"]
    head, body, signature = good.split(".")
    said = claims(good)
    mine, kid = ECKey.generate_key("P-256"), {"alg": "ES256", "typ": "at+jwt"}
    published = ask(site.url, "GET", "/oauth/jwks.json").body["keys"][0]
    unsigned, other = b64(b'{"alg":"none","typ":"at+jwt"}'), b64(b'{"sub":"x"}')
    forged = [
        f"{head}.{body}.",
        f"{head}.{body}.{b64(bytes(64))}",
        f"{unsigned}.{body}.",
        f"{head}.{other}.{signature}",
        jwt.encode(kid | {"kid": published["kid"]}, said, mine, algorithms=["ES256"]),
        jwt.encode(kid | {"jwk": mine.as_dict(private=False)}, said, mine, algorithms=["ES256"]),
        jwt.encode(
            {"alg": "HS256", "typ": "at+jwt", "kid": published["kid"]},
            said,
            OctKey.import_key(published["x"] + published["y"]),
            algorithms=["HS256"],
        ),
        tokens["id_token"],  # Of ours, and no access token.
        "eyJ" + "A" * 20_000,
        "eyJ.eyJ.eyJ",
    ]
    for token in forged:
        answer = who(site, token)
        assert answer.status == 401, token[:80]
        assert 'error="invalid_token"' in answer.headers["www-authenticate"]
    assert who(site, good).status == 200


def test_a_token_and_a_key_are_one_too_many(site: Running, ada: Visitor, client: Client) -> None:
    token = client.tokens(ada)["access_token"]
    assert who(site, token, **{"X-API-Key": site.key}).status == 400


def test_scopes_hold_everywhere(site: Running, ada: Visitor, client: Client) -> None:
    """A token of the platform's owner that is for one skill of one agent."""
    token = client.tokens(ada, scope="agent:desk/shout")["access_token"]
    auth = {"Authorization": f"Bearer {token}", "Content-Type": "application/json"}

    def post(path: str, body: bytes) -> Said:
        return ask(site.url, "POST", path, body, auth)

    assert post("/agents/desk/invoke/shout", b'{"text":"x"}').status == 200
    assert post("/agents/desk/invoke/add", b'{"a":1,"b":2}').status == 403
    assert post("/api/v1/keys", b'{"principal":"evil","role":"admin"}').status == 403
    assert post("/api/v1/oauth/clients", b'{"name":"evil","role":"admin"}').status == 403
    assert ask(site.url, "GET", "/api/v1/oauth/grants", headers=auth).status == 403


def test_a_wrong_secret_is_no_client(site: Running) -> None:
    known = Client.registered(site.url, token_endpoint_auth_method="client_secret_post")
    for fields in (
        {"client_id": known.id},
        {"client_id": known.id, "client_secret": "wrong"},
        {"client_id": "client_000000000000000000000000", "client_secret": "wrong"},
        {"client_id": "https://127.0.0.1/x", "client_secret": "wrong"},
        {"client_id": "\x00"},
        {},
    ):
        said = post_form(
            site.url, "/oauth/token", {"grant_type": "refresh_token", "refresh_token": "x"} | fields
        )
        assert (said.status, said.error) == (401, "invalid_client"), fields


@pytest.mark.parametrize(
    "fields",
    [
        {"grant_type": "password", "username": "ada", "password": "x"},
        {"grant_type": 'x"\\'},
        {"grant_type": "authorization_code"},
        {"grant_type": "authorization_code", "code": "\udcff"},
        {"grant_type": "refresh_token"},
        {"grant_type": "urn:ietf:params:oauth:grant-type:device_code"},
        {"grant_type": "urn:ietf:params:oauth:grant-type:jwt-bearer", "assertion": "x"},
        {},
    ],
    ids=["password", "odd", "no-code", "no-text", "no-token", "no-device", "assertion", "nothing"],
)
def test_nonsense_is_answered_in_words(site: Running, client: Client, fields: dict[str, str]) -> None:
    body = urlencode({"client_id": client.id} | fields, errors="surrogateescape").encode()
    said = ask(site.url, "POST", "/oauth/token", body, {"Content-Type": "application/x-www-form-urlencoded"})
    assert said.status in (400, 401)
    assert said.error


def test_open_registration_ends_somewhere(site: Running) -> None:
    """Last: no other test registers clients after it."""
    answers = [
        post_json(site.url, "/oauth/register", {"redirect_uris": [REDIRECT]}).status for _ in range(70)
    ]
    assert answers[-1] == 429
