"""The bookkeeper as its README tells it, in a jail: it asks, waits over a restart, is allowed less than it
asked for, and all of it can be seen afterwards."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from calling import request

from running import Running, start_platform

FOLDER = Path(__file__).resolve().parents[2] / "examples" / "bookkeeper"
Start = Callable[..., Running]


@pytest.fixture(scope="module")
def office(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Running]:
    running = start_platform([FOLDER], tmp_path_factory.mktemp("office"), A2A_SANDBOX="jail")
    try:
        a2a(running, "ws", "mk", "default")
        a2a(running, "ws", "sync", str(FOLDER / "samples"), "default:")
        yield running
    finally:
        running.stop()


def begin(running: Running, *words: str) -> subprocess.Popen[str]:
    return subprocess.Popen(
        [sys.executable, "-m", "a2a_cloud.callers.cli", *words],
        env=running.env,
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )


def a2a(running: Running, *words: str, code: int = 0) -> tuple[str, str]:
    process = begin(running, *words)
    out, err = process.communicate(timeout=60)
    assert process.returncode == code, (out, err)
    return out, err


def document(running: Running, *words: str, code: int = 0) -> Any:
    return json.loads(a2a(running, *words, "--json", code=code)[0])


def boss_of(running: Running, name: str) -> dict[str, str]:
    made = request(running, "POST", "/api/v1/keys", {"principal": name, "role": "admin"})
    return {"Authorization": f"Bearer {made.json['key']}"}


def test_a_month_that_needs_nothing_more(office: Running) -> None:
    assert document(office, "call", "bookkeeper", "months")["result"] == ["2026-05", "2026-06"]
    call = document(office, "call", "bookkeeper", "close_month", "month=2026-05")
    assert call["result"]["total"] == "2034.10"
    assert "| sales | 3280.50 |" in a2a(office, "ws", "cat", f"default:{call['result']['file']}")[0]


def test_a_caller_leaves_less(office: Running) -> None:
    less = json.dumps({"read": ["ledger/2026-05.csv"]})
    assert document(office, "call", "bookkeeper", "months", "--grant", less)["result"] == ["2026-05"]


def test_it_asks_and_goes_on_with_less_over_a_restart(office: Running) -> None:
    boss = boss_of(office, "boss")
    call = document(office, "call", "bookkeeper", "close_month", "month=2026-06", code=6)
    approval, run = call["approval"], call["run_id"]
    assert (call["state"], approval["read"]) == ("auth-required", ["finance/**"])
    assert approval["reason"] == "2026-06 refers to finance/2026-06/payroll.csv"
    assert "a2a approvals ls" in a2a(office, "runs", run)[1]

    office.kill()
    office.restart()
    path = f"/api/v1/approvals/{approval['id']}/approve"
    assert request(office, "POST", path, {}).code == "forbidden"  # Nobody decides for themselves.
    said = request(office, "POST", path, {"read": ["finance/2026-06/**"]}, boss)
    assert said.status == 200, said.body
    end = time.monotonic() + 20
    while (view := document(office, "runs", run))["state"] != "completed":
        assert time.monotonic() < end, view
        time.sleep(0.05)

    first, second = view["grants"]
    # The first one is let be for a moment after it was replaced.
    assert (second["state"], second["prior"], second["approval"]) == ("active", first["id"], approval["id"])
    assert view["refusals"] == []
    did = [each["what"] for each in view["record"]]
    assert "read finance/2026-06/payroll.csv" in did
    shown = a2a(office, "runs", run)[0]
    for part in (first["id"], second["id"], f"approval {approval['id']}", "read finance/2026-06/payroll.csv"):
        assert part in shown
    receipt = request(office, "GET", f"/agents/bookkeeper/runs/{run}/receipt").json
    (decided,) = receipt["sections"]["approvals"]["value"]
    assert (decided["id"], decided["state"], decided["by"]) == (approval["id"], "approved", "boss@default")
    assert [each["id"] for each in receipt["sections"]["grants"]["value"]] == [first["id"], second["id"]]
    assert receipt["sections"]["env"]["value"]["sandbox"] == "jail"


def test_a_call_that_waits_goes_on_by_itself(office: Running) -> None:
    boss = boss_of(office, "chief")
    waiting = begin(office, "call", "bookkeeper", "close_month", "month=2026-06", "--wait", "--json")
    end = time.monotonic() + 20
    while not (opened := request(office, "GET", "/api/v1/approvals").json["approvals"]):
        assert time.monotonic() < end
        time.sleep(0.05)
    assert request(office, "POST", f"/api/v1/approvals/{opened[0]['id']}/deny", {}, boss).status == 200
    out, err = waiting.communicate(timeout=30)
    assert waiting.returncode == 0, err
    assert json.loads(out)["result"]["finance"] == "refused"
    assert f"a2a approvals approve {opened[0]['id']}" in err


def test_a_caller_is_not_told_what_it_did_inside(office: Running) -> None:
    made = request(office, "POST", "/api/v1/keys", {"principal": "ada"})
    ada = {"Authorization": f"Bearer {made.json['key']}"}
    said = request(office, "POST", "/agents/bookkeeper/invoke/close_month", {"month": "2026-06"}, ada)
    assert said.status == 202, said.body
    assert said.json["state"] == "auth-required"
    assert said.json["approval"]["read"] == ["finance/**"]
    task = request(office, "GET", f"/api/v1/tasks/{said.json['task_id']}", None, ada).json
    assert (task["question"], task["approval"]["id"]) == (None, said.json["approval"]["id"])
    view = request(office, "GET", f"/api/v1/runs/{said.json['run_id']}", None, ada).json
    assert "record" not in view
    env = {"A2A_KEY": made.json["key"], "A2A_URL": office.url}
    out = subprocess.run(
        [sys.executable, "-m", "a2a_cloud.callers.cli", "runs", said.json["run_id"], "--json"],
        env={**{k: v for k, v in office.env.items() if k != "A2A_DATA"}, **env, "PATH": os.environ["PATH"]},
        capture_output=True,
        text=True,
        timeout=30,
        check=True,
    ).stdout
    assert "refusals" not in json.loads(out)
    assert len(json.loads(out)["grants"]) == 1
