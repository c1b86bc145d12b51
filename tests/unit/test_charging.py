"""What a call costs: exact, rounded once, half to even; free ones first, tiers step by step, shares whole."""

from __future__ import annotations

from fractions import Fraction
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from a2a_cloud.control.billing import charging
from a2a_cloud.control.billing.charging import CALLS, Used
from a2a_cloud.model.billing import (
    MOST,
    Flat,
    Meter,
    Price,
    Terms,
    Tier,
    check_terms,
    read_amount,
    read_currency,
    read_spend,
    show_amount,
)
from a2a_cloud.model.problem import InvalidParams


def price(scale: int = 2, **terms: Any) -> Price:
    made = Terms("USD", **terms)
    check_terms(made, scale)
    return Price(1, 1, 1, "ask", 1, scale, made, 0.0, "root")


def cost(of: Price, used: Used | None = None, *, free: bool = False, **usage: Any) -> int:
    quantities = {(meter, ""): Fraction(qty) for meter, qty in usage.items()}
    return charging.cost(of, used or Used("", {}), quantities, free=free)


def test_a_call_costs_its_price() -> None:
    assert cost(price(call="0.05")) == 5
    assert charging.need(price(call="0.05"), Used("", {})).amount == 5


@pytest.mark.parametrize(
    ("tokens", "amount"), [("2500", 2), ("7500", 8), ("12499", 12), ("0.000001", 0), ("12501", 13)], ids=str
)
def test_rounding_is_half_to_even_and_once(tokens: str, amount: int) -> None:
    metered = price(meters={"tokens": Meter("1", units=100_000)}, most="5.00")
    assert cost(metered, tokens=tokens) == amount


def test_a_call_and_its_meters_add_up_before_rounding() -> None:
    both = price(call="0.01", meters={"a": Meter("0.004"), "b": Meter("0.003")}, most="1")
    assert cost(both, a=1, b=1) == 2  # 1.7 cents.


def test_no_call_costs_more_than_the_most() -> None:
    metered = price(meters={"tokens": Meter("0.01")}, most="0.50")
    assert cost(metered, tokens=10**9) == charging.need(metered, Used("", {})).amount == 50


def test_free_units_come_first_and_count_in_tiers() -> None:
    tiers = [Tier("0.10", 10), Tier("0.01")]
    metered = price(meters={"pages": Meter(tiers=tiers, free=5)}, most="100")
    used = Used("", {"pages": Fraction(3)})
    assert (
        cost(metered, used, pages=10) == 5 * 10 + 3
    )  # Two free, five of the first tier, three of the second.
    assert cost(metered, Used("", {"pages": Fraction(20)}), pages=10) == 10


def test_tiers_of_calls_hold_the_dearest_that_it_may_be() -> None:
    rising = price(tiers=[Tier("0.01", 2), Tier("0.05", 4), Tier("0.02")])
    used = Used("", {CALLS: Fraction(1)})
    assert charging.need(rising, used).amount == 1
    used.open = 1
    assert charging.need(rising, used).amount == 5
    assert [cost(rising, Used("", {CALLS: Fraction(n)})) for n in range(6)] == [1, 1, 5, 5, 2, 2]


def test_free_calls_are_promised_when_they_begin() -> None:
    some = price(call="0.05", free_calls=2)
    used = Used("", {CALLS: Fraction(1)})
    assert charging.need(some, used) == (0, True, False)
    used.open = used.open_free = 1
    assert charging.need(some, used) == (5, False, False)
    assert cost(some, used) == 5  # The other one was promised it.
    used.open_free = 0
    assert cost(some, used) == 0


def test_a_flat_fee_covers_its_period() -> None:
    flat = price(flat=Flat("9.99"))
    used = Used("", {})
    assert cost(flat, used) == charging.need(flat, used).amount == 999
    used.qty |= charging.counted(flat.terms, {}, 1)  # type: ignore[arg-type]
    assert cost(flat, used) == charging.need(flat, used).amount == 0


@given(st.integers(0, MOST), st.integers(0, 10_000))
def test_shares_are_the_whole(amount: int, share: int) -> None:
    owner, platform, rest = charging.split(amount, share)
    assert owner + platform + rest == amount
    assert min(owner, platform) >= 0
    assert rest in (0, 1)


@given(st.integers(-MOST, MOST), st.integers(0, 9))
def test_amounts_are_read_as_they_are_shown(amount: int, scale: int) -> None:
    shown = show_amount(amount, scale)
    assert read_amount(shown.removeprefix("-"), "USD", scale) == abs(amount)
    assert shown.startswith("-") == (amount < 0)


@given(
    st.lists(st.tuples(st.integers(1, 50), st.integers(0, 30)), min_size=1, max_size=4),
    st.lists(st.integers(0, 40), min_size=1, max_size=6),
)
def test_tiers_cost_the_same_in_one_piece_or_many(steps: list[tuple[int, int]], pieces: list[int]) -> None:
    ends = [sum(width for width, _ in steps[: n + 1]) for n in range(len(steps) - 1)] + [None]
    tiers = [Tier(f"0.{each:02}", end) for (_, each), end in zip(steps, ends, strict=True)]
    metered = price(meters={"pages": Meter(tiers=tiers, free=7)}, most="100000")
    used, total = Used("", {}), 0
    for piece in pieces:
        total += cost(metered, used, pages=piece)
        used.qty["pages"] = used.of("pages") + piece
    assert total == cost(metered, pages=sum(pieces))


@pytest.mark.parametrize(
    "terms",
    [
        {},
        {"call": "0.001"},
        {"call": "-1"},
        {"call": "1e3"},
        {"call": "1", "tiers": [Tier("1")]},
        {"tiers": [Tier("1", 5)]},
        {"tiers": [Tier("1", 5), Tier("1", 5), Tier("1")]},
        {"meters": {"tokens": Meter("1")}},
        {"meters": {"tokens": Meter()}, "most": "1"},
        {"meters": {"a b": Meter("1")}, "most": "1"},
        {"flat": Flat("1"), "call": "1"},
        {"call": "1", "platform_share": 10_001},
        {"call": "90071992547409.93"},
    ],
    ids=str,
)
def test_a_price_that_can_not_be_charged_is_refused(terms: dict[str, Any]) -> None:
    with pytest.raises(InvalidParams):
        price(**terms)


def test_currencies_and_budgets_of_calls_are_read() -> None:
    assert (read_currency("usd"), read_currency("Credits")) == ("USD", "credits")
    spend = read_spend("1.00 eur")
    assert (spend.amount, spend.currency) == ("1.00", "EUR")
    for text in ("1.00", "USD", "1,00USD", "1.00 XXX", "-1USD", "1.00USDUSD!"):
        with pytest.raises(InvalidParams):
            read_spend(text)
