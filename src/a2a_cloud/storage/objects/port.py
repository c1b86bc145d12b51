"""Objects: content-addressed blobs, written once. The port, and its one rule: a reference is given
only when the bytes are on disk."""

from __future__ import annotations

from collections.abc import Callable
from typing import Protocol

from a2a_cloud.model.task import ObjectRef


class ObjectWriter(Protocol):
    """An object in the making."""

    def write(self, chunk: bytes) -> None:
        """Take the next bytes. Raises StorageFull, Unavailable."""
        ...

    async def finish(self) -> ObjectRef:
        """Make what was written durable; returns its address. Raises StorageFull, Unavailable."""
        ...

    def abort(self) -> None:
        """Leave nothing behind. Idempotent; harmless after `finish`."""
        ...


class ObjectStore(Protocol):
    """Where objects lie."""

    def writer(self) -> ObjectWriter:
        """Begin an object."""
        ...

    async def put(self, data: bytes) -> ObjectRef:
        """Store `data` whole. Raises StorageFull, Unavailable."""
        ...

    async def read(self, ref: ObjectRef, offset: int = 0, length: int = -1) -> bytes:
        """Up to `length` bytes (all: -1) from `offset`. Raises NotFound when there is no such object,
        and for what is no hash."""
        ...

    async def prune(self, prefix: str, before: float, keep: Callable[[str], bool]) -> int:
        """Delete those whose hash begins with `prefix` (two hex digits), that were last written before
        `before` (wall seconds), and that `keep` does not want. Returns how many. One that is being written
        again stays. Raises Unavailable."""
        ...
