"""Approvals decided by message, in the words of wire/hitl: the same vote as `/api/v1/approvals`, under the
same rules about who may.

Whoever waits with the task gets the task back. Somebody else who may decide does not see it, so they get a
message that says what came of their decision.
"""

from __future__ import annotations

from typing import NamedTuple

from msgspec import UNSET

from a2a_cloud.model.approval import Approval, ApprovalState, Verdict
from a2a_cloud.model.problem import ApprovalNotFound, InvalidParams, TaskNotFound, Unauthenticated
from a2a_cloud.model.scope import owner_scope
from a2a_cloud.model.task import Message, Part, Role
from a2a_cloud.surface.a2a.checks import Caller
from a2a_cloud.surface.ports import Services
from a2a_cloud.wire.hitl import Decision
from a2a_cloud.wire.views import TaskView

_SAID = {
    ApprovalState.APPROVED: "It is approved: the run goes on.",
    ApprovalState.DENIED: "It is denied: the run goes on without it.",
    ApprovalState.EXPIRED: "Its time was over before.",
    ApprovalState.WITHDRAWN: "The run that asked has ended.",
}


class Decided(NamedTuple):
    """What came of a decision. `before` is the caller's own task as it was when it waited, None when the task
    is somebody else's."""

    approval: Approval
    before: TaskView | None


async def decide(services: Services, caller: Caller, message: Message, decision: Decision) -> Decided:
    """Casts the vote that a message carries; returns when what comes of it is on disk.

    Raises TaskNotFound, InvalidParams, Unauthenticated, Forbidden, ApprovalClosed, StorageFull, Unavailable.
    """
    task_id = "" if message.task_id is UNSET else message.task_id
    if not task_id:
        raise InvalidParams(
            "The message decides something and names no task.",
            remedy="Send the taskId of the task that waits.",
            info={"field": "message.taskId"},
        )
    release, principal = caller.release, caller.principal
    before: TaskView | None = None
    try:
        before = services.runs.task(owner_scope(principal, release.org_no), release.agent_no, task_id)
    except TaskNotFound:
        if principal.anonymous:
            raise
    if principal.anonymous:
        raise Unauthenticated(
            "Approvals are decided by people with a key.", remedy="Send a key as Authorization: Bearer KEY."
        )
    approvals = services.approvals
    try:
        if approvals is None:
            raise ApprovalNotFound("There are no approvals here.")
        asked = approvals.inbox.one(principal, decision.id)
        if asked.task != task_id or asked.agent != release.name:
            raise ApprovalNotFound("The task does not wait for that.")
    except ApprovalNotFound:
        if before is None:
            raise TaskNotFound(f"There is no task {task_id[:256]}.") from None
        raise InvalidParams(
            f"The task does not wait for the approval {decision.id[:100]}.",
            remedy="Send the id that stands in the metadata of the task's status message.",
        ) from None
    verdict = Verdict.APPROVE if decision.approved else Verdict.DENY
    return Decided(await approvals.vote(asked.id, principal, verdict, note=decision.reason), before)


def told(message: Message, approval: Approval) -> Message:
    """What somebody hears whose own the task is not."""
    said = _SAID.get(approval.state, "Your decision is kept; somebody else has to decide too.")
    return Message(message_id=f"{message.message_id}-decided", role=Role.AGENT, parts=[Part(text=said)])
