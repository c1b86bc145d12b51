"""One run of a test, as the runtime plays it: outputs to the record, effects answered, replay matched.

docs/worker-protocol.md says what belongs here; the order and the matching of a replay are the
platform's own (a2a_cloud.runtime.effects). Nothing is written to a disk, so all acks are immediate.
"""

from __future__ import annotations

import asyncio
from collections import deque
from collections.abc import Coroutine
from dataclasses import dataclass, field
from hashlib import sha256
from typing import TYPE_CHECKING, Any

import msgspec

from a2a_cloud.agent.problem import Problem
from a2a_cloud.agent.scope import Scope
from a2a_cloud.agent.values import to_json
from a2a_cloud.model.problem import InvalidParams
from a2a_cloud.model.problem import Problem as PlatformProblem
from a2a_cloud.model.run import (
    ArtifactEvent,
    AttemptEvent,
    EffectEnded,
    EffectStarted,
    LogEvent,
    ProgressEvent,
    RunEvent,
    TextEvent,
    UsageEvent,
)
from a2a_cloud.model.task import Artifact, Message, ObjectRef
from a2a_cloud.runtime.effects import Record, args_hash
from a2a_cloud.testing.agent_answers import Asked, Calls, child_value
from a2a_cloud.testing.agent_outcome import AskInput, LogLine, Question, child_call, last_attempt
from a2a_cloud.testing.agent_schema import misfit, unusable
from a2a_cloud.testing.agent_scope import Approve, decide, request_of
from a2a_cloud.testing.agent_scope import unusable as unusable_scope
from a2a_cloud.testing.agent_workspace import Draft, asked_of, commit, held_of, kept
from a2a_cloud.wire.worker import (
    INLINE_LIMIT,
    Ack,
    Answer,
    Cancel,
    Data,
    Done,
    Effect,
    Log,
    Made,
    Now,
    Progress,
    Put,
    Read,
    Result,
    Start,
    Text,
    ToRuntime,
    Trouble,
    Usage,
)

if TYPE_CHECKING:
    from a2a_cloud.testing.agent_runtime import Runtime

#: Seconds after which a replay that stands still differs from its record (production waits longer).
HOLD = 1.0
#: Seconds that a cancelled run has to stop; then production replaces its worker.
GRACE = 2.0
#: The longest sleep: a year and a day.
LONGEST_SLEEP = 366 * 86400.0

_artifact = msgspec.json.Decoder(Artifact)
_message = msgspec.json.Decoder(Message)
_any = msgspec.json.Decoder()


class SleepInput(msgspec.Struct):
    """`input` of a sleep effect, as recorded: how long, and until when."""

    seconds: float = 0.0
    until: float = 0.0


class SetInput(msgspec.Struct):
    """`input` of a set effect."""

    value: msgspec.Raw


@dataclass
class Beginning:
    """How a run begins: its frame, and what the test says for it. `children`: as in [limits]."""

    start: Start
    asked: Asked
    calls: Calls
    state: dict[str, bytes]
    objects: frozenset[tuple[str, int]]
    retries: int = 0
    children: int = 64
    events: list[tuple[int, RunEvent]] = field(default_factory=list[tuple[int, RunEvent]])
    replays: bool = False
    #: What the test keeps about the run; nothing here reads it.
    settings: Any = None
    draft: Draft = field(kw_only=True)
    approve: Approve | None = None
    merge: str = "refuse"


