"""Bytes → text: which encoding a file has, told from its first bytes, and a reader that counts."""

from __future__ import annotations

import codecs
import io
from collections.abc import Callable
from dataclasses import dataclass
from typing import BinaryIO

from data_analyst_agent.trouble import UnreadableError

Open = Callable[[], BinaryIO]

HEAD = 1 << 18
#: Bytes of a line; beyond, it is no table.
MAX_LINE = 1 << 20
_SIGNATURES = (
    (b"PK\x03\x04", "an Excel, OpenDocument or zip file"),
    (b"\xd0\xcf\x11\xe0", "an old Excel file"),
    (b"\x1f\x8b", "a gzip file"),
    (b"%PDF-", "a PDF"),
    (b"PAR1", "a Parquet file"),
    (b"\x89PNG", "a picture"),
    (b"\xff\xd8\xff", "a picture"),
    (b"SQLite format 3", "a SQLite database"),
)
#: What callers may name → Python's codec.
CODECS = {
    "utf-8": "utf-8-sig",
    "utf-16": "utf-16",
    "windows-1252": "cp1252",
    "latin-1": "latin-1",
}


@dataclass(frozen=True, slots=True)
class Encoding:
    """`name` is what people call it, `codec` what Python does; `sure` unless it was only guessed."""

    name: str
    codec: str
    sure: bool


def sniff(head: bytes, given: str = "auto") -> Encoding:
    """The encoding of a file that begins with `head`. Raises UnreadableError for what is no text."""
    for magic, what in _SIGNATURES:
        if head.startswith(magic):
            raise UnreadableError(
                f"This is {what}, not a CSV file.", "Export the table as CSV and send that."
            )
    if given != "auto":
        return Encoding(given, CODECS[given], True)
    if head.startswith((codecs.BOM_UTF16_LE, codecs.BOM_UTF16_BE)):
        return Encoding("utf-16", "utf-16", True)
    if head.startswith(codecs.BOM_UTF8):
        return Encoding("utf-8", "utf-8-sig", True)
    nuls = head.count(0)
    if nuls:
        even, odd = head[::2].count(0), head[1::2].count(0)
        if nuls > len(head) // 4 and min(even, odd) < nuls // 20 + 1:
            return Encoding("utf-16", "utf-16-be" if even > odd else "utf-16-le", False)
        raise UnreadableError("The file holds zero bytes, so it is no text.", "Send the table as CSV text.")
    try:
        codecs.getincrementaldecoder("utf-8")().decode(head)
    except UnicodeDecodeError:
        return fallback()
    return Encoding("utf-8", "utf-8-sig", False)


def fallback() -> Encoding:
    """What a file is read as whose bytes are no UTF-8."""
    return Encoding("windows-1252", "cp1252", False)


class LongLineError(Exception):
    """A line of more than MAX_LINE bytes came: reading on would take it into memory whole."""


class Counted(io.RawIOBase):
    """A binary file that knows how many bytes were taken from it, and ends at a line that is too long."""

    def __init__(self, source: BinaryIO) -> None:
        super().__init__()
        self._source = source
        self._line = 0
        self.count = 0

    def readable(self) -> bool:
        return True

    def readinto(self, buffer: bytearray | memoryview, /) -> int:  # type: ignore[override]
        block = self._source.read(len(buffer))
        buffer[: len(block)] = block
        self.count += len(block)
        end = max(block.rfind(b"\n"), block.rfind(b"\r"))
        self._line = self._line + len(block) if end < 0 else len(block) - end - 1
        if self._line > MAX_LINE:
            raise LongLineError
        return len(block)

    def close(self) -> None:
        self._source.close()
        super().close()


def text_of(counted: Counted, encoding: Encoding) -> io.TextIOWrapper:
    """The text behind `counted`, newlines as they are."""
    buffered = io.BufferedReader(counted, 1 << 18)
    return io.TextIOWrapper(buffered, encoding.codec, errors="strict", newline="")
