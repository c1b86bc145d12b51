"""Invoices as PDF, set by fpdf2 with embedded fonts, in a process of its own (`python -I -m`): it takes the
document and the path of a further font as JSON on standard input and writes the PDF, or a sentence and 3.

Nothing in it depends on when or where it is made: the same document gives the same bytes."""

from __future__ import annotations

import sys
from datetime import UTC, datetime
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import TYPE_CHECKING, Any

import msgspec

from a2a_cloud.control.billing.render_html import about
from a2a_cloud.model.billing import show_amount
from a2a_cloud.model.invoice import Invoice

if TYPE_CHECKING:
    from fpdf import FPDF

#: Exit code of a document that can't be set, with the reason on standard error.
REFUSED = 3
_GREY = (90, 90, 90)
_WIDTHS = (20, 82, 18, 20, 40)


class Job(msgspec.Struct):
    """What the process takes."""

    document: Invoice
    font: str = ""


class Unset(Exception):
    """Letters that none of the fonts has."""


def pdf(job: Job) -> bytes:
    """The document as PDF. Raises Unset, OSError."""
    with TemporaryDirectory(prefix="a2a-pdf-") as folder:  # The setter takes fonts as files alone.
        return _pdf(job, Path(folder))


def _pdf(job: Job, folder: Path) -> bytes:
    from fpdf import FPDF

    document = job.document

    class Page(FPDF):
        def footer(self) -> None:
            self.set_y(-15)
            self.set_font("text", size=8)
            self.set_text_color(*_GREY)
            self.cell(0, 5, f"{document.number}, page {self.page_no()} of {{nb}}", align="C")

    page = Page(format="A4")
    page.set_creation_date(datetime.fromisoformat(document.issued).replace(tzinfo=UTC))
    page.set_producer("a2a cloud")
    page.set_title(f"{document.title} {document.number}")
    page.set_lang("en")
    _fonts(page, job, folder)
    page.set_margins(15, 15)
    page.set_auto_page_break(True, 20)
    page.add_page()
    _head(page, document)
    _lines(page, document)
    _totals(page, document)
    page.ln(4)
    page.set_font("text", size=7)
    page.set_text_color(*_GREY)
    bounds = document.bounds
    page.multi_cell(
        0,
        4,
        f"Lines: SHA-256 {document.lines_sha256},"
        f" transactions {bounds.after} to {bounds.through} of the ledger.",
    )
    return bytes(page.output())


def _fonts(page: FPDF, job: Job, folder: Path) -> None:
    """FiraGO (Latin, Greek, Cyrillic, Hebrew, Arabic, Devanagari, Thai, Georgian), and the operator's own."""
    import pymupdf_fonts  # pyright: ignore[reportMissingTypeStubs]

    for style, name in (("", "figo"), ("B", "figbo")):
        file = folder / f"{name}.ttf"
        file.write_bytes(pymupdf_fonts.myfont(name))  # pyright: ignore[reportUnknownMemberType]
        page.add_font("text", style, file)
    known = _letters(folder / "figo.ttf")
    if job.font:
        for style in ("", "B"):
            page.add_font("more", style, job.font)
        page.set_fallback_fonts(["more"], exact_match=False)
        known = known | _letters(Path(job.font))
    page.set_text_shaping(True)
    missing = sorted({c for c in _text(job.document) if ord(c) not in known and not c.isspace()})
    if missing:
        raise Unset(f"The fonts have no letter for {' '.join(missing[:10])}.")


def _letters(font: Path) -> frozenset[int]:
    from fontTools.ttLib import TTFont  # pyright: ignore[reportMissingTypeStubs]

    with TTFont(font, fontNumber=0, lazy=True) as read:
        return frozenset(read.getBestCmap() or ())


def _text(document: Invoice) -> str:
    parties = (document.seller, document.buyer)
    return "".join(
        (
            document.number,
            document.of,
            *(party.name + "".join(party.address) + party.tax_id for party in parties),
            *(about(line) + line.price + line.currency for line in document.lines),
        )
    )


def _head(page: FPDF, document: Invoice) -> None:
    page.set_font("text", "B", 18)
    page.cell(0, 10, f"{document.title} {document.number}", new_x="LMARGIN", new_y="NEXT")
    last = ("Corrects", document.of) if document.of else ("Due", document.due)
    facts = (("Date", document.issued), ("Period", f"{document.first_day} to {document.last_day}"), last)
    for name, value in facts:
        page.set_font("text", size=10)
        page.set_text_color(*_GREY)
        page.cell(25, 5, name)
        page.set_text_color(0)
        page.cell(0, 5, value, new_x="LMARGIN", new_y="NEXT")
    page.ln(4)
    top = bottom = page.get_y()
    for place, (word, party) in enumerate((("From", document.seller), ("For", document.buyer))):
        left = 15 + 92 * place
        page.set_xy(left, top)
        page.set_font("text", size=8)
        page.set_text_color(*_GREY)
        page.cell(85, 5, word)
        page.set_text_color(0)
        for style, line in (
            ("B", party.name),
            *(("", line) for line in (*party.address, party.tax_id) if line),
        ):
            page.set_xy(left, page.get_y() + 5)
            page.set_font("text", style, 10)
            page.multi_cell(85, 5, line, align="L", new_y="TOP")
        bottom = max(bottom, page.get_y() + 5)
    page.set_xy(15, bottom + 5)


def _table(page: FPDF, widths: tuple[int, ...], right: int, rows: list[tuple[str, ...]]) -> None:
    """A table whose last `right` columns are numbers; its head is repeated on each page."""
    from fpdf.enums import TableBordersLayout
    from fpdf.fonts import FontFace

    aligned: Any = ("LEFT",) * (len(widths) - right) + ("RIGHT",) * right
    page.set_font("text", size=9)
    with page.table(
        rows,
        col_widths=widths,
        text_align=aligned,
        borders_layout=TableBordersLayout.HORIZONTAL_LINES,
        line_height=5,
        headings_style=FontFace(emphasis="", color=_GREY),
        padding=(0.5, 1),
    ):
        pass
    page.ln(4)


def _lines(page: FPDF, document: Invoice) -> None:
    rows = [("Month", "What", "Price", "Calls", "Amount")]
    rows += [
        (line.month, about(line), line.price, str(line.calls), f"{line.value} {line.currency}")
        for line in document.lines
    ]
    _table(page, _WIDTHS, 2, rows)


def _totals(page: FPDF, document: Invoice) -> None:
    rows = [("Currency", "Total", "Paid from prepaid credit", "To pay")]
    rows += [
        (one.currency, *(show_amount(part, one.scale) for part in (one.total, one.paid, one.due)))
        for one in document.totals
    ]
    _table(page, (30, 50, 50, 50), 3, rows)
    if document.accounts:
        rows = [("Prepaid credit", "Before", "Added", "Spent", "Refunded", "Lapsed", "Left")]
        rows += [
            (
                one.currency,
                *(
                    show_amount(part, one.scale)
                    for part in (one.opening, one.added, one.spent, one.refunded, one.taken, one.closing)
                ),
            )
            for one in document.accounts
        ]
        _table(page, (30, 25, 25, 25, 25, 25, 25), 6, rows)


def main() -> int:
    """One document."""
    job = msgspec.json.decode(sys.stdin.buffer.read(), type=Job)
    try:
        made = pdf(job)
    except (Unset, OSError) as error:
        print(error, file=sys.stderr)
        return REFUSED
    sys.stdout.buffer.write(made)
    return 0


if __name__ == "__main__":
    raise SystemExit(main())
