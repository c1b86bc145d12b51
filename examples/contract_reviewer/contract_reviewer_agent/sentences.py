"""Blocks → the sentences that the rules read: list items with their stem, definitions told from operative
words.
"""

from __future__ import annotations

import re
from dataclasses import dataclass

from contract_reviewer_agent.lines import Block
from contract_reviewer_agent.plain import Mapped, joined

MAX_SENTENCE = 6000

_BREAK = re.compile(r"[.!?][\"')\]]*\s+(?=[\"'(\[]?[A-Z0-9\[])|[;]\s+(?=\(?[a-z]\)?\s*$)")
_SHORT = re.compile(
    r"(?:\b(?:inc|ltd|co|corp|no|nos|sec|art|mr|mrs|ms|dr|st|v|vs|e\.g|i\.e|u\.s|u\.k|approx|para|cl|jr"
    r"|sr|cf|est|dept)"
    r"|\b[A-Z]|\bU\.S\.A|\ba\.m|\bp\.m)\.$",
    re.IGNORECASE,
)
_OPERATIVE = re.compile(
    r"\b(?:shall|will|must|may|can|cannot|agrees?|undertakes?|covenants?|is|are|be|hereby|has|have|does"
    r"|do|grants?|"
    r"retains?|reserves?|owns?|warrants?|represents?|disclaims?|waives?|waived|assigns?|remains?"
    r"|belongs?|vests?|"
    r"survives?|continues?|renews?|governs?|governed|indemnif(?:y|ies)|acknowledges?|authorizes?"
    r"|permits?|applies|apply|"
    r"terminates?|expires?|keeps?|pays?|accrues?|bears?)\b",
    re.IGNORECASE,
)
_DEFINES = re.compile(
    r"^(?:\W*(?:for (?:the )?purposes? of|as used in|in) [^,]{2,60},\s*)?(?:the (?:term|expression"
    r"|word)s?\s+)?"
    r"(?:\"[^\"]{1,80}\"(?:\s*(?:,|and|or)\s*\"[^\"]{1,80}\")*"
    r"|[A-Z][A-Za-z]*(?: [A-Z&][\w&]*){0,4})\s*(?:\([^)]{0,80}\)\s*)?,?\s*"
    r"(?:means?|refers? to|(?:shall|will) (?:mean|have the (?:same )?meaning|include)|ha(?:s"
    r"|ve) the (?:same )?meaning|"
    r"is defined|are defined|includes?)\b",
)
_STRONG = re.compile(
    r"\b(?:shall|must|agrees?|may not|will not|will)\b(?! (?:mean|have the meaning|include|be deemed))", re.I
)
_RECITAL = re.compile(
    r"^\W*(?:whereas|recitals?|witnesseth|table of contents|in witness whereof|note to draft)\b", re.I
)
_REFERENCE = re.compile(
    r"\b(?:sections?|articles?|clauses?|paragraphs?"
    r"|§§?)\s*(?:\d{1,3}(?:\.\d{1,3})*(?:\s*\([a-z0-9]{1,4}\))*|[IVXLC]{1,6}\b|\([a-z]\))"
    r"(?:\s*\([A-Z][^()]{2,70}\))?(?:\s*(?:,|and|or|through"
    r"|to)\s*(?:sections?\s*)?\d{1,3}(?:\.\d{1,3})+(?:\s*\([A-Za-z][^()]{1,70}\))?)*",
    re.IGNORECASE,
)


@dataclass(slots=True)
class Sentence:
    """One sentence, or a list with its stem. `text` is what the rules read: plain, references to sections
    masked.
    """

    mapped: Mapped
    text: str
    number: str
    heading: str
    block: int
    defines: bool
    operative: bool
    stem: str = ""
    index: int = 0

    @property
    def context(self) -> str:
        """The stem and the text, for cues that may stand in either."""
        return f"{self.stem} {self.text}" if self.stem else self.text


def sentences_of(blocks: list[Block]) -> list[list[Sentence]]:
    """Every sentence in order; each as its alternatives: the list with its stem as one, then item by item.

    The caller takes the whole when a rule finds it, and the items otherwise.
    """
    headings = _headings(blocks)
    out: list[list[Sentence]] = []
    i = 0
    while i < len(blocks):
        block = blocks[i]
        pieces = _split(block.body)
        end = _list_end(blocks, i) if block.body.text else i
        defining = False
        for n, piece in enumerate(pieces):
            sentence = _sentence(piece, block, headings[i], i, defining)
            defining = defining or _opens_definition(sentence)
            if n == len(pieces) - 1 and end > i:
                out.append(_list(sentence, blocks, headings, i, end))
            else:
                out.append([sentence])
        i = max(end, i) + 1
    flat = [s for group in out for s in group]
    for index, sentence in enumerate(flat):
        sentence.index = index
    return out


