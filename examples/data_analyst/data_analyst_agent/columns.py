"""The first pass over a column: what kind of values it has, and what can be counted without knowing that."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from operator import lt, sub
from typing import Literal

from data_analyst_agent.cells import Numbers, are_booleans, day_of
from data_analyst_agent.distinct import Distinct
from data_analyst_agent.numbers import Moments, Quantiles

Kind = Literal["integer", "number", "boolean", "date", "category", "text", "empty"]
DateOrder = Literal["auto", "day-first", "month-first"]

#: The share of a column's values that have to be of a kind.
ENOUGH = 0.95
#: After so many values of which most are none, a column is no longer tried as numbers or dates.
_PATIENCE = 2000
_EXAMPLES = 5


class Budget:
    """What each of `columns` columns may keep, so that all of them stay within about 100 MB."""

    def __init__(self, columns: int) -> None:
        self.sketch = self.hashes = 4096 if columns <= 60 else 2048 if columns <= 120 else 1024
        self.distinct = min(10_000, max(500, 200_000 // columns))
        self.characters = min(1 << 20, (24 << 20) // columns)


class Days:
    """Dates under one order: how many could be read, the first and the last day."""

    __slots__ = ("count", "first", "last")

    def __init__(self) -> None:
        self.count, self.first, self.last = 0, 1 << 30, 0

    def add(self, day: int, times: int) -> None:
        self.count += times
        self.first, self.last = min(self.first, day), max(self.last, day)


class ColumnPass:
    """What one pass learns of a column."""

    def __init__(self, name: str, budget: Budget, missing: frozenset[str], comma_likely: bool) -> None:
        self.name = name
        self.rows = self.present = 0
        self.missing: Counter[str] = Counter()
        self.distinct = Distinct(budget.distinct, budget.characters, budget.hashes)
        self.moments = Moments()
        self.quantiles = Quantiles(budget.sketch)
        self.numbers: Numbers | None = None
        self.whole = True
        self.rising = True
        self.steps = 0
        self.orders = (Days(), Days())
        self.strangers: list[tuple[int, str]] = []
        self.longest = self.characters = 0
        self._shortest = 1 << 30
        self._last = float("-inf")
        self._missing = missing
        self._comma_likely = comma_likely
        self._try_numbers = self._try_dates = True

    def add(self, first_row: int, column: Sequence[str]) -> None:
        """Take a batch."""
        cells: Sequence[str] = list(map(str.strip, column))
        self.rows += len(cells)
        rows: Sequence[int] | None = None
        numbers = self.numbers.all_of(cells) if self.numbers and self._try_numbers else None
        if numbers is None:
            gone = [cell for cell in cells if cell in self._missing]
            if gone:
                self.missing.update(gone)
                rows = [row for row, cell in enumerate(cells, first_row) if cell not in self._missing]
                cells = [cell for cell in cells if cell not in self._missing]
            if not cells:
                return
        self.present += len(cells)
        self.distinct.add(cells)
        if numbers is not None or self._try_numbers:
            self._number(cells, numbers, rows or range(first_row, first_row + len(cells)))
        if not self._try_numbers or not self.moments.count:
            if self._try_dates:
                self._date(cells)
            lengths = list(map(len, cells))
            self.characters += sum(lengths)
            self.longest = max(self.longest, max(lengths))
            self._shortest = min(self._shortest, min(lengths))

    def _number(self, cells: Sequence[str], numbers: list[float] | None, rows: Sequence[int]) -> None:
        if self.numbers is None:
            self.numbers = Numbers(cells, comma_likely=self._comma_likely)
        values = numbers or self.numbers.all_of(cells)
        if values is None:
            tried = [self.numbers.one(cell) for cell in cells]
            values = [value for value in tried if value is not None]
            if len(self.strangers) < _EXAMPLES:
                odd = [
                    (row, cell) for row, cell, value in zip(rows, cells, tried, strict=True) if value is None
                ]
                self.strangers += odd[: _EXAMPLES - len(self.strangers)]
        if values:
            self.moments.add(values)
            self.quantiles.add(values)
            if self.whole:
                self.whole = all(map(float.is_integer, values)) and "." not in "".join(cells[:256])
            if self.whole:
                after = values[1:]
                self.steps += sum(map((1.0).__eq__, map(sub, after, values)))
                self.rising = self.rising and self._last < values[0] and all(map(lt, values, after))
                self._last = values[-1]
        if self.present > _PATIENCE and self.moments.count < self.present / 2:
            self._try_numbers = False

    def _date(self, cells: Sequence[str]) -> None:
        for cell, times in Counter(cells).items():
            days = day_of(cell)
            for order, day in zip(self.orders, days, strict=True):
                if day is not None:
                    order.add(day, times)
        if self.present > _PATIENCE and max(order.count for order in self.orders) < self.present / 2:
            self._try_dates = False

    # --- what it is -----------------------------------------------------------------------------------

    @property
    def kind(self) -> Kind:
        """The kind that at least 95 % of the values have; told when all rows have been seen."""
        if not self.present:
            return "empty"
        known = self.distinct.counts
        if self.moments.count >= ENOUGH * self.present:
            return "integer" if self.whole else "number"
        if max(order.count for order in self.orders) >= ENOUGH * self.present:
            return "date"
        if known is not None and are_booleans(list(known)):
            return "boolean"
        if known is not None and self._repeats(len(known)):
            return "category"
        return "text"

    def _repeats(self, different: int) -> bool:
        if self.characters / self.present > 60:
            return False
        return different <= max(2, min(1000, self.present * (0.5 if different <= 50 else 0.05)))

    @property
    def identifier(self) -> bool:
        """A number or name of the row and no measurement: whole numbers that only rise or mostly count up by
        one, names that all differ."""
        if self.present < 20 or self.missing or self.kind not in ("integer", "text"):
            return False
        if self.kind == "integer":
            # Hours and months count up by one too, but begin anew so often that few of them differ.
            counts = self.steps > 0.8 * self.present and self.distinct.count > 0.25 * self.present
            return self.rising or counts
        return self.distinct.exact and self.distinct.count == self.present and self.longest <= 64

    @property
    def strange(self) -> int:
        """How many values are not of the column's kind."""
        if self.kind in ("integer", "number"):
            return self.present - self.moments.count
        if self.kind == "date":
            return self.present - max(order.count for order in self.orders)
        return 0

    def day_first(self, wanted: DateOrder) -> tuple[bool, bool]:
        """(whether the day comes first, whether that is a guess) in dates such as 3/4/2024."""
        if wanted != "auto":
            return wanted == "day-first", False
        day, month = self.orders
        if day.count != month.count:
            return day.count > month.count, False
        return True, (day.first, day.last) != (month.first, month.last)
