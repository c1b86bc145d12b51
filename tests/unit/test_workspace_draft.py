"""A run's view: random operations against plain dicts, what is held in memory, appends, large files."""

from __future__ import annotations

import asyncio
import contextlib
import hashlib
import tempfile
from collections.abc import AsyncGenerator, Coroutine
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from a2a_cloud.model.problem import (
    FileNotFound,
    InvalidParams,
    Problem,
    StorageFull,
    TooLarge,
    WorkspaceConflict,
)
from a2a_cloud.model.task import ObjectRef
from a2a_cloud.model.workspace import Change, File
from a2a_cloud.ops.system import SystemClock, SystemEntropy, TimeIds
from a2a_cloud.runtime.workspace import draft as draft_module
from a2a_cloud.runtime.workspace.held import FILE, MOST
from a2a_cloud.runtime.workspace.service import Workspace
from a2a_cloud.storage.objects.folder import FolderObjects, FolderWriter
from a2a_cloud.testing.workspaces import BY, contents, save, sqlite_site

IDS = TimeIds(SystemClock(), SystemEntropy())


@asynccontextmanager
async def workspace_in(folder: Path) -> AsyncGenerator[tuple[Workspace, FolderObjects]]:
    objects = FolderObjects(folder / "objects", IDS)
    async with sqlite_site(folder, objects) as site:
        yield await site.workspaces.create(1, "main", BY), objects


def stored(folder: Path) -> int:
    return sum(1 for path in (folder / "objects").rglob("*") if path.is_file())


# --- against a dict -----------------------------------------------------------------------------------

PATHS = st.lists(st.sampled_from("ab"), min_size=1, max_size=3).map("/".join)
DATA = st.sampled_from([b"", b"1", b"22"])
OPS = st.one_of(
    st.tuples(st.just("write"), PATHS, DATA),
    st.tuples(st.just("append"), PATHS, DATA),
    st.tuples(st.just("delete"), PATHS, st.none()),
    st.tuples(st.just("copy"), PATHS, PATHS),
    st.tuples(st.just("stream"), PATHS, DATA),
    st.tuples(st.just("commit"), st.sampled_from(["refuse", "last-writer"]), st.none()),
)


def in_the_way(files: dict[str, bytes], path: str) -> bool:
    parts = path.split("/")
    return any("/".join(parts[:end]) in files for end in range(1, len(parts))) or any(
        one.startswith(path + "/") for one in files
    )


class Side:
    """One of two runs on a workspace, with the dict that it should see."""

    def __init__(self, workspace: Workspace, model: dict[str, bytes]) -> None:
        self.draft = workspace.draft()
        self.base = dict(model)
        self.model = dict(model)

    async def do(self, name: str, one: Any, two: Any) -> None:
        files = self.model
        expected: type[Problem] | None = None
        target = two if name == "copy" else one
        if name in ("delete", "copy") and one not in files:
            expected = InvalidParams if any(path.startswith(f"{one}/") for path in files) else FileNotFound
            if name == "delete" and in_the_way(files, one):
                expected = InvalidParams
        elif name != "delete" and in_the_way(files, target):
            expected = InvalidParams
        refused: Problem | None = None
        change: Change | None = None
        try:
            if name == "write":
                change = await self.draft.write(one, two)
            elif name == "append":
                change = await self.draft.append(one, two)
            elif name == "delete":
                change = await self.draft.delete(one)
            elif name == "copy":
                change = await self.draft.copy(one, two)
            else:
                writer = await self.draft.open_write(one)
                writer.write(two)
                change = await writer.finish()
        except Problem as problem:
            refused = problem
        if expected is not None:
            assert isinstance(refused, expected)
            return
        assert refused is None
        assert change is not None
        before = files.get(target)
        assert change.before == (None if before is None else ref(before))
        if name == "delete":
            del files[one]
        else:
            files[target] = {
                "write": two,
                "append": files.get(one, b"") + two if name == "append" else b"",
                "copy": files.get(one, b""),
                "stream": two,
            }[name]
        after = files.get(target)
        assert change.after == (None if after is None else ref(after))

    async def check(self) -> None:
        ordered = sorted(self.model, key=lambda path: path.split("/"))
        seen = [file async for file in self.draft.walk()]
        assert seen == [File(path, ref(self.model[path]).sha256, len(self.model[path])) for path in ordered]
        for path in ordered:
            assert (await self.draft.read(path)).data == self.model[path]
        for folder in {"", *(path.rpartition("/")[0] for path in ordered)}:
            found = {one.path: one.size for one in await self.draft.list(folder)}
            lead = f"{folder}/" if folder else ""
            names = {lead + path[len(lead) :].split("/")[0] for path in ordered if path.startswith(lead)}
            assert found == {
                name: sum(
                    len(data) for path, data in self.model.items() if (path + "/").startswith(name + "/")
                )
                for name in names
            }
            assert list(found) == sorted(found)


