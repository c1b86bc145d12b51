"""What older dialects call things, in SQL: the names that callers gave their tasks (`tasks/send`), and
sessions.

That a name leads to one task is said by the primary key: the acceptance of a second task under it is
refused whole. The tables are in slices.py (NAMES).
"""

from __future__ import annotations

import sqlite3
from collections.abc import Sequence
from typing import Any, NamedTuple

from a2a_cloud.model.problem import Internal
from a2a_cloud.model.scope import Scope
from a2a_cloud.storage.journal.port import IN_ORDER, Statement

ADD_TASK_NAME = Statement(
    "add_task_name", "INSERT INTO task_name(org, owner, agent, name, task) VALUES(?,?,?,?,?)", IN_ORDER
)
DROP_TASK_NAME = Statement(
    "drop_task_name",
    "DELETE FROM task_name WHERE org=? AND owner=? AND agent=? AND name=? AND task=?",
    IN_ORDER,
)
ADD_SESSION = Statement(
    "add_session", "INSERT INTO session(id, org, owner, agent, created, metadata) VALUES(?,?,?,?,?,?)"
)
END_SESSION = Statement(
    "end_session", "UPDATE session SET ended=COALESCE(ended, ?) WHERE org=? AND owner=? AND id=?", 1
)
#: All that `ctx.state` kept in a session that ends.
DROP_STATES = Statement(
    "drop_states", "DELETE FROM state WHERE org=? AND owner=? AND agent=? AND context=?", IN_ORDER
)

TASK = "SELECT task FROM task_name WHERE owner=? AND agent=? AND name=? AND org=?"
SESSION = "SELECT id, created, ended, metadata FROM session WHERE id=? AND org=? AND owner=? AND agent=?"


class SessionRow(NamedTuple):
    """A row of `session`. Times are wall seconds; `metadata` is a JSON object."""

    id: str
    created: float
    ended: float | None
    metadata: str


class NameRows:
    """The reads, over the reader's connection or one's own. A scope names an organisation and an owner.
    Raises Internal when the database can't be read."""

    def __init__(self, connection: sqlite3.Connection) -> None:
        self._connection = connection

    def _one(self, sql: str, params: Sequence[Any]) -> tuple[Any, ...] | None:
        try:
            return self._connection.execute(sql, params).fetchone()
        except sqlite3.Error as error:
            raise Internal("The stored rows could not be read.", operator=str(error)) from error
        except (UnicodeEncodeError, OverflowError):
            return None  # No stored text or number can be equal to that one.

    def task(self, scope: Scope, agent_no: int, name: str) -> str:
        """The id of the task that the owner calls so with that agent; "" for none."""
        found = self._one(TASK, (_owner(scope), agent_no, name, scope.org))
        return found[0] if found is not None else ""

    def session(self, scope: Scope, agent_no: int, session_id: str) -> SessionRow | None:
        """The owner's session with that agent."""
        found = self._one(SESSION, (session_id, scope.org, _owner(scope), agent_no))
        return SessionRow(*found) if found is not None else None


def _owner(scope: Scope) -> int:
    if scope.system or scope.owner is None:
        raise Internal("Names and sessions were asked for without their owner.")
    return scope.owner
