"""Invoices over a ledger on disk: everything once, nothing lost, never changed, the same again byte for
byte."""

from __future__ import annotations

import asyncio
import sqlite3
from collections.abc import Awaitable, Callable
from io import BytesIO
from pathlib import Path

import msgspec
import pytest
from accounting_site import DAY, ROOT, Site

from a2a_cloud.model.invoice import Invoice, Party
from a2a_cloud.model.problem import AlreadyExists, Forbidden, InvalidParams, NotFound
from a2a_cloud.model.scope import SYSTEM, Scope
from a2a_cloud.storage.journal.port import Refusal, Statement
from a2a_cloud.storage.sql import statements as sql

ACME, GLOBEX = Scope(2), Scope(3)


def tell(folder: Path, story: Callable[[Site], Awaitable[None]], **options: bool) -> None:
    async def told() -> None:
        site = Site(folder, **options)
        await site.people()
        await site.put_in(2, 10_000)
        await story(site)
        await site.close()

    asyncio.run(told())


def amounts(invoice: Invoice) -> list[tuple[str, str, int, int]]:
    return [(line.kind, line.month, line.calls, line.amount) for line in invoice.lines]


def test_a_month_becomes_an_invoice(tmp_path: Path) -> None:
    async def story(site: Site) -> None:
        for _ in range(3):
            await site.charge(2, 25)
        await site.charge(2, 30, price=2)
        with pytest.raises(InvalidParams, match="2026-10 is not over"):
            await site.invoices.make(2, "2026-10", ROOT)
        await site.clock.advance(31 * DAY, 1, "root")
        (made,) = await site.invoices.make(2, "2026-10", ROOT)
        assert (made.number, made.no, made.kind) == ("INV-1", 1, "invoice")
        assert (made.first_day, made.last_day) == ("2026-10-01", "2026-10-31")
        assert (made.issued, made.due) == ("2026-11-01", "2026-11-15")
        assert [(line.price, line.calls, line.amount) for line in made.lines] == [
            ("v1", 3, 75),
            ("v2", 1, 30),
        ]
        assert made.lines[0].agent == "desk"
        assert made.lines[0].skill == "review"
        assert (made.totals[0].total, made.totals[0].paid, made.totals[0].due) == (105, 105, 0)
        account = made.accounts[0]
        assert (account.opening, account.added, account.spent, account.closing) == (0, 10_000, 105, 9_895)
        found = await site.invoices.verify(ACME, 1)
        assert not found.wrong
        assert found.lines_sha256 == made.lines_sha256

    tell(tmp_path, story)


def test_an_agent_whose_name_is_free_again_stays_on_its_invoices(tmp_path: Path) -> None:
    async def story(site: Site) -> None:
        await site.charge(2, 25)
        await site.clock.advance(31 * DAY, 1, "root")
        await site.invoices.make(2, "2026-10", ROOT)
        late = await site.charge(2, 40)
        await site.journal.write([(sql.FREE_NAME, ("desk~1", 1, 1))])
        await site.refund(late, 10)
        assert not (await site.invoices.verify(ACME, 1)).wrong
        await site.clock.advance(30 * DAY, 1, "root")
        (second,) = await site.invoices.make(2, "2026-11", ROOT)
        assert {line.agent for line in second.lines} == {"desk"}
        statement = await site.payouts.statement(1, "2026-11")
        assert {line.agent for line in statement.lines} == {"desk"}

    tell(tmp_path, story)


def test_a_month_is_invoiced_once_and_what_comes_late_is_in_the_next(tmp_path: Path) -> None:
    async def story(site: Site) -> None:
        await site.charge(2, 25)
        await site.clock.advance(31 * DAY, 1, "root")
        await site.charge(2, 40)  # November, before October is invoiced.
        await site.invoices.make(2, "2026-10", ROOT)
        site.true.at -= 5 * DAY  # A clock that is turned back: October again.
        await site.charge(2, 60)
        site.true.at += 5 * DAY
        with pytest.raises(AlreadyExists):
            await site.invoices.make(2, "2026-10", ROOT)
        await site.clock.advance(30 * DAY, 1, "root")
        (second,) = await site.invoices.make(2, "2026-11", ROOT)
        assert amounts(second) == [("usage", "2026-10", 1, 60), ("usage", "2026-11", 1, 40)]
        assert second.accounts[0].opening == 10_000 - 25
        for no in (1, 2):
            assert not (await site.invoices.verify(ACME, no)).wrong
        first = msgspec.json.decode((await site.invoices.one(ACME, 1)).document, type=Invoice)
        assert amounts(first) == [("usage", "2026-10", 1, 25)]

    tell(tmp_path, story)


