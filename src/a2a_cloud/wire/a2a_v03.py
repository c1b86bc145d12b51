"""A2A 0.3 over JSON-RPC, from a server's side (specification 0.3.0, sections 6 and 7): its parameters
become those of 1.0, tasks, messages and stream events of 1.0 are said in its words.

Objects carry `kind`, states are short, a status update says whether it is the stream's last one. What
0.3 has no member for is left out, but for two things that would be lost: a data part that is no object
travels as `{"value": …}` with the official SDKs' mark, and text with a file name as a file.
"""

from __future__ import annotations

import binascii
from base64 import b64encode
from typing import Any, Final

import msgspec
from msgspec import UNSET, Raw, UnsetType

from a2a_cloud.model.problem import InvalidParams
from a2a_cloud.model.task import Artifact, Message, Part, Role, Task, TaskState, TaskStatus
from a2a_cloud.wire.a2a_render import ArtifactUpdate, StatusUpdate, StreamResponse
from a2a_cloud.wire.a2a_v1 import (
    AuthenticationInfo,
    GetTaskParams,
    SendMessageConfiguration,
    SendMessageParams,
    TaskIdParams,
    TaskPushNotificationConfig,
)
from a2a_cloud.wire.json_text import readable
from a2a_cloud.wire.members import Members

#: In a data part's metadata: the value is in `data.value`.
SCALAR: Final = "data_part_compat"
ROLES = {"user": Role.USER, "agent": Role.AGENT}
#: A state that is none of these: what a peer may say and nobody here does.
UNKNOWN: Final = "unknown"
_URLSAFE = str.maketrans("-_", "+/")
_encode = msgspec.json.Encoder().encode
_any = msgspec.json.Decoder()

Json = dict[str, Any]


# --- what is asked ------------------------------------------------------------------------------------


def read_send(params: Members) -> SendMessageParams:
    """MessageSendParams. Without `blocking` the answer waits for the task, as the official servers do."""
    given = params.object("message")
    if given is None:
        raise params.misfit("message", "is missing")
    return SendMessageParams(
        read_message(given), configuration(params.object("configuration")), params.table("metadata")
    )


def configuration(given: Members | None) -> SendMessageConfiguration:
    """MessageSendConfiguration; a historyLength of 0 sets no limit in 0.3."""
    if given is None:
        return SendMessageConfiguration()
    push = given.object("pushNotificationConfig")
    return SendMessageConfiguration(
        given.texts("acceptedOutputModes") or [],
        UNSET if push is None else read_push(push),
        given.whole("historyLength") or UNSET,
        given.flag("blocking") is False,
    )


def read_message(given: Members) -> Message:
    """A Message."""
    message = Message(given.needed("messageId"), read_role(given, ROLES), read_parts(given))
    message.context_id = given.text("contextId") or UNSET
    message.task_id = given.text("taskId") or UNSET
    message.metadata = given.table("metadata")
    for name, field in (("extensions", "extensions"), ("referenceTaskIds", "reference_task_ids")):
        texts = given.texts(name)
        if texts is not None:
            setattr(message, field, texts)
    return message


def read_role(given: Members, roles: dict[str, Role]) -> Role:
    """Who speaks."""
    role = roles.get(given.needed("role"))
    if role is None:
        raise given.misfit("role", f"is {readable(given.get('role'))}", "Say user.")
    return role


def read_parts(given: Members, tag: str = "kind") -> list[Part]:
    """The parts of a message; `tag` names the member that says what a part is."""
    parts = given.objects("parts")
    if parts is None:
        raise given.misfit("parts", "is missing")
    return [read_part(part, tag) for part in parts]


def read_part(given: Members, tag: str = "kind") -> Part:
    """A Part. Raises InvalidParams for one of a kind that A2A doesn't have."""
    kind = given.text(tag) or next((name for name in ("text", "file", "data") if name in given), "")
    metadata = given.table("metadata")
    if kind == "text":
        if "text" not in given:
            raise given.misfit("text", "is missing")
        return Part(text=given.text("text"), metadata=metadata)
    if kind == "data":
        if "data" not in given:
            raise given.misfit("data", "is missing")
        return _read_data(given, metadata)
    if kind == "file":
        file = given.object("file")
        if file is None:
            raise given.misfit("file", "is missing")
        return read_file(file, metadata)
    raise given.misfit(tag, f"is {readable(kind)}", "A part is text, file or data.")


def _read_data(given: Members, metadata: Raw | UnsetType) -> Part:
    if metadata is not UNSET and SCALAR.encode() in bytes(metadata):
        marks: Json = _any.decode(metadata)
        inner = given.object("data")
        if marks.pop(SCALAR, False) is True and inner is not None and "value" in inner:
            return Part(data=inner.value("value"), metadata=Raw(_encode(marks)) if marks else UNSET)
    return Part(data=given.value("data"), metadata=metadata)


def read_file(file: Members, metadata: Raw | UnsetType) -> Part:
    """A file part's file: its bytes in base64, or its address."""
    content, address = file.get("bytes"), file.get("uri")
    if (content is None) == (address is None):
        raise InvalidParams(f"{file.at} needs one of bytes and uri.", info={"field": file.at})
    part = Part(metadata=metadata)
    if content is None:
        part.url = file.text("uri")
    else:
        part.raw = file.text("bytes")
    part.filename = file.text("name") or UNSET
    part.media_type = file.text("mimeType") or UNSET
    return part


def read_query(params: Members) -> GetTaskParams:
    """TaskQueryParams."""
    return GetTaskParams(params.needed("id"), params.whole("historyLength") or UNSET)


def read_id(params: Members) -> TaskIdParams:
    """TaskIdParams."""
    return TaskIdParams(params.needed("id"))


