"""What single cells are: missing, a number, a date, a truth value. Whole columns are tried at C speed first.

Numbers: `1234.5`, `1e-3`, `1,234.50`, and in columns with a decimal comma `1234,5` and `1.234,50`; one
currency or percent sign per column. `007` and `0123` are codes, no numbers; `inf` is none either.
"""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Sequence
from datetime import date
from math import isfinite

#: Cells that say "nothing here" (R, pandas, SAS, spreadsheets and people).
_MISSING = (
    "NA N/A n/a na N.A. n.a. NaN nan NAN -NaN null NULL Null None none NONE nil - -- ? . .. … #N/A #NA #NULL!"
    " #DIV/0! #VALUE! #REF! #NUM! #NAME? missing Missing MISSING <NA> (null) \\N"
)
MISSING = frozenset(["", "#N/A N/A", *_MISSING.split()])

_POINT = re.compile(r"[+-]?(?:(?:0|[1-9]\d*|[1-9]\d{0,2}(?:,\d{3})+)(?:\.\d*)?|\.\d+)(?:[eE][+-]?\d{1,3})?")
_COMMA = re.compile(
    r"[+-]?(?:(?:0|[1-9]\d*|[1-9]\d{0,2}(?:[.\u00a0 ]\d{3})+)(?:,\d*)?|,\d+)(?:[eE][+-]?\d{1,3})?"
)
_CODE = re.compile(r"(?:^|\n)[+-]?0\d")
_SIGN = re.compile(r"([$€£¥%])\s*[+-]?[\d.,]|[\d.,]\s*([$€£¥%])$")
_ONLY_COMMA = re.compile(r"[+-]?\d*,(?:\d{1,2}|\d{4,})|[+-]?0,\d+|[+-]?\d{1,3}(?:\.\d{3})+,\d+")
_BOOLEANS = (
    ("true", "false"),
    ("yes", "no"),
    ("y", "n"),
    ("t", "f"),
    ("ja", "nein"),
    ("oui", "non"),
    ("on", "off"),
)


class Numbers:
    """How a column writes numbers: its decimal mark, and a sign such as `$` or `%` that all values share."""

    __slots__ = ("comma", "sign")

    def __init__(self, present: Sequence[str], *, comma_likely: bool = False) -> None:
        """Told from the first values that aren't missing."""
        signs = Counter(
            found[1] or found[2]
            for cell in present[:2000]
            if (found := _SIGN.match(cell) or _SIGN.search(cell))
        )
        self.sign = max(signs, key=signs.__getitem__) if signs.total() > len(present[:2000]) / 2 else ""
        bare = [self._bare(cell) for cell in present[:2000]]
        only = sum(1 for cell in bare if _ONLY_COMMA.fullmatch(cell))
        points = sum(
            1 for cell in bare if "." in cell and _POINT.fullmatch(cell) and not _COMMA.fullmatch(cell)
        )
        either = sum(1 for cell in bare if "," in cell and _COMMA.fullmatch(cell))
        self.comma = only > points if only or points else comma_likely and either > 0

    def _bare(self, cell: str) -> str:
        return cell.replace(self.sign, "").strip() if self.sign else cell

    def all_of(self, cells: Sequence[str]) -> list[float] | None:
        """All cells as numbers, or None when one of them is none (or looks odd enough for `one`)."""
        if self.comma or self.sign:
            values = [self.one(cell) for cell in cells]
            return None if None in values else values  # type: ignore[return-value]
        try:
            numbers = list(map(float, cells))
        except ValueError:
            return None
        joined = "\n".join(cells)
        if "_" in joined or not joined.isascii() or not isfinite(sum(numbers)):
            return None
        # The expression is slow, and seldom needed.
        maybe_code = joined[:1] in "+-0" or "\n0" in joined or "\n-0" in joined or "\n+0" in joined
        return None if maybe_code and _CODE.search(joined) else numbers

    def one(self, cell: str) -> float | None:
        """One cell as a number."""
        cell = self._bare(cell)
        if self.comma:
            if not _COMMA.fullmatch(cell):
                return None
            cell = cell.replace(".", "").replace(" ", "").replace("\u00a0", "").replace(",", ".")
        else:
            if not _POINT.fullmatch(cell):
                return None
            cell = cell.replace(",", "")
        value = float(cell)
        return value if isfinite(value) else None

    @property
    def written(self) -> str:
        """How, in words; empty for plain numbers."""
        words = ["decimal comma"] if self.comma else []
        return ", ".join([*words, *([f"with {self.sign}"] if self.sign else [])])


