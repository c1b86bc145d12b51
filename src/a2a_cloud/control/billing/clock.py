"""Billing's clock: the platform's own, which a test may put forward, so that a month's cycle runs in a
second. Receipts, tokens and grants keep the true time. How far it is ahead is stored: a ledger does not go
back over a restart."""

from __future__ import annotations

import asyncio
import math
import sqlite3
from collections.abc import Callable, Sequence
from typing import Protocol

from a2a_cloud.model.ports import Clock
from a2a_cloud.model.problem import Forbidden, InvalidParams
from a2a_cloud.model.scope import SYSTEM, Scope
from a2a_cloud.storage.journal.port import IN_ORDER, Op, Statement
from a2a_cloud.storage.sql.audit import change

#: Seconds by which it goes forward at once, and in all: ten years.
MOST = 10 * 366 * 86_400.0

PUT_AHEAD = Statement(
    "put_billing_clock",
    "INSERT INTO billing_clock(org, ahead) VALUES(?,?) ON CONFLICT(org) DO UPDATE SET ahead=excluded.ahead",
    IN_ORDER,
)


class Journal(Protocol):
    """What stores it."""

    async def write(self, ops: Sequence[Op]) -> None:
        """Commit."""
        ...


class ClockRows:
    """The read."""

    def __init__(self, connection: sqlite3.Connection) -> None:
        self._connection = connection

    def ahead(self, scope: Scope) -> float:
        """Seconds that billing is ahead."""
        assert scope is SYSTEM
        row = self._connection.execute("SELECT ahead FROM billing_clock WHERE org=0").fetchone()
        return float(row[0]) if row is not None else 0.0


class BillingClock:
    """Satisfies model.ports.Clock. `movable`: as the setting A2A_TEST_CLOCK says."""

    def __init__(self, clock: Clock, rows: ClockRows, journal: Journal, *, movable: bool) -> None:
        self._clock = clock
        self._journal = journal
        self.movable = movable
        self.ahead = rows.ahead(SYSTEM)
        self._moving = asyncio.Lock()
        #: Told when it has gone forward.
        self.on_moved: list[Callable[[], None]] = []

    def now(self) -> float:
        """Wall seconds, as billing counts them."""
        return self._clock.now() + self.ahead

    def monotonic(self) -> float:
        """See the port."""
        return self._clock.monotonic()

    async def advance(self, seconds: float, org: int, by: str) -> float:
        """Put it forward; billing's time then. Raises Forbidden unless this is a test platform,
        InvalidParams."""
        if not self.movable:
            raise Forbidden(
                "Billing's clock is the true one here.",
                remedy="For tests, start a platform of its own with A2A_TEST_CLOCK=1.",
            )
        async with self._moving:
            if not (math.isfinite(seconds) and 0 < seconds <= MOST and self.ahead + seconds <= MOST):
                raise InvalidParams(
                    "Billing's clock goes forward alone, and ten years at most.",
                    remedy="Send seconds above 0.",
                    info={"field": "seconds"},
                )
            ahead = self.ahead + seconds
            at = self._clock.now()
            event = change(org, at, by, "billing.clock_advanced", "billing", seconds=seconds, ahead=ahead)
            await self._journal.write([(PUT_AHEAD, (0, ahead)), event])
            self.ahead = ahead
        for told in self.on_moved:
            told()
        return self.now()
