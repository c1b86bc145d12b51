"""An object on its way to the runtime: bytes in, chunks out, never more than one chunk in memory."""

from __future__ import annotations

import asyncio
import contextlib
from typing import Any, Protocol

import msgspec

from a2a_cloud.agent.problem import Problem
from a2a_cloud.wire.worker import CHUNK


class Puts(Protocol):
    """How chunks reach the runtime: an Execution."""

    def number(self) -> int:
        """A number for a new object."""
        ...

    async def put(self, n: int, chunk: bytes, last: bool) -> bytes:
        """Send a chunk; of the last one the object's JSON."""
        ...


class Reference(msgspec.Struct):
    """What the runtime says of a finished object."""

    sha256: str
    size: int


_reference = msgspec.json.Decoder(Reference)


class Upload:
    """One object. Its number is drawn with the first chunk, so that what stays small needs none."""

    def __init__(self, puts: Puts) -> None:
        self._puts = puts
        self._n = 0
        self._chunk = bytearray()
        self._broken = False
        self._order = asyncio.Lock()  # A chunk must be taken before the next one may be sent.

    @property
    def begun(self) -> bool:
        """The runtime knows of it."""
        return self._n != 0

    @property
    def held(self) -> bytes:
        """What has not been sent yet; all of it, unless `begun`."""
        return bytes(self._chunk)

    async def write(self, data: Any) -> None:
        """Add bytes (anything with a buffer)."""
        async with self._order:
            rest = memoryview(data).cast("B")
            while len(rest):
                room = CHUNK - len(self._chunk)
                self._chunk += rest[:room]
                rest = rest[room:]
                if len(self._chunk) == CHUNK:
                    await self._put(False)

    async def finish(self) -> tuple[str, int]:
        """(sha256, size) of the object, which is stored now. Raises Problem after an interrupted write."""
        async with self._order:
            if self._broken:
                raise Problem("The content is not whole: writing it was interrupted.")
            made = _reference.decode(await self._put(True))
            return made.sha256, made.size

    async def abort(self) -> None:
        """Give it up: what the runtime has of it is of no use to anybody, and counts no more."""
        async with self._order:
            if self.begun:
                self._chunk.clear()
                with contextlib.suppress(Problem):
                    await self._put(True)

    async def _put(self, last: bool) -> bytes:
        if not self._n:
            self._n = self._puts.number()
        chunk = bytes(self._chunk)
        self._chunk.clear()
        # Interrupted, the answer to this chunk would be taken for the next one's.
        broken, self._broken = self._broken, True
        answer = await self._puts.put(self._n, chunk, last)
        self._broken = broken
        if last:
            self._n = 0
        return answer
