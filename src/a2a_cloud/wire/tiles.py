"""The tile layout of a log (c2sp.org/tlog-tiles): which hashes lie in which file, and where.

A tile of level L holds up to 256 hashes of complete subtrees of 256**L leaves each; the file of entries with
the same number as a tile of level 0 holds what those leaves were made of. The last tile of a level may be
partial: its path says how wide.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable
from functools import lru_cache
from typing import Final

from msgspec import Struct

from a2a_cloud.wire.merkle import HASH_SIZE, MAX_SIZE, Read, pair

#: Hashes, or entries, in a whole tile.
WIDTH: Final = 256
#: Levels of the tree that one tile covers.
HEIGHT: Final = 8
#: `level` of a tile of entries.
ENTRIES: Final = -1
#: No tree of at most 2**63 leaves has a tile above this level.
MAX_LEVEL: Final = 7
#: An entry longer than this has no place in a file of entries (its length has 16 bits).
MAX_ENTRY: Final = 0xFFFF

_PATH = re.compile(r"tile/(entries|[0-9])((?:/x[0-9]{3}){0,6}/[0-9]{3})(?:\.p/([1-9][0-9]{0,2}))?")


class TileError(ValueError):
    """A path or the content of a tile that is none; the text says why."""


class Tile(Struct, frozen=True):
    """A tile's place: its level (ENTRIES for entries), its index in that level and how wide it is."""

    level: int
    index: int
    width: int = WIDTH

    @property
    def path(self) -> str:
        """The path below a log's prefix, such as `tile/0/x001/234.p/5`."""
        level = "entries" if self.level == ENTRIES else str(self.level)
        rest, last = divmod(self.index, 1000)
        groups = [f"{last:03}"]
        while rest:
            rest, group = divmod(rest, 1000)
            groups.append(f"x{group:03}")
        part = "" if self.width == WIDTH else f".p/{self.width}"
        return f"tile/{level}/{'/'.join(reversed(groups))}{part}"

    @property
    def start(self) -> int:
        """The first of the level's hashes (or entries) that lies in it."""
        return self.index * WIDTH


def read_path(path: str) -> Tile:
    """The tile of a path, in its one right spelling. Raises TileError."""
    found = _PATH.fullmatch(path)
    if not found:
        raise TileError(f"{path[:100]!r} is not the path of a tile")
    level = ENTRIES if found[1] == "entries" else int(found[1])
    index = int(found[2].replace("/x", "").replace("/", ""))
    tile = Tile(level, index, int(found[3]) if found[3] else WIDTH)
    whole = found[3] and tile.width >= WIDTH
    if level > MAX_LEVEL or index > MAX_SIZE // WIDTH or whole or tile.path != path:
        raise TileError(f"{path[:100]!r} is not the path of a tile")
    return tile


def tile_at(level: int, index: int, size: int) -> Tile:
    """The tile with this index as a tree of `size` leaves has it. Raises TileError when it has none."""
    width = min(WIDTH, _count(level, size) - index * WIDTH)
    if level > MAX_LEVEL or index < 0 or width <= 0:
        raise TileError(f"a log of {size} entries has no such tile")
    return Tile(level, index, width)


def levels_of(size: int) -> range:
    """The levels on which a tree of `size` leaves has tiles."""
    top = 0
    while size >> HEIGHT * top:
        top += 1
    return range(top)


def reader(data: Callable[[Tile], bytes], size: int) -> Read:
    """A `Read` over the tiles of a tree of `size` leaves. `data` gives a tile's bytes; it is asked anew each
    time, so it may want to remember. Raises TileError when a tile has the wrong length."""

    def read(level: int, index: int) -> bytes:
        high, low = divmod(level, HEIGHT)
        first = index << low
        tile = tile_at(high, first // WIDTH, size)
        content = data(tile)
        if len(content) != tile.width * HASH_SIZE:
            raise TileError(f"{tile.path} has {len(content)} bytes, not {tile.width * HASH_SIZE}")
        at = (first - tile.start) * HASH_SIZE
        return _folded(content[at : at + (HASH_SIZE << low)])

    return read


def subtree(hashes: bytes) -> bytes:
    """The hash over as many hashes, one after another, as a power of two. Raises TileError for other
    numbers."""
    count, odd = divmod(len(hashes), HASH_SIZE)
    if odd or count == 0 or count & (count - 1):
        raise TileError("not the hashes of a complete subtree")
    nodes = [hashes[at : at + HASH_SIZE] for at in range(0, len(hashes), HASH_SIZE)]
    while len(nodes) > 1:
        nodes = pair(nodes)
    return nodes[0]


#: Proofs of neighbours fold the same hashes.
_folded = lru_cache(maxsize=256)(subtree)


def write_entries(entries: Iterable[bytes]) -> bytes:
    """The content of a tile of entries: each with its length before it, in 16 bits. Raises TileError."""
    parts: list[bytes] = []
    for entry in entries:
        if len(entry) > MAX_ENTRY:
            raise TileError(f"an entry of {len(entry)} bytes has no place in a tile")
        parts.append(len(entry).to_bytes(2, "big") + entry)
    return b"".join(parts)


def read_entries(data: bytes, width: int) -> list[bytes]:
    """The `width` entries of a tile. Raises TileError when it holds others, or anything after them."""
    found: list[bytes] = []
    at = 0
    while len(found) < width:
        length = int.from_bytes(data[at : at + 2], "big")
        entry = data[at + 2 : at + 2 + length]
        if at + 2 > len(data) or len(entry) != length:
            raise TileError(f"the tile ends within entry {len(found)} of {width}, at byte {at}")
        found.append(entry)
        at += 2 + length
    if at != len(data):
        raise TileError(f"more follows after the last entry, at byte {at}")
    return found


def _count(level: int, size: int) -> int:
    """How many hashes (or entries) a level of a tree of `size` leaves has."""
    return size if level == ENTRIES else size >> HEIGHT * level
