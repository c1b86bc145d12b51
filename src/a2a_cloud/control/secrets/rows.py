"""What is stored of secrets: their names and versions, and their values sealed (`store.py`)."""

from __future__ import annotations

import sqlite3
from collections.abc import Sequence
from typing import Any, NamedTuple, Protocol

from a2a_cloud.model.problem import Internal
from a2a_cloud.model.scope import Scope
from a2a_cloud.storage.journal.port import IN_ORDER, Statement


class SecretRow(NamedTuple):
    """A row of `secret` without its value. `version` counts from 1; `created` and `at` (of this version)
    in wall seconds; `by` is who set it."""

    name: str
    version: int
    created: float
    at: float
    by: str


PUT_SECRET = Statement(
    "put_secret",
    "INSERT INTO secret(org, name, version, sealed, created, at, set_by) VALUES(?,?,?,?,?,?,?)"
    " ON CONFLICT DO UPDATE SET version=excluded.version, sealed=excluded.sealed, at=excluded.at,"
    " set_by=excluded.set_by",
    IN_ORDER,
)
DROP_SECRET = Statement("drop_secret", "DELETE FROM secret WHERE org=? AND name=?", IN_ORDER)

_COLUMNS = "name, version, created, at, set_by"
SECRETS = f"SELECT {_COLUMNS} FROM secret WHERE org=? ORDER BY name"  # noqa: S608
SECRET = f"SELECT {_COLUMNS} FROM secret WHERE org=? AND name=?"  # noqa: S608
SEALED = "SELECT version, sealed FROM secret WHERE org=? AND name=?"
ANY = "SELECT 1 FROM secret LIMIT 1"


class SecretRows(Protocol):
    """Reads of committed rows; a scope names one organisation."""

    def secrets(self, scope: Scope) -> list[SecretRow]:
        """The organisation's secrets, by name."""
        ...

    def secret(self, scope: Scope, name: str) -> SecretRow | None:
        """The one of that name."""
        ...

    def sealed(self, scope: Scope, name: str) -> tuple[int, bytes] | None:
        """(version, sealed value) of the one of that name."""
        ...

    def any(self, scope: Scope) -> bool:
        """Whether a secret of anybody is stored. System only."""
        ...


class SqliteSecretRows:
    """See `SecretRows`, over the reader's connection or one's own."""

    def __init__(self, connection: sqlite3.Connection) -> None:
        self._connection = connection

    def _all(self, sql: str, params: Sequence[Any]) -> list[tuple[Any, ...]]:
        try:
            return self._connection.execute(sql, params).fetchall()
        except sqlite3.Error as error:
            raise Internal("The stored rows could not be read.", operator=str(error)) from error
        except (UnicodeEncodeError, OverflowError):
            return []  # No stored text or number can be equal to that one.

    def secrets(self, scope: Scope) -> list[SecretRow]:
        """See the port."""
        return [SecretRow(*row) for row in self._all(SECRETS, (_org(scope),))]

    def secret(self, scope: Scope, name: str) -> SecretRow | None:
        """See the port."""
        found = self._all(SECRET, (_org(scope), name))
        return SecretRow(*found[0]) if found else None

    def sealed(self, scope: Scope, name: str) -> tuple[int, bytes] | None:
        """See the port."""
        found = self._all(SEALED, (_org(scope), name))
        return (found[0][0], found[0][1]) if found else None

    def any(self, scope: Scope) -> bool:
        """See the port."""
        if not scope.system:
            raise Internal("A query over all organisations was made with a narrower scope.")
        return bool(self._all(ANY, ()))


def _org(scope: Scope) -> int:
    if scope.system:
        raise Internal("Secrets were asked for without their organisation.")
    return scope.org
