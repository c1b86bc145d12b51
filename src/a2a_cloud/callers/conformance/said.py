"""What a server says when it refuses: one name for each error of A2A 1.0 (section 5.4), whichever binding
carried it."""

from __future__ import annotations

from typing import Any, Final

from a2a_cloud.client.shapes import obj, objs, text

DOMAIN: Final = "a2a-protocol.org"
#: JSON-RPC code → name; the names of A2A's own errors are the reasons of their ErrorInfo.
BY_CODE: Final = {
    -32001: "TASK_NOT_FOUND",
    -32002: "TASK_NOT_CANCELABLE",
    -32003: "PUSH_NOTIFICATION_NOT_SUPPORTED",
    -32004: "UNSUPPORTED_OPERATION",
    -32005: "CONTENT_TYPE_NOT_SUPPORTED",
    -32006: "INVALID_AGENT_RESPONSE",
    -32007: "EXTENDED_AGENT_CARD_NOT_CONFIGURED",
    -32008: "EXTENSION_SUPPORT_REQUIRED",
    -32009: "VERSION_NOT_SUPPORTED",
    -32700: "PARSE_ERROR",
    -32600: "INVALID_REQUEST",
    -32601: "METHOD_NOT_FOUND",
    -32602: "INVALID_PARAMS",
    -32603: "INTERNAL_ERROR",
}
#: HTTP status of each of A2A's errors, and its gRPC code.
MAPPED: Final = {
    "TASK_NOT_FOUND": (404, "NOT_FOUND"),
    "TASK_NOT_CANCELABLE": (400, "FAILED_PRECONDITION"),
    "PUSH_NOTIFICATION_NOT_SUPPORTED": (400, "FAILED_PRECONDITION"),
    "UNSUPPORTED_OPERATION": (400, "FAILED_PRECONDITION"),
    "CONTENT_TYPE_NOT_SUPPORTED": (400, "INVALID_ARGUMENT"),
    "INVALID_AGENT_RESPONSE": (500, "INTERNAL"),
    "EXTENDED_AGENT_CARD_NOT_CONFIGURED": (400, "FAILED_PRECONDITION"),
    "EXTENSION_SUPPORT_REQUIRED": (400, "FAILED_PRECONDITION"),
    "VERSION_NOT_SUPPORTED": (400, "FAILED_PRECONDITION"),
}
_BY_HTTP = {400: "INVALID_PARAMS", 422: "INVALID_PARAMS", 401: "UNAUTHENTICATED", 403: "PERMISSION_DENIED"}
_BY_GRPC = {
    "INVALID_ARGUMENT": "INVALID_PARAMS",
    "UNAUTHENTICATED": "UNAUTHENTICATED",
    "PERMISSION_DENIED": "PERMISSION_DENIED",
    "UNIMPLEMENTED": "METHOD_NOT_FOUND",
    "NOT_FOUND": "NOT_FOUND",
}
_KNOWN = frozenset(MAPPED)


class Refusal(Exception):
    """The server's error: `name` as above, `code` as the binding says it (-32001, 404, NOT_FOUND), `reason`
    of its ErrorInfo ("" without one), `said` the sentence, `number` of its HTTP status (0: none)."""

    def __init__(self, name: str, code: str, said: str, reason: str = "", number: int = 0) -> None:
        self.name = name
        self.code = code
        self.said = said
        self.reason = reason
        self.number = number
        super().__init__(f"{name} ({code}): {said}")


class Broken(Exception):
    """What came is no answer of A2A: not JSON, no HTTP, a stream of something else."""


def reason_of(details: Any) -> str:
    """The reason of the first google.rpc.ErrorInfo of A2A's domain, "" without one."""
    for detail in objs(details):
        if text(detail.get("@type")).endswith("google.rpc.ErrorInfo") and detail.get("domain") == DOMAIN:
            return text(detail.get("reason"))
    return ""


def of_jsonrpc(error: Any, number: int) -> Refusal:
    """The error member of a JSON-RPC answer."""
    found = obj(error)
    code = found.get("code")
    name = BY_CODE.get(code, "") if isinstance(code, int) else ""
    if number in (401, 403):
        name = _BY_HTTP[number]
    return Refusal(
        name or "UNKNOWN", text(code), text(found.get("message")), reason_of(found.get("data")), number
    )


def of_http(body: Any, number: int) -> Refusal:
    """The body of an HTTP+JSON answer of 400 and above (section 11.6)."""
    found = obj(obj(body).get("error"))
    reason = reason_of(found.get("details"))
    name = reason if reason in _KNOWN else _BY_HTTP.get(number, "NOT_FOUND" if number == 404 else "UNKNOWN")
    return Refusal(name, str(number), text(found.get("message")) or text(body)[:200], reason, number)


def of_grpc(code: str, said: str, reason: str) -> Refusal:
    """A gRPC status."""
    name = reason if reason in _KNOWN else _BY_GRPC.get(code, code)
    return Refusal(name, code, said, reason)
