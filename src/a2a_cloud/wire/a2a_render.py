"""Tasks, messages and stream events as A2A 1.0 shows them (specification, sections 3.2.3, 4.1 and 4.2).

A task is folded from the events of its runs: what a run returned becomes the artifact `result`,
streamed text the artifact `text` (`result-2`, `text-2` for the task's second run), a question the
status message. Parts that the platform keeps as objects leave as `url` parts with a signed link.
"""

from __future__ import annotations

from typing import Any, Final, cast

import msgspec
from msgspec import UNSET, Raw, Struct, UnsetType

from a2a_cloud.model.run import (
    AnswerEvent,
    ArtifactEvent,
    AttemptEvent,
    ProgressEvent,
    ReplyEvent,
    ResultEvent,
    StatusEvent,
    TextEvent,
)
from a2a_cloud.model.stamp import stamp
from a2a_cloud.model.task import TERMINAL, Artifact, Message, Part, Role, Task, TaskState, TaskStatus
from a2a_cloud.wire.views import Delivered, PartLinks, RunView, TaskView

RUN: Final = "a2a-cloud/run"
RECEIPT: Final = "a2a-cloud/receipt"
ERROR: Final = "a2a-cloud/error"
PROGRESS: Final = "a2a-cloud/progress"
ATTEMPT: Final = "a2a-cloud/attempt"
#: How many messages of history a task shows when the caller doesn't say.
DEFAULT_HISTORY = 100
_JSON = "application/json"
_TEXT = "text/plain"

_encode = msgspec.json.Encoder().encode
_strings = msgspec.json.Decoder(str)
_objects = msgspec.json.Decoder(dict[str, Any])


class StatusUpdate(Struct, rename="camel", omit_defaults=True):
    """TaskStatusUpdateEvent."""

    task_id: str
    context_id: str
    status: TaskStatus
    metadata: dict[str, Any] | UnsetType = UNSET


class ArtifactUpdate(Struct, rename="camel", omit_defaults=True):
    """TaskArtifactUpdateEvent."""

    task_id: str
    context_id: str
    artifact: Artifact
    append: bool = False
    last_chunk: bool = False


class TaskList(Struct, rename="camel"):
    """ListTasksResponse."""

    tasks: list[Task]
    next_page_token: str
    page_size: int
    total_size: int


class StreamResponse(Struct, rename="camel", omit_defaults=True):
    """Exactly one of its members."""

    task: Task | UnsetType = UNSET
    message: Message | UnsetType = UNSET
    status_update: StatusUpdate | UnsetType = UNSET
    artifact_update: ArtifactUpdate | UnsetType = UNSET


def response(shown: Task | Message) -> StreamResponse:
    """A task or a message as the stream event that it is."""
    return StreamResponse(task=shown) if isinstance(shown, Task) else StreamResponse(message=shown)


def sent(outcome: Task | Message) -> bytes:
    """SendMessageResponse as JSON: `{"task": …}` or `{"message": …}`."""
    return (b'{"task":' if isinstance(outcome, Task) else b'{"message":') + _encode(outcome) + b"}"


# --- parts -------------------------------------------------------------------------------------------


def _inside(parts: list[Part]) -> bool:
    """Whether a part stands for an object, and so can't leave as it is."""
    for part in parts:  # noqa: SIM110 (a generator costs more than the loop)
        if part.object is not UNSET:
            return True
    return False


def _linked(part: Part, url: str) -> Part:
    return Part(url=url, filename=part.filename, media_type=part.media_type, metadata=part.metadata)


def outside(message: Message, links: PartLinks, run_id: str, seq: int) -> Message:
    """`message` as it may leave: the same one, or a copy in which objects are links."""
    if not _inside(message.parts):
        return message
    parts = [
        part if part.object is UNSET else _linked(part, links.part(run_id, seq, index))
        for index, part in enumerate(message.parts)
    ]
    return msgspec.structs.replace(message, parts=parts)


def result_artifact(value: Raw, ordinal: int) -> Artifact | None:
    """What a skill returned, as an artifact: text for a string, else data; None for null."""
    raw = bytes(value)
    if raw == b"null":
        return None
    if raw[:1] == b'"':
        part = Part(text=_strings.decode(raw), media_type=_TEXT)
    else:
        part = Part(data=value, media_type=_JSON)
    name = "result" if ordinal <= 1 else f"result-{ordinal}"
    return Artifact(artifact_id=name, parts=[part], name="result")


def _text_artifact(text: str, ordinal: int) -> Artifact:
    name = "text" if ordinal <= 1 else f"text-{ordinal}"
    return Artifact(artifact_id=name, parts=[Part(text=text, media_type=_TEXT)], name="text")


def _said(text: str, run_id: str, seq: int) -> Message:
    """A message of the agent that nobody wrote as one: progress, the reason of a failure."""
    return Message(message_id=f"{run_id}.{seq}", role=Role.AGENT, parts=[Part(text=text)])


