"""How often somebody may try to sign in: failures are counted for each account and address, and for each
of the two alone, in memory. A wrong password costs its guesser ever longer pauses; somebody else's guesses
from elsewhere lock nobody out soon."""

from __future__ import annotations

from collections import OrderedDict
from hashlib import sha256

from a2a_cloud.model.limits import subscriber
from a2a_cloud.model.ports import Clock

#: Failures that cost nothing, for an account from one address, for an address, for an account.
PAIR, ADDRESS, ACCOUNT = 5, 30, 100
#: Seconds after which a failure is forgotten, and the longest pause.
WINDOW, LONGEST = 900.0, 600.0
KEPT = 50_000


class Throttle:
    """See the module."""

    def __init__(self, clock: Clock) -> None:
        self._clock = clock
        self._counts: OrderedDict[bytes, tuple[int, float]] = OrderedDict()

    def wait(self, account: str, address: str) -> float:
        """Seconds until another attempt is looked at; 0 for now."""
        now = self._clock.monotonic()
        longest = 0.0
        for key, free in self._keys(account, address):
            count, last = self._counts.get(key, (0, 0.0))
            if count >= free and now - last < WINDOW:
                pause = min(LONGEST, 2.0 ** min(count - free, 10))
                longest = max(longest, last + pause - now)
        return max(0.0, longest)

    def failed(self, account: str, address: str) -> None:
        """Count a failure."""
        now = self._clock.monotonic()
        for key, _ in self._keys(account, address):
            count, last = self._counts.pop(key, (0, now))
            self._counts[key] = (count + 1 if now - last < WINDOW else 1, now)
            if len(self._counts) > KEPT:
                self._counts.popitem(last=False)

    def passed(self, account: str, address: str) -> None:
        """Take the last failure back, and forget those of this account from this address."""
        pair, *others = self._keys(account, address)
        self._counts.pop(pair[0], None)
        for key, _ in others:
            count, last = self._counts.get(key, (0, 0.0))
            if count > 1:
                self._counts[key] = (count - 1, last)
            else:
                self._counts.pop(key, None)

    @staticmethod
    def _keys(account: str, address: str) -> list[tuple[bytes, int]]:
        who = sha256(account.encode()).digest()[:12]
        where = sha256(subscriber(address).encode()).digest()[:12]
        return [(who + where, PAIR), (b"@" + where, ADDRESS), (b"#" + who, ACCOUNT)]
