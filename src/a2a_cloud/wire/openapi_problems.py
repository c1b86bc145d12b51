"""Problems in an agent's OpenAPI document: which responses each kind of operation may have, by status and
code (docs/errors.md).
"""

from __future__ import annotations

from a2a_cloud.model import problem as p
from a2a_cloud.model.problem import Problem
from a2a_cloud.wire.openapi_shapes import Json, answer, header, ref

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
    p.RateLimited,
    p.Internal,
    p.Unavailable,
)
#: What may meet a request with a body.
_BODY: tuple[type[Problem], ...] = (p.Malformed, p.TooLarge, p.ContentTypeNotSupported)
#: What may meet a call before its run begins.
_CALL: tuple[type[Problem], ...] = (
    p.SkillNotFound,
    p.IdempotencyConflict,
    p.Busy,
    p.BudgetSpent,
    p.PaymentRequired,
    p.OverBudget,
    p.StorageFull,
)
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

#: What may meet the operations of each kind.
_FAMILIES: dict[str, tuple[type[Problem], ...]] = {
    "About": _DOOR,
    "Invoke": (*_DOOR, *_BODY, *_CALL, *_RUN),
    "Hook": (*_DOOR, p.NotFound, *_BODY, *_CALL),
    "Events": (*_DOOR, p.TaskNotFound, p.Busy),
    "Receipt": (*_DOOR, p.RunNotFound, p.ReceiptPending),
    "Proof": (*_DOOR, p.InvalidParams, p.RunNotFound, p.ReceiptPending, p.ProofPending),
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
    "Push": (*_DOOR, *_TASK, p.PushNotificationNotSupported),
    "PushBody": (*_DOOR, *_TASK, *_BODY, p.PushNotificationNotSupported, p.StorageFull),
    "ExtendedCard": (*_DOOR, p.VersionNotSupported, p.UnsupportedOperation),
    "Session": (*_DOOR, p.NotFound, p.SessionEnded),
    "SessionBody": (*_DOOR, *_BODY, p.StorageFull),
    "SessionMessage": (
        *_DOOR,
        p.NotFound,
        p.SessionEnded,
        *_BODY,
        *_CALL,
        p.TaskNotFound,
        p.UnsupportedOperation,
        p.ExtensionSupportRequired,
    ),
}
#: Those whose errors have A2A's shape.
_OF_A2A = frozenset({"Message", "Task", "TaskCancel", "TaskEvents", "Push", "PushBody", "ExtendedCard"})


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


def responses() -> Json:
    """The components that `problems` refers to."""
    return {
        f"{family}{status}": _problem(status, kinds, family in _OF_A2A)
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
