"""Workspaces: named, versioned trees of an organisation, and commits onto them.

A commit puts its nodes into the object store and then makes one journal write, the row of its version:
before that write nothing has happened, after it everything has. Commits of one workspace follow each
other; those that wait while one is written share the next write.
"""

from __future__ import annotations

import contextlib
import re
import weakref
from collections.abc import Sequence

from a2a_cloud.model.ports import Clock
from a2a_cloud.model.problem import (
    FileNotFound,
    InvalidParams,
    Unavailable,
    VersionNotFound,
    WorkspaceConflict,
    WorkspaceNotFound,
)
from a2a_cloud.model.scope import Scope
from a2a_cloud.model.task import ObjectRef
from a2a_cloud.model.workspace import Change, File, Merge, Version
from a2a_cloud.runtime.workspace.commits import Commits, Pending, Proposal
from a2a_cloud.runtime.workspace.draft import Draft
from a2a_cloud.runtime.workspace.preconditions import met, unexpected
from a2a_cloud.storage.journal.port import Journal, Refusal
from a2a_cloud.storage.objects.port import ObjectStore
from a2a_cloud.storage.sql import audit
from a2a_cloud.storage.workspaces.difference import difference
from a2a_cloud.storage.workspaces.nodes import EMPTY
from a2a_cloud.storage.workspaces.port import WorkspaceRow, WorkspaceRows
from a2a_cloud.storage.workspaces.rows import add_workspace
from a2a_cloud.storage.workspaces.store import CACHE_BYTES, Nodes
from a2a_cloud.storage.workspaces.tree import PAGE, Tree
from a2a_cloud.wire.glob import check_path

#: Workspaces whose newest version is at hand.
ASKED = 256
#: Versions that one look at a file's history goes through.
HISTORY_STEPS = 1000

_NAME = re.compile(r"[a-z0-9](?:[a-z0-9._-]{0,61}[a-z0-9])?")


class Workspaces:
    """All workspaces over one journal and one object store."""

    def __init__(
        self,
        rows: WorkspaceRows,
        journal: Journal,
        objects: ObjectStore,
        clock: Clock,
        *,
        cache_bytes: int = CACHE_BYTES,
    ) -> None:
        self._rows, self._journal, self._objects, self._clock = rows, journal, objects, clock
        self._nodes = Nodes(objects, cache_bytes)
        # One per workspace as long as anybody uses it: it orders the commits.
        self._commits: weakref.WeakValueDictionary[int, Commits] = weakref.WeakValueDictionary()
        #: Those that were asked for their newest version, None: there is none. Each call may ask.
        self._asked: dict[tuple[int, str], Commits | None] = {}

    async def create(self, org_no: int, name: str, by: str = "") -> Workspace:
        """The organisation's workspace of that name, made if it is not there.

        Raises InvalidParams for a name that can't be one; StorageFull, Unavailable.
        """
        if not _NAME.fullmatch(name):
            raise InvalidParams(
                f"{name[:80]!a} can't be a workspace's name.",
                remedy="Names have up to 63 of a-z, 0-9, `.`, `_` and `-`; the first and last is no sign.",
            )
        row = self._rows.workspace(Scope(org_no), name)
        if row is None:
            self._asked.pop((org_no, name), None)
            with contextlib.suppress(Refusal):  # Somebody made it at the same time.
                now = self._clock.now()
                event = audit.change(org_no, now, by, "workspace.made", name)
                await self._journal.write([add_workspace(org_no, name, now, by), event])
            self._asked.pop((org_no, name), None)
            row = self._rows.workspace(Scope(org_no), name)
            if row is None:
                raise Unavailable("The workspace could not be made.", remedy="Try again.", retry_after=1)
        return self._of(row)

    async def open(self, org_no: int, name: str) -> Workspace:
        """The organisation's workspace of that name. Raises WorkspaceNotFound."""
        row = self._rows.workspace(Scope(org_no), name)
        if row is None:
            raise WorkspaceNotFound(
                f"There is no workspace {name[:80]!a} here.", remedy="See `a2a ws ls`, or make it."
            )
        return self._of(row)

    async def list(self, org_no: int, after: str = "", limit: int = 100) -> list[WorkspaceRow]:
        """The organisation's workspaces by name, after the name `after`: at most `limit`."""
        return self._rows.workspaces(Scope(org_no), after, limit)

    def newest(self, org_no: int, name: str) -> int:
        """The number of the newest version of the organisation's workspace of that name; 0: none is
        there."""
        key = org_no, name
        if key not in self._asked:
            if len(self._asked) >= ASKED:
                self._asked.clear()
            row = self._rows.workspace(Scope(org_no), name)
            self._asked[key] = None if row is None else self._of(row).commits
        commits = self._asked[key]
        return 0 if commits is None else commits.head().number

    def _of(self, row: WorkspaceRow) -> Workspace:
        commits = self._commits.get(row.no)
        if commits is None:
            commits = Commits(row, self._rows, self._journal, self._nodes, self._objects, self._clock)
            self._commits[row.no] = commits
        return Workspace(row, self._rows, self._nodes, self._objects, commits)


