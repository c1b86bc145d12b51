"""The journal on SQLite: WAL, `synchronous=FULL`, natural group commit.

The statements of a group run on the loop's thread (they only touch memory) and the COMMIT alone
goes to a thread of its own: measured, that beats a writer thread by half, because the two would
fight over the interpreter lock. Statements are sent per kind with `executemany`; if the database
refuses one, the group is rolled back and each write is tried again in a savepoint of its own, so
that one refusal never fails a neighbour. A counter that is part of every commit tells afterwards
whether a commit whose call failed took effect. The WAL is checkpointed from a second connection.
"""

from __future__ import annotations

import asyncio
import queue
import sqlite3
import threading
from collections.abc import Callable, Sequence
from concurrent.futures import Future as BlockingFuture
from pathlib import Path
from typing import Any

from a2a_cloud.model.problem import Internal, Problem, StorageFull, Unavailable
from a2a_cloud.storage.journal.port import Op, Params, Statement, Write
from a2a_cloud.storage.sql.schema import migrate

#: Seconds between tries while the disk is full.
RETRY_SECONDS = 0.5
#: The WAL is worked off in the background at this size, and by the committing thread at 8 times it.
CHECKPOINT_BYTES = 4 << 20

_COUNT = "UPDATE meta SET value=? WHERE key='commits'"

Commit = Callable[[sqlite3.Connection], None]


def real_commit(connection: sqlite3.Connection) -> None:
    """The commit port's real driver; simulations pass one that fails before, fails after, or loses."""
    connection.execute("COMMIT")


def connect(path: Path, *, readonly: bool = False) -> sqlite3.Connection:
    """A connection in autocommit mode with our pragmas. Raises Unavailable when it can't be opened."""
    try:
        connection = sqlite3.connect(
            f"file:{path}?mode={'ro' if readonly else 'rwc'}",
            uri=True,
            isolation_level=None,
            check_same_thread=False,
            cached_statements=256,
        )
        connection.execute("PRAGMA busy_timeout=5000")
        if not readonly:
            connection.execute("PRAGMA journal_mode=WAL")
            connection.execute("PRAGMA synchronous=FULL")
            connection.execute("PRAGMA wal_autocheckpoint=0")
            connection.execute("PRAGMA secure_delete=OFF")
            connection.execute("PRAGMA cache_size=-32000")
        else:
            connection.execute("PRAGMA cache_size=-8000")
            connection.execute("PRAGMA query_only=ON")
    except sqlite3.Error as error:
        raise Unavailable(
            f"The database {path} can't be opened: {error}.",
            remedy="Check the folder's owner and free space, or set A2A_DATA to another folder.",
        ) from error
    return connection


