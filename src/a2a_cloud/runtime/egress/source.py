"""What one side sends, read a piece at a time into a small buffer of its own; and the watch over it."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncGenerator
from typing import Any

from a2a_cloud.model.problem import Problem
from a2a_cloud.runtime.egress.http1 import Body, Chunks, Framing, stray_line_end

#: Bytes of one read.
PIECE = 64 << 10


class Ended(Exception):
    """The other side ended the connection before its message was whole."""


class Watch:
    """Cancels a task when nothing moved for `idle` seconds, or `total` are over."""

    __slots__ = ("_at", "_end", "_idle", "_loop", "_task", "_timer", "expired")

    def __init__(self, task: asyncio.Task[Any], idle: float, total: float) -> None:
        self._loop = asyncio.get_running_loop()
        self._task = task
        self._idle = idle
        self._at = self._loop.time()
        self._end = self._at + total
        self.expired = False
        self._timer = self._loop.call_at(min(self._at + idle, self._end), self._look)

    def touch(self) -> None:
        """Something moved."""
        self._at = self._loop.time()

    def stop(self) -> None:
        """No more."""
        self._timer.cancel()

    def _look(self) -> None:
        due = min(self._at + self._idle, self._end)
        if due <= self._loop.time():
            self.expired = True
            self._task.cancel()
        else:
            self._timer = self._loop.call_at(due, self._look)


class Source:
    """A reader with a buffer that can be looked into. `read` counts its bytes."""

    __slots__ = ("_reader", "_watch", "buffer", "read")

    def __init__(self, reader: asyncio.StreamReader, watch: Watch) -> None:
        self._reader = reader
        self._watch = watch
        self.buffer = bytearray()
        self.read = 0

    async def fill(self) -> bool:
        """Wait for more; False: there is none. Raises OSError."""
        data = await self._reader.read(PIECE)
        self._watch.touch()
        self.read += len(data)
        self.buffer += data
        return bool(data)

    async def some(self, most: int = PIECE) -> bytes:
        """Up to `most` bytes, b"" at the end. Raises OSError."""
        if not self.buffer and not await self.fill():
            return b""
        piece = bytes(self.buffer[:most])
        del self.buffer[: len(piece)]
        return piece

    async def head(self, limit: int, wrong: type[Problem], too_long: type[Problem]) -> bytes:
        """A head with its empty line. Raises `wrong` for a line end that is not CRLF as soon as it comes,
        `too_long` past `limit` bytes, Ended when the sender goes."""
        looked = 0
        while True:
            end = self.buffer.find(b"\r\n\r\n", max(0, looked - 3))
            stop = len(self.buffer) if end < 0 else end + 4
            if stray_line_end(self.buffer, max(0, looked - 1), stop):
                raise wrong("The head has a line end that is not CRLF.", remedy="End each line with CR LF.")
            if stop > limit:
                raise too_long(f"The head is larger than {limit} bytes.", remedy="Send less.")
            if end >= 0:
                head = bytes(self.buffer[:stop])
                del self.buffer[:stop]
                return head
            looked = len(self.buffer)
            if not await self.fill():
                raise Ended

    async def body(self, body: Body, wrong: type[Problem], *, extensions: bool) -> AsyncGenerator[bytes]:
        """A body's content, as it comes. Raises `wrong` for bad chunks, Ended when it is cut short."""
        if body.framing is Framing.LENGTH:
            left = body.length
            while left:
                piece = await self.some(min(left, PIECE))
                if not piece:
                    raise Ended
                left -= len(piece)
                yield piece
        elif body.framing is Framing.CHUNKED:
            chunks = Chunks(wrong, extensions=extensions)
            while not chunks.done:
                raw = await self.some()
                if not raw:
                    raise Ended
                content = chunks.feed(raw)
                if content:
                    yield content
            self.buffer[:0] = chunks.rest
        elif body.framing is Framing.CLOSE:
            while piece := await self.some():
                yield piece
