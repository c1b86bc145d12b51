"""The one way in and the one way out: `Call`, and the ordered `RunEvent`s that answer it.

Every dialect translates into a Call and renders RunEvents. Events are the rows of the journal:
what a run did, in order, numbered per run from 1 without gaps. Those with `visible` False are
effects that only a replay and the receipt read. An event's `v` is the version of its shape: absent
means 1, and old versions stay readable.
"""

from __future__ import annotations

from typing import ClassVar

import msgspec
from msgspec import Struct

from a2a_cloud.model.billing import Spend
from a2a_cloud.model.grant import Narrowing
from a2a_cloud.model.principal import Principal
from a2a_cloud.model.release import Release
from a2a_cloud.model.task import Artifact, Message, ObjectRef, TaskState


class BoundFile(Struct, frozen=True, omit_defaults=True):
    """A file part bound to a skill's parameter: inline bytes, or an object."""

    param: str
    name: str
    media_type: str
    size: int
    inline: bytes = b""
    object: ObjectRef | None = None


class Parent(Struct, frozen=True):
    """The run that made this call through `ctx.call`, and the effect it waits on."""

    run_no: int
    run_id: str
    effect_seq: int


class PushTarget(Struct, frozen=True, rename="camel", omit_defaults=True):
    """Where push notifications of a task go (A2A 1.0, 4.3.1): `id` is the caller's, "" for the task's own,
    `token` comes back in a header, `scheme` and `credentials` are the Authorization that the receiver wants.
    `base` is the agent's address as the caller reached it, for links in what is pushed, `name` what an older
    dialect's caller calls the task."""

    url: str
    id: str = ""
    token: str = ""
    scheme: str = ""
    credentials: str = ""
    base: str = ""
    name: str = ""


class Call(Struct):
    """What somebody wants done, after parsing, authentication and routing to a skill.

    `skill` is "" for the message handler. `arguments` is a JSON object, already valid against the
    skill's input schema. `message` is what the caller said (for `/invoke` a message is made from
    the arguments, so that every run has one). `key` is the idempotency key ("" for none),
    `fingerprint` the SHA-256 of the canonical call without the key. `answer` says that it was routed to
    no skill because the task's question was open, so nothing else can become of it. `shown` says that
    the caller sees a task before the outcome (stream, returnImmediately, POST /tasks), so a reply cannot
    be a bare Message. `deadline` is monotonic seconds or None. `narrow` is what the caller leaves of the
    agent's grant. `name` is what an older dialect's caller calls the new task, `name_before` the ended task
    that has had the name until now. `push` is told what happens to the task, from its acceptance on. Among
    waiting runs a higher `priority` begins first. `extensions` are the URIs of those that the caller named
    and the agent has. `budget` is what it may cost with all that it calls.
    """

    release: Release
    principal: Principal
    skill: str
    arguments: bytes
    message: Message
    files: list[BoundFile] = []
    context_id: str = ""
    task_id: str = ""
    answer: bool = False
    key: str = ""
    fingerprint: bytes = b""
    shown: bool = False
    output_modes: list[str] = []
    deadline: float | None = None
    parent: Parent | None = None
    depth: int = 0
    trace_id: str = ""
    dialect: str = "a2a-1.0"
    narrow: Narrowing | None = None
    name: str = ""
    name_before: str = ""
    push: PushTarget | None = None
    priority: int = 0
    extensions: list[str] = []
    budget: Spend | None = None


# --- what a run emits -------------------------------------------------------------------------


class Event(Struct, tag_field="k", omit_defaults=True, kw_only=True):
    """Base of all events. `seq` is set by the journal and is not part of the stored body."""

    visible: ClassVar[bool] = True
    v: int = 1


class StatusEvent(Event, tag="status"):
    """The run moved to `state`; `at` is wall seconds. `problem_*` say why it failed or was refused.

    With `message`: what the agent says with it (a question, a refusal, a last word).
    """

    state: TaskState
    at: float
    message: Message | None = None
    problem_code: str = ""
    problem_detail: str = ""
    question: int = 0


