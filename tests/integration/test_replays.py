"""Replays of recorded runs over the sockets of a platform as a user starts it: identical, the first
difference, what is not there any more; and nothing of them is written."""

from __future__ import annotations

import json
import shutil
import sqlite3
import subprocess
import sys
import zipfile
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from calling import answer, begin, invoke, request, run_of, wait_for

from running import AGENTS, Running, start_platform

EXAMPLES = AGENTS.parents[1] / "examples"
TOLD = AGENTS / "retold"


def call(running: Running, skill: str, agent: str = "retold", **arguments: Any) -> str:
    """The run's id, once it has ended or waits."""
    said = invoke(running, agent, skill, **arguments)
    found = said.headers.get("a2a-run", "")
    assert found, said.body
    return found


def replayed(running: Running, run: str, **more: Any) -> dict[str, Any]:
    said = request(running, "POST", "/api/v1/replays", {"run": run, **more})
    assert said.status == 200, said.body
    return said.json


def identical(running: Running, run: str, **more: Any) -> dict[str, Any]:
    found = replayed(running, run, **more)
    assert (found["verdict"], found["difference"], found["missing"]) == ("identical", None, None), found
    return found


def difference(running: Running, run: str, **more: Any) -> dict[str, Any]:
    found = replayed(running, run, **more)
    assert found["verdict"] == "different", found
    return found["difference"]


def missing(running: Running, run: str, **more: Any) -> dict[str, Any]:
    found = replayed(running, run, **more)
    assert found["verdict"] == "unavailable", found
    return found["missing"]


def a2a(running: Running, *words: str) -> tuple[int, str, str]:
    command = [sys.executable, "-m", "a2a_cloud.callers.cli", *words]
    done = subprocess.run(command, env=running.env, capture_output=True, text=True, timeout=60, check=False)
    return done.returncode, done.stdout, done.stderr


def rows(running: Running) -> dict[str, int]:
    """How many rows each table has, apart from those that are written some time after what they tell of."""
    with sqlite3.connect(f"file:{running.data / 'journal.db'}?mode=ro", uri=True) as base:
        names = [name for (name,) in base.execute("SELECT name FROM sqlite_master WHERE type='table'")]
        late = {"budget_use", "audit_log", "audit_log_tile"}
        return {
            name: base.execute(f"SELECT count(*) FROM {name}").fetchone()[0]  # noqa: S608
            for name in names
            if name not in late
        }


@pytest.fixture(scope="module")
def stage(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Running]:
    running = start_platform([TOLD], tmp_path_factory.mktemp("stage"))
    yield running
    running.stop()


def test_everything_of_a_context_comes_again(stage: Running) -> None:
    run = call(stage, "whole", name="one")
    found = identical(stage, run)
    assert found["effects"] == 15
    assert found["files"] == 8
    assert found["outputs"] == 8
    (child,) = (
        row["id"]
        for row in request(stage, "GET", "/api/v1/runs?limit=5").json["runs"]
        if row["parent"] == run
    )
    identical(stage, child)


@pytest.mark.parametrize("how", ["refuse", "problem", "zero"])
def test_what_failed_fails_so_again(stage: Running, how: str) -> None:
    identical(stage, call(stage, "raises", how=how))


@pytest.mark.parametrize(
    ("skill", "arguments"),
    [("flaky", {}), ("replies", {"name": "you"}), ("prints", {}), ("small", {"number": 3})],
)
def test_what_is_the_same_each_time(stage: Running, skill: str, arguments: dict[str, Any]) -> None:
    identical(stage, call(stage, skill, **arguments))


def test_nothing_is_written(stage: Running) -> None:
    run = call(stage, "whole", name="two")
    request(stage, "GET", f"/api/v1/runs/{run}")
    before, objects = rows(stage), sorted((stage.data / "objects").rglob("*"))
    logs = request(stage, "GET", "/api/v1/agents/retold/logs").json["lines"]
    for _ in range(3):
        identical(stage, run)
    assert rows(stage) == before
    assert sorted((stage.data / "objects").rglob("*")) == objects
    assert request(stage, "GET", "/api/v1/agents/retold/logs").json["lines"] == logs


