"""Push configs in SQL: the statements that change them, the reads.

A config's cursor (`ordinal`, `seq`) is the position of the last event that its receiver has, so the task's
events after it are what waits: the journal is the outbox. `sealed` holds the address and what goes with
it. `state` is `open`, `done` (the task has ended, and the receiver has all of it) or `dead` (given up).
"""

from __future__ import annotations

import sqlite3
from collections.abc import Sequence
from typing import Any, NamedTuple

from a2a_cloud.model.problem import Internal
from a2a_cloud.model.scope import Scope
from a2a_cloud.storage.journal.port import IN_ORDER, Op, Statement

OPEN, DONE, DEAD = "open", "done", "dead"


class PushRow(NamedTuple):
    """A row of `push_config`. Times are wall seconds; `host` is what operators see of the address; `at` is
    when the state, or the cursor, last moved."""

    handle: str
    org: int
    owner: int
    agent: int
    task: int
    task_id: str
    id: str
    host: str
    sealed: bytes
    base: str
    dialect: str
    created: float
    ordinal: int
    seq: int
    attempts: int
    next_at: float
    state: str
    reason: str
    at: float
    no: int = 0

    @property
    def position(self) -> tuple[int, int]:
        """What the receiver has: (ordinal of the run, seq)."""
        return self.ordinal, self.seq


_COLUMNS = (
    "handle, org, owner, agent, task, task_id, id, host, sealed, base, dialect, created, ordinal, seq,"
    " attempts, next_at, state, reason, at"
)
#: The same id again says where to from now on; what the receiver has stays what it has.
PUT_PUSH = Statement(
    "put_push_config",
    f"INSERT INTO push_config({_COLUMNS}) VALUES(?,?,?,?,?,?,?,?,?,?,?,?,?,?,?,?,?,?,?)"
    " ON CONFLICT(task, id) DO UPDATE SET host=excluded.host, sealed=excluded.sealed, base=excluded.base,"
    " dialect=excluded.dialect, attempts=0, next_at=0, reason='', at=excluded.at,"
    " state=CASE state WHEN 'dead' THEN 'open' ELSE state END",
    IN_ORDER,
)
MOVE_PUSH = Statement(
    "move_push_config",
    "UPDATE push_config SET ordinal=?, seq=?, attempts=?, next_at=?, state=?, reason=?, at=?"
    " WHERE handle=? AND org=?",
    IN_ORDER,
)
#: Whatever its cursor is by now: it is tried again from there.
REOPEN_PUSH = Statement(
    "reopen_push_config",
    "UPDATE push_config SET state='open', attempts=0, next_at=0, reason='', at=?"
    " WHERE handle=? AND org=? AND state<>'done'",
    IN_ORDER,
)
DROP_PUSH = Statement("drop_push_config", "DELETE FROM push_config WHERE task=? AND id=? AND org=?", IN_ORDER)


def put_push(row: PushRow) -> Op:
    """Store a config, in the place of the task's config of the same id."""
    return PUT_PUSH, tuple(row)[:-1]


Row = tuple[Any, ...]


class PushRows:
    """The reads, over the reader's connection. Raises Internal when the database can't be read."""

    def __init__(self, connection: sqlite3.Connection) -> None:
        self._connection = connection

    def of_task(self, scope: Scope, task: int, *, after: str | None = None, limit: int = -1) -> list[PushRow]:
        """A task's configs by id, those after the id `after`."""
        where, params = _where(scope)
        return self._select(
            f"task=? AND {where} AND id>? ORDER BY id LIMIT ?", (task, *params, after or "", limit)
        )

    def one(self, scope: Scope, task: int, config_id: str) -> PushRow | None:
        """A task's config of that id."""
        where, params = _where(scope)
        found = self._select(f"task=? AND {where} AND id=?", (task, *params, config_id))
        return found[0] if found else None

    def by_handle(self, scope: Scope, handle: str) -> PushRow | None:
        """The config that operators call so."""
        where, params = _where(scope)
        found = self._select(f"handle=? AND {where}", (handle, *params))
        return found[0] if found else None

    def page(
        self, scope: Scope, *, dead: bool = False, before: int | None = None, limit: int = 50
    ) -> list[PushRow]:
        """Configs of an organisation or an owner, newest first, below the number `before`."""
        if scope.system:
            raise Internal("Push configs were listed without their organisation.")
        where, params = _where(scope, lists=True)
        only = " AND state='dead'" if dead else ""
        top = (1 << 62) if before is None else before
        return self._select(f"{where}{only} AND no<? ORDER BY no DESC LIMIT ?", (*params, top, limit))

    def open_after(self, scope: Scope, no: int, limit: int) -> list[PushRow]:
        """What has not been delivered yet, above the number `no`. System only: read at start."""
        if not scope.system:
            raise Internal("A query over all organisations was made with a narrower scope.")
        return self._select("state='open' AND no>? ORDER BY no LIMIT ?", (no, limit))

    def _select(self, condition: str, params: Sequence[Any]) -> list[PushRow]:
        sql = f"SELECT {_COLUMNS}, no FROM push_config WHERE {condition}"  # noqa: S608
        try:
            rows: list[Row] = self._connection.execute(sql, params).fetchall()
        except sqlite3.Error as error:
            raise Internal("The stored rows could not be read.", operator=str(error)) from error
        except (UnicodeEncodeError, OverflowError):
            return []  # No stored text or number can be equal to that one.
        return [PushRow(*row) for row in rows]


def _where(scope: Scope, *, lists: bool = False) -> tuple[str, tuple[int, ...]]:
    """The condition that keeps a query inside its scope. Only a list looks rows up by it (a plus keeps the
    planner from that index)."""
    if scope.system:
        return "1=1", ()
    plus = "" if lists else "+"
    if scope.owner is None:
        return f"{plus}org=?", (scope.org,)
    return f"{plus}org=? AND {plus}owner=?", (scope.org, scope.owner)
