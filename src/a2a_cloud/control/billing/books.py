"""The ledger as people see it: transactions, accounts, and whether it adds up."""

from __future__ import annotations

import asyncio
from pathlib import Path

from a2a_cloud.control.billing import check
from a2a_cloud.control.billing.check import Finding, Trial
from a2a_cloud.control.billing.ledger import Journal
from a2a_cloud.control.billing.rows import AccountRow, BillingRows, EntryRow, TxnRow
from a2a_cloud.model.ports import Clock
from a2a_cloud.model.problem import NotFound, RunNotFound
from a2a_cloud.model.scope import SYSTEM, Scope
from a2a_cloud.storage.sql.audit import change

#: Seconds between two trial balances.
TRIAL_SECONDS = 86_400.0


class Books:
    """See the module. `org` is the platform's own, whose log has the trial balances."""

    def __init__(self, rows: BillingRows, journal: Journal, clock: Clock, database: Path, org: int) -> None:
        self._rows = rows
        self._journal = journal
        self._clock = clock
        self._database = database
        self._org = org
        #: The last transaction of the last trial balance, and when the next is due; None: not looked yet.
        self._last = 0
        self._due: float | None = None
        self._tending = asyncio.Lock()

    def accounts(self, scope: Scope) -> list[AccountRow]:
        """An organisation's accounts."""
        return self._rows.accounts(scope)

    def txns(self, scope: Scope, before: int, most: int) -> list[tuple[TxnRow, list[EntryRow]]]:
        """Transactions that touch its accounts, the newest first, each with its lines in them."""
        return [(row, self._rows.entries(scope, row.no)) for row in self._rows.txns(scope, before, most)]

    def txn(self, scope: Scope, id_: str) -> tuple[TxnRow, list[EntryRow]]:
        """One of them. Raises NotFound."""
        row = self._rows.txn(scope, id_)
        if row is None:
            raise NotFound(f"There is no transaction {id_[:80]!r}.", remedy="See `a2a ledger ls`.")
        return row, self._rows.entries(scope, row.no)

    def run_no(self, scope: Scope, id_: str) -> int:
        """A run of the organisation's agents. Raises RunNotFound."""
        no = self._rows.run_no(scope, id_)
        if no is None:
            raise RunNotFound(f"There is no run {id_[:80]!r}.", remedy="See `a2a runs`.")
        return no

    def run_id(self, no: int) -> str:
        """The id of a transaction's run."""
        return self._rows.run_id(SYSTEM, no)

    def caller_no(self, org: int, name: str) -> int:
        """One of an organisation's callers. Raises NotFound."""
        no = self._rows.caller_no(Scope(org=org), name)
        if no is None:
            raise NotFound(
                f"Nobody there is called {name[:80]!r}.", remedy="See `a2a keys ls`, `a2a members ls`."
            )
        return no

    def caller_name(self, org: int, no: int) -> str:
        """How one of them is called."""
        return self._rows.caller_name(Scope(org=org), no)

    async def check(self) -> list[Finding]:
        """Whether the ledger adds up: every check, with what breaks it."""
        return await asyncio.to_thread(check.check, self._database)

    async def balance(self, by: str) -> Trial:
        """A trial balance, written into the log."""
        trial = await asyncio.to_thread(check.trial, self._database)
        told = {currency: str(amount) for currency, amount in trial.sums.items()}
        detail = {"txn": trial.txn, "accounts": len(trial.accounts), "sums": told, "sha256": trial.sha256}
        await self._journal.write(
            [change(self._org, self._clock.now(), by, "ledger.balanced", "ledger", **detail)]
        )
        self._last = trial.txn
        return trial

    async def tend(self) -> None:
        """A trial balance each day on which something moved."""
        async with self._tending:
            await self._tend()

    async def _tend(self) -> None:
        now = self._clock.now()
        if self._due is None:
            at, self._last = self._rows.balanced(Scope(org=self._org))
            self._due = at + TRIAL_SECONDS
        if now < self._due:
            return
        moved = self._rows.txns(SYSTEM, 2**62, 1)
        if moved and moved[0].no != self._last:
            await self.balance("platform")
        self._due = now + TRIAL_SECONDS  # Not before: what failed is tried again.
