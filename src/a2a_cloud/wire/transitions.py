"""The states that a task went through (`stateTransitionHistory` of 0.3 and before).

Those cards promise "a history of state transitions for a task", and their Task has no member for it: it
stands in the task's metadata, where `tasks/get` shows it to their clients. 1.0 has no such promise.
"""

from __future__ import annotations

from typing import Final

from a2a_cloud.model.run import StatusEvent
from a2a_cloud.model.stamp import stamp
from a2a_cloud.model.task import TERMINAL, TaskState
from a2a_cloud.wire.views import TaskView

STATES: Final = "a2a-cloud/states"
#: The dialects whose cards promise it.
OLDER: Final = frozenset({"a2a-0.3", "a2a-0.2"})


def transitions(view: TaskView) -> list[dict[str, str]]:
    """Each state with when it was reached and by which run, oldest first, from the runs' events."""
    found: list[dict[str, str]] = []

    def add(state: TaskState, at: float, run_id: str) -> None:
        if not found or found[-1]["state"] != state.short:
            found.append({"state": state.short, "timestamp": stamp(at), "run": run_id})

    last = view.runs[-1].run_id if view.runs else ""
    for run in view.runs:
        if not found:
            add(TaskState.SUBMITTED, run.created, run.run_id)
        if run.started is not None:
            add(TaskState.WORKING, run.started, run.run_id)
        for _, event in run.events:
            # A run that ends while a follow-up waits leaves its task working.
            if isinstance(event, StatusEvent) and (event.state not in TERMINAL or run.run_id == last):
                add(event.state, event.at, run.run_id)
    return found
