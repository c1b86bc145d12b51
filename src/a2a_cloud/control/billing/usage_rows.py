"""Usage out of durable rows: calls counted from the rows of runs, meters and money from what billing wrote
beside their ends. Added up by SQL, over a connection of one's own: nothing here is called on the loop's
thread."""

from __future__ import annotations

import sqlite3
from collections.abc import Iterator, Sequence
from fractions import Fraction
from typing import Any, NamedTuple

from a2a_cloud.model.scope import Scope
from a2a_cloud.model.usage import UsageQuery

#: Seconds by which a run's id, whose time is that of the clock, may differ from its row's.
_SLACK = 60.0

#: What a run is counted under, in SQL.
_KEYS = {
    "caller": "r.owner",
    "agent": "r.agent",
    "skill": "r.skill",
    "day": "strftime('%Y-%m-%d', r.created, 'unixepoch')",
    "month": "strftime('%Y-%m', r.created, 'unixepoch')",
    # A call that retention cleared away says no key any more.
    "key": "CASE WHEN json_valid(CAST(r.call AS TEXT))"
    " THEN COALESCE(json_extract(CAST(r.call AS TEXT), '$.key_id'), '') ELSE '' END",
    "run": "r.id",
}
#: Those keys that are numbers, by the name that they have in the answer.
_NAMES = {
    "caller": "CASE WHEN {0}=0 THEN 'anonymous' ELSE COALESCE((SELECT p.name||'@'||o.name FROM principal p"
    " JOIN org o ON o.no=p.org WHERE p.no={0}), '') END",
    "agent": "COALESCE((SELECT CASE WHEN o.name='default' THEN a.name ELSE o.name||'.'||a.name END"
    " FROM agent a JOIN org o ON o.no=a.org WHERE a.no={0}), '')",
}
#: Runs by the time in their ids: the index is as good as one by time, and costs calls nothing.
_RUNS = "run r INDEXED BY sqlite_autoindex_run_1"
_BETWEEN = "r.id>=:first AND r.id<:last AND r.created>=:since AND r.created<:until"
_WHOSE = {
    "agents": "r.org=:org",
    "callers": "r.owner IN (SELECT no FROM principal WHERE org=:org AND (:owner IS NULL OR no=:owner))",
}


class Counted(NamedTuple):
    """Runs under some keys."""

    keys: tuple[Any, ...]
    calls: int
    completed: int
    failed: int
    open: int


class MeteredRow(NamedTuple):
    """What was metered and charged under some keys. `qty` is exact, a decimal string."""

    keys: tuple[Any, ...]
    meter: str
    unit: str
    currency: str
    scale: int
    qty: str
    amount: int


class _Sum:
    """Adds decimal strings up exactly, in SQL."""

    def __init__(self) -> None:
        self._sum = Fraction(0)

    def step(self, value: str) -> None:
        """One more."""
        self._sum += Fraction(value)

    def finalize(self) -> str:
        """The sum; quantities are decimal, so it ends."""
        return decimal_text(self._sum)


