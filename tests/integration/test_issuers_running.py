"""An outside issuer with a web site of its own, and agents that take its tokens, over the wire: bindings, the
card, the deploy."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

import a2a.types.a2a_pb2 as pb
import grpc
import pytest
from joserfc import jwt
from joserfc.jwk import ECKey, KeySet
from oauth_client import Said, ask

from running import AGENTS, Running, start_platform

AUDIENCE = "https://agents.example.com"


class Issuer:
    """A provider's web site: what describes it, and its keys."""

    def __init__(self) -> None:
        self.key = ECKey.generate_key("P-256", parameters={"kid": "one"})
        self.asked = 0
        issuer = self

        class Pages(BaseHTTPRequestHandler):
            def do_GET(self) -> None:
                if self.path == "/.well-known/openid-configuration":
                    document: Any = {"issuer": issuer.url, "jwks_uri": f"{issuer.url}/keys"}
                else:
                    issuer.asked += 1
                    document = KeySet([issuer.key]).as_dict(private=False)
                body = json.dumps(document).encode()
                self.send_response(200)
                self.send_header("Content-Type", "application/json")
                self.send_header("Content-Length", str(len(body)))
                self.end_headers()
                self.wfile.write(body)

            def log_message(self, format: str, *args: Any) -> None:  # noqa: A002
                return

        self.server = ThreadingHTTPServer(("127.0.0.1", 0), Pages)
        self.url = f"http://127.0.0.1:{self.server.server_port}"
        threading.Thread(target=self.server.serve_forever, daemon=True).start()

    def token(self, **claims: Any) -> str:
        now = int(time.time())
        told = {"iss": self.url, "aud": AUDIENCE, "sub": "alice", "iat": now, "exp": now + 600, **claims}
        return jwt.encode({"alg": "ES256", "kid": self.key.kid}, told, self.key)

    def close(self) -> None:
        self.server.shutdown()
        self.server.server_close()


@pytest.fixture(scope="module")
def issuer() -> Iterator[Issuer]:
    made = Issuer()
    yield made
    made.close()


_CODE = """
from a2a_cloud import Context, skill


@skill
async def who(ctx: Context) -> str:
    return f"{ctx.caller.name}@{ctx.caller.org}"


@skill(scopes=["invoices.pay"])
async def pay() -> str:
    return "paid"
"""


def agent(folder: Path, name: str, more: str) -> Path:
    folder.mkdir()
    (folder / "a2a.toml").write_text(f'name = "{name}"\nentry = "agent.py"\n{more}')
    (folder / "agent.py").write_text(_CODE)
    return folder


@pytest.fixture(scope="module")
def site(tmp_path_factory: pytest.TempPathFactory, issuer: Issuer) -> Iterator[Running]:
    home = tmp_path_factory.mktemp("issuers")
    (home / "issuers.toml").write_text(
        f'[corp]\nissuer = "{issuer.url}"\naudience = ["{AUDIENCE}"]\nwords = "scope"\n'
        '[strict]\nissuer = "https://login.example.com"\njwks_uri = "https://login.example.com/jwks"\n'
        'require = { groups = ["agents"] }\norganisations = ["acme"]\n'
    )
    folders = [
        agent(home / "taker", "taker", '[auth]\nissuers = ["corp"]\n'),
        agent(home / "other", "other", ""),
        AGENTS / "desk",
    ]
    running = start_platform(
        folders, home, A2A_LIMITS="off", A2A_GRPC_PORT="0", A2A_ISSUERS=str(home / "issuers.toml")
    )
    yield running
    running.stop()


def call(site: Running, token: str, path: str, body: Any = None) -> Said:
    headers = {"Authorization": f"Bearer {token}", "Content-Type": "application/json"}
    return ask(
        site.url, "POST" if body is not None else "GET", path, json.dumps(body or {}).encode(), headers
    )


def test_a_token_calls_the_agent_that_takes_it(site: Running, issuer: Issuer) -> None:
    said = call(site, issuer.token(), "/agents/taker/invoke/who", {})
    assert (said.status, said.body) == (200, "corp:alice@default"), said.text
    message = {"messageId": "m", "role": "ROLE_USER", "parts": [{"data": {"skill": "who"}}]}
    rpc = {"jsonrpc": "2.0", "id": 1, "method": "SendMessage", "params": {"message": message}}
    assert "corp:alice@default" in call(site, issuer.token(), "/agents/taker", rpc).text
    init = {"protocolVersion": "2025-11-25", "capabilities": {}, "clientInfo": {"name": "t", "version": "1"}}
    body = {"jsonrpc": "2.0", "id": 1, "method": "initialize", "params": init}
    headers = {"Accept": "application/json, text/event-stream", "Content-Type": "application/json"}
    headers["Authorization"] = f"Bearer {issuer.token()}"
    assert ask(site.url, "POST", "/agents/taker/mcp", json.dumps(body).encode(), headers).status == 200


