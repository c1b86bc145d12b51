"""After a restart: every run that a crash caught goes on or ends, within seconds (house table).

First the process groups of the earlier life are ended, so that nobody acts beside attempt 2. A
parked run keeps its question open. A run caught submitted or working is replayed (durable),
restarted (idempotent), or fails with `worker_lost` on the dead-letter list; one that waits behind
another of its task was never started and simply goes on waiting.
"""

from __future__ import annotations

import logging
from typing import TYPE_CHECKING

from a2a_cloud.model.problem import Internal, Problem
from a2a_cloud.model.run import AttemptEvent, LogEvent, RunEvent, StatusEvent, UsageEvent, decode_event
from a2a_cloud.model.scope import SYSTEM, Scope
from a2a_cloud.model.task import INTERRUPTED, TaskState
from a2a_cloud.runtime.effects import Record
from a2a_cloud.runtime.frames import add_usage
from a2a_cloud.runtime.live import LiveTask, Outcome, Run
from a2a_cloud.runtime.process import end_recorded_groups
from a2a_cloud.runtime.scopes import approvals_of
from a2a_cloud.runtime.talk import awaits_replay, open_question, sleeps
from a2a_cloud.storage.sql.reader import RunRow

if TYPE_CHECKING:
    from a2a_cloud.runtime.runs import Runs

log = logging.getLogger("a2a_cloud.recovery")


def recover(runs: Runs) -> dict[str, int]:
    """Bring the open runs of an earlier life to an end or back to life.

    Returns counts by what became of them: parked, replayed, restarted, waiting, lost.
    """
    end_recorded_groups(runs.records)
    counts: dict[str, int] = dict.fromkeys(("parked", "replayed", "restarted", "waiting", "lost"), 0)
    caught: list[tuple[Run, list[tuple[int, RunEvent]]]] = []
    for row in runs.reader.open_runs(SYSTEM):
        try:
            caught.append(_restore(runs, row))
        except Internal as error:
            log.critical("run %s can't be recovered: %s", row.id, error)
    for run, _ in caught:
        _find_children(runs, run)
        _find_purse(runs, run)
    fates = [(run, _fate(run, events), events) for run, events in caught]
    # Children before their parents: one that ends by itself says why, and is not canceled instead.
    for run, fate, _ in reversed(fates):
        if fate == "lost":
            parked = run.state in INTERRUPTED
            kept = "kept its place in a worker, and the platform was restarted"
            runs.lose(run, f"The run {kept}." if parked else "The platform was restarted while it ran.")
    for run, fate, events in fates:
        counts[fate] += 1
        if run.ending is not None or fate in ("lost", "waiting"):
            continue
        if fate != "parked" and run.started is not None:
            # The last moment of which it is known that it was alive.
            run.idle_since = max(
                [run.started, *(one.at for _, one in events if isinstance(one, StatusEvent))]
            )
        if fate == "parked":
            run.question, run.parked = open_question(events), True
            run.deadline = float("inf")
            if run.question is None:
                run.parked = False
                runs.frames.sleep_again(run)
        elif fate == "replayed":
            run.parked = awaits_replay(events)
            run.lost += 1
            runs.replay(run)
        else:
            runs.again(run, "The platform was restarted while it ran.", 0.0)
    return counts


def _fate(run: Run, events: list[tuple[int, RunEvent]]) -> str:
    """What becomes of a run that a crash caught."""
    if run is not run.task.current:
        return "waiting"
    if run.state in INTERRUPTED and open_question(events) is not None:
        return "parked" if run.replayable else "lost"
    if run.replayable and sleeps(events):
        return "parked"
    spec = run.spec
    if (spec is not None and spec.durable) or (run.replayable and awaits_replay(events)):
        return "replayed"
    return "restarted" if spec is not None and spec.idempotent else "lost"


def _find_children(runs: Runs, run: Run) -> None:
    """The runs that it called: its receipt names theirs, and they end with it."""
    for row in runs.reader.children(Scope(org=run.task.org_no), run.no):
        child = runs.live.get(row.no) or runs.talk.run_of(row)
        run.children = [*(run.children or ()), child]


def _find_purse(runs: Runs, run: Run) -> None:
    """What its caller gave it to spend, or the run that called it. One that can't be read any more (its
    currency is counted otherwise now) ends the run: without it, it could spend anything."""
    if runs.billing is None:
        return
    if run.call.parent is not None:
        above = runs.live.get(run.call.parent.run_no)
        run.purse = above.purse if above is not None else None
        return
    try:
        run.purse = runs.billing.purse(run.call, run.no)
    except Problem as problem:
        runs.finish(run, Outcome(TaskState.FAILED, problem=problem, dead=True))


def _restore(runs: Runs, row: RunRow) -> tuple[Run, list[tuple[int, RunEvent]]]:
    """Put a stored open run back among the live ones, numbering where its events left off."""
    task = runs.tasks.get(row.task_id)
    if task is None:
        task = LiveTask(row.task, row.task_id, row.org, row.owner, row.agent, row.context)
        runs.tasks[task.id] = task
    run = runs.talk.run_of(row, task)
    task.runs.append(run)
    task.total = max(task.total, row.ordinal)
    events = [(seq, decode_event(body)) for seq, body in runs.reader.events(Scope(org=row.org), row.no)]
    run.record = _record(events)
    run.seq = events[-1][0] if events else 0
    run.events = [(seq, event) for seq, event in events if event.visible and not isinstance(event, LogEvent)]
    runs.granted.restore(run)
    run.approvals = approvals_of(events) or None
    run.salts = runs.acceptance.draw_salts()
    run.request_sha256 = runs.request_hash(run)
    for _, event in events:
        if isinstance(event, UsageEvent):
            add_usage(run, event.meter, event.qty, event.unit)
        elif isinstance(event, AttemptEvent):
            run.attempt = event.attempt
    if run.call.files:
        run.objects = frozenset((one.object.sha256, one.object.size) for one in run.call.files if one.object)
    if run is task.current:
        run.deadline = runs.deadline(run)
    if runs.limits is not None:
        run.lane = runs.limits.resume(run.call)
    if runs.billing is not None:
        run.hold = runs.billing.resume(run.no)
    runs.live[run.no] = run
    runs.by_id[run.id] = run
    runs.keys.restore(run)
    return run, events


def _record(events: list[tuple[int, RunEvent]]) -> Record | None:
    """What a receipt's effects section is made from, where nothing is replayed."""
    record = Record.replay(events)
    return record if record.started else None
