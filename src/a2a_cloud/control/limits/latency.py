"""How long a skill's runs take: the last ones of each, in memory, so that a run costs two stores."""

from __future__ import annotations

from array import array
from typing import NamedTuple

#: Runs of a skill that are looked at; with fewer than LEAST there is nothing to say yet.
KEPT = 256
LEAST = 20


class Typical(NamedTuple):
    """Seconds in which half and 95 of 100 of the last `runs` runs were done, to two digits."""

    p50: float
    p95: float
    runs: int


class Latency:
    """The last runs of one skill."""

    __slots__ = ("_count", "_seconds")

    def __init__(self) -> None:
        self._seconds = array("f", bytes(4 * KEPT))
        self._count = 0

    def add(self, seconds: float) -> None:
        """A run took that long."""
        count = self._count
        self._seconds[count % KEPT] = seconds
        self._count = count + 1

    @property
    def typical(self) -> Typical | None:
        """None as long as there were too few."""
        count = min(self._count, KEPT)
        if count < LEAST:
            return None
        found = sorted(self._seconds[:count])
        return Typical(_short(found[(count - 1) // 2]), _short(found[-(-count * 95 // 100) - 1]), count)


def _short(seconds: float) -> float:
    return float(f"{seconds:.2g}")
