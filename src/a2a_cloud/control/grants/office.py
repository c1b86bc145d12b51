"""Grants as people see and govern them: listed, shown block by block, explained, revoked, capped. Behind
`/api/v1/grants`; never a signature. Organisation-scoped: every method takes the organisation's number, and
`subject` where somebody may see only the grants of runs that act for them ("": all of the organisation)."""

from __future__ import annotations

import asyncio
from collections.abc import Mapping, Sequence
from typing import Any

import msgspec

from a2a_cloud.control.grants.audit_log import Submits
from a2a_cloud.control.grants.authority import Authority
from a2a_cloud.control.grants.declare import read_narrowing
from a2a_cloud.control.grants.explain import explain_rows
from a2a_cloud.control.grants.reader import GrantRows
from a2a_cloud.control.grants.rows import EndRow, GrantRow
from a2a_cloud.model.grant import (
    BlockFacts,
    Explanation,
    GrantBranch,
    GrantEnd,
    GrantFacts,
    Narrowing,
    Operation,
    RootBlock,
)
from a2a_cloud.model.ports import Clock
from a2a_cloud.model.problem import Forbidden, NotFound
from a2a_cloud.storage.journal.port import Op, Write
from a2a_cloud.wire.glob import check_path
from a2a_cloud.wire.grant import Grant, open_signed, sign_again
from a2a_cloud.wire.grant_block import Block, later_block, root_block

#: Grants of a tree, and of runs under way, that one answer looks at.
MOST_LINKS = 500
MOST_IN_USE = 5000
#: Grants that are explained before others get their turn on the loop.
_AT_A_TIME = 50


