"""Rates: what people write, the cells that count, and a table of them that somebody tries to fill."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from a2a_cloud.control.limits.rates import Cell, Cells
from a2a_cloud.model.limits import Rate, least, lower, read_rate
from a2a_cloud.model.problem import InvalidParams


@pytest.mark.parametrize(
    ("text", "rate", "said"),
    [
        ("10/s", Rate(10, 1), "10/s"),
        ("600 / min", Rate(600, 60), "600/min"),
        ("50/10s", Rate(50, 10), "50/10s"),
        ("1000/h", Rate(1000, 3600), "1000/h"),
        ("5/day", Rate(5, 86_400), "5/day"),
        ("9/120s", Rate(9, 120), "9/2min"),
    ],
)
def test_a_rate_is_read_and_said(text: str, rate: Rate, said: str) -> None:
    assert read_rate(text) == rate
    assert str(rate) == said
    assert read_rate(said) == rate


@pytest.mark.parametrize(
    "text",
    ["", "10", "0/s", "-1/s", "10/0s", "1.5/s", "10/2day", "10/week", "1" * 11 + "/s", "10/s\n", "١٠/s"],
)
def test_what_is_no_rate_is_refused(text: str) -> None:
    with pytest.raises(InvalidParams) as caught:
        read_rate(text)
    assert "10/s" in caught.value.remedy


def test_the_lower_of_rates_and_counts() -> None:
    assert lower(Rate(10, 1), Rate(100, 60)) == Rate(100, 60)
    assert lower(None, Rate(1, 1)) == lower(Rate(1, 1), None) == Rate(1, 1)
    assert lower(None, None) is None
    assert (least(None, 3, 2), least(None)) == (2, None)


@given(st.integers(1, 2000), st.sampled_from([1, 7, 60, 3600]), st.floats(0, 1e7))
def test_a_burst_is_the_whole_quota_and_not_one_more(quota: int, window: int, start: float) -> None:
    cell = Cell("calls", Rate(quota, window))
    assert [cell.take(start) for _ in range(quota)] == [0.0] * quota
    assert cell.left(start) == 0
    wait = cell.take(start)
    assert 0 < wait <= window / quota * 1.01 + 1e-6
    assert cell.reset(start) == pytest.approx(window, rel=1e-3, abs=1e-3)
    assert cell.take(start + wait + 1e-6) == 0.0


@given(
    st.integers(1, 20),
    st.sampled_from([1, 10, 60]),
    st.lists(st.floats(0, 20), min_size=1, max_size=200),
)
def test_no_window_has_more_than_twice_the_quota(quota: int, window: int, steps: list[float]) -> None:
    cell, now = Cell("calls", Rate(quota, window)), 1000.0
    taken: list[float] = []
    for step in steps:
        now += step / 10
        if not cell.take(now):
            taken.append(now)
    for moment in taken:
        assert sum(moment <= each < moment + window for each in taken) <= 2 * quota
    # And in the long run no more than the rate.
    assert len(taken) <= quota + (now - 1000.0) / window * quota + 1


def test_a_refusal_uses_nothing() -> None:
    cell = Cell("calls", Rate(1, 10))
    assert cell.take(5.0) == 0.0
    waits = [cell.take(5.0 + step) for step in range(10)]
    assert waits == pytest.approx([9.9 - step for step in range(10)], abs=1e-3)
    assert cell.take(15.0) == 0.0


def test_another_rate_does_not_give_back_what_was_used() -> None:
    cells = Cells()
    cell = cells.of("calls", 1, Rate(2, 60), 0.0)
    assert [cell.take(1.0), cell.take(1.0)] == [0.0, 0.0]
    same = cells.of("calls", 1, Rate(4, 60), 0.0)
    assert same is cell
    assert cell.left(1.0) == 0
    assert cell.take(1.0) > 0


def test_a_full_table_forgets_only_what_rests() -> None:
    cells = Cells(most=10)
    victim = cells.of("address", "victim", Rate(1, 60), 0.0, known=False)
    assert victim.take(0.0) == 0.0
    for number in range(4):
        cells.of("address", number, Rate(1, 60), 0.0, known=False).take(0.0)
    # Strangers have half of it: the next ones share one cell, and its rate.
    shared = cells.of("address", 5, Rate(1, 60), 0.0, known=False)
    assert shared is cells.of("address", 6, Rate(1, 60), 0.0, known=False)
    assert shared.take(0.0) == 0.0
    assert cells.of("address", 7, Rate(1, 60), 0.0, known=False).take(0.0) > 0
    # Who has a key has their own.
    assert cells.of("requests", 1, Rate(1, 60), 0.0) is not cells.of("requests", 2, Rate(1, 60), 0.0)
    assert cells.rests(1.0)
    cells.sweep(1.0)
    assert cells.of("address", "victim", Rate(1, 60), 0.0, known=False) is victim
    assert victim.take(1.0) > 0
    assert not cells.rests(1.5)
    assert cells.rests(2.0)
    cells.sweep(61.0)
    assert len(cells) == 0
    assert cells.of("address", "victim", Rate(1, 60), 0.0, known=False).take(61.0) == 0.0
