"""Each flow of the authorization server as a client and a browser go through it, at a running platform."""

from __future__ import annotations

import json
import socket
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import grpc
import pytest
from joserfc import jwt
from joserfc.jwk import ECKey, KeySet
from oauth_client import REDIRECT, Client, Pkce, Prover, Said, ask, b64, back, claims, post_form, post_json
from oauth_site import ADA, signed_in
from visitor import Visitor

from running import AGENTS, Running, start_platform

DEVICE = "urn:ietf:params:oauth:grant-type:device_code"
EXCHANGE = "urn:ietf:params:oauth:grant-type:token-exchange"
ACCESS = "urn:ietf:params:oauth:token-type:access_token"


@pytest.fixture(scope="module")
def site(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Running]:
    running = start_platform([AGENTS / "desk"], tmp_path_factory.mktemp("oauth"), A2A_LIMITS="off")
    yield running
    running.stop()


@pytest.fixture(scope="module")
def ada(site: Running) -> Visitor:
    return signed_in(site)


def bearer(token: str) -> dict[str, str]:
    return {"Authorization": f"Bearer {token}", "Content-Type": "application/json"}


def shout(site: Running, headers: dict[str, str], host: str = "") -> Said:
    path = "/invoke/shout" if host else "/agents/desk/invoke/shout"
    return ask(site.url, "POST", path, b'{"text":"hi"}', headers | ({"Host": host} if host else {}))


def made(site: Running, **more: Any) -> Client:
    """A client of the organisation that acts by itself."""
    document = {"name": "By itself", "scope": "agents.call"} | more
    said = post_json(site.url, "/api/v1/oauth/clients", document, **site.auth)
    assert said.status == 201, said.text
    return Client(site.url, said.body["client_id"], said.body["client_secret"])


# --- discovery ----------------------------------------------------------------------------------------


@pytest.mark.parametrize("name", ["oauth-authorization-server", "openid-configuration"])
def test_metadata_names_what_is_there(site: Running, name: str) -> None:
    told = ask(site.url, "GET", f"/.well-known/{name}")
    assert (told.status, told.headers["access-control-allow-origin"]) == (200, "*")
    document = told.body
    assert document["issuer"] == site.url
    assert document["code_challenge_methods_supported"] == ["S256"]
    for member, address in document.items():
        if member.endswith(("_endpoint", "_uri")):
            path = address.removeprefix(site.url)
            assert ask(site.url, "GET", path).status in (200, 400, 401, 405), member


def test_resources_say_who_gives_tokens_for_them(site: Running) -> None:
    for path in ("", "/mcp", "/agents/desk", "/agents/desk/mcp", "/agents/nobody/mcp"):
        told = ask(site.url, "GET", f"/.well-known/oauth-protected-resource{path}").body
        assert (told["resource"], told["authorization_servers"]) == (site.url + path, [site.url])
    assert ask(site.url, "GET", "/.well-known/oauth-protected-resource/agents/desk/tasks").status == 404
    host = f"desk.localhost:{site.port}"
    told = ask(site.url, "GET", "/.well-known/oauth-protected-resource/mcp", headers={"Host": host})
    assert told.body["resource"] == f"http://{host}/mcp"


@pytest.mark.parametrize(
    ("path", "metadata"),
    [
        ("/agents/desk/mcp", "/agents/desk/mcp"),
        ("/agents/desk/invoke/shout", "/agents/desk"),
        ("/mcp", "/mcp"),
        ("/api/v1/runs", ""),
    ],
    ids=["mcp", "invoke", "catalogue", "api"],
)
def test_who_has_no_token_is_told_where_to_get_one(site: Running, path: str, metadata: str) -> None:
    said = ask(
        site.url, "GET" if "api" in path else "POST", path, b"{}", {"Content-Type": "application/json"}
    )
    assert said.status == 401
    challenge = said.headers["www-authenticate"]
    assert f'resource_metadata="{site.url}/.well-known/oauth-protected-resource{metadata}"' in challenge