def _progress_text(event: ProgressEvent) -> str:
    if event.message:
        return event.message
    return event.stage if event.percent < 0 else f"{event.stage} {event.percent:g} %".strip()


def _status_message(event: StatusEvent, run_id: str, seq: int) -> Message | None:
    if event.message is not None:
        return event.message
    if event.problem_code:
        return _said(event.problem_detail or event.problem_code, run_id, seq)
    return None


# --- tasks -------------------------------------------------------------------------------------------


class _Fold:
    """What the events of the runs seen so far come to."""

    __slots__ = ("artifacts", "error", "history", "last", "said", "text")

    def __init__(self) -> None:
        self.artifacts: dict[str, Artifact] = {}
        self.history: list[Message] = []
        self.said: Message | None = None  # what the agent says with the status now
        self.error = ""
        self.last: tuple[int, int] = (0, 0)
        self.text: list[str] = []

    def run(self, run: RunView, links: PartLinks) -> None:
        """Adds a run to what came before it."""
        run_id, ordinal = run.run_id, run.ordinal
        if self.said is not None:
            self.history.append(self.said)
            self.said = None
        self.history.append(outside(run.message, links, run_id, 0))
        self.error = ""
        self.text = []
        own: dict[str, Artifact] = {}
        progress = None
        seq = 0
        for seq, event in run.events:
            kind = type(event)
            if kind is ResultEvent:
                artifact = result_artifact(cast(ResultEvent, event).value, ordinal)
                if artifact is not None:
                    own[artifact.artifact_id] = artifact
            elif kind is StatusEvent:
                event = cast(StatusEvent, event)
                message = _status_message(event, run_id, seq)
                if message is not None:
                    if self.said is not None:
                        self.history.append(self.said)
                    self.said = outside(message, links, run_id, seq)
                self.error = event.problem_code
                progress = None
            elif kind is ProgressEvent:
                progress = (seq, cast(ProgressEvent, event))
            elif kind is TextEvent:
                self.text.append(cast(TextEvent, event).delta)
            elif kind is ArtifactEvent:
                _add_artifact(own, cast(ArtifactEvent, event), links, run_id, seq)
            elif kind is AnswerEvent:
                if self.said is not None:
                    self.history.append(self.said)
                    self.said = None
                self.history.append(outside(cast(AnswerEvent, event).message, links, run_id, seq))
            elif kind is ReplyEvent:
                self.said = outside(cast(ReplyEvent, event).message, links, run_id, seq)
            elif kind is AttemptEvent:
                own.clear()
                self.text = []
                progress = None
        if self.text:
            text = _text_artifact("".join(self.text), ordinal)
            own = {text.artifact_id: text, **own}
        self.artifacts.update(own)
        if progress is not None:
            self.said = _said(_progress_text(progress[1]), run_id, progress[0])
        self.last = (ordinal, seq)


def _add_artifact(
    own: dict[str, Artifact], event: ArtifactEvent, links: PartLinks, run_id: str, seq: int
) -> None:
    artifact = event.artifact
    before = own.get(artifact.artifact_id) if event.append else None
    parts = artifact.parts
    if _inside(parts):
        start = 0 if before is None else len(before.parts)
        parts = [
            part
            if part.object is UNSET
            else _linked(part, links.artifact(run_id, artifact.artifact_id, start + index))
            for index, part in enumerate(parts)
        ]
    if before is not None:
        parts = before.parts + parts
        artifact = before
    own[artifact.artifact_id] = msgspec.structs.replace(artifact, parts=parts)


def task(
    view: TaskView,
    links: PartLinks,
    history_length: int | UnsetType = UNSET,
    include_artifacts: bool = True,
    state: TaskState | None = None,
) -> Task:
    """`view` as a Task. `history_length`: UNSET for the default, 0 for none, n for the latest n.

    `state` shows another state than the view's (a stream's first event is the task before the run).
    """
    fold = _Fold()
    for run in view.runs:
        fold.run(run, links)
    status = TaskStatus(state or view.state, stamp(view.at))
    if fold.said is not None and state is None:
        status.message = fold.said
    shown = Task(view.id, view.context_id, status)
    if include_artifacts and fold.artifacts:
        shown.artifacts = list(fold.artifacts.values())
    length = DEFAULT_HISTORY if history_length is UNSET else history_length
    if length > 0 and fold.history:
        shown.history = fold.history if len(fold.history) <= length else fold.history[-length:]
    if view.runs:
        run = view.runs[-1]
        metadata: dict[str, Any] = {RUN: run.run_id}
        if run.receipt_id:
            metadata[RECEIPT] = run.receipt_id
        if fold.error:
            metadata[ERROR] = fold.error
        shown.metadata = metadata
    return shown


def reply(message: Message, links: PartLinks, run_id: str, receipt_id: str, context_id: str) -> Message:
    """An answer that is a Message and no task, naming its run, its receipt and its context."""
    given = message.metadata
    metadata: dict[str, Any] = {} if given is UNSET else _objects.decode(given)
    metadata[RUN] = run_id
    if receipt_id:
        metadata[RECEIPT] = receipt_id
    shown = outside(message, links, run_id, 0)
    return msgspec.structs.replace(shown, metadata=Raw(_encode(metadata)), context_id=context_id)


