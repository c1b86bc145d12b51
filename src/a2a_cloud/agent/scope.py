"""`ctx.request_scope`: more than the run's grant allows, if somebody who may decide says yes."""

from __future__ import annotations

import math
from collections.abc import Iterable
from typing import TYPE_CHECKING, Any

import msgspec
from msgspec import Struct

from a2a_cloud.agent.problem import Problem
from a2a_cloud.agent.values import to_json

if TYPE_CHECKING:
    from a2a_cloud.agent.execution import Execution

#: One pattern, or several.
Patterns = str | Iterable[str]


class Scope(Struct, frozen=True, omit_defaults=True):
    """What was allowed, which may be less than was asked for. `grant` and `approval` are ids, `seconds` for
    how long from now (0: as long as the run)."""

    grant: str = ""
    approval: str = ""
    read: tuple[str, ...] = ()
    write: tuple[str, ...] = ()
    skills: tuple[str, ...] = ()
    egress: tuple[str, ...] = ()
    seconds: float = 0.0
    by: str = ""


_scope = msgspec.json.Decoder(Scope)


def asked(
    read: Patterns, write: Patterns, skills: Patterns, egress: Patterns, reason: str, seconds: float
) -> bytes:
    """A request as JSON. Raises Problem for what can't be one; what a pattern may be the runtime says."""
    lists = {
        "read": _patterns("read", read),
        "write": _patterns("write", write),
        "skills": _patterns("skills", skills),
        "egress": _patterns("egress", egress),
    }
    if not any(lists.values()):
        raise Problem(
            "ctx.request_scope asks for nothing.",
            code="invalid_params",
            remedy='Name what the run needs, such as read="finance/**".',
        )
    if not math.isfinite(seconds) or seconds < 0:
        raise Problem(
            "`seconds` is how long the scope is needed; 0: as long as the run.", code="invalid_params"
        )
    return to_json({**lists, "reason": str(reason), "seconds": float(seconds)})


async def request(execution: Execution, body: bytes) -> Scope:
    """Ask, and wait for the decision, also over a restart. Raises ScopeDenied."""
    answer = await execution.effect("scope", "", body, body)
    try:
        return _scope.decode(answer)
    except msgspec.MsgspecError as error:
        raise Problem(f"The decision can't be read: {error}.") from None


def _patterns(name: str, given: Any) -> list[str]:
    patterns = [given] if isinstance(given, str) else list(given)
    if not all(isinstance(one, str) and one for one in patterns):
        raise Problem(
            f"`{name}` of ctx.request_scope is a pattern or a list of them.",
            code="invalid_params",
            remedy=f'Write {name}=["finance/**"].' if name in ("read", "write") else "",
        )
    return patterns
