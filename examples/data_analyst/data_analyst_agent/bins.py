"""Histograms: bins chosen once the range is known, then filled exactly."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from math import ceil, isfinite


@dataclass(slots=True)
class Histogram:
    """`counts[i]` values in [low + i·width, low + (i+1)·width), the last bin closed; `below` and `above` it
    the values that were left out of the picture so that it shows something.
    """

    low: float
    width: float
    counts: list[int]
    below: int = 0
    above: int = 0

    def add(self, values: Sequence[float]) -> None:
        """Take a batch."""
        low, scale = self.low, 1 / self.width
        last = len(self.counts) - 1
        # One is added before the cut, because int() cuts towards 0: what lies below falls on 0 or less.
        for found, count in Counter([int((value - low) * scale + 1) for value in values]).items():
            place = found - 1
            if place < 0:
                self.below += count
            elif place <= last:
                self.counts[place] += count
            else:
                edge = 0
                if place == last + 1:  # The upper edge itself belongs to the last bin.
                    high = self.high
                    edge = sum(
                        1 for value in values if value <= high and int((value - low) * scale + 1) == found
                    )
                    self.counts[last] += edge
                self.above += count - edge

    @property
    def high(self) -> float:
        """The upper edge of the last bin."""
        return self.low + self.width * len(self.counts)


def histogram(
    count: int, low: float, high: float, quartiles: tuple[float, float], *, whole: bool
) -> Histogram | None:
    """Bins by the rule of Freedman and Diaconis ("On the Histogram as a Density Estimator", 1981): 2 IQR /
    n^⅓ wide, 5 to 30 of them; whole numbers get bins of whole width. Far outliers (beyond 4 IQR) are not
    drawn. None where there is nothing to draw.
    """
    first, third = quartiles
    spread = third - first
    if count < 1 or not isfinite(high - low) or high <= low:
        return None
    shown_low, shown_high = low, high
    if spread > 0:
        shown_low, shown_high = max(low, first - 4 * spread), min(high, third + 4 * spread)
    extent = shown_high - shown_low
    wished = extent / (2 * spread * count ** (-1 / 3)) if spread > 0 else 20
    bins = max(5, min(30, ceil(wished)))
    width = extent / bins
    if whole and extent < 1e9:
        width = max(1.0, ceil(extent / bins))
        shown_low = float(int(shown_low)) - (0.5 if width == 1 else 0)
        bins = int((shown_high - shown_low) // width) + 1
    if not width or not isfinite(1 / width):
        return None
    return Histogram(shown_low, width, [0] * bins)
