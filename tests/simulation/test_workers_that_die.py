"""`kill -9` of a worker, in every situation of a run (house table), and a worker that dies each time."""

from __future__ import annotations

from pathlib import Path

import pytest
from ledger import Ledger, Row, settle, verify
from witness import Witness
from world import World

from a2a_cloud.model.run import AttemptEvent, EffectStarted
from a2a_cloud.model.task import TaskState


@pytest.fixture
def client(world: World, witness: Witness) -> Witness:
    world.start()
    return witness


def run_of(world: World, task: str) -> Row:
    return next(run for run in Ledger(world.data).runs if run.task_id == task)


def began(client: Witness, skill: str, events: int = 1, **arguments: object) -> str:
    """Start a skill, and return its task once that many events are stored."""
    task = client.begin(skill, **arguments)
    world = client.world
    world.until(lambda: len(run_of(world, task).events) >= events, 10, "it works")
    return task


def after(client: Witness, task: str) -> Row:
    """The task's run once it is settled, with everything checked."""
    ledger = settle(client.world)
    ledger.check()
    client.join()
    ledger.shows(client)
    verify(client.world, client, ledger, set())
    return next(run for run in ledger.runs if run.task_id == task)


def test_a_simple_run_is_lost(client: Witness, tmp_path: Path) -> None:
    gate = tmp_path / "gate"
    task = began(client, "pour", 5, gate=str(gate))
    client.follow(task)
    client.world.kill_worker()
    run = after(client, task)
    assert (run.state, run.problem, run.dead) == (TaskState.FAILED, "worker_lost", True)
    dead = client.request("GET", "/api/v1/runs?dead=1").json["runs"]
    assert [row["id"] for row in dead] == [run.id]
    assert client.invoke("say", text="next").json == "NEXT"


def test_a_durable_run_is_replayed(client: Witness, tmp_path: Path) -> None:
    gate, trace = tmp_path / "gate", tmp_path / "trace"
    task = began(client, "lasting", 15, gate=str(gate), trace=str(trace))
    client.follow(task)
    client.world.kill_worker()
    gate.touch()
    run = after(client, task)
    assert run.state is TaskState.COMPLETED
    assert run.attempts == 1
    counted = [line.split()[0] for line in trace.read_text().splitlines()]
    assert sorted(counted) == ["lasting", "lasting", "one", "quick", "two"]
    assert run.result["count" if "count" in run.result else "one"] == "saw one"


def test_an_idempotent_run_is_restarted(client: Witness, tmp_path: Path) -> None:
    gate = tmp_path / "gate"
    task = began(client, "again", 1, gate=str(gate))
    client.follow(task)
    client.world.kill_worker()
    client.world.until(lambda: run_of(client.world, task).attempts == 2, 10, "a second attempt")
    gate.touch()
    run = after(client, task)
    assert (run.state, run.result, run.attempts) == (TaskState.COMPLETED, "done", 2)
    kinds = [
        kind
        for (_, _), (kind, _) in sorted(client.events.items(), key=lambda item: int(item[0][1].split(".")[1]))
    ]
    assert kinds.index("attempt") < len(kinds) - 1 - kinds[::-1].index("text")


def test_a_budget_that_nobody_can_read_any_more(client: Witness, tmp_path: Path) -> None:
    """The currency is counted more coarsely after the restart: the run ends and says so, and could not
    go on to spend anything."""
    world = client.world
    world.kill()
    world.currencies = (("USD", 4),)
    world.start()
    gate = tmp_path / "gate"
    path = "/agents/crash/invoke/lasting?async=1"
    arguments = {"gate": str(gate), "trace": str(tmp_path / "trace")}
    said = client.request("POST", path, arguments, **{"A2A-Budget": "0.1234USD"})
    assert said.status == 202, said.body
    task = said.headers["a2a-task"]
    world.until(lambda: len(run_of(world, task).events) >= 15, 10, "it works")
    world.currencies = ()
    world.restart()
    gate.touch()
    world.until(lambda: run_of(world, task).state is TaskState.FAILED, 10, "it ended")
    run = run_of(world, task)
    assert (run.problem, run.dead) == ("invalid_params", True)
    shown = client.request("GET", f"/api/v1/runs/{run.id}").json
    assert "The call's budget" in str(shown), shown
    assert client.invoke("say", text="next").json == "NEXT"


def test_a_parked_run_waits_and_is_replayed(client: Witness, tmp_path: Path) -> None:
    trace = tmp_path / "trace"
    asked = client.skill("ask", "survey", trace=str(trace))
    task = asked.json["task"]["id"]
    client.world.kill_worker()
    assert client.task(task)["question"]["text"] == "Which color?"
    answered = client.send("answer", "blue", task=task)
    assert answered.json["task"]["status"]["state"] == "TASK_STATE_COMPLETED"
    run = after(client, task)
    assert run.result == {"first": "saw first", "second": "saw second", "color": "blue"}
    counted = [line.split()[0] for line in trace.read_text().splitlines()]
    assert sorted(counted) == ["answered", "first", "second", "survey", "survey"]


