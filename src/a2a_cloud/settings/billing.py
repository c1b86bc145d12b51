"""What invoices say of who issues them, and the clock of billing in tests (docs/invoices.md)."""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from a2a_cloud.model.billing import MINOR, MOST_SCALE, WHOLE
from a2a_cloud.settings.read import bad, file, flag, text, whole

_PREFIX = re.compile(r"[A-Za-z0-9._/-]{1,24}").fullmatch
_MOST = 1000


@dataclass(frozen=True, slots=True)
class Billing:
    """`seller`: the name at the head of invoices, "" for the platform's host name. `address`: its lines.
    `tax_id`: as it is to be printed. `terms_days`: until an invoice is due. `prefix`: of invoices' numbers.
    `font`: a TrueType file for letters that the fonts in use lack. `test_clock`: billing's clock may be put
    forward. `currencies`: digits after the point that amounts of a currency are counted with, where that is
    not what is usual; `platform_share`: basis points of prices that the platform keeps (docs/billing.md)."""

    seller: str = ""
    address: tuple[str, ...] = ()
    tax_id: str = ""
    terms_days: int = 14
    prefix: str = "INV-"
    font: Path | None = None
    test_clock: bool = False
    currencies: tuple[tuple[str, int], ...] = ()
    platform_share: int = 0


def read_billing(environ: Mapping[str, str]) -> Billing:
    """The settings out of their variables. Raises BadSetting."""
    prefix = text(environ, "A2A_INVOICE_PREFIX", "INV-")
    if not _PREFIX(prefix):
        raise bad("A2A_INVOICE_PREFIX", prefix, "1 to 24 letters, digits, `.`, `_`, `/` and `-`")
    lines = _said(environ, "A2A_SELLER_ADDRESS").replace("\\n", "\n").splitlines()
    return Billing(
        seller=_said(environ, "A2A_SELLER_NAME"),
        address=tuple(line.strip() for line in lines if line.strip()),
        tax_id=_said(environ, "A2A_SELLER_TAX_ID"),
        terms_days=whole(environ, "A2A_PAYMENT_DAYS", 14, 0, 365, "days from 0 to 365"),
        prefix=prefix,
        font=file(environ, "A2A_INVOICE_FONT"),
        test_clock=flag(environ, "A2A_TEST_CLOCK"),
        currencies=_currencies(environ),
        platform_share=whole(environ, "A2A_PLATFORM_SHARE", 0, 0, WHOLE, f"basis points from 0 to {WHOLE}"),
    )


def _currencies(environ: Mapping[str, str]) -> tuple[tuple[str, int], ...]:
    name = "A2A_CURRENCIES"
    value = text(environ, name)
    found: dict[str, int] = {}
    for each in value.replace(",", " ").split():
        code, _, digits = each.partition(":")
        code = code if code in MINOR else code.upper()
        # Python reads no number of very many digits.
        fits = digits.isdecimal() and len(digits) <= 2 and int(digits) <= MOST_SCALE
        if code not in MINOR or code in found or not fits:
            raise bad(
                name, value, f"currencies and their digits after the point (0 to {MOST_SCALE}): USD:6 EUR:4"
            )
        found[code] = int(digits)
    return tuple(sorted(found.items()))


def _said(environ: Mapping[str, str], name: str) -> str:
    value = text(environ, name)
    if len(value) > _MOST or any(not c.isprintable() and c != "\n" for c in value):
        raise bad(name, value, f"text of {_MOST} characters at most")
    return value
