"""After a restart: every run that a crash caught goes on or ends, within seconds (house table).

First the process groups of the earlier life are ended, so that nobody acts beside attempt 2. A
parked run keeps its question open. A run caught submitted or working is replayed (durable),
restarted (idempotent), or fails with `worker_lost` on the dead-letter list; one that waits behind
another of its task was never started and simply goes on waiting.
"""

from __future__ import annotations

import logging
from typing import TYPE_CHECKING

from a2a_cloud.model.problem import Internal
from a2a_cloud.model.run import LogEvent, RunEvent, UsageEvent, decode_event
from a2a_cloud.model.scope import SYSTEM, Scope
from a2a_cloud.model.task import TaskState
from a2a_cloud.runtime.effects import Record
from a2a_cloud.runtime.frames import add_usage
from a2a_cloud.runtime.live import LiveTask, Run
from a2a_cloud.runtime.process import end_recorded_groups
from a2a_cloud.runtime.talk import open_question
from a2a_cloud.storage.sql.reader import RunRow

if TYPE_CHECKING:
    from a2a_cloud.runtime.runs import Runs

log = logging.getLogger("a2a_cloud.recovery")


def recover(runs: Runs) -> dict[str, int]:
    """Bring the open runs of an earlier life to an end or back to life.

    Returns counts by what became of them: parked, replayed, restarted, waiting, lost.
    """
    end_recorded_groups(runs.records)
    counts = dict.fromkeys(("parked", "replayed", "restarted", "waiting", "lost"), 0)
    for row in runs.reader.open_runs(SYSTEM):
        try:
            fate = _recover(runs, row)
        except Internal as error:
            log.critical("run %s can't be recovered: %s", row.id, error)
            continue
        counts[fate] += 1
    return counts


def _recover(runs: Runs, row: RunRow) -> str:
    task = runs.tasks.get(row.task_id)
    if task is None:
        task = LiveTask(row.task, row.task_id, row.org, row.owner, row.agent, row.context)
        runs.tasks[task.id] = task
    first = not task.runs
    run = runs.talk.run_of(row, task)
    task.runs.append(run)
    task.total = max(task.total, row.ordinal)
    events = [(seq, decode_event(body)) for seq, body in runs.reader.events(Scope(org=row.org), row.no)]
    _restore(runs, run, events)
    if not first:
        return "waiting"
    spec = run.spec
    question = open_question(events)
    if run.state is TaskState.INPUT_REQUIRED and question is not None:
        run.question = question
        run.deadline = float("inf")
        run.record = _record(events)
        if spec is None or spec.replayable or spec.durable:
            return "parked"
        runs.lose(run, "The run kept its place in a worker, and the platform was restarted.")
        return "lost"
    if spec is not None and spec.durable:
        run.lost += 1
        runs.replay(run)
        return "replayed"
    if spec is not None and spec.idempotent:
        runs.again(run, "The platform was restarted while it ran.", 0.0)
        return "restarted"
    run.record = _record(events)
    runs.lose(run, "The platform was restarted while it ran.")
    return "lost"


def _restore(runs: Runs, run: Run, events: list[tuple[int, RunEvent]]) -> None:
    """Put a stored open run back among the live ones, numbering where its events left off."""
    run.seq = events[-1][0] if events else 0
    run.events = [(seq, event) for seq, event in events if event.visible and not isinstance(event, LogEvent)]
    run.salts = runs.draw_salts()
    run.request_sha256 = runs.request_hash(run)
    for _, event in events:
        if isinstance(event, UsageEvent):
            add_usage(run, event.meter, event.qty, event.unit)
    if run.call.files:
        run.objects = frozenset((one.object.sha256, one.object.size) for one in run.call.files if one.object)
    run.deadline = runs.deadline(run)
    runs.live[run.no] = run
    runs.by_id[run.id] = run
    runs.remember_key(run)


def _record(events: list[tuple[int, RunEvent]]) -> Record | None:
    """What a receipt's effects section is made from, where nothing is replayed."""
    record = Record.replay(events)
    return record if record.started else None
