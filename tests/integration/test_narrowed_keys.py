"""Narrowed keys over the wire: what one is good for, in every way of calling, and nothing else, not even what
is its principal's own."""

from __future__ import annotations

import json
from collections.abc import Iterator
from typing import Any

import a2a.types.a2a_pb2 as pb
import grpc
import pytest
from google.protobuf import struct_pb2
from oauth_client import Said, ask

from a2a_cloud.surface.api import cold, scopes
from running import AGENTS, Running, start_platform


@pytest.fixture(scope="module")
def site(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Running]:
    folders = [AGENTS / "desk", AGENTS / "open"]
    running = start_platform(folders, tmp_path_factory.mktemp("narrow"), A2A_LIMITS="off", A2A_GRPC_PORT="0")
    yield running
    running.stop()


def api(site: Running, key: str, method: str, path: str, body: Any = None, **more: str) -> Said:
    headers = {"Authorization": f"Bearer {key}", "Content-Type": "application/json", **more}
    return ask(site.url, method, path, None if body is None else json.dumps(body).encode(), headers)


def made(site: Running, *scopes: str, role: str = "admin", **more: Any) -> str:
    body = {"principal": "ci", "role": role, "scopes": list(scopes), **more}
    said = api(site, site.key, "POST", "/api/v1/keys", body)
    assert said.status == 201, said.text
    return str(said.body["key"])


@pytest.fixture(scope="module")
def narrow(site: Running) -> str:
    """A key that is good for one skill of one agent."""
    return made(site, "agent:desk/shout")


def rpc(site: Running, key: str, agent: str, skill: str) -> Any:
    message = {
        "messageId": f"m-{agent}-{skill}",
        "role": "ROLE_USER",
        "parts": [{"data": {"skill": skill, "arguments": {"text": "hi"}}}],
    }
    body = {"jsonrpc": "2.0", "id": 1, "method": "SendMessage", "params": {"message": message}}
    return api(site, key, "POST", f"/agents/{agent}", body, **{"A2A-Version": "1.0"}).body


def tool(site: Running, key: str, path: str, name: str) -> Any:
    params = {"name": name, "arguments": {"text": "hi"}}
    body = {"jsonrpc": "2.0", "id": 1, "method": "tools/call", "params": {**params, "_meta": _META}}
    more = {"MCP-Protocol-Version": "2026-07-28", "Mcp-Method": "tools/call", "Mcp-Name": name}
    return api(site, key, "POST", path, body, Accept="application/json, text/event-stream", **more)


_META = {
    "io.modelcontextprotocol/protocolVersion": "2026-07-28",
    "io.modelcontextprotocol/clientInfo": {"name": "t", "version": "1"},
    "io.modelcontextprotocol/clientCapabilities": {},
}


def grpc_call(site: Running, key: str, agent: str, skill: str) -> str:
    data = struct_pb2.Value()
    data.struct_value.update({"skill": skill, "arguments": {"text": "hi"}})
    message = pb.Message(message_id=f"g-{agent}-{skill}", role=pb.ROLE_USER, parts=[pb.Part(data=data)])
    request = pb.SendMessageRequest(tenant=agent, message=message)
    with grpc.insecure_channel(site.grpc) as channel:
        method = channel.unary_unary(
            "/lf.a2a.v1.A2AService/SendMessage",
            request_serializer=pb.SendMessageRequest.SerializeToString,
            response_deserializer=pb.SendMessageResponse.FromString,
        )
        metadata = (("authorization", f"Bearer {key}"), ("a2a-version", "1.0"))
        try:
            method(request, metadata=metadata, timeout=20)
        except grpc.RpcError as error:
            return str(error.code().name)  # type: ignore[attr-defined]
    return "OK"


def test_it_calls_what_it_is_good_for(site: Running, narrow: str) -> None:
    assert api(site, narrow, "POST", "/agents/desk/invoke/shout", {"text": "hi"}).body == "HI"
    assert "result" in rpc(site, narrow, "desk", "shout")
    assert grpc_call(site, narrow, "desk", "shout") == "OK"
    said = tool(site, narrow, "/agents/desk/mcp", "shout")
    assert said.status == 200, said.text
    assert "HI" in said.text