def ref(data: bytes) -> ObjectRef:
    return ObjectRef(hashlib.sha256(data).hexdigest(), len(data))


def merged(head: dict[str, bytes], side: Side, merge: str) -> tuple[dict[str, bytes] | None, set[str]]:
    """What a commit of `side` makes of `head`: (files, None: a conflict; its paths)."""
    changed = {
        path for path in side.base.keys() | side.model.keys() if side.base.get(path) != side.model.get(path)
    }
    clashes = {
        path
        for path in changed
        if head.get(path) != side.base.get(path) and head.get(path) != side.model.get(path)
    }
    if clashes and merge == "refuse":
        return None, clashes
    made = {path: data for path, data in head.items() if path not in changed}
    made |= {path: side.model[path] for path in changed if path in side.model}
    blocked = {path for path in made if any(one.startswith(path + "/") for one in made)}
    return (None, blocked) if blocked else (made, set())


@settings(max_examples=80, deadline=None)
@given(st.lists(st.tuples(st.booleans(), OPS), min_size=25, max_size=60))
def test_two_runs_are_two_dicts(steps: list[tuple[bool, tuple[str, Any, Any]]]) -> None:
    """Two runs write and commit as they like; a dict each says what they see, and a third the head."""

    async def body(folder: Path) -> None:
        async with workspace_in(folder) as (workspace, _):
            head: dict[str, bytes] = {}
            sides = [Side(workspace, head), Side(workspace, head)]
            versions = [dict(head)]
            for which, (name, one, two) in steps:
                side = sides[which]
                if name != "commit":
                    await side.do(name, one, two)
                    continue
                await side.check()
                after, paths = merged(head, side, one)
                changes = await side.draft.changes()
                committing = workspace.commit(side.draft.base.number, changes, by=BY, merge=one)
                if after is None:
                    with pytest.raises(WorkspaceConflict) as refused:
                        await committing
                    assert {clash.path for clash in refused.value.clashes} == paths
                else:
                    version = await committing
                    if after != head:
                        versions.append(after)
                    head = after
                    assert version.number == len(versions) - 1
                    assert (version.files, version.size) == (len(head), sum(map(len, head.values())))
                side.draft.close()
                sides[which] = Side(workspace, head)
            for side in sides:
                await side.check()
            for number, files in enumerate(versions):
                assert await contents(workspace, number) == files

    with tempfile.TemporaryDirectory() as folder:
        asyncio.run(body(Path(folder)))


# --- memory and disk ----------------------------------------------------------------------------------


def test_a_run_that_fails_leaves_nothing(tmp_path: Path) -> None:
    async def body() -> None:
        async with workspace_in(tmp_path) as (workspace, _):
            draft = workspace.draft()
            for number in range(100):
                await draft.write(f"f{number}", b"%d" % number)
                await draft.append("log", b"line\n")
            writer = await draft.open_write("big")
            writer.write(bytes(1 << 20))
            await draft.append("appended", bytes(FILE + 1))
            draft.close()
            draft.close()
            assert stored(tmp_path) == 0
            with pytest.raises(InvalidParams, match="closed"):
                await draft.write("x", b"")

    asyncio.run(body())


