"""What a renderer reads of a task, a run and an event that is being delivered: shapes, no behaviour.

The runtime's own classes fit them; `wire` stays below `runtime` and knows them by shape alone.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Protocol

from a2a_cloud.model.run import RunEvent
from a2a_cloud.model.task import Message, TaskState


class RunView(Protocol):
    """A run of a task with its committed visible events, as (seq, event) in order; times in wall seconds."""

    @property
    def run_id(self) -> str: ...
    @property
    def ordinal(self) -> int: ...
    @property
    def skill(self) -> str: ...
    @property
    def receipt_id(self) -> str: ...
    @property
    def message(self) -> Message: ...
    @property
    def events(self) -> Sequence[tuple[int, RunEvent]]: ...
    @property
    def created(self) -> float: ...
    @property
    def started(self) -> float | None: ...


class TaskView(Protocol):
    """A task as it is committed now; `at` is when its state was reached, wall seconds."""

    @property
    def id(self) -> str: ...
    @property
    def context_id(self) -> str: ...
    @property
    def agent(self) -> str: ...
    @property
    def state(self) -> TaskState: ...
    @property
    def at(self) -> float: ...
    @property
    def runs(self) -> Sequence[RunView]: ...


class Delivered(Protocol):
    """One committed event on its way to every subscriber of a task.

    `closes`: the task has ended with it. `cache` keeps the rendered bytes per dialect, so that an
    event is encoded once however many subscribers it has.
    """

    @property
    def task_id(self) -> str: ...
    @property
    def context_id(self) -> str: ...
    @property
    def run_id(self) -> str: ...
    @property
    def ordinal(self) -> int: ...
    @property
    def seq(self) -> int: ...
    @property
    def event(self) -> RunEvent: ...
    @property
    def closes(self) -> bool: ...
    @property
    def receipt_id(self) -> str: ...
    @property
    def cache(self) -> dict[str, bytes]: ...


class PartLinks(Protocol):
    """Signed links to what is kept as objects, for one agent at one address."""

    @property
    def base(self) -> str:
        """The agent's address, without a slash at its end; names the links in a cache."""
        ...

    def part(self, run_id: str, seq: int, index: int) -> str:
        """A link to part `index` of what event `seq` of the run carries (0: the run's message)."""
        ...

    def artifact(self, run_id: str, artifact_id: str, index: int) -> str:
        """A link to part `index` of an artifact of the run."""
        ...