@pytest.mark.parametrize(
    ("agent", "skill"), [("desk", "words"), ("open", "shout")], ids=["other-skill", "other-agent"]
)
def test_it_calls_nothing_else(site: Running, narrow: str, agent: str, skill: str) -> None:
    said = api(site, narrow, "POST", f"/agents/{agent}/invoke/{skill}", {"text": "hi"})
    assert (said.status, said.body["code"]) == (403, "forbidden")
    said = api(
        site,
        narrow,
        "POST",
        f"/agents/{agent}/tasks",
        {
            "message": {
                "messageId": "t",
                "role": "ROLE_USER",
                "parts": [{"data": {"skill": skill, "arguments": {"text": "hi"}}}],
            }
        },
    )
    assert said.status == 403, said.text
    assert "error" in rpc(site, narrow, agent, skill)
    assert grpc_call(site, narrow, agent, skill) == "PERMISSION_DENIED"
    said = tool(site, narrow, f"/agents/{agent}/mcp", skill)
    assert "HI" not in said.text


def test_the_catalogue_has_what_it_reaches(site: Running, narrow: str) -> None:
    body = {"jsonrpc": "2.0", "id": 1, "method": "tools/list", "params": {"_meta": _META}}
    more = {"MCP-Protocol-Version": "2026-07-28", "Mcp-Method": "tools/list"}
    accept = "application/json, text/event-stream"
    said = api(site, narrow, "POST", "/mcp", body, Accept=accept, **more)
    assert said.status == 200, said.text
    assert "open" not in {tool["name"].partition(".")[0] for tool in said.body["result"]["tools"]}


@pytest.mark.parametrize(
    "path", ["", "/.well-known/agent-card.json", "/tasks", "/extendedAgentCard", "/openapi.json", "/docs"]
)
def test_it_reads_nothing_of_other_agents(site: Running, narrow: str, path: str) -> None:
    assert api(site, narrow, "GET", f"/agents/open{path}").status in (403, 405)
    if path:
        assert api(site, narrow, "GET", f"/agents/desk{path}").status != 403


# --- the control API ------------------------------------------------------------------------------------

#: Of oneself, of the agent that the key is good for, and to tell of keys that leaked.
OPEN = {*(("GET", path) for path in ("whoami", "agents/desk", "search", "limits")), ("POST", "keys/leaked")}


def routes() -> list[tuple[str, str]]:
    found: list[tuple[str, str]] = []
    for pattern, methods in cold._ROUTES:  # pyright: ignore[reportPrivateUsage]
        path = "/".join(
            {"*": "desk" if pattern[2] == "agents" and n == 3 else "1", "**": "x"}.get(step, step)
            for n, step in enumerate(pattern)
            if n > 1
        )
        found += [(method, path) for method in methods]
    return found


@pytest.mark.parametrize(("method", "path"), routes(), ids=lambda word: word)
def test_it_opens_nothing_of_the_control_api(site: Running, narrow: str, method: str, path: str) -> None:
    """Also of what is its principal's own, and though its role is an admin's."""
    said = api(site, narrow, method, f"/api/v1/{path}", None if method == "GET" else {})
    assert (said.status == 403) is ((method, path) not in OPEN), said.text


READS = [
    ("runs.read", "runs"),
    ("runs.read", "push"),
    ("approvals.decide", "approvals"),
    ("grants.manage", "grants"),
    ("secrets.manage", "secrets"),
    ("keys.manage", "keys"),
    ("workspaces.read", "workspaces"),
    ("audit.read", "audit"),
    ("agents.deploy", "agents"),
    ("agents.call", "agents"),
    ("agents.call", "hooks"),
    ("platform.manage", "doctor"),
    ("logs.read", "agents/desk/logs"),
]


@pytest.mark.parametrize(("scope", "path"), READS)
def test_a_permission_opens_its_part(site: Running, scope: str, path: str) -> None:
    key = made(site, scope)
    assert api(site, key, "GET", f"/api/v1/{path}").status == 200
    for other, closed in READS:
        if not {scope, other} & {"agents.call", "agents.deploy"} and scope != other:
            assert api(site, key, "GET", f"/api/v1/{closed}").status == 403, closed