def test_by_grpc(site: Running, issuer: Issuer) -> None:
    with grpc.insecure_channel(site.grpc) as channel:
        listed = channel.unary_unary(
            "/lf.a2a.v1.A2AService/ListTasks",
            request_serializer=pb.ListTasksRequest.SerializeToString,
            response_deserializer=pb.ListTasksResponse.FromString,
        )

        def tried(token: str, tenant: str) -> str:
            metadata = (("authorization", f"Bearer {token}"), ("a2a-version", "1.0"))
            try:
                listed(pb.ListTasksRequest(tenant=tenant), metadata=metadata, timeout=20)
            except grpc.RpcError as error:
                return str(error.code().name)  # type: ignore[attr-defined]
            return "OK"

        assert tried(issuer.token(), "taker") == "OK"
        assert tried(issuer.token(), "other") == "UNAUTHENTICATED"
        assert tried(issuer.token(aud="x"), "taker") == "UNAUTHENTICATED"


def test_two_subjects_are_two_owners(site: Running, issuer: Issuer) -> None:
    said = call(site, issuer.token(), "/agents/taker/invoke/who", {})
    path = f"/agents/taker/runs/{said.headers['a2a-run']}/receipt"
    assert call(site, issuer.token(), path).status != 404
    assert call(site, issuer.token(sub="eve"), path).status == 404
    tasks = call(site, issuer.token(sub="eve"), "/agents/taker/tasks").body["tasks"]
    assert tasks == []
    assert call(site, issuer.token(), "/agents/taker/tasks").body["tasks"]


@pytest.mark.parametrize(
    "path",
    [
        "/agents/other/invoke/who",
        "/agents/desk/invoke/shout",
        "/agents/nothing/invoke/x",
        "/api/v1/keys",
        "/mcp",
    ],
)
def test_it_opens_nothing_else(site: Running, issuer: Issuer, path: str) -> None:
    said = call(site, issuer.token(), path, {"text": "hi"})
    assert said.status == (404 if "nothing" in path else 401), said.text


@pytest.mark.parametrize("claims", [{"exp": 1}, {"aud": "x"}, {"sub": ""}, {"cnf": {"jkt": "x"}}], ids=str)
def test_tokens_that_are_not_good(site: Running, issuer: Issuer, claims: dict[str, Any]) -> None:
    said = call(site, issuer.token(**claims), "/agents/taker/invoke/who", {})
    assert (said.status, said.body["code"]) == (401, "unauthenticated")
    assert "www-authenticate" in said.headers


def test_a_key_beside_the_token_is_refused(site: Running, issuer: Issuer) -> None:
    headers = {"Authorization": f"Bearer {issuer.token()}", "X-API-Key": site.key}
    assert ask(site.url, "POST", "/agents/taker/invoke/who", b"{}", headers).status == 400


def test_words_of_the_token_open_a_skill(site: Running, issuer: Issuer) -> None:
    path = "/agents/taker/invoke/pay"
    assert call(site, issuer.token(), path, {}).status == 403
    assert call(site, issuer.token(scope="openid invoices.pay"), path, {}).body == "paid"


def test_the_card_says_so(site: Running, issuer: Issuer) -> None:
    card = ask(site.url, "GET", "/agents/taker/.well-known/agent-card.json", None, site.auth).body
    where = f"{issuer.url}/.well-known/openid-configuration"
    scheme = card["securitySchemes"]["corp"]
    assert scheme["openIdConnectSecurityScheme"]["openIdConnectUrl"] == where
    assert (scheme["type"], scheme["openIdConnectUrl"]) == ("openIdConnect", where)
    assert {"schemes": {"corp": {}}} in [
        {"schemes": {name: {} for name in each["schemes"]}} for each in card["securityRequirements"]
    ]
    other = ask(site.url, "GET", "/agents/other/.well-known/agent-card.json", None, site.auth).body
    assert "corp" not in other["securitySchemes"]


def test_a_deploy_with_an_issuer_that_is_not_for_it(site: Running, tmp_path: Path) -> None:
    for name in ("strict", "unknown"):
        folder = agent(tmp_path / name, f"x-{name}", f'[auth]\nissuers = ["{name}"]\n')
        done = subprocess.run(
            [sys.executable, "-m", "a2a_cloud.callers.cli", "deploy", str(folder), "--json"],
            env={**os.environ, "A2A_URL": site.url, "A2A_KEY": site.key},
            capture_output=True,
            text=True,
            check=False,
        )
        assert done.returncode != 0
        assert f"names the issuer '{name}'" in done.stdout + done.stderr
