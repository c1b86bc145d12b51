"""How agents are used, and how cards differ."""

from __future__ import annotations

import sqlite3
from typing import Any

import pytest

from a2a_cloud.control.registry.rows import SqliteRunRows
from a2a_cloud.control.registry.usage import RECENT, Usages
from a2a_cloud.model.release import Manifest, Release
from a2a_cloud.model.search import Usage
from a2a_cloud.storage.sql.schema import migrate
from a2a_cloud.surface.api.cards import changes


class Clock:
    at = 1000.0

    def now(self) -> float:
        return self.at

    def monotonic(self) -> float:
        return self.at


def release(agent: int) -> Release:
    return Release(agent, agent, 1, "default", 1, "", "", Manifest(f"agent{agent}", "agent.py"), ())


@pytest.fixture
def rows() -> sqlite3.Connection:
    connection = sqlite3.connect(":memory:", isolation_level=None)
    migrate(connection)
    return connection


def ran(
    rows: sqlite3.Connection, agent: int, state: str, created: float, ended: float | None, org: int = 1
) -> None:
    values = (org, agent, f"TASK_STATE_{state}", created, ended)
    rows.execute(
        "INSERT INTO run(id, org, owner, agent, release, task, task_id, ordinal, context, skill, state,"
        " attempt, created, ended, call) SELECT 'run_' || count(*), ?1, 1, ?2, 1, 1, 't', 1, 'c', 's', ?3, 1,"
        " ?4, ?5, x'' FROM run",
        values,
    )


def test_the_usage_of_an_agent(rows: sqlite3.Connection) -> None:
    clock = Clock()
    usages = Usages(SqliteRunRows(rows), clock)
    assert usages.of(release(1)) is None
    for number, seconds in enumerate((0.2, 0.4, 9.0)):
        ran(rows, 2, "COMPLETED", 100.0 + number, 100.0 + number + seconds)
    ran(rows, 2, "FAILED", 110.0, 111.0)
    ran(rows, 2, "WORKING", 112.0, None)
    ran(rows, 2, "COMPLETED", 120.0, 121.0, org=2)  # Nobody's of this organisation.
    assert usages.of(release(2)) == Usage(5, 1, 0.4, 100.0)
    ran(rows, 1, "WORKING", 130.0, None)
    assert usages.of(release(1)) is None  # What was read is good for a moment.
    clock.at += 60
    assert usages.of(release(1)) == Usage(1, 0, None, 130.0)


def test_only_the_last_runs_are_looked_at(rows: sqlite3.Connection) -> None:
    for number in range(RECENT + 20):
        ran(rows, 1, "FAILED" if number < 20 else "COMPLETED", float(number), number + 1.0)
    assert Usages(SqliteRunRows(rows), Clock()).of(release(1)) == Usage(RECENT, 0, 1.0, 20.0)


@pytest.mark.parametrize(
    ("old", "new", "expected"),
    [
        ({"a": 1}, {"a": 1}, []),
        ({"a": 1}, {"a": 2, "b/c": 3}, [("/a", 1, 2), ("/b~1c", None, 3)]),
        ({"a": [1, 2]}, {"a": [2, 1]}, [("/a", [1, 2], [2, 1])]),
        (
            {"skills": [{"id": "x", "name": "X"}, {"id": "y"}]},
            {"skills": [{"id": "y"}, {"id": "x", "name": "Z"}]},
            [("/skills/x/name", "X", "Z")],
        ),
        ({"s": [{"id": "x"}]}, {"s": []}, [("/s/x", {"id": "x"}, None)]),
        ({"s": [{"id": "x"}, {"id": "x"}]}, {"s": [{"id": "x"}]}, None),
        ({"a": True}, {"a": 1}, [("/a", True, 1)]),
        ({"a": None}, {}, [("/a", None, None)]),
    ],
    ids=["same", "members", "plain-list", "moved", "gone", "twice", "kinds", "null"],
)
def test_changes_of_a_document(old: Any, new: Any, expected: list[Any] | None) -> None:
    found = [(one["path"], one.get("before"), one.get("after")) for one in changes(old, new)]
    if expected is None:
        expected = [("/s", old["s"], new["s"])]
    assert found == expected
