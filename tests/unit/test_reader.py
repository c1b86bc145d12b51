"""Reads and writes name their organisation, show nobody another's rows, and never scan a big table."""

from __future__ import annotations

import inspect
import re
import sqlite3
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from a2a_cloud.model.problem import Internal, InvalidParams
from a2a_cloud.model.scope import SYSTEM, Scope
from a2a_cloud.model.task import TaskState
from a2a_cloud.storage.journal.port import Op
from a2a_cloud.storage.journal.writer import SqliteWriter, connect, prepare
from a2a_cloud.storage.sql import sqlite as sqlite_reader
from a2a_cloud.storage.sql import statements as sql
from a2a_cloud.storage.sql.reader import Reader
from a2a_cloud.storage.sql.schema import SEQ_BITS
from a2a_cloud.storage.sql.sqlite import SqliteReader

DONE, FAILED = TaskState.COMPLETED.value, TaskState.FAILED.value
SUBMITTED, WORKING = TaskState.SUBMITTED.value, TaskState.WORKING.value
PARKED = TaskState.INPUT_REQUIRED.value
BIG = ("run", "task", "event", "receipt", "log", "idempotency", "state")

Call = Callable[[SqliteReader, Scope], Any]

#: Every method that takes an organisation's or owner's scope, called in every way that makes other SQL.
SCOPED: dict[str, list[Call]] = {
    "keys": [lambda r, s: r.keys(s)],
    "key": [lambda r, s: r.key(s, "key1")],
    "agents": [lambda r, s: r.agents(s)],
    "releases": [lambda r, s: r.releases(s, 1)],
    "task": [lambda r, s: r.task(s, "task_1"), lambda r, s: r.task(s, "task_1", 1)],
    "tasks": [
        lambda r, s: r.tasks(s, 1),
        lambda r, s: r.tasks(s, 1, state=DONE),
        lambda r, s: r.tasks(s, 1, context="ctx"),
        lambda r, s: r.tasks(s, 1, context="ctx", state=DONE),
        lambda r, s: r.tasks(s, 1, after=0.5, before=(1e12, 1 << 40)),
        lambda r, s: r.tasks(s, 1, context="ctx", state=DONE, after=0.5, before=(1e12, 1 << 40)),
    ],
    "count_tasks": [
        lambda r, s: r.count_tasks(s, 1),
        lambda r, s: r.count_tasks(s, 1, state=DONE),
        lambda r, s: r.count_tasks(s, 1, after=0.5),
        lambda r, s: r.count_tasks(s, 1, context="ctx", after=0.5),
        lambda r, s: r.count_tasks(s, 1, context="ctx", state=DONE),
    ],
    "run": [lambda r, s: r.run(s, "run_1")],
    "run_by_no": [lambda r, s: r.run_by_no(s, 1)],
    "children": [lambda r, s: r.children(s, 1)],
    "runs_of_task": [lambda r, s: r.runs_of_task(s, 1)],
    "runs": [
        lambda r, s, a=a, st=st, d=d, b=b: r.runs(s, agent=a, state=st, dead=d, before=b)
        for a in (None, 1)
        for st in ("", SUBMITTED, WORKING, DONE, FAILED, PARKED)
        for d in (False, True)
        for b in (None, 1 << 40)
    ],
    "call": [lambda r, s: r.call(s, 1)],
    "idempotency": [lambda r, s: r.idempotency(s, b"key1")],
    "events": [lambda r, s: r.events(s, 1), lambda r, s: r.events(s, 1, 0, 10)],
    "receipt": [lambda r, s: r.receipt(s, 1)],
    "receipt_ids": [lambda r, s: r.receipt_ids(s, [1, 2, 3])],
    "state": [lambda r, s: r.state(s, 1, "ctx", "key")],
    "majors": [lambda r, s: r.majors(s)],
    "settings": [lambda r, s: r.settings(s, 1)],
    "logs": [
        lambda r, s: r.logs(s, agent=1, release=1, levels=("info",), since=0.5),
        lambda r, s: r.logs(s, agent=1),
        lambda r, s: r.logs(s, agent=1, after=0, limit=1),
        lambda r, s: r.logs(s, run=1),
        lambda r, s: r.logs(s, run=1, after=0),
        lambda r, s: r.logs(s, agent=1, after=-1),
        lambda r, s: r.logs(s, run=1, after=-1),
    ],
}
#: The platform's own reads, refused to any other scope.
FOR_THE_SYSTEM: dict[str, list[Call]] = {
    "orgs": [lambda r, s: r.orgs(s)],
    "principals": [lambda r, s: r.principals(s)],
    "key_by_hash": [lambda r, s: r.key_by_hash(s, b"hash1")],
    "hash_of_key": [lambda r, s: r.hash_of_key(s, "key1")],
    "last": [
        lambda r, s, t=t: r.last(s, t)
        for t in ("org", "principal", "agent", "release", "task", "run", "log", "receipt")
    ],
    "open_runs": [lambda r, s: r.open_runs(s)],
}
#: What the platform's own scope reads through scoped methods: at start, and runs by their number.
BY_THE_SYSTEM = ("keys", "key", "agents", "releases", "majors", "run_by_no")
#: Rows of the organisation; that the owner fits was checked with their run.
OF_THE_ORGANISATION = {
    "keys",
    "key",
    "agents",
    "releases",
    "majors",
    "settings",
    "idempotency",
    "events",
    "receipt",
    "receipt_ids",
    "logs",
}