class SqliteJournal:
    """See `storage.journal.port.Journal`. Made inside a running loop."""

    def __init__(self, path: Path, *, commit: Commit = real_commit) -> None:
        self._path = path
        self._loop = asyncio.get_running_loop()
        self._connection = connect(path)
        migrate(self._connection)
        (self._commits,) = self._connection.execute("SELECT value FROM meta WHERE key='commits'").fetchone()
        self._commit = commit
        self._queue: list[Write] = []
        self._busy = False
        self._kicked = False
        self._closing: asyncio.Future[None] | None = None
        self._full = False
        self._begun = False
        self.groups = 0
        self.writes = 0
        self._todo: queue.SimpleQueue[list[Write] | None] = queue.SimpleQueue()
        self._thread = threading.Thread(target=self._run_commits, name="journal-commit", daemon=True)
        self._thread.start()
        self._wal = path.with_name(path.name + "-wal")
        self._checkpoint = threading.Event()
        self._stopped = False
        self._checkpointer = threading.Thread(target=self._run_checkpoints, name="journal-wal", daemon=True)
        self._checkpointer.start()

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
        waiting: BlockingFuture[None] = BlockingFuture()

        def done(error: BaseException | None) -> None:
            if error is None:
                waiting.set_result(None)
            else:
                waiting.set_exception(error)

        self._loop.call_soon_threadsafe(self.submit, Write(ops, done))
        waiting.result()

    async def close(self) -> None:
        """See the port."""
        if self._closing is None:
            self._closing = self._loop.create_future()
            if not self._busy and not self._queue:
                self._closing.set_result(None)
            elif not self._busy and not self._kicked:
                self._kick()
            await self._closing
            self._stopped = True
            self._todo.put(None)
            self._checkpoint.set()
            await self._loop.run_in_executor(None, self._thread.join)
            await self._loop.run_in_executor(None, self._checkpointer.join)
            self._connection.execute("PRAGMA wal_checkpoint(TRUNCATE)")
            self._connection.close()

    # --- the group --------------------------------------------------------------------------

    def _kick(self) -> None:
        self._kicked = False
        if self._busy or not self._queue:
            return
        batch, self._queue = self._queue, []
        for write in batch:
            if write.ops is None:
                assert write.collect is not None
                write.ops = write.collect()
        self._busy = True
        try:
            batch = self._execute(batch)
        except sqlite3.Error as error:
            self._rollback()
            self._finish(batch, error)
            return
        if not batch:
            self._rollback()
            self._busy = False
            self._next()
            return
        self._todo.put(batch)

    def _begin(self) -> None:
        self._connection.execute("BEGIN IMMEDIATE")
        self._connection.execute(_COUNT, (self._commits + 1,))

    def _execute(self, batch: list[Write]) -> list[Write]:
        """Run the group's statements; returns the writes that are in the open transaction."""
        groups: dict[Statement, list[Params]] = {}
        for write in batch:
            for statement, params in write.ops or ():
                rows = groups.get(statement)
                if rows is None:
                    groups[statement] = [params]
                else:
                    rows.append(params)
        self._begin()
        try:
            for statement in sorted(groups, key=_rank) if len(groups) > 1 else groups:
                self._connection.executemany(statement.sql, groups[statement])
        except (sqlite3.IntegrityError, sqlite3.InterfaceError, sqlite3.ProgrammingError, OverflowError):
            self._rollback()
            self._begin()
            return self._execute_apart(batch)
        return batch

    def _execute_apart(self, batch: list[Write]) -> list[Write]:
        kept: list[Write] = []
        refused: list[tuple[Write, BaseException]] = []
        for write in batch:
            self._connection.execute("SAVEPOINT one")
            try:
                for statement, params in sorted(write.ops or (), key=lambda op: op[0].rank):
                    self._connection.execute(statement.sql, params)
            except (sqlite3.IntegrityError, sqlite3.InterfaceError, sqlite3.ProgrammingError, OverflowError) as error:
                self._connection.execute("ROLLBACK TO one")
                self._connection.execute("RELEASE one")
                refused.append((write, error))
            else:
                self._connection.execute("RELEASE one")
                kept.append(write)
        for write, error in refused:
            self._loop.call_soon(_tell, write, error)
        return kept

    def _rollback(self) -> None:
        if self._connection.in_transaction:
            self._connection.execute("ROLLBACK")

    # --- the commit -------------------------------------------------------------------------

    def _run_commits(self) -> None:
        groups = 0
        while (batch := self._todo.get()) is not None:
            error: BaseException | None = None
            try:
                self._commit(self._connection)
            except Exception as caught:
                error = caught
            groups += 1
            if groups % 64 == 0:
                self._bound_wal()
            self._loop.call_soon_threadsafe(self._committed, batch, error)

    def _bound_wal(self) -> None:
        # A writer that never pauses keeps the background checkpoint from ever reaching the WAL's
        # end, and only then can it start over: here nobody writes, and what is left is short.
        try:
            if self._wal.stat().st_size > 8 * CHECKPOINT_BYTES:
                self._connection.execute("PRAGMA wal_checkpoint(PASSIVE)").fetchone()
        except (OSError, sqlite3.Error):
            return

    def _committed(self, batch: list[Write], error: BaseException | None) -> None:
        if error is not None:
            self._rollback()
            try:
                (stored,) = self._connection.execute("SELECT value FROM meta WHERE key='commits'").fetchone()
            except sqlite3.Error as unreadable:
                self._finish(batch, unreadable)
                return
            if stored != self._commits + 1:
                self._finish(batch, error)
                return
        self._commits += 1
        self._full = False
        self.groups += 1
        self.writes += len(batch)
        # The next group forms before the callers wake, so that the disk is never idle; what the
        # woken callers submit joins the group after it.
        self._busy = False
        for write in batch:
            if write.done is not None:
                try:
                    write.done(None)
                except Exception as broken:
                    self._report(broken)
        if self.groups % 64 == 0:
            self._checkpoint.set()
        self._next()

    def _finish(self, batch: list[Write], error: BaseException) -> None:
        """The group did not take effect: keep what must be kept, fail the rest."""
        self._busy = False
        self._full = True
        problem = _problem(error)
        again = [write for write in batch if write.must]
        for write in batch:
            if not write.must:
                _tell(write, problem)
        if again:
            self._queue[:0] = again
            if not self._kicked:
                self._kicked = True
                self._loop.call_later(RETRY_SECONDS, self._kick)
        else:
            self._next()

    def _next(self) -> None:
        if self._queue:
            if not self._kicked:
                self._kick()
        elif self._closing is not None and not self._closing.done() and not self._kicked:
            self._closing.set_result(None)

    def _report(self, error: Exception) -> None:
        self._loop.call_exception_handler({"message": "A journal callback failed", "exception": error})

    # --- checkpoints ------------------------------------------------------------------------

    def _run_checkpoints(self) -> None:
        connection = connect(self._path)
        while True:
            self._checkpoint.wait()
            self._checkpoint.clear()
            if self._stopped:
                break
            try:
                size = self._wal.stat().st_size
                if size > CHECKPOINT_BYTES:
                    connection.execute("PRAGMA wal_checkpoint(PASSIVE)").fetchone()
            except (OSError, sqlite3.Error):
                continue  # Nothing is lost: the WAL only stays longer, and the next round tries again.
        connection.close()


def _rank(statement: Statement) -> int:
    return statement.rank


def _tell(write: Write, error: BaseException) -> None:
    if write.done is not None:
        write.done(error)


def _problem(error: BaseException) -> BaseException:
    if isinstance(error, Problem):
        return error
    text = str(error)
    if isinstance(error, sqlite3.OperationalError | OSError) and ("full" in text or "I/O" in text or "space" in text):
        return StorageFull(
            remedy="Free some space on the disk of A2A_DATA; work goes on by itself.", operator=text, retry_after=5
        )
    return Internal("The change could not be stored.", operator=text)


def rows(connection: sqlite3.Connection, sql: str, params: Params) -> list[tuple[Any, ...]]:
    """All rows of a read."""
    return connection.execute(sql, params).fetchall()
