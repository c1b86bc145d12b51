"""Money, as the platform has it: prices, accounts, budgets, and what calls are charged by."""

from __future__ import annotations

import asyncio
import logging
import sqlite3
from collections.abc import Callable
from pathlib import Path
from typing import NamedTuple

from a2a_cloud.control.billing.accounts import Accounts
from a2a_cloud.control.billing.books import Books
from a2a_cloud.control.billing.budgets import Budgets
from a2a_cloud.control.billing.clock import BillingClock, ClockRows
from a2a_cloud.control.billing.credits import Credits
from a2a_cloud.control.billing.holds import Billing
from a2a_cloud.control.billing.ledger import Ledger
from a2a_cloud.control.billing.prices import Prices
from a2a_cloud.control.billing.rails.prepaid import Prepaid
from a2a_cloud.control.billing.rows import BillingRows
from a2a_cloud.model.ports import Clock, Ids
from a2a_cloud.model.problem import BadSetting, Problem
from a2a_cloud.model.scope import SYSTEM
from a2a_cloud.settings.billing import Billing as BillingSettings
from a2a_cloud.storage.journal.port import Refusal
from a2a_cloud.storage.journal.process import ProcessJournal
from a2a_cloud.storage.journal.sqlite import SqliteJournal
from a2a_cloud.surface.billing_port import Money as Shown

log = logging.getLogger("a2a_cloud.billing")


class Money(NamedTuple):
    """All of it. `clock` is billing's own."""

    clock: BillingClock
    accounts: Accounts
    ledger: Ledger
    rail: Prepaid
    prices: Prices
    budgets: Budgets
    credits: Credits
    books: Books
    calls: Billing

    async def tend(self) -> None:
        """What has to be done now and then."""
        for tend in (self._sweep, self.credits.expire, self.books.tend):
            try:
                await tend()
            except (Problem, Refusal, sqlite3.Error) as problem:
                log.warning("Billing is not tended: %s", problem)

    async def _sweep(self) -> None:
        self.calls.sweep()
        self.budgets.sweep()


def shown_money(money: Money) -> Shown:
    """What the surface gets of it."""
    return Shown(money.prices, money.budgets, money.credits, money.books)


def money_of(
    settings: BillingSettings,
    rows: sqlite3.Connection,
    database: Path,
    journal: SqliteJournal | ProcessJournal,
    clock: Clock,
    ids: Ids,
    org_name: Callable[[int], str],
    org: int,
) -> Money:
    """Tie it. `clock` is one that is not turned; `org` the platform's own organisation. Raises BadSetting."""
    own = BillingClock(clock, ClockRows(rows), journal, movable=settings.test_clock)
    stored = BillingRows(rows)
    numbers = stored.numbers(SYSTEM)
    accounts = Accounts(stored, own, org_name, dict(settings.currencies), numbers["ledger_account"])
    for currency, scale in stored.scales(SYSTEM):
        if accounts.scale(currency) != scale:
            raise BadSetting(
                f"{currency} is counted with {scale} digits after the point in this data folder, and"
                f" A2A_CURRENCIES says {accounts.scale(currency)}.",
                remedy=f"Write {currency}:{scale} into A2A_CURRENCIES.",
            )
    ledger = Ledger(stored, accounts, journal, own, ids, numbers)
    rail = Prepaid(ledger, own)
    prices = Prices(stored, accounts, journal, own, settings.platform_share, numbers["price"])
    budgets = Budgets(stored, accounts, journal, own, numbers)
    money = Money(
        own,
        accounts,
        ledger,
        rail,
        prices,
        budgets,
        Credits(stored, ledger, rail, prices, budgets, own, ids),
        Books(stored, journal, own, database, org),
        Billing(stored, journal, own, prices, budgets, rail, accounts),
    )
    tasks: set[asyncio.Task[None]] = set()

    def moved() -> None:
        task = asyncio.ensure_future(money.tend())
        tasks.add(task)
        task.add_done_callback(tasks.discard)

    own.on_moved.append(moved)
    return money
