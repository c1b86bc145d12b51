"""One replay: a run that is never written. Whatever the code does through its context is matched with the
record (runtime/effects.py) and answered from it; the first thing that the record does not have, or has and
does not come, is the difference.

A record that ends because somebody outside ended the run (canceled, its time was up) is compared up to
there: what the code would have done next, nobody knows.
"""

from __future__ import annotations

import asyncio
import logging
from typing import TYPE_CHECKING, Any

import msgspec
from msgspec import UNSET, Struct

from a2a_cloud.model.problem import Problem
from a2a_cloud.model.replay import Difference, Missing
from a2a_cloud.model.run import (
    AttemptEvent,
    ReplyEvent,
    ResultEvent,
    RunEvent,
    StatusEvent,
)
from a2a_cloud.model.task import TERMINAL, Message, TaskState
from a2a_cloud.runtime import frames as live
from a2a_cloud.runtime.effects import Record, answer_of
from a2a_cloud.runtime.live import Outcome, Run
from a2a_cloud.runtime.outcomes import outcome_of, problem_codes, reply_of
from a2a_cloud.runtime.outputs import artifact_event, log_event, progress_event, usage_event
from a2a_cloud.runtime.replay import shown
from a2a_cloud.wire.worker import (
    Ack,
    Effect,
    Log,
    Made,
    Now,
    Progress,
    Put,
    Read,
    Result,
    Text,
    ToRuntime,
    Usage,
)

if TYPE_CHECKING:
    from a2a_cloud.runtime.replay.files import Files

log = logging.getLogger("a2a_cloud.runs")

#: Codes with which the platform itself ends a run that puts out what it may not.
_BOUNDED = frozenset({"invalid_agent_response", "limit_exceeded"})


class End(Struct):
    """How a run ended, from its stored events."""

    state: TaskState
    code: str = ""
    detail: str = ""
    value: bytes | None = None
    reply: Message | None = None

    @property
    def outside(self) -> bool:
        """It was not the code that ended it."""
        if self.state is TaskState.CANCELED:
            return True
        return bool(self.code) and self.code not in problem_codes()

    @property
    def said(self) -> str:
        """In a few words."""
        return " ".join(filter(None, (self.state.short, self.code, self.detail and f"({self.detail})")))


def end_of(events: list[tuple[int, RunEvent]]) -> End | None:
    """The end that a run's events tell of; None: it has none."""
    value: bytes | None = None
    reply: Message | None = None
    for _, event in events:
        if isinstance(event, AttemptEvent):
            value = reply = None
        elif isinstance(event, ResultEvent):
            value = bytes(event.value)
        elif isinstance(event, ReplyEvent):
            reply = event.message
        elif isinstance(event, StatusEvent) and event.state in TERMINAL:
            done = event.state is TaskState.COMPLETED
            said = reply if reply is not None or not done else event.message
            return End(event.state, event.problem_code, event.problem_detail, value, said)
    return None


def before_end(events: list[tuple[int, RunEvent]]) -> list[tuple[int, RunEvent]]:
    """Those events that the code or a person made before the end was written down."""
    kept = [one for one in events if not isinstance(one[1], ResultEvent | ReplyEvent)]
    if kept and isinstance(kept[-1][1], StatusEvent) and kept[-1][1].state in TERMINAL:
        kept.pop()
    return kept