def rows(
    no: int, org: int, owner: int, agent: int, state: str = DONE, *, dead: int = 0, parent: int | None = None
) -> list[Op]:
    """A task with one run, its event, receipt, log line and key; all numbered `no`."""
    live = state in (SUBMITTED, WORKING, PARKED)
    ops: list[Op] = [
        (sql.ADD_TASK, (no, f"task_{no}", org, owner, agent, "ctx", SUBMITTED, float(no))),
        (
            sql.ADD_RUN,
            (
                *(no, f"run_{no}", org, owner, agent, 1, no, f"task_{no}", 1, "ctx", "echo"),
                *(SUBMITTED, 1, float(no), b"call", parent),
            ),
        ),
        (sql.ADD_EVENT, (no << SEQ_BITS | 1, org, b"event")),
        (sql.ADD_IDEMPOTENCY, (b"key%d" % no, org, no, b"print")),
        (sql.SET_TASK, (state, no + 0.5, no, org)),
    ]
    if live:
        return [*ops, (sql.SET_RUN, (state, 1, float(no), no, org))]
    return [
        *ops,
        (sql.ADD_LOG, (org, agent, 1, no, float(no), "info", "stdout", "line")),
        (sql.END_RUN, (state, 1, float(no), no + 0.5, None, None, dead, no, org)),
    ]


@pytest.fixture
def path(tmp_path: Path) -> Path:
    """Organisation 1 with owners 1 and 2, organisation 2 with owner 3; run 1 is owner 1's."""
    path = tmp_path / "journal.db"
    prepare(path)
    writer = SqliteWriter(path)
    ops: list[Op] = []
    for org, name in ((1, "default"), (2, "acme")):
        ops.append((sql.ADD_ORG, (org, name, 0.0)))
    for no, org in ((1, 1), (2, 1), (3, 2)):
        ops.append((sql.ADD_PRINCIPAL, (no, org, f"p{no}", 0.0)))
    ops += [
        (sql.ADD_KEY, ("key1", 1, 1, "member", "", b"hash1", 0.0, "p1@default", 0, "", None, "")),
        (sql.ADD_AGENT, (1, 1, "echo", 0.0)),
        (
            sql.ADD_RELEASE,
            (1, 1, 1, 1, "ready", "switch", "sha256:0", "sha256:0", "", b"{}", b"[]", 0, 0.0, 0.0, "", b"{}"),
        ),
        (sql.PUT_MAJOR, (1, 1, 1, 1, None, None)),
        (sql.PUT_SETTING, (1, 1, "NAME", "value", 0.0)),
        (sql.PUT_STATE, (1, 1, 1, "ctx", "key", b"value")),
        (sql.ADD_RECEIPT, (1, 1, 1, b"leaf", b"id", b"body", "head", "signature", b"sections")),
    ]
    ops += rows(1, 1, 1, 1, dead=1)
    for no, state in enumerate((FAILED, PARKED, WORKING, SUBMITTED), 2):
        ops += rows(no, 1, 1, 1, state, parent=1)
    verdicts = writer.apply([[op] for op in ops])
    assert set(verdicts) == {None}
    writer.close()
    return path


@pytest.fixture
def reader(path: Path) -> Iterator[SqliteReader]:
    reader = SqliteReader(path)
    yield reader
    reader.close()


