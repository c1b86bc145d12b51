"""How agents are used: their last runs, read from the journal's rows. What was read is good for a moment, so
that lists of many agents cost little."""

from __future__ import annotations

from a2a_cloud.control.registry.rows import RunRows
from a2a_cloud.model.ports import Clock
from a2a_cloud.model.release import Release
from a2a_cloud.model.scope import Scope
from a2a_cloud.model.search import Usage
from a2a_cloud.model.task import TaskState

#: Runs of an agent that are looked at.
RECENT = 500
#: Seconds for which the answer is kept.
_FRESH = 15.0
_MOST_KEPT = 10_000


class Usages:
    """The usage of agents."""

    def __init__(self, rows: RunRows, clock: Clock) -> None:
        self._rows = rows
        self._clock = clock
        self._kept: dict[int, tuple[float, Usage | None]] = {}

    def of(self, release: Release) -> Usage | None:
        """The usage of the release's agent; None when it was never called."""
        now = self._clock.monotonic()
        at, found = self._kept.get(release.agent_no, (float("-inf"), None))
        if now - at < _FRESH:
            return found
        if len(self._kept) >= _MOST_KEPT:
            self._kept.clear()
        found = _usage(self._rows.last(Scope(release.org_no), release.agent_no, RECENT))
        self._kept[release.agent_no] = now, found
        return found


def _usage(rows: list[tuple[str, float, float | None]]) -> Usage | None:
    if not rows:
        return None
    failed = sum(1 for state, _, _ in rows if state == TaskState.FAILED.value)
    done = [(created, ended) for state, created, ended in rows if state == TaskState.COMPLETED.value]
    took = sorted(max(0.0, ended - created) for created, ended in done if ended is not None)
    middle = float(f"{took[(len(took) - 1) // 2]:.2g}") if took else None
    return Usage(len(rows), failed, middle, rows[-1][1])