def test_it_makes_no_hook(site: Running) -> None:
    """A hook acts with all that its maker may, also for who shows a narrowed key."""
    body = {"agent": "desk", "skill": "shout", "scheme": "github"}
    refused = api(site, made(site, "agents.call"), "POST", "/api/v1/hooks", body)
    assert (refused.status, refused.body["code"]) == (403, "forbidden")
    assert api(site, site.key, "POST", "/api/v1/hooks", body).status == 201


def test_a_scope_gives_nothing_that_the_role_does_not_have(site: Running) -> None:
    key = made(site, "keys.manage", "secrets.manage", "agent:desk", role="member")
    for path in ("keys", "secrets"):
        assert api(site, key, "GET", f"/api/v1/{path}").status == 403


def test_every_resource_of_the_control_api_is_thought_of() -> None:
    """Closed to narrowed keys on purpose, or in the table."""
    closed = {
        *("invites", "links", "sessions", "accounts", "oauth", "services", "sigv4", "scim", "people"),
        *("backup", "restore", "retention", "registry", "catalog"),
    }
    first = {pattern[2] for pattern, _ in cold._ROUTES}  # pyright: ignore[reportPrivateUsage]
    assert first - set(scopes._NEEDS) - closed == set()  # pyright: ignore[reportPrivateUsage]


# --- keys over HTTP ---------------------------------------------------------------------------------------


def test_the_life_of_a_key(site: Running) -> None:
    body = {"principal": "bo", "scopes": ["agent:desk"], "expires_in": 3600, "label": "laptop"}
    key = api(site, site.key, "POST", "/api/v1/keys", body).body
    assert key["prefix"] == key["key"][:16]
    assert (key["scopes"], key["last_used"], key["replaces"]) == (["agent:desk"], None, None)
    who = api(site, key["key"], "GET", "/api/v1/whoami").body
    assert (who["scopes"], who["key"], who["permissions"]) == (["agent:desk"], key["id"], [])
    path = f"/api/v1/keys/{key['id']}/rotate"
    new = api(site, site.key, "POST", path, {"overlap": 60}).body
    assert new["replaces"] == key["id"]
    for good in (key["key"], new["key"]):
        assert api(site, good, "GET", "/api/v1/whoami").status == 200
    listed = {row["id"]: row for row in api(site, site.key, "GET", "/api/v1/keys").body["keys"]}
    assert listed[key["id"]]["last_used"]
    assert listed[key["id"]]["expires"] < key["expires"]
    assert not any("key" in row for row in listed.values())
    api(site, site.key, "POST", path.replace(key["id"], new["id"]), {})
    assert api(site, new["key"], "GET", "/api/v1/whoami").status == 401


@pytest.mark.parametrize(
    ("path", "body"),
    [
        ("", {"principal": "x", "scopes": "agent:desk"}),
        ("", {"principal": "x", "scopes": []}),
        ("", {"principal": "x", "scopes": [5]}),
        ("", {"principal": "x", "role": "boss"}),
        ("", {"principal": "x", "role": 5}),
        ("", {"principal": "x", "expires_in": 0}),
        ("", {"principal": "x", "expires_in": 1e999}),
        ("", {"principal": "x", "expires_in": 1 << 70}),
        ("", {"principal": "corp:x"}),
        ("/leaked", {}),
        ("/leaked", {"keys": [{"id": "x", "sha256": "zz"}]}),
        ("/leaked", {"keys": [{"id": "0" * 12}] * 1001}),
        ("/leaked", []),
        ("/1/rotate", {"overlap": "1h"}),
        ("/1/rotate", {"overlap": -1}),
    ],
    ids=str,
)
def test_bodies_that_are_refused(site: Running, path: str, body: Any) -> None:
    said = api(site, site.key, "POST", f"/api/v1/keys{path}", body)
    assert said.status in (400, 404, 422), said.text
    assert said.body["detail"]


def test_a_report_needs_the_hash_alone(site: Running, narrow: str) -> None:
    from hashlib import sha256

    key = made(site, "agent:desk")
    report = {"keys": [{"id": key[4:16], "sha256": sha256(key.encode()).hexdigest()}], "revoke": True}
    said = api(site, narrow, "POST", "/api/v1/keys/leaked", report)
    assert said.body == {"keys": [{"id": key[4:16], "state": "active", "revoked_now": True}]}
    assert api(site, key, "GET", "/api/v1/whoami").status == 401
