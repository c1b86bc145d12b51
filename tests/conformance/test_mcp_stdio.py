"""`a2a mcp-stdio` between the official client and the official server, and before our own platform."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import outside
import pytest

from running import Running

CLIENT = outside.PROGRAMS / "mcp_stdio_client.py"
MODES = ["legacy", "2026-07-28", "auto"]
BRIDGE = [sys.executable, "-m", "a2a_cloud.callers.cli"]


@contextmanager
def _sdk_server() -> Iterator[str]:
    process = subprocess.Popen(
        [outside.python("mcp"), outside.PROGRAMS / "mcp_sdk_server.py"],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        stderr=subprocess.DEVNULL,
        text=True,
    )
    try:
        assert process.stdout is not None
        yield json.loads(process.stdout.readline())["url"].removesuffix("/mcp")
    finally:
        process.kill()
        process.communicate()


@pytest.fixture(scope="module")
def server() -> Iterator[str]:
    with _sdk_server() as url:
        yield url


def _talk(mode: str, words: list[str], calls: list[dict[str, Any]], **env: str) -> dict[str, Any]:
    (got,) = outside.lines(
        [outside.python("mcp"), CLIENT, mode, *BRIDGE, *words], CALLS=json.dumps(calls), **env
    )
    return got


@pytest.mark.parametrize("mode", MODES)
def test_tools_progress_and_failures(server: str, mode: str) -> None:
    calls = [
        {"name": "add", "arguments": {"a": 2, "b": 3}},
        {"name": "count", "arguments": {"to": 3}},
        {"name": "broken", "arguments": {}},
    ]
    got = _talk(mode, ["--url", server, "mcp-stdio"], calls)
    assert got["tools"] == ["add", "broken", "count", "greet", "slow"]
    assert [(each["error"], each["text"]) for each in got["results"]][:2] == [
        (False, "5"),
        (False, "counted to 3"),
    ]
    assert got["results"][2]["error"]
    assert got["progress"] == [[1.0, 3.0], [2.0, 3.0], [3.0, 3.0]]


def test_a_question_of_the_server(server: str) -> None:
    got = _talk("legacy", ["--url", server, "mcp-stdio"], [{"name": "greet", "arguments": {}}])
    assert got["results"] == [{"error": False, "text": "hello Ada"}]


@pytest.mark.parametrize("mode", MODES)
def test_our_own_agents(desk: Running, mode: str) -> None:
    calls = [{"name": "add", "arguments": {"a": 2, "b": 3}}, {"name": "shout", "arguments": {"text": "hi"}}]
    env = {"A2A_DATA": str(desk.data)}
    got = _talk(mode, ["mcp-stdio", "desk"], calls, **env)
    assert {"add", "shout"} <= set(got["tools"])
    assert json.loads(got["results"][0]["text"]) == {"sum": 5}
    assert got["results"][1]["text"] == "HI"


class _Bridge:
    """The bridge by hand: lines in, lines out."""

    def __init__(self, *words: str, **env: str) -> None:
        self.process = subprocess.Popen(
            [*BRIDGE, *words],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            env={**os.environ, **env},
        )

    def say(self, *messages: Any) -> None:
        assert self.process.stdin is not None
        for message in messages:
            line = message if isinstance(message, bytes) else json.dumps(message).encode()
            self.process.stdin.write(line + b"\n")
        self.process.stdin.flush()

    def next(self) -> dict[str, Any]:
        assert self.process.stdout is not None
        return json.loads(self.process.stdout.readline())

    def end(self) -> tuple[list[dict[str, Any]], str]:
        """Closes its input: (what else it wrote, what it logged)."""
        out, err = self.process.communicate(timeout=30)
        assert self.process.returncode == 0, err
        return [json.loads(line) for line in out.splitlines()], err.decode()


def _initialize(ident: int = 1) -> dict[str, Any]:
    params = {
        "protocolVersion": "2025-11-25",
        "capabilities": {},
        "clientInfo": {"name": "t", "version": "1"},
    }
    return {"jsonrpc": "2.0", "id": ident, "method": "initialize", "params": params}


READY = {"jsonrpc": "2.0", "method": "notifications/initialized"}


def _call(ident: Any, tool: str, version: str = "", **arguments: Any) -> dict[str, Any]:
    params: dict[str, Any] = {"name": tool, "arguments": arguments}
    if version:
        names = ("protocolVersion", "clientInfo", "clientCapabilities")
        values = (version, {"name": "t", "version": "1"}, {})
        meta = dict(zip((f"io.modelcontextprotocol/{name}" for name in names), values, strict=True))
        params["_meta"] = meta
    return {"jsonrpc": "2.0", "id": ident, "method": "tools/call", "params": params}


def test_the_end_of_input_ends_it(server: str) -> None:
    bridge = _Bridge("--url", server, "mcp-stdio")
    bridge.say(_initialize())
    assert bridge.next()["id"] == 1
    bridge.say(READY, _call(2, "slow"), _call(3, "add", a=1, b=1))
    assert bridge.next()["id"] == 3  # calls do not wait for each other
    left, _ = bridge.end()
    assert left == []


def test_bad_lines_do_not_end_it(server: str) -> None:
    bridge = _Bridge("--url", server, "mcp-stdio")
    bridge.say(b"nonsense", b"", b"[]", b'"x"')
    assert [bridge.next()["error"]["code"] for _ in range(3)] == [-32700] * 3
    bridge.say(_initialize())
    assert bridge.next()["result"]["serverInfo"]["name"] == "oracle"
    bridge.end()


def test_a_call_is_canceled_by_closing_its_stream(server: str) -> None:
    bridge = _Bridge("--url", server, "mcp-stdio")
    bridge.say(_call("a", "slow", "2026-07-28"))
    bridge.say({"jsonrpc": "2.0", "method": "notifications/cancelled", "params": {"requestId": "a"}})
    bridge.say(_call("b", "add", "2026-07-28", a=1, b=1))
    assert bridge.next()["id"] == "b"
    left, _ = bridge.end()
    assert left == []  # no further message for what was canceled


def test_a_server_that_restarts_is_waited_for() -> None:
    with _sdk_server() as url:
        bridge = _Bridge("--url", url, "mcp-stdio")
        bridge.say(_initialize())
        assert bridge.next()["id"] == 1
        bridge.say(READY, _call(2, "add", a=1, b=1))
        assert bridge.next()["id"] == 2
    port = url.rpartition(":")[2]
    bridge.say(_call(3, "add", a=1, b=2))
    again = subprocess.Popen(
        [outside.python("mcp"), outside.PROGRAMS / "mcp_sdk_server.py", port],
        stdin=subprocess.PIPE,
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
    )
    try:
        # The session is begun anew, and the client hears nothing of it.
        answer = bridge.next()
        assert answer["id"] == 3
        assert answer["result"]["content"][0]["text"] == "3"
        bridge.end()
    finally:
        again.kill()
        again.communicate()


def test_a_platform_that_is_not_there_is_an_error() -> None:
    bridge = _Bridge("--url", "http://127.0.0.1:1", "mcp-stdio")
    bridge.say({**READY, "method": "notifications/x"})
    left, log = bridge.end()
    assert left == []
    assert "connection refused" in log
