"""The run engine: from an admitted Call to a sealed run, durable before visible.

A call with no effects costs two commits: its acceptance, and its end with result, receipt and place
in the log. A run's events are numbered as they happen and collected when the journal forms its next
group, so that what happens while a commit runs shares the next one; nobody sees an event before its
commit. Everything here runs on the loop's thread.
"""

from __future__ import annotations

import asyncio
import hashlib
import logging
import socket
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING

import msgspec

from a2a_cloud.model.ports import Clock, Entropy, Ids
from a2a_cloud.model.problem import (
    Busy,
    InvalidParams,
    Problem,
    ReplayDiffers,
    SkillFailed,
    StorageFull,
    TimedOut,
    Unavailable,
    WorkerLost,
)
from a2a_cloud.model.release import Release
from a2a_cloud.model.run import (
    AttemptEvent,
    Call,
    ReplyEvent,
    ResultEvent,
    RunEvent,
    StatusEvent,
    decode_event,
)
from a2a_cloud.model.scope import SYSTEM, Scope
from a2a_cloud.model.task import TaskState
from a2a_cloud.runtime.acceptance import Acceptance
from a2a_cloud.runtime.bus import Bus
from a2a_cloud.runtime.commits import Commits
from a2a_cloud.runtime.effects import Record
from a2a_cloud.runtime.frames import Frames
from a2a_cloud.runtime.granted import Granted
from a2a_cloud.runtime.keys import Keys, key_digest
from a2a_cloud.runtime.live import LiveTask, Outcome, Run
from a2a_cloud.runtime.logs import Logs
from a2a_cloud.runtime.notary import Notary
from a2a_cloud.runtime.outcomes import outcome_of, reply_of
from a2a_cloud.runtime.pool import IDLE, Pool, Turns
from a2a_cloud.runtime.ports import (
    Approvals,
    Authority,
    Billing,
    Helper,
    Launch,
    Limits,
    Principals,
    Releases,
    Watch,
)
from a2a_cloud.runtime.process import Worker
from a2a_cloud.runtime.references import references
from a2a_cloud.runtime.sandbox.port import Sandbox
from a2a_cloud.runtime.sites import Egress, Secrets, Sites
from a2a_cloud.runtime.talk import Talk
from a2a_cloud.runtime.workfiles import Workfiles
from a2a_cloud.runtime.workspace.service import Workspaces
from a2a_cloud.storage.journal.port import Journal
from a2a_cloud.storage.objects.port import ObjectStore
from a2a_cloud.storage.sql.reader import Reader
from a2a_cloud.wire.worker import Cancel, FileFrame, Result, Start, ToRuntime
from a2a_cloud.wire.worker import Log as LogFrame

if TYPE_CHECKING:
    from a2a_cloud.runtime.push.service import Push
    from a2a_cloud.runtime.replay.service import Replays

log = logging.getLogger("a2a_cloud.runs")

#: Seconds that a cancelled or timed-out run has to stop before its worker is replaced.
GRACE_SECONDS = 2.0
#: Attempts that a crash may cost a run before it counts as the crash's cause.
MAX_LOST = 3
#: Seconds between looks at deadlines.
SWEEP_SECONDS = 0.25

_encode_message = msgspec.json.Encoder().encode
_CANCEL_REASONS = {TaskState.CANCELED: "canceled", TaskState.FAILED: "timed_out"}