def test_a_result_that_differs_names_the_place(stage: Running) -> None:
    found = difference(stage, call(stage, "clock"))
    assert (found["kind"], found["path"], found["seq"]) == ("result", "/at", 0)
    assert float(found["got"]) > float(found["expected"])


def test_an_effect_that_differs_is_named(stage: Running) -> None:
    found = difference(stage, call(stage, "luck"))
    assert (found["kind"], found["seq"]) == ("step", 1)
    assert found["expected"] != found["got"]
    assert found["expected"].startswith("step 'step 0.")


def test_a_text_that_differs_is_shown(stage: Running) -> None:
    found = difference(stage, call(stage, "words"))
    assert (found["kind"], found["seq"]) == ("text", 1)
    assert found["expected"].startswith("It is ")


def test_a_question_and_its_answer(stage: Running) -> None:
    said = request(stage, "POST", "/agents/retold/invoke/asks", {})
    assert request(stage, "POST", "/api/v1/replays", {"run": said.run}).code == "receipt_pending"
    task = run_of(stage, said.run)["task_id"]
    assert answer(stage, "retold", task, "this one").status == 200
    assert identical(stage, said.run)["effects"] == 3


def test_what_was_canceled_is_compared_up_to_there(stage: Running) -> None:
    run = call(stage, "waits")
    request(stage, "POST", f"/api/v1/runs/{run}/cancel", {})
    (note,) = identical(stage, run)["notes"]
    assert "canceled" in note


def test_no_connection_is_made(stage: Running) -> None:
    (note,) = identical(stage, call(stage, "outward"))["notes"]
    assert "example.invalid:80" in note


def test_one_that_hangs_ends(stage: Running, tmp_path: Path) -> None:
    """Its own time is over, and others go on meanwhile in fresh workers."""
    run = call(stage, "forever", turn=str(tmp_path / "turn"))
    found = difference(stage, run)
    assert found["kind"] == "end"
    assert found["got"] == "did nothing more in 3.0 s"
    identical(stage, call(stage, "prints"))


def test_a_receipt_stands_for_its_run(stage: Running, tmp_path: Path) -> None:
    run = call(stage, "small", number=5)
    document = request(stage, "GET", f"/agents/retold/runs/{run}/receipt").body
    path = tmp_path / "receipt.json"
    path.write_bytes(document)
    code, out, err = a2a(stage, "replay", str(path))
    assert code == 0, err
    assert f"identical: {run}" in out
    changed = json.loads(document)
    changed["body"]["attempts"] = 2
    path.write_text(json.dumps(changed))
    code, out, err = a2a(stage, "replay", str(path))
    assert code == 8, (out, err)
    assert "can't be relied on" in err


def test_who_may(stage: Running) -> None:
    run = call(stage, "small", number=6)
    for role, status in (("developer", 200), ("approver", 200), ("viewer", 403), ("member", 403)):
        made = request(stage, "POST", "/api/v1/keys", {"principal": f"some-{role}", "role": role}).json["key"]
        headers = {"Authorization": f"Bearer {made}"}
        said = request(stage, "POST", "/api/v1/replays", {"run": run}, headers)
        assert said.status == status, (role, said.body)
    request(stage, "POST", "/api/v1/orgs", {"name": "other"})
    made = request(stage, "POST", "/api/v1/keys", {"principal": "far", "org": "other", "role": "admin"}).json[
        "key"
    ]
    said = request(stage, "POST", "/api/v1/replays", {"run": run}, {"Authorization": f"Bearer {made}"})
    assert (said.status, said.code) == (404, "run_not_found")