def test_pages_of_any_origin_may_ask(site: Running) -> None:
    for path in ("/oauth/token", "/oauth/register", "/.well-known/oauth-authorization-server"):
        said = ask(site.url, "OPTIONS", path, headers={"Origin": "https://inspector.example"})
        assert (said.status, said.headers["access-control-allow-origin"]) == (204, "*")
    said = post_form(site.url, "/oauth/token", {"grant_type": "x"})
    assert "WWW-Authenticate" in said.headers["access-control-expose-headers"]


# --- codes and refresh tokens -------------------------------------------------------------------------


def test_a_code_becomes_tokens_that_open_what_was_agreed_to(site: Running, ada: Visitor) -> None:
    client = Client.registered(site.url)
    pkce = Pkce()
    shown = ada.get(client.address(pkce, nonce="n-1"))
    assert "Call every agent that you may call" in shown.text
    assert "127.0.0.1:9" in shown.text
    came = client.decided(ada, shown)
    assert (came["state"], came["iss"]) == ("st/ate+1", site.url)
    said = client.redeem(came["code"], pkce)
    assert (said.status, said.headers["cache-control"]) == (200, "no-store")
    tokens = said.body
    assert (tokens["token_type"], tokens["expires_in"]) == ("Bearer", 600)
    keys = KeySet.import_key_set(ask(site.url, "GET", "/oauth/jwks.json").body)
    about = jwt.decode(tokens["id_token"], keys, algorithms=["ES256"])
    assert about.claims["aud"] == client.id
    assert about.claims["nonce"] == "n-1"
    access = jwt.decode(tokens["access_token"], keys, algorithms=["ES256"])
    assert access.header["typ"] == "at+jwt"
    assert access.claims["sub"] == about.claims["sub"]
    assert shout(site, bearer(tokens["access_token"])).body == "HI"
    who = ask(site.url, "GET", "/api/v1/whoami", headers=bearer(tokens["access_token"])).body
    assert (who["principal"], who["client"], who["permissions"]) == (ADA, client.id, ["agents.call"])
    assert ask(site.url, "GET", "/api/v1/keys", headers=bearer(tokens["access_token"])).status == 403


def test_a_refresh_token_is_changed_for_another(site: Running, ada: Visitor) -> None:
    client = Client.registered(site.url)
    first = client.tokens(ada)
    second = client.refresh(first["refresh_token"])
    assert second.status == 200
    assert second.body["refresh_token"] != first["refresh_token"]
    narrow = client.refresh(second.body["refresh_token"], scope="openid")
    assert narrow.body["scope"] == "openid"
    assert client.refresh(narrow.body["refresh_token"]).body["scope"] == first["scope"]


def test_without_offline_access_there_is_no_refresh_token(site: Running, ada: Visitor) -> None:
    assert "refresh_token" not in Client.registered(site.url).tokens(ada, scope="agents.call")


def test_who_said_no_is_believed(site: Running, ada: Visitor) -> None:
    came = Client.registered(site.url).consented(ada, Pkce(), decision="deny")
    assert (came["error"], came["state"], came["iss"]) == ("access_denied", "st/ate+1", site.url)


def test_a_consent_is_remembered_for_a_client_that_is_who_it_says(site: Running, ada: Visitor) -> None:
    there = "https://client.example/cb"
    client = Client.registered(site.url, redirect_uris=[there])
    client.consented(ada, Pkce(), redirect_uri=there)
    again = ada.get(client.address(Pkce(), redirect_uri=there))
    assert (again.status, "code" in back(again)) == (303, True)
    # More than was allowed is asked for, and so is what any program of the machine could want.
    assert ada.get(client.address(Pkce(), redirect_uri=there, scope="all")).status == 200
    assert ada.get(client.address(Pkce(), redirect_uri=there, prompt="consent")).status == 200
    local = Client.registered(site.url)
    local.consented(ada, Pkce())
    assert ada.get(local.address(Pkce())).status == 200


def test_prompt_none_asks_nobody(site: Running, ada: Visitor) -> None:
    client = Client.registered(site.url)
    assert back(ada.get(client.address(Pkce(), prompt="none")))["error"] == "consent_required"
    assert back(Visitor(site.url).get(client.address(Pkce(), prompt="none")))["error"] == "login_required"


