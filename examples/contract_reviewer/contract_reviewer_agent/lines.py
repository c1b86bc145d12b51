"""Plain text → blocks: paragraphs, numbered clauses and headings, whatever way the contract is laid out."""

from __future__ import annotations

import re
from collections import Counter
from dataclasses import dataclass

from contract_reviewer_agent.plain import Mapped

_LABEL = re.compile(
    r"(?P<hash>#{1,6}\s+)?"
    r"(?P<label>(?:(?:section|article|clause|§)\s*(?:\d{1,3}(?:\.\d{1,3}){0,4}|[ivxlc]{1,6}"
    r"|[a-z])[.:)]?(?=\s|$))"
    r"|\d{1,3}(?:\.\d{1,3}){1,4}[.)]?(?=\s)|\d{1,3}[.)](?=\s)|\((?:[a-z]{1,2}|[ivx]{1,5}|\d{1,2})\)"
    r"|(?:[a-z]|[ivx]{1,5})[.)](?=\s)|[-•–▪◦*](?=\s))?\s*(?:[-–—:]\s+)?",
    re.IGNORECASE,
)
_NOISE = re.compile(
    r"(?:page\s+)?[-–—]?\s*\d{1,4}\s*[-–—]?(?:\s*(?:of|/)\s*\d{1,4})?|page\s+\d+.*|[-*_=~]{3,}|\|?[-:| ]{5,}",
    re.IGNORECASE,
)
_CONTENTS = re.compile(r"(?:\.\s?){4,}\s*\d{1,4}$")
_VERB = re.compile(
    r"(?<!-)\b(?:shall|will|must|may|agrees?|is|are|be|hereby|has|have|does|do|grants?|retains?"
    r"|warrants?|represents?|"
    r"disclaims?|waives?|assigns?|remains?|survives?|continues?|governs?|owns?|means)\b",
    re.IGNORECASE,
)
_SMALL = frozenset(
    [
        "a",
        "an",
        "and",
        "as",
        "at",
        "by",
        "for",
        "from",
        "in",
        "into",
        "of",
        "on",
        "or",
        "the",
        "to",
        "upon",
        "with",
        "without",
    ]
)


@dataclass(slots=True)
class Block:
    """A paragraph of the contract: its mapped text without label and heading, and where it stands."""

    body: Mapped
    label: str = ""
    heading: str = ""
    indent: int = 0
    number: str = ""

    @property
    def is_item(self) -> bool:
        """Whether it carries a label that can continue a list."""
        return bool(self.label)


@dataclass(slots=True)
class _Line:
    start: int
    end: int
    text: str
    indent: int
    length: int


def blocks_of(plain: Mapped) -> list[Block]:
    """Cut plain text into blocks, in order."""
    found: list[Block] = []
    for lines in _grouped(_lines(plain.text)):
        if not lines:
            continue
        raw = plain.part(lines[0].start, lines[-1].end)
        block = _labelled(raw.collapsed(), lines[0].indent)
        if block.body.text or block.heading:
            found.append(block)
    _number(found)
    return found


def _lines(text: str) -> list[_Line | None]:
    """The lines that say something; None where a paragraph ends."""
    raw = [(m.start(), m[0]) for m in re.finditer(r"[^\n\f]*[\n\f]|[^\n\f]+$", text)]
    pages = text.count("\f")
    repeated = (
        Counter(re.sub(r"\d+", "#", line.strip()) for _, line in raw if line.strip())
        if pages
        else Counter[str]()
    )
    out: list[_Line | None] = []
    for start, line in raw:
        kept = line.strip()
        header = (
            pages
            and len(kept) < 90
            and repeated.get(re.sub(r"\d+", "#", kept), 0) >= max(3, (pages + 1) * 0.7)
        )
        if not kept:
            if not line.endswith("\f"):
                out.append(None)
        elif not (header or _NOISE.fullmatch(kept) or _CONTENTS.search(kept)):
            lead = len(line) - len(line.lstrip())
            begin = start + lead
            out.append(_Line(begin, begin + len(kept), kept, lead, len(line.rstrip())))
    return out


def _grouped(lines: list[_Line | None]) -> list[list[_Line]]:
    lengths = sorted(line.length for line in lines if line)
    width = lengths[int(len(lengths) * 0.9)] if lengths else 0
    groups: list[list[_Line]] = [[]]
    for i, line in enumerate(lines):
        following = next((other for other in lines[i + 1 : i + 2] if other), None)
        if line is None:
            groups.append([])
            continue
        last = groups[-1][-1] if groups[-1] else None
        if last and _starts_block(last, line, width):
            groups.append([])
        groups[-1].append(line)
        if len(groups[-1]) == 1 and following and _is_heading_line(line, following, width):
            groups.append([])
    return groups


