"""What a run in a test came to: its status and value, and everything that it said on the way."""

from __future__ import annotations

import base64
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from decimal import Decimal
from typing import TYPE_CHECKING, Any

import msgspec
from msgspec import UNSET

from a2a_cloud.agent.files import File
from a2a_cloud.agent.problem import BadResult, InvalidArguments, Problem, Refuse
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
from a2a_cloud.model.task import Message, ObjectRef, Part
from a2a_cloud.wire.worker import FileFrame, Trouble

if TYPE_CHECKING:
    from a2a_cloud.testing.agent_scope import ScopeRequest

Events = Sequence[tuple[int, RunEvent]]


@dataclass(frozen=True, slots=True)
class Progress:
    """One `ctx.progress`; `percent` from 0 to 100, or None where it is unknown."""

    stage: str
    percent: float | None
    message: str


@dataclass(frozen=True, slots=True)
class LogLine:
    """One line of the run's log. `source` is `log` for `ctx.log`, `stderr` for a traceback."""

    line: str
    level: str
    source: str


@dataclass(frozen=True, slots=True)
class Question:
    """One `ctx.ask`: its text, the JSON Schema of its answer, and the answer once it came."""

    text: str
    schema: Any
    answer: Any = None


@dataclass(frozen=True, slots=True)
class ChildCall:
    """One `ctx.call`: whom, with which arguments (files among them, by their parameter)."""

    agent: str
    skill: str
    arguments: dict[str, Any]


@dataclass(frozen=True, slots=True)
class Artifact:
    """An artifact as its receiver has it, all pieces together.

    `text` joins the text parts (of a file or bytes: their UTF-8 text), `bytes` the content of all
    parts, `data` is the first data part's value (None: there is none), `url` the first url.
    """

    name: str
    media_type: str
    text: str
    bytes: bytes
    data: Any
    url: str
    filename: str
    description: str
    complete: bool


@dataclass(frozen=True)
class Outcome:
    """How a run ended, and what it said.

    `status` is `completed`, `failed`, `rejected` or `canceled`; `problem` is None for a completed
    one, else the exception that `call` raises. `value` is the result as JSON values: without one,
    what `ctx.reply` said, else the streamed text, else None. `texts` are the streamed pieces and
    `text` is all of them; `usage` sums quantities by meter (with a unit: `"meter unit"`); `steps` are
    the names of `ctx.step`, `scopes` the requests of `ctx.request_scope`, `state` is what `ctx.state`
    holds after the run. Output of an attempt that was followed by another one is not among them, but in
    `events`: everything that the run did, in order, as the journal keeps it (a2a_cloud.model.run).
    """

    status: str
    value: Any
    problem: Problem | None
    run_id: str
    task_id: str
    context_id: str
    skill: str
    attempts: int
    texts: list[str]
    progress: list[Progress]
    artifacts: dict[str, Artifact]
    logs: list[LogLine]
    usage: dict[str, Decimal]
    questions: list[Question]
    calls: list[ChildCall]
    steps: list[str]
    scopes: list[ScopeRequest]
    reply: Any
    state: dict[str, Any]
    events: list[RunEvent] = field(repr=False)
    #: What `AgentTest.replay` needs: how the run began. Not for tests.
    origin: Any = field(default=None, repr=False, compare=False)

    @property
    def text(self) -> str:
        """The streamed text."""
        return "".join(self.texts)

    @property
    def stages(self) -> list[str]:
        """The stages of the progress, in order."""
        return [one.stage for one in self.progress]

    @property
    def lines(self) -> list[str]:
        """The log's lines, whoever wrote them."""
        return [one.line for one in self.logs]

    def value_or_raise(self) -> Outcome:
        """This outcome if the run completed; else raises its problem."""
        if self.problem is not None:
            raise self.problem
        return self


def problem_of(status: str, trouble: Trouble | None, trace: Sequence[str] = ()) -> Problem:
    """The exception that stands for a run's end, as its caller is told; `trace` becomes a note."""
    if status == "canceled":
        return Problem("The run was canceled.", code="canceled")
    if trouble is None:
        return Problem("The skill failed.")
    problem: Problem
    if status == "refused":
        problem = Refuse(trouble.detail, remedy=trouble.remedy)
    elif trouble.code == "invalid_params":
        problem = InvalidArguments(trouble.detail, remedy=trouble.remedy)
    elif trouble.code == "invalid_agent_response":
        problem = BadResult(trouble.detail, remedy=trouble.remedy)
    else:
        own = trouble.code in ("skill_failed", "timed_out", "replay_differs", "workspace_conflict")
        problem = Problem(
            trouble.detail,
            code=trouble.code if own else "skill_failed",
            remedy=trouble.remedy,
            retry=trouble.retry,
            info=None if own else {"agent_code": trouble.code},
        )
    if trace:
        problem.add_note("The log of the run:\n" + "\n".join(trace))
    return problem


def last_attempt(events: Events) -> Events:
    """The events of a run's last attempt: what earlier ones put out is void."""
    for at in range(len(events) - 1, -1, -1):
        if isinstance(events[at][1], AttemptEvent):
            return events[at + 1 :]
    return events