def test_a_stranger_signs_in_and_comes_back(site: Running, ada: Visitor) -> None:
    client = Client.registered(site.url)
    sent = Visitor(site.url).get(client.address(Pkce()))
    where = sent.headers["location"]
    assert sent.status == 303
    assert where.startswith("/login?next=%2Foauth%2Fauthorize%3F")
    again = ada.get(client.address(Pkce(), prompt="login"))
    assert again.headers["location"].startswith("/login?again=1&next=")
    assert "prompt" not in again.headers["location"]


def test_userinfo_tells_what_was_agreed_to(site: Running, ada: Visitor) -> None:
    client = Client.registered(site.url)
    tokens = client.tokens(ada, scope="openid email")
    told = ask(site.url, "GET", "/oauth/userinfo", headers=bearer(tokens["access_token"])).body
    assert told == {"sub": claims(tokens["id_token"])["sub"], "email": ADA}
    other = client.tokens(ada, scope="agents.call")["access_token"]
    assert ask(site.url, "GET", "/oauth/userinfo", headers=bearer(other)).status == 401


# --- audiences ----------------------------------------------------------------------------------------


def test_a_token_is_good_for_its_resource_alone(site: Running, ada: Visitor) -> None:
    client = Client.registered(site.url)
    resource = f"{site.url}/agents/desk"
    token = client.tokens(ada, resource=resource, scope="")["access_token"]
    assert (claims(token)["aud"], claims(token)["scope"]) == (resource, "agent:desk")
    host = f"desk.localhost:{site.port}"
    assert shout(site, bearer(token)).status == 200
    assert shout(site, bearer(token), host).status == 200
    assert ask(site.url, "GET", "/api/v1/whoami", headers=bearer(token)).status == 401
    mcp = client.tokens(ada, resource=f"http://{host}/mcp", scope="")["access_token"]
    assert shout(site, bearer(mcp)).status == 401
    ping = b'{"jsonrpc":"2.0","id":1,"method":"ping"}'
    accept = {"Accept": "application/json, text/event-stream"}
    assert ask(site.url, "POST", "/agents/desk/mcp", ping, bearer(mcp) | accept).status != 401


def test_tokens_are_taken_by_grpc(site: Running, ada: Visitor) -> None:
    client = Client.registered(site.url)
    good = client.tokens(ada, resource=f"{site.url}/agents/desk", scope="")["access_token"]
    other = client.tokens(ada, resource=f"{site.url}/agents/other", scope="agents.call")["access_token"]
    bound = client.tokens(ada, Prover())["access_token"]
    tenant = b"\x0a\x04desk"  # The first field of ListTasksRequest.
    with grpc.insecure_channel(site.grpc) as channel:
        list_tasks = channel.unary_unary("/lf.a2a.v1.A2AService/ListTasks")
        list_tasks(tenant, metadata=[("authorization", f"Bearer {good}")], timeout=20)
        for wrong in (f"Bearer {other}", f"DPoP {bound}", f"Bearer {bound}"):
            with pytest.raises(grpc.RpcError) as raised:
                list_tasks(tenant, metadata=[("authorization", wrong)], timeout=20)
            assert raised.value.code() is grpc.StatusCode.UNAUTHENTICATED


def test_a_refresh_may_ask_for_less_of_the_resource(site: Running, ada: Visitor) -> None:
    client = Client.registered(site.url)
    first = client.tokens(ada, resource=f"{site.url}/agents/desk")
    inner = client.refresh(first["refresh_token"], resource=f"{site.url}/agents/desk/mcp")
    assert claims(inner.body["access_token"])["aud"] == f"{site.url}/agents/desk/mcp"
    outer = client.refresh(inner.body["refresh_token"], resource=f"{site.url}/agents/other")
    assert outer.error == "invalid_target"


# --- clients by themselves ----------------------------------------------------------------------------


