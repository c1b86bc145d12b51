"""Time, ids and randomness as ports, so that simulations can turn them.

The real ones are in `ops/system.py` and are chosen in `app.py`; a lint rule forbids the standard
library's clocks and random sources elsewhere on the platform's side.
"""

from __future__ import annotations

from typing import Protocol


class Clock(Protocol):
    """Wall time for records, monotonic time for durations."""

    def now(self) -> float:
        """Seconds since the epoch, UTC."""
        ...

    def monotonic(self) -> float:
        """Seconds from an arbitrary start that never go back."""
        ...


class Entropy(Protocol):
    """Unpredictable bytes."""

    def bytes(self, count: int) -> bytes:
        """`count` bytes fit for keys, salts and ids."""
        ...


class Ids(Protocol):
    """Prefixed ids that sort by time and can't be guessed."""

    def new(self, prefix: str) -> str:
        """`{prefix}_` + 12 hex digits of Unix milliseconds + 20 hex digits of randomness."""
        ...
