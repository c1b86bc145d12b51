"""How far to give way, and when to say yes.

Time-dependent concession (Faratin, Sierra, Jennings, "Negotiation Decision Functions for Autonomous Agents",
Robotics and Autonomous Systems 24, 1998): the k-th of n own offers lies at (k / (n - 1)) ^ (1 / pace) of the
way from the opening to the limit; pace below 1 holds out, above 1 gives way early. An offer is accepted when
it is at least as good as what would be offered next (AC_next: Baarslag, Hindriks, Jonker, "Effective
Acceptance Conditions in Real-Time Automated Negotiation", Decision Support Systems 60, 2014). Whole cents and
no chance: the same negotiation always ends the same way.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from mesh_seller_agent.protocol import Offer, Side


@dataclass(frozen=True, slots=True)
class Stance:
    """What a side opens with, its limit (which it never passes and never tells), and its pace."""

    side: Side
    opening: int
    limit: int
    pace: float

    def offers(self, rounds: int) -> int:
        """How many of `rounds` offers are this side's."""
        return (rounds + 1) // 2 if self.side == "buyer" else rounds // 2

    def price(self, own: int, rounds: int) -> int:
        """This side's offer number `own` (from 0), in cents."""
        last = self.offers(rounds) - 1
        share = 1.0 if last <= 0 else (own / last) ** (1 / self.pace)
        return self.opening + round((self.limit - self.opening) * share)

    def good(self, cents: int, than: int) -> bool:
        """Whether a price is at least as good for this side as another."""
        return cents <= than if self.side == "buyer" else cents >= than

    def accepts(self, offers: Sequence[Offer], rounds: int) -> bool:
        """Whether to take the last offer, which is the other side's."""
        asked = offers[-1]["cents"]
        if len(offers) >= rounds:
            return self.good(asked, self.limit)
        own = sum(1 for offer in offers if offer["by"] == self.side)
        return self.good(asked, self.price(own, rounds))

    def hopeless(self, offers: Sequence[Offer]) -> bool:
        """The other side has said the same twice, beyond this side's limit: it will not move."""
        others = [offer["cents"] for offer in offers if offer["by"] != self.side]
        return len(others) > 1 and others[-1] == others[-2] and not self.good(others[-1], self.limit)

    def stranger(self, offers: Sequence[Offer], rounds: int) -> int | None:
        """The place (from 1) of an offer that is said to be this side's and is not; None: there is none."""
        own = 0
        for place, offer in enumerate(offers, 1):
            if offer["by"] == self.side:
                if offer["cents"] != self.price(own, rounds):
                    return place
                own += 1
        return None