def test_a_client_of_the_organisation_acts_by_itself(site: Running) -> None:
    client = made(site)
    said = client.token(grant_type="client_credentials")
    assert said.status == 200
    assert "refresh_token" not in said.body
    token = said.body["access_token"]
    assert shout(site, bearer(token)).body == "HI"
    assert claims(token)["sub"] == client.id
    assert client.token(grant_type="client_credentials", scope="runs.read").error == "invalid_scope"
    gone = ask(site.url, "DELETE", f"/api/v1/oauth/clients/{client.id}", headers=site.auth)
    assert gone.status == 200
    assert shout(site, bearer(token)).status == 401
    assert client.token(grant_type="client_credentials").status == 401


def test_a_client_proves_itself_by_a_key_of_its_own(site: Running) -> None:
    key = ECKey.generate_key("P-256")
    jwks = {"keys": [key.as_dict(private=False)]}
    document = {"name": "K", "token_endpoint_auth_method": "private_key_jwt", "jwks": jwks}
    client_id = post_json(site.url, "/api/v1/oauth/clients", document, **site.auth).body["client_id"]

    def assertion(**more: Any) -> dict[str, str]:
        now = int(time.time())
        said = {
            "iss": client_id,
            "sub": client_id,
            "aud": site.url,
            "exp": now + 60,
            "jti": b64(now.to_bytes(8)),
        }
        return {
            "grant_type": "client_credentials",
            "client_assertion_type": "urn:ietf:params:oauth:client-assertion-type:jwt-bearer",
            "client_assertion": jwt.encode({"alg": "ES256"}, said | more, key),
        }

    good = assertion()
    assert post_form(site.url, "/oauth/token", good).status == 200
    assert post_form(site.url, "/oauth/token", good).error == "invalid_client"  # Once.
    for wrong in (
        {"aud": "https://other.example"},
        {"exp": 1},
        {"sub": "x"},
        {"exp": int(time.time()) + 90_000},
    ):
        said = post_form(site.url, "/oauth/token", assertion(jti=str(wrong), **wrong))
        assert said.error == "invalid_client", wrong


def test_a_client_that_was_made_for_something_asks_for_no_more(site: Running, ada: Visitor) -> None:
    client = made(site, grant_types=["authorization_code"], redirect_uris=[REDIRECT], scope="agent:desk")
    assert client.tokens(ada, scope="")["scope"] == "agent:desk"
    assert back(ada.get(client.address(Pkce(), scope="all")))["error"] == "invalid_scope"


# --- devices ------------------------------------------------------------------------------------------


def started(client: Client, **more: str) -> dict[str, Any]:
    said = post_form(client.base, "/oauth/device_authorization", {"client_id": client.id, **more})
    assert said.status == 200, said.text
    return dict(said.body)


def test_a_device_waits_for_its_person(site: Running, ada: Visitor) -> None:
    client = Client(site.url, "a2a-cli")
    device = started(client, scope="all offline_access openid")
    poll = {"grant_type": DEVICE, "device_code": device["device_code"]}
    assert client.token(**poll).error == "authorization_pending"
    assert client.token(**poll).error == "slow_down"
    page = ada.get(device["verification_uri_complete"].removeprefix(site.url))
    assert device["user_code"] in page.text
    confirm = ada.post("/oauth/device", {"csrf": page.csrf, "user_code": device["user_code"].lower()})
    assert "the command line" in confirm.text
    assert "Everything that you may do here yourself" in confirm.text
    done = ada.post(
        "/oauth/device", confirm.fields() | {"user_code": device["user_code"], "decision": "allow"}
    )
    assert done.status == 200
    said = client.token(**poll)
    assert said.status == 200
    assert said.body["refresh_token"]
    who = ask(site.url, "GET", "/api/v1/whoami", headers=bearer(said.body["access_token"])).body
    assert (who["principal"], who["scopes"]) == (ADA, None)
    # Once; and who comes second ends what the first one got.
    assert client.token(**poll).error == "invalid_grant"
    assert ask(site.url, "GET", "/api/v1/whoami", headers=bearer(said.body["access_token"])).status == 401


