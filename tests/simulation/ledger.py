"""What has to hold of a data folder at rest, whatever happened to the platform: read from the database
itself, and compared with what witnesses saw."""

from __future__ import annotations

import sqlite3
from collections import defaultdict
from pathlib import Path
from typing import Any

import msgspec
from witness import Witness
from world import PROMISED, World

from a2a_cloud.model.run import (
    AnswerEvent,
    ArtifactEvent,
    AttemptEvent,
    EffectEnded,
    EffectStarted,
    ProgressEvent,
    ReplyEvent,
    ResultEvent,
    RunEvent,
    StatusEvent,
    TextEvent,
    decode_event,
)
from a2a_cloud.model.task import TERMINAL, TaskState
from a2a_cloud.storage.sql.schema import SEQ_BITS
from a2a_cloud.wire.jws import read_jwks
from a2a_cloud.wire.merkle import Frontier
from a2a_cloud.wire.proof import Outcome, verify_receipt

OPEN = {TaskState.SUBMITTED, TaskState.WORKING}


class Row(msgspec.Struct):
    """A stored run, its events and its task's state."""

    no: int
    id: str
    task: int
    task_id: str
    ordinal: int
    skill: str
    state: TaskState
    ended: float | None
    problem: str
    dead: bool
    parent: int | None
    events: list[tuple[int, RunEvent]]

    @property
    def result(self) -> Any:
        for _, event in self.events:
            if isinstance(event, ResultEvent):
                return msgspec.json.decode(event.value)
        return None

    @property
    def attempts(self) -> int:
        return 1 + sum(isinstance(event, AttemptEvent) for _, event in self.events)


class Ledger:
    """The journal of a data folder, read at one moment."""

    def __init__(self, data: Path) -> None:
        connection = sqlite3.connect(f"file:{data / 'journal.db'}?mode=ro", uri=True)
        try:
            connection.execute("BEGIN")
            read = connection.execute
            events: dict[int, list[tuple[int, RunEvent]]] = defaultdict(list)
            for number, body in read("SELECT id, body FROM event ORDER BY id"):
                events[number >> SEQ_BITS].append((number & ((1 << SEQ_BITS) - 1), decode_event(body)))
            self.runs = [
                Row(
                    *row[:6],
                    TaskState(row[6]),
                    row[7],
                    row[8] or "",
                    bool(row[9]),
                    row[10],
                    events.pop(row[0], []),
                )
                for row in read(
                    "SELECT no, id, task, task_id, ordinal, skill, state, ended, problem, dead, parent"
                    " FROM run ORDER BY no"
                )
            ]
            self.stray = dict(events)
            self.tasks = {id_: TaskState(state) for id_, state in read("SELECT id, state FROM task")}
            self.receipts = read("SELECT run, org, leaf, id FROM receipt ORDER BY org, leaf").fetchall()
            self.keys = read("SELECT run FROM idempotency").fetchall()
            self.logs: dict[int, list[tuple[int, bytes]]] = defaultdict(list)
            for org, leaf, found in read(
                "SELECT org, leaf, leaf_hash FROM receipt"
                " UNION ALL SELECT org, leaf, leaf_hash FROM audit_event ORDER BY 1, 2"
            ):
                self.logs[org].append((leaf, found))
            self.checkpoints = read("SELECT org, size, root FROM audit_log").fetchall()
        finally:
            connection.close()
        self.by_id = {run.id: run for run in self.runs}

    @property
    def unsettled(self) -> list[Row]:
        """Runs that are neither ended nor parked."""
        return [run for run in self.runs if run.state in OPEN]

    def check(self) -> None:
        """Everything that holds at every moment."""
        assert not self.stray, f"events of runs that are not there: {self.stray}"
        numbers = {run.no for run in self.runs}
        assert {run for (run,) in self.keys} <= numbers, "keys of runs that are not there"
        for run, *_ in self.receipts:
            assert run in numbers, "a receipt of a run that is not there"
        for org, leaves in self.logs.items():
            there = [leaf for leaf, _ in leaves]
            assert there == list(range(len(there))), f"the log of {org} has gaps: {there}"
        for org, size, root in self.checkpoints:
            assert self.root(org, size) == root, f"the log of {org} is another than its checkpoint says"
        assert sorted(run for run, *_ in self.receipts) == [
            run.no for run in self.runs if run.ended is not None
        ]
        by_task: dict[str, list[Row]] = defaultdict(list)
        for run in self.runs:
            by_task[run.task_id].append(run)
            self._check_run(run)
        for task, runs in by_task.items():
            self._check_task(task, runs)
        assert set(self.tasks) <= set(by_task)

    def root(self, org: int, size: int) -> bytes:
        """The root over the first leaves of a log."""
        tree = Frontier()
        for _, leaf in self.logs[org][:size]:
            tree.add(leaf)
        assert tree.size == size, f"the log of {org} has {tree.size} leaves, and was seen with {size}"
        return tree.root()

    def _check_run(self, run: Row) -> None:
        assert [seq for seq, _ in run.events] == list(range(1, len(run.events) + 1)), (run.id, run.events)
        states = [event.state for _, event in run.events if isinstance(event, StatusEvent)]
        over = [state for state in states if state in TERMINAL]
        if run.ended is None:
            assert not over, (run.id, states)
            assert run.state not in TERMINAL
        else:
            last = run.events[-1][1]
            assert isinstance(last, StatusEvent)
            assert [last.state] == over == [run.state], (run.id, states)
            assert last.problem_code == run.problem
        assert run.dead == (run.problem in ("worker_lost", "replay_differs")), (run.id, run.problem)
        open_effects: dict[int, str] = {}
        for seq, event in run.events:
            if isinstance(event, AttemptEvent):
                open_effects.clear()
            elif isinstance(event, EffectStarted) and event.kind != "now":
                open_effects[seq] = event.kind
            elif isinstance(event, EffectEnded):
                assert event.effect in open_effects, (
                    f"{run.id}: effect {event.effect} ended twice, or never began"
                )
                del open_effects[event.effect]

    def _check_task(self, task: str, runs: list[Row]) -> None:
        assert [run.ordinal for run in runs] == list(range(1, len(runs) + 1)), (task, runs)
        state = self.tasks.get(task)
        if state is None:  # Answered by a message, and no task.
            assert len(runs) == 1
            assert any(isinstance(event, ReplyEvent) for _, event in runs[0].events), runs
            return
        living = [run for run in runs if run.ended is None]
        if not living:
            assert state is max(runs, key=lambda run: (run.ended or 0, run.ordinal)).state, (
                task,
                state,
                runs,
            )
        elif living[0].state is TaskState.INPUT_REQUIRED:
            assert state is TaskState.INPUT_REQUIRED, (task, state, living)
        else:
            assert state in OPEN, (task, state, living)

    def shows(self, witness: Witness) -> None:
        """Everything that the witness saw is there, the same as then."""
        tasks = {run.task_id for run in self.runs}
        assert witness.tasks <= tasks, f"seen, but not there: {witness.tasks - tasks}"
        assert witness.runs <= set(self.by_id), f"seen, but not there: {witness.runs - set(self.by_id)}"
        receipts = {"rcpt_" + id_.hex() for _, _, _, id_ in self.receipts}
        assert witness.receipts <= receipts, f"seen, but not there: {witness.receipts - receipts}"
        for run, result in witness.results.items():
            row = self.by_id[run]
            assert row.state is TaskState.COMPLETED
            assert row.result == result
        places = {(run.task_id, run.ordinal): dict(run.events) for run in self.runs}
        for (task, position), (kind, data) in witness.events.items():
            ordinal, seq = position.split(".")
            stored = places[task, int(ordinal)].get(int(seq))
            assert stored is not None, f"event {position} of {task} was seen and is not there: {kind} {data}"
            assert said(stored, kind, data), f"event {position} of {task}: saw {kind} {data}, stored {stored}"


