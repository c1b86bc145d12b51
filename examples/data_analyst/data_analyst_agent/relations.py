"""How columns go together: Pearson's r from all rows, Spearman's rho and the correlation ratio from a
sample.
"""

from __future__ import annotations

from collections.abc import Sequence
from itertools import combinations
from math import atanh, isfinite, sqrt, tanh
from operator import mul

#: Products of all pairs over all rows, about: what Pearson may cost.
WORK = 40_000_000
MOST = 40
LEAST = 8


def dot(one: Sequence[float], other: Sequence[float]) -> float:
    """Σ xy."""
    total: float = sum(map(mul, one, other))
    return total


class Pearson:
    """Pearson's r of all pairs of columns, over the rows in which both have a value.

    Columns come shifted by their mean and scaled by their deviation, known from the first pass: without that,
    sums of squares lose digits (Chan, Golub, LeVeque, "Algorithms for Computing the Sample Variance", The
    American Statistician 37, 1983).
    """

    def __init__(self, columns: int) -> None:
        self._sums = {pair: [0.0] * 6 for pair in combinations(range(columns), 2)}

    def add(self, columns: Sequence[Sequence[float | None]], complete: Sequence[bool]) -> None:
        """Take a batch: for each column its standardised values, None where missing."""
        filled: list[list[float]] = [
            [0.0 if value is None else value for value in column] if not whole else column  # type: ignore[misc]
            for column, whole in zip(columns, complete, strict=True)
        ]
        there = [
            None if whole else [0.0 if value is None else 1.0 for value in column]
            for column, whole in zip(columns, complete, strict=True)
        ]
        squares: list[list[float]] = [list(map(mul, column, column)) for column in filled]
        plain = [(sum(column), sum(square)) for column, square in zip(filled, squares, strict=True)]
        for (one, two), sums in self._sums.items():
            x, y, mine, yours = filled[one], filled[two], there[one], there[two]
            rows = len(x) if mine is None else sum(mine)
            if mine is not None and yours is not None:
                rows = dot(mine, yours)
            elif yours is not None:
                rows = sum(yours)
            sums[0] += rows
            sums[1] += plain[one][0] if yours is None else dot(x, yours)
            sums[2] += plain[two][0] if mine is None else dot(y, mine)
            sums[3] += plain[one][1] if yours is None else dot(squares[one], yours)
            sums[4] += plain[two][1] if mine is None else dot(squares[two], mine)
            sums[5] += dot(x, y)

    def of(self, one: int, two: int) -> tuple[int, float] | None:
        """(rows, r); None where fewer than 3 rows have both, or one of them doesn't vary."""
        rows, x, y, xx, yy, xy = self._sums[one, two]
        if rows < 3:
            return None
        varied, other = xx - x * x / rows, yy - y * y / rows
        if not (varied > 1e-12 * rows and other > 1e-12 * rows and isfinite(varied * other)):
            return None
        return round(rows), max(-1.0, min(1.0, (xy - x * y / rows) / sqrt(varied * other)))


def interval(r: float, rows: int) -> tuple[float, float] | None:
    """The 95 % interval of r (Fisher, "On the 'Probable Error' of a Coefficient of Correlation", Metron 1,
    1921).
    """
    if rows < 4 or abs(r) >= 1:
        return None
    z, width = atanh(r), 1.959964 / sqrt(rows - 3)
    return tanh(z - width), tanh(z + width)


def spearman(xs: Sequence[float | None], ys: Sequence[float | None]) -> tuple[int, float] | None:
    """(rows, rho): Pearson's r of the ranks, ties at their middle (Spearman 1904; Kendall, "Rank Correlation
    Methods", 1948). Rows without both values are left out."""
    both = [(x, y) for x, y in zip(xs, ys, strict=True) if x is not None and y is not None]
    if len(both) < 3:
        return None
    one, other = _ranks([x for x, _ in both]), _ranks([y for _, y in both])
    middle = (len(both) - 1) / 2
    one, other = [rank - middle for rank in one], [rank - middle for rank in other]
    varied, both_varied = dot(one, one), dot(other, other)
    if not varied or not both_varied:
        return None
    return len(both), max(-1.0, min(1.0, dot(one, other) / sqrt(varied * both_varied)))


def _ranks(values: Sequence[float]) -> list[float]:
    order = sorted(range(len(values)), key=values.__getitem__)
    ranks = [0.0] * len(values)
    start = 0
    for end in range(1, len(order) + 1):
        if end == len(order) or values[order[end]] != values[order[start]]:
            middle = (start + end - 1) / 2
            for place in order[start:end]:
                ranks[place] = middle
            start = end
    return ranks


class Groups:
    """A number by a category: rows, groups, the share of variance between groups, and the outermost means."""

    def __init__(self, labels: Sequence[str | None], values: Sequence[float | None]) -> None:
        """η² = between-groups sum of squares / total sum of squares (Fisher, "Statistical Methods for
        Research Workers", 1925). Groups of fewer than 2 rows are left out: each would explain itself.
        """
        found: dict[str, list[float]] = {}
        for label, value in zip(labels, values, strict=True):
            if label is not None and value is not None:
                found.setdefault(label, []).append(value)
        groups = {label: kept for label, kept in found.items() if len(kept) > 1}
        self.rows = sum(map(len, groups.values()))
        self.means = {label: sum(kept) / len(kept) for label, kept in groups.items()}
        self.eta_squared: float | None = None
        if len(groups) < 2 or self.rows < len(groups) + 2:
            return
        mean = sum(map(sum, groups.values())) / self.rows
        total = sum((value - mean) ** 2 for kept in groups.values() for value in kept)
        between = sum(len(kept) * (self.means[label] - mean) ** 2 for label, kept in groups.items())
        if total > 0 and isfinite(total):
            self.eta_squared = min(1.0, between / total)

    @property
    def chance(self) -> float:
        """The η² that unrelated data would show on average: (k - 1) / (n - 1)."""
        return (len(self.means) - 1) / (self.rows - 1) if self.rows > 1 else 1.0
