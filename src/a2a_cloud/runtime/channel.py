"""The runtime's end of a worker's socket: frames in, frames out, one write per turn of the loop."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from typing import cast

from a2a_cloud.wire.worker import BadFrame, Frames, ToRuntime, ToWorker, decode_from_worker, encode

#: A worker that leaves this many bytes unread has stopped reading.
MAX_UNREAD = 64 << 20


class Channel(asyncio.Protocol):
    """Carries frames. `on_frame` gets each one; `on_close` is called once with the breach, or None."""

    def __init__(self, on_frame: Callable[[ToRuntime], None], on_close: Callable[[str | None], None]) -> None:
        self._on_frame = on_frame
        self._on_close = on_close
        self._frames = Frames()
        self._out: list[bytes] = []
        self._transport: asyncio.Transport | None = None
        self._loop = asyncio.get_running_loop()
        self._closed = False

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """asyncio's callback."""
        self._transport = cast("asyncio.Transport", transport)
        self._transport.set_write_buffer_limits(high=MAX_UNREAD)

    def data_received(self, data: bytes) -> None:
        """asyncio's callback: every complete frame goes to `on_frame`."""
        try:
            for body in self._frames.feed(data):
                self._on_frame(decode_from_worker(body))
                if self._closed:
                    return
        except BadFrame as breach:
            self.close(f"it sent a frame that nobody understands: {breach}")

    def connection_lost(self, exc: Exception | None) -> None:
        """asyncio's callback."""
        self.close(None)

    def pause_writing(self) -> None:
        """asyncio's callback: the worker has not read for MAX_UNREAD bytes."""
        self.close("it stopped reading")

    def send(self, frame: ToWorker) -> None:
        """Queue a frame; frames of one turn of the loop leave in one write. Raises BadFrame when it is
        too large."""
        if self._closed:
            return
        data = encode(frame)
        if not self._out:
            self._loop.call_soon(self._flush)
        self._out.append(data)

    def _flush(self) -> None:
        if self._transport is not None and not self._closed:
            self._transport.write(b"".join(self._out) if len(self._out) > 1 else self._out[0])
        self._out.clear()

    def pause_reading(self) -> None:
        """Take no more frames for now: the journal lags."""
        if self._transport is not None and not self._closed:
            self._transport.pause_reading()

    def resume_reading(self) -> None:
        """Take frames again."""
        if self._transport is not None and not self._closed:
            self._transport.resume_reading()

    def close(self, breach: str | None) -> None:
        """End the connection; `on_close` hears of it once."""
        if self._closed:
            return
        self._closed = True
        if self._transport is not None:
            self._transport.abort()
        self._on_close(breach)