class Trial:
    """See the module. `found` is set with what came of it; `over` once no worker holds the run."""

    def __init__(self, run: Run, record: Record, end: End) -> None:
        self.run = run
        self.record = record
        self.end = end
        self.files: Files | None = None
        self.found: asyncio.Future[Difference | Missing | None]
        self.found = asyncio.get_running_loop().create_future()
        self.notes: list[str] = []
        self.effects = self.outputs = 0
        #: When the code began and ended, monotonic seconds.
        self.began: float | None = None
        self.ended = 0.0
        #: The first thing that a record which was cut off does not have.
        self._beyond: ToRuntime | None = None
        self._loop = asyncio.get_running_loop()
        self._deadline: asyncio.TimerHandle | None = None
        self._look: asyncio.TimerHandle | None = None
        self._ending: asyncio.Task[None] | None = None

    # --- its life -------------------------------------------------------------------------------------

    def begin(self, seconds: float) -> None:
        """A worker has begun; it has so many seconds."""
        self.began = self._loop.time()
        self._deadline = self._loop.call_later(seconds, self._overdue, seconds)
        self._watch(self.record.moved)
        self._cut_off()

    def stop(self, found: Difference | Missing | None) -> None:
        """So it ends; later words change nothing."""
        if self.found.done():
            return
        self.ended = self._loop.time()
        self.run.ending = self.run.ending or Outcome(TaskState.CANCELED)
        for timer in (self._deadline, self._look):
            if timer is not None:
                timer.cancel()
        self.found.set_result(found)

    @property
    def done(self) -> bool:
        """What came of it is known."""
        return self.found.done()

    def _overdue(self, seconds: float) -> None:
        self._stands_still(f"did nothing more in {seconds:.1f} s")

    def _watch(self, moved: int) -> None:
        """A replay that waits for something that does not come stands still: that is the difference."""

        def look() -> None:
            did = ""
            if self.record.moved == moved:
                did = self.record.stuck() or ("went another way" if self._beyond is not None else "")
            if did:
                self._stands_still(did)
            else:
                self._watch(self.record.moved)

        self._look = self._loop.call_later(live.HOLD_SECONDS, look)

    def _stands_still(self, did: str) -> None:
        seq, due = self.record.due()
        if due is None and not self.record.replaying:
            self.stop(Difference(0, "end", "", self.end.said, did))
        elif self._beyond is not None:
            self.stop(shown.unmatched(seq, due, self._beyond))
        else:
            self.stop(shown.missing(seq, due, did))

    def _cut_off(self) -> None:
        """All of a record has come that somebody outside cut off."""
        if not self.end.outside or self.record.replaying or self.done:
            return
        if self._ending is None:
            self.notes.append(f"The run was ended from outside ({self.end.said}): compared up to there.")
            self._ending = self._loop.create_task(self._settle())

    async def _settle(self) -> None:
        if self.files is not None:
            await self.files.idle()
        self.stop(None)

    def failed(self, code: str, detail: str) -> None:
        """A limit ended the worker, as it may have ended the run."""
        if code == self.end.code and not self.record.replaying:
            self.stop(None)
        else:
            self.stop(Difference(0, "end", "", self.end.said, f"failed {code} ({detail})"))

    # --- what the code does ---------------------------------------------------------------------------

    def take(self, frame: ToRuntime) -> None:
        """A frame of the run."""
        if self.done:
            return
        try:
            self._take(frame)
        except (msgspec.MsgspecError, UnicodeDecodeError, RecursionError) as error:
            seq, due = self.record.due()
            self.stop(shown.missing(seq, due, f"sent what nobody understands: {error}"))

    def _take(self, frame: ToRuntime) -> None:
        record = self.record
        match frame:
            case Text():
                rest = record.match_text(frame.delta)
                self._ack(len(frame.delta.encode("utf-8", "replace")))
                if rest is None or rest:
                    self._unmatched(Text(frame.run, rest or frame.delta))
                else:
                    self.outputs += 1
                    self._moved()
            case Effect():
                seq = record.match(frame)
                if seq is None:
                    self._unmatched(frame)
                    return
                self.effects += 1
                if frame.kind == "ws" and self.files is not None:
                    self.files.operate(seq, frame)
                self._moved()
            case Now():
                self._output(frame, record.match_now())
            case Progress():
                self._output(frame, record.match_output(progress_event(frame, 0.0)))
            case Log():
                if frame.source == "log":  # What it prints is no part of the record.
                    self._output(frame, record.match_output(log_event(frame, 0.0)))
            case Usage():
                self._output(frame, record.match_output(usage_event(frame)))
            case Made():
                self._ack(len(frame.artifact))
                self._output(frame, record.match_output(artifact_event(frame)))
            case Read():
                if self.files is not None:
                    self.files.read(frame)
            case Put():
                if self.files is not None:
                    self.files.put(frame)
            case Result():
                self._result(frame)
            case _:
                seq, due = record.due()
                self.stop(shown.missing(seq, due, f"sent {type(frame).__name__.lower()}"))

    def _output(self, frame: ToRuntime, matched: bool) -> None:
        if matched:
            self.outputs += 1
            self._moved()
        else:
            self._unmatched(frame)

    def _ack(self, size: int) -> None:
        if self.run.worker is not None:
            self.run.worker.send(Ack(self.run.no, size))

    def _moved(self) -> None:
        """Something recorded has come again: release what may go now."""
        worker = self.run.worker
        for n, end in self.record.releases():
            if worker is not None:
                worker.send(answer_of(self.run.no, n, end))
        self._cut_off()

    def _unmatched(self, frame: ToRuntime) -> None:
        """The code did what is not in the record."""
        if self.end.outside:  # It may be what the run did not come to: the rest of the record tells.
            self._beyond = self._beyond or frame
            return
        if self.end.code in _BOUNDED and not self.record.replaying:
            self.notes.append(f"The platform ended the run here ({self.end.code}).")
            self.stop(None)
            return
        self.stop(shown.unmatched(*self.record.due(), frame))

    # --- the end --------------------------------------------------------------------------------------

    def _result(self, frame: Result) -> None:
        if self.record.replaying:
            self._stands_still(f"ended ({frame.status})")
        elif self._ending is None:
            self._ending = self._loop.create_task(self._compare(frame))

    async def _compare(self, frame: Result) -> None:
        """Ends the trial whatever happens: nothing else would, until the skill's time is over."""
        try:
            await self._compare_end(frame)
        except Problem as problem:
            self.stop(Missing("workspace", problem.sentence))
        except Exception:
            log.exception("%s: the end of its replay could not be compared", self.run.id)
            self.stop(Missing("end", "The platform failed while it compared the end."))

    async def _compare_end(self, frame: Result) -> None:
        files = self.files
        if files is not None:
            await files.idle()
        if self.done:
            return
        outcome = outcome_of(self.run, frame)
        if outcome.reply is not None and not outcome.late:
            outcome = reply_of(self.run, outcome, outcome.reply)
        found = self._differing(outcome)
        if found is None and files is not None and outcome.state is TaskState.COMPLETED:
            await files.result()
        self.stop(found)

    def _differing(self, outcome: Outcome) -> Difference | None:
        end, problem = self.end, outcome.problem
        code = problem.code if problem is not None else ""
        if (outcome.state, code) != (end.state, end.code):
            detail = problem.sentence if problem is not None else ""
            return Difference(0, "end", "", *shown.pair(end.said, End(outcome.state, code, detail).said))
        if problem is not None and problem.sentence != end.detail:
            expected, got = shown.pair(end.detail, problem.sentence)
            self.notes.append(f"It failed with the same code and other words: {expected!r}, now {got!r}.")
        return _values("result", _json(end.value), _json(outcome.value)) or _values(
            "reply", _said(end.reply), _said(outcome.reply)
        )


def _json(value: bytes | msgspec.Raw | None) -> Any:
    return shown.ABSENT if value is None else msgspec.json.decode(bytes(value))


def _said(message: Message | None) -> Any:
    """What of a message its author said."""
    if message is None:
        return shown.ABSENT
    found: dict[str, Any] = {"parts": message.parts}
    if message.metadata is not UNSET:
        found["metadata"] = message.metadata
    return msgspec.json.decode(msgspec.json.encode(found))


def _values(kind: str, expected: Any, got: Any) -> Difference | None:
    found = shown.values_differ(expected, got)
    if found is None:
        return None
    path, one, other = found
    return Difference(0, kind, "", *shown.pair(shown.value(one), shown.value(other)), path)
