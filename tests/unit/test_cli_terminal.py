"""On a real (pseudo) terminal: escapes instead of control characters, questions asked, Ctrl-C."""

from __future__ import annotations

import asyncio
import contextlib
import errno
import fcntl
import json
import os
import pty
import select
import signal
import struct
import subprocess
import sys
import termios
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from aiohttp import web
from cli_platform import Played, playing, status
from hypothesis import given
from hypothesis import strategies as st

from a2a_cloud.callers.cli.ask import ask_person
from a2a_cloud.callers.cli.terminal import clean, clean_line

ECHO = ("POST", "/agents/echo/invoke/say")
TASK = ("GET", "/agents/echo/sse/task_1")


class Terminal:
    """`a2a` on a terminal of 200 columns."""

    def __init__(self, words: list[str], env: dict[str, str]) -> None:
        self.master, slave = pty.openpty()
        fcntl.ioctl(slave, termios.TIOCSWINSZ, struct.pack("HHHH", 40, 200, 0, 0))
        self.process = subprocess.Popen(
            [sys.executable, "-m", "a2a_cloud.callers.cli", *words],
            stdin=slave,
            stdout=slave,
            stderr=slave,
            env=env,
            start_new_session=True,
            preexec_fn=lambda: fcntl.ioctl(0, termios.TIOCSCTTY, 0),
        )
        os.close(slave)
        self.seen = ""

    def until(self, text: str) -> None:
        """Read until `text` was shown."""
        while text not in self.seen:
            assert self._more(), f"{text!r} never came: {self.seen!r}"

    def send(self, text: str) -> None:
        """Type."""
        os.write(self.master, text.encode())

    def end(self) -> int:
        """Read the rest; the exit code."""
        while self._more():
            pass
        os.close(self.master)
        return self.process.wait(20)

    def _more(self) -> bool:
        ready, _, _ = select.select([self.master], [], [], 30)
        assert ready, f"nothing came: {self.seen!r}"
        try:
            piece = os.read(self.master, 65536)
        except OSError as error:
            if error.errno == errno.EIO:
                return False
            raise
        self.seen += piece.decode("utf-8", "replace")
        return bool(piece)


@pytest.fixture
def played() -> Iterator[Played]:
    with playing() as server:
        yield server


@pytest.fixture
def env(played: Played, tmp_path: Path) -> dict[str, str]:
    kept = {
        name: value for name, value in os.environ.items() if not name.startswith(("A2A_", "COLUMNS", "LINES"))
    }
    return {
        **kept,
        "A2A_URL": played.url,
        "A2A_KEY": "k",
        "XDG_CONFIG_HOME": str(tmp_path),
        "TERM": "xterm-256color",
        "PYTHONPATH": str(Path(__file__).parents[2] / "src"),
    }


EVIL = "\x1b]0;owned\x07\x9b31m\u202eabc\x7f[red]x[/red]"


def test_nothing_from_outside_drives_the_terminal(played: Played, env: dict[str, str]) -> None:
    artifact = {"artifactId": "a", "name": EVIL, "parts": [{"text": EVIL}]}
    played.stream(
        *ECHO,
        [
            status("working"),
            ("1.1", "progress", {"stage": EVIL, "percent": None, "message": EVIL}),
            ("1.2", "text", {"delta": EVIL}),
            ("1.3", "artifact", {"artifact": artifact, "append": False, "last": True}),
            ("1.4", "result", {"value": {"x": EVIL}}),
            status("completed", "1.5"),
        ],
    )
    for flags in ([], ["--stream"], ["--json"], ["--stream", "--json"]):
        terminal = Terminal(["call", "echo", "say", *flags], env)
        assert terminal.end() == 0, terminal.seen
        for bad in ("\x1b]0;owned", "\x07", "\x9b", "\u202e", "\x7f"):
            assert bad not in terminal.seen
        assert "owned" in terminal.seen
        assert "[red]x[/red]" in terminal.seen
    played.json("GET", "/api/v1/agents", {"agents": [{"name": EVIL, "skills": [{"id": EVIL}]}]})
    terminal = Terminal(["ls"], env)
    assert terminal.end() == 0
    assert "\x1b]0" not in terminal.seen
    assert "[red]x[/red]" in terminal.seen


