"""What a run put out, as MCP's content (2025-11-25 and 2026-07-28, server/tools "Tool Result").

The return value is structured content and its text; streamed text and a reply are text; an artifact is an
image, audio, an embedded resource, or, where it is large, a link to the resource that it is here.
"""

from __future__ import annotations

import base64
import binascii
from collections.abc import Sequence
from typing import Any, NamedTuple, cast
from urllib.parse import quote, unquote

import msgspec
from msgspec import UNSET

from a2a_cloud.model.run import (
    ArtifactEvent,
    AttemptEvent,
    ProgressEvent,
    ReplyEvent,
    ResultEvent,
    RunEvent,
    StatusEvent,
    TextEvent,
)
from a2a_cloud.model.task import Artifact, Message, ObjectRef, Part
from a2a_cloud.wire.mcp_schema import RESULT

Json = dict[str, Any]

ARTIFACTS = "artifact:///"
TASKS = "task:///"
OCTETS = "application/octet-stream"
_JSON_TYPE = "application/json"
_TEXT_TYPE = "text/plain"
_decode = msgspec.json.Decoder().decode
_encode = msgspec.json.Encoder().encode


class Made(NamedTuple):
    """What a run's events come to: the last status, what it returned, its text, artifacts and reply."""

    status: StatusEvent | None
    value: msgspec.Raw | None
    text: str
    artifacts: list[Artifact]
    reply: Message | None
    progress: str


def made(events: Sequence[tuple[int, RunEvent]]) -> Made:
    """Folds a run's events; what an attempt put out before the last one is void."""
    status: StatusEvent | None = None
    value: msgspec.Raw | None = None
    texts: list[str] = []
    artifacts: dict[str, Artifact] = {}
    reply: Message | None = None
    progress = ""
    for _, event in events:
        kind = type(event)
        if isinstance(event, StatusEvent):
            status, progress = event, ""
        elif isinstance(event, ResultEvent):
            value = event.value
        elif isinstance(event, TextEvent):
            texts.append(event.delta)
        elif isinstance(event, ArtifactEvent):
            artifact = event.artifact
            before = artifacts.get(artifact.artifact_id) if event.append else None
            if before is not None:
                artifact = msgspec.structs.replace(before, parts=before.parts + artifact.parts)
            artifacts[artifact.artifact_id] = artifact
        elif isinstance(event, ReplyEvent):
            reply = event.message
        elif isinstance(event, ProgressEvent):
            progress = progress_text(event)
        elif kind is AttemptEvent:
            value, texts, artifacts, progress = None, [], {}, ""
    return Made(status, value, "".join(texts), list(artifacts.values()), reply, progress)


def progress_text(event: ProgressEvent) -> str:
    """What a run says of its progress, for people."""
    if event.stage and event.message:
        return f"{event.stage}: {event.message}"
    return event.message or event.stage


def artifact_uri(run_id: str, artifact_id: str) -> str:
    """The resource that an artifact is."""
    return f"{ARTIFACTS}{quote(run_id, safe='')}/{quote(artifact_id, safe='')}"


def task_uri(task_id: str) -> str:
    """The resource that a task is."""
    return f"{TASKS}{quote(task_id, safe='')}"


def read_artifact_uri(uri: str) -> tuple[str, str] | None:
    """(run id, artifact id) in such a URI."""
    run_id, slash, artifact_id = uri.removeprefix(ARTIFACTS).partition("/")
    if not uri.startswith(ARTIFACTS) or not slash or not run_id or not artifact_id or len(uri) > 2048:
        return None
    return unquote(run_id), unquote(artifact_id)


def read_task_uri(uri: str) -> str | None:
    """The task's id in such a URI."""
    if not uri.startswith(TASKS) or len(uri) > 1024:
        return None
    return unquote(uri.removeprefix(TASKS)) or None


# --- content -------------------------------------------------------------------------------------------


def text_block(text: str) -> Json:
    """A text."""
    return {"type": "text", "text": text}


