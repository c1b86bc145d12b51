"""What all operations of an agent's OpenAPI document share: schemas made of the Structs that the answers are
encoded from, problems by status, headers, parameters.
"""

from __future__ import annotations

from functools import cache
from typing import Any, cast

import msgspec

from a2a_cloud.model import problem as p
from a2a_cloud.model.problem import Problem
from a2a_cloud.model.receipt import ReceiptDocument
from a2a_cloud.model.task import Task, TaskState
from a2a_cloud.wire.a2a_render import StreamResponse, TaskList
from a2a_cloud.wire.a2a_v1 import SendMessageParams

Json = dict[str, Any]

_PREFIX = "#/components/schemas/"
#: What the docstrings of the Structs say is for readers of the code; these are for callers.
_ABOUT = {
    "Part": "Exactly one of `text`, `raw` (base64), `url` and `data`.",
    "SendMessageConfiguration": "How to answer. `returnImmediately`: with the task as it was accepted.",
    "SendMessageParams": "A message, and how it should be answered.",
    "Task": "A task of A2A 1.0.",
    "Message": "A message of A2A 1.0. `messageId` is the idempotency key; `taskId` makes it a follow-up.",
    "StreamResponse": "An event of a stream of A2A 1.0: exactly one of its members.",
    "TaskList": "A page of tasks; `nextPageToken` is empty on the last one.",
}
_RENAMED = {"SendMessageParams": "SendMessageRequest", "ReceiptDocument": "Receipt"}

#: What may meet any request, before the operation is reached.
_DOOR: tuple[type[Problem], ...] = (
    p.InvalidRequest,
    p.InvalidParams,
    p.Unauthenticated,
    p.Forbidden,
    p.AgentNotFound,
    p.ReleaseNotFound,
    p.VersionEnded,
    p.RequestTimeout,
    p.UrlTooLong,
    p.TooManyHeaders,
    p.Internal,
    p.Unavailable,
)
#: What may meet a request with a body.
_BODY: tuple[type[Problem], ...] = (p.Malformed, p.TooLarge, p.ContentTypeNotSupported)
#: What may meet a call before its run begins.
_CALL: tuple[type[Problem], ...] = (p.SkillNotFound, p.IdempotencyConflict, p.Busy, p.StorageFull)
#: How a run may end.
_RUN: tuple[type[Problem], ...] = (
    p.Refused,
    p.SkillFailed,
    p.InvalidAgentResponse,
    p.LimitExceeded,
    p.ReplayDiffers,
    p.TimedOut,
    p.WorkerLost,
    p.WorkspaceConflict,
)
_TASK: tuple[type[Problem], ...] = (p.TaskNotFound, p.VersionNotSupported)

#: What may meet the operations of each kind. The names of those of A2A begin with Task or Message: their
#: errors have A2A's shape.
_FAMILIES: dict[str, tuple[type[Problem], ...]] = {
    "About": _DOOR,
    "Invoke": (*_DOOR, *_BODY, *_CALL, *_RUN),
    "Hook": (*_DOOR, p.NotFound, *_BODY, *_CALL),
    "Events": (*_DOOR, p.TaskNotFound, p.Busy),
    "Receipt": (*_DOOR, p.RunNotFound, p.ReceiptPending),
    "Bytes": (*_DOOR, p.RunNotFound, p.NotFound),
    "Message": (
        *_DOOR,
        *_BODY,
        *_CALL,
        *_TASK,
        p.UnsupportedOperation,
        p.PushNotificationNotSupported,
        p.ExtensionSupportRequired,
    ),
    "Task": (*_DOOR, *_TASK, p.MethodNotAllowed),
    "TaskCancel": (*_DOOR, *_TASK, p.TaskNotCancelable),
    "TaskEvents": (*_DOOR, *_TASK, p.UnsupportedOperation, p.Busy),
}


def ref(name: str) -> Json:
    """A reference to a schema."""
    return {"$ref": _PREFIX + name}


def header(name: str) -> Json:
    """A reference to a header of answers."""
    return {"$ref": f"#/components/headers/{name}"}


def run_headers(*, receipt: bool = True) -> Json:
    """The headers that name what a call made."""
    names = ("A2A-Run", "A2A-Task", "A2A-Context", "A2A-Receipt")
    return {name: header(name) for name in names[: 4 if receipt else 3]}


def answer(description: str, content: Json, headers: Json | None = None) -> Json:
    """A response."""
    found: Json = {"description": description, "content": content}
    if headers:
        found["headers"] = headers
    return found


def path_id(name: str, about: str) -> Json:
    """A path parameter that is an id of ours."""
    return {
        "name": name,
        "in": "path",
        "required": True,
        "description": about,
        "schema": {"type": "string", "pattern": "^[A-Za-z0-9_-]{1,256}$"},
    }


def query(name: str, about: str, schema: Json) -> Json:
    """A query parameter that may be left out."""
    return {"name": name, "in": "query", "required": False, "description": about, "schema": schema}


def parameter(name: str) -> Json:
    """A reference to a parameter that many operations take."""
    return {"$ref": f"#/components/parameters/{name}"}


def problems(family: str) -> Json:
    """References to the responses for the problems of a family, by status."""
    return {
        str(status): {"$ref": f"#/components/responses/{family}{status}"} for status in _by_status(family)
    }


def _by_status(family: str) -> dict[int, list[type[Problem]]]:
    found: dict[int, list[type[Problem]]] = {}
    for kind in dict.fromkeys(_FAMILIES[family]):
        # As the type of a body, HTTP has a status of its own for it.
        status = 415 if kind is p.ContentTypeNotSupported else kind.http
        found.setdefault(status, []).append(kind)
    return dict(sorted(found.items()))


