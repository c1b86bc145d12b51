"""A CSV file as batches of columns, strictly read: a malformed row is named by its number and its line."""

from __future__ import annotations

import csv
import io
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from itertools import islice

from data_analyst_agent import dialect as dialects
from data_analyst_agent import encoding as encodings
from data_analyst_agent.dialect import Dialect
from data_analyst_agent.encoding import HEAD, MAX_LINE, Counted, Encoding, LongLineError, Open
from data_analyst_agent.trouble import NotThisEncodingError, UnreadableError

MAX_COLUMNS = 500
#: Characters of a cell; beyond, it is a quote mark that nobody closed.
MAX_CELL = 131_072
#: Bytes and cells of a batch, about: what bounds memory.
_BATCH = 1 << 20
_CELLS = 65_536

Batch = tuple[int, list[tuple[str, ...]]]
"""(number of its first row, from 1, the header not counted; the columns)."""


@dataclass(frozen=True, slots=True)
class Layout:
    """How to read a file."""

    encoding: Encoding
    dialect: Dialect
    header: bool
    names: list[str]
    notes: list[str]


def layout_of(
    open_file: Open,
    *,
    encoding: str = "auto",
    delimiter: str = "auto",
    header: str = "auto",
    bytes_as: Encoding | None = None,
) -> Layout:
    """Tell a file's layout from its head. Raises UnreadableError."""
    with open_file() as opened:
        head = opened.read(HEAD)
    whole = len(head) < HEAD
    if not head.strip(b"\x00 \t\r\n,;|\xef\xbb\xbf\xff\xfe"):
        raise UnreadableError("The file is empty.", "Send a CSV file with at least one row.")
    codec = bytes_as or encodings.sniff(head, encoding)
    sample = _decoded(head, codec)
    style = dialects.sniff(sample, whole, delimiter)
    rows = [row for row in dialects.sample_rows(sample, style) if row]
    if not rows:
        raise UnreadableError("No row could be read at the start of the file.", "Send a CSV file.")
    if len(rows[0]) > MAX_COLUMNS:
        raise UnreadableError(
            f"The table has {len(rows[0]):,} columns; {MAX_COLUMNS} are the most.",
            "Send fewer columns at a time.",
        )
    named = dialects.has_header(rows) if header == "auto" else header == "yes"
    notes: list[str] = []
    names = _names(rows[0], named, notes)
    if header == "auto" and not named:
        notes.append("The first row was read as data, not as names; say header=yes if that is wrong.")
    return Layout(codec, style, named, names, notes)


def _decoded(head: bytes, codec: Encoding) -> str:
    reader = io.TextIOWrapper(io.BytesIO(head), codec.codec, errors="replace", newline="")
    text = reader.read()
    return text[:-1] if text.endswith("\ufffd") else text


def _names(first: list[str], named: bool, notes: list[str]) -> list[str]:
    if not named:
        return [f"column {number}" for number in range(1, len(first) + 1)]
    names: list[str] = []
    for number, cell in enumerate(first, 1):
        name = " ".join(cell.split())[:200] or f"column {number}"
        if not cell.strip():
            notes.append(f"Column {number} has no name.")
        if name in names:
            notes.append(
                f"Two columns are named “{name}”; the one at {number} is called “{name} ({number})”."
            )
            name = f"{name} ({number})"
        names.append(name)
    return names


