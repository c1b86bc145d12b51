"""Problems as MCP writes them: JSON-RPC errors, and the HTTP statuses that go with them.

The range -32020 to -32099 is the specification's (2026-07-28, basic, "Error Codes"), so whatever has no
code of its own there carries its HTTP status as its code, outside of the reserved range.
"""

from __future__ import annotations

from typing import Any

from a2a_cloud.model.problem import (
    CapabilityRequired,
    ContentTypeNotSupported,
    HeaderMismatch,
    InvalidParams,
    InvalidRequest,
    Malformed,
    McpSessionNotFound,
    MethodNotFound,
    Problem,
    ProtocolVersionNotSupported,
    ResourceNotFound,
    RunNotFound,
    SkillNotFound,
    TaskNotFound,
)
from a2a_cloud.wire.mcp import SUPPORTED, encode

INVALID_PARAMS = -32602
_RESOURCE_NOT_FOUND = -32002  # until 2025-11-25
_STANDARD = frozenset({-32700, -32600, -32601, INVALID_PARAMS, -32603})
_OWN = (HeaderMismatch, CapabilityRequired, ProtocolVersionNotSupported)
#: What a client asked for by an id or a name that nothing has.
_UNKNOWN = (TaskNotFound, RunNotFound, SkillNotFound, ResourceNotFound)


def code_of(problem: Problem, *, modern: bool) -> int:
    """The error's code."""
    if isinstance(problem, ResourceNotFound) and not modern:
        return _RESOURCE_NOT_FOUND
    if isinstance(problem, _UNKNOWN):
        return INVALID_PARAMS
    if isinstance(problem, ContentTypeNotSupported) and problem.http == 400:  # 415 is of the body itself.
        return INVALID_PARAMS
    if isinstance(problem, _OWN):
        return problem.rpc
    if problem.rpc in _STANDARD and (problem.http in (400, 409, 500) or isinstance(problem, MethodNotFound)):
        return problem.rpc
    if isinstance(problem, McpSessionNotFound):
        return problem.rpc
    return problem.http


def status_of(problem: Problem, *, modern: bool) -> int:
    """The HTTP status of an answer that is this error."""
    if isinstance(problem, (*_OWN, Malformed, McpSessionNotFound)):
        return problem.http
    code = code_of(problem, modern=modern)
    if code == -32601:
        return 404 if modern else 200
    if code in (INVALID_PARAMS, _RESOURCE_NOT_FOUND):
        return 400 if modern else 200
    if isinstance(problem, InvalidRequest):
        return problem.http
    # What HTTP itself speaks of (credentials, sizes, queues) keeps its status; the rest is an answer.
    return 200 if code == -32603 else problem.http


def error_object(problem: Problem, *, modern: bool) -> dict[str, Any]:
    """`{code, message, data}`."""
    data: dict[str, Any] = {**problem.info, "code": problem.code}
    if problem.remedy:
        data["remedy"] = problem.remedy
    if isinstance(problem, ProtocolVersionNotSupported):
        data["supported"] = list(SUPPORTED)
    elif isinstance(problem, CapabilityRequired):
        data["requiredCapabilities"] = required(problem.info.get("capability", ""))
    if isinstance(problem, InvalidParams) and "field" in problem.info:
        data["field"] = problem.info["field"]
    return {"code": code_of(problem, modern=modern), "message": problem.sentence, "data": data}


def required(capability: str) -> dict[str, Any]:
    """ClientCapabilities with that capability alone."""
    inner: dict[str, Any] = {}
    if capability.startswith("extensions."):
        return {"extensions": {capability.removeprefix("extensions."): inner}}
    return {capability: inner}


def error(request_id: bytes, problem: Problem, *, modern: bool) -> bytes:
    """The answer that is this error; without an id where the request's can't be told."""
    body = encode(error_object(problem, modern=modern))
    name = b'"id":' + request_id + b"," if request_id else b""
    return b'{"jsonrpc":"2.0",' + name + b'"error":' + body + b"}"
