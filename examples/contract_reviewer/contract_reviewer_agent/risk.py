"""Risk: what may be wrong with a provision, how bad it is, why, and the words that would mend it."""

from __future__ import annotations

import re
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Literal

from contract_reviewer_agent.find import Found
from contract_reviewer_agent.law import Choice
from contract_reviewer_agent.sides import Side, Sides

Level = Literal["low", "medium", "high"]
LEVELS: tuple[Level, ...] = ("low", "medium", "high")


@dataclass(frozen=True, slots=True)
class Fix:
    """A change of wording. `pattern` names the words of the finding to replace, empty: add after its end."""

    wording: str
    pattern: str = ""
    whole: bool = False


@dataclass(frozen=True, slots=True)
class Issue:
    """One reason for a level. `burdens` is the side that it hurts; None: whoever signs."""

    level: Level
    reason: str
    fix: Fix | None = None
    burdens: Side | None = None


@dataclass(slots=True)
class View:
    """What a check sees: the finding, everything found in its category, and the contract's facts."""

    hit: Found
    text: str
    everything: str
    others: list[Found]
    sides: Sides
    law: str
    choice: Choice
    paragraph: str
    plain: str
    issues: list[Issue] = field(default_factory=list[Issue])

    def has(self, pattern: str, text: str | None = None) -> re.Match[str] | None:
        """Search the finding (or another text), ignoring case."""
        return re.search(pattern, self.text if text is None else text, re.IGNORECASE)

    def add(
        self,
        level: Level,
        reason: str,
        wording: str = "",
        pattern: str = "",
        burdens: Side | None = None,
        whole: bool = False,
    ) -> None:
        """Note an issue with the wording that would mend it."""
        fix = Fix(wording, pattern, whole) if wording else None
        self.issues.append(Issue(level, reason, fix, burdens))

    def undefined(self, pattern: str) -> str:
        """A term in capitals that the finding relies on and that this text doesn't define; empty when there
        is none.
        """
        for match in re.finditer(rf"\b(?:[A-Z][\w'-]+ ){{0,3}}{pattern}", self.text):
            term = match[0].removeprefix("All ").removesuffix("s")
            if " " in term and not re.search(rf"\"{re.escape(term)}s?\"", self.plain, re.IGNORECASE):
                return match[0]
        return ""

    def subject(self, verb: str = "") -> tuple[str, Side | None, str]:
        """Whom the finding binds; with a verb's pattern, who is to do that."""
        return self.sides.subject(self.text, verb)

    def other(self, side: Side | None) -> Side | None:
        """The side across the table."""
        return {"customer": "provider", "provider": "customer"}.get(side or "")  # type: ignore[return-value]

    def one_sided(self, verb: str = "") -> tuple[Side | None, str] | None:
        """The only side that a right or limit of this kind serves in the whole contract; None when both
        have it.
        """
        kind, side, name = self.subject(verb)
        if kind != "one":
            return None
        for hit in self.others:
            if hit.provision.id != self.hit.provision.id:
                continue
            other_kind, other_side, other_name = self.sides.subject(hit.text, verb)
            same = other_side == side if side and other_side else other_name.lower() == name.lower()
            if other_kind == "mutual" or (other_kind == "one" and not same):
                return None
        return side, name


Check = Callable[[View], None]
_NUMBERS = {
    "one": 1,
    "two": 2,
    "three": 3,
    "four": 4,
    "five": 5,
    "six": 6,
    "seven": 7,
    "ten": 10,
    "twelve": 12,
    "fourteen": 14,
    "fifteen": 15,
    "twenty": 20,
    "thirty": 30,
    "forty-five": 45,
    "sixty": 60,
    "ninety": 90,
}
PLACEHOLDER = re.compile(
    r"\[[^\]\[]{0,60}\]|_{3,}|\bTBD\b|\b(?:as )?(?:stated|specified|set (?:forth|out)|chosen|indicated"
    r"|identified|described)\b.{0,30}"
    r"\b(?:cover page|order form|key terms|schedule|exhibit|statement of work|sow)\b",
    re.IGNORECASE,
)


def days(text: str, near: str = "") -> list[int]:
    """The periods named in a text, in days (a month counts 30), optionally only those that stand near a
    pattern.
    """
    out: list[int] = []
    number = (
        r"(?<![\w-])(\d{1,3}|"
        + "|".join(_NUMBERS)
        + r")\)?(?:\s*\(\d{1,3}\))?[ -](?:calendar |business |consecutive )?(day|week|month)s?"
    )
    for match in re.finditer(number, text, re.IGNORECASE):
        around = text[max(0, match.start() - 100) : match.end() + 100]
        if near and not re.search(near, around, re.IGNORECASE):
            continue
        value = int(match[1]) if match[1].isdigit() else _NUMBERS[match[1].lower()]
        out.append(value * {"day": 1, "week": 7, "month": 30}[match[2].lower()])
    return out


def graded(issues: list[Issue], party: str) -> tuple[Level, list[str]]:
    """The level of a finding and its reasons; what burdens the other side weighs one level less, what
    burdens yours, one more.
    """
    best, reasons = 0, list[str]()
    for issue in issues:
        level = LEVELS.index(issue.level)
        note = ""
        if issue.burdens and party in ("customer", "provider"):
            if issue.burdens == party and 0 < level < 2:
                level, note = level + 1, " This weighs on your side."
            elif issue.burdens != party and level:
                level, note = level - 1, " This weighs on the other side."
        best = max(best, level)
        reasons.append(f"{issue.reason}{note}")
    return LEVELS[best], reasons