class PlayedRun:
    """See the module. `play` runs it; then `status`, `value`, `trouble` and the rest are its outcome."""

    def __init__(self, runtime: Runtime, beginning: Beginning) -> None:
        self.no = beginning.start.run
        self.events = list(beginning.events)
        self.status, self.value = "failed", b"null"
        self.trouble: Trouble | None = None
        self.reply: Message | None = None
        self.printed: list[LogLine] = []
        self.state_log: list[tuple[int, str, bytes | None]] = []
        self.objects = set(beginning.objects)
        self.changed = asyncio.Event()
        self.stuck = False
        self._runtime = runtime
        self._beginning = beginning
        self._start = beginning.start
        self._record = Record.replay(self.events) if beginning.replays else Record()
        self._seq = self.events[-1][0] if self.events else 0
        self._uploads: dict[int, bytearray] = {}
        self._asking = 0
        self._ended: asyncio.Future[None] = runtime.loop.create_future()
        self._over = False
        self._reason = ""
        self._error: BaseException | None = None
        self._tasks: set[asyncio.Task[None]] = set()
        self._timer: asyncio.TimerHandle | None = None
        self._deadline = 0.0
        self._left = beginning.start.timeout

    @property
    def attempt(self) -> int:
        """The attempt that runs, from 1."""
        return self._start.attempt

    @property
    def over(self) -> bool:
        """It has ended."""
        return self._over

    # --- its life -------------------------------------------------------------------------------------

    async def play(self) -> None:
        """Start the skill and come back when it has ended. Raises what the test did wrong."""
        self._begin()
        try:
            await self._ended
        except asyncio.CancelledError:  # The test gave up, at Ctrl-C perhaps.
            self._runtime.send(Cancel(self.no, "canceled"))
            raise
        finally:
            self._over = True
            self._pause()
            for task in self._tasks:
                task.cancel()
            self.changed.set()
        if self._error is not None:
            raise self._error

    def _begin(self) -> None:
        self._start = msgspec.structs.replace(self._start, now=self._record.now)
        self._resume()
        self._runtime.send(self._start)

    def cancel(self, reason: str = "canceled") -> None:
        """Tell the skill to stop, once; if it does not within two seconds, the run ends without it."""
        if self._reason or self._over:
            return
        self._reason = reason
        self._pause()
        self._runtime.send(Cancel(self.no, reason))
        self._timer = self._runtime.loop.call_later(GRACE, self._give_up)

    def broke(self, error: BaseException) -> None:
        """The test itself failed: stop the skill, and raise `error` in the test."""
        if self._error is None:
            self._error = error
            self.cancel()

    def differs(self, did: str) -> None:
        """End a replay at its first difference."""
        if not self._over and self.trouble is None:
            remedy = "Take time and chance from the context, and put what else may vary into ctx.step."
            self.trouble = Trouble("replay_differs", self._record.difference(did), remedy)
            self.cancel("replay_differs")

    def _give_up(self) -> None:
        self.stuck = True
        self._finish("canceled", b"null", None)

    def _result(self, frame: Result) -> None:
        record, trouble = self._record, frame.trouble
        if not self._reason and (record.replaying or record.held):
            self.differs(f"ended ({frame.status})")
        elif (
            frame.status == "failed"
            and trouble is not None
            and trouble.retry
            and self.attempt <= self._beginning.retries
            and not self._reason
        ):
            self._again(trouble.detail)
            return
        self._finish(frame.status, frame.value, trouble)

    def _again(self, why: str) -> None:
        """A further attempt from scratch; what the last one put out is void."""
        self._runtime.clock.at += min(30.0, 0.5 * 2 ** (self.attempt - 1))
        self._record = Record()
        self._asking = 0
        self._beginning.draft.clear()
        self._start = msgspec.structs.replace(self._start, attempt=self.attempt + 1)
        self._append(AttemptEvent(attempt=self.attempt, why=why[:500]))
        self._pause()
        self._left = self._start.timeout
        self._begin()

    def _finish(self, status: str, value: bytes, trouble: Trouble | None) -> None:
        if self._ended.done():
            return
        if self._reason == "timed_out":
            late = " and did not stop within 2 s: its worker is replaced" if self.stuck else ""
            self.status = "failed"
            self.trouble = Trouble(
                "timed_out",
                f"The skill took longer than {self._start.timeout:g} s{late}.",
                "Raise `timeout` of the skill or in [limits], or do less.",
            )
        elif self._reason == "replay_differs" or self.trouble is not None:
            self.status = "failed"
        elif self._reason:
            self.status = "canceled"
        else:
            self.status, self.value, self.trouble = status, value, trouble
            if status in ("reply", "said"):
                self._take_reply(value, late=status == "said")
        if self._error is None and (self.status == "ok" or self._beginning.draft.keeps):
            self._commit()
        self._ended.set_result(None)

    def _commit(self) -> None:
        beginning = self._beginning
        try:
            commit(self._runtime.workspace, beginning.draft, self._start.run_id, beginning.merge)
        except PlatformProblem as problem:
            if self.status == "ok":
                self.status, self.value, self.reply = "failed", b"null", None
                self.trouble = Trouble(problem.code, problem.detail, problem.remedy)

    def _take_reply(self, value: bytes, *, late: bool) -> None:
        if not late and any(event.visible for _, event in last_attempt(self.events)):
            self.status = "failed"
            detail = "The skill replied after other output; a reply must come first."
            self.trouble = Trouble("invalid_agent_response", detail)
        else:
            self.status, self.value, self.reply = "ok", b"null", _message.decode(value)

    # --- its time -------------------------------------------------------------------------------------

    def _resume(self) -> None:
        if self._timer is None and not self._reason:
            self._deadline = self._runtime.loop.time() + self._left
            self._timer = self._runtime.loop.call_later(self._left, self.cancel_late)

    def cancel_late(self) -> None:
        """The run's time is up."""
        self._timer = None
        self.cancel("timed_out")

    def _pause(self) -> None:
        if self._timer is not None:
            self._left = max(0.0, self._deadline - self._runtime.loop.time())
            self._timer.cancel()
            self._timer = None

    # --- frames ---------------------------------------------------------------------------------------

    def take(self, frame: ToRuntime) -> None:
        """A frame of this run."""
        if self._over:
            return
        if self._reason and not isinstance(frame, Result):
            return  # As in production: after its end nothing of a run counts, but that it stopped.
        match frame:
            case Text():
                self._text(frame)
            case Progress():
                percent = frame.percent if 0 <= frame.percent <= 100 else -1.0
                event = ProgressEvent(
                    stage=frame.stage, percent=percent, message=frame.message, at=self._runtime.clock.at
                )
                self._output(frame, event)
            case Made():
                self._made(frame)
            case Log():
                self._log(frame)
            case Usage():
                self._output(frame, UsageEvent(meter=frame.meter, qty=frame.qty, unit=frame.unit))
            case Now():
                self._now(frame)
            case Effect():
                self._effect(frame)
            case Done():
                self._done(frame)
            case Read():
                self._read(frame)
            case Put():
                self._put(frame)
            case Result():
                self._result(frame)
            case _:
                raise AssertionError(f"a worker in a run does not send {type(frame).__name__}")

    def _append(self, event: RunEvent) -> int:
        self._seq += 1
        self.events.append((self._seq, event))
        self.changed.set()
        return self._seq

    def _send(self, frame: Any) -> None:
        self._runtime.send(frame)

    def _text(self, frame: Text) -> None:
        record, delta = self._record, frame.delta
        self._send(Ack(self.no, len(delta.encode())))
        if record.replaying:
            rest = record.match_text(delta)
            if rest is None:
                self.differs(f"sent the text {delta[:40]!r}")
                return
            self._moved()
            delta = rest
            if not delta:
                return
            if record.replaying:
                self._hold(Text(self.no, delta))
                return
        self._append(TextEvent(delta=delta, at=int(self._runtime.clock.at * 1000)))

    def _made(self, frame: Made) -> None:
        artifact = _artifact.decode(frame.artifact)
        self._send(Ack(self.no, len(frame.artifact)))
        for part in artifact.parts:
            if (
                isinstance(part.object, ObjectRef)
                and (part.object.sha256, part.object.size) not in self.objects
            ):
                raise AssertionError("the artifact refers to an object that this run neither got nor made")
        self._output(frame, ArtifactEvent(artifact=artifact, append=frame.append, last=frame.last))

    def _log(self, frame: Log) -> None:
        if frame.source == "log":
            level = frame.level if frame.level in ("debug", "info", "warning", "error") else "info"
            self._output(frame, LogEvent(level=level, line=frame.line, at=self._runtime.clock.at))
        else:
            self.printed.append(LogLine(frame.line, frame.level, frame.source))

    def _now(self, frame: Now) -> None:
        if self._record.replaying:
            if self._record.match_now():
                self._moved()
            else:
                self._hold(frame)
            return
        raw = msgspec.Raw(repr(frame.at).encode())
        self._append(EffectStarted(kind="now", name="", args=b"", input=raw))

    def _output(self, frame: ToRuntime, event: RunEvent) -> None:
        if not self._record.replaying:
            self._append(event)
        elif self._record.match_output(event):
            self._moved()
        else:
            self._hold(frame)

    # --- replay ---------------------------------------------------------------------------------------

    def _hold(self, frame: ToRuntime) -> None:
        self._record.held.append(frame)
        self._watch()

    def _watch(self) -> None:
        record = self._record
        if record.watched:
            return
        record.watched = True
        moved = record.moved

        def look() -> None:
            nonlocal moved
            if self._over or self._reason or record is not self._record or not record.replaying:
                record.watched = False
                return
            did = record.stuck() if record.moved == moved else ""
            if did:
                self.differs(did)
                return
            moved = record.moved
            self._runtime.loop.call_later(HOLD, look)

        self._runtime.loop.call_later(HOLD, look)

    def _moved(self) -> None:
        record = self._record
        for n, end in record.releases():
            self._send(_answer(self.no, n, end))
        if record.replaying:
            return
        for seq in list(record.n_of):
            if seq not in record.live:
                record.live.add(seq)
                self._carry_on(seq, record.started[seq], record.n_of[seq])
        held, record.held = record.held, deque()
        for frame in held:
            self.take(frame)

    # --- effects --------------------------------------------------------------------------------------

    def _effect(self, frame: Effect) -> None:
        record = self._record
        if frame.kind == "ws":
            self._take_content(frame)
        if record.replaying:
            if record.match(frame) is None:
                self._hold(frame)
                return
            self._moved()
            if record.replaying:
                self._watch()
            return
        digest = args_hash(frame.args)
        body = frame.input if frame.kind in ("ask", "call", "ws", "scope") else b"null"
        if frame.kind == "sleep":
            seconds = min(max(msgspec.json.decode(frame.input, type=SleepInput).seconds, 0.0), LONGEST_SLEEP)
            body = msgspec.json.encode(SleepInput(seconds, self._runtime.clock.at + seconds))
        event = EffectStarted(
            kind=frame.kind,
            name=frame.name,
            args=digest,
            occurrence=record.occurrence((frame.kind, frame.name, digest)),
            input=msgspec.Raw(body),
        )
        seq = self._append(event)
        record.begin(frame, seq, event)
        if frame.kind in ("get", "set", "drop"):
            self.end_effect(seq, self._state(frame, seq))
        else:
            self._carry_on(seq, event, frame.n)

    def _carry_on(self, seq: int, event: EffectStarted, n: int) -> None:
        """What an effect waits for is begun: when it is new, or when a replay has come to it."""
        if event.kind == "step":
            self._send(Answer(self.no, n, go=True))
        elif event.kind in ("ask", "scope"):
            self._ask(seq)
        elif event.kind == "ws":
            self._workspace(seq, event)
        elif event.kind == "call":
            self._spawn(self._call(seq, event))
        elif event.kind == "sleep":
            self._runtime.sleep(self, seq, msgspec.json.decode(event.input, type=SleepInput).until)
        elif event.kind in ("get", "set", "drop"):
            self.end_effect(seq, b"null")
        else:
            raise AssertionError(f"there is no effect {event.kind!r}")

    def end_effect(self, seq: int, value: bytes, trouble: Trouble | None = None, data: bytes = b"") -> None:
        """Record an effect's end, and tell the skill, with `data`, which is not recorded."""
        record = self._record
        if self._over or seq not in record.live or seq in record.results:
            return
        n = record.n_of.pop(seq)
        record.seq_of.pop(n, None)
        end = EffectEnded(effect=seq, value=msgspec.Raw(value))
        if trouble is not None:
            end.problem_code, end.problem_detail = trouble.code[:64] or "skill_failed", trouble.detail
            end.problem_remedy, end.problem_retry = trouble.remedy, trouble.retry
        self._append(end)
        record.results[seq] = end
        answer = _answer(self.no, n, end)
        answer.data = data
        self._send(answer)

    def _done(self, frame: Done) -> None:
        seq = self._record.seq_of.get(frame.n)
        if seq is None:
            raise AssertionError("the worker ended a step that never began")
        _any.decode(frame.value)
        self.end_effect(seq, frame.value, frame.trouble)

    def _state(self, frame: Effect, seq: int) -> bytes:
        state = self._beginning.state
        if frame.kind == "get":
            found = state.get(frame.name)
            return b"null" if found is None else b'{"value":' + found + b"}"
        value = None
        if frame.kind == "set":
            value = bytes(msgspec.json.decode(frame.input, type=SetInput).value)
            state[frame.name] = value
        else:
            state.pop(frame.name, None)
        self.state_log.append((seq, frame.name, value))
        return b"null"

    def _spawn(self, work: Coroutine[Any, Any, None]) -> None:
        task = self._runtime.loop.create_task(work)
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)

    # --- questions and other agents -------------------------------------------------------------------

    def _ask(self, seq: int) -> None:
        """One question at a time: a further one waits for the answer to the first."""
        if self._asking:
            self._record.questions.append(seq)
            return
        self._asking = seq
        self._pause()
        record = self._record
        answer = self._answer if record.started[seq].kind == "ask" else self._decide
        self._spawn(answer(seq, record))

    async def _answer(self, seq: int, record: Record) -> None:
        asked = msgspec.json.decode(record.started[seq].input, type=AskInput)
        schema = bytes(asked.schema)
        wrong = unusable(schema)
        if wrong:
            trouble = Trouble("invalid_params", f"The question's schema can't be used: {wrong}")
            value = b"null"
        else:
            trouble = None
            question = Question(asked.question, _any.decode(schema))
            try:
                value = to_json(await self._beginning.asked.answer(question))
                why = misfit(schema, _any.decode(value))
                if why:
                    raise AssertionError(f"The answer to {question.text!r} does not fit: {why}")
            except asyncio.CancelledError:
                raise
            except BaseException as error:  # `pytest.fail` in a test's function is no Exception
                self.broke(error)
                return
        self._answered(seq, record, value, trouble)

    async def _decide(self, seq: int, record: Record) -> None:
        request = request_of(record.started[seq].input)
        value = b"null"
        try:
            found = unusable_scope(request) or await decide(self._beginning.approve, request)
        except asyncio.CancelledError:
            raise
        except BaseException as error:
            self.broke(error)
            return
        if isinstance(found, Trouble):
            self._answered(seq, record, value, found)
            return
        if record is self._record:
            rights = self._beginning.draft.rights
            rights.widen(found.read, found.write)
            number = f"{self._start.run_id.removeprefix('run_')}_{len(rights.wider)}"
            scope = Scope(
                f"grant_{number}",
                f"appr_{number}",
                found.read,
                found.write,
                found.skills,
                found.egress,
                request.seconds,
                "test",
            )
            value = to_json(scope)
        self._answered(seq, record, value, None)

    def _answered(self, seq: int, record: Record, value: bytes, trouble: Trouble | None) -> None:
        if record is not self._record:
            return
        self._asking = 0
        self._resume()
        self.end_effect(seq, value, trouble)
        if record.questions:
            self._ask(record.questions.popleft())

    async def _call(self, seq: int, event: EffectStarted) -> None:
        call = child_call(event, self._runtime.objects)
        most = self._beginning.children
        if sum(isinstance(one, EffectStarted) and one.kind == "call" for _, one in self.events) > most:
            trouble = Trouble("invalid_params", f"A run makes {most} calls at most.")
            self.end_effect(seq, b"null", trouble)
            return
        try:
            value = to_json(await child_value(self._beginning.calls, call))
        except Problem as problem:
            self.end_effect(seq, b"null", Trouble(problem.code, problem.sentence))
        except asyncio.CancelledError:
            raise
        except BaseException as error:
            self.broke(error)
        else:
            self.end_effect(seq, value)

    # --- the workspace --------------------------------------------------------------------------------

    def _take_content(self, frame: Effect) -> None:
        asked = asked_of.decode(frame.input)
        if frame.name in ("write", "append") and (frame.data or not asked.size):
            ref = kept(self._runtime.objects, frame.data)
            if (ref.sha256, ref.size) != (asked.sha256, asked.size) or ref.size > INLINE_LIMIT:
                raise AssertionError("the content of a write is not what its hash and size say")
            self.objects.add((ref.sha256, ref.size))

    def _workspace(self, seq: int, event: EffectStarted) -> None:
        asked, draft = asked_of.decode(event.input), self._beginning.draft
        value, data, trouble = b"null", b"", None
        try:
            if event.name in ("write", "append", "adopt") and (asked.sha256, asked.size) not in self.objects:
                raise InvalidParams("The run neither got nor made an object with that content.")
            value = draft.perform(event.name, asked, self._start.run_id)
            if event.name == "read":
                held = held_of.decode(value)
                self.objects.add((held.sha256, held.size))
                data = draft.content(value, asked)
        except PlatformProblem as problem:
            trouble = Trouble(problem.code, problem.detail, problem.remedy)
        self.end_effect(seq, value, trouble, data)

    # --- files ----------------------------------------------------------------------------------------

    def _read(self, frame: Read) -> None:
        if not any(digest == frame.sha256 for digest, _ in self.objects):
            self._send(Data(self.no, frame.n, b"", Trouble("not_found", "The run has no such file.")))
            return
        data = self._runtime.objects[frame.sha256]
        self._send(Data(self.no, frame.n, data[frame.offset : frame.offset + frame.length]))

    def _put(self, frame: Put) -> None:
        content = self._uploads.setdefault(frame.n, bytearray())
        content += frame.chunk
        if not frame.last:
            self._send(Data(self.no, frame.n, b""))
            return
        data = bytes(self._uploads.pop(frame.n))
        digest = sha256(data).hexdigest()
        self._runtime.objects[digest] = data
        self.objects.add((digest, len(data)))
        reference = msgspec.json.encode(ObjectRef(digest, len(data)))
        self._send(Data(self.no, frame.n, reference))


def _answer(run: int, n: int, end: EffectEnded) -> Answer:
    trouble = None
    if end.problem_code:
        trouble = Trouble(end.problem_code, end.problem_detail, end.problem_remedy, end.problem_retry)
    return Answer(run, n, bytes(end.value), trouble)
