"""What the engine holds in memory of tasks and runs that have not ended: a cache of the one writer.

Everything a caller may see of them is committed first; `Run.pending` is what has happened and is
not on disk yet.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from typing import TYPE_CHECKING, Any

import msgspec
from msgspec import Struct

from a2a_cloud.model.problem import Problem
from a2a_cloud.model.release import SkillSpec
from a2a_cloud.model.run import Call, Event, RunEvent, TextEvent
from a2a_cloud.model.task import SETTLED, TERMINAL, Message, TaskState

if TYPE_CHECKING:
    from a2a_cloud.model.receipt import ApprovalEntry
    from a2a_cloud.runtime.effects import Record
    from a2a_cloud.runtime.ports import Issued
    from a2a_cloud.runtime.process import Worker
    from a2a_cloud.runtime.workfiles import Work
    from a2a_cloud.storage.journal.port import Op, Write
    from a2a_cloud.wire.seal import EventsDigest

#: Visible events that a live run keeps for quick views; older ones are read from the journal.
KEPT_EVENTS = 512


NO_OBJECTS: frozenset[tuple[str, int]] = frozenset()


class Outcome(Struct):
    """How a run ends. `value` is JSON; `dead` puts it on the dead-letter list. A `late` reply is what the
    task's last status says, whatever was put out before."""

    state: TaskState
    value: msgspec.Raw | None = None
    problem: Problem | None = None
    reply: Message | None = None
    dead: bool = False
    late: bool = False


class Question(Struct):
    """An open question: the effect that waits, its text and JSON Schema (JSON, `true` for any). With
    `approval`, the id of a request, it is not the caller who answers."""

    effect: int
    text: str
    schema: msgspec.Raw
    approval: str = ""

    @property
    def state(self) -> TaskState:
        """The state of a run that waits for this."""
        return TaskState.AUTH_REQUIRED if self.approval else TaskState.INPUT_REQUIRED


class LiveTask:
    """A task with at least one run that has not ended."""

    __slots__ = (
        "agent_no",
        "closing",
        "context_id",
        "id",
        "last",
        "no",
        "org_no",
        "owner_no",
        "runs",
        "sinks",
        "total",
    )

    def __init__(self, no: int, id: str, org_no: int, owner_no: int, agent_no: int, context_id: str) -> None:  # noqa: A002
        self.no, self.id = no, id
        self.org_no, self.owner_no, self.agent_no = org_no, owner_no, agent_no
        self.context_id = context_id
        self.runs: list[Run] = []
        self.total = 0
        #: How the run ended that ended last.
        self.last: TaskState | None = None
        self.sinks: list[Any] = []
        #: The commit that ends the task is under way: no message can be added any more.
        self.closing = False

    @property
    def current(self) -> Run | None:
        """The run that executes or is parked; later ones wait for it."""
        return self.runs[0] if self.runs else None


