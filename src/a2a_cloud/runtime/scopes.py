"""`ctx.request_scope`: a run asks for more than its grant allows, and waits while somebody decides.

The organisation's rules may decide at once. Else the run is auth-required and parked: its request is an
item in the inbox. A decision exchanges the grant, and is written in one transaction with the request's end
and both grants' ids.
"""

from __future__ import annotations

import logging
import math
from collections.abc import Iterable
from typing import TYPE_CHECKING

import msgspec
from msgspec import UNSET, Struct

from a2a_cloud.model.approval import BY_RULES, Approval, ApprovalState, Ask
from a2a_cloud.model.card import HITL
from a2a_cloud.model.grant import Widening
from a2a_cloud.model.problem import ApprovalClosed, InvalidParams, Problem
from a2a_cloud.model.receipt import ApprovalEntry
from a2a_cloud.model.run import ApprovalEvent, EffectStarted, RunEvent, StatusEvent
from a2a_cloud.model.stamp import stamp
from a2a_cloud.model.task import Message, Part, Role, TaskState
from a2a_cloud.runtime.live import Question, Run
from a2a_cloud.storage.journal.port import Op
from a2a_cloud.wire import hitl
from a2a_cloud.wire.glob import check_globs, host_glob
from a2a_cloud.wire.worker import Trouble

if TYPE_CHECKING:
    from a2a_cloud.runtime.runs import Runs

log = logging.getLogger("a2a_cloud.approvals")

#: Seconds between looks at requests whose time is over.
DUE_SECONDS = 1.0
_MOST_PATTERNS = 64
_REASON = 2000
_LONGEST = 366 * 86400.0


class ScopeInput(Struct, forbid_unknown_fields=True):
    """`input` of a scope effect. `seconds` 0: as long as the run."""

    read: tuple[str, ...] = ()
    write: tuple[str, ...] = ()
    skills: tuple[str, ...] = ()
    egress: tuple[str, ...] = ()
    reason: str = ""
    seconds: float = 0.0


class ScopeValue(Struct):
    """What the skill hears of an approved request."""

    grant: str
    approval: str
    read: tuple[str, ...]
    write: tuple[str, ...]
    skills: tuple[str, ...]
    egress: tuple[str, ...]
    seconds: float


_input = msgspec.json.Decoder(ScopeInput)
_encode = msgspec.json.Encoder().encode