# --- dates ------------------------------------------------------------------------------------------

_MONTH_NAMES = "jan feb mar apr may jun jul aug sep oct nov dec"
_MONTHS = {name: number for number, name in enumerate(_MONTH_NAMES.split(), 1)}
_TIME = r"(?:[T ]\d{1,2}:\d{2}(?::\d{2}(?:[.,]\d+)?)?\s?(?:[AaPp][Mm])?\s?(?:Z|UTC|[+-]\d{2}:?\d{2})?)?"
_ISO = re.compile(rf"(\d{{4}})[-/.](\d{{1,2}})[-/.](\d{{1,2}}){_TIME}")
_TRIPLE = re.compile(rf"(\d{{1,2}})([-/.])(\d{{1,2}})\2(\d{{4}}){_TIME}")
_NAMED = re.compile(rf"(\d{{1,2}})[- ]([A-Za-z]{{3}})[a-z]*\.?[- ,]+(\d{{4}}){_TIME}")
_NAMED_FIRST = re.compile(rf"([A-Za-z]{{3}})[a-z]*\.? (\d{{1,2}}),? (\d{{4}}){_TIME}")

Days = tuple[int | None, int | None]
"""A date's day number, day first and month first; the same where the order is plain."""


def day_of(cell: str) -> Days:
    """The proleptic day number of a date (datetime.date.toordinal), under both orders; None: not a date."""
    if not 8 <= len(cell) <= 40:
        return None, None
    found = _ISO.fullmatch(cell)
    if found:
        day = _ordinal(int(found[1]), int(found[2]), int(found[3]))
        return day, day
    found = _TRIPLE.fullmatch(cell)
    if found:
        one, two, year = int(found[1]), int(found[3]), int(found[4])
        if found[2] == ".":  # Nobody puts the month first with points.
            day = _ordinal(year, two, one)
            return day, day
        return _ordinal(year, two, one), _ordinal(year, one, two)
    found = _NAMED.fullmatch(cell)
    if found:
        day = _ordinal(int(found[3]), _MONTHS.get(found[2].lower(), 0), int(found[1]))
        return day, day
    found = _NAMED_FIRST.fullmatch(cell)
    if found:
        day = _ordinal(int(found[3]), _MONTHS.get(found[1].lower(), 0), int(found[2]))
        return day, day
    return None, None


def _ordinal(year: int, month: int, day: int) -> int | None:
    try:
        return date(year, month, day).toordinal() if 1000 <= year <= 2999 else None
    except ValueError:
        return None


# --- truth values, and first looks ------------------------------------------------------------------


def are_booleans(values: Sequence[str]) -> bool:
    """Whether these distinct values are truth values: true/false, yes/no, y/n …, in one language."""
    said = {value.lower() for value in values}
    return (
        0 < len(said) <= 2
        and any(said <= set(pair) for pair in _BOOLEANS)
        and (len(said) == 2 or len(min(said)) > 1)
    )


def looks_typed(cell: str) -> bool:
    """Whether a cell is a number or a date at first sight."""
    cell = cell.strip().strip("$€£¥%").strip()
    return bool(_POINT.fullmatch(cell) or _COMMA.fullmatch(cell)) or day_of(cell) != (None, None)
