"""Reading a tree: look up, list, walk, glob. What is in memory is found without waiting; a list of a wide
folder touches the pages that it shows."""

from __future__ import annotations

from bisect import bisect_left, bisect_right
from collections.abc import AsyncIterator, Awaitable, Callable, Sequence

from a2a_cloud.model.problem import FileNotFound, InvalidParams
from a2a_cloud.model.task import ObjectRef
from a2a_cloud.model.workspace import File, Folder, Piece
from a2a_cloud.storage.objects.port import ObjectStore
from a2a_cloud.storage.workspaces.nodes import Entry, Leaf, Node, Page, sums
from a2a_cloud.storage.workspaces.store import Loader
from a2a_cloud.wire.glob import check_path, globs

#: Names that a list gives at once.
PAGE = 1000
#: Bytes that a stream reads at once.
CHUNK = 1 << 20

#: (folder, after, limit) → what is directly in it after that name, in order of names.
Lister = Callable[[str, str, int], Awaitable[Sequence[File | Folder]]]


class Tree:
    """One version's files. Every method raises InvalidParams for what is no path."""

    def __init__(self, nodes: Loader, objects: ObjectStore, root: str) -> None:
        self.root = root
        self._nodes = nodes
        self._objects = objects

    async def trail(self, path: str) -> list[Entry]:
        """The entries on the way to a checked path, from the first segment on, as far as there are any."""
        found: list[Entry] = []
        address = self.root
        for segment in path.split("/"):
            node = self._nodes.at_hand(address) or await self._nodes.load(address)
            entry = await find(self._nodes, node, segment)
            if entry is None:
                break
            found.append(entry)
            if entry.kind == "file":
                break
            address = entry.sha256
        return found

    async def entry(self, path: str) -> Entry | None:
        """What lies at a checked path."""
        found = await self.trail(path)
        return found[-1] if len(found) == path.count("/") + 1 else None

    async def content(self, path: str) -> ObjectRef | None:
        """The content of the file at a checked path; None: no file."""
        entry = await self.entry(path)
        return None if entry is None else entry.ref

    async def stat(self, path: str) -> File | Folder:
        """The file or folder at `path`; "" is the root. Raises FileNotFound."""
        if not path:
            size, files = await totals(self._nodes, self.root)
            return Folder("", files, size)
        entry = await self.entry(check_path(path))
        if entry is None:
            raise missing(path)
        return shown(path, entry)

    async def file(self, path: str) -> File:
        """The file at `path`. Raises FileNotFound, for a folder too."""
        found = await self.stat(path)
        if isinstance(found, Folder):
            raise a_folder(path)
        return found

    async def list(self, folder: str = "", after: str = "", limit: int = PAGE) -> Sequence[File | Folder]:
        """What is directly in `folder` ("" is the root), by name, after the name `after`: at most `limit`.

        Raises FileNotFound when there is no such folder, for a file too.
        """
        address = self.root
        if folder:
            entry = await self.entry(check_path(folder))
            if entry is None or entry.kind == "file":
                raise missing(folder, "folder")
            address = entry.sha256
        lead = f"{folder}/" if folder else ""
        entries = await self.entries(address, after, limit)
        return [shown(lead + entry.name, entry) for entry in entries]

    async def entries(self, address: str, after: str = "", limit: int = PAGE) -> Sequence[Entry]:
        """A folder's entries after a name, by the folder's address."""
        node = await self._nodes.load(address)
        if isinstance(node, Leaf):
            start = bisect_right(node.entries, after, key=_name) if after else 0
            return node.entries[start : start + limit]
        found: list[Entry] = []
        for page in node.pages[_page_of(node.pages, after) :]:
            leaf = await _leaf(self._nodes, page)
            start = bisect_right(leaf.entries, after, key=_name) if after else 0
            found += leaf.entries[start : start + limit - len(found)]
            if len(found) >= limit:
                break
        return found

    def walk(self, folder: str = "", after: str = "") -> AsyncIterator[File]:
        """All files below `folder` after the path `after`, in order of their segments."""
        return walk(self.list, folder, after)

    async def glob(self, pattern: str, after: str = "", limit: int = PAGE) -> list[File]:
        """The files whose path fits, after the path `after`: at most `limit`."""
        return await glob(self.stat, self.list, pattern, after, limit)

    async def read(self, path: str, offset: int = 0, length: int = -1) -> Piece:
        """Up to `length` bytes (all: -1) of a file from `offset` on. Raises FileNotFound."""
        file = await self.file(path)
        return Piece(file, await self._objects.read(file.ref, offset, length))

    async def stream(self, file: File, offset: int = 0, length: int = -1) -> AsyncIterator[bytes]:
        """A file's bytes in chunks, in constant memory."""
        async for chunk in stream(self._objects, file.ref, offset, length):
            yield chunk


