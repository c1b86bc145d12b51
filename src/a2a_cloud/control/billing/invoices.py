"""`Invoices`: made once a month is over, of what the ledger says until then, numbered without gaps over the
whole platform, and never changed: what was refunded later is a credit note.

A document's lines follow from the ledger alone, so that anybody who has it can make them again byte for byte.
Reading and rendering happen off the loop; PDFs are made by a process of their own.
"""

from __future__ import annotations

import asyncio
import hashlib
import importlib.util
import sys
from collections.abc import Callable, Sequence
from itertools import groupby
from pathlib import Path
from typing import Any, Protocol

import msgspec

from a2a_cloud.control.billing.invoice_rows import ADD_INVOICE, PUT_PARTY, InvoiceRows, party_text
from a2a_cloud.control.billing.months import bounds, day_of
from a2a_cloud.control.billing.reading import reading
from a2a_cloud.control.billing.render_html import invoice_html
from a2a_cloud.model.invoice import (
    Bounds,
    Invoice,
    InvoiceLine,
    InvoiceRow,
    InvoiceTotal,
    Party,
    Rebuilt,
)
from a2a_cloud.model.ports import Clock
from a2a_cloud.model.principal import Principal
from a2a_cloud.model.problem import AlreadyExists, Internal, InvalidParams, NotFound, Unavailable
from a2a_cloud.model.scope import SYSTEM, Scope
from a2a_cloud.storage.journal.port import Op
from a2a_cloud.storage.sql.audit import change
from a2a_cloud.wire.canonical import canonical

_PDF_SECONDS = 60.0
#: Exit code of a document that can't be set (render_pdf.REFUSED, whose module is heavy to load).
_REFUSED = 3
_MOST_TEXT, _MOST_LINES = 200, 8

_decode = msgspec.json.Decoder(Invoice).decode


class Journal(Protocol):
    """What stores them."""

    async def write(self, ops: Sequence[Op]) -> None:
        """Commit."""
        ...


class Terms(Protocol):
    """What the platform's settings say of invoices."""

    @property
    def terms_days(self) -> int: ...
    @property
    def prefix(self) -> str: ...
    @property
    def font(self) -> Path | None: ...


