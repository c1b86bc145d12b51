"""The worker's connection to the runtime: frames in, runs out, many at once on one socket."""

from __future__ import annotations

import asyncio
import contextvars
import io
import sys
import threading
import time
import traceback
from typing import Any, cast

from a2a_cloud.agent.execution import Execution, current_run
from a2a_cloud.agent.skill import Declared
from a2a_cloud.wire.worker import (
    Ack,
    Answer,
    BadFrame,
    Cancel,
    Data,
    Frames,
    Log,
    Start,
    Stop,
    ToRuntime,
    decode_from_runtime,
    encode,
)

LINE_LIMIT = 8192


class Session(asyncio.Protocol):
    """Serves runs until the runtime says stop or goes away."""

    def __init__(self, loop: asyncio.AbstractEventLoop, declared: Declared, frames: Frames) -> None:
        self.loop = loop
        self.declared = declared
        self.runs: dict[int, Execution] = {}
        self.closed: asyncio.Future[None] = loop.create_future()
        self.now = time.time
        self._frames = frames
        self._transport: asyncio.Transport | None = None
        self._thread = threading.get_ident()
        self._out: list[bytes] = []
        self._paused = False
        self._stopping = False

    # --- asyncio's callbacks ------------------------------------------------------------------------

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """The socket is ready."""
        self._transport = cast("asyncio.Transport", transport)

    def data_received(self, data: bytes) -> None:
        """Frames have come."""
        try:
            for body in self._frames.feed(data):
                self._take(decode_from_runtime(body))
        except BadFrame as error:
            sys.__stderr__ and print(f"The runtime sent nonsense: {error}", file=sys.__stderr__)
            self.connection_lost(None)

    def connection_lost(self, exc: Exception | None) -> None:
        """The runtime is gone: nothing that a run does now counts any more."""
        if not self.closed.done():
            self.closed.set_result(None)

    # --- frames -------------------------------------------------------------------------------------

    def _take(self, frame: Any) -> None:
        kind = type(frame)
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
        if self.runs.get(execution.run) is execution:
            del self.runs[execution.run]
        self._end_if_idle()

    def _end_if_idle(self) -> None:
        if self._stopping and not self.runs and not self.closed.done():
            self.closed.set_result(None)

    def send(self, frame: ToRuntime) -> None:
        """Send a frame, from any thread; frames of one turn of the loop leave in one write."""
        try:
            data = encode(frame)
        except BadFrame as error:
            raise ValueError(str(error)) from None
        if threading.get_ident() == self._thread:
            self._queue(data)
        else:
            self.loop.call_soon_threadsafe(self._queue, data)

    def _queue(self, data: bytes) -> None:
        if not self._out:
            self.loop.call_soon(self._flush)
        self._out.append(data)

    def _flush(self) -> None:
        if self._transport is not None and not self._transport.is_closing():
            self._transport.write(b"".join(self._out) if len(self._out) > 1 else self._out[0])
        self._out.clear()


class Lines(io.TextIOBase):
    """stdout and stderr of agent code: whole lines, each under the run that printed it."""

    def __init__(self, session: Session, source: str) -> None:
        super().__init__()
        self._session = session
        self._source = source
        self._level = "info" if source == "stdout" else "warning"
        self._partial: dict[int, str] = {}
        self._lock = threading.Lock()

    @property
    def encoding(self) -> str:  # type: ignore[override]
        """Text goes out as UTF-8."""
        return "utf-8"

    def writable(self) -> bool:
        """It can be written to."""
        return True

    def write(self, text: str, /) -> int:
        """Take text; lines go out when they are whole."""
        run = current_run.get()
        with self._lock:
            lines = (self._partial.pop(run, "") + text).split("\n")
            if lines[-1]:
                self._partial[run] = lines[-1][-LINE_LIMIT:]
        for line in lines[:-1]:
            self._session.send(Log(run, self._level, self._source, line[:LINE_LIMIT]))
        return len(text)

    def flush(self) -> None:
        """Send what of a line is there."""
        run = current_run.get()
        with self._lock:
            line = self._partial.pop(run, "")
        if line:
            self._session.send(Log(run, self._level, self._source, line))


def short_trace(error: BaseException, folder: str) -> str:
    """A traceback for the agent's author: the frames in their own code, and the error."""
    frames = traceback.extract_tb(error.__traceback__)
    own = [frame for frame in frames if frame.filename.startswith(folder)] or frames[-1:]
    lines = traceback.format_list(own) + traceback.format_exception_only(error)
    return "".join(lines).rstrip()
