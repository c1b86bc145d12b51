"""Billing's rows in SQL. A transaction's entries are written before it, and triggers keep balances and what
is held (storage/sql/slices.py), so that a statement here says a fact and nothing that follows from one. All
of them are executed in the order of their writes.

A positive amount is a credit: what the platform owes, or has earned. An account's organisation is whose it
is, 0 the platform's; a transaction's is the payer's, or who is paid.
"""

from __future__ import annotations

import sqlite3
from collections.abc import Sequence
from typing import Any, NamedTuple

from a2a_cloud.model.problem import Internal
from a2a_cloud.model.scope import Scope
from a2a_cloud.storage.journal.port import IN_ORDER, Statement


class AccountRow(NamedTuple):
    """A row of `ledger_account`: `owner` a principal's number where it is one person's, else 0. `balance`
    is the sum of its entries, `held` that of its open holds; without `allow_negative` the first is never
    less than the second."""

    no: int
    code: str
    org: int
    owner: int
    kind: str
    currency: str
    scale: int
    normal: str
    balance: int
    held: int
    allow_negative: int
    created: float


class TxnRow(NamedTuple):
    """A row of `ledger_txn`. `key` makes it one, `request_sha256` says of what; `refers` is the transaction
    that it takes back."""

    no: int
    id: str
    org: int
    kind: str
    key: str
    request_sha256: bytes
    run: int | None
    refers: int | None
    at: float
    made_by: str
    memo: str


class EntryRow(NamedTuple):
    """A row of `ledger_entry`, with its account's code and scale."""

    txn: int
    line: int
    org: int
    account: int
    amount: int
    currency: str
    code: str
    scale: int


class HoldRow(NamedTuple):
    """A row of `ledger_hold`: what is set aside for a run that has not ended. `free`: the call is one of
    those that cost nothing."""

    run: int
    org: int
    account: int | None
    price: int
    amount: int
    free: int
    state: str
    captured: int
    created: float
    ended: float | None


class PriceRow(NamedTuple):
    """A row of `price`; `body` "" says that it costs nothing from then on."""

    no: int
    org: int
    agent: int
    skill: str
    version: int
    scale: int
    body: str
    at: float
    made_by: str


class BudgetRow(NamedTuple):
    """A row of `spend_budget` that was not removed; `body` says whose calls it is for."""

    no: int
    org: int
    name: str
    amount: int
    currency: str
    scale: int
    period: str
    body: str
    at: float
    set_by: str


class UseRow(NamedTuple):
    """A row of `spend_use`: a budget's period. `budget` 0 is one call's own, `subject` then its run."""

    no: int
    org: int
    budget: int
    subject: int
    span: str
    most: int
    spent: int
    held: int


class GrantRow(NamedTuple):
    """A row of `credit_grant`: what was put into an account at once, and what is left of it."""

    no: int
    id: str
    org: int
    account: int
    txn: int
    amount: int
    rest: int
    priority: int
    expires: float | None
    created: float
    made_by: str
    memo: str


class UnclaimedRow(NamedTuple):
    """What settling or ending a hold needs, where its run is gone: periods that it counts in, its caller."""

    hold: HoldRow
    uses: tuple[int, ...]
    caller: int


