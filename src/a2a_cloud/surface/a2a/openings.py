"""What a stream of A2A begins with (specification 1.0, sections 3.1.2 and 3.1.6), and where one that was cut
goes on."""

from __future__ import annotations

from typing import Any, NamedTuple

import msgspec

from a2a_cloud.model.scope import Scope
from a2a_cloud.model.task import Message, Task, TaskState
from a2a_cloud.surface.request import Request
from a2a_cloud.wire.sse import read_position
from a2a_cloud.wire.views import TaskView


class Opening(NamedTuple):
    """What a stream begins with. `shown` is a Message where the answer made no task, and None where a
    stream goes on that was cut; without `task_id` that is the whole stream. `after` is the position
    (ordinal, seq) that `shown` covers; `text_begun` the run whose streamed text it shows (0: none).
    `until_input`: it also ends when the task asks."""

    shown: Task | Message | None
    scope: Scope
    task_id: str
    after: tuple[int, int]
    text_begun: int
    until_input: bool


def position_of(view: TaskView) -> tuple[int, int]:
    """(ordinal, seq) of the last visible event that `view` shows."""
    for run in reversed(view.runs):
        if run.events:
            return run.ordinal, run.events[-1][0]
    return (view.runs[-1].ordinal, 0) if view.runs else (0, 0)


class _Cut(msgspec.Struct):
    """A view up to a run's beginning."""

    id: str
    context_id: str
    agent: str
    state: TaskState
    at: float
    runs: list[Any]


class _Begun(msgspec.Struct):
    """A run as it was when it began."""

    run_id: str
    ordinal: int
    skill: str
    receipt_id: str
    message: Any
    events: list[Any] = []


def until_run(view: TaskView, ordinal: int) -> TaskView:
    """The task as it was when its run of that ordinal began."""
    runs: list[Any] = []
    for run in view.runs:
        if run.ordinal < ordinal:
            runs.append(run)
        elif run.ordinal == ordinal:
            runs.append(_Begun(run.run_id, run.ordinal, run.skill, "", run.message))
    return _Cut(view.id, view.context_id, view.agent, TaskState.WORKING, view.at, runs)


def resumed(request: Request) -> tuple[int, int] | None:
    """Where a stream was cut that the request takes up; None for a new one. Raises InvalidParams."""
    raw = request.last_event_id
    return read_position(raw.decode("latin-1").strip()) if raw else None
