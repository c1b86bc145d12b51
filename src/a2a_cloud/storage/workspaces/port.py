"""The rows of workspaces: what is committed. Every method takes a Scope and touches no row outside of its
organisation; point reads and keyset pages only, called on the loop's thread; raises Internal when the
database can't be read. What the journal has said to be done is seen by the next read."""

from __future__ import annotations

from typing import NamedTuple, Protocol

from a2a_cloud.model.scope import Scope
from a2a_cloud.model.workspace import Version


class WorkspaceRow(NamedTuple):
    """A row of `workspace`. `created` is wall seconds, `made_by` is `name@org`."""

    no: int
    org: int
    name: str
    created: float
    made_by: str


class WorkspaceRows(Protocol):
    """Reads of committed rows."""

    def workspaces(self, scope: Scope, after: str = "", limit: int = 100) -> list[WorkspaceRow]:
        """An organisation's workspaces by name, after the name `after`."""
        ...

    def workspace(self, scope: Scope, name: str) -> WorkspaceRow | None:
        """The organisation's workspace of that name."""
        ...

    def head(self, scope: Scope, workspace: int) -> Version | None:
        """The newest version of a workspace; None: it has none yet."""
        ...

    def version(self, scope: Scope, workspace: int, number: int) -> Version | None:
        """A version by its number."""
        ...

    def versions(
        self, scope: Scope, workspace: int, before: int | None = None, limit: int = 50
    ) -> list[Version]:
        """Versions with a lower number than `before`, newest first."""
        ...

    def versions_of(self, scope: Scope, run: str) -> list[tuple[int, Version]]:
        """(workspace, version) of those that a run made, oldest first."""
        ...
