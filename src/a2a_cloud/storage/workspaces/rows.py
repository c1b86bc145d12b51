"""Workspaces and their versions in SQL: the tables, the statements that change them, the reads.

That a workspace has one history without gaps is said in SQL: a version's number is unique, and there is
none without the one before it. So of two commits onto the same version the database takes one.
"""

from __future__ import annotations

import sqlite3
from collections.abc import Sequence
from typing import Any

from a2a_cloud.model.problem import Internal
from a2a_cloud.model.scope import Scope
from a2a_cloud.model.workspace import Version
from a2a_cloud.storage.journal.port import Op, Statement
from a2a_cloud.storage.workspaces.port import WorkspaceRow

MIGRATION = """
    CREATE TABLE workspace(
        no INTEGER PRIMARY KEY, org INTEGER NOT NULL, name TEXT NOT NULL, created REAL NOT NULL,
        made_by TEXT NOT NULL, UNIQUE(org, name));
    CREATE TABLE workspace_version(
        workspace INTEGER NOT NULL, number INTEGER NOT NULL CHECK(number > 0), org INTEGER NOT NULL,
        tree TEXT NOT NULL, files INTEGER NOT NULL, size INTEGER NOT NULL, at REAL NOT NULL,
        made_by TEXT NOT NULL, run TEXT NOT NULL, message TEXT NOT NULL, base INTEGER NOT NULL,
        restored INTEGER NOT NULL, changed INTEGER NOT NULL, PRIMARY KEY(workspace, number)) WITHOUT ROWID;
    CREATE INDEX workspace_version_run ON workspace_version(run, org) WHERE run <> '';
    CREATE TRIGGER workspace_version_order BEFORE INSERT ON workspace_version
        WHEN NEW.number > 1 AND NOT EXISTS(SELECT 1 FROM workspace_version
            WHERE workspace = NEW.workspace AND number = NEW.number - 1)
        BEGIN SELECT RAISE(ABORT, 'the version before this one is missing'); END;
    """

ADD_WORKSPACE = Statement(
    "add_workspace", "INSERT INTO workspace(org, name, created, made_by) VALUES(?,?,?,?)"
)
ADD_VERSION = Statement(
    "add_version",
    "INSERT INTO workspace_version(workspace, number, org, tree, files, size, at, made_by, run, message,"
    " base, restored, changed) VALUES(?,?,?,?,?,?,?,?,?,?,?,?,?)",
)

_WORKSPACE = "no, org, name, created, made_by"
_VERSION = "number, tree, files, size, at, made_by, run, message, base, restored, changed"

Rows = list[tuple[Any, ...]]


def add_workspace(org: int, name: str, at: float, by: str) -> Op:
    """A new workspace. Refused when the organisation has one of that name."""
    return ADD_WORKSPACE, (org, name, at, by)


def add_version(org: int, workspace: int, version: Version) -> Op:
    """A new version. Refused when its number is taken, or is not the next one."""
    new = version
    return ADD_VERSION, (
        workspace,
        new.number,
        org,
        new.tree,
        new.files,
        new.size,
        new.at,
        new.by,
        new.run,
        new.message,
        new.base,
        new.restored,
        new.changed,
    )


def _where(scope: Scope, *, lists: bool = False) -> tuple[str, tuple[int, ...]]:
    """The condition that keeps a query inside its organisation; workspaces have no narrower owner.

    A plus keeps the planner from an index on the organisation where a narrower one is there.
    """
    if scope.system:
        return "1=1", ()
    return ("org=?" if lists else "+org=?"), (scope.org,)


class SqliteRows:
    """See `storage.workspaces.port.WorkspaceRows`, over the reader's connection or one's own."""

    def __init__(self, connection: sqlite3.Connection) -> None:
        self._connection = connection

    def _all(self, sql: str, params: Sequence[Any]) -> Rows:
        try:
            return self._connection.execute(sql, params).fetchall()
        except sqlite3.Error as error:
            raise Internal("The stored rows could not be read.", operator=str(error)) from error
        except (UnicodeEncodeError, OverflowError):
            return []  # No stored text or number can be equal to that one.

    def workspaces(self, scope: Scope, after: str = "", limit: int = 100) -> list[WorkspaceRow]:
        """See the port."""
        where, params = _where(scope, lists=True)
        sql = f"SELECT {_WORKSPACE} FROM workspace WHERE {where} AND name>? ORDER BY name LIMIT ?"  # noqa: S608
        return [WorkspaceRow(*row) for row in self._all(sql, (*params, after, limit))]

    def workspace(self, scope: Scope, name: str) -> WorkspaceRow | None:
        """See the port. The scope must name an organisation: names are unique only there."""
        if scope.system:
            raise Internal("A workspace was asked for by its name without its organisation.")
        sql = f"SELECT {_WORKSPACE} FROM workspace WHERE org=? AND name=?"  # noqa: S608
        found = self._all(sql, (scope.org, name))
        return WorkspaceRow(*found[0]) if found else None

    def head(self, scope: Scope, workspace: int) -> Version | None:
        """See the port."""
        found = self.versions(scope, workspace, limit=1)
        return found[0] if found else None

    def version(self, scope: Scope, workspace: int, number: int) -> Version | None:
        """See the port."""
        where, params = _where(scope)
        sql = f"SELECT {_VERSION} FROM workspace_version WHERE workspace=? AND number=? AND {where}"  # noqa: S608
        found = self._all(sql, (workspace, number, *params))
        return Version(*found[0]) if found else None

    def versions(
        self, scope: Scope, workspace: int, before: int | None = None, limit: int = 50
    ) -> list[Version]:
        """See the port."""
        where, params = _where(scope)
        sql = (
            f"SELECT {_VERSION} FROM workspace_version WHERE workspace=? AND number<? AND {where}"  # noqa: S608
            " ORDER BY number DESC LIMIT ?"
        )
        top = (1 << 62) if before is None else before
        return [Version(*row) for row in self._all(sql, (workspace, top, *params, limit))]

    def versions_of(self, scope: Scope, run: str) -> list[tuple[int, Version]]:
        """See the port."""
        where, params = _where(scope)
        sql = (
            f"SELECT workspace, {_VERSION} FROM workspace_version INDEXED BY workspace_version_run"  # noqa: S608
            f" WHERE run=? AND run<>'' AND {where} ORDER BY workspace, number"
        )
        return [(row[0], Version(*row[1:])) for row in self._all(sql, (run, *params))]
