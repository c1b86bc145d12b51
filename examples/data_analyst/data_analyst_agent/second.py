"""The second pass: with kinds, ranges and fences known, what needs them: histograms, outliers, relations."""

from __future__ import annotations

import random
from collections.abc import Sequence
from dataclasses import dataclass
from heapq import nlargest

from data_analyst_agent.bins import Histogram, histogram
from data_analyst_agent.cells import Numbers, day_of
from data_analyst_agent.columns import ColumnPass, DateOrder
from data_analyst_agent.relations import LEAST, MOST, WORK, Pearson

SAMPLE_ROWS = 10_000
_SAMPLE_CELLS = 200_000
_EXAMPLES = 5
_GROUPS = 50


@dataclass(slots=True)
class Fences:
    """Tukey's fences ("Exploratory Data Analysis", 1977): 1.5 IQR beyond the quartiles, far ones 3 IQR.

    Where half of the values are the same (IQR 0), they stand 4 standard deviations from the mean and 8 for
    far.
    """

    rule: str
    low: float
    high: float
    far_low: float
    far_high: float
    unit: float
    base_low: float
    base_high: float


def fences_of(column: ColumnPass) -> Fences | None:
    """A column's fences; None where it doesn't vary."""
    first, third = column.quantiles.at((0.25, 0.75))
    spread = third - first
    if spread > 0:
        near, far = 1.5 * spread, 3 * spread
        return Fences("iqr", first - near, third + near, first - far, third + far, spread, first, third)
    deviation, mean = column.moments.deviation, column.moments.mean
    if not deviation:
        return None
    near, far = 4 * deviation, 8 * deviation
    return Fences("deviation", mean - near, mean + near, mean - far, mean + far, deviation, mean, mean)


class NumberPass:
    """A numeric column on the second pass."""

    def __init__(self, first: ColumnPass, missing: frozenset[str]) -> None:
        assert first.numbers is not None
        self.first = first
        self._numbers: Numbers = first.numbers
        self._missing = missing
        self.fences = fences_of(first) if not first.identifier else None
        moments, (quarter, three) = first.moments, first.quantiles.at((0.25, 0.75))
        self.histogram: Histogram | None = histogram(
            moments.count, moments.low, moments.high, (quarter, three), whole=first.kind == "integer"
        )
        self.low = self.high = self.far = 0
        self.extremes: list[tuple[float, int, float]] = []

    def values(self, column: Sequence[str]) -> tuple[list[float | None], bool]:
        """(the values, None where there is none; whether all are there)."""
        cells = list(map(str.strip, column))
        found = self._numbers.all_of(cells)
        if found is not None:
            return found, True  # type: ignore[return-value]
        one, missing = self._numbers.one, self._missing
        found = self._numbers.all_of([cell for cell in cells if cell not in missing])
        if found is None:
            return [None if cell in missing else one(cell) for cell in cells], False
        following = iter(found)
        return [None if cell in missing else next(following) for cell in cells], False

    def add(self, first_row: int, values: Sequence[float | None], complete: bool) -> None:
        """Take a batch."""
        present: list[float] = values if complete else [value for value in values if value is not None]  # type: ignore[assignment]
        if not present:
            return
        if self.histogram is not None:
            self.histogram.add(present)
        fences = self.fences
        if fences is None or (min(present) >= fences.low and max(present) <= fences.high):
            return
        low, high = fences.low, fences.high
        beyond = [
            (max(fences.base_low - value, value - fences.base_high), row, value)
            for row, value in enumerate(values, first_row)
            if value is not None and not low <= value <= high
        ]
        below = sum(1 for _, _, value in beyond if value < low)
        self.low, self.high = self.low + below, self.high + len(beyond) - below
        self.far += sum(1 for _, _, value in beyond if not fences.far_low <= value <= fences.far_high)
        # Of equal distances the first row counts.
        self.extremes = nlargest(_EXAMPLES, [*self.extremes, *beyond], key=lambda one: (one[0], -one[1]))


