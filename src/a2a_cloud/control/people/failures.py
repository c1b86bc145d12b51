"""Sign-ins that failed, as events of the audit log: so many a minute and no more, so that who tries on and on
fills no disk; the next event says how many were left out."""

from __future__ import annotations

from collections.abc import Callable

from a2a_cloud.control.people.ports import Journal
from a2a_cloud.control.people.rows import Account
from a2a_cloud.control.people.sessions import Where
from a2a_cloud.model.ports import Clock
from a2a_cloud.storage.sql.audit import change

#: Events of one window, and its length in seconds.
MOST, WINDOW = 30, 60.0


class Failures:
    """See the module."""

    def __init__(self, journal: Journal, clock: Clock, home: Callable[[str], int]) -> None:
        """`home` is the organisation of an account."""
        self._journal = journal
        self._clock = clock
        self._home = home
        self._began = float("-inf")
        self._written = self._left_out = 0

    async def failed(self, method: str, where: Where, account: Account | None) -> None:
        """One failed. Without an account it is the platform's: what was typed as one is not kept, it may be
        a password."""
        now = self._clock.monotonic()
        if now - self._began >= WINDOW:
            self._began, self._written = now, 0
        if self._written >= MOST:
            self._left_out += 1
            return
        self._written += 1
        left_out, self._left_out = self._left_out, 0
        org, target = (0, "") if account is None else (self._home(account.id), account.email)
        told = {"method": method, "address": where.address, "left_out": left_out or None}
        await self._journal.write(
            [change(org, self._clock.now(), "anonymous", "login.failed", target, **told)]
        )
