"""The one object through which runs get grants and use them: keys, standings, counts, caps and the audit
log tied together. Everything is in memory and on the loop's thread; what has to be stored comes back as
statements for the write of whoever asked, or goes into the journal by itself (audit, misuse).
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from contextlib import suppress

import msgspec

from a2a_cloud.control.grants.audit_log import MAX_TARGET, AuditLog, Submits
from a2a_cloud.control.grants.keys import GrantKeys
from a2a_cloud.control.grants.ledger import Ledger
from a2a_cloud.control.grants.mint import LONGEST, Grants, Holder, Issued
from a2a_cloud.control.grants.reader import GrantRows
from a2a_cloud.control.grants.revocation import GRACE, Standings
from a2a_cloud.control.grants.rows import END_GRANT, PUT_GRANT_USE, PUT_POLICY, GrantRow
from a2a_cloud.model.grant import (
    DEFAULT_DEPTH,
    AuditEntry,
    GrantSpec,
    Narrowing,
    Operation,
    Widening,
)
from a2a_cloud.model.ports import Clock, Ids
from a2a_cloud.model.problem import Forbidden, Internal, NotFound, Problem
from a2a_cloud.storage.journal.port import Op, Write
from a2a_cloud.wire.grant import Grant, open_signed

#: Who revokes the root of a grant that was used after it was replaced.
PLATFORM = "platform"


class Authority:
    """See the module. `agent` is an agent's service identity (`agent:ORG/NAME`), `subject` for whom a run
    acts (`name@org`), `run` a run's id, `org_no` an organisation's number. `size` is in bytes, `seconds`
    count from now."""

    def __init__(
        self,
        *,
        keys: GrantKeys,
        rows: GrantRows,
        journal: Submits,
        clock: Clock,
        ids: Ids,
        issuer: str,
        org_no: Callable[[str], int | None],
        max_depth: int = DEFAULT_DEPTH,
        grace: float = GRACE,
        on_audit: Callable[[AuditEntry], None] | None = None,
    ) -> None:
        """`issuer`: the platform's address. `org_no` gives an organisation's number by its name. Call
        `restore` before anything else."""
        self._clock = clock
        self._rows = rows
        self._journal = journal
        self._org_no = org_no
        self.standings = Standings(grace=grace, misused=self._misused)
        self.grants = Grants(keys, self.standings, clock, ids, issuer=issuer, max_depth=max_depth)
        self.ledger = Ledger()
        self.log = AuditLog(journal, on_audit)
        #: The most that an organisation's grants may allow, by its number.
        self.policies: dict[int, Narrowing] = {}
        #: Called when something was revoked, for what goes on under it without asking.
        self.on_revoked: Callable[[], None] = lambda: None

    def restore(self) -> None:
        """What the rows say, at start. Raises Internal when they can't be read."""
        now = self._clock.now()
        self.standings.load(self._rows.living_links(now), self._rows.living_ends(now - LONGEST))
        for row in self._rows.policies():
            try:
                self.policies[row.org] = msgspec.json.decode(row.body, type=Narrowing)
            except msgspec.MsgspecError as error:
                raise Internal(
                    f"The stored grant policy of organisation {row.org} can't be read.",
                    remedy="Restore the database from a backup.",
                    operator=str(error),
                ) from None

    def now(self) -> float:
        """Wall seconds by the clock that grants go by."""
        return self._clock.now()

    def sweep(self) -> None:
        """Forget what no living grant needs; now and then."""
        now = self._clock.now()
        self.standings.sweep(now, LONGEST)
        self.ledger.sweep(now)

    # --- getting ----------------------------------------------------------------------------------------

    def issue(
        self,
        *,
        org: str,
        org_no: int,
        agent: str,
        subject: str,
        run: str,
        spec: GrantSpec,
        seconds: float,
        base: int,
        caller: Narrowing | None,
        at: float | None = None,
    ) -> Issued:
        """The grant of a run that nobody's run called: what the agent declares, less what caller and
        organisation take away. `at`: when the run began (wall seconds), for a grant that is issued when it
        is first used. The row is `Issued.op`. Raises InvalidParams."""
        # Its row says who got what and when; an event beside it would be the same once more, and a group
        # commit more for each call.
        return self.grants.issue(
            Holder(org, org_no, agent, subject, run),
            spec,
            seconds=seconds,
            base=base,
            caller=caller,
            policy=self.policies.get(org_no),
            at=at,
        )

    def hand_over(
        self,
        *,
        token: str,
        parent: str,
        org: str,
        org_no: int,
        agent: str,
        subject: str,
        run: str,
        spec: GrantSpec,
        narrow: Narrowing | None = None,
        seconds: float | None = None,
    ) -> Issued:
        """The grant of a run that `parent`, an agent that holds `token`, called. Raises Forbidden,
        InvalidParams."""
        holder = Holder(org, org_no, agent, subject, run)
        try:
            issued = self.grants.hand_over(token, holder, spec, parent=parent, narrow=narrow, seconds=seconds)
        except Problem as problem:
            self._refused("hand_over", token, parent, run, "", agent, problem)
            raise
        self._note("hand_over", issued, parent)
        return issued

    def of_run(self, org_no: int, run: str, agent: str) -> list[Issued]:
        """The grants of a stored run, oldest first; the last one is what it holds. Empty when it has none.
        Raises Forbidden when the last one's key is gone."""
        stored = [row for row in self._rows.of_run(org_no, run) if row.holder == agent]
        found: list[Issued] = []
        for row in stored:
            try:
                token = self.grants.restore(row)
                grant = open_signed(token, self.grants.keys, now=self._clock.now())
            except Forbidden:
                if row is stored[-1]:
                    raise
                continue  # It was replaced, and is in the list for its id alone.
            self._remember(grant, row)
            if found and row.prior == found[-1].row.id:
                self._carry(found[-1].grant, grant, org_no)
            found.append(Issued(token, grant, row))
        return found

    # --- using ------------------------------------------------------------------------------------------

    def check(
        self, token: str, agent: str, run: str, operation: Operation, target: str, *, size: int = 0
    ) -> Grant:
        """Verify the grant, that it allows this, and count it. Raises Forbidden, InvalidParams for a target
        that is no path; both are in the audit log."""
        try:
            grant = self.grants.check(token, agent, operation, target, run=run)
            if grant.limits:
                self.ledger.spend(grant, self._number(grant.root.org), bytes=size)
        except Problem as problem:
            self._refused("check", token, agent, run, operation.value, target, problem)
            raise
        return grant

    def among(
        self, token: str, agent: str, run: str, operation: Operation, targets: Sequence[str]
    ) -> list[str]:
        """Those of `targets` (paths that exist) that it allows. Counts nothing. Raises Forbidden when the
        grant does not hold."""
        try:
            return self.grants.verify(token, agent, run=run).among(operation, targets)
        except Problem as problem:
            self._refused("check", token, agent, run, operation.value, "", problem)
            raise

    def use_ops(self) -> list[Op]:
        """Statements for what was counted since the last call."""
        return [(PUT_GRANT_USE, tuple(row)) for row in self.ledger.changed()]

    def refusals(self, run: str) -> list[AuditEntry]:
        """The last refusals of a run, oldest first: for its record."""
        return self.log.refusals(run)

    # --- replacing --------------------------------------------------------------------------------------

    def widen(
        self, token: str, org_no: int, agent: str, extra: Widening, *, approval: str, seconds: float | None
    ) -> Issued:
        """A grant in the place of this one, with what an approval adds. It ends with the old one, or after
        `seconds` when that is earlier; then `revert` goes back. Call `settled` once it is on disk. Raises
        Forbidden, InvalidParams."""
        return self._replace(
            token,
            agent,
            org_no,
            lambda: self.grants.replace(
                token, org_no, agent, extra=extra, approval=approval, seconds=seconds
            ),
        )

    def renew(self, token: str, org_no: int, agent: str, *, seconds: float) -> Issued:
        """A grant in the place of one that a run outlived while it waited. Call `settled`. Raises
        Forbidden when the old one does not stand."""

        def renewed() -> Issued:
            self._remember(open_signed(token, self.grants.keys, now=self._clock.now()))
            return self.grants.replace(token, org_no, agent, seconds=seconds, renew=True)

        return self._replace(token, agent, org_no, renewed)

    def revert(self, token: str, before: str, org_no: int, agent: str) -> Issued:
        """A grant in the place of `token`, which was widened for a time that is over: what the one before
        it (`before`) allowed. Call `settled`. Raises Forbidden when that one has ended as well."""
        return self._replace(
            token,
            agent,
            org_no,
            lambda: self.grants.revert(token, before, org_no, agent),
            counts=before,
        )

    def settled(self, issued: Issued) -> None:
        """What `widen`, `renew` or `revert` gave is on disk: the old grant ends after the grace."""
        self.grants.settled(issued)

    def _replace(
        self, token: str, agent: str, org_no: int, make: Callable[[], Issued], *, counts: str = ""
    ) -> Issued:
        try:
            issued = make()
            old = open_signed(counts or token, self.grants.keys, now=self._clock.now())
        except Problem as problem:
            self._refused("rotate", token, agent, "", "", "", problem)
            raise
        self._carry(old, issued.grant, org_no)
        self._note("rotate", issued, agent, issued.row.approval)
        return issued

    # --- ending -----------------------------------------------------------------------------------------

    def revoke(self, org_no: int, grant_id: str, by: str, reason: str) -> list[Op]:
        """End a grant and its tree, with a root's id its rotations too: in memory at once, on disk with
        these statements. Raises NotFound."""
        row = self._rows.grant(org_no, grant_id)
        if row is None:
            raise NotFound(
                "There is no such grant.", remedy="See `a2a grants ls`.", info={"grant_id": grant_id[:128]}
            )
        now = self._clock.now()
        self.standings.revoke(grant_id, now)
        self.on_revoked()
        self._event("revoke", row.run, row.id, row.root, by, org_no, reason)
        return [(END_GRANT, (grant_id, org_no, now, by, reason))]

    def _misused(self, grant_id: str, root: str) -> None:
        rows = {row.id: row for row in self._rows.by_id((grant_id, root))}
        row = rows.get(root) or rows.get(grant_id)
        if row is None:
            raise Internal("A grant was replaced and is not stored.", operator=f"{grant_id} of {root}")
        reason = f"{grant_id} was used after it was replaced: somebody has a copy"
        values = (root, row.org, self._clock.now(), PLATFORM, reason)
        self.on_revoked()
        self._event("revoke", row.run, grant_id, root, PLATFORM, row.org, reason)
        self._journal.submit(Write([(END_GRANT, values)], must=True))

    # --- the organisation's cap -------------------------------------------------------------------------

    def set_policy(self, org_no: int, policy: Narrowing, by: str) -> list[Op]:
        """The most that grants of the organisation may allow, from the next one on."""
        if policy.empty:
            self.policies.pop(org_no, None)
        else:
            self.policies[org_no] = policy
        body = msgspec.json.encode(policy).decode()
        self._event("policy", "", "", "", by, org_no, policy.reason)
        return [(PUT_POLICY, (org_no, body, self._clock.now(), by))]

    def rotate_key(self, org: str, org_no: int, by: str) -> str:
        """A new key that signs the organisation's grants from now on; its id. Those that there are go on
        with the earlier one. Raises Unavailable, InvalidParams while that of the last change is in use."""
        key = self.grants.keys.rotate(org)
        self._event("key", "", "", "", by, org_no, key.kid)
        return key.kid

    # --- inside -----------------------------------------------------------------------------------------

    def _remember(self, grant: Grant, row: GrantRow | None = None) -> None:
        """What memory may have forgotten of a grant that a waiting run still holds: that its handovers are
        ours, which of them were revoked, what was used of its limits."""
        known = {each.id: each for each in self._rows.by_id(grant.ids)}
        if row is not None:
            known[row.id] = row
        lines = (each for one in known.values() for each in one.line.split())
        ends = self._rows.ends({grant.root.root_id, *grant.ids, *lines})
        self.standings.load(known.values(), ends)
        if grant.limits:
            stored = self._rows.uses(limit.id for limit in grant.limits)
            self.ledger.restore(stored, max(grant.exp, self._clock.now() + 1))

    def _carry(self, old: Grant, new: Grant, org_no: int) -> None:
        if old.limits:
            self.ledger.carry(old, new, org_no)

    def _number(self, org: str) -> int:
        found = self._org_no(org)
        if found is None:
            raise Forbidden("The grant's organisation is not there any more.", info={"reason": "org"})
        return found

    def _note(self, kind: str, issued: Issued, caller: str, reason: str = "") -> None:
        row, now = issued.row, self._clock.now()
        self.log.add(
            AuditEntry(
                row.id,
                row.root,
                issued.grant.hashes,
                caller,
                "",
                row.holder,
                True,
                reason,
                kind,
                row.run,
                row.org,
                now,
            )
        )

    def _event(self, kind: str, run: str, grant: str, root: str, by: str, org_no: int, reason: str) -> None:
        now = self._clock.now()
        self.log.add(AuditEntry(grant, root, (), by, "", "", True, reason, kind, run, org_no, now))

    def _refused(
        self, kind: str, token: str, agent: str, run: str, operation: str, target: str, problem: Problem
    ) -> None:
        grant = None
        with suppress(Problem):  # One that can't be opened says nothing that could be believed.
            grant = open_signed(token, self.grants.keys, now=self._clock.now())
        # The caller's own organisation sees it: its name stands in the identity that was authenticated.
        org = agent.partition(":")[2].partition("/")[0]
        self.log.add(
            AuditEntry(
                grant.id if grant else "",
                grant.root.root_id if grant else "",
                grant.hashes if grant else (),
                agent,
                operation,
                target[:MAX_TARGET],
                False,
                problem.info.get("reason", problem.code),
                kind,
                run or (grant.run if grant else ""),
                self._org_no(org) or 0,
                self._clock.now(),
            )
        )