class UsageRows:
    """The reads. A scope with an owner sees that owner's calls alone."""

    def __init__(self, connection: sqlite3.Connection) -> None:
        self._connection = connection
        connection.create_aggregate("exact_sum", 1, _Sum)  # pyright: ignore[reportArgumentType]

    def calls(self, scope: Scope, query: UsageQuery) -> Iterator[Counted]:
        """How many runs there are under each of the query's keys."""
        counts = (
            "COUNT(*) AS calls, SUM(r.state='TASK_STATE_COMPLETED') AS completed,"
            " SUM(r.state='TASK_STATE_FAILED') AS failed, SUM(r.ended IS NULL) AS open"
        )
        sql = keyed(query, counts, f"{_RUNS} WHERE {where(query)}", ("calls", "completed", "failed", "open"))
        for row in self._connection.execute(sql, params(scope, query)):
            if row[-4]:
                yield Counted(tuple(row[:-4]), row[-4], row[-3], row[-2], row[-1])

    def metered(self, scope: Scope, query: UsageQuery) -> Iterator[MeteredRow]:
        """What billing wrote beside the ends of those runs: quantities by meter, and what was charged; the
        meter "" is the call itself."""
        also = [
            # The first row of a priced call is the call itself, which is counted already.
            ("meter", "CASE WHEN u.line=0 AND u.price<>0 THEN '' ELSE u.meter END"),
            ("unit", "u.unit"),
            ("currency", "u.currency"),
            ("scale", "COALESCE(a.scale, 0)"),
        ]
        values = "exact_sum(u.qty) AS qty, SUM(u.amount) AS amount"
        source = (
            f"{_RUNS} JOIN usage u ON u.run=r.no LEFT JOIN ledger_account a ON a.no=u.account"
            f" WHERE {where(query)}"
        )
        sql = keyed(query, values, source, ("qty", "amount"), also)
        for row in self._connection.execute(sql, params(scope, query)):
            yield MeteredRow(tuple(row[:-6]), *row[-6:])


def decimal_text(value: Fraction) -> str:
    """A decimal number exactly, without an exponent."""
    whole, rest = divmod(abs(value), 1)
    sign = "-" if value < 0 else ""
    if not rest:
        return f"{sign}{whole}"
    digits = 0
    while rest.denominator != 1:
        rest, digits = rest * 10, digits + 1
    return f"{sign}{whole}.{str(rest.numerator).rjust(digits, '0')}"


def keyed(
    query: UsageQuery, values: str, source: str, names: Sequence[str], also: Sequence[tuple[str, str]] = ()
) -> str:
    """The SQL that adds `values` up under the query's keys (a meter is no run's, and is none of them), and
    under `also` (a name and what it is in SQL). Its columns: the keys, those of `also`, `names`."""
    by = [one for one in query.by if one in _KEYS]
    inner = [(f"k{place}", _KEYS[one]) for place, one in enumerate(by)] + list(also)
    outer = [_NAMES.get(one, "{0}").format(f"k{place}") for place, one in enumerate(by)]
    outer += [name for name, _ in also]
    columns = "".join(f"{sql} AS {name}, " for name, sql in inner)
    group = f" GROUP BY {', '.join(str(place + 1) for place in range(len(inner)))}" if inner else ""
    return f"SELECT {', '.join([*outer, *names])} FROM (SELECT {columns}{values} FROM {source}{group})"  # noqa: S608


def where(query: UsageQuery) -> str:
    """Which runs `r` a query is about."""
    found = [_BETWEEN, _WHOSE[query.side]]
    if query.skill:
        found.append("r.skill=:skill")
    if query.agent:
        found.append(
            "r.agent IN (SELECT a.no FROM agent a JOIN org o ON o.no=a.org"
            " WHERE a.name=:agent AND o.name=:agent_org)"
        )
    if query.caller:
        found.append(
            "r.owner IN (SELECT p.no FROM principal p JOIN org o ON o.no=p.org"
            " WHERE p.name=:caller AND o.name=:caller_org)"
        )
    return " AND ".join(found)


def params(scope: Scope, query: UsageQuery) -> dict[str, Any]:
    """What the SQL of `where` takes."""
    org, _, name = query.agent.rpartition(".")
    caller, _, of = query.caller.rpartition("@")
    return {
        "org": scope.org,
        "owner": scope.owner,
        "first": _id(query.since - _SLACK),
        "last": _id(query.until + _SLACK),
        "since": query.since,
        "until": query.until,
        "skill": query.skill,
        "agent": name,
        "agent_org": org,
        "caller": caller,
        "caller_org": of,
    }


def _id(at: float) -> str:
    """What ids of runs of that moment begin with."""
    return f"run_{max(0, int(at * 1000)):012x}"
