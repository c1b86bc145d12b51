"""Problems on the wire: RFC 9457 for our own routes, A2A 1.0 errors (sections 5.4, 9.5, 11.6) for A2A
routes.

Both lead with what a program can act on (`code`, google.rpc.ErrorInfo), then a sentence for people.
What only the operator may know is never written here.
"""

from __future__ import annotations

import math
from typing import Any

import msgspec

from a2a_cloud.model.problem import InvalidParams, Problem

PROBLEM_JSON = b"application/problem+json"
ERROR_INFO = "type.googleapis.com/google.rpc.ErrorInfo"
BAD_REQUEST = "type.googleapis.com/google.rpc.BadRequest"
RETRY_INFO = "type.googleapis.com/google.rpc.RetryInfo"
DOMAIN = "a2a-protocol.org"

_encode = msgspec.json.Encoder().encode
#: Members of RFC 9457 and of our own that a problem's `info` may not overwrite.
_OWN = frozenset({"type", "title", "status", "detail", "code", "remedy", "instance"})


def problem_json(problem: Problem) -> bytes:
    """The RFC 9457 body: `code`, `detail`, `remedy` and the problem's string facts as extension members."""
    body: dict[str, Any] = {
        "type": f"urn:a2a-cloud:problem:{problem.code}",
        "title": problem.title,
        "status": problem.http,
        "detail": problem.detail,
        "code": problem.code,
    }
    if problem.remedy:
        body["remedy"] = problem.remedy
    for name, value in problem.info.items():
        if name not in _OWN:
            body[name] = value
    return _encode(body)


def error_details(problem: Problem) -> list[dict[str, Any]]:
    """google.rpc details, ErrorInfo first: `data` of a JSON-RPC error, `details` of an HTTP one."""
    info: dict[str, Any] = {
        "@type": ERROR_INFO,
        "reason": problem.reason,
        "domain": DOMAIN,
        "metadata": problem.info,
    }
    if problem.remedy:
        info["metadata"] = {**problem.info, "remedy": problem.remedy}
    details = [info]
    if isinstance(problem, InvalidParams) and "field" in problem.info:
        violation = {"field": problem.info["field"], "description": problem.detail}
        details.append({"@type": BAD_REQUEST, "fieldViolations": [violation]})
    if problem.retry_after is not None:
        details.append({"@type": RETRY_INFO, "retryDelay": f"{problem.retry_after:g}s"})
    return details


def a2a_error(problem: Problem) -> bytes:
    """The body of an A2A HTTP+JSON error: `{"error": {code, status, message, details}}`."""
    return _encode(
        {
            "error": {
                "code": problem.http,
                "status": problem.grpc,
                "message": problem.sentence,
                "details": error_details(problem),
            }
        }
    )


def problem_headers(problem: Problem) -> list[tuple[bytes, bytes]]:
    """Headers that go with a problem in every dialect: the challenge of a 401, Retry-After."""
    headers: list[tuple[bytes, bytes]] = []
    if problem.http == 401:
        headers.append((b"www-authenticate", b'Bearer realm="a2a-cloud"'))
    if problem.retry_after is not None:
        headers.append((b"retry-after", str(max(1, math.ceil(problem.retry_after))).encode()))
    return headers
