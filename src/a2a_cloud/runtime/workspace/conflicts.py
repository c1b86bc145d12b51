"""When two commits meet: which paths both changed, and who changed them."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence

from a2a_cloud.model.problem import WorkspaceConflict
from a2a_cloud.model.scope import Scope
from a2a_cloud.model.task import ObjectRef
from a2a_cloud.model.workspace import NAMED, Change, Clash, Version, conflict_of
from a2a_cloud.storage.objects.port import ObjectStore
from a2a_cloud.storage.workspaces.port import WorkspaceRows
from a2a_cloud.storage.workspaces.store import Loader
from a2a_cloud.storage.workspaces.tree import Tree

#: Versions looked through for the one that changed a path.
LOOKED_THROUGH = 200
#: Paths after which others on the loop get their turn.
TURN = 500


async def clashing(tree: Tree, changes: Sequence[Change]) -> list[tuple[Change, ObjectRef | None]]:
    """(change, what the newer tree has there) of those whose path is neither as it was nor as we want it.

    Who wrote the same content as we did is in nobody's way.
    """
    found: list[tuple[Change, ObjectRef | None]] = []
    for number, change in enumerate(changes):
        if number % TURN == TURN - 1:
            await asyncio.sleep(0)
        theirs = await tree.content(change.path)
        if theirs != change.before and theirs != change.after:
            found.append((change, theirs))
    return found


async def conflict(
    found: Sequence[tuple[Change, ObjectRef | None]],
    base: int,
    head: Version,
    blame: Blame,
) -> WorkspaceConflict:
    """The Problem that names the paths, what each held, what we wrote, what is there now, and whose it is."""
    named: list[Clash] = []
    for change, theirs in found[:NAMED]:
        version = await blame.last_change(change.path, base, head)
        named.append(
            Clash(
                change.path,
                _hash(change.before),
                _hash(change.after),
                _hash(theirs),
                version.number,
                version.run,
                version.by,
            )
        )
    return conflict_of(base, head.number, named, len(found))


def blocked(paths: Sequence[str], changes: Sequence[Change], base: int, head: Version) -> WorkspaceConflict:
    """The Problem when a file and a folder would have one name. Nobody's choice of merge settles that."""
    ours = {change.path: _hash(change.after) for change in changes}
    named = [
        Clash(path, ours=ours.get(path, ""), version=head.number, run=head.run, by=head.by, blocked=True)
        for path in paths[:NAMED]
    ]
    return conflict_of(base, head.number, named, len(paths))


class Blame:
    """Finds the version that last changed a path. `unwritten` are versions that have no rows yet."""

    def __init__(
        self,
        rows: WorkspaceRows,
        scope: Scope,
        workspace: int,
        nodes: Loader,
        objects: ObjectStore,
        unwritten: Sequence[Version] = (),
    ) -> None:
        self._rows, self._scope, self._workspace = rows, scope, workspace
        self._unwritten = unwritten
        self._nodes, self._objects = nodes, objects
        self._trees: dict[str, Tree] = {}

    async def last_change(self, path: str, base: int, head: Version) -> Version:
        """The newest version after `base` that changed `path`; `head` when that is too long ago."""
        newer, content = head, await self._content(head, path)
        older = [version for version in reversed(self._unwritten) if version.number < head.number]
        older += self._rows.versions(self._scope, self._workspace, head.number, LOOKED_THROUGH)
        for version in older:
            if version.number < base or await self._content(version, path) != content:
                return newer
            newer = version
        return newer if len(older) < LOOKED_THROUGH else head

    async def _content(self, version: Version, path: str) -> ObjectRef | None:
        tree = self._trees.get(version.tree)
        if tree is None:
            tree = self._trees[version.tree] = Tree(self._nodes, self._objects, version.tree)
        return await tree.content(path)


def _hash(ref: ObjectRef | None) -> str:
    return "" if ref is None else ref.sha256
