"""How the tests of workers call: blocking HTTP, one connection each, and threads where several wait."""

from __future__ import annotations

import http.client
import json
import os
import time
from collections.abc import Callable
from concurrent.futures import Future
from dataclasses import dataclass
from pathlib import Path
from threading import Thread
from typing import Any

from running import Running


@dataclass
class Said:
    """An answer."""

    status: int
    headers: dict[str, str]
    body: bytes

    @property
    def json(self) -> Any:
        return json.loads(self.body)

    @property
    def code(self) -> str:
        """The problem's code."""
        assert self.status >= 400, (self.status, self.body)
        return self.json["code"]

    @property
    def detail(self) -> str:
        return self.json["detail"]

    @property
    def run(self) -> str:
        return self.headers["a2a-run"]


def request(
    running: Running,
    method: str,
    path: str,
    body: Any = None,
    headers: dict[str, str] | None = None,
    timeout: float = 60,
) -> Said:
    """One request; a dict is sent as JSON, an iterable of bytes as it comes."""
    connection = http.client.HTTPConnection(running.host, running.port, timeout=timeout)
    sent = {**running.auth, **(headers or {})}
    if isinstance(body, dict):
        body = json.dumps(body).encode()
        sent.setdefault("Content-Type", "application/json")
    try:
        connection.request(method, path, body, sent)
        answer = connection.getresponse()
        return Said(answer.status, {k.lower(): v for k, v in answer.getheaders()}, answer.read())
    finally:
        connection.close()


def invoke(running: Running, agent: str, skill: str, /, **arguments: Any) -> Said:
    """Call a skill and wait."""
    return request(running, "POST", f"/agents/{agent}/invoke/{skill}", arguments)


def begin(running: Running, agent: str, skill: str, /, **arguments: Any) -> Future[Said]:
    """Call a skill in a thread."""
    future: Future[Said] = Future()

    def call() -> None:
        try:
            future.set_result(invoke(running, agent, skill, **arguments))
        except BaseException as error:
            future.set_exception(error)

    Thread(target=call, daemon=True).start()
    return future


def answer(running: Running, agent: str, task_id: str, value: Any) -> Said:
    """Answer a task's question, and wait for its end or next question."""
    part = {"text": value} if isinstance(value, str) else {"data": value}
    message = {"messageId": os.urandom(8).hex(), "role": "ROLE_USER", "taskId": task_id, "parts": [part]}
    return request(running, "POST", f"/agents/{agent}/message:send", {"message": message})


def send(running: Running, agent: str, *parts: Any, **fields: Any) -> Any:
    """Send a message, and wait; the JSON of the answer."""
    made = [{"text": part} if isinstance(part, str) else part for part in parts]
    message = {"messageId": os.urandom(8).hex(), "role": "ROLE_USER", "parts": made, **fields}
    said = request(running, "POST", f"/agents/{agent}/message:send", {"message": message})
    assert said.status == 200, said.body
    return said.json


def events(running: Running, agent: str, skill: str, /, **arguments: Any) -> list[tuple[str, Any]]:
    """Call a skill, and collect the (event, data) of its stream."""
    said = request(
        running, "POST", f"/agents/{agent}/invoke/{skill}", arguments, {"Accept": "text/event-stream"}
    )
    assert said.status == 200, said.body
    return parse_events(said.body)


def parse_events(body: bytes) -> list[tuple[str, Any]]:
    found: list[tuple[str, Any]] = []
    for block in body.decode().split("\n\n"):
        fields = dict(line.split(": ", 1) for line in block.split("\n") if ": " in line and line[0] != ":")
        if "data" in fields:
            found.append((fields["event"], json.loads(fields["data"])))
    return found


def run_of(running: Running, run_id: str) -> Any:
    """The operator's view of a run."""
    return request(running, "GET", f"/api/v1/runs/{run_id}").json


def lines(running: Running, agent: str) -> list[Any]:
    """The agent's log."""
    found: list[Any] = []
    after = 0
    while True:
        page = request(running, "GET", f"/api/v1/agents/{agent}/logs?after={after}").json["lines"]
        if not page:
            return found
        found += page
        if "no" not in page[-1]:
            return found
        after = page[-1]["no"]


def log_text(running: Running, agent: str) -> str:
    return "\n".join(f"{line['source']}: {line['line']}" for line in lines(running, agent))


def wait_for(condition: Callable[[], Any], seconds: float = 20.0) -> Any:
    """What `condition` gives once it is true. Generous: how long it takes is not what is tested."""
    end = time.monotonic() + seconds
    while True:
        found = condition()
        if found:
            return found
        assert time.monotonic() < end, f"not true within {seconds} s"
        time.sleep(0.02)


def alive(pid: int) -> bool:
    """The process exists and is no zombie."""
    try:
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0] != "Z"
    except OSError:
        return False


def peak_rss(pid: int) -> int:
    """The most memory that a process ever had resident, in bytes."""
    for line in Path(f"/proc/{pid}/status").read_text().splitlines():
        if line.startswith("VmHWM:"):
            return int(line.split()[1]) << 10
    raise AssertionError("no VmHWM")
