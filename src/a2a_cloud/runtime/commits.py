"""From events to disk: what is pending of a run becomes one write of the journal's next group, its end with
result, receipt, workspace and place in the log the last of them. Nobody sees an event before its commit."""

from __future__ import annotations

import logging
from collections.abc import Callable
from typing import TYPE_CHECKING

from a2a_cloud.model.problem import Internal, Problem
from a2a_cloud.model.receipt import LedgerFacts
from a2a_cloud.model.run import AttemptEvent, ReplyEvent, ResultEvent, StatusEvent, encode_event
from a2a_cloud.model.scope import Scope
from a2a_cloud.model.task import TERMINAL, TaskState
from a2a_cloud.runtime.live import Outcome, Run
from a2a_cloud.runtime.measured import measure
from a2a_cloud.storage.journal.port import Op, Write
from a2a_cloud.storage.sql import statements as sql
from a2a_cloud.storage.sql.schema import SEQ_BITS
from a2a_cloud.wire.canonical import salted_sha256
from a2a_cloud.wire.seal import EventsDigest, Salts
from a2a_cloud.wire.worker import Ack

if TYPE_CHECKING:
    from a2a_cloud.runtime.runs import Runs

log = logging.getLogger("a2a_cloud.runs")


class Commits:
    """See the module. One per engine."""

    def __init__(self, runs: Runs) -> None:
        self._runs = runs

    def flush(self, run: Run) -> None:
        """Commit what is pending with the journal's next group."""
        if run.write is None:
            # What is still to come joins the write until its group forms; after a run's end nothing
            # comes, so its receipt is made now, while the writer works on another group.
            whole = run.over and run.is_accepted
            run.write = Write(
                done=lambda error: self._written(run, error),
                must=True,
                after=run.acceptance,  # It may have begun early, and must not be stored if it is refused.
            )
            if whole:
                run.write.ops = self._collect(run)
            else:
                run.write.collect = lambda: self._collect(run)
            self._runs.journal.submit(run.write)

    def when_written(self, run: Run, then: Callable[[], object]) -> None:
        """Call `then` once everything pending of the run is on disk."""
        if not run.pending and not run.ops and run.write is None:
            then()
            return
        run.idle.append(then)
        self.flush(run)

    def _collect(self, run: Run) -> list[Op]:
        if run.void:
            return []
        task = run.task
        org = task.org_no
        ops, run.ops = run.ops, []
        flight = run.flight = run.pending
        run.pending = []
        base = run.no << SEQ_BITS
        digest = run.digest
        if digest is None:
            digest = run.digest = self._digest(run)
        outcome = run.ending if run.over else None
        response = b""
        state: StatusEvent | None = None
        attempted = replied = False
        for seq, event in flight:
            body = encode_event(event)
            digest.add(body)
            ops.append((sql.ADD_EVENT, (base | seq, org, body)))
            if type(event) is StatusEvent:
                state = event
            elif type(event) is ResultEvent:
                response = body
            elif type(event) is ReplyEvent:
                response, replied = body, True
            elif type(event) is AttemptEvent:
                attempted = True
        if outcome is not None and not run.sealed:
            run.sealed = True
            ended = run.ended or self._runs.clock.now()
            price = ledger = None
            entries = b""
            if (run.hold is not None or run.usage) and self._runs.billing is not None:
                measure(self._runs, run, response, ended)
                paid = self._runs.billing.settle(run, outcome.state.short)
                ops += paid.ops
                price, entries = paid.price, paid.entries
                if entries:
                    hashed = salted_sha256(Salts(run.salts).ledger, entries)
                    ledger = LedgerFacts(entries_sha256=hashed, txn_id=paid.txn)
            sealed, op = self._runs.notary.seal(
                run, outcome, digest.hexdigest(), response, ended, price=price, ledger=ledger, entries=entries
            )
            run.sealing = sealed.id
            problem = outcome.problem
            ops.append(op)
            if run.work is not None and run.work.pending is not None:
                ops += run.work.pending.ops
            ops.append(
                (
                    sql.END_RUN,
                    (
                        outcome.state.value,
                        run.attempt,
                        run.started,
                        ended,
                        problem.code if problem is not None else None,
                        problem.sentence if problem is not None else None,
                        1 if outcome.dead else 0,
                        run.no,
                        org,
                    ),
                )
            )
            others = [one for one in task.runs if not one.sealed] if len(task.runs) > 1 else None
            if others:
                waits = TaskState.WORKING if others[0].question is None else others[0].question.state
                ops.append((sql.SET_TASK, (waits.value, ended, task.no, org)))
            else:
                task.closing = run.closes = True
                if replied and task.total == 1:
                    ops.append((sql.DROP_TASK, (task.no, org)))
                else:
                    ops.append((sql.SET_TASK, (outcome.state.value, ended, task.no, org)))
        elif attempted and state is None:
            ops.append((sql.SET_RUN, (TaskState.WORKING.value, run.attempt, run.started, run.no, org)))
            ops.append((sql.SET_TASK, (TaskState.WORKING.value, self._runs.clock.now(), task.no, org)))
        elif state is not None and outcome is None:
            ops.append((sql.SET_RUN, (state.state.value, run.attempt, run.started, run.no, org)))
            ops.append((sql.SET_TASK, (state.state.value, state.at, task.no, org)))
        return ops

    def _digest(self, run: Run) -> EventsDigest:
        digest = EventsDigest(run.salts[32:48])
        first = run.flight[0][0] if run.flight else run.seq + 1
        if first > 1:  # Restored after a restart: take in what is stored already.
            for _, body in self._runs.reader.events(Scope(org=run.task.org_no), run.no):
                digest.add(body)
        return digest

    def _written(self, run: Run, error: BaseException | None) -> None:
        run.write = None  # It knows the run, which would otherwise be garbage that only a collection finds.
        if run.void:
            return
        if error is not None:
            self._refused(run, error)
            return
        flight, run.flight = run.flight, []
        task = run.task
        ended = run.sealed
        if ended:
            run.receipt_id = run.sealing
            if run.hold is not None or run.purse is not None:
                assert self._runs.billing is not None
                self._runs.billing.over(run.no, run.purse if run.call.parent is None else None)
            if run.work is not None:
                self._runs.workfiles.written(run, None)
        for seq, event in flight:
            if event.visible:
                if type(event) is StatusEvent:
                    run.state = event.state
                elif type(event) is ReplyEvent:
                    run.reply = event.message
                run.keep(seq, event)
        if task.sinks and flight:
            self._runs.bus.deliver(task, run, flight)
        if run.unacked and not ended:
            done, run.unacked = run.unacked, 0
            if run.worker is not None:
                run.worker.send(Ack(run.no, done))
        if run.idle:
            idle, run.idle = run.idle, []
            for then in idle:
                then()
        if ended and run.state in TERMINAL:
            self._runs.ended(run)
        if run.waiters:
            run.wake()
        if (run.pending or run.ops) and run.write is None:
            self.flush(run)

    def _refused(self, run: Run, error: BaseException) -> None:
        """What a run did could not be stored, and nobody saw it: all that it can still do is fail."""
        if self._runs.stopped:
            return  # As in a crash: recovery decides.
        log.critical("run %s: a commit was refused: %s", run.id, error)
        if run.hold is not None and self._runs.billing is not None:
            self._runs.billing.unsettle(run.hold)
        if run.work is not None:
            self._runs.workfiles.forget(run)
        problem = error if isinstance(error, Problem) else Internal(operator=str(error))
        run.pending, run.flight, run.ops, run.idle, run.digest = [], [], [], [], None
        run.seq = max(
            (seq for seq, _ in self._runs.reader.events(Scope(org=run.task.org_no), run.no)), default=0
        )
        run.sealed = run.over = run.closes = run.task.closing = False
        run.ending = None
        run.wake(problem)
        if not run.refused:
            run.refused = True
            detail = "What the run did could not be stored."
            self._runs.finish(run, Outcome(TaskState.FAILED, problem=Internal(detail), dead=True))
            return
        run.ending = Outcome(TaskState.FAILED)
        self._runs.stop_worker(run)
        self._runs.forget(run)
        if run.on_end is not None:
            run.state = TaskState.FAILED
            run.on_end(run)
