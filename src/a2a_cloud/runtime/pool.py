"""The workers of one release: who has a free slot, who waits for one, who must be replaced.

A slot is one concurrent call in a worker. Runs that wait (for an answer, a child, a timer) hold no
slot; when they go on they come before new runs. A worker that has to be killed is drained of its
neighbours first.
"""

from __future__ import annotations

import asyncio
from collections import deque
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, Protocol

from a2a_cloud.model.ports import Clock
from a2a_cloud.model.release import Release, SkillSpec
from a2a_cloud.runtime.ports import Launch
from a2a_cloud.runtime.process import Worker
from a2a_cloud.wire.worker import Ready, ToRuntime

if TYPE_CHECKING:
    from a2a_cloud.runtime.live import Run

#: Seconds a draining worker's neighbours have before the kill.
DRAIN_SECONDS = 10.0
#: A worker that ends sooner after it was ready, without a run, counts as a failed start: the next one
#: waits longer.
SHORT_LIFE = 5.0
#: Seconds without a run after which the worker of a release that no longer serves is stopped.
IDLE_SECONDS = 10.0


class PoolOwner(Protocol):
    """Whom a pool tells: the engine."""

    def start_run(self, worker: Worker, run: Run) -> None:
        """Send the run to the worker, which has taken a slot for it."""
        ...

    def run_frame(self, worker: Worker, frame: ToRuntime) -> None:
        """A frame of a run."""
        ...

    def run_lost(self, run: Run, why: str) -> None:
        """The worker that held the run is gone."""
        ...

    def cannot_start(self, run: Run, why: str) -> None:
        """No worker can be had for a run that waits."""
        ...

    def log_line(self, release: Release, run_no: int, level: str, source: str, line: str) -> bool:
        """A line of output; False when the log takes no more for now."""
        ...

    def log_dropped(self, release: Release, lines: int) -> None:
        """Lines that were dropped because the log takes no more."""
        ...


