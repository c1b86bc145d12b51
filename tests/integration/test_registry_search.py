"""The registry from outside: search over HTTP, MCP and A2A, by the command line and from inside an agent,
card history, the standard catalogue; and who sees what of them."""

from __future__ import annotations

import asyncio
import json
import os
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import httpx
import pytest
from a2a.client import ClientConfig
from a2a.client.client_factory import ClientFactory
from a2a.types import a2a_pb2 as pb
from google.protobuf import json_format

from running import AGENTS, Running, start_platform

PLANNER = '''
from typing import Any

from a2a_cloud import Context, Problem, skill


@skill(tags=["planning"])
async def ask_around(ctx: Context, wish: str) -> list[str]:
    """Names agents that could help with a wish."""
    found: dict[str, Any] = await ctx.call("a2a-cloud", "search", query=wish, by="words")
    return [one["name"] for one in found["agents"]]


@skill
async def wrong(ctx: Context, skill: str, what: Any) -> str:
    """Asks for what there isn't."""
    try:
        await ctx.call("a2a-cloud", skill, **what)
    except Problem as problem:
        return problem.code
    return "no problem"
'''
MANIFEST = """
name = "organiser"
description = "Plans with the help of others"
version = "1.2.0"
visibility = "org"

[provider]
name = "Tests"
url = "https://example.com"

[grant]
skills = ["a2a-cloud/*"]
"""


@pytest.fixture(scope="module")
def site(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Running]:
    home = tmp_path_factory.mktemp("registry")
    folder = home / "organiser"
    folder.mkdir()
    (folder / "a2a.toml").write_text(MANIFEST)
    (folder / "agent.py").write_text(PLANNER)
    running = start_platform([folder, AGENTS / "open", AGENTS / "carded"], home)
    yield running
    running.stop()


def get(site: Running, path: str, *, anonymous: bool = False, **params: str) -> Any:
    answer = httpx.get(site.url + path, params=params, headers={} if anonymous else site.auth, timeout=60)
    assert answer.status_code == 200, answer.text
    return answer.json()


def names(found: dict[str, Any]) -> list[str]:
    return [one["name"] for one in found["agents"]]


def cli(site: Running, *words: str) -> subprocess.CompletedProcess[str]:
    env = {**site.env, "PATH": os.environ["PATH"]}
    command = [sys.executable, "-m", "a2a_cloud.callers.cli", *words]
    return subprocess.run(command, env=env, capture_output=True, text=True, timeout=60, check=False)


# --- search ---------------------------------------------------------------------------------------------


def test_by_words_and_by_meaning(site: Running) -> None:
    found = get(site, "/api/v1/search", q="louder", by="words")
    assert names(found)[0] == "open"
    (skill,) = found["agents"][0]["skills"]
    assert (skill["id"], skill["score"]) == ("shout", found["agents"][0]["score"])
    assert found["agents"][0]["health"] == "ready"
    # "organise a trip" says no word of it.
    found = get(site, "/api/v1/search", q="who can speak in capital letters?", by="meaning")
    assert found["meaning"] == "used"
    assert "open" in names(found)


def test_by_what_skills_take_and_give(site: Running) -> None:
    assert names(get(site, "/api/v1/search", parameter="wish:string")) == ["organiser"]
    assert names(get(site, "/api/v1/search", tag="talk")) == ["carded"]
    assert names(get(site, "/api/v1/search", returns="array", tag="planning")) == ["organiser"]


@pytest.mark.parametrize(
    ("params", "field"),
    [
        ({"by": "luck"}, "by"),
        ({"limit": "0"}, "limit"),
        ({"q": "x" * 1001}, "q"),
        ({"colour": "red"}, "colour"),
    ],
    ids=["by", "limit", "long", "unknown"],
)
def test_a_query_that_can_not_be_read(site: Running, params: dict[str, str], field: str) -> None:
    answer = httpx.get(f"{site.url}/api/v1/search", params=params)
    assert (answer.status_code, answer.json()["field"]) == (400, field)


def test_strangers_find_what_is_public(site: Running) -> None:
    assert names(get(site, "/api/v1/search", anonymous=True)) == ["carded", "open"]
    assert names(get(site, "/api/v1/search", anonymous=True, q="plans with the help of others")) == []
    skills = {one["id"] for one in get(site, "/api/v1/search", anonymous=True)["agents"][0]["skills"]}
    assert "cite" in skills
    assert "inside" not in skills


def test_by_mcp(site: Running) -> None:
    meta = {
        "io.modelcontextprotocol/protocolVersion": "2026-07-28",
        "io.modelcontextprotocol/clientCapabilities": {},
        "io.modelcontextprotocol/clientInfo": {"name": "t", "version": "1"},
    }
    params = {"name": "a2a_search", "arguments": {"query": "say it louder"}, "_meta": meta}
    headers = {
        "MCP-Protocol-Version": "2026-07-28",
        "Mcp-Method": "tools/call",
        "Mcp-Name": "a2a_search",
        "Accept": "application/json, text/event-stream",
    }
    body = {"jsonrpc": "2.0", "id": 1, "method": "tools/call", "params": params}
    answer = httpx.post(f"{site.url}/mcp", json=body, headers={**site.auth, **headers}, timeout=30).json()
    tools = answer["result"]["structuredContent"]["tools"]
    assert tools[0]["name"] == "open.shout"