def test_a_refund_after_the_invoice_is_a_credit_note(tmp_path: Path) -> None:
    async def story(site: Site) -> None:
        early, late = await site.charge(2, 100), await site.charge(2, 100)
        await site.refund(early, 40)
        await site.clock.advance(31 * DAY, 1, "root")
        (first,) = await site.invoices.make(2, "2026-10", ROOT)
        assert amounts(first) == [("usage", "2026-10", 2, 200), ("refund", "2026-10", 1, -40)]
        await site.refund(late, 100)
        await site.charge(2, 7)
        await site.clock.advance(30 * DAY, 1, "root")
        second, note = await site.invoices.make(2, "2026-11", ROOT)
        assert amounts(second) == [("usage", "2026-11", 1, 7)]
        assert (note.kind, note.of, note.number) == ("credit_note", "INV-1", "INV-3")
        assert amounts(note) == [("refund", "2026-10", 1, -100)]
        assert note.totals[0].total == -100
        for no in (1, 2, 3):
            assert not (await site.invoices.verify(ACME, no)).wrong

    tell(tmp_path, story)


def test_a_flat_fee_is_a_line_of_its_own(tmp_path: Path) -> None:
    async def story(site: Site) -> None:
        await site.charge(2, 900, price=3, skill="greet")
        await site.charge(3, 25)
        await site.clock.advance(31 * DAY, 1, "root")
        (made,) = await site.invoices.make(2, "2026-10", ROOT)
        assert amounts(made) == [("usage", "2026-10", 1, 25), ("fee", "2026-10", 1, 900)]

    tell(tmp_path, story)


def test_numbers_have_no_gaps_over_organisations(tmp_path: Path) -> None:
    async def story(site: Site) -> None:
        await site.put_in(3, 1000)
        await site.charge(2, 25)
        await site.charge(4, 25)
        await site.clock.advance(31 * DAY, 1, "root")
        both = await asyncio.gather(
            site.invoices.make(None, "2026-10", ROOT), site.invoices.make(None, "2026-10", ROOT)
        )
        assert sorted(one.no for made in both for one in made) == [1, 2]
        assert await site.invoices.make(None, "2026-10", ROOT) == []
        assert [row.no for row in await site.invoices.listed(SYSTEM, 99, 10)] == [2, 1]
        assert [row.org for row in await site.invoices.listed(GLOBEX, 99, 10)] == [3]
        with pytest.raises(NotFound):
            await site.invoices.one(GLOBEX, 1)

    tell(tmp_path, story)


def test_an_issued_invoice_can_neither_change_nor_go(tmp_path: Path) -> None:
    async def story(site: Site) -> None:
        await site.charge(2, 25)
        await site.clock.advance(31 * DAY, 1, "root")
        await site.invoices.make(2, "2026-10", ROOT)
        copy = (
            "INSERT INTO invoice(no, org, number, at, since, after, until, through, document, sha256)"
            " SELECT {no}, org, 'X', at, since, after, {until}, through, document, sha256 FROM invoice"
        )
        for place, text in enumerate(
            (
                "UPDATE invoice SET document=x'00' WHERE org=2",
                "DELETE FROM invoice WHERE org=2",
                copy.format(no=5, until="until"),
                copy.format(no=2, until="until+1"),
            )
        ):
            with pytest.raises(Refusal):
                await site.journal.write([(Statement(f"test_wrong_{place}", text), ())])
        (kind, target, detail) = site.connection.execute(
            "SELECT kind, target, detail FROM audit_event WHERE kind='invoice.issued'"
        ).fetchone()
        row = await site.invoices.one(ACME, 1)
        assert (kind, target) == ("invoice.issued", "INV-1")
        assert row.sha256 in detail

    tell(tmp_path, story)


