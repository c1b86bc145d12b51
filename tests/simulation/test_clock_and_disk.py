"""The wall clock jumps, the disk is full, the platform is stopped: nothing hangs and nothing is lost."""

from __future__ import annotations

import os
import signal
import time
from pathlib import Path

from ledger import Ledger, settle, verify
from witness import Witness
from world import World

from a2a_cloud.model.task import TaskState
from a2a_cloud.testing.commits import Fault

YEAR = 366 * 86400.0


def test_a_turned_clock_expires_nothing(world: World, witness: Witness, tmp_path: Path) -> None:
    world.start()
    gate = tmp_path / "gate"
    running = witness.begin("pour", gate=str(gate))
    parked = witness.skill("parked", "survey").json["task"]["id"]
    for offset in (YEAR, -YEAR, 0.0, -3600.0):
        napping = witness.begin("long_nap", seconds=0.3)
        world.control.turn(offset)
        assert witness.invoke("say", text="now").json == "NOW"
        world.until(lambda napping=napping: witness.task(napping)["state"] == "completed", 10, "it woke up")
    assert witness.task(running)["state"] == "working"
    assert witness.task(parked)["state"] == "input-required"
    gate.touch()
    world.until(lambda: witness.task(running)["state"] == "completed", 5, "it has ended")
    assert (
        witness.send("answer", "red", task=parked).json["task"]["status"]["state"] == "TASK_STATE_COMPLETED"
    )
    ledger = settle(world)
    ledger.check()
    verify(world, witness, ledger, set())


def test_a_clock_that_is_turned_over_a_restart(world: World, witness: Witness) -> None:
    """A nap is as long as it was meant to be at most, whichever way the clock went while nobody looked."""
    world.start()
    back = witness.begin("long_nap", seconds=0.5)
    world.until(lambda: Ledger(world.data).runs[0].events, 5, "it sleeps")
    world.control.turn(-YEAR)
    world.restart()
    settle(world).check()
    assert witness.task(back)["state"] == "completed"
    forward = witness.begin("long_nap", seconds=30)
    world.until(lambda: Ledger(world.data).runs[1].events, 5, "it sleeps")
    world.control.turn(YEAR)
    world.restart()
    settle(world).check()
    assert witness.task(forward)["state"] == "completed"


def test_a_full_disk(world: World, witness: Witness, tmp_path: Path) -> None:
    """New work is refused, what runs waits and goes on by itself."""
    world.start()
    gate, trace = tmp_path / "gate", tmp_path / "trace"
    running = witness.begin("lasting", gate=str(gate), trace=str(trace))
    calling = witness.begin("nap_then_call", seconds=0.2)
    parked = witness.skill("parked", "survey").json["task"]["id"]
    world.until(lambda: witness.task(running)["runs"][0]["state"] == "working", 5, "it works")
    done = witness.invoke("say", "done", text="done")
    witness.follow(running)
    world.control.arm(Fault.FULL, 1, times=1 << 40)
    refused = witness.invoke("say", "refused", text="more")
    assert (refused.status, refused.code) == (507, "storage_full")
    assert "retry-after" in refused.headers
    rpc = witness.send("refused-2", "more")
    assert rpc.status == 507
    assert rpc.code == "storage_full"
    answer = witness.send("answer", "red", task=parked)
    assert (answer.status, answer.code) == (507, "storage_full")
    ready = witness.request("GET", "/readyz")
    assert ready.status == 503
    assert witness.request("GET", "/healthz").status == 200
    # What is known already can be had: reading needs no room.
    assert witness.invoke("say", "done", text="done").headers["a2a-run"] == done.headers["a2a-run"]
    assert witness.task(parked)["state"] == "input-required"
    gate.touch()
    count = len(Ledger(world.data).runs)
    commits = world.control.commits
    world.until(lambda: world.control.commits > commits + 2, 10, "it tries again and again")
    assert witness.task(running)["state"] == "working"
    assert len(Ledger(world.data).runs) == count
    world.control.disarm()
    world.until(lambda: witness.request("GET", "/readyz").status == 200, 5, "it sees that there is room")
    for task in (running, calling):
        world.until(lambda task=task: witness.task(task)["state"] == "completed", 5, "it went on by itself")
    assert witness.invoke("say", "refused", text="more").json == "MORE"
    assert witness.send("answer", "red", task=parked).status == 200
    witness.join()
    ledger = settle(world)
    ledger.check()
    ledger.shows(witness)
    verify(world, witness, ledger, set())


def test_a_stop_with_a_full_disk(world: World, witness: Witness, tmp_path: Path) -> None:
    """Ctrl-C ends all the same, and the next start finds what a crash would have left."""
    world.drain = 1.0
    world.start()
    task = witness.begin("again", gate=str(tmp_path / "gate"))
    world.until(lambda: Ledger(world.data).runs[0].events, 5, "it works")
    world.control.arm(Fault.FULL, 1, times=1 << 40)
    assert world.stop() == 0
    (tmp_path / "gate").touch()
    world.restart()
    settle(world).check()
    assert witness.task(task)["state"] == "completed"


def test_a_stop_drains(world: World, witness: Witness, tmp_path: Path) -> None:
    """Running calls may finish; what can go on after a restart stays open for it; the rest is lost, and
    says so."""
    world.drain = 3.0
    world.start()
    soon = witness.stream("pour", "soon", gate=str(tmp_path / "soon"))
    tasks = {
        "soon": next(iter(witness.tasks)),
        "parked": witness.skill("parked", "survey").json["task"]["id"],
        "kept": witness.skill("kept", "kept").json["task"]["id"],
        "asleep": witness.begin("long_nap", seconds=3600),
        "durable": witness.begin("lasting", gate=str(tmp_path / "durable")),
        "never": witness.begin("pour", gate=str(tmp_path / "never")),
    }
    behind = witness.send("behind", "behind", task=tasks["never"], now=True)
    assert behind.status == 200
    began = time.monotonic()
    os.kill(world.process.pid, signal.SIGINT)
    world.until(lambda: witness.invoke("say", text="late").status == 503, 5, "no new work is taken")
    (tmp_path / "soon").touch()
    soon.join(10)
    assert not soon.is_alive()
    assert world.wait_dead(30) == 0
    assert time.monotonic() - began < world.drain + 10  # What was promised, and a bit.
    ledger = Ledger(world.data)
    ledger.check()
    ledger.shows(witness)
    state = {name: [run for run in ledger.runs if run.task_id == task] for name, task in tasks.items()}
    assert state["soon"][0].result == "poured"
    assert state["parked"][0].state is TaskState.INPUT_REQUIRED
    for name in ("asleep", "durable"):
        assert state[name][0].ended is None
    for run in (*state["never"], *state["kept"]):
        assert (run.problem, run.dead) == ("worker_lost", True)
    (tmp_path / "durable").touch()
    world.restart()
    world.until(lambda: witness.task(tasks["durable"])["state"] == "completed", 5, "it goes on")
    assert witness.send("answer", "red", task=tasks["parked"]).status == 200
    assert witness.task(tasks["asleep"])["state"] in ("working", "submitted")
    Ledger(world.data).check()