def mask_references(text: str) -> str:
    """Blank out "Section 10 (Confidentiality)" and the like, so that no title acts as evidence."""
    return _REFERENCE.sub("\u00a7", text)


def _headings(blocks: list[Block]) -> list[str]:
    """Each block's own heading, else the nearest one above it."""
    out: list[str] = []
    last = number = ""
    for block in blocks:
        if block.heading:
            last, number = block.heading, block.number
        elif not block.number.startswith(number):
            last = number = ""
        out.append(last)
    return out


def _split(body: Mapped) -> list[Mapped]:
    pieces: list[Mapped] = []
    at = 0
    for match in _BREAK.finditer(body.text):
        stop = match.start() + len(match[0].rstrip())
        if _SHORT.search(body.text[max(at, match.start() - 8) : match.start() + 1]):
            continue
        pieces.append(body.part(at, stop))
        at = match.end()
    pieces.append(body.part(at, len(body.text)))
    out: list[Mapped] = []
    for piece in pieces:
        for start in range(0, len(piece.text), MAX_SENTENCE):
            part = piece.part(start, start + MAX_SENTENCE)
            if part.text.strip():
                out.append(part if start == 0 and len(piece.text) <= MAX_SENTENCE else part.collapsed())
    return out


def _sentence(
    mapped: Mapped, block: Block, heading: str, at: int, defining: bool, stem: str = ""
) -> Sentence:
    text = mask_references(mapped.text)
    defines = bool(_DEFINES.match(text)) or (defining and not _STRONG.search(text))
    whole = text.rstrip().endswith((".", ";")) and text.count(" ") >= 5
    operative = not _RECITAL.match(text) and bool(whole or _OPERATIVE.search(text) or _OPERATIVE.search(stem))
    return Sentence(mapped, text, block.number, heading, at, defines, operative, stem)


def _opens_definition(sentence: Sentence) -> bool:
    return sentence.defines


def _list_end(blocks: list[Block], at: int) -> int:
    """The last block of the list that block `at` opens with an unfinished sentence; `at` when it opens
    none.
    """
    if not re.search(r"(?::|[—–-]|\b(?:if|that|to|and|or|the following))$", blocks[at].body.text):
        return at
    first = at + 1
    if first >= len(blocks) or blocks[first].heading:
        return at
    if not blocks[first].is_item:
        return _bare_list_end(blocks, at)
    kind, indent = _mark(blocks[first]), blocks[first].indent
    if kind == _mark(blocks[at]) and indent <= blocks[at].indent and kind != "bullet":
        return at
    end, expected = first, _ordinal(blocks[first])
    for n in range(first + 1, len(blocks)):
        block = blocks[n]
        if not block.is_item or (block.heading and not block.body.text):
            break
        if block.indent > indent and _mark(block) != kind:
            end = n
            continue
        follows = kind == "bullet" or _ordinal(block) in (expected + 1, 0)
        if _mark(block) != kind or not follows or block.indent < indent:
            break
        end, expected = n, _ordinal(block)
    return end


def _bare_list_end(blocks: list[Block], at: int) -> int:
    """The same for a list whose labels were lost: what begins in lower case, or goes on after a semicolon."""
    end = at
    if not blocks[at].body.text.endswith(":"):
        return at
    for n in range(at + 1, len(blocks)):
        block = blocks[n]
        goes_on = block.body.text[:1].islower() or re.search(
            r"(?:[;,]|\b(?:and|or))$", blocks[n - 1].body.text
        )
        if block.is_item or block.heading or not (goes_on or n == at + 1):
            break
        end = n
    return end


def _mark(block: Block) -> str:
    label = block.label.strip("().: ")
    if not label or not label[0].isalnum():
        return "bullet"
    if "." in label:
        return "dots"
    shape = "digit" if label.isdigit() else "letter"
    return f"({shape}" if block.label.startswith("(") else shape


def _ordinal(block: Block) -> int:
    label = block.label.strip("().: ").lower()
    if label.isdigit():
        return int(label)
    romans = {"i": 1, "ii": 2, "iii": 3, "iv": 4, "v": 5, "vi": 6, "vii": 7, "viii": 8, "ix": 9, "x": 10}
    if len(label) == 1 and label not in "ivx":
        return ord(label) - 96
    return romans.get(label, 0) if label != "i" or len(label) > 1 else 1


def _list(stem: Sentence, blocks: list[Block], headings: list[str], at: int, end: int) -> list[Sentence]:
    items = [n for n in range(at + 1, end + 1) if blocks[n].body.text]
    whole = _sentence(
        joined([stem.mapped, *(blocks[n].body for n in items)]), blocks[at], headings[at], at, stem.defines
    )
    whole.stem = stem.text
    singles = [
        _sentence(piece, blocks[n], headings[n], n, stem.defines, stem.text)
        for n in items
        for piece in _split(blocks[n].body)
    ]
    whole.defines = stem.defines
    return [whole, *singles]
