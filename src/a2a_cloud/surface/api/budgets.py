"""`/api/v1/budgets`: what an organisation's callers may spend. Who sees its money sees them; who handles
its billing sets them."""

from __future__ import annotations

from typing import Any

import msgspec
from msgspec import Struct

from a2a_cloud.model.billing import Budget, Period, Who, show_amount
from a2a_cloud.model.stamp import stamp
from a2a_cloud.surface.api.money import Answer, body_of, may_change, may_read, of
from a2a_cloud.surface.billing_port import ShownBudget
from a2a_cloud.surface.ports import Services
from a2a_cloud.surface.request import Request


class Wanted(Struct, forbid_unknown_fields=True):
    """The body of a PUT."""

    amount: str
    currency: str
    period: Period = "month"
    callers: list[str] = []
    keys: list[str] = []
    agents: list[str] = []
    skills: list[str] = []
    each: bool = False


_decoder = msgspec.json.Decoder(Wanted)
_EXAMPLE = '{"amount": "5.00", "currency": "USD", "period": "month", "callers"?: ["ada"], "each"?: true}'


async def listed(services: Services, request: Request, _values: list[str]) -> Answer:
    """`GET /api/v1/budgets`."""
    may_read(request.principal)
    shown = of(services).budgets.shown(request.principal.org_no)
    return 200, {"budgets": [_document(services, one) for one in shown]}


async def put(services: Services, request: Request, values: list[str]) -> Answer:
    """`PUT /api/v1/budgets/{name}`."""
    principal = request.principal
    may_change(principal)
    wanted = await body_of(request, _decoder, _EXAMPLE)
    who = Who(wanted.callers, wanted.keys, wanted.agents, wanted.skills, wanted.each)
    budgets = of(services).budgets
    made = await budgets.set(
        principal.org_no, values[0], wanted.amount, wanted.currency, wanted.period, who, principal.label
    )
    shown = next(one for one in budgets.shown(principal.org_no) if one.budget.name == made.name)
    return 200, _document(services, shown)


async def drop(services: Services, request: Request, values: list[str]) -> Answer:
    """`DELETE /api/v1/budgets/{name}`."""
    may_change(request.principal)
    await of(services).budgets.remove(request.principal.org_no, values[0], request.principal.label)
    return 200, {"name": values[0], "removed": True}


def _document(services: Services, shown: ShownBudget) -> dict[str, Any]:
    budget: Budget = shown.budget

    def amount(units: int) -> str:
        return show_amount(units, budget.scale)

    used: list[dict[str, Any]] = []
    for use in shown.uses:
        told = {"spent": amount(use.spent), "held": amount(use.held), "left": amount(use.left)}
        whose = of(services).books.caller_name(budget.org, use.subject) if use.subject else ""
        used.append({"caller": whose, **told} if whose else told)
    return {
        "name": budget.name,
        "amount": amount(budget.amount),
        "currency": budget.currency,
        "period": budget.period,
        **msgspec.to_builtins(budget.who),
        "used": used,
        **({"resets": stamp(shown.ends)} if shown.ends is not None else {}),
        "at": stamp(budget.at),
        "by": budget.by,
    }
