"""The workers of one release: who has a free slot, who waits for one, who must be replaced.

A slot is one concurrent call in a worker. Runs that wait (for an answer, a child, a timer) hold no
slot; when they go on they come before new runs. A worker that has to be killed is drained of its
neighbours first. Spare workers are started when there is time, one after the other over all pools; a
pool that has had no run for a while keeps no process, and the next run starts one.
"""

from __future__ import annotations

import asyncio
import socket
from collections import deque
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, Protocol

from a2a_cloud.model.ports import Clock
from a2a_cloud.model.problem import LimitExceeded, Problem, StartFailed
from a2a_cloud.model.release import Release
from a2a_cloud.runtime.isolation import HELD, alone, at_rest, busy, missing, personal, pick, refusal
from a2a_cloud.runtime.ports import Launch
from a2a_cloud.runtime.process import Worker
from a2a_cloud.runtime.sandbox.port import Sandbox
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
#: Seconds without a run after which a release that serves keeps no worker, where it says nothing itself.
IDLE = 900.0
#: Seconds that an idle worker has to end when it is asked to.
STOP_SECONDS = 2.0
#: Seconds before a spare worker is started: the run that took the last one goes first.
SPARE_SECONDS = 0.05


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

    def cannot_start(self, run: Run, why: str, problem: Problem | None = None) -> None:
        """No worker can be had for a run that waits; `problem` when there is more to say than `why`."""
        ...

    def run_failed(self, run: Run, problem: Problem) -> None:
        """The run can't go on, and doing it again would not help."""
        ...

    def on_listener(self, worker: Worker, listener: socket.socket) -> None:
        """The socket on which the worker's code looks for the way out; the owner closes it. Comes at most
        once, before any run is started."""
        ...

    def worker_ended(self, worker: Worker) -> None:
        """The worker's process is gone; it has its runs still."""
        ...

    def log_line(self, release: Release, run_no: int, level: str, source: str, line: str) -> bool:
        """A line of output; False when the log takes no more for now."""
        ...

    def log_dropped(self, release: Release, lines: int) -> None:
        """Lines that were dropped because the log takes no more."""
        ...


class Turns:
    """Whose turn it is to start a spare worker: one at a time over all pools."""

    def __init__(self) -> None:
        self.taken = False