ADD_ACCOUNT = Statement(
    "add_ledger_account",
    "INSERT INTO ledger_account(no, code, org, owner, kind, currency, scale, normal, allow_negative, created)"
    " VALUES(?,?,?,?,?,?,?,?,?,?)",
    IN_ORDER,
)
ADD_ENTRY = Statement(
    "add_ledger_entry",
    "INSERT INTO ledger_entry(txn, line, org, account, amount, currency) VALUES(?,?,?,?,?,?)",
    IN_ORDER,
)
#: After its entries.
ADD_TXN = Statement(
    "add_ledger_txn",
    "INSERT INTO ledger_txn(no, id, org, kind, key, request_sha256, run, refers, at, made_by, memo)"
    " VALUES(?,?,?,?,?,?,?,?,?,?,?)",
    IN_ORDER,
)
ADD_HOLD = Statement(
    "add_ledger_hold",
    "INSERT INTO ledger_hold(run, org, account, price, amount, free, state, created)"
    " VALUES(?,?,?,?,?,?,'open',?)",
    IN_ORDER,
)
END_HOLD = Statement(
    "end_ledger_hold",
    "UPDATE ledger_hold SET state=?, captured=?, ended=? WHERE run=? AND org=?",
    IN_ORDER,
)
ADD_USAGE = Statement(
    "add_usage",
    "INSERT INTO usage(run, line, org, agent, skill, caller_org, caller, key, at, state, meter, unit, qty,"
    " price, account, amount, currency, txn) VALUES(?,?,?,?,?,?,?,?,?,?,?,?,?,?,?,?,?,?)",
    IN_ORDER,
)
ADD_PRICE = Statement(
    "add_price",
    "INSERT INTO price(no, org, agent, skill, version, scale, body, at, made_by) VALUES(?,?,?,?,?,?,?,?,?)",
    IN_ORDER,
)
PUT_PRICE_USE = Statement(
    "put_price_use",
    "INSERT INTO price_use(org, agent, skill, caller, span, meter, qty) VALUES(?,?,?,?,?,?,?)"
    " ON CONFLICT DO UPDATE SET qty=excluded.qty",
    IN_ORDER,
)
ADD_BUDGET = Statement(
    "add_spend_budget",
    "INSERT INTO spend_budget(no, org, name, amount, currency, scale, period, body, at, set_by)"
    " VALUES(?,?,?,?,?,?,?,?,?,?)",
    IN_ORDER,
)
SET_BUDGET = Statement(
    "set_spend_budget",
    "UPDATE spend_budget SET amount=?, body=?, at=?, set_by=? WHERE org=? AND no=?",
    IN_ORDER,
)
REMOVE_BUDGET = Statement(
    "remove_spend_budget", "UPDATE spend_budget SET removed=? WHERE org=? AND no=?", IN_ORDER
)
ADD_USE = Statement(
    "add_spend_use",
    "INSERT INTO spend_use(no, org, budget, subject, span, most) VALUES(?,?,?,?,?,?) ON CONFLICT DO NOTHING",
    IN_ORDER,
)
SET_MOST = Statement(
    "set_spend_most", "UPDATE spend_use SET most=? WHERE org=? AND budget=? AND span=?", IN_ORDER
)
#: Of a refund: what was spent is there again.
GIVE_BACK = Statement("give_back_spent", "UPDATE spend_use SET spent=spent-? WHERE org=? AND no=?", IN_ORDER)
ADD_HOLD_USE = Statement("add_hold_use", "INSERT INTO hold_use(run, use, org) VALUES(?,?,?)", IN_ORDER)
ADD_GRANT = Statement(
    "add_credit_grant",
    "INSERT INTO credit_grant(no, id, org, account, txn, amount, rest, priority, expires, created, made_by,"
    " memo) VALUES(?,?,?,?,?,?,?,?,?,?,?,?)",
    IN_ORDER,
)
BURN = Statement("burn_credit", "UPDATE credit_grant SET rest=rest-? WHERE org=? AND no=?", IN_ORDER)

_ACCOUNT = "no, code, org, owner, kind, currency, scale, normal, balance, held, allow_negative, created"
_TXN = "no, id, org, kind, key, request_sha256, run, refers, at, made_by, memo"
_HOLD = "run, org, account, price, amount, free, state, captured, created, ended"
_PRICE = "no, org, agent, skill, version, scale, body, at, made_by"
_BUDGET = "no, org, name, amount, currency, scale, period, body, at, set_by"
_USE = "no, org, budget, subject, span, most, spent, held"
_GRANT = "no, id, org, account, txn, amount, rest, priority, expires, created, made_by, memo"
#: Tables whose rows are numbered here.
_NUMBERED = ("ledger_account", "ledger_txn", "price", "spend_budget", "spend_use", "credit_grant")

Rows = list[tuple[Any, ...]]