class Invoices:
    """See the module. `clock` is billing's, `seller` who issues them; `rows` read over the loop's
    connection."""

    def __init__(
        self,
        database: Path,
        rows: InvoiceRows,
        journal: Journal,
        clock: Clock,
        seller: Party,
        terms: Terms,
        org_name: Callable[[int], str],
    ) -> None:
        self._database = database
        self._rows = rows
        self._journal = journal
        self._clock = clock
        self._seller = seller
        self._terms = terms
        self._org_name = org_name
        self._making = asyncio.Lock()
        self._rendering = asyncio.Semaphore(1)

    async def make(self, org: int | None, month: str, by: Principal) -> list[Invoice]:
        """Issue what there is to invoice up to the end of a month, for an organisation or for all. Raises
        InvalidParams, AlreadyExists."""
        _, until = bounds(month)
        now = self._clock.now()
        if until > now:
            raise InvalidParams(
                f"{month} is not over: it is {day_of(now)}.",
                remedy=f"Make its invoices from {day_of(until)} on.",
                info={"field": "month"},
            )
        made: list[Invoice] = []
        async with self._making:
            no, through = self._rows.last(SYSTEM)
            await self._journal.write([])  # What was posted before that is on disk then, or refused.
            for each in [org] if org is not None else self._rows.payers(SYSTEM):
                scope = Scope(each)
                since, after = self._rows.covered(scope)
                if since >= until:
                    if org is not None:
                        raise AlreadyExists(
                            f"{self._org_name(each)} is invoiced until {day_of(since, -1)}.",
                            remedy="What came later is on the next month's invoice.",
                        )
                    continue
                covered = Bounds(since, after, until, max(after, through))
                issued = await asyncio.to_thread(self._build, scope, covered, no, now)
                if issued:
                    await self._journal.write(self._ops(issued, each, by))
                    no += len(issued)
                    made += issued
        return made

    def _ops(self, issued: Sequence[Invoice], org: int, by: Principal) -> list[Op]:
        now, ops = self._clock.now(), list[Op]()
        for one in issued:
            document, of = _bytes(one), one.bounds
            sha256 = hashlib.sha256(document)
            ops.append(
                (
                    ADD_INVOICE,
                    (
                        one.no,
                        org,
                        one.number,
                        now,
                        of.since,
                        of.after,
                        of.until,
                        of.through,
                        document,
                        sha256.digest(),
                    ),
                )
            )
            ops.append(
                change(
                    org,
                    now,
                    by.label,
                    "invoice.issued",
                    one.number,
                    form=one.kind,
                    of=one.of,
                    sha256=sha256.hexdigest(),
                    lines_sha256=one.lines_sha256,
                )
            )
        return ops

    # --- reading --------------------------------------------------------------------------------------

    def _build(self, scope: Scope, covered: Bounds, last: int, now: float) -> list[Invoice]:
        """The documents of one organisation: the invoice, then a credit note for each earlier invoice of
        which something was refunded."""
        with reading(self._database, self._clock) as connection:
            rows = InvoiceRows(connection)
            lines, accounts = _lines(rows, scope, covered), tuple(rows.accounts(scope, covered))
            buyer = self._party(rows, scope.org)
        documents: list[Invoice] = []
        # A refund of what is on the same invoice, or on none, is a line of it.
        for of, some in groupby(lines, key=lambda line: line.of):
            kept = tuple(some)
            no = last + len(documents) + 1
            documents.append(
                Invoice(
                    v=1,
                    kind="credit_note" if of else "invoice",
                    no=no,
                    number=f"{self._terms.prefix}{no}",
                    issued=day_of(now),
                    due=day_of(now, 0 if of else self._terms.terms_days),
                    first_day=day_of(covered.since)
                    if covered.since
                    else f"{min(line.month for line in kept)}-01",
                    last_day=day_of(covered.until, -1),
                    seller=self._seller,
                    buyer=buyer,
                    lines=kept,
                    totals=_totals(kept),
                    lines_sha256=_sha256(kept),
                    bounds=covered,
                    accounts=() if of else accounts,
                    of=of,
                )
            )
        return documents

    async def listed(self, scope: Scope, before: int, limit: int) -> list[InvoiceRow]:
        """The newest first, without their lines."""
        return await asyncio.to_thread(self._listed, scope, before, limit)

    def _listed(self, scope: Scope, before: int, limit: int) -> list[InvoiceRow]:
        with reading(self._database, self._clock) as connection:
            return InvoiceRows(connection).listed(scope, before, limit)

    async def one(self, scope: Scope, no: int) -> InvoiceRow:
        """A document. Raises NotFound."""
        found = self._rows.one(scope, no)
        if found is None:
            raise NotFound("There is no such invoice.", remedy="See `a2a invoices ls`.")
        return found

    async def verify(self, scope: Scope, no: int) -> Rebuilt:
        """Make a document again out of the ledger, and compare. Raises NotFound."""
        row = await self.one(scope, no)
        return await asyncio.to_thread(self._rebuild, row)

    def _rebuild(self, row: InvoiceRow) -> Rebuilt:
        stored, scope = _decode(row.document), Scope(row.org)
        with reading(self._database, self._clock) as connection:
            rows = InvoiceRows(connection)
            found = _lines(rows, scope, stored.bounds)
            accounts = tuple(rows.accounts(scope, stored.bounds))
        lines = tuple(line for line in found if line.of == stored.of)
        wrong: list[str] = []
        if hashlib.sha256(row.document).hexdigest() != row.sha256:
            wrong.append("The stored document is not the one that was issued: its SHA-256 differs.")
        for place in range(max(len(lines), len(stored.lines))):
            has = stored.lines[place] if place < len(stored.lines) else None
            says = lines[place] if place < len(lines) else None
            if has != says:
                wrong.append(f"Line {place + 1} is {_said(has)}; the ledger says {_said(says)}.")
                break
        again = msgspec.structs.replace(
            stored,
            lines=lines,
            totals=_totals(lines),
            lines_sha256=_sha256(lines),
            accounts=() if stored.of else accounts,
        )
        if not wrong and _bytes(again) != row.document:
            wrong.append("Its totals, accounts or hash differ from what the ledger gives.")
        return Rebuilt(stored.number, len(lines), _sha256(lines), tuple(wrong))

    # --- rendering ------------------------------------------------------------------------------------

    async def html(self, row: InvoiceRow) -> bytes:
        """A document for a browser."""
        return await asyncio.to_thread(invoice_html, _decode(row.document))

    async def pdf(self, row: InvoiceRow) -> bytes:
        """A document for a printer. Raises Unavailable where the library is missing, InvalidParams for
        letters that no font has."""
        if any(importlib.util.find_spec(name) is None for name in ("fpdf", "uharfbuzz", "pymupdf_fonts")):
            raise Unavailable(
                "What sets PDFs is not installed here.",
                remedy="Install it: pip install 'a2a-cloud[pdf]'. Or take the HTML: format=html.",
            )
        font = self._terms.font
        job = msgspec.json.encode(
            {"document": msgspec.Raw(row.document), "font": "" if font is None else str(font)}
        )
        async with self._rendering:
            made, told, code = await _process(job)
        if code == _REFUSED:
            raise InvalidParams(told, remedy="Set A2A_INVOICE_FONT to a TrueType file, or take the HTML.")
        if code:
            raise Internal("The PDF could not be made.", remedy="Take the HTML.", operator=told[-2000:])
        return made

    # --- whom they are for ----------------------------------------------------------------------------

    def party(self, org: int) -> Party:
        """What invoices say of an organisation: its name, where nothing was set."""
        return self._party(self._rows, org)

    def _party(self, rows: InvoiceRows, org: int) -> Party:
        body, name = rows.party(Scope(org)), self._org_name(org)
        told: dict[str, Any] = msgspec.json.decode(body) if body else {"name": name}
        return msgspec.convert({**told, "org": name}, Party)

    async def set_party(self, org: int, party: Party, by: Principal) -> Party:
        """Change it, for documents from now on. Raises InvalidParams."""
        texts = [party.name, party.tax_id, *party.address]
        good = all(len(one) <= _MOST_TEXT and one.isprintable() for one in texts) and party.name.strip()
        if not good or len(party.address) > _MOST_LINES:
            raise InvalidParams(
                "The name is empty, or a text is too long or not printable.",
                remedy=f"Send a name, {_MOST_LINES} lines of address at most, {_MOST_TEXT} characters each.",
            )
        at, body = self._clock.now(), msgspec.json.encode(party_text(party)).decode()
        event = change(org, at, by.label, "billing.party_set", self._org_name(org), name=party.name)
        await self._journal.write([(PUT_PARTY, (org, body, at, by.label)), event])
        return self.party(org)


