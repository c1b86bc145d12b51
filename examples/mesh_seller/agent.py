"""The seller's skills: to name a price, and answering the buyer's offers, call by call."""

from __future__ import annotations

from typing import Any, TypedDict

from mesh_seller_agent.protocol import (
    DisorderError,
    Item,
    Offer,
    Outcome,
    Quantity,
    Rounds,
    check_turns,
    ended,
    money,
)
from mesh_seller_agent.stock import Goods, goods
from mesh_seller_agent.strategy import Stance
from msgspec import ValidationError, convert

from a2a_cloud import Agent, Context, Problem, Refuse

agent = Agent("mesh_seller")

GOODS = goods()


class Quote(TypedDict):
    """What is asked for an item before anybody haggles, in cents."""

    item: str
    quantity: int
    in_stock: bool
    cents: int
    total_cents: int


@agent.skill(
    name="Quote a price",
    tags=["negotiation", "selling", "multi-agent"],
    examples=["desk", '{"item": "chair", "quantity": 20}'],
    input_modes=["text/plain", "application/json"],
    output_modes=["application/json"],
    idempotent=True,
)
def quote(item: Item, quantity: Quantity = 1) -> Quote:
    """Name the price that is asked for an item, with the discount for many. It does not reserve or sell
    anything, and is where a negotiation starts: mesh_buyer gets better prices.

    Args:
        item: What is asked for: desk, chair, lamp or safe.
        quantity: Pieces.
    """
    name = item.strip().lower()
    found = GOODS.get(name)
    if found is None:
        raise Refuse(f"The seller has no {name!r}.", remedy=f"It has: {', '.join(GOODS)}.")
    cents = found.stance(quantity).opening
    return Quote(
        item=name,
        quantity=quantity,
        in_stock=quantity <= found.stock,
        cents=cents,
        total_cents=cents * quantity,
    )


@agent.skill(
    name="Consider an offer",
    tags=["negotiation", "protocol"],
    examples=['{"item": "desk", "quantity": 2, "rounds": 6, "offers": [{"by": "buyer", "cents": 18000}]}'],
    input_modes=["application/json"],
    output_modes=["application/json"],
    durable=True,
)
async def consider(
    ctx: Context, item: Item, quantity: Quantity, rounds: Rounds, offers: list[Offer]
) -> Outcome:
    """Answer the buyer's last offer: accept it, walk away, or call the buyer back with a counter-offer.
    Only for mesh_buyer: anybody else could feel for the limit with it, and is refused.

    Changes no terms other than the price.

    Args:
        item: What is negotiated.
        quantity: Pieces.
        rounds: Offers of both sides together, at most; 1 to 8.
        offers: All offers so far in turn, the buyer's first, the last one the buyer's.
    """
    if ctx.caller.agent != "mesh_buyer":
        raise Refuse(
            "Offers are taken from mesh_buyer alone.", remedy="To haggle, call the skill buy of mesh_buyer."
        )
    try:
        check_turns(offers, rounds, "seller")
    except DisorderError as error:
        raise Refuse(str(error)) from None
    found = GOODS.get(item)
    if found is None or quantity > found.stock:
        return ended("walked_away", "seller", _lacking(item, found), item, quantity, offers)
    stance = found.stance(quantity)
    place = stance.stranger(offers, rounds)
    if place:
        raise Refuse(f"Offer {place} is not the seller's: it was changed on the way.")
    return await _turn(ctx, stance, item, quantity, rounds, offers)


def _lacking(item: str, found: Goods | None) -> str:
    return f"The seller has no {item}." if found is None else f"The seller has only {found.stock} of {item}."


async def _turn(
    ctx: Context, stance: Stance, item: str, quantity: int, rounds: int, offers: list[Offer]
) -> Outcome:
    """Answer the other side's last offer, or with none open: accept, leave, or offer and hand on."""
    if offers:
        asked = money(offers[-1]["cents"])
        if stance.accepts(offers, rounds):
            return ended("agreed", "seller", f"The seller takes {asked} apiece.", item, quantity, offers)
        if len(offers) >= rounds:
            reason = f"After {rounds} offers the last, {asked}, was not good enough for the seller."
            return ended("out_of_rounds", "seller", reason, item, quantity, offers)
        if stance.hopeless(offers):
            return ended(
                "walked_away", "seller", f"The buyer did not move from {asked}.", item, quantity, offers
            )
    own = sum(1 for offer in offers if offer["by"] == "seller")
    offers = [*offers, Offer(by="seller", cents=stance.price(own, rounds))]
    ctx.progress(
        "offering", 100 * len(offers) / rounds, f"Offer {len(offers)}: {money(offers[-1]['cents'])} apiece"
    )
    try:
        answer: Any = await ctx.call(
            "mesh_buyer", "consider", item=item, quantity=quantity, rounds=rounds, offers=offers
        )
        outcome = convert(answer, Outcome)
    except (Problem, ValidationError) as error:
        # What the other side says of its failure is for the record; the negotiation ends orderly.
        why = error.sentence if isinstance(error, Problem) else f"Its answer is of another form ({error})."
        return ended("broken_off", "seller", f"The buyer failed: {why}", item, quantity, offers)
    wrong = _wrong(stance, outcome, rounds, offers)
    if wrong:
        return ended(
            "broken_off", "seller", f"The buyer reports what can't be: {wrong}.", item, quantity, offers
        )
    return outcome


def _wrong(stance: Stance, outcome: Outcome, rounds: int, offers: list[Offer]) -> str:
    """What is wrong with an outcome that the other side reports; empty if nothing is."""
    if outcome["offers"][: len(offers)] != offers:
        return "offers that were not made"
    place = stance.stranger(outcome["offers"], rounds)
    if place:
        return f"offer {place} is not the seller's"
    if outcome["outcome"] == "agreed":
        cents = outcome["cents"]
        if cents is None or cents != outcome["offers"][-1]["cents"]:
            return "a price that nobody offered"
        if not stance.good(cents, stance.limit):
            return "a price beyond the seller's limit"
    return ""
