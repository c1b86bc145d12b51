"""Messages to tasks that live: answers to open questions, follow-ups; and what a run needs to know
of the talk so far."""

from __future__ import annotations

from functools import partial
from typing import TYPE_CHECKING, Any, cast

import msgspec
from msgspec import UNSET

from a2a_cloud.model.access import check_call
from a2a_cloud.model.card import HITL
from a2a_cloud.model.problem import Internal, InvalidParams, TaskNotFound, UnsupportedOperation
from a2a_cloud.model.run import (
    AnswerEvent,
    ApprovalEvent,
    AttemptEvent,
    Call,
    EffectEnded,
    EffectStarted,
    ReplyEvent,
    RunEvent,
    StatusEvent,
    decode_event,
)
from a2a_cloud.model.scope import SYSTEM, Scope
from a2a_cloud.model.task import TERMINAL, Message, Part, Role, TaskState
from a2a_cloud.runtime.live import LiveTask, Outcome, Question, Run
from a2a_cloud.runtime.stored import load_call, message_of
from a2a_cloud.storage.sql import statements as sql
from a2a_cloud.storage.sql.reader import RunRow
from a2a_cloud.wire import hitl
from a2a_cloud.wire.json_schema import BadSchema, Misfit, check, compiled, fits
from a2a_cloud.wire.worker import Answer, Trouble

if TYPE_CHECKING:
    from a2a_cloud.runtime.runs import Runs

#: Seconds from which on a sleeping run can do without its process.
LONG_SLEEP = 5.0

_any = msgspec.json.Decoder()


