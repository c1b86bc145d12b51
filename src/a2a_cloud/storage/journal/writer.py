"""Applies groups of writes to a SQLite database, one transaction each. Synchronous and alone: it
runs in a thread (sqlite.py) or in a process of its own (process.py).

Statements are sent per kind with `executemany`; if the database refuses one, the group is rolled
back and each write is tried again in a savepoint of its own, so that one refusal never fails a
neighbour. Receipts are signed here, beside the commit and off the loop. A counter that is part of
every commit, with the refusals of that group, tells afterwards whether a commit whose call failed,
or whose process died, took effect.
"""

from __future__ import annotations

import contextlib
import json
import os
import sqlite3
import threading
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

from a2a_cloud.model.problem import Unavailable
from a2a_cloud.storage.journal.port import IN_ORDER, Op, Statement
from a2a_cloud.storage.journal.wal import bytes_in_use
from a2a_cloud.storage.log.leaves import teach
from a2a_cloud.storage.sql.schema import migrate

#: The WAL begins anew at this size, and the writer itself sees to it at twice it. A
#: longer WAL means that pages which many groups touch are copied once: measured, a quarter more calls
#: than with 4 MiB.
CHECKPOINT_BYTES = 32 << 20
#: What has come into the WAL is copied in slices of this size: to sync more at a time would hold up commits.
SLICE_BYTES = 4 << 20
#: Bytes of a page. A group touches the right edge of each index and little more, so that small pages
#: mean less to sync: 16 KB a call instead of 24, and a tenth more calls.
PAGE_BYTES = 2048

_COUNT = "UPDATE meta SET value=? WHERE key='commits'"
_REFUSED = "INSERT INTO meta VALUES('refused', ?) ON CONFLICT DO UPDATE SET value=excluded.value"
_REFUSALS = (
    sqlite3.IntegrityError,
    sqlite3.InterfaceError,
    sqlite3.ProgrammingError,
    sqlite3.DataError,
    OverflowError,
    UnicodeError,
)

Commit = Callable[[sqlite3.Connection], None]
Sign = Callable[[bytes], str]
#: One entry per write of a group: None, or why the database refused it.
Verdicts = list[str | None]
#: (place of a write in its group, place of the one before it that it follows).
Followers = Sequence[tuple[int, int]]


def real_commit(connection: sqlite3.Connection) -> None:
    """The commit port's real driver; simulations pass one that fails before, fails after, or loses."""
    connection.execute("COMMIT")


def connect(path: Path, *, readonly: bool = False) -> sqlite3.Connection:
    """A connection in autocommit mode with our pragmas. Raises Unavailable when it can't be opened."""
    connection: sqlite3.Connection | None = None
    try:
        connection = sqlite3.connect(
            f"{path.absolute().as_uri()}?mode={'ro' if readonly else 'rwc'}",
            uri=True,
            isolation_level=None,
            check_same_thread=False,
            cached_statements=256,
        )
        connection.execute("PRAGMA busy_timeout=5000")
        if not readonly:
            connection.execute(f"PRAGMA page_size={PAGE_BYTES}")
            connection.execute("PRAGMA journal_mode=WAL")
            connection.execute("PRAGMA synchronous=FULL")
            connection.execute("PRAGMA wal_autocheckpoint=0")
            # What is deleted or moves leaves zeros, so that erasing is erasing. It costs nothing that
            # can be measured: the pages are written anyway.
            connection.execute("PRAGMA secure_delete=ON")
            connection.execute("PRAGMA cache_size=-4000")
            teach(connection)
        else:
            connection.execute("PRAGMA cache_size=-8000")
            connection.execute("PRAGMA query_only=ON")
    except sqlite3.Error as error:
        if connection is not None:
            connection.close()
        raise _unusable(path, error) from error
    return connection


def _unusable(path: Path, error: sqlite3.Error) -> Unavailable:
    text = str(error)
    if "locked" in text:
        remedy = "End the other program that has it open."
    elif "malformed" in text or not isinstance(error, sqlite3.OperationalError):
        remedy = "It is damaged: put a copy of the data folder back, or set A2A_DATA to another folder."
    else:
        remedy = "Check the folder's owner and free space, or set A2A_DATA to another folder."
    return Unavailable(f"The database {path} can't be used: {error}.", remedy=remedy)


def prepare(path: Path) -> None:
    """Make the database at `path`, or bring it to our schema.

    Raises Unavailable when it can't be opened, is damaged or locked, or was written by newer code.
    """
    connection = connect(path)
    try:
        migrate(connection)
        if connection.execute("SELECT value FROM meta WHERE key='commits'").fetchone() is None:
            raise sqlite3.DatabaseError("its counter is missing")
    except sqlite3.Error as error:
        raise _unusable(path, error) from error
    finally:
        connection.close()


