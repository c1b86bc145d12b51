"""A log's tree over the stored rows: tiles, nodes, proofs. Leaves are the rows of receipts and events; above
them stand the stored roots of whole tiles, so that no proof reads more than a tile of each level."""

from __future__ import annotations

from collections import OrderedDict

from a2a_cloud.model.problem import Internal
from a2a_cloud.storage.log.rows import LogRows
from a2a_cloud.wire.merkle import Read
from a2a_cloud.wire.tiles import ENTRIES, WIDTH, Tile, reader, subtree, write_entries

#: Tiles in memory, 8 KiB each.
KEPT = 32


class Tree:
    """See the module. For one thread, as its rows are."""

    def __init__(self, rows: LogRows) -> None:
        self._rows = rows
        self._kept: OrderedDict[tuple[int, Tile], bytes] = OrderedDict()
        #: Roots of whole tiles that are not stored yet: (organisation, level, number) → root.
        self.pending: dict[tuple[int, int, int], bytes] = {}

    def read(self, org: int, size: int) -> Read:
        """The nodes of the log's first `size` leaves."""
        return reader(lambda tile: self.tile(org, tile), size)

    def root_of(self, org: int, level: int, index: int) -> bytes | None:
        """The root of a whole tile; None while there is none."""
        level = max(level, 0)
        found = self.pending.get((org, level, index))
        return found or self._rows.roots(org, level, index, index + 1).get(index)

    def tile(self, org: int, tile: Tile) -> bytes:
        """The bytes of a tile, whole or not. Raises Internal when the rows are not what the log published."""
        kept = self._kept.get((org, tile))
        if kept is None:
            kept = self._made(org, tile)
            self.keep(org, tile, kept)
        else:
            self._kept.move_to_end((org, tile))
        return kept

    def keep(self, org: int, tile: Tile, data: bytes) -> None:
        """Keep the bytes of a tile, of which it is known that they are right."""
        self._kept[org, tile] = data
        if len(self._kept) > KEPT:
            self._kept.popitem(last=False)

    def _made(self, org: int, tile: Tile) -> bytes:
        start, end = tile.start, tile.start + tile.width
        if tile.level == ENTRIES:
            return write_entries(self._rows.entries(org, start, end))
        if tile.level == 0:
            made = b"".join(self._rows.leaves(org, start, end))
        else:
            roots = self._rows.roots(org, tile.level - 1, start, end)
            for index in range(start, end):
                if index not in roots:
                    roots[index] = self._lower(org, tile.level - 1, index)
            made = b"".join(roots[index] for index in range(start, end))
        root = self.root_of(org, tile.level, tile.index) if tile.width == WIDTH else None
        if root is not None and subtree(made) != root:
            raise Internal(
                "Rows of the log are not those that it published.",
                operator=f"organisation {org}, {tile.path}",
            )
        return made

    def _lower(self, org: int, level: int, index: int) -> bytes:
        """The root of a whole tile that has no stored one: of this tick, or its row is lost."""
        found = self.pending.get((org, level, index))
        return found or subtree(self._made(org, Tile(level, index)))
