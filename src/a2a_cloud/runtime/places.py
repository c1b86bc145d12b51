"""Places for work that waits for strangers: a bounded number by any name (an owner, a host), so that who is
slow holds up nobody of another name."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncGenerator, Hashable
from contextlib import asynccontextmanager


class Places:
    """See the module. What nobody waits for or holds is forgotten."""

    __slots__ = ("_rooms",)

    def __init__(self) -> None:
        self._rooms: dict[Hashable, tuple[asyncio.Semaphore, int]] = {}

    def __len__(self) -> int:
        """Names that somebody waits for or holds a place of."""
        return len(self._rooms)

    @asynccontextmanager
    async def one_of(self, name: Hashable, most: int) -> AsyncGenerator[None]:
        """One of the `most` places that `name` has, for as long as the block runs."""
        room, users = self._rooms.get(name) or (asyncio.Semaphore(most), 0)
        self._rooms[name] = (room, users + 1)
        try:
            async with room:
                yield
        finally:
            users = self._rooms[name][1] - 1
            if users:
                self._rooms[name] = (room, users)
            else:
                del self._rooms[name]
