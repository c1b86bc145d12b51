"""A2A's nouns in their 1.0 JSON shape (specification, section 4.1): Message, Part, Artifact, Task.

Structs, camelCase on the wire, unknown fields ignored, absent fields omitted. Values that nobody
here reads (`data`, `metadata`) stay `msgspec.Raw`, so they are never decoded to be encoded again.
"""

from __future__ import annotations

from enum import StrEnum
from typing import Any

import msgspec
from msgspec import UNSET, Struct, UnsetType


class TaskState(StrEnum):
    """State of a task and of a run, as A2A 1.0 writes it."""

    SUBMITTED = "TASK_STATE_SUBMITTED"
    WORKING = "TASK_STATE_WORKING"
    COMPLETED = "TASK_STATE_COMPLETED"
    FAILED = "TASK_STATE_FAILED"
    CANCELED = "TASK_STATE_CANCELED"
    REJECTED = "TASK_STATE_REJECTED"
    INPUT_REQUIRED = "TASK_STATE_INPUT_REQUIRED"
    AUTH_REQUIRED = "TASK_STATE_AUTH_REQUIRED"

    @property
    def short(self) -> str:
        """`completed`, `input-required`: as people and receipts read it."""
        return _SHORT[self]


_SHORT = {state: state.value[11:].lower().replace("_", "-") for state in TaskState}
TERMINAL = frozenset({TaskState.COMPLETED, TaskState.FAILED, TaskState.CANCELED, TaskState.REJECTED})
INTERRUPTED = frozenset({TaskState.INPUT_REQUIRED, TaskState.AUTH_REQUIRED})
#: Where a blocking SendMessage stops waiting.
SETTLED = TERMINAL | INTERRUPTED


class Role(StrEnum):
    """Who speaks in a message."""

    USER = "ROLE_USER"
    AGENT = "ROLE_AGENT"


class ObjectRef(Struct, frozen=True, rename="camel"):
    """A content-addressed blob: `sha256` in hex, `size` in bytes."""

    sha256: str
    size: int


class Part(Struct, rename="camel", omit_defaults=True):
    """Exactly one of `text`, `raw` (base64), `url`, `data`; or, inside the platform, `object`.

    `object` stands for a payload that went to the object store as it arrived. It is never shown
    outside and never taken from outside: the surface strips it on the way in and turns it into a
    signed link on the way out.
    """

    text: str | UnsetType = UNSET
    raw: str | UnsetType = UNSET
    url: str | UnsetType = UNSET
    data: msgspec.Raw | UnsetType = UNSET
    object: ObjectRef | UnsetType = UNSET
    filename: str | UnsetType = UNSET
    media_type: str | UnsetType = UNSET
    metadata: msgspec.Raw | UnsetType = UNSET


class Message(Struct, rename="camel", omit_defaults=True):
    """One turn of talk."""

    message_id: str
    role: Role
    parts: list[Part]
    context_id: str | UnsetType = UNSET
    task_id: str | UnsetType = UNSET
    metadata: msgspec.Raw | UnsetType = UNSET
    extensions: list[str] | UnsetType = UNSET
    reference_task_ids: list[str] | UnsetType = UNSET


class Artifact(Struct, rename="camel", omit_defaults=True):
    """Something a run made."""

    artifact_id: str
    parts: list[Part]
    name: str | UnsetType = UNSET
    description: str | UnsetType = UNSET
    metadata: msgspec.Raw | UnsetType = UNSET
    extensions: list[str] | UnsetType = UNSET


class TaskStatus(Struct, rename="camel", omit_defaults=True):
    """`timestamp` is UTC with `Z` and milliseconds."""

    state: TaskState
    timestamp: str | UnsetType = UNSET
    message: Message | UnsetType = UNSET


class Task(Struct, rename="camel", omit_defaults=True):
    """A task as a caller sees it."""

    id: str
    context_id: str
    status: TaskStatus
    artifacts: list[Artifact] | UnsetType = UNSET
    history: list[Message] | UnsetType = UNSET
    metadata: dict[str, Any] | UnsetType = UNSET