def said(stored: RunEvent, kind: str, data: dict[str, Any]) -> bool:
    """Whether a stored event is what was shown as `kind` with `data`."""
    if isinstance(stored, StatusEvent):
        shown = {stored.state.short} | ({"working"} if stored.state in TERMINAL else set())
        return kind == "status" and data["state"] in shown
    if isinstance(stored, TextEvent):
        return kind == "text" and data["delta"] == stored.delta
    if isinstance(stored, ProgressEvent):
        return kind == "progress" and (data["stage"], data["message"]) == (stored.stage, stored.message)
    if isinstance(stored, ArtifactEvent):
        return kind == "artifact" and data["artifact"]["artifactId"] == stored.artifact.artifact_id
    if isinstance(stored, ResultEvent):
        return kind == "result" and data["value"] == msgspec.json.decode(stored.value)
    if isinstance(stored, AttemptEvent):
        return kind == "attempt" and data["attempt"] == stored.attempt
    if isinstance(stored, AnswerEvent):
        return kind == "answer" and data["value"] == msgspec.json.decode(stored.value)
    return isinstance(stored, ReplyEvent) and kind == "reply"


def settle(world: World) -> Ledger:
    """Wait until nothing is submitted or working that nobody holds, as promised after a restart."""
    world.until(lambda: not Ledger(world.data).unsettled, PROMISED, "every run that was caught has its fate")
    return Ledger(world.data)


def verify(world: World, witness: Witness, ledger: Ledger, known: set[str]) -> None:
    """Check the receipts of all ended runs that are not `known`, whole, with the server's keys alone."""
    jwks = read_jwks(witness.request("GET", "/.well-known/jwks.json").body)
    for run in ledger.runs:
        if run.ended is None or run.id in known:
            continue
        known.add(run.id)
        agent = witness.run(run.id)["agent"]
        document = witness.request("GET", f"/agents/{agent}/runs/{run.id}/receipt")
        assert document.status == 200, document.body
        verdict = verify_receipt(document.body, jwks)
        assert verdict.outcome is Outcome.VALID, verdict.sentence
        wanted = {"id", "signature", "log", "sections.effects", "sections.children", "disclosed.events"}
        assert wanted | {"disclosed.request"} <= set(verdict.checked), verdict.checked
        body = verdict.body
        assert body is not None
        assert (body.run_id, body.status) == (run.id, run.state.short)
        assert body.attempts == run.attempts, (run.id, body.attempts, run.events)
        assert (body.task_id is msgspec.UNSET) == (run.task_id not in ledger.tasks)
