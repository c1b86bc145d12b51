"""Invoices and payout statements as documents: what is stored once and rendered as often as wanted."""

from __future__ import annotations

from typing import Any

from msgspec import Struct

from a2a_cloud.model.billing import show_amount


class Party(Struct, frozen=True, omit_defaults=True):
    """Who issues an invoice, or whom it is for. `org` is the organisation's name here, "" for the
    platform."""

    name: str
    address: tuple[str, ...] = ()
    tax_id: str = ""
    org: str = ""


class InvoiceLine(Struct, frozen=True, omit_defaults=True):
    """One line. `kind`: `usage`, `fee` (a flat price's) or `refund`, whose amount is negative. `price` is the
    version of the skill's price, `month` that in which it was used, `calls` how many were charged. `payer` is
    a principal whose own account paid, "" for the organisation's; `of` the number of the invoice that a
    refund's charge stands on."""

    kind: str
    month: str
    agent: str
    skill: str
    price: str
    calls: int
    currency: str
    scale: int
    amount: int
    payer: str = ""
    of: str = ""

    @property
    def value(self) -> str:
        """The amount as people write it."""
        return show_amount(self.amount, self.scale)


class InvoiceTotal(Struct, frozen=True, omit_defaults=True):
    """The sum in one currency: `paid` from prepaid accounts, `due` what is left to pay."""

    currency: str
    scale: int
    total: int
    paid: int
    due: int


class InvoiceAccount(Struct, frozen=True, omit_defaults=True):
    """What moved in an organisation's prepaid accounts of one currency: before, added, spent, refunded, taken
    (credits whose time was over), left."""

    currency: str
    scale: int
    opening: int
    added: int
    spent: int
    refunded: int
    taken: int
    closing: int


class Bounds(Struct, frozen=True):
    """What of the ledger a document is made of: transactions up to number `through` from before `until`, less
    those up to `after` from before `since`, which earlier documents have. Times are whole wall seconds of
    billing's clock."""

    since: int
    after: int
    until: int
    through: int


class Invoice(Struct, frozen=True, omit_defaults=True):
    """A document as it was issued. `kind`: `invoice` or `credit_note`, then `of` is the number of the invoice
    that it corrects. Dates are `2026-10-31`; the period's last day is within it."""

    v: int
    kind: str
    no: int
    number: str
    issued: str
    due: str
    first_day: str
    last_day: str
    seller: Party
    buyer: Party
    lines: tuple[InvoiceLine, ...]
    totals: tuple[InvoiceTotal, ...]
    lines_sha256: str
    bounds: Bounds
    accounts: tuple[InvoiceAccount, ...] = ()
    of: str = ""

    @property
    def title(self) -> str:
        """What stands at its head."""
        return "Credit note" if self.kind == "credit_note" else "Invoice"


class InvoiceRow(Struct, frozen=True):
    """A stored document: its number, whose it is, its bytes and their SHA-256."""

    no: int
    org: int
    document: bytes
    sha256: str


class Rebuilt(Struct, frozen=True):
    """What came of rebuilding a document from the ledger: `wrong` are sentences, none when it is the same
    byte for byte."""

    number: str
    lines: int
    lines_sha256: str
    wrong: tuple[str, ...]


class StatementLine(Struct, frozen=True, omit_defaults=True):
    """What an agent's organisation earned with one skill on a day, or what was paid out. `kind`: `revenue`,
    `refund`, `payout`."""

    kind: str
    day: str
    agent: str
    skill: str
    calls: int
    currency: str
    scale: int
    amount: int
    ref: str = ""

    @property
    def value(self) -> str:
        """The amount as people write it."""
        return show_amount(self.amount, self.scale)


class StatementTotal(Struct, frozen=True):
    """One currency of a statement: what was there before, what came, what was paid out, what is left."""

    currency: str
    scale: int
    opening: int
    earned: int
    refunded: int
    paid_out: int
    closing: int


class Statement(Struct, frozen=True):
    """What an organisation earned with its agents in a month."""

    org: str
    month: str
    lines: tuple[StatementLine, ...]
    totals: tuple[StatementTotal, ...]

    def document(self) -> dict[str, Any]:
        """As JSON has it."""
        return {
            "org": self.org,
            "month": self.month,
            "lines": [{**_fields(one), "value": one.value} for one in self.lines],
            "totals": [_fields(one) for one in self.totals],
        }


def _fields(one: Struct) -> dict[str, Any]:
    return {name: getattr(one, name) for name in one.__struct_fields__}