def test_a_question_is_asked_and_the_call_goes_on(played: Played, env: dict[str, str]) -> None:
    schema = {
        "type": "object",
        "required": ["law", "count"],
        "properties": {
            "law": {"type": "string", "enum": ["DE", "NY"], "description": "Governing law"},
            "count": {"type": "integer", "minimum": 1},
            "note": {"type": "string"},
        },
    }
    question = {"text": "Which law?", "schema": schema}
    played.stream(*ECHO, [status("working"), status("input-required", "1.2", question=question)])
    played.stream(
        *TASK,
        [
            status("input-required", question=question),
            ("1.3", "answer", {"by": "me", "value": {}}),
            ("1.4", "result", {"value": "fine"}),
            status("completed", "1.5"),
        ],
    )
    played.json("POST", "/agents/echo/tasks", {"task": {"id": "task_1"}}, 202)
    terminal = Terminal(["call", "echo", "say"], env)
    terminal.until("law (1–2)")
    terminal.send("7\n")
    terminal.until("Choose 1 to 2.")
    terminal.send("2\n")
    terminal.until("count")
    terminal.send("0\n")
    terminal.until("at least 1")
    terminal.send("3\n")
    terminal.until("note (Enter for none)")
    terminal.send("\n")
    assert terminal.end() == 0, terminal.seen
    assert "fine" in terminal.seen
    message = json.loads(played.last("POST", "/agents/echo/tasks").body)["message"]
    assert message["parts"] == [{"data": {"law": "NY", "count": 3}, "mediaType": "application/json"}]
    assert played.last(*TASK).headers["Last-Event-ID"] == "1.2"


def test_no_answer_leaves_the_question_open(played: Played, env: dict[str, str]) -> None:
    question = {"text": "Sure?", "schema": {"type": "boolean"}}
    played.stream(*ECHO, [status("working"), status("input-required", "1.2", question=question)])
    terminal = Terminal(["call", "echo", "say"], env)
    terminal.until("Answer")
    terminal.send("\x04")
    assert terminal.end() == 6, terminal.seen
    assert "a2a answer --agent echo task_1" in terminal.seen


def test_ctrl_c_says_how_to_see_and_cancel(played: Played, env: dict[str, str]) -> None:
    async def hang(request: web.Request) -> web.StreamResponse:
        response = web.StreamResponse(headers={"Content-Type": "text/event-stream", "A2A-Task": "task_1"})
        await response.prepare(request)
        body = json.dumps({"stage": "thinking", "percent": None, "message": ""})
        _, kind, first = status("working")
        await response.write(f"event: {kind}\ndata: {json.dumps(first)}\n\n".encode())
        await response.write(f"id: 1.1\nevent: progress\ndata: {body}\n\n".encode())
        with contextlib.suppress(ConnectionError):
            while request.transport is not None and not request.transport.is_closing():
                await response.write(b": keep-alive\n\n")
                await asyncio.sleep(0.05)
        return response

    played.answers[ECHO] = hang
    terminal = Terminal(["call", "echo", "say"], env)
    terminal.until("thinking")
    os.kill(terminal.process.pid, signal.SIGINT)
    assert terminal.end() == 130, terminal.seen
    assert "a2a runs run_1" in terminal.seen
    assert "a2a cancel task_1" in terminal.seen
    assert "Traceback" not in terminal.seen


@given(st.text())
def test_clean_text_prints_and_obeys_nothing(text: str) -> None:
    for shown in (clean(text), clean_line(text)):
        shown.encode()
        assert not any(
            (ord(c) < 32 and c not in "\t\n") or 0x7F <= ord(c) <= 0x9F or c in "\u202e\u2066\u2028"
            for c in shown
        )
    assert "\n" not in clean_line(text)


@given(st.recursive(st.text() | st.integers(), lambda inner: st.dictionaries(st.text(), inner, max_size=3)))
def test_clean_json_is_the_same_json(value: Any) -> None:
    assert json.loads(clean(json.dumps(value, ensure_ascii=False))) == value


@pytest.mark.parametrize(
    ("schema", "typed", "value"),
    [
        ({"type": "string"}, "hello", "hello"),
        ({"type": "boolean"}, "maybe\nYES", True),
        ({"type": "integer"}, "x\n1.5\n-7", -7),
        ({"type": "number", "exclusiveMaximum": 2}, "nan\n2\n1.5", 1.5),
        ({"type": "array", "items": {"type": "string"}}, "a, b", ["a", "b"]),
        ({"type": "array", "items": {"type": "integer"}}, "1\n[1]", [1]),
        ({"enum": [1, "two", None]}, "null", None),
        ({"enum": ["Yes", "No"]}, "yes", "Yes"),
        ({"oneOf": [{"const": "a"}, {"const": "b"}]}, "2", "b"),
        ({"type": "integer", "default": 4}, "", 4),
        (True, "free text", "free text"),
        (True, '{"a": 1}', {"a": 1}),
    ],
)
def test_typed_answers(schema: Any, typed: str, value: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    lines = iter(typed.split("\n"))
    monkeypatch.setattr("click.termui.visible_prompt_func", lambda _prompt: next(lines))
    assert ask_person({"text": "?", "schema": schema})["data"] == value
