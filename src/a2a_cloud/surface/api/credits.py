"""`/api/v1/credits`: prepaid accounts. Everybody sees what pays for their own calls; who handles the
platform's money pays in, and who handles an agent's organisation's gives back what a run was charged."""

from __future__ import annotations

from typing import Any

from msgspec import Struct

from a2a_cloud.model.billing import show_amount
from a2a_cloud.model.scope import SYSTEM, Scope
from a2a_cloud.model.stamp import stamp
from a2a_cloud.surface.api.bodies import read_body
from a2a_cloud.surface.api.money import (
    Answer,
    check_memo,
    key_of,
    may_change,
    of,
    operator,
    org_of,
    reads,
    runs_platform,
)
from a2a_cloud.surface.billing_port import Balance
from a2a_cloud.surface.ports import Services
from a2a_cloud.surface.request import Request
from a2a_cloud.wire.a2a_v1 import read_timestamp


class NewCredit(Struct, forbid_unknown_fields=True):
    """The body of `POST /api/v1/credits`: `caller` for one principal's own account."""

    org: str
    amount: str
    currency: str
    caller: str = ""
    expires: str = ""
    priority: int = 0
    memo: str = ""


class NewRefund(Struct, forbid_unknown_fields=True):
    """The body of `POST /api/v1/credits/refund`; `amount` "": all that is left of the charge."""

    run: str
    amount: str = ""
    memo: str = ""


async def listed(services: Services, request: Request, _values: list[str]) -> Answer:
    """`GET /api/v1/credits?org=`: one's own account; for who reads the organisation's money all of them."""
    principal = request.principal
    org = org_of(services, request, request.query().get("org", ""))
    found = of(services).credits.balances(Scope(org=org), None if reads(principal) else principal.no)
    return 200, {"accounts": [_account(services, one) for one in found]}


async def grant(services: Services, request: Request, _values: list[str]) -> Answer:
    """`POST /api/v1/credits`: pay in. The same Idempotency-Key again is the same transaction."""
    principal = request.principal
    operator(principal, "Paying in credits")
    wanted = await read_body(
        request,
        NewCredit,
        '{"org": NAME, "amount": "25.00", "currency": "USD", "caller"?, "expires"?, "priority"?}',
    )
    org = org_of(services, request, wanted.org)
    owner = 0
    if wanted.caller:
        owner = of(services).books.caller_no(org, wanted.caller)
    row, account = await of(services).credits.grant(
        org,
        owner,
        wanted.caller,
        wanted.amount,
        wanted.currency,
        by=principal.label,
        by_org=principal.org_no,
        priority=wanted.priority,
        expires=_moment(wanted.expires),
        memo=check_memo(wanted.memo),
        key=key_of(request),
    )
    return 200, {
        "txn": row.id,
        "account": account.code,
        "amount": wanted.amount,
        "currency": account.currency,
        "balance": show_amount(account.balance, account.scale),
    }


async def refund(services: Services, request: Request, _values: list[str]) -> Answer:
    """`POST /api/v1/credits/refund`: give back what a run was charged, or a part of it."""
    principal = request.principal
    may_change(principal)
    wanted = await read_body(request, NewRefund, '{"run": ID, "amount"?: "1.00", "memo"?}')
    anybody = runs_platform(principal)
    run = of(services).books.run_no(SYSTEM if anybody else Scope(org=principal.org_no), wanted.run)
    done = await of(services).credits.refund(
        run,
        wanted.amount,
        by=principal.label,
        by_org=principal.org_no,
        memo=check_memo(wanted.memo),
        key=key_of(request),
        org=None if anybody else principal.org_no,
    )
    scale = done.account.scale
    return 200, {
        "txn": done.row.id,
        "run": wanted.run,
        "amount": show_amount(done.amount, scale),
        "refunded": show_amount(done.refunded, scale),
        "charged": show_amount(done.charged, scale),
        "currency": done.account.currency,
    }


def _account(services: Services, balance: Balance) -> dict[str, Any]:
    row = balance.row
    whose = of(services).books.caller_name(row.org, row.owner) if row.owner else ""

    def amount(units: int) -> str:
        return show_amount(units, row.scale)

    return {
        "account": row.code,
        **({"caller": whose} if whose else {}),
        "currency": row.currency,
        "scale": row.scale,
        "balance": amount(row.balance),
        "held": amount(row.held),
        "available": amount(balance.available),
        "credits": [
            {
                "id": one.id,
                "amount": amount(one.amount),
                "left": amount(one.rest),
                "priority": one.priority,
                **({"expires": stamp(one.expires)} if one.expires is not None else {}),
                "at": stamp(one.created),
                **({"memo": one.memo} if one.memo else {}),
            }
            for one in balance.grants
        ],
    }


def _moment(text: str) -> float | None:
    if not text:
        return None
    return read_timestamp(text if "T" in text else f"{text}T00:00:00Z", "expires")
