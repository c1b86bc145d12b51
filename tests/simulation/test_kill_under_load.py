"""The real process, killed for real, again and again while sixteen clients call it and streams are open."""

from __future__ import annotations

import os
import random
import signal
import threading
import time
from collections.abc import Callable
from pathlib import Path

from ledger import Ledger, settle, verify
from witness import Cut, Said, Witness
from world import World

from a2a_cloud.model.task import TaskState

ROUNDS = 4
CLIENTS = 16
CALLS = 12

#: What a call has to come to when nothing caught it; a durable or idempotent one always has to.
EXPECTED = {
    "say": "HELLO",
    "again": "done",
    "pour": "poured",
    "family": "parent of A CHILD",
    "quick": "quick",
}
SURE = {"lasting", "again", "quick"}


class Load:
    """Clients that call until the platform dies, and remember which calls were cut."""

    def __init__(self, witness: Witness, round_: int, trace: str) -> None:
        self.witness = witness
        self.trace = trace
        self.cut: list[tuple[str, str]] = []
        self.done = 0
        self._round = round_
        self._lock = threading.Lock()
        self.threads = [threading.Thread(target=self._client, args=(n,), daemon=True) for n in range(CLIENTS)]
        for thread in self.threads:
            thread.start()

    def _client(self, client: int) -> None:
        draw = random.Random(self._round * 100 + client)
        for n in range(CALLS):
            skill = draw.choice(["say", "say", "pour", "lasting", "again", "quick", "family", "survey"])
            key = f"{self._round}-{client}-{n}"
            try:
                if client % 4 == 0 and skill != "say":
                    self.witness.stream(skill, key, **self.arguments(skill))
                said = self.call(skill, key)
                if said.status != 202:
                    check(skill, said)
            except Cut:
                with self._lock:
                    self.cut.append((skill, key))
                return
            with self._lock:
                self.done += 1

    def arguments(self, skill: str) -> dict[str, str]:
        return {"text": "hello"} if skill == "say" else {"trace": self.trace}

    def call(self, skill: str, key: str) -> Said:
        return self.witness.invoke(skill, key, **self.arguments(skill))


def check(skill: str, said: Said) -> None:
    assert said.status == 200, (skill, said.body)
    if skill in EXPECTED:
        assert said.json == EXPECTED[skill]


def test_kill_under_load(tmp_path: Path) -> None:
    world = World(tmp_path, real=True)
    witness = Witness(world)
    known: set[str] = set()
    draw = random.Random(7)
    world.start()
    caught = done = 0
    try:
        for round_ in range(ROUNDS):
            load = Load(witness, round_, str(tmp_path / "trace"))
            time.sleep(draw.uniform(0.3, 1.0))
            if round_ == 1:  # The journal's writer alone dies: nobody notices.
                os.kill(writer_of(world), signal.SIGKILL)
                time.sleep(0.5)
            workers = world.workers
            world.kill()
            for thread in load.threads:
                thread.join(30)
            witness.join()
            open_before = [run.id for run in Ledger(world.data).runs if run.ended is None]
            restarted = time.time()
            world.start()
            ledger = settle(world)
            assert not any(alive(pid) for pid in workers)
            ledger.check()
            ledger.shows(witness)
            fates(ledger, open_before, restarted)
            for skill, key in load.cut:
                said = load.call(skill, key)
                if said.status >= 500:
                    assert skill not in SURE, said.body
                    assert said.code == "worker_lost" or skill == "family", said.body
                elif skill == "survey":
                    assert said.json["state"] == "input-required"
                else:
                    check(skill, said)
            caught, done = caught + len(open_before), done + load.done
        ledger = settle(world)
        ledger.check()
        parked = [run for run in ledger.runs if run.state is TaskState.INPUT_REQUIRED]
        for run in parked:
            answered = witness.send(f"answer-{run.id}", "blue", task=run.task_id)
            assert answered.json["task"]["status"]["state"] == "TASK_STATE_COMPLETED", answered.body
        ledger = settle(world)
        ledger.check()
        ledger.shows(witness)
        verify(world, witness, ledger, known)
        assert parked
        assert caught
        assert done > 50, done
        assert world.stop() == 0
    finally:
        world.close()


def fates(ledger: Ledger, caught: list[str], restarted: float) -> None:
    """House table: what becomes of the runs that a crash caught."""
    for id_ in caught:
        run = ledger.by_id[id_]
        if run.ended is not None and run.ended < restarted:
            continue  # Its last commit was on disk, and only the restart could see it.
        if run.skill in SURE:
            assert run.state is TaskState.COMPLETED or run.parent is not None, run
        elif run.state is not TaskState.INPUT_REQUIRED:
            assert run.problem == "worker_lost", run


def writer_of(world: World) -> int:
    """The process id of the journal's writer."""
    for pid in children_of(world.process.pid):
        if b"storage.journal" in Path(f"/proc/{pid}/cmdline").read_bytes():
            return pid
    raise AssertionError("there is no writer")


def children_of(pid: int) -> list[int]:
    return [int(child) for child in Path(f"/proc/{pid}/task/{pid}/children").read_text().split()]


def alive(pid: int) -> bool:
    """Whether a process can still do something."""
    try:
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0] != "Z"
    except OSError:
        return False


def lines(trace: Path) -> int:
    return trace.read_bytes().count(b"\n") if trace.exists() else 0


def acts(world: World, trace: Path, skill: str, began: Callable[[], bool]) -> int:
    """Start a skill that acts all the time, and kill the platform. Returns what it had done by then."""
    Witness(world).stream(skill, trace=str(trace))
    world.until(began, 10, "it acts")
    world.kill()
    return lines(trace)


def test_nobody_acts_beside_a_restart(tmp_path: Path) -> None:
    """Workers die with the platform; what they left running is ended before the next one is ready."""
    world = World(tmp_path, real=True)
    try:
        for skill in ("beat", "breed"):
            trace = tmp_path / skill
            world.start()
            acts(world, trace, skill, lambda trace=trace: lines(trace) > 3)
            world.start()
            before = lines(trace)
            pids = {int(line.split()[1]) for line in trace.read_text().splitlines()}
            assert not any(alive(pid) for pid in pids)
            time.sleep(0.1)  # Five beats.
            assert lines(trace) == before
            assert not list(filter(alive, pids))
            settle(world).check()
            world.kill()
    finally:
        world.close()
