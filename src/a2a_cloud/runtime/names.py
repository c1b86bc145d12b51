"""What older dialects remember beside tasks: the names that callers gave them, and sessions.

A task's name is written with its acceptance (`Runs.accept`). A session is a context with a beginning and
an end; what `ctx.state` kept in it goes with it.
"""

from __future__ import annotations

from a2a_cloud.model.ports import Clock, Ids
from a2a_cloud.model.problem import SessionNotFound
from a2a_cloud.model.scope import Scope
from a2a_cloud.storage.journal.port import Journal
from a2a_cloud.storage.sql import names as sql
from a2a_cloud.storage.sql.names import NameRows, SessionRow


class Names:
    """Names of tasks. A scope names an owner."""

    def __init__(self, rows: NameRows) -> None:
        self._rows = rows

    def task(self, scope: Scope, agent_no: int, name: str) -> str:
        """The id of the task that the owner calls so with that agent; "" for none."""
        return self._rows.task(scope, agent_no, name)


class Sessions:
    """Sessions. A scope names an owner."""

    def __init__(self, rows: NameRows, journal: Journal, clock: Clock, ids: Ids) -> None:
        self._rows = rows
        self._journal = journal
        self._clock = clock
        self._ids = ids

    async def open(self, scope: Scope, agent_no: int, metadata: str) -> SessionRow:
        """A new session, on disk; its id is the context's."""
        row = SessionRow(self._ids.new("ctx"), self._clock.now(), None, metadata)
        await self._journal.write(
            [(sql.ADD_SESSION, (row.id, scope.org, scope.owner, agent_no, row.created, metadata))]
        )
        return row

    def find(self, scope: Scope, agent_no: int, session_id: str) -> SessionRow:
        """The session, ended or not. Raises SessionNotFound."""
        row = self._rows.session(scope, agent_no, session_id)
        if row is None:
            raise SessionNotFound(
                "There is no such session.", remedy="Check the id and the key, or open one: POST /sessions."
            )
        return row

    async def end(self, scope: Scope, agent_no: int, session_id: str) -> None:
        """The session takes no more messages, and what was kept in it is gone."""
        await self._journal.write(
            [
                (sql.END_SESSION, (self._clock.now(), scope.org, scope.owner, session_id)),
                (sql.DROP_STATES, (scope.org, scope.owner, agent_no, session_id)),
            ]
        )