class ProgressEvent(Event, tag="progress"):
    """Progress of a working run: a stage, percent from 0 to 100 (-1: unknown), a sentence."""

    stage: str
    percent: float = -1.0
    message: str = ""
    at: float = 0.0


class TextEvent(Event, tag="text"):
    """A piece of streamed text, appended to the run's text artifact. Deltas coalesce per commit."""

    delta: str
    at: int = 0


class ArtifactEvent(Event, tag="artifact"):
    """An artifact, whole or a piece of one (`append`), `last` for its last piece."""

    artifact: Artifact
    append: bool = False
    last: bool = True


class ResultEvent(Event, tag="result"):
    """What the skill returned, as JSON. Rendered as the run's result artifact, or as JSON."""

    value: msgspec.Raw


class ReplyEvent(Event, tag="reply"):
    """The answer is this Message; there is no task unless one was shown already."""

    message: Message


class AttemptEvent(Event, tag="attempt"):
    """A further attempt begins from scratch: partial output before this is void."""

    attempt: int
    why: str


class AnswerEvent(Event, tag="answer"):
    """Somebody answered question `effect`: JSON `value`, said by `by` in `message`."""

    effect: int
    value: msgspec.Raw
    message: Message
    by: str
    at: float


class LogEvent(Event, tag="log"):
    """A line that the skill logged."""

    visible: ClassVar[bool] = False
    level: str
    line: str
    at: float = 0.0


class UsageEvent(Event, tag="usage"):
    """The skill reports `qty` (a decimal string) of `meter`."""

    visible: ClassVar[bool] = False
    meter: str
    qty: str
    unit: str = ""


class EffectStarted(Event, tag="start"):
    """An effect began: its key is (kind, name, args, occurrence). `input` is kept where a replay
    needs it (a question's text and schema, a sleep's end)."""

    visible: ClassVar[bool] = False
    kind: str
    name: str
    args: bytes
    occurrence: int = 0
    input: msgspec.Raw = msgspec.Raw(b"null")


class EffectEnded(Event, tag="end"):
    """The effect that began at `effect` (its seq) ended with `value`, or with a problem."""

    visible: ClassVar[bool] = False
    effect: int
    value: msgspec.Raw = msgspec.Raw(b"null")
    problem_code: str = ""
    problem_detail: str = ""
    problem_remedy: str = ""
    problem_retry: bool = False


class ApprovalEvent(Event, tag="approval"):
    """A request for more than the run's grant allowed came to an end: `state` is approved, denied or
    expired, `by` who or which rule decided, `grant` the id of the grant in the place of `prior` (""
    unless approved)."""

    visible: ClassVar[bool] = False
    approval: str
    state: str
    by: str
    at: float
    grant: str = ""
    prior: str = ""


class EgressEvent(Event, tag="egress"):
    """A connection that the run's agent made or wanted, `refused` saying why not. `sent` and `received`
    in bytes; `shared` says that other runs were in the same worker, so it may have been theirs."""

    visible: ClassVar[bool] = False
    host: str
    port: int
    at: float
    address: str = ""
    sent: int = 0
    received: int = 0
    refused: str = ""
    shared: bool = False


RunEvent = (
    StatusEvent
    | ProgressEvent
    | TextEvent
    | ArtifactEvent
    | ResultEvent
    | ReplyEvent
    | AttemptEvent
    | AnswerEvent
    | LogEvent
    | UsageEvent
    | EffectStarted
    | EffectEnded
    | ApprovalEvent
    | EgressEvent
)

_encoder = msgspec.json.Encoder()
_decoder: msgspec.json.Decoder[RunEvent] = msgspec.json.Decoder(RunEvent)


def encode_event(event: RunEvent) -> bytes:
    """The stored form of an event."""
    return _encoder.encode(event)


def decode_event(body: bytes) -> RunEvent:
    """The event stored as `body`. Raises msgspec.ValidationError on a shape nobody wrote."""
    return _decoder.decode(body)
