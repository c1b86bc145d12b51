"""Our database against the ledger's suite that we ship (src/a2a_cloud/testing/ledger.py)."""

from __future__ import annotations

from pathlib import Path

from a2a_cloud.control.billing.rows import BillingRows
from a2a_cloud.storage.journal.port import Journal
from a2a_cloud.storage.journal.sqlite import SqliteJournal
from a2a_cloud.storage.journal.writer import connect
from a2a_cloud.testing.ledger import LedgerSuite


class TestSqlite(LedgerSuite):
    """SQLite."""

    async def open(self, folder: Path) -> tuple[Journal, BillingRows]:
        journal = SqliteJournal(folder / "journal.db")
        return journal, BillingRows(connect(folder / "journal.db", readonly=True))