def test_by_the_command_line(site: Running) -> None:
    done = cli(site, "search", "say", "it", "louder", "--by", "words")
    assert done.returncode == 0
    assert done.stdout.startswith("open: Anybody may call\n  shout: Say it louder.\n")
    found = json.loads(cli(site, "search", "--parameter", "wish", "--json").stdout)
    assert names(found) == ["organiser"]
    none = cli(site, "search", "zebra", "--by", "words")
    assert (none.returncode, none.stdout) == (0, "")
    assert "No agent" in none.stderr


def invoke(site: Running, skill: str, arguments: dict[str, Any]) -> httpx.Response:
    url = f"{site.agent('organiser')}/invoke/{skill}"
    return httpx.post(url, json=arguments, headers=site.auth, timeout=30)


def test_from_inside_an_agent(site: Running) -> None:
    answer = invoke(site, "ask_around", {"wish": "say it louder"})
    assert answer.json()[0] == "open"


@pytest.mark.parametrize(
    ("skill", "what", "code"),
    [
        ("dance", {}, "skill_not_found"),
        ("describe", {}, "invalid_params"),
        ("describe", {"agent": "nobody"}, "agent_not_found"),
    ],
    ids=["skill", "arguments", "agent"],
)
def test_an_agent_hears_what_is_wrong(site: Running, skill: str, what: dict[str, str], code: str) -> None:
    answer = invoke(site, "wrong", {"skill": skill, "what": what})
    assert answer.status_code == 200
    assert answer.json() == code


# --- the platform as an agent -----------------------------------------------------------------------------


@pytest.mark.parametrize("binding", ["JSONRPC", "HTTP+JSON"])
@pytest.mark.parametrize("streaming", [False, True], ids=["whole", "stream"])
def test_the_official_client_finds_help(site: Running, binding: str, streaming: bool) -> None:
    async def run() -> Any:
        async with httpx.AsyncClient(headers={"A2A-Version": "1.0", **site.auth}, timeout=30) as http:
            config = ClientConfig(
                httpx_client=http, supported_protocol_bindings=[binding], streaming=streaming
            )
            client = await ClientFactory(config).create_from_url(site.url)
            part = pb.Part(text="say it louder")
            message = pb.Message(message_id="m1", role=pb.ROLE_USER, parts=[part])
            return [one async for one in client.send_message(pb.SendMessageRequest(message=message))]

    (event,) = asyncio.run(run())
    said, data = event.message.parts
    assert "open (" in said.text
    found = json_format.MessageToDict(data.data)
    assert found["agents"][0]["name"] == "open"
    assert found["agents"][0]["url"] == site.agent("open")


def say(site: Running, params: dict[str, Any], method: str = "SendMessage", **headers: str) -> dict[str, Any]:
    body = {"jsonrpc": "2.0", "id": 1, "method": method, "params": params}
    return httpx.post(f"{site.url}/", json=body, headers={**site.auth, **headers}, timeout=30).json()


def message(*parts: dict[str, Any], **more: Any) -> dict[str, Any]:
    return {"message": {"messageId": "m1", "role": "ROLE_USER", "parts": list(parts), **more}}


def test_describe_gives_the_signed_card(site: Running) -> None:
    asked = message({"data": {"skill": "describe", "arguments": {"agent": "carded"}}})
    asked["configuration"] = {"acceptedOutputModes": ["application/json"]}
    (part,) = say(site, asked)["result"]["message"]["parts"]
    assert part["data"]["card"]["signatures"]
    assert "inside" in {one["id"] for one in part["data"]["card"]["skills"]}
    assert part["data"]["health"]["state"] == "ready"


def test_older_words_are_understood(site: Running) -> None:
    said = {"messageId": "1", "role": "user", "parts": [{"kind": "text", "text": "louder"}]}
    result = say(site, {"message": {"kind": "message", **said}}, "message/send")["result"]
    assert result["kind"] == "message"
    assert result["parts"][1]["data"]["agents"][0]["name"] == "open"
    card = httpx.get(f"{site.url}/.well-known/agent.json").json()
    assert card["url"] == site.url
    assert card["capabilities"]["pushNotifications"] is False