def test_a_device_that_was_refused_gets_nothing(site: Running, ada: Visitor) -> None:
    client = Client(site.url, "a2a-cli")
    device = started(client)
    page = ada.get("/oauth/device")
    fields = {"csrf": page.csrf, "user_code": device["user_code"], "decision": "deny"}
    assert ada.post("/oauth/device", fields).status == 200
    poll = {"grant_type": DEVICE, "device_code": device["device_code"]}
    assert client.token(**poll).error == "access_denied"
    assert ada.post("/oauth/device", fields | {"decision": "allow"}).status == 400  # It was decided.


# --- acting for somebody ------------------------------------------------------------------------------


def exchanged(client: Client, subject: str, **more: str) -> Said:
    return client.token(grant_type=EXCHANGE, subject_token=subject, subject_token_type=ACCESS, **more)


def test_a_chain_of_six_acts_for_somebody(site: Running, ada: Visitor) -> None:
    token = Client.registered(site.url).tokens(ada)["access_token"]
    chain = [made(site, name=f"link {n}", grant_types=[EXCHANGE, "client_credentials"]) for n in range(7)]
    for client in chain[:6]:
        said = exchanged(client, token, scope="agent:desk")
        assert said.status == 200, said.text
        assert said.body["issued_token_type"] == ACCESS
        token = said.body["access_token"]
    told, act = claims(token), claims(token)["act"]
    nested: list[str] = []
    while act:
        nested.append(act["sub"])
        act = act.get("act")
    assert nested == [client.id for client in reversed(chain[:6])]
    assert shout(site, bearer(token)).status == 200
    who = ask(site.url, "GET", "/api/v1/whoami", headers=bearer(token)).body
    assert (who["principal"], who["actors"]) == (ADA, nested)
    assert told["scope"] == "agent:desk"
    assert exchanged(chain[6], token).error == "invalid_request"  # The setting says six.


def test_who_acts_for_somebody_erases_nothing_of_theirs(site: Running, ada: Visitor) -> None:
    token = Client.registered(site.url).tokens(ada, scope="all")["access_token"]
    client = made(site, name="agent", grant_types=[EXCHANGE, "client_credentials"])
    acting = exchanged(client, token, scope="all").body["access_token"]
    run = shout(site, bearer(acting)).headers["a2a-run"]
    path = f"/api/v1/runs/{run}/erase"
    refused = ask(site.url, "POST", path, {}, bearer(acting))
    assert (refused.status, "acts for somebody" in refused.text) == (403, True)
    assert ask(site.url, "POST", path, {}, bearer(token)).status == 200


def test_an_exchange_never_gives_more(site: Running, ada: Visitor) -> None:
    client = made(site, grant_types=[EXCHANGE, "client_credentials"])
    public = Client.registered(site.url)
    token = public.tokens(ada, scope="agent:desk", resource=f"{site.url}/agents/desk")["access_token"]
    assert exchanged(client, token, scope="all").error == "invalid_scope"
    assert exchanged(client, token, scope="agents.call").error == "invalid_scope"
    assert exchanged(client, token, resource=f"{site.url}/agents/other").error == "invalid_target"
    assert exchanged(client, token, resource=site.url).error == "invalid_target"
    assert exchanged(client, token + "x").error == "invalid_grant"
    assert exchanged(public, token).status == 401
    wide = public.tokens(ada, scope="agents.call", resource=f"{site.url}/agents/desk")["access_token"]
    assert exchanged(client, wide, resource=f"{site.url}/agents/other").error == "invalid_target"
    assert exchanged(client, wide, resource=f"{site.url}/agents/desk/mcp").status == 200
    good = exchanged(client, token).body["access_token"]
    assert claims(good)["exp"] <= claims(token)["exp"]
    # What was exchanged ends with what it came of.
    post_form(site.url, "/oauth/revoke", {"client_id": public.id, "token": token})
    assert exchanged(client, token).error == "invalid_grant"


# --- proofs of possession -----------------------------------------------------------------------------


