"""`Payouts`: what organisations earn with their agents, as statements out of the ledger, and payouts, which
are transactions that the rail makes."""

from __future__ import annotations

import asyncio
import sqlite3
from collections.abc import Callable
from pathlib import Path
from typing import Any

from a2a_cloud.control.billing.accounts import OWNER, Account, Accounts
from a2a_cloud.control.billing.invoice_rows import AGENT
from a2a_cloud.control.billing.months import bounds
from a2a_cloud.control.billing.rails.port import Rail
from a2a_cloud.control.billing.reading import reading
from a2a_cloud.control.billing.render_html import statement_html
from a2a_cloud.control.billing.rows import BillingRows, TxnRow
from a2a_cloud.model.billing import read_amount, read_currency, show_amount
from a2a_cloud.model.invoice import Statement, StatementLine, StatementTotal
from a2a_cloud.model.ports import Clock, Ids
from a2a_cloud.model.principal import Principal
from a2a_cloud.model.problem import IdempotencyConflict, InvalidParams
from a2a_cloud.model.scope import SYSTEM, Scope
from a2a_cloud.storage.sql.audit import change

_ENTRIES = (
    "ledger_entry e JOIN ledger_account c ON c.no=e.account JOIN ledger_txn t ON t.no=e.txn"
    " WHERE e.org=:org AND c.kind='owner'"
)
_KIND = "CASE WHEN t.run IS NULL THEN 'payout' WHEN t.refers IS NULL THEN 'revenue' ELSE 'refund' END"
_LINES = f"""
    SELECT s.kind, s.day, {AGENT}, COALESCE(u.skill, ''), COUNT(*), s.currency, s.scale, SUM(s.amount), s.ref
    FROM (
        SELECT {_KIND} AS kind, strftime('%Y-%m-%d', t.at, 'unixepoch') AS day, t.run AS run,
            c.currency AS currency, c.scale AS scale, e.amount AS amount,
            CASE WHEN t.run IS NULL THEN TRIM(t.id||' '||t.memo) ELSE '' END AS ref
        FROM {_ENTRIES} AND t.at>=:since AND t.at<:until) s LEFT JOIN usage u ON u.run=s.run AND u.line=0
    GROUP BY 1, 2, 3, 4, 6, 7, 9 ORDER BY 2, 1, 3, 4, 6, 7, 9
    """  # noqa: S608
_TOTALS = f"""
    SELECT currency, scale, SUM(CASE WHEN at<:since THEN amount ELSE 0 END),
        SUM(CASE WHEN at>=:since AND kind='revenue' THEN amount ELSE 0 END),
        -SUM(CASE WHEN at>=:since AND kind='refund' THEN amount ELSE 0 END),
        -SUM(CASE WHEN at>=:since AND kind='payout' THEN amount ELSE 0 END), SUM(amount)
    FROM (SELECT {_KIND} AS kind, t.at AS at, c.currency AS currency, c.scale AS scale, e.amount AS amount
        FROM {_ENTRIES} AND t.at<:until)
    GROUP BY currency, scale ORDER BY currency, scale
    """  # noqa: S608


class RevenueRows:
    """The reads."""

    def __init__(self, connection: sqlite3.Connection) -> None:
        self._connection = connection

    def lines(self, scope: Scope, since: int, until: int) -> list[StatementLine]:
        """What an organisation earned, gave back and was paid, by day."""
        found = self._connection.execute(_LINES, {"org": scope.org, "since": since, "until": until})
        return [StatementLine(*row) for row in found]

    def totals(self, scope: Scope, since: int, until: int) -> list[StatementTotal]:
        """The sums of each currency."""
        found = self._connection.execute(_TOTALS, {"org": scope.org, "since": since, "until": until})
        return [StatementTotal(*row) for row in found]


class Payouts:
    """See the module. `clock` is billing's."""

    def __init__(
        self,
        database: Path,
        rows: BillingRows,
        accounts: Accounts,
        rail: Rail,
        clock: Clock,
        ids: Ids,
        org_name: Callable[[int], str],
    ) -> None:
        self._database = database
        self._rows = rows
        self._accounts = accounts
        self._rail = rail
        self._clock = clock
        self._ids = ids
        self._org_name = org_name

    async def statement(self, org: int, month: str) -> Statement:
        """A month's. Raises InvalidParams."""
        since, until = bounds(month)
        lines, totals = await asyncio.to_thread(self._read, Scope(org), since, until)
        return Statement(self._org_name(org), month, tuple(lines), tuple(totals))

    def _read(self, scope: Scope, since: int, until: int) -> tuple[list[StatementLine], list[StatementTotal]]:
        with reading(self._database, self._clock) as connection:
            rows = RevenueRows(connection)
            return rows.lines(scope, since, until), rows.totals(scope, since, until)

    def html(self, statement: Statement) -> bytes:
        """For a browser."""
        return statement_html(statement)

    async def make(
        self, org: int, amount: str, currency: str, ref: str, key: str, by: Principal
    ) -> dict[str, Any]:
        """Record that an organisation was paid: all that it is owed where `amount` is "". Under the
        same key it is the same payout. Raises InvalidParams, IdempotencyConflict, PaymentRequired."""
        currency, name = read_currency(currency), self._org_name(org)
        if len(ref) > 200 or not ref.isprintable():
            raise InvalidParams("ref is too long or not printable.", remedy="Send 200 characters at most.")
        key = key or self._ids.new("payout")
        owner = self._accounts.find(self._accounts.code(OWNER, org, currency))
        if owner is None:
            raise InvalidParams(
                f"{name} has earned nothing in {currency}.", remedy=f"See a2a payouts statement --org {name}."
            )
        earlier = self._rows.txn_by_key(SYSTEM, f"payout:{key}")  # As the rail writes it.
        if earlier is not None:
            return self._again(owner, earlier, amount, ref)
        owed = owner.balance
        units = read_amount(amount, currency, owner.scale) if amount else owed
        if not 0 < units <= owed:
            raise InvalidParams(
                f"{name} is owed {show_amount(owed, owner.scale)} {currency}.",
                remedy="Pay out an amount above 0, and no more than that.",
                info={"field": "amount"},
            )
        told = show_amount(units, owner.scale)
        event = change(
            org, self._clock.now(), by.label, "payout.made", name, amount=told, currency=currency, ref=ref
        )
        row = await self._rail.payout(key, owner, units, by=by.label, memo=ref, more=[event])
        return self._document(owner, row, units)

    def _again(self, owner: Account, row: TxnRow, amount: str, ref: str) -> dict[str, Any]:
        """The payout that the same key led to before."""
        paid = -sum(one.amount for one in self._rows.entries(SYSTEM, row.no) if one.account == owner.no)
        same = row.memo == ref and (not amount or read_amount(amount, owner.currency, owner.scale) == paid)
        if not same or not paid:
            raise IdempotencyConflict(
                "This Idempotency-Key was used before for another payout.",
                remedy="Use a new one for a new payout.",
            )
        return self._document(owner, row, paid)

    def _document(self, owner: Account, row: TxnRow, paid: int) -> dict[str, Any]:
        return {
            "org": self._org_name(owner.org),
            "amount": show_amount(paid, owner.scale),
            "currency": owner.currency,
            "ref": row.memo,
            "rail": self._rail.name,
            "txn": row.id,
            "left": show_amount(owner.balance, owner.scale),
        }
