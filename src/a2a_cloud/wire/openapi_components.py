"""What the operations of every agent's OpenAPI document refer to: schemas, made of the Structs that the
answers are encoded from, headers, parameters, and the responses for problems.
"""

from __future__ import annotations

from functools import cache
from typing import Any, cast

import msgspec

from a2a_cloud.model.receipt import ReceiptDocument
from a2a_cloud.model.task import Task, TaskState
from a2a_cloud.wire.a2a_render import StreamResponse, TaskList
from a2a_cloud.wire.a2a_v1 import PushConfigList, SendMessageParams, TaskPushNotificationConfig
from a2a_cloud.wire.openapi_problems import responses
from a2a_cloud.wire.openapi_sessions import session_schemas
from a2a_cloud.wire.openapi_shapes import POSITION, SCHEMAS, TEXT, Json, ref

#: What the docstrings of the Structs say is for readers of the code; these are for callers.
_ABOUT = {
    "Part": "Exactly one of `text`, `raw` (base64), `url` and `data`.",
    "SendMessageConfiguration": "How to answer. `returnImmediately`: with the task as it was accepted.",
    "SendMessageParams": "A message, and how it should be answered.",
    "Task": "A task of A2A 1.0.",
    "Message": "A message of A2A 1.0. `messageId` is the idempotency key; `taskId` makes it a follow-up.",
    "PushConfigList": "A page of configurations; `nextPageToken` is empty on the last one.",
    "TaskPushNotificationConfig": "Where notifications of a task go.",
    "StreamResponse": "An event of a stream of A2A 1.0: exactly one of its members.",
    "TaskList": "A page of tasks; `nextPageToken` is empty on the last one.",
}
_RENAMED = {"SendMessageParams": "SendMessageRequest", "ReceiptDocument": "Receipt"}


@cache
def components() -> bytes:
    """`components` but for the skills' schemas and the security schemes, encoded: made once."""
    return msgspec.json.encode(
        {
            "headers": _HEADERS,
            "parameters": _PARAMETERS,
            "responses": responses(),
            "schemas": {**_of_structs(), **_SCHEMAS, **session_schemas()},
        }
    )


@cache
def own_schemas() -> frozenset[str]:
    """Names that a skill's definitions can't have."""
    return frozenset(cast("Json", msgspec.json.decode(components()))["schemas"])


def _of_structs() -> Json:
    """The schemas of what is encoded from Structs, as callers see it."""
    kinds = [
        Task,
        TaskList,
        StreamResponse,
        SendMessageParams,
        ReceiptDocument,
        TaskPushNotificationConfig,
        PushConfigList,
    ]
    _, found = msgspec.json.schema_components(kinds, ref_template=SCHEMAS + "{name}")
    del found["ObjectRef"], found["Part"]["properties"]["object"]  # Never outside.
    for name, schema in found.items():
        schema.pop("title", None)  # Generators of clients would name classes by it.
        about = _ABOUT.get(name) or str(schema.get("description", "")).partition("\n\n")[0]
        if about:
            schema["description"] = " ".join(about.split())
        if isinstance(schema.get("enum"), list):
            schema["type"] = "string"
        for member in ("metadata", "params"):
            if schema.get("properties", {}).get(member) == {}:
                schema["properties"][member] = {"type": "object"}
    message = found["Message"]["properties"]
    message["messageId"] |= {"minLength": 1, "maxLength": 256}
    message["parts"] |= {"minItems": 1, "maxItems": 100}
    named = {_RENAMED.get(name, name): schema for name, schema in found.items()}
    return cast("Json", _walk(named))


def _walk(node: Any) -> Any:
    """Names of schemas as they are outside, and patterns as ECMA-262 writes them."""
    if isinstance(node, dict):
        found = cast("Json", node)
        return {
            key: _word(key, value) if isinstance(value, str) else _walk(value) for key, value in found.items()
        }
    return [_walk(each) for each in cast("list[Any]", node)] if isinstance(node, list) else node


def _word(key: str, value: str) -> str:
    if key == "pattern":
        return value.replace(r"\A", "^").replace(r"\Z", "$")
    if key == "$ref":
        name = value.removeprefix(SCHEMAS)
        return SCHEMAS + _RENAMED.get(name, name)
    return value


def _object(about: str, required: list[str], properties: Json, *, more: bool = True) -> Json:
    found: Json = {"type": "object", "description": about, "properties": properties}
    if required:
        found["required"] = required
    return found if more else {**found, "additionalProperties": False}


_TEXTS: Json = {"type": "array", "items": TEXT}
_URL: Json = {"type": "string", "format": "uri"}

_HEADERS: Json = {
    name: {"description": about, "schema": schema}
    for name, about, schema in (
        ("A2A-Run", "The run.", TEXT),
        ("A2A-Task", "The task.", TEXT),
        ("A2A-Context", "The context.", TEXT),
        ("A2A-Receipt", "The receipt, once the run has ended.", TEXT),
        ("ETag", "Of this version.", TEXT),
        ("Location", "Where the task is.", _URL),
        ("Content-Disposition", "An attachment, with its name.", TEXT),
        ("Retry-After", "Seconds to wait.", {"type": "integer", "minimum": 1}),
        ("WWW-Authenticate", "How to prove who calls.", TEXT),
    )
}

