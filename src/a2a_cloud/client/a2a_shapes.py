"""What an agent says, as its caller reads it: Message, Part, Artifact, Task, events (A2A 1.0, section 4.1).

Other agents are of any age and make, so reading is lenient: ProtoJSON's snake_case names, nulls and
enums as numbers are brought into the usual shape, unknown members are ignored, and what does not fit
counts as absent. States are the short words that receipts and the command line have (`completed`,
`input-required`; `unknown` for none of them). `json` has what came, in 1.0's names.
"""

from __future__ import annotations

import base64
import binascii
import mimetypes
import re
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Literal, cast

from a2a_cloud.client.shapes import items, obj, objs, text

Json = dict[str, Any]
Kind = Literal["text", "raw", "url", "data", ""]

TERMINAL = frozenset({"completed", "failed", "canceled", "rejected"})
INTERRUPTED = frozenset({"input-required", "auth-required"})
#: Where a call stops for now: nothing more comes without somebody's doing.
SETTLED = TERMINAL | INTERRUPTED
UNKNOWN = "unknown"

_SNAKE = re.compile(r"_([a-z0-9])")
#: Members that hold whatever anybody put there.
_OPEN = frozenset({"metadata", "data", "params", "header"})
_STATES = (
    UNKNOWN,
    "submitted",
    "working",
    "completed",
    "failed",
    "canceled",
    "input-required",
    "rejected",
    "auth-required",
)
_ROLES = ("", "user", "agent")
_STRANGE = re.compile(r"[^\x20-\x7e]")


def usual(value: Any) -> Any:
    """`value` with camelCase names and without nulls, where names are the protocol's and not somebody's."""
    if isinstance(value, list):
        return [usual(each) for each in cast("list[Any]", value)]
    if not isinstance(value, dict):
        return value
    shown: Json = {}
    for name, item in cast("Json", value).items():
        key = _SNAKE.sub(lambda found: found[1].upper(), name)
        if key in _OPEN:
            if item is not None or key == "data":
                shown[key] = item
        elif item is not None:
            shown[key] = usual(item)
    return shown


def state_of(value: Any) -> str:
    """The short word for a state, in 1.0's name or its number."""
    if isinstance(value, int):
        return _STATES[value] if 0 <= value < len(_STATES) else UNKNOWN
    word = text(value).removeprefix("TASK_STATE_").lower().replace("_", "-")
    return word if word in _STATES else UNKNOWN


def _role(value: Any) -> str:
    if isinstance(value, int):
        return _ROLES[value] if 0 <= value < len(_ROLES) else ""
    word = text(value).removeprefix("ROLE_").lower()
    return word if word in _ROLES else ""


@dataclass(frozen=True, slots=True)
class Part:
    """One of text, bytes, a link or data; `kind` says which ("" for none that is known)."""

    kind: Kind = ""
    text: str = ""
    raw: bytes = b""
    url: str = ""
    data: Any = None
    filename: str = ""
    media_type: str = ""
    metadata: Json = field(default_factory=dict[str, Any])

    @classmethod
    def of(cls, value: str | bytes | Path | Part | Any, **members: Any) -> Part:
        """A part that holds `value`: text, bytes, the file at a Path, a part as it is, else data.

        `members`: filename, media_type, metadata. Raises OSError for a file that can't be read.
        """
        if isinstance(value, Part):
            return value
        if isinstance(value, str):
            return cls("text", text=value, **members)
        if isinstance(value, bytes):
            return cls("raw", raw=value, **members)
        if isinstance(value, Path):
            members.setdefault("filename", value.name)
            guessed = mimetypes.guess_type(value.name)[0]
            members.setdefault("media_type", guessed or "application/octet-stream")
            return cls("raw", raw=value.read_bytes(), **members)
        members.setdefault("media_type", "application/json")
        return cls("data", data=value, **members)

    @classmethod
    def link(cls, url: str, **members: Any) -> Part:
        """A part that is a link."""
        return cls("url", url=url, **members)

    def json(self) -> Json:
        """The part in 1.0's JSON."""
        shown: Json = {}
        if self.kind == "raw":
            shown["raw"] = base64.b64encode(self.raw).decode()
        elif self.kind:
            shown[self.kind] = getattr(self, self.kind)
        for name, value in (("filename", self.filename), ("mediaType", self.media_type)):
            if value:
                shown[name] = value
        if self.metadata:
            shown["metadata"] = self.metadata
        return shown


