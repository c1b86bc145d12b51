"""Invoices and statements as one HTML file that needs nothing else: the same document gives the same
bytes."""

from __future__ import annotations

from functools import cache
from pathlib import Path
from typing import TYPE_CHECKING

from a2a_cloud.model.billing import show_amount
from a2a_cloud.model.invoice import Invoice, InvoiceLine, Statement

if TYPE_CHECKING:
    from jinja2 import Environment


def invoice_html(invoice: Invoice) -> bytes:
    """The document for a browser."""
    page = _templates().get_template("invoice.html")
    return page.render(doc=invoice, title=invoice.title, about=about).encode("utf-8", "replace")


def statement_html(statement: Statement) -> bytes:
    """The statement for a browser."""
    return _templates().get_template("statement.html").render(doc=statement).encode("utf-8", "replace")


def about(line: InvoiceLine) -> str:
    """What a line is for, in words."""
    what = f"{line.agent} / {line.skill}" if line.skill else line.agent
    if line.kind == "refund":
        what = f"Refund: {what}" + (f" ({line.of})" if line.of else "")
    elif line.kind == "fee":
        what = f"Fee: {what}"
    return f"{what}, paid by {line.payer}" if line.payer else what


@cache
def _templates() -> Environment:
    from jinja2 import Environment, FileSystemLoader, StrictUndefined  # With the first invoice.

    found = Environment(
        loader=FileSystemLoader(Path(__file__).parent / "templates"),
        autoescape=True,
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    found.globals["money"] = show_amount  # pyright: ignore[reportArgumentType]
    return found
