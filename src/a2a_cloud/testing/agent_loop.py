"""The loop on which a tested agent runs, in a thread of its own: a test may be sync, or have its own."""

from __future__ import annotations

import asyncio
import concurrent.futures
import threading
import weakref
from collections.abc import Coroutine
from typing import Any, TypeVar

from a2a_cloud.agent.load import Declared
from a2a_cloud.agent.problem import Problem
from a2a_cloud.testing.agent_runtime import Clock, Runtime, State

T = TypeVar("T")


class Loop:
    """A thread with an event loop and the worker on it. Without `close` it ends with its last user."""

    def __init__(self, declared: Declared, at: float) -> None:
        self.clock = Clock(at)
        self._loop = asyncio.new_event_loop()
        self._thread = threading.Thread(
            target=_serve, args=(self._loop,), name="a2a agent under test", daemon=True
        )
        self._thread.start()
        clock = self.clock
        self.runtime: Runtime = asyncio.run_coroutine_threadsafe(_made(declared, clock), self._loop).result()
        self._end = weakref.finalize(self, _close, self._loop, self._thread, self.runtime)

    @property
    def state(self) -> State:
        """What `ctx.state` holds."""
        return self.runtime.state

    def begin(self, work: Coroutine[Any, Any, T]) -> concurrent.futures.Future[T]:
        """Start a coroutine on the loop. Raises Problem after `close`."""
        if not self._end.alive:
            work.close()
            raise Problem("The agent's test is closed.", remedy="Call within `with AgentTest(…) as agent:`.")
        return asyncio.run_coroutine_threadsafe(work, self._loop)

    def wait(self, work: Coroutine[Any, Any, T]) -> T:
        """The coroutine's result; blocks."""
        future = self.begin(work)
        try:
            return future.result()
        finally:
            future.cancel()

    async def follow(self, work: Coroutine[Any, Any, T]) -> T:
        """The coroutine's result, awaited on the loop of the caller."""
        return await asyncio.wrap_future(self.begin(work))

    def close(self) -> None:
        """Stop; more than once is fine."""
        self._end()


async def _made(declared: Declared, clock: Clock) -> Runtime:
    return Runtime(declared, clock)


def _serve(loop: asyncio.AbstractEventLoop) -> None:
    asyncio.set_event_loop(loop)
    try:
        loop.run_forever()
        loop.run_until_complete(loop.shutdown_asyncgens())
    finally:
        loop.close()


def _close(loop: asyncio.AbstractEventLoop, thread: threading.Thread, runtime: Runtime) -> None:
    async def end() -> None:
        await runtime.close()
        loop.stop()

    asyncio.run_coroutine_threadsafe(end(), loop)
    # The last one who used it may be a coroutine on the loop itself, which can't wait for its own end.
    if threading.current_thread() is not thread:
        thread.join()
