"""What a brief is, and what the planner reads out of its children's answers."""

from __future__ import annotations

from typing import Any, Literal, TypedDict

Level = Literal["high", "medium", "low"]
RANK = {"high": 0, "medium": 1, "low": 2}


class Risk(TypedDict):
    """A risk in a contract: where, why, in whose words."""

    document: str
    risk: Level
    title: str
    section: str
    reason: str
    quote: str


class Contract(TypedDict):
    """A contract as its reviewer graded it."""

    document: str
    kind: str
    risk: Level
    governing_law: str
    high: int
    medium: int
    low: int
    missing: list[str]


class Table(TypedDict):
    """A table as its analyst described it: size, and what stands out."""

    document: str
    rows: int
    columns: int
    missing_cells: int
    highlights: list[str]


class Gap(TypedDict):
    """What the brief does not cover, and why."""

    document: str
    why: str


class Decision(TypedDict):
    """What was asked, and what the answer was."""

    question: str
    answer: str


class Brief(TypedDict):
    """A folder in one page. `markdown` is also the artifact brief.md; `complete`: there is no gap."""

    headline: str
    complete: bool
    contracts: list[Contract]
    tables: list[Table]
    risks: list[Risk]
    next_steps: list[str]
    gaps: list[Gap]
    decisions: list[Decision]
    markdown: str


class UnexpectedError(Exception):
    """A child's answer is not of the form that this planner knows."""


def contract_of(name: str, review: Any) -> tuple[Contract, list[Risk]]:
    """A review of contract_reviewer 1.x, shortened. Raises UnexpectedError."""
    try:
        counts = review["counts"]
        contract = Contract(
            document=name,
            kind=str(review["kind"]),
            risk=review["risk"],
            governing_law=str(review["governing_law"]["in_contract"]),
            high=int(counts["high"]),
            medium=int(counts["medium"]),
            low=int(counts["low"]),
            missing=[str(one["title"]) for one in review["missing"]],
        )
        risks = [
            Risk(
                document=name,
                risk=one["risk"],
                title=str(one["title"]),
                section=str(one["section"]),
                reason=str((one["reasons"] or [""])[0]),
                quote=_short(str(one["text"])),
            )
            for one in review["findings"]
            if one["risk"] != "low"
        ]
        risks += [
            Risk(
                document=name,
                risk=one["risk"],
                title=f"No clause on {str(one['title']).lower()}",
                section="",
                reason=str(one["why"]),
                quote="",
            )
            for one in review["missing"]
            if one["risk"] != "low"
        ]
    except (KeyError, TypeError, ValueError, IndexError) as error:
        raise UnexpectedError(f"contract_reviewer answered in a form that isn't known ({error!r})") from None
    return contract, risks


def table_of(name: str, analysis: Any) -> Table:
    """An analysis of data_analyst 1.x, shortened. Raises UnexpectedError."""
    try:
        facts = analysis["file"]
        return Table(
            document=name,
            rows=int(facts["rows"]),
            columns=int(facts["columns"]),
            missing_cells=int(facts["missing_cells"]),
            highlights=_highlights(str(analysis["summary"])),
        )
    except (KeyError, TypeError, ValueError) as error:
        raise UnexpectedError(f"data_analyst answered in a form that isn't known ({error!r})") from None


def _highlights(summary: str) -> list[str]:
    """The first findings of a summary: its lines that begin with a dash under "What stands out"."""
    _, _, rest = summary.partition("## What stands out\n")
    section = rest.partition("\n## ")[0]
    return [
        line[2:] for line in section.splitlines() if line.startswith("- ") and not line.startswith("- …")
    ][:5]


def _short(text: str) -> str:
    text = " ".join(text.split())
    return text if len(text) <= 240 else text[:239].rstrip() + "…"
