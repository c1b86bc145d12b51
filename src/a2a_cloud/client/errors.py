"""What can go wrong on the way to a platform or an agent, and its problems read back (RFC 9457; A2A 1.0,
section 5.4).

    ClientError
    ├─ Unreachable · NotWaiting          of a platform
    ├─ ServerProblem                     the other side refused, or the run failed
    ├─ NoAnswer                          no agent answers there, or the connection broke
    ├─ BadAnswer                         what came is not what was asked for
    └─ NoCard · NoInterface · NotSpoken · Untrusted
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, cast

from a2a_cloud.client.profile import Target


class ClientError(Exception):
    """Anything that a caller has to expect."""


class Unreachable(ClientError):
    """No platform answers there, or the connection broke. `detail` says how."""

    def __init__(self, target: Target, detail: str) -> None:
        self.target = target
        self.detail = detail
        super().__init__(f"{target.url}: {detail}")


class NotWaiting(ClientError):
    """An answer was to be given, but the task waits for none: it is in `state`."""

    def __init__(self, state: str, run_id: str) -> None:
        self.state = state
        self.run_id = run_id
        super().__init__(state)


class AgentError(ClientError):
    """Something about an agent: `detail` says what, `remedy` what to do next."""

    code = "agent_error"

    def __init__(self, detail: str, remedy: str = "") -> None:
        self.detail = detail
        self.remedy = remedy
        super().__init__(f"{detail} {remedy}".strip())


class NoAnswer(AgentError):
    """No agent answers at `url`, or the connection broke. `sent`: the request may have got there."""

    code = "unreachable"

    def __init__(self, url: str, why: str, *, sent: bool = True) -> None:
        self.url = url
        self.why = why
        self.sent = sent
        super().__init__(f"No agent can be reached at {url}: {why}.")


class BadAnswer(AgentError):
    """What came is not what was asked for: another type, another shape, or too large."""

    code = "bad_answer"


class NoCard(AgentError):
    """There is no agent card, or it can't be read."""

    code = "no_card"


class NoInterface(AgentError):
    """The agent speaks nothing that this client speaks."""

    code = "no_interface"


class NotSpoken(AgentError):
    """The version that is spoken with the agent has no such operation."""

    code = "not_spoken"


class Untrusted(AgentError):
    """The card's signature does not hold, or there is none and one was asked for.

    `wrong`: a key that is known did not make it (and not only that its key is unknown).
    """

    code = "untrusted"

    def __init__(self, detail: str, remedy: str = "", *, wrong: bool = False) -> None:
        self.wrong = wrong
        super().__init__(detail, remedy)


@dataclass
class ServerProblem(ClientError):
    """The platform refused, or the run failed: its problem, read back."""

    status: int
    code: str
    detail: str
    remedy: str = ""
    run_id: str = ""
    retry_after: str = ""
    members: dict[str, Any] = field(default_factory=dict[str, Any])

    def __str__(self) -> str:
        return f"{self.detail} ({self.code})"


def read_problem(status: int, headers: Mapping[str, str], body: bytes) -> ServerProblem:
    """What an answer of 400 and above says, in either of the platform's two shapes, or in neither."""
    run_id = headers.get("A2A-Run", "")
    retry_after = headers.get("Retry-After", "")
    try:
        document: Any = json.loads(body)
    except (ValueError, RecursionError):
        document = None
    members: dict[str, Any] = cast("dict[str, Any]", document) if isinstance(document, dict) else {}
    error: Any = members.get("error")
    if isinstance(error, dict):
        a2a = cast("dict[str, Any]", error)
        code, info = _error_info(a2a.get("details"))
        remedy = str(info.get("remedy", ""))
        return ServerProblem(
            status,
            code or str(a2a.get("status", "")).lower() or f"http_{status}",
            str(a2a.get("message", "")).removesuffix(remedy).strip() or f"HTTP {status}",
            remedy,
            run_id or str(info.get("run_id", "")),
            retry_after,
            a2a,
        )
    if "code" in members or "detail" in members or "title" in members:
        return ServerProblem(
            status,
            str(members.get("code", f"http_{status}")),
            str(members.get("detail") or members.get("title") or f"HTTP {status}"),
            str(members.get("remedy", "")),
            run_id or str(members.get("run_id", "")),
            retry_after,
            members,
        )
    text = body[:200].decode("utf-8", "replace").strip()
    return ServerProblem(
        status, f"http_{status}", f"HTTP {status}" + (f": {text}" if text else ""), "", run_id, retry_after
    )


def _error_info(details: Any) -> tuple[str, dict[str, Any]]:
    for each in cast("list[Any]", details) if isinstance(details, list) else []:
        if isinstance(each, dict) and "reason" in each:
            info = cast("dict[str, Any]", each)
            metadata: Any = info.get("metadata")
            facts = cast("dict[str, Any]", metadata) if isinstance(metadata, dict) else {}
            return str(info["reason"]).lower(), facts
    return "", {}
