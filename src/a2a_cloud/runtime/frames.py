"""What a running skill says through its context: outputs to journal, effects to answer.

Outputs (text, artifacts, progress, logs, usage) are committed and acked, so that a skill that is
faster than the disk waits. Effects are recorded when they begin and when they end; answers of ask,
call and step are on disk before the skill sees them, the others ride the next commit.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from decimal import Context, Decimal
from typing import TYPE_CHECKING

import msgspec

from a2a_cloud.model.principal import ANONYMOUS_NO
from a2a_cloud.model.problem import InvalidAgentResponse, Problem
from a2a_cloud.model.receipt import is_decimal
from a2a_cloud.model.run import EffectEnded, EffectStarted, RunEvent, TextEvent
from a2a_cloud.model.scope import Scope
from a2a_cloud.model.task import ObjectRef, TaskState
from a2a_cloud.runtime.children import Children
from a2a_cloud.runtime.effects import Record, answer_of, args_hash
from a2a_cloud.runtime.live import LiveTask, Outcome, Question, Run
from a2a_cloud.runtime.outputs import (
    TEXT_LIMIT,
    artifact_event,
    log_event,
    progress_event,
    usage_event,
)
from a2a_cloud.runtime.scopes import Scopes
from a2a_cloud.runtime.talk import LONG_SLEEP
from a2a_cloud.runtime.transfers import Transfers
from a2a_cloud.storage.sql import statements as sql
from a2a_cloud.wire.worker import (
    CHUNK,
    VALUE_LIMIT,
    WINDOW,
    Ack,
    Answer,
    Done,
    Effect,
    Log,
    Made,
    Now,
    Progress,
    Put,
    Read,
    Text,
    ToRuntime,
    Trouble,
    Usage,
)

if TYPE_CHECKING:
    from a2a_cloud.runtime.runs import Runs

#: Seconds without movement after which a replay that waits for its record differs from it: long enough
#: for the skill to compute in between, and for a busy machine.
HOLD_SECONDS = 10.0
#: Events of a run that may wait for the journal; then its worker is not read until they are on disk.
MAX_PENDING = 1024

_any = msgspec.json.Decoder()


class AskInput(msgspec.Struct):
    """`input` of an ask effect."""

    question: str
    schema: msgspec.Raw = msgspec.Raw(b"{}")


class SleepInput(msgspec.Struct):
    """`input` of a sleep effect, as stored: how long, and when it ends in wall seconds."""

    seconds: float = 0.0
    until: float = 0.0


class SetInput(msgspec.Struct):
    """`input` of a set effect."""

    value: msgspec.Raw


_ask = msgspec.json.Decoder(AskInput)
_sleep = msgspec.json.Decoder(SleepInput)
_set = msgspec.json.Decoder(SetInput)


class Frames:
    """See the module. One per engine."""

    def __init__(self, runs: Runs) -> None:
        self._runs = runs
        self._children = Children(runs)
        self._storing: set[int] = set()
        self._loop = asyncio.get_running_loop()
        self.transfers = Transfers(runs)
        self.scopes = Scopes(runs)

    def take(self, run: Run, frame: ToRuntime) -> None:
        """A frame of a run that has not ended."""
        limits = run.call.release.manifest.limits
        if run.seq >= limits.events:
            self._fail(
                run,
                f"The run made more than {limits.events} events.",
                "Raise `events` in [limits], or make fewer.",
            )
            return
        try:
            match frame:
                case Text():
                    self._text(run, frame)
                case Progress():
                    self._output(run, frame, progress_event(frame, self._runs.clock.now()), flush=True)
                case Made():
                    self._made(run, frame)
                case Effect():
                    self._effect(run, frame)
                case Done():
                    self._done(run, frame)
                case Log():
                    self._log(run, frame)
                case Usage():
                    self._usage(run, frame)
                case Now():
                    self._now(run, frame)
                case Read():
                    self.transfers.read(run, frame)
                case Put():
                    self.transfers.put(run, frame)
                case _:
                    self._breach(run, "it sent a frame that does not belong to a run")
            if len(run.pending) > MAX_PENDING:
                self._slow_down(run)
        except (msgspec.MsgspecError, UnicodeDecodeError, RecursionError) as error:
            self._breach(run, f"it sent a frame whose content nobody understands: {error}")

    def _breach(self, run: Run, what: str) -> None:
        if run.worker is not None:
            run.worker.breach(what)

    def _slow_down(self, run: Run) -> None:
        """Read nothing more of the run's worker until what it said is on disk."""
        worker = run.worker
        if worker is not None and not worker.held:
            go_on = worker.hold()
            self._runs.when_written(run, go_on)
            self._loop.call_later(1.0, go_on)  # Should the commit fail, its other runs must go on.

    def _fail(self, run: Run, detail: str, remedy: str = "") -> None:
        self._runs.finish(run, Outcome(TaskState.FAILED, problem=InvalidAgentResponse(detail, remedy=remedy)))

    # --- outputs ----------------------------------------------------------------------------------

    def _text(self, run: Run, frame: Text) -> None:
        delta = frame.delta
        size = _size(delta)
        if size > VALUE_LIMIT:
            self._breach(run, f"it sent a text of {size} bytes in one frame")
            return
        record = run.record
        if record is not None and record.replaying:
            rest = record.match_text(delta)
            if rest is None:
                self.differs(run, f"sent the text {delta[:40]!r}")
                return
            delta, matched = rest, size - _size(rest)
            size -= matched
            self._ack(run, matched)
            self._moved(run, record)
            if not delta or run.ending is not None:
                return
            if record.replaying:
                self._hold(run, record, Text(run.no, delta))
                return
        if self._overflows(run, size) or self._too_much(run, len(delta)):
            return
        run.append(TextEvent(delta=delta, at=int(self._runs.clock.now() * 1000)))
        self._runs.flush(run)

    def _overflows(self, run: Run, size: int) -> bool:
        run.unacked += size
        if run.unacked > 4 * WINDOW + 2 * CHUNK:
            self._breach(run, "it flooded the journal: it does not wait for acks")
            return True
        return False

    def _ack(self, run: Run, size: int) -> None:
        if run.worker is not None and size:
            run.worker.send(Ack(run.no, size))

    def _too_much(self, run: Run, size: int) -> bool:
        run.text += size
        limit = run.call.release.manifest.limits.artifact_bytes
        if run.text <= limit:
            return False
        detail = f"The run put out more than {limit} bytes of text and artifacts."
        self._fail(run, detail, "Raise `artifact_bytes` in [limits], or put out less.")
        return True

    def _made(self, run: Run, frame: Made) -> None:
        size = len(frame.artifact)
        if size > VALUE_LIMIT:
            self._breach(run, f"it sent an artifact of {size} bytes in one frame")
            return
        event = artifact_event(frame)
        artifact = event.artifact
        for part in artifact.parts:
            if isinstance(part.object, ObjectRef):
                known = (part.object.sha256, part.object.size) in run.objects
                if not known:
                    self._fail(run, "The artifact refers to an object that this run neither got nor made.")
                    return
        stored = sum(part.object.size for part in artifact.parts if isinstance(part.object, ObjectRef))
        if self._too_much(run, size + stored):
            return
        if self._overflows(run, size):
            return
        if not self._output(run, frame, event, flush=True):
            run.unacked -= size
            self._ack(run, size)

    def _log(self, run: Run, frame: Log) -> None:
        if frame.source != "log":
            self._runs.logs.add(run.call.release, run.no, frame.level, frame.source, frame.line)
            return
        event = log_event(frame, self._runs.clock.now())
        if self._output(run, frame, event):
            self._runs.logs.add(run.call.release, run.no, event.level, "log", frame.line)

    def _usage(self, run: Run, frame: Usage) -> None:
        if not is_decimal(frame.qty) or not frame.meter or len(frame.meter) > 64 or len(frame.unit) > 32:
            self._fail(
                run, f"usage({frame.meter[:64]!r}, {frame.qty[:40]!r}) is no meter and decimal quantity."
            )
            return
        if self._output(run, frame, usage_event(frame)):
            add_usage(run, frame.meter, frame.qty, frame.unit)

    def _now(self, run: Run, frame: Now) -> None:
        record = run.record
        if record is not None and record.replaying:
            if record.match_now():
                self._moved(run, record)
                return
            self._hold(run, record, frame)
            return
        if record is None:
            record = run.record = Record()
        run.append(EffectStarted(kind="now", name="", args=b"", input=msgspec.Raw(repr(frame.at).encode())))

    def _output(self, run: Run, frame: ToRuntime, event: RunEvent, *, flush: bool = False) -> bool:
        """Record an output, unless a replay repeats it. Returns whether it is new."""
        record = run.record
        if record is not None and record.replaying:
            if record.match_output(event):
                self._moved(run, record)
                return False
            self._hold(run, record, frame)
            return False
        run.append(event)
        if flush:
            self._runs.flush(run)
        return True

    # --- replay -----------------------------------------------------------------------------------

    def _hold(self, run: Run, record: Record, frame: ToRuntime) -> None:
        record.held.append(frame)
        self._watch(run, record)

    def _watch(self, run: Run, record: Record) -> None:
        """See that a replay that waits for something of the record goes on, or name the difference."""
        if record.watched:
            return
        record.watched = True
        moved = record.moved

        def look() -> None:
            nonlocal moved
            if (
                run.ending is not None
                or run.record is not record
                or run.worker is None
                or not record.replaying
            ):
                record.watched = False
                return
            did = record.stuck() if record.moved == moved else ""
            if did:
                self.differs(run, did)
                return
            moved = record.moved
            self._loop.call_later(HOLD_SECONDS, look)

        self._loop.call_later(HOLD_SECONDS, look)

    def differs(self, run: Run, did: str) -> None:
        """End a replay at its first difference."""
        record = run.record
        self._runs.differs(run, record.difference(did) if record is not None else did)

    def _moved(self, run: Run, record: Record) -> None:
        """Something recorded was matched: release what may go now, and what was held at the end."""
        worker = run.worker
        for n, end in record.releases():
            if worker is not None:
                worker.send(answer_of(run.no, n, end))
        if not record.replaying:
            run.parked = False
            for seq in list(record.n_of):
                if seq not in record.live:
                    record.live.add(seq)
                    self._open_again(run, record, seq)
            while record.held and run.ending is None:
                self.take(run, record.held.popleft())

    def _open_again(self, run: Run, record: Record, seq: int) -> None:
        """An effect that began and never ended, met again at the end of the record."""
        started = record.started[seq]
        n = record.n_of[seq]
        if started.kind == "step":
            self._go(run, n)
        elif started.kind == "ask":
            if run.question is not None and run.question.effect == seq:
                self._runs.talk.park(run)
            else:
                self._ask(run, record, seq)
        elif started.kind == "call":
            self._children.call(run, seq, started)
        elif started.kind == "sleep":
            self._sleep_on(run, record, seq)
        elif started.kind == "ws":
            self._runs.workfiles.again(run, seq, started, record.data.get(seq, b""))
        elif started.kind == "scope":
            if run.question is not None and run.question.effect == seq:
                self._runs.talk.park(run)
            else:
                self._ask(run, record, seq)
        else:
            self._answer_now(run, seq, b"null")

    # --- effects ----------------------------------------------------------------------------------

    def _effect(self, run: Run, frame: Effect) -> None:
        record = run.record
        if record is None:
            record = run.record = Record()
        if record.replaying:
            seq = record.match(frame)
            if seq is None:
                self._hold(run, record, frame)
            else:
                if frame.data:
                    record.data[seq] = frame.data
                self._moved(run, record)
                if record.replaying:
                    self._watch(run, record)
            return
        begin = _KINDS.get(frame.kind)
        if begin is None or len(frame.args) > VALUE_LIMIT or len(frame.input) > VALUE_LIMIT:
            self._breach(run, f"it asked for an effect {frame.kind[:32]!r} that is unknown or too large")
            return
        digest = args_hash(frame.args)
        event = EffectStarted(
            kind=frame.kind,
            name=frame.name[:TEXT_LIMIT],
            args=digest,
            occurrence=record.occurrence((frame.kind, frame.name, digest)),
            input=msgspec.Raw(frame.input) if frame.kind in _INPUTS else msgspec.Raw(b"null"),
        )
        if frame.kind in _INPUTS:
            _any.decode(frame.input)
        seq = run.append(event)
        record.begin(frame, seq, event)
        begin(self, run, frame, seq, event)

    def _step(self, run: Run, frame: Effect, seq: int, event: EffectStarted) -> None:
        self._go(run, frame.n)

    def _go(self, run: Run, n: int) -> None:
        if run.worker is not None:
            run.worker.send(Answer(run.no, n, go=True))

    def _done(self, run: Run, frame: Done) -> None:
        record = run.record
        seq = record.seq_of.get(frame.n) if record is not None else None
        if record is None or seq is None or record.started[seq].kind != "step":
            self._breach(run, "it ended a step that never began")
            return
        if len(frame.value) > VALUE_LIMIT:
            self._breach(run, f"it sent a step's value of {len(frame.value)} bytes")
            return
        _any.decode(frame.value)
        self.end_effect(run, seq, frame.value, frame.trouble)

    def end_effect(self, run: Run, seq: int, value: bytes, trouble: Trouble | None = None) -> None:
        """Record an effect's end; the skill hears of it once that is on disk, and a slot is free."""
        record = run.record
        if record is None or run.ending is not None or seq not in record.live or seq in record.results:
            return  # Of an earlier life or attempt: this one asks again when it comes to it.
        n = record.n_of.pop(seq, None)
        if n is not None:
            record.seq_of.pop(n, None)
        end = _ended(seq, value, trouble)
        run.append(end)
        record.results[seq] = end

        def answer() -> None:
            worker = run.worker
            if worker is None or n is None or run.ending is not None:
                return
            answer = answer_of(run.no, n, end)
            self._runs.pools[run.call.release.no].resume(run, lambda: worker.send(answer))

        self._runs.when_written(run, answer)

    def _answer_now(self, run: Run, seq: int, value: bytes) -> None:
        """Record an effect's end that rides the next commit, and answer at once."""
        self.end_now(run, seq, value)

    def end_now(
        self, run: Run, seq: int, value: bytes, trouble: Trouble | None = None, data: bytes = b""
    ) -> None:
        """As `end_effect`, but its record rides the next commit, and the skill hears of it at once, with
        `data`, which is not recorded."""
        record = run.record
        if record is None or run.ending is not None or seq not in record.live or seq in record.results:
            return
        n = record.n_of.pop(seq, None)
        if n is not None:
            record.seq_of.pop(n, None)
        record.data.pop(seq, None)
        end = _ended(seq, value, trouble)
        run.append(end)
        record.results[seq] = end
        if run.worker is not None and n is not None:
            answer = answer_of(run.no, n, end)
            answer.data = data
            run.worker.send(answer)

    def _begin_ask(self, run: Run, frame: Effect, seq: int, event: EffectStarted) -> None:
        _ask.decode(frame.input)
        assert run.record is not None
        self._ask(run, run.record, seq)

    def _begin_scope(self, run: Run, frame: Effect, seq: int, event: EffectStarted) -> None:
        assert run.record is not None
        self._ask(run, run.record, seq)

    def _begin_workspace(self, run: Run, frame: Effect, seq: int, event: EffectStarted) -> None:
        if frame.data and run.record is not None:
            run.record.data[seq] = frame.data
        self._runs.workfiles.begin(run, frame, seq)

    def _ask(self, run: Run, record: Record, seq: int) -> None:
        """One question at a time: a further one waits for the answer to the first."""
        if run.question is not None or run.no in self._storing:
            record.questions.append(seq)
            return
        if self._runs.workfiles.unstored(run):
            # Once it waits, what it wrote must outlive this process.
            self._storing.add(run.no)
            self._runs.workfiles.spawn(self._ask_stored(run, record, seq))
            return
        started = record.started[seq]
        if started.kind == "scope":
            self.scopes.ask(run, seq, started)
            self.next_question(run)
            return
        asked = _ask.decode(started.input)
        self._runs.talk.ask(run, Question(seq, asked.question[:TEXT_LIMIT], asked.schema))

    async def _ask_stored(self, run: Run, record: Record, seq: int) -> None:
        trouble: Trouble | None = None
        try:
            await self._runs.workfiles.store(run)
        except Problem as problem:
            trouble = Trouble(problem.code, problem.detail, problem.remedy, True)
        finally:
            self._storing.discard(run.no)
        if run.ending is not None or run.record is not record:
            return
        if trouble is not None:
            self.end_effect(run, seq, b"null", trouble)
        else:
            self._ask(run, record, seq)

    def next_question(self, run: Run) -> None:
        """Ask the question that waited for the last answer, if there is one."""
        record = run.record
        if record is not None and record.questions and run.question is None:
            self._ask(run, record, record.questions.popleft())

    def _begin_call(self, run: Run, frame: Effect, seq: int, event: EffectStarted) -> None:
        self._children.call(run, seq, event)

    def _begin_sleep(self, run: Run, frame: Effect, seq: int, event: EffectStarted) -> None:
        seconds = min(max(_sleep.decode(frame.input).seconds, 0.0), 366 * 86400.0)
        until = self._runs.clock.now() + seconds
        event.input = msgspec.Raw(msgspec.json.encode(SleepInput(seconds, until)))
        self._runs.flush(run)
        assert run.record is not None
        self._sleep_on(run, run.record, seq)

    def _sleep_on(self, run: Run, record: Record, seq: int) -> None:
        asked = _sleep.decode(record.started[seq].input)
        # Wall time is what outlives a restart; a clock that was turned back lengthens nothing.
        seconds = min(asked.seconds, max(0.0, asked.until - self._runs.clock.now()))
        long = seconds >= LONG_SLEEP and run.replayable
        if long and self._runs.workfiles.unstored(run):
            self._runs.workfiles.spawn(self._sleep_stored(run, record, seq))
            return
        run.deadline += seconds  # Sleeping is not working.
        run.asleep += long
        self._runs.pool(run.call.release).leave(run)

        def over() -> None:
            if run.record is not record or run.ending is not None:
                return
            run.asleep -= long
            if run.worker is None:  # Its process was let go meanwhile, or was in another life.
                run.append(EffectEnded(effect=seq))
                self._runs.replay(run)
            else:
                self.end_effect(run, seq, b"null")

        self._at(seconds, over)

    def _at(self, seconds: float, then: Callable[[], None]) -> None:
        # The loop's timers do not reach far: a day at a time.
        if seconds > 86400.0:
            self._loop.call_later(86400.0, self._at, seconds - 86400.0, then)
        else:
            self._loop.call_later(seconds, then)

    async def _sleep_stored(self, run: Run, record: Record, seq: int) -> None:
        try:
            await self._runs.workfiles.store(run)
        except Problem as problem:
            self.end_effect(run, seq, b"null", Trouble(problem.code, problem.detail, problem.remedy, True))
        else:
            if run.record is record and run.ending is None:
                self._sleep_on(run, record, seq)

    def sleep_again(self, run: Run) -> None:
        """After a restart: let a run go on sleeping that has no process."""
        record = run.record
        assert record is not None
        run.deadline = float("inf")
        for seq, started in record.started.items():
            if started.kind == "sleep" and seq not in record.results:
                self._sleep_on(run, record, seq)

    def _begin_get(self, run: Run, frame: Effect, seq: int, event: EffectStarted) -> None:
        task = run.task
        name = frame.name
        if run.state_writes is not None and name in run.state_writes:
            value = run.state_writes[name]
        else:
            scope = Scope(org=task.org_no, owner=task.owner_no)
            value = self._runs.reader.state(scope, task.agent_no, _state_context(task), name)
        self._answer_now(run, seq, b"null" if value is None else b'{"value":' + value + b"}")

    def _begin_set(self, run: Run, frame: Effect, seq: int, event: EffectStarted) -> None:
        value = bytes(_set.decode(frame.input).value)
        _any.decode(value)
        self._write_state(run, frame.name, value)
        self._answer_now(run, seq, b"null")

    def _begin_drop(self, run: Run, frame: Effect, seq: int, event: EffectStarted) -> None:
        self._write_state(run, frame.name, None)
        self._answer_now(run, seq, b"null")

    def _write_state(self, run: Run, name: str, value: bytes | None) -> None:
        task = run.task
        row = (task.org_no, task.owner_no, task.agent_no, _state_context(task), name)
        run.ops = [op for op in run.ops if op[0] not in (sql.PUT_STATE, sql.DROP_STATE) or op[1][4] != name]
        run.ops.append((sql.DROP_STATE, row) if value is None else (sql.PUT_STATE, (*row, value)))
        if run.state_writes is None:
            run.state_writes = {}
        run.state_writes[name] = value


