"""What a receiver gets: a task's events after a position, one request for each, in the words of the
generation that its owner speaks (A2A 1.0, section 4.3.3; 0.3.0, section 9.5).

1.0: the StreamResponse that a subscriber of the task's stream sees. Before that: the task itself, as it is
then, whenever its status changes. A letter's id is the task's and the position, the same in each attempt.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import NamedTuple

from a2a_cloud.model.run import AttemptEvent, RunEvent, StatusEvent, TextEvent, decode_event
from a2a_cloud.model.scope import Scope
from a2a_cloud.model.task import TERMINAL, Task, TaskState
from a2a_cloud.runtime.bus import Delivered
from a2a_cloud.runtime.push.rows import PushRow
from a2a_cloud.runtime.stored import message_of
from a2a_cloud.runtime.views import RunView, TaskView
from a2a_cloud.storage.sql.reader import Reader, RunRow
from a2a_cloud.wire import a2a_render
from a2a_cloud.wire.views import PartLinks

#: Events that are read at once: their bodies wait in memory.
PAGE = 8
#: The dialect that is spoken to receivers unless their owner speaks an earlier one.
CURRENT = "a2a-1.0"

#: Links to what is kept as objects: for an agent's base address, and a release by its `no`.
Linker = Callable[[str, int], PartLinks]
#: A task in the words of an earlier dialect: the dialect, the task, what its caller calls it ("": its id).
Older = Callable[[str, Task, str], bytes]


class Letter(NamedTuple):
    """A notification. `body` is b"" for an event that the dialect has no word for. `closes`: the task has
    ended with it. `text` is the ordinal of the run whose text has begun with it or before it, 0 for none."""

    id: str
    body: bytes
    position: tuple[int, int]
    closes: bool
    text: int


class Page(NamedTuple):
    """Letters in order. `over`: there are none, and none will come, because the task has ended."""

    letters: list[Letter]
    over: bool = False


class Letters:
    """Reads them from the journal."""

    def __init__(self, reader: Reader, linker: Linker, older: Older) -> None:
        self._reader = reader
        self._linker = linker
        self._older = older

    def last(self, scope: Scope, agent_no: int, task_id: str) -> tuple[bool, tuple[int, int]]:
        """Whether the task has ended, and the position of what is committed of it, at one moment."""
        with self._reader.snapshot():
            task = self._reader.task(scope, task_id, agent_no)
            if task is None:
                return True, (1, 0)
            ended = TaskState(task.state) in TERMINAL
            runs = self._reader.runs_of_task(scope, task.no)
            if not runs:
                return ended, (1, 0)
            events = self._reader.events(scope, runs[-1].no)
            return ended, (runs[-1].ordinal, events[-1][0] if events else 0)

    def _text_begun(self, runs: list[RunRow], position: tuple[int, int]) -> int:
        """The ordinal of the run that has put out text up to `position`, and may go on with it."""
        ordinal, upto = position
        text = 0
        for run in runs:
            if run.ordinal == ordinal and upto:
                for seq, body in self._reader.events(Scope(org=run.org), run.no, limit=upto):
                    if seq <= upto:
                        text = _text(decode_event(body), ordinal, text)
        return text

    def after(self, row: PushRow, position: tuple[int, int], text: int, name: Callable[[], str]) -> Page:
        """The next letters after `position`, at most a page of them. `text` is that of the letter before, -1
        where that is not known; `name` gives what the owner calls the task."""
        scope = Scope(org=row.org)
        found: list[Letter] = []
        with self._reader.snapshot():
            task = self._reader.task(scope, row.task_id)
            if task is None:
                return Page(found, True)
            runs = self._reader.runs_of_task(scope, task.no)
            ended = TaskState(task.state) in TERMINAL
            for run in runs:
                if run.ordinal < position[0] or len(found) >= PAGE:
                    continue
                start = position[1] if run.ordinal == position[0] else 0
                events = self._reader.events(scope, run.no, start, PAGE - len(found))
                if events and text < 0:
                    text = self._text_begun(runs, position)
                receipt = self._reader.receipt_ids(scope, [run.no]).get(run.no) if events else None
                for seq, body in events:
                    event = decode_event(body)
                    ends = isinstance(event, StatusEvent) and event.state in TERMINAL
                    delivered = Delivered(
                        row.task_id,
                        task.context,
                        run.id,
                        run.ordinal,
                        seq,
                        event,
                        ends and ended and run is runs[-1],
                        f"rcpt_{receipt.hex()}" if ends and receipt is not None else "",
                    )
                    said = self._said(row, runs, run, delivered, text, name) if event.visible else b""
                    text = _text(event, run.ordinal, text)
                    ident = f"{row.task_id}.{run.ordinal}.{seq}"
                    found.append(Letter(ident, said, (run.ordinal, seq), delivered.closes, text))
        return Page(found, ended and not found)

    def _said(
        self,
        row: PushRow,
        runs: list[RunRow],
        run: RunRow,
        delivered: Delivered,
        text: int,
        name: Callable[[], str],
    ) -> bytes:
        links = self._linker(row.base, run.release)
        if not row.dialect.startswith("a2a-0."):
            return a2a_render.stream_event(delivered, links, text != run.ordinal)
        if not isinstance(delivered.event, StatusEvent):
            return b""
        state = delivered.event.state
        if state in TERMINAL and not delivered.closes:
            state = TaskState.WORKING  # A follow-up waits.
        views = [self._view(each, delivered) for each in runs if each.ordinal <= run.ordinal]
        view = TaskView(row.task_id, delivered.context_id, "", state, delivered.event.at, views)
        return self._older(row.dialect, a2a_render.task(view, links), name())

    def _view(self, run: RunRow, upto: Delivered) -> RunView:
        """A run as it was with that event."""
        scope = Scope(org=run.org)
        events = [
            (seq, event)
            for seq, body in self._reader.events(scope, run.no)
            if (run.ordinal, seq) <= (upto.ordinal, upto.seq) and (event := decode_event(body)).visible
        ]
        receipt = upto.receipt_id if run.ordinal == upto.ordinal else ""
        message = message_of(self._reader.call(scope, run.no) or b"")
        return RunView(run.id, run.ordinal, run.skill, receipt, message, events)


def _text(event: RunEvent, ordinal: int, text: int) -> int:
    """The ordinal of the run whose text has begun, after `event`."""
    if isinstance(event, TextEvent):
        return ordinal
    return 0 if isinstance(event, AttemptEvent) else text
