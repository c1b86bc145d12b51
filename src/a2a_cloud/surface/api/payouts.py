"""`/api/v1/payouts`: what an organisation earned with its agents, and that it was paid out."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from datetime import UTC, datetime
from typing import Any

from msgspec import Struct

from a2a_cloud.model.invoice import Statement
from a2a_cloud.model.principal import Permission
from a2a_cloud.model.problem import Forbidden, InvalidParams
from a2a_cloud.surface.api.bodies import read_body
from a2a_cloud.surface.api.invoices import keeper, org_no
from a2a_cloud.surface.api.money import key_of
from a2a_cloud.surface.api.usage import of, send_csv
from a2a_cloud.surface.pages.assets import HTML
from a2a_cloud.surface.ports import Services
from a2a_cloud.surface.request import Request
from a2a_cloud.wire.json_text import readable

_HEAD = ("day", "kind", "agent", "skill", "calls", "amount", "currency", "ref")

Answer = tuple[int, Any]


class _Make(Struct, forbid_unknown_fields=True):
    org: str
    currency: str
    amount: str = ""
    ref: str = ""


async def statement(services: Services, request: Request, _values: list[str]) -> Answer:
    """`GET /api/v1/payouts?org=&month=&format=json|csv|html`: a month's statement, the current one without
    `month`."""
    principal = request.principal
    if not principal.may(Permission.READ_USAGE):
        raise Forbidden(
            "What an organisation earns is for who may read its usage.",
            remedy=f"Use a key with {Permission.READ_USAGE}.",
            info={"permission": Permission.READ_USAGE.value},
        )
    query, accounting = request.query(), of(services)
    org = org_no(services, principal, query.get("org", ""))
    month = query.get("month", "") or datetime.fromtimestamp(accounting.clock.now(), UTC).strftime("%Y-%m")
    kind = query.get("format", "") or "json"
    if kind not in ("json", "csv", "html"):
        raise InvalidParams(f"format is {readable(kind)}.", remedy="Write json, csv or html.")
    found = await accounting.payouts.statement(org, month)
    name = f"revenue-{found.org}-{month}"
    if kind == "csv":
        await send_csv(request, f"{name}.csv", _HEAD, _rows(found))
        return 200, None
    if kind == "html":
        place = f'inline; filename="{name}.html"'.encode()
        policy = b"default-src 'none'; style-src 'unsafe-inline'; sandbox"
        fields = [(b"content-disposition", place), (b"content-security-policy", policy)]
        body = accounting.payouts.html(found)
        await request.answer(200, body, HTML, [*fields, (b"cache-control", b"private, no-store")])
        return 200, None
    return 200, found.document()


async def make(services: Services, request: Request, _values: list[str]) -> Answer:
    """`POST /api/v1/payouts {"org", "currency", "amount"?, "ref"?}`: records that revenue was paid out, all
    of it without an amount. Under the same Idempotency-Key it is the same payout."""
    principal = request.principal
    keeper(principal)
    wanted = await read_body(request, _Make, '{"org", "currency", "amount"?: "12.50", "ref"?}')
    org = org_no(services, principal, wanted.org)
    key = key_of(request)
    made = await of(services).payouts.make(org, wanted.amount, wanted.currency, wanted.ref, key, principal)
    return 201, made


def _rows(found: Statement) -> Iterator[Sequence[object]]:
    for line in found.lines:
        yield line.day, line.kind, line.agent, line.skill, line.calls, line.value, line.currency, line.ref