class Talk:
    """See the module. One per engine."""

    def __init__(self, runs: Runs) -> None:
        self._runs = runs

    # --- messages to a live task --------------------------------------------------------------------

    def continue_task(self, call: Call, digest: bytes) -> Run:
        """A message to an existing task: the answer to its question, or a new run of it.

        Raises TaskNotFound, UnsupportedOperation (the task has ended), InvalidParams.
        """
        runs = self._runs
        task = runs.tasks.get(call.task_id)
        owned = (call.release.org_no, call.principal.no, call.release.agent_no)
        if task is None:
            scope = Scope(org=call.release.org_no, owner=call.principal.no)
            row = runs.reader.task(scope, call.task_id, call.release.agent_no)
            if row is None:
                raise _unknown(call.task_id)
            self._same_context(call, row.context)
            raise _ended(row.state)
        if (task.org_no, task.owner_no, task.agent_no) != owned:
            raise _unknown(call.task_id)
        self._same_context(call, task.context_id)
        current = task.current
        if task.closing:
            ending = task.runs[-1].ending if task.runs else None
            raise _ended((ending.state if ending is not None else TaskState.COMPLETED).value)
        if current is not None and current.question is not None and current.state is TaskState.INPUT_REQUIRED:
            check_call(current.call.release, call.principal, current.spec)
            return self._answer(current, current.question, call, digest)
        if call.answer and current is not None and current.question is not None:
            raise UnsupportedOperation(
                f"The task waits for the approval {current.question.approval}, which is no message.",
                remedy=f"Somebody who may decides it: a2a approvals show {current.question.approval}",
                info={"taskId": task.id, "approval": current.question.approval},
            )
        if call.answer:
            raise UnsupportedOperation(
                "The question was answered a moment ago.",
                remedy="Look at the task; send another message if you have more to say.",
                info={"taskId": task.id},
            )
        # A run of a task goes on with the release that the task began with.
        if current is not None and current.call.release.no != call.release.no:
            call.release = current.call.release
        return runs.acceptance.accept(call, task, digest)

    def _same_context(self, call: Call, context_id: str) -> None:
        if call.context_id and call.context_id != context_id:
            raise InvalidParams(
                f"Task {call.task_id} belongs to another context than {call.context_id}.",
                remedy="Leave contextId out; the task knows its own.",
            )

    # --- questions ------------------------------------------------------------------------------------

    def ask(self, run: Run, question: Question) -> None:
        """Ask, and let the run wait: it is visible once it is on disk."""
        try:
            compiled(bytes(question.schema))
        except BadSchema as error:
            trouble = Trouble("invalid_params", f"The question's schema can't be used: {error}")
            self._runs.frames.end_effect(run, question.effect, b"null", trouble)
            return
        run.question = question
        metadata = msgspec.Raw(b'{"a2a-cloud/question":{"schema":' + bytes(question.schema) + b"}}")
        message = Message(
            message_id=self._runs.ids.new("msg"),
            role=Role.AGENT,
            parts=[Part(text=question.text)],
            context_id=run.context_id,
            task_id=run.task_id,
            metadata=metadata,
        )
        if HITL in run.call.extensions:
            hitl.carry(
                message, hitl.ask_request(_ident(run, question), question.text, bytes(question.schema))
            )
        run.append(
            StatusEvent(
                state=TaskState.INPUT_REQUIRED,
                at=self._runs.clock.now(),
                message=message,
                question=question.effect,
            )
        )
        self._runs.flush(run)
        self.park(run)

    def park(self, run: Run) -> None:
        """The run waits for a person: it gives up its slot, and its time stands still."""
        run.parked = True
        if run.deadline != float("inf"):
            run.parked_left = max(1.0, run.deadline - self._runs.clock.monotonic())
            run.deadline = float("inf")
        self._runs.pools[run.call.release.no].leave(run)

    def _answer(self, run: Run, question: Question, call: Call, digest: bytes) -> Run:
        value = answer_value(question, call.message, _ident(run, question))
        if call.extensions:  # What follows is said in the words that the caller knows by now.
            run.call.extensions = sorted({*run.call.extensions, *call.extensions})
        now = self._runs.clock.now()
        push = self._runs.push if call.push is not None else None
        told = push.of_call(run, call, run.seq) if push is not None else []
        run.question = None
        run.is_accepted = False
        run.state = TaskState.WORKING
        run.append(
            AnswerEvent(
                effect=question.effect,
                value=msgspec.Raw(value),
                message=call.message,
                by=call.principal.label,
                at=now,
            )
        )
        run.ops += told
        if digest:
            run.ops.append((sql.ADD_IDEMPOTENCY, (digest, run.task.org_no, run.no, call.fingerprint)))
            self._runs.keys.remember(run, digest, call.fingerprint)
        self.resume(run, question.effect, value)
        if push is not None and call.push is not None:
            self._runs.when_written(run, partial(push.stored, run, call.push))
        return run

    def resume(self, run: Run, effect: int, value: bytes, trouble: Trouble | None = None) -> None:
        """What the run waited for has come: it goes on once that is on disk, in its worker or by replay."""
        end = EffectEnded(effect=effect, value=msgspec.Raw(value))
        if trouble is not None:
            end.problem_code, end.problem_detail = trouble.code, trouble.detail
            end.problem_remedy = trouble.remedy
        run.append(end)
        run.append(StatusEvent(state=TaskState.WORKING, at=self._runs.clock.now()))
        record = run.record
        n = None
        if record is not None:
            record.results[effect] = end
            n = record.n_of.pop(effect, None)
            if n is not None:
                record.seq_of.pop(n, None)

        def go() -> None:
            run.is_accepted = True
            run.wake()
            if run.ending is not None:
                return
            run.deadline = self._runs.clock.monotonic() + (run.parked_left or 300.0)
            self._runs.granted.outlive(run)
            worker = run.worker
            if worker is not None and n is not None:
                answer = Answer(run.no, n, value, trouble)

                def deliver() -> None:
                    run.parked = run.question is not None
                    worker.send(answer)

                self._runs.pools[run.call.release.no].resume(run, deliver)
                self._runs.frames.next_question(run)
            elif worker is None:
                self._runs.replay(run)

        self._runs.when_written(run, go)

    # --- the past -------------------------------------------------------------------------------------

    def all_events(self, run: Run) -> list[tuple[int, RunEvent]]:
        """A run's committed visible events, from memory when they are all there."""
        if not run.events_cut and (run.events or not run.sealed):
            return run.events
        return self.stored_events(run.task.org_no, run.no)

    def stored_events(self, org_no: int, run_no: int) -> list[tuple[int, RunEvent]]:
        """A run's committed visible events, from the journal."""
        events = (
            (seq, decode_event(body)) for seq, body in self._runs.reader.events(Scope(org=org_no), run_no)
        )
        return [(seq, event) for seq, event in events if event.visible]

    def history(self, run: Run) -> bytes:
        """Earlier messages of the run's task, as a JSON array."""
        reader = self._runs.reader
        scope = Scope(org=run.task.org_no)
        messages: list[Message] = []
        for row in reader.runs_of_task(scope, run.task.no):
            if row.ordinal >= run.ordinal:
                break
            messages += self.messages(row)
        return msgspec.json.encode(messages)

    def messages(self, row: RunRow) -> list[Message]:
        """What was said in a run, in order: the caller's message, questions, answers, last words."""
        body = self._runs.reader.call(Scope(org=row.org), row.no)
        said = [message_of(body)] if body is not None else []
        for _, event in self.stored_events(row.org, row.no):
            if isinstance(event, StatusEvent | AnswerEvent | ReplyEvent) and event.message is not None:
                said.append(event.message)
        return said

    def parent_agent(self, call: Call) -> str:
        """The name of the agent whose run made this call."""
        assert call.parent is not None
        parent = self._runs.live.get(call.parent.run_no)
        if parent is not None:
            return parent.call.release.name
        row = self._runs.reader.run_by_no(SYSTEM, call.parent.run_no)
        release = self._runs.releases.by_no(row.release) if row is not None else None
        return release.name if release is not None else ""

    def restored(self, run_no: int) -> Run:
        """A run that is not live, from its rows: what an idempotent repeat attaches to."""
        row = self._runs.reader.run_by_no(SYSTEM, run_no)
        if row is None:
            raise Internal("A run that was recorded is not stored.")
        return self.run_of(row)

    def run_of(self, row: RunRow, task: LiveTask | None = None) -> Run:
        """The Run of a stored row, with its visible events; not registered as live."""
        runs = self._runs
        release = runs.releases.by_no(row.release)
        # A run that goes on acts with the rights that its owner has now.
        known = runs.principals.rights if task is not None else runs.principals.by_no
        principal = known(row.owner)
        body = runs.reader.call(Scope(org=row.org), row.no)
        if release is None or principal is None or body is None:
            raise Internal(f"Run {row.id} refers to a release or principal that is not stored.")
        call = load_call(body, release, principal, row.skill, row.context, row.task_id)
        if task is None:
            task = LiveTask(row.task, row.task_id, row.org, row.owner, row.agent, row.context)
            task.closing = True
        run = Run(row.no, row.id, task, row.ordinal, call, release.skill(row.skill) if row.skill else None)
        run.state = TaskState(row.state)
        run.is_accepted = True
        run.attempt = row.attempt
        run.created, run.started, run.ended = row.created, row.started, row.ended
        run.sealed = run.over = run.state in TERMINAL
        if run.sealed:
            run.ending = Outcome(run.state)
            found = runs.reader.receipt_ids(Scope(org=row.org), [row.no])
            run.receipt_id = "rcpt_" + found[row.no].hex() if row.no in found else ""
            run.events = self.stored_events(row.org, row.no)
            for _, event in run.events:
                if isinstance(event, ReplyEvent):
                    run.reply = event.message
        return run


