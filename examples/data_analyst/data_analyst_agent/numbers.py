"""Statistics of numbers that come in batches: moments, and quantiles within a proved error.

Both are written for whole batches, because a loop over single values costs ten times as much in Python.
"""

from __future__ import annotations

from array import array
from bisect import bisect_left
from collections.abc import Sequence
from heapq import merge
from math import fsum, isfinite, sqrt


class Moments:
    """Count, mean, standard deviation, skewness, extremes and sum, exact up to rounding.

    Batches are joined by the pairwise update of Chan, Golub and LeVeque, "Updating Formulae and a Pairwise
    Algorithm for Computing Sample Variances" (Stanford, 1979), a form of Welford's method (Technometrics 4,
    1962); the third moment after Pébay, "Formulas for Robust, One-Pass Parallel Computation of Covariances
    and Arbitrary-Order Statistical Moments" (Sandia SAND2008-6212, 2008).
    """

    __slots__ = ("count", "high", "low", "m2", "m3", "mean", "total")

    def __init__(self) -> None:
        self.count = 0
        self.mean = self.m2 = self.m3 = self.total = 0.0
        self.low, self.high = float("inf"), float("-inf")

    def add(self, values: Sequence[float]) -> None:
        """Take a batch."""
        if not values:
            return
        count = len(values)
        try:
            total = fsum(values)
        except OverflowError:
            total = float("inf")
        mean = total / count
        apart = [value - mean for value in values]
        squares = [value * value for value in apart]
        m2 = sum(squares)
        m3 = sum([square * value for square, value in zip(squares, apart, strict=True)])
        before, both = self.count, self.count + count
        delta = mean - self.mean
        share = delta / both
        self.m3 += (
            m3
            + delta * share * share * before * count * (before - count)
            + 3 * share * (before * m2 - count * self.m2)
        )
        self.m2 += m2 + delta * share * before * count
        self.mean += share * count
        self.count, self.total = both, self.total + total
        self.low, self.high = min(self.low, min(values)), max(self.high, max(values))

    @property
    def deviation(self) -> float | None:
        """The sample standard deviation (divisor n - 1); None below two values, or beyond the floats."""
        return sqrt(self.m2 / (self.count - 1)) if self.count > 1 and isfinite(self.m2) else None

    @property
    def skewness(self) -> float | None:
        """g1 = (m3 / n) / (m2 / n)^1.5; None where nothing varies."""
        if self.count < 3 or self.m2 <= 0 or not isfinite(self.m3) or not isfinite(self.m2):
            return None
        below = (self.m2 / self.count) ** 1.5
        return self.m3 / self.count / below if below else None


class Quantiles:
    """Quantiles of a stream in bounded memory, with a bound on the error in rank that always holds.

    Munro and Paterson, "Selection and Sorting with Limited Storage" (Theoretical Computer Science 12, 1980),
    as Manku, Rajagopalan and Lindsay describe it (SIGMOD 1998): sorted buffers of `size` values; two of the
    same weight w are merged, and every second value of them is kept with weight 2w. Each such collapse can
    misplace a rank by at most w, so the bound is the sum of those w; taking even and odd places in turn makes
    the true error much smaller. Up to `size` values nothing is dropped and the quantiles are exact.
    """

    __slots__ = ("_full", "_odd", "_open", "_size", "count", "misplaced")

    def __init__(self, size: int = 4096) -> None:
        self._size = size
        self._open: list[float] = []
        #: level → a sorted buffer of weight 2**level, if there is one.
        self._full: list[array[float] | None] = []
        self._odd = 0
        self.count = 0
        self.misplaced = 0

    def add(self, values: Sequence[float]) -> None:
        """Take a batch."""
        self.count += len(values)
        self._open.extend(values)
        while len(self._open) > self._size:
            block = array("d", sorted(self._open[: self._size]))
            del self._open[: self._size]
            self._place(block, 0)

    def _place(self, block: array[float], level: int) -> None:
        while True:
            if level == len(self._full):
                self._full.append(None)
            other = self._full[level]
            if other is None:
                self._full[level] = block
                return
            self._full[level] = None
            # Two sorted runs: sorting them is merging.
            block = array("d", sorted([*other, *block])[self._odd :: 2])
            self._odd ^= 1
            self.misplaced += 1 << level
            level += 1

    @property
    def error(self) -> float:
        """The largest possible error in rank, as a share of all values; 0: exact."""
        return self.misplaced / self.count if self.count else 0.0

    def at(self, shares: Sequence[float]) -> list[float]:
        """The values at these shares of the ranks, ascending from 0 to 1.

        Exact ones are interpolated linearly (type 7 of Hyndman and Fan, The American Statistician 50, 1996).
        """
        if not self.misplaced and not any(self._full):
            ordered = sorted(self._open)
            return [_between(ordered, share) for share in shares]
        runs = [[(value, 1) for value in sorted(self._open)]]
        runs += [
            [(value, 1 << level) for value in block]
            for level, block in enumerate(self._full)
            if block is not None
        ]
        values: list[float] = []
        ranks: list[int] = []
        rank = 0
        for value, weight in merge(*runs):
            rank += weight
            values.append(value)
            ranks.append(rank)
        last = len(values) - 1
        return [values[min(last, bisect_left(ranks, share * rank))] for share in shares]


def _between(ordered: Sequence[float], share: float) -> float:
    place = share * (len(ordered) - 1)
    below = int(place)
    above = min(below + 1, len(ordered) - 1)
    return ordered[below] + (ordered[above] - ordered[below]) * (place - below)