def _starts_block(last: _Line, line: _Line, width: int) -> bool:
    label = _LABEL.match(line.text)
    ended = last.text[-1] in ".;:!?\"')"
    if line.text.startswith("#") or line.text.startswith("|"):
        return True
    if label and label["label"]:
        if (
            label["label"].startswith("(")
            and last.text[-1] not in ".;:"
            and not re.search(r"[;,]\s*(?:and|or)$", last.text)
        ):
            return False  # an inline list whose item happens to begin a wrapped line
        # "…under Section\n9.1 of" is one sentence; so is a wrapped "ii. e." without an end before it.
        if re.search(r"[;,]\s*(?:and|or|and/or)$", last.text, re.IGNORECASE):
            return True
        if last.text[-1] not in ".;:!?" and 40 <= width * 0.8 <= last.length:
            return False  # a full line without an end: the number belongs to the sentence
        return not re.search(
            r"\b(?:sections?|articles?|clauses?|and|or|to|of|the|§)$", last.text, re.IGNORECASE
        )
    if width > 130 or last.length > 160:
        return ended or last.length < width * 0.5  # one line, one paragraph
    return ended and last.text[-1] in ".:;!?" and last.length < width * 0.75 and line.text[:1].isupper()


def _is_heading_line(line: _Line, following: _Line, width: int) -> bool:
    """A heading that the first line of its own paragraph follows without a blank line."""
    text = _LABEL.sub("", line.text, count=1)
    if line.text.startswith("#"):
        return len(line.text) <= 120
    if not _looks_like_heading(text) or line.length > max(40, width * 0.8):
        return False
    return not (text.isupper() and following.text.isupper())


def _looks_like_heading(text: str) -> bool:
    words = re.findall(r"[A-Za-z][\w'&-]*", text)
    if not words or len(words) > 12 or len(text) > 90 or text[-1] in ",;" or _VERB.search(text):
        return False
    if text[-1] == "." and not text.isupper() and len(words) > 8:
        return False
    big = [w for w in words if w.lower() not in _SMALL]
    capital = sum(1 for w in big if w[0].isupper())
    return bool(big) and capital >= len(big) * 0.75


def _labelled(body: Mapped, indent: int) -> Block:
    match = _LABEL.match(body.text)
    label, hashed = "", False
    if match and match.end():
        label, hashed = (match["label"] or "").strip(), bool(match["hash"])
        body = body.part(match.end(), len(body.text))
    elif body.text.startswith("|"):
        body = body.part(1, len(body.text))
    text = body.text
    if (hashed and len(text) <= 120) or _looks_like_heading(text) or (label and _is_short_title(text)):
        return Block(body.part(0, 0), label, text.strip("# .:"), indent)
    run_in = re.match(r"([A-Z][^.:—–]{2,80}?)(?:\.|:|\s[—–-])\s+(?=[\"'(\[]?[A-Z0-9])", text)
    if run_in and (_looks_like_heading(run_in[1]) or (label and _is_short_title(run_in[1]))):
        return Block(body.part(run_in.end(), len(text)), label, run_in[1].strip(), indent)
    return Block(body, label, "", indent)


def _is_short_title(text: str) -> bool:
    """After a number even "Governing law" in lower case is a title, if it says nothing."""
    words = text.split()
    return 0 < len(words) <= 5 and text[:1].isupper() and not _VERB.search(text) and text[-1] not in ",;"


def _number(blocks: list[Block]) -> None:
    """Give each block the label that a reader would name: `8.1.a` from 8 › 1 › a."""
    stack: list[tuple[str, int, str]] = []
    for block in blocks:
        label = re.sub(r"(?i)^(?:section|article|clause|§)\s*", "", block.label).strip("().: ")
        if not label or not label[0].isalnum():
            block.number = stack[-1][2] if stack else ""
            continue
        kind = "dots" if "." in label else _kind(label, block.label)
        if kind == "dots":
            stack = [("dots", block.indent, label)]
            block.number = label
            continue
        while stack and (
            stack[-1][1] > block.indent or (stack[-1][0] == kind and stack[-1][1] >= block.indent)
        ):
            stack.pop()
        if kind == "digit" and not any(s[1] < block.indent for s in stack):
            stack = []
        same = next((n for n, s in enumerate(stack) if s[0] == kind and s[1] >= block.indent), None)
        if same is not None:
            stack = stack[:same]
        number = f"{stack[-1][2]}.{label}" if stack else label
        stack.append((kind, block.indent, number))
        block.number = number


def _kind(label: str, written: str) -> str:
    if label.isdigit():
        return "digit" if not written.startswith("(") else "(digit"
    return "roman" if re.fullmatch(r"[ivx]{2,}|[IVXLC]+", label) else "letter"
