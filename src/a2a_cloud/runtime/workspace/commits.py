"""Commits of one workspace, one after the other: merge onto the newest version, keep the nodes, write the
row. The order on disk is what makes it whole: contents, then nodes, then one journal write."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence

from msgspec import Struct

from a2a_cloud.model.ports import Clock
from a2a_cloud.model.problem import InvalidParams, Problem, TooLarge, Unavailable
from a2a_cloud.model.scope import Scope
from a2a_cloud.model.workspace import Change, Merge, Version
from a2a_cloud.runtime.workspace.conflicts import Blame, blocked, clashing, conflict
from a2a_cloud.storage.journal.port import Journal, Op, Refusal
from a2a_cloud.storage.objects.port import ObjectStore
from a2a_cloud.storage.workspaces.edit import Editor
from a2a_cloud.storage.workspaces.nodes import EMPTY
from a2a_cloud.storage.workspaces.port import WorkspaceRow, WorkspaceRows
from a2a_cloud.storage.workspaces.rows import add_version
from a2a_cloud.storage.workspaces.store import Nodes
from a2a_cloud.storage.workspaces.tree import Tree, totals
from a2a_cloud.wire.glob import check_path

#: Commits that share a journal write.
TOGETHER = 64
#: Paths that one commit changes.
MOST_CHANGES = 200_000
MOST_MESSAGE = 2000
#: Times that a commit is built anew because another process was faster.
TRIES = 5


class Proposal(Struct, frozen=True):
    """What somebody wants committed. With `tree`: that very tree, whatever is there."""

    base: int
    changes: Sequence[Change]
    by: str
    run: str = ""
    message: str = ""
    merge: Merge = "refuse"
    tree: str = ""
    restored: int = 0


class Pending:
    """A commit whose nodes are kept and whose row is not written yet: put `ops` into a Write, and call
    `done` with what the write was told, also when it was never submitted. Until then all other commits
    of this workspace wait."""

    def __init__(self, commits: Commits, before: Version, version: Version, ops: Sequence[Op]) -> None:
        self._commits: Commits | None = commits
        self._before = before
        self.version = version
        self.ops = ops

    def done(self, error: BaseException | None) -> None:
        """The write is on disk (None), or did not take effect. Only the first call counts."""
        if self._commits is not None:
            self._commits.settle(self._before if error is not None else self.version)
            self._commits = None


class Commits:
    """The one place that makes versions of a workspace. Loop thread only."""

    def __init__(
        self,
        row: WorkspaceRow,
        rows: WorkspaceRows,
        journal: Journal,
        nodes: Nodes,
        objects: ObjectStore,
        clock: Clock,
    ) -> None:
        self._row, self._rows, self._journal = row, rows, journal
        self._nodes, self._objects, self._clock = nodes, objects, clock
        self._scope = Scope(row.org)
        self._lock = asyncio.Lock()
        self._head: Version | None = None
        self._waiting: list[tuple[Proposal, asyncio.Future[Version]]] = []
        self._task: asyncio.Task[None] | None = None

    def head(self) -> Version:
        """The newest version that is committed."""
        if self._head is None:
            self._head = self._rows.head(self._scope, self._row.no) or Version(0, EMPTY, 0, 0)
        return self._head

    async def commit(self, proposal: Proposal) -> Version:
        """See `Workspace.commit`."""
        _check(proposal)
        future: asyncio.Future[Version] = asyncio.get_running_loop().create_future()
        self._waiting.append((proposal, future))
        if self._task is None:
            self._task = asyncio.create_task(self._work())
        return await future

    async def prepare(self, proposal: Proposal) -> Pending:
        """See `Workspace.prepare`."""
        _check(proposal)
        await self._lock.acquire()
        try:
            before = self.head()
            editor = Editor(self._nodes)
            version = await self._next(editor, before, proposal)
            await self._nodes.keep(editor.fresh)
        except BaseException:
            self._lock.release()
            raise
        ops = [add_version(self._row.org, self._row.no, version)] if version is not before else []
        return Pending(self, before, version, ops)

    def settle(self, head: Version) -> None:
        """What was prepared is over, and this is the newest version."""
        self._head = head
        self._lock.release()

    async def _work(self) -> None:
        try:
            while self._waiting:
                async with self._lock:
                    batch, self._waiting = self._waiting[:TOGETHER], self._waiting[TOGETHER:]
                    await self._together(batch)
        finally:
            self._task = None
            for _, future in self._waiting:  # Only when the loop ends under us.
                future.cancel()

    async def _together(self, batch: list[tuple[Proposal, asyncio.Future[Version]]]) -> None:
        try:
            for _ in range(TRIES):
                try:
                    await self._try(batch)
                except Refusal:
                    self._head = None  # Another process was faster: read what it made.
                else:
                    return
            raise Unavailable(
                "Others commit to this workspace all the time.", remedy="Try again.", retry_after=1
            )
        except Exception as error:
            for _, future in batch:
                if not future.done():
                    future.set_exception(error)
        except BaseException:
            for _, future in batch:
                future.cancel()
            raise

    async def _try(self, batch: list[tuple[Proposal, asyncio.Future[Version]]]) -> None:
        tip = self.head()
        editor = Editor(self._nodes)
        made: list[tuple[asyncio.Future[Version], Version | Problem]] = []
        new: list[Version] = []
        for proposal, future in batch:
            if future.cancelled():
                continue
            known = set(editor.fresh)
            try:
                version = await self._next(editor, tip, proposal, new)
            except Problem as problem:
                for address in editor.fresh.keys() - known:
                    del editor.fresh[address]
                made.append((future, problem))
                continue
            if version is not tip:
                new.append(version)
                tip = version
            made.append((future, version))
        await self._nodes.keep(editor.fresh)
        if new:
            await self._journal.write([add_version(self._row.org, self._row.no, version) for version in new])
        self._head = tip
        for future, outcome in made:
            if future.done():
                continue
            if isinstance(outcome, Version):
                future.set_result(outcome)
            else:
                future.set_exception(outcome)

    async def _next(
        self, editor: Editor, tip: Version, proposal: Proposal, unwritten: Sequence[Version] = ()
    ) -> Version:
        """The version that comes after `tip`; `tip` itself when nothing changes."""
        root, changed = proposal.tree, 0
        if not root:
            changes = [change for change in proposal.changes if change.before != change.after]
            if not changes:
                return tip
            changed = len(changes)
            if tip.number != proposal.base and proposal.merge == "refuse":
                found = await clashing(Tree(editor, self._objects, tip.tree), changes)
                if found:
                    blame = Blame(self._rows, self._scope, self._row.no, editor, self._objects, unwritten)
                    raise await conflict(found, proposal.base, tip, blame)
            root, in_the_way = await editor.apply(
                tip.tree, ((change.path, change.after) for change in changes)
            )
            if in_the_way:
                raise blocked(in_the_way, changes, proposal.base, tip)
        if root == tip.tree:
            return tip
        size, files = await totals(editor, root)
        return Version(
            tip.number + 1,
            root,
            files,
            size,
            self._clock.now(),
            proposal.by,
            proposal.run,
            proposal.message,
            proposal.base,
            proposal.restored,
            changed,
        )


def _check(proposal: Proposal) -> None:
    if proposal.merge not in ("refuse", "last-writer"):
        raise InvalidParams(
            f"There is no merge {str(proposal.merge)[:40]!a}.", remedy="Use `refuse` or `last-writer`."
        )
    if len(proposal.changes) > MOST_CHANGES:
        raise TooLarge(
            f"The commit changes {len(proposal.changes)} files; at most {MOST_CHANGES} go into one.",
            remedy="Commit in parts.",
        )
    if len(proposal.message) > MOST_MESSAGE:
        raise TooLarge(f"The message is longer than {MOST_MESSAGE} characters.", remedy="Shorten it.")
    seen: set[str] = set()
    for change in proposal.changes:
        check_path(change.path)
        if change.path in seen:
            raise InvalidParams(f"The commit changes {change.path[:200]!a} twice.", remedy="Name it once.")
        seen.add(change.path)
