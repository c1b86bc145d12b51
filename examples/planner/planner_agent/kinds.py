"""What a file is: a contract, a table, neither, or not to be told. From its name and its beginning."""

from __future__ import annotations

import csv
import re
from collections import Counter
from dataclasses import dataclass
from pathlib import PurePosixPath
from typing import Literal

Kind = Literal["contract", "table", "other", "unsure"]

_TABLES = {".csv", ".tsv", ".tab"}
_TEXTS = {"", ".txt", ".md", ".markdown", ".text", ".html", ".htm"}
_FOREIGN = (
    (b"PK\x03\x04", "an Office or zip file; save it as PDF, text or CSV"),
    (b"\xd0\xcf\x11\xe0", "an old Office file; save it as PDF, text or CSV"),
    (b"\x89PNG", "a picture"),
    (b"\xff\xd8\xff", "a picture"),
    (b"GIF8", "a picture"),
    (b"\x1f\x8b", "a gzip file; unpack it"),
    (b"PAR1", "a Parquet file; export it as CSV"),
)
_WORDS = re.compile(
    r"\b(agreement|contract|lease|licen[cs]e|party|parties|shall|hereby|hereinafter|herein|thereof|whereas"
    r"|terminat\w+|liab\w+|indemnif\w+|confidential\w*|governing law|governed by|warrant\w+|landlord|tenant"
    r"|licensor|licensee|supplier|customer|provider|employee|employer|obligations?|breach)\b",
    re.IGNORECASE,
)


@dataclass(frozen=True, slots=True)
class Told:
    """A kind and why; for `other` the reason is what the brief says of the gap."""

    kind: Kind
    why: str


def kind_of(name: str, media_type: str, head: bytes) -> Told:
    """What the file most likely is."""
    suffix = PurePosixPath(name.partition(" (")[0]).suffix.lower()
    if b"%PDF-" in head[:1024]:
        return Told("contract", "it is a PDF")
    for magic, what in _FOREIGN:
        if head.startswith(magic):
            return Told("other", f"it is {what}")
    text = _text(head)
    if text is None:
        return Told("other", "it is no text")
    if suffix not in _TABLES | _TEXTS and media_type not in ("text/csv", "text/plain", "text/markdown"):
        return Told("other", f"files of the kind {suffix or media_type} are not read")
    columns, legal = _columns(text), _legal(text)
    if suffix in _TABLES or media_type in ("text/csv", "text/tab-separated-values"):
        if columns > 1 or legal < 2:
            return Told("table", "its name says so")
        return Told("unsure", "it is named a table and reads like a contract")
    if columns > 1 and legal < 6:
        return (
            Told("table", f"its lines have {columns} columns")
            if legal < 2
            else Told("unsure", f"its lines have {columns} columns, and it uses words of contracts")
        )
    if legal >= 6:
        return Told("contract", "it uses the words of contracts")
    return Told("unsure", "it is text, and neither a contract nor a table at first sight")


def _text(head: bytes) -> str | None:
    if head.startswith((b"\xff\xfe", b"\xfe\xff")):
        return head[: len(head) & ~1].decode("utf-16", "replace")
    if b"\x00" in head:
        return None
    try:
        return head.decode("utf-8-sig")
    except UnicodeDecodeError as error:
        if error.start >= len(head) - 3:  # Cut in the middle of a character.
            return head[: error.start].decode("utf-8-sig")
        return head.decode("cp1252", "replace")


def _columns(text: str) -> int:
    """How many columns nearly all lines have; 1: none."""
    lines = [line for line in text.splitlines()[:200] if line.strip()]
    if len(lines) < 3:
        return 1
    for delimiter in ",;\t|":
        try:
            widths = Counter(len(row) for row in csv.reader(lines, delimiter=delimiter))
        except csv.Error:
            continue
        width, count = widths.most_common(1)[0]
        if width > 1 and count >= 0.9 * widths.total():
            return width
    return 1


def _legal(text: str) -> float:
    """Different words of contracts, fewer when they are far apart."""
    found = [word.lower() for word in _WORDS.findall(text)]
    words = max(1, len(text.split()))
    return len(set(found)) * min(1.0, len(found) / words / 0.01)
