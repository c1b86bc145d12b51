"""Our journal drivers against the suite that we ship (src/a2a_cloud/testing/journal.py)."""

from __future__ import annotations

import asyncio
import os
import signal
from pathlib import Path

import pytest

from a2a_cloud.storage.journal.port import Journal, Write
from a2a_cloud.storage.journal.process import ProcessJournal
from a2a_cloud.storage.journal.sqlite import SqliteJournal
from a2a_cloud.storage.sql.reader import Reader
from a2a_cloud.storage.sql.sqlite import SqliteReader
from a2a_cloud.testing.commits import Commits
from a2a_cloud.testing.journal import FaultySuite, JournalSuite, Told, names, principal, until


class TestInThisProcess(FaultySuite):
    async def open(self, folder: Path, commits: Commits) -> tuple[Journal, Reader]:
        os.makedirs(folder, exist_ok=True)
        path = folder / "journal.db"
        return SqliteJournal(path, commit=commits), SqliteReader(path)


def writers(path: Path) -> list[int]:
    """Process ids of our children that have the database open."""
    found: list[int] = []
    for entry in Path("/proc").iterdir():
        if not entry.name.isdecimal():
            continue
        try:
            parent = int((entry / "stat").read_text().rpartition(")")[2].split()[1])
            if parent == os.getpid() and any(
                os.readlink(one) == str(path) for one in (entry / "fd").iterdir()
            ):
                found.append(int(entry.name))
        except OSError:
            continue
    return found


class TestInAProcessOfItsOwn(JournalSuite):
    async def open(self, folder: Path, commits: Commits) -> tuple[Journal, Reader]:
        path = folder / "journal.db"
        return ProcessJournal(path, b""), SqliteReader(path)

    def test_a_writer_that_is_killed_loses_and_doubles_nothing(self, tmp_path: Path) -> None:
        async def body() -> None:
            path = tmp_path / "journal.db"
            async with self.opened(tmp_path) as (journal, reader):
                await journal.write([principal(1)])
                told: list[Told] = []
                for _ in range(4):
                    for _ in range(300):
                        one = Told()
                        told.append(one)
                        journal.submit(Write([principal(len(told) + 1)], one, must=True))
                        if len(told) % 20 == 0:
                            await asyncio.sleep(0)
                    await until(lambda: writers(path) != [])  # The last kill may be just behind it.
                    (writer,) = writers(path)
                    os.kill(writer, signal.SIGKILL)
                    assert await told[-1].word() is None
                assert [one.words for one in told] == [[None]] * len(told)
                assert len(names(reader)) == len(told) + 1

        self.go(body)

    def test_the_writer_ends_with_the_journal(self, tmp_path: Path) -> None:
        async def body() -> None:
            async with self.opened(tmp_path) as (journal, _):
                await journal.write([principal(1)])
                assert len(writers(tmp_path / "journal.db")) == 1
            assert writers(tmp_path / "journal.db") == []
            assert (tmp_path / "journal.db-wal").stat().st_size == 0  # Folded into the database.

        self.go(body)


@pytest.mark.parametrize("driver", [SqliteJournal, ProcessJournal])
def test_the_blocking_face_refuses_the_loops_own_thread(tmp_path: Path, driver: object) -> None:
    async def body() -> None:
        path = tmp_path / "journal.db"
        journal = SqliteJournal(path) if driver is SqliteJournal else ProcessJournal(path, b"")
        with pytest.raises(AssertionError, match="wait for itself"):
            journal.write_blocking([principal(1)])
        await journal.close()

    asyncio.run(body())
