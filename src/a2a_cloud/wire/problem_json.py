"""Problems on the wire: RFC 9457 for our own routes, A2A 1.0 errors (sections 5.4, 9.5, 11.6) for A2A
routes.

Both lead with what a program can act on (`code`, google.rpc.ErrorInfo), then a sentence for people.
What only the operator may know is never written here.
"""

from __future__ import annotations

import math
from typing import Any

import msgspec

from a2a_cloud.model.problem import InvalidParams, Problem, RateLimited, Unauthenticated

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


def problem_headers(problem: Problem, resource: str = "") -> list[tuple[bytes, bytes]]:
    """Headers that go with a problem in every dialect: the challenge of a 401, Retry-After, RateLimit.
    `resource`: where it is said how to get a token (RFC 9728), "" for nowhere."""
    headers: list[tuple[bytes, bytes]] = []
    if problem.http == 401:
        headers += _challenge(problem, resource)
    elif problem.http == 403 and "scope" in problem.info:
        scope = problem.info["scope"]
        told = f'Bearer realm="a2a-cloud", error="insufficient_scope", scope="{scope}"{_metadata(resource)}'
        headers.append((b"www-authenticate", told.encode("ascii", "replace")))
    if problem.retry_after is not None:
        headers.append((b"retry-after", str(max(1, math.ceil(problem.retry_after))).encode()))
    policy = problem.info.get("policy", "")
    if policy and isinstance(problem, RateLimited):
        # draft-ietf-httpapi-ratelimit-headers-11: which policy is used up, and when there is some again.
        name = policy.partition(";")[0]
        seconds = max(1, math.ceil(problem.retry_after or 1))
        headers.append((b"ratelimit-policy", policy.encode()))
        headers.append((b"ratelimit", f"{name};r=0;t={seconds}".encode()))
    return headers


def _challenge(problem: Problem, resource: str) -> list[tuple[bytes, bytes]]:
    """What a caller without a good key or token is told (RFC 9110, section 11.6.1)."""
    scheme, error, nonce = "Bearer", "", ""
    if isinstance(problem, Unauthenticated):
        scheme, error, nonce = problem.scheme, problem.error, problem.nonce
    told = f'{scheme} realm="a2a-cloud"'
    if error:
        told += f', error="{error}"'
    headers = [(b"www-authenticate", (told + _metadata(resource)).encode("ascii", "replace"))]
    if nonce:
        headers.append((b"dpop-nonce", nonce.encode()))
    return headers


def _metadata(resource: str) -> str:
    return f', resource_metadata="{resource}"' if resource else ""
