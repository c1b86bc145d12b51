"""A call of a test that goes on: watch it, cancel it, wait for its outcome."""

from __future__ import annotations

import asyncio
import concurrent.futures
from collections.abc import Callable, Sequence

from a2a_cloud.model.run import RunEvent
from a2a_cloud.testing.agent_loop import Loop
from a2a_cloud.testing.agent_outcome import Outcome
from a2a_cloud.testing.agent_run import PlayedRun

Wanted = Callable[[RunEvent], bool] | type[RunEvent]


class Running:
    """What `AgentTest.start` returns."""

    def __init__(
        self, loop: Loop, work: concurrent.futures.Future[Outcome], holder: Sequence[PlayedRun]
    ) -> None:
        self._loop = loop
        self._work = work
        self._holder = holder

    def cancel(self) -> None:
        """Cancel the run, as its caller may; `outcome` then has the status `canceled`."""
        self._loop.wait(self._cancel())

    async def _cancel(self) -> None:
        # As a coroutine, so that it comes after the one that began the run.
        for run in self._holder:
            run.cancel()

    def wait_for(self, wanted: Wanted, timeout: float = 10.0) -> RunEvent:
        """The first event that is of that type, or of which `wanted` says yes (a2a_cloud.model.run).

        Raises TimeoutError after `timeout` seconds, and AssertionError when the run ends without it.
        """
        return self._loop.wait(asyncio.wait_for(self._wait_for(wanted), timeout))

    async def _wait_for(self, wanted: Wanted) -> RunEvent:
        (run,) = self._holder
        looked = 0
        while True:
            run.changed.clear()
            for _, event in run.events[looked:]:
                looked += 1
                if isinstance(event, wanted) if isinstance(wanted, type) else wanted(event):
                    return event
            if run.over:
                raise AssertionError("The run ended without the event that the test waits for.")
            await run.changed.wait()

    def outcome(self) -> Outcome:
        """The Outcome, once the run has ended, whatever it is. Blocks."""
        return self._work.result()
