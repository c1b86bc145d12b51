"""A2A 1.0's JSON said in the words of 0.3 and back, from a caller's side (specification 0.3.0, sections 6
and 7): parameters of 1.0 become those of 0.3, results and stream events of 0.3 become those of 1.0.

Values are builtins as `json.loads` gives them. What comes from outside may have any shape: what does not
fit is left out, and nothing here raises. A part's scalar `data` travels in `{"value": …}` with the mark
that the official SDK uses for it, because 0.3's data parts are objects.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, cast

Json = dict[str, Any]

#: Mark in a data part's metadata: the value is in `data.value`.
SCALAR = "data_part_compat"
_STATE = "TASK_STATE_"
#: 0.3's state that says nothing; 1.0 calls it unspecified.
UNSPECIFIED = _STATE + "UNSPECIFIED"
_STATES = frozenset(
    ["submitted", "working", "completed", "failed", "canceled", "rejected", "input-required", "auth-required"]
)


def obj(value: Any) -> Json:
    """`value` when it is a JSON object, else {}."""
    return cast("Json", value) if isinstance(value, dict) else {}


def objs(value: Any) -> list[Json]:
    """The objects of a JSON array."""
    return (
        [obj(each) for each in cast("list[Any]", value) if isinstance(each, dict)] if _is_list(value) else []
    )


def _is_list(value: Any) -> bool:
    return isinstance(value, list)


def _some(**members: Any) -> Json:
    """Those members that say something: neither None nor empty."""
    return {name: value for name, value in members.items() if value is not None and value not in ("", [], {})}


def picked(source: Json, *names: str) -> Json:
    """These members of `source`, where they say something."""
    return _some(**{name: source.get(name) for name in names})


# --- to 0.3 ------------------------------------------------------------------------------------------


def part_to_v03(part: Json) -> Json:
    """A Part of 1.0 as one of 0.3."""
    metadata = dict(obj(part.get("metadata")))
    if "data" in part:
        data = part["data"]
        if not isinstance(data, dict):
            data = {"value": data}
            metadata[SCALAR] = True
        shown: Json = {"kind": "data", "data": data}
    elif "raw" in part or "url" in part:
        content = {"bytes": part["raw"]} if "raw" in part else {"uri": part["url"]}
        file = {**content, **_some(mimeType=part.get("mediaType"), name=part.get("filename"))}
        shown = {"kind": "file", "file": file}
    else:
        shown = {"kind": "text", "text": str(part.get("text", ""))}
    return {**shown, **_some(metadata=metadata)}


def message_to_v03(message: Json) -> Json:
    """A Message of 1.0 as one of 0.3."""
    return {
        "kind": "message",
        "messageId": str(message.get("messageId", "")),
        "role": "agent" if message.get("role") == "ROLE_AGENT" else "user",
        "parts": [part_to_v03(part) for part in objs(message.get("parts"))],
        **picked(message, "contextId", "taskId", "referenceTaskIds", "extensions", "metadata"),
    }


def push_to_v03(config: Json) -> Json:
    """The PushNotificationConfig in a TaskPushNotificationConfig of 1.0."""
    shown = {"url": str(config.get("url", "")), **picked(config, "id", "token")}
    authentication = obj(config.get("authentication"))
    if authentication:
        scheme = authentication.get("scheme")
        shown["authentication"] = {
            "schemes": [scheme] if scheme else [],
            **picked(authentication, "credentials"),
        }
    return shown


def _configuration(given: Json) -> Json:
    shown = {"blocking": not given.get("returnImmediately"), **picked(given, "acceptedOutputModes")}
    if given.get("historyLength") is not None:
        shown["historyLength"] = given["historyLength"]
    push = obj(given.get("taskPushNotificationConfig"))
    if push:
        shown["pushNotificationConfig"] = push_to_v03(push)
    return shown


def _send(params: Json) -> Json:
    return {
        "message": message_to_v03(obj(params.get("message"))),
        "configuration": _configuration(obj(params.get("configuration"))),
        **picked(params, "metadata"),
    }


def _query(params: Json) -> Json:
    length = params.get("historyLength")
    return {"id": params.get("id", ""), **({} if length is None else {"historyLength": length})}


def _named(params: Json) -> Json:
    return {"id": params.get("id", ""), **picked(params, "metadata")}


def _set_push(params: Json) -> Json:
    return {"taskId": params.get("taskId", ""), "pushNotificationConfig": push_to_v03(params)}


def _one_push(params: Json) -> Json:
    named = {"pushNotificationConfigId": params["id"]} if params.get("id") else {}
    return {"id": params.get("taskId", ""), **named}


#: 1.0's operation → 0.3's method, and its parameters from 1.0's. ListTasks came with 1.0.
_CALLS: dict[str, tuple[str, Callable[[Json], Json]]] = {
    "SendMessage": ("message/send", _send),
    "SendStreamingMessage": ("message/stream", _send),
    "GetTask": ("tasks/get", _query),
    "CancelTask": ("tasks/cancel", _named),
    "SubscribeToTask": ("tasks/resubscribe", _named),
    "CreateTaskPushNotificationConfig": ("tasks/pushNotificationConfig/set", _set_push),
    "GetTaskPushNotificationConfig": ("tasks/pushNotificationConfig/get", _one_push),
    "ListTaskPushNotificationConfigs": ("tasks/pushNotificationConfig/list", _one_push),
    "DeleteTaskPushNotificationConfig": ("tasks/pushNotificationConfig/delete", _one_push),
    "GetExtendedAgentCard": ("agent/getAuthenticatedExtendedCard", lambda _params: {}),
}


def call(operation: str, params: Json) -> tuple[str, Json] | None:
    """0.3's method and parameters for an operation of 1.0; None where 0.3 has none."""
    found = _CALLS.get(operation)
    return None if found is None else (found[0], found[1](params))


