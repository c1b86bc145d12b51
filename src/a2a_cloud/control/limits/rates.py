"""Rates by the generic cell rate algorithm (ITU-T I.371): one number per limit says when it would be at rest
again, and the clock does the rest. No window begins or ends, so there is no edge at which twice as much goes.

Cells are in memory, and there is room for so many. One at rest is the same as one that was never there: only
such cells make room for others, so nobody gets rid of what they used by filling the table. Where all are at
work, new ones share one cell of their kind; strangers have half of the room, so that they never cost those
who said who they are theirs.
"""

from __future__ import annotations

from typing import Any

from a2a_cloud.model.limits import Rate

#: Cells that are kept; one is some 150 bytes.
MOST_CELLS = 50_000
#: Of a full table, seconds until it is looked through again.
_AGAIN = 1.0


class Cell:
    """How far one limit is used: `tat` is the moment (monotonic) at which it is at rest again."""

    __slots__ = ("half", "interval", "name", "rate", "slack", "tat")

    def __init__(self, name: str, rate: Rate) -> None:
        self.name = name
        self.tat = 0.0
        self._set(rate)

    def change(self, rate: Rate, now: float) -> None:
        """Another rate from now on; the same part of it is used."""
        self.tat = now + self.reset(now) / self.rate.window * rate.window
        self._set(rate)

    def _set(self, rate: Rate) -> None:
        self.rate = rate
        self.interval = rate.window / rate.quota
        # A hundredth early: sums of fractions must not cost the last one of a burst.
        self.slack = rate.window - self.interval * 0.99
        self.half = rate.window / 2

    def take(self, now: float) -> float:
        """Use one. 0.0, or the seconds until there is one; then nothing was used."""
        tat = self.tat
        if tat <= now:
            self.tat = now + self.interval
            return 0.0
        wait = tat - now - self.slack
        if wait > 0:
            return wait
        self.tat = tat + self.interval
        return 0.0

    def left(self, now: float) -> int:
        """How many could come at once."""
        used = max(0.0, self.tat - now)
        return max(0, int((self.rate.window - used) / self.interval + 0.01))

    def reset(self, now: float) -> float:
        """Seconds until all of it is there again."""
        return max(0.0, self.tat - now)


class Cells:
    """All cells, by what they limit."""

    __slots__ = ("_cells", "_full_until", "_most", "_shared")

    def __init__(self, most: int = MOST_CELLS) -> None:
        self._cells: dict[Any, Cell] = {}
        self._shared: dict[str, Cell] = {}
        self._most = most
        self._full_until = 0.0

    def __len__(self) -> int:
        return len(self._cells)

    def of(self, name: str, whose: Any, rate: Rate, now: float, *, known: bool = True) -> Cell:
        """The cell of a limit for somebody, with that rate. `known`: it is no stranger's."""
        key = (name, whose)
        cell = self._cells.get(key)
        if cell is None:
            if len(self._cells) >= (self._most if known else self._most // 2):
                cell = self._shared.get(name)
                if cell is None:
                    cell = self._shared[name] = Cell(name, rate)
            else:
                cell = self._cells[key] = Cell(name, rate)
        if cell.rate != rate:
            cell.change(rate, now)
        return cell

    def rests(self, now: float) -> bool:
        """Whether it is time to look for cells at rest: there is little room, and was no look just now."""
        return len(self._cells) >= self._most // 2 and now >= self._full_until

    def sweep(self, now: float) -> None:
        """Forget the cells at rest. Nobody may hold one meanwhile: there would be two of it."""
        self._cells = {key: cell for key, cell in self._cells.items() if cell.tat > now}
        self._full_until = now + _AGAIN
