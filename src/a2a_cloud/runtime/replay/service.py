"""Replays: finds what is stored of a run, starts a worker of the release in the same sandbox, and says what
came of it (docs/replay.md). The workers are none that serve calls: they have no way out to the network, and
end when nothing is replayed any more. Nothing of a replay is written.
"""

from __future__ import annotations

import asyncio
import itertools
import socket
from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING

import msgspec

from a2a_cloud.model.problem import Busy, Problem, ReceiptPending, ReleaseNotFound, RunNotFound, Unavailable
from a2a_cloud.model.receipt import ReceiptBody, WorkspaceFacts
from a2a_cloud.model.release import Release
from a2a_cloud.model.replay import Difference, Missing, Verdict
from a2a_cloud.model.run import BoundFile, RunEvent, decode_event
from a2a_cloud.model.scope import Scope
from a2a_cloud.model.task import TERMINAL, TaskState
from a2a_cloud.ops.rooms import Rooms
from a2a_cloud.runtime.effects import Record
from a2a_cloud.runtime.egress.inject import Injection
from a2a_cloud.runtime.live import LiveTask, Run
from a2a_cloud.runtime.notary import Kept
from a2a_cloud.runtime.pool import Pool
from a2a_cloud.runtime.process import COMMAND, Worker
from a2a_cloud.runtime.replay.files import Files
from a2a_cloud.runtime.replay.trial import End, Trial, before_end, end_of
from a2a_cloud.runtime.stored import load_call
from a2a_cloud.wire.canonical import salted_sha256
from a2a_cloud.wire.json_schema import BadSchema, Misfit, check
from a2a_cloud.wire.seal import SALT, Salts, events_payload
from a2a_cloud.wire.worker import Cancel, Result, ToRuntime

if TYPE_CHECKING:
    from a2a_cloud.runtime.runs import Runs
    from a2a_cloud.runtime.sites import Served
    from a2a_cloud.storage.sql.reader import ReceiptRow, RunRow

#: Replays that run at one time, of one organisation and in all; and those of one that may wait besides.
OF_ONE, AT_ONCE, WAITING = 3, 4, 256
#: Seconds that a replayed run has to stop before its worker is replaced.
GRACE_SECONDS = 2.0
#: Seconds between looks at workers that nobody needs any more.
SWEEP_SECONDS = 1.0
#: Places that one replay's notes name.
PLACES = 10

#: Ends that say nothing of the code.
_NO_END = {
    "worker_lost": "The platform lost the worker that ran it, so there is no end to compare with.",
    "internal": "The platform failed while it ran, so there is no end to compare with.",
    "replay_differs": "It ended because its own replay went another way: its record is of other code.",
}
_NO_SALT = bytes(SALT)

_kept = msgspec.msgpack.Decoder(Kept)
_body = msgspec.json.Decoder(ReceiptBody)
_facts = msgspec.json.Decoder(WorkspaceFacts | None)


class _Gone(Exception):
    """The replay ends before it began."""

    def __init__(self, found: Difference | Missing) -> None:
        super().__init__()
        self.found = found


class Stored(msgspec.Struct):
    """What is stored of a run that has ended."""

    row: RunRow
    receipt: ReceiptRow
    kept: Kept
    call: bytes
    events: list[tuple[int, RunEvent]]
    recorded: Release | None
    end: End

    @property
    def receipt_id(self) -> str:
        """The receipt's id."""
        return "rcpt_" + self.receipt.id.hex()


