"""Who is bound: which side of a contract a sentence speaks of, by the names that contracts give the two
sides.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import Literal

Side = Literal["customer", "provider"]

# Who pays or receives, and who supplies. "Company" is on either side: the other words of the contract decide.
_CUSTOMER = (
    "customer|client|buyer|purchaser|tenant|lessee|licensee|subscriber|user|employer|receiving"
    " party|recipient|borrower|"
    "franchisee|hirer|you|resident|renter"
)
_PROVIDER = (
    "provider|service"
    " provider|vendor|supplier|seller|landlord|lessor|licensor|contractor|consultant|employee|discloser"
    "|"
    "disclosing party|freelancer|agency|developer|lender|franchisor|executive|worker|designer|we"
)
_MUTUAL = (
    r"each party|either party|neither party|both parties|the parties|each of the parties|one party"
    r"|a party|no party|mutual(?:ly)?|the other party (?:will|shall|may|owes)(?= )"
)
_SUBJECT = re.compile(
    rf"\b(?:(?P<mutual>{_MUTUAL})|(?P<customer>{_CUSTOMER})|(?P<provider>{_PROVIDER})|(?P<company>company))\b",
    re.IGNORECASE,
)
_NAMED = re.compile(
    r"\((?:[^()]{0,60}?,? ?(?:hereinafter|the|referred to as|called"
    r"|or)?\s*)\"([A-Z][\w&.' -]{1,40})\"[^()]{0,40}\)"
)


@dataclass(frozen=True, slots=True)
class Sides:
    """The two sides of one contract, with the words that it uses for them."""

    customer: str
    provider: str
    company: Side | None
    named: tuple[str, ...]
    named_side: Side | None

    def label(self, side: str) -> str:
        """What this contract calls a side."""
        return self.customer if side == "customer" else self.provider if side == "provider" else "each party"

    def subject(
        self, text: str, verb: str = ""
    ) -> tuple[Literal["mutual", "one", "unknown"], Side | None, str]:
        """Whom the sentence binds: both, one side (which, and by what name), or nobody that can be told.

        With `verb`, a pattern: the last one named before it ("If Tenant defaults, Landlord may terminate").
        """
        found = re.search(verb, text, re.IGNORECASE) if verb else None
        head = text[: found.start()] if found else text[:600]
        mentions = [(m.start(), m) for m in _SUBJECT.finditer(head)]
        mentions += [(m.start(), m) for n in self.named for m in re.finditer(rf"\b{re.escape(n)}\b", head)]
        if not mentions:
            return self.subject(text) if found else ("unknown", None, "")
        match = (max if found else min)(mentions, key=lambda mention: mention[0])[1]
        groups = match.groupdict()
        if groups.get("mutual"):
            return "mutual", None, match[0]
        if groups.get("customer"):
            return "one", "customer", match[0]
        if groups.get("provider"):
            return "one", "provider", match[0]
        return "one", self.company if groups.get("company") else self.named_side, match[0]


def sides_of(text: str) -> Sides:
    """Find out what the contract calls its sides."""
    counts = {
        side: _counts(words, text) for side, words in (("customer", _CUSTOMER), ("provider", _PROVIDER))
    }
    customer, provider = _most(counts["customer"]), _most(counts["provider"])
    company: Side | None = None
    if re.search(r"\bcompany\b", text, re.IGNORECASE):
        if sum(counts["provider"].values()) > sum(counts["customer"].values()):
            company, customer = "customer", "Company"
        elif counts["customer"]:
            company, provider = "provider", "Company"
    things = "company|agreement|lease|contract|part(?:y|ies)|effective date|services?|premises|term"
    roles = f"{_CUSTOMER}|{_PROVIDER}|{things}"
    named = tuple(
        name
        for name in dict.fromkeys(_NAMED.findall(text[:3000]))
        if not re.fullmatch(roles, name.strip(), re.IGNORECASE)
    )
    # Where only one side has a role's name ("Customer"), the party that goes by its own name is the other
    # side.
    other: Side | None = (
        "provider" if customer and not provider else "customer" if provider and not customer else None
    )
    if len(named) != 1:
        other = None
    elif other == "provider":
        provider = named[0]
    elif other == "customer":
        customer = named[0]
    return Sides(customer or "Customer", provider or "Provider", company, named[:4], other)


def _counts(words: str, text: str) -> dict[str, int]:
    counts: dict[str, int] = {}
    for match in re.finditer(rf"\b(?:{words})\b", text, re.IGNORECASE):
        word = match[0].lower()
        if (
            word not in ("user", "you", "we", "agency", "worker", "executive", "developer")
            or match[0].istitle()
        ):
            counts[word] = counts.get(word, 0) + 1
    return counts


def _most(counts: dict[str, int]) -> str:
    return max(sorted(counts), key=lambda w: counts[w]).title() if counts else ""
