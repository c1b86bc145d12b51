"""What differs between two trees. Folders and pages that both have are not looked into."""

from __future__ import annotations

from collections.abc import AsyncIterator, Sequence

from a2a_cloud.model.workspace import Change
from a2a_cloud.storage.workspaces.nodes import EMPTY, Entry, Leaf, Node
from a2a_cloud.storage.workspaces.store import Loader


async def difference(
    nodes: Loader, before: str, after: str, past: Sequence[str] = (), lead: str = ""
) -> AsyncIterator[Change]:
    """The files that differ between two roots, in order of their segments, after the path with the
    segments `past`. In memory are the differing pages of the folders on the way."""
    if before == after:
        return
    one, other = await nodes.load(before), await nodes.load(after)
    known, seen = _leaves(before, one), _leaves(after, other)
    was = await _entries(nodes, one, before, seen)
    now = await _entries(nodes, other, after, known)
    first = past[0] if past else ""
    for name in sorted({**was, **now}):
        if name < first:
            continue
        old, new = was.get(name), now.get(name)
        if old == new:
            continue
        path = lead + name
        rest = past[1:] if name == first else ()
        old_file, new_file = old and old.ref, new and new.ref
        if old_file != new_file and not (past and name == first):  # Else it came before, or is `past`.
            yield Change(path, old_file, new_file)
        old_folder = old.sha256 if old is not None and old.kind == "folder" else EMPTY
        new_folder = new.sha256 if new is not None and new.kind == "folder" else EMPTY
        async for change in difference(nodes, old_folder, new_folder, rest, f"{path}/"):
            yield change


def _leaves(address: str, node: Node) -> set[str]:
    return {address} if isinstance(node, Leaf) else {page.sha256 for page in node.pages}


async def _entries(nodes: Loader, node: Node, address: str, but: set[str]) -> dict[str, Entry]:
    found: dict[str, Entry] = {}
    for leaf in [address] if isinstance(node, Leaf) else [page.sha256 for page in node.pages]:
        if leaf in but:
            continue
        page = await nodes.load(leaf)
        assert isinstance(page, Leaf)
        found.update((entry.name, entry) for entry in page.entries)
    return found
