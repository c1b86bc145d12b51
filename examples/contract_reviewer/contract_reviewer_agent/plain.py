"""Source text → plain text without markup, each character of which knows the source characters that it came
from.
"""

from __future__ import annotations

import html
import re
from collections.abc import Iterable
from dataclasses import dataclass

_BLOCK_TAGS = frozenset(
    [
        "p",
        "div",
        "br",
        "li",
        "ul",
        "ol",
        "table",
        "tr",
        "h1",
        "h2",
        "h3",
        "h4",
        "h5",
        "h6",
        "section",
        "article",
        "hr",
        "blockquote",
        "body",
        "dt",
        "dd",
    ]
)
_TAGS = (
    "p|div|br|li|ul|ol|table|thead|tbody|tr|td|th|h[1-6]|section|article|hr|blockquote|span|b|i|u|em|st"
    "rong|a|sup|sub|"
    "font|small|mark|del|ins|s|code|pre|html|head|body|meta|title|link|img|dl|dt|dd|header|footer|main|"
    "center|label"
)
_TOKEN = re.compile(
    r"(?P<dead><!--.{0,20000}?-->|<(?:script|style)\b.{0,20000}?</(?:script|style)>)"
    rf"|(?P<tag></?(?P<name>{_TAGS})(?:\s[^<>]{{0,600}})?/?>)"
    r"|(?P<entity>&(?:\#\d{1,7}|\#x[0-9a-f]{1,6}|[a-z]{2,8});)"
    r"|(?P<newline>\r\n|\r|\x0b|\u2028|\u2029)"
    r"|(?P<link>\]\([^()\s]{1,500}\))"
    r"|(?P<stars>\*{1,3}(?=\S)|(?<=\S)\*{1,3})"
    r"|(?P<under>(?<![\w])_{1,2}(?=[^\W_])|(?<=[^\W_])_{1,2}(?![\w]))"
    r"|(?P<escape>\\(?=[!-/:-@\[-`{-~]))"
    r"|(?P<quote>(?m:^)[ \t]{0,3}>[ \t]?)"
    r"|(?P<invisible>[\u00ad\u200b-\u200f\u2060\ufeff\u202a-\u202e])",
    re.IGNORECASE | re.DOTALL,
)
_LIKE = str.maketrans(
    {
        "\u2018": "'",
        "\u2019": "'",
        "\u201a": "'",
        "\u2032": "'",
        "`": "'",
        "\u201c": '"',
        "\u201d": '"',
        "\u201e": '"',
        "\u00ab": '"',
        "\u00bb": '"',
        "\u00a0": " ",
        "\u2007": " ",
        "\u2009": " ",
        "\u202f": " ",
        "\u3000": " ",
        "\t": " ",
        "\u2010": "-",
        "\u2011": "-",
        "\u2012": "-",
    }
)
_LIGATURES = {"\ufb01": "fi", "\ufb02": "fl", "\ufb00": "ff", "\ufb03": "ffi", "\ufb04": "ffl"}


@dataclass(frozen=True, slots=True)
class Mapped:
    """Text whose character i stands for source[starts[i]:ends[i]]."""

    text: str
    starts: list[int]
    ends: list[int]

    def part(self, start: int, end: int) -> Mapped:
        """The characters start..end, still mapped."""
        return Mapped(self.text[start:end], self.starts[start:end], self.ends[start:end])

    def span(self, start: int = 0, end: int | None = None) -> tuple[int, int]:
        """The source range that a non-empty range of this text came from."""
        stop = len(self.text) if end is None else end
        return self.starts[start], self.ends[stop - 1]

    def collapsed(self) -> Mapped:
        """Line breaks and runs of spaces become one space each; the ends lose theirs."""
        out = _Builder()
        for match in re.finditer(r"\S+", self.text):
            if out.chars:
                out.put(" ", self.starts[match.start() - 1], self.ends[match.start() - 1])
            for i in range(match.start(), match.end()):
                out.put(self.text[i], self.starts[i], self.ends[i])
        return out.done()


class _Builder:
    def __init__(self) -> None:
        self.chars: list[str] = []
        self.starts: list[int] = []
        self.ends: list[int] = []

    def put(self, chars: str, start: int, end: int) -> None:
        for ch in chars:
            self.chars.append(ch)
            self.starts.append(start)
            self.ends.append(end)

    def done(self) -> Mapped:
        return Mapped("".join(self.chars), self.starts, self.ends)


def joined(parts: Iterable[Mapped]) -> Mapped:
    """Several mapped texts as one, with a space between."""
    out = _Builder()
    for part in parts:
        if out.chars and part.text:
            out.put(" ", out.ends[-1], out.ends[-1])
        out.chars.append(part.text)
        out.starts.extend(part.starts)
        out.ends.extend(part.ends)
    return out.done()


def to_plain(source: str) -> Mapped:
    """Drop tags, emphasis, link targets and invisible characters; make quotes and spaces plain."""
    out = _Builder()
    at = 0
    for match in _TOKEN.finditer(source):
        _copy(out, source, at, match.start())
        at = match.end()
        kind = match.lastgroup if match.lastgroup != "name" else "tag"
        if kind == "tag" and match["name"].lower() in _BLOCK_TAGS:
            out.put("\n", match.start(), at)
        elif kind == "tag" and match["name"].lower() in ("td", "th"):
            out.put(" ", match.start(), at)
        elif kind == "newline":
            out.put("\n", match.start(), at)
        elif kind == "entity":
            out.put(html.unescape(match[0]).translate(_LIKE), match.start(), at)
        elif (kind == "link" and not _drop_bracket(out)) or (
            kind == "stars" and _is_bullet(source, match.start(), at)
        ):
            _copy(out, source, match.start(), at)
    _copy(out, source, at, len(source))
    return _unhyphenated(out.done())


def _copy(out: _Builder, source: str, start: int, end: int) -> None:
    for i in range(start, end):
        ch = source[i]
        out.put(_LIGATURES.get(ch) or ch.translate(_LIKE), i, i + 1)


def _drop_bracket(out: _Builder) -> bool:
    """Take back the `[` that opened a link's text; False when there is none near."""
    for i in range(len(out.chars) - 1, max(-1, len(out.chars) - 300), -1):
        if out.chars[i] == "[":
            del out.chars[i], out.starts[i], out.ends[i]
            return True
    return False


def _is_bullet(source: str, start: int, end: int) -> bool:
    line = source[source.rfind("\n", 0, start) + 1 : start]
    return end - start == 1 and not line.strip() and source[end : end + 1] in (" ", "\t")


def _unhyphenated(plain: Mapped) -> Mapped:
    """Join words that a line's end cut in two, when the whole word stands elsewhere in the text."""
    text = plain.text
    known: set[str] | None = None
    out = _Builder()
    at = 0
    for match in re.finditer(r"([A-Za-z]{2,})-[ ]*\n[ ]*([a-z]{2,})", text):
        if known is None:
            known = set(re.findall(r"[a-z]{4,}", text.lower()))
        cut = match.end(1) if (match[1] + match[2]).lower() in known else match.end(1) + 1
        _extend(out, plain, at, cut)
        at = match.start(2)
    if not at:
        return plain
    _extend(out, plain, at, len(text))
    return out.done()


def _extend(out: _Builder, plain: Mapped, start: int, end: int) -> None:
    out.chars.append(plain.text[start:end])
    out.starts.extend(plain.starts[start:end])
    out.ends.extend(plain.ends[start:end])
