"""Who decides in a test what `ctx.request_scope` asks for."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, replace
from typing import Any, cast

import msgspec

from a2a_cloud.agent.problem import BadDeclaration, ScopeDenied
from a2a_cloud.agent.scope import Scope
from a2a_cloud.model.grant import Widening
from a2a_cloud.model.problem import Problem as PlatformProblem
from a2a_cloud.model.run import EffectEnded, EffectStarted, RunEvent
from a2a_cloud.testing.agent_answers import NotAnswered, called
from a2a_cloud.wire.glob import check_globs, host_glob
from a2a_cloud.wire.worker import Trouble


@dataclass(frozen=True, slots=True)
class ScopeRequest:
    """One `ctx.request_scope`: what it asked for, and the Scope that was allowed (None: nothing was)."""

    read: tuple[str, ...] = ()
    write: tuple[str, ...] = ()
    skills: tuple[str, ...] = ()
    egress: tuple[str, ...] = ()
    reason: str = ""
    seconds: float = 0.0
    granted: Scope | None = None


Approve = bool | Callable[[ScopeRequest], Any]
"""True: everything is allowed as asked; False: denied. Or a function of the ScopeRequest: True or False,
a dict of what is allowed instead (`{"read": ["finance/may.csv"]}`), or a ScopeDenied to raise."""

_KINDS = ("read", "write", "skills", "egress")


def checked_approve(approve: Any) -> Approve:
    """The policy as it is. Raises BadDeclaration for what is none."""
    if isinstance(approve, bool) or callable(approve):
        return approve
    raise BadDeclaration(
        f"approve={approve!r} can't be used.",
        remedy="Write approve=True, approve=False, or a function of the request.",
    )


def request_of(body: bytes | msgspec.Raw) -> ScopeRequest:
    """What a scope effect asks for."""
    return msgspec.json.decode(body, type=ScopeRequest)


def unusable(request: ScopeRequest) -> Trouble | None:
    """What the platform answers to a request that nobody could approve."""
    try:
        check_globs((*request.read, *request.write, *request.skills))
        for host in request.egress:
            host_glob(host)
    except PlatformProblem as problem:
        return Trouble(problem.code, problem.detail, problem.remedy)
    return None


async def decide(approve: Approve | None, request: ScopeRequest) -> Widening | Trouble:
    """What is allowed, or the trouble that stands for a denial. Raises NotAnswered when the test does not
    say, and what its function raises."""
    if approve is None:
        wants = ", ".join(
            f"{kind}={list(getattr(request, kind))!r}" for kind in _KINDS if getattr(request, kind)
        )
        raise NotAnswered(
            f"The skill asks for more than it may do ({wants}; reason: {request.reason!r}), and the test "
            "does not decide.\nWrite agent.using(approve=True).call(…), approve=False, or a function of the "
            'ScopeRequest that returns True, False or what it allows: {"read": ["finance/may.csv"]}.'
        )
    try:
        said = await called(approve, request) if callable(approve) else approve
    except ScopeDenied as denied:
        said = denied
    if isinstance(said, ScopeDenied):
        return Trouble(said.code, said.detail, said.remedy)
    if said is True:
        return Widening(request.read, request.write, request.skills, request.egress)
    if said is False:
        return Trouble("scope_denied", "It was denied by the test.", "Go on without it, or ask for less.")
    if isinstance(said, Mapping) and set(cast("Mapping[Any, Any]", said)) <= set(_KINDS):
        return Widening(
            **{kind: tuple(patterns) for kind, patterns in cast("Mapping[str, Any]", said).items()}
        )
    raise AssertionError(
        f"approve returned {said!r}. Return True, False, a ScopeDenied, or a dict with some of "
        f"{', '.join(_KINDS)}."
    )


def scopes_of(events: Iterable[tuple[int, RunEvent]]) -> list[ScopeRequest]:
    """The requests in the order in which they were made, with what was allowed."""
    found: dict[int, ScopeRequest] = {}
    for seq, event in events:
        if isinstance(event, EffectStarted) and event.kind == "scope":
            found[seq] = request_of(event.input)
        elif isinstance(event, EffectEnded) and event.effect in found and not event.problem_code:
            granted = msgspec.json.decode(event.value, type=Scope)
            found[event.effect] = replace(found[event.effect], granted=granted)
    return list(found.values())
