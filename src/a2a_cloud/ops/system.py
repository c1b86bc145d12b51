"""The real clock, randomness and ids (the ports of model/ports.py), chosen in `app.py`.

The only module on the platform's side that reads the machine's clocks and random source, so that a
simulation can turn both (house.md, "Time, ids, randomness and commit are ports").
"""

from __future__ import annotations

import os
import threading
import time
import weakref

from a2a_cloud.model.ports import Clock, Entropy

#: Bytes fetched from the kernel at once, and the largest request that is served from them. What is
#: larger (keys) goes to the kernel directly, so that no key material waits in the pool.
_POOL = 4096
_POOLED = 31
#: Ids that one drawn block is good for.
_IDS = 256


class SystemClock:
    """The machine's clocks. Satisfies `Clock`."""

    # Bound once: an attribute look-up and a call less on every reading.
    now = staticmethod(time.time)
    monotonic = staticmethod(time.monotonic)


class SteadyClock:
    """Wall time as it was at the start, and since then as time passes: a clock that is turned ends no
    permission and prolongs none."""

    def __init__(self, clock: Clock) -> None:
        self._clock = clock
        self._offset = clock.now() - clock.monotonic()

    def now(self) -> float:
        """See the port."""
        return self._offset + self._clock.monotonic()

    def monotonic(self) -> float:
        """See the port."""
        return self._clock.monotonic()


class SystemEntropy:
    """The kernel's random source behind a small pool. Satisfies `Entropy`.

    Safe in threads (two never get the same bytes) and over `fork` (the child starts with an empty
    pool, so that parent and child never share bytes).
    """

    def __init__(self) -> None:
        self._empty()
        me = weakref.ref(self)

        def in_child() -> None:
            entropy = me()
            if entropy is not None:
                entropy._empty()

        os.register_at_fork(after_in_child=in_child)

    def _empty(self) -> None:
        # The lock is made anew too: another thread may have held it when the process forked.
        self._lock = threading.Lock()
        self._pool = b""
        self._at = 0

    def bytes(self, count: int) -> bytes:
        """`count` unpredictable bytes. Raises ValueError when `count` is negative."""
        if count > _POOLED:
            return os.urandom(count)
        if count < 0:
            raise ValueError("a number of bytes is never negative")
        with self._lock:
            at = self._at
            end = at + count
            if end > len(self._pool):
                self._pool = os.urandom(_POOL)
                at, end = 0, count
            self._at = end
            return self._pool[at:end]


class TimeIds:
    """Prefixed ids that sort by time: 48 bits of Unix milliseconds, 80 bits of randomness.

    For the loop's thread alone: ids are cut from one drawn block without a lock.
    """

    def __init__(self, clock: Clock, entropy: Entropy) -> None:
        self._now = clock.now
        self._bytes = entropy.bytes
        self._block = ""
        self._at = 0
        self._milli = -1
        self._stamp = ""

    def new(self, prefix: str) -> str:
        """`{prefix}_` + 12 hex digits of Unix milliseconds + 20 hex digits of randomness."""
        milli = int(self._now() * 1000)
        if milli != self._milli:
            self._milli = milli
            self._stamp = f"{milli:012x}"
        at = self._at
        if at >= len(self._block):
            self._block = self._bytes(10 * _IDS).hex()
            at = 0
        self._at = at + 20
        return f"{prefix}_{self._stamp}{self._block[at : at + 20]}"