def test_a_parked_run_that_keeps_its_worker_is_lost_with_it(client: Witness) -> None:
    task = client.skill("ask", "kept").json["task"]["id"]
    assert client.send("answer", "hm", task=task).status == 200  # With its worker it goes on as any other.
    task = client.skill("ask again", "kept").json["task"]["id"]
    client.world.kill_worker()
    client.world.until(lambda: run_of(client.world, task).ended, 5, "it is lost")
    run = after(client, task)
    assert (run.problem, run.dead) == ("worker_lost", True)
    task = client.skill("once more", "kept").json["task"]["id"]
    client.world.restart()
    client.world.until(lambda: run_of(client.world, task).ended, 5, "it is lost")
    run = after(client, task)
    assert (run.problem, run.dead) == ("worker_lost", True)


def test_sleepers(client: Witness) -> None:
    """A run in a short sleep is a working one: lost, or if durable asleep again until the same moment. A
    long sleep needs no process."""
    lost, lasting = began(client, "nap", seconds=4.9), began(client, "long_nap", seconds=1.0)
    deep = began(client, "nap", seconds=5.2)
    client.follow(lasting)
    client.world.kill_worker()
    client.world.until(lambda: run_of(client.world, lost).ended, 5, "the nap is lost")
    assert run_of(client.world, lost).problem == "worker_lost"
    assert run_of(client.world, deep).ended is None
    client.world.until(lambda: run_of(client.world, deep).ended, 10, "the long nap is over")
    run = after(client, lasting)
    assert (run.state, run.result) == (TaskState.COMPLETED, "rested")
    run = after(client, deep)
    assert (run.state, run.result) == (TaskState.COMPLETED, "rested")


@pytest.mark.parametrize("restart", [False, True], ids=["worker", "platform"])
def test_a_parent_that_waits_for_its_child(client: Witness, tmp_path: Path, restart: bool) -> None:
    """A durable parent hears that its child is lost; a durable child goes on under it."""
    gate, trace = tmp_path / "gate", tmp_path / "trace"
    hears = began(client, "outer", gate=str(gate), trace=str(trace))
    waits = began(client, "both", gate=str(gate), trace=str(trace))
    gone = began(client, "family_of_slow", gate=str(gate), trace=str(trace))
    client.world.until(lambda: trace.read_text().count("pour") == 2, 10, "the children work")
    client.world.until(lambda: trace.read_text().count("two") == 1, 10, "the lasting child works")
    client.world.restart() if restart else client.world.kill_worker()
    gate.touch()
    assert after(client, hears).result == "child failed: worker_lost"
    assert after(client, waits).result == "child saw one"
    lost = after(client, gone)
    assert (lost.problem, lost.dead) == ("worker_lost", True)
    ledger = settle(client.world)
    for run in ledger.runs:
        children = [child.id for child in ledger.runs if child.parent == run.no]
        if children:
            document = client.request("GET", f"/agents/crash/runs/{run.id}/receipt").json
            named = {child["receipt_id"] for child in document["sections"]["children"]["value"]}
            assert named == {client.run(child)["receipt_id"] for child in children}, run.skill
    (child,) = [run for run in ledger.runs if run.parent == lost.no]
    assert child.problem in ("worker_lost", "")
    assert child.state in (TaskState.FAILED, TaskState.CANCELED)


def test_a_run_that_kills_its_worker_each_time(client: Witness, tmp_path: Path) -> None:
    trace = tmp_path / "trace"
    said = client.invoke("doomed", trace=str(trace))
    assert (said.status, said.code) == (500, "worker_lost")
    assert len(trace.read_text().splitlines()) == 4  # The first time, and three more.
    ledger = settle(client.world)
    ledger.check()
    (run,) = ledger.runs
    assert run.dead
    assert sum(isinstance(event, EffectStarted) for _, event in run.events) == 1
    assert not any(isinstance(event, AttemptEvent) for _, event in run.events)
    assert client.invoke("say", text="on").json == "ON"


def test_an_answer_that_nobody_heard(client: Witness, tmp_path: Path) -> None:
    """The worker dies between the answer's commit and its code: the answer is not lost with it."""
    trace, gate = tmp_path / "trace", tmp_path / "gate"
    task = client.skill("ask", "survey", trace=str(trace), gate=str(gate)).json["task"]["id"]
    client.world.kill_worker()
    assert client.send("answer", "blue", task=task, now=True).status == 200
    client.world.until(lambda: "answered" in trace.read_text(), 10, "the answer was heard")
    client.world.until(lambda: run_of(client.world, task).events[-1][1].visible, 5, "and told")
    gate.touch()
    assert after(client, task).result["color"] == "blue"
