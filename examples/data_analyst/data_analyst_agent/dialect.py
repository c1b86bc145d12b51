"""How a CSV file is written (RFC 4180 and its relatives): delimiter, quotes, header, told from a sample.

`csv.Sniffer` is not used: it takes any frequent character for a delimiter, letters included. Here each
usual delimiter is tried, and the one wins under which the rows agree best on a number of fields.
"""

from __future__ import annotations

import csv
import re
from collections import Counter
from dataclasses import dataclass

from data_analyst_agent.cells import MISSING, looks_typed

DELIMITERS = {"comma": ",", "semicolon": ";", "tab": "\t", "pipe": "|"}
NAMES = {character: name for name, character in DELIMITERS.items()}
_SAMPLE_ROWS = 400
_SEP = re.compile(r"sep=(.)\r?\n", re.IGNORECASE)


@dataclass(frozen=True, slots=True)
class Dialect:
    """`skip` counts lines before the table (Excel's `sep=;`)."""

    delimiter: str
    quote: str
    skip: int

    @property
    def name(self) -> str:
        return NAMES.get(self.delimiter, repr(self.delimiter))


def sniff(sample: str, whole: bool, given: str = "auto") -> Dialect:
    """The dialect of a file that begins with `sample`; `whole`: the sample is all of it."""
    skip = 0
    marked = _SEP.match(sample)
    if marked:
        skip, sample = 1, sample[marked.end() :]
        if given == "auto":
            return Dialect(marked[1], _quote(sample, marked[1]), skip)
    if not whole:
        sample = sample[: max(sample.rfind("\n"), sample.rfind("\r")) + 1] or sample
    if given != "auto":
        return Dialect(DELIMITERS[given], _quote(sample, DELIMITERS[given]), skip)
    best, found = (0.0, 0), ","
    for delimiter in DELIMITERS.values():
        score = _agreement(sample, delimiter)
        if score > best:
            best, found = score, delimiter
    return Dialect(found, _quote(sample, found), skip)


def _agreement(sample: str, delimiter: str) -> tuple[float, int]:
    """(share of rows with the commonest number of fields, that number); (0, 0) where it divides nothing."""
    widths = Counter(len(row) for row in sample_rows(sample, Dialect(delimiter, '"', 0)) if row)
    if not widths:
        return 0.0, 0
    width, rows = max(widths.items(), key=lambda item: (item[1], item[0]))
    return (0.0, 0) if width < 2 else (round(rows / widths.total(), 2), width)


def _quote(sample: str, delimiter: str) -> str:
    edge = re.escape(delimiter)
    double = len(re.findall(rf'(?:^|{edge})"', sample, re.MULTILINE))
    single = len(re.findall(rf"(?:^|{edge})'[^'\n]*'(?={edge}|\r?$)", sample, re.MULTILINE))
    return "'" if single > 2 and not double else '"'


def sample_rows(sample: str, dialect: Dialect) -> list[list[str]]:
    """The first rows of the sample, as far as they can be read."""
    reader = csv.reader(
        sample.splitlines(keepends=True)[dialect.skip :],
        delimiter=dialect.delimiter,
        quotechar=dialect.quote,
    )
    rows: list[list[str]] = []
    try:
        for row in reader:
            rows.append(row)
            if len(rows) == _SAMPLE_ROWS:
                break
    except csv.Error:
        pass  # The reader of the whole file says where and why.
    return rows


def has_header(rows: list[list[str]]) -> bool:
    """Whether the first row names the columns: different texts over columns that hold something else."""
    rows = [row for row in rows if row]
    if len(rows) < 2:
        return bool(rows) and not any(looks_typed(cell) for cell in rows[0])
    first, body = [cell.strip() for cell in rows[0]], rows[1:]
    if any(looks_typed(cell) for cell in first):
        # A year may head a column, if what stands below isn't of the kind.
        return False
    named = [cell for cell in first if cell]
    if len(set(named)) < len(named) or any(cell in MISSING for cell in named):
        return False
    for index, cell in enumerate(first):
        below = [row[index].strip() for row in body if index < len(row)]
        typed = sum(1 for other in below if looks_typed(other))
        if below and typed > len(below) / 2:
            return True
        if cell and cell in below:
            return False
    return True
