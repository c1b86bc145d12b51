"""control/grants/rows.py in the real dialect: what is stored is what is read, by index."""

from __future__ import annotations

import json
import sqlite3
from collections.abc import Iterator

import pytest

from a2a_cloud.control.grants.rows import (
    ADD_GRANT,
    END_GRANT,
    ENDS_BY_ID,
    GRANT,
    GRANTS,
    GRANTS_BY_ID,
    GRANTS_OF_HOLDER,
    GRANTS_OF_OPEN_RUNS,
    GRANTS_OF_RUN,
    GRANTS_OF_SUBJECT,
    LINKS_OF_ROOT,
    LIVING_ENDS,
    LIVING_LINKS,
    PUT_GRANT_USE,
    USES,
    EndRow,
    GrantRow,
    UseRow,
    first_of,
)
from a2a_cloud.storage.sql.schema import migrate


@pytest.fixture
def database() -> Iterator[sqlite3.Connection]:
    connection = sqlite3.connect(":memory:")
    migrate(connection)
    yield connection
    connection.close()


TABLES = ("run_grant", "grant_end", "grant_use", "audit_event")


def row(grant_id: str, root: str = "", **changes: object) -> GrantRow:
    plain = GrantRow(
        grant_id,
        1,
        root or grant_id,
        "",
        "",
        "",
        "run_1",
        "agent:default/a",
        "ada@default",
        "",
        "g1.x",
        5.0,
        100,
    )
    return plain._replace(**changes)


def test_rows_come_back(database: sqlite3.Connection) -> None:
    one, two = row("grant_1"), row("g_2", "grant_1", parent="grant_1", created=6.0)
    other = row("g_3", org=2)
    for each in (one, two, other):
        database.execute(ADD_GRANT.sql, tuple(each))
    with pytest.raises(sqlite3.IntegrityError):
        database.execute(ADD_GRANT.sql, tuple(one))
    assert GrantRow(*database.execute(GRANT, (1, "g_2")).fetchone()) == two
    assert database.execute(GRANT, (2, "g_2")).fetchone() is None
    assert [each[0] for each in database.execute(GRANTS, (1, "", 10))] == ["g_2", "grant_1"]
    of_run = database.execute(GRANTS_OF_RUN, (1, first_of("run_1"), 1, "run_1"))
    assert [each[0] for each in of_run] == ["grant_1", "g_2"]
    assert [each[0] for each in database.execute(LINKS_OF_ROOT, (1, "grant_1", 9))] == ["g_2"]
    assert [each[0] for each in database.execute(LIVING_LINKS, (99,))] == ["g_2"]
    assert list(database.execute(LIVING_LINKS, (100,))) == []


def test_the_first_end_stays_and_totals_only_grow(database: sqlite3.Connection) -> None:
    end = EndRow("g_1", 1, 5.0, "ada@default", "leaked")
    database.execute(END_GRANT.sql, tuple(end))
    database.execute(END_GRANT.sql, tuple(end._replace(by="bob@default", at=6.0)))
    assert [EndRow(*each) for each in database.execute(LIVING_ENDS, (0.0,))] == [end]
    database.execute(PUT_GRANT_USE.sql, tuple(UseRow("g_1", 1, 5, 50)))
    database.execute(PUT_GRANT_USE.sql, tuple(UseRow("g_1", 1, 4, 60)))
    found = database.execute(USES, (json.dumps(["g_1", "g_2"]),))
    assert [UseRow(*each) for each in found] == [UseRow("g_1", 1, 5, 60)]


@pytest.mark.parametrize(
    ("query", "values"),
    [
        (GRANT, (1, "x")),
        (GRANTS, (1, "x", 5)),
        (GRANTS_OF_HOLDER, (1, "x", "x", 5)),
        (GRANTS_OF_SUBJECT, (1, "x", "x", 5)),
        (GRANTS_OF_OPEN_RUNS, (1, 5, 1, 5, 5)),
        (GRANTS_BY_ID, ("[]",)),
        (ENDS_BY_ID, ("[]",)),
        (GRANTS_OF_RUN, (1, "g", 1, "x")),
        (LINKS_OF_ROOT, (1, "x", 5)),
        (LIVING_LINKS, (1,)),
        (LIVING_ENDS, (1.0,)),
        (USES, ("[]",)),
    ],
)
def test_no_query_scans_a_table(database: sqlite3.Connection, query: str, values: tuple[object, ...]) -> None:
    plan = [line[3] for line in database.execute(f"EXPLAIN QUERY PLAN {query}", values)]
    tables = [line for line in plan if any(name in line for name in TABLES)]
    assert tables
    assert all(line.startswith("SEARCH") for line in tables), plan
    assert "LIMIT" not in query or not any("TEMP B-TREE FOR ORDER BY" in line for line in plan), plan