def traced(reader: SqliteReader, act: Callable[[], Any]) -> list[str]:
    """The SQL that `act` runs."""
    found: list[str] = []
    connection: sqlite3.Connection = reader._connection  # pyright: ignore[reportPrivateUsage]
    connection.set_trace_callback(found.append)
    try:
        act()
    finally:
        connection.set_trace_callback(None)
    assert found
    return found


def empty(answer: Any) -> bool:
    return answer is None or answer in ([], {}, 0)


def test_every_method_is_covered_here() -> None:
    methods = {name for name, _ in inspect.getmembers(SqliteReader, inspect.isfunction) if name[0] != "_"}
    assert methods - {"close", "snapshot"} == set(SCOPED) | set(FOR_THE_SYSTEM)
    assert methods == {name for name, _ in inspect.getmembers(Reader, inspect.isfunction) if name[0] != "_"}


# --- scopes -------------------------------------------------------------------------------------------


@pytest.mark.parametrize("name", SCOPED)
def test_the_owner_and_the_organisation_see_their_rows(reader: SqliteReader, name: str) -> None:
    for scope in (Scope(org=1, owner=1), Scope(org=1)):
        if scope.owner is None and name in ("tasks", "count_tasks", "state"):
            continue  # Lists of one owner; see below.
        for call in SCOPED[name]:
            assert name == "runs" or not empty(call(reader, scope))
    if name == "runs":
        owned = Scope(org=1, owner=1)
        assert [row.no for row in reader.runs(owned)] == [5, 4, 3, 2, 1]
        assert [row.no for row in reader.runs(owned, agent=1, dead=True)] == [1]
        for no, state in enumerate((DONE, FAILED, PARKED, WORKING, SUBMITTED), 1):
            for agent in (None, 1):
                for scope in (owned, Scope(org=1)):
                    assert [row.no for row in reader.runs(scope, agent=agent, state=state)] == [no]


@pytest.mark.parametrize("name", SCOPED)
def test_nobody_else_sees_them(reader: SqliteReader, name: str) -> None:
    strangers = [Scope(org=2, owner=3), Scope(org=2, owner=1), Scope(org=2)]
    if name not in OF_THE_ORGANISATION:
        strangers.append(Scope(org=1, owner=2))
    for scope in strangers:
        if scope.owner is None and name in ("tasks", "count_tasks", "state"):
            continue
        for call in SCOPED[name]:
            assert empty(call(reader, scope)), (name, scope)


@pytest.mark.parametrize("name", ["tasks", "count_tasks", "state"])
def test_what_belongs_to_one_owner_is_asked_for_with_one(reader: SqliteReader, name: str) -> None:
    for scope in (Scope(org=1), SYSTEM):
        for call in SCOPED[name]:
            with pytest.raises(Internal):
                call(reader, scope)


def test_lists_of_runs_are_of_one_organisation(reader: SqliteReader) -> None:
    with pytest.raises(Internal):
        reader.runs(SYSTEM)


@pytest.mark.parametrize("name", FOR_THE_SYSTEM)
def test_the_platforms_own_reads_are_for_it_alone(reader: SqliteReader, name: str) -> None:
    for call in FOR_THE_SYSTEM[name]:
        for scope in (Scope(org=1), Scope(org=1, owner=1)):
            with pytest.raises(Internal):
                call(reader, scope)
        call(reader, SYSTEM)


@pytest.mark.parametrize("name", SCOPED)
def test_every_query_names_the_organisation(reader: SqliteReader, name: str) -> None:
    for call in SCOPED[name]:
        for query in traced(reader, lambda call=call: call(reader, Scope(org=1, owner=1))):
            selects = len(re.findall(r"\bFROM (?!\(|json_each)", query))
            assert selects >= 1
            assert len(re.findall(r"\borg=1\b", query)) == selects, query
            if name not in OF_THE_ORGANISATION:
                assert len(re.findall(r"\bowner=1\b", query)) == selects, query


@pytest.mark.parametrize("statement", sql.ALL, ids=lambda one: one.name)
def test_every_statement_names_the_organisation(statement: Any) -> None:
    text = statement.sql
    if statement is sql.ADD_ORG:
        return
    if text.startswith("INSERT"):
        assert re.match(r"INSERT INTO \w+\((\w+, )*org\b", text)
    else:
        assert re.search(r"WHERE .*\borg=\?", text)


