"""On a real (pseudo) terminal: the steps of a deploy, and a deletion that asks."""

from __future__ import annotations

import contextlib
import fcntl
import os
import pty
import struct
import subprocess
import sys
import termios
import time
from pathlib import Path

from aiohttp import web
from cli_platform import Played
from cli_running import entry, make_agent, release

pytest_plugins = ["cli_fixtures"]

RELEASES = "/api/v1/agents/greeter/releases"


def on_terminal(*words: str, typed: str = "", after: str = "") -> tuple[int, str]:
    """Run `a2a` on a terminal; type `typed` when `after` was shown. (exit code, what it showed)"""
    master, slave = pty.openpty()
    fcntl.ioctl(slave, termios.TIOCSWINSZ, struct.pack("HHHH", 40, 120, 0, 0))
    environment = {**os.environ, "TERM": "xterm"}
    environment.pop("NO_COLOR", None)
    process = subprocess.Popen(
        [sys.executable, "-m", "a2a_cloud.callers.cli", *words],
        stdin=slave,
        stdout=slave,
        stderr=slave,
        env=environment,
        start_new_session=True,
    )
    os.close(slave)
    seen, end = b"", time.monotonic() + 20
    with contextlib.suppress(OSError):  # EIO: the other side is closed
        while time.monotonic() < end and (piece := os.read(master, 1 << 16)):
            seen += piece
            if typed and after.encode() in seen:
                os.write(master, typed.encode())
                typed = ""
    os.close(master)
    return process.wait(10), seen.decode()


def test_the_steps_of_a_deploy(played: Played) -> None:
    make_agent(Path.cwd())
    played.json("GET", RELEASES, {"serving": 6, "releases": [release(6)]})
    played.json("POST", RELEASES, release(7, state="building"), 202)
    entries = [
        entry(1, "environment", "resolving", at="00.000"),
        entry(2, "environment", "2 packages", at="01.100"),
        entry(3, "start", "\x1b]0;title\x07ready", at="01.200"),
    ]
    played.json("GET", f"{RELEASES}/7", release(7, progress=entries))
    code, seen = on_terminal("deploy")
    assert code == 0
    assert "✓ environment     1.2 s  2 packages" in seen
    assert "✓ start          0.30 s  \\u001b]0;title\\u0007ready" in seen
    assert "\x1b]0;title" not in seen
    assert "\x1b[1mRelease 7 of greeter serves" in seen
    assert "\x1b[33m  not isolated" in seen


def test_a_deletion_asks(played: Played) -> None:
    async def gone(_request: web.Request) -> web.StreamResponse:
        return web.json_response({"until": "2026-11-22T12:00:00Z"})

    played.answers["DELETE", "/api/v1/agents/greeter"] = gone
    code, seen = on_terminal("delete", "greeter", typed="n\n", after="[y/N]")
    assert code == 1
    assert "Nothing was deleted." in seen
    assert played.asked == []
    code, seen = on_terminal("delete", "greeter", typed="y\n", after="[y/N]")
    assert code == 0
    assert played.last("DELETE", "/api/v1/agents/greeter").query == {"grace": "86400"}


def test_a_difference_is_coloured(played: Played) -> None:
    change = {"path": "agent.py", "change": "changed", "diff": "@@ -1 +1 @@\n-old\n+new\x1b[2J\n"}
    played.json("GET", "/api/v1/agents/greeter/diff", {"source": [change], "card": [], "environment": []})
    code, seen = on_terminal("diff", "greeter", "1", "2")
    assert code == 0
    assert "\x1b[31m-old\x1b[0m" in seen
    assert "\x1b[32m+new\\u001b[2J\x1b[0m" in seen
