"""One run, watched at once by an A2A 1.0 client, a 0.3 client, a browser's EventSource and an MCP client:
each sees the same events in the same order."""

from __future__ import annotations

import asyncio
import json
import subprocess
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import chrome
import official as sdk
import outside
import pytest
from a2a.types import a2a_pb2 as pb

from running import Running

pytestmark = pytest.mark.skipif(not chrome.FOUND, reason="Debian's chromium and chromium-driver are not here")

STEPS = 5
#: What happened, as each of them has to tell it.
HAPPENED = [one for n in range(1, STEPS + 1) for one in (("step", f"step {n}"), ("piece", f"piece {n};"))]
_WATCH = """
window.seen = [];
const source = new EventSource(arguments[0]);
for (const kind of ['status', 'progress', 'artifact', 'result'])
  source.addEventListener(kind, (event) => {
    window.seen.push([kind, JSON.parse(event.data)]);
    if (kind === 'status' && JSON.parse(event.data).state === 'completed') source.close();
  });
"""


@dataclass
class Watcher:
    """A program that prints a JSON object for each thing that it sees."""

    process: subprocess.Popen[str]
    seen: list[dict[str, Any]] = field(default_factory=list[dict[str, Any]])
    began: threading.Event = field(default_factory=threading.Event)

    def read(self) -> None:
        assert self.process.stdout is not None
        for line in self.process.stdout:
            self.seen.append(json.loads(line))
            self.began.set()
        self.began.set()


@contextmanager
def watcher(*command: str | Path) -> Iterator[Watcher]:
    with subprocess.Popen(
        [str(part) for part in command], stdout=subprocess.PIPE, text=True, stdin=subprocess.DEVNULL
    ) as process:
        found = Watcher(process)
        reader = threading.Thread(target=found.read)
        reader.start()
        try:
            assert found.began.wait(60)
            assert found.seen, "it ended before it saw anything"
            yield found
            assert process.wait(60) == 0
        finally:
            process.kill()
            reader.join(10)


async def task_made(base: str) -> str:
    """The id of the agent's one task, once it is there."""
    async with sdk.client(base, {}, "JSONRPC") as client:
        while True:
            page = await client.list_tasks(pb.ListTasksRequest())
            if page.tasks:
                return page.tasks[0].id
            await asyncio.sleep(0.05)


async def watched_by_1_0(base: str, task_id: str, began: asyncio.Event) -> list[tuple[str, str]]:
    found: list[tuple[str, str]] = []
    async with sdk.client(base, {}, "GRPC", streaming=True) as client:
        async for event in client.subscribe(pb.SubscribeToTaskRequest(id=task_id)):
            began.set()
            if event.HasField("artifact_update"):
                part = event.artifact_update.artifact.parts[0]
                found.append(("piece", part.text or str(part.data.string_value)))
            elif event.HasField("status_update"):
                status = event.status_update.status
                said = status.message.parts[0].text if status.message.parts else ""
                state = pb.TaskState.Name(status.state).removeprefix("TASK_STATE_").lower()
                found.append(("step", said) if state == "working" else ("end", state))
    return found


def told_by_0_3(seen: list[dict[str, Any]]) -> list[tuple[str, str]]:
    assert seen[0] == {"kind": "task"}
    found: list[tuple[str, str]] = []
    for one in seen[1:]:
        if one["kind"] == "artifact":
            found.append(("piece", one["text"]))
        else:
            found.append(("step", one["text"]) if one["state"] == "working" else ("end", one["state"]))
    return found


def told_by_browser(seen: list[Any]) -> list[tuple[str, str]]:
    found: list[tuple[str, str]] = []
    for kind, data in seen:
        if kind == "progress":
            found.append(("step", data["message"]))
        elif kind == "artifact":
            found.append(("piece", data["artifact"]["parts"][0]["text"]))
        elif kind == "result":
            found.append(("piece", data["value"]))
        elif kind == "status" and data["state"] == "completed":
            found.append(("end", "completed"))
    return found


def test_all_see_the_same(tester: Running, tmp_path: Path) -> None:
    base, gate = tester.agent("ticker"), tmp_path / "gate"
    arguments = json.dumps({"gate": str(gate), "steps": STEPS})
    python, programs = outside.python, outside.PROGRAMS

    async def watched(task_id: str) -> list[tuple[str, str]]:
        began = asyncio.Event()
        watching = asyncio.ensure_future(watched_by_1_0(base, task_id, began))
        await asyncio.wait_for(began.wait(), 30)
        gate.touch()
        return await asyncio.wait_for(watching, 60)

    with (
        chrome.browser(tmp_path) as page,
        watcher(
            python("mcp"), programs / "mcp_watcher.py", f"{base}/mcp", "tick", arguments, "auto"
        ) as by_mcp,
    ):
        task_id = asyncio.run(task_made(base))
        page.go(f"{tester.url}/healthz")
        page.run(_WATCH, f"{base}/sse/{task_id}")
        page.until(lambda: page.run("return window.seen.length"), "the browser's first event")
        with watcher(python("a2a-0.3"), programs / "old_watcher.py", base, task_id) as by_0_3:
            by_1_0 = asyncio.run(watched(task_id))
        page.until(lambda: page.run("return window.seen.at(-1)[1].state === 'completed'"), "the end")
        by_browser = told_by_browser(page.run("return window.seen"))

    # The value that the skill returned is an artifact for A2A, a result of its own for the browser.
    ended = [*HAPPENED, ("piece", f"{STEPS} steps"), ("end", "completed")]
    assert by_1_0 == ended
    assert told_by_0_3(by_0_3.seen) == ended
    assert by_browser == ended
    # MCP has no word for a piece of an artifact: a notification names it, and the result has it whole.
    ready, *notified, last = by_mcp.seen
    assert (ready["kind"], last["kind"]) == ("ready", "result")
    assert {one["kind"] for one in notified} == {"progress"}
    steps = [one["text"] for one in notified if "step" in one["text"]]
    assert [text.rpartition(": ")[2] for text in steps] == [text for kind, text in HAPPENED if kind == "step"]
    whole = "".join(text for kind, text in HAPPENED if kind == "piece")
    texts = [one["resource"]["text"] for one in last["result"]["content"] if one["type"] == "resource"]
    assert "".join(texts).replace("\n", "") == whole
    assert last["result"]["structuredContent"] == {"result": f"{STEPS} steps"}
