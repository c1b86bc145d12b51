"""`/api/v1/invoices`: invoices and credit notes, made by who keeps the platform's books and read by those
that they are for; and `/api/v1/billing`: what invoices say of an organisation, and billing's clock in
tests."""

from __future__ import annotations

import re
from typing import Any

import msgspec
from msgspec import Struct

from a2a_cloud.model.invoice import Party
from a2a_cloud.model.principal import Permission
from a2a_cloud.model.problem import Forbidden, InvalidParams, NotFound
from a2a_cloud.model.scope import SYSTEM, Scope
from a2a_cloud.model.stamp import stamp
from a2a_cloud.surface.accounting_port import Accounting
from a2a_cloud.surface.api.bodies import read_body
from a2a_cloud.surface.api.money import Answer, may_change, may_read, operator, org_of, runs_platform
from a2a_cloud.surface.api.releases import number
from a2a_cloud.surface.api.usage import of
from a2a_cloud.surface.pages.assets import HTML
from a2a_cloud.surface.ports import Services
from a2a_cloud.surface.request import Headers, Request
from a2a_cloud.wire.json_text import readable

PDF = b"application/pdf"
_NAME = re.compile(r"[^A-Za-z0-9._-]+")
_SANDBOX: Headers = [(b"content-security-policy", b"default-src 'none'; style-src 'unsafe-inline'; sandbox")]


class _Make(Struct, forbid_unknown_fields=True):
    month: str
    org: str = ""


class _Advance(Struct, forbid_unknown_fields=True):
    seconds: float


class _Party(Struct, forbid_unknown_fields=True):
    name: str
    address: list[str] = []
    tax_id: str = ""


async def make(services: Services, request: Request, _values: list[str]) -> Answer:
    """`POST /api/v1/invoices {"month": "2026-10", "org"?}`: issues what there is to invoice, for an
    organisation or for all. Nothing to invoice is no error."""
    operator(request.principal, "Issuing invoices")
    wanted = await read_body(request, _Make, '{"month": "2026-10", "org"?: NAME}')
    org = org_of(services, request, wanted.org) if wanted.org else None
    made = await of(services).invoices.make(org, wanted.month, request.principal)
    return 201 if made else 200, {"invoices": made}


async def listed(services: Services, request: Request, _values: list[str]) -> Answer:
    """`GET /api/v1/invoices?org=&before=&limit=`: the newest first, without their lines."""
    query = request.query()
    limit, before = number(query, "limit", 50, 1, 1000), number(query, "before", 10**10, 0, 10**10)
    scope = _scope(services, request, query.get("org", ""))
    rows = await of(services).invoices.listed(scope, before, limit)
    found = [{**msgspec.json.decode(row.document), "sha256": row.sha256} for row in rows]
    return 200, {"invoices": found, "next": str(rows[-1].no) if len(rows) == limit else ""}


async def one(services: Services, request: Request, values: list[str]) -> Answer:
    """`GET /api/v1/invoices/{no}?format=json|html|pdf`, or by Accept: the document as it was issued. As JSON
    its bytes are those of which `sha256` in the audit log is the hash."""
    accounting, scope = of(services), _scope(services, request)
    row = await accounting.invoices.one(scope, _no(values[0]))
    kind = _format(request)
    if kind == "json":
        return 200, row.document
    name = _NAME.sub("-", str(msgspec.json.decode(row.document)["number"]))
    body = await (accounting.invoices.html(row) if kind == "html" else accounting.invoices.pdf(row))
    place = f'inline; filename="{name}.{kind}"'.encode()
    fields: Headers = [(b"content-disposition", place), (b"cache-control", b"private, no-store")]
    await request.answer(
        200, body, HTML if kind == "html" else PDF, fields + (_SANDBOX if kind == "html" else [])
    )
    return 200, None


async def verify(services: Services, request: Request, values: list[str]) -> Answer:
    """`GET /api/v1/invoices/{no}/verify`: the document rebuilt from the ledger and compared."""
    scope = _scope(services, request)
    found = await of(services).invoices.verify(scope, _no(values[0]))
    return 200, {
        "number": found.number,
        "same": not found.wrong,
        "lines": found.lines,
        "lines_sha256": found.lines_sha256,
        "wrong": found.wrong,
    }


async def party(services: Services, request: Request, _values: list[str]) -> Answer:
    """`GET /api/v1/billing/party?org=`: what invoices say of an organisation."""
    may_read(request.principal)
    return 200, of(services).invoices.party(org_of(services, request, request.query().get("org", "")))


async def put_party(services: Services, request: Request, _values: list[str]) -> Answer:
    """`PUT /api/v1/billing/party?org= {"name", "address"?: [LINE…], "tax_id"?}`: from the next invoice on."""
    may_change(request.principal)
    org = org_of(services, request, request.query().get("org", ""))
    wanted = await read_body(request, _Party, '{"name", "address"?: [LINE…], "tax_id"?}')
    told = Party(wanted.name, tuple(wanted.address), wanted.tax_id)
    return 200, await of(services).invoices.set_party(org, told, request.principal)


async def clock(services: Services, request: Request, _values: list[str]) -> Answer:
    """`GET /api/v1/billing/clock`: billing's time."""
    may_read(request.principal)
    return 200, _clock(of(services))


async def advance(services: Services, request: Request, _values: list[str]) -> Answer:
    """`POST /api/v1/billing/clock {"seconds"}`: puts billing's clock forward, on a test platform."""
    principal = request.principal
    if not principal.may(Permission.MANAGE_PLATFORM):
        raise Forbidden("Billing's clock is for who runs the platform.", remedy="Use an admin's key.")
    wanted = await read_body(request, _Advance, '{"seconds": 2678400}')
    accounting = of(services)
    await accounting.clock.advance(wanted.seconds, principal.org_no, principal.label)
    return 200, _clock(accounting)


def _clock(accounting: Accounting) -> dict[str, Any]:
    found = accounting.clock
    return {"now": stamp(found.now()), "ahead": found.ahead, "movable": found.movable}


def _scope(services: Services, request: Request, org: str = "") -> Scope:
    """Whose invoices somebody may read: who keeps the platform's books, everybody's."""
    may_read(request.principal)
    if org:
        return Scope(org_of(services, request, org))
    return SYSTEM if runs_platform(request.principal) else Scope(request.principal.org_no)


def _no(text: str) -> int:
    if not (text.isascii() and text.isdigit() and len(text) < 12):
        raise NotFound("There is no such invoice.", remedy="Name it by its number alone: 7 for INV-7.")
    return int(text)


def _format(request: Request) -> str:
    said = request.query().get("format", "")
    if said not in ("", "json", "html", "pdf"):
        raise InvalidParams(f"format is {readable(said)}.", remedy="Write json, html or pdf.")
    accept = request.accept.lower()
    return said or ("pdf" if PDF in accept else "html" if b"text/html" in accept else "json")