def open_question(events: list[tuple[int, RunEvent]]) -> Question | None:
    """The question, or the request for more, that a run's stored events leave open."""
    starts: dict[int, EffectStarted] = {}
    asked, approval = 0, ""
    for seq, event in events:
        if isinstance(event, EffectStarted):
            starts[seq] = event
        elif isinstance(event, AttemptEvent):
            asked = 0
        elif isinstance(event, StatusEvent) and event.question:
            asked, approval = event.question, approval_in(event.message)
        elif isinstance(event, EffectEnded) and event.effect == asked:
            asked = 0
    started = starts.get(asked)
    if started is None:
        return None
    fields = msgspec.json.decode(bytes(started.input), type=dict[str, msgspec.Raw])
    if started.kind == "scope":
        return Question(asked, "", msgspec.Raw(b"{}"), approval)
    text = msgspec.json.decode(bytes(fields["question"]), type=str)
    return Question(asked, text, fields.get("schema", msgspec.Raw(b"{}")))


def approval_in(message: Message | None) -> str:
    """The id of the request that a status's message tells of; "" for none."""
    if message is None or message.metadata is UNSET:
        return ""
    found = msgspec.json.decode(bytes(message.metadata), type=_Told).approval
    return found.approval if found is not None else ""


class _Request(msgspec.Struct):
    approval: str


class _Told(msgspec.Struct):
    approval: _Request | None = msgspec.field(default=None, name="a2a-cloud/approval")