@pytest.mark.parametrize(
    ("body", "code"),
    [
        ({}, "invalid_params"),
        ({"run": "run_nobody"}, "run_not_found"),
        ({"run": "x" * 300}, "run_not_found"),
        ({"run": 7}, "invalid_params"),
        ({"run": "run_1", "receipt": {}}, "invalid_params"),
        ({"receipt": {"body": {}}}, "invalid_params"),
        ({"receipt": None}, "invalid_params"),
        ({"run": "run_1", "more": 1}, "invalid_params"),
    ],
    ids=["nothing", "unknown", "long", "number", "both", "no receipt", "null", "unknown member"],
)
def test_bad_input_is_refused(stage: Running, body: dict[str, Any], code: str) -> None:
    said = request(stage, "POST", "/api/v1/replays", body)
    assert said.code == code, said.body


def test_a_record_that_was_changed_is_no_record(tmp_path: Path) -> None:
    """What is stored is not what the receipt says; and what is erased or lost is said to be."""
    running = start_platform([TOLD], tmp_path)
    try:
        put = request(running, "PUT", "/api/v1/workspaces/default/files/shared/plan.md", b"a plan")
        assert put.status in (200, 201), put.body
        changed, erased = call(running, "small", number=1), call(running, "small", number=2)
        pruned = call(running, "reader")
        identical(running, pruned)
        said = request(running, "POST", f"/api/v1/runs/{erased}/erase", {})
        assert said.status == 200, said.body
        found = missing(running, erased)
        assert found["what"] == "payload"
        assert "erased at" in found["detail"]
        running.stop()
        with sqlite3.connect(running.data / "journal.db") as base:
            events = base.execute("SELECT id, body FROM event").fetchall()
            (row,) = [
                one for one in events if b'"stage":"double","percent":-1.0,"message":"1"' in bytes(one[1])
            ]
            body = bytes(row[1]).replace(b'"message":"1"', b'"message":"9"')
            base.execute("UPDATE event SET body=? WHERE id=?", (body, row[0]))
        with sqlite3.connect(running.data / "journal.db") as base:
            (tree,) = base.execute(
                "SELECT tree FROM workspace_version ORDER BY number DESC LIMIT 1"
            ).fetchone()
        for path in (running.data / "objects").rglob(f"*{tree[4:]}*"):
            path.unlink()
        running.restart()
        found = difference(running, changed)
        assert (found["kind"], found["name"]) == ("record", "events_sha256")
        assert missing(running, pruned)["what"] == "workspace"
    finally:
        running.stop()


def test_a_run_that_outlived_a_crash_is_one_run(tmp_path: Path) -> None:
    running = start_platform([TOLD], tmp_path)
    try:
        asked = call(running, "asks")
        begin(running, "retold", "lasts")
        lasting = wait_for(lambda: _newest(running, "lasts"))
        wait_for(lambda: "drawn" in request(running, "GET", f"/api/v1/runs/{lasting}").body.decode())
        running.kill()
        running.restart()
        task = run_of(running, asked)["task_id"]
        assert answer(running, "retold", task, "yes").status == 200
        wait_for(lambda: run_of(running, lasting)["state"] == "completed")
        identical(running, asked)
        assert identical(running, lasting)["files"] == 2
    finally:
        running.stop()


def _newest(running: Running, skill: str) -> str:
    row = request(running, "GET", "/api/v1/runs?limit=1").json["runs"][0]
    return row["id"] if row["skill"] == skill else ""