def test_a_bound_token_needs_its_key(site: Running, ada: Visitor) -> None:
    client, prover = Client.registered(site.url), Prover()
    tokens = client.tokens(ada, prover)
    token, url = tokens["access_token"], f"{site.url}/agents/desk/invoke/shout"
    assert tokens["token_type"] == "DPoP"

    def with_proof(proof: str, scheme: str = "DPoP") -> Said:
        headers = {"Authorization": f"{scheme} {token}", "Content-Type": "application/json", "DPoP": proof}
        return shout(site, headers)

    proof = prover.proof("POST", url, token)
    assert with_proof(proof).body == "HI"
    for wrong in (
        proof,  # A second time.
        Prover().proof("POST", url, token),
        prover.proof("GET", url, token),
        prover.proof("POST", url + "2", token),
        prover.proof("POST", url, "another token"),
        prover.proof("POST", url, token, jti=None),
        prover.proof("POST", url, token, nonce="guessed"),
        "nonsense",
        "",
    ):
        said = with_proof(wrong)
        assert said.status == 401
        assert said.headers["www-authenticate"].startswith("DPoP ")
    assert with_proof(prover.proof("POST", url, token), "Bearer").status == 401
    assert client.refresh(tokens["refresh_token"]).error == "invalid_dpop_proof"
    assert client.refresh(tokens["refresh_token"], Prover()).error == "invalid_dpop_proof"
    assert client.refresh(tokens["refresh_token"], prover).status == 200


def test_a_clock_that_is_off_is_told_a_nonce(site: Running, ada: Visitor) -> None:
    client, prover = Client.registered(site.url), Prover()
    token, url = client.tokens(ada, prover)["access_token"], f"{site.url}/api/v1/whoami"
    headers = {"Authorization": f"DPoP {token}"}
    late = int(time.time()) - 600
    said = ask(
        site.url,
        "GET",
        "/api/v1/whoami",
        headers=headers | {"DPoP": prover.proof("GET", url, token, iat=late)},
    )
    assert (said.status, 'error="use_dpop_nonce"' in said.headers["www-authenticate"]) == (401, True)
    again = prover.proof("GET", url, token, iat=late, nonce=said.headers["dpop-nonce"])
    assert ask(site.url, "GET", "/api/v1/whoami", headers=headers | {"DPoP": again}).status == 200


# --- ends ---------------------------------------------------------------------------------------------


def test_what_is_given_back_is_over(site: Running, ada: Visitor) -> None:
    client = Client.registered(site.url)
    tokens = client.tokens(ada)
    give = {"client_id": client.id, "token": tokens["access_token"]}
    assert post_form(site.url, "/oauth/revoke", give | {"client_id": "a2a-cli"}).status == 400  # Another's.
    assert post_form(site.url, "/oauth/revoke", give).status == 200
    assert shout(site, bearer(tokens["access_token"])).status == 401
    second = client.refresh(tokens["refresh_token"]).body
    give["token"] = second["refresh_token"]
    assert post_form(site.url, "/oauth/revoke", give).status == 200
    assert shout(site, bearer(second["access_token"])).status == 401
    assert client.refresh(second["refresh_token"]).error == "invalid_grant"
    assert post_form(site.url, "/oauth/revoke", give | {"token": "never was one"}).status == 200


def test_people_end_what_they_allowed(site: Running, ada: Visitor) -> None:
    client = Client.registered(site.url, client_name="To be ended")
    token = client.tokens(ada)["access_token"]
    listed = ada.get("/api/v1/oauth/grants", headers={"Accept": "application/json"}).json()["grants"]
    mine = next(one for one in listed if one["client"] == client.id)
    assert mine["name"] == "To be ended"
    ended = ada.ask("DELETE", f"/api/v1/oauth/grants/{mine['id']}", mode="cors")
    assert ended.status == 200
    assert shout(site, bearer(token)).status == 401


def test_introspection_is_for_those_who_may_know(site: Running, ada: Visitor) -> None:
    token = Client.registered(site.url).tokens(ada)["access_token"]
    asks = made(site)

    def about(client: Client, what: str) -> Said:
        fields = {"token": what, "client_id": client.id, "client_secret": client.secret}
        return post_form(site.url, "/oauth/introspect", fields)

    told = about(asks, token).body
    assert (told["active"], told["sub"], told["token_type"]) == (True, claims(token)["sub"], "Bearer")
    assert about(asks, token + "x").body == {"active": False}
    stranger = Client.registered(site.url, token_endpoint_auth_method="client_secret_post")
    assert about(stranger, token).body == {"active": False}
    assert about(Client(site.url, "a2a-cli"), token).status == 401


