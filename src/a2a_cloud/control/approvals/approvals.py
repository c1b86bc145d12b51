"""The approvals of all runs: asked, decided once, written down (docs/approvals.md).

The open ones are in memory, as a cache of the one writer; everything else is read from SQL. What a run
asks, and what becomes of it, is given out as statements, which the runtime writes together with the run's
own events, so that a permission and the grant that carries it are there together or not at all.
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Awaitable, Callable, Coroutine
from typing import Any

from a2a_cloud.control.approvals.ballot import counted, ended, filled, tally
from a2a_cloud.control.approvals.inbox import Inbox, unknown
from a2a_cloud.control.approvals.notices import DECIDED, OPENED, Notices
from a2a_cloud.control.approvals.policy import Decision, check_ask, decide, least, risk_of
from a2a_cloud.control.approvals.rows import ApprovalRows, add_approval, end_approval, put_vote
from a2a_cloud.control.approvals.rulebook import Rulebook
from a2a_cloud.model.approval import (
    BY_DEADLINE,
    BY_RULES,
    BY_RUN,
    PREFIX,
    Approval,
    ApprovalState,
    Ask,
    Verdict,
    Vote,
)
from a2a_cloud.model.grant import Widening
from a2a_cloud.model.ports import Clock, Ids
from a2a_cloud.model.principal import Permission, Principal
from a2a_cloud.model.problem import ApprovalClosed, Busy, Forbidden, Unavailable
from a2a_cloud.model.scope import SYSTEM, Scope
from a2a_cloud.model.stamp import stamp
from a2a_cloud.storage.journal.port import Journal, Op, Refusal
from a2a_cloud.storage.sql.audit import change

log = logging.getLogger("a2a_cloud.approvals")

#: Seconds that people have, unless a setting or a rule says otherwise.
DEADLINE = 86_400.0
#: How many may be open at once: of one run, and of one organisation.
MOST_OF_RUN = 16
MOST_OF_ORG = 5_000
_REMEMBERED = 1_000

#: Writes the end of an approval with what comes of it (the rotated grant, the effect's answer), in one
#: write; returns when that is on disk. Raises ApprovalClosed when the run waits no more.
OnDecided = Callable[[Approval, list[Op]], Awaitable[None]]


class Approvals:
    """See the module. Loop thread only."""

    def __init__(
        self,
        clock: Clock,
        ids: Ids,
        journal: Journal,
        rows: ApprovalRows,
        *,
        seconds: float = DEADLINE,
        notices: Notices | None = None,
    ) -> None:
        """`seconds`: how long people have by default. `notices` are told of each that opens or ends."""
        self._clock = clock
        self._ids = ids
        self._journal = journal
        self._rows = rows
        self._seconds = seconds
        self._notices = notices
        self.rulebook = Rulebook(clock, journal, rows)
        self.inbox = Inbox(rows)
        self._open: dict[str, Approval] = {}
        self._of_run: dict[str, set[str]] = {}
        self._of_org: dict[int, int] = {}
        self._locks: dict[str, asyncio.Lock] = {}
        #: Those whose end is being written → whether their run ended meanwhile.
        self._ending: dict[str, bool] = {}
        #: The last that ended, whose rows may not be on disk yet.
        self._ended: dict[str, Approval] = {}
        self._tasks: set[asyncio.Task[Any]] = set()
        #: Set by whoever runs the runs.
        self.on_decided: OnDecided | None = None

    def restore(self) -> list[Approval]:
        """Load the open ones and the rules from SQL: at start, once. The open ones, oldest first."""
        self.rulebook.restore()
        found = self._rows.every_open()
        for each in found:
            self._keep(each)
        return found

    # --- what runs ask ------------------------------------------------------------------------------

    def request(self, ask: Ask) -> tuple[Approval, list[Op]]:
        """What a run asks, decided by the rules or open, and the statements that write it down.

        When it is open, call `opened` once the write is on disk, or `forget` when it failed; when the
        rules decided it, `opened` too, which tells it on. Raises InvalidParams, and Busy where too many
        are open.
        """
        check_ask(ask)
        now = self._clock.now()
        risk = risk_of(ask.wanted)
        ruling = decide(self.rulebook.rules(ask.org_no), ask, risk)
        version = self.rulebook.text(ask.org_no).version
        new = Approval(
            id=self._ids.new(PREFIX),
            org_no=ask.org_no,
            run=ask.run,
            task=ask.task,
            agent=ask.agent,
            skill=ask.skill,
            requester=ask.requester,
            asked=ask.wanted,
            reason=ask.reason,
            risk=risk,
            created=now,
            deadline=now + (ruling.deadline or self._seconds),
            needed=2 if ruling.decision is Decision.ASK_TWO else 1,
            own=ruling.own,
            rule=f"{ruling.rule} of version {version}" if ruling.rule else "",
            seconds=least((ask.seconds, ruling.seconds)),
        )
        if ruling.decision is Decision.APPROVE:
            new = ended(new, ApprovalState.APPROVED, now, BY_RULES, granted=ask.wanted)
        elif ruling.decision is Decision.DENY:
            new = ended(new, ApprovalState.DENIED, now, BY_RULES)
        else:
            self._room(ask)
            self._keep(new)
        asked = change(new.org_no, now, new.requester, "approval.asked", new.id, run=new.run, agent=new.agent)
        return new, [*add_approval(new), asked, *([] if new.open else [_outcome(new)])]

    def _room(self, ask: Ask) -> None:
        if len(self._of_run.get(ask.run, ())) >= MOST_OF_RUN:
            raise Busy(
                f"The run waits for {MOST_OF_RUN} approvals already.",
                remedy="Ask for what it needs in one request.",
            )
        if self._of_org.get(ask.org_no, 0) >= MOST_OF_ORG:
            raise Busy(
                f"{MOST_OF_ORG} approvals of the organisation are open already.",
                remedy="Somebody has to decide some: a2a approvals ls",
            )

    def opened(self, approval: Approval) -> None:
        """A request is on disk: those who watch see it, and the webhook is told."""
        self.inbox.wake(approval.org_no)
        if self._notices is not None:
            self._notices.tell(OPENED if approval.open else DECIDED, approval)

    def forget(self, approval_id: str) -> None:
        """The write of a request failed: there is no such approval. Idempotent."""
        self._drop(approval_id)

    def withdraw(self, run: str) -> list[Op]:
        """A run ended: what it asked for is closed, with these statements, which belong into the same
        write as its end. What is being decided at this moment is left to that write."""
        ops: list[Op] = []
        now = self._clock.now()
        for ident in sorted(self._of_run.get(run, ())):
            if ident in self._ending:
                self._ending[ident] = True
                continue
            gone = ended(self._open[ident], ApprovalState.WITHDRAWN, now, BY_RUN)
            ops += [*end_approval(gone), _outcome(gone)]
            self._close(gone)
        return ops

    def open_of(self, run: str) -> list[Approval]:
        """What a run waits for, oldest first."""
        return [self._open[each] for each in sorted(self._of_run.get(run, ()))]

    # --- deciding -----------------------------------------------------------------------------------

    async def vote(
        self,
        approval_id: str,
        by: Principal,
        verdict: Verdict,
        *,
        narrowed: Widening | None = None,
        seconds: int | None = None,
        note: str = "",
    ) -> Approval:
        """One person's decision; returns when it, and what comes of it, is on disk.

        `narrowed`: what is allowed of what was asked, None for all of it; `seconds`: for how long, None for
        as long as was asked. The same decision said again by the same person gives the same outcome.
        Raises ApprovalNotFound, ApprovalClosed, Forbidden, InvalidParams, StorageFull, Unavailable.
        """
        if not by.may(Permission.DECIDE):
            raise Forbidden("Only admins decide approvals.", remedy="Use an admin's key.")
        vote = Vote(by.label, self._clock.now(), verdict, note.strip())
        return await self._carried_out(self._vote(approval_id, by.org_no, vote, narrowed, seconds))

    async def expire(self, approval_id: str) -> Approval:
        """The deadline is over. As `vote`: it ends once, and returns when that is on disk. Raises
        ApprovalNotFound, ApprovalClosed."""
        return await self._carried_out(self._expire(approval_id))

    def due(self, now: float) -> list[Approval]:
        """The open ones whose deadline is over, and that nobody is deciding."""
        return [each for each in self._open.values() if each.deadline <= now and each.id not in self._ending]

    async def _carried_out(self, work: Coroutine[Any, Any, Approval]) -> Approval:
        """What was begun is done, whether or not the one who asked for it stays."""
        task = asyncio.get_running_loop().create_task(work)
        self._tasks.add(task)
        task.add_done_callback(self._done)
        return await asyncio.shield(task)

    def _done(self, task: asyncio.Task[Any]) -> None:
        self._tasks.discard(task)
        if not task.cancelled():
            task.exception()  # Whoever waits gets it; nobody may be waiting any more.

    async def _vote(
        self, ident: str, org_no: int, vote: Vote, narrowed: Widening | None, seconds: int | None
    ) -> Approval:
        async with self._lock(ident):
            before = self._open.get(ident)
            if before is None or before.org_no != org_no:
                return self._said_again(ident, org_no, vote, narrowed)
            vote = filled(before, vote, narrowed, seconds)
            votes = counted(before, vote)
            after = tally(before, votes, vote.by, self._clock.now())
            if not after.open:
                return await self._end(before, after, [put_vote(after, vote), _told(before, vote)])
            if votes == before.votes:
                return before
            await self._journal.write([put_vote(before, vote), _told(before, vote)])
            if ident not in self._open:
                raise closed(self._stored(ident, org_no))
            self._open[ident] = after
            self.inbox.wake(org_no)
            return after

    def _said_again(self, ident: str, org_no: int, vote: Vote, narrowed: Widening | None) -> Approval:
        """A vote on what is not open: the outcome, when the same person said the same before."""
        found = self._stored(ident, org_no)
        wanted = ApprovalState.APPROVED if vote.verdict is Verdict.APPROVE else ApprovalState.DENIED
        for old in found.votes:
            same = narrowed is None or narrowed == old.granted
            if old.by == vote.by and old.verdict is vote.verdict and found.state is wanted and same:
                return found
        raise closed(found)

    async def _expire(self, ident: str) -> Approval:
        async with self._lock(ident):
            before = self._open.get(ident)
            if before is None:
                raise closed(self._stored(ident, None))
            after = ended(before, ApprovalState.EXPIRED, self._clock.now(), BY_DEADLINE)
            return await self._end(before, after, [_outcome(after)])

    async def _end(self, before: Approval, after: Approval, ops: list[Op]) -> Approval:
        """The one way in which an open approval is decided. When it fails, nothing was."""
        if self.on_decided is None:
            raise Unavailable("The platform is starting: nothing can be decided yet.", retry_after=1)
        self._ending[before.id] = False
        try:
            await self.on_decided(after, [*ops, *end_approval(after)])
        except BaseException as error:
            run_ended = self._ending.pop(before.id)
            if isinstance(error, Refusal):
                self._ended_in_sql(before)
            if run_ended or isinstance(error, ApprovalClosed):
                raise closed(await self._withdrawn(before)) from None
            raise
        del self._ending[before.id]
        self._close(after)
        return after

    def _ended_in_sql(self, before: Approval) -> None:
        """The database refused an end. Raises ApprovalClosed when it has one already: then what memory
        says is old. Else something else of that write was wrong, and it stays open."""
        found = self._rows.approval(Scope(org=before.org_no), before.id)
        if found is not None and not found.open:
            log.warning("approval %s had an end already", before.id)
            self._drop(before.id)
            raise closed(found) from None

    async def _withdrawn(self, before: Approval) -> Approval:
        """The run was gone when its approval was decided."""
        gone = ended(before, ApprovalState.WITHDRAWN, self._clock.now(), BY_RUN)
        await self._journal.write([*end_approval(gone), _outcome(gone)])
        self._close(gone)
        return gone

    async def close(self) -> None:
        """What is being decided is finished first; then the webhook is given up. The journal still works."""
        await asyncio.gather(*self._tasks, return_exceptions=True)
        if self._notices is not None:
            await self._notices.close()

    # --- what is in memory --------------------------------------------------------------------------

    def _lock(self, ident: str) -> asyncio.Lock:
        return self._locks.setdefault(ident, asyncio.Lock()) if ident in self._open else asyncio.Lock()

    def _stored(self, ident: str, org_no: int | None) -> Approval:
        """One that is not open any more. Raises ApprovalNotFound, and Unavailable before `restore`."""
        found = self._ended.get(ident)
        if found is None:
            found = self._rows.approval(SYSTEM if org_no is None else Scope(org=org_no), ident)
        if found is None or (org_no is not None and found.org_no != org_no):
            raise unknown(ident)
        if found.open:
            raise Unavailable("The platform is starting: nothing can be decided yet.", retry_after=1)
        return found

    def _keep(self, new: Approval) -> None:
        self._open[new.id] = new
        self._of_run.setdefault(new.run, set()).add(new.id)
        self._of_org[new.org_no] = self._of_org.get(new.org_no, 0) + 1

    def _drop(self, ident: str) -> None:
        old = self._open.pop(ident, None)
        if old is None:
            return
        self._locks.pop(ident, None)
        self._of_org[old.org_no] -= 1
        of_run = self._of_run[old.run]
        of_run.discard(ident)
        if not of_run:
            del self._of_run[old.run]

    def _close(self, after: Approval) -> None:
        self._drop(after.id)
        self._ended[after.id] = after
        if len(self._ended) > _REMEMBERED:
            del self._ended[next(iter(self._ended))]
        self.inbox.wake(after.org_no)
        if self._notices is not None:
            self._notices.tell(DECIDED, after)


def closed(found: Approval) -> ApprovalClosed:
    """The problem of deciding what was decided; it says by whom."""
    at = stamp(found.ended or 0.0)
    how = {
        ApprovalState.APPROVED: f"{found.ended_by} approved it at {at}",
        ApprovalState.DENIED: f"{found.ended_by} denied it at {at}",
        ApprovalState.EXPIRED: f"its deadline was over at {at}",
    }.get(found.state, f"the run that asked ended at {at}")
    if found.ended_by == BY_RULES:
        how = f"{found.rule} {found.state.value} it at {at}"
    return ApprovalClosed(
        f"{found.id} is closed: {how}.",
        remedy=f"See `a2a approvals show {found.id}`.",
        info={"state": found.state.value, "by": found.ended_by},
    )


def _outcome(approval: Approval) -> Op:
    """What became of one without a vote: rules decided it, its time was over, or its run ended."""
    told = {"run": approval.run, "agent": approval.agent, "rule": approval.rule}
    kind = f"approval.{approval.state.value}"
    return change(approval.org_no, approval.ended or 0.0, approval.ended_by, kind, approval.id, **told)


def _told(approval: Approval, vote: Vote) -> Op:
    what = {"run": approval.run, "agent": approval.agent, "note": vote.note}
    kind = "approval.approved" if vote.verdict is Verdict.APPROVE else "approval.denied"
    return change(approval.org_no, vote.at, vote.by, kind, approval.id, **what)