class Runs:
    """See the module; `Views` reads, this changes."""

    def __init__(
        self,
        *,
        journal: Journal,
        reader: Reader,
        objects: ObjectStore,
        releases: Releases,
        principals: Principals,
        notary: Notary,
        clock: Clock,
        ids: Ids,
        entropy: Entropy,
        records: Path,
        launch: Launch,
        sandbox: Sandbox,
        authority: Authority,
        approvals: Approvals,
        workspaces: Workspaces,
        egress: Egress | None = None,
        secrets: Secrets | None = None,
        idle: float = IDLE,
        limits: Limits | None = None,
        billing: Billing | None = None,
    ) -> None:
        self.journal = journal
        self.reader = reader
        self.objects = objects
        self.releases = releases
        self.principals = principals
        self.notary = notary
        self.clock = clock
        self.ids = ids
        self.entropy = entropy
        self.records = records
        self.launch = launch
        self.sandbox = sandbox
        self.idle = idle
        self.limits = limits
        self.billing = billing
        self.helper: Helper | None = None
        self.turns = Turns()
        self.authority = authority
        self.approvals = approvals
        self.bus = Bus()
        self.logs = Logs(journal, reader, clock)
        self.commits = Commits(self)
        self.granted = Granted(self)
        self.workspaces = workspaces
        self.workfiles = Workfiles(self, workspaces)
        notary.workspace = self.workfiles.facts
        self.egress = egress
        self.sites = Sites(self, egress, secrets)
        self.frames = Frames(self)
        self.talk = Talk(self)
        self.pools: dict[int, Pool] = {}
        self.tasks: dict[str, LiveTask] = {}
        self.live: dict[int, Run] = {}
        self.by_id: dict[str, Run] = {}
        self.keys = Keys(self)
        #: Tells those who want to hear of a task; app.py sets it.
        self.push: Push | None = None
        #: No new work; then, when what runs has had its time: nothing begins any more.
        self.draining = False
        self.stopped = False
        self.started = 0
        self.finished: dict[str, int] = {}
        self.acceptance = Acceptance(self)
        #: Who is told of runs' beginnings and ends, for traces; None: nobody.
        self.watch: Watch | None = None
        #: Made with the first replay that is asked for.
        self.replaying: Replays | None = None
        self._next_task = reader.last(SYSTEM, "task")
        self._loop = asyncio.get_running_loop()
        self.sweeper = self._loop.call_later(SWEEP_SECONDS, self._sweep)

    # --- taking calls -----------------------------------------------------------------------------

    def submit(self, call: Call) -> Run:
        """Take a call: a new run, a follow-up, the answer to an open question, or the run of an
        earlier identical call.

        The run is durable once `accepted()` returns. Raises Unavailable, StorageFull, Busy,
        TaskNotFound, UnsupportedOperation, InvalidParams, IdempotencyConflict.
        """
        if self.draining and (call.parent is None or self.stopped):
            raise Unavailable("The platform is stopping.", remedy="Try again shortly.", retry_after=5)
        digest = b""
        if call.key:
            digest = key_digest(call.release, call.principal, call.key)
            # A new call's key is looked up by the insert itself; only where a repeat must not even
            # be tried (answers, children, what may begin before it is stored) is it looked up before.
            look = (
                bool(call.task_id)
                or call.answer
                or call.parent is not None
                or self.journal.full
                or self._eager(call)
            )
            known = self.keys.known(call, digest, look=look)
            if known is not None:
                return known
            if call.answer and not call.task_id:
                raise InvalidParams(
                    "An earlier call under this messageId was not taken after all.", remedy="Send it again."
                )
        # A child belongs to work that was taken before: it waits for room, as everything of that does.
        if self.journal.full and call.parent is None:
            raise StorageFull(remedy="Free some space on the disk of A2A_DATA.", retry_after=5)
        if call.task_id:
            return self.talk.continue_task(call, digest)
        pool = self.pool(call.release)
        limit = call.release.manifest.limits.queue
        if pool.queued >= limit:
            raise Busy(
                f"{pool.queued} calls to {call.release.name} are waiting already.",
                remedy="Try again after the time that Retry-After gives.",
                retry_after=1,
            )
        self._next_task += 1
        task = LiveTask(
            self._next_task,
            self.ids.new("task"),
            call.release.org_no,
            call.principal.no,
            call.release.agent_no,
            call.context_id or self.ids.new("ctx"),
        )
        run = self.acceptance.accept(call, task, digest)
        if self.watch is not None:
            self.watch.accepted(run)
        return run

    def _eager(self, call: Call) -> bool:
        spec = call.release.skill(call.skill) if call.skill else None
        return spec is not None and spec.idempotent

    def deadline(self, run: Run) -> float:
        """When the run's time is up, in monotonic seconds, if it began now."""
        limits = run.call.release.manifest.limits
        seconds = (run.spec.timeout if run.spec is not None else 0.0) or limits.timeout
        deadline = self.clock.monotonic() + seconds
        return deadline if run.call.deadline is None else min(deadline, run.call.deadline)

    # --- to a worker ------------------------------------------------------------------------------

    def pool(self, release: Release) -> Pool:
        """The release's pool, made when first needed."""
        pool = self.pools.get(release.no)
        if pool is None:
            pool = self.pools[release.no] = Pool(
                release,
                self,
                self.clock,
                self.records,
                self.launch,
                self.sandbox,
                self.turns,
                self.idle,
            )
        return pool

    def start_run(self, worker: Worker, run: Run) -> None:
        """See PoolOwner: the worker has taken a slot for the run."""
        run.worker = worker
        worker.runs[run.no] = run
        if run.started is None:
            run.started = self.clock.now()
        elif run.idle_since is not None:
            run.unworked += max(0.0, self.clock.now() - run.idle_since)
        run.idle_since = None
        run.deadline = self.deadline(run)
        if run.grants:
            self.granted.outlive(run)
        worker.send(self.start_frame(run))

    def start_frame(self, run: Run) -> Start:
        """What a worker is told of a run that begins."""
        call = run.call
        files = call.files
        return Start(
            run=run.no,
            run_id=run.id,
            task_id=run.task.id,
            context_id=run.task.context_id,
            skill=call.skill,
            arguments=call.arguments,
            message=_encode_message(call.message),
            timeout=run.deadline - self.clock.monotonic(),
            attempt=run.attempt,
            files=[
                FileFrame(
                    one.param,
                    one.name,
                    one.media_type,
                    one.size,
                    one.inline,
                    one.object.sha256 if one.object is not None else "",
                )
                for one in files
            ]
            if files
            else [],
            history=self.talk.history(run) if run.ordinal > 1 else b"",
            caller=call.principal.name,
            org=call.principal.org,
            parent_agent=self.talk.parent_agent(call) if call.parent is not None else "",
            now=run.record.now if run.record is not None else [],
            output_modes=call.output_modes,
            references=references(self, run) if call.message.reference_task_ids else b"",
            extensions=call.extensions,
            actors=list(call.principal.actors),
        )

    def run_frame(self, worker: Worker, frame: ToRuntime) -> None:
        """See PoolOwner."""
        run = worker.runs.get(frame.run)  # type: ignore[union-attr]
        if run is None:
            if type(frame) is LogFrame:  # Of no run, or of a thread that outlived its run.
                self.log_line(worker.release, 0, frame.level, frame.source, frame.line)
            return  # A late word of a run that has ended.
        if type(frame) is Result:
            self.sites.leave(run)
            self.pools[run.call.release.no].release_run(run)
            if run.ending is None:
                self._result(run, frame)
        elif run.ending is None:
            self.frames.take(run, frame)

    def _result(self, run: Run, frame: Result) -> None:
        record = run.record
        if record is not None and (record.replaying or record.held):
            self.frames.differs(run, f"ended ({frame.status})")
            return
        trouble = frame.trouble
        if (
            frame.status == "failed"
            and trouble is not None
            and trouble.retry
            and run.spec is not None
            and run.attempt <= run.spec.retries
        ):
            self.again(run, trouble.detail, min(30.0, 0.5 * 2 ** (run.attempt - 1)))
            return
        self.finish(run, outcome_of(run, frame))

    def again(self, run: Run, why: str, delay: float) -> None:
        """Begin a further attempt from scratch; what the last one put out is void."""
        run.attempt += 1
        if run.idle_since is None:
            run.idle_since = self.clock.now()
        run.record = None
        self.frames.scopes.ended(run)
        run.question = None
        run.parked = False
        run.asleep = 0
        self.workfiles.restart(run)
        run.append(AttemptEvent(attempt=run.attempt, why=why[:500]))
        self.flush(run)
        self._requeue(run, delay)

    def replay(self, run: Run) -> None:
        """Run the skill again with the recorded effects, once what is pending is on disk."""

        def go() -> None:
            if run.ending is not None or run.worker is not None or run in self.pool(run.call.release).waiting:
                return  # Somebody else had it replayed in the meantime.
            events = [
                (seq, decode_event(body))
                for seq, body in self.reader.events(Scope(org=run.task.org_no), run.no)
            ]
            run.record = Record.replay(events)
            run.asleep = 0
            if run.work is None and not run.grants:
                self._requeue(run, 0.0)
            else:
                self.workfiles.spawn(self._replay_files(run, run.record, events))

        self.when_written(run, go)

    async def _replay_files(self, run: Run, record: Record, events: list[tuple[int, RunEvent]]) -> None:
        """Before a replay: what the run wrote is there, and can be read again."""
        try:
            await self.workfiles.rebuild(run, events)
            await self.workfiles.store(run)
        except Problem as problem:
            if run.ending is None and run.record is record:
                self.finish(run, Outcome(TaskState.FAILED, problem=problem, dead=True))
            return
        if run.record is record:
            self._requeue(run, 0.0)

    def _requeue(self, run: Run, delay: float) -> None:
        run.text = run.unacked = run.uploaded = 0  # Counted anew, with what comes again.

        def go() -> None:
            pool = self.pool(run.call.release)
            if run.ending is None and run.worker is None and run not in pool.waiting:
                run.deadline = self.deadline(run)
                pool.enqueue(run)

        if delay:
            self._loop.call_later(delay, go)
        else:
            go()

    def run_lost(self, run: Run, why: str) -> None:
        """See PoolOwner: what happens to a run whose worker is gone (house table)."""
        if run.ending is not None:
            return
        spec = run.spec
        if run.parked and not run.replayable:
            self.lose(run, f"The run kept its place in a worker, and {why}.")
            return
        if run.parked and run.question is not None:
            return  # It stays parked; the answer replays it.
        if run.asleep and run.replayable:
            run.deadline = float("inf")
            return  # So it does while it sleeps.
        run.lost += 1
        if run.lost > MAX_LOST:
            self.lose(run, f"The run lost its worker {run.lost} times; the last time {why}.")
        elif run.parked or (spec is not None and spec.durable):
            self.replay(run)
        elif spec is not None and spec.idempotent:
            self.again(run, why, 0.0)
        else:
            self.lose(run, f"While it ran, {why}.")

    def lose(self, run: Run, detail: str) -> None:
        """The run can't go on and may not be repeated: it fails with worker_lost, on the dead-letter list."""
        problem = WorkerLost(detail, remedy="Check what it did before you call again; see `a2a runs --dead`.")
        self.finish(run, Outcome(TaskState.FAILED, problem=problem, dead=True))

    @property
    def replays(self) -> Replays:
        """Replays of what has ended (docs/replay.md)."""
        if self.replaying is None:
            from a2a_cloud.runtime.replay.service import Replays

            self.replaying = Replays(self)
        return self.replaying

    # --- what recovery puts back --------------------------------------------------------------------

    def request_hash(self, run: Run) -> str:
        """The salted hash of the stored call."""
        body = self.reader.call(Scope(org=run.task.org_no), run.no) or b""
        return hashlib.sha256(run.salts[:16] + body).hexdigest()

    def run_failed(self, run: Run, problem: Problem) -> None:
        """See PoolOwner: a limit ended its worker, and would again."""
        self.finish(run, Outcome(TaskState.FAILED, problem=problem))

    def cannot_start(self, run: Run, why: str, problem: Problem | None = None) -> None:
        """See PoolOwner."""
        problem = problem or SkillFailed(
            f"The agent could not be started: {why}.".replace("..", "."),
            remedy=f"See `a2a logs {run.call.release.name}`.",
        )
        self.finish(run, Outcome(TaskState.FAILED, problem=problem))

    def on_listener(self, worker: Worker, listener: socket.socket) -> None:
        """See PoolOwner."""
        self.sites.open(worker, listener)

    def worker_ended(self, worker: Worker) -> None:
        """See PoolOwner."""
        self.sites.close(worker)

    # --- the end of a run -------------------------------------------------------------------------

    def finish(self, run: Run, outcome: Outcome) -> None:
        """The run ends so; its end is visible once it is committed. Later calls change nothing."""
        if run.ending is not None:
            return
        if outcome.reply is not None and run.seq and not outcome.late:
            outcome = reply_of(run, outcome, outcome.reply)
        self.sites.leave(run)
        run.ending = outcome
        if run.question is not None:
            self.frames.scopes.ended(run)
        run.question = None
        run.parked = False
        if run.work is not None:
            run.committing = self.workfiles.commits(run, outcome)
        pool = self.pools.get(run.call.release.no)
        if pool is not None and run.worker is None:
            pool.drop(run)
        self.stop_worker(run)
        if run.children:
            for child in run.children:
                self.cancel_run(child)
                child.on_end = lambda _: self._conclude(run)
        self._conclude(run)

    def committed(self, run: Run, problem: Problem | None) -> None:
        """What the run wrote into its workspace is ready to be committed with its end, or can't be."""
        run.committing = False
        outcome = run.ending
        if problem is not None and outcome is not None:
            if outcome.state is TaskState.COMPLETED:
                run.ending = Outcome(TaskState.FAILED, problem=problem)
            else:
                detail = f"What it wrote could not be kept: {problem.sentence}"
                self.log_line(run.call.release, run.no, "error", "platform", detail)
        self._conclude(run)

    def _conclude(self, run: Run) -> None:
        """Write the run's end, once its children have theirs, for its receipt names their receipts, and
        once the runs before it in its task have theirs, so that the last one closes the task."""
        outcome = run.ending
        if outcome is None or run.over or run is not run.task.current:
            return
        if run.children and any(child.no in self.live for child in run.children):
            return
        if run.committing:
            return
        run.over = True
        now = run.ended = self.clock.now()
        message = None
        if outcome.value is not None:
            run.append(ResultEvent(value=outcome.value))
        if outcome.reply is not None:
            if run.replies(outcome):
                run.append(ReplyEvent(message=outcome.reply))
            else:
                message = outcome.reply
        problem = outcome.problem
        run.append(
            StatusEvent(
                state=outcome.state,
                at=now,
                message=message,
                problem_code=problem.code if problem is not None else "",
                problem_detail=problem.sentence if problem is not None else "",
            )
        )
        self.flush(run)

    def stop_worker(self, run: Run) -> None:
        """Tell the worker, if it still runs the run, and see that it obeys."""
        worker = run.worker
        if worker is None or run.ending is None or run.ending.state is TaskState.COMPLETED:
            return
        worker.told.add(run.no)
        worker.send(Cancel(run.no, _CANCEL_REASONS.get(run.ending.state, "canceled")))
        self._loop.call_later(GRACE_SECONDS, self._stuck, run, worker)

    def _stuck(self, run: Run, worker: Worker) -> None:
        if run.worker is worker and not worker.gone:
            self.log_line(
                run.call.release, run.no, "error", "platform", "The run did not stop when it was told to."
            )
            self.pools[run.call.release.no].replace(worker, "a run did not stop when it was told to")

    def cancel_run(self, run: Run) -> None:
        """End a run as canceled."""
        self.finish(run, Outcome(TaskState.CANCELED))

    # --- commits ----------------------------------------------------------------------------------

    def flush(self, run: Run) -> None:
        """Commit what is pending with the journal's next group."""
        self.commits.flush(run)

    def when_written(self, run: Run, then: Callable[[], object]) -> None:
        """Call `then` once everything pending of the run is on disk."""
        self.commits.when_written(run, then)

    def ended(self, run: Run) -> None:
        short = run.state.short
        self.finished[short] = self.finished.get(short, 0) + 1
        if self.watch is not None:
            self.watch.ended(run)
        run.task.last = run.state
        self.forget(run)
        if run.on_end is not None:
            run.on_end(run)
        following = run.task.current
        if following is None:
            return
        if following.ending is not None:
            self._conclude(following)
        elif following.is_accepted and following.worker is None:
            following.deadline = self.deadline(following)
            self.pool(following.call.release).enqueue(following)

    def forget(self, run: Run) -> None:
        task = run.task
        self.live.pop(run.no, None)
        if self.limits is not None and run.lane is not None:
            plain = run.since and not run.parked_left and run.attempt == 1
            took = self.clock.monotonic() - run.since if plain and run.state is TaskState.COMPLETED else None
            self.limits.leave(run.lane, took)
            run.lane = None
        self.by_id.pop(run.id, None)
        self.keys.forget(run)
        self.frames.transfers.forget(run)
        if run.work is not None:
            self.workfiles.forget(run)
        if run in task.runs:
            task.runs.remove(run)
        if not task.runs:
            self.tasks.pop(task.id, None)

    # --- time -------------------------------------------------------------------------------------

    def _sweep(self) -> None:
        self.sweeper = self._loop.call_later(SWEEP_SECONDS, self._sweep)
        now = self.clock.monotonic()
        overdue = [run for run in self.live.values() if run.deadline < now and run.ending is None]
        for run in overdue:
            waited = run.worker is None
            detail = "The run waited too long for a free worker." if waited else _too_long(run)
            self.finish(
                run,
                Outcome(
                    TaskState.FAILED,
                    problem=TimedOut(
                        detail, remedy="Raise `timeout` of the skill or in [limits] if it needs more."
                    ),
                ),
            )
        for pool in list(self.pools.values()):
            pool.trim()
        self.frames.scopes.sweep(now)
        self.sites.sweep(now)

    def differs(self, run: Run, detail: str) -> None:
        """A replay did something else than the record says."""
        problem = ReplayDiffers(detail, remedy="Deploy the code that began the run, or start a new run.")
        self.finish(run, Outcome(TaskState.FAILED, problem=problem, dead=True))

    # --- logs -------------------------------------------------------------------------------------

    def log_line(self, release: Release, run_no: int, level: str, source: str, line: str) -> bool:
        """See PoolOwner. Lines are kept as far as the release's log limit goes."""
        return self.logs.add(release, run_no, level, source, line)

    def log_dropped(self, release: Release, lines: int) -> None:
        """See PoolOwner."""
        self.logs.drop(release, lines)


def _too_long(run: Run) -> str:
    """That the run took longer than it may, with what says so."""
    if run.call.deadline is not None and run.call.deadline <= run.deadline:
        return "The run took longer than its caller gave it."
    own = run.spec.timeout if run.spec is not None else 0.0
    seconds = own or run.call.release.manifest.limits.timeout
    where = "of the skill" if own else "under [limits] in a2a.toml"
    return f"The run took longer than it may ({seconds:g} s): `timeout` {where}."
