"""`/api/v1/ledger`: transactions and accounts of one's organisation, and whether the ledger adds up. Of a
transaction an organisation sees the lines in its own accounts; who handles the platform's money sees all,
with `org=*`."""

from __future__ import annotations

from typing import Any

from a2a_cloud.model.billing import show_amount
from a2a_cloud.model.scope import SYSTEM, Scope
from a2a_cloud.surface.api.money import Answer, may_read, of, operator, org_of, txn_document
from a2a_cloud.surface.api.releases import number
from a2a_cloud.surface.ports import Services
from a2a_cloud.surface.request import Request

_ALL = "*"


async def listed(services: Services, request: Request, _values: list[str]) -> Answer:
    """`GET /api/v1/ledger?org=&limit=&cursor=`: the newest first."""
    given = request.query()
    scope = _scope(services, request)
    most = number(given, "limit", 50, 1, 1000)
    before = number(given, "cursor", 10**11, 1, 10**11)
    found = of(services).books.txns(scope, before, most)
    return 200, {
        "transactions": [txn_document(services, row, list(entries)) for row, entries in found],
        "next": str(found[-1][0].no) if len(found) == most else "",
    }


async def one(services: Services, request: Request, values: list[str]) -> Answer:
    """`GET /api/v1/ledger/{txn}?org=`."""
    row, entries = of(services).books.txn(_scope(services, request), values[0])
    return 200, txn_document(services, row, list(entries))


async def accounts(services: Services, request: Request, _values: list[str]) -> Answer:
    """`GET /api/v1/ledger/accounts?org=`."""
    found = of(services).books.accounts(_scope(services, request))
    return 200, {
        "accounts": [
            {
                "account": row.code,
                "currency": row.currency,
                "scale": row.scale,
                "balance": show_amount(row.balance, row.scale),
                "held": show_amount(row.held, row.scale),
            }
            for row in found
        ]
    }


async def check(services: Services, request: Request, _values: list[str]) -> Answer:
    """`GET /api/v1/ledger/check`: every check, with the first rows that break it."""
    operator(request.principal, "The whole ledger")
    found = await of(services).books.check()
    return 200, {
        "holds": not any(each.broken for each in found),
        "checks": [
            {"name": each.name, "says": each.says, "holds": not each.broken, "broken": list(each.broken)}
            for each in found
        ],
    }


async def balance(services: Services, request: Request, _values: list[str]) -> Answer:
    """`POST /api/v1/ledger/balance`: a trial balance, and a line of the log with its hash."""
    operator(request.principal, "The whole ledger")
    trial = await of(services).books.balance(request.principal.label)
    told: list[dict[str, Any]] = [
        {"account": code, "currency": currency, "scale": scale, "balance": units}
        for code, currency, scale, units in trial.accounts
    ]
    return 200, {"accounts": told, "sums": dict(trial.sums), "txn": trial.txn, "sha256": trial.sha256}


def _scope(services: Services, request: Request) -> Scope:
    may_read(request.principal)
    org = request.query().get("org", "")
    if org == _ALL:
        operator(request.principal, "The whole ledger")
        return SYSTEM
    return Scope(org=org_of(services, request, org))