def read_part(given: Json) -> Part:
    """A Part of 1.0."""
    more: Json = {
        "filename": text(given.get("filename")),
        "media_type": text(given.get("mediaType")),
        "metadata": obj(given.get("metadata")),
    }
    if isinstance(given.get("text"), str):
        return Part("text", text=given["text"], **more)
    if isinstance(given.get("raw"), str):
        try:
            raw = base64.b64decode(given["raw"].replace("-", "+").replace("_", "/") + "==")
        except (binascii.Error, ValueError):
            raw = b""
        return Part("raw", raw=raw, **more)
    if isinstance(given.get("url"), str):
        return Part("url", url=given["url"], **more)
    return Part("data", data=given["data"], **more) if "data" in given else Part(**more)


def _parts(given: Json) -> list[Part]:
    return [read_part(each) for each in objs(given.get("parts"))]


@dataclass(frozen=True, slots=True)
class Message:
    """A turn of talk; `role` is "user" or "agent"."""

    id: str
    role: str
    parts: list[Part]
    context_id: str = ""
    task_id: str = ""
    metadata: Json = field(default_factory=dict[str, Any])
    extensions: list[str] = field(default_factory=list[str])
    json: Json = field(default_factory=dict[str, Any], repr=False)

    @property
    def text(self) -> str:
        """Its text parts, a line each."""
        return "\n".join(part.text for part in self.parts if part.kind == "text")


@dataclass(frozen=True, slots=True)
class Artifact:
    """Something that an agent made."""

    id: str
    parts: list[Part]
    name: str = ""
    description: str = ""
    metadata: Json = field(default_factory=dict[str, Any])
    extensions: list[str] = field(default_factory=list[str])

    @property
    def text(self) -> str:
        """Its text parts, put together."""
        return "".join(part.text for part in self.parts if part.kind == "text")


@dataclass(frozen=True, slots=True)
class Task:
    """A task as it stood when it was read. `state` is a short word, `said` what the agent says with it."""

    id: str
    context_id: str
    state: str
    said: Message | None = None
    timestamp: str = ""
    artifacts: list[Artifact] = field(default_factory=list[Artifact])
    history: list[Message] = field(default_factory=list[Message])
    metadata: Json = field(default_factory=dict[str, Any])
    json: Json = field(default_factory=dict[str, Any], repr=False)

    @property
    def settled(self) -> bool:
        """Whether nothing more comes without somebody's doing."""
        return self.state in SETTLED

    @property
    def text(self) -> str:
        """What it came to, in text: of its artifacts, else what the agent says."""
        made = "\n".join(each.text for each in self.artifacts if each.text)
        return made or (self.said.text if self.said else "")


@dataclass(frozen=True, slots=True)
class Event:
    """Something that happened: exactly one of task, message, status or artifact.

    A `status` event has the `state` and what was `said`; an `artifact` event a piece, to be appended to
    the artifact of its id when `append`. `id` is the stream's own id of the event ("" for none).
    """

    kind: Literal["task", "message", "status", "artifact"]
    task_id: str
    context_id: str
    state: str = ""
    task: Task | None = None
    message: Message | None = None
    artifact: Artifact | None = None
    append: bool = False
    last: bool = False
    timestamp: str = ""
    metadata: Json = field(default_factory=dict[str, Any])
    id: str = ""
    json: Json = field(default_factory=dict[str, Any], repr=False)

    @property
    def text(self) -> str:
        """The text that came with it: of the message, the piece, the task."""
        said = self.artifact or self.message or self.task
        return said.text if said is not None else ""

    @property
    def settles(self) -> bool:
        """Whether nothing more comes without somebody's doing."""
        return self.kind == "message" or self.state in SETTLED


