"""runtime/run_times.py: runs within a time, found by halves over their numbers."""

from __future__ import annotations

from types import SimpleNamespace
from typing import Any

import pytest

from a2a_cloud.model.scope import Scope
from a2a_cloud.runtime.run_times import runs_between


class Stored:
    """Runs as a database has them: number n was accepted at second `at(n)`."""

    def __init__(self, count: int, jump: int = 0) -> None:
        self.rows = [
            SimpleNamespace(no=no, created=float(no if no < jump or not jump else no - 50))
            for no in range(1, count + 1)
        ]
        self.asked = 0

    def runs(
        self, scope: Scope, *, agent: int | None = None, before: int | None = None, limit: int = 50
    ) -> list[Any]:
        self.asked += 1
        found = [row for row in self.rows if before is None or row.no < before]
        return found[::-1][:limit]


@pytest.mark.parametrize(
    ("since", "until", "first", "last"),
    [(0, 1e9, 3000, 1), (10, 20, 19, 10), (2999, 3000, 2999, 2999), (2500.5, 1e9, 3000, 2501), (0, 2, 1, 1)],
    ids=["all", "middle", "one", "end", "beginning"],
)
def test_what_lies_within(since: float, until: float, first: int, last: int) -> None:
    stored = Stored(3000)
    found = [row.no for row in runs_between(stored, Scope(1), None, since, until)]
    assert found == list(range(first, last - 1, -1))


@pytest.mark.parametrize(
    ("since", "until"), [(4000, 5000), (5, 5), (-9, 0)], ids=["later", "empty", "earlier"]
)
def test_nothing_within(since: float, until: float) -> None:
    assert list(runs_between(Stored(3000), Scope(1), None, since, until)) == []


def test_no_runs() -> None:
    assert list(runs_between(Stored(0), Scope(1), None, 0, 1e9)) == []


def test_a_late_time_among_many_needs_few_looks() -> None:
    stored = Stored(20_000)
    assert len(list(runs_between(stored, Scope(1), None, 100, 110))) == 10
    assert stored.asked < 25


def test_a_clock_that_was_turned_back_loses_nothing_at_the_end() -> None:
    stored = Stored(500, jump=200)
    found = {row.no for row in runs_between(stored, Scope(1), None, 160, 1e9)}
    assert found == {row.no for row in stored.rows if row.created >= 160}


def test_stamps_of_milliseconds_include_what_they_are_of() -> None:
    stored = Stored(1)
    stored.rows[0].created = 1000.0004
    assert len(list(runs_between(stored, Scope(1), None, 1000.0, 1000.001))) == 1
    stored.rows[0].created = 999.9996
    assert len(list(runs_between(stored, Scope(1), None, 1000.0, 1000.001))) == 1