def test_another_release_is_a_regression_test(tmp_path: Path) -> None:
    folder = tmp_path / "retold"
    shutil.copytree(TOLD, folder)
    running = start_platform([folder], _home(tmp_path))
    try:
        same, other = call(running, "raises", how="refuse"), call(running, "small", number=4)
        gone, misfit = call(running, "replies", name="a"), call(running, "whole", name="long enough")
        source = (folder / "agent.py").read_text()
        source = source.replace("number * 2, name", "number * 3, name").replace(
            "message=str(number))", 'message=f"of {number}")'
        )
        source = source.replace("async def replies(", "async def answers(")
        source = source.replace(
            "async def whole(ctx: Context, name: str)", "async def whole(ctx: Context, name: int)"
        )
        (folder / "agent.py").write_text(source)
        code, _, err = a2a(running, "deploy", str(folder), "--force")
        assert code == 0, err
        found = identical(running, same, release="new")
        assert (found["recorded"], found["release"]) == (1, 2)
        changed = difference(running, other, release=2)
        assert (changed["kind"], changed["name"], changed["seq"]) == ("progress", "double", 1)
        assert (changed["expected"], changed["got"]) == ("double: 4", "double: of 4")
        assert difference(running, gone, release="new")["kind"] == "skill"
        assert difference(running, misfit, release="new")["kind"] == "arguments"
        identical(running, other)
        identical(running, other, release="1")
        code, out, err = a2a(
            running, "replay", "--last", "3", "--release", "new", "--skill", "small", "--json"
        )
        assert code == 13, (out, err)
        told = json.loads(out)
        assert (told["different"], told["identical"], told["exit"]) == (2, 0, 13)
        code, out, _ = a2a(running, "replay", "--last", "100", "--release", "new")
        assert code == 13
        assert "1 identical, 4 different, 0 unavailable" in out, out
        assert (
            request(running, "POST", "/api/v1/replays", {"run": same, "release": 9}).code
            == "release_not_found"
        )
    finally:
        running.stop()


def test_all_examples_replay_identical(tmp_path: Path) -> None:
    names = ["contract_reviewer", "data_analyst", "planner", "mesh_buyer", "mesh_seller", "tester"]
    running = start_platform([EXAMPLES / name for name in names], _home(tmp_path))
    try:
        samples = EXAMPLES / "planner" / "samples"
        room = tmp_path / "room.zip"
        with zipfile.ZipFile(room, "w") as archive:
            for path in sorted(samples.iterdir()):
                archive.write(path, path.name)
        nda = EXAMPLES / "contract_reviewer" / "samples" / "mutual_nda.md"
        table = EXAMPLES / "data_analyst" / "samples" / "orders.csv"
        a2a(running, "call", "data_analyst", "analyse", f"table=@{table}", "--out", str(tmp_path / "out"))
        a2a(running, "call", "contract_reviewer", "review", f"contract=@{nda}")
        text = "This Agreement is made by the parties. Either party may terminate it."
        a2a(running, "call", "contract_reviewer", "review", f"text={text}")
        a2a(running, "call", "planner", "brief", f"files=@{room}")
        a2a(running, "call", "mesh_buyer", "buy", "item=desk")
        a2a(running, "call", "tester", "ask", "question=Tea or coffee?")
        for skill in ("complete", "answer", "file_artifact", "data_artifact", "reject", "fail", "stream"):
            a2a(running, "call", "tester", skill)
        for _ in range(8):  # Whatever they ask, they are answered until nobody asks any more.
            asked = request(running, "GET", "/api/v1/runs?state=input-required").json["runs"]
            for row in asked:
                task = request(running, "GET", f"/api/v1/tasks/{row['task_id']}").json
                schema = task["question"]["schema"]
                choice = json.dumps(_fitting(schema))
                a2a(running, "answer", row["task_id"], choice.strip('"'), "--agent", row["agent"])
        assert not request(running, "GET", "/api/v1/runs?state=input-required").json["runs"]
        code, out, err = a2a(running, "replay", "--last", "100", "--json")
        told = json.loads(out)
        assert code == 0, [one for one in told["replays"] if one["verdict"] != "identical"]
        assert told["identical"] >= 9, err
        assert {one["agent"] for one in told["replays"]} == set(names)
    finally:
        running.stop()


def _home(path: Path) -> Path:
    home = path / "home"
    home.mkdir()
    return home


def _fitting(schema: dict[str, Any]) -> Any:
    """Something that fits a question's schema."""
    if "enum" in schema:
        return schema["enum"][0]
    if schema.get("type") == "boolean":
        return True
    return "Delaware"