# --- stream events -----------------------------------------------------------------------------------


def text_begun(view: TaskView, until: tuple[int, int] | None = None) -> int:
    """The ordinal of the run whose streamed text `view` shows (up to the position `until`) and which may
    go on, 0 for none."""
    for run in reversed(view.runs):
        if run.events and (until is None or run.ordinal <= until[0]):
            for seq, event in reversed(run.events):
                if until is not None and (run.ordinal, seq) > until:
                    continue
                if isinstance(event, TextEvent):
                    return run.ordinal
                if isinstance(event, AttemptEvent):
                    return 0
            return 0
    return 0


def stream_event(d: Delivered, links: PartLinks, first_text: bool = False) -> bytes:
    """The StreamResponse of a delivered event, as JSON; b"" for one that A2A has no word for.

    Encoded once for all subscribers; events with links once for each address. `first_text`: the
    event is the first text of its attempt, which is the same for every subscriber.
    """
    cached = d.cache.get("a2a-1.0")
    if cached is not None:
        return cached
    event = d.event
    parts = _event_parts(event)
    if parts is not None and _inside(parts):
        name = f"a2a-1.0 {links.base}"
        body = d.cache.get(name)
        if body is None:
            body = d.cache[name] = _encoded(stream_shape(d, links, first_text))
        return body
    body = d.cache["a2a-1.0"] = _encoded(stream_shape(d, links, first_text))
    return body


def _encoded(shape: StreamResponse | None) -> bytes:
    return b"" if shape is None else _encode(shape)


def _event_parts(event: object) -> list[Part] | None:
    if isinstance(event, ArtifactEvent):
        return event.artifact.parts
    if isinstance(event, StatusEvent | ReplyEvent) and event.message is not None:
        return event.message.parts
    return None


def stream_shape(d: Delivered, links: PartLinks, first_text: bool) -> StreamResponse | None:
    """The same before it is encoded, for dialects that say it otherwise; None where A2A has no word."""
    event = d.event
    if isinstance(event, StatusEvent):
        state = event.state
        if state in TERMINAL and not d.closes:
            # A follow-up waits: the run has ended and the task goes on.
            state = TaskState.WORKING
        metadata: dict[str, Any] = {RUN: d.run_id}
        if d.receipt_id:
            metadata[RECEIPT] = d.receipt_id
        if event.problem_code:
            metadata[ERROR] = event.problem_code
        message = _status_message(event, d.run_id, d.seq)
        if message is not None:
            message = outside(message, links, d.run_id, d.seq)
        return _status(d, state, event.at, message, metadata)
    if isinstance(event, TextEvent):
        return _artifact(d, _text_artifact(event.delta, d.ordinal), not first_text, False)
    if isinstance(event, ArtifactEvent):
        artifact = event.artifact
        if _inside(artifact.parts):
            parts = [
                part if part.object is UNSET else _linked(part, links.part(d.run_id, d.seq, index))
                for index, part in enumerate(artifact.parts)
            ]
            artifact = msgspec.structs.replace(artifact, parts=parts)
        return _artifact(d, artifact, event.append, event.last)
    if isinstance(event, ResultEvent):
        result = result_artifact(event.value, d.ordinal)
        return None if result is None else _artifact(d, result, False, True)
    if isinstance(event, ProgressEvent):
        percent = None if event.percent < 0 else event.percent
        progress = {"stage": event.stage, "percent": percent, "message": event.message}
        said = _said(_progress_text(event), d.run_id, d.seq)
        return _status(d, TaskState.WORKING, event.at, said, {RUN: d.run_id, PROGRESS: progress})
    if isinstance(event, ReplyEvent):
        message = outside(event.message, links, d.run_id, d.seq)
        return _status(d, TaskState.WORKING, 0.0, message, {RUN: d.run_id})
    if isinstance(event, AttemptEvent):
        said = _said(f"Attempt {event.attempt} begins: {event.why}", d.run_id, d.seq)
        return _status(d, TaskState.WORKING, 0.0, said, {RUN: d.run_id, ATTEMPT: event.attempt})
    if isinstance(event, AnswerEvent):
        return _status(d, TaskState.WORKING, event.at, None, {RUN: d.run_id})
    return None


def _status(
    d: Delivered, state: TaskState, at: float, message: Message | None, metadata: dict[str, Any]
) -> StreamResponse:
    status = TaskStatus(state)
    if at:
        status.timestamp = stamp(at)
    if message is not None:
        status.message = message
    return StreamResponse(status_update=StatusUpdate(d.task_id, d.context_id, status, metadata))


def _artifact(d: Delivered, artifact: Artifact, append: bool, last: bool) -> StreamResponse:
    return StreamResponse(artifact_update=ArtifactUpdate(d.task_id, d.context_id, artifact, append, last))
