"""Small files of a draft, in memory until they are wanted on disk. What no path holds any more is let go."""

from __future__ import annotations

import hashlib

from a2a_cloud.model.task import ObjectRef
from a2a_cloud.storage.objects.port import ObjectStore
from a2a_cloud.storage.workspaces.store import all_of

#: A file up to FILE bytes stays in memory; MOST is how much of a draft does.
FILE = 64 << 10
MOST = 1 << 20


class Held:
    """Contents by their hash, each with the number of paths that hold it."""

    def __init__(self, objects: ObjectStore) -> None:
        self._objects = objects
        self._data: dict[str, bytes] = {}
        self._paths: dict[str, int] = {}
        self._bytes = 0

    def get(self, ref: ObjectRef) -> bytes | None:
        """The content, if it is here."""
        return self._data.get(ref.sha256)

    async def keep(self, data: bytes) -> ObjectRef:
        """Take a content, in memory or to disk. Raises StorageFull, Unavailable."""
        if len(data) > FILE:
            return await self._objects.put(data)
        ref = ObjectRef(hashlib.sha256(data).hexdigest(), len(data))
        if ref.sha256 not in self._data:
            if self._bytes + len(data) > MOST:
                await self.flush()
            self._data[ref.sha256] = bytes(data)
            self._paths[ref.sha256] = 0
            self._bytes += len(data)
        return ref

    def moved(self, before: ObjectRef | None, after: ObjectRef | None) -> None:
        """A path held `before` and holds `after`."""
        if after is not None and after.sha256 in self._paths:
            self._paths[after.sha256] += 1
        if before is not None and before.sha256 in self._paths:
            self._paths[before.sha256] -= 1
            if self._paths[before.sha256] <= 0:
                self._bytes -= len(self._data.pop(before.sha256))
                del self._paths[before.sha256]

    async def flush(self) -> None:
        """Store everything. Raises StorageFull, Unavailable; nothing is let go then."""
        if self._data:
            await all_of([self._objects.put(data) for data in self._data.values()])
            self.clear()

    def clear(self) -> None:
        """Let everything go."""
        self._data.clear()
        self._paths.clear()
        self._bytes = 0
