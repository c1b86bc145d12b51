"""A ledger's form: CSV with the columns date, account, text, amount. An amount is a decimal number with at
most two places, or `@` and the path of a file whose last column is summed in its place."""

from __future__ import annotations

import csv
import re
from dataclasses import dataclass, replace

COLUMNS = ["date", "account", "text", "amount"]
#: Rows of one file; a month with more is no month.
MOST = 100_000
_AMOUNT = re.compile(r"([+-]?)([0-9]{1,12})(?:\.([0-9]{1,2}))?")
_DETAIL = re.compile(r"@(finance(?:/[A-Za-z0-9_-][A-Za-z0-9._-]{0,99}){1,8})")


class BrokenLedgerError(ValueError):
    """A file is not of that form; the sentence says where."""


@dataclass(frozen=True, slots=True)
class Row:
    """A posting: `cents`, or the path of the file that has them, `detail`."""

    account: str
    text: str
    cents: int = 0
    detail: str = ""

    def with_cents(self, cents: int) -> Row:
        """The row once its detail is read."""
        return replace(self, cents=cents, detail="")


def read_rows(text: str) -> list[Row]:
    """The rows of a ledger. Raises BrokenLedgerError."""
    rows: list[Row] = []
    for number, cells in _lines(text, COLUMNS):
        _, account, what, value = cells
        if not account.strip():
            raise BrokenLedgerError(f"line {number} names no account")
        found = _DETAIL.fullmatch(value.strip())
        cents, detail = (0, found[1]) if found else (cents_of(value, number), "")
        rows.append(Row(account.strip(), what.strip(), cents, detail))
    return rows


def read_detail(text: str) -> int:
    """The sum of a detail file's last column, in cents. Raises BrokenLedgerError."""
    return sum(cents_of(cells[-1], number) for number, cells in _lines(text))


def cents_of(text: str, line: int) -> int:
    """An amount in cents, exactly. Raises BrokenLedgerError."""
    found = _AMOUNT.fullmatch(text.strip())
    if found is None:
        raise BrokenLedgerError(f"line {line}: {text[:40]!r} is no amount such as 12.50")
    cents = int(found[2]) * 100 + int((found[3] or "").ljust(2, "0"))
    return -cents if found[1] == "-" else cents


def _lines(text: str, columns: list[str] | None = None) -> list[tuple[int, list[str]]]:
    """(line number, cells) of all rows after the first, which names the columns."""
    found: list[tuple[int, list[str]]] = []
    width = 0
    try:
        for number, cells in enumerate(csv.reader(text.removeprefix("\ufeff").splitlines(), strict=True), 1):
            if not cells:
                continue
            if not width:
                width = len(cells)
                if columns is not None and [cell.strip().lower() for cell in cells] != columns:
                    raise BrokenLedgerError(f"the first line has to be {','.join(columns)}")
                continue
            if len(cells) != width:
                raise BrokenLedgerError(f"line {number} has {len(cells)} cells and not {width}")
            found.append((number, cells))
            if len(found) > MOST:
                raise BrokenLedgerError(f"it has more than {MOST} rows")
    except csv.Error as error:
        raise BrokenLedgerError(f"it is no CSV: {error}") from None
    if not width:
        raise BrokenLedgerError("it is empty")
    return found
