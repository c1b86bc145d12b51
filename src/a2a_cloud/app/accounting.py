"""What people see of billing, put together: usage, invoices, statements, billing's clock, prices on cards."""

from __future__ import annotations

import sqlite3
from pathlib import Path
from urllib.parse import urlsplit

from a2a_cloud.app.billing import Money
from a2a_cloud.control.billing.clock import BillingClock, Journal
from a2a_cloud.control.billing.invoice_rows import InvoiceRows
from a2a_cloud.control.billing.invoices import Invoices
from a2a_cloud.control.billing.payouts import Payouts
from a2a_cloud.control.billing.rows import BillingRows
from a2a_cloud.control.billing.shown import Shown
from a2a_cloud.control.billing.usage import Usage
from a2a_cloud.control.identity.keys import Identity
from a2a_cloud.model.invoice import Party
from a2a_cloud.model.ports import Clock, Ids
from a2a_cloud.ops.checks import Check
from a2a_cloud.settings import Settings
from a2a_cloud.surface.accounting_port import Accounting


def accounting_of(
    settings: Settings,
    database: Path,
    rows: sqlite3.Connection,
    journal: Journal,
    money: Money,
    *,
    clock: Clock,
    ids: Ids,
    identity: Identity,
) -> Accounting:
    """All of it. `clock` is the true one."""
    told, billing = settings.billing, money.clock
    host = urlsplit(settings.public_url).hostname or "a2a cloud"
    seller = Party(told.seller or host, told.address, told.tax_id)
    return Accounting(
        usage=Usage(database, clock),
        invoices=Invoices(database, InvoiceRows(rows), journal, billing, seller, told, identity.org_name),
        payouts=Payouts(
            database, BillingRows(rows), money.accounts, money.rail, billing, ids, identity.org_name
        ),
        clock=billing,
        shown=Shown(money.prices, clock),
    )


def checks(clock: BillingClock) -> list[Check]:
    """What `a2a doctor` says of billing's clock: nothing where it is the true one."""
    remedy = "Never bill with this data folder: A2A_TEST_CLOCK is for tests."
    if clock.movable:
        told = f"TEST CLOCK: billing's time can be put forward; it is {clock.ahead / 86_400:.1f} days ahead"
        return [Check("billing clock", "warn", told, remedy)]
    if clock.ahead:
        told = f"billing's time is {clock.ahead / 86_400:.1f} days ahead, left by a test clock"
        return [Check("billing clock", "warn", told, remedy)]
    return []