# --- registration -------------------------------------------------------------------------------------


def test_a_registered_client_looks_after_itself(site: Running) -> None:
    said = post_json(
        site.url, "/oauth/register", {"redirect_uris": [REDIRECT], "token_endpoint_auth_method": "none"}
    )
    assert "client_secret" not in said.body  # It has nowhere to keep one.
    where = said.body["registration_client_uri"].removeprefix(site.url)
    auth = {"Authorization": f"Bearer {said.body['registration_access_token']}"}
    assert ask(site.url, "GET", where, headers=auth).body["client_id"] == said.body["client_id"]
    document = {"redirect_uris": ["https://a.example/cb"], "token_endpoint_auth_method": "none"}
    kind = {"Content-Type": "application/json"}
    changed = ask(site.url, "PUT", where, json.dumps(document).encode(), auth | kind)
    assert changed.body["redirect_uris"] == ["https://a.example/cb"]
    assert ask(site.url, "GET", where, headers={"Authorization": "Bearer a2g_x"}).status == 401
    assert ask(site.url, "DELETE", where, headers=auth).status == 204
    assert ask(site.url, "GET", where, headers=auth).status == 401


# --- restarts -----------------------------------------------------------------------------------------


def free_port() -> int:
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        return int(taken.getsockname()[1])


def test_a_restart_in_the_middle_loses_nothing(tmp_path: Path) -> None:
    site = start_platform([AGENTS / "desk"], tmp_path, A2A_LIMITS="off", A2A_PORT=str(free_port()))
    try:
        ada = signed_in(site)
        client, pkce, prover = Client.registered(site.url), Pkce(), Prover()
        shown = ada.get(client.address(pkce))
        kill(site)
        code = client.decided(ada, shown)["code"]  # The page was there before.
        kill(site)
        tokens = client.redeem(code, pkce, prover).body
        device = started(Client(site.url, "a2a-cli"))
        url = f"{site.url}/api/v1/whoami"
        headers = {"Authorization": f"DPoP {tokens['access_token']}"}
        proof = {"DPoP": prover.proof("GET", url, tokens["access_token"], iat=int(time.time()) + 5)}
        assert ask(site.url, "GET", "/api/v1/whoami", headers=headers | proof).status == 200
        kill(site)
        proof = {"DPoP": prover.proof("GET", url, tokens["access_token"], iat=int(time.time()) - 30)}
        shown_again = ask(site.url, "GET", "/api/v1/whoami", headers=headers | proof)
        assert 'error="use_dpop_nonce"' in shown_again.headers["www-authenticate"]
        fresh = {"DPoP": prover.proof("GET", url, tokens["access_token"], iat=int(time.time()) + 5)}
        assert ask(site.url, "GET", "/api/v1/whoami", headers=headers | fresh).status == 200
        second = client.refresh(tokens["refresh_token"], prover).body
        page = ada.get("/oauth/device")
        ada.post("/oauth/device", {"csrf": page.csrf, "user_code": device["user_code"], "decision": "allow"})
        kill(site)
        poll = {"grant_type": DEVICE, "device_code": device["device_code"]}
        assert Client(site.url, "a2a-cli").token(**poll).status == 200
        # What was used before the crash counts as used after it.
        assert client.redeem(code, pkce, prover).error == "invalid_grant"
        kill(site)
        assert client.refresh(second["refresh_token"], prover).error == "invalid_grant"
        headers = {"Authorization": f"DPoP {second['access_token']}"}
        proof = {"DPoP": prover.proof("GET", url, second["access_token"], iat=int(time.time()) + 5)}
        assert ask(site.url, "GET", "/api/v1/whoami", headers=headers | proof).status == 401
    finally:
        site.stop()


def kill(site: Running) -> None:
    site.kill()
    site.restart()