def texts_of(events: Events) -> list[str]:
    """The streamed pieces."""
    return [event.delta for _, event in events if isinstance(event, TextEvent)]


def progress_of(events: Events) -> list[Progress]:
    """The progress."""
    return [
        Progress(event.stage, event.percent if event.percent >= 0 else None, event.message)
        for _, event in events
        if isinstance(event, ProgressEvent)
    ]


def steps_of(events: Events) -> list[str]:
    """The names of the steps."""
    return [event.name for _, event in events if isinstance(event, EffectStarted) and event.kind == "step"]


class AskInput(msgspec.Struct):
    """`input` of an ask effect."""

    question: str
    schema: msgspec.Raw = msgspec.Raw(b"{}")


class CallInput(msgspec.Struct):
    """`input` of a call effect."""

    agent: str
    skill: str
    arguments: dict[str, Any] = {}
    files: list[FileFrame] = []


def questions_of(events: Events) -> list[Question]:
    """The questions in the order in which they were asked, with their answers."""
    answers = {event.effect: event.value for _, event in events if isinstance(event, EffectEnded)}
    found: list[Question] = []
    for seq, event in events:
        if isinstance(event, EffectStarted) and event.kind == "ask":
            asked = msgspec.json.decode(event.input, type=AskInput)
            answer = msgspec.json.decode(answers.get(seq, b"null"))
            found.append(Question(asked.question, msgspec.json.decode(asked.schema), answer))
    return found


def child_call(event: EffectStarted, objects: Mapping[str, bytes]) -> ChildCall:
    """The call that a call effect stands for, its files with their content."""
    asked = msgspec.json.decode(event.input, type=CallInput)
    files: dict[str, Any] = {}
    for one in asked.files:
        data = objects[one.sha256] if one.sha256 else one.inline
        files[one.param] = File.from_bytes(one.name, data, one.media_type)
    return ChildCall(asked.agent, asked.skill, {**asked.arguments, **files})


def calls_of(events: Events, objects: Mapping[str, bytes]) -> list[ChildCall]:
    """The calls to other agents, in order."""
    return [
        child_call(event, objects)
        for _, event in events
        if isinstance(event, EffectStarted) and event.kind == "call"
    ]


def logs_of(events: Events, printed: Sequence[LogLine]) -> list[LogLine]:
    """What `ctx.log` wrote, and after it the tracebacks."""
    logged = [LogLine(event.line, event.level, "log") for _, event in events if isinstance(event, LogEvent)]
    return [*logged, *printed]


def usage_of(events: Events) -> dict[str, Decimal]:
    """Sums by meter, with its unit if it has one."""
    sums: dict[str, Decimal] = {}
    for _, event in events:
        if isinstance(event, UsageEvent):
            meter = f"{event.meter} {event.unit}".strip()
            sums[meter] = sums.get(meter, Decimal(0)) + Decimal(event.qty)
    return sums


def artifacts_of(events: Events, objects: Mapping[str, bytes]) -> dict[str, Artifact]:
    """By name, each whole: a piece with `append` joins what is there, any other replaces it."""
    parts: dict[str, list[Part]] = {}
    last: dict[str, ArtifactEvent] = {}
    for _, event in events:
        if isinstance(event, ArtifactEvent):
            name = event.artifact.artifact_id
            before = parts.get(name, []) if event.append else []
            parts[name] = [*before, *event.artifact.parts]
            last[name] = event
    return {name: _artifact(name, parts[name], event, objects) for name, event in last.items()}


def _artifact(name: str, parts: list[Part], event: ArtifactEvent, objects: Mapping[str, bytes]) -> Artifact:
    content = b"".join(_content(part, objects) for part in parts)
    data = next((part.data for part in parts if isinstance(part.data, msgspec.Raw)), None)
    first = parts[0] if parts else Part()
    given = event.artifact.description
    return Artifact(
        name=name,
        media_type="" if first.media_type is UNSET else first.media_type,
        text=content.decode("utf-8", "replace"),
        bytes=content,
        data=None if data is None else msgspec.json.decode(data),
        url=next((part.url for part in parts if isinstance(part.url, str)), ""),
        filename="" if first.filename is UNSET else first.filename,
        description="" if given is UNSET else given,
        complete=event.last,
    )


def _content(part: Part, objects: Mapping[str, bytes]) -> bytes:
    if isinstance(part.text, str):
        return part.text.encode()
    if isinstance(part.raw, str):
        return base64.b64decode(part.raw)
    if isinstance(part.object, ObjectRef):
        return objects[part.object.sha256]
    return bytes(part.data) if isinstance(part.data, msgspec.Raw) else b""


def said(message: Message) -> Any:
    """What a reply says: its data, else its text."""
    for part in message.parts:
        if isinstance(part.data, msgspec.Raw):
            return msgspec.json.decode(part.data)
    return "\n".join(part.text for part in message.parts if isinstance(part.text, str))
