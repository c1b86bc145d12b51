"""The SQLite files: schema and its migrations, durability settings, the WAL, and what can be wrong with a
database when we open it or while we hold it."""

from __future__ import annotations

import asyncio
import os
import signal
import sqlite3
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest

from a2a_cloud.model.problem import StorageFull, Unavailable
from a2a_cloud.model.scope import SYSTEM, Scope
from a2a_cloud.storage.journal.port import Journal, Op, Write
from a2a_cloud.storage.journal.process import ProcessJournal
from a2a_cloud.storage.journal.sqlite import SqliteJournal
from a2a_cloud.storage.journal.writer import CHECKPOINT_BYTES, SqliteWriter, connect, prepare
from a2a_cloud.storage.sql import schema
from a2a_cloud.storage.sql import statements as sql
from a2a_cloud.storage.sql.sqlite import SqliteReader
from a2a_cloud.testing.journal import Told, names, principal

SOURCE = Path(__file__).parents[2] / "src"
DRIVERS: dict[str, Callable[[Path], Journal]] = {
    "thread": lambda path: SqliteJournal(path),
    "process": lambda path: ProcessJournal(path, b""),
}


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "journal.db"


def tables(connection: sqlite3.Connection) -> set[str]:
    return {name for (name,) in connection.execute("SELECT name FROM sqlite_schema WHERE type='table'")}


def version(connection: sqlite3.Connection) -> int:
    return int(connection.execute("PRAGMA user_version").fetchone()[0])


# --- migrations ---------------------------------------------------------------------------------------


def test_each_migration_is_applied_once_and_in_order(path: Path) -> None:
    steps = ["CREATE TABLE one(x)", "INSERT INTO one VALUES(1)", "INSERT INTO one VALUES(2)"]
    connection = connect(path)
    for upto in (1, 1, 3, 3):
        schema.migrate(connection, steps[:upto])
        assert version(connection) == upto
    assert connection.execute("SELECT x FROM one").fetchall() == [(1,), (2,)]
    connection.close()


def test_our_schema_is_made_and_found_again(path: Path) -> None:
    prepare(path)
    writer = SqliteWriter(path)
    writer.apply([[principal(1)]])
    writer.close()
    prepare(path)
    reader = SqliteReader(path)
    assert names(reader) == ["p1"]
    reader.close()


def test_a_newer_schema_is_refused_with_a_remedy(path: Path) -> None:
    prepare(path)
    connection = connect(path)
    connection.execute(f"PRAGMA user_version={schema.VERSION + 1}")
    connection.close()
    with pytest.raises(Unavailable) as refused:
        prepare(path)
    assert str(schema.VERSION + 1) in refused.value.detail
    assert "newer version" in refused.value.remedy


def test_a_migration_that_fails_changes_nothing(path: Path) -> None:
    connection = connect(path)
    good = ["CREATE TABLE one(x)"]
    schema.migrate(connection, good)
    with pytest.raises(sqlite3.Error):
        schema.migrate(connection, [*good, "CREATE TABLE two(x); INSERT INTO nowhere VALUES(1)"])
    assert (version(connection), tables(connection)) == (1, {"one"})
    schema.migrate(connection, [*good, "CREATE TABLE two(x)"])
    assert (version(connection), tables(connection)) == (2, {"one", "two"})
    connection.close()


def test_a_crash_amid_a_migration_leaves_the_version_before(path: Path) -> None:
    program = (
        "import os, sys, pathlib\n"
        "from a2a_cloud.storage.journal.writer import CHECKPOINT_BYTES, connect\n"
        "from a2a_cloud.storage.sql.schema import migrate\n"
        "connection = connect(pathlib.Path(sys.argv[1]))\n"
        "connection.create_function('die', 0, lambda: os.kill(os.getpid(), 9))\n"
        "one, two = 'CREATE TABLE one(x)', 'CREATE TABLE two(x); SELECT die(); CREATE TABLE three(x)'\n"
        "migrate(connection, [one, two])\n"
    )
    env = {**os.environ, "PYTHONPATH": str(SOURCE)}
    killed = subprocess.run([sys.executable, "-c", program, str(path)], env=env, check=False)
    assert killed.returncode == -signal.SIGKILL
    connection = connect(path)
    assert (version(connection), tables(connection)) == (1, {"one"})
    connection.close()


# --- settings -----------------------------------------------------------------------------------------


def test_a_commit_is_synced(path: Path) -> None:
    connection = connect(path)
    found = {
        name: connection.execute(f"PRAGMA {name}").fetchone()[0]
        for name in ("journal_mode", "synchronous", "wal_autocheckpoint")
    }
    connection.close()
    assert found == {"journal_mode": "wal", "synchronous": 2, "wal_autocheckpoint": 0}


def test_the_reader_changes_nothing(path: Path) -> None:
    prepare(path)
    connection = connect(path, readonly=True)
    with pytest.raises(sqlite3.OperationalError):
        connection.execute("DELETE FROM meta")
    connection.close()


@pytest.mark.parametrize("folder", ["plain", "with space", "50%20off", "what?mode=memory", "a#b", "ü"])
def test_a_data_folder_may_have_any_name(tmp_path: Path, folder: str) -> None:
    path = tmp_path / folder / "journal.db"
    path.parent.mkdir()
    prepare(path)
    assert path.is_file()
    reader = SqliteReader(path)
    assert names(reader) == []
    reader.close()