def _size(text: str) -> int:
    return len(text) if text.isascii() else len(text.encode("utf-8", "replace"))


def _state_context(task: LiveTask) -> str:
    # Nobody in particular owns an anonymous context, and its id may be chosen by the caller: what
    # is kept for them is kept per task, whose id can't be guessed.
    return task.context_id if task.owner_no != ANONYMOUS_NO else task.id


def _ended(seq: int, value: bytes, trouble: Trouble | None) -> EffectEnded:
    if trouble is None:
        return EffectEnded(effect=seq, value=msgspec.Raw(value))
    return EffectEnded(
        effect=seq,
        value=msgspec.Raw(value),
        problem_code=trouble.code[:64] or "skill_failed",
        problem_detail=trouble.detail[:TEXT_LIMIT],
        problem_remedy=trouble.remedy[:TEXT_LIMIT],
        problem_retry=trouble.retry,
    )


def add_usage(run: Run, meter: str, qty: str, unit: str) -> None:
    """Sum what a run used."""
    if run.usage is None:
        run.usage = {}
    # `qty` was checked where it came in (`is_decimal`).
    run.usage[meter, unit] = _EXACT.add(run.usage.get((meter, unit), Decimal(0)), Decimal(qty))


#: Sums of quantities keep all their digits: 30 before the point and 18 after it, and what many add up to.
_EXACT = Context(prec=100)
#: Kinds whose input is recorded: a replay that opens them again needs it.
_INPUTS = frozenset({"ask", "call", "ws", "scope"})
_KINDS = {
    "step": Frames._step,  # pyright: ignore[reportPrivateUsage]
    "ask": Frames._begin_ask,  # pyright: ignore[reportPrivateUsage]
    "call": Frames._begin_call,  # pyright: ignore[reportPrivateUsage]
    "sleep": Frames._begin_sleep,  # pyright: ignore[reportPrivateUsage]
    "get": Frames._begin_get,  # pyright: ignore[reportPrivateUsage]
    "set": Frames._begin_set,  # pyright: ignore[reportPrivateUsage]
    "drop": Frames._begin_drop,  # pyright: ignore[reportPrivateUsage]
    "ws": Frames._begin_workspace,  # pyright: ignore[reportPrivateUsage]
    "scope": Frames._begin_scope,  # pyright: ignore[reportPrivateUsage]
}
