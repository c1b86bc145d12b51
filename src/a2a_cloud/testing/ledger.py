"""The conformance suite of the ledger's store: what a database has to keep by itself, whatever writes to it.

Subclass `LedgerSuite` in a test module and give it `open`. The suite knows billing's statements by name and
its reads (control/billing/rows.py), and nothing of the database below.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Coroutine
from pathlib import Path
from typing import Any

from a2a_cloud.control.billing.rows import (
    ADD_ACCOUNT,
    ADD_BUDGET,
    ADD_ENTRY,
    ADD_GRANT,
    ADD_HOLD,
    ADD_HOLD_USE,
    ADD_PRICE,
    ADD_TXN,
    ADD_USAGE,
    ADD_USE,
    BURN,
    END_HOLD,
    BillingRows,
)
from a2a_cloud.model.scope import SYSTEM, Scope
from a2a_cloud.storage.journal.port import IN_ORDER, Journal, Op, Refusal, Statement

PAYER, OWNER, EURO = 1, 2, 3


def account(no: int, code: str, currency: str = "USD", *, org: int = 1, negative: int = 0) -> Op:
    """An account."""
    kind = code.partition("/")[0]
    return ADD_ACCOUNT, (no, code, org, 0, kind, currency, 2, "credit", negative, 1.0)


def entry(txn: int, line: int, of: int, amount: int, currency: str = "USD") -> Op:
    """A line of a transaction."""
    return ADD_ENTRY, (txn, line, 1, of, amount, currency)


def txn(no: int, kind: str = "credit", *, key: str = "", run: int | None = None) -> Op:
    """What closes one."""
    return ADD_TXN, (no, f"txn_{no}", 1, kind, key or f"k{no}", b"x", run, None, 1.0, "root", "")


def hold(run: int, amount: int, of: int | None = PAYER) -> Op:
    """What is set aside for a run."""
    return ADD_HOLD, (run, 1, of, 1, amount, 0, 1.0)


def end(run: int, state: str, captured: int = 0) -> Op:
    """The end of that."""
    return END_HOLD, (state, captured, 2.0, run, 1)


def change(name: str, text: str) -> Op:
    """Something that nobody may do."""
    return Statement(f"test_{name}", text, IN_ORDER), ()


class LedgerSuite:
    """What every database does."""

    async def open(self, folder: Path) -> tuple[Journal, BillingRows]:
        """The database under test in `folder`, which is empty."""
        raise NotImplementedError

    def tell(self, folder: Path, story: Callable[[Journal, BillingRows], Coroutine[Any, Any, None]]) -> None:
        """Run a story on a ledger with accounts, of which the first has 100."""

        async def told() -> None:
            journal, rows = await self.open(folder)
            try:
                await journal.write(
                    [
                        account(PAYER, "prepaid/a:USD"),
                        account(OWNER, "owner/a:USD", negative=1),
                        account(EURO, "owner/a:EUR", "EUR", negative=1),
                    ]
                )
                await journal.write([entry(1, 0, PAYER, 100), entry(1, 1, OWNER, -100), txn(1)])
                await story(journal, rows)
            finally:
                await journal.close()

        asyncio.run(told())

    async def refused(self, journal: Journal, *ops: Op) -> None:
        """The database refuses a write."""
        try:
            await journal.write(list(ops))
        except Refusal:
            return
        raise AssertionError(f"taken: {ops}")

    def of(self, rows: BillingRows, no: int) -> tuple[int, int]:
        """What an account has, and what is held of it."""
        row = rows.account_no(SYSTEM, no)
        assert row is not None
        return row.balance, row.held

    def test_a_transaction_moves_balances(self, tmp_path: Path) -> None:
        """By the sum of its entries."""

        async def story(journal: Journal, rows: BillingRows) -> None:
            assert self.of(rows, PAYER) == (100, 0)
            assert self.of(rows, OWNER) == (-100, 0)
            assert [one.amount for one in rows.entries(Scope(org=1), 1)] == [100, -100]

        self.tell(tmp_path, story)

    def test_entries_sum_to_nothing_in_each_currency(self, tmp_path: Path) -> None:
        """And a transaction has some."""

        async def story(journal: Journal, rows: BillingRows) -> None:
            await self.refused(journal, entry(2, 0, PAYER, 5), txn(2))
            await self.refused(journal, entry(2, 0, PAYER, 5), entry(2, 1, EURO, -5, "EUR"), txn(2))
            await self.refused(journal, txn(2))
            assert self.of(rows, PAYER) == (100, 0)

        self.tell(tmp_path, story)

    def test_an_entry_is_of_its_accounts_currency(self, tmp_path: Path) -> None:
        """And of an account that is there, and is not nothing."""

        async def story(journal: Journal, rows: BillingRows) -> None:
            await self.refused(journal, entry(2, 0, PAYER, 5), entry(2, 1, EURO, -5), txn(2))
            await self.refused(journal, entry(2, 0, PAYER, 5), entry(2, 1, 99, -5), txn(2))
            await self.refused(journal, entry(2, 0, PAYER, 0), txn(2))

        self.tell(tmp_path, story)

    def test_what_is_written_stays(self, tmp_path: Path) -> None:
        """Entries, transactions, prices and holds."""

        async def story(journal: Journal, rows: BillingRows) -> None:
            await journal.write([(ADD_PRICE, (1, 1, 1, "ask", 1, 2, "{}", 1.0, "root")), hold(7, 5)])
            for text in (
                "UPDATE ledger_entry SET amount=1 WHERE org=1",
                "DELETE FROM ledger_entry WHERE org=1",
                "UPDATE ledger_txn SET memo='x' WHERE org=1",
                "DELETE FROM ledger_txn WHERE org=1",
                "UPDATE price SET body='x' WHERE org=1",
                "DELETE FROM price WHERE org=1",
                "UPDATE ledger_hold SET amount=1 WHERE org=1",
                "DELETE FROM ledger_hold WHERE org=1",
            ):
                await self.refused(journal, change(text[:24], text))
            await self.refused(journal, entry(1, 2, PAYER, 5), entry(1, 3, OWNER, -5))
            await self.refused(journal, (ADD_PRICE, (2, 1, 1, "ask", 1, 2, "{}", 1.0, "root")))

        self.tell(tmp_path, story)

    def test_a_key_is_one_transaction(self, tmp_path: Path) -> None:
        """And a refused write moves nothing."""

        async def story(journal: Journal, rows: BillingRows) -> None:
            again = [entry(2, 0, PAYER, 5), entry(2, 1, OWNER, -5), txn(2, key="k1")]
            await self.refused(journal, *again)
            assert self.of(rows, PAYER) == (100, 0)
            found = rows.txn_by_key(SYSTEM, "k1")
            assert found is not None
            assert found.no == 1

        self.tell(tmp_path, story)

    def test_no_more_is_held_or_taken_than_is_there(self, tmp_path: Path) -> None:
        """But where an account may be below nothing."""

        async def story(journal: Journal, rows: BillingRows) -> None:
            await journal.write([hold(7, 60)])
            await self.refused(journal, hold(8, 41))
            await self.refused(journal, entry(2, 0, PAYER, -41), entry(2, 1, OWNER, 41), txn(2))
            assert self.of(rows, PAYER) == (100, 60)
            await journal.write([hold(8, 40)])
            await journal.write([end(7, "released")])
            assert self.of(rows, PAYER) == (100, 40)

        self.tell(tmp_path, story)

    def test_a_hold_ends_once_and_gives_no_more_than_it_is(self, tmp_path: Path) -> None:
        """Released ones give nothing; each run has one."""

        async def story(journal: Journal, rows: BillingRows) -> None:
            await journal.write([hold(7, 60)])
            await self.refused(journal, hold(7, 1))
            await self.refused(journal, end(7, "captured", 61))
            await self.refused(journal, end(7, "released", 1))
            charge = [entry(2, 0, PAYER, -50), entry(2, 1, OWNER, 50), txn(2, "charge", run=7)]
            await self.refused(journal, *charge)
            await journal.write([end(7, "captured", 50), *charge])
            assert self.of(rows, PAYER) == (50, 0)
            await self.refused(journal, end(7, "released"))

        self.tell(tmp_path, story)

    def test_a_budget_is_not_passed(self, tmp_path: Path) -> None:
        """By what is held and what was spent."""

        async def story(journal: Journal, rows: BillingRows) -> None:
            await journal.write(
                [
                    (ADD_BUDGET, (1, 1, "team", 50, "USD", 2, "day", "{}", 1.0, "root")),
                    (ADD_USE, (1, 1, 1, 0, "2026-01-01", 50)),
                    (ADD_USE, (1, 1, 1, 0, "2026-01-01", 50)),
                    hold(7, 30),
                    (ADD_HOLD_USE, (7, 1, 1)),
                ]
            )
            await self.refused(journal, hold(8, 21), (ADD_HOLD_USE, (8, 1, 1)))
            await journal.write([end(7, "captured", 20)])
            await self.refused(journal, hold(8, 31), (ADD_HOLD_USE, (8, 1, 1)))
            await journal.write([hold(8, 30), (ADD_HOLD_USE, (8, 1, 1))])
            use = rows.use_no(SYSTEM, 1)
            assert use is not None
            assert (use.spent, use.held) == (20, 30)

        self.tell(tmp_path, story)

    def test_credits_are_used_once(self, tmp_path: Path) -> None:
        """And usage is one row a line."""

        async def story(journal: Journal, rows: BillingRows) -> None:
            await journal.write(
                [(ADD_GRANT, (1, "credit_1", 1, PAYER, 1, 100, 100, 0, None, 1.0, "root", ""))]
            )
            await journal.write([(BURN, (60, 1, 1))])
            await self.refused(journal, (BURN, (41, 1, 1)))
            assert [one.rest for one in rows.grants(Scope(org=1), PAYER)] == [40]
            line: Any = (
                7,
                0,
                1,
                1,
                "ask",
                1,
                1,
                "",
                1.0,
                "completed",
                "call",
                "",
                "1",
                1,
                PAYER,
                5,
                "USD",
                2,
            )
            await journal.write([(ADD_USAGE, line)])
            await self.refused(journal, (ADD_USAGE, line))

        self.tell(tmp_path, story)

    def test_an_organisation_sees_its_own(self, tmp_path: Path) -> None:
        """Transactions in its accounts, and the lines in them."""

        async def story(journal: Journal, rows: BillingRows) -> None:
            await journal.write([account(4, "owner/b:USD", org=2, negative=1)])
            other = ADD_ENTRY, (2, 1, 2, 4, 5, "USD")
            await journal.write([entry(2, 0, PAYER, -5), other, txn(2)])
            assert [one.no for one in rows.txns(Scope(org=2), 99, 9)] == [2]
            assert [one.no for one in rows.txns(Scope(org=1), 99, 9)] == [2, 1]
            assert [one.amount for one in rows.entries(Scope(org=2), 2)] == [5]
            assert rows.txn(Scope(org=3), "txn_2") is None
            assert rows.account(Scope(org=2), "prepaid/a:USD") is None

        self.tell(tmp_path, story)
