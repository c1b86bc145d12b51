"""Who waits for a slot goes by priority, and then in order; nobody past what their key allows."""

from __future__ import annotations

import json
import os
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import pytest
from calling import Said, begin, request, wait_for

from running import Running

Start = Callable[..., Running]


def _send(running: Running, name: str, priority: Any, key: str = "") -> Said:
    message = {
        "messageId": os.urandom(8).hex(),
        "role": "ROLE_USER",
        "parts": [{"data": {"skill": "go", "arguments": {"name": name}}}],
        "metadata": {} if priority is None else {"a2a-cloud/priority": priority},
    }
    body = {"message": message, "configuration": {"returnImmediately": True}}
    headers = {"Authorization": f"Bearer {key}"} if key else {}
    return request(running, "POST", "/agents/lane/message:send", body, headers)


def _queued(running: Running) -> int:
    for line in request(running, "GET", "/metrics").body.decode().splitlines():
        if line.startswith("a2a_queue_lane "):
            return int(float(line.split()[1]))
    return 0


def _key(running: Running, name: str, **more: Any) -> str:
    made = request(running, "POST", "/api/v1/keys", {"principal": name, **more})
    assert made.status == 201, made.body
    return made.json["key"]


def test_a_higher_priority_goes_first_as_far_as_the_key_allows(platform: Start, tmp_path: Path) -> None:
    running = platform(["lane"])
    plain, raised, low = (
        _key(running, "plain"),
        _key(running, "raised", priority=3),
        _key(running, "low", priority=-2),
    )
    gate = tmp_path / "gate"
    held = begin(running, "lane", "hold", gate=str(gate))
    wait_for(lambda: bool(request(running, "GET", "/api/v1/runs?state=working").json["runs"]))
    sent = [
        _send(running, "low", None, low),
        _send(running, "background", -5),
        _send(running, "first plain", None),
        _send(running, "above its cap", 9, plain),
        _send(running, "at its cap", 9, raised),
        _send(running, "two", 2),
        _send(running, "five", 5),
        _send(running, "ten", 99),
        _send(running, "second plain", 0, plain),
    ]
    assert [said.status for said in sent] == [200] * len(sent)
    with ThreadPoolExecutor(2) as threads:
        header = {"A2A-Priority": "4"}
        url = "/agents/lane/invoke/go"
        four = threads.submit(request, running, "POST", url, {"name": "four"}, header)
        last = threads.submit(request, running, "POST", url, {"name": "last"}, {"A2A-Priority": "-6"})
        wait_for(lambda: _queued(running) == len(sent) + 2)
        gate.touch()
        assert held.result(20).json == "held"
        assert four.result(20).status == 200
        order = last.result(20).json
    assert order == [
        "ten",
        "five",
        "four",
        "at its cap",
        "two",
        "first plain",
        "above its cap",
        "second plain",
        "low",
        "background",
        "last",
    ]


def test_lists_tell_what_works_from_what_waits(platform: Start, tmp_path: Path) -> None:
    running = platform(["lane"])
    gate = tmp_path / "gate"
    held = begin(running, "lane", "hold", gate=str(gate))
    wait_for(lambda: bool(_tasks(running, "WORKING")))
    sent = [_send(running, str(n), None).json["task"]["id"] for n in range(5)]
    (working,) = _tasks(running, "WORKING")
    assert _tasks(running, "SUBMITTED") == sent[::-1]
    runs = request(running, "GET", "/api/v1/runs?state=submitted&limit=3").json
    rest = request(running, "GET", f"/api/v1/runs?state=submitted&cursor={runs['next']}").json
    assert [run["task_id"] for run in runs["runs"] + rest["runs"]] == sent[::-1]
    (run,) = request(running, "GET", "/api/v1/runs?state=working").json["runs"]
    assert run["task_id"] == working
    gate.touch()
    held.result(20)
    wait_for(lambda: not request(running, "GET", "/api/v1/runs?state=submitted").json["runs"])
    wait_for(lambda: not request(running, "GET", "/api/v1/runs?state=working").json["runs"])
    assert not _tasks(running, "SUBMITTED") + _tasks(running, "WORKING")
    assert len(_tasks(running, "COMPLETED")) == 6


def _tasks(running: Running, state: str) -> list[str]:
    """Ids by pages of two, whose total is the same on each."""
    found: list[str] = []
    token = ""
    totals: set[int] = set()
    while True:
        query = f"status=TASK_STATE_{state}&pageSize=2&pageToken={token}"
        page = request(running, "GET", f"/agents/lane/tasks?{query}").json
        found += [task["id"] for task in page["tasks"]]
        totals.add(page["totalSize"])
        token = page["nextPageToken"]
        if not token:
            assert totals == {len(found)}
            return found


@pytest.mark.parametrize("wrong", ["high", 1.5, None, True, [1], 1000, "1"], ids=str)
def test_what_is_no_priority_is_refused(platform: Start, wrong: Any) -> None:
    running = platform(["lane"])
    message = {
        "messageId": os.urandom(8).hex(),
        "role": "ROLE_USER",
        "parts": [{"data": {"skill": "go", "arguments": {"name": "x"}}}],
        "metadata": {"a2a-cloud/priority": wrong},
    }
    said = request(running, "POST", "/agents/lane/message:send", {"message": message})
    assert said.status == 400
    assert "from -10 to 10" in json.dumps(said.json)