def kind_of(part: Part) -> str:
    """A part's media type."""
    if part.media_type is not UNSET and part.media_type:
        return part.media_type.partition(";")[0].strip().lower()
    if part.data is not UNSET:
        return _JSON_TYPE
    return _TEXT_TYPE if part.text is not UNSET else OCTETS


def body_of(part: Part) -> bytes | ObjectRef | None:
    """The bytes of a part, where they are kept, or None for an address."""
    if part.object is not UNSET:
        return part.object
    if part.text is not UNSET:
        return part.text.encode()
    if part.data is not UNSET:
        return bytes(part.data)
    if part.raw is not UNSET:
        try:
            return binascii.a2b_base64(part.raw)
        except binascii.Error:
            return b""
    return None


def contents(uri: str, kind: str, body: bytes) -> Json:
    """ResourceContents: text where it is text, else a blob."""
    if (
        kind.startswith("text/")
        or kind in (_JSON_TYPE, "application/xml")
        or kind.endswith(("+json", "+xml"))
    ):
        try:
            return {"uri": uri, "mimeType": kind, "text": body.decode()}
        except UnicodeDecodeError:
            pass
    return {"uri": uri, "mimeType": kind, "blob": base64.b64encode(body).decode()}


def block(part: Part, body: bytes | None, uri: str, name: str, description: str = "") -> Json:
    """A part of an artifact as content; `body` None where it is only linked."""
    kind = kind_of(part)
    if body is None:
        link: Json = {
            "type": "resource_link",
            "uri": part.url if part.url is not UNSET else uri,
            "name": name,
        }
        if description:
            link["description"] = description
        if kind != OCTETS or part.url is UNSET:
            link["mimeType"] = kind
        if part.object is not UNSET:
            link["size"] = part.object.size
        return link
    for family in ("image", "audio"):
        if kind.startswith(family + "/"):
            return {"type": family, "data": base64.b64encode(body).decode(), "mimeType": kind}
    return {"type": "resource", "resource": contents(uri, kind, body)}


def spoken(message: Message) -> list[Json]:
    """What a message says, as text."""
    blocks: list[Json] = []
    for part in message.parts:
        if part.text is not UNSET:
            blocks.append(text_block(part.text))
        elif part.data is not UNSET:
            blocks.append(text_block(bytes(part.data).decode()))
    return blocks


def returned(found: Made, *, wrap: bool) -> tuple[list[Json], Any]:
    """(content, structured content or None) of what a skill returned or only streamed."""
    if found.reply is not None:
        return _replied(found.reply, wrap=wrap)
    raw = None if found.value is None else bytes(found.value)
    if raw is None or raw == b"null":
        if not found.text:
            # Nothing is a result too, of a skill that may return nothing.
            return [], {RESULT: None} if wrap else None
        return [text_block(found.text)], {RESULT: found.text} if wrap else None
    value: Any = _decode(raw)
    text = value if isinstance(value, str) else raw.decode()
    blocks = [text_block(found.text)] if found.text and found.text != text else []
    blocks.append(text_block(text))
    if wrap:
        return blocks, {RESULT: value}
    return blocks, cast(Json, value) if isinstance(value, dict) else None


def _replied(message: Message, *, wrap: bool) -> tuple[list[Json], Any]:
    """The same of a skill that answered with a message."""
    blocks = spoken(message)
    for part in message.parts:
        if part.data is not UNSET:
            value: Any = _decode(part.data)
            if wrap:
                return blocks, {RESULT: value}
            return blocks, cast(Json, value) if isinstance(value, dict) else None
    return blocks, {RESULT: "".join(str(one["text"]) for one in blocks)} if wrap else None


def artifact_text(artifact: Artifact) -> str:
    """An artifact in a word."""
    return artifact.name if artifact.name is not UNSET and artifact.name else artifact.artifact_id


def dumps(value: Any) -> str:
    """JSON as text."""
    return _encode(value).decode()
