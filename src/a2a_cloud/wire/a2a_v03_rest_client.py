"""A2A 0.3's HTTP+JSON from a caller's side: the paths under `/v1` and its ProtoJSON (a2a.proto of 0.3.0).

This binding says the same as 0.3's JSON-RPC with other names: a message's parts are its `content`, parts
have no `kind`, states are those of a proto enum (with its spelling of cancelled), a send answers
`{"task"}` or `{"message"}`. `fileWithBytes` holds base64 of base64, as the official SDKs write and read
it. Parameters go from 1.0 to here directly, and answers come back to 1.0.
"""

from __future__ import annotations

from base64 import b64decode, b64encode
from typing import Any, NamedTuple
from urllib.parse import quote

from a2a_cloud.wire.a2a_v03_client import (
    SCALAR,
    UNSPECIFIED,
    Json,
    obj,
    objs,
    part_to_v03,
    picked,
    push_from_v03,
    push_to_v03,
)


class Ask(NamedTuple):
    """An HTTP request: `path` below the interface's URL, `body` None for none."""

    method: str
    path: str
    query: dict[str, str]
    body: Json | None


def _segment(value: Any) -> str:
    return quote(str(value), safe="")


# --- to 0.3 ------------------------------------------------------------------------------------------


def _part(part: Json) -> Json:
    said = part_to_v03(part)
    metadata = picked(said, "metadata")
    if said["kind"] == "data":
        return {"data": {"data": said["data"]}, **metadata}
    if said["kind"] == "file":
        file: Json = said["file"]
        if "bytes" in file:
            content = {"fileWithBytes": b64encode(str(file["bytes"]).encode()).decode()}
        else:
            content = {"fileWithUri": file["uri"]}
        return {"file": {**content, **picked(file, "mimeType", "name")}, **metadata}
    return {"text": said["text"], **metadata}


def _message(message: Json) -> Json:
    return {
        "messageId": str(message.get("messageId", "")),
        "role": message.get("role", "ROLE_USER"),
        "content": [_part(part) for part in objs(message.get("parts"))],
        **picked(message, "contextId", "taskId", "extensions", "metadata"),
    }


def _send(params: Json) -> Json:
    given = obj(params.get("configuration"))
    configuration = {
        "blocking": not given.get("returnImmediately"),
        **picked(given, "acceptedOutputModes", "historyLength"),
    }
    push = obj(given.get("taskPushNotificationConfig"))
    if push:
        configuration["pushNotification"] = push_to_v03(push)
    return {
        "request": _message(obj(params.get("message"))),
        "configuration": configuration,
        **picked(params, "metadata"),
    }


def ask(operation: str, params: Json) -> Ask | None:
    """The request for an operation of 1.0; None where 0.3 has none."""
    task = f"/v1/tasks/{_segment(params.get('id', ''))}"
    configs = f"/v1/tasks/{_segment(params.get('taskId', ''))}/pushNotificationConfigs"
    match operation:
        case "SendMessage":
            return Ask("POST", "/v1/message:send", {}, _send(params))
        case "SendStreamingMessage":
            return Ask("POST", "/v1/message:stream", {}, _send(params))
        case "GetTask":
            length = params.get("historyLength")
            return Ask("GET", task, {} if length is None else {"historyLength": str(length)}, None)
        case "CancelTask":
            return Ask("POST", task + ":cancel", {}, {})
        case "SubscribeToTask":
            return Ask("POST", task + ":subscribe", {}, {})
        case "CreateTaskPushNotificationConfig":
            config = push_to_v03(params)
            name = f"tasks/{params.get('taskId', '')}/pushNotificationConfigs/{params.get('id', '')}"
            body = {
                "parent": f"tasks/{params.get('taskId', '')}",
                "configId": str(params.get("id", "")),
                "config": {"name": name, "pushNotificationConfig": config},
            }
            return Ask("POST", configs, {}, body)
        case "GetTaskPushNotificationConfig":
            return Ask("GET", f"{configs}/{_segment(params.get('id', ''))}", {}, None)
        case "DeleteTaskPushNotificationConfig":
            return Ask("DELETE", f"{configs}/{_segment(params.get('id', ''))}", {}, None)
        case "ListTaskPushNotificationConfigs":
            return Ask("GET", configs, {}, None)
        case "GetExtendedAgentCard":
            return Ask("GET", "/v1/card", {}, None)
        case _:
            return None


# --- from 0.3 ----------------------------------------------------------------------------------------


def _state(name: Any) -> str:
    if not isinstance(name, str) or not name.startswith("TASK_STATE_"):
        return UNSPECIFIED
    return "TASK_STATE_CANCELED" if name == "TASK_STATE_CANCELLED" else name