class Scopes:
    """See the module. One per engine."""

    def __init__(self, runs: Runs) -> None:
        self._runs = runs
        self._due = 0.0
        self._expiring: set[str] = set()

    def ask(self, run: Run, seq: int, started: EffectStarted) -> None:
        """Ask for what effect `seq` wants. Raises msgspec.MsgspecError for what nobody understands."""
        asked = _input.decode(started.input)
        runs = self._runs
        try:
            _check(asked)
            runs.granted.among(run, [])  # It stands, so there is something to widen.
            found, ops = runs.approvals.request(
                Ask(
                    org_no=run.task.org_no,
                    run=run.id,
                    task=run.task.id,
                    agent=run.call.release.name,
                    skill=run.call.skill,
                    requester=run.call.principal.label,
                    wanted=Widening(asked.read, asked.write, asked.skills, asked.egress),
                    reason=asked.reason[:_REASON],
                    seconds=math.ceil(min(max(asked.seconds, 0.0), _LONGEST)),
                )
            )
        except Problem as problem:
            trouble = Trouble(problem.code, problem.detail, problem.remedy)
            runs.frames.end_effect(run, seq, b"null", trouble)
            return
        run.ops += ops
        if not found.open:
            value, trouble = self._outcome(run, found)
            runs.frames.end_effect(run, seq, value, trouble)
            runs.when_written(run, lambda: runs.approvals.opened(found))
            return
        self._wait(run, seq, asked, found)

    def _wait(self, run: Run, seq: int, asked: ScopeInput, found: Approval) -> None:
        """Let the run wait: the request is visible once it is on disk."""
        runs = self._runs
        text = _sentence(asked)
        run.question = Question(seq, text, msgspec.Raw(b"{}"), found.id)
        facts = {
            "approval": found.id,
            "read": asked.read,
            "write": asked.write,
            "skills": asked.skills,
            "egress": asked.egress,
            "reason": asked.reason[:_REASON],
        }
        message = Message(
            message_id=runs.ids.new("msg"),
            role=Role.AGENT,
            parts=[Part(text=f"{text} Somebody must decide: a2a approvals show {found.id}")],
            context_id=run.context_id,
            task_id=run.task_id,
            metadata=msgspec.Raw(b'{"a2a-cloud/approval":' + _encode(facts) + b"}"),
        )
        if HITL in run.call.extensions:
            wants = {
                name: value for name, value in facts.items() if value and name not in ("approval", "reason")
            }
            hitl.carry(message, hitl.approval_request(found.id, f"{run.id}.{seq}", text, wants))
        run.append(
            StatusEvent(state=TaskState.AUTH_REQUIRED, at=runs.clock.now(), message=message, question=seq)
        )
        runs.when_written(run, lambda: runs.approvals.opened(found))
        runs.talk.park(run)

    async def decided(self, found: Approval, ops: list[Op]) -> None:
        """A request was decided, or its time is over: one write says so, exchanges the grant, and lets the
        run go on. Returns once it is on disk. Raises ApprovalClosed when no run waits for it any more."""
        run = self._runs.by_id.get(found.run)
        question = run.question if run is not None else None
        if run is None or question is None or question.approval != found.id or run.ending is not None:
            raise ApprovalClosed(
                f"The run {found.run} waits no more.", remedy="Nothing need be decided: see a2a approvals ls."
            )
        run.ops += ops
        value, trouble = self._outcome(run, found)
        run.question = None
        run.is_accepted = False
        run.state = TaskState.WORKING
        self._runs.talk.resume(run, question.effect, value, trouble)
        await run.accepted()

    def _outcome(self, run: Run, found: Approval) -> tuple[bytes, Trouble | None]:
        """(value, trouble) of the effect; an approval exchanges the grant."""
        now = self._runs.clock.now()
        prior = self._runs.granted.of(run).id
        grant_id = ""
        value, trouble = b"null", None
        if found.state is ApprovalState.APPROVED:
            try:
                issued = self._runs.granted.widen(run, found.granted, found.id, found.seconds)
            except Problem as problem:  # Revoked meanwhile, or too large by now.
                trouble = Trouble("scope_denied", problem.detail, problem.remedy)
            else:
                granted = found.granted
                grant_id = issued.id
                value = _encode(
                    ScopeValue(
                        grant_id,
                        found.id,
                        granted.read,
                        granted.write,
                        granted.skills,
                        granted.egress,
                        found.seconds,
                    )
                )
        else:
            code = "scope_expired" if found.state is ApprovalState.EXPIRED else "scope_denied"
            trouble = Trouble(code, _why(found), "Go on without it, or ask for less.")
        event = ApprovalEvent(
            approval=found.id,
            state=found.state.value,
            by=_deciders(found),
            at=now,
            grant=grant_id,
            prior=prior,
        )
        run.append(event)
        run.approvals = [*(run.approvals or ()), _entry(event)]
        return value, trouble

    def ended(self, run: Run) -> None:
        """The run ends while it waits: nobody need decide any more."""
        if run.question is not None and run.question.approval:
            run.ops += self._runs.approvals.withdraw(run.id)

    def sweep(self, now: float) -> None:
        """End requests whose time is over; `now` in monotonic seconds."""
        if now >= self._due:
            self._due = now + DUE_SECONDS
            for each in self._runs.approvals.due(self._runs.clock.now()):
                if each.id not in self._expiring:
                    self._expiring.add(each.id)
                    self._runs.workfiles.spawn(self._expire(each.id))

    async def _expire(self, approval_id: str) -> None:
        try:
            await self._runs.approvals.expire(approval_id)
        except ApprovalClosed:
            pass  # Somebody was faster.
        except Problem as problem:
            log.warning("approval %s can't be ended: %s", approval_id, problem)
        finally:
            self._expiring.discard(approval_id)


def _check(asked: ScopeInput) -> None:
    """Raises InvalidParams for patterns that are none, or nothing asked for."""
    patterns = (*asked.read, *asked.write, *asked.skills, *asked.egress)
    if not patterns:
        raise InvalidParams(
            "The skill asked for nothing.",
            remedy='Name what it needs: ctx.request_scope(read=["finance/**"]).',
        )
    if len(patterns) > _MOST_PATTERNS:
        raise InvalidParams(f"The skill asked for {len(patterns)} patterns; {_MOST_PATTERNS} are the most.")
    check_globs((*asked.read, *asked.write, *asked.skills))
    for host in asked.egress:
        host_glob(host)


def _deciders(found: Approval) -> str:
    people = ", ".join(dict.fromkeys(vote.by for vote in found.votes))
    return people or (found.rule if found.ended_by == BY_RULES else found.ended_by)


def _why(found: Approval) -> str:
    if found.state is ApprovalState.EXPIRED:
        return "Nobody decided in time."
    notes = "; ".join(vote.note for vote in found.votes if vote.note)
    return f"It was denied by {_deciders(found) or 'the rules'}{': ' + notes if notes else ''}."


def _sentence(asked: ScopeInput) -> str:
    wants = [
        f"{verb} {', '.join(patterns)}"
        for verb, patterns in (
            ("read", asked.read),
            ("write", asked.write),
            ("call", asked.skills),
            ("connect to", asked.egress),
        )
        if patterns
    ]
    why = f" ({asked.reason[:_REASON]})" if asked.reason else ""
    return f"The run asks to {' and to '.join(wants)}{why}."


def approvals_of(events: Iterable[tuple[int, RunEvent]]) -> list[ApprovalEntry]:
    """The decisions that a stored run's events tell of, for its receipt."""
    return [_entry(event) for _, event in events if isinstance(event, ApprovalEvent)]


def _entry(event: ApprovalEvent) -> ApprovalEntry:
    return ApprovalEntry(
        at=stamp(event.at), by=event.by, grant_id=event.grant or UNSET, id=event.approval, state=event.state
    )
