"""Natural group commit: everything that queued while the last commit ran shares the next one, with
no lingering. The loop's side of every driver; who commits a group is the committer's business."""

from __future__ import annotations

import asyncio
import threading
from collections.abc import Callable, Sequence
from concurrent.futures import Future as BlockingFuture
from typing import Protocol

from a2a_cloud.model.problem import Internal, Problem, StorageFull, Unavailable
from a2a_cloud.storage.journal.port import Op, Refusal, Write
from a2a_cloud.storage.journal.writer import Followers, Verdicts

#: Seconds between tries while the disk is full.
RETRY_SECONDS = 0.5

Settled = Callable[[Verdicts | BaseException], None]


class Committer(Protocol):
    """Commits one group at a time."""

    def commit(self, group: list[Sequence[Op]], settled: Settled, after: Followers) -> None:
        """Commit; `settled` is called on the loop with a verdict per write, or with what kept the
        whole group from taking effect. `after` as for SqliteWriter.apply."""
        ...

    async def close(self) -> None:
        """Release everything. No commit is under way."""
        ...


class GroupJournal:
    """See `storage.journal.port.Journal`. Made inside a running loop."""

    def __init__(self, committer: Committer) -> None:
        self._loop = asyncio.get_running_loop()
        self._thread = threading.get_ident()
        self._committer = committer
        self._queue: list[Write] = []
        self._batch: list[Write] = []
        self._busy = False
        self._kicked = False
        self._closing: asyncio.Future[None] | None = None
        self._full = False
        self.groups = 0
        self.writes = 0
        #: Told of each group that took effect, on the loop.
        self.heard: Callable[[], None] = _nobody

    @property
    def full(self) -> bool:
        """See the port."""
        return self._full

    @property
    def backlog(self) -> int:
        """Writes waiting for the next group."""
        return len(self._queue)

    def submit(self, write: Write) -> None:
        """See the port. The group forms at the end of this turn of the loop."""
        if self._closing is not None:
            raise Unavailable("The journal is closed.", retry_after=1)
        self._queue.append(write)
        if not self._busy and not self._kicked:
            self._kicked = True
            self._loop.call_soon(self._kick)

    async def write(self, ops: Sequence[Op]) -> None:
        """See the port."""
        future: asyncio.Future[None] = self._loop.create_future()

        def done(error: BaseException | None) -> None:
            if future.done():
                return
            if error is None:
                future.set_result(None)
            else:
                future.set_exception(error)

        self.submit(Write(ops, done))
        await future

    def write_blocking(self, ops: Sequence[Op]) -> None:
        """See the port."""
        assert threading.get_ident() != self._thread, "this would wait for itself: await write() instead"
        waiting: BlockingFuture[None] = BlockingFuture()

        def done(error: BaseException | None) -> None:
            if error is None:
                waiting.set_result(None)
            else:
                waiting.set_exception(error)

        def submit() -> None:
            try:
                self.submit(Write(ops, done))
            except Problem as problem:
                waiting.set_exception(problem)

        try:
            self._loop.call_soon_threadsafe(submit)
        except RuntimeError as error:  # The loop has ended.
            raise Unavailable("The journal is closed.", retry_after=1) from error
        waiting.result()

    async def close(self) -> None:
        """See the port."""
        if self._closing is None:
            self._closing = self._loop.create_future()
            self._next()
            await self._closing
            await self._committer.close()

    def _kick(self) -> None:
        self._kicked = False
        if self._busy or not (self._queue or (self._full and self._closing is None)):
            self._next()
            return  # An empty group goes out only while the disk is full: to see whether it still is.
        batch, self._queue = self._queue, []
        broken: list[Write] = []
        for write in batch:
            if write.ops is None:
                assert write.collect is not None
                try:
                    write.ops = write.collect()
                except Exception as error:  # Its neighbours in the group go on.
                    write.ops = ()
                    broken.append(write)
                    refusal = Refusal(f"{type(error).__name__}: {error}")
                    self._loop.call_soon(self._tell, write, refusal)
                    continue
            if broken and write.after in broken:
                broken.append(write)
                self._loop.call_soon(self._tell, write, Refusal("What it follows was refused."))
        if broken:
            batch = [write for write in batch if write not in broken]
        self._busy = True
        self._batch = batch
        self._committer.commit([write.ops or () for write in batch], self._settled, _followers(batch))

    def _settled(self, outcome: Verdicts | BaseException) -> None:
        self._busy = False
        batch, self._batch = self._batch, []
        if isinstance(outcome, BaseException):
            self._failed(batch, outcome)
            return
        self._full = False
        self.groups += 1
        self.writes += len(batch)
        self.heard()
        # Who was refused hears it first: what would follow from their write may be in the next group.
        for write, verdict in zip(batch, outcome, strict=True):
            if verdict is not None:
                self._tell(write, Refusal(verdict))
        # The next group leaves before the callers wake, so that the writer is never idle; what the
        # woken callers submit joins the group after it.
        self._next()
        for write, verdict in zip(batch, outcome, strict=True):
            if verdict is None:
                self._tell(write, None)
        self._next()

    def _failed(self, batch: list[Write], error: BaseException) -> None:
        """The group did not take effect: keep what must be kept, fail the rest."""
        problem = _problem(error)
        self._full = isinstance(problem, StorageFull)
        if self._closing is not None:
            # The platform ends: what could not be stored is what a crash would have caught.
            self._full = False
            lost, self._queue = [*batch, *self._queue], []
            for write in lost:
                self._tell(write, problem)
            self._next()
            return
        # Until the group is tried again nothing new may overtake what is kept of it.
        self._kicked = True
        dropped: list[Write] = []
        for write in batch:
            if not write.must or write.after in dropped:
                dropped.append(write)
                self._tell(write, problem)
        self._queue[:0] = [write for write in batch if write not in dropped]
        if self._queue or self._full:
            self._loop.call_later(RETRY_SECONDS, self._kick)
        else:
            self._kicked = False

    def _tell(self, write: Write, error: Problem | Refusal | None) -> None:
        if write.done is not None:
            try:
                write.done(error)
            except Exception as broken:
                self._loop.call_exception_handler(
                    {"message": "A journal callback failed", "exception": broken}
                )

    def _next(self) -> None:
        if self._busy or self._kicked:
            return
        if self._queue:
            self._kick()
        elif self._closing is not None and not self._closing.done():
            self._closing.set_result(None)


def _followers(batch: list[Write]) -> Followers:
    """(place of a write, place of the one that it follows) of those that are in one group."""
    if all(write.after is None for write in batch):
        return ()
    places = {id(write): place for place, write in enumerate(batch)}
    return [
        (place, places[id(write.after)])
        for place, write in enumerate(batch)
        if write.after is not None and id(write.after) in places
    ]


def _nobody() -> None:
    """Nobody hears of groups."""


def _problem(error: BaseException) -> Problem:
    if isinstance(error, Problem):
        return error
    text = str(error)
    if any(word in text for word in ("full", "I/O", "space")):
        return StorageFull(
            remedy="Free some space on the disk of A2A_DATA; work goes on by itself.",
            operator=text,
            retry_after=5,
        )
    if "locked" in text:
        return Unavailable(
            "Another program keeps the database locked.",
            remedy="End whatever has journal.db open; work goes on by itself.",
            operator=text,
            retry_after=1,
        )
    return Internal("The change could not be stored.", operator=text)