class Run:
    """A run that has not ended, or has just ended. Fields of the caller's face come first."""

    __slots__ = (
        "accept_error",
        "acceptance",
        "approvals",
        "asleep",
        "attempt",
        "call",
        "children",
        "closes",
        "committing",
        "connections",
        "created",
        "deadline",
        "digest",
        "ended",
        "ending",
        "events",
        "events_cut",
        "flight",
        "grants",
        "hold",
        "id",
        "idle",
        "idle_since",
        "is_accepted",
        "keys",
        "lane",
        "lost",
        "no",
        "objects",
        "on_end",
        "ops",
        "ordinal",
        "over",
        "parked",
        "parked_left",
        "pending",
        "purse",
        "question",
        "receipt_id",
        "record",
        "refused",
        "reply",
        "request_sha256",
        "salts",
        "sealed",
        "sealing",
        "seq",
        "since",
        "slot",
        "spec",
        "started",
        "state",
        "state_writes",
        "task",
        "text",
        "twin",
        "unacked",
        "unworked",
        "uploaded",
        "usage",
        "void",
        "waiters",
        "work",
        "worker",
        "write",
    )

    def __init__(
        self, no: int, run_id: str, task: LiveTask, ordinal: int, call: Call, spec: SkillSpec | None
    ) -> None:
        self.no, self.id, self.task, self.ordinal = no, run_id, task, ordinal
        self.call, self.spec = call, spec
        self.state = TaskState.SUBMITTED
        self.reply: Message | None = None
        self.receipt_id = ""
        self.sealing = ""
        self.attempt = 1
        self.created = 0.0
        self.started: float | None = None
        #: Since when no worker has had it though it goes on; and seconds since its start in which it was so.
        self.idle_since: float | None = None
        self.unworked = 0.0
        self.ended: float | None = None
        #: What counts it among its caller's (Limits), and since when it runs (monotonic).
        self.lane: Any = None
        self.since = 0.0
        #: What is set aside for it, where it has a price; what it, or a run above it, was given to spend.
        self.hold: Any = None
        self.purse: Any = None
        self.deadline = float("inf")
        self.parked_left = 0.0
        self.seq = 0
        self.pending: list[tuple[int, RunEvent]] = []
        self.flight: list[tuple[int, RunEvent]] = []
        self.ops: list[Op] = []
        #: The write that is under way or waits for its group.
        self.write: Write | None = None
        #: The acceptance could not be stored: nothing of the run may be.
        self.void = False
        #: What the run did could not be stored; only its end still may be.
        self.refused = False
        self.idle: list[Callable[[], object]] = []
        self.events: list[tuple[int, RunEvent]] = []
        self.events_cut = False
        #: How it ends, once that is decided; `over` when its last events are pending, `sealed` when
        #: they are on their way to disk, `closes` when its task ends with it.
        self.ending: Outcome | None = None
        self.over = False
        self.closes = False
        self.is_accepted = False
        #: The write that takes it for good, while nothing is known of it.
        self.acceptance: Write | None = None
        self.accept_error: BaseException | None = None
        self.waiters: list[tuple[bool, asyncio.Future[None]]] | None = None
        #: The earlier run that this one's idempotency key led to, while that one lives.
        self.twin: Run | None = None
        self.worker: Worker | None = None
        self.slot = False
        self.record: Record | None = None
        self.question: Question | None = None
        #: It asked, and its code has not heard the answer yet: it can go on by replay.
        self.parked = False
        self.children: list[Run] | None = None
        self.on_end: Callable[[Run], None] | None = None
        self.unacked = 0
        self.text = 0
        #: Bytes that it stored as objects.
        self.uploaded = 0
        self.lost = 0
        #: Idempotency keys of the answers that it got.
        self.keys: tuple[bytes, ...] = ()
        #: (sha256, size) of what the run may read, or put into an artifact.
        self.objects: frozenset[tuple[str, int]] = NO_OBJECTS
        self.state_writes: dict[str, bytes | None] | None = None
        self.usage: dict[tuple[str, str], Any] | None = None
        #: The grants that it held, the one that it holds last; None: it has not needed one yet.
        self.grants: list[Issued] | None = None
        self.approvals: list[ApprovalEntry] | None = None
        #: Its view of a workspace, once it has looked; `committing` while what it wrote is committed.
        self.work: Work | None = None
        self.committing = False
        #: Lines about connections in its record, and those that were left out.
        self.connections = 0
        #: The effect of a long sleep: it can go on by replay when that is over.
        self.asleep = 0
        self.salts = b""
        self.sealed = False
        self.digest: EventsDigest | None = None
        self.request_sha256 = ""

    # --- the caller's face --------------------------------------------------------------------

    @property
    def task_id(self) -> str:
        """The task's id."""
        return self.task.id

    @property
    def context_id(self) -> str:
        """The context's id."""
        return self.task.context_id

    async def accepted(self) -> None:
        """Return once the acceptance is on disk. Raises Problem when it could not be stored."""
        if self.accept_error is not None:
            raise self.accept_error
        if not self.is_accepted:
            await self._wait(False)

    async def settled(self) -> None:
        """Return once the run has ended or waits for input, and that is on disk."""
        if self.accept_error is not None:
            raise self.accept_error
        if self.twin is not None:
            await self.twin.settled()
            self._copy(self.twin)
        elif self.state not in SETTLED:
            await self._wait(True)

    def become(self, earlier: Run) -> None:
        """Show the outcome of an earlier run: this one was an idempotent repeat and never began."""
        self.accept_error = None
        self.is_accepted = True
        self.twin = None if earlier.terminal else earlier
        self._copy(earlier)
        waiters, self.waiters = self.waiters, None
        for settled, future in waiters or ():
            if not future.done():
                if settled and self.twin is not None:
                    task = asyncio.ensure_future(self.twin.settled())
                    task.add_done_callback(lambda _, future=future: self._twin_settled(future))
                else:
                    future.set_result(None)

    def _twin_settled(self, future: asyncio.Future[None]) -> None:
        if self.twin is not None:
            self._copy(self.twin)
        if not future.done():
            future.set_result(None)

    def _copy(self, other: Run) -> None:
        self.id, self.no, self.task, self.ordinal = other.id, other.no, other.task, other.ordinal
        self.state, self.reply, self.receipt_id = other.state, other.reply, other.receipt_id
        self.events, self.events_cut, self.created = other.events, True, other.created

    def _wait(self, settled: bool) -> asyncio.Future[None]:
        future: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        if self.waiters is None:
            self.waiters = []
        self.waiters.append((settled, future))
        return future

    def wake(self, error: BaseException | None = None) -> None:
        """Let those go on who waited for what is now committed."""
        if not self.waiters:
            return
        settled = self.state in SETTLED
        kept: list[tuple[bool, asyncio.Future[None]]] = []
        for entry in self.waiters:
            future = entry[1]
            if future.done():
                continue
            if error is not None:
                future.set_exception(error)
            elif settled or not entry[0]:
                future.set_result(None)
            else:
                kept.append(entry)
        self.waiters = kept

    @property
    def terminal(self) -> bool:
        """It has ended, and that is committed."""
        return self.state in TERMINAL

    @property
    def replayable(self) -> bool:
        """It may be run again with its recorded effects, to go on after a question."""
        return self.spec is None or self.spec.replayable or self.spec.durable

    def replies(self, outcome: Outcome) -> bool:
        """The answer is a message and no task: none has been shown before."""
        return outcome.reply is not None and not self.call.shown and self.ordinal == 1

    # --- events ---------------------------------------------------------------------------------

    def append(self, event: RunEvent) -> int:
        """Number an event and keep it for the next commit; text deltas coalesce. Returns its seq."""
        if type(event) is TextEvent and self.pending:
            seq, last = self.pending[-1]
            if type(last) is TextEvent:
                last.delta += event.delta
                return seq
        self.seq += 1
        self.pending.append((self.seq, event))
        return self.seq

    @property
    def begun(self) -> bool:
        """Its code has begun, in this life or an earlier one."""
        return self.started is not None or self.record is not None

    def keep(self, seq: int, event: Event) -> None:
        """Remember a committed visible event for quick views."""
        if len(self.events) < KEPT_EVENTS:
            self.events.append((seq, event))  # type: ignore[arg-type]
        else:
            self.events_cut = True