async def stream(
    objects: ObjectStore, ref: ObjectRef, offset: int = 0, length: int = -1
) -> AsyncIterator[bytes]:
    """An object's bytes in chunks of CHUNK."""
    end = ref.size if length < 0 else min(ref.size, offset + length)
    while offset < end:
        chunk = await objects.read(ref, offset, min(CHUNK, end - offset))
        if not chunk:
            return
        offset += len(chunk)
        yield chunk


async def find(nodes: Loader, node: Node, name: str) -> Entry | None:
    """The entry of that name in a folder."""
    if not isinstance(node, Leaf):
        node = await _leaf(nodes, node.pages[_page_of(node.pages, name)])
    entries = node.entries
    at = bisect_left(entries, name, key=_name)
    return entries[at] if at < len(entries) and entries[at].name == name else None


async def totals(nodes: Loader, address: str) -> tuple[int, int]:
    """(bytes, files) below a folder."""
    node = await nodes.load(address)
    return sums(node.entries if isinstance(node, Leaf) else node.pages)


async def walk(lister: Lister, folder: str = "", after: str = "", deepest: int = 0) -> AsyncIterator[File]:
    """See `Tree.walk`. With `deepest`: only files of at most that many segments."""
    lead = f"{folder}/" if folder else ""
    if after and not after.startswith(lead):
        if after.split("/") > folder.split("/"):
            return
        after = ""
    # One list of names for each folder on the way down is in memory.
    ways = [_Way(lister, folder, "")]
    *above, ways[0].past = after[len(lead) :].split("/")
    for name in above:
        # The cursor lies within the folder `name`: first what is left in there, then what follows it.
        way = ways[-1]
        below = _Way(lister, f"{way.lead}{name}", way.past)
        way.past = name
        ways.append(below)
    while ways:
        one = await ways[-1].next()
        if one is None:
            ways.pop()
        elif isinstance(one, File):
            yield one
        elif not deepest or one.path.count("/") + 1 < deepest:
            ways.append(_Way(lister, one.path, ""))


class _Way:
    """One folder of a walk: what is in it after the name `past`."""

    def __init__(self, lister: Lister, folder: str, past: str) -> None:
        self._lister = lister
        self._folder = folder
        self.lead = f"{folder}/" if folder else ""
        self.past = past
        self._found: Sequence[File | Folder] = ()
        self._at = 0
        self._more = True

    async def next(self) -> File | Folder | None:
        if self._at == len(self._found):
            if not self._more:
                return None
            try:
                self._found = await self._lister(self._folder, self.past, PAGE)
            except FileNotFound:
                self._found = ()
            self._more = len(self._found) == PAGE
            self._at = 0
            if not self._found:
                return None
            self.past = self._found[-1].path[len(self.lead) :]
        self._at += 1
        return self._found[self._at - 1]


async def glob(
    stat: Callable[[str], Awaitable[File | Folder]],
    lister: Lister,
    pattern: str,
    after: str = "",
    limit: int = PAGE,
) -> list[File]:
    """See `Tree.glob`."""
    fits = globs((pattern,)).matches
    if after:
        check_path(after)
    segments = pattern.split("/")
    literal = next((at for at, one in enumerate(segments) if "*" in one or "?" in one), len(segments))
    folder = "/".join(segments[:literal])
    found: list[File] = []
    if folder and (not after or folder.split("/") > after.split("/")):
        try:
            one = await stat(folder)
        except FileNotFound:
            return found
        if isinstance(one, File):  # `a/b` is meant by itself, and by `a/b/**`.
            return [one] if fits(folder) else found
    if literal < len(segments):
        deepest = 0 if "**" in segments else len(segments)
        async for file in walk(lister, folder, after, deepest):
            if fits(file.path):
                found.append(file)
                if len(found) >= limit:
                    break
    return found


def shown(path: str, entry: Entry) -> File | Folder:
    """An entry as people see it."""
    if entry.kind == "file":
        return File(path, entry.sha256, entry.size)
    return Folder(path, entry.files, entry.size)


def missing(path: str, what: str = "file") -> FileNotFound:
    """That there is nothing at `path`."""
    return FileNotFound(
        f"The workspace has no {what} {path[:200]!a}.", remedy="List the folder that it should be in."
    )


def a_folder(path: str) -> InvalidParams:
    """That `path` is a folder where a file is needed."""
    return InvalidParams(f"{path[:200]!a} is a folder.", remedy="Name a file in it.")


async def _leaf(nodes: Loader, page: Page) -> Leaf:
    leaf = nodes.at_hand(page.sha256) or await nodes.load(page.sha256)
    assert isinstance(leaf, Leaf)
    return leaf


def _page_of(pages: Sequence[Page], name: str) -> int:
    return max(0, bisect_right(pages, name, key=_first) - 1)


def _name(entry: Entry) -> str:
    return entry.name


def _first(page: Page) -> str:
    return page.first
