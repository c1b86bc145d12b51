"""`/api/v1/payouts`: what an organisation earned with its agents, and that it was paid out."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from datetime import UTC, datetime

from msgspec import Struct

from a2a_cloud.model.invoice import Statement
from a2a_cloud.model.problem import InvalidParams, TooLarge
from a2a_cloud.ops.rooms import Rooms
from a2a_cloud.surface.api.bodies import read_body
from a2a_cloud.surface.api.money import Answer, key_of, may_read, operator, org_of
from a2a_cloud.surface.api.usage import MOST_PAGE, of, send_csv
from a2a_cloud.surface.pages.assets import HTML
from a2a_cloud.surface.ports import Services
from a2a_cloud.surface.request import Request
from a2a_cloud.wire.json_text import readable

_HEAD = ("day", "kind", "agent", "skill", "calls", "amount", "currency", "ref")
#: Each statement takes a thread: those of one organisation and of all, at a time, as questions of usage.
_rooms = Rooms(2, 3)


class _Make(Struct, forbid_unknown_fields=True):
    org: str
    currency: str
    amount: str = ""
    ref: str = ""


async def statement(services: Services, request: Request, _values: list[str]) -> Answer:
    """`GET /api/v1/payouts?org=&month=&format=json|csv|html`: a month's statement, the current one without
    `month`."""
    may_read(request.principal)
    query, accounting = request.query(), of(services)
    org = org_of(services, request, query.get("org", ""))
    month = query.get("month", "") or datetime.fromtimestamp(accounting.clock.now(), UTC).strftime("%Y-%m")
    kind = query.get("format", "") or "json"
    if kind not in ("json", "csv", "html"):
        raise InvalidParams(f"format is {readable(kind)}.", remedy="Write json, csv or html.")
    async with _rooms.of(request.principal.org_no):
        found = await accounting.payouts.statement(org, month)
    if kind != "csv" and len(found.lines) > MOST_PAGE:  # CSV goes out piece by piece.
        raise TooLarge(
            f"The statement has more than {MOST_PAGE} lines.",
            remedy="Ask for it as CSV: format=csv, or a2a payouts statement --csv.",
        )
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
    operator(request.principal, "Recording payouts")
    wanted = await read_body(request, _Make, '{"org", "currency", "amount"?: "12.50", "ref"?}')
    org, key = org_of(services, request, wanted.org), key_of(request)
    made = await of(services).payouts.make(
        org, wanted.amount, wanted.currency, wanted.ref, key, request.principal
    )
    return 201, made


def _rows(found: Statement) -> Iterator[Sequence[object]]:
    for line in found.lines:
        yield line.day, line.kind, line.agent, line.skill, line.calls, line.value, line.currency, line.ref
