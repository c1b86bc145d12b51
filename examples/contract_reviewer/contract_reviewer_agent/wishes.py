"""What a sentence beside a file asks for: whose side, under which law."""

from __future__ import annotations

import re
from dataclasses import dataclass

from contract_reviewer_agent.law import place_in
from contract_reviewer_agent.review import Party

_FOR = r"(?:for|as|i am|i'm|we are|we're|on behalf of|side of)\s+(?:the|a|an|my)?\s*"
_CUSTOMER = re.compile(
    rf"\b{_FOR}(?:customer|client|buyer|tenant|lessee|licensee|subscriber|employer|recipient)\b",
    re.IGNORECASE,
)
_PROVIDER = re.compile(
    rf"\b{_FOR}(?:provider|vendor|supplier|seller|landlord|lessor|licensor|contractor|consultant|employ"
    rf"ee|discloser)\b",
    re.IGNORECASE,
)


@dataclass(frozen=True, slots=True)
class Wishes:
    """A side and a law, as far as the words named them."""

    party: Party
    law: str | None


def wishes(text: str) -> Wishes:
    """Read a short message. Anything that isn't understood is left aside; a long text asks for nothing."""
    said = " ".join(text.split())
    if not said or len(said) > 500:
        return Wishes("neutral", None)
    party: Party = (
        "customer" if _CUSTOMER.search(said) else "provider" if _PROVIDER.search(said) else "neutral"
    )
    place = place_in(said)
    return Wishes(party, place[0] if place else None)
