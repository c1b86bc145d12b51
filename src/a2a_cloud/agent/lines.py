"""stdout and stderr of agent code: whole lines, each under the run that printed it.

Lines go out as Log frames once the worker is connected, and to the process's own descriptors before
that. Nobody waits for a log: what is beyond the release's limit, or more than the socket takes, is
dropped and counted. Threads that a skill starts itself belong to no run, unless they are started with
the context of the skill (`asyncio.to_thread`, `contextvars.copy_context().run`).
"""

from __future__ import annotations

import io
import threading
import time
from collections.abc import Callable
from typing import Any, TextIO

from a2a_cloud.agent.execution import current_run
from a2a_cloud.agent.values import clean
from a2a_cloud.wire.worker import Log, ToRuntime

#: Characters of a line.
LINE_LIMIT = 8192
#: Bytes that may wait for the socket before lines are dropped.
MAX_WAITING = 1 << 20


class Outlet:
    """Where the lines of both streams go, and how much of them."""

    def __init__(self) -> None:
        self._send: Callable[[ToRuntime], None] | None = None
        self._waiting: Callable[[], int] = int
        self._limit = 0
        self._since = 0.0
        self._bytes = 0
        self._dropped = 0

    def connect(self, send: Callable[[ToRuntime], None], waiting: Callable[[], int], limit: int) -> None:
        """From now on lines are frames. `waiting` tells the bytes that the socket has not taken yet;
        `limit` is in bytes per minute (0: none)."""
        self._waiting, self._limit = waiting, limit
        self._send = send

    @property
    def connected(self) -> bool:
        """Lines go out as frames."""
        return self._send is not None

    def put(self, run: int, level: str, source: str, line: str) -> None:
        """Send a line, or drop it; from any thread."""
        if self._send is None:
            return
        now = time.monotonic()
        if now - self._since > 60:
            self._since, self._bytes = now, 0
        self._bytes += len(line) + 64
        if self._waiting() > MAX_WAITING or (self._limit and self._bytes > self._limit):
            self._dropped += 1
            if self._dropped == 1:
                self._send(Log(run, "warning", "stderr", "Too much output: lines are being dropped."))
            return
        if self._dropped:
            dropped, self._dropped = self._dropped, 0
            self._send(Log(0, "warning", "stderr", f"{dropped} lines of output were dropped."))
        self._send(Log(run, level, source, clean(line[:LINE_LIMIT])))


class Lines(io.TextIOBase):
    """Stands in for sys.stdout or sys.stderr."""

    def __init__(self, outlet: Outlet, source: str, real: TextIO) -> None:
        super().__init__()
        self._outlet = outlet
        self._source = source
        self._real = real
        self._level = "info" if source == "stdout" else "warning"
        self._partial: dict[int, str] = {}
        self._lock = threading.RLock()
        self.buffer = _Bytes(self)

    @property
    def encoding(self) -> str:  # type: ignore[override]
        """Text goes out as UTF-8."""
        return "utf-8"

    @property
    def errors(self) -> str:  # type: ignore[override]
        """What has no UTF-8 form is replaced."""
        return "replace"

    def fileno(self) -> int:
        """The process's own descriptor: what a child process writes there is read too, as nobody's."""
        return self._real.fileno()

    def writable(self) -> bool:
        """It can be written to."""
        return True

    def reconfigure(self, **_: Any) -> None:
        """Nothing can be changed; programs that try get no error."""

    def write(self, text: str, /) -> int:
        """Take text; lines go out when they are whole."""
        if not self._outlet.connected:
            self._real.write(text)
            self._real.flush()
            return len(text)
        run = current_run.get()
        with self._lock:
            lines = (self._partial.pop(run, "") + text).split("\n")
            if lines[-1]:
                self._partial[run] = lines[-1][:LINE_LIMIT]
        for line in lines[:-1]:
            self._outlet.put(run, self._level, self._source, line)
        return len(text)

    def flush(self) -> None:
        """Lines go out when they are whole: a flush in the middle of one must not cut it."""
        if not self._outlet.connected:
            self._real.flush()

    def end(self, run: int) -> None:
        """The run has ended: what it left without a line break goes out too."""
        if not self._partial:
            return
        with self._lock:
            line = self._partial.pop(run, "")
        if line:
            self._outlet.put(run, self._level, self._source, line)


class _Bytes(io.RawIOBase):
    """`sys.stdout.buffer`: bytes, taken as UTF-8."""

    def __init__(self, lines: Lines) -> None:
        super().__init__()
        self._lines = lines

    def writable(self) -> bool:
        return True

    def write(self, data: Any, /) -> int:
        self._lines.write(bytes(data).decode("utf-8", "replace"))
        return len(data)
