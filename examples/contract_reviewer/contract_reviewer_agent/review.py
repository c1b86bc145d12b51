"""A source → its review: found clauses graded, redlined and counted. Two steps, so that a question fits
between.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal, TypedDict

from contract_reviewer_agent import checks_money, checks_rights, checks_risk, checks_term
from contract_reviewer_agent.absent import about, kind_of
from contract_reviewer_agent.find import Found, find, missing
from contract_reviewer_agent.law import Choice, chosen_law, effects, named_law
from contract_reviewer_agent.lines import blocks_of
from contract_reviewer_agent.plain import to_plain
from contract_reviewer_agent.provisions import CATEGORIES
from contract_reviewer_agent.redlines import Redline, redlines
from contract_reviewer_agent.risk import LEVELS, Level, View, graded
from contract_reviewer_agent.sentences import sentences_of
from contract_reviewer_agent.sides import sides_of
from contract_reviewer_agent.source import Source

Party = Literal["neutral", "customer", "provider"]
_CHECKS = {**checks_risk.CHECKS, **checks_term.CHECKS, **checks_rights.CHECKS, **checks_money.CHECKS}
_BASELINE = {
    **checks_risk.BASELINE,
    **checks_term.BASELINE,
    **checks_rights.BASELINE,
    **checks_money.BASELINE,
}


class Finding(TypedDict):
    """A provision where it stands. `quote` == source[start:end], character by character; `text` is it
    without markup.
    """

    id: str
    category: str
    provision: str
    title: str
    section: str
    risk: Level
    reasons: list[str]
    quote: str
    start: int
    end: int
    page: int | None
    text: str
    evidence: list[str]
    redlines: list[Redline]


class Missing(TypedDict):
    """A clause that wasn't found, how much that matters here, and wording to add."""

    category: str
    title: str
    risk: Level
    why: str
    wording: str


class GoverningLaw(TypedDict):
    """The law in force for the review: `source` says whether it was given, found in the text, answered, or
    unknown.
    """

    name: str
    source: Literal["given", "contract", "answer", "unknown"]
    in_contract: str
    placeholder: bool
    start: int | None
    end: int | None


class Review(TypedDict):
    """A contract's review. Offsets count characters of the source: for a PDF, of its extracted text."""

    document: str
    format: str
    kind: str
    party: str
    characters: int
    risk: Level
    counts: dict[str, int]
    governing_law: GoverningLaw
    findings: list[Finding]
    missing: list[Missing]
    notes: list[str]


@dataclass(frozen=True, slots=True)
class Analysis:
    """What was found, before anything is judged."""

    source: Source
    plain: str
    found: list[Found]
    choice: Choice
    paragraphs: list[str]


def analyse(source: Source) -> Analysis:
    """Find the clauses of a contract. Deterministic; takes about 2 ms per page."""
    plain = to_plain(source.text)
    blocks = blocks_of(plain)
    found = find(sentences_of(blocks))
    return Analysis(source, plain.text, found, chosen_law(found), [block.body.text for block in blocks])


def needs_law(analysis: Analysis, given: str | None) -> bool:
    """Whether to ask for the governing law: neither given nor chosen in the text."""
    return not named_law(given) and not analysis.choice.name


def judge(
    analysis: Analysis, given: str | None = None, party: Party = "neutral", answer: str | None = None
) -> Review:
    """Grade what was found and propose changes."""
    source, choice = analysis.source, analysis.choice
    law = named_law(given) or named_law(answer) or choice.name
    origin = (
        "given" if named_law(given) else "answer" if named_law(answer) else "contract" if law else "unknown"
    )
    kind = kind_of(analysis.plain)
    findings = _findings(analysis, law, party, kind)
    absent: list[Missing] = []
    for category in missing(analysis.found):
        risk, why, wording = about(category, kind, law)
        absent.append(
            Missing(category=category, title=CATEGORIES[category], risk=risk, why=why, wording=wording)
        )
    levels: list[Level] = [*(f["risk"] for f in findings), *(m["risk"] for m in absent)]
    return Review(
        document=source.name or "contract",
        format=source.kind,
        kind=kind,
        party=party,
        characters=len(source.text),
        risk=LEVELS[max((LEVELS.index(level) for level in levels), default=0)],
        counts={level: sum(1 for f in findings if f["risk"] == level) for level in ("high", "medium", "low")},
        governing_law=GoverningLaw(
            name=law,
            source=origin,
            in_contract=choice.name,
            placeholder=choice.placeholder,
            start=choice.start if choice.name else None,
            end=choice.end if choice.name else None,
        ),
        findings=findings,
        missing=absent,
        notes=_notes(analysis, findings),
    )


def _findings(analysis: Analysis, law: str, party: Party, kind: str) -> list[Finding]:
    source, sides = analysis.source, sides_of(analysis.plain)
    said: set[str] = set()
    noted: set[str] = set()
    out: list[Finding] = []
    for number, hit in enumerate(analysis.found, 1):
        category = hit.provision.category
        same = [other for other in analysis.found if other.provision.category == category]
        others = [other for other in analysis.found if other is not hit]
        everything = " ".join(other.text for other in same)
        paragraph = _around(analysis.paragraphs[hit.sentences[0].block], hit.text)
        view = View(hit, hit.text, everything, others, sides, law, analysis.choice, paragraph, analysis.plain)
        check = _CHECKS.get(hit.provision.id)
        if check:
            check(view)
        risk, reasons = graded(view.issues, party)
        start, end = hit.span
        if hit.provision.role == "core" and category not in noted:
            noted.add(category)
            reasons += effects(law, category, kind)
        first = hit.sentences[0]
        out.append(
            Finding(
                id=f"F{number:02}",
                category=category,
                provision=hit.provision.id,
                title=hit.provision.title,
                section=" ".join(part for part in (first.number, first.heading) if part),
                risk=risk,
                reasons=reasons or [_BASELINE[hit.provision.id]],
                quote=source.text[start:end],
                start=start,
                end=end,
                page=source.page_of(start),
                text=hit.text,
                evidence=hit.evidence,
                redlines=redlines(hit, view.issues, source.text, said),
            )
        )
    return out


def _around(paragraph: str, text: str) -> str:
    """What stands close to a finding in its paragraph; a contract without paragraphs is one, and far too
    long.
    """
    at = max(0, paragraph.find(text[:80]))
    return paragraph[max(0, at - 300) : at + len(text) + 700]


def _notes(analysis: Analysis, findings: list[Finding]) -> list[str]:
    notes = list(analysis.source.notes)
    if analysis.source.encoding == "windows-1252":
        notes.append("The file isn't UTF-8; it was read as Windows-1252, and offsets count its characters.")
    if not findings:
        notes.append("No clause of a known kind was found. Is this the text of a contract?")
    return notes