class Pool:
    """See the module. All on the loop's thread."""

    def __init__(
        self,
        release: Release,
        owner: PoolOwner,
        clock: Clock,
        records: Path,
        launch: Launch,
        sandbox: Sandbox,
        turns: Turns | None = None,
        idle: float = IDLE,
    ) -> None:
        self.release = release
        self.workers: list[Worker] = []
        self.waiting: deque[Run] = deque()
        self.accepting = 0
        self.serving = True
        self.closed = False
        self.failures = 0
        self.reason = ""
        #: It has had no run for so long that it keeps no worker.
        self.asleep = False
        self._owner = owner
        self._sandbox = sandbox
        self._turns = turns or Turns()
        self._idle = idle
        self._touched = clock.monotonic()
        self._spare: Worker | None = None
        self._filling: asyncio.TimerHandle | None = None
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

    def refusal(self) -> Problem | None:
        """Why none of its workers may be started here; None when they may."""
        return refusal(self.release, self._sandbox)

    @property
    def resting(self) -> bool:
        """It has no worker because it needs none before somebody calls."""
        on_demand = personal(self.release) and not self.release.manifest.sandbox.spares
        return (self.asleep or on_demand) and not self.waiting

    async def first_ready(self) -> Ready:
        """Start the pool and return what its first worker declares. Raises RuntimeError with the cause."""
        self._first_ready = self._loop.create_future()
        self.ensure()
        return await self._first_ready

    def ensure(self) -> None:
        """Have as many workers as the release wants."""
        self.asleep = False
        self._touched = self._clock.monotonic()
        self._top_up()

    def _missing(self) -> tuple[int, int]:
        waiting = len(self.waiting)
        if self._first_ready is not None and not self._first_ready.done():
            waiting = max(waiting, 1)
        alive = [one for one in self.workers if not one.draining and one not in self._old]
        spares = self.release.manifest.sandbox.spares if self.serving else 0
        return missing(self.release, alive, self._starting, waiting, spares)

    def _top_up(self) -> None:
        if self.closed or self.asleep:
            return
        now, later = self._missing()
        for _ in range(now):
            self._starting += 1
            self._loop.call_later(self._delay(), self._spawn)
        if later and self._filling is None:
            self._filling = self._loop.call_later(max(SPARE_SECONDS, self._delay()), self._fill)

    def _delay(self) -> float:
        return 0.0 if self.failures < 2 else min(10.0, 0.25 * 2 ** (self.failures - 1))

    def _fill(self) -> None:
        """Start one spare worker, when it is this pool's turn; the next follows when that is ready."""
        self._filling = None
        if self.closed or self.asleep or not self._missing()[1] or self._spare is not None:
            return
        if self._turns.taken:
            self._filling = self._loop.call_later(SPARE_SECONDS, self._fill)
            return
        self._turns.taken = True
        self._starting += 1
        self._spawn(spare=True)

    def _spawn(self, *, spare: bool = False) -> None:
        task = self._loop.create_task(self._start_worker(spare))
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)

    async def _start_worker(self, spare: bool) -> None:
        self._starting -= 1
        problem = self.refusal()
        if self.closed or problem is not None:
            if spare:
                self._turns.taken = False
            if problem is not None and not self.closed:
                self._start_failed(problem.sentence, problem)
            return
        release, launch = self.release, self._launch
        worker = Worker(release, self, self._records, self._sandbox, launch.settings(release))
        worker.idle_since = self._clock.monotonic()
        self.workers.append(worker)
        if spare:
            self._spare = worker
        try:
            await worker.start(launch.command(release), launch.roots(release))
        except (OSError, StartFailed) as error:
            self.workers.remove(worker)
            self._settled(worker)
            self._one_gone.set()
            said = error.sentence if isinstance(error, StartFailed) else str(error)
            if isinstance(error, StartFailed) and error.operator:
                self._owner.log_line(self.release, 0, "error", "platform", error.operator)
            self._start_failed(f"its process could not be started: {said}")
            return
        if self.closed:
            worker.kill("the platform stops")
            return
        self._loop.call_later(self.release.manifest.limits.start_timeout, self._overdue, worker)

    def _settled(self, worker: Worker) -> None:
        """It is known what became of the start of a worker."""
        if worker is self._spare:
            self._spare = None
            self._turns.taken = False

    def _overdue(self, worker: Worker) -> None:
        if not worker.ready and not worker.gone:
            worker.broken = f"it was not ready within {self.release.manifest.limits.start_timeout:g} s"
            worker.kill("it was not ready in time")

    def renew(self) -> None:
        """Have fresh workers take the place of those there are, which serve until then and end what they
        have begun."""
        self._old.update(worker for worker in self.workers if not worker.draining)
        if self._old and not self.asleep:
            self._top_up()
        if not self._starting and self._filling is None:  # Nobody comes in their place until somebody calls.
            self._end_old()

    def _end_old(self) -> None:
        old, self._old = self._old, set()
        for one in old:
            if one.runs:
                one.stop()
            else:
                self._end_idle(one, "fresh ones took its place")

    # --- slots ----------------------------------------------------------------------------------

    def enqueue(self, run: Run) -> None:
        """Run it as soon as a slot is free."""
        if not self.waiting and self.begin(run):
            return
        self._wait(run)
        self.pump()
        if self.waiting and (self.asleep or not self.workers):
            self.ensure()

    def _wait(self, run: Run) -> None:
        """Queue it: behind all of its own priority, before those of a lower one."""
        waiting, priority = self.waiting, run.call.priority
        at = len(waiting)
        while at and waiting[at - 1].call.priority < priority:
            at -= 1
        waiting.insert(at, run)

    def begin(self, run: Run) -> bool:
        """Start the run now, if a worker has a slot for it."""
        worker = pick(self.release, self.workers, run)
        if worker is None:
            return False
        first = not worker.served
        worker.once = worker.once or alone(self.release, run)
        worker.take(run)
        self._owner.start_run(worker, run)
        if first and personal(self.release):
            self._one_taken()
        return True

    def _one_taken(self) -> None:
        """A fresh worker got its first run: another takes its place, and one too many goes. Those that hold a
        run which waits for somebody are not too many: `_let_go` bounds them."""
        used = [one for one in self.workers if one.served and not one.draining and (one.busy or not one.runs)]
        idle = sorted((one for one in used if not one.runs), key=lambda one: one.idle_since)
        for one in idle[: max(0, len(used) - self.release.manifest.limits.workers)]:
            self._end_idle(one, "its place was wanted for another caller")
        self._top_up()

    def leave(self, run: Run) -> None:
        """The run gives up its slot; those that wait go on."""
        worker = run.worker
        if worker is not None and run.slot:
            worker.give_back(run)
            # Where the busy workers are counted, others may go on now as well.
            if worker.resumes or self.waiting or personal(self.release):
                self.pump()

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
        """Hand out free slots: first to runs that go on, then to new ones, by priority and in order."""
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
            if not self.begin(run):
                skipped.append(run)
                # Another one may fit where this one does not: its skill, or its caller, has a limit.
                if not personal(self.release) and (run.spec is None or not run.spec.concurrency):
                    break
        self.waiting.extendleft(reversed(skipped))
        if self.waiting and personal(self.release):
            self._top_up()

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
            more = (
                not worker.busy
                and personal(self.release)
                and busy(self.workers) >= self.release.manifest.limits.workers
            )
            if full or more or worker.busy >= limit or worker.gone:
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
        if not worker.runs:
            worker.idle_since = self._touched = self._clock.monotonic()
        if worker.draining:
            self._end_if_drained(worker)
        elif worker.once:
            self._end_idle(worker, "its run has ended")
            self._top_up()
        elif told:
            self.pump()

    # --- workers that end -----------------------------------------------------------------------

    def replace(self, worker: Worker, why: str) -> None:
        """End a worker that does not obey: its neighbours finish first, then it is killed."""
        if worker.draining or worker.gone:
            return
        worker.draining = True
        worker.broken = ""
        self._top_up()
        self._loop.call_later(DRAIN_SECONDS, worker.kill, why)
        self._end_if_drained(worker, why)

    def _end_if_drained(self, worker: Worker, why: str = "a run did not stop when it was told to") -> None:
        # A run that waits for a person goes on elsewhere by replay, if it may; others finish here.
        if all(run.ending is not None or (run.parked and run.replayable) for run in worker.runs.values()):
            worker.kill(why)

    def _end_idle(self, worker: Worker, why: str) -> None:
        """End a worker that is wanted no more: now if nothing is lost by it, else when its runs have
        ended."""
        if worker.gone or worker.draining:
            return
        worker.stop()
        if not worker.runs:
            self._loop.call_later(STOP_SECONDS, worker.kill, why)
        elif at_rest(worker):
            worker.kill(why)

    def on_ready(self, worker: Worker, ready: Ready) -> None:
        """See WorkerOwner."""
        worker.ready_at = self._clock.monotonic()
        self.reason = ""
        if self._first_ready is not None and not self._first_ready.done():
            self._first_ready.set_result(ready)
        if worker not in self._old:
            self._end_old()
        self._settled(worker)
        self.pump()
        self._top_up()

    def on_listener(self, worker: Worker, listener: socket.socket) -> None:
        """See WorkerOwner."""
        self._owner.on_listener(worker, listener)

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
        self._settled(worker)
        self._one_gone.set()
        self._owner.worker_ended(worker)
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
        at_work = [run for run in runs if run.ending is None and not run.parked]
        for run in runs:
            # Where it was alone, the limit is its own; among several nobody can tell whose it was.
            if worker.limit and at_work == [run]:
                self._owner.run_failed(run, LimitExceeded(worker.limit))
            else:
                self._owner.run_lost(run, why)
        if self.waiting:
            self.ensure()
        elif self.serving and worker.ready:
            self._top_up()
        self.pump()

    def _start_failed(self, why: str, problem: Problem | None = None) -> None:
        self.failures += 1
        self.reason = why
        self._owner.log_line(self.release, 0, "error", "platform", f"The agent could not be started: {why}")
        if self._first_ready is not None and not self._first_ready.done():
            self._first_ready.set_exception(RuntimeError(why))
        one_each = personal(self.release)
        if any(
            worker.ready and not worker.draining and (not one_each or worker.busy or not worker.served)
            for worker in self.workers
        ):
            return  # Others serve those that wait, or make room.
        waiting, self.waiting = self.waiting, deque()
        for run in waiting:
            self._owner.cannot_start(run, why, problem)

    # --- end ------------------------------------------------------------------------------------

    def trim(self) -> None:
        """Called now and then: end the workers that nobody needs any more."""
        if personal(self.release):
            self._let_go()
        if self.closed or self.waiting or self.accepting or self._starting:
            return
        now = self._clock.monotonic()
        if self.serving:
            idle = self.release.manifest.sandbox.idle or self._idle
            if idle and self.workers and not self.asleep and now - self._touched > idle:
                self._sleep()
            return
        for worker in self.workers:
            if not worker.runs and not worker.draining and now - worker.idle_since > IDLE_SECONDS:
                self._end_idle(worker, "its release serves no calls")

    def _sleep(self) -> None:
        """Keep no process until somebody calls."""
        if all(at_rest(worker) for worker in self.workers):
            self.asleep = True
            for worker in self.workers:
                self._end_idle(worker, "nobody called for a while")

    def _let_go(self) -> None:
        """Runs that wait keep their workers, but not any number: those that can go on by replay let go, the
        oldest first."""
        held = [one for one in self.workers if one.runs and not one.busy and not one.draining]
        oldest = sorted((one for one in held if at_rest(one)), key=lambda one: min(one.runs))
        for worker in oldest[: max(0, len(held) - HELD)]:
            self._end_idle(worker, "too many wait in workers of their own")

    async def close(self) -> None:
        """End all workers now."""
        self.closed = True
        if self._filling is not None:
            self._filling.cancel()
        for worker in list(self.workers):
            worker.kill("the platform stops")
        while self.workers:
            self._one_gone.clear()
            await self._one_gone.wait()
