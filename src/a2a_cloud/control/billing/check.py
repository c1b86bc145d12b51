"""`a2a ledger check`: everything that the ledger must keep, looked for in its rows. Each check is one query
that gives the first rows that break it. Run off the loop, over a connection of its own, in one snapshot.
"""

from __future__ import annotations

import hashlib
import sqlite3
from pathlib import Path
from typing import NamedTuple

import msgspec

from a2a_cloud.control.billing.rails import prepaid
from a2a_cloud.storage.journal.writer import connect

#: What compares each rail's own books with the ledger.
RAILS = {prepaid.NAME: prepaid.reconcile}
#: Rows that a broken check names.
MOST_NAMED = 5


class Check(NamedTuple):
    """What has to hold, and a query for what breaks it: a sentence per row."""

    name: str
    says: str
    query: str


#: A share of what a hold gave, rounded down: in two steps, so that large amounts stay whole numbers.
_SHARE = "h.captured/10000*({0}) + h.captured%10000*({0})/10000"
_PLATFORM = "COALESCE(json_extract(p.body, '$.platform_share'), 0)"
_GOT = (
    "COALESCE((SELECT SUM(e.amount) FROM ledger_entry e JOIN ledger_account a ON a.no=e.account WHERE"
    " e.txn=t.no AND a.kind='{0}' AND a.org={1}), 0)"
)
_CHARGED = (
    "COALESCE((SELECT -SUM(e.amount) FROM ledger_txn t JOIN ledger_entry e ON e.txn=t.no AND"
    " e.account=h.account"
    " WHERE t.run=h.run AND t.kind='charge'), 0)"
)
CHECKS = (
    Check(
        "entries-sum",
        "The entries of each transaction sum to 0 in each currency.",
        "SELECT 'transaction ' || t.id || ' sums to ' || SUM(e.amount) || ' ' || e.currency FROM"
        " ledger_entry e"
        " JOIN ledger_txn t ON t.no=e.txn GROUP BY e.txn, e.currency HAVING SUM(e.amount)<>0",
    ),
    Check(
        "entries-whole",
        "Each entry has a transaction and an account of its currency, and each transaction has entries.",
        "SELECT 'entry ' || e.txn || '/' || e.line || ' has no transaction, or no account of its currency'"
        " FROM ledger_entry e LEFT JOIN ledger_txn t ON t.no=e.txn LEFT JOIN ledger_account a ON"
        " a.no=e.account AND a.currency=e.currency AND a.org=e.org WHERE t.no IS NULL OR a.no IS NULL"
        " UNION ALL SELECT 'transaction ' || id || ' has no entries' FROM ledger_txn WHERE no NOT IN"
        " (SELECT txn FROM ledger_entry)",
    ),
    Check(
        "balances",
        "Each account has what its entries sum to.",
        "SELECT 'account ' || a.code || ' has ' || a.balance || ', its entries sum to ' ||"
        " COALESCE(SUM(e.amount), 0) FROM ledger_account a LEFT JOIN ledger_entry e ON e.account=a.no"
        " GROUP BY a.no HAVING a.balance<>COALESCE(SUM(e.amount), 0)",
    ),
    Check(
        "held",
        "What is held of each account is what its open holds sum to.",
        "SELECT 'account ' || a.code || ' has ' || a.held || ' held, its open holds sum to ' ||"
        " COALESCE(SUM(h.amount), 0) FROM ledger_account a LEFT JOIN ledger_hold h ON h.account=a.no AND"
        " h.state='open' GROUP BY a.no HAVING a.held<>COALESCE(SUM(h.amount), 0)",
    ),
    Check(
        "covered",
        "No account that may not be below nothing has less than is held of it.",
        "SELECT 'account ' || code || ' has ' || balance || ', of which ' || held || ' is held' FROM"
        " ledger_account WHERE NOT allow_negative AND balance<held",
    ),
    Check(
        "holds-open",
        "Each open hold is of a run that has not ended, and each run that ended has none.",
        "SELECT 'hold of run ' || COALESCE(r.id, h.run) || ' is open' FROM ledger_hold h LEFT JOIN run r ON"
        " r.no=h.run WHERE h.state='open' AND (r.no IS NULL OR r.ended IS NOT NULL)",
    ),
    Check(
        "captured",
        "No hold gave more than it was, and each gave what its run's charge took.",
        "SELECT 'hold of run ' || h.run || ' of ' || h.amount || ' gave ' || h.captured || ', its charge"  # noqa: S608
        " took '"
        f" || {_CHARGED} FROM ledger_hold h WHERE h.captured>h.amount OR h.captured<>{_CHARGED}",
    ),
    Check(
        "charges-held",
        "Each charge is of one run, which has a hold that gave it.",
        "SELECT 'charge ' || t.id || ' has no hold' FROM ledger_txn t LEFT JOIN ledger_hold h ON"
        " h.run=t.run AND"
        " h.state='captured' WHERE t.kind='charge' AND h.run IS NULL UNION ALL SELECT 'run ' || run ||"
        " ' was charged ' || COUNT(*) || ' times' FROM ledger_txn WHERE kind='charge' GROUP BY run"
        " HAVING COUNT(*)>1",
    ),
    Check(
        "usage-of-calls",
        "Each call with a price that has ended has one row of usage for itself, and no other has one.",
        "SELECT 'hold of run ' || h.run || ' has no row of usage' FROM ledger_hold h LEFT JOIN usage u ON"
        " u.run=h.run AND u.line=0 AND u.meter='call' WHERE h.state IN ('captured', 'released') AND"
        " u.run IS NULL"
        " UNION ALL SELECT 'usage of run ' || u.run || ' has no hold that ended' FROM usage u LEFT JOIN"
        " ledger_hold h ON h.run=u.run AND h.state IN ('captured', 'released') WHERE u.price>0 AND h.run"
        " IS NULL",
    ),
    Check(
        "usage-sums",
        "The amounts of usage are what holds gave.",
        "SELECT 'usage of run ' || h.run || ' is ' || COALESCE(SUM(u.amount), 0) || ', its hold gave ' ||"
        " h.captured FROM ledger_hold h LEFT JOIN usage u ON u.run=h.run WHERE h.state<>'open' GROUP BY h.run"
        " HAVING COALESCE(SUM(u.amount), 0)<>h.captured",
    ),
    Check(
        "usage-says",
        "Each row of usage says its run's agent and caller, and its hold's price, account and charge.",
        "SELECT 'usage ' || u.run || '/' || u.line || ' is not of its run and hold' FROM usage u LEFT JOIN"
        " run r ON"
        " r.no=u.run LEFT JOIN ledger_hold h ON h.run=u.run LEFT JOIN price p ON p.no=h.price WHERE"
        " r.agent IS NOT"
        " u.agent OR r.owner IS NOT u.caller OR u.price<>COALESCE(h.price, 0) OR u.account IS NOT h.account"
        " OR (h.run IS NOT NULL AND u.currency IS NOT json_extract(p.body, '$.currency'))"
        " OR u.txn IS NOT (SELECT no FROM ledger_txn t WHERE t.run=u.run AND t.kind='charge')",
    ),
    Check(
        "refunds-of",
        "Each refund takes back a charge of its run.",
        "SELECT 'refund ' || t.id || ' is of no charge of its run' FROM ledger_txn t LEFT JOIN ledger_txn o"
        " ON o.no=t.refers AND o.kind='charge' AND o.run=t.run WHERE t.kind='refund' AND o.no IS NULL",
    ),
    Check(
        "credits",
        "Each grant of credits is what its transaction put into its account, and each of these is a grant.",
        "SELECT 'credits ' || g.id || ' are not what their transaction put in' FROM credit_grant g LEFT JOIN"
        " ledger_entry e ON e.txn=g.txn AND e.account=g.account WHERE g.amount IS NOT e.amount OR g.rest<0"
        " OR g.rest>g.amount"
        " UNION ALL SELECT 'entry ' || e.txn || '/' || e.line || ' granted nothing' FROM ledger_entry e JOIN"
        " ledger_account a ON a.no=e.account LEFT JOIN credit_grant g ON g.txn=e.txn AND g.account=e.account"
        " WHERE a.kind='prepaid' AND e.amount>0 AND g.no IS NULL",
    ),
    Check(
        "shares",
        "Of each charge the owner and the platform got what its price says.",
        "SELECT 'charge ' || t.id || ' is not shared as its price says' FROM ledger_txn t JOIN"  # noqa: S608
        " ledger_hold h ON h.run=t.run LEFT JOIN price p ON p.no=h.price WHERE t.kind='charge' AND"
        f" ({_GOT.format('platform/fees', 0)} IS NOT {_SHARE.format(_PLATFORM)}"
        f" OR {_GOT.format('owner', 'p.org')} IS NOT {_SHARE.format(f'10000-{_PLATFORM}')})",
    ),
    Check(
        "refunds",
        "No run was given back more than it was charged.",
        "SELECT 'run ' || h.run || ' was charged ' || h.captured || ' and given back ' || SUM(e.amount) FROM"
        " ledger_txn t JOIN ledger_hold h ON h.run=t.run JOIN ledger_entry e ON e.txn=t.no AND"
        " e.account=h.account WHERE t.kind='refund' GROUP BY h.run HAVING SUM(e.amount)>h.captured",
    ),
    Check(
        "budgets-held",
        "What is held of each budget is what its open holds sum to.",
        "SELECT 'budget ' || COALESCE(b.name, 'of run ' || u.subject) || ' ' || u.span || ' has ' ||"
        " u.held ||"
        " ' held, its open holds sum to ' || COALESCE(SUM(h.amount), 0) FROM spend_use u LEFT JOIN"
        " spend_budget b"
        " ON b.no=u.budget LEFT JOIN hold_use x ON x.use=u.no LEFT JOIN ledger_hold h ON h.run=x.run AND"
        " h.state='open' GROUP BY u.no HAVING u.held<>COALESCE(SUM(h.amount), 0)",
    ),
    Check(
        "budgets-spent",
        "What is spent of each budget is what its holds gave, less what was given back.",
        "SELECT 'budget ' || COALESCE(b.name, 'of run ' || u.subject) || ' ' || u.span || ' has ' ||"
        " u.spent ||"
        " ' spent, its holds gave ' || COALESCE(SUM(h.captured - COALESCE((SELECT SUM(e.amount) FROM"
        " ledger_txn t"
        " JOIN ledger_entry e ON e.txn=t.no AND e.account=h.account WHERE t.run=h.run AND"
        " t.kind='refund'), 0)), 0)"
        " AS says FROM spend_use u LEFT JOIN spend_budget b ON b.no=u.budget LEFT JOIN hold_use x ON"
        " x.use=u.no"
        " LEFT JOIN ledger_hold h ON h.run=x.run GROUP BY u.no HAVING u.spent<>COALESCE(SUM(h.captured -"
        " COALESCE((SELECT SUM(e.amount) FROM ledger_txn t JOIN ledger_entry e ON e.txn=t.no AND"
        " e.account=h.account WHERE t.run=h.run AND t.kind='refund'), 0)), 0)",
    ),
    Check(
        "rounding",
        "What rounding the shares leaves goes to the platform's account for it, and is less than 2 of a"
        " charge.",
        "SELECT 'charge ' || t.id || ' left ' || e.amount || ' to rounding' FROM ledger_txn t JOIN"
        " ledger_entry e"
        " ON e.txn=t.no JOIN ledger_account a ON a.no=e.account WHERE t.kind='charge' AND"
        " a.kind='platform/rounding' AND e.amount NOT IN (0, 1)",
    ),
    Check(
        "receipts",
        "Each charge is in its run's receipt, with its transaction and amount.",
        "SELECT 'charge ' || t.id || ' is not what the receipt of run ' || t.run || ' says' FROM"
        " ledger_txn t JOIN"
        " ledger_hold h ON h.run=t.run LEFT JOIN receipt r ON r.run=t.run WHERE t.kind='charge' AND"
        " (r.run IS NULL"
        " OR json_extract(CAST(r.body AS TEXT), '$.ledger.txn_id') IS NOT t.id"
        " OR json_extract(CAST(r.body AS TEXT), '$.price.amount') IS NOT h.captured)",
    ),
)


