"""Erasing what a run was told, said and did: the receipt stays, and says so (docs/receipts.md, "Erasing").

One write takes the payloads away with their salts, notes when and by whom, and is an event of the audit log.
What other runs said of it, copies of the platform, and what was sent elsewhere are out of its reach.
"""

from __future__ import annotations

import sqlite3
from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING, Any, NamedTuple

from a2a_cloud.model.problem import Internal, RunNotFound, RunOpen, TooLarge
from a2a_cloud.model.scope import SYSTEM, Scope
from a2a_cloud.model.stamp import stamp
from a2a_cloud.ops.clearing import Payloads, erase
from a2a_cloud.storage.journal.port import Op, Refusal, Statement
from a2a_cloud.storage.sql.audit import change
from a2a_cloud.storage.sql.reader import RunRow
from a2a_cloud.storage.sql.schema import SEQ_BITS

if TYPE_CHECKING:
    from a2a_cloud.runtime.runs import Runs

#: Runs that one request erases at most.
MOST = 1_000

ADD_ERASURE = Statement("add_erasure", "INSERT INTO erasure(run, org, at, made_by, reason) VALUES(?,?,?,?,?)")


class Erasure(NamedTuple):
    """That a run was erased: `at` in wall seconds, `by` as `name@org`."""

    run: int
    org: int
    at: float
    by: str
    reason: str


class ErasureRows:
    """The reads, over the reader's connection. Raises Internal when the database can't be read."""

    def __init__(self, connection: sqlite3.Connection) -> None:
        self._connection = connection

    def of(self, scope: Scope, run: int) -> Erasure | None:
        """The erasure of the run with that number, if there was one."""
        row = self._one("SELECT run, org, at, made_by, reason FROM erasure WHERE run=?", (run,), scope)
        return None if row is None else Erasure(*row)

    def last_event(self, scope: Scope, run: int) -> tuple[int, bytes] | None:
        """(id, body) of a run's last stored event."""
        bounds = (run << SEQ_BITS, (run + 1) << SEQ_BITS)
        row = self._one("SELECT id, body FROM event WHERE id>=? AND id<?", bounds, scope, " ORDER BY id DESC")
        return None if row is None else (row[0], row[1])

    def _one(self, sql: str, params: tuple[int, ...], scope: Scope, order: str = "") -> Any:
        where, more = ("", ()) if scope.system else (" AND org=?", (scope.org,))
        try:
            return self._connection.execute(f"{sql}{where}{order} LIMIT 1", (*params, *more)).fetchone()
        except sqlite3.Error as error:
            raise Internal("The stored rows could not be read.", operator=str(error)) from error


class Erasures:
    """One per platform. `hasten` has files that nothing refers to any more cleared away soon; `beside` takes
    away what others keep of a run, by its organisation and id."""

    def __init__(
        self,
        runs: Runs,
        rows: ErasureRows,
        hasten: Callable[[], None],
        beside: Callable[[int, str], Sequence[Op]] = lambda _org, _run: (),
    ) -> None:
        self._runs = runs
        self._rows = rows
        self._hasten = hasten
        self._beside = beside
        runs.notary.erased = self._told

    def _told(self, run: int) -> tuple[str, str] | None:
        """For a receipt: when and by whom."""
        found = self._rows.of(SYSTEM, run)
        return None if found is None else (stamp(found.at), found.by)

    def of(self, scope: Scope, run_id: str) -> Erasure | None:
        """The erasure of a run, if there was one. Raises RunNotFound."""
        row = self._row(scope, run_id)
        return self._rows.of(Scope(org=row.org), row.no)

    async def erase(
        self, scope: Scope, run_id: str, *, by: str, reason: str = "", tree: bool = False
    ) -> list[tuple[str, Erasure]]:
        """Erase a run; with `tree` also those that it called, as far as `scope` reaches. Each with its
        erasure, which may be an earlier one. Raises RunNotFound, RunOpen, TooLarge, StorageFull,
        Unavailable; then nothing was erased."""
        rows = [self._row(scope, run_id)]
        if tree:
            for row in rows:  # It grows.
                rows += self._runs.reader.children(scope, row.no)
                if len(rows) > MOST:
                    raise TooLarge(
                        f"The run called more than {MOST} others.",
                        remedy="Erase them one by one, children first.",
                    )
        for row in rows:
            if row.ended is None:
                raise RunOpen(
                    f"Run {row.id} has not ended.",
                    remedy=f"Wait for its end, or cancel it: a2a cancel {row.id}",
                )
        now = self._runs.clock.now()
        fresh = [row for row in rows if self._rows.of(Scope(org=row.org), row.no) is None]
        ops = [op for row in fresh for op in self._ops(row, now, by, reason)]
        if ops:
            try:
                await self._runs.journal.write(ops)
            except Refusal:
                if all(self._rows.of(Scope(org=row.org), row.no) is None for row in fresh):
                    raise
                # Somebody else erased one of them meanwhile: once more, without it.
                return await self.erase(scope, run_id, by=by, reason=reason, tree=tree)
            self._hasten()
        found: list[tuple[str, Erasure]] = []
        for row in rows:
            erasure = self._rows.of(Scope(org=row.org), row.no)
            assert erasure is not None
            found.append((row.id, erasure))
        return found

    def _ops(self, row: RunRow, now: float, by: str, reason: str) -> list[Op]:
        reader, scope = self._runs.reader, Scope(org=row.org)
        receipt = reader.receipt(scope, row.no)
        payloads = Payloads(
            row.no,
            row.org,
            row.owner,
            row.agent,
            reader.call(scope, row.no) or b"",
            self._rows.last_event(scope, row.no),
            receipt.sections if receipt is not None else None,
        )
        at = stamp(now)
        told = f"Erased at {at}: what this run was told, said and did."
        known = "" if receipt is None else "rcpt_" + receipt.id.hex()
        return [
            (ADD_ERASURE, (row.no, row.org, now, by, reason)),
            *erase(payloads, told),
            *self._beside(row.org, row.id),
            change(row.org, now, by, "run.erased", row.id, receipt=known, reason=reason),
        ]

    def _row(self, scope: Scope, run_id: str) -> RunRow:
        row = self._runs.reader.run(scope, run_id)
        if row is None:
            raise RunNotFound(
                f"There is no run {run_id[:80]!a}.", remedy="Check the id, and that the key is its owner's."
            )
        return row