def _responses() -> Json:
    return {
        f"{family}{status}": _problem(status, kinds, family.startswith(("Task", "Message")))
        for family in _FAMILIES
        for status, kinds in _by_status(family).items()
    }


def _problem(code: int, kinds: list[type[Problem]], a2a: bool) -> Json:
    said = "; ".join(f"`{kind.code}`: {kind.title}" for kind in kinds)
    media = "application/a2a+json" if a2a else "application/problem+json"
    examples = {kind.code: {"value": _example(kind, code, a2a)} for kind in kinds}
    content = {media: {"schema": ref("A2AError" if a2a else "Problem"), "examples": examples}}
    headers: Json = {}
    if code == 401:
        headers["WWW-Authenticate"] = header("WWW-Authenticate")
    if any(kind.retry for kind in kinds):
        headers["Retry-After"] = header("Retry-After")
    return answer(f"{said}.", content, headers)


def _example(kind: type[Problem], code: int, a2a: bool) -> Json:
    if not a2a:
        return {
            "type": f"urn:a2a-cloud:problem:{kind.code}",
            "title": kind.title,
            "status": code,
            "detail": f"{kind.title}.",
            "code": kind.code,
        }
    info: Json = {
        "@type": "type.googleapis.com/google.rpc.ErrorInfo",
        "reason": kind.code.upper(),
        "domain": "a2a-protocol.org",
        "metadata": {},
    }
    return {"error": {"code": code, "status": kind.grpc, "message": f"{kind.title}.", "details": [info]}}


@cache
def components() -> bytes:
    """`components` but for the skills' schemas and the security schemes, encoded: made once."""
    return msgspec.json.encode(
        {
            "headers": _HEADERS,
            "parameters": _PARAMETERS,
            "responses": _responses(),
            "schemas": {**_of_structs(), **_SCHEMAS},
        }
    )


@cache
def own_schemas() -> frozenset[str]:
    """Names that a skill's definitions can't have."""
    return frozenset(cast("Json", msgspec.json.decode(components()))["schemas"])


def _of_structs() -> Json:
    """The schemas of what is encoded from Structs, as callers see it."""
    kinds = [Task, TaskList, StreamResponse, SendMessageParams, ReceiptDocument]
    _, found = msgspec.json.schema_components(kinds, ref_template=_PREFIX + "{name}")
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
        name = value.removeprefix(_PREFIX)
        return _PREFIX + _RENAMED.get(name, name)
    return value


def _object(about: str, required: list[str], properties: Json, *, more: bool = True) -> Json:
    found: Json = {"type": "object", "description": about, "properties": properties}
    if required:
        found["required"] = required
    return found if more else {**found, "additionalProperties": False}


_TEXT: Json = {"type": "string"}
_TEXTS: Json = {"type": "array", "items": _TEXT}
_URL: Json = {"type": "string", "format": "uri"}

_HEADERS: Json = {
    name: {"description": about, "schema": schema}
    for name, about, schema in (
        ("A2A-Run", "The run.", _TEXT),
        ("A2A-Task", "The task.", _TEXT),
        ("A2A-Context", "The context.", _TEXT),
        ("A2A-Receipt", "The receipt, once the run has ended.", _TEXT),
        ("ETag", "Of this version.", _TEXT),
        ("Location", "Where the task is.", _URL),
        ("Content-Disposition", "An attachment, with its name.", _TEXT),
        ("Retry-After", "Seconds to wait.", {"type": "integer", "minimum": 1}),
        ("WWW-Authenticate", "How to prove who calls.", _TEXT),
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
        "reason": _TEXT,
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
    "IfNoneMatch": {
        "name": "If-None-Match",
        "in": "header",
        "description": "The ETag of what the caller has.",
        "schema": _TEXT,
    },
}

_SCHEMAS: Json = {
    "Version": {"description": "A version of A2A.", "type": "string", "enum": ["1.0"]},
    "Narrowing": _NARROWING,
    "Problem": _object(
        "What went wrong (RFC 9457): a code that stays, a sentence, and what to do next.",
        ["type", "title", "status", "detail", "code"],
        {
            "type": _TEXT,
            "title": _TEXT,
            "status": {"type": "integer"},
            "detail": _TEXT,
            "code": _TEXT,
            "remedy": _TEXT,
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
                    "status": _TEXT,
                    "message": _TEXT,
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
            "run_id": _TEXT,
            "task_id": _TEXT,
            "context_id": _TEXT,
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
        {"text": _TEXT, "schema": {}},
    ),
    "Approval": _object(
        "What the run asks for, and somebody has to allow.",
        ["id", "text"],
        {
            "id": _TEXT,
            "text": _TEXT,
            "reason": _TEXT,
            **dict.fromkeys(("read", "write", "skills", "egress"), _TEXTS),
        },
    ),
    "HookAnswer": _object(
        "The run that the delivery led to; or the answer to a sender that tries the address.",
        [],
        {
            "run_id": _TEXT,
            "task_id": _TEXT,
            "context_id": _TEXT,
            "pong": {"type": "boolean"},
            "challenge": _TEXT,
        },
    ),
    "AgentCard": _object(
        "The AgentCard of A2A 1.0.",
        ["name", "description", "version", "supportedInterfaces", "capabilities", "skills"],
        {
            "name": _TEXT,
            "description": _TEXT,
            "version": _TEXT,
            "supportedInterfaces": {"type": "array", "items": {"type": "object"}},
            "capabilities": {"type": "object"},
            "defaultInputModes": _TEXTS,
            "defaultOutputModes": _TEXTS,
            "skills": {"type": "array", "items": {"type": "object"}},
        },
    ),
}
