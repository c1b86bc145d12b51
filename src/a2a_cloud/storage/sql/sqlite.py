"""The reader on SQLite. Lists name the index that they walk (`INDEXED BY`), so that a plan never
depends on what the planner guesses: a list without its index is an error and not a scan. Where two
conditions have an index each and none has both, the second is walked when the first takes too long."""

from __future__ import annotations

import json
import sqlite3
from collections.abc import Generator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from a2a_cloud.model.problem import Internal, InvalidParams
from a2a_cloud.model.scope import Scope
from a2a_cloud.model.task import TaskState
from a2a_cloud.storage.journal.writer import connect
from a2a_cloud.storage.sql.reader import (
    AgentRow,
    LivingKey,
    LogRow,
    MajorRow,
    ReceiptRow,
    ReleaseRow,
    RunRow,
    SettingRow,
    StoredKey,
    TaskRow,
)
from a2a_cloud.storage.sql.schema import RARE, SEQ_BITS

#: Steps of SQLite's machine that a walk may take: some 50 ms, in which nothing else is served.
PAGE_STEPS = 2_000_000
PAGE_TICKS = 20
#: Tasks are counted to here.
MOST_COUNTED = 10_000

_TASK = "no, id, org, owner, agent, context, state, at"
_RUN = (
    "no, id, org, owner, agent, release, task, task_id, ordinal, context, skill, state, attempt, created,"
    " started, ended, parent, problem, detail, dead"
)
_RECEIPT = "run, org, leaf, leaf_hash, id, body, protected, signature, sections"
_KEY = "id, org, principal, role, label, created, created_by, revoked, priority, scopes, expires, used, prior"
_LIVE = (TaskState.SUBMITTED.value, TaskState.WORKING.value)
_STATES = tuple(state.value for state in TaskState)

Rows = list[tuple[Any, ...]]


def _where(scope: Scope, *, owned: bool = True, lists: bool = False) -> tuple[str, tuple[int, ...]]:
    """The condition that keeps a query inside its scope.

    Only what lists an organisation's or owner's rows (`lists`) may look them up by it: elsewhere a
    plus keeps the planner from preferring that index to the narrower one.
    """
    if scope.system:
        return "1=1", ()
    plus = "" if lists else "+"
    if scope.owner is None or not owned:
        return f"{plus}org=?", (scope.org,)
    return f"{plus}org=? AND {plus}owner=?", (scope.org, scope.owner)


def _system(scope: Scope) -> None:
    if not scope.system:
        raise Internal("A query over all organisations was made with a narrower scope.")


def _narrow(scope: Scope, *, owner: bool = False) -> None:
    if scope.system or (owner and scope.owner is None):
        raise Internal("A list of one owner's or organisation's rows was asked for with a wider scope.")


