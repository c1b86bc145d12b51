"""The end of a life that was asked to end: no new work, some time for what runs, and what can go on
after a restart stays open for it."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING

from a2a_cloud.model.task import TaskState
from a2a_cloud.runtime.live import Outcome, Run

if TYPE_CHECKING:
    from a2a_cloud.runtime.runs import Runs

#: Seconds that the last commits have.
COMMIT_SECONDS = 5.0


async def drain(runs: Runs, seconds: float) -> None:
    """Take no new work, give running calls `seconds`, then stop the workers.

    What may go on after a restart (durable, idempotent, parked), and what waits behind it, stays open
    for it; the rest fails with `worker_lost`.
    """
    runs.draining = True
    end = runs.clock.monotonic() + seconds
    # ASYNC110: looking is simpler than an event for each way in which a run may end, once in a life.
    while runs.clock.monotonic() < end and any(_active(run) for run in runs.live.values()):  # noqa: ASYNC110
        await asyncio.sleep(0.02)
    runs.stopped = True
    for run in list(runs.live.values()):
        current = run.task.current
        if current is None or not _goes_on(current):
            runs.lose(run, "The platform was stopped while it ran.")
    end = runs.clock.monotonic() + COMMIT_SECONDS
    while runs.clock.monotonic() < end and any(  # noqa: ASYNC110
        run.ending is not None for run in runs.live.values()
    ):
        await asyncio.sleep(0.01)
    runs.sweeper.cancel()
    for run in list(runs.live.values()):
        run.ending = run.ending or Outcome(TaskState.WORKING)  # Nothing more is written for it in this life.
    if runs.replaying is not None:
        await runs.replaying.close()
    for pool in runs.pools.values():
        await pool.close()


def _active(run: Run) -> bool:
    """Whether a drain waits for the run: not where nothing would come of it."""
    if run.ending is not None:
        return True
    if run is not run.task.current or (run.parked and run.question is not None):
        return False
    waits = run.worker is not None and not run.slot
    return not (waits and run.spec is not None and run.spec.durable)


def _goes_on(run: Run) -> bool:
    """Whether a restart takes the run up where it is, or from the beginning."""
    if run.parked and run.question is not None:
        return run.replayable
    return run.spec is not None and (run.spec.durable or run.spec.idempotent)