class Workspace:
    """One workspace. Versions are numbered from 1; number 0 is empty."""

    def __init__(
        self, row: WorkspaceRow, rows: WorkspaceRows, nodes: Nodes, objects: ObjectStore, commits: Commits
    ) -> None:
        self.no, self.org, self.name = row.no, row.org, row.name
        self.created, self.made_by = row.created, row.made_by
        self._scope = Scope(row.org)
        self._rows, self._nodes, self._objects, self.commits = rows, nodes, objects, commits

    # --- versions ---------------------------------------------------------------------------------

    def head(self) -> Version:
        """The newest version that is committed."""
        return self.commits.head()

    def version(self, number: int) -> Version:
        """A version by its number. Raises VersionNotFound."""
        if number == 0:
            return Version(0, EMPTY, 0, 0)
        found = self._rows.version(self._scope, self.no, number)
        if found is None:
            raise VersionNotFound(
                f"{self.name} has no version {number}; the newest is {self.head().number}.",
                remedy=f"See `a2a ws log {self.name}`.",
            )
        return found

    def at(self, version: Version | int | None = None) -> Tree:
        """The files of a version; None: of the newest. Raises VersionNotFound."""
        if version is None:
            version = self.head()
        elif isinstance(version, int):
            version = self.version(version)
        return Tree(self._nodes, self._objects, version.tree)

    def history(self, before: int | None = None, limit: int = 50) -> list[Version]:
        """Versions with a lower number than `before`, newest first."""
        return self._rows.versions(self._scope, self.no, before, limit)

    async def history_of(
        self, path: str, before: int | None = None, limit: int = 50
    ) -> tuple[list[tuple[Version, File | None]], int]:
        """([(version that changed `path`, the file it made of it; None: took it away)…], cursor).

        Newest first. The cursor is for `before` of the next call; 0: there is no more. One call looks
        through HISTORY_STEPS versions at most, and may find nothing in them.
        """
        check_path(path)
        found: list[tuple[Version, File | None]] = []
        newer: Version | None = None
        content: ObjectRef | None = None
        for version in self._rows.versions(self._scope, self.no, before, HISTORY_STEPS):
            older = await self.at(version).content(path)
            if newer is not None and older != content:
                found.append((newer, content and File(path, content.sha256, content.size)))
                if len(found) == limit:
                    return found, newer.number
            newer, content = version, older
        if newer is None:
            return found, 0
        if newer.number > 1:
            # The oldest one looked at: whether it changed the path, the next call will see.
            return found, newer.number + 1
        if content is not None:
            found.append((newer, File(path, content.sha256, content.size)))
        return found, 0

    async def diff(
        self, before: Version | int, after: Version | int, past: str = "", limit: int = PAGE
    ) -> list[Change]:
        """The files that differ between two versions, in order, after the path `past`: at most `limit`."""
        if past:
            check_path(past)
        old, new = self.at(before).root, self.at(after).root
        found: list[Change] = []
        async for change in difference(self._nodes, old, new, past.split("/") if past else ()):
            found.append(change)
            if len(found) >= limit:
                break
        return found

    # --- changes ----------------------------------------------------------------------------------

    def draft(self, base: Version | int | None = None) -> Draft:
        """A run's view: what `base` (None: the newest version) has, and what the run writes on top."""
        if base is None:
            base = self.head()
        elif isinstance(base, int):
            base = self.version(base)
        return Draft(base, Tree(self._nodes, self._objects, base.tree), self._objects)

    async def commit(
        self,
        base: int,
        changes: Sequence[Change],
        *,
        by: str,
        run: str = "",
        message: str = "",
        merge: Merge = "refuse",
    ) -> Version:
        """Make a version of `changes`, which were made on version `base`, and say which it is: the newest
        one as it was when nothing changed.

        Contents must be stored already. Raises WorkspaceConflict, InvalidParams, StorageFull,
        Unavailable. Who is cancelled while waiting does not know whether it was committed.
        """
        return await self.commits.commit(Proposal(base, changes, by, run, message, merge))

    async def prepare(
        self,
        base: int,
        changes: Sequence[Change],
        *,
        by: str,
        run: str = "",
        message: str = "",
        merge: Merge = "refuse",
    ) -> Pending:
        """As `commit`, but the caller makes the journal write, together with what else must be true at
        once. No other commit goes through until the caller has called `Pending.done`.
        """
        return await self.commits.prepare(Proposal(base, changes, by, run, message, merge))

    async def restore(
        self, number: int, *, by: str, run: str = "", message: str = "", paths: Sequence[str] = ()
    ) -> Version:
        """Make a version that equals version `number`, or has its content at `paths`.

        Raises VersionNotFound, InvalidParams, StorageFull, Unavailable.
        """
        old = self.version(number)
        head = self.head()
        message = message or f"Restore version {number}"
        if not paths:
            whole = Proposal(head.number, (), by, run, message, "last-writer", old.tree, number)
            return await self.commits.commit(whole)
        changes: list[Change] = []
        for path in paths:
            check_path(path)
            now, then = await self.at(head).content(path), await self.at(old).content(path)
            if now is None and then is None:
                raise FileNotFound(f"Neither version {number} nor the newest one has {path[:200]!a}.")
            changes.append(Change(path, now, then))
        part = Proposal(head.number, changes, by, run, message, "last-writer", "", number)
        return await self.commits.commit(part)

    async def put(
        self, path: str, content: ObjectRef | None, *, by: str, message: str = "", expect: str | None = None
    ) -> tuple[Version, Change]:
        """Put one file, or take it away (None), on top of the newest version.

        `expect` is what must be there: a SHA-256, "*" for any file, "" for none; None: no matter what.
        Raises PreconditionFailed when it is not, FileNotFound when there is nothing to take away, and
        what `commit` raises.
        """
        head = self.head()
        before = await self.at(head).content(check_path(path))
        if not met(before, expect):
            raise unexpected(path, before)
        if content is None and before is None:
            raise FileNotFound(f"The workspace has no file {path[:200]!a}.")
        change = Change(path, before, content)
        merge: Merge = "last-writer" if expect is None else "refuse"
        verb = "Delete" if content is None else "Put"
        try:
            version = await self.commit(
                head.number, [change], by=by, message=message or f"{verb} {path}", merge=merge
            )
        except WorkspaceConflict as problem:
            if expect is None or problem.clashes[0].blocked:
                raise
            raise unexpected(path, await self.at().content(path)) from problem
        return version, change