def _once(content: str) -> str:
    """Base64 of a file's bytes, out of base64 of that, or as it is where there is one layer alone."""
    try:
        inner = b64decode(content + "=" * (-len(content) % 4), validate=True)
        if inner and len(inner) % 4 == 0:
            b64decode(inner, validate=True)
            return inner.decode()
    except ValueError:  # no base64, or base64 of something else
        pass
    return content


def _part_back(part: Json) -> Json:
    metadata = dict(obj(part.get("metadata")))
    shown: Json = {}
    if "data" in part:
        data = obj(part["data"]).get("data", {})
        scalar = metadata.pop(SCALAR, False)
        shown = {"data": obj(data).get("value") if scalar else data}
    elif "file" in part:
        file = obj(part["file"])
        if isinstance(file.get("fileWithBytes"), str):
            shown = {"raw": _once(file["fileWithBytes"])}
        elif isinstance(file.get("fileWithUri"), str):
            shown = {"url": file["fileWithUri"]}
        shown |= {
            name: file[old]
            for name, old in (("mediaType", "mimeType"), ("filename", "name"))
            if file.get(old)
        }
    elif isinstance(part.get("text"), str):
        shown = {"text": part["text"]}
    return {**shown, **({"metadata": metadata} if metadata else {})}


def _message_back(message: Json) -> Json:
    return {
        "messageId": str(message.get("messageId", "")),
        "role": "ROLE_USER" if message.get("role") == "ROLE_USER" else "ROLE_AGENT",
        "parts": [_part_back(part) for part in objs(message.get("content") or message.get("parts"))],
        **picked(message, "contextId", "taskId", "extensions", "metadata"),
    }


def _status_back(status: Json) -> Json:
    shown = {"state": _state(status.get("state")), **picked(status, "timestamp")}
    said = obj(status.get("message") or status.get("update"))
    return {**shown, "message": _message_back(said)} if said else shown


def _artifact_back(artifact: Json) -> Json:
    return {
        "artifactId": str(artifact.get("artifactId", "")),
        "parts": [_part_back(part) for part in objs(artifact.get("parts"))],
        **picked(artifact, "name", "description", "extensions", "metadata"),
    }


def _task_back(task: Json) -> Json:
    shown: Json = {
        "id": str(task.get("id", "")),
        "contextId": str(task.get("contextId", "")),
        "status": _status_back(obj(task.get("status"))),
        **picked(task, "metadata"),
    }
    artifacts = [_artifact_back(each) for each in objs(task.get("artifacts"))]
    history = [_message_back(each) for each in objs(task.get("history"))]
    return {
        **shown,
        **({"artifacts": artifacts} if artifacts else {}),
        **({"history": history} if history else {}),
    }


def _push_back(config: Json) -> Json:
    # name is tasks/{task}/pushNotificationConfigs/{id}
    pieces = str(config.get("name", "")).split("/")
    task_id = pieces[1] if len(pieces) > 1 else str(config.get("taskId", ""))
    return push_from_v03({**config, "taskId": task_id})


def event(value: Json) -> Json:
    """A StreamResponse, or what a send answers, as 1.0's; {} for nothing that is known."""
    if "task" in value:
        return {"task": _task_back(obj(value["task"]))}
    said = value.get("message", value.get("msg"))
    if said is not None:
        return {"message": _message_back(obj(said))}
    if "statusUpdate" in value:
        update = obj(value["statusUpdate"])
        status = _status_back(obj(update.get("status")))
        return {"statusUpdate": {**picked(update, "taskId", "contextId", "metadata"), "status": status}}
    if "artifactUpdate" in value:
        update = obj(value["artifactUpdate"])
        artifact = _artifact_back(obj(update.get("artifact")))
        kept = picked(update, "taskId", "contextId", "append", "lastChunk", "metadata")
        return {"artifactUpdate": {**kept, "artifact": artifact}}
    return {}


def result(operation: str, value: Any) -> Json:
    """The answer of 0.3's path for `operation`, as 1.0 would have given it (a card stays as it came)."""
    if operation in ("SendMessage", "SendStreamingMessage", "SubscribeToTask"):
        return event(obj(value))
    if operation in ("GetTask", "CancelTask"):
        return _task_back(obj(value))
    if operation in ("CreateTaskPushNotificationConfig", "GetTaskPushNotificationConfig"):
        return _push_back(obj(value))
    if operation == "ListTaskPushNotificationConfigs":
        configs: Any = obj(value).get("configs", value)
        return {"configs": [_push_back(each) for each in objs(configs)]}
    return obj(value)
