"""The worker's connection to the runtime: frames in, runs out, many at once on one socket."""

from __future__ import annotations

import asyncio
import contextvars
import sys
import threading
import time
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from typing import Any, cast

from a2a_cloud.agent.execution import Execution, current_run
from a2a_cloud.agent.problem import Problem
from a2a_cloud.agent.skill import Declared
from a2a_cloud.wire.worker import (
    MAX_READS,
    MAX_UPLOADS,
    Ack,
    Answer,
    BadFrame,
    Cancel,
    Data,
    Frames,
    Result,
    Start,
    Stop,
    ToRuntime,
    decode_from_runtime,
    encode,
)

#: Bytes that may wait for the socket before threads that send more have to wait.
HIGH = 1 << 20
#: Bytes that may wait because a skill sends without ever awaiting anything.
MAX_WAITING = 32 << 20
#: Seconds that a thread waits for the socket at most: its locks may be what the loop waits for.
PATIENCE = 2.0


class Session(asyncio.Protocol):
    """Serves runs until the runtime says stop or goes away. `ended` hears of each run that has ended."""

    def __init__(
        self,
        loop: asyncio.AbstractEventLoop,
        declared: Declared,
        frames: Frames,
        threads: ThreadPoolExecutor,
        ended: Callable[[int], None],
    ) -> None:
        self.loop = loop
        self.declared = declared
        self.threads = threads
        self.reads = asyncio.Semaphore(MAX_READS // 2)
        self.uploads = asyncio.Semaphore(MAX_UPLOADS // 2)
        # Apart from those: a skill may hold one of these for long, and store files meanwhile.
        self.writers = asyncio.Semaphore(MAX_UPLOADS // 4)
        self.runs: dict[int, Execution] = {}
        self.closed: asyncio.Future[None] = loop.create_future()
        self.now = time.time
        self._on_end = ended
        self._frames = frames
        self._transport: asyncio.Transport | None = None
        self._thread = threading.get_ident()
        self._out: list[bytes] = []
        self._size = 0
        self._lock = threading.RLock()  # A destructor may print while this thread holds it.
        self._free = threading.Event()
        self._free.set()
        self._stopping = False

    # --- asyncio's callbacks ------------------------------------------------------------------------

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """The socket is ready."""
        self._transport = cast("asyncio.Transport", transport)
        self._transport.set_write_buffer_limits(high=HIGH)

    def data_received(self, data: bytes) -> None:
        """Frames have come."""
        try:
            for body in self._frames.feed(data):
                self._take(decode_from_runtime(body))
        except BadFrame as error:
            print(f"The runtime sent nonsense: {error}", file=sys.__stderr__)
            self.connection_lost(None)

    def pause_writing(self) -> None:
        """The runtime does not read as fast as the skills send."""
        self._free.clear()

    def resume_writing(self) -> None:
        """It has caught up."""
        self._free.set()

    def connection_lost(self, exc: Exception | None) -> None:
        """The runtime is gone: nothing that a run does now counts any more."""
        if not self.closed.done():
            self.closed.set_result(None)

    # --- frames -------------------------------------------------------------------------------------

    def _take(self, frame: Any) -> None:
        kind = cast("type[object]", type(frame))
        if kind is Start:
            execution = Execution(frame, self.declared, self)
            self.runs[frame.run] = execution
            context = contextvars.copy_context()
            context.run(current_run.set, frame.run)
            execution.task = self.loop.create_task(execution.execute(), context=context)
            execution.task.add_done_callback(lambda task: self._ended(execution))
        elif kind is Stop:
            self._stopping = True
            self._end_if_idle()
        else:
            execution = self.runs.get(frame.run)
            if execution is None:
                return
            if kind is Answer or kind is Data:
                execution.answered(frame)
            elif kind is Ack:
                execution.acked(cast("Ack", frame).size)
            elif kind is Cancel:
                execution.cancel(cast("Cancel", frame).reason)

    def _ended(self, execution: Execution) -> None:
        if not execution.over:  # Canceled before its first step.
            execution.end(Result(execution.run, "canceled"))
        if self.runs.get(execution.run) is execution:
            del self.runs[execution.run]
        self._end_if_idle()

    def _end_if_idle(self) -> None:
        if self._stopping and not self.runs and self._transport is not None:
            self._flush()
            self._transport.close()  # Once all of it is out, `connection_lost`.

    # --- sending --------------------------------------------------------------------------------------

    @property
    def waiting(self) -> int:
        """Bytes that the socket has not taken yet."""
        transport = self._transport
        return self._size + (transport.get_write_buffer_size() if transport is not None else 0)

    def send(self, frame: ToRuntime) -> None:
        """Send a frame, from any thread; frames of one turn of the loop leave in one write.

        Raises ValueError for what can't be a frame (too large, text that has no UTF-8 form), and
        Problem when far too much waits already.
        """
        if type(frame) is Result:
            self._on_end(frame.run)
        try:
            data = encode(frame)
        except BadFrame as error:
            raise ValueError(str(error)) from None
        here = threading.get_ident() == self._thread
        if here:
            lagging = self._size > HIGH or not self._free.is_set()
            if lagging and self.waiting > MAX_WAITING and type(frame) is not Result:
                raise Problem(
                    "The skill puts out more than can be recorded.",
                    remedy="Await something in between, such as ctx.text or asyncio.sleep(0).",
                )
        elif not self._free.is_set():
            self._free.wait(PATIENCE)
        with self._lock:
            # In the order of sending, whichever thread it is: what a thread has said comes before
            # the result of the run that waited for it.
            first = not self._out
            self._out.append(data)
            self._size += len(data)
        if first:
            (self.loop.call_soon if here else self.loop.call_soon_threadsafe)(self._flush)

    def _flush(self) -> None:
        with self._lock:
            out, self._out = self._out, []
            self._size = 0
        if out and self._transport is not None and not self._transport.is_closing():
            self._transport.write(b"".join(out) if len(out) > 1 else out[0])
