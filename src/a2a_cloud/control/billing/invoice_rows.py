"""Invoices in SQL: the documents, which never change, and the lines that they are made of, read from the
ledger.

What a document covers is a set of transactions that follows from four numbers (model.invoice.Bounds), so that
it can be read again at any time, nothing is in two of them, and what comes late is in the next one.
"""

from __future__ import annotations

import sqlite3
from typing import Any, NamedTuple

from a2a_cloud.model.invoice import Bounds, InvoiceAccount, InvoiceRow, Party
from a2a_cloud.model.scope import SYSTEM, Scope
from a2a_cloud.storage.journal.port import IN_ORDER, Statement

ADD_INVOICE = Statement(
    "add_invoice",
    "INSERT INTO invoice(no, org, number, at, since, after, until, through, document, sha256)"
    " VALUES(?,?,?,?,?,?,?,?,?,?)",
    IN_ORDER,
)
PUT_PARTY = Statement(
    "put_billing_party",
    "INSERT INTO billing_party(org, body, at, set_by) VALUES(?,?,?,?)"
    " ON CONFLICT(org) DO UPDATE SET body=excluded.body, at=excluded.at, set_by=excluded.set_by",
    IN_ORDER,
)

#: As it was called when it was charged, which its transaction says: a deleted agent's name is free again.
AGENT = (
    "COALESCE((SELECT CASE WHEN n.name='default' THEN '' ELSE n.name||'.' END"
    "||substr(x.memo, 1, instr(x.memo, '/')-1) FROM ledger_txn x JOIN org n ON n.no=u.org WHERE x.no=u.txn),"
    " '')"
)
#: Entries in an organisation's prepaid accounts.
_ENTRIES = (
    "ledger_entry e JOIN ledger_account c ON c.no=e.account JOIN ledger_txn t ON t.no=e.txn"
    " LEFT JOIN ledger_txn o ON o.no=t.refers"
)
_COVERED = (
    "e.org=:org AND c.kind='prepaid' AND e.txn<=:through AND t.at<:until"
    " AND NOT(e.txn<=:after AND t.at<:since)"
)
#: The earliest document of before this period that has the refunded charge.
_OF = (
    "COALESCE((SELECT i.number FROM invoice i WHERE i.org=:org AND i.until<=:since AND o.no<=i.through"
    " AND o.at<i.until ORDER BY i.no LIMIT 1), '')"
)
_LINES = f"""
    SELECT CASE WHEN t.refers IS NOT NULL THEN 'refund'
            WHEN json_extract(p.body, '$.flat') IS NOT NULL THEN 'fee' ELSE 'usage' END AS kind,
        strftime('%Y-%m', COALESCE(o.at, t.at), 'unixepoch') AS month, {AGENT} AS agent, u.skill AS skill,
        CASE WHEN p.version IS NULL THEN '' ELSE 'v'||p.version END AS price,
        COALESCE((SELECT name FROM principal WHERE no=c.owner AND c.owner<>0), '') AS payer,
        c.currency AS currency, c.scale AS scale,
        CASE WHEN t.refers IS NULL THEN '' ELSE {_OF} END AS of,
        COUNT(DISTINCT t.no) AS calls, -SUM(e.amount) AS amount
    FROM {_ENTRIES} LEFT JOIN usage u ON u.run=t.run AND u.line=0 LEFT JOIN price p ON p.no=u.price
    WHERE {_COVERED} AND t.run IS NOT NULL
    GROUP BY 1, 2, 3, 4, 5, 6, 7, 8, 9 ORDER BY 9, 2, 1 DESC, 3, 4, 5, 6, 7, 8
    """  # noqa: S608
_ACCOUNTS = f"""
    SELECT c.currency, c.scale,
        SUM(CASE WHEN e.txn<=:after AND t.at<:since THEN e.amount ELSE 0 END),
        SUM(CASE WHEN {_COVERED} AND t.run IS NULL AND e.amount>0 THEN e.amount ELSE 0 END),
        -SUM(CASE WHEN {_COVERED} AND t.run IS NOT NULL AND t.refers IS NULL THEN e.amount ELSE 0 END),
        SUM(CASE WHEN {_COVERED} AND t.run IS NOT NULL AND t.refers IS NOT NULL THEN e.amount ELSE 0 END),
        -SUM(CASE WHEN {_COVERED} AND t.run IS NULL AND e.amount<0 THEN e.amount ELSE 0 END),
        SUM(e.amount)
    FROM {_ENTRIES} WHERE e.org=:org AND c.kind='prepaid' AND e.txn<=:through AND t.at<:until
    GROUP BY c.currency, c.scale ORDER BY c.currency, c.scale
    """  # noqa: S608