def test_no_statement_reaches_into_another_organisation(path: Path) -> None:
    """Every update and delete, with the right numbers and the wrong organisation, changes nothing."""
    connection = connect(path)
    before = list(connection.iterdump())
    for statement in sql.ALL:
        if statement.sql.startswith("INSERT"):
            continue
        # Parameters in the order of the marks: 2 for the organisation, what fits for the others.
        names = re.findall(r"(\w+)<?=(?:\?|COALESCE\(\w+, \?\))", statement.sql)
        values = {"org": 2, "id": "key1", "context": "ctx", "key": "key", "no": 1, "owner": 1, "agent": 1}
        assert connection.execute(statement.sql, [values.get(name, 7) for name in names]).rowcount == 0
    assert list(connection.iterdump()) == before
    connection.close()


# --- plans --------------------------------------------------------------------------------------------


def plans(path: Path, queries: list[str]) -> list[tuple[str, str]]:
    connection = connect(path)
    try:
        return [
            (query, row[3]) for query in queries for row in connection.execute(f"EXPLAIN QUERY PLAN {query}")
        ]
    finally:
        connection.close()


def scans(plan: str) -> bool:
    """Whether a step of a plan walks a whole table, or sorts."""
    walks = re.match(rf"SCAN ({'|'.join(BIG)})\b(?! USING (COVERING )?INDEX run_open)", plan)
    return bool(walks) or "TEMP B-TREE" in plan


def test_no_query_walks_a_big_table(reader: SqliteReader, path: Path) -> None:
    queries: list[str] = []
    for calls in SCOPED.values():
        for call in calls:
            for scope in (Scope(org=1, owner=1), Scope(org=1)):
                try:
                    queries += traced(reader, lambda call=call, scope=scope: call(reader, scope))
                except Internal:
                    continue
    for name in BY_THE_SYSTEM:
        queries += traced(reader, lambda name=name: SCOPED[name][0](reader, SYSTEM))
    for calls in FOR_THE_SYSTEM.values():
        for call in calls:
            queries += traced(reader, lambda call=call: call(reader, SYSTEM))
    assert len(queries) > 150
    bad = [(query, plan) for query, plan in plans(path, queries) if scans(plan) and "MAX(" not in query]
    # Keys and agents are few, and sorted at leisure.
    assert [query for query, _ in bad if not re.search(r"FROM (api_key|release)\b", query)] == []


