"""The words of the negotiation: offers in turn, the buyer's first, and how it ended.

The other side has a copy of its own: two parties agree on a protocol, and share no code.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Annotated, Literal, TypedDict

from msgspec import Meta

Side = Literal["buyer", "seller"]

#: Offers of both sides together, at most. Each is one call deeper, and `depth` in a2a.toml is above it.
MAX_ROUNDS = 8

Rounds = Annotated[int, Meta(ge=1, le=MAX_ROUNDS)]
Quantity = Annotated[int, Meta(ge=1, le=1_000_000)]
Cents = Annotated[int, Meta(ge=1, le=1_000_000_000)]
Item = Annotated[str, Meta(min_length=1, max_length=60)]


class Offer(TypedDict):
    """A price per piece, in cents."""

    by: Side
    cents: Cents


class Outcome(TypedDict):
    """How a negotiation ended. `cents` is the price per piece, null without agreement; `ended_by` who said
    the last word; `offers` all offers in turn.

    agreed; walked_away: a side saw no sense in going on; out_of_rounds: the last offer was not good enough;
    broken_off: the other side failed.
    """

    outcome: Literal["agreed", "walked_away", "out_of_rounds", "broken_off"]
    ended_by: Side
    reason: str
    item: str
    quantity: int
    cents: int | None
    total_cents: int | None
    offers: list[Offer]


class DisorderError(Exception):
    """The offers are not those of a negotiation by these rules."""


def check_turns(offers: Sequence[Offer], rounds: int, mine: Side) -> None:
    """Offers alternate, the buyer's first, the last one is the other side's, and there are not too many.

    Raises DisorderError.
    """
    if not offers or len(offers) > rounds:
        raise DisorderError(f"There are {len(offers)} offers, and 1 to {rounds} are allowed.")
    for place, offer in enumerate(offers):
        if offer["by"] != ("seller" if place % 2 else "buyer"):
            raise DisorderError(
                f"Offer {place + 1} is out of turn: buyer and seller alternate, the buyer first."
            )
    if offers[-1]["by"] == mine:
        raise DisorderError(f"The last offer is the {mine}'s own; there is nothing to consider.")


def ended(
    outcome: Literal["agreed", "walked_away", "out_of_rounds", "broken_off"],
    by: Side,
    reason: str,
    item: str,
    quantity: int,
    offers: Sequence[Offer],
) -> Outcome:
    """An outcome; one that is agreed is so at the last offer."""
    cents = offers[-1]["cents"] if outcome == "agreed" else None
    return Outcome(
        outcome=outcome,
        ended_by=by,
        reason=reason,
        item=item,
        quantity=quantity,
        cents=cents,
        total_cents=None if cents is None else cents * quantity,
        offers=list(offers),
    )


def money(cents: int) -> str:
    """12.34"""
    return f"{cents // 100:,}.{cents % 100:02}"
