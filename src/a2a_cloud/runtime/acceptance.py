"""Taking a call for good: a run, its task, its key and its first grant in one write.

Nobody learns of the run before that write is on disk. A write that the database refuses is undone here:
most often its idempotency key was used before, and the caller gets the run that it led to.
"""

from __future__ import annotations

import hashlib
from typing import TYPE_CHECKING, Any

from a2a_cloud.model.access import check_call
from a2a_cloud.model.problem import Internal, NameTaken, PaymentRequired, Problem, RateLimited
from a2a_cloud.model.run import Call
from a2a_cloud.model.scope import SYSTEM
from a2a_cloud.model.task import TaskState
from a2a_cloud.runtime.live import LiveTask, Outcome, Run
from a2a_cloud.runtime.pool import Pool
from a2a_cloud.runtime.stored import store_call
from a2a_cloud.storage.journal.port import Op, Refusal, Write
from a2a_cloud.storage.sql import statements as sql
from a2a_cloud.storage.sql.names import ADD_TASK_NAME, DROP_TASK_NAME

if TYPE_CHECKING:
    from a2a_cloud.runtime.runs import Runs

#: Bytes of one run's salts, and how many runs' are drawn at once.
SALTS = 128
SALTS_DRAWN = 64


class Acceptance:
    """See the module. One per engine."""

    __slots__ = ("_last", "_runs", "_salts", "_salts_at")

    def __init__(self, runs: Runs) -> None:
        self._runs = runs
        self._last = runs.reader.last(SYSTEM, "run")
        self._salts = b""
        self._salts_at = 0

    def accept(self, call: Call, task: LiveTask, digest: bytes) -> Run:
        """Queue the acceptance of a new run of `task`."""
        runs = self._runs
        now = runs.clock.now()
        release = call.release
        spec = release.skill(call.skill) if call.skill else None
        check_call(release, call.principal, spec, child=call.parent is not None)
        lane: Any = None
        if runs.limits is not None:
            try:
                lane = runs.limits.take(call)
            except RateLimited:
                # The repeat of a call that was taken gets its run, whatever is left.
                known = runs.keys.known(call, digest, look=True) if digest else None
                if known is None:
                    raise
                return known
        self._last += 1
        task.total += 1
        run = Run(self._last, runs.ids.new("run"), task, task.total, call, spec)
        run.created = now
        run.lane, run.since = lane, runs.clock.monotonic()
        run.salts = self.draw_salts()
        if not task.runs:  # The time of a follow-up counts from when it is its turn.
            run.deadline = runs.deadline(run)
        if call.files:
            run.objects = frozenset((one.object.sha256, one.object.size) for one in call.files if one.object)
        body = store_call(call)
        run.request_sha256 = hashlib.sha256(run.salts[:16] + body).hexdigest()
        try:
            held = self._hold(run) if runs.billing is not None else None
            granted = runs.granted.at_acceptance(run)
            if call.push is not None and runs.push is not None:
                granted = [*granted, *runs.push.of_call(run, call, 0)]
        except Problem as problem:
            task.total -= 1
            self._unhold(run)
            if runs.limits is not None:
                runs.limits.undo(lane)
                runs.limits.leave(lane, None)
            if isinstance(problem, PaymentRequired) and digest:
                # As with limits: what was taken before is answered, whatever is left.
                known = runs.keys.known(call, digest, look=True)
                if known is not None:
                    return known
            raise
        parent = call.parent.run_no if call.parent is not None else None
        ops: list[Op] = [
            (
                sql.ADD_RUN,
                (
                    run.no,
                    run.id,
                    task.org_no,
                    task.owner_no,
                    task.agent_no,
                    release.no,
                    task.no,
                    task.id,
                    run.ordinal,
                    task.context_id,
                    call.skill,
                    TaskState.SUBMITTED.value,
                    1,
                    now,
                    body,
                    parent,
                ),
            )
        ]
        if run.ordinal == 1:
            ops.append(
                (
                    sql.ADD_TASK,
                    (
                        task.no,
                        task.id,
                        task.org_no,
                        task.owner_no,
                        task.agent_no,
                        task.context_id,
                        TaskState.SUBMITTED.value,
                        now,
                    ),
                )
            )
            if call.name:
                named = (task.org_no, task.owner_no, task.agent_no, call.name)
                if call.name_before:
                    ops.append((DROP_TASK_NAME, (*named, call.name_before)))
                ops.append((ADD_TASK_NAME, (*named, task.id)))
        ops += granted
        if held is not None:
            ops += held
        if digest:
            ops.append((sql.ADD_IDEMPOTENCY, (digest, task.org_no, run.no, call.fingerprint)))
            runs.keys.remember(run, digest, call.fingerprint)
        task.runs.append(run)
        runs.tasks[task.id] = task
        runs.live[run.no] = run
        runs.by_id[run.id] = run
        pool = runs.pool(release)
        pool.accepting += 1
        runs.started += 1

        def accepted(error: BaseException | None) -> None:
            self._accepted(run, pool, digest, error)

        run.acceptance = Write(ops, accepted, must=call.parent is not None)
        runs.journal.submit(run.acceptance)
        # An idempotent skill may begin while its acceptance is being committed: if that fails, it
        # may have run for nothing, and by its own word that does no harm.
        if spec is not None and spec.idempotent and run is task.current and not pool.waiting:
            pool.begin(run)
        return run

    def _accepted(self, run: Run, pool: Pool, digest: bytes, error: BaseException | None) -> None:
        runs = self._runs
        pool.accepting -= 1
        run.acceptance = None
        if error is not None:
            run.accept_error = error if isinstance(error, Problem) else Internal(operator=str(error))
            earlier: Run | None = None
            if digest:
                try:
                    earlier = runs.keys.repeat(run, digest)
                except Problem as problem:
                    run.accept_error = problem
            if run.call.name and isinstance(error, Refusal) and type(run.accept_error) is Internal:
                run.accept_error = NameTaken(f"A task {run.call.name[:80]!r} has just begun.")
            run.ending = run.ending or Outcome(TaskState.FAILED)
            # What an idempotent skill did in the meantime must not be stored without its run.
            run.void = True
            runs.stop_worker(run)
            if runs.limits is not None:
                runs.limits.undo(run.lane)
            self._unhold(run)
            runs.forget(run)
            if run.ordinal == run.task.total:
                run.task.total -= 1
            self._close_after(run.task)
            if run.on_end is not None:
                run.state = TaskState.FAILED
                run.on_end(run)
            if earlier is not None:
                run.become(earlier)
                return
            run.wake(run.accept_error)
            return
        run.is_accepted = True
        if run.call.push is not None and runs.push is not None:
            runs.push.stored(run, run.call.push)
        if run.waiters:
            run.wake()
        # One that began early has been started already, and may have lost its worker since.
        if run.ending is None and run.started is None and run is run.task.current:
            pool.enqueue(run)

    def _hold(self, run: Run) -> list[Op] | None:
        """What a call may cost is set aside. A run that another one called spends what that was given."""
        billing, call = self._runs.billing, run.call
        assert billing is not None
        strange = False
        if call.parent is not None:
            above = self._runs.live.get(call.parent.run_no)
            run.purse = above.purse if above is not None else None
            while above is not None and not strange:
                strange = above.call.release.org_no != call.principal.org_no
                parent = above.call.parent
                above = None if parent is None else self._runs.live.get(parent.run_no)
        elif call.budget is not None:
            run.purse = billing.purse(call, run.no)
        held = billing.reserve(call, run.no, run.purse, strange=strange)
        if held is None:
            return None
        run.hold, ops = held
        return ops

    def _unhold(self, run: Run) -> None:
        billing = self._runs.billing
        if billing is None:
            return
        if run.hold is not None:
            billing.undo(run.hold)
            run.hold = None
        if run.purse is not None:
            billing.over(run.no, run.purse if run.call.parent is None else None)

    def _close_after(self, task: LiveTask) -> None:
        """A follow-up was not stored after all: if the run before it has just ended, so has the task."""
        if task.closing or len(task.runs) > 1 or (task.last is None and not task.runs):
            return
        last = task.last
        if task.runs:
            (run,) = task.runs
            if not run.sealed or run.ending is None:
                return
            run.closes = True
            last = run.ending.state
        assert last is not None
        task.closing = True
        runs = self._runs
        runs.journal.submit(
            Write([(sql.SET_TASK, (last.value, runs.clock.now(), task.no, task.org_no))], must=True)
        )

    def draw_salts(self) -> bytes:
        """New salts for a run. Drawn for many at once: each draw is a system call."""
        at = self._salts_at
        if at >= len(self._salts):
            self._salts = self._runs.entropy.bytes(SALTS * SALTS_DRAWN)
            at = 0
        self._salts_at = at + SALTS
        return self._salts[at : at + SALTS]
