"""Who may do what, and why: each block's answer, with the pattern that decided it (`a2a grants explain`)."""

from __future__ import annotations

from collections.abc import Iterable

from a2a_cloud.control.grants.revocation import Standings
from a2a_cloud.control.grants.rows import GrantRow
from a2a_cloud.model.grant import READING, WRITING, AuditEntry, Explanation, Operation
from a2a_cloud.model.problem import Forbidden, Problem
from a2a_cloud.wire.glob import check_path
from a2a_cloud.wire.grant import Grant, KeyRing, open_signed, sign_again

_OF_PATHS = (*READING, *WRITING)
_REASONS = {
    "revoked": "it was revoked",
    "replaced": "it was replaced by another grant",
    "handover": "the platform did not make its last handover",
    "key": "the key that it was signed with is not in use any more",
}


def explain(
    target: str,
    operation: Operation,
    grants: Iterable[Grant],
    *,
    now: float,
    standings: Standings | None = None,
) -> list[Explanation]:
    """For each grant whether it allows `operation` on `target` now, and what each of its blocks says:
    those that allow it first. Raises InvalidParams for a target that is no path."""
    check_path(target)
    found = [_one(target, operation, grant, now, standings) for grant in grants]
    return sorted(found, key=lambda each: not each.allowed)


def explain_rows(
    target: str,
    operation: Operation,
    rows: Iterable[GrantRow],
    keys: KeyRing,
    *,
    now: float,
    standings: Standings | None = None,
) -> list[Explanation]:
    """The same for stored grants. One whose key is gone allows nothing, and says so. Raises InvalidParams."""
    check_path(target)
    found: list[Explanation] = []
    for row in rows:
        try:
            grant = open_signed(sign_again(row.blocks, keys), keys, now=now)
        except Forbidden as problem:
            why = _REASONS.get(problem.info.get("reason", ""), problem.detail)
            found.append(
                Explanation(
                    row.id, row.holder, row.run, row.subject, operation.value, target, False, f"no: {why}", ()
                )
            )
            continue
        found.append(_one(target, operation, grant, now, standings))
    return sorted(found, key=lambda each: not each.allowed)


def audit(
    grant: Grant, caller: str, operation: Operation, target: str, problem: Problem | None
) -> AuditEntry:
    """What the audit log keeps of one decision; `problem` is the refusal, None: it was allowed."""
    return AuditEntry(
        grant=grant.id,
        root=grant.root.root_id,
        blocks=grant.hashes,
        caller=caller,
        operation=operation.value,
        target=target,
        allowed=problem is None,
        reason="" if problem is None else problem.info.get("reason", problem.code),
    )


def _one(
    target: str, operation: Operation, grant: Grant, now: float, standings: Standings | None
) -> Explanation:
    verdicts = tuple(block.explain(at, operation, target) for at, block in enumerate(grant.blocks))
    against = next((each for each in verdicts if not each.allowed), None)
    begins = max(block.nbf for block in grant.blocks)
    refusal = standings.state(grant.root.root_id, grant.ids, now) if standings else ""
    if now >= grant.exp:
        reason = "no: it has ended"
    elif now < begins:
        reason = "no: it has not begun"
    elif refusal:
        reason = f"no: {_REASONS.get(refusal, refusal)}"
    elif against is not None:
        reason = f"no: block {against.block} ({against.by}): {against.reason}"
    else:
        last = verdicts[-1]
        reason = f"yes: every block allows it; the last one, because {last.reason}"
    return Explanation(
        grant=grant.id,
        holder=grant.holder,
        run=grant.run,
        subject=grant.root.sub,
        operation=operation.value,
        target=target,
        allowed=reason.startswith("yes"),
        reason=reason,
        verdicts=verdicts,
    )
