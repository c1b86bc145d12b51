"""The negotiation without a platform: strategies meet, and what holds whoever meets."""

from __future__ import annotations

from pathlib import Path

from example_paths import EXAMPLES

# isort: split
import pytest
from hypothesis import assume, given
from hypothesis import strategies as st
from mesh_buyer_agent import limits
from mesh_buyer_agent import protocol as theirs
from mesh_buyer_agent.protocol import DisorderError, Offer, check_turns, ended
from mesh_buyer_agent.strategy import Stance
from mesh_seller_agent import stock

ROUNDS = st.integers(1, 8)
PACE = st.floats(0.2, 5)


def meet(buyer: Stance, seller: Stance, rounds: int) -> tuple[list[Offer], bool]:
    """The offers of a negotiation, and whether it ended in agreement."""
    offers: list[Offer] = []
    sides = (buyer, seller)
    while True:
        me = sides[len(offers) % 2]
        if offers:
            if me.accepts(offers, rounds):
                return offers, True
            if len(offers) >= rounds or me.hopeless(offers):
                return offers, False
        own = sum(1 for offer in offers if offer["by"] == me.side)
        offers = [*offers, Offer(by=me.side, cents=me.price(own, rounds))]
        check_turns(offers, rounds, sides[len(offers) % 2].side)


@given(ROUNDS, PACE, PACE, st.lists(st.integers(1, 10_000), min_size=4, max_size=4))
def test_nobody_passes_a_limit_and_every_negotiation_ends(
    rounds: int, slow: float, quick: float, prices: list[int]
) -> None:
    buyer = Stance("buyer", min(prices[:2]), max(prices[:2]), slow)
    seller = Stance("seller", max(prices[2:]), min(prices[2:]), quick)
    offers, agreed = meet(buyer, seller, rounds)
    assert 1 <= len(offers) <= rounds
    for offer in offers:
        if offer["by"] == "buyer":
            assert buyer.opening <= offer["cents"] <= buyer.limit
        else:
            assert seller.limit <= offer["cents"] <= seller.opening
    assert buyer.stranger(offers, rounds) is None
    assert seller.stranger(offers, rounds) is None
    if agreed:
        assert seller.limit <= offers[-1]["cents"] <= buyer.limit


def _moves(side: Stance, rounds: int) -> bool:
    prices = [side.price(own, rounds) for own in range(side.offers(rounds))]
    return len(set(prices)) == len(prices)


@given(st.integers(2, 12), PACE, PACE, st.integers(1, 5000), st.integers(0, 5000), st.integers(0, 5000))
def test_where_limits_meet_there_is_agreement(
    rounds: int, slow: float, quick: float, floor: int, room: int, more: int
) -> None:
    buyer = Stance("buyer", floor, floor + room, slow)
    seller = Stance("seller", floor + room + more, floor, quick)
    # With less to give than a cent an offer a side seems not to move, and the other walks away.
    assume(_moves(buyer, rounds) and _moves(seller, rounds))
    assert meet(buyer, seller, rounds)[1]


def test_each_side_gives_way_one_way() -> None:
    stance = Stance("seller", 1000, 500, 0.5)
    prices = [stance.price(own, 12) for own in range(stance.offers(12))]
    assert prices[0] == 1000
    assert prices[-1] == 500
    assert prices == sorted(prices, reverse=True)


@pytest.mark.parametrize(
    ("offers", "why"),
    [
        ([], "There are 0 offers"),
        ([("buyer", 1), ("seller", 2), ("buyer", 1), ("seller", 2), ("buyer", 3)], "There are 5 offers"),
        ([("seller", 1)], "Offer 1 is out of turn"),
        ([("buyer", 1), ("buyer", 1)], "Offer 2 is out of turn"),
        ([("buyer", 1), ("seller", 2)], "the seller's own"),
    ],
)
def test_turns(offers: list[tuple[theirs.Side, int]], why: str) -> None:
    with pytest.raises(DisorderError, match=why):
        check_turns([Offer(by=side, cents=cents) for side, cents in offers], 4, "seller")


def test_an_agreement_is_at_the_last_offer() -> None:
    offers = [Offer(by="buyer", cents=100), Offer(by="seller", cents=150)]
    done = ended("agreed", "buyer", "ok", "lamp", 3, offers)
    assert (done["cents"], done["total_cents"]) == (150, 450)
    assert ended("walked_away", "buyer", "no", "lamp", 3, offers)["cents"] is None


def test_both_sides_speak_the_same_protocol() -> None:
    buyer, seller = (
        EXAMPLES / f"mesh_{side}" / f"mesh_{side}_agent" / "protocol.py" for side in ("buyer", "seller")
    )
    assert buyer.read_text() == seller.read_text()


def test_the_books_make_sense(tmp_path: Path) -> None:
    assert limits.stances()["desk"].limit >= stock.goods()["desk"].floor
    assert stock.goods()["desk"].stance(10).limit < stock.goods()["desk"].stance(9).limit
    wrong = tmp_path / "wrong.toml"
    wrong.write_text("[items.x]\nopening = 5\nlimit = 3\npace = 1\nstock = 1\nasks = 3\nfloor = 5\n")
    with pytest.raises(ValueError, match="for x, 0 < opening"):
        limits.stances(wrong)
    with pytest.raises(ValueError, match="for x, 0 < floor"):
        stock.goods(wrong)