class BillingRows:
    """Reads of committed rows. A Scope's organisation is that of the row; SYSTEM is the platform's own
    work."""

    def __init__(self, connection: sqlite3.Connection) -> None:
        self._connection = connection

    def numbers(self, scope: Scope) -> dict[str, int]:
        """The highest number in use, by table. System only."""
        _system(scope)
        last: dict[str, int] = {}
        for table in _NUMBERED:
            (found,) = self._read(f"SELECT COALESCE(MAX(no), 0) FROM {table} WHERE org>=0", ())  # noqa: S608
            last[table] = int(found[0])
        return last

    # --- the ledger -----------------------------------------------------------------------------

    def scales(self, scope: Scope) -> list[tuple[str, int]]:
        """The currencies that are in use, with their digits after the point. System only."""
        _system(scope)
        text = (
            "SELECT currency, scale FROM ledger_account WHERE org>=0 UNION"
            " SELECT currency, scale FROM spend_budget WHERE removed IS NULL AND org>=0"
        )
        return [(currency, scale) for currency, scale in self._read(text, ())]

    def account(self, scope: Scope, code: str) -> AccountRow | None:
        """An account by its code."""
        where, params = _where(scope)
        found = self._read(f"SELECT {_ACCOUNT} FROM ledger_account WHERE code=? AND {where}", (code, *params))  # noqa: S608
        return AccountRow(*found[0]) if found else None

    def account_no(self, scope: Scope, no: int) -> AccountRow | None:
        """An account by its number."""
        where, params = _where(scope)
        found = self._read(f"SELECT {_ACCOUNT} FROM ledger_account WHERE no=? AND {where}", (no, *params))  # noqa: S608
        return AccountRow(*found[0]) if found else None

    def accounts(self, scope: Scope, most: int = 1000) -> list[AccountRow]:
        """An organisation's accounts, with SYSTEM all."""
        where, params = _where(scope)
        text = f"SELECT {_ACCOUNT} FROM ledger_account WHERE {where} ORDER BY no LIMIT ?"  # noqa: S608
        return [AccountRow(*row) for row in self._read(text, (*params, most))]

    def txn(self, scope: Scope, id_: str) -> TxnRow | None:
        """A transaction that has an entry in the organisation's accounts."""
        seen, params = _touched(scope)
        found = self._read(f"SELECT {_TXN} FROM ledger_txn WHERE id=? AND {seen}", (id_, *params))  # noqa: S608
        return TxnRow(*found[0]) if found else None

    def txn_no(self, scope: Scope, no: int) -> TxnRow | None:
        """The same by its number."""
        seen, params = _touched(scope)
        found = self._read(f"SELECT {_TXN} FROM ledger_txn WHERE no=? AND {seen}", (no, *params))  # noqa: S608
        return TxnRow(*found[0]) if found else None

    def txn_by_key(self, scope: Scope, key: str) -> TxnRow | None:
        """The transaction that a key led to. System only."""
        _system(scope)
        found = self._read(f"SELECT {_TXN} FROM ledger_txn WHERE key=? AND org>=0", (key,))  # noqa: S608
        return TxnRow(*found[0]) if found else None

    def txns_of_run(self, scope: Scope, run: int) -> list[TxnRow]:
        """A run's charge, then its refunds."""
        seen, params = _touched(scope)
        text = f"SELECT {_TXN} FROM ledger_txn WHERE run=? AND {seen} ORDER BY no"  # noqa: S608
        return [TxnRow(*row) for row in self._read(text, (run, *params))]

    def txns(self, scope: Scope, before: int, most: int) -> list[TxnRow]:
        """Those with an entry in the organisation's accounts, newest first, with numbers below `before`."""
        if scope.system:
            text = f"SELECT {_TXN} FROM ledger_txn WHERE no<? AND org>=0 ORDER BY no DESC LIMIT ?"  # noqa: S608
            return [TxnRow(*row) for row in self._read(text, (before, most))]
        text = (
            f"SELECT {_TXN} FROM ledger_txn WHERE no IN (SELECT DISTINCT txn FROM ledger_entry"  # noqa: S608
            " WHERE org=? AND txn<? ORDER BY txn DESC LIMIT ?) AND org>=0 ORDER BY no DESC"
        )
        return [TxnRow(*row) for row in self._read(text, (scope.org, before, most))]

    def entries(self, scope: Scope, txn: int) -> list[EntryRow]:
        """A transaction's entries in the organisation's accounts, with SYSTEM all."""
        where, params = ("1=1", ()) if scope.system else ("e.org=?", (scope.org,))
        text = (
            "SELECT e.txn, e.line, e.org, e.account, e.amount, e.currency, a.code, a.scale FROM"  # noqa: S608
            " ledger_entry e"
            f" JOIN ledger_account a ON a.no=e.account WHERE e.txn=? AND {where} ORDER BY e.line"
        )
        return [EntryRow(*row) for row in self._read(text, (txn, *params))]

    def balanced(self, scope: Scope) -> tuple[float, int]:
        """The last trial balance in an organisation's log: when, and the last transaction in it."""
        where, params = _where(scope)
        found = self._read(
            "SELECT at, COALESCE(json_extract(detail, '$.txn'), 0) FROM audit_event"  # noqa: S608
            f" WHERE run='' AND kind='ledger.balanced' AND {where} ORDER BY no DESC LIMIT 1",
            params,
        )
        return found[0] if found else (0.0, 0)

    # --- holds and usage ------------------------------------------------------------------------

    def hold(self, scope: Scope, run: int) -> HoldRow | None:
        """A run's, whatever became of it."""
        where, params = _where(scope)
        found = self._read(f"SELECT {_HOLD} FROM ledger_hold WHERE run=? AND {where}", (run, *params))  # noqa: S608
        return HoldRow(*found[0]) if found else None

    def uses_of_hold(self, scope: Scope, run: int) -> list[int]:
        """The budgets' periods that a run's hold counts in."""
        where, params = _where(scope)
        text = f"SELECT use FROM hold_use WHERE run=? AND {where}"  # noqa: S608
        return [no for (no,) in self._read(text, (run, *params))]

    def open_holds(self, scope: Scope) -> list[UnclaimedRow]:
        """Holds of runs that had not ended: at start."""
        _system(scope)
        text = f"SELECT {_HOLD} FROM ledger_hold WHERE state='open' AND org>=0 ORDER BY run"  # noqa: S608
        holds = [HoldRow(*row) for row in self._read(text, ())]
        callers = "SELECT owner FROM run WHERE no=? AND org>=0"
        return [
            UnclaimedRow(
                one,
                tuple(self.uses_of_hold(scope, one.run)),
                next((owner for (owner,) in self._read(callers, (one.run,))), 0),
            )
            for one in holds
        ]

    def run_no(self, scope: Scope, id_: str) -> int | None:
        """A run of the organisation's agents, by its id."""
        where, params = _where(scope)
        found = self._read(f"SELECT no FROM run WHERE id=? AND {where}", (id_, *params))  # noqa: S608
        return found[0][0] if found else None

    def run_id(self, scope: Scope, no: int) -> str:
        """The id of a run, whoever it is. System only."""
        _system(scope)
        found = self._read("SELECT id FROM run WHERE no=? AND org>=0", (no,))
        return found[0][0] if found else ""

    def caller_no(self, scope: Scope, name: str) -> int | None:
        """A principal of an organisation, by name."""
        where, params = _where(scope)
        found = self._read(f"SELECT no FROM principal WHERE name=? AND {where}", (name, *params))  # noqa: S608
        return found[0][0] if found else None

    def caller_name(self, scope: Scope, no: int) -> str:
        """The name of one of its principals."""
        where, params = _where(scope)
        found = self._read(f"SELECT name FROM principal WHERE no=? AND {where}", (no, *params))  # noqa: S608
        return found[0][0] if found else ""

    # --- prices ---------------------------------------------------------------------------------

    def prices(self, scope: Scope) -> list[PriceRow]:
        """The last version of every price: at start."""
        _system(scope)
        text = (
            f"SELECT {_PRICE} FROM price p WHERE org>=0 AND version=(SELECT MAX(version) FROM price"  # noqa: S608
            " WHERE agent=p.agent AND skill=p.skill)"
        )
        return [PriceRow(*row) for row in self._read(text, ())]

    def price_no(self, scope: Scope, no: int) -> PriceRow | None:
        """A version by its number."""
        where, params = _where(scope)
        found = self._read(f"SELECT {_PRICE} FROM price WHERE no=? AND {where}", (no, *params))  # noqa: S608
        return PriceRow(*found[0]) if found else None

    def versions(self, scope: Scope, agent: int) -> list[PriceRow]:
        """All versions of an agent's prices, the newest first."""
        where, params = _where(scope)
        text = f"SELECT {_PRICE} FROM price WHERE agent=? AND {where} ORDER BY skill, version DESC LIMIT 1000"  # noqa: S608
        return [PriceRow(*row) for row in self._read(text, (agent, *params))]

    def price_use(self, scope: Scope, agent: int, skill: str, caller: int, span: str) -> dict[str, str]:
        """What a caller used of a price in a month or day, by meter."""
        where, params = _where(scope)
        text = (
            f"SELECT meter, qty FROM price_use WHERE agent=? AND skill=? AND caller=? AND span=? AND {where}"  # noqa: S608
        )
        return dict(self._read(text, (agent, skill, caller, span, *params)))

    # --- budgets --------------------------------------------------------------------------------

    def budgets(self, scope: Scope) -> list[BudgetRow]:
        """Those that hold: at start."""
        _system(scope)
        text = f"SELECT {_BUDGET} FROM spend_budget WHERE removed IS NULL AND org>=0"  # noqa: S608
        return [BudgetRow(*row) for row in self._read(text, ())]

    def use(self, scope: Scope, budget: int, subject: int, span: str) -> UseRow | None:
        """A budget's period."""
        where, params = _where(scope)
        text = f"SELECT {_USE} FROM spend_use WHERE budget=? AND subject=? AND span=? AND {where}"  # noqa: S608
        found = self._read(text, (budget, subject, span, *params))
        return UseRow(*found[0]) if found else None

    def use_no(self, scope: Scope, no: int) -> UseRow | None:
        """The same by its number."""
        where, params = _where(scope)
        found = self._read(f"SELECT {_USE} FROM spend_use WHERE no=? AND {where}", (no, *params))  # noqa: S608
        return UseRow(*found[0]) if found else None

    def uses(self, scope: Scope, budget: int, span: str) -> list[UseRow]:
        """What was used of a budget in one period, by everybody whom it is for."""
        where, params = _where(scope)
        text = (
            f"SELECT {_USE} FROM spend_use WHERE budget=? AND span=? AND {where} ORDER BY subject LIMIT 1000"  # noqa: S608
        )
        return [UseRow(*row) for row in self._read(text, (budget, span, *params))]

    # --- credits --------------------------------------------------------------------------------

    def grants(self, scope: Scope, account: int, most: int = -1) -> list[GrantRow]:
        """An account's grants that are not used up, the newest first."""
        where, params = _where(scope)
        text = f"SELECT {_GRANT} FROM credit_grant WHERE account=? AND rest>0 AND {where}"  # noqa: S608
        text += " ORDER BY no DESC LIMIT ?"
        return [GrantRow(*row) for row in self._read(text, (account, *params, most))]

    def expiring(self, scope: Scope, now: float) -> list[int]:
        """Accounts that have grants whose time is over."""
        _system(scope)
        text = "SELECT DISTINCT account FROM credit_grant WHERE rest>0 AND expires<=? AND org>=0"
        return [account for (account,) in self._read(text, (now,))]

    def _read(self, text: str, params: Sequence[Any]) -> Rows:
        try:
            return self._connection.execute(text, params).fetchall()
        except sqlite3.Error as error:
            raise Internal("The ledger could not be read.", operator=str(error)) from error


def _where(scope: Scope) -> tuple[str, tuple[int, ...]]:
    return ("1=1", ()) if scope.system else ("org=?", (scope.org,))


def _touched(scope: Scope) -> tuple[str, tuple[int, ...]]:
    if scope.system:
        return "org>=0", ()
    return "EXISTS(SELECT 1 FROM ledger_entry e WHERE e.txn=ledger_txn.no AND e.org=?)", (scope.org,)


def _system(scope: Scope) -> None:
    if not scope.system:
        raise Internal("A query over all organisations was made with a narrower scope.")