class Replays:
    """See the module. One per engine; the owner of its workers' pools."""

    def __init__(self, runs: Runs) -> None:
        self._runs = runs
        self._pools: dict[int, Pool] = {}
        self._trials: dict[int, Trial] = {}
        self._sites: dict[Worker, Served] = {}
        self._numbers = itertools.count(1)
        self._rooms = Rooms(OF_ONE, AT_ONCE)
        self._sweeper: asyncio.TimerHandle | None = None
        self._tasks: set[asyncio.Task[None]] = set()
        self._closed = False

    async def replay(
        self, org_no: int, run_id: str, *, release: Release | None = None, body: ReceiptBody | None = None
    ) -> Verdict:
        """Replay a run of that organisation, with the code of `release` (None: its own). `body` is of a
        receipt that was verified: what is stored is compared with it as well.

        Raises RunNotFound, ReceiptPending for a run that has not ended, ReleaseNotFound for a release of
        another agent, Busy, Unavailable.
        """
        self._check_open()
        if self._rooms.asking(org_no) >= OF_ONE + WAITING:
            raise Busy(f"{WAITING} replays are waiting already.", remedy="Try again.", retry_after=5)
        async with self._rooms.of(org_no):
            self._check_open()  # It may have closed while this one waited: nobody would end its worker.
            return await self._replay(org_no, run_id, release, body)

    def _check_open(self) -> None:
        if self._closed or self._runs.draining:
            raise Unavailable("The platform is stopping.", remedy="Try again shortly.", retry_after=5)

    async def _replay(
        self, org_no: int, run_id: str, release: Release | None, body: ReceiptBody | None
    ) -> Verdict:
        found, row = self._row(org_no, run_id)
        if release is not None and release.agent_no != row.agent:
            raise ReleaseNotFound(
                f"The agent of that run is gone, and another one is called {release.name} now.",
                remedy="Replay it without --release.",
            )
        recorded = self._runs.releases.by_no(row.release)
        trial: Trial | None = None
        outcome: Difference | Missing | None
        try:
            stored = self._stored(row, found, recorded, body)
            trial = self._trial(stored, release)
            outcome = await self._run(trial, stored)
        except _Gone as gone:
            outcome = gone.found
        number = self._runs.releases.number
        return Verdict(
            run=row.id,
            receipt="rcpt_" + found.id.hex(),
            agent=(release or recorded).name if release or recorded else "",  # type: ignore[union-attr]
            skill=row.skill,
            recorded=number(row.release),
            release=number(row.release if release is None else release.no),
            verdict="identical"
            if outcome is None
            else "different"
            if isinstance(outcome, Difference)
            else "unavailable",
            difference=outcome if isinstance(outcome, Difference) else None,
            missing=outcome if isinstance(outcome, Missing) else None,
            notes=trial.notes if trial is not None else [],
            effects=trial.effects if trial is not None else 0,
            outputs=trial.outputs if trial is not None else 0,
            files=trial.files.compared if trial is not None and trial.files is not None else 0,
            seconds=round(trial.ended - trial.began, 3) if trial is not None and trial.began else 0.0,
        )

    # --- what is stored -------------------------------------------------------------------------------

    def _row(self, org_no: int, run_id: str) -> tuple[ReceiptRow, RunRow]:
        reader, scope = self._runs.reader, Scope(org=org_no)
        row = reader.run(scope, run_id)
        if row is None:
            raise RunNotFound(f"There is no run {run_id}.", remedy="See `a2a runs`.")
        receipt = reader.receipt(scope, row.no)
        if receipt is None or TaskState(row.state) not in TERMINAL:
            raise ReceiptPending(
                f"Run {run_id} has not ended.", remedy="Replay it when it has.", retry_after=1
            )
        return receipt, row

    def _stored(
        self, row: RunRow, receipt: ReceiptRow, recorded: Release | None, body: ReceiptBody | None
    ) -> Stored:
        reader, scope = self._runs.reader, Scope(org=row.org)
        kept = _kept.decode(receipt.sections)
        salts = Salts(kept.salts)
        call = reader.call(scope, row.no)
        if call is None or _NO_SALT in (salts.request, salts.events):
            told = self._runs.notary.erased(row.no)
            if told is None:
                why = "What the run was told, said and did has been cleared away."
            else:
                why = f"What the run was told, said and did was erased at {told[0]} by {told[1]}."
            raise _Gone(Missing("payload", why))
        bodies = reader.events(scope, row.no)
        self._fits(receipt, salts, call, [each for _, each in bodies], body)
        if row.problem in _NO_END:
            raise _Gone(Missing("end", _NO_END[row.problem]))
        events = [(seq, decode_event(each)) for seq, each in bodies]
        end = end_of(events)
        if end is None or row.started is None:
            raise _Gone(Missing("end", "Its code never began."))
        return Stored(row, receipt, kept, call, events, recorded, end)

    def _fits(
        self, receipt: ReceiptRow, salts: Salts, call: bytes, bodies: list[bytes], body: ReceiptBody | None
    ) -> None:
        """Whether what is stored is what the receipt says; both receipts', where one was given."""
        own = _body.decode(receipt.body)
        hashes = {
            "request_sha256": salted_sha256(salts.request, call),
            "events_sha256": salted_sha256(salts.events, events_payload(bodies)),
        }
        for said in (own,) if body is None else (body, own):
            for name, got in hashes.items():
                expected = getattr(said, name)
                if expected != got:
                    raise _Gone(Difference(0, "record", name, expected, got))
        if body is not None and body != own:
            sides = f"signed by {body.issuer_kid}", f"signed by {own.issuer_kid}"
            raise _Gone(Difference(0, "record", "receipt", *sides))

    # --- what is run ----------------------------------------------------------------------------------

    def _trial(self, stored: Stored, other: Release | None) -> Trial:
        row, runs = stored.row, self._runs
        release = other or stored.recorded
        if release is None:
            number = runs.releases.number(row.release)
            raise _Gone(Missing("release", f"Release {number or ''} that it ran with is gone."))
        principal = runs.principals.by_no(row.owner)
        if principal is None:
            raise _Gone(Missing("payload", "Who called is not known any more."))
        call = load_call(stored.call, release, principal, row.skill, row.context, row.task_id)
        task = LiveTask(row.task, row.task_id, row.org, row.owner, row.agent, row.context)
        task.closing = True
        spec = release.skill(row.skill) if row.skill else None
        # Live runs have numbers above 0, so none of the frames can be taken for one of theirs.
        run = Run(-next(self._numbers), row.id, task, row.ordinal, call, spec)
        run.created, run.attempt = row.created, row.attempt
        run.objects = _given(call.files)
        events = before_end(stored.events)
        run.events = [(seq, event) for seq, event in events if event.visible]
        run.record = Record.replay(events)
        trial = Trial(run, run.record, stored.end)
        if other is not None:
            self._takes(release, row.skill, bytes(call.arguments))
        self._same_place(release, stored, trial, asked=other is not None)
        facts = _facts.decode(stored.kept.workspace)
        trial.files = Files(runs, run, facts, stored.events, trial.stop)
        return trial

    def _takes(self, release: Release, skill: str, arguments: bytes) -> None:
        """Whether another release takes the call at all."""
        if not skill:
            if not release.has_message_handler:
                raise _Gone(Difference(0, "skill", "", "a message handler", "none"))
            return
        spec = release.skill(skill)
        if spec is None:
            known = ", ".join(one.id for one in release.skills)
            raise _Gone(Difference(0, "skill", skill, skill, f"only {known}"))
        try:
            check(bytes(spec.input_schema), msgspec.json.decode(arguments))
        except Misfit as misfit:
            raise _Gone(
                Difference(
                    0, "arguments", skill, "arguments that fit its schema", str(misfit)[:200], misfit.path
                )
            ) from None
        except BadSchema as error:
            raise _Gone(Difference(0, "arguments", skill, "a schema", str(error)[:200])) from None

    def _same_place(self, release: Release, stored: Stored, trial: Trial, *, asked: bool) -> None:
        """Whether the code would run in what it ran in. For a release that was `asked` for, what differs is a
        note where the record is of that same release, and a matter of course where it is of another."""
        was = msgspec.json.decode(stored.kept.env)
        now = msgspec.to_builtins(self._runs.notary.environment(release))
        same = stored.recorded is not None and stored.recorded.no == release.no
        for name, what in (("deps_digest", "packages"), ("runtime_digest", "interpreter")):
            if same and was.get(name) != now.get(name):
                why = f"Its {what} were others when it ran: {name} in its receipt is {was.get(name)}."
                if not asked:
                    more = f" With --release {release.number} it is replayed all the same."
                    raise _Gone(Missing("environment", why + more))
                trial.notes.append(why)
        if release.environment and tuple(self._runs.launch.command(release)) == COMMAND:
            raise _Gone(Missing("environment", f"The environment {release.environment} is gone."))
        if was.get("sandbox") != now.get("sandbox"):
            trial.notes.append(
                f"It ran in the sandbox {was.get('sandbox')!r}, now in {now.get('sandbox')!r}."
            )

    async def _run(self, trial: Trial, stored: Stored) -> Difference | Missing | None:
        files, run = trial.files, trial.run
        assert files is not None
        self._trials[run.no] = trial
        try:
            await files.open()
            if not trial.done:
                self._pool(run.call.release).enqueue(run)
            return await asyncio.shield(trial.found)
        finally:
            trial.stop(Missing("worker", "Nobody waits for it any more."))
            files.close()
            self._stop_worker(run)
            if run.worker is None:
                self._forget(run)

    def _pool(self, release: Release) -> Pool:
        pool = self._pools.get(release.no)
        if pool is None:
            runs = self._runs
            pool = self._pools[release.no] = Pool(
                release, self, runs.clock, runs.records, runs.launch, runs.sandbox, runs.turns, runs.idle
            )
            pool.serving = False  # Its workers end soon after the last replay.
            if self._sweeper is None:
                self._sweeper = asyncio.get_running_loop().call_later(SWEEP_SECONDS, self._sweep)
        return pool

    def _sweep(self) -> None:
        for no, pool in list(self._pools.items()):
            pool.trim()
            if (
                not pool.workers
                and not pool.queued
                and not any(one.run.call.release.no == no for one in self._trials.values())
            ):
                del self._pools[no]
        loop = asyncio.get_running_loop()
        self._sweeper = loop.call_later(SWEEP_SECONDS, self._sweep) if self._pools else None

    def _stop_worker(self, run: Run) -> None:
        """What came of it is known: tell a worker that still runs it, and see that it obeys."""
        pool, worker = self._pools.get(run.call.release.no), run.worker
        if pool is None:
            return
        if worker is None:
            pool.drop(run)
            return
        worker.told.add(run.no)
        worker.send(Cancel(run.no, "canceled"))

        def look() -> None:
            if run.worker is worker and not worker.gone:
                pool.replace(worker, "a replayed run did not stop when it was told to")

        asyncio.get_running_loop().call_later(GRACE_SECONDS, look)

    def _forget(self, run: Run) -> None:
        self._trials.pop(run.no, None)

    async def close(self) -> None:
        """End all at once: the platform stops."""
        self._closed = True
        if self._sweeper is not None:
            self._sweeper.cancel()
        for trial in list(self._trials.values()):
            trial.stop(Missing("worker", "The platform was stopped."))
        for pool in list(self._pools.values()):
            await pool.close()

    # --- the pools' owner (runtime/pool.py) -----------------------------------------------------------

    def start_run(self, worker: Worker, run: Run) -> None:
        """See PoolOwner."""
        trial = self._trials[run.no]
        run.worker = worker
        worker.runs[run.no] = run
        run.deadline = self._runs.deadline(run)
        worker.send(self._runs.start_frame(run))
        trial.begin(run.deadline - self._runs.clock.monotonic())

    def run_frame(self, worker: Worker, frame: ToRuntime) -> None:
        """See PoolOwner."""
        run = worker.runs.get(frame.run)  # type: ignore[union-attr]
        trial = self._trials.get(run.no) if run is not None else None
        if run is None or trial is None:
            return
        trial.take(frame)
        if type(frame) is Result:
            self._pools[run.call.release.no].release_run(run)
            if trial.done:
                self._forget(run)

    def run_lost(self, run: Run, why: str) -> None:
        """See PoolOwner."""
        trial = self._trials.get(run.no)
        if trial is not None:
            trial.stop(Missing("worker", f"While it was replayed, {why}."))
            self._forget(run)

    def run_failed(self, run: Run, problem: Problem) -> None:
        """See PoolOwner."""
        trial = self._trials.get(run.no)
        if trial is not None:
            trial.failed(problem.code, problem.sentence)
            self._forget(run)

    def cannot_start(self, run: Run, why: str, problem: Problem | None = None) -> None:
        """See PoolOwner."""
        trial = self._trials.get(run.no)
        if trial is not None:
            said = problem.sentence if problem is not None else f"The agent could not be started: {why}."
            trial.stop(Missing("worker", said.replace("..", ".")))

    def on_listener(self, worker: Worker, listener: socket.socket) -> None:
        """See PoolOwner: whoever looks for a way out hears that there is none."""
        egress = self._runs.egress
        if egress is None or worker.gone:
            listener.close()
            return
        try:
            self._sites[worker] = egress.serve(listener, NoWayOut(worker, self._tell))
        except RuntimeError as error:
            listener.close()
            worker.kill(f"it can't be told that it has no way out: {error}")

    def _tell(self, worker: Worker, note: str) -> None:
        for no in worker.runs:
            trial = self._trials.get(no)
            if trial is not None and note not in trial.notes and len(trial.notes) < PLACES:
                trial.notes.append(note)

    def worker_ended(self, worker: Worker) -> None:
        """See PoolOwner."""
        served = self._sites.pop(worker, None)
        if served is not None:
            served.cut()
            task = asyncio.get_running_loop().create_task(served.stop())
            self._tasks.add(task)
            task.add_done_callback(self._tasks.discard)

    def log_line(self, release: Release, run_no: int, level: str, source: str, line: str) -> bool:
        """See PoolOwner: what a replay prints is no line of the agent's log."""
        return True

    def log_dropped(self, release: Release, lines: int) -> None:
        """See PoolOwner."""


class NoWayOut:
    """The site of a worker that replays (`egress.site.EgressSite`): nothing may be connected to."""

    def __init__(self, worker: Worker, tell: Callable[[Worker, str], None]) -> None:
        self._worker = worker
        self._tell = tell

    def allows(self, host: str, port: int) -> str:
        """See `EgressSite`."""
        return (
            "This is a replay, which has no network: what is fetched in ctx.step is answered from the record."
        )

    def holds(self, host: str, port: int) -> str:
        """See `EgressSite`."""
        return self.allows(host, port)

    def secrets(self) -> Sequence[Injection]:
        """See `EgressSite`."""
        return ()

    def secret(self, name: str) -> str:
        """See `EgressSite`."""
        return ""

    def connected(self, host: str, port: int, address: str, decision: str) -> None:
        """See `EgressSite`."""
        self._tell(self._worker, f"It wanted to connect to {host}:{port}; a replay has no network.")

    def ended(self, host: str, port: int, sent: int, received: int) -> None:
        """See `EgressSite`."""


def _given(files: list[BoundFile]) -> frozenset[tuple[str, int]]:
    return frozenset((one.object.sha256, one.object.size) for one in files if one.object is not None)