@pytest.mark.parametrize(
    ("method", "params", "reason"),
    [
        ("GetTask", {"id": "t"}, "TASK_NOT_FOUND"),
        ("CancelTask", {"id": "t"}, "TASK_NOT_FOUND"),
        ("SendMessage", message({"text": "x"}, taskId="t"), "TASK_NOT_FOUND"),
        ("SendMessage", message({"raw": "eA==", "mediaType": "text/plain"}), "CONTENT_TYPE_NOT_SUPPORTED"),
        (
            "CreateTaskPushNotificationConfig",
            {"taskId": "t", "url": "https://example.com"},
            "PUSH_NOTIFICATION_NOT_SUPPORTED",
        ),
        ("GetExtendedAgentCard", {}, "UNSUPPORTED_OPERATION"),
        ("SendMessage", message({"data": {"skill": "dance"}}), None),
        ("SendMessage", message({"data": {"skill": "describe", "arguments": {"agent": "7--open"}}}), None),
    ],
    ids=["get", "cancel", "task", "file", "push", "extended", "skill", "numbered"],
)
def test_what_it_does_not_do(site: Running, method: str, params: dict[str, Any], reason: str | None) -> None:
    error = say(site, params, method)["error"]
    if reason is not None:
        assert reason in {one.get("reason") for one in error["data"]}


def test_tasks_of_agents_are_not_its(site: Running) -> None:
    body = {"message": {"messageId": "other", "role": "ROLE_USER", "parts": [{"text": "x"}]}}
    task = httpx.post(f"{site.agent('open')}/tasks", json=body, headers=site.auth).json()["task"]["id"]
    assert say(site, {"id": task}, "GetTask")["error"]["code"] == -32001
    assert httpx.get(f"{site.url}/tasks", headers=site.auth).json()["tasks"] == []
    assert httpx.post(f"{site.url}/tasks", json=body, headers=site.auth).status_code == 400


# --- what is known of agents -------------------------------------------------------------------------------


def test_facts_of_an_agent(site: Running) -> None:
    assert invoke(site, "ask_around", {"wish": "anything"}).status_code == 200
    own = get(site, "/api/v1/agents/organiser")
    assert own["tags"] == ["planning"]
    assert own["provider"] == {"name": "Tests", "url": "https://example.com"}
    assert own["owner"] == "admin@default"
    assert own["health"] == {"state": "ready", "reason": ""}
    assert own["usage"]["runs"] >= 1
    public = get(site, "/api/v1/agents/open", anonymous=True)
    assert public["health"]["state"] == "ready"
    assert not {"usage", "owner"} & public.keys()


def test_the_standard_catalogue(site: Running) -> None:
    answer = httpx.get(f"{site.url}/.well-known/api-catalog")
    assert answer.headers["content-type"].startswith("application/linkset+json")
    assert answer.headers["link"] == f'<{site.url}/.well-known/api-catalog>; rel="api-catalog"'
    catalog, platform, *agents = answer.json()["linkset"]
    assert [one["href"] for one in catalog["item"]] == [site.agent("carded"), site.agent("open")]
    assert platform["anchor"] == site.url
    for one in agents:
        for relation in ("service-desc", "service-doc", "status"):
            for link in one[relation]:
                assert httpx.get(link["href"], headers=site.auth).status_code == 200
    head = httpx.head(f"{site.url}/.well-known/api-catalog", headers=site.auth)
    assert head.headers["link"] == answer.headers["link"]
    assert b"organiser" not in answer.content
    assert b"organiser" in httpx.get(f"{site.url}/.well-known/api-catalog", headers=site.auth).content


def test_the_history_of_a_card(site: Running, tmp_path: Path) -> None:
    folder = tmp_path / "organiser"
    folder.mkdir()
    (folder / "a2a.toml").write_text(MANIFEST.replace("1.2.0", "1.3.0"))
    (folder / "agent.py").write_text(PLANNER.replace("Names agents that", "Lists agents that"))
    done = cli(site, "deploy", str(folder))
    assert done.returncode == 0, done.stderr
    history = get(site, "/api/v1/agents/organiser/cards")
    newest, first = history["cards"]
    assert (newest["release"], newest["serving"], newest["compared_with"]) == (2, True, 1)
    assert (first["release"], first["serving"], first["changes"]) == (1, False, [])
    changes = {one["path"]: (one.get("before"), one.get("after")) for one in newest["changes"]}
    # The docstring stands in the skill's schema too.
    assert any(
        path.startswith("/capabilities/extensions/urn:a2a-cloud:skill-schemas:v1/") for path in changes
    )
    assert (
        changes.items()
        >= {
            "/skills/ask_around/description": (
                "Names agents that could help with a wish.",
                "Lists agents that could help with a wish.",
            ),
            "/version": ("1.2.0", "1.3.0"),
        }.items()
    )
    page = get(site, "/api/v1/agents/organiser/cards", limit="1")
    assert [one["release"] for one in page["cards"]] == [2]
    page = get(site, "/api/v1/agents/organiser/cards", before=str(page["before"]))
    assert [one["release"] for one in page["cards"]] == [1]
    assert httpx.get(first["card_url"], headers=site.auth).json()["version"] == "1.2.0"
    shown = cli(site, "card", "organiser", "--history")
    assert shown.returncode == 0, shown.stderr
    assert "release 2 (serves), version 1.3.0" in shown.stdout
    assert "    - 1.2.0\n    + 1.3.0\n" in shown.stdout
    # What serves now is what is found.
    assert names(get(site, "/api/v1/search", q="lists", by="words")) == ["organiser"]
    assert httpx.get(f"{site.url}/api/v1/agents/open/cards").status_code == 401