def sleeps(events: list[tuple[int, RunEvent]]) -> bool:
    """Whether a run waits for nothing but the end of a long sleep, and so can do without a process."""
    open_ones: dict[int, EffectStarted] = {}
    for seq, event in events:
        if isinstance(event, AttemptEvent):
            open_ones.clear()
        elif isinstance(event, EffectStarted) and event.kind != "now":
            open_ones[seq] = event
        elif isinstance(event, EffectEnded):
            open_ones.pop(event.effect, None)
    return any(_long(one) for one in open_ones.values()) and all(
        one.kind == "sleep" for one in open_ones.values()
    )


def _long(started: EffectStarted) -> bool:
    if started.kind != "sleep":
        return False
    fields = msgspec.json.decode(bytes(started.input), type=dict[str, float])
    return fields.get("seconds", 0.0) >= LONG_SLEEP


def awaits_replay(events: list[tuple[int, RunEvent]]) -> bool:
    """Whether nothing of the run is recorded after the last answer that it got: it was parked, and its
    code may never have heard the answer."""
    for _, event in reversed(events):
        if isinstance(event, AnswerEvent | ApprovalEvent):
            return True
        if not isinstance(event, EffectEnded) and not (
            isinstance(event, StatusEvent) and event.state is TaskState.WORKING
        ):
            return False
    return False


def _ident(run: Run, question: Question) -> str:
    """What identifies a question outside of the platform, over a restart too."""
    return f"{run.id}.{question.effect}"


def answer_value(question: Question, message: Message, ident: str = "") -> bytes:
    """The JSON value that a message answers a question with, checked against the question's schema.

    What it answers in the words of wire/hitl, if it does (`ident` is the question's id there); else the
    first data part's data, else the text; text is taken as it is where the schema wants a string, else read
    as JSON; a bare value fills an object schema's one required property. Raises InvalidParams; the question
    stays open.
    """
    schema = bytes(question.schema)
    value: Any = None
    answers = hitl.response_in(message)
    data = next((part.data for part in message.parts if isinstance(part.data, msgspec.Raw)), None)
    texts = [part.text for part in message.parts if isinstance(part.text, str)]
    if answers is not None:
        if not isinstance(answers, hitl.Answers) or answers.id != ident:
            raise InvalidParams(
                f"The message answers another question than {question.text!r}, which is open.",
                remedy=f"Answer with the id {ident}.",
            )
        value = hitl.value_of(schema, answers.answers)
    elif data is not None:
        value = _any.decode(bytes(data))
        if (
            not fits(schema, value)
            and isinstance(value, dict)
            and list(cast("dict[str, Any]", value)) == ["answer"]
        ):
            value = cast("dict[str, Any]", value)["answer"]
    elif texts:
        value = _from_text(schema, "\n".join(texts))
    else:
        raise InvalidParams(
            f"The question {question.text!r} is open, and the message has neither text nor data.",
            remedy="Answer with a text part or a data part.",
        )
    if not fits(schema, value):
        wrapped = _wrap(schema, value)
        if wrapped is not None and fits(schema, wrapped):
            value = wrapped
        else:
            why = _why(schema, value)
            raise InvalidParams(
                f"The answer does not fit the question {question.text!r}: {why}",
                remedy=f"The answer must fit this JSON Schema: {bytes(question.schema).decode()}",
            )
    return msgspec.json.encode(value)


def _from_text(schema: bytes, text: str) -> Any:
    if fits(schema, text):
        return text
    if fits(schema, text.strip()):
        return text.strip()
    try:
        return _any.decode(text.encode())
    except (msgspec.DecodeError, UnicodeEncodeError):
        return text


def _wrap(schema: bytes, value: Any) -> dict[str, Any] | None:
    declared = msgspec.json.decode(schema)
    if isinstance(declared, dict) and not isinstance(value, dict):
        required = cast("dict[str, Any]", declared).get("required")
        if isinstance(required, list) and len(cast("list[Any]", required)) == 1:
            return {str(cast("list[Any]", required)[0]): value}
    return None


def _why(schema: bytes, value: Any) -> str:
    try:
        check(schema, value)
    except Misfit as misfit:
        return f"{misfit} (at {misfit.path})" if misfit.path else str(misfit)
    return ""


def _unknown(task_id: str) -> TaskNotFound:
    return TaskNotFound(f"There is no task {task_id}.", remedy="Leave taskId out to begin a new task.")


def _ended(state: str) -> UnsupportedOperation:
    return UnsupportedOperation(
        f"The task has ended ({TaskState(state).short}): it takes no more messages.",
        remedy="Leave taskId out to begin a new task; keep contextId to stay in the talk.",
    )
