"""Trees: the same files make the same tree whatever happened before, and an edit touches little."""

from __future__ import annotations

import asyncio
import hashlib
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from a2a_cloud.model.problem import Internal
from a2a_cloud.model.task import ObjectRef
from a2a_cloud.model.workspace import Change
from a2a_cloud.ops.system import SystemClock, SystemEntropy, TimeIds
from a2a_cloud.storage.objects.folder import FolderObjects
from a2a_cloud.storage.workspaces import nodes as nodes_module
from a2a_cloud.storage.workspaces.difference import difference
from a2a_cloud.storage.workspaces.edit import Editor
from a2a_cloud.storage.workspaces.nodes import (
    EMPTY,
    EMPTY_BODY,
    PAGE_LEAST,
    PAGE_MOST,
    Entry,
    Wide,
    cut,
    decode,
)
from a2a_cloud.storage.workspaces.store import Nodes
from a2a_cloud.storage.workspaces.tree import Tree

IDS = TimeIds(SystemClock(), SystemEntropy())


def ref(text: str) -> ObjectRef:
    return ObjectRef(hashlib.sha256(text.encode()).hexdigest(), len(text))


def entry(name: str) -> Entry:
    return Entry(name, "file", "0" * 64, 1, 1)


class World:
    """An editor over nothing but memory, and the files that it should have."""

    def __init__(self, folder: Path) -> None:
        self.objects = FolderObjects(folder, IDS)
        self.nodes = Nodes(self.objects)
        self.editor = Editor(self.nodes)

    def tree(self, root: str) -> Tree:
        return Tree(self.editor, self.objects, root)

    async def make(self, files: dict[str, ObjectRef], root: str = EMPTY) -> str:
        made, blocked = await self.editor.apply(root, files.items())
        assert blocked == []
        return made

    async def files(self, root: str) -> dict[str, ObjectRef]:
        return {file.path: file.ref async for file in self.tree(root).walk()}


def test_pages_are_cut_by_names_alone() -> None:
    entries = [entry(f"{number:06d}") for number in range(20_000)]
    pages, is_open = cut(entries)
    assert [one for page in pages for one in page] == entries
    assert is_open
    assert all(PAGE_LEAST <= len(page) <= PAGE_MOST for page in pages[:-1])
    assert 200 < len(entries) / len(pages) < 450
    again, _ = cut(entries[len(pages[0]) :])
    assert [list(page) for page in again] == [list(page) for page in pages[1:]]
    assert cut([]) == ([], False)


def test_the_format_is_what_the_page_says(tmp_path: Path) -> None:
    async def body() -> None:
        world = World(tmp_path)
        root = await world.make({"b/ä.txt": ref("xy"), "a": ref("")})
        _, raw = world.editor.fresh[root]
        inner = next(one for address, (_, one) in world.editor.fresh.items() if address != root)
        file, empty = ref("xy").sha256, ref("").sha256
        assert inner.decode() == f'{{"node":"leaf","entries":[["ä.txt","file","{file}",2,1]]}}'
        folder = hashlib.sha256(inner).hexdigest()
        assert raw.decode() == (
            f'{{"node":"leaf","entries":[["a","file","{empty}",0,1],["b","folder","{folder}",2,1]]}}'
        )
        assert hashlib.sha256(raw).hexdigest() == root
        assert hashlib.sha256(EMPTY_BODY).hexdigest() == EMPTY

    asyncio.run(body())


def test_a_node_with_other_bytes_is_refused() -> None:
    with pytest.raises(Internal, match="damaged"):
        decode("0" * 64, EMPTY_BODY)
    with pytest.raises(Internal, match="can't be read"):
        decode(hashlib.sha256(b"{}").hexdigest(), b"{}")


