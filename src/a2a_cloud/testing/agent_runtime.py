"""The runtime's side of the worker protocol in a test: one worker in process, frames both ways.

Frames are encoded and decoded as on a socket, so that what could not travel fails here too.
"""

from __future__ import annotations

import asyncio
import contextlib
import itertools
from concurrent.futures import ThreadPoolExecutor
from typing import Any

from a2a_cloud.agent.load import Declared
from a2a_cloud.agent.session import Session
from a2a_cloud.testing.agent_run import PlayedRun
from a2a_cloud.testing.agent_workspace import Workspace
from a2a_cloud.wire.worker import (
    BadFrame,
    Cancel,
    Frames,
    Stop,
    ToRuntime,
    ToWorker,
    decode_from_worker,
    encode,
)

#: Seconds that a cancelled run has to stop; then production replaces its worker.
GRACE = 2.0


class Clock:
    """The time that skills see: it stands still, but for sleeps and `advance`."""

    def __init__(self, at: float) -> None:
        self.at = at

    def now(self) -> float:
        """Wall seconds."""
        return self.at


class State:
    """What `ctx.state` holds, of all contexts: (owner, context) to name to JSON."""

    def __init__(self) -> None:
        self._kept: dict[tuple[str, str], dict[str, bytes]] = {}

    def of(self, owner: str, context: str) -> dict[str, bytes]:
        """The values of one context of one owner; changes to it are kept."""
        return self._kept.setdefault((owner, context), {})


class Pipe(asyncio.Transport):
    """The worker's end of the socket: what it writes is cut into frames and handed on."""

    def __init__(self, runtime: Runtime) -> None:
        super().__init__()
        self._runtime = runtime
        self._frames = Frames()
        self._closed = False

    def write(self, data: Any) -> None:
        """Bytes from the worker."""
        for body in self._frames.feed(bytes(data)):
            self._runtime.loop.call_soon(self._runtime.take, decode_from_worker(body))

    def set_write_buffer_limits(self, high: int | None = None, low: int | None = None) -> None:
        """Nothing waits here."""

    def get_write_buffer_size(self) -> int:
        """Nothing waits here."""
        return 0

    def is_closing(self) -> bool:
        """Whether the worker is done."""
        return self._closed

    def close(self) -> None:
        """The worker hangs up."""
        if not self._closed:
            self._closed = True
            self._runtime.loop.call_soon(self._runtime.session.connection_lost, None)


class Runtime:
    """Serves the runs of one worker. Made and used in the loop's own thread."""

    def __init__(self, declared: Declared, clock: Clock) -> None:
        self.loop = asyncio.get_running_loop()
        self.clock = clock
        self.state = State()
        self.objects: dict[str, bytes] = {}
        self.workspace = Workspace(self.objects)
        self.threads = ThreadPoolExecutor(256, thread_name_prefix="skill")
        self.session = Session(self.loop, declared, Frames(), self.threads, lambda run: None)
        self.session.now = clock.now
        self.session.connection_made(Pipe(self))
        self._runs: dict[int, PlayedRun] = {}
        self._numbers = itertools.count(1)
        self._sleepers: list[tuple[float, int, PlayedRun, int]] = []

    def number(self) -> int:
        """A number for a new run."""
        return next(self._numbers)

    async def play(self, run: PlayedRun) -> None:
        """Play a run to its end; all that it left is in `run`. Raises what the test did wrong."""
        self._runs[run.no] = run
        try:
            await run.play()
        finally:
            # A run that did not stop is forgotten: its late frames are of no run.
            self._runs.pop(run.no, None)

    def send(self, frame: ToWorker) -> None:
        """A frame to the worker."""
        self.session.data_received(encode(frame))

    def take(self, frame: ToRuntime) -> None:
        """A frame from the worker. Of a run that has ended it is ignored."""
        run = self._runs.get(getattr(frame, "run", 0))
        if run is not None:
            try:
                run.take(frame)
            except Exception as error:
                run.broke(error if not isinstance(error, BadFrame) else AssertionError(str(error)))

    def sleep(self, run: PlayedRun, seq: int, until: float) -> None:
        """Wake a run's sleep: nobody waits, the clock jumps, and the earliest sleeper is first."""
        self._sleepers.append((until, seq, run, run.no))
        self.loop.call_soon(self._wake)

    def _wake(self) -> None:
        self._sleepers.sort(key=lambda each: (each[0], each[3], each[1]))
        until, seq, run, _ = self._sleepers.pop(0)
        self.clock.at = max(self.clock.at, until)
        run.end_effect(seq, b"null")

    async def close(self) -> None:
        """Cancel what runs, say stop, and let go."""
        for run in self._runs.values():
            self.send(Cancel(run.no, "shutdown"))
        self.send(Stop())
        with contextlib.suppress(TimeoutError):
            await asyncio.wait_for(asyncio.shield(self.session.closed), GRACE)
        self.threads.shutdown(wait=False, cancel_futures=True)
