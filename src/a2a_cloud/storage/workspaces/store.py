"""Nodes in the object store, with those used last in memory. A node never changes, so nothing here is
ever out of date."""

from __future__ import annotations

import asyncio
from collections import OrderedDict
from collections.abc import Coroutine, Mapping, Sequence
from typing import Any, Protocol

from a2a_cloud.model.task import ObjectRef
from a2a_cloud.storage.objects.port import ObjectStore
from a2a_cloud.storage.workspaces.nodes import EMPTY, EMPTY_NODE, Node, decode

#: Encoded bytes of nodes in memory; decoded they take some four times as much.
CACHE_BYTES = 4 << 20
#: Objects written at once.
WRITES = 16


class Loader(Protocol):
    """Who has nodes."""

    def at_hand(self, address: str) -> Node | None:
        """The node, if it is in memory."""
        ...

    async def load(self, address: str) -> Node:
        """The node. Raises NotFound when it is gone, Internal when it is damaged."""
        ...


class Nodes:
    """See the module. One for all workspaces over one object store."""

    def __init__(self, objects: ObjectStore, cache_bytes: int = CACHE_BYTES) -> None:
        self.objects = objects
        self._most = cache_bytes
        self._bytes = 0
        self._cache: OrderedDict[str, tuple[Node, int]] = OrderedDict()

    def at_hand(self, address: str) -> Node | None:
        """See `Loader`."""
        found = self._cache.get(address)
        if found is None:
            return EMPTY_NODE if address == EMPTY else None
        self._cache.move_to_end(address)
        return found[0]

    async def load(self, address: str) -> Node:
        """See `Loader`."""
        node = self.at_hand(address)
        if node is None:
            body = await self.objects.read(ObjectRef(address, 0))
            node = decode(address, body)
            self._remember(address, node, len(body))
        return node

    async def keep(self, fresh: Mapping[str, tuple[Node, bytes]]) -> None:
        """Store nodes; all are on disk afterwards. Raises StorageFull, Unavailable."""
        new = {
            address: made
            for address, made in fresh.items()
            if address not in self._cache and address != EMPTY
        }
        await all_of([self.objects.put(body) for _, body in new.values()])
        for address, (node, body) in new.items():
            self._remember(address, node, len(body))

    def _remember(self, address: str, node: Node, size: int) -> None:
        if address in self._cache:
            return
        self._cache[address] = (node, size)
        self._bytes += size
        while self._bytes > self._most and len(self._cache) > 1:
            self._bytes -= self._cache.popitem(last=False)[1][1]


async def all_of(writes: Sequence[Coroutine[Any, Any, object]]) -> None:
    """Do all, WRITES at once, and wait for every one also when one fails; then raise the first failure."""
    room = asyncio.Semaphore(WRITES)

    async def one(write: Coroutine[Any, Any, object]) -> None:
        async with room:
            await write

    ends = await asyncio.gather(*(one(write) for write in writes), return_exceptions=True)
    for end in ends:
        if isinstance(end, BaseException):
            raise end
