"""What a rule is: a kind of provision, known by several independent cues whose weights add up, some of them
against it.
"""

from __future__ import annotations

import re
from dataclasses import dataclass, field
from typing import Literal

Category = Literal[
    "liability",
    "indemnity",
    "termination",
    "renewal",
    "governing_law",
    "confidentiality",
    "intellectual_property",
    "payment",
    "data_protection",
]
Role = Literal["core", "own", "supporting"]

CATEGORIES: dict[Category, str] = {
    "liability": "Limitation of liability",
    "indemnity": "Indemnity",
    "termination": "Termination",
    "renewal": "Renewal and term",
    "governing_law": "Governing law and disputes",
    "confidentiality": "Confidentiality",
    "intellectual_property": "Intellectual property",
    "payment": "Payment",
    "data_protection": "Data protection",
}


@dataclass(frozen=True, slots=True)
class Cue:
    """A pattern and what it weighs; a negative weight speaks against the provision."""

    weight: float
    pattern: re.Pattern[str]


@dataclass(frozen=True, slots=True)
class Provision:
    """A kind of provision.

    `core`: its presence is what "the contract has this clause" means. `own`: worth a finding by itself.
    `supporting`: a finding only beside a core one of its category. `gate` must match for a sentence to be
    looked at; then the weights of the matching cues, at least two of them positive, must reach `threshold`.
    """

    id: str
    category: Category
    title: str
    role: Role
    threshold: float
    gate: re.Pattern[str]
    cues: tuple[Cue, ...] = field(default=())

    def score(self, text: str) -> tuple[float, list[str]]:
        """The evidence in a sentence: the sum of weights (0 when there is too little) and the words that
        gave it.
        """
        if not self.gate.search(text):
            return 0.0, []
        total, evidence = 0.0, list[str]()
        for cue in self.cues:
            match = cue.pattern.search(text)
            if match is None:
                continue
            total += cue.weight
            if cue.weight > 0:
                evidence.append(" ".join(match[0].split())[:80])
        if len(evidence) < 2 or total < self.threshold:
            return 0.0, []
        return total, evidence


def provision(
    name: str, title: str, role: Role, threshold: float, gate: str, *cues: tuple[float, str]
) -> Provision:
    """Write a rule down: `name` is `category.kind`; patterns are case-insensitive and begin at a word."""
    return Provision(
        name,
        name.partition(".")[0],  # type: ignore[arg-type]  # the tables' tests check it against CATEGORIES
        title,
        role,
        threshold,
        _compiled(gate),
        tuple(Cue(weight, _compiled(pattern)) for weight, pattern in cues),
    )


def _compiled(pattern: str) -> re.Pattern[str]:
    return re.compile(rf"(?:\b|(?<=\W)|^)(?:{pattern})", re.IGNORECASE)
