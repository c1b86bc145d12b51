"""Votes: which count, and when they decide. Pure."""

from __future__ import annotations

from collections.abc import Sequence
from functools import reduce

import msgspec

from a2a_cloud.control.approvals.covering import common, outside
from a2a_cloud.control.approvals.policy import MOST_REASON, check_patterns, least
from a2a_cloud.model.approval import Approval, ApprovalState, Verdict, Vote, brief, patterns_of
from a2a_cloud.model.grant import Widening
from a2a_cloud.model.problem import Forbidden, InvalidParams


def ended(
    approval: Approval,
    state: ApprovalState,
    at: float,
    by: str,
    *,
    votes: tuple[Vote, ...] | None = None,
    granted: Widening | None = None,
    seconds: int | None = None,
) -> Approval:
    """The approval with its end."""
    return msgspec.structs.replace(
        approval,
        state=state,
        ended=at,
        ended_by=by,
        votes=approval.votes if votes is None else votes,
        granted=Widening() if granted is None else granted,
        seconds=approval.seconds if seconds is None else seconds,
    )


def filled(approval: Approval, vote: Vote, narrowed: Widening | None, seconds: int | None) -> Vote:
    """The vote with what it allows. Raises Forbidden for one's own request, and InvalidParams for what was
    not asked."""
    if len(vote.note) > MOST_REASON:
        raise InvalidParams(
            f"The note has {len(vote.note)} characters; {MOST_REASON} are the most.", info={"field": "note"}
        )
    if vote.verdict is Verdict.DENY:
        if narrowed is not None or seconds is not None:
            raise InvalidParams("Who denies allows nothing.", remedy="Give a note alone, or approve a part.")
        return vote
    if vote.by == approval.requester and not approval.own:
        raise Forbidden(
            "Nobody approves their own request: this run acts for you.",
            remedy="Ask another admin, or write a rule with `self = true` (docs/approvals.md).",
        )
    granted = approval.asked
    if narrowed is not None:
        check_patterns(narrowed)
        beyond = outside(narrowed, approval.asked)
        if beyond is not None:
            kind, pattern = beyond
            raise InvalidParams(
                f"{pattern[:120]!a} is not within what was asked for {kind}: "
                f"{', '.join(getattr(approval.asked, kind)) or 'nothing'}.",
                remedy="Write a pattern that one of those covers as a whole.",
                info={"field": kind, "pattern": pattern[:200]},
            )
        granted = narrowed
    return msgspec.structs.replace(vote, granted=granted, seconds=_seconds(approval, seconds))


def _seconds(approval: Approval, seconds: int | None) -> int:
    most = approval.seconds
    if seconds is None:
        return most
    if seconds < 0 or (most and (seconds > most or seconds == 0)):
        asked = f"{most} seconds are" if most else "As long as the run is"
        raise InvalidParams(
            f"{asked} the most that this can be allowed for.",
            remedy=f"Write 1 to {most} seconds." if most else "Write 0 or more seconds.",
            info={"field": "seconds"},
        )
    return seconds


def counted(approval: Approval, vote: Vote) -> tuple[Vote, ...]:
    """All votes with this one, in the order of SQL; it replaces an earlier one of the same person. The same
    said again changes nothing."""
    for old in approval.votes:
        if old.by == vote.by and msgspec.structs.replace(old, at=vote.at) == vote:
            return approval.votes
    others = [old for old in approval.votes if old.by != vote.by]
    return tuple(sorted([*others, vote], key=lambda each: (each.at, each.by)))


def tally(approval: Approval, votes: tuple[Vote, ...], by: str, now: float) -> Approval:
    """What the votes make of an open approval; `by` has just voted. One who denies is enough; all that are
    needed must agree, and what they all allow is granted. Raises InvalidParams when that is nothing."""
    for vote in votes:
        if vote.verdict is Verdict.DENY:
            return ended(approval, ApprovalState.DENIED, now, vote.by, votes=votes)
    if len(votes) < approval.needed:
        return msgspec.structs.replace(approval, votes=votes)
    granted = reduce(common, (vote.granted for vote in votes))
    if not patterns_of(granted):
        raise InvalidParams(
            f"Nothing is left of what both allow: {_others(votes, by)}.",
            remedy="Approve a part of that, or deny.",
            info={"field": "read"},
        )
    seconds = least(vote.seconds for vote in votes)
    return ended(
        approval,
        ApprovalState.APPROVED,
        now,
        by,
        votes=votes,
        granted=granted,
        seconds=seconds,
    )


def _others(votes: Sequence[Vote], by: str) -> str:
    return "; ".join(f"{vote.by} approved {brief(vote.granted)}" for vote in votes if vote.by != by)
