"""Walking a whole log: every hash at every level made again from what lies below it (c2sp.org/tlog-tiles).

The walk goes from the root down and from the first leaf to the last, one tile of each level in memory. A hash
counts when it leads to the signed root; below it, the first byte that does not fit is the damaged one, and
what it should be follows from the other side: a tile's hash from the tile below, an entry from what it is of.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Protocol

from msgspec import Struct

from a2a_cloud.wire import merkle
from a2a_cloud.wire.log_event import event_entry, is_event
from a2a_cloud.wire.merkle import HASH_SIZE, leaf_hash
from a2a_cloud.wire.note import Checkpoint
from a2a_cloud.wire.tiles import ENTRIES, HEIGHT, WIDTH, Tile, levels_of, reader, subtree, tile_at


class Opened(Struct, frozen=True):
    """What an entry is of: a receipt's id, or an event's text with its salt. `path`: where that came from."""

    path: str
    kind: str = ""
    receipt: str = ""
    salt: str = ""
    payload: str = ""

    def entry(self) -> bytes | None:
        """The log's bytes for it; None when it is neither."""
        try:
            if self.kind == "receipt" and self.receipt.startswith("rcpt_"):
                entry = bytes.fromhex(self.receipt.removeprefix("rcpt_"))
                return entry if len(entry) == 32 else None
            if (
                self.kind == "event"
                and len(salt := bytes.fromhex(self.salt)) == 16
                and is_event(self.payload)
            ):
                return event_entry(salt, self.payload.encode())
        except ValueError:
            pass
        return None


class Damage(Exception):
    """The first thing that does not fit. `path` is below the log's prefix, `offset` counts bytes in it from 0
    (-1: the whole), `index` the log's entries (-1: none in particular); `found` and `expected` are what is
    there and what should be, where that is known."""

    def __init__(
        self,
        path: str,
        why: str,
        *,
        offset: int = -1,
        index: int = -1,
        found: bytes = b"",
        expected: bytes = b"",
    ) -> None:
        self.path, self.why, self.offset, self.index = path, why, offset, index
        self.found, self.expected = found, expected
        super().__init__(f"{path}: {why}")


class Source(Protocol):
    """Where a log lies."""

    async def tile(self, tile: Tile) -> bytes:
        """A tile's bytes. Raises Damage when it is not there."""
        ...

    async def opened(self, tile: Tile) -> list[Opened] | None:
        """What the entries of a tile are of, in order; None where nobody says."""
        ...


