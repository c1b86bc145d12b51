"""Slots, queues, starts and ends of worker processes, on a real platform."""

from __future__ import annotations

import os
import signal
import time
from collections.abc import Callable
from pathlib import Path

import pytest
from calling import Said, alive, answer, begin, invoke, log_text, request, wait_for

from running import Running

Start = Callable[..., Running]


def test_one_slot_serves_many_that_wait(platform: Start, tmp_path: Path) -> None:
    running = platform(["narrow"])
    asked = [invoke(running, "narrow", name) for name in ["ask_sync"] * 5 + ["ask"] * 2]
    assert all(said.status == 202 for said in asked)
    assert invoke(running, "narrow", "now").status == 200
    assert invoke(running, "narrow", "down", depth=4).json == 4
    nap = begin(running, "narrow", "nap", seconds=0.5)
    assert invoke(running, "narrow", "now").status == 200
    gate = tmp_path / "gate"
    held = begin(running, "narrow", "hold", gate=str(gate))
    wait_for(lambda: _queued(running) == 0 and not held.done())
    answers = [begin_answer(running, said, n) for n, said in enumerate(asked)]
    gate.touch()
    assert held.result(20).json == "held"
    assert nap.result(20).json == "rested"
    assert [result_of(one()) for one in answers] == [n + 1 for n in range(7)]


def begin_answer(running: Running, said: Said, value: int) -> Callable[[], Said]:
    return lambda: answer(running, "narrow", said.json["task_id"], value)


def result_of(said: Said) -> int:
    task = said.json["task"]
    assert task["status"]["state"] == "TASK_STATE_COMPLETED", task
    return task["artifacts"][-1]["parts"][0]["data"]


def _queued(running: Running) -> int:
    for line in request(running, "GET", "/metrics").body.decode().splitlines():
        if line.startswith("a2a_queue_narrow "):
            return int(float(line.split()[1]))
    raise AssertionError("no such metric")


def test_a_full_queue_is_refused_with_retry_after(platform: Start, tmp_path: Path) -> None:
    running = platform(["narrow"])
    gate = tmp_path / "gate"
    calls = [begin(running, "narrow", "hold", gate=str(gate))]
    wait_for(lambda: _runs(running) == 1)
    calls += [begin(running, "narrow", "hold", gate=str(gate)) for _ in range(2)]
    wait_for(lambda: _queued(running) == 2)
    said = invoke(running, "narrow", "now")
    assert (said.status, said.code) == (429, "busy")
    assert int(said.headers["retry-after"]) >= 1
    gate.touch()
    assert [one.result(20).json for one in calls] == ["held"] * 3
    assert invoke(running, "narrow", "now").status == 200


def _runs(running: Running) -> int:
    runs = request(running, "GET", "/api/v1/runs").json["runs"]
    return sum(1 for run in runs if run["state"] == "working")


# --- starts -----------------------------------------------------------------------------------------


def folder(home: Path, code: str, limits: str = "") -> Path:
    made = home / "made"
    made.mkdir()
    made.joinpath("a2a.toml").write_text(f'name = "made"\n[limits]\n{limits}\n')
    made.joinpath("agent.py").write_text(code)
    return made


GOOD = "from a2a_cloud import skill\n@skill\ndef hello() -> str:\n    'Hello.'\n    return 'hello'\n"


@pytest.mark.parametrize(
    ("code", "limits", "why", "trace"),
    [
        ("import a2a_none\n", "", "No module named 'a2a_none'", 'agent.py", line 1'),
        ("def f():\n    return 1 / 0\nf()\n", "", "ZeroDivisionError", "line 2, in f"),
        ("x = (\n", "", "SyntaxError", "line 1"),
        ("x = 1\n", "", "declares no skill", ""),
        ("import time\ntime.sleep(60)\n", "start_timeout = 0.5", "was not ready within 0.5 s", ""),
        ("import os\nos._exit(7)\n", "", "exited with code 7", ""),
        ("import sys\nsys.exit('no')\n", "", "SystemExit", ""),
        ("raise Exception('x' * 100_000)\n", "", "xxx", ""),
    ],
)
def test_a_start_that_fails_says_why(
    platform: Start, tmp_path: Path, code: str, limits: str, why: str, trace: str
) -> None:
    with pytest.raises(pytest.fail.Exception) as failed:
        platform([folder(tmp_path, code, limits)])
    said = str(failed.value)
    assert why in said
    assert trace in said
    assert "a2a_cloud/agent" not in said
    assert "a2a_cloud/app.py" not in said
    assert len(said) < 20_000


def test_a_worker_that_fails_to_start_later_fails_calls_and_is_tried_again(
    platform: Start, tmp_path: Path
) -> None:
    switch = tmp_path / "broken"
    code = f"import os\nif os.path.exists({str(switch)!r}):\n    raise RuntimeError('off')\n{GOOD}"
    code += "@skill\ndef die() -> str:\n    'Die.'\n    os._exit(1)\n"
    running = platform([folder(tmp_path, code)])
    assert invoke(running, "made", "hello").json == "hello"
    switch.touch()
    assert invoke(running, "made", "die").code == "worker_lost"
    said = invoke(running, "made", "hello")
    assert said.code == "skill_failed"
    assert "RuntimeError: off" in said.detail
    assert "raise RuntimeError('off')" in log_text(running, "made")
    switch.unlink()
    assert wait_for(lambda: invoke(running, "made", "hello").status == 200)


def test_a_worker_that_ends_by_itself_is_not_restarted_at_full_speed(platform: Start, tmp_path: Path) -> None:
    starts = tmp_path / "starts"
    code = f"import os, threading\nopen({str(starts)!r}, 'a').write('.')\n"
    code += "threading.Timer(0.05, os._exit, [9]).start()\n" + GOOD
    running = platform([folder(tmp_path, code)])
    wait_for(lambda: len(starts.read_text()) >= 3)
    # Each start waits longer than the one before: by now many would have been made.
    time.sleep(1.0)
    assert len(starts.read_text()) <= 6
    assert request(running, "GET", "/healthz").status == 200


# --- ends -------------------------------------------------------------------------------------------


def test_workers_die_with_the_platform_and_their_children_before_the_next_life(platform: Start) -> None:
    running = platform(["rogue"])
    worker = invoke(running, "rogue", "pid").json
    children = invoke(running, "rogue", "breed", how="deaf", count=3).json
    running.kill()
    wait_for(lambda: not alive(worker))
    assert all(alive(child) for child in children)  # Nobody is left to tell them.
    running.restart()
    wait_for(lambda: not any(alive(child) for child in children))


def test_a_worker_that_is_killed_from_outside_is_replaced(platform: Start) -> None:
    running = platform(["rogue"])
    for _ in range(3):
        worker = invoke(running, "rogue", "pid").json
        os.kill(worker, signal.SIGKILL)
        wait_for(lambda worker=worker: not alive(worker))
        assert wait_for(lambda: invoke(running, "rogue", "pid").json) != worker