class SqliteReader:
    """See `storage.sql.reader.Reader`. A connection of its own, used on the loop's thread."""

    def __init__(self, path: Path) -> None:
        self._connection = connect(path, readonly=True)

    def close(self) -> None:
        """See the port."""
        self._connection.close()

    @property
    def connection(self) -> sqlite3.Connection:
        """For the readers of single slices, which share it: read-only."""
        return self._connection

    @contextmanager
    def snapshot(self) -> Generator[None]:
        """See the port."""
        if self._connection.in_transaction:
            yield
            return
        self._connection.execute("BEGIN")
        try:
            yield
        finally:
            self._connection.execute("COMMIT")

    def _all(self, sql: str, params: Sequence[Any] = ()) -> Rows:
        try:
            return self._connection.execute(sql, params).fetchall()
        except sqlite3.Error as error:
            raise Internal("The stored rows could not be read.", operator=str(error)) from error
        except (UnicodeEncodeError, OverflowError):
            return []  # No stored text or number can be equal to that one.

    def _one(self, sql: str, params: Sequence[Any]) -> tuple[Any, ...] | None:
        found = self._all(sql, params)
        return found[0] if found else None

    def _page(self, sql: str, indexes: Sequence[str], params: Sequence[Any]) -> Rows:
        """The rows of a list, by the first of `indexes` that finds them in time."""
        ticks = 0

        def tick() -> int:
            nonlocal ticks
            ticks += 1
            return ticks > PAGE_TICKS

        # SQLite counts the steps over a prepared statement's whole life, so that a tick may come at
        # once; it is the ticks of this execution that count.
        self._connection.set_progress_handler(tick, PAGE_STEPS // PAGE_TICKS)
        try:
            for index in indexes:
                ticks = 0
                try:
                    return self._all(sql.replace("{index}", index), params)
                except Internal as error:
                    if error.operator != "interrupted":
                        raise
        finally:
            self._connection.set_progress_handler(None, 0)
        raise InvalidParams(
            "Too few of too many rows fit the filter.", remedy="Leave the filter out, or use another."
        )

    # --- organisations, keys, agents ----------------------------------------------------------

    def orgs(self, scope: Scope) -> list[tuple[int, str]]:
        """See the port."""
        _system(scope)
        return [(no, name) for no, name in self._all("SELECT no, name FROM org")]

    def principals(self, scope: Scope) -> list[tuple[int, int, str]]:
        """See the port."""
        _system(scope)
        return [(no, org, name) for no, org, name in self._all("SELECT no, org, name FROM principal")]

    def key_by_hash(self, scope: Scope, digest: bytes) -> LivingKey | None:
        """See the port."""
        _system(scope)
        sql = (
            "SELECT id, org, principal, role, priority, scopes, expires FROM api_key"
            " WHERE hash=? AND revoked IS NULL"
        )
        row = self._one(sql, (digest,))
        return None if row is None else LivingKey(*row)

    def hash_of_key(self, scope: Scope, key_id: str) -> bytes | None:
        """See the port."""
        _system(scope)
        row = self._one("SELECT hash FROM api_key WHERE id=?", (key_id,))
        return None if row is None else row[0]

    def keys(self, scope: Scope) -> list[StoredKey]:
        """See the port."""
        where, params = _where(scope, owned=False, lists=True)
        sql = f"SELECT {_KEY} FROM api_key WHERE {where} ORDER BY created DESC LIMIT 10000"
        return [StoredKey(*row) for row in reversed(self._all(sql, params))]

    def key(self, scope: Scope, key_id: str) -> StoredKey | None:
        """See the port."""
        where, params = _where(scope, owned=False)
        row = self._one(f"SELECT {_KEY} FROM api_key WHERE id=? AND {where}", (key_id, *params))
        return None if row is None else StoredKey(*row)

    def agents(self, scope: Scope) -> list[AgentRow]:
        """See the port."""
        where, params = _where(scope, owned=False, lists=True)
        return [
            AgentRow(*row)
            for row in self._all(
                f"SELECT no, org, name, serving, canary, weight, deleted, delete_at FROM agent WHERE {where}",
                params,
            )
        ]

    def releases(self, scope: Scope, agent: int) -> list[ReleaseRow]:
        """See the port."""
        where, params = _where(scope, owned=False)
        sql = (
            "SELECT no, org, agent, number, state, step, digest, source, environment, manifest, skills,"
            " message_handler, created, ended, made_by, notes"
            f" FROM release WHERE {where} AND agent=? ORDER BY number"
        )
        return [ReleaseRow(*row) for row in self._all(sql, (*params, agent))]

    def majors(self, scope: Scope) -> list[MajorRow]:
        """See the port."""
        where, params = _where(scope, owned=False, lists=True)
        sql = f"SELECT agent, major, release, deprecated, until FROM major WHERE {where}"
        return [MajorRow(*row) for row in self._all(sql, params)]

    def settings(self, scope: Scope, agent: int) -> list[SettingRow]:
        """See the port."""
        where, params = _where(scope, owned=False)
        sql = f"SELECT name, value, at FROM setting WHERE {where} AND agent=? ORDER BY name"
        return [SettingRow(*row) for row in self._all(sql, (*params, agent))]

    # --- counters -------------------------------------------------------------------------------

    def last(self, scope: Scope, table: str) -> int:
        """See the port."""
        _system(scope)
        column = "run" if table == "receipt" else "no"
        assert table in {"org", "principal", "agent", "release", "task", "run", "log", "receipt"}
        return int(self._all(f"SELECT COALESCE(MAX({column}), 0) FROM {table}")[0][0])

    # --- tasks ----------------------------------------------------------------------------------

    def task(self, scope: Scope, task_id: str, agent: int | None = None) -> TaskRow | None:
        """See the port."""
        where, params = _where(scope)
        row = self._one(f"SELECT {_TASK} FROM task WHERE id=? AND {where}", (task_id, *params))
        if row is None or (agent is not None and row[4] != agent):
            return None
        return TaskRow(*row)

    def tasks(
        self,
        scope: Scope,
        agent: int,
        *,
        context: str = "",
        state: str = "",
        after: float | None = None,
        before: tuple[float, int] | None = None,
        limit: int = 50,
    ) -> list[TaskRow]:
        """See the port."""
        sql, indexes, values = _task_list(_TASK, scope, agent, context, state, after, before)
        sql += " ORDER BY at DESC, no DESC LIMIT ?"
        return [TaskRow(*row) for row in self._page(sql, indexes, (*values, limit))]

    def count_tasks(
        self, scope: Scope, agent: int, *, context: str = "", state: str = "", after: float | None = None
    ) -> int:
        """See the port."""
        sql, indexes, values = _task_list("1", scope, agent, context, state, after, None)
        found = self._page(f"SELECT COUNT(*) FROM ({sql} LIMIT {MOST_COUNTED})", indexes, values)
        return int(found[0][0]) if found else 0

    # --- runs -----------------------------------------------------------------------------------

    def run(self, scope: Scope, run_id: str) -> RunRow | None:
        """See the port."""
        where, params = _where(scope)
        row = self._one(f"SELECT {_RUN} FROM run WHERE id=? AND {where}", (run_id, *params))
        return None if row is None else RunRow(*row)

    def run_by_no(self, scope: Scope, no: int) -> RunRow | None:
        """See the port."""
        where, params = _where(scope)
        row = self._one(f"SELECT {_RUN} FROM run WHERE no=? AND {where}", (no, *params))
        return None if row is None else RunRow(*row)

    def runs_of_task(self, scope: Scope, task: int) -> list[RunRow]:
        """See the port."""
        where, params = _where(scope)
        found = self._all(f"SELECT {_RUN} FROM run WHERE task=? AND {where} ORDER BY no", (task, *params))
        return [RunRow(*row) for row in found]

    def children(self, scope: Scope, run: int) -> list[RunRow]:
        """See the port."""
        where, params = _where(scope)
        found = self._all(f"SELECT {_RUN} FROM run WHERE parent=? AND {where} ORDER BY no", (run, *params))
        return [RunRow(*row) for row in found]

    def open_runs(self, scope: Scope) -> list[RunRow]:
        """See the port."""
        _system(scope)
        found = self._all(f"SELECT {_RUN} FROM run INDEXED BY run_open WHERE ended IS NULL ORDER BY no")
        return [RunRow(*row) for row in found]

    def runs(
        self,
        scope: Scope,
        *,
        agent: int | None = None,
        state: str = "",
        dead: bool = False,
        before: int | None = None,
        limit: int = 50,
    ) -> list[RunRow]:
        """See the port."""
        _narrow(scope)
        where, params = _where(scope, lists=True)
        values: list[Any] = [*params]
        if dead:
            indexes = ["run_dead"]
            where += " AND dead=1"
        elif state in _LIVE:
            indexes = ["run_open"]  # Few, whatever is stored.
            where += " AND ended IS NULL"
        else:
            rare = state not in ("", TaskState.COMPLETED.value)
            narrow = (
                *(["owner"] if scope.owner is not None else []),
                *(["agent"] if agent is not None else []),
            )
            indexes = [f"run_state_{one}" if rare else f"run_{one}" for one in narrow or ("org",)]
            where += f" AND {RARE}" if rare else ""
        for column, value in (("agent=?", agent), ("state=?", state or None), ("no<?", before)):
            if value is not None:
                where += f" AND {column}"
                values.append(value)
        sql = f"SELECT {_RUN} FROM run INDEXED BY {{index}} WHERE {where} ORDER BY no DESC LIMIT ?"
        return [RunRow(*row) for row in self._page(sql, indexes, (*values, limit))]

    def call(self, scope: Scope, run: int) -> bytes | None:
        """See the port."""
        where, params = _where(scope)
        row = self._one(f"SELECT call FROM run WHERE no=? AND {where}", (run, *params))
        return None if row is None else row[0]

    def idempotency(self, scope: Scope, key: bytes) -> tuple[int, bytes] | None:
        """See the port."""
        where, params = _where(scope, owned=False)
        row = self._one(f"SELECT run, fingerprint FROM idempotency WHERE key=? AND {where}", (key, *params))
        return None if row is None else (row[0], row[1])

    def events(self, scope: Scope, run: int, after: int = 0, limit: int = -1) -> list[tuple[int, bytes]]:
        """See the port."""
        where, params = _where(scope, owned=False)
        base = run << SEQ_BITS
        sql = f"SELECT id, body FROM event WHERE id>? AND id<? AND {where} ORDER BY id LIMIT ?"
        found = self._all(sql, (base + after, base + (1 << SEQ_BITS), *params, limit))
        return [(row[0] - base, row[1]) for row in found]

    def receipt(self, scope: Scope, run: int) -> ReceiptRow | None:
        """See the port."""
        where, params = _where(scope, owned=False)
        row = self._one(f"SELECT {_RECEIPT} FROM receipt WHERE run=? AND {where}", (run, *params))
        return None if row is None else ReceiptRow(*row)

    def receipt_ids(self, scope: Scope, runs: list[int]) -> dict[int, bytes]:
        """See the port."""
        if not runs:
            return {}
        where, params = _where(scope, owned=False)
        # One text for any number of runs: SQLite takes 32,766 parameters and caches statements by text.
        sql = f"SELECT run, id FROM receipt WHERE run IN (SELECT value FROM json_each(?)) AND {where}"
        return {row[0]: row[1] for row in self._all(sql, (json.dumps(runs), *params))}

    # --- state, logs ------------------------------------------------------------------------------

    def state(self, scope: Scope, agent: int, context: str, key: str) -> bytes | None:
        """See the port."""
        _narrow(scope, owner=True)
        row = self._one(
            "SELECT value FROM state WHERE org=? AND owner=? AND agent=? AND context=? AND key=?",
            (scope.org, scope.owner, agent, context, key),
        )
        return None if row is None else row[0]

    def logs(
        self,
        scope: Scope,
        *,
        agent: int | None = None,
        run: int | None = None,
        release: int | None = None,
        levels: Sequence[str] = (),
        since: float = 0.0,
        after: int = 0,
        limit: int = 1000,
    ) -> list[LogRow]:
        """See the port."""
        where, values = _where(scope, owned=False)
        column, value = ("run", run) if run is not None else ("agent", agent)
        sql = (
            f"SELECT no, release, run, at, level, source, line FROM log WHERE {where} AND {column}=? AND no>?"
        )
        params: list[Any] = [*values, value, after]
        if release is not None:
            sql += " AND release=?"
            params.append(release)
        if levels:
            sql += f" AND level IN ({','.join('?' * len(levels))})"
            params += levels
        if since:
            sql += " AND at>=?"
            params.append(since)
        order = "ORDER BY no LIMIT ?" if after else "ORDER BY no DESC LIMIT ?"
        found = [LogRow(*row) for row in self._all(f"{sql} {order}", (*params, limit))]
        return found if after else found[::-1]


def _task_list(
    columns: str,
    scope: Scope,
    agent: int,
    context: str,
    state: str,
    after: float | None,
    before: tuple[float, int] | None,
) -> tuple[str, list[str], list[Any]]:
    """An owner's tasks with an agent, in an order that an index has: (SQL, indexes, parameters).

    `task_list` has the state before the time: without a state the lists of all states are merged.
    """
    _narrow(scope, owner=True)
    common = f"SELECT {columns} FROM task INDEXED BY {{index}} WHERE org=? AND owner=? AND agent=?"
    values: list[Any] = [scope.org, scope.owner, agent]
    span = ""
    bounds: list[Any] = []
    if after is not None:
        span += " AND at>=?"
        bounds.append(after)
    if before is not None:
        span += " AND (at, no)<(?,?)"
        bounds += before
    if context:
        indexes = ["task_context", *(["task_list"] if state else [])]
        kept = " AND state=?" if state else ""
        values += [context, *bounds, *([state] if state else [])]
        return f"{common} AND context=?{span}{kept}", indexes, values
    states = (state,) if state else _STATES
    sql = " UNION ALL ".join([f"{common} AND state=?{span}"] * len(states))
    return sql, ["task_list"], [value for one in states for value in (*values, one, *bounds)]
