"""The buyer's skills: to start a negotiation, and answering the seller's offers, call by call."""

from __future__ import annotations

from typing import Any

from mesh_buyer_agent.limits import stances
from mesh_buyer_agent.protocol import (
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
from mesh_buyer_agent.strategy import Stance
from msgspec import ValidationError, convert

from a2a_cloud import Agent, Context, Problem, Refuse

agent = Agent("mesh_buyer")

STANCES = stances()


@agent.skill(
    name="Buy an item",
    tags=["negotiation", "buying", "multi-agent"],
    examples=["desk", '{"item": "chair", "quantity": 20, "rounds": 8}'],
    input_modes=["text/plain", "application/json"],
    output_modes=["application/json", "text/markdown"],
    durable=True,
)
async def buy(ctx: Context, item: Item, quantity: Quantity = 1, rounds: Rounds = 8) -> Outcome:
    """Negotiate the price of an item with mesh_seller, and say how it ended. It does not order or pay
    anything, and negotiates nothing but the price.

    Makes the first offer and gives way step by step, never beyond the limit in limits.toml. Makes the
    artifact negotiation.md.

    Args:
        item: What to buy: desk, chair, lamp, safe or shelf.
        quantity: Pieces; the seller may give a discount for many.
        rounds: Offers of both sides together, at most; 1 to 8. Fewer press both sides sooner.
    """
    name = item.strip().lower()
    stance = _stance(name)
    outcome = await _turn(ctx, stance, name, quantity, rounds, [])
    await ctx.artifact("negotiation.md", _report(outcome), media_type="text/markdown")
    return outcome


@agent.skill(
    name="Consider a counter-offer",
    tags=["negotiation", "protocol"],
    examples=['{"item": "desk", "quantity": 2, "rounds": 6, "offers": [{"by": "buyer", "cents": 18000}]}'],
    input_modes=["application/json"],
    output_modes=["application/json"],
    durable=True,
)
async def consider(
    ctx: Context, item: Item, quantity: Quantity, rounds: Rounds, offers: list[Offer]
) -> Outcome:
    """Answer the seller's last offer: accept it, walk away, or call the seller back with a counter-offer.
    Only for mesh_seller: anybody else could feel for the limit with it, and is refused.

    Changes no terms other than the price.

    Args:
        item: What is negotiated.
        quantity: Pieces.
        rounds: Offers of both sides together, at most; 1 to 8.
        offers: All offers so far in turn, the buyer's first, the last one the seller's.
    """
    if ctx.caller.agent != "mesh_seller":
        raise Refuse(
            "Offers are taken from mesh_seller alone.", remedy="To start a negotiation, call the skill buy."
        )
    try:
        check_turns(offers, rounds, "buyer")
    except DisorderError as error:
        raise Refuse(str(error)) from None
    stance = _stance(item)
    place = stance.stranger(offers, rounds)
    if place:
        raise Refuse(f"Offer {place} is not the buyer's: it was changed on the way.")
    return await _turn(ctx, stance, item, quantity, rounds, offers)


def _stance(item: str) -> Stance:
    stance = STANCES.get(item)
    if stance is None:
        raise Refuse(f"The buyer has no limit for {item!r}.", remedy=f"It buys: {', '.join(STANCES)}.")
    return stance


async def _turn(
    ctx: Context, stance: Stance, item: str, quantity: int, rounds: int, offers: list[Offer]
) -> Outcome:
    """Answer the other side's last offer, or with none open: accept, leave, or offer and hand on."""
    if offers:
        asked = money(offers[-1]["cents"])
        if stance.accepts(offers, rounds):
            return ended("agreed", "buyer", f"The buyer takes {asked} apiece.", item, quantity, offers)
        if len(offers) >= rounds:
            reason = f"After {rounds} offers the last, {asked}, was not good enough for the buyer."
            return ended("out_of_rounds", "buyer", reason, item, quantity, offers)
        if stance.hopeless(offers):
            return ended(
                "walked_away", "buyer", f"The seller did not move from {asked}.", item, quantity, offers
            )
    own = sum(1 for offer in offers if offer["by"] == "buyer")
    offers = [*offers, Offer(by="buyer", cents=stance.price(own, rounds))]
    ctx.progress(
        "offering", 100 * len(offers) / rounds, f"Offer {len(offers)}: {money(offers[-1]['cents'])} apiece"
    )
    try:
        answer: Any = await ctx.call(
            "mesh_seller", "consider", item=item, quantity=quantity, rounds=rounds, offers=offers
        )
        outcome = convert(answer, Outcome)
    except (Problem, ValidationError) as error:
        # What the other side says of its failure is for the record; the negotiation ends orderly.
        why = error.sentence if isinstance(error, Problem) else f"Its answer is of another form ({error})."
        return ended("broken_off", "buyer", f"The seller failed: {why}", item, quantity, offers)
    wrong = _wrong(stance, outcome, rounds, offers)
    if wrong:
        return ended(
            "broken_off", "buyer", f"The seller reports what can't be: {wrong}.", item, quantity, offers
        )
    return outcome


def _wrong(stance: Stance, outcome: Outcome, rounds: int, offers: list[Offer]) -> str:
    """What is wrong with an outcome that the other side reports; empty if nothing is."""
    if outcome["offers"][: len(offers)] != offers:
        return "offers that were not made"
    place = stance.stranger(outcome["offers"], rounds)
    if place:
        return f"offer {place} is not the buyer's"
    if outcome["outcome"] == "agreed":
        cents = outcome["cents"]
        if cents is None or cents != outcome["offers"][-1]["cents"]:
            return "a price that nobody offered"
        if not stance.good(cents, stance.limit):
            return "a price beyond the buyer's limit"
    return ""


def _report(outcome: Outcome) -> str:
    pieces = f"{outcome['quantity']} × {outcome['item']}"
    lines = [f"# {pieces}: {outcome['outcome'].replace('_', ' ')}", "", outcome["reason"]]
    if outcome["cents"] is not None and outcome["total_cents"] is not None:
        lines.append(f"{money(outcome['cents'])} apiece, {money(outcome['total_cents'])} together.")
    lines += ["", "| | Buyer | Seller |", "|---|---:|---:|"]
    for place, offer in enumerate(outcome["offers"], 1):
        buyer, seller = (money(offer["cents"]), "") if offer["by"] == "buyer" else ("", money(offer["cents"]))
        lines.append(f"| {place} | {buyer} | {seller} |")
    return "\n".join([*lines, ""])
