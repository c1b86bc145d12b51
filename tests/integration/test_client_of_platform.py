"""Our client and our platform: every version and binding, the command line by address, a crash in between."""

from __future__ import annotations

import asyncio
import json
import os
import socket
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from a2a_cloud.client.a2a import A2AClient
from a2a_cloud.client.a2a_shapes import Event, Task
from a2a_cloud.client.discovery import Trust
from a2a_cloud.client.errors import ServerProblem
from running import Running

SPOKEN = [
    ("JSONRPC", "1.0"),
    ("HTTP+JSON", "1.0"),
    ("GRPC", "1.0"),
    ("JSONRPC", "0.3"),
    ("HTTP+JSON", "0.3"),
]
names = pytest.mark.parametrize(("binding", "version"), SPOKEN, ids=[f"{v} {b}" for b, v in SPOKEN])


def client(running: Running, agent: str, **options: Any) -> A2AClient:
    return A2AClient.discover(running.agent(agent), key=running.key, **options)


@names
def test_the_same_in_every_dialect(desk: Running, binding: str, version: str) -> None:
    async def inside() -> None:
        async with client(desk, "desk", binding=binding, version=version, trust=Trust(require=True)) as agent:
            assert agent.card.signed_by
            task = await agent.call("add", {"a": 2, "b": 3})
            assert isinstance(task, Task)
            assert task.artifacts[0].parts[0].data == {"sum": 5}
            events: list[Event] = []
            async for event in agent.stream(agent.skill_call("words", {"text": "one two three"})):
                events.append(event)
            assert "".join(event.text for event in events if event.kind == "artifact").startswith(
                "one two three"
            )
            assert events[-1].state == "completed"
            asked = await agent.call("advise", {"topic": "rain"})
            assert isinstance(asked, Task)
            assert asked.state == "input-required"
            answered = await agent.send("England", task=asked)
            assert isinstance(answered, Task)
            assert (answered.id, answered.state) == (asked.id, "completed")
            with pytest.raises(ServerProblem) as refused:
                await agent.cancel(asked)
            assert refused.value.code == "task_not_cancelable"

    asyncio.run(inside())


@names
def test_a_message_that_comes_twice_is_done_once(desk: Running, binding: str, version: str) -> None:
    async def inside() -> None:
        async with client(desk, "desk", binding=binding, version=version) as agent:
            part = agent.skill_call("add", {"a": 1, "b": 1})
            first, second = [
                await agent.send(part, message_id=f"twice-{binding}-{version}") for _ in range(2)
            ]
            assert isinstance(first, Task)
            assert isinstance(second, Task)
            assert first.id == second.id

    asyncio.run(inside())


@pytest.mark.parametrize("binding", ["JSONRPC", "HTTP+JSON"])
def test_a_stream_outlives_a_crash_of_the_platform(
    platform: Callable[..., Running], tmp_path: Path, binding: str
) -> None:
    with socket.create_server(("127.0.0.1", 0)) as free:
        port = free.getsockname()[1]
    gate, trace = tmp_path / "gate", tmp_path / "trace"
    running = platform(["crash"], A2A_PORT=str(port))
    broken: list[str] = []

    async def inside() -> list[Event]:
        events: list[Event] = []
        async with client(running, "crash", binding=binding, broken=broken.append) as agent:
            arguments = {"trace": str(trace), "gate": str(gate)}
            async for event in agent.stream(agent.skill_call("lasting", arguments)):
                events.append(event)
                if "omega" in event.text and not gate.exists():
                    await asyncio.to_thread(running.kill)
                    gate.touch()
                    await asyncio.to_thread(running.restart)
        return events

    events = asyncio.run(inside())
    assert broken
    assert events[-1].state == "completed"
    assert len({event.task_id for event in events}) == 1
    # Nothing was missed and nothing came twice: the stream went on after the last event that came.
    ids = [event.id for event in events if event.kind != "task"]
    assert len(set(ids)) == len(ids)
    text = "".join(event.text for event in events if event.artifact and event.artifact.id == "text")
    assert text == "alpha omega"


def a2a(running: Running, *words: str, stdin: str = "") -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, "-m", "a2a_cloud.callers.cli", *words],
        env={**running.env, "A2A_DATA": str(running.data), "PATH": os.environ["PATH"]},
        capture_output=True,
        text=True,
        timeout=60,
        input=stdin,
        check=False,
    )


def test_the_command_line_by_address(desk: Running, tmp_path: Path) -> None:
    url = desk.agent("desk")
    done = a2a(desk, "call", url, "add", "a:=2", "b:=3")
    assert (done.returncode, json.loads(done.stdout)) == (0, {"sum": 5})
    assert a2a(desk, "call", url, "-m", "hello").stdout == "HELLO\n"
    file = tmp_path / "note.txt"
    file.write_text("12345")
    done = a2a(desk, "call", url, "measure", f"document=@{file}", "--json")
    assert json.loads(done.stdout)["state"] == "completed", done.stderr
    lines = a2a(desk, "call", url, "words", "text=one two", "--stream", "--json").stdout.splitlines()
    assert json.loads(lines[0])["event"] == "task"
    asked = a2a(desk, "call", url, "advise", "topic=rain", "--json")
    assert asked.returncode == 6
    task = json.loads(asked.stdout)["task_id"]
    assert f"--task {task}" in asked.stderr
    assert a2a(desk, "call", url, "--task", task, "-m", "England").returncode == 0
    followed = a2a(desk, "call", url, "--task", task)
    assert followed.returncode == 0, followed.stderr
    assert "England" in followed.stdout
    begun = a2a(desk, "call", url, "add", "a:=1", "--async", "--json")
    assert json.loads(begun.stdout)["task_id"].startswith("task_")
    saved = a2a(desk, "call", url, "make", "size:=100000", "--out", str(tmp_path / "out"))
    assert saved.returncode == 0, saved.stderr
    assert (tmp_path / "out" / "big.bin").stat().st_size == 100000


def test_exit_codes_by_address(desk: Running) -> None:
    url = desk.agent("desk")
    assert a2a(desk, "call", url).returncode == 2
    assert a2a(desk, "call", url, "add", "-m", "x").returncode == 2
    assert a2a(desk, "call", url, "nope").returncode == 5
    assert a2a(desk, "call", url, "refuse", "why=no").returncode == 1
    assert a2a(desk, "call", desk.agent("nobody"), "-m", "x").returncode == 5
    assert a2a(desk, "call", "http://127.0.0.1:1", "-m", "x").returncode == 3
    assert a2a(desk, "--key", "nonsense", "call", url, "-m", "x").returncode == 4
    assert a2a(desk, "call", "desk", "add", "--task", "t").returncode == 2


def test_cards(desk: Running) -> None:
    for named in ("desk", desk.agent("desk")):
        done = a2a(desk, "card", named, "--verify")
        assert done.returncode == 0, done.stderr
        assert "A2A 1.0 JSONRPC" in done.stdout
        assert "holds" in done.stdout
    card = json.loads(a2a(desk, "card", "desk", "--json").stdout)
    assert card["card"]["name"] == "desk"
    assert card["signed_by"]
