"""What the surface needs of runs, by shape: submitted ones, their lists, events, logs and receipts."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Protocol

from a2a_cloud.model.principal import Principal
from a2a_cloud.model.release import Release
from a2a_cloud.model.run import Call, RunEvent
from a2a_cloud.model.scope import Scope
from a2a_cloud.model.task import Message, TaskState
from a2a_cloud.wire.views import Delivered, RunView, TaskView


class Run(Protocol):
    """A run that was submitted; `reply` is set when the answer is a bare Message and no task."""

    @property
    def id(self) -> str: ...
    @property
    def task_id(self) -> str: ...
    @property
    def context_id(self) -> str: ...
    @property
    def ordinal(self) -> int: ...
    @property
    def reply(self) -> Message | None: ...
    @property
    def receipt_id(self) -> str: ...

    async def accepted(self) -> None:
        """Returns once the acceptance is on disk. Raises Problem when it could not be stored."""
        ...

    async def settled(self) -> None:
        """Returns once the run has ended or waits for input, and that is on disk."""
        ...


class TaskPage(Protocol):
    """A page of tasks, newest status first. `next` is the cursor of the next page, "" at the end."""

    @property
    def tasks(self) -> Sequence[TaskView]: ...
    @property
    def next(self) -> str: ...
    @property
    def total(self) -> int: ...


class RunRow(Protocol):
    """A stored run as operators see it. Times are wall seconds or None; `owner` is `name@org`."""

    @property
    def id(self) -> str: ...
    @property
    def task_id(self) -> str: ...
    @property
    def context_id(self) -> str: ...
    @property
    def agent(self) -> str: ...
    @property
    def release(self) -> int: ...
    @property
    def skill(self) -> str: ...
    @property
    def state(self) -> TaskState: ...
    @property
    def attempt(self) -> int: ...
    @property
    def owner(self) -> str: ...
    @property
    def created(self) -> float: ...
    @property
    def started(self) -> float | None: ...
    @property
    def ended(self) -> float | None: ...
    @property
    def problem_code(self) -> str: ...
    @property
    def problem_detail(self) -> str: ...
    @property
    def dead(self) -> bool: ...
    @property
    def receipt_id(self) -> str: ...
    @property
    def parent(self) -> str: ...


class RunPage(Protocol):
    """A page of runs, newest first."""

    @property
    def runs(self) -> Sequence[RunRow]: ...
    @property
    def next(self) -> str: ...


class LogLine(Protocol):
    """A line of a run's or an agent's log; `no` counts up and is the cursor."""

    @property
    def no(self) -> int: ...
    @property
    def at(self) -> float: ...
    @property
    def level(self) -> str: ...
    @property
    def source(self) -> str: ...
    @property
    def line(self) -> str: ...
    @property
    def run_id(self) -> str: ...
    @property
    def release(self) -> int: ...


class Sink(Protocol):
    """A subscriber of a task's events."""

    def deliver(self, delivered: Delivered) -> None:
        """Takes an event. Never raises, never blocks."""
        ...


class Subscription(Protocol):
    """A subscription to a task's events."""

    def close(self) -> None:
        """Ends it. Idempotent."""
        ...


class Runs(Protocol):
    """The run engine."""

    def submit(self, call: Call) -> Run:
        """A new run, a follow-up, the answer to an open question, or the run of an earlier identical call.

        Raises TaskNotFound, UnsupportedOperation, InvalidParams, IdempotencyConflict, Busy, StorageFull,
        Unavailable.
        """
        ...

    def used(self, release: Release, principal: Principal, key: str) -> bool:
        """Whether a call or an answer of that principal to that agent came under this key before."""
        ...

    async def cancel(self, scope: Scope, agent_no: int, task_id: str) -> None:
        """Returns when committed. Raises TaskNotFound, TaskNotCancelable."""
        ...

    def task(self, scope: Scope, agent_no: int, task_id: str) -> TaskView:
        """The committed view. Raises TaskNotFound."""
        ...

    def view(self, run: Run) -> TaskView | None:
        """The view of a run's task from memory, where that is all there is of it."""
        ...

    def tasks(
        self,
        scope: Scope,
        agent_no: int,
        *,
        context_id: str = "",
        state: TaskState | None = None,
        after: float | None = None,
        limit: int = 50,
        cursor: str = "",
    ) -> TaskPage:
        """A page; `after` is inclusive. Raises InvalidParams for a cursor that nobody gave out."""
        ...

    def subscribe(
        self, scope: Scope, agent_no: int, task_id: str, sink: Sink, after: tuple[int, int] | None = None
    ) -> Subscription:
        """Delivers all visible events after (ordinal, seq), then live ones; None: only live ones."""
        ...

    def run(self, scope: Scope, run_id: str) -> RunRow:
        """Raises RunNotFound."""
        ...

    def runs(
        self,
        scope: Scope,
        *,
        agent: str = "",
        task_id: str = "",
        state: str = "",
        dead: bool = False,
        limit: int = 50,
        cursor: str = "",
    ) -> RunPage: ...

    def between(self, scope: Scope, since: float, until: float, agent: str = "") -> Iterator[RunRow]:
        """Runs accepted at `since` or later and before `until`, newest first, read as they are asked for."""
        ...

    def logs(self, scope: Scope, run_id: str, after: int = 0) -> Sequence[LogLine]:
        """Lines after that number. Raises RunNotFound."""
        ...

    def agent_logs(
        self,
        org_no: int,
        agent_no: int,
        *,
        run_id: str = "",
        release: int | None = None,
        levels: Sequence[str] = (),
        since: float = 0.0,
        after: int = 0,
        limit: int = 1000,
    ) -> Sequence[LogLine]:
        """Lines after that number, else the newest; the caller has checked who asks. `release` is a
        release's `no`. Raises RunNotFound."""
        ...

    def run_events(self, scope: Scope, run_id: str) -> Sequence[tuple[int, RunEvent]]:
        """All events of a run, in order, those that callers do not see too. Raises RunNotFound."""
        ...

    def run_view(self, scope: Scope, run_id: str) -> RunView:
        """A run with its message and visible events. Raises RunNotFound."""
        ...

    def receipt(self, scope: Scope, run_id: str) -> bytes:
        """The receipt document as JSON. Raises ReceiptPending, RunNotFound."""
        ...

    def receipt_place(self, scope: Scope, run_id: str) -> tuple[int, int]:
        """(organisation, index): where the receipt stands in its log. Raises ReceiptPending, RunNotFound."""
        ...

    def receipts(self, scope: Scope, run_id: str, most: int) -> Sequence[tuple[str, int]]:
        """(id, organisation) of a run and of those that descend from it. Raises RunNotFound."""
        ...