class Walk:
    """One walk through the log that `checkpoint` tells of. `told` is called with how many are done."""

    def __init__(self, source: Source, checkpoint: Checkpoint, told: Callable[[int], None]) -> None:
        self._source = source
        self._checkpoint = checkpoint
        self._size = checkpoint.size
        self._told = told
        self._edge: dict[int, bytes] = {}
        #: How many entries were opened: receipts, and events.
        self.receipts = self.events = 0

    async def run(self) -> None:
        """Raises Damage at the first thing that does not fit, and what `source` raises."""
        await self._right_edge()
        for level in sorted(self._edge, reverse=True):
            tile = tile_at(level, (self._size >> HEIGHT * level) // WIDTH, self._size)
            await self._below(tile, self._edge[level])

    async def _right_edge(self) -> None:
        """Take in each level's partial tile: all complete subtrees that the root is made of lie there."""
        for level in levels_of(self._size):
            count = self._size >> HEIGHT * level
            if count % WIDTH:
                tile = tile_at(level, count // WIDTH, self._size)
                self._edge[level] = await self._hashes(tile)
        root = self._root()
        if root != self._checkpoint.root:
            await self._blame_edge(root)

    def _root(self) -> bytes:
        return merkle.root(reader(lambda tile: self._edge[tile.level], self._size), self._size)

    async def _below(self, tile: Tile, hashes: bytes) -> None:
        """What lies below a tile whose hashes are those that the log signed."""
        if tile.level == 0:
            return await self._entries(tile, hashes)
        for slot in range(tile.width):
            child = Tile(tile.level - 1, tile.start + slot)
            data = await self._hashes(child)
            expected = hashes[slot * HASH_SIZE : (slot + 1) * HASH_SIZE]
            if subtree(data) != expected:
                await self._blame(child, data, expected)
            await self._below(child, data)
        return None

    async def _hashes(self, tile: Tile) -> bytes:
        data = await self._source.tile(tile)
        length = tile.width * HASH_SIZE
        if len(data) != length:
            why = f"it has {len(data)} bytes, not {length}"
            raise Damage(tile.path, why, offset=min(len(data), length), index=_first_leaf(tile, len(data)))
        return data

    async def _entries(self, tile: Tile, hashes: bytes) -> None:
        """The entries of a tile of leaves, and what they are of."""
        place = Tile(ENTRIES, tile.index, tile.width)
        data = await self._source.tile(place)
        opened = await self._source.opened(place)
        at = 0
        for slot in range(tile.width):
            index = tile.start + slot
            length = int.from_bytes(data[at : at + 2], "big")
            entry = data[at + 2 : at + 2 + length]
            leaf = hashes[slot * HASH_SIZE : (slot + 1) * HASH_SIZE]
            right = None if opened is None else opened[slot].entry()
            if at + 2 > len(data) or len(entry) != length or leaf_hash(entry) != leaf:
                known = right if right is not None and leaf_hash(right) == leaf else None
                raise _entry_damage(place, at, index, data, known)
            if opened is not None:
                if right != entry:
                    why = "it is not what the log has at this place"
                    raise Damage(opened[slot].path, why, index=index, found=right or b"", expected=entry)
                self.receipts += opened[slot].kind == "receipt"
                self.events += opened[slot].kind == "event"
            at += 2 + length
        if at != len(data):
            raise Damage(place.path, "more follows after its last entry", offset=at)
        self._told(tile.start + tile.width)

    async def _made_below(self, tile: Tile) -> bytes | None:
        """A tile's hashes as the tiles or entries right below make them; None when those are damaged too."""
        parts: list[bytes] = []
        try:
            if tile.level == 0:
                data = await self._source.tile(Tile(ENTRIES, tile.index, tile.width))
                at = 0
                for _ in range(tile.width):
                    length = int.from_bytes(data[at : at + 2], "big")
                    parts.append(leaf_hash(data[at + 2 : at + 2 + length]))
                    at += 2 + length
            else:
                for slot in range(tile.width):
                    parts.append(subtree(await self._hashes(Tile(tile.level - 1, tile.start + slot))))
        except Damage:
            return None
        return b"".join(parts)

    async def _blame(self, tile: Tile, data: bytes, expected: bytes) -> None:
        """Say which byte of a tile is wrong that does not have the hash which the tile above gives."""
        made = await self._made_below(tile)
        if made is not None and subtree(made) == expected:
            raise _hash_damage(tile, data, made)
        raise Damage(
            tile.path,
            "neither it nor what lies below it has the hash that the tile above gives",
            offset=0 if made is None else _differs(data, made),
            index=_first_leaf(tile, 0),
            found=subtree(data),
            expected=expected,
        )

    async def _blame_edge(self, root: bytes) -> None:
        """Say which byte is wrong when the right edge does not lead to the signed root."""
        for level in sorted(self._edge, reverse=True):
            data = self._edge[level]
            tile = tile_at(level, (self._size >> HEIGHT * level) // WIDTH, self._size)
            made = await self._made_below(tile)
            if made is None or made == data:
                continue
            self._edge[level] = made
            if self._root() == self._checkpoint.root:
                raise _hash_damage(tile, data, made)
            self._edge[level] = data
        raise Damage(
            "checkpoint",
            f"the tiles lead to another root over {self._size} entries than the one that was signed",
            offset=len(f"{self._checkpoint.origin}\n{self._size}\n".encode()),
            found=self._checkpoint.root,
            expected=root,
        )


def _hash_damage(tile: Tile, data: bytes, made: bytes) -> Damage:
    offset = _differs(data, made)
    slot = offset // HASH_SIZE * HASH_SIZE
    return Damage(
        tile.path,
        "this hash is not that of what lies below it, which leads to the signed root",
        offset=offset,
        index=_first_leaf(tile, offset),
        found=data[slot : slot + HASH_SIZE],
        expected=made[slot : slot + HASH_SIZE],
    )


def _entry_damage(tile: Tile, at: int, index: int, data: bytes, right: bytes | None) -> Damage:
    """The entry at byte `at` of a tile of entries is not the one that was signed; `right` is, if known."""
    why = "this entry is not the one whose hash the log signed"
    if right is None:
        return Damage(tile.path, why, offset=at, index=index, found=data[at : at + 34])
    whole = len(right).to_bytes(2, "big") + right
    there = data[at : at + len(whole)]
    return Damage(
        tile.path, why, offset=at + _differs(there, whole), index=index, found=there, expected=whole
    )


def _differs(one: bytes, other: bytes) -> int:
    """The first byte that differs."""
    for place, (left, right) in enumerate(zip(one, other, strict=False)):
        if left != right:
            return place
    return min(len(one), len(other))


def _first_leaf(tile: Tile, offset: int) -> int:
    """The first entry below the hash at `offset`."""
    return (tile.start + offset // HASH_SIZE) << HEIGHT * tile.level
