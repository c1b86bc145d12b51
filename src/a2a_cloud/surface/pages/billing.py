"""`/billing`: an organisation's usage of this month by day, what is left in its accounts and budgets, and its
invoices, on one page for who is signed in and sees its money. The chart is drawn here, as SVG: nothing
runs."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import UTC, datetime, timedelta
from typing import Any
from urllib.parse import quote

import msgspec

from a2a_cloud.model.billing import show_amount
from a2a_cloud.model.principal import Principal
from a2a_cloud.model.scope import Scope
from a2a_cloud.model.stamp import stamp
from a2a_cloud.model.usage import UsageLine, UsageQuery
from a2a_cloud.surface.api.money import may_read
from a2a_cloud.surface.api.usage import of
from a2a_cloud.surface.pages.assets import HTML, SAFE, templates
from a2a_cloud.surface.ports import Services
from a2a_cloud.surface.request import Request

_NO_STORE = (b"cache-control", b"private, no-store")
#: Of the chart: days shown, and its height in its own units.
_DAYS, _HIGH = 31, 100
_INVOICES = 24


async def billing_page(services: Services, request: Request, principal: Principal) -> None:
    """`GET /billing`. Raises Forbidden, Unavailable."""
    request.allow("GET")
    if principal.anonymous:
        place = f"/login?next={quote('/billing')}".encode()
        await request.answer(303, b"", HTML, [(b"location", place), _NO_STORE])
        return
    may_read(principal)
    accounting, scope = of(services), Scope(principal.org_no)
    now = services.clock.now()
    today = datetime.fromtimestamp(now, UTC).date()
    days = [(today - timedelta(days=back)).isoformat() for back in range(_DAYS - 1, -1, -1)]
    since = datetime.fromisoformat(days[0]).replace(tzinfo=UTC).timestamp()
    sides: list[dict[str, Any]] = []
    for side, title in (("agents", "Calls of your agents"), ("callers", "Calls that you made")):
        asked = "agents" if side == "agents" else "callers"
        by_day = await accounting.usage.lines(scope, UsageQuery(("day",), since, now + 60, asked))
        skills = await accounting.usage.lines(scope, UsageQuery(("agent", "skill"), since, now + 60, asked))
        sides.append(
            {"title": title, "chart": _chart(days, by_day), "skills": [_line(one) for one in skills]}
        )
    page = (
        templates()
        .get_template("billing.html")
        .render(
            org=principal.org,
            first=days[0],
            sides=sides,
            high=_HIGH,
            accounts=_accounts(services, scope),
            budgets=_budgets(services, principal.org_no),
            invoices=[
                _invoice(row.document) for row in await accounting.invoices.listed(scope, 10**10, _INVOICES)
            ],
            ahead=round(accounting.clock.ahead / 86_400, 1),
        )
    )
    await request.answer(200, page.encode("utf-8", "replace"), HTML, [*SAFE, _NO_STORE])


def _chart(days: Sequence[str], lines: Sequence[UsageLine]) -> list[dict[str, Any]]:
    """A bar for each day: how high, where, and what it says."""
    found = {line.keys[0]: line for line in lines}
    most = max((line.calls for line in lines), default=0) or 1
    bars: list[dict[str, Any]] = []
    for place, day in enumerate(days):
        line = found.get(day)
        calls = line.calls if line is not None else 0
        money = f", {_money(line)}" if line is not None and line.money else ""
        high = max(1, round(calls * _HIGH / most)) if calls else 0
        bars.append(
            {"x": place * 10, "y": _HIGH - high, "height": high, "says": f"{day}: {calls} calls{money}"}
        )
    return bars


def _line(line: UsageLine) -> dict[str, Any]:
    return {
        "agent": line.keys[0],
        "skill": line.keys[1] or "(messages)",
        "calls": line.calls,
        "failed": line.failed,
        "meters": ", ".join(f"{one.qty} {one.meter}" for one in line.meters),
        "money": _money(line),
    }


def _money(line: UsageLine) -> str:
    return ", ".join(str(one) for one in line.money)


def _accounts(services: Services, scope: Scope) -> list[dict[str, str]]:
    if services.money is None:
        return []
    return [
        {
            "code": one.row.code,
            "balance": f"{show_amount(one.row.balance, one.row.scale)} {one.row.currency}",
            "available": f"{show_amount(one.available, one.row.scale)} {one.row.currency}",
        }
        for one in services.money.credits.balances(scope)
    ]


def _budgets(services: Services, org: int) -> list[dict[str, str]]:
    if services.money is None:
        return []
    found: list[dict[str, str]] = []
    for shown in services.money.budgets.shown(org):
        budget = shown.budget
        amount = f"{show_amount(budget.amount, budget.scale)} {budget.currency}"
        left = min((use.left for use in shown.uses), default=budget.amount)
        found.append(
            {
                "name": budget.name,
                "amount": f"{amount} a {budget.period}" if budget.period != "total" else f"{amount} in all",
                "left": f"{show_amount(left, budget.scale)} {budget.currency}",
                "ends": stamp(shown.ends)[:10] if shown.ends is not None else "",
            }
        )
    return found


def _invoice(document: bytes) -> dict[str, Any]:
    one = msgspec.json.decode(document, type=dict[str, Any])
    sums = (f"{show_amount(each['total'], each['scale'])} {each['currency']}" for each in one["totals"])
    return {
        "no": one["no"],
        "number": one["number"],
        "title": "Credit note" if one["kind"] == "credit_note" else "Invoice",
        "issued": one["issued"],
        "period": f"{one['first_day']} to {one['last_day']}",
        "total": ", ".join(sums),
    }
