"""runtime/names.py and storage/sql/names.py: names and sessions are one owner's, with one agent."""

from __future__ import annotations

import asyncio
import re
import sqlite3
from collections.abc import Awaitable, Callable
from pathlib import Path

import pytest

from a2a_cloud.model.problem import Internal, SessionNotFound
from a2a_cloud.model.scope import SYSTEM, Scope
from a2a_cloud.ops.system import SystemClock, SystemEntropy, TimeIds
from a2a_cloud.runtime.names import Names, Sessions
from a2a_cloud.storage.journal.port import Refusal, Statement
from a2a_cloud.storage.journal.sqlite import SqliteJournal
from a2a_cloud.storage.sql import names as sql
from a2a_cloud.storage.sql import statements
from a2a_cloud.storage.sql.names import NameRows

MINE = Scope(org=1, owner=2)
STRANGERS = [Scope(org=1, owner=3), Scope(org=2, owner=2)]
STATEMENTS = [value for value in vars(sql).values() if isinstance(value, Statement)]


def run(path: Path, test: Callable[[SqliteJournal, Names, Sessions], Awaitable[None]]) -> None:
    async def inside() -> None:
        journal = SqliteJournal(path / "journal.db")
        connection = sqlite3.connect(path / "journal.db")
        try:
            rows, clock = NameRows(connection), SystemClock()
            ids = TimeIds(clock, SystemEntropy())
            await test(journal, Names(rows), Sessions(rows, journal, clock, ids))
        finally:
            connection.close()
            await journal.close()

    asyncio.run(inside())


def test_a_name_leads_to_one_task_until_it_is_free(tmp_path: Path) -> None:
    async def test(journal: SqliteJournal, names: Names, _: Sessions) -> None:
        await journal.write([(sql.ADD_TASK_NAME, (1, 2, 7, "mine", "task_1"))])
        with pytest.raises(Refusal):
            await journal.write([(sql.ADD_TASK_NAME, (1, 2, 7, "mine", "task_2"))])
        assert names.task(MINE, 7, "mine") == "task_1"
        assert [names.task(scope, 7, "mine") for scope in STRANGERS] == ["", ""]
        assert (names.task(MINE, 8, "mine"), names.task(MINE, 7, "\ud800")) == ("", "")
        await journal.write([(sql.DROP_TASK_NAME, (1, 2, 7, "mine", "task_other"))])
        for scope in STRANGERS:
            await journal.write([(sql.DROP_TASK_NAME, (scope.org, scope.owner, 7, "mine", "task_1"))])
        assert names.task(MINE, 7, "mine") == "task_1"
        await journal.write([(sql.DROP_TASK_NAME, (1, 2, 7, "mine", "task_1"))])
        assert names.task(MINE, 7, "mine") == ""

    run(tmp_path, test)


def test_a_session_and_its_state_end_together(tmp_path: Path) -> None:
    async def test(journal: SqliteJournal, _: Names, sessions: Sessions) -> None:
        opened = await sessions.open(MINE, 7, '{"a":1}')
        assert sessions.find(MINE, 7, opened.id) == opened
        for scope, agent_no in [(STRANGERS[0], 7), (STRANGERS[1], 7), (MINE, 8)]:
            with pytest.raises(SessionNotFound):
                sessions.find(scope, agent_no, opened.id)
        rows = [(1, 2, 7, opened.id), (1, 3, 7, opened.id), (1, 2, 8, opened.id), (1, 2, 7, "ctx_other")]
        await journal.write([(statements.PUT_STATE, (*row, "key", b"1")) for row in rows])
        for scope in STRANGERS:
            await sessions.end(scope, 7, opened.id)
        assert sessions.find(MINE, 7, opened.id).ended is None
        await sessions.end(MINE, 7, opened.id)
        ended = sessions.find(MINE, 7, opened.id).ended
        await sessions.end(MINE, 7, opened.id)
        assert ended is not None
        assert sessions.find(MINE, 7, opened.id).ended == ended
        connection = sqlite3.connect(tmp_path / "journal.db")
        left = connection.execute("SELECT org, owner, agent, context FROM state").fetchall()
        connection.close()
        # A stranger's end took what was that stranger's own, and nothing else.
        assert sorted(left) == [(1, 2, 7, "ctx_other"), (1, 2, 8, opened.id)]

    run(tmp_path, test)


def test_nothing_is_read_without_an_owner(tmp_path: Path) -> None:
    async def test(_journal: SqliteJournal, names: Names, sessions: Sessions) -> None:
        for scope in (SYSTEM, Scope(org=1)):
            with pytest.raises(Internal):
                names.task(scope, 7, "mine")
            with pytest.raises(Internal):
                sessions.find(scope, 7, "ctx_1")

    run(tmp_path, test)


@pytest.mark.parametrize("statement", STATEMENTS, ids=lambda one: one.name)
def test_every_statement_names_the_organisation(statement: Statement) -> None:
    if statement.sql.startswith("INSERT"):
        assert re.match(r"INSERT INTO \w+\((\w+, )*org\b", statement.sql)
    else:
        assert re.search(r"WHERE .*\borg=\?", statement.sql)
    assert statement.name not in {one.name for one in statements.ALL}


@pytest.mark.parametrize("query", [sql.TASK, sql.SESSION])
def test_every_read_is_a_look_up(tmp_path: Path, query: str) -> None:
    async def test(_journal: SqliteJournal, _names: Names, _sessions: Sessions) -> None:
        connection = sqlite3.connect(tmp_path / "journal.db")
        plan = connection.execute(f"EXPLAIN QUERY PLAN {query}", ("a", "b", "c", "d")).fetchall()
        connection.close()
        assert all("SEARCH" in row[3] and "PRIMARY KEY" in row[3] for row in plan)
        assert "org=?" in query

    run(tmp_path, test)