_ROW = "SELECT no, org, document, lower(hex(sha256)) FROM invoice"
_SHORT = (
    "SELECT no, org, CAST(json_remove(CAST(document AS TEXT), '$.lines') AS BLOB), lower(hex(sha256))"
    " FROM invoice"
)


class LedgerLine(NamedTuple):
    """A line out of the ledger; see model.invoice.InvoiceLine."""

    kind: str
    month: str
    agent: str | None
    skill: str | None
    price: str
    payer: str
    currency: str
    scale: int
    of: str
    calls: int
    amount: int


class InvoiceRows:
    """The reads. The platform's own scope sees all organisations' documents."""

    def __init__(self, connection: sqlite3.Connection) -> None:
        self._connection = connection

    def last(self, scope: Scope) -> tuple[int, int]:
        """The highest number of a document, and that of a transaction: the platform's own."""
        assert scope is SYSTEM
        (no, txn) = self._connection.execute(
            "SELECT (SELECT COALESCE(MAX(no), 0) FROM invoice WHERE org>=0),"
            " (SELECT COALESCE(MAX(no), 0) FROM ledger_txn WHERE org>=0)"
        ).fetchone()
        return int(no), int(txn)

    def payers(self, scope: Scope) -> list[int]:
        """Organisations that have prepaid accounts: the platform's own."""
        assert scope is SYSTEM
        found = self._connection.execute(
            "SELECT DISTINCT org FROM ledger_account WHERE kind='prepaid' AND org>=0 ORDER BY org"
        )
        return [org for (org,) in found]

    def covered(self, scope: Scope) -> tuple[int, int]:
        """Up to when, and up to which transaction, an organisation has been invoiced."""
        row = self._connection.execute(
            "SELECT until, through FROM invoice WHERE org=? ORDER BY no DESC LIMIT 1", (scope.org,)
        ).fetchone()
        return (int(row[0]), int(row[1])) if row is not None else (0, 0)

    def lines(self, scope: Scope, bounds: Bounds) -> list[LedgerLine]:
        """What an organisation was charged, and refunded."""
        return [LedgerLine(*row) for row in self._connection.execute(_LINES, _params(scope, bounds))]

    def accounts(self, scope: Scope, bounds: Bounds) -> list[InvoiceAccount]:
        """What moved in its accounts."""
        return [InvoiceAccount(*row) for row in self._connection.execute(_ACCOUNTS, _params(scope, bounds))]

    def listed(self, scope: Scope, before: int, limit: int) -> list[InvoiceRow]:
        """Documents, the newest first, without their lines."""
        where, params = _where(scope)
        sql = f"{_SHORT} WHERE no<? AND {where} ORDER BY no DESC LIMIT ?"
        return [InvoiceRow(*row) for row in self._connection.execute(sql, (before, *params, limit))]

    def one(self, scope: Scope, no: int) -> InvoiceRow | None:
        """A document."""
        where, params = _where(scope)
        row = self._connection.execute(f"{_ROW} WHERE no=? AND {where}", (no, *params)).fetchone()
        return InvoiceRow(*row) if row is not None else None

    def party(self, scope: Scope) -> str:
        """What invoices say of an organisation, as JSON; "" where nothing was set."""
        row = self._connection.execute("SELECT body FROM billing_party WHERE org=?", (scope.org,)).fetchone()
        return str(row[0]) if row is not None else ""


def party_text(party: Party) -> dict[str, Any]:
    """What is stored of a party: not whose it is."""
    return {"name": party.name, "address": party.address, "tax_id": party.tax_id}


def _params(scope: Scope, bounds: Bounds) -> dict[str, Any]:
    return {
        "org": scope.org,
        "since": bounds.since,
        "after": bounds.after,
        "until": bounds.until,
        "through": bounds.through,
    }


def _where(scope: Scope) -> tuple[str, tuple[int, ...]]:
    return ("org>=0", ()) if scope.system else ("org=?", (scope.org,))
