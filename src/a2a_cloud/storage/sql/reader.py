"""Reads of committed rows. Every query takes a Scope and names the organisation, and the owner
where the scope has one; `SYSTEM` is for the platform's own work at start. Point reads and keyset
pages only: nothing here grows with the number of stored runs."""

from __future__ import annotations

import sqlite3
from pathlib import Path
from typing import Any

from msgspec import Struct

from a2a_cloud.model.problem import Internal
from a2a_cloud.model.scope import Scope
from a2a_cloud.storage.journal.writer import connect
from a2a_cloud.storage.sql.schema import SEQ_BITS


class TaskRow(Struct, frozen=True, array_like=True):
    """A row of `task`."""

    no: int
    id: str
    org: int
    owner: int
    agent: int
    context: str
    state: str
    at: float


class RunRow(Struct, frozen=True, array_like=True):
    """A row of `run`, without its call. Times are wall seconds or None."""

    no: int
    id: str
    org: int
    owner: int
    agent: int
    release: int
    task: int
    task_id: str
    ordinal: int
    context: str
    skill: str
    state: str
    attempt: int
    created: float
    started: float | None
    ended: float | None
    parent: int | None
    problem: str | None
    detail: str | None
    dead: int


class LogRow(Struct, frozen=True, array_like=True):
    """A row of `log`; `no` is the cursor."""

    no: int
    run: int | None
    at: float
    level: str
    source: str
    line: str


class ReceiptRow(Struct, frozen=True, array_like=True):
    """A row of `receipt`."""

    run: int
    org: int
    leaf: int
    leaf_hash: bytes
    id: bytes
    body: bytes
    protected: str
    signature: str
    sections: bytes


_TASK = "no, id, org, owner, agent, context, state, at"
_RUN = (
    "no, id, org, owner, agent, release, task, task_id, ordinal, context, skill, state, attempt, created,"
    " started, ended, parent, problem, detail, dead"
)
_RECEIPT = "run, org, leaf, leaf_hash, id, body, protected, signature, sections"


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


