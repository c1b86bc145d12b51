"""What the registry reads of an agent's runs (`usage.py`). It stores nothing of its own."""

from __future__ import annotations

import sqlite3
from typing import Protocol

from a2a_cloud.model.scope import Scope

LAST_RUNS = "SELECT state, created, ended FROM run WHERE org=? AND agent=? ORDER BY no DESC LIMIT ?"


class RunRows(Protocol):
    """Reads of committed rows; the scope names the agent's organisation."""

    def last(self, scope: Scope, agent_no: int, limit: int) -> list[tuple[str, float, float | None]]:
        """(state, created, ended) of the agent's last runs, newest first."""
        ...


class SqliteRunRows:
    """RunRows over the reader's connection."""

    def __init__(self, connection: sqlite3.Connection) -> None:
        self._connection = connection

    def last(self, scope: Scope, agent_no: int, limit: int) -> list[tuple[str, float, float | None]]:
        """See RunRows."""
        return self._connection.execute(LAST_RUNS, (scope.org, agent_no, limit)).fetchall()
