"""What the surface reads of tasks and runs, and the engine's whole face towards it.

Views show what is committed. A task that just ended in this process is shown from memory, any other
from the journal; that a run is being worked on is the one thing that only memory knows.
"""

from __future__ import annotations

import base64
from collections.abc import Iterator, Sequence
from itertools import islice
from typing import TYPE_CHECKING

import msgspec
from msgspec import Struct

from a2a_cloud.model.problem import (
    InvalidParams,
    ReceiptPending,
    RunNotFound,
    TaskNotCancelable,
    TaskNotFound,
)
from a2a_cloud.model.receipt import ReceiptBody
from a2a_cloud.model.release import Release
from a2a_cloud.model.replay import Verdict
from a2a_cloud.model.run import LogEvent, RunEvent, StatusEvent, decode_event
from a2a_cloud.model.scope import SYSTEM, Scope
from a2a_cloud.model.task import INTERRUPTED, TERMINAL, Message, TaskState
from a2a_cloud.runtime.bus import Delivered, Sink, Subscription
from a2a_cloud.runtime.live import LiveTask, Run
from a2a_cloud.runtime.run_times import runs_between
from a2a_cloud.runtime.stored import StoredCall, message_of
from a2a_cloud.storage.sql.reader import LogRow, ReceiptRow, RunRow, TaskRow

if TYPE_CHECKING:
    from a2a_cloud.runtime.runs import Runs


class RunView(Struct):
    """A run with its committed visible events, as (seq, event) in order. Times are wall seconds."""

    run_id: str
    ordinal: int
    skill: str
    receipt_id: str
    message: Message
    events: list[tuple[int, RunEvent]]
    created: float = 0.0
    started: float | None = None


class TaskView(Struct):
    """A task as it is committed now; `at` is when its state was reached, wall seconds."""

    id: str
    context_id: str
    agent: str
    state: TaskState
    at: float
    runs: list[RunView]


class TaskPage(Struct):
    """A page of tasks; `next` is the cursor of the next one, "" at the end; `total` counts to 10,000."""

    tasks: list[TaskView]
    next: str
    total: int


class RunFacts(Struct):
    """A stored run as operators see it. Times are wall seconds or None; `owner` is `name@org`."""

    id: str
    task_id: str
    context_id: str
    agent: str
    release: int
    skill: str
    state: TaskState
    attempt: int
    owner: str
    created: float
    started: float | None
    ended: float | None
    problem_code: str
    problem_detail: str
    dead: bool
    receipt_id: str
    parent: str


class RunPage(Struct):
    """A page of runs, newest first."""

    runs: list[RunFacts]
    next: str


class LogLine(Struct):
    """A log line; `no` is the cursor, `at` wall seconds."""

    no: int
    at: float
    level: str
    source: str
    line: str
    run_id: str
    release: int = 0


#: What a task or run is before it ends or asks. Rows don't tell the two apart: the engine does.
LIVE = (TaskState.SUBMITTED, TaskState.WORKING)