class SqliteWriter:
    """The one writer of a database. The schema must be there (`schema.migrate`)."""

    def __init__(self, path: Path, *, sign: Sign | None = None, commit: Commit = real_commit) -> None:
        self._connection = connect(path)
        self._sign = sign
        self._commit = commit
        self._wal = path.with_name(path.name + "-wal")
        self._groups = 0
        self.commits = self._stored()

    def _stored(self) -> int:
        (commits,) = self._connection.execute("SELECT value FROM meta WHERE key='commits'").fetchone()
        return int(commits)

    def _found(self) -> int:
        """The stored number once it can be read: the fate of a commit is looked up, never guessed."""
        while True:
            try:
                self._rollback()
                return self._stored()
            except sqlite3.Error:
                threading.Event().wait(0.1)

    def last(self) -> tuple[int, Verdicts]:
        """(number of the last group that took effect, its verdicts if it had refusals)."""
        row = self._connection.execute("SELECT value FROM meta WHERE key='refused'").fetchone()
        if row is not None:
            number, verdicts = json.loads(row[0])
            if number == self.commits:
                return self.commits, verdicts
        return self.commits, []

    def apply(self, group: Sequence[Sequence[Op]], after: Followers = ()) -> Verdicts:
        """Commit a group. Returns a verdict per write; raises sqlite3.Error when nothing took effect. A write
        that follows one which was refused is refused too."""
        verdicts: Verdicts = []
        try:
            verdicts = self._execute(group, after)
            self._commit(self._connection)
        except Exception:
            # Did it take effect all the same? Then the error was about the telling, not the doing.
            if self._found() != self.commits + 1:
                raise
        self.commits += 1
        self._groups += 1
        if self._groups % 64 == 0:
            self._bound_wal()
        return verdicts or [None] * len(group)

    def _begin(self) -> None:
        self._connection.execute("BEGIN IMMEDIATE")
        self._connection.execute(_COUNT, (self.commits + 1,))

    def _execute(self, group: Sequence[Sequence[Op]], after: Followers) -> Verdicts:
        by_kind: dict[Statement, list[Any]] = {}
        for ops in group:
            for statement, params in ops:
                rows = by_kind.get(statement)
                if rows is None:
                    by_kind[statement] = [params]
                else:
                    rows.append(params)
        mixed = [statement for statement in by_kind if statement.rank == IN_ORDER]
        self._begin()
        try:
            for statement in sorted(by_kind, key=_rank):
                if len(mixed) > 1 and statement.rank == IN_ORDER:
                    if statement is mixed[0]:
                        self._execute_in_order(group)
                    continue
                rows = by_kind[statement]
                if statement.signs is not None and self._sign is not None:
                    rows = [self._signed(statement.signs, params) for params in rows]
                self._connection.executemany(statement.sql, rows)
        except _REFUSALS:
            self._rollback()
            self._begin()
            return self._execute_apart(group, dict(after))
        return []

    def _execute_in_order(self, group: Sequence[Sequence[Op]]) -> None:
        for ops in group:
            for statement, params in ops:
                if statement.rank == IN_ORDER:
                    self._connection.execute(statement.sql, params)

    def _execute_apart(self, group: Sequence[Sequence[Op]], after: dict[int, int]) -> Verdicts:
        verdicts: Verdicts = []
        execute = self._connection.execute
        for place, ops in enumerate(group):
            followed = verdicts[after[place]] if place in after else None
            if followed is not None:
                verdicts.append(f"What it follows was refused: {followed}")
                continue
            execute("SAVEPOINT one")
            try:
                for statement, params in sorted(ops, key=_op_rank):
                    if statement.signs is not None and self._sign is not None:
                        params = self._signed(statement.signs, params)
                    execute(statement.sql, params)
            except _REFUSALS as error:
                execute("ROLLBACK TO one")
                verdicts.append(f"{type(error).__name__}: {error}")
            else:
                verdicts.append(None)
            execute("RELEASE one")
        execute(_REFUSED, (json.dumps([self.commits + 1, verdicts]),))
        return verdicts

    def _signed(self, signs: tuple[int, int], params: Sequence[Any]) -> list[Any]:
        body, place = signs
        row = list(params)
        if row[place] is None:
            assert self._sign is not None
            row[place] = self._sign(row[body])
        return row

    def _rollback(self) -> None:
        if self._connection.in_transaction:
            self._connection.execute("ROLLBACK")

    def _bound_wal(self) -> None:
        if bytes_in_use(self._wal) > 2 * CHECKPOINT_BYTES:
            self.start_over()

    def start_over(self) -> None:
        """Work off the WAL's end, so that it begins anew. A writer that never pauses keeps the background
        checkpoint from ever reaching it: here nobody writes, and what is left is short."""
        with contextlib.suppress(sqlite3.Error):
            self._connection.execute("PRAGMA wal_checkpoint(PASSIVE)").fetchone()

    def close(self) -> None:
        """Fold the WAL into the database, if the disk lets us, and close."""
        with contextlib.suppress(sqlite3.Error):
            self._connection.execute("PRAGMA wal_checkpoint(TRUNCATE)")
        self._connection.close()


class Checkpoints:
    """Works the WAL off from a connection of its own, so that no commit has to wait for it.

    `sync`: what was copied is synced here too. SQLite does that with the copy of the WAL's end alone,
    which is the writer's: 15 ms without a commit. The file is then open until the process ends, because
    closing it would give up the process's locks on it (https://sqlite.org/howtocorrupt.html, 2.2)."""

    def __init__(self, path: Path, *, sync: bool = False) -> None:
        self._connection = connect(path)
        self._wal = path.with_name(path.name + "-wal")
        self._file = os.open(path, os.O_RDWR | os.O_CLOEXEC) if sync else -1
        self._copied = 0

    def run(self) -> bool:
        """Copy what has come into the WAL since the last time, if that is much. Returns whether the WAL is so
        long that it should begin anew."""
        used = bytes_in_use(self._wal)
        if used < self._copied:
            self._copied = 0  # It has begun anew.
        long = used > CHECKPOINT_BYTES
        if used - self._copied < SLICE_BYTES and not long:
            return False
        try:
            for _ in range(1 + long):  # The second time little is left, and to the writer next to nothing.
                self._connection.execute("PRAGMA wal_checkpoint(PASSIVE)").fetchone()
                if self._file >= 0:
                    os.fdatasync(self._file)
        except (OSError, sqlite3.Error):
            return False  # Nothing is lost: the WAL only stays longer, and the next round tries again.
        self._copied = used
        return long

    def close(self) -> None:
        """Close the connection."""
        self._connection.close()


def _rank(statement: Statement) -> int:
    return statement.rank


def _op_rank(op: Op) -> int:
    return op[0].rank
