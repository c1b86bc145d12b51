"""What a call leaves behind goes with its last reference, and does not wait for a collection: cycles on the
way of a call cost a fifth of it (docs/benchmarks.md)."""

from __future__ import annotations

import asyncio
import gc
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import aiohttp
import pytest
from calling import invoke

from a2a_cloud.app import Platform
from a2a_cloud.runtime.live import LiveTask, Run
from a2a_cloud.settings import Settings
from running import AGENTS, ENVIRONMENTS, Running


@pytest.fixture
def uncollected() -> Iterator[None]:
    gc.collect()
    gc.disable()
    yield
    gc.enable()


def left() -> list[Any]:
    return [one for one in gc.get_objects() if type(one) in (Run, LiveTask)]


@pytest.mark.usefixtures("uncollected")
def test_calls_leave_no_cycles(tmp_path: Path) -> None:
    gate = tmp_path / "gate"
    said: dict[str, Any] = {"messageId": "m1", "role": "ROLE_USER", "parts": [{"text": "hello"}]}
    said["metadata"] = {"skill": "shout"}
    message = {"jsonrpc": "2.0", "id": 1, "method": "SendMessage", "params": {"message": said}}
    meta = {"protocolVersion": "2026-07-28", "clientInfo": {"name": "test", "version": "1"}}
    about = {f"io.modelcontextprotocol/{name}": value for name, value in meta.items()}
    about["io.modelcontextprotocol/clientCapabilities"] = {}
    tool = {"name": "add", "arguments": {"a": 1, "b": 2}, "_meta": about}
    spoken = {"Accept": "application/json, text/event-stream", "MCP-Protocol-Version": "2026-07-28"}
    spoken |= {"Mcp-Method": "tools/call", "Mcp-Name": "add"}
    mcp = {"jsonrpc": "2.0", "id": 1, "method": "tools/call", "params": tool}
    desk = "/agents/desk"
    calls = (
        (f"{desk}/invoke/shout", {"text": "hello"}, {}, 200),
        (f"{desk}/invoke/words", {"text": "a stream of words"}, {"Accept": "text/event-stream"}, 200),
        (f"{desk}/invoke/add", {"a": "no number"}, {}, 400),
        (f"{desk}/invoke/nothing", {}, {}, 404),
        (desk, message, {"A2A-Version": "1.0"}, 200),
        (f"{desk}/mcp", mcp, spoken, 200),
    )

    async def held(http: aiohttp.ClientSession) -> None:
        """One that is canceled, and one whose reader goes away."""
        async with http.post(f"{desk}/invoke/hold?async=1", json={"gate": str(gate)}) as answer:
            task = answer.headers["A2A-Task"]
        async with http.post(f"{desk}/tasks/{task}:cancel", json={}) as answer:
            assert answer.status in (200, 202), await answer.text()
        streaming = {"Accept": "text/event-stream"}
        body = {"gate": str(gate), "words": 2}
        async with http.post(f"{desk}/invoke/hold", json=body, headers=streaming) as answer:
            await answer.content.readany()
            answer.close()

    async def story() -> None:
        settings = Settings(port=0, data=tmp_path / "data", environments=ENVIRONMENTS, sandbox="process")
        platform = Platform(settings)
        await platform.start([AGENTS / "desk"])
        key = platform.key_path.read_text().strip()
        headers = {"Authorization": f"Bearer {key}"}
        async with aiohttp.ClientSession(platform.url, headers=headers) as http:
            for number, (path, body, more, status) in enumerate(calls * 2):
                said["messageId"] = f"m{number}"
                async with http.post(path, json=body, headers=more) as answer:
                    assert answer.status == status, (path, await answer.text())
                    await answer.read()
            await held(http)
            gate.touch()
            for _ in range(100):
                if not left():
                    break
                await asyncio.sleep(0.05)
            found = left()
            assert not found, [
                (type(one).__name__, [type(ref) for ref in gc.get_referrers(one)]) for one in found
            ]
        await platform.stop(1.0)

    asyncio.run(story())


AGENT = '''
import gc

from a2a_cloud import skill
from a2a_cloud.agent.execution import Execution


@skill
async def still() -> None:
    gc.collect()
    gc.disable()


@skill
async def echo(text: str) -> str:
    return text


@skill
def stumble() -> str:
    raise ValueError("as asked")


@skill
async def left() -> int:
    """Runs that are still in memory, less this one."""
    return sum(type(one) is Execution for one in gc.get_objects()) - 1
'''


def test_runs_leave_no_cycles_in_their_worker(platform: Callable[..., Running], tmp_path: Path) -> None:
    folder = tmp_path / "counted"
    folder.mkdir()
    (folder / "a2a.toml").write_text('name = "counted"\n')
    (folder / "agent.py").write_text(AGENT)
    running = platform([folder])
    assert invoke(running, "counted", "still").status == 200
    for _ in range(5):
        assert invoke(running, "counted", "echo", text="hello").status == 200
        assert invoke(running, "counted", "stumble").status == 500
    assert invoke(running, "counted", "left").json == 0
