"""A2A 0.3 over HTTP+JSON, from a server's side: ProtoJSON of 0.3's proto (`a2a.v1`), which is not the
JSON of its JSON-RPC binding (specification 0.3.0, section 3.2.3).

A message's parts are `content`, enums have their full names (`TASK_STATE_CANCELLED` with two L), absent
is false. Bodies in the words of the JSON-RPC binding, which people write by hand, are understood too.
`fileWithBytes` holds base64 of base64, as the official clients for Python and Go write and read it; what
comes in with one layer alone is told from that.
"""

from __future__ import annotations

from base64 import b64encode

import msgspec
from msgspec import UNSET, Raw, UnsetType

from a2a_cloud.model.problem import InvalidParams, Problem
from a2a_cloud.model.task import Artifact, Message, Part, Role, Task, TaskState, TaskStatus
from a2a_cloud.wire import a2a_v03
from a2a_cloud.wire.a2a_render import StreamResponse
from a2a_cloud.wire.a2a_v03 import Json
from a2a_cloud.wire.a2a_v1 import (
    SendMessageConfiguration,
    SendMessageParams,
    TaskPushNotificationConfig,
)
from a2a_cloud.wire.members import Members
from a2a_cloud.wire.problem_json import error_details

_encode = msgspec.json.Encoder().encode
_ROLES = {**a2a_v03.ROLES, "ROLE_USER": Role.USER, "ROLE_AGENT": Role.AGENT}
_BASE64 = frozenset(b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/=")
_TEXTUAL = ("text/", "application/json", "application/xml", "application/yaml")


# --- what is asked ------------------------------------------------------------------------------------


def read_send(body: Members) -> SendMessageParams:
    """SendMessageRequest. An absent `blocking` is false, as proto3 has it, where there is a configuration
    and nothing in the body is of the JSON-RPC binding; else the answer waits for the task."""
    given = body.object("message", "request")
    if given is None:
        raise body.misfit("message", "is missing")
    parts = given.objects("parts", "content")
    if parts is None:
        raise given.misfit("content", "is missing")
    message = Message(
        given.needed("messageId"), a2a_v03.read_role(given, _ROLES), [_read_part(one) for one in parts]
    )
    message.context_id = given.text("contextId") or UNSET
    message.task_id = given.text("taskId") or UNSET
    message.metadata = given.table("metadata")
    extensions = given.texts("extensions")
    if extensions is not None:
        message.extensions = extensions
    named = given.texts("referenceTaskIds")
    if named is not None:
        message.reference_task_ids = named
    by_hand = "kind" in given or given.get("role") in a2a_v03.ROLES
    return SendMessageParams(
        message, _configuration(body.object("configuration"), by_hand), body.table("metadata")
    )


def _configuration(given: Members | None, by_hand: bool) -> SendMessageConfiguration:
    if given is None:
        return SendMessageConfiguration()
    push = given.object("pushNotification", "pushNotificationConfig")
    blocking = given.flag("blocking")
    return SendMessageConfiguration(
        given.texts("acceptedOutputModes") or [],
        UNSET if push is None else a2a_v03.read_push(push),
        given.whole("historyLength") or UNSET,
        blocking is False or (blocking is None and not by_hand),
    )


def _read_part(given: Members) -> Part:
    if "kind" in given:
        return a2a_v03.read_part(given)
    if "text" in given:
        return Part(text=given.text("text"), metadata=given.table("metadata"))
    file = given.object("file")
    if file is not None:
        return _read_file(file, given.table("metadata"))
    data = given.object("data")
    if data is None:
        raise InvalidParams(f"{given.at} needs one of text, file and data.", info={"field": given.at})
    # A DataPart is a message of its own: {"data": {"data": {…}}}.
    return a2a_v03.read_part(given if "data" not in data else _inner(given, data))


def _inner(given: Members, data: Members) -> Members:
    return Members({"data": data.get("data"), "metadata": given.get("metadata")}, given.at)


def _read_file(file: Members, metadata: Raw | UnsetType) -> Part:
    content, address = file.text("fileWithBytes", "bytes"), file.text("fileWithUri", "uri")
    if bool(content) == bool(address):
        raise InvalidParams(f"{file.at} needs one of fileWithBytes and fileWithUri.", info={"field": file.at})
    media_type = file.text("mimeType")
    part = Part(metadata=metadata, filename=file.text("name") or UNSET, media_type=media_type or UNSET)
    if address:
        part.url = address
    else:
        part.raw = one_layer(content, media_type, file)
    return part


def one_layer(text: str, media_type: str, file: Members) -> str:
    """Base64 of a file's bytes, from base64 of them or of their base64.

    Bytes that are base64 in every character are taken as a layer more, where the file should be text
    only if what comes out is text: a file that says `test` stays one.
    """
    try:
        once = a2a_v03.base64_of(text)
    except ValueError as error:
        raise file.misfit("fileWithBytes", f"is not base64: {error}") from None
    if not once or len(once) % 4 or not _BASE64.issuperset(once):
        return b64encode(once).decode()
    try:
        twice = a2a_v03.base64_of(once.decode())
        if not media_type or media_type.strip().lower().startswith(_TEXTUAL):
            twice.decode()
    except ValueError:
        return b64encode(once).decode()
    return once.decode()


def read_push(body: Members, task_id: str) -> TaskPushNotificationConfig:
    """CreateTaskPushNotificationConfigRequest, or the config in one of its wrappings alone, as 1.0's."""
    wrapped = body.object("config") or body
    inner = wrapped.object("pushNotificationConfig") or wrapped
    config = a2a_v03.read_push(inner, task_id)
    return config if config.id else msgspec.structs.replace(config, id=body.text("configId"))


# --- what is answered ---------------------------------------------------------------------------------


def shown(response: StreamResponse, final: bool = False) -> Json:
    """SendMessageResponse or StreamResponse. `final`: the stream ends with it."""
    if response.task is not UNSET:
        return {"task": task(response.task)}
    if response.message is not UNSET:
        return {"message": _message(response.message)}
    if response.status_update is not UNSET:
        update = response.status_update
        told: Json = {
            "taskId": update.task_id,
            "contextId": update.context_id,
            "status": _status(update.status),
        }
        if final:
            told["final"] = True
        if update.metadata is not UNSET:
            told["metadata"] = update.metadata
        return {"statusUpdate": told}
    assert response.artifact_update is not UNSET
    made = response.artifact_update
    told = {
        "taskId": made.task_id,
        "contextId": made.context_id,
        "artifact": _artifact(made.artifact),
    }
    if made.append:
        told["append"] = True
    if made.last_chunk:
        told["lastChunk"] = True
    return {"artifactUpdate": told}


def task(given: Task) -> Json:
    """Task."""
    told: Json = {"id": given.id, "contextId": given.context_id, "status": _status(given.status)}
    if given.artifacts is not UNSET:
        told["artifacts"] = [_artifact(artifact) for artifact in given.artifacts]
    if given.history is not UNSET:
        told["history"] = [_message(said) for said in given.history]
    if given.metadata is not UNSET:
        told["metadata"] = given.metadata
    return told


def _message(said: Message) -> Json:
    told: Json = {
        "messageId": said.message_id,
        "role": said.role.value,
        "content": [_part(one) for one in said.parts],
    }
    for name, value in (
        ("contextId", said.context_id),
        ("taskId", said.task_id),
        ("metadata", said.metadata),
        ("extensions", said.extensions),
    ):
        if value is not UNSET:
            told[name] = value
    return told


def _part(given: Part) -> Json:
    plain = a2a_v03.part(given)
    kind = plain.pop("kind")
    if kind == "data":
        plain["data"] = {"data": plain["data"]}
    elif kind == "file":
        file = plain["file"]
        if "bytes" in file:
            file["fileWithBytes"] = b64encode(file.pop("bytes").encode()).decode()
        else:
            file["fileWithUri"] = file.pop("uri")
    return plain


def state(given: TaskState) -> str:
    """The state's name in 0.3's proto."""
    return "TASK_STATE_CANCELLED" if given is TaskState.CANCELED else given.value


def _status(status: TaskStatus) -> Json:
    told: Json = {"state": state(status.state)}
    if status.message is not UNSET:
        told["message"] = _message(status.message)
    if status.timestamp is not UNSET:
        told["timestamp"] = status.timestamp
    return told


def _artifact(artifact: Artifact) -> Json:
    told: Json = {"artifactId": artifact.artifact_id, "parts": [_part(one) for one in artifact.parts]}
    for name in ("name", "description", "metadata", "extensions"):
        value = getattr(artifact, name)
        if value is not UNSET:
            told[name] = value
    return told


def push(config: TaskPushNotificationConfig) -> Json:
    """TaskPushNotificationConfig, which is named by a path."""
    name = f"tasks/{config.task_id}/pushNotificationConfigs/{config.id}"
    return {"name": name, "pushNotificationConfig": a2a_v03.push(config)["pushNotificationConfig"]}


def error(problem: Problem) -> bytes:
    """The body of an error: `code` and `message` as JSON-RPC has them, `type` for clients that go by it."""
    return _encode(
        {
            "type": f"{type(problem).__name__}Error",
            "code": problem.rpc,
            "message": problem.sentence,
            "data": error_details(problem)[0],
        }
    )