async def _process(job: bytes) -> tuple[bytes, str, int]:
    """(what it wrote, what it said, its exit code) of the process that sets a document."""
    process = await asyncio.create_subprocess_exec(
        sys.executable,
        *("-I", "-m", "a2a_cloud.control.billing.render_pdf"),
        stdin=asyncio.subprocess.PIPE,
        stdout=asyncio.subprocess.PIPE,
        stderr=asyncio.subprocess.PIPE,
        env={"SOURCE_DATE_EPOCH": "0"},
    )
    try:
        made, said = await asyncio.wait_for(process.communicate(job), _PDF_SECONDS)
    except TimeoutError:
        raise Internal("The PDF took too long.", remedy="Take the HTML.") from None
    finally:
        if process.returncode is None:
            process.kill()
            await process.wait()
    return made, said.decode("utf-8", "replace").strip(), process.returncode or 0


def _lines(rows: InvoiceRows, scope: Scope, covered: Bounds) -> list[InvoiceLine]:
    return [
        InvoiceLine(
            kind=row.kind,
            month=row.month,
            agent=row.agent or "",
            skill=row.skill or "",
            price=row.price,
            calls=row.calls,
            currency=row.currency,
            scale=row.scale,
            amount=row.amount,
            payer=row.payer,
            of=row.of,
        )
        for row in rows.lines(scope, covered)
    ]


def _totals(lines: Sequence[InvoiceLine]) -> tuple[InvoiceTotal, ...]:
    """All of it was paid when the calls ended, out of prepaid accounts."""
    sums: dict[tuple[str, int], int] = {}
    for line in lines:
        key = line.currency, line.scale
        sums[key] = sums.get(key, 0) + line.amount
    return tuple(InvoiceTotal(*key, total, total, 0) for key, total in sorted(sums.items()))


def _sha256(lines: Sequence[InvoiceLine]) -> str:
    return hashlib.sha256(_bytes(lines)).hexdigest()


def _bytes(value: object) -> bytes:
    """The canonical JSON (RFC 8785) of a document, or of its lines."""
    return canonical(msgspec.json.decode(msgspec.json.encode(value)))


def _said(line: InvoiceLine | None) -> str:
    return "missing" if line is None else _bytes(line).decode()
