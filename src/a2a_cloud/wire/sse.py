"""Server-sent events (WHATWG HTML, section 9.2): framing, and the plain dialect of `/invoke` and
`/sse/{task}`.

The plain dialect names events as the platform thinks of them (status, progress, text, artifact, result,
reply, attempt, answer); its ids are `{ordinal}.{seq}` of the run and the event, which Last-Event-ID
brings back. docs/http.md shows each.
"""

from __future__ import annotations

import re
from typing import Any

import msgspec
from msgspec import UNSET

from a2a_cloud.model.problem import InvalidParams
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
from a2a_cloud.model.task import TERMINAL, Message, TaskState
from a2a_cloud.wire.a2a_render import outside
from a2a_cloud.wire.json_text import readable
from a2a_cloud.wire.views import Delivered, PartLinks, TaskView

# A line alone: with an empty one after it, readers that keep the last id would see an event without data.
KEEP_ALIVE = b": keep-alive\n"
QUESTION = "a2a-cloud/question"
APPROVAL = "a2a-cloud/approval"
_LINES = bytes.maketrans(b"\r\n", b"  ")
_encode = msgspec.json.Encoder().encode
_any = msgspec.json.Decoder()
_POSITION = re.compile(r"(\d{1,9})\.(\d{1,15})\Z", re.ASCII)


def one_line(body: bytes) -> bytes:
    """JSON on one line. Line breaks in JSON text are only ever space between values."""
    return body.translate(_LINES) if b"\n" in body or b"\r" in body else body


def event(body: bytes) -> bytes:
    """An event that is nothing but data."""
    return b"data: " + one_line(body) + b"\n\n"


def id_line(d: Delivered) -> bytes:
    """The line that gives an event its position as its id; a client sends the last one in Last-Event-ID."""
    line = d.cache.get("id")
    if line is None:
        line = d.cache["id"] = position_line((d.ordinal, d.seq))
    return line


def position_line(position: tuple[int, int]) -> bytes:
    """The same, of a position."""
    return b"id: %d.%d\n" % position


def error(body: bytes) -> bytes:
    """The event by which a stream tells that it can't go on."""
    return b"event: error\ndata: " + one_line(body) + b"\n\n"


def read_position(text: str) -> tuple[int, int]:
    """(ordinal, seq) from an event's id. Raises InvalidParams."""
    found = _POSITION.match(text)
    if found is None:
        raise InvalidParams(
            f"{readable(text)} is no event id.",
            remedy="Send the id of an event of this stream, such as 1.7, or none.",
            info={"field": "Last-Event-ID"},
        )
    return int(found[1]), int(found[2])


def question(message: Message | None) -> dict[str, Any] | None:
    """`{text, schema}` of a question that the agent asked with `message`; schema True allows any answer."""
    if message is None:
        return None
    text = "\n".join(part.text for part in message.parts if part.text is not UNSET)
    schema: Any = True
    if message.metadata is not UNSET:
        asked = _any.decode(message.metadata).get(QUESTION)
        if isinstance(asked, dict):
            schema = asked.get("schema", True)  # type: ignore[reportUnknownMemberType]
    return {"text": text, "schema": schema}


def approval(message: Message | None) -> dict[str, Any] | None:
    """`{id, text, read, write, skills, egress, reason}` of what the run asks for with `message`, and somebody
    has to allow."""
    if message is None or message.metadata is UNSET:
        return None
    asked = _any.decode(message.metadata).get(APPROVAL)
    if not isinstance(asked, dict):
        return None
    lists: dict[str, Any] = dict(asked)  # type: ignore[reportUnknownArgumentType]
    text = "\n".join(part.text for part in message.parts if part.text is not UNSET)
    return {"id": lists.pop("approval", ""), "text": text, **lists}


def _status(
    state: TaskState,
    at: float,
    ids: tuple[str, str, str],
    message: Message | None,
    failure: tuple[str, str],
    receipt_id: str,
) -> dict[str, Any]:
    run_id, task_id, context_id = ids
    data: dict[str, Any] = {
        "run_id": run_id,
        "task_id": task_id,
        "context_id": context_id,
        "state": state.short,
        "at": stamp(at),
    }
    if message is not None:
        data["message"] = message
        if state is TaskState.INPUT_REQUIRED:
            data["question"] = question(message)
        elif state is TaskState.AUTH_REQUIRED:
            data["approval"] = approval(message)
    if failure[0]:
        data["error"] = {"code": failure[0], "detail": failure[1]}
    if receipt_id:
        data["receipt_id"] = receipt_id
    return data


def plain_first(view: TaskView, links: PartLinks) -> bytes:
    """The first event of a stream: the task's status now. It has no id, so it moves no position."""
    run = view.runs[-1]
    message = None
    failure = ("", "")
    for seq, item in reversed(run.events):
        if isinstance(item, StatusEvent):
            failure = (item.problem_code, item.problem_detail)
            if item.message is not None:
                message = outside(item.message, links, run.run_id, seq)
            break
    ids = (run.run_id, view.id, view.context_id)
    data = _status(view.state, view.at, ids, message, failure, run.receipt_id)
    return b"event: status\ndata: " + one_line(_encode(data)) + b"\n\n"


def plain_event(d: Delivered, links: PartLinks) -> bytes:
    """A delivered event as the plain dialect's bytes, framed; rendered once for each address."""
    name = f"plain {links.base}"
    body = d.cache.get(name)
    if body is None:
        body = d.cache[name] = _plain(d, links)
    return body


def _plain(d: Delivered, links: PartLinks) -> bytes:
    item = d.event
    data: dict[str, Any]
    if isinstance(item, StatusEvent):
        kind = "status"
        state = TaskState.WORKING if item.state in TERMINAL and not d.closes else item.state
        message = None if item.message is None else outside(item.message, links, d.run_id, d.seq)
        ids = (d.run_id, d.task_id, d.context_id)
        data = _status(state, item.at, ids, message, (item.problem_code, item.problem_detail), d.receipt_id)
    elif isinstance(item, TextEvent):
        kind, data = "text", {"delta": item.delta}
    elif isinstance(item, ProgressEvent):
        percent = None if item.percent < 0 else item.percent
        kind, data = "progress", {"stage": item.stage, "percent": percent, "message": item.message}
    elif isinstance(item, ArtifactEvent):
        artifact = item.artifact
        shown = Message(message_id="", role="", parts=artifact.parts)  # type: ignore[arg-type]
        parts = outside(shown, links, d.run_id, d.seq).parts
        if parts is not artifact.parts:
            artifact = msgspec.structs.replace(artifact, parts=parts)
        kind, data = "artifact", {"artifact": artifact, "append": item.append, "last": item.last}
    elif isinstance(item, ResultEvent):
        kind, data = "result", {"value": item.value}
    elif isinstance(item, ReplyEvent):
        kind, data = "reply", {"message": outside(item.message, links, d.run_id, d.seq)}
    elif isinstance(item, AttemptEvent):
        kind, data = "attempt", {"attempt": item.attempt, "why": item.why}
    elif isinstance(item, AnswerEvent):
        kind, data = "answer", {"by": item.by, "value": item.value}
    else:
        return b""
    head = f"id: {d.ordinal}.{d.seq}\nevent: {kind}\ndata: ".encode()
    return head + one_line(_encode(data)) + b"\n\n"