def test_one_file_among_many_touches_its_own_nodes(tmp_path: Path) -> None:
    async def body() -> None:
        world = World(tmp_path)
        flat = {f"outputs/{number:05d}": ref("x") for number in range(30_000)}
        deep = {f"d{number % 50}/e{number % 7}/{number}": ref("y") for number in range(10_000)}
        root = await world.make(flat | deep)
        assert isinstance(world.editor.at_hand((await world.tree(root).trail("outputs"))[0].sha256), Wide)
        before = set(world.editor.fresh)
        one = await world.make({"outputs/12345x": ref("z")}, root)
        touched = set(world.editor.fresh) - before
        assert len(touched) <= 4  # The root, the folder's list of pages, the page, or two where it was cut.
        assert sum(len(world.editor.fresh[address][1]) for address in touched) < 250_000
        before |= touched
        two = await world.make({"d7/e3/0": ref("z")}, one)
        assert len(set(world.editor.fresh) - before) == 3
        found = [change.path async for change in difference(world.editor, root, two)]
        assert found == ["d7/e3/0", "outputs/12345x"]
        again = World(tmp_path)
        assert await again.make({**flat, **deep, "outputs/12345x": ref("z"), "d7/e3/0": ref("z")}) == two
        await world.nodes.keep(world.editor.fresh)
        cold = Tree(Nodes(world.objects, 1 << 16), world.objects, two)
        assert (await cold.content("outputs/12345x")) == ref("z")
        listed = [one.path for one in await cold.list("outputs", "12344", 3)]
        assert listed == ["outputs/12345", "outputs/12345x", "outputs/12346"]
        assert len([one async for one in cold.walk("outputs")]) == 30_001
        assert (await cold.stat("outputs")).size == 30_001

    asyncio.run(body())


NAMES = st.sampled_from([f"{number:x}" for number in range(40)])
PATHS = st.lists(NAMES, min_size=1, max_size=3).map("/".join)
EDITS = st.lists(st.dictionaries(PATHS, st.one_of(st.none(), st.text(max_size=2)), max_size=30), max_size=6)


def clean(files: dict[str, ObjectRef], edits: dict[str, str | None]) -> dict[str, str | None]:
    """Those edits that leave no file and folder with one name."""
    kept: dict[str, str | None] = {}
    now = dict(files)
    for path, text in edits.items():
        parts = path.split("/")
        above = ["/".join(parts[:end]) for end in range(1, len(parts))]
        if text is None:
            now.pop(path, None)
            kept[path] = None
        elif not any(one in now for one in above) and not any(one.startswith(path + "/") for one in now):
            now[path] = ref(text)
            kept[path] = text
    return kept


@settings(max_examples=150, deadline=None)
@given(EDITS)
def test_a_tree_is_a_dict(steps: list[dict[str, str | None]]) -> None:
    """Random edits against a plain dict, with pages so small that folders are wide."""
    least, most, ends = nodes_module.PAGE_LEAST, nodes_module.PAGE_MOST, nodes_module.ends_page
    nodes_module.PAGE_LEAST, nodes_module.PAGE_MOST = 2, 5
    nodes_module.ends_page = lambda name: name[-1] in "048c"

    async def body() -> None:
        world = World(Path("/tmp/unused-objects"))
        roots = [EMPTY]
        models: list[dict[str, ObjectRef]] = [{}]
        for step in steps:
            edits = clean(models[-1], step)
            model = dict(models[-1])
            for path, text in edits.items():
                if text is None:
                    model.pop(path, None)
                else:
                    model[path] = ref(text)
            changes = [(path, None if text is None else ref(text)) for path, text in edits.items()]
            root, blocked = await world.editor.apply(roots[-1], changes)
            assert blocked == []
            assert await world.files(root) == model
            assert root == (await World(Path("/tmp/unused-objects")).editor.apply(EMPTY, model.items()))[0]
            roots.append(root)
            models.append(model)
        for old, before in zip(roots, models, strict=True):
            found = [change async for change in difference(world.editor, old, roots[-1])]
            paths = sorted(before.keys() | models[-1].keys(), key=lambda path: path.split("/"))
            assert found == [
                Change(path, before.get(path), models[-1].get(path))
                for path in paths
                if before.get(path) != models[-1].get(path)
            ]
            if found:
                past = found[0].path.split("/")
                rest = [one async for one in difference(world.editor, old, roots[-1], past)]
                assert rest == found[1:]

    try:
        asyncio.run(body())
    finally:
        nodes_module.PAGE_LEAST, nodes_module.PAGE_MOST, nodes_module.ends_page = least, most, ends