def test_the_second_choice_of_a_list_has_its_index_too(
    reader: SqliteReader, path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(sqlite_reader, "PAGE_STEPS", 1)
    monkeypatch.setattr(sqlite_reader, "PAGE_TICKS", 1)
    owned = Scope(org=1, owner=1)
    queries: list[str] = []

    def stopped(act: Callable[[], Any]) -> None:
        def all_choices() -> None:
            with pytest.raises(InvalidParams, match="Too few of too many"):
                act()

        queries.extend(traced(reader, all_choices))

    for state in ("", FAILED, DONE):
        stopped(lambda state=state: reader.runs(owned, agent=1, state=state))
    stopped(lambda: reader.tasks(owned, 1, context="ctx", state=FAILED))
    stopped(lambda: reader.count_tasks(owned, 1, context="ctx", state=FAILED))
    assert {index for query in queries for index in re.findall(r"INDEXED BY (\w+)", query)} == {
        "run_owner",
        "run_agent",
        "run_state_owner",
        "run_state_agent",
        "task_context",
        "task_list",
    }
    assert [found for found in plans(path, queries) if scans(found[1])] == []
    assert reader.task(owned, "task_1") is not None  # Point reads are never stopped.


def test_a_list_that_is_asked_for_again_and_again_keeps_answering(
    reader: SqliteReader, monkeypatch: pytest.MonkeyPatch
) -> None:
    # SQLite counts a statement's steps over its whole life: the limit is on one execution.
    monkeypatch.setattr(sqlite_reader, "PAGE_STEPS", 2_000)
    owned = Scope(org=1, owner=1)
    first = reader.tasks(owned, 1)
    for _ in range(500):
        assert reader.tasks(owned, 1) == first


def test_no_statement_walks_a_big_table(path: Path) -> None:
    for statement in sql.ALL:
        if not statement.sql.startswith("INSERT"):
            text = statement.sql.replace("?", "1")
            assert [found for found in plans(path, [text]) if scans(found[1])] == []


def steps(path: Path, query: str) -> int:
    """How many steps SQLite's machine takes for a query."""
    connection = connect(path, readonly=True)
    taken = 0

    def step() -> int:
        nonlocal taken
        taken += 1
        return 0

    connection.set_progress_handler(step, 1)
    connection.execute(query).fetchall()
    connection.close()
    return taken


def test_a_page_costs_the_same_however_many_rows_are_stored(path: Path, reader: SqliteReader) -> None:
    """Counted in steps of SQLite's machine; one run in fifty failed."""
    writer = SqliteWriter(path)
    owned, whole = Scope(org=1, owner=1), Scope(org=1)
    stored = 10

    def fill(upto: int) -> None:
        nonlocal stored
        for first in range(stored, upto, 500):
            writer.apply(
                [rows(no, 1, 1, 1, FAILED if no % 50 == 0 else DONE) for no in range(first, first + 500)]
            )
        stored = upto

    def pages(last: int) -> list[str]:
        middle = last // 2
        queries: list[str] = []
        for scope in (owned, whole):
            for agent in (None, 1):
                for state in ("", DONE, FAILED, WORKING):
                    queries += traced(
                        reader,
                        lambda s=scope, a=agent, st=state: reader.runs(
                            s, agent=a, state=st, before=middle, limit=10
                        ),
                    )
        for state in ("", DONE, FAILED, WORKING):
            queries += traced(
                reader,
                lambda st=state: reader.tasks(owned, 1, state=st, before=(middle + 0.5, middle), limit=10),
            )
        queries += traced(
            reader,
            lambda: reader.tasks(owned, 1, context="ctx", before=(middle + 0.5, middle), limit=10),
        )
        queries += traced(reader, lambda: reader.task(owned, f"task_{middle}"))
        queries += traced(reader, lambda: reader.receipt_ids(whole, [1, 2, 3, middle]))
        queries += traced(reader, lambda: reader.logs(whole, agent=1, after=middle, limit=10))
        return queries

    fill(2_010)
    few = [steps(path, query) for query in pages(2_000)]
    fill(20_010)
    many = [steps(path, query) for query in pages(20_000)]
    writer.close()
    assert len(few) == len(many) > 20
    worst = max(after / before for before, after in zip(few, many, strict=True))
    assert worst < 1.3


def test_what_can_be_no_stored_value_finds_nothing(reader: SqliteReader) -> None:
    owned = Scope(org=1, owner=1)
    assert reader.task(owned, "task_\ud800") is None
    assert reader.run_by_no(owned, 1 << 70) is None
    assert reader.tasks(owned, 1, context="\ud800") == []
    assert reader.count_tasks(owned, 1, context="\ud800") == 0
    assert reader.receipt_ids(owned, []) == {}
    assert reader.receipt_ids(owned, list(range(100_000))) == {1: b"id"}


def test_a_snapshot_shows_one_moment(reader: SqliteReader, path: Path) -> None:
    writer = SqliteWriter(path)
    owned = Scope(org=1, owner=1)
    with reader.snapshot(), reader.snapshot():
        assert len(reader.runs(owned)) == 5
        writer.apply([rows(10, 1, 1, 1)])
        assert len(reader.runs(owned)) == 5
    assert len(reader.runs(owned)) == 6
    with pytest.raises(KeyError), reader.snapshot():
        raise KeyError
    writer.apply([rows(11, 1, 1, 1)])
    assert len(reader.runs(owned)) == 7
    writer.close()


def test_pages_follow_each_other_without_gap_or_double(reader: SqliteReader, path: Path) -> None:
    writer = SqliteWriter(path)
    states = (DONE, FAILED, PARKED, WORKING)
    writer.apply([rows(no, 1, 1, 1, states[no % 4]) for no in range(10, 110)])
    # Two with one time: the number decides.
    writer.apply([[(sql.SET_TASK, (DONE, 50.5, no, 1)) for no in (40, 50, 60)]])
    writer.close()
    owned = Scope(org=1, owner=1)
    for state in ("", DONE, PARKED):
        seen: list[tuple[float, int]] = []
        before = None
        while page := reader.tasks(owned, 1, state=state, before=before, limit=7):
            seen += [(row.at, row.no) for row in page]
            before = seen[-1]
        assert seen == sorted(set(seen), reverse=True)
        assert len(seen) == reader.count_tasks(owned, 1, state=state)
    assert reader.count_tasks(owned, 1) == 105
    assert [row.no for row in reader.tasks(owned, 1, after=109.0)] == [109]