class GrantOffice:
    """See the module."""

    def __init__(self, authority: Authority, rows: GrantRows, journal: Submits, clock: Clock) -> None:
        self._authority = authority
        self._rows = rows
        self._journal = journal
        self._clock = clock

    # --- seeing -----------------------------------------------------------------------------------------

    def listed(
        self,
        org: int,
        *,
        subject: str = "",
        run: str = "",
        agent: str = "",
        before: str = "",
        limit: int = 50,
    ) -> list[GrantFacts]:
        """Newest first, `limit` at most. `agent` is a service identity, `before` the id of a grant. Raises
        NotFound for a `before` that is none."""
        place = self._row(org, before, subject) if before else None
        if run:
            found = [
                row
                for row in reversed(self._rows.of_run(org, run))
                if place is None or (row.created, row.id) < (place.created, place.id)
            ]
        else:
            # Who sees their own alone walks those, whoever holds them: an agent's may be anybody's.
            found = self._rows.grants(
                org,
                holder="" if subject else agent,
                subject=subject,
                before=place,
                limit=limit if not (subject and agent) else MOST_LINKS,
            )
        wanted = [
            row for row in found if (not subject or row.subject == subject) and agent in ("", row.holder)
        ]
        return [self._facts(row) for row in wanted[:limit]]

    def one(self, org: int, grant_id: str, subject: str = "") -> tuple[GrantFacts, list[BlockFacts]]:
        """A grant and its blocks, the first one first. Raises NotFound."""
        row = self._row(org, grant_id, subject)
        blocks = _blocks(row)
        grant = self._opened(row)
        used: dict[int, tuple[int, int]] = {}
        if grant is not None and grant.limits:
            stored = {each.id: each for each in self._rows.uses(limit.id for limit in grant.limits)}
            limited = [at for at, block in enumerate(blocks) if block.max_uses or block.max_bytes]
            for at, limit in zip(limited, grant.limits, strict=True):
                uses, size = self._authority.ledger.used(limit.id)
                written = stored.get(limit.id)
                used[at] = (
                    max(uses, written.uses if written else 0),
                    max(size, written.bytes if written else 0),
                )
        return self._facts(row), [
            BlockFacts(
                block.by,
                block.digest,
                msgspec.to_builtins(block.claims),
                *used.get(at, (0, 0)),
            )
            for at, block in enumerate(blocks)
        ]

    def tree(self, org: int, grant_id: str, subject: str = "") -> tuple[GrantBranch, bool]:
        """The tree that a grant belongs to, from its root, and whether it is whole: there are MOST_LINKS at
        most. Raises NotFound."""
        row = self._row(org, grant_id, subject)
        top = self._rows.grant(org, row.root)
        links = self._rows.links(org, row.root, MOST_LINKS)
        rows = [top, *links] if top is not None else links
        children: dict[str, list[GrantRow]] = {}
        known = {each.id for each in rows}
        for each in rows:
            above = each.parent or each.prior
            # What is above may be another organisation's, which this one does not see.
            children.setdefault(above if above in known else "", []).append(each)

        def branch(each: GrantRow) -> GrantBranch:
            return GrantBranch(self._facts(each), tuple(branch(one) for one in children.get(each.id, ())))

        first = top or children[""][0]
        return branch(first), len(links) < MOST_LINKS

    async def explain(
        self, org: int, target: str, operation: Operation, *, workspace: str = "", subject: str = ""
    ) -> tuple[list[Explanation], bool]:
        """Who may do it now, and why: an Explanation for each grant of a run under way, those that allow it
        first; and whether all were looked at (there are MOST_IN_USE at most). `workspace` "": any. Raises
        InvalidParams for a target that is no path."""
        now = self._clock.now()
        found = self._rows.in_use(org, now, MOST_IN_USE)
        replaced = {row.prior for row in found}
        wanted = [
            row
            for row in found
            if row.id not in replaced
            and (not subject or row.subject == subject)
            and (not workspace or _root(row).workspace == workspace)
        ]
        check_path(target)
        verdicts: list[Explanation] = []
        for at in range(0, len(wanted), _AT_A_TIME):
            verdicts += explain_rows(
                target,
                operation,
                wanted[at : at + _AT_A_TIME],
                self._authority.grants.keys,
                now=now,
                standings=self._authority.standings,
            )
            await asyncio.sleep(0)
        verdicts.sort(key=lambda each: not each.allowed)
        return verdicts, len(found) < MOST_IN_USE

    # --- governing --------------------------------------------------------------------------------------

    async def revoke(self, org: int, grant_id: str, by: str, reason: str) -> GrantFacts:
        """End a grant and its tree: with the next operation, and on disk when this returns. Raises
        NotFound, Unavailable."""
        await self._store(self._authority.revoke(org, grant_id, by, reason))
        return self._facts(self._row(org, grant_id))

    def policy(self, org: int) -> Narrowing:
        """The most that the organisation's grants may allow; an empty Narrowing: no cap."""
        return self._authority.policies.get(org, Narrowing())

    async def set_policy(self, org: int, table: Mapping[str, Any], by: str) -> Narrowing:
        """Set it, from the next grant on. Raises InvalidParams, Unavailable."""
        policy = read_narrowing(table, "The policy")
        await self._store(self._authority.set_policy(org, policy, by))
        return policy

    def rotate_key(self, org: str, org_no: int, by: str) -> str:
        """A new signing key; its id. Raises InvalidParams while the last change is too fresh, Unavailable."""
        return self._authority.rotate_key(org, org_no, by)

    async def _store(self, ops: Sequence[Op]) -> None:
        """What holds in memory already has to be written, if not now then when there is room."""
        stored: asyncio.Future[None] = asyncio.get_running_loop().create_future()

        def done(error: BaseException | None) -> None:
            if not stored.done():
                if error is None:
                    stored.set_result(None)
                else:
                    stored.set_exception(error)

        self._journal.submit(Write(ops, done, must=True))
        await stored

    # --- inside -----------------------------------------------------------------------------------------

    def _row(self, org: int, grant_id: str, subject: str = "") -> GrantRow:
        row = self._rows.grant(org, grant_id)
        if row is None or (subject and row.subject != subject):
            raise NotFound(
                "There is no such grant.", remedy="See `a2a grants ls`.", info={"grant_id": grant_id[:128]}
            )
        return row

    def _opened(self, row: GrantRow) -> Grant | None:
        keys = self._authority.grants.keys
        try:
            return open_signed(sign_again(row.blocks, keys), keys, now=self._clock.now())
        except Forbidden:
            return None

    def _facts(self, row: GrantRow) -> GrantFacts:
        grant = self._opened(row)
        ids = grant.ids if grant is not None else (row.id,)
        standings = self._authority.standings
        line = (*standings.line(ids), *row.line.split(), row.root)
        ends = self._rows.ends(set(line))
        state = self._state(row, grant, ends)
        return GrantFacts(
            id=row.id,
            root=row.root,
            parent=row.parent,
            prior=row.prior,
            run=row.run,
            holder=row.holder,
            subject=row.subject,
            approval=row.approval,
            workspace=_root(row).workspace,
            created=row.created,
            expires=float(row.expires),
            state=state,
            end=_end(ends) if ends and state == "revoked" else None,
        )

    def _state(self, row: GrantRow, grant: Grant | None, ends: Sequence[EndRow]) -> str:
        now = self._clock.now()
        if ends:
            return "revoked"
        if now >= row.expires:
            return "ended"
        if grant is None:
            return "key"
        if now < max(block.nbf for block in grant.blocks):
            return "not_yet"
        return self._authority.standings.state(row.root, grant.ids, now) or "active"


def _end(ends: Sequence[EndRow]) -> GrantEnd:
    first = min(ends, key=lambda each: each.at)
    return GrantEnd(first.id, first.at, first.by, first.reason)


def _blocks(row: GrantRow) -> list[Block]:
    """The stored blocks. Nobody acts on them here, so their key need not be there any more."""
    first, *later = row.blocks.split(".")[1:]
    return [root_block(first), *(later_block(text) for text in later)]


def _root(row: GrantRow) -> RootBlock:
    claims = _blocks(row)[0].claims
    assert isinstance(claims, RootBlock)
    return claims
