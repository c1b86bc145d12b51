"""The conformance suite of workspaces: what the service does over any object store and any rows.

Subclass `WorkspacesSuite` in a test module and give it `objects`; a driver for another database gives it
`site` too.
"""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import AsyncGenerator, Callable, Coroutine
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any, TypeVar

from a2a_cloud.model.ports import Clock
from a2a_cloud.model.problem import (
    FileNotFound,
    InvalidParams,
    PreconditionFailed,
    Problem,
    VersionNotFound,
    WorkspaceConflict,
    WorkspaceNotFound,
)
from a2a_cloud.model.scope import Scope
from a2a_cloud.model.workspace import Change, File, Folder, Merge, Version
from a2a_cloud.runtime.workspace.service import Workspace, Workspaces
from a2a_cloud.storage.journal.port import Journal, Write
from a2a_cloud.storage.journal.sqlite import SqliteJournal
from a2a_cloud.storage.journal.writer import Commit, connect, prepare, real_commit
from a2a_cloud.storage.objects.port import ObjectStore
from a2a_cloud.storage.workspaces.rows import MIGRATION, SqliteRows

P = TypeVar("P", bound=Problem)
BY = "ada@acme"


class Ticks:
    """A clock that goes on by a second whenever it is looked at."""

    def __init__(self) -> None:
        self.at = 1_000_000.0

    def now(self) -> float:
        """See `Clock`."""
        self.at += 1
        return self.at

    def monotonic(self) -> float:
        """See `Clock`."""
        return self.now()


def make_tables(path: Path) -> None:
    """The database at `path` with our schema."""
    prepare(path)
    connection = connect(path)
    try:
        if not connection.execute("SELECT 1 FROM sqlite_schema WHERE name='workspace'").fetchone():
            connection.executescript(MIGRATION)
    finally:
        connection.close()


class Site:
    """A journal, rows and workspaces over an object store."""

    def __init__(self, workspaces: Workspaces, journal: Journal, rows: SqliteRows) -> None:
        self.workspaces, self.journal, self.rows = workspaces, journal, rows


@asynccontextmanager
async def sqlite_site(
    folder: Path, objects: ObjectStore, *, commit: Commit = real_commit, clock: Clock | None = None
) -> AsyncGenerator[Site]:
    """Over SQLite in `folder`."""
    database = folder / "journal.db"
    make_tables(database)
    journal = SqliteJournal(database, commit=commit)
    connection = connect(database, readonly=True)
    rows = SqliteRows(connection)
    try:
        yield Site(Workspaces(rows, journal, objects, clock or Ticks()), journal, rows)
    finally:
        await journal.close()
        connection.close()


async def refused(kind: type[P], work: Coroutine[Any, Any, object]) -> P:
    """`work` raises that Problem, with a remedy or as NotFound."""
    try:
        await work
    except kind as problem:
        return problem
    raise AssertionError(f"{kind.__name__} was not raised")


async def contents(workspace: Workspace, version: Version | int | None = None) -> dict[str, bytes]:
    """All files of a version."""
    tree = workspace.at(version)
    return {file.path: (await tree.read(file.path)).data async for file in tree.walk()}


async def save(workspace: Workspace, files: dict[str, bytes | None], **how: Any) -> Version:
    """Commit files (None: take it away) on top of the newest version."""
    draft = workspace.draft(how.pop("base", None))
    for path, data in files.items():
        if data is None:
            await draft.delete(path)
        else:
            await draft.write(path, data)
    how.setdefault("by", BY)
    return await workspace.commit(draft.base.number, await draft.changes(), **how)


