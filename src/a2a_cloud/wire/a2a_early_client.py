"""A2A as it was before 0.3's names (tasks/send and sessions), from a caller's side.

A client chooses the task's id (here the id of its first message), `sessionId` is the context, parts have
`type`, an update of a stream is `{id, status, final}` or `{id, artifact}`, and a message has no id.
Everything is 1.0's JSON on this module's other side.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from a2a_cloud.wire.a2a_v03_client import (
    Json,
    artifact_from_v03,
    message_from_v03,
    obj,
    objs,
    part_to_v03,
    picked,
    push_from_v03,
    push_to_v03,
    status_from_v03,
)


def _part(part: Json) -> Json:
    said = part_to_v03(part)
    return {"type": said.pop("kind"), **said}


def _send(params: Json) -> Json:
    message = obj(params.get("message"))
    given = obj(params.get("configuration"))
    push = obj(given.get("taskPushNotificationConfig"))
    # What early messages have no member for is kept in their metadata.
    metadata = {**obj(message.get("metadata")), "messageId": message.get("messageId", "")}
    context = message.get("contextId")
    return {
        # The caller names the task. A message sent again names the same one again.
        "id": message.get("taskId") or message.get("messageId", ""),
        **({"sessionId": context} if context else {}),
        "message": {
            "role": "agent" if message.get("role") == "ROLE_AGENT" else "user",
            "parts": [_part(part) for part in objs(message.get("parts"))],
            "metadata": metadata,
        },
        **picked(given, "acceptedOutputModes", "historyLength"),
        **({"pushNotification": push_to_v03(push)} if push else {}),
        **picked(params, "metadata"),
    }


def _set_push(params: Json) -> Json:
    return {"id": params.get("taskId", ""), "pushNotificationConfig": push_to_v03(params)}


def _named(params: Json) -> Json:
    return picked(params, "id", "historyLength", "metadata")


_CALLS: dict[str, tuple[str, Callable[[Json], Json]]] = {
    "SendMessage": ("tasks/send", _send),
    "SendStreamingMessage": ("tasks/sendSubscribe", _send),
    "GetTask": ("tasks/get", _named),
    "CancelTask": ("tasks/cancel", _named),
    "SubscribeToTask": ("tasks/resubscribe", _named),
    "CreateTaskPushNotificationConfig": ("tasks/pushNotification/set", _set_push),
    "GetTaskPushNotificationConfig": (
        "tasks/pushNotification/get",
        lambda params: {"id": params.get("taskId", "")},
    ),
}


def call(operation: str, params: Json) -> tuple[str, Json] | None:
    """The method and parameters for an operation of 1.0; None where there was none."""
    found = _CALLS.get(operation)
    return None if found is None else (found[0], found[1](params))


def _artifact(artifact: Json) -> Json:
    """Early artifacts are told apart by their `index`, and by their name."""
    ident = str(artifact.get("artifactId") or f"artifact-{artifact.get('index') or 0}")
    return artifact_from_v03({**artifact, "artifactId": ident})


def _task(task: Json) -> Json:
    shown: Json = {
        "id": str(task.get("id", "")),
        "contextId": str(task.get("sessionId") or task.get("contextId") or ""),
        "status": status_from_v03(obj(task.get("status"))),
        **picked(task, "metadata"),
    }
    artifacts = [_artifact(each) for each in objs(task.get("artifacts"))]
    history = [message_from_v03(each) for each in objs(task.get("history"))]
    return {
        **shown,
        **({"artifacts": artifacts} if artifacts else {}),
        **({"history": history} if history else {}),
    }


def event(value: Json) -> Json:
    """What a stream holds, as a StreamResponse; {} for nothing that is known."""
    ids = {"taskId": str(value.get("id", "")), "contextId": str(value.get("sessionId") or "")}
    if "artifact" in value:
        artifact = obj(value["artifact"])
        return {
            "artifactUpdate": {
                **ids,
                "artifact": _artifact(artifact),
                **picked(artifact, "append", "lastChunk"),
                **picked(value, "metadata"),
            }
        }
    # An update says whether it is the last one; a task does not.
    if "final" in value and "history" not in value and "artifacts" not in value:
        status = status_from_v03(obj(value.get("status")))
        return {"statusUpdate": {**ids, "status": status, **picked(value, "metadata")}}
    return {"task": _task(value)} if "status" in value else {}


def result(operation: str, value: Any) -> Json:
    """The result of the method for `operation`, as 1.0 would have given it."""
    if operation in ("GetTask", "CancelTask"):
        return _task(obj(value))
    if operation in ("CreateTaskPushNotificationConfig", "GetTaskPushNotificationConfig"):
        config = obj(value)
        return push_from_v03({**config, "taskId": config.get("id", "")})
    return event(obj(value))
