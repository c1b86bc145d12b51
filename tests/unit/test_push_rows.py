"""runtime/push/rows.py: whose rows a read may see, what a second config of the same id does, which indexes
are walked."""

from __future__ import annotations

from pathlib import Path

import pytest

from a2a_cloud.model.problem import Internal
from a2a_cloud.model.scope import SYSTEM, Scope
from a2a_cloud.runtime.push.rows import (
    DEAD,
    DONE,
    DROP_PUSH,
    MOVE_PUSH,
    OPEN,
    REOPEN_PUSH,
    PushRow,
    PushRows,
    put_push,
)
from a2a_cloud.storage.journal.port import Op
from a2a_cloud.storage.journal.writer import connect, prepare


class Table:
    """A database with the table, written by the statements themselves."""

    def __init__(self, path: Path) -> None:
        prepare(path)
        self.connection = connect(path)
        self.rows = PushRows(self.connection)
        self.traced: list[str] = []

    def write(self, *ops: Op) -> None:
        for statement, values in ops:
            self.connection.execute(statement.sql, values)


@pytest.fixture
def table(tmp_path: Path) -> Table:
    return Table(tmp_path / "journal.db")


def row(n: int, org: int = 1, owner: int = 1, state: str = OPEN, config: str = "c") -> PushRow:
    return PushRow(
        f"push_{n}",
        org,
        owner,
        1,
        n,
        f"task_{n}",
        config,
        "https://h",
        b"sealed",
        "http://b",
        "a2a-1.0",
        1.0,
        1,
        0,
        0,
        0.0,
        state,
        "",
        1.0,
    )


def test_a_scope_sees_its_own(table: Table) -> None:
    mine, theirs, elsewhere = row(1), row(2, owner=2), row(3, org=2)
    table.write(*(put_push(each) for each in (mine, theirs, elsewhere)))
    reads = table.rows
    for scope, seen in (
        (Scope(1, 1), {1}),
        (Scope(1, 2), {2}),
        (Scope(1), {1, 2}),
        (Scope(2), {3}),
        (Scope(2, 1), {3}),
        (Scope(3), set[int]()),
    ):
        for n in (1, 2, 3):
            assert (reads.one(scope, n, "c") is not None) == (n in seen)
            assert (reads.by_handle(scope, f"push_{n}") is not None) == (n in seen)
            assert bool(reads.of_task(scope, n)) == (n in seen)
        assert {each.task for each in reads.page(scope)} == seen
    assert {each.task for each in reads.open_after(SYSTEM, 0, 9)} == {1, 2, 3}
    with pytest.raises(Internal):
        reads.open_after(Scope(1), 0, 9)
    with pytest.raises(Internal):
        reads.page(SYSTEM)


def test_the_same_id_again_keeps_what_was_delivered(table: Table) -> None:
    table.write(put_push(row(1)))
    table.write((MOVE_PUSH, (2, 7, 10, 5.0, DEAD, "It answered 500.", 9.0, "push_1", 1)))
    assert table.rows.page(Scope(1), dead=True)[0].reason == "It answered 500."
    again = row(9)._replace(task=1, task_id="task_1", host="https://new", sealed=b"new", at=10.0)
    table.write(put_push(again))
    (found,) = table.rows.of_task(Scope(1), 1)
    assert (found.handle, found.host, found.sealed) == ("push_1", "https://new", b"new")
    assert (found.position, found.state, found.attempts, found.reason) == ((2, 7), OPEN, 0, "")
    table.write((MOVE_PUSH, (2, 8, 0, 0.0, DONE, "", 11.0, "push_1", 1)))
    table.write(put_push(again), (REOPEN_PUSH, (12.0, "push_1", 1)))
    assert table.rows.of_task(Scope(1), 1)[0].state == DONE  # There is nothing more to come.
    table.write((DROP_PUSH, (1, "c", 2)))  # another organisation's
    assert table.rows.of_task(Scope(1), 1)
    table.write((DROP_PUSH, (1, "c", 1)))
    assert table.rows.of_task(Scope(1), 1) == []


def test_pages(table: Table) -> None:
    for n in range(1, 6):
        table.write(put_push(row(n, state=DEAD if n % 2 else OPEN)))
    first = table.rows.page(Scope(1), limit=3)
    assert [each.task for each in first] == [5, 4, 3]
    assert [each.task for each in table.rows.page(Scope(1), before=first[-1].no)] == [2, 1]
    assert [each.task for each in table.rows.page(Scope(1, 1), dead=True)] == [5, 3, 1]
    for config in ("b", "a", "d"):
        table.write(put_push(row(1, config=config)._replace(handle=f"push_{config}")))
    assert [each.id for each in table.rows.of_task(Scope(1), 1)] == ["a", "b", "c", "d"]
    assert [each.id for each in table.rows.of_task(Scope(1), 1, after="b", limit=1)] == ["c"]


def test_nothing_is_scanned(table: Table) -> None:
    asked: list[str] = []
    table.connection.set_trace_callback(asked.append)
    for scope in (Scope(1), Scope(1, 1)):
        table.rows.of_task(scope, 1)
        table.rows.one(scope, 1, "c")
        table.rows.by_handle(scope, "push_1")
        for dead in (True, False):
            table.rows.page(scope, dead=dead)
    table.rows.open_after(SYSTEM, 0, 9)
    table.connection.set_trace_callback(None)
    assert len(asked) == 11
    for sql in asked:
        plan = " ".join(each[3] for each in table.connection.execute(f"EXPLAIN QUERY PLAN {sql}"))
        assert "USING INDEX" in plan, (sql, plan)
        assert "TEMP B-TREE" not in plan, (sql, plan)
