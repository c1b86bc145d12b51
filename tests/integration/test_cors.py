"""Pages of other origins: what an agent that names some lets them do, and what one that names none does."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import httpx
import pytest

from running import Running, start_platform

APP = "https://app.example.com"
AGENT = '''from a2a_cloud import skill


@skill
async def echo(text: str) -> str:
    """Say it again."""
    return text
'''


def folder(where: Path, name: str, more: str) -> Path:
    where /= name
    where.mkdir(parents=True)
    (where / "a2a.toml").write_text(f'name = "{name}"\n{more}')
    (where / "agent.py").write_text(AGENT)
    return where


@pytest.fixture(scope="module")
def platform(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Running]:
    home = tmp_path_factory.mktemp("cors")
    agents = home / "agents"
    running = start_platform(
        [
            folder(agents, "named", f'[http]\ncors = ["{APP}"]\n'),
            folder(agents, "anybody", 'visibility = "public"\n[http]\ncors = ["*"]\n'),
            folder(agents, "nobody", 'visibility = "public"\n'),
        ],
        home,
    )
    yield running
    running.stop()


def preflight(platform: Running, path: str, origin: str = APP) -> httpx.Response:
    return httpx.options(
        f"{platform.url}/agents/{path}",
        headers={
            "Origin": origin,
            "Access-Control-Request-Method": "POST",
            "Access-Control-Request-Headers": "authorization,content-type",
        },
        timeout=10,
    )


def call(platform: Running, name: str, origin: str = APP, **headers: str) -> httpx.Response:
    return httpx.post(
        f"{platform.agent(name)}/invoke/echo",
        json={"text": "hi"},
        headers={"Origin": origin, **headers},
        timeout=20,
    )


def test_a_preflight_is_answered_before_anybody_is_asked_for_a_key(platform: Running) -> None:
    answer = preflight(platform, "named/invoke/echo")
    assert answer.status_code == 204
    assert answer.headers["access-control-allow-origin"] == APP
    assert "authorization" in answer.headers["access-control-allow-headers"]
    assert "POST" in answer.headers["access-control-allow-methods"]
    assert answer.headers["vary"] == "origin"
    assert "access-control-allow-credentials" not in answer.headers


def test_a_page_reads_answers_and_refusals(platform: Running) -> None:
    for headers, status in ((platform.auth, 200), ({}, 401)):
        answer = call(platform, "named", **headers)
        assert (answer.status_code, answer.headers["access-control-allow-origin"]) == (status, APP)
        assert "a2a-run" in answer.headers["access-control-expose-headers"]


@pytest.mark.parametrize(
    ("name", "origin"),
    [
        ("named", "https://evil.example.com"),
        ("named", "https://app.example.com.evil.com"),
        ("named", "http://app.example.com"),
        ("named", "null"),
        ("nobody", APP),
        ("no-such-agent", APP),
    ],
)
def test_other_pages_read_nothing(platform: Running, name: str, origin: str) -> None:
    for answer in (
        preflight(platform, f"{name}/invoke/echo", origin),
        call(platform, name, origin, **platform.auth),
    ):
        assert not [field for field in answer.headers if field.startswith("access-control-")]


def test_an_agent_for_anybody(platform: Running) -> None:
    answer = call(platform, "anybody", "https://anywhere.example")
    assert answer.headers["access-control-allow-origin"] == "https://anywhere.example"


def test_who_may_not_know_of_an_agent_learns_nothing(platform: Running) -> None:
    made = httpx.post(
        f"{platform.url}/api/v1/keys",
        json={"principal": "stranger", "org": "other"},
        headers=platform.auth,
        timeout=10,
    )
    assert made.status_code == 201, made.text
    answer = call(platform, "named", Authorization=f"Bearer {made.json()['key']}")
    assert answer.status_code == 404
    assert not [field for field in answer.headers if field.startswith("access-control-")]


def test_mcp_from_a_page(platform: Running) -> None:
    body = {"jsonrpc": "2.0", "id": 1, "method": "ping"}
    statuses = {
        origin: httpx.post(
            f"{platform.agent('named')}/mcp",
            json=body,
            headers={**platform.auth, "Origin": origin, "Accept": "application/json, text/event-stream"},
            timeout=10,
        ).status_code
        for origin in (APP, "https://evil.example.com")
    }
    assert statuses["https://evil.example.com"] == 403
    assert statuses[APP] != 403


def test_every_answer_has_the_headers_that_browsers_need(platform: Running) -> None:
    for path in (
        "/healthz",
        "/nowhere",
        "/agents/nobody/.well-known/agent-card.json",
        "/login",
        "/agents/nobody/docs/x",
    ):
        answer = httpx.get(platform.url + path, timeout=10)
        assert answer.headers["x-content-type-options"] == "nosniff", path
        assert answer.headers["referrer-policy"] == "no-referrer", path
        assert "server" not in answer.headers
        assert "strict-transport-security" not in answer.headers  # Only where there is TLS.
