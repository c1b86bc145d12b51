"""Tasks that a message refers to: the skill sees the caller's own that have ended, and no others."""

from __future__ import annotations

import os
from collections.abc import Callable
from pathlib import Path
from typing import Any

from calling import begin, request, wait_for

from running import Running

Start = Callable[..., Running]


def _send(running: Running, skill: str, arguments: dict[str, Any], key: str = "", **fields: Any) -> Any:
    message = {
        "messageId": os.urandom(8).hex(),
        "role": "ROLE_USER",
        "parts": [{"data": {"skill": skill, "arguments": arguments}}],
        **fields,
    }
    headers = {"Authorization": f"Bearer {key}"} if key else {}
    said = request(running, "POST", "/agents/lane/message:send", {"message": message}, headers)
    assert said.status == 200, said.body
    return said.json["task"]


def test_a_message_refers_to_earlier_tasks(platform: Start, tmp_path: Path) -> None:
    running = platform(["lane"])
    mine = _send(running, "go", {"name": "a"})
    other = request(running, "POST", "/api/v1/keys", {"principal": "other"}).json["key"]
    theirs = _send(running, "go", {"name": "b"}, other)
    named = [theirs["id"], mine["id"], "task_none", mine["id"]]
    seen = _send(running, "recall", {}, referenceTaskIds=named)
    result = seen["artifacts"][0]["parts"][0]["data"]
    assert result == [["completed", mine["history"][0]["messageId"], "result"]]
    assert _send(running, "recall", {})["artifacts"][0]["parts"][0]["data"] == []
    gate = tmp_path / "gate"
    held = begin(running, "lane", "hold", gate=str(gate))
    wait_for(lambda: bool(request(running, "GET", "/api/v1/runs?state=working").json["runs"]))
    (works,) = request(running, "GET", "/api/v1/runs?state=working").json["runs"]
    waits = begin_recall(running, works["task_id"])
    wait_for(lambda: bool(request(running, "GET", "/api/v1/runs?state=submitted").json["runs"]))
    gate.touch()
    held.result(20)
    task = wait_for(lambda: _ended(running, waits))
    assert task["artifacts"][0]["parts"][0]["data"] == [], "it had not ended when the message came"


def begin_recall(running: Running, task_id: str) -> str:
    message = {
        "messageId": os.urandom(8).hex(),
        "role": "ROLE_USER",
        "parts": [{"data": {"skill": "recall", "arguments": {}}}],
        "referenceTaskIds": [task_id],
    }
    body = {"message": message, "configuration": {"returnImmediately": True}}
    return request(running, "POST", "/agents/lane/message:send", body).json["task"]["id"]


def _ended(running: Running, task_id: str) -> Any:
    task = request(running, "GET", f"/agents/lane/tasks/{task_id}").json
    return task if task["status"]["state"] == "TASK_STATE_COMPLETED" else None
