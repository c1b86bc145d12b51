"""Room for what may take long: so many at a time, and of one organisation fewer, so that none keeps all
others waiting."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncGenerator
from contextlib import asynccontextmanager


class Rooms:
    """`each` of one organisation at a time, `most` in all; the rest waits, each organisation in a queue of
    its own before that of all."""

    def __init__(self, each: int, most: int) -> None:
        self._each = each
        self._all = asyncio.Semaphore(most)
        self._own: dict[int, tuple[asyncio.Semaphore, int]] = {}

    def asking(self, org: int) -> int:
        """How many of an organisation have room or wait for it."""
        return self._own[org][1] if org in self._own else 0

    @asynccontextmanager
    async def of(self, org: int) -> AsyncGenerator[None]:
        """Room for one of an organisation, once there is some."""
        own, count = self._own.get(org) or (asyncio.Semaphore(self._each), 0)
        self._own[org] = (own, count + 1)
        try:
            async with own, self._all:
                yield
        finally:
            count = self._own[org][1] - 1
            if count:
                self._own[org] = (own, count)
            else:
                del self._own[org]
