"""The journal on SQLite within this process: the commit runs in a thread of its own.

For simulations, tools and tests; the platform keeps the writer in a process of its own
(process.py), because the two would fight over the interpreter lock.
"""

from __future__ import annotations

import asyncio
import queue
import threading
from collections.abc import Sequence
from pathlib import Path

from a2a_cloud.storage.journal.group import GroupJournal, Settled
from a2a_cloud.storage.journal.port import Op
from a2a_cloud.storage.journal.writer import (
    Checkpoints,
    Commit,
    Followers,
    Sign,
    SqliteWriter,
    Verdicts,
    connect,
    prepare,
    real_commit,
)

#: Groups between looks at the WAL's size.
CHECKPOINT_GROUPS = 64


class ThreadCommitter:
    """See `storage.journal.group.Committer`: a writer in a thread."""

    def __init__(self, path: Path, writer: SqliteWriter) -> None:
        self._loop = asyncio.get_running_loop()
        self._path = path
        self._writer = writer
        self._todo: queue.SimpleQueue[tuple[list[Sequence[Op]], Settled, Followers] | None] = (
            queue.SimpleQueue()
        )
        self._thread = threading.Thread(target=self._run, name="journal", daemon=True)
        self._thread.start()

    def commit(self, group: list[Sequence[Op]], settled: Settled, after: Followers) -> None:
        """See the port."""
        self._todo.put((group, settled, after))

    async def close(self) -> None:
        """See the port."""
        self._todo.put(None)
        await self._loop.run_in_executor(None, self._thread.join)
        self._writer.close()

    def _run(self) -> None:
        checkpoints = Checkpoints(self._path)
        groups = 0
        while (todo := self._todo.get()) is not None:
            group, settled, after = todo
            outcome: Verdicts | BaseException
            try:
                outcome = self._writer.apply(group, after)
            except Exception as error:
                outcome = error
            self._loop.call_soon_threadsafe(settled, outcome)
            groups += 1
            if groups % CHECKPOINT_GROUPS == 0:
                checkpoints.run()
        checkpoints.close()


class SqliteJournal(GroupJournal):
    """See `storage.journal.port.Journal`. Makes or migrates the database at `path`."""

    def __init__(self, path: Path, *, commit: Commit = real_commit, sign: Sign | None = None) -> None:
        prepare(path)
        super().__init__(ThreadCommitter(path, SqliteWriter(path, sign=sign, commit=commit)))


__all__ = ["Commit", "SqliteJournal", "ThreadCommitter", "connect", "real_commit"]
