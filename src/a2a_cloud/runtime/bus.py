"""Committed events to everyone who follows a task: one ordered list, encoded once per dialect."""

from __future__ import annotations

from typing import Protocol

from a2a_cloud.model.run import LogEvent, RunEvent, StatusEvent
from a2a_cloud.model.task import TERMINAL
from a2a_cloud.runtime.live import LiveTask, Run


class Delivered:
    """An event on its way to subscribers. `closes`: the task has ended with it. `cache` keeps its
    encoded forms by dialect. Position is (ordinal of the run in its task, seq)."""

    __slots__ = (
        "cache",
        "closes",
        "context_id",
        "event",
        "ordinal",
        "receipt_id",
        "run_id",
        "seq",
        "task_id",
    )

    def __init__(
        self,
        task_id: str,
        context_id: str,
        run_id: str,
        ordinal: int,
        seq: int,
        event: RunEvent,
        closes: bool,
        receipt_id: str,
    ) -> None:
        self.task_id = task_id
        self.context_id = context_id
        self.run_id = run_id
        self.ordinal = ordinal
        self.seq = seq
        self.event = event
        self.closes = closes
        self.receipt_id = receipt_id
        self.cache: dict[str, bytes] = {}


class Sink(Protocol):
    """Who follows a task."""

    def deliver(self, delivered: Delivered) -> None:
        """Take an event. Never raises and never blocks."""
        ...


class Subscription:
    """A sink's place among a task's followers; knows the last position that it has delivered, so
    that an event that came from the journal is not delivered again live."""

    __slots__ = ("_sink", "_task", "last", "logs")

    def __init__(self, task: LiveTask | None, sink: Sink, last: tuple[int, int]) -> None:
        self._task, self._sink, self.last = task, sink, last
        #: It wants log lines too, which are no event to others.
        self.logs: bool = getattr(sink, "logs", False)
        if task is not None:
            task.sinks.append(self)

    def deliver(self, delivered: Delivered) -> None:
        """Pass an event on unless it was passed on before."""
        position = (delivered.ordinal, delivered.seq)
        if position > self.last:
            self.last = position
            self._sink.deliver(delivered)

    def close(self) -> None:
        """Follow no more. Idempotent."""
        task, self._task = self._task, None
        if task is not None and self in task.sinks:
            task.sinks.remove(self)


class Bus:
    """Delivers what has been committed."""

    def __init__(self) -> None:
        self.delivered = 0

    def deliver(self, task: LiveTask, run: Run, flight: list[tuple[int, RunEvent]]) -> None:
        """Pass a run's committed events to the task's followers, in order."""
        for seq, event in flight:
            if not event.visible and not (type(event) is LogEvent and task.sinks):
                continue
            ends = type(event) is StatusEvent and event.state in TERMINAL
            delivered = Delivered(
                task.id,
                task.context_id,
                run.id,
                run.ordinal,
                seq,
                event,
                ends and run.closes,
                run.receipt_id if ends else "",
            )
            for subscription in tuple(task.sinks):
                if event.visible or subscription.logs:
                    subscription.deliver(delivered)
                    self.delivered += 1
