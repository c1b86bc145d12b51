"""How much of the write-ahead log is in use, and who works it off when."""

from __future__ import annotations

import sqlite3
from pathlib import Path

import pytest

from a2a_cloud.storage.journal import writer as writing
from a2a_cloud.storage.journal.wal import FRAME, HEADER, bytes_in_use
from a2a_cloud.storage.journal.writer import PAGE_BYTES, Checkpoints, SqliteWriter, connect, prepare
from a2a_cloud.storage.sql import statements as sql


@pytest.fixture
def path(tmp_path: Path) -> Path:
    path = tmp_path / "journal.db"
    prepare(path)
    return path


def wal(path: Path) -> Path:
    return path.with_name(path.name + "-wal")


class Pages:
    """Writes so many bytes more with each call."""

    def __init__(self, path: Path) -> None:
        self.writer = SqliteWriter(path)
        self.last = 0

    def add(self, size: int) -> None:
        self.last += 1
        self.writer.apply([[(sql.ADD_EVENT, (self.last, 1, b"x" * size))]])


def told(connection: sqlite3.Connection) -> int:
    """SQLite's own word for it, which works the log off as well."""
    _, frames, _ = connection.execute("PRAGMA wal_checkpoint(PASSIVE)").fetchone()
    return HEADER + frames * (FRAME + PAGE_BYTES)


def test_it_is_what_sqlite_says_in_every_round(path: Path) -> None:
    pages, connection = Pages(path), connect(path)
    assert bytes_in_use(wal(path)) == 0
    sizes: list[int] = []
    for size in (100_000, 1, 300_000, 5_000, 60_000):
        pages.add(size)  # The log was worked off whole: it begins anew, in the same file.
        pages.add(1)
        sizes.append(bytes_in_use(wal(path)))
        assert told(connection) == sizes[-1]
    assert sizes[1] < sizes[0] < sizes[2]
    assert sizes[3] < sizes[4] < wal(path).stat().st_size == sizes[2]
    connection.close()
    pages.writer.close()


@pytest.mark.parametrize("content", [None, b"", b"\x37\x7f\x06\x82", bytes(HEADER), b"?" * 5000])
def test_what_is_no_log_is_none_in_use(tmp_path: Path, content: bytes | None) -> None:
    file = tmp_path / "x-wal"
    if content is not None:
        file.write_bytes(content)
    assert bytes_in_use(file) in (0, HEADER)


def test_a_long_file_alone_is_no_reason_to_work_it_off(path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(writing, "CHECKPOINT_BYTES", 2_000_000)
    monkeypatch.setattr(writing, "SLICE_BYTES", 1_000_000)
    pages, checkpoints = Pages(path), Checkpoints(path, sync=True)
    assert not checkpoints.run()
    pages.add(1_200_000)
    assert not checkpoints.run()  # Copied, but the log need not begin anew.
    assert path.stat().st_size > 1_200_000
    pages.add(2_800_000)
    assert checkpoints.run()
    pages.writer.start_over()
    pages.add(1)
    assert bytes_in_use(wal(path)) < 50_000 < 2_800_000 < wal(path).stat().st_size
    ran: list[str] = []
    for connection in (pages.writer._connection, checkpoints._connection):  # pyright: ignore[reportPrivateUsage]
        connection.set_trace_callback(ran.append)
    for _ in range(100):
        pages.add(1)
        assert not checkpoints.run()
    assert [each for each in ran if "checkpoint" in each] == []
    checkpoints.close()
    pages.writer.close()


def test_a_writer_that_nobody_helps_works_it_off_itself(path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(writing, "CHECKPOINT_BYTES", 200_000)
    pages = Pages(path)
    for _ in range(640):
        pages.add(3_000)
    assert wal(path).stat().st_size < 400_000 + 64 * 4 * (PAGE_BYTES + FRAME)
    pages.writer.close()