_NARROWING: Json = _object(
    "What a caller leaves of the agent's grant: lists of patterns. What is left out stays as it is.",
    [],
    {
        **dict.fromkeys(("read", "write", "deny", "skills", "egress", "operations"), _TEXTS),
        **{name: {"type": "integer", "minimum": 1} for name in ("bytes", "uses")},
        "depth": {"type": "integer", "minimum": 0},
        "seconds": {"type": "number", "minimum": 1},
        "reason": TEXT,
    },
    more=False,
)

_PARAMETERS: Json = {
    "IdempotencyKey": {
        "name": "Idempotency-Key",
        "in": "header",
        "description": "A repeated call with the same key finds the run of the first one. For callers with a "
        "key of their own; kept as long as the run.",
        "schema": {"type": "string", "maxLength": 256, "pattern": "^[!-~]*$"},
    },
    "Grant": {
        "name": "A2A-Grant",
        "in": "header",
        "description": "What the caller leaves of the agent's grant, as JSON.",
        "schema": {
            "type": "string",
            "contentMediaType": "application/json",
            "contentSchema": ref("Narrowing"),
            "examples": ['{"write": []}'],
        },
    },
    "Priority": {
        "name": "A2A-Priority",
        "in": "header",
        "description": "Among waiting calls a higher one begins first; capped by the caller's key.",
        "schema": {"type": "integer", "minimum": -100, "maximum": 100},
    },
    "Version": {
        "name": "A2A-Version",
        "in": "header",
        "description": "The version of A2A that the caller speaks.",
        "schema": ref("Version"),
    },
    "LastEventID": {
        "name": "Last-Event-ID",
        "in": "header",
        "description": "The id of the event after which to go on.",
        "schema": POSITION,
    },
    "IfNoneMatch": {
        "name": "If-None-Match",
        "in": "header",
        "description": "The ETag of what the caller has.",
        "schema": TEXT,
    },
}

_SCHEMAS: Json = {
    "Receipts": _object(
        "The receipts of a run and of those that descend from it; `more` when there are further ones.",
        ["receipts", "more"],
        {
            "receipts": {"type": "array", "items": {"$ref": SCHEMAS + "Receipt"}},
            "more": {"type": "boolean"},
        },
    ),
    "Version": {"description": "A version of A2A.", "type": "string", "enum": ["1.0"]},
    "Narrowing": _NARROWING,
    "Problem": _object(
        "What went wrong (RFC 9457): a code that stays, a sentence, and what to do next.",
        ["type", "title", "status", "detail", "code"],
        {
            "type": TEXT,
            "title": TEXT,
            "status": {"type": "integer"},
            "detail": TEXT,
            "code": TEXT,
            "remedy": TEXT,
        },
    ),
    "A2AError": _object(
        "An error of A2A over HTTP+JSON. The first of `details` is google.rpc.ErrorInfo.",
        ["error"],
        {
            "error": _object(
                "A google.rpc.Status.",
                ["code", "status", "message", "details"],
                {
                    "code": {"type": "integer"},
                    "status": TEXT,
                    "message": TEXT,
                    "details": {"type": "array", "items": {"type": "object"}},
                },
            )
        },
    ),
    "SendMessageResponse": _object(
        "Exactly one of its members.", [], {"task": ref("Task"), "message": ref("Message")}
    ),
    "TaskAccepted": _object(
        "The task, and where its events are.", ["task", "sse_url"], {"task": ref("Task"), "sse_url": _URL}
    ),
    "Unfinished": _object(
        "A run that has not ended: it was to be answered at once, or asks (`question`), or waits for an "
        "`approval`.",
        ["run_id", "task_id", "context_id", "state", "task_url"],
        {
            "run_id": TEXT,
            "task_id": TEXT,
            "context_id": TEXT,
            "state": {"type": "string", "enum": [state.short for state in TaskState]},
            "task_url": _URL,
            "sse_url": _URL,
            "question": ref("Question"),
            "approval": ref("Approval"),
        },
    ),
    "Question": _object(
        "What the skill asks; the answer is a message to the task, and has to fit `schema` (JSON Schema).",
        ["text", "schema"],
        {"text": TEXT, "schema": {}},
    ),
    "Approval": _object(
        "What the run asks for, and somebody has to allow.",
        ["id", "text"],
        {
            "id": TEXT,
            "text": TEXT,
            "reason": TEXT,
            **dict.fromkeys(("read", "write", "skills", "egress"), _TEXTS),
        },
    ),
    "HookAnswer": _object(
        "The run that the delivery led to; or the answer to a sender that tries the address.",
        [],
        {
            "run_id": TEXT,
            "task_id": TEXT,
            "context_id": TEXT,
            "pong": {"type": "boolean"},
            "challenge": TEXT,
        },
    ),
    "AgentCard": _object(
        "The AgentCard of A2A 1.0.",
        ["name", "description", "version", "supportedInterfaces", "capabilities", "skills"],
        {
            "name": TEXT,
            "description": TEXT,
            "version": TEXT,
            "supportedInterfaces": {"type": "array", "items": {"type": "object"}},
            "capabilities": {"type": "object"},
            "defaultInputModes": _TEXTS,
            "defaultOutputModes": _TEXTS,
            "skills": {"type": "array", "items": {"type": "object"}},
        },
    ),
}