class Finding(NamedTuple):
    """A check and the first rows that break it; none: it holds."""

    name: str
    says: str
    broken: list[str]


class Trial(NamedTuple):
    """A trial balance: (account, currency, scale, balance) of all, which sum to 0 in each currency, and the
    hash of its canonical JSON; `txn` is the last transaction in it."""

    accounts: list[tuple[str, str, int, int]]
    sums: dict[str, int]
    txn: int
    sha256: str


def check(path: Path) -> list[Finding]:
    """All checks over the database at `path`, and that each rail's own books agree with it."""
    connection = connect(path, readonly=True)
    try:
        connection.execute("BEGIN")
        found = [
            Finding(one.name, one.says, [text for (text,) in connection.execute(_limited(one.query))])
            for one in CHECKS
        ]
        for name, reconcile in RAILS.items():
            says = f"What the rail {name} says of each account is what the ledger says."
            found.append(Finding(f"rail-{name}", says, reconcile(connection)[:MOST_NAMED]))
        return found
    finally:
        connection.close()


def trial(path: Path) -> Trial:
    """The trial balance of the database at `path`."""
    connection = connect(path, readonly=True)
    try:
        connection.execute("BEGIN")
        return trial_of(connection)
    finally:
        connection.close()


def trial_of(connection: sqlite3.Connection) -> Trial:
    """The same over a connection."""
    query = "SELECT code, currency, scale, balance FROM ledger_account WHERE org>=0 ORDER BY code"
    rows: list[tuple[str, str, int, int]] = connection.execute(query).fetchall()
    sums: dict[str, int] = {}
    for _, currency, _, balance in rows:
        sums[currency] = sums.get(currency, 0) + balance
    (last,) = connection.execute("SELECT COALESCE(MAX(no), 0) FROM ledger_txn WHERE org>=0").fetchone()
    told = [
        {"account": code, "balance": balance, "currency": currency, "scale": scale}
        for code, currency, scale, balance in rows
    ]
    canonical = msgspec.json.encode({"accounts": told, "txn": last, "v": 1}, order="deterministic")
    return Trial(rows, sums, last, hashlib.sha256(canonical).hexdigest())


def _limited(query: str) -> str:
    return f"SELECT * FROM ({query}) LIMIT {MOST_NAMED}"  # noqa: S608