class Rows:
    """The data rows of a file, in batches of columns; each `batches()` reads it once from the start."""

    def __init__(self, open_file: Open, layout: Layout) -> None:
        self._open = open_file
        self.layout = layout
        self.width = len(layout.names)
        self.blank = 0
        self._limit = max(16, min(8192, _CELLS // self.width))

    def batches(self, told: Callable[[int], None]) -> Iterator[Batch]:
        """Batches in order; `told(bytes read so far)` after each. Raises UnreadableError for the first
        malformed row, NotThisEncodingError when a guessed encoding turns out wrong."""
        self.blank = 0
        counted = Counted(self._open())
        with encodings.text_of(counted, self.layout.encoding) as text:
            for _ in range(self.layout.dialect.skip):
                text.readline()
            reader = csv.reader(
                text,
                delimiter=self.layout.dialect.delimiter,
                quotechar=self.layout.dialect.quote,
                strict=True,
            )
            csv.field_size_limit(MAX_CELL)
            row, line, header = 1, self.layout.dialect.skip + 1, self.layout.header
            while True:
                rows: list[list[str]] = []
                start = counted.count
                while len(rows) < self._limit and counted.count - start < _BATCH:
                    before = len(rows)
                    self._read(reader, rows, min(64, self._limit - len(rows)), row - header, line)
                    if len(rows) == before:
                        break
                if not rows:
                    return
                read = rows
                if header:
                    while rows and not rows[0]:
                        rows = rows[1:]
                    header, rows = not rows, rows[1:]
                rows = self._even(rows, row, line + _lines_in(read[: len(read) - len(rows)]))
                line = reader.line_num + 1 + self.layout.dialect.skip
                told(counted.count)
                if rows:
                    yield row, list(zip(*rows, strict=True))
                row += len(rows)

    def _read(
        self, reader: Iterator[list[str]], rows: list[list[str]], count: int, row: int, line: int
    ) -> None:
        try:
            rows.extend(islice(reader, count))
        except csv.Error as error:
            where = _where(row + _filled(rows), line + _lines_in(rows))
            raise _malformed(str(error), where, self.layout) from None
        except LongLineError:
            where = _where(row + _filled(rows), line + _lines_in(rows))
            raise UnreadableError(
                f"Soon after {where[0].lower()}{where[1:]} comes a line of more than {MAX_LINE >> 20} MB.",
                "Check the line ends: each row belongs on a line of its own.",
            ) from None
        except UnicodeDecodeError as error:
            if not self.layout.encoding.sure and self.layout.encoding.name == "utf-8":
                raise NotThisEncodingError from None
            # The decoder reads ahead of the rows, by up to a block.
            where = _where(row + _filled(rows), line + _lines_in(rows))
            byte = f"the byte 0x{error.object[error.start]:02x}"
            raise UnreadableError(
                f"The file is not {self.layout.encoding.name} text: at or soon after"
                f" {where[0].lower()}{where[1:]} comes {byte}, which has no meaning in it.",
                "Name the right encoding, or save the file as UTF-8.",
            ) from None
        except UnicodeError as error:
            raise UnreadableError(
                f"The file is not {self.layout.encoding.name} text: {error}.", "Save the file as UTF-8."
            ) from None

    def _even(self, rows: list[list[str]], row: int, line: int) -> list[list[str]]:
        """The rows without blank lines; all have the header's width."""
        widths = set(map(len, rows))
        if widths <= {self.width}:
            return rows
        kept = [each for each in rows if each]
        self.blank += len(rows) - len(kept)
        for at, each in enumerate(rows):
            if each and len(each) != self.width:
                raise self._ragged(each, _where(row + _filled(rows[:at]), line + _lines_in(rows[:at])))
        return kept

    def _ragged(self, found: list[str], where: str) -> UnreadableError:
        fields = "1 field" if len(found) == 1 else f"{len(found)} fields"
        base = "the header" if self.layout.header else "the first row"
        begins = self.layout.dialect.delimiter.join(found)[:60].replace("\n", " ")
        detail = f"{where} has {fields} where {base} has {self.width}; it begins “{begins}”."
        if len(found) > self.width:
            return UnreadableError(
                detail,
                f"Put a cell that holds a {self.layout.dialect.name} into quotes, or take out the surplus.",
            )
        return UnreadableError(
            detail, "Add the missing fields, or remove the line if it is a title or a total."
        )


def _where(row: int, line: int) -> str:
    return f"Row {row:,} (line {line:,})" if row > 0 else f"The header (line {line:,})"


def _lines_in(rows: list[list[str]]) -> int:
    return sum(1 + sum(cell.count("\n") for cell in row) for row in rows)


def _filled(rows: list[list[str]]) -> int:
    return sum(1 for row in rows if row)


def _malformed(error: str, where: str, layout: Layout) -> UnreadableError:
    quote = layout.dialect.quote
    if "field larger than" in error:
        return UnreadableError(
            f"{where} has a cell of more than {MAX_CELL:,} characters, most likely because a quote mark"
            f" {quote} opens there and none closes it.",
            "Close the quote, or double it if it belongs to the text.",
        )
    if "unexpected end of data" in error:
        return UnreadableError(
            f"The file ends inside the quoted cell that {where[0].lower()}{where[1:]} opens.",
            "Close the quote; perhaps the file was cut off.",
        )
    if "expected after" in error:
        return UnreadableError(
            f"{where} has a quote mark {quote} inside a quoted cell.", f"Double it: {quote}{quote}."
        )
    if "new-line character" in error:
        return UnreadableError(
            f"{where} has a line end inside a cell without quotes.", "Put that cell into quotes."
        )
    return UnreadableError(f"{where} can't be read: {error}.", "Correct that row.")
