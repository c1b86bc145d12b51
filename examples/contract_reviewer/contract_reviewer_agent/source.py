"""Bytes or text as given → the source text that every offset points into, or a refusal that says what to
do.
"""

from __future__ import annotations

import re
from dataclasses import dataclass, field

MAX_BYTES = 20 << 20
MAX_CHARS = 1_000_000
MIN_WORDS = 8

_WORD = re.compile(r"[^\W\d_]{2,}")
_TEXT_TYPES = {"", "application/octet-stream", "application/x-markdown", "application/xhtml+xml"}
_COMMON = frozenset(
    [
        "the",
        "of",
        "and",
        "to",
        "in",
        "or",
        "a",
        "by",
        "for",
        "any",
        "be",
        "this",
        "shall",
        "will",
        "is",
        "not",
        "with",
        "as",
        "that",
        "such",
        "on",
        "it",
        "its",
        "from",
        "may",
        "are",
        "agreement",
        "party",
        "which",
        "under",
        "all",
        "an",
        "have",
        "has",
        "has",
        "no",
        "if",
        "other",
        "you",
        "your",
        "we",
        "our",
        "must",
        "at",
    ]
)
_SIGNATURES = (
    (b"PK\x03\x04", "a Word, OpenDocument or zip file"),
    (b"\xd0\xcf\x11\xe0", "an old Word document"),
    (b"{\\rtf", "an RTF document"),
    (b"\x89PNG", "a picture"),
    (b"\xff\xd8\xff", "a picture"),
    (b"GIF8", "a picture"),
    (b"\x1f\x8b", "a gzip file"),
)


class UnreadableError(Exception):
    """The input cannot be reviewed; the message says why and what to do instead."""


@dataclass(frozen=True, slots=True)
class Source:
    """A contract's text.

    `text` is what offsets count in: the decoded characters, and for a PDF the extracted text of all
    pages with a form feed between two pages. `pages` holds the offset at which each page of a PDF starts.
    """

    text: str
    kind: str
    name: str = ""
    encoding: str = ""
    pages: tuple[int, ...] = ()
    notes: tuple[str, ...] = field(default=())

    def page_of(self, offset: int) -> int | None:
        """The 1-based page of an offset; None when the source has no pages."""
        if not self.pages:
            return None
        return sum(1 for start in self.pages if start <= offset)


def read_bytes(data: bytes, media_type: str = "", name: str = "") -> Source:
    """Read a contract from a file's bytes. Raises UnreadableError."""
    declared = media_type.partition(";")[0].strip().lower()
    if not data.strip(b"\x00 \t\r\n"):
        raise UnreadableError("The file is empty. Send the contract as text, Markdown or PDF.")
    if len(data) > MAX_BYTES:
        raise UnreadableError(
            f"The file is larger than {MAX_BYTES >> 20} MB. Send the contract without its annexes."
        )
    if b"%PDF-" in data[:1024]:
        from contract_reviewer_agent.pdf import read_pdf

        return read_pdf(data, name)
    for magic, what in _SIGNATURES:
        if data.startswith(magic):
            raise UnreadableError(f"This is {what}. Save it as PDF or plain text and send that.")
    if declared == "application/pdf":
        raise UnreadableError(
            "This is named a PDF, but it isn't one. Export the contract as PDF again, or send text."
        )
    if declared not in _TEXT_TYPES and not declared.startswith("text/"):
        raise UnreadableError(
            f"{declared} cannot be reviewed. Send text/plain, text/markdown or application/pdf."
        )
    text, encoding = _decode(data)
    return _checked(Source(text, "markdown" if _is_markdown(declared, name) else "text", name, encoding))


def read_text(text: str, name: str = "") -> Source:
    """Take a contract that came as text. Raises UnreadableError."""
    return _checked(Source(text, "text", name, "utf-8"))


def words(text: str) -> int:
    """How many words of two letters or more there are, counted up to a few thousand."""
    return len(_WORD.findall(text[:50_000]))


def _is_markdown(declared: str, name: str) -> bool:
    return declared in ("text/markdown", "application/x-markdown") or name.lower().endswith(
        (".md", ".markdown")
    )


def _decode(data: bytes) -> tuple[str, str]:
    if data.startswith((b"\xff\xfe", b"\xfe\xff")):
        try:
            return data.decode("utf-16"), "utf-16"
        except UnicodeDecodeError:
            raise _binary() from None
    try:
        return data.decode("utf-8-sig"), "utf-8"
    except UnicodeDecodeError:
        pass
    try:
        text = data.decode("cp1252")
    except UnicodeDecodeError:
        raise _binary() from None
    foreign = sum(1 for ch in text if ord(ch) > 127)
    if foreign > len(text) * 0.1:
        raise _binary()
    return text, "windows-1252"


def _binary() -> UnreadableError:
    return UnreadableError("The file isn't readable text. Send the contract as UTF-8 text, Markdown or PDF.")


def _checked(source: Source) -> Source:
    text = source.text
    if len(text) > MAX_CHARS:
        raise UnreadableError(
            f"The text has more than {MAX_CHARS:,} characters. Send the contract without its annexes."
        )
    controls = sum(1 for ch in text if ord(ch) < 32 and ch not in "\t\n\r\f\v")
    if controls > 2 + len(text) // 200:
        raise _binary()
    return require_english(source)


def require_english(source: Source) -> Source:
    """Refuse what holds no English prose: the rules know no other language, and silence would mislead."""
    found = [word.lower() for word in _WORD.findall(source.text[:200_000])]
    if len(found) < MIN_WORDS:
        raise UnreadableError(
            f"There is no contract here: fewer than {MIN_WORDS} words. Send its whole text."
        )
    known = sum(1 for word in found if word in _COMMON)
    if len(found) >= 40 and known < len(found) * 0.08:
        raise UnreadableError(
            "The text doesn't read as English, and the rules know no other language. Send an English version."
        )
    return source