class Reader:
    """Reads on a connection of its own, on the loop's thread; sees what is committed and no more."""

    def __init__(self, path: Path) -> None:
        self._connection = connect(path, readonly=True)

    def close(self) -> None:
        """Close the connection."""
        self._connection.close()

    def _all(self, sql: str, params: tuple[Any, ...]) -> list[tuple[Any, ...]]:
        try:
            return self._connection.execute(sql, params).fetchall()
        except sqlite3.Error as error:
            raise Internal("The stored rows could not be read.", operator=str(error)) from error

    def _one(self, sql: str, params: tuple[Any, ...]) -> tuple[Any, ...] | None:
        found = self._all(sql, params)
        return found[0] if found else None

    # --- organisations, keys, agents ----------------------------------------------------------

    def orgs(self, scope: Scope) -> list[tuple[int, str]]:
        """(no, name) of every organisation. System only."""
        _system(scope)
        return self._all("SELECT no, name FROM org", ())  # type: ignore[return-value]

    def principals(self, scope: Scope) -> list[tuple[int, int, str]]:
        """(no, org, name) of every principal. System only."""
        _system(scope)
        return self._all("SELECT no, org, name FROM principal", ())  # type: ignore[return-value]

    def key_by_hash(self, scope: Scope, digest: bytes) -> tuple[Any, ...] | None:
        """(id, org, principal, role) of the living key with that hash. System only."""
        _system(scope)
        return self._one(
            "SELECT id, org, principal, role FROM api_key WHERE hash=? AND revoked IS NULL", (digest,)
        )

    def keys(self, scope: Scope) -> list[tuple[Any, ...]]:
        """(id, org, principal, role, label, created, created_by, revoked) of the organisation's keys."""
        where, params = _where(scope, owned=False, lists=True)
        return self._all(
            f"SELECT id, org, principal, role, label, created, created_by, revoked FROM api_key WHERE {where}"  # noqa: S608
            " ORDER BY created LIMIT 10000",
            params,
        )

    def agents(self, scope: Scope) -> list[tuple[Any, ...]]:
        """(no, org, name, serving) of the agents."""
        where, params = _where(scope, owned=False, lists=True)
        return self._all(f"SELECT no, org, name, serving FROM agent WHERE {where}", params)  # noqa: S608

    def releases(self, scope: Scope, agent: int) -> list[tuple[Any, ...]]:
        """(no, org, agent, number, digest, folder, manifest, skills, message_handler, created), oldest first."""
        where, params = _where(scope, owned=False)
        return self._all(
            "SELECT no, org, agent, number, digest, folder, manifest, skills, message_handler, created"  # noqa: S608
            f" FROM release WHERE {where} AND agent=? ORDER BY number",
            (*params, agent),
        )

    # --- counters -------------------------------------------------------------------------------

    def last(self, scope: Scope, table: str) -> int:
        """The highest number given in `table`. System only."""
        _system(scope)
        column = "run" if table == "receipt" else "no"
        assert table in {"org", "principal", "agent", "release", "task", "run", "log", "receipt"}
        (number,) = self._all(f"SELECT COALESCE(MAX({column}), 0) FROM {table}", ())[0]  # noqa: S608
        return int(number)

    def leaves(self, scope: Scope) -> int:
        """How many receipts the organisation's log has: the next leaf's index."""
        where, params = _where(scope, owned=False, lists=True)
        (count,) = self._all(f"SELECT COALESCE(MAX(leaf)+1, 0) FROM receipt WHERE {where}", params)[0]  # noqa: S608
        return int(count)

    # --- tasks and runs -------------------------------------------------------------------------

    def task(self, scope: Scope, task_id: str, agent: int | None = None) -> TaskRow | None:
        """The task with that id, if the scope may see it (and the agent is that one)."""
        where, params = _where(scope)
        row = self._one(f"SELECT {_TASK} FROM task WHERE id=? AND {where}", (task_id, *params))  # noqa: S608
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
        """An owner's tasks with an agent, newest status first; `before` is the keyset cursor (at, no).

        `after`: only with a status at or after that time (wall seconds, inclusive).
        """
        where, params = _where(scope, lists=True)
        sql = f"SELECT {_TASK} FROM task WHERE {where} AND agent=?"  # noqa: S608
        values: list[Any] = [*params, agent]
        if context:
            sql += " AND context=?"
            values.append(context)
        if state:
            sql += " AND state=?"
            values.append(state)
        if after is not None:
            sql += " AND at>=?"
            values.append(after)
        if before is not None:
            sql += " AND (at, no) < (?, ?)"
            values += before
        return [TaskRow(*row) for row in self._all(sql + " ORDER BY at DESC, no DESC LIMIT ?", (*values, limit))]

    def count_tasks(
        self, scope: Scope, agent: int, *, context: str = "", state: str = "", after: float | None = None
    ) -> int:
        """How many tasks that list has in all, counted to 10,000 at most: exact totals cost a scan."""
        where, params = _where(scope, lists=True)
        sql = f"SELECT 1 FROM task WHERE {where} AND agent=?"  # noqa: S608
        values: list[Any] = [*params, agent]
        if context:
            sql += " AND context=?"
            values.append(context)
        if state:
            sql += " AND state=?"
            values.append(state)
        if after is not None:
            sql += " AND at>=?"
            values.append(after)
        return int(self._all(f"SELECT COUNT(*) FROM ({sql} LIMIT 10000)", tuple(values))[0][0])  # noqa: S608

    def run(self, scope: Scope, run_id: str) -> RunRow | None:
        """The run with that id, if the scope may see it."""
        where, params = _where(scope)
        row = self._one(f"SELECT {_RUN} FROM run WHERE id=? AND {where}", (run_id, *params))  # noqa: S608
        return None if row is None else RunRow(*row)

    def run_by_no(self, scope: Scope, no: int) -> RunRow | None:
        """The run with that number, if the scope may see it."""
        where, params = _where(scope)
        row = self._one(f"SELECT {_RUN} FROM run WHERE no=? AND {where}", (no, *params))  # noqa: S608
        return None if row is None else RunRow(*row)

    def runs_of_task(self, scope: Scope, task: int) -> list[RunRow]:
        """A task's runs, in order."""
        where, params = _where(scope)
        return [
            RunRow(*row)
            for row in self._all(f"SELECT {_RUN} FROM run WHERE task=? AND {where} ORDER BY no", (task, *params))  # noqa: S608
        ]

    def open_runs(self, scope: Scope) -> list[RunRow]:
        """Runs that have not ended. System only: recovery reads them at start."""
        _system(scope)
        return [RunRow(*row) for row in self._all(f"SELECT {_RUN} FROM run WHERE ended IS NULL ORDER BY no", ())]  # noqa: S608

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
        """Runs, newest first; `before` is the keyset cursor (a run's number)."""
        where, params = _where(scope, lists=True)
        sql = f"SELECT {_RUN} FROM run WHERE {where}"  # noqa: S608
        values: list[Any] = [*params]
        if agent is not None:
            sql += " AND agent=?"
            values.append(agent)
        if dead:
            sql += " AND dead=1"
        if state:
            sql += " AND state=?"
            values.append(state)
        if before is not None:
            sql += " AND no<?"
            values.append(before)
        return [RunRow(*row) for row in self._all(sql + " ORDER BY no DESC LIMIT ?", (*values, limit))]

    def call(self, scope: Scope, run: int) -> bytes | None:
        """A run's stored call."""
        where, params = _where(scope)
        row = self._one(f"SELECT call FROM run WHERE no=? AND {where}", (run, *params))  # noqa: S608
        return None if row is None else row[0]

    def child(self, scope: Scope, parent: int, key: bytes) -> int | None:
        """The number of the run that `key` started, whatever its state."""
        where, params = _where(scope, owned=False)
        row = self._one(f"SELECT run FROM idempotency WHERE key=? AND {where}", (key, *params))  # noqa: S608
        return None if row is None else row[0]

    def idempotency(self, scope: Scope, key: bytes) -> tuple[int, bytes] | None:
        """(run, fingerprint) that used this key before."""
        where, params = _where(scope, owned=False)
        return self._one(f"SELECT run, fingerprint FROM idempotency WHERE key=? AND {where}", (key, *params))  # type: ignore[return-value]  # noqa: S608

    def events(self, scope: Scope, run: int, after: int = 0, limit: int = -1) -> list[tuple[int, bytes]]:
        """(seq, body) of a run's events after seq `after`, in order. The caller has checked the run's owner."""
        where, params = _where(scope, owned=False)
        base = run << SEQ_BITS
        return [
            (row[0] - base, row[1])
            for row in self._all(
                f"SELECT id, body FROM event WHERE id>? AND id<? AND {where} ORDER BY id LIMIT ?",  # noqa: S608
                (base + after, base + (1 << SEQ_BITS), *params, limit),
            )
        ]

    def receipt(self, scope: Scope, run: int) -> ReceiptRow | None:
        """A run's receipt. The caller has checked the run's owner."""
        where, params = _where(scope, owned=False)
        row = self._one(f"SELECT {_RECEIPT} FROM receipt WHERE run=? AND {where}", (run, *params))  # noqa: S608
        return None if row is None else ReceiptRow(*row)

    def receipt_ids(self, scope: Scope, runs: list[int]) -> dict[int, bytes]:
        """Receipt ids (raw) by run number, of those that are sealed."""
        if not runs:
            return {}
        where, params = _where(scope, owned=False)
        marks = ",".join("?" * len(runs))
        return dict(self._all(f"SELECT run, id FROM receipt WHERE run IN ({marks}) AND {where}", (*runs, *params)))  # type: ignore[arg-type]  # noqa: S608

    def state(self, scope: Scope, agent: int, context: str, key: str) -> bytes | None:
        """What `ctx.state` keeps under `key`; the scope must name an owner."""
        row = self._one(
            "SELECT value FROM state WHERE org=? AND owner=? AND agent=? AND context=? AND key=?",
            (scope.org, scope.owner, agent, context, key),
        )
        return None if row is None else row[0]

    def logs(self, scope: Scope, *, agent: int | None = None, run: int | None = None, after: int = 0, limit: int = 1000) -> list[LogRow]:
        """Log lines of an agent or a run after line number `after`; without `after` the newest ones."""
        where, params = _where(scope, owned=False)
        column, value = ("run", run) if run is not None else ("agent", agent)
        sql = f"SELECT no, run, at, level, source, line FROM log WHERE {where} AND {column}=? AND no>?"  # noqa: S608
        if after:
            return [LogRow(*row) for row in self._all(sql + " ORDER BY no LIMIT ?", (*params, value, after, limit))]
        newest = self._all(sql + " ORDER BY no DESC LIMIT ?", (*params, value, after, limit))
        return [LogRow(*row) for row in reversed(newest)]


def _system(scope: Scope) -> None:
    if not scope.system:
        raise Internal("A query over all organisations was made with a narrower scope.")
