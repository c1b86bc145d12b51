"""Tables as CSV (RFC 4180), safe to open in a spreadsheet: a cell that would be a formula there is text
(OWASP, "CSV Injection")."""

from __future__ import annotations

import csv
import io
import re
from collections.abc import Iterable, Iterator, Sequence

_FORMULA = ("=", "+", "-", "@", "\t", "\r")
_NUMBER = re.compile(r"-?[0-9]+(\.[0-9]+)?").fullmatch
#: Characters of one piece.
_PIECE = 64 << 10


def cell(value: object) -> str:
    """A cell's text. What begins like a formula, and is no number, gets an apostrophe."""
    text = "" if value is None else str(value)
    return f"'{text}" if text.startswith(_FORMULA) and not _NUMBER(text) else text


def pieces(head: Sequence[str], rows: Iterable[Sequence[object]]) -> Iterator[bytes]:
    """The table as UTF-8, piece by piece."""
    out = io.StringIO()
    writer = csv.writer(out)  # Its lines end with CRLF, as the RFC says.
    writer.writerow([cell(one) for one in head])
    for row in rows:
        writer.writerow([cell(one) for one in row])
        if out.tell() >= _PIECE:
            yield out.getvalue().encode("utf-8", "replace")
            out.seek(0)
            out.truncate()
    yield out.getvalue().encode("utf-8", "replace")