class Pool:
    """See the module. All on the loop's thread."""

    def __init__(
        self,
        release: Release,
        owner: PoolOwner,
        clock: Clock,
        records: Path,
        launch: Launch,
    ) -> None:
        self.release = release
        self.workers: list[Worker] = []
        self.waiting: deque[Run] = deque()
        self.accepting = 0
        self.serving = True
        self.closed = False
        self.failures = 0
        self.reason = ""
        self._owner = owner
        self._clock = clock
        self._records = records
        self._launch = launch
        self._starting = 0
        self._loop = asyncio.get_running_loop()
        self._first_ready: asyncio.Future[Ready] | None = None
        self._tasks: set[asyncio.Task[None]] = set()
        self._one_gone = asyncio.Event()
        self._old: set[Worker] = set()

    @property
    def queued(self) -> int:
        """Runs that wait for a slot, or will."""
        return len(self.waiting) + self.accepting

    async def first_ready(self) -> Ready:
        """Start the pool and return what its first worker declares. Raises RuntimeError with the cause."""
        self._first_ready = self._loop.create_future()
        self.ensure()
        return await self._first_ready

    def ensure(self) -> None:
        """Have as many workers as the release wants."""
        if self.closed:
            return
        alive = sum(1 for worker in self.workers if not worker.draining and worker not in self._old)
        alive += self._starting
        for _ in range(self.release.manifest.limits.workers - alive):
            self._starting += 1
            delay = 0.0 if self.failures < 2 else min(10.0, 0.25 * 2 ** (self.failures - 1))
            self._loop.call_later(delay, self._spawn)

    def _spawn(self) -> None:
        task = self._loop.create_task(self._start_worker())
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)

    async def _start_worker(self) -> None:
        self._starting -= 1
        if self.closed:
            return
        release, launch = self.release, self._launch
        worker = Worker(release, self, self._records, launch.command(release), launch.settings(release))
        worker.idle_since = self._clock.monotonic()
        self.workers.append(worker)
        try:
            await worker.start()
        except OSError as error:
            self.workers.remove(worker)
            self._one_gone.set()
            self._start_failed(f"its process could not be started: {error}")
            return
        if self.closed:
            worker.kill("the platform stops")
            return
        self._loop.call_later(self.release.manifest.limits.start_timeout, self._overdue, worker)

    def _overdue(self, worker: Worker) -> None:
        if not worker.ready and not worker.gone:
            worker.broken = f"it was not ready within {self.release.manifest.limits.start_timeout:g} s"
            worker.kill("it was not ready in time")

    def renew(self) -> None:
        """Have fresh workers take the place of those there are, which serve until then and end what they
        have begun."""
        self._old.update(worker for worker in self.workers if not worker.draining)
        if self._old:
            self.ensure()

    # --- slots ----------------------------------------------------------------------------------

    def enqueue(self, run: Run) -> None:
        """Run it as soon as a slot is free."""
        worker = self.free(run.spec) if not self.waiting else None
        if worker is not None:
            worker.take(run)
            self._owner.start_run(worker, run)
        else:
            self.waiting.append(run)
            self.pump()
            if not self.workers:
                self.ensure()

    def free(self, spec: SkillSpec | None) -> Worker | None:
        """The least busy worker with a free slot for that skill."""
        limit = self.release.manifest.limits.concurrency
        best: Worker | None = None
        for worker in self.workers:
            if (
                worker.ready
                and not worker.draining
                and not worker.gone
                and not worker.told  # It may hang; what it gets now would hang with it.
                and worker.busy < limit
                and not (spec and spec.concurrency and worker.skills_busy.get(spec.id, 0) >= spec.concurrency)
                and (best is None or worker.busy < best.busy)
            ):
                best = worker
        return best

    def leave(self, run: Run) -> None:
        """The run gives up its slot; those that wait go on."""
        worker = run.worker
        if worker is not None and run.slot:
            worker.give_back(run)
            if worker.resumes or self.waiting:
                self.pump()
            elif not worker.runs:
                worker.idle_since = self._clock.monotonic()

    def resume(self, run: Run, go: Callable[[], None]) -> None:
        """Give the run a slot in the worker that holds it, then call `go`."""
        worker = run.worker
        assert worker is not None
        if run.slot:
            go()
            return
        worker.resumes.append((run, go))
        self.pump()

    def drop(self, run: Run) -> bool:
        """Forget a run that waits for its first slot; False when it does not."""
        try:
            self.waiting.remove(run)
        except ValueError:
            return False
        return True

    def pump(self) -> None:
        """Hand out free slots: first to runs that go on, then to new ones, in order."""
        limit = self.release.manifest.limits.concurrency
        for worker in self.workers:
            if worker.resumes:
                self._resume_some(worker, limit)
        if not self.waiting:
            return
        skipped: list[Run] = []
        while self.waiting:
            run = self.waiting.popleft()
            if run.ending is not None:
                continue
            worker = self.free(run.spec)
            if worker is None:
                skipped.append(run)
                if run.spec is None or not run.spec.concurrency:
                    break
                continue
            worker.take(run)
            self._owner.start_run(worker, run)
        self.waiting.extendleft(reversed(skipped))

    def _resume_some(self, worker: Worker, limit: int) -> None:
        """Give the worker's free slots to runs that go on, in order; one whose skill is at its own
        limit lets others go first."""
        waiting, worker.resumes = worker.resumes, []
        kept: list[tuple[Run, Callable[[], None]]] = []
        for run, go in waiting:
            if run.worker is not worker:
                continue
            if run.slot:  # An answer before this one has got it already.
                go()
                continue
            spec = run.spec
            full = spec and spec.concurrency and worker.skills_busy.get(run.call.skill, 0) >= spec.concurrency
            if full or worker.busy >= limit or worker.gone:
                kept.append((run, go))
            else:
                worker.take(run)
                go()
        worker.resumes = kept + worker.resumes

    def release_run(self, run: Run) -> None:
        """The worker holds the run no more."""
        worker = run.worker
        if worker is None:
            return
        told = run.no in worker.told
        worker.told.discard(run.no)
        self.leave(run)
        worker.runs.pop(run.no, None)
        run.worker = None
        if worker.draining:
            self._end_if_drained(worker)
        elif told:
            self.pump()

    # --- workers that end -----------------------------------------------------------------------

    def replace(self, worker: Worker, why: str) -> None:
        """End a worker that does not obey: its neighbours finish first, then it is killed."""
        if worker.draining or worker.gone:
            return
        worker.draining = True
        worker.broken = ""
        self.ensure()
        self._loop.call_later(DRAIN_SECONDS, worker.kill, why)
        self._end_if_drained(worker, why)

    def _end_if_drained(self, worker: Worker, why: str = "a run did not stop when it was told to") -> None:
        # A run that waits for a person goes on elsewhere by replay, if it may; others finish here.
        if all(run.ending is not None or (run.parked and run.replayable) for run in worker.runs.values()):
            worker.kill(why)

    def on_ready(self, worker: Worker, ready: Ready) -> None:
        """See WorkerOwner."""
        worker.ready_at = self._clock.monotonic()
        self.reason = ""
        if self._first_ready is not None and not self._first_ready.done():
            self._first_ready.set_result(ready)
        if worker not in self._old:
            old, self._old = self._old, set()
            for one in old:
                one.stop()
        self.pump()

    def on_frame(self, worker: Worker, frame: ToRuntime) -> None:
        """See WorkerOwner."""
        self._owner.run_frame(worker, frame)

    def on_line(self, worker: Worker, source: str, line: str) -> bool:
        """See WorkerOwner."""
        level = "info" if source == "stdout" else "warning"
        return self._owner.log_line(self.release, 0, level, source, line)

    def on_dropped(self, worker: Worker, lines: int) -> None:
        """See WorkerOwner."""
        self._owner.log_dropped(self.release, lines)

    def on_gone(self, worker: Worker, why: str) -> None:
        """See WorkerOwner."""
        if worker in self.workers:
            self.workers.remove(worker)
        self._old.discard(worker)
        self._one_gone.set()
        runs = list(worker.runs.values())
        worker.runs.clear()
        worker.resumes.clear()
        for run in runs:
            run.worker = None
            run.slot = False
        if not worker.ready:
            self._start_failed(why)
        elif not worker.draining and not self.closed:
            lived = self._clock.monotonic() - worker.ready_at
            # One that ends by itself, with no run that could have done it, would be restarted for ever.
            self.failures = self.failures + 1 if lived < SHORT_LIFE and not worker.served else 0
            self._owner.log_line(self.release, 0, "error", "platform", f"{why[:1].upper()}{why[1:]}.")
        for run in runs:
            self._owner.run_lost(run, why)
        if not self.closed and (self.waiting or (self.serving and worker.ready)):
            self.ensure()
        self.pump()

    def _start_failed(self, why: str) -> None:
        self.failures += 1
        self.reason = why
        self._owner.log_line(self.release, 0, "error", "platform", f"The agent could not be started: {why}")
        if self._first_ready is not None and not self._first_ready.done():
            self._first_ready.set_exception(RuntimeError(why))
        if any(worker.ready and not worker.draining for worker in self.workers):
            return  # Others serve those that wait.
        waiting, self.waiting = self.waiting, deque()
        for run in waiting:
            self._owner.cannot_start(run, why)

    # --- end ------------------------------------------------------------------------------------

    def trim(self) -> None:
        """Stop idle workers of a release that serves no new calls."""
        if self.serving or self.waiting:
            return
        for worker in self.workers:
            if (
                not worker.runs
                and not worker.draining
                and self._clock.monotonic() - worker.idle_since > IDLE_SECONDS
            ):
                worker.stop()

    async def close(self) -> None:
        """End all workers now."""
        self.closed = True
        for worker in list(self.workers):
            worker.kill("the platform stops")
        while self.workers:
            self._one_gone.clear()
            await self._one_gone.wait()