@pytest.mark.parametrize("driver", DRIVERS)
def test_the_wal_stays_bounded_while_writes_never_pause(path: Path, driver: str) -> None:
    async def body() -> None:
        journal = DRIVERS[driver](path)
        reader = SqliteReader(path)
        body = os.urandom(128 << 10)
        largest = 0
        for number in range(1200):
            await journal.write([(sql.ADD_EVENT, (number + 1, 1, body))])
            largest = max(largest, os.stat(f"{path}-wal").st_size)
            if number % 50 == 0:
                reader.events(Scope(org=1), 0, 0, 1)
        await journal.close()
        assert os.stat(path).st_size > 140 << 20
        assert largest < 2 * CHECKPOINT_BYTES + (12 << 20)  # the limit, and what 64 groups add to it
        reader.close()

    asyncio.run(body())


# --- what can be wrong --------------------------------------------------------------------------------


def damage_header(path: Path) -> None:
    path.write_bytes(b"This is no database. " * 1000)


def damage_schema(path: Path) -> None:
    prepare(path)
    with path.open("r+b") as file:
        file.seek(100)
        file.write(b"\xff" * 3996)


def empty_meta(path: Path) -> None:
    prepare(path)
    connection = connect(path)
    connection.execute("DELETE FROM meta")
    connection.close()


@pytest.mark.parametrize("damage", [damage_header, damage_schema, empty_meta])
@pytest.mark.parametrize("driver", DRIVERS)
def test_a_damaged_file_is_a_problem_with_a_remedy(
    path: Path, damage: Callable[[Path], None], driver: str
) -> None:
    damage(path)

    async def body() -> None:
        with pytest.raises(Unavailable) as refused:
            DRIVERS[driver](path)
        assert str(path) in refused.value.detail
        assert "damaged" in refused.value.remedy

    asyncio.run(body())


def test_a_place_where_nothing_can_be_made(tmp_path: Path) -> None:
    (tmp_path / "file").write_bytes(b"")
    with pytest.raises(Unavailable) as refused:
        prepare(tmp_path / "file" / "journal.db")
    assert "A2A_DATA" in refused.value.remedy


@pytest.mark.skipif(os.geteuid() == 0, reason="root may write anywhere")
def test_a_read_only_folder(tmp_path: Path) -> None:
    tmp_path.chmod(0o500)
    try:
        with pytest.raises(Unavailable) as refused:
            prepare(tmp_path / "journal.db")
    finally:
        tmp_path.chmod(0o700)
    assert "owner" in refused.value.remedy


def test_a_database_that_another_program_keeps_locked(path: Path) -> None:
    prepare(path)
    other = connect(path)

    async def body() -> None:
        journal = SqliteJournal(path)
        reader = SqliteReader(path)
        other.execute("BEGIN IMMEDIATE")
        plain, must = Told(), Told()
        journal.submit(Write([principal(1)], plain))
        journal.submit(Write([principal(2)], must, must=True))
        told = await plain.word()
        assert isinstance(told, Unavailable)
        assert "locked" in told.detail
        assert not journal.full  # New work is not refused for lack of room.
        other.execute("ROLLBACK")
        assert await must.word() is None
        assert names(reader) == ["p2"]
        await journal.close()
        reader.close()

    asyncio.run(body())
    # At start: a migration needs the lock.
    other.execute("PRAGMA user_version=0")
    other.execute("BEGIN IMMEDIATE")
    with pytest.raises(Unavailable) as refused:
        prepare(path)
    assert "other program" in refused.value.remedy
    other.close()


def test_a_database_that_is_really_full(path: Path) -> None:
    class Small(SqliteWriter):
        def limit(self, pages: int) -> None:
            self._connection.execute(f"PRAGMA max_page_count={pages}")

    prepare(path)
    writer = Small(path)
    writer.apply([[principal(1)]])
    writer.limit(1)  # SQLite raises it to the pages that are there.
    big: Op = (sql.ADD_EVENT, (1, 1, bytes(1 << 20)))
    with pytest.raises(sqlite3.OperationalError, match="full"):
        writer.apply([[principal(2)], [big]])
    writer.limit(1 << 20)
    assert writer.apply([[principal(2)], [big]]) == [None, None]
    assert writer.commits == 2
    writer.close()
    reader = SqliteReader(path)
    assert names(reader) == ["p1", "p2"]
    reader.close()


def test_a_file_that_may_not_grow(path: Path) -> None:
    """A disk that is full in earnest: the kernel refuses the WAL's growth."""
    import resource

    async def body() -> None:
        journal = SqliteJournal(path)
        reader = SqliteReader(path)
        await journal.write([principal(1)])
        soft, hard = resource.getrlimit(resource.RLIMIT_FSIZE)
        resource.setrlimit(resource.RLIMIT_FSIZE, (os.stat(f"{path}-wal").st_size + 20_000, hard))
        plain, must = Told(), Told()
        try:
            journal.submit(Write([(sql.ADD_EVENT, (1, 1, bytes(1 << 20)))], plain))
            journal.submit(Write([principal(2)], must, must=True))
            assert isinstance(await plain.word(), StorageFull)
        finally:
            resource.setrlimit(resource.RLIMIT_FSIZE, (soft, hard))
        assert await must.word() is None
        assert names(reader) == ["p1", "p2"]
        assert reader.last(SYSTEM, "receipt") == 0
        await journal.close()
        reader.close()

    asyncio.run(body())


def test_every_statement_has_a_name_of_its_own() -> None:
    assert len({statement.name for statement in sql.ALL}) == len(sql.ALL)
    assert len(sql.ALL) > 15
