"""`/api/v1/usage`: calls, meters and money, added up by what is asked for, as JSON or CSV.

With READ_USAGE an organisation's; without it one's own calls. Days and months are those of runs' beginnings,
in UTC and true time.
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncGenerator, Iterator, Sequence
from datetime import UTC, datetime
from typing import Any

from a2a_cloud.model.billing import Money, show_amount
from a2a_cloud.model.principal import DEFAULT_ORG, Permission
from a2a_cloud.model.problem import Forbidden, InvalidParams, Unavailable
from a2a_cloud.model.scope import Scope
from a2a_cloud.model.stamp import stamp
from a2a_cloud.model.usage import BY, UsageLine, UsageQuery
from a2a_cloud.surface.accounting_port import Accounting, currencies
from a2a_cloud.surface.api.releases import number
from a2a_cloud.surface.ports import Services
from a2a_cloud.surface.request import Headers, Request
from a2a_cloud.surface.sending import send_pieces
from a2a_cloud.wire.a2a_v1 import read_timestamp
from a2a_cloud.wire.csv_text import pieces
from a2a_cloud.wire.json_text import readable

_CSV = b"text/csv; charset=utf-8; header=present"
_COUNTS = ("calls", "completed", "failed", "open")
#: Lines of one answer that is no CSV.
MOST_PAGE = 10_000

Answer = tuple[int, Any]


async def usage(services: Services, request: Request, _values: list[str]) -> Answer:
    """`GET /api/v1/usage?by=&since=&until=&side=&agent=&skill=&caller=&limit=&cursor=`, with
    `Accept: text/csv` or `format=csv` all of it as CSV."""
    given = request.query()
    scope, query = _asked(services, request, given)
    found = await of(services).usage.lines(scope, query)
    if wants_csv(request, given):
        name = f"usage-{stamp(query.since)[:10]}-{stamp(query.until)[:10]}.csv"
        await send_csv(request, name, *_table(query, found))
        return 200, None
    limit, start = number(given, "limit", 1000, 1, MOST_PAGE), number(given, "cursor", 0, 0, 10**9)
    page = found[start : start + limit]
    return 200, {
        "since": stamp(query.since),
        "until": stamp(query.until),
        "side": "own" if scope.owner is not None else query.side,
        "by": query.by,
        "lines": [_document(query, line) for line in page],
        "total": _total(found),
        "next": str(start + limit) if start + limit < len(found) else "",
    }


def _asked(services: Services, request: Request, given: dict[str, str]) -> tuple[Scope, UsageQuery]:
    principal = request.principal
    by = tuple(one for one in given.get("by", "").split(",") if one)
    if len(set(by)) != len(by) or not set(by) <= set(BY):
        raise InvalidParams(
            f"by is {readable(given.get('by', ''))}.",
            remedy=f"Write some of {', '.join(BY)}, by commas.",
            info={"field": "by"},
        )
    now = services.clock.now()
    since = moment(given, "since", datetime.fromtimestamp(now, UTC).strftime("%Y-%m-01"))
    until = moment(given, "until", stamp(now + 60))
    if since >= until:
        raise InvalidParams("since is not before until.", info={"field": "since"})
    all_of_it = principal.may(Permission.READ_USAGE)
    side = given.get("side", "") or ("agents" if all_of_it else "own")
    if side not in ("agents", "callers", "own"):
        raise InvalidParams(f"side is {readable(side)}.", remedy="Write agents, callers or own.")
    if side != "own" and not all_of_it:
        raise Forbidden(
            "The organisation's usage is for its viewers, auditors, billing and admins.",
            remedy="Ask for your own: side=own.",
            info={"permission": Permission.READ_USAGE.value},
        )
    agent, caller = given.get("agent", ""), given.get("caller", "")
    if agent and "." not in agent:
        agent = f"{principal.org if side == 'agents' else DEFAULT_ORG}.{agent}"
    if caller and "@" not in caller:
        caller = f"{caller}@{principal.org}"
    scope = Scope(principal.org_no, principal.no if side == "own" else None)
    whose = "agents" if side == "agents" else "callers"
    return scope, UsageQuery(by, since, until, whose, agent, given.get("skill", ""), caller)


def moment(given: dict[str, str], name: str, usual: str) -> float:
    """A query's date or timestamp, in wall seconds. Raises InvalidParams."""
    said = given.get(name, "") or usual
    return read_timestamp(said if "T" in said.upper() else f"{said}T00:00:00Z", name)


def wants_csv(request: Request, given: dict[str, str]) -> bool:
    """Whether CSV is asked for. Raises InvalidParams for a format that there is not."""
    said = given.get("format", "")
    if said not in ("", "json", "csv"):
        raise InvalidParams(f"format is {readable(said)}.", remedy="Write json or csv.")
    return said == "csv" or (not said and b"text/csv" in request.accept.lower())


async def send_csv(
    request: Request, name: str, head: Sequence[str], rows: Iterator[Sequence[object]]
) -> None:
    """Answer with a table, piece by piece."""
    fields: Headers = [
        (b"content-type", _CSV),
        (b"content-disposition", f'attachment; filename="{name}"'.encode()),
        (b"cache-control", b"no-store"),
    ]

    async def table() -> AsyncGenerator[bytes]:
        for piece in pieces(head, rows):
            yield piece
            await asyncio.sleep(0)  # Calls come between.

    await send_pieces(request, fields, table())


def money(one: Money) -> dict[str, Any]:
    """An amount as this API shows it."""
    return {
        "currency": one.currency,
        "scale": one.scale,
        "amount": one.amount,
        "value": show_amount(one.amount, one.scale),
    }


def _document(query: UsageQuery, line: UsageLine) -> dict[str, Any]:
    return {
        **dict(zip(query.by, line.keys, strict=True)),
        **{name: getattr(line, name) for name in _COUNTS},
        "meters": [{"meter": one.meter, "unit": one.unit, "qty": one.qty} for one in line.meters],
        "money": [money(one) for one in line.money],
    }


def _total(lines: Sequence[UsageLine]) -> dict[str, Any]:
    sums: dict[tuple[str, int], int] = {}
    for line in lines:
        for one in line.money:
            key = one.currency, one.scale
            sums[key] = sums.get(key, 0) + one.amount
    return {
        **{name: sum(getattr(line, name) for line in lines) for name in _COUNTS},
        "money": [
            money(Money(amount, currency, scale)) for (currency, scale), amount in sorted(sums.items())
        ],
    }


def _table(query: UsageQuery, lines: Sequence[UsageLine]) -> tuple[list[str], Iterator[Sequence[object]]]:
    """One column for each meter and currency that is in the answer."""
    meters = sorted({(one.meter, one.unit) for line in lines for one in line.meters})
    paid = currencies(lines)
    head = [*query.by, *_COUNTS]
    head += [f"{meter} ({unit})" if unit and unit != meter else meter for meter, unit in meters]
    head += [f"amount {currency}" for currency in paid]

    def rows() -> Iterator[Sequence[object]]:
        for line in lines:
            used = {(one.meter, one.unit): one.qty for one in line.meters}
            amounts = {one.currency: show_amount(one.amount, one.scale) for one in line.money}
            yield (
                *line.keys,
                *(getattr(line, name) for name in _COUNTS),
                *(used.get(one, "") for one in meters),
                *(amounts.get(one, "") for one in paid),
            )

    return head, rows()


def of(services: Services) -> Accounting:
    """What is shown of billing. Raises Unavailable."""
    if services.accounting is None:
        raise Unavailable("This platform keeps no accounts.", remedy="Start it with `a2a up`.")
    return services.accounting