def test_what_is_held_is_bounded_and_what_nobody_wants_is_let_go(tmp_path: Path) -> None:
    async def body() -> None:
        async with workspace_in(tmp_path) as (workspace, _):
            draft = workspace.draft()
            for number in range(200):
                await draft.write("again", b"%d" % number * 20_000)  # 200 contents of one path.
            assert stored(tmp_path) <= 200  # Those too large to be held went to disk.
            small = stored(tmp_path)
            for number in range(500):
                await draft.write("small", b"%04d" % number * 10_000)
            assert stored(tmp_path) == small
            await draft.write("small2", b"kept" * 10_000)
            for number in range(MOST // 40_000 + 1):
                await draft.write(f"many/{number}", b"%04d" % number * 10_000)
            assert stored(tmp_path) > small
            assert (await draft.read("small2", 4, 4)).data == b"kept"
            version = await workspace.commit(0, await draft.changes(), by=BY)
            assert (await workspace.at(version).read("small")).data == b"0499" * 10_000

    asyncio.run(body())


def test_a_copy_and_an_adopted_object_move_no_bytes(tmp_path: Path) -> None:
    async def body() -> None:
        async with workspace_in(tmp_path) as (workspace, objects):
            big = await objects.put(bytes(3 << 20))
            draft = workspace.draft()
            await draft.adopt("big", big)
            await draft.copy("big", "copies/one")
            await draft.copy("copies/one", "copies/two")
            assert stored(tmp_path) == 1
            assert await draft.ref("copies/two") == big
            await draft.write("small", b"text")
            assert await objects.read(await draft.ref("small")) == b"text"  # Fit for an artifact.

    asyncio.run(body())


def test_a_large_file_grows_by_appends(tmp_path: Path) -> None:
    async def body() -> None:
        async with workspace_in(tmp_path) as (workspace, _):
            start = b"s" * (FILE + 5)
            await save(workspace, {"log": start, "short": b"a"})
            draft = workspace.draft()
            whole = start
            for number in range(300):
                line = b"line %d\n" % number
                whole += line
                change = await draft.append("log", line)
                assert change.after == ref(whole)
            assert (await draft.stat("log")).size == len(whole)
            assert stored(tmp_path) == 4  # Two contents, a node, and the one in the making.
            other = draft.append("log", b"end")
            piece, _ = await asyncio.gather(draft.read("log", len(whole) - 3, 3), other)
            assert piece.data == whole[-3:]
            whole += b"end"
            await draft.append("short", b"b")
            await draft.copy("log", "copy")
            await draft.append("log", b"!")
            await draft.write("gone", b"x")
            await draft.append("gone", bytes(FILE))
            await draft.delete("gone")
            await workspace.commit(1, await draft.changes(), by=BY)
            assert await contents(workspace) == {"log": whole + b"!", "copy": whole, "short": b"ab"}
            assert not list((tmp_path / "objects" / "aside").iterdir())

    asyncio.run(body())


def test_a_draft_is_taken_up_again(tmp_path: Path) -> None:
    async def body() -> None:
        async with workspace_in(tmp_path) as (workspace, _):
            await save(workspace, {"a": b"1", "b": b"1"})
            draft = workspace.draft()
            await draft.write("a", b"2")
            await draft.delete("b")
            await draft.write("c/d", b"3")
            kept = await draft.changes()
            draft.close()
            again = workspace.draft(1)
            again.resume(kept)
            assert [file.path async for file in again.walk()] == ["a", "c/d"]
            assert await again.changes() == kept
            await workspace.commit(1, kept, by=BY)
            assert await contents(workspace) == {"a": b"2", "c/d": b"3"}

    asyncio.run(body())


def test_a_read_is_bounded(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(draft_module, "READ_MOST", 100)

    async def body() -> None:
        async with workspace_in(tmp_path) as (workspace, _):
            draft = workspace.draft()
            await draft.write("a", bytes(101))
            with pytest.raises(TooLarge):
                await draft.read("a")
            assert len((await draft.read("a", 1)).data) == 100
            assert b"".join([chunk async for chunk in draft.stream("a")]) == bytes(101)

    asyncio.run(body())


class FullWriter(FolderWriter):
    """A writer whose disk is full from some point on."""

    room = 1 << 40

    def write(self, chunk: bytes) -> None:
        FullWriter.room -= len(chunk)
        if FullWriter.room < 0:
            self.abort()
            raise StorageFull()
        super().write(chunk)


class FullObjects(FolderObjects):
    def writer(self) -> FullWriter:
        return FullWriter(self._root, self._aside / IDS.new("obj"))


def test_an_append_that_failed_is_never_committed(tmp_path: Path) -> None:
    async def body() -> None:
        objects = FullObjects(tmp_path / "objects", IDS)
        async with sqlite_site(tmp_path, objects) as site:
            workspace = await site.workspaces.create(1, "main", BY)
            draft = workspace.draft()
            FullWriter.room = FILE + 100
            await draft.append("log", bytes(FILE + 1))
            for work in (
                draft.append("log", bytes(1000)),
                draft.changes(),
                draft.append("log", b""),
                draft.read("log"),
            ):
                with pytest.raises(StorageFull):
                    await no_type(work)
            FullWriter.room = 1 << 40
            await draft.write("log", b"anew")
            await workspace.commit(0, await draft.changes(), by=BY)
            assert await contents(workspace) == {"log": b"anew"}

    asyncio.run(body())


async def no_type(work: Coroutine[Any, Any, object]) -> object:
    return await work


def test_a_full_disk_keeps_the_draft(tmp_path: Path) -> None:
    async def body() -> None:
        objects = FullObjects(tmp_path / "objects", IDS)
        async with sqlite_site(tmp_path, objects) as site:
            workspace = await site.workspaces.create(1, "main", BY)
            draft = workspace.draft()
            await draft.write("a", b"1")
            FullWriter.room = 0
            with pytest.raises(StorageFull):
                await draft.changes()
            FullWriter.room = 1 << 40
            changes = await draft.changes()
            FullWriter.room = 0
            with pytest.raises(StorageFull):
                await workspace.commit(0, changes, by=BY)
            assert workspace.head().number == 0
            FullWriter.room = 1 << 40
            assert (await workspace.commit(0, changes, by=BY)).number == 1

    with contextlib.ExitStack() as stack:
        stack.callback(setattr, FullWriter, "room", 1 << 40)
        asyncio.run(body())
