"""A task's events for tests of who follows them: the part of `Runs` that a stream uses."""

from __future__ import annotations

from typing import Any

from msgspec import Struct

from a2a_cloud.model.run import RunEvent
from a2a_cloud.model.scope import Scope
from a2a_cloud.surface.runs_port import Sink


class Delivered(Struct):
    seq: int
    event: RunEvent
    closes: bool = False
    task_id: str = "task_1"
    context_id: str = "ctx_1"
    run_id: str = "run_1"
    ordinal: int = 1
    receipt_id: str = ""
    cache: dict[str, bytes] = {}


class Tape:
    """A task's events, kept and live."""

    def __init__(self) -> None:
        self.events: list[Delivered] = []
        self.sinks: list[Sink] = []
        self.subscribed: list[tuple[int, int]] = []

    def subscribe(self, scope: Scope, agent_no: int, task_id: str, sink: Sink, after: tuple[int, int]) -> Any:
        self.subscribed.append(after)
        for delivered in list(self.events):
            if (delivered.ordinal, delivered.seq) > after:
                sink.deliver(delivered)
        self.sinks.append(sink)
        return Place(self, sink)

    def add(self, event: RunEvent, closes: bool = False) -> None:
        delivered = Delivered(len(self.events) + 1, event, closes, cache={})
        self.events.append(delivered)
        for sink in tuple(self.sinks):
            sink.deliver(delivered)


class Place:
    def __init__(self, tape: Tape, sink: Sink) -> None:
        self.tape, self.sink = tape, sink

    def close(self) -> None:
        if self.sink in self.tape.sinks:
            self.tape.sinks.remove(self.sink)


class Links:
    base = "http://h"

    def part(self, run_id: str, seq: int, index: int) -> str:
        return ""

    def artifact(self, run_id: str, artifact_id: str, index: int) -> str:
        return ""