def read_push(given: Members, task_id: str = "") -> TaskPushNotificationConfig:
    """A PushNotificationConfig; 1.0 has one scheme, which is the first."""
    known: AuthenticationInfo | UnsetType = UNSET
    authentication = given.object("authentication")
    if authentication is not None:
        schemes = authentication.texts("schemes") or [""]
        known = AuthenticationInfo(schemes[0], authentication.text("credentials"))
    return TaskPushNotificationConfig(
        given.needed("url"), given.text("id"), task_id, given.text("token"), known
    )


# --- what is answered ---------------------------------------------------------------------------------


def shown(response: StreamResponse, final: bool = False) -> Json:
    """A task, a message or an event of a stream. `final`: the stream ends with it."""
    if response.task is not UNSET:
        return task(response.task)
    if response.message is not UNSET:
        return message(response.message)
    if response.status_update is not UNSET:
        return _status_update(response.status_update, final)
    assert response.artifact_update is not UNSET
    return _artifact_update(response.artifact_update)


def task(given: Task) -> Json:
    """A Task."""
    told: Json = {
        "kind": "task",
        "id": given.id,
        "contextId": given.context_id,
        "status": _status(given.status),
    }
    if given.artifacts is not UNSET:
        told["artifacts"] = [_artifact(artifact) for artifact in given.artifacts]
    if given.history is not UNSET:
        told["history"] = [message(said) for said in given.history]
    if given.metadata is not UNSET:
        told["metadata"] = given.metadata
    return told


def message(said: Message) -> Json:
    """A Message."""
    told: Json = {
        "kind": "message",
        "messageId": said.message_id,
        "role": role(said.role),
        "parts": [part(one) for one in said.parts],
    }
    for name, value in (
        ("contextId", said.context_id),
        ("taskId", said.task_id),
        ("metadata", said.metadata),
        ("extensions", said.extensions),
        ("referenceTaskIds", said.reference_task_ids),
    ):
        if value is not UNSET:
            told[name] = value
    return told


def role(given: Role) -> str:
    """`user` or `agent`."""
    return "user" if given is Role.USER else "agent"


def part(given: Part, tag: str = "kind") -> Json:
    """A Part; `tag` names the member that says what it is."""
    told: Json
    metadata: Any = given.metadata
    if given.data is not UNSET:
        data = given.data
        if bytes(data).lstrip()[:1] != b"{":
            marks: Json = {} if metadata is UNSET else _any.decode(metadata)
            data, metadata = {"value": data}, {**marks, SCALAR: True}
        told = {tag: "data", "data": data}
    elif given.raw is not UNSET or given.url is not UNSET or given.filename is not UNSET:
        told = {tag: "file", "file": file(given)}
    else:
        told = {tag: "text", "text": "" if given.text is UNSET else given.text}
    if metadata is not UNSET:
        told["metadata"] = metadata
    return told


def file(given: Part) -> Json:
    """A file part's file."""
    told: Json = {}
    if given.url is not UNSET:
        told["uri"] = given.url
    else:
        told["bytes"] = _base64(given)
    if given.media_type is not UNSET:
        told["mimeType"] = given.media_type
    if given.filename is not UNSET:
        told["name"] = given.filename
    return told


def _base64(given: Part) -> str:
    """A part's bytes in the alphabet and with the padding that every reader knows."""
    if given.raw is UNSET:
        return b64encode(("" if given.text is UNSET else given.text).encode()).decode()
    text = given.raw.translate(_URLSAFE)
    return text + "=" * (-len(text) % 4)


def state(given: TaskState | str) -> str:
    """The state's short name; `unknown` for one that 0.3 doesn't have."""
    return given.short if isinstance(given, TaskState) else UNKNOWN


def _status(status: TaskStatus) -> Json:
    told: Json = {"state": state(status.state)}
    if status.timestamp is not UNSET:
        told["timestamp"] = status.timestamp
    if status.message is not UNSET:
        told["message"] = message(status.message)
    return told


def _artifact(artifact: Artifact) -> Json:
    told: Json = {"artifactId": artifact.artifact_id, "parts": [part(one) for one in artifact.parts]}
    for name in ("name", "description", "metadata", "extensions"):
        value = getattr(artifact, name)
        if value is not UNSET:
            told[name] = value
    return told


def _status_update(update: StatusUpdate, final: bool) -> Json:
    told: Json = {
        "kind": "status-update",
        "taskId": update.task_id,
        "contextId": update.context_id,
        "status": _status(update.status),
        "final": final,
    }
    if update.metadata is not UNSET:
        told["metadata"] = update.metadata
    return told


def _artifact_update(update: ArtifactUpdate) -> Json:
    return {
        "kind": "artifact-update",
        "taskId": update.task_id,
        "contextId": update.context_id,
        "artifact": _artifact(update.artifact),
        "append": update.append,
        "lastChunk": update.last_chunk,
    }


def push(config: TaskPushNotificationConfig) -> Json:
    """A TaskPushNotificationConfig."""
    inner: Json = {"url": config.url}
    for name, text in (("id", config.id), ("token", config.token)):
        if text:
            inner[name] = text
    if config.authentication is not UNSET:
        known = config.authentication
        told: Json = {"schemes": [known.scheme] if known.scheme else []}
        if known.credentials:
            told["credentials"] = known.credentials
        inner["authentication"] = told
    return {"taskId": config.task_id, "pushNotificationConfig": inner}


def base64_of(text: str) -> bytes:
    """The bytes of base64 in either alphabet, with or without padding. Raises ValueError."""
    text = text.translate(_URLSAFE)
    return binascii.a2b_base64(text + "=" * (-len(text) % 4), strict_mode=True) if text else b""
