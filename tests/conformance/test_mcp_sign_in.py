"""MCP's authorization (basic/authorization of 2025-11-25 and 2026-07-28): the official suite's scenarios for
authorization servers, and the official client, which signs in from nothing at a private agent."""

from __future__ import annotations

import json
import socket
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import mcp_suite
import outside
import pytest

from running import AGENTS, Running, start_platform

# The browser without a screen, and who signs in with it.
sys.path.insert(0, str(Path(__file__).parents[1] / "integration"))

from oauth_client import Client
from oauth_site import signed_in
from visitor import Visitor

REDIRECT = "http://127.0.0.1:9/callback"


@pytest.fixture(scope="module")
def site(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Running]:
    running = start_platform([AGENTS / "desk"], tmp_path_factory.mktemp("signing"))
    yield running
    running.stop()


@pytest.fixture(scope="module")
def ada(site: Running) -> Visitor:
    return signed_in(site)


def allowed(ada: Visitor, url: str) -> str:
    """Where the browser ends when the person says yes."""
    shown = ada.get(url)
    assert shown.status == 200, (shown.status, shown.text)
    answer = ada.post("/oauth/consent", shown.fields() | {"decision": "allow"})
    assert answer.status == 303, answer.text
    return answer.headers["location"]


def free_port() -> int:
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        return int(taken.getsockname()[1])


def test_the_suite_finds_an_authorization_server(site: Running, ada: Visitor, tmp_path: Path) -> None:
    port = free_port()
    client = Client.registered(site.url, redirect_uris=[f"http://127.0.0.1:{port}/callback"])
    program = outside.modules() / "node_modules" / mcp_suite.PACKAGE / "dist" / "index.js"
    resource = f"{site.url}/agents/desk/mcp"
    command = [outside.node(), program, "authorization", "--url", site.url, "--client-id", client.id]
    command += ["--resource", resource, "-p", str(port), "-o", tmp_path]
    runner = subprocess.Popen([str(part) for part in command], stdout=subprocess.PIPE, text=True)
    try:
        assert runner.stdout is not None
        said: list[str] = []
        for line in runner.stdout:
            said.append(line)
            if line.startswith(f"{site.url}/oauth/authorize"):
                assert Visitor(site.url).get(allowed(ada, line.strip())).status == 200
        runner.wait(60)
    finally:
        runner.kill()
        runner.wait()
        if runner.stdout is not None:
            runner.stdout.close()
    found: dict[str, list[dict[str, Any]]] = {
        path.parent.name: json.loads(path.read_text()) for path in tmp_path.glob("*/checks.json")
    }
    checks = {check["id"]: check for each in found.values() for check in each}
    assert {"authorization-server-metadata", "authorization-code-grant"} <= checks.keys(), "".join(said)
    assert {name: check["status"] for name, check in checks.items()} == dict.fromkeys(checks, "SUCCESS")


@pytest.mark.parametrize("mode", ["legacy", "2026-07-28"])
def test_the_official_client_signs_in_from_nothing(site: Running, ada: Visitor, mode: str) -> None:
    url = f"{site.url}/agents/desk/mcp"
    command = [outside.python("mcp"), outside.PROGRAMS / "mcp_sign_in.py", url, mode, REDIRECT]
    client = subprocess.Popen(
        [str(part) for part in command],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )
    told: dict[str, Any] = {}
    try:
        assert client.stdout is not None
        assert client.stdin is not None
        for line in client.stdout:
            one = json.loads(line)
            told[one["name"]] = one["value"]
            if one["name"] == "browser":
                client.stdin.write(allowed(ada, one["value"]) + "\n")
                client.stdin.flush()
        _, error = client.communicate(timeout=60)
    finally:
        client.kill()
        client.communicate()
    assert client.returncode == 0, error
    assert "shout" in told["tools"]
    assert "SIGNED IN" in json.dumps(told["call"])
    assert "REFRESHED" in json.dumps(told["again"])
    assert told["tokens"]["scope"] == "agent:desk offline_access"