# --- from 0.3 ----------------------------------------------------------------------------------------


def state_from_v03(state: Any) -> str:
    """1.0's name of a state: `input-required` is TASK_STATE_INPUT_REQUIRED; else unspecified."""
    if isinstance(state, str) and state in _STATES:
        return _STATE + state.upper().replace("-", "_")
    return UNSPECIFIED


def part_from_v03(part: Json) -> Json:
    """A Part of 0.3, or of earlier (`type` for `kind`), as one of 1.0."""
    metadata = dict(obj(part.get("metadata")))
    kind = part.get("kind") or part.get("type")
    shown: Json = {}
    if kind == "data" or (kind is None and "data" in part):
        data = part.get("data")
        if metadata.pop(SCALAR, False) and isinstance(data, dict):
            data = cast("Json", data).get("value")
        shown = {"data": data}
    elif kind == "file" or (kind is None and "file" in part):
        file = obj(part.get("file"))
        if isinstance(file.get("bytes"), str):
            shown = {"raw": file["bytes"]}
        elif isinstance(file.get("uri"), str):
            shown = {"url": file["uri"]}
        shown |= _some(mediaType=file.get("mimeType"), filename=file.get("name"))
    elif isinstance(part.get("text"), str):
        shown = {"text": part["text"]}
    return {**shown, **_some(metadata=metadata)}


def message_from_v03(message: Json) -> Json:
    """A Message of 0.3 as one of 1.0."""
    return {
        "messageId": str(message.get("messageId", "")),
        "role": "ROLE_USER" if message.get("role") == "user" else "ROLE_AGENT",
        "parts": [part_from_v03(part) for part in objs(message.get("parts"))],
        **picked(message, "contextId", "taskId", "referenceTaskIds", "extensions", "metadata"),
    }


def artifact_from_v03(artifact: Json) -> Json:
    """An Artifact of 0.3 as one of 1.0."""
    return {
        "artifactId": str(artifact.get("artifactId", "")),
        "parts": [part_from_v03(part) for part in objs(artifact.get("parts"))],
        **picked(artifact, "name", "description", "extensions", "metadata"),
    }


def status_from_v03(status: Json) -> Json:
    """A TaskStatus of 0.3 as one of 1.0."""
    shown = {"state": state_from_v03(status.get("state")), **picked(status, "timestamp")}
    said = obj(status.get("message"))
    return {**shown, "message": message_from_v03(said)} if said else shown


def task_from_v03(task: Json) -> Json:
    """A Task of 0.3 as one of 1.0."""
    return {
        "id": str(task.get("id", "")),
        "contextId": str(task.get("contextId", "")),
        "status": status_from_v03(obj(task.get("status"))),
        **_some(
            artifacts=[artifact_from_v03(each) for each in objs(task.get("artifacts"))],
            history=[message_from_v03(each) for each in objs(task.get("history"))],
            metadata=task.get("metadata"),
        ),
    }


def push_from_v03(config: Json) -> Json:
    """0.3's TaskPushNotificationConfig as 1.0's."""
    inner = obj(config.get("pushNotificationConfig"))
    shown = {"taskId": str(config.get("taskId", "")), **picked(inner, "id", "url", "token")}
    authentication = obj(inner.get("authentication"))
    schemes: Any = authentication.get("schemes")
    if schemes and _is_list(schemes):
        shown["authentication"] = {"scheme": str(schemes[0]), **picked(authentication, "credentials")}
    return shown


def event_from_v03(event: Json) -> Json:
    """What a stream or an answer of 0.3 holds, as a StreamResponse; {} for nothing that is known.

    Old servers leave `kind` out; what it is shows then in its members.
    """
    kind = event.get("kind")
    if kind is None:
        if "artifact" in event:
            kind = "artifact-update"
        elif "taskId" in event and "status" in event:
            kind = "status-update"
        else:
            kind = "message" if "messageId" in event else "task" if "id" in event else ""
    ids = {"taskId": str(event.get("taskId", "")), "contextId": str(event.get("contextId", ""))}
    if kind == "task":
        return {"task": task_from_v03(event)}
    if kind == "message":
        return {"message": message_from_v03(event)}
    if kind == "status-update":
        status = status_from_v03(obj(event.get("status")))
        return {"statusUpdate": {**ids, "status": status, **picked(event, "metadata")}}
    if kind == "artifact-update":
        artifact = artifact_from_v03(obj(event.get("artifact")))
        return {
            "artifactUpdate": {
                **ids,
                "artifact": artifact,
                **picked(event, "append", "lastChunk", "metadata"),
            }
        }
    return {}


def result(operation: str, value: Any) -> Json:
    """The result of 0.3's method for `operation`, as 1.0 would have given it (a card stays as it came)."""
    if operation in ("SendMessage", "SendStreamingMessage", "SubscribeToTask"):
        return event_from_v03(obj(value))
    if operation in ("GetTask", "CancelTask"):
        return task_from_v03(obj(value))
    if operation in ("CreateTaskPushNotificationConfig", "GetTaskPushNotificationConfig"):
        return push_from_v03(obj(value))
    if operation == "ListTaskPushNotificationConfigs":
        return {"configs": [push_from_v03(each) for each in objs(value)]}
    return obj(value)