def test_a_changed_ledger_is_found(tmp_path: Path) -> None:
    async def story(site: Site) -> None:
        await site.charge(2, 25)
        await site.clock.advance(31 * DAY, 1, "root")
        await site.invoices.make(2, "2026-10", ROOT)
        with sqlite3.connect(site.path) as bad:
            bad.execute("DROP TRIGGER ledger_entry_stays")
            bad.execute("UPDATE ledger_entry SET amount=amount+1")
        bad.close()
        found = await site.invoices.verify(ACME, 1)
        assert found.wrong
        assert '"amount":25' in found.wrong[0]

    tell(tmp_path, story)


def test_the_same_document_gives_the_same_bytes(tmp_path: Path) -> None:
    async def story(site: Site) -> None:
        await site.charge(2, 25)
        party = Party("Жанна <script> Ωμέγα", ("مرحبا 1",), "T-1")
        assert (await site.invoices.set_party(2, party, ROOT)).name == party.name
        await site.clock.advance(31 * DAY, 1, "root")
        await site.invoices.make(2, "2026-10", ROOT)
        row = await site.invoices.one(ACME, 1)
        await site.invoices.set_party(2, Party("Other"), ROOT)
        pages = [await site.invoices.html(row) for _ in range(2)]
        papers = [await site.invoices.pdf(row) for _ in range(2)]
        assert pages[0] == pages[1]
        assert papers[0] == papers[1]
        assert "Жанна &lt;script&gt;".encode() in pages[0]
        from pypdf import PdfReader

        text = PdfReader(BytesIO(papers[0])).pages[0].extract_text()
        assert "Invoice INV-1" in text
        assert "0.25 USD" in text
        assert "Жанна" in text

    tell(tmp_path, story)


def test_letters_that_no_font_has_are_said(tmp_path: Path) -> None:
    async def story(site: Site) -> None:
        await site.charge(2, 25)
        await site.invoices.set_party(2, Party("株式会社"), ROOT)
        await site.clock.advance(31 * DAY, 1, "root")
        await site.invoices.make(2, "2026-10", ROOT)
        row = await site.invoices.one(ACME, 1)
        with pytest.raises(InvalidParams, match="no letter for 会 式 株 社"):
            await site.invoices.pdf(row)
        assert "株式会社".encode() in await site.invoices.html(row)

    tell(tmp_path, story)


@pytest.mark.parametrize(
    "party",
    [Party(""), Party("a\nb"), Party("x" * 201), Party("a", ("l",) * 9), Party("a", ("\x07",))],
    ids=["empty", "two-lines", "long", "many-lines", "bell"],
)
def test_a_party_that_can_not_be_printed_is_refused(tmp_path: Path, party: Party) -> None:
    async def story(site: Site) -> None:
        with pytest.raises(InvalidParams):
            await site.invoices.set_party(2, party, ROOT)

    tell(tmp_path, story)


def test_billing_s_clock_goes_forward_on_a_test_platform_alone(tmp_path: Path) -> None:
    async def story(site: Site) -> None:
        before = site.clock.now()
        with pytest.raises(Forbidden, match="true one"):
            await site.clock.advance(DAY, 1, "root")
        assert site.clock.now() == before

    tell(tmp_path, story, movable=False)


def test_billing_s_clock_stays_ahead_over_a_restart(tmp_path: Path) -> None:
    async def story(site: Site) -> None:
        await asyncio.gather(*(site.clock.advance(DAY, 1, "root") for _ in range(3)))
        assert site.clock.ahead == 3 * DAY
        for wrong in (0, -1, float("nan"), 1e12):
            with pytest.raises(InvalidParams):
                await site.clock.advance(wrong, 1, "root")

    tell(tmp_path, story)

    async def again() -> None:
        site = Site(tmp_path, movable=False)
        assert site.clock.ahead == 3 * DAY
        await site.close()

    asyncio.run(again())
