"""Push configs as the surface and the engine see them: made, read, removed, and put back after a restart.

A config that comes with a message is stored in the write that accepts the message, so that either both are
there after a crash or neither; its deliveries begin when that is on disk. What is secret in one (address,
token, credentials) is sealed at rest, and goes to its owner and its receiver alone.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING, NamedTuple, Protocol

import msgspec

from a2a_cloud.model.ports import Clock, Entropy, Ids
from a2a_cloud.model.problem import Busy, InvalidParams, NotFound, TaskNotFound, Unavailable
from a2a_cloud.model.run import Call, PushTarget
from a2a_cloud.model.scope import SYSTEM, Scope
from a2a_cloud.runtime.bus import Subscription
from a2a_cloud.runtime.live import Run
from a2a_cloud.runtime.outward import Outward, place
from a2a_cloud.runtime.push.letters import Letters, Linker, Older
from a2a_cloud.runtime.push.outbox import PAUSES, Outbox, Outlet, Waker
from a2a_cloud.runtime.push.rows import (
    DONE,
    DROP_PUSH,
    OPEN,
    REOPEN_PUSH,
    PushRow,
    PushRows,
    put_push,
)
from a2a_cloud.runtime.push.sign import Key
from a2a_cloud.runtime.push.targets import check, pack, unpack
from a2a_cloud.storage.journal.port import Op
from a2a_cloud.storage.sql.reader import TaskRow

if TYPE_CHECKING:
    from a2a_cloud.runtime.runs import Runs

#: Configs of one task, and of one owner that have something to come.
MAX_OF_TASK = 20
MAX_OF_OWNER = 10_000
#: Configs that are taken up together after a restart.
_RESUMED = 32


class Seal(Protocol):
    """Seals values at rest."""

    def close(self, value: bytes, place: str) -> bytes:
        """`value`, sealed for `place`."""
        ...

    def open(self, sealed: bytes, place: str) -> bytes:
        """What was sealed for `place`. Raises ValueError."""
        ...


class PushStatus(NamedTuple):
    """How a config's deliveries stand, for operators. Times are wall seconds, 0 for none; `after` is the
    position that the receiver has."""

    no: int
    handle: str
    task_id: str
    id: str
    agent: str
    host: str
    state: str
    after: tuple[int, int]
    attempts: int
    next_at: float
    reason: str
    created: float
    at: float


class Push:
    """See the module. One per engine. `linker` and `older` say how a task is shown, `issuer` gives the
    platform's address."""

    def __init__(
        self,
        runs: Runs,
        rows: PushRows,
        *,
        outward: Outward,
        seal: Seal,
        key: Key,
        linker: Linker,
        older: Older,
        issuer: Callable[[], str],
        clock: Clock,
        ids: Ids,
        entropy: Entropy,
        pauses: Sequence[float] = PAUSES,
    ) -> None:
        self._runs = runs
        self._rows = rows
        self._letters = Letters(runs.reader, linker, older)
        self._outward = outward
        self._seal = seal
        self._clock = clock
        self._ids = ids
        self._resuming: asyncio.Task[None] | None = None
        self.outbox = Outbox(
            journal=runs.journal,
            letters=self._letters,
            outward=outward,
            key=key,
            issuer=issuer,
            opened=self._target,
            clock=clock,
            entropy=entropy,
            pauses=pauses,
        )

    # --- before a call ----------------------------------------------------------------------------------

    async def check(self, target: PushTarget, owner: int, field: str = "") -> None:
        """Raises InvalidParams for a target that can't be used, Busy when its owner has as many as they
        may. `field`: what stands before the names of its fields."""
        await check(target, self._outward, field)
        if self.outbox.waiting(owner) >= MAX_OF_OWNER:
            raise Busy(
                f"{MAX_OF_OWNER} push configs of yours have something to come.",
                remedy="Delete some, or wait until their tasks have ended.",
                retry_after=60,
            )

    # --- with a message ---------------------------------------------------------------------------------

    def of_call(self, run: Run, call: Call, seq: int) -> list[Op]:
        """What stores a call's target in the write that takes the call, a new run or an answer to one: it
        hears of what comes after `seq` of the run. Raises InvalidParams when the task has enough."""
        assert call.push is not None
        target = msgspec.structs.replace(call.push, name=call.name)
        task = run.task
        if task.total > 1 or seq:
            self._room(Scope(org=task.org_no), task.no, target.id or task.id)
        numbers = (task.org_no, task.owner_no, task.agent_no, task.no)
        return [put_push(self._row(numbers, task.id, target, call.dialect, (run.ordinal, seq), OPEN))]

    def stored(self, run: Run, target: PushTarget) -> None:
        """What `of_call` gave is on disk."""
        task = run.task
        row = self._rows.one(Scope(org=task.org_no), task.no, target.id or task.id)
        if row is not None and row.state == OPEN:
            self._follow(row)

    # --- the operations -------------------------------------------------------------------------------

    async def put(
        self, scope: Scope, agent_no: int, task_id: str, target: PushTarget, dialect: str
    ) -> PushTarget:
        """Store a checked target: it hears of what the task does from now on. The same id again changes
        where it goes; what its receiver has stays what it has. Raises TaskNotFound, InvalidParams."""
        task = self._task(scope, agent_no, task_id)
        target = msgspec.structs.replace(target, id=target.id or task_id)
        self._room(scope, task.no, target.id)
        ended, position = self._letters.last(scope, agent_no, task_id)
        numbers = (task.org, task.owner, task.agent, task.no)
        row = self._row(numbers, task.id, target, dialect, position, DONE if ended else OPEN)
        await self._runs.journal.write([put_push(row)])
        stored = self._rows.one(scope, task.no, target.id)
        if stored is not None and stored.state == OPEN:
            self._follow(stored)
        return target

    def one(self, scope: Scope, agent_no: int, task_id: str, config_id: str) -> PushTarget:
        """A task's config. Raises TaskNotFound, also when the task has no such config (3.1.8)."""
        row = self._rows.one(scope, self._task(scope, agent_no, task_id).no, config_id)
        if row is None:
            raise TaskNotFound(
                f"The task has no push config {config_id[:80]!a}.",
                remedy="List the task's configs to see their ids.",
                info={"taskId": task_id},
            )
        return self._opened(row)

    def listed(
        self, scope: Scope, agent_no: int, task_id: str, *, after: str, limit: int
    ) -> list[PushTarget]:
        """A task's configs by id, those after the id `after`. Raises TaskNotFound."""
        task = self._task(scope, agent_no, task_id)
        return [self._opened(row) for row in self._rows.of_task(scope, task.no, after=after, limit=limit)]

    async def drop(self, scope: Scope, agent_no: int, task_id: str, config_id: str) -> None:
        """Remove a config: nothing more is sent. Idempotent. Raises TaskNotFound for the task."""
        task = self._task(scope, agent_no, task_id)
        row = self._rows.one(scope, task.no, config_id)
        if row is not None:
            self.outbox.drop(row.handle)
            await self._runs.journal.write([(DROP_PUSH, (task.no, config_id, task.org))])

    # --- operators ------------------------------------------------------------------------------------

    def page(
        self, scope: Scope, *, dead: bool = False, before: int | None = None, limit: int = 50
    ) -> list[PushStatus]:
        """Configs, newest first, below the number `before`."""
        rows = self._rows.page(scope, dead=dead, before=before, limit=limit)
        names = self._names(rows[0].org) if rows else {}
        return [_status(row, names) for row in rows]

    async def retry(self, scope: Scope, handle: str) -> PushStatus:
        """Deliver again from where it stopped, at once. Raises NotFound, InvalidParams when the receiver
        has everything."""
        row = self._rows.by_handle(scope, handle)
        if row is None:
            raise NotFound(f"There is no push config {handle[:80]!a}.", remedy="See `a2a push ls`.")
        if row.state == DONE:
            raise InvalidParams("Everything was delivered, and the task has ended.")
        await self._runs.journal.write([(REOPEN_PUSH, (self._clock.now(), row.handle, row.org))])
        row = self._rows.by_handle(scope, handle)
        if row is None:  # Deleted a moment ago.
            raise NotFound(f"There is no push config {handle[:80]!a}.", remedy="See `a2a push ls`.")
        if row.state == OPEN:
            self._follow(row)
        return _status(row, self._names(row.org))

    # --- a life -----------------------------------------------------------------------------------------

    def restore(self) -> None:
        """Go on with what an earlier life left undelivered, a few at a time beside everything else."""
        self._resuming = asyncio.get_running_loop().create_task(self._resume())

    async def _resume(self) -> None:
        after = 0
        while rows := self._rows.open_after(SYSTEM, after, _RESUMED):
            for row in rows:
                if row.handle not in self.outbox:  # Else it was made, or changed, a moment ago.
                    self._follow(row)
            after = rows[-1].no
            await asyncio.sleep(0.001)

    async def close(self) -> None:
        """Stop delivering."""
        if self._resuming is not None:
            self._resuming.cancel()
            await asyncio.gather(self._resuming, return_exceptions=True)
        await self.outbox.close()
        await self._outward.close()

    # --- inside -----------------------------------------------------------------------------------------

    def _task(self, scope: Scope, agent_no: int, task_id: str) -> TaskRow:
        task = self._runs.reader.task(scope, task_id, agent_no)
        if task is None:
            raise TaskNotFound(
                f"There is no task {task_id[:80]}.", remedy="Check the id, and that the key is its owner's."
            )
        return task

    def _room(self, scope: Scope, task_no: int, config_id: str) -> None:
        ids = {row.id for row in self._rows.of_task(scope, task_no)}
        if config_id not in ids and len(ids) >= MAX_OF_TASK:
            raise InvalidParams(
                f"The task has {MAX_OF_TASK} push configs already.", remedy="Delete one, or use its id again."
            )

    def _row(
        self,
        numbers: tuple[int, int, int, int],
        task_id: str,
        target: PushTarget,
        dialect: str,
        position: tuple[int, int],
        state: str,
    ) -> PushRow:
        """`numbers`: organisation, owner, agent and task."""
        now = self._clock.now()
        org, owner, agent, task = numbers
        config = target.id or task_id
        sealed = self._seal.close(
            pack(msgspec.structs.replace(target, id=config)), _place_of(org, task, config)
        )
        return PushRow(
            self._ids.new("push"),
            org,
            owner,
            agent,
            task,
            task_id,
            config,
            place(target.url).origin,
            sealed,
            target.base,
            dialect,
            now,
            *position,
            0,
            0.0,
            state,
            "",
            now,
        )

    def _opened(self, row: PushRow) -> PushTarget:
        try:
            return unpack(self._seal.open(row.sealed, _place_of(row.org, row.task, row.id)))
        except (ValueError, msgspec.MsgspecError):
            raise Unavailable(
                "The push config can't be opened: its row or the platform's key was changed.",
                remedy="Create it again.",
            ) from None

    def _target(self, row: PushRow) -> PushTarget:
        """Where a followed config's letters go. Raises Unavailable."""
        found = self._rows.by_handle(Scope(org=row.org), row.handle)
        if found is None:
            raise Unavailable("The push config was removed.")
        return self._opened(found)

    def _follow(self, row: PushRow) -> None:
        row = row._replace(sealed=b"")  # Thousands may wait for their tasks: what is large is read again.
        live = self._runs.tasks.get(row.task_id)

        def subscribe(outlet: Outlet) -> Subscription | None:
            return Subscription(live, Waker(self.outbox, outlet), (0, 0)) if live is not None else None

        self.outbox.add(row, subscribe)

    def _names(self, org: int) -> dict[int, str]:
        """The names of an organisation's agents."""
        return {row.no: row.name for row in self._runs.reader.agents(Scope(org=org))}


def _status(row: PushRow, names: dict[int, str]) -> PushStatus:
    return PushStatus(
        row.no,
        row.handle,
        row.task_id,
        row.id,
        names.get(row.agent, ""),
        row.host,
        row.state,
        row.position,
        row.attempts,
        row.next_at,
        row.reason,
        row.created,
        row.at,
    )


def _place_of(org: int, task: int, config_id: str) -> str:
    return f"a2a-cloud push-v1 {org} {task} {config_id}"