class WorkspacesSuite:
    """What every combination does."""

    def objects(self, folder: Path) -> ObjectStore:
        """The object store under test in `folder`."""
        raise NotImplementedError

    def site(self, folder: Path) -> contextlib.AbstractAsyncContextManager[Site]:
        """Everything over `folder`; opened again to see what stayed."""
        return sqlite_site(folder, self.objects(folder / "objects"))

    def go(self, folder: Path, body: Callable[[Workspace], Coroutine[Any, Any, None]]) -> None:
        """Run a test's body with a fresh workspace `main` of organisation 1."""

        async def all_of_it() -> None:
            async with self.site(folder) as site:
                await body(await site.workspaces.create(1, "main", BY))

        asyncio.run(all_of_it())

    def test_workspaces_are_an_organisations_own(self, tmp_path: Path) -> None:
        async def body() -> None:
            async with self.site(tmp_path) as site:
                made = await asyncio.gather(*(site.workspaces.create(1, "main", BY) for _ in range(5)))
                assert len({one.no for one in made}) == 1
                other = await site.workspaces.create(2, "main", BY)
                await site.workspaces.create(1, "b.c_d-2", BY)
                assert other.no != made[0].no
                await save(other, {"secret": b"2"})
                assert (await site.workspaces.open(1, "main")).head().number == 0
                assert [row.name for row in await site.workspaces.list(1)] == ["b.c_d-2", "main"]
                assert [row.name for row in await site.workspaces.list(1, "b.c_d-2", 5)] == ["main"]
                await refused(WorkspaceNotFound, site.workspaces.open(3, "main"))
                for name in ("", "A", "a/b", "-a", "a.", "..", "a" * 64, "ä", "a\n"):
                    assert (await refused(InvalidParams, site.workspaces.create(1, name))).remedy

        asyncio.run(body())

    def test_versions_stay_after_a_restart(self, tmp_path: Path) -> None:
        async def body() -> None:
            async with self.site(tmp_path) as site:
                workspace = await site.workspaces.create(1, "main", BY)
                assert workspace.head() == Version(0, workspace.at().root, 0, 0)
                assert await contents(workspace) == {}
                first = await save(workspace, {"a.txt": b"1", "in/b.txt": b"22"}, run="run_1", message="m")
                await save(workspace, {"a.txt": None, "in/c.txt": b"3"})
            async with self.site(tmp_path) as site:
                workspace = await site.workspaces.open(1, "main")
                assert (first.number, first.files, first.size, first.changed) == (1, 2, 3, 2)
                assert (first.by, first.run, first.message, first.base) == (BY, "run_1", "m", 0)
                assert workspace.version(1) == first
                assert workspace.history() == [workspace.head(), first]
                assert workspace.head().number == 2
                assert await contents(workspace) == {"in/b.txt": b"22", "in/c.txt": b"3"}
                assert await contents(workspace, 1) == {"a.txt": b"1", "in/b.txt": b"22"}
                assert site.rows.versions_of(Scope(1), "run_1") == [(workspace.no, first)]
                assert site.rows.versions_of(Scope(2), "run_1") == []

        asyncio.run(body())

    def test_a_run_sees_its_base_and_itself(self, tmp_path: Path) -> None:
        async def body(workspace: Workspace) -> None:
            await save(workspace, {"a": b"old", "b": b"old"})
            draft = workspace.draft()
            await save(workspace, {"b": b"new", "c": b"new"})
            await draft.write("a", b"mine")
            assert (await draft.read("a")).data == b"mine"
            assert (await draft.read("b")).data == b"old"
            await refused(FileNotFound, draft.read("c"))
            assert (await workspace.at().read("a")).data == b"old"
            await workspace.commit(draft.base.number, await draft.changes(), by=BY)
            assert await contents(workspace) == {"a": b"mine", "b": b"new", "c": b"new"}

        self.go(tmp_path, body)

    def test_the_same_path_is_a_conflict_that_names_both(self, tmp_path: Path) -> None:
        async def body(workspace: Workspace) -> None:
            await save(workspace, {"a": b"0", "b": b"0", "keep": b"0"})
            one, two = workspace.draft(), workspace.draft()
            await one.write("a", b"one")
            await one.delete("b")
            await two.write("a", b"two")
            await two.write("b", b"two")
            await two.write("own", b"two")
            await workspace.commit(1, await one.changes(), by=BY, run="run_one")
            await save(workspace, {"keep": b"1"})
            changes = await two.changes()
            problem = await refused(WorkspaceConflict, workspace.commit(1, changes, by=BY, run="run_two"))
            assert (problem.info["base"], problem.info["head"], problem.info["count"]) == ("1", "3", "2")
            assert [clash.path for clash in problem.clashes] == ["a", "b"]
            assert {clash.version for clash in problem.clashes} == {2}
            assert {clash.run for clash in problem.clashes} == {"run_one"}
            stored = {change.path: change for change in changes}
            assert problem.clashes[0].ours == (stored["a"].after or _none()).sha256
            assert problem.clashes[0].before == (stored["a"].before or _none()).sha256
            assert problem.clashes[1].theirs == ""
            assert "`a`" in problem.detail
            assert "version 2 by run_one" in problem.detail
            assert problem.remedy
            assert workspace.head().number == 3
            await workspace.commit(1, changes, by=BY, merge="last-writer")
            assert await contents(workspace) == {"a": b"two", "b": b"two", "keep": b"1", "own": b"two"}

        self.go(tmp_path, body)

    def test_the_same_content_is_no_conflict(self, tmp_path: Path) -> None:
        async def body(workspace: Workspace) -> None:
            one, two = workspace.draft(), workspace.draft()
            await one.write("a", b"same")
            await two.write("a", b"same")
            first = await workspace.commit(0, await one.changes(), by=BY)
            assert await workspace.commit(0, await two.changes(), by=BY) == first
            assert await workspace.commit(0, [], by=BY) == first
            draft = workspace.draft()
            await draft.write("a", b"same")
            assert draft.clean
            assert await draft.changes() == []

        self.go(tmp_path, body)

    def test_a_file_and_a_folder_of_one_name_never_merge(self, tmp_path: Path) -> None:
        async def body(workspace: Workspace) -> None:
            one, two, three = (workspace.draft() for _ in range(3))
            await one.write("a", b"file")
            await two.write("a/b", b"below")
            await three.write("a/b", b"below")
            await workspace.commit(0, await one.changes(), by=BY)
            merges: list[Merge] = ["refuse", "last-writer"]
            for merge in merges:
                problem = await refused(
                    WorkspaceConflict, workspace.commit(0, await two.changes(), by=BY, merge=merge)
                )
                assert [clash.path for clash in problem.clashes] == ["a"]
                assert problem.clashes[0].blocked
            assert await contents(workspace) == {"a": b"file"}

        self.go(tmp_path, body)

    def test_commits_at_once_merge_or_conflict(self, tmp_path: Path) -> None:
        async def body(workspace: Workspace) -> None:
            drafts = [workspace.draft() for _ in range(60)]
            for number, draft in enumerate(drafts):
                await draft.write(f"own/{number}", b"%d" % number)
                if number % 10 == 0:
                    await draft.write("shared", b"%d" % number)
            changes = [await draft.changes() for draft in drafts]
            ends = await asyncio.gather(
                *(
                    workspace.commit(0, mine, by=BY, run=f"run_{number}")
                    for number, mine in enumerate(changes)
                ),
                return_exceptions=True,
            )
            conflicts = [end for end in ends if isinstance(end, WorkspaceConflict)]
            versions = [end for end in ends if isinstance(end, Version)]
            assert (len(conflicts), len(versions)) == (5, 55)
            assert sorted(version.number for version in versions) == list(range(1, 56))
            assert workspace.head().number == 55
            assert len(await contents(workspace)) == 56
            winner = next(version for version in versions if int(version.run[4:]) % 10 == 0)
            assert {one.clashes[0].version for one in conflicts} == {winner.number}
            assert {one.clashes[0].run for one in conflicts} == {winner.run}

        self.go(tmp_path, body)

    def test_a_commit_that_the_caller_writes(self, tmp_path: Path) -> None:
        async def body() -> None:
            async with self.site(tmp_path) as site:
                workspace = await site.workspaces.create(1, "main", BY)
                await save(workspace, {"a": b"1"})
                draft = workspace.draft()
                await draft.write("a", b"2")
                changes = await draft.changes()
                given_up = await workspace.prepare(1, changes, by=BY)
                given_up.done(RuntimeError("never submitted"))
                assert workspace.head().number == 1
                pending = await workspace.prepare(1, changes, by=BY)
                other = asyncio.create_task(save(workspace, {"b": b"2"}, base=1))
                await asyncio.sleep(0.05)
                assert not other.done()
                assert await contents(workspace) == {"a": b"1"}
                told = asyncio.Event()

                def done(error: BaseException | None) -> None:
                    pending.done(error)
                    told.set()

                site.journal.submit(Write([*pending.ops], done))
                await told.wait()
                assert (await other).number == 3
                assert await contents(workspace) == {"a": b"2", "b": b"2"}
                nothing = await workspace.prepare(3, [], by=BY)
                assert (list(nothing.ops), nothing.version.number) == ([], 3)
                nothing.done(None)
                clash = workspace.commit(1, changes[:0], by=BY)
                assert (await clash).number == 3

        asyncio.run(body())

    def test_history_difference_restore(self, tmp_path: Path) -> None:
        async def body(workspace: Workspace) -> None:
            await save(workspace, {"a": b"1", "in/deep/b": b"1", "c": b"1"})
            await save(workspace, {"a": b"2"})
            await save(workspace, {"in/deep/b": None, "in/new": b"3"})
            changes = await workspace.diff(1, 3)
            assert [(one.path, one.before is None, one.after is None) for one in changes] == [
                ("a", False, False),
                ("in/deep/b", False, True),
                ("in/new", True, False),
            ]
            assert await workspace.diff(1, 3, limit=2) == changes[:2]
            assert await workspace.diff(1, 3, past="in/deep/b") == changes[2:]
            back = await workspace.diff(3, 1)
            assert back == [Change(one.path, one.after, one.before) for one in changes]
            assert await workspace.diff(2, 2) == []
            old = await workspace.restore(1, by=BY)
            assert (old.number, old.tree, old.restored) == (4, workspace.version(1).tree, 1)
            assert old.message == "Restore version 1"
            part = await workspace.restore(3, by=BY, paths=["in/new", "in/deep/b"])
            assert await contents(workspace, part) == {"a": b"1", "c": b"1", "in/new": b"3"}
            await refused(VersionNotFound, workspace.restore(9, by=BY))
            await refused(FileNotFound, workspace.restore(1, by=BY, paths=["nowhere"]))
            versions = [version.number for version in workspace.history(before=4, limit=2)]
            assert versions == [3, 2]
            found, cursor = await workspace.history_of("a")
            assert [(version.number, file and file.size) for version, file in found] == [
                (4, 1),
                (2, 1),
                (1, 1),
            ]
            assert cursor == 0
            found, cursor = await workspace.history_of("in/deep/b", limit=1)
            assert [(version.number, file) for version, file in found] == [(5, None)]
            found, cursor = await workspace.history_of("in/deep/b", before=cursor)
            assert [version.number for version, _ in found] == [4, 3, 1]
            assert await workspace.history_of("nowhere") == ([], 0)
            await workspace.restore(0, by=BY)
            assert await contents(workspace) == {}

        self.go(tmp_path, body)

    def test_conditional_puts(self, tmp_path: Path) -> None:
        async def body(workspace: Workspace) -> None:
            store = workspace.draft()
            await store.write("x", b"1")
            one = await store.ref("x")
            await store.write("x", b"2")
            two = await store.ref("x")
            version, change = await workspace.put("in/f", one, by=BY, expect="")
            assert (version.number, version.message, change) == (1, "Put in/f", Change("in/f", None, one))
            await refused(PreconditionFailed, workspace.put("in/f", two, by=BY, expect=""))
            await refused(PreconditionFailed, workspace.put("in/f", two, by=BY, expect=two.sha256))
            await refused(PreconditionFailed, workspace.put("other", two, by=BY, expect="*"))
            await workspace.put("in/f", two, by=BY, expect=one.sha256)
            racers = [workspace.put("in/f", one, by=BY, expect=two.sha256) for _ in range(2)]
            racers += [workspace.put("in/f", None, by=BY, expect=two.sha256) for _ in range(2)]
            ends = await asyncio.gather(*racers, return_exceptions=True)
            wins = [end for end in ends if isinstance(end, tuple)]
            lost = [end for end in ends if isinstance(end, PreconditionFailed)]
            # Two that want the same content are both right; who wants another one has lost.
            assert (len(wins), len(lost)) == (2, 2)
            await workspace.put("in/f", two, by=BY)
            await workspace.put("in/f", None, by=BY, expect="*")
            await refused(FileNotFound, workspace.put("in/f", None, by=BY))
            assert await contents(workspace) == {}

        self.go(tmp_path, body)

    def test_ranges_and_streams(self, tmp_path: Path) -> None:
        async def body(workspace: Workspace) -> None:
            draft = workspace.draft()
            data = bytes(range(256)) * 20_000
            writer = await draft.open_write("big")
            for at in range(0, len(data), 100_000):
                writer.write(data[at : at + 100_000])
            change = await writer.finish()
            assert change.after is not None
            assert change.after.size == len(data)
            given_up = await draft.open_write("never")
            given_up.write(b"half")
            given_up.abort()
            assert (await draft.read("big", 255, 3)).data == data[255:258]
            await workspace.commit(0, await draft.changes(), by=BY)
            tree = workspace.at()
            file = await tree.file("big")
            assert file.etag == f'"{change.after.sha256}"'
            for offset, length in ((0, 0), (10, 5), (len(data) - 2, 9), (len(data), 1), (3 << 20, -1)):
                end = None if length < 0 else offset + length
                assert (await tree.read("big", offset, length)).data == data[offset:end]
                pieces = [chunk async for chunk in tree.stream(file, offset, length)]
                assert b"".join(pieces) == data[offset:end]
            assert await tree.list() == [file]

        self.go(tmp_path, body)

    def test_lists_and_globs(self, tmp_path: Path) -> None:
        async def body(workspace: Workspace) -> None:
            names = ["a", "b.md", "in/a.md", "in/b.txt", "in/deep/a.md", "z/z/z"]
            await save(workspace, dict.fromkeys(names, b"x"))
            draft = workspace.draft()
            await draft.write("in/new.md", b"yy")
            await draft.delete("z/z/z")
            for view, all_names in (
                (workspace.at(), names),
                (draft, sorted([*names[:-1], "in/new.md"], key=lambda name: name.split("/"))),
            ):
                assert [file.path async for file in view.walk()] == all_names
                for at, name in enumerate(all_names):
                    assert [file.path async for file in view.walk("", name)] == all_names[at + 1 :]
                top = [one.path for one in await view.list()]
                assert top == sorted({name.split("/")[0] for name in all_names})
                inside = await view.list("in")
                assert Folder("in/deep", 1, 1) in inside
                assert [one.path for one in await view.list("in", "a.md", 2)] == [
                    one.path for one in inside[1:3]
                ]
                root = await view.stat("")
                assert root == Folder("", len(all_names), sum(2 if "new" in one else 1 for one in all_names))
                assert [file.path for file in await view.glob("**/*.md")] == [
                    name for name in all_names if name.endswith(".md")
                ]
                assert [file.path for file in await view.glob("in/*.md")] == [
                    name
                    for name in all_names
                    if name.startswith("in/") and name.count("/") == 1 and name.endswith(".md")
                ]
                assert [file.path for file in await view.glob("in/deep/**")] == ["in/deep/a.md"]
                assert [file.path for file in await view.glob("a/**")] == ["a"]
                assert [file.path for file in await view.glob("a")] == ["a"]
                assert await view.glob("in") == []
                assert await view.glob("nowhere/*") == []
                assert [file.path for file in await view.glob("**", after="in/deep/a.md", limit=1)] == [
                    all_names[all_names.index("in/deep/a.md") + 1]
                ]
                await refused(FileNotFound, view.list("nowhere"))
                await refused(FileNotFound, view.list("a"))
                await refused(InvalidParams, view.read("in"))
                await refused(InvalidParams, view.glob("in/[ab]"))
                assert isinstance(await view.stat("a"), File)
            await refused(FileNotFound, draft.list("z"))

        self.go(tmp_path, body)

    def test_no_operation_takes_a_bad_path(self, tmp_path: Path) -> None:
        async def body(workspace: Workspace) -> None:
            draft = workspace.draft()
            await draft.write("a", b"x")
            ref = await draft.ref("a")
            tree = workspace.at()
            for bad in ("../x", "/x", "a/../b", "a\\b", "a\0", "a//b", "a/", "e\u0301", "x" * 300, "\ud800"):
                for work in (
                    draft.write(bad, b""),
                    draft.append(bad, b""),
                    draft.delete(bad),
                    draft.copy("a", bad),
                    draft.copy(bad, "b"),
                    draft.adopt(bad, ref),
                    draft.open_write(bad),
                    draft.read(bad),
                    draft.stat(bad),
                    draft.list(bad),
                    draft.glob(bad),
                    tree.read(bad),
                    tree.stat(bad),
                    tree.list(bad),
                    tree.glob(bad),
                    workspace.put(bad, ref, by=BY),
                    workspace.commit(0, [Change(bad, None, ref)], by=BY),
                    workspace.restore(0, by=BY, paths=[bad]),
                    workspace.history_of(bad),
                    workspace.diff(0, 0, past=bad),
                ):
                    assert (await refused(InvalidParams, work)).remedy
            await refused(InvalidParams, draft.write("", b""))
            twice = [Change("a", None, ref), Change("a", None, ref)]
            await refused(InvalidParams, workspace.commit(0, twice, by=BY))

        self.go(tmp_path, body)


def _none() -> Any:
    raise AssertionError("there is no content")