class RunService:
    """The engine as the surface sees it."""

    def __init__(self, runs: Runs) -> None:
        self._runs = runs
        self._reader = runs.reader
        self.submit = runs.submit
        self.used = runs.keys.used

    # --- tasks ------------------------------------------------------------------------------------

    def task(self, scope: Scope, agent_no: int, task_id: str) -> TaskView:
        """The committed view of a task. Raises TaskNotFound."""
        with self._reader.snapshot():
            row = self._reader.task(scope, task_id, agent_no)
            if row is not None:
                return self._view(scope, row)
        raise TaskNotFound(
            f"There is no task {task_id}.", remedy="Check the id, and that the key is its owner's."
        )

    def view(self, run: object) -> TaskView | None:
        """The view of a run's task from memory, where the run (of `submit`) is all that there is of it."""
        assert isinstance(run, Run)
        task = run.task
        if task.total != 1 or run.events_cut or run.reply is not None or not run.events:
            return None
        last = run.events[-1][1]
        at = last.at if isinstance(last, StatusEvent) else run.created
        message = run.call.message
        view = RunView(
            run.id,
            run.ordinal,
            run.call.skill,
            run.receipt_id,
            message,
            run.events,
            run.created,
            run.started,
        )
        return TaskView(task.id, task.context_id, run.call.release.name, run.state, at, [view])

    def _view(self, scope: Scope, row: TaskRow) -> TaskView:
        runs = self._reader.runs_of_task(scope, row.no)
        receipts = self._reader.receipt_ids(Scope(org=row.org), [run.no for run in runs])
        return TaskView(
            row.id,
            row.context,
            self._agent_name(row.agent),
            self._state(row),
            row.at,
            [
                RunView(
                    run.id,
                    run.ordinal,
                    run.skill,
                    "rcpt_" + receipts[run.no].hex() if run.no in receipts else "",
                    message_of(self._reader.call(Scope(org=run.org), run.no) or b""),
                    self._runs.talk.stored_events(run.org, run.no),
                    run.created,
                    self._began(run),
                )
                for run in runs
            ],
        )

    def _began(self, row: RunRow) -> float | None:
        """When a run began. That costs no commit of its own: memory knows it first."""
        live = self._runs.live.get(row.no)
        return live.started if live is not None else row.started

    def _state(self, row: TaskRow) -> TaskState:
        """A task's state. That its run has begun costs no commit of its own: memory knows."""
        live = self._runs.tasks.get(row.id)
        state = TaskState(row.state)
        if (
            state is TaskState.SUBMITTED
            and live is not None
            and live.current is not None
            and live.current.begun
        ):
            return TaskState.WORKING
        return state

    def tasks(
        self,
        scope: Scope,
        agent_no: int,
        *,
        context_id: str = "",
        state: TaskState | None = None,
        after: float | None = None,
        limit: int = 50,
        cursor: str = "",
    ) -> TaskPage:
        """A page of the scope's tasks with an agent, newest status first. Raises InvalidParams for a
        cursor that nobody gave out."""
        before = _open_cursor(cursor)
        if state in LIVE:
            return self._live_tasks(scope, agent_no, context_id, state, after, before, limit)
        short = state.value if state is not None else ""
        rows = self._reader.tasks(
            scope, agent_no, context=context_id, state=short, after=after, before=before, limit=limit + 1
        )
        more = len(rows) > limit
        rows = rows[:limit]
        total = self._reader.count_tasks(scope, agent_no, context=context_id, state=short, after=after)
        return TaskPage(
            [self._view(scope, row) for row in rows],
            _cursor(rows[-1].at, rows[-1].no) if more and rows else "",
            total,
        )

    def _live_tasks(
        self,
        scope: Scope,
        agent_no: int,
        context_id: str,
        state: TaskState | None,
        after: float | None,
        before: tuple[float, int] | None,
        limit: int,
    ) -> TaskPage:
        with self._reader.snapshot():
            rows: list[TaskRow] = []
            for task in self._runs.tasks.values():
                if (
                    task.agent_no == agent_no
                    and task.org_no == scope.org
                    and scope.owner in (None, task.owner_no)
                    and context_id in ("", task.context_id)
                ):
                    row = self._reader.task(scope, task.id, agent_no)
                    if row is not None and self._state(row) is state and (after is None or row.at >= after):
                        rows.append(row)
            total = len(rows)
            rows.sort(key=lambda row: (row.at, row.no), reverse=True)
            if before is not None:
                rows = [row for row in rows if (row.at, row.no) < before]
            page, more = rows[:limit], len(rows) > limit
            return TaskPage(
                [self._view(scope, row) for row in page],
                _cursor(page[-1].at, page[-1].no) if more else "",
                total,
            )

    def subscribe(
        self, scope: Scope, agent_no: int, task_id: str, sink: Sink, after: tuple[int, int] | None = None
    ) -> Subscription:
        """Deliver all visible events after (ordinal, seq), then live ones; None: only live ones.

        Raises TaskNotFound.
        """
        with self._reader.snapshot():
            return self._subscribe(scope, agent_no, task_id, sink, after)

    def _subscribe(
        self, scope: Scope, agent_no: int, task_id: str, sink: Sink, after: tuple[int, int] | None
    ) -> Subscription:
        row = self._reader.task(scope, task_id, agent_no)
        live = self._runs.tasks.get(task_id)
        if row is None and not (
            live is not None
            and live.agent_no == agent_no
            and live.org_no == scope.org
            and (scope.owner is None or live.owner_no == scope.owner)
        ):
            raise TaskNotFound(f"There is no task {task_id}.")
        if after is None:
            return Subscription(live, sink, _last(live))
        subscription = Subscription(live, sink, after)
        if row is not None:
            self._backlog(scope, row, live, subscription, after)
        return subscription

    def _backlog(
        self,
        scope: Scope,
        row: TaskRow,
        live: LiveTask | None,
        subscription: Subscription,
        after: tuple[int, int],
    ) -> None:
        runs = self._reader.runs_of_task(scope, row.no)
        receipts = self._reader.receipt_ids(Scope(org=row.org), [run.no for run in runs])
        for run in runs:
            if run.ordinal < after[0]:
                continue
            start = after[1] if run.ordinal == after[0] else 0
            for seq, body in self._reader.events(Scope(org=row.org), run.no, start):
                event = decode_event(body)
                if not event.visible and not (subscription.logs and isinstance(event, LogEvent)):
                    continue
                ends = isinstance(event, StatusEvent) and event.state in TERMINAL
                subscription.deliver(
                    Delivered(
                        row.id,
                        row.context,
                        run.id,
                        run.ordinal,
                        seq,
                        event,
                        ends and run.no == runs[-1].no and TaskState(row.state) in TERMINAL,
                        "rcpt_" + receipts[run.no].hex() if ends and run.no in receipts else "",
                    )
                )

    async def cancel(self, scope: Scope, agent_no: int, task_id: str) -> None:
        """End a task's runs as canceled; returns when that is committed. Raises TaskNotFound,
        TaskNotCancelable."""
        task = self._runs.tasks.get(task_id)
        if task is None:
            row = self._reader.task(scope, task_id, agent_no)
            if row is None:
                raise TaskNotFound(f"There is no task {task_id}.")
            raise TaskNotCancelable(f"The task has ended ({TaskState(row.state).short}).")
        mine = task.agent_no == agent_no and task.org_no == scope.org and scope.owner in (None, task.owner_no)
        if not mine:
            raise TaskNotFound(f"There is no task {task_id}.")
        runs = list(task.runs)
        if task.closing or not runs or all(run.ending is not None for run in runs):
            raise TaskNotCancelable(
                "The task is just ending.", remedy="Ask for the task to see how it ended."
            )
        for run in runs:
            self._runs.cancel_run(run)
        for run in runs:
            while not run.terminal:  # A run that asked when it was canceled is settled, but not ended.
                if run.state in INTERRUPTED:
                    run.state = TaskState.WORKING
                await run.settled()

    # --- runs -------------------------------------------------------------------------------------

    def run(self, scope: Scope, run_id: str) -> RunFacts:
        """Raises RunNotFound."""
        return self._facts([self._row(scope, run_id)])[0]

    def _row(self, scope: Scope, run_id: str) -> RunRow:
        row = self._reader.run(scope, run_id)
        if row is None:
            raise RunNotFound(
                f"There is no run {run_id}.", remedy="Check the id, and that the key is its owner's."
            )
        return row

    def runs(
        self,
        scope: Scope,
        *,
        agent: str = "",
        task_id: str = "",
        state: str = "",
        dead: bool = False,
        limit: int = 50,
        cursor: str = "",
    ) -> RunPage:
        """A page of runs, newest first. `state` in its long form. Raises InvalidParams for a bad cursor."""
        if task_id:
            row = self._reader.task(scope, task_id)
            rows = self._reader.runs_of_task(scope, row.no) if row is not None else []
            return RunPage(self._facts(rows[::-1]), "")
        agent_no = self._agent_no(scope, agent) if agent else None
        if agent and agent_no is None:
            return RunPage([], "")
        before = None
        if cursor:
            if not cursor.isdecimal() or len(cursor) > 18:
                raise InvalidParams(
                    "That cursor is none that this platform gave out.", remedy="Begin without one."
                )
            before = int(cursor)
        if state in LIVE and not dead:
            return self._live_runs(scope, agent_no, TaskState(state), before, limit)
        rows = self._reader.runs(
            scope, agent=agent_no, state=state, dead=dead, before=before, limit=limit + 1
        )
        more = len(rows) > limit
        rows = rows[:limit]
        return RunPage(self._facts(rows), str(rows[-1].no) if more else "")

    def between(self, scope: Scope, since: float, until: float, agent: str = "") -> Iterator[RunFacts]:
        """Runs accepted at `since` or later and before `until`, newest first, read as they are asked for."""
        agent_no = self._agent_no(scope, agent) if agent else None
        if agent and agent_no is None:
            return
        rows = runs_between(self._reader, scope, agent_no, since, until)
        while some := list(islice(rows, 200)):
            yield from self._facts(some)

    def _live_runs(
        self, scope: Scope, agent_no: int | None, state: TaskState, before: int | None, limit: int
    ) -> RunPage:
        numbers = sorted(
            (
                no
                for no, run in self._runs.live.items()
                if run.task.org_no == scope.org
                and scope.owner in (None, run.task.owner_no)
                and agent_no in (None, run.task.agent_no)
                and (before is None or no < before)
            ),
            reverse=True,
        )
        found: list[RunFacts] = []
        last = 0
        for no in numbers:
            row = self._reader.run_by_no(scope, no)
            facts = self._facts([row]) if row is not None else []
            if facts and facts[0].state is state:
                if len(found) == limit:
                    return RunPage(found, str(last))
                found += facts
                last = no
        return RunPage(found, "")

    def _facts(self, rows: list[RunRow]) -> list[RunFacts]:
        if not rows:
            return []
        receipts = self._reader.receipt_ids(Scope(org=rows[0].org), [row.no for row in rows])
        facts: list[RunFacts] = []
        for row in rows:
            release = self._runs.releases.by_no(row.release)
            owner = self._runs.principals.by_no(row.owner)
            live = self._runs.live.get(row.no)
            state = TaskState(row.state)
            if state is TaskState.SUBMITTED and live is not None and live.begun:
                state = TaskState.WORKING
            parent = (
                self._reader.run_by_no(Scope(org=row.org), row.parent) if row.parent is not None else None
            )
            facts.append(
                RunFacts(
                    row.id,
                    row.task_id,
                    row.context,
                    release.name if release is not None else "",
                    release.number if release is not None else 0,
                    row.skill,
                    state,
                    row.attempt,
                    owner.label if owner is not None else "",
                    row.created,
                    row.started,
                    row.ended,
                    row.problem or "",
                    row.detail or "",
                    bool(row.dead),
                    "rcpt_" + receipts[row.no].hex() if row.no in receipts else "",
                    parent.id if parent is not None else "",
                )
            )
        return facts

    def run_events(self, scope: Scope, run_id: str) -> list[tuple[int, RunEvent]]:
        """All events of a run, effects too. Raises RunNotFound."""
        row = self._row(scope, run_id)
        return [(seq, decode_event(body)) for seq, body in self._reader.events(Scope(org=row.org), row.no)]

    def run_view(self, scope: Scope, run_id: str) -> RunView:
        """A run with its message and visible events. Raises RunNotFound."""
        row = self._row(scope, run_id)
        return RunView(
            row.id,
            row.ordinal,
            row.skill,
            "",
            message_of(self._reader.call(Scope(org=row.org), row.no) or b""),
            self._runs.talk.stored_events(row.org, row.no),
        )

    def logs(self, scope: Scope, run_id: str, after: int = 0) -> list[LogLine]:
        """A run's lines after line number `after`. Raises RunNotFound."""
        row = self._row(scope, run_id)
        return self._lines(row.org, self._runs.logs.of_run(row.org, row.no, after))

    def agent_logs(
        self,
        org_no: int,
        agent_no: int,
        *,
        run_id: str = "",
        release: int | None = None,
        levels: Sequence[str] = (),
        since: float = 0.0,
        after: int = 0,
        limit: int = 1000,
    ) -> list[LogLine]:
        """An agent's lines after line number `after`, else the newest; the caller has checked who asks.
        `release` is a release's `no`. Raises RunNotFound."""
        run: int | None = None
        if run_id:
            row = self._row(Scope(org=org_no), run_id)
            if row.agent != agent_no:
                raise RunNotFound(f"There is no run {run_id} of this agent.")
            run = row.no
        rows = self._runs.logs.of_agent(
            org_no,
            agent_no,
            run=run,
            release=release,
            levels=levels,
            since=since,
            after=after,
            limit=limit,
        )
        return self._lines(org_no, rows)

    def _lines(self, org_no: int, rows: list[LogRow]) -> list[LogLine]:
        names: dict[int, str] = {}
        for row in rows:
            if row.run is not None and row.run not in names:
                found = self._reader.run_by_no(Scope(org=org_no), row.run)
                names[row.run] = found.id if found is not None else ""
        return [
            LogLine(
                row.no,
                row.at,
                row.level,
                row.source,
                row.line,
                names.get(row.run or 0, ""),
                self._release_number(row.release),
            )
            for row in rows
        ]

    def _release_number(self, no: int) -> int:
        return self._runs.releases.number(no)

    def receipt_place(self, scope: Scope, run_id: str) -> tuple[int, int]:
        """(organisation, index): where the run's receipt stands in its log. Raises ReceiptPending,
        RunNotFound."""
        row, receipt = self._sealed(scope, run_id)
        return row.org, receipt.leaf

    def _sealed(self, scope: Scope, run_id: str) -> tuple[RunRow, ReceiptRow]:
        row = self._row(scope, run_id)
        receipt = self._reader.receipt(Scope(org=row.org), row.no)
        if receipt is None:
            raise ReceiptPending(
                f"Run {run_id} has not ended.", remedy="Ask again when it has.", retry_after=1
            )
        return row, receipt

    def receipt(self, scope: Scope, run_id: str) -> bytes:
        """The receipt document: whole for a scope over the organisation, else the owner's view.

        Raises ReceiptPending, RunNotFound.
        """
        row, receipt = self._sealed(scope, run_id)
        call = self._reader.call(Scope(org=row.org), row.no)
        key = msgspec.json.decode(call, type=StoredCall).key if call is not None else ""
        release = self._runs.releases.by_no(row.release)
        org = release.org if release is not None else ""
        return self._runs.notary.document(receipt, org, scope.owner is None, call, key)

    def receipts(self, scope: Scope, run_id: str, most: int) -> list[tuple[str, int]]:
        """(id, organisation) of a run and of all that descend from it, the run first, `most` of them at the
        most; whose receipts a reader may have is another question. Raises RunNotFound."""
        rows = [self._row(scope, run_id)]
        for row in rows:  # It grows.
            if len(rows) >= most:
                break
            rows += self._reader.children(SYSTEM, row.no)
        return [(row.id, row.org) for row in rows[:most]]

    async def replay(
        self, org_no: int, run_id: str, *, release: Release | None = None, body: ReceiptBody | None = None
    ) -> Verdict:
        """See `replay.service.Replays`, which is loaded with the first that is asked for."""
        return await self._runs.replays.replay(org_no, run_id, release=release, body=body)

    def _agent_name(self, agent_no: int) -> str:
        for pool in self._runs.pools.values():
            if pool.release.agent_no == agent_no:
                return pool.release.name
        return ""

    def _agent_no(self, scope: Scope, name: str) -> int | None:
        for row in self._reader.agents(Scope(org=scope.org)):
            if row.name == name:
                return row.no
        return None


def _last(task: LiveTask | None) -> tuple[int, int]:
    """The last position that a live task has committed."""
    if task is None or task.current is None:
        return (1 << 31, 0)
    run = task.current
    return (
        (run.ordinal, run.events[-1][0] if run.events else 0)
        if not run.events_cut
        else (run.ordinal, run.seq)
    )


def _cursor(at: float, no: int) -> str:
    return base64.urlsafe_b64encode(msgspec.json.encode([at, no])).decode().rstrip("=")


def _open_cursor(cursor: str) -> tuple[float, int] | None:
    if not cursor:
        return None
    try:
        raw = base64.urlsafe_b64decode(cursor + "=" * (-len(cursor) % 4))
        at, no = msgspec.json.decode(raw, type=tuple[float, int])
    except (ValueError, msgspec.MsgspecError):
        raise InvalidParams(
            "That page token is none that this agent gave out.", remedy="Begin without one."
        ) from None
    return at, no
