"""Limits of callers, as the platform has them: on, unless its settings say otherwise."""

from __future__ import annotations

import sqlite3
from typing import NamedTuple

from a2a_cloud.control.limits.limits import Journal, Limits
from a2a_cloud.control.limits.rows import LimitRows
from a2a_cloud.control.limits.shown import Shown
from a2a_cloud.model.ports import Clock


class Limiting(NamedTuple):
    """What counts, and what cards say of it; None twice where limits are off."""

    limits: Limits | None
    shown: Shown | None

    def close(self) -> None:
        """What was counted goes to disk with the journal's next group."""
        if self.limits is not None:
            self.limits.close()


def limiting(
    rows: sqlite3.Connection, journal: Journal, clock: Clock, default_org: int, secret: bytes, *, on: bool
) -> Limiting:
    """Limits by a clock that is not turned. `secret` is for the addresses of strangers on disk."""
    if not on:
        return Limiting(None, None)
    limits = Limits(LimitRows(rows), journal, clock, default_org=default_org, secret=secret)
    return Limiting(limits, Shown(limits, clock))