def read_message(value: Any) -> Message:
    """A Message of 1.0."""
    given = obj(usual(value))
    return Message(
        text(given.get("messageId")),
        _role(given.get("role")),
        _parts(given),
        text(given.get("contextId")),
        text(given.get("taskId")),
        obj(given.get("metadata")),
        [text(each) for each in items(given.get("extensions"))],
        given,
    )


def read_artifact(value: Any) -> Artifact:
    """An Artifact of 1.0."""
    given = obj(usual(value))
    return Artifact(
        text(given.get("artifactId")),
        _parts(given),
        text(given.get("name")),
        text(given.get("description")),
        obj(given.get("metadata")),
        [text(each) for each in items(given.get("extensions"))],
    )


def _said(status: Json) -> Message | None:
    said = obj(status.get("message"))
    return read_message(said) if said else None


def read_task(value: Any) -> Task:
    """A Task of 1.0."""
    given = obj(usual(value))
    status = obj(given.get("status"))
    return Task(
        text(given.get("id")),
        text(given.get("contextId")),
        state_of(status.get("state")),
        _said(status),
        text(status.get("timestamp")),
        [read_artifact(each) for each in objs(given.get("artifacts"))],
        [read_message(each) for each in objs(given.get("history"))],
        obj(given.get("metadata")),
        given,
    )


def read_event(value: Any, ident: str = "") -> Event | None:
    """A StreamResponse of 1.0, or a SendMessageResponse; None for one that says nothing known."""
    given = obj(usual(value))
    if "task" in given:
        task = read_task(given["task"])
        more: Json = {"timestamp": task.timestamp, "metadata": task.metadata, "id": ident, "json": given}
        return Event("task", task.id, task.context_id, task.state, task=task, message=task.said, **more)
    if "message" in given:
        message = read_message(given["message"])
        ids = (message.task_id, message.context_id)
        return Event("message", *ids, message=message, metadata=message.metadata, id=ident, json=given)
    kind = next((name for name in ("statusUpdate", "artifactUpdate") if name in given), "")
    if not kind:
        return None
    update = obj(given[kind])
    ids = (text(update.get("taskId")), text(update.get("contextId")))
    metadata = obj(update.get("metadata"))
    if kind == "statusUpdate":
        status = obj(update.get("status"))
        return Event(
            "status",
            *ids,
            state_of(status.get("state")),
            message=_said(status),
            timestamp=text(status.get("timestamp")),
            metadata=metadata,
            id=ident,
            json=given,
        )
    return Event(
        "artifact",
        *ids,
        artifact=read_artifact(update.get("artifact")),
        append=update.get("append") is True,
        last=update.get("lastChunk") is True,
        metadata=metadata,
        id=ident,
        json=given,
    )


def said(message: Message) -> Json:
    """A Message in 1.0's JSON."""
    members: Json = {
        "contextId": message.context_id,
        "taskId": message.task_id,
        "metadata": message.metadata,
        "extensions": message.extensions,
    }
    return {
        "messageId": message.id,
        "role": f"ROLE_{message.role.upper()}",
        "parts": [part.json() for part in message.parts],
        **{name: value for name, value in members.items() if value},
    }


Content = str | bytes | Path | Part | Json | Sequence[Any]


def parts_of(content: Content) -> list[Part]:
    """The parts that say `content`: text, bytes, a file, an object as data, or several of these in a list."""
    if isinstance(content, list | tuple):
        return [Part.of(each) for each in cast("Sequence[Any]", content)]
    return [Part.of(content)]


def shown(value: Any, limit: int = 200) -> str:
    """Something that came from outside, on one line and cut, fit for a message."""
    cut = text(value)[:limit]
    return _STRANGE.sub("?", cut) + ("…" if len(text(value)) > limit else "")
