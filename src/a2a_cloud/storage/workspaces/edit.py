"""Changing a tree: a new root from an old one, touching only the nodes on the way to what changed."""

from __future__ import annotations

import asyncio
from bisect import bisect_left, bisect_right
from collections.abc import Iterable, Mapping, Sequence

from a2a_cloud.model.task import ObjectRef
from a2a_cloud.storage.workspaces.nodes import (
    EMPTY,
    Entry,
    Leaf,
    Node,
    Page,
    Wide,
    cut,
    encode,
    sums,
)
from a2a_cloud.storage.workspaces.store import Loader

#: With more edits in one page than these, it is cheaper to sort it anew than to insert into it.
_FEW = 16
#: Folders after which others on the loop get their turn.
_TURN = 32


class Edit:
    """What happens at one name: a file is put or taken away (`sets`), names below it change."""

    __slots__ = ("below", "file", "sets")

    def __init__(self) -> None:
        self.sets = False
        self.file: ObjectRef | None = None
        self.below: dict[str, Edit] = {}


class Editor:
    """Makes new nodes over those of `base`. They are in memory (`fresh`) until somebody keeps them."""

    def __init__(self, base: Loader) -> None:
        self._base = base
        self._turn = 0
        #: address → (node, bytes)
        self.fresh: dict[str, tuple[Node, bytes]] = {}

    def at_hand(self, address: str) -> Node | None:
        """See `Loader`."""
        made = self.fresh.get(address)
        return self._base.at_hand(address) if made is None else made[0]

    async def load(self, address: str) -> Node:
        """See `Loader`."""
        return self.at_hand(address) or await self._base.load(address)

    async def apply(
        self, root: str, changes: Iterable[tuple[str, ObjectRef | None]]
    ) -> tuple[str, list[str]]:
        """(the new root, paths that can't be: where a file and a folder would have one name).

        `changes` are (checked path, content, or None to take the file away if there is one). With such
        paths the root is good for nothing.
        """
        edits: dict[str, Edit] = {}
        for path, file in changes:
            at = edits
            *folders, name = path.split("/")
            for folder in folders:
                at = at.setdefault(folder, Edit()).below
            edit = at.setdefault(name, Edit())
            edit.sets, edit.file = True, file
        blocked: list[str] = []
        made = await self._folder("", root, edits, blocked)
        return (EMPTY if made is None else made.sha256), blocked

    async def _folder(
        self, path: str, address: str, edits: Mapping[str, Edit], blocked: list[str]
    ) -> Entry | None:
        """The folder with its edits, its name still open; None: nothing is left in it."""
        self._turn += 1
        if self._turn % _TURN == 0:
            await asyncio.sleep(0)
        node = await self.load(address)
        if isinstance(node, Leaf):
            entries = await self._edited(path, node.entries, edits, blocked)
            pages = [self._page(piece) for piece in cut(entries)[0]]
        else:
            pages = await self._pages(path, node.pages, edits, blocked)
        if not pages:
            return None
        size, files = sums(pages)
        if len(pages) == 1:
            return Entry("", "folder", pages[0].sha256, size, files)
        return Entry("", "folder", self._make(Wide(pages)), size, files)

    async def _pages(
        self, path: str, pages: Sequence[Page], edits: Mapping[str, Edit], blocked: list[str]
    ) -> list[Page]:
        firsts = [page.first for page in pages]
        apart: dict[int, dict[str, Edit]] = {}
        for name, edit in edits.items():
            apart.setdefault(max(0, bisect_right(firsts, name) - 1), {})[name] = edit
        made: list[Page] = []
        carry: Sequence[Entry] = ()
        for number, page in enumerate(pages):
            mine = apart.get(number)
            if mine is None and not carry:
                made.append(page)
                continue
            leaf = await self.load(page.sha256)
            assert isinstance(leaf, Leaf)
            entries = await self._edited(path, leaf.entries, mine, blocked) if mine else leaf.entries
            pieces, is_open = cut([*carry, *entries])
            # A page that ends where the rule says ends there whatever follows; one that does not takes
            # in what follows, until the cuts are the old ones again.
            carry = pieces.pop() if is_open else ()
            made += [self._page(piece) for piece in pieces]
        if carry:
            made.append(self._page(carry))
        return made

    async def _edited(
        self, path: str, entries: Sequence[Entry], edits: Mapping[str, Edit], blocked: list[str]
    ) -> list[Entry]:
        few = len(edits) <= _FEW
        made = list(entries)
        by_name = {} if few else {entry.name: entry for entry in entries}
        for name, edit in edits.items():
            at = bisect_left(made, name, key=_name) if few else -1
            if few:
                old = made[at] if at < len(made) and made[at].name == name else None
            else:
                old = by_name.get(name)
            new = await self._entry(f"{path}{name}", name, old, edit, blocked)
            if not few:
                by_name.pop(name, None)
                if new is not None:
                    by_name[name] = new
            elif new is None:
                if old is not None:
                    del made[at]
            elif old is not None:
                made[at] = new
            else:
                made.insert(at, new)
        return made if few else sorted(by_name.values(), key=_name)

    async def _entry(
        self, path: str, name: str, old: Entry | None, edit: Edit, blocked: list[str]
    ) -> Entry | None:
        folder = old if old is not None and old.kind == "folder" else None
        file = old if old is not None and old.kind == "file" else None
        if edit.below:
            made = await self._folder(
                f"{path}/", EMPTY if folder is None else folder.sha256, edit.below, blocked
            )
            folder = made and Entry(name, "folder", made.sha256, made.size, made.files)
        if edit.sets:
            put = edit.file
            file = None if put is None else Entry(name, "file", put.sha256, put.size, 1)
        if file is not None and folder is not None:
            blocked.append(path)
        return file or folder

    def _page(self, entries: Sequence[Entry]) -> Page:
        size, files = sums(entries)
        return Page(entries[0].name, self._make(Leaf(list(entries))), len(entries), size, files)

    def _make(self, node: Node) -> str:
        address, body = encode(node)
        if address not in self.fresh and self._base.at_hand(address) is None:
            self.fresh[address] = (node, body)
        return address


def _name(entry: Entry) -> str:
    return entry.name
