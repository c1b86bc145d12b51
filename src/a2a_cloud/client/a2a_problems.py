"""Refusals of agents read back: JSON-RPC errors, google.rpc.Status, RFC 9457, and what older servers send
(A2A 1.0, sections 5.4, 9.5 and 11.6; 0.3.0, section 8).

A problem's code is ErrorInfo's reason when there is one, else the one of A2A's number, so that callers
tell `task_not_found` from `version_not_supported` whoever answers and however.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import Any

from a2a_cloud.client.a2a_shapes import Json, shown
from a2a_cloud.client.errors import ServerProblem, read_problem
from a2a_cloud.client.shapes import obj, objs, text
from a2a_cloud.model import problem as model

#: The numbers of JSON-RPC and of A2A, which mean the same in every generation.
_NUMBERS: dict[int, type[model.Problem]] = {
    cls.rpc: cls
    for cls in (
        model.Malformed,
        model.InvalidRequest,
        model.MethodNotFound,
        model.InvalidParams,
        model.Internal,
        model.TaskNotFound,
        model.TaskNotCancelable,
        model.PushNotificationNotSupported,
        model.UnsupportedOperation,
        model.ContentTypeNotSupported,
        model.InvalidAgentResponse,
        model.ExtendedAgentCardNotConfigured,
        model.ExtensionSupportRequired,
        model.VersionNotSupported,
    )
}
#: Names of errors as the official SDK's 0.3 server writes them over HTTP+JSON.
_NAMES = {f"{cls.__name__}Error": cls for cls in _NUMBERS.values()}


def rpc_problem(error: Json, status: int = 200, headers: Mapping[str, str] | None = None) -> ServerProblem:
    """The error object of a JSON-RPC answer that came with HTTP `status`."""
    headers = headers or {}
    number: Any = error.get("code")
    known = _NUMBERS.get(number) if isinstance(number, int) else None
    reason, facts, wait = _details(error.get("data"))
    remedy = text(facts.get("remedy"))
    detail = shown(error.get("message"), 2000).removesuffix(remedy).strip()
    code = reason or (known.code if known else f"rpc_{shown(number, 20)}")
    if status < 400:
        found = model.by_code(code) or known
        status = found.http if found else 500
    return ServerProblem(
        status,
        code,
        detail or code,
        remedy,
        headers.get("A2A-Run", "") or text(facts.get("run_id")),
        headers.get("Retry-After", "") or wait,
        error,
    )


def http_problem(status: int, headers: Mapping[str, str], body: bytes) -> ServerProblem:
    """What an answer of 400 and above says, in whatever shape."""
    try:
        document = obj(json.loads(body))
    except (ValueError, RecursionError):
        document = {}
    error = obj(document.get("error"))
    if error and (document.get("jsonrpc") or ("data" in error and "details" not in error)):
        return rpc_problem(error, status, headers)
    cls = _NAMES.get(text(document.get("type")))
    if cls is not None:
        detail = shown(document.get("message"), 2000) or cls.title
        return ServerProblem(status, cls.code, detail, "", "", headers.get("Retry-After", ""), document)
    if isinstance(document.get("code"), int) and document["code"] < 0:  # a JSON-RPC error without envelope
        return rpc_problem(document, status, headers)
    problem = read_problem(status, headers, body)
    problem.detail = shown(problem.detail, 2000)
    return problem


def _details(data: Any) -> tuple[str, Json, str]:
    """(reason, facts, seconds to wait) of google.rpc details; older servers' `data` is anything."""
    reason, facts, wait = "", {}, ""
    for each in objs(data):
        kind = text(each.get("@type")).rpartition(".")[2]
        if kind == "ErrorInfo" or (not kind and "reason" in each):
            reason = reason or shown(each.get("reason"), 80).lower()
            facts = facts or obj(each.get("metadata"))
        elif kind == "RetryInfo":
            wait = text(each.get("retryDelay")).removesuffix("s")
    return reason, facts, wait