class DayPass:
    """A column of dates on the second pass: how many fall into each stretch of time."""

    def __init__(self, first: ColumnPass, order: DateOrder) -> None:
        self.first = first
        day_first, _ = first.day_first(order)
        self._place = 0 if day_first else 1
        days = first.orders[self._place]
        self.histogram = histogram(days.count, days.first, days.last, (0, 0), whole=True)
        self._known: dict[str, int | None] = {}

    def add(self, column: Sequence[str]) -> None:
        """Take a batch."""
        if self.histogram is None:
            return
        known = self._known
        if len(known) > 20_000:
            known.clear()
        for cell in set(column):
            if cell not in known:
                known[cell] = day_of(cell.strip())[self._place]
        days = [day for cell in column if (day := known[cell]) is not None]
        self.histogram.add(days)


class SecondPass:
    """All columns on the second pass."""

    def __init__(
        self, columns: Sequence[ColumnPass], rows: int, missing: frozenset[str], order: DateOrder
    ) -> None:
        self.numbers = {
            at: NumberPass(column, missing)
            for at, column in enumerate(columns)
            if column.kind in ("integer", "number")
        }
        self.days = {at: DayPass(column, order) for at, column in enumerate(columns) if column.kind == "date"}
        varied = [
            at for at, one in self.numbers.items() if not one.first.identifier and one.first.moments.deviation
        ]
        self.related = varied[: _affordable(rows)]
        self.left_out = [columns[at].name for at in varied[len(self.related) :]]
        self.labels = [
            at
            for at, column in enumerate(columns)
            if column.kind in ("category", "boolean") and 2 <= column.distinct.count <= _GROUPS
        ][:MOST]
        self.pearson = Pearson(len(self.related))
        self.sample: dict[int, list[float | None]] = {at: [] for at in self.related}
        self.sample_labels: dict[int, list[str | None]] = {at: [] for at in self.labels}
        self._missing = missing
        most = min(SAMPLE_ROWS, _SAMPLE_CELLS // max(1, len(self.related) + len(self.labels)))
        self.sampled = rows > most
        # The same rows every time: an analysis of the same file is the same.
        chooser = random.Random(20)  # noqa: S311
        self._chosen = sorted(chooser.sample(range(1, rows + 1), most)) if self.sampled else []
        self.drawn = most if self.sampled else rows
        self._next = 0

    def add(self, first_row: int, columns: Sequence[Sequence[str]]) -> None:
        """Take a batch."""
        size = len(columns[0])
        chosen = self._take(first_row, size)
        standard: list[list[float | None]] = []
        complete: list[bool] = []
        for at, number in self.numbers.items():
            values, whole = number.values(columns[at])
            number.add(first_row, values, whole)
            if at in self.sample:
                mean, scale = number.first.moments.mean, 1 / (number.first.moments.deviation or 1)
                if whole:
                    standard.append([(value - mean) * scale for value in values])  # type: ignore[operator]
                else:
                    standard.append([None if value is None else (value - mean) * scale for value in values])
                complete.append(whole)
                self.sample[at].extend(values if chosen is None else [values[row] for row in chosen])
        for at, days in self.days.items():
            days.add(columns[at])
        for at, labels in self.sample_labels.items():
            cells = columns[at] if chosen is None else [columns[at][row] for row in chosen]
            labels.extend(None if cell in self._missing else cell for cell in map(str.strip, cells))
        if len(standard) > 1:
            self.pearson.add(standard, complete)

    def _take(self, first_row: int, size: int) -> list[int] | None:
        """Which rows of the batch belong to the sample; None: all."""
        if not self.sampled:
            return None
        start = self._next
        while self._next < len(self._chosen) and self._chosen[self._next] < first_row + size:
            self._next += 1
        return [row - first_row for row in self._chosen[start : self._next]]


def _affordable(rows: int) -> int:
    most = LEAST
    while most < MOST and (most + 1) * most / 2 * rows <= WORK:
        most += 1
    return most
