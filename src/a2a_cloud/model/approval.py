"""A permission that a run lacks and asks for: who wants what and why, who has to agree, what came of it
(docs/approvals.md)."""

from __future__ import annotations

from enum import StrEnum
from typing import Any

from msgspec import Struct

from a2a_cloud.model.grant import Patterns, Widening
from a2a_cloud.model.stamp import stamp

#: Prefix of an approval's id.
PREFIX = "appr"
#: Who ended an approval when no person did.
BY_RULES = "rules"
BY_DEADLINE = "deadline"
BY_RUN = "run"


class ApprovalState(StrEnum):
    """`withdrawn`: the run ended before anybody decided."""

    OPEN = "open"
    APPROVED = "approved"
    DENIED = "denied"
    EXPIRED = "expired"
    WITHDRAWN = "withdrawn"


class Verdict(StrEnum):
    """What one person says."""

    APPROVE = "approve"
    DENY = "deny"


class Risk(StrEnum):
    """How much harm a request could do, from its text alone; docs/approvals.md has the table."""

    LOW = "low"
    MEDIUM = "medium"
    HIGH = "high"


class Ask(Struct, frozen=True):
    """What a run asks for. `requester` is `name@org` of whom the run acts for; `seconds` 0: as long as
    the run."""

    org_no: int
    run: str
    task: str
    agent: str
    skill: str
    requester: str
    wanted: Widening
    reason: str = ""
    seconds: int = 0


class Vote(Struct, frozen=True):
    """One person's decision. `granted` and `seconds` are what they would allow; nothing when they deny."""

    by: str
    at: float
    verdict: Verdict
    note: str = ""
    granted: Widening = Widening()
    seconds: int = 0


class Approval(Struct, frozen=True, kw_only=True):
    """A request and its story.

    Times are wall seconds. `needed` is how many people have to agree, `own` whether the requester may be
    one of them, `rule` the rule that said so ("": none did). `seconds` is how long the permission holds, at
    most while it is open; 0: as long as the run. `granted` is empty unless approved. `ended_by` is
    `name@org`, or one of BY_RULES, BY_DEADLINE, BY_RUN. `no` counts up in the order of the commits, 0
    before there was one.
    """

    id: str
    org_no: int
    run: str
    task: str
    agent: str
    skill: str
    requester: str
    asked: Widening
    reason: str
    risk: Risk
    created: float
    deadline: float
    needed: int = 1
    own: bool = False
    rule: str = ""
    state: ApprovalState = ApprovalState.OPEN
    votes: tuple[Vote, ...] = ()
    granted: Widening = Widening()
    seconds: int = 0
    ended: float | None = None
    ended_by: str = ""
    no: int = 0

    @property
    def open(self) -> bool:
        """Nobody has decided yet."""
        return self.state is ApprovalState.OPEN

    @property
    def missing(self) -> int:
        """How many people have yet to agree."""
        return max(0, self.needed - len(self.votes)) if self.open else 0


def patterns_of(widening: Widening) -> list[tuple[str, Patterns]]:
    """(`read`, its patterns) and so on, for the kinds that name something."""
    kinds = (
        ("read", widening.read),
        ("write", widening.write),
        ("skills", widening.skills),
        ("egress", widening.egress),
    )
    return [(kind, patterns) for kind, patterns in kinds if patterns]


def brief(widening: Widening) -> str:
    """`read finance/**; egress api.example.com`, or `nothing`."""
    return "; ".join(f"{kind} {', '.join(each)}" for kind, each in patterns_of(widening)) or "nothing"


def story(approval: Approval) -> list[dict[str, str]]:
    """What happened, in order: {at, by, what}."""
    rule = approval.rule or "no rule"
    people = "two people" if approval.needed > 1 else "a person"
    lines = [
        (
            approval.created,
            approval.requester,
            f"{approval.agent}/{approval.skill} asked for {brief(approval.asked)} (risk {approval.risk})",
        )
    ]
    if approval.ended_by != BY_RULES:
        lines.append((approval.created, BY_RULES, f"{rule} decides: {people} must agree"))
    for vote in approval.votes:
        said = f"approved {brief(vote.granted)}" if vote.verdict is Verdict.APPROVE else "denied"
        lines.append((vote.at, vote.by, f"{said}: {vote.note}" if vote.note else said))
    if approval.ended is not None:
        lines.append((approval.ended, approval.ended_by, _end(approval, rule)))
    return [{"at": stamp(at), "by": by, "what": what} for at, by, what in lines]


def _end(approval: Approval, rule: str) -> str:
    if approval.state is ApprovalState.APPROVED:
        how_long = f"for {approval.seconds} s" if approval.seconds else "as long as the run"
        return f"{brief(approval.granted)} allowed, {how_long}" + (
            f" ({rule})" if approval.ended_by == BY_RULES else ""
        )
    if approval.state is ApprovalState.DENIED:
        return f"denied ({rule})" if approval.ended_by == BY_RULES else "denied"
    if approval.state is ApprovalState.EXPIRED:
        return "expired: nobody decided in time"
    return "withdrawn: the run ended"


def document(approval: Approval) -> dict[str, Any]:
    """An approval as programs read it: in the API, and in the webhook."""
    return {
        "id": approval.id,
        "no": approval.no,
        "state": approval.state.value,
        "run_id": approval.run,
        "task_id": approval.task,
        "agent": approval.agent,
        "skill": approval.skill,
        "requester": approval.requester,
        "asked": lists(approval.asked),
        "reason": approval.reason,
        "risk": approval.risk.value,
        "rule": approval.rule,
        "needed": approval.needed,
        "missing": approval.missing,
        "self": approval.own,
        "created": stamp(approval.created),
        "deadline": stamp(approval.deadline),
        "seconds": approval.seconds,
        "votes": [
            {
                "by": vote.by,
                "at": stamp(vote.at),
                "decision": vote.verdict.value,
                "note": vote.note,
                "granted": lists(vote.granted),
                "seconds": vote.seconds,
            }
            for vote in approval.votes
        ],
        "granted": lists(approval.granted) if approval.state is ApprovalState.APPROVED else None,
        "ended": stamp(approval.ended) if approval.ended is not None else None,
        "ended_by": approval.ended_by,
    }


def lists(widening: Widening) -> dict[str, list[str]]:
    """The four lists, empty ones too."""
    return {
        "read": list(widening.read),
        "write": list(widening.write),
        "skills": list(widening.skills),
        "egress": list(widening.egress),
    }
