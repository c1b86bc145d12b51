"""Turns new leaves into the next states of the logs: takes them in order from the rows, hashes them, writes
the tiles that became whole. It works on one thread, with a connection of its own, and publishes nothing:
what it found is stored and then shown by `logs.Logs`.

It begins from the last stored checkpoint, which must be a beginning of the leaves as they are: else that log
is not continued, because two states of one size would be a fork.
"""

from __future__ import annotations

import logging
import sqlite3
import threading
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

from a2a_cloud.model.problem import Internal, Unavailable
from a2a_cloud.storage.journal.writer import connect
from a2a_cloud.storage.log.rows import LogRows, StoredLog
from a2a_cloud.storage.log.tiles_store import TileStore
from a2a_cloud.storage.log.tree import Tree
from a2a_cloud.wire.merkle import Frontier, complete_subtrees, leaf_hash, peaks
from a2a_cloud.wire.note import NoteError, read_checkpoint
from a2a_cloud.wire.tiles import ENTRIES, HEIGHT, WIDTH, Tile, TileError, read_entries, subtree, write_entries

log = logging.getLogger("a2a_cloud.log")

#: Leaves of one log that are taken at a time.
CHUNK = 4096
#: At a start the leaves after the last whole multiple of this are hashed again; those before stand with the
#: roots of their tiles.
AGAIN = 1 << 20
#: Seconds that the loop gets after each tile: by itself it would wait 5 ms for the interpreter's lock.
REST = 0.0005
#: Seconds between two chunks of a long catch-up, in which others run.
PAUSE = 0.002


class Diverged(Exception):
    """The leaves are not what the last checkpoint says; the text says how."""


@dataclass
class Kept:
    """One log in memory: the tree over the roots of its whole tiles, the leaves after the last of them, the
    size of its stored checkpoint, and the roots of tiles that are not stored yet."""

    name: str
    whole: Frontier
    edge: list[bytes]
    stored: int
    tiles: list[tuple[int, int, bytes]]

    @property
    def size(self) -> int:
        """How many leaves were taken in."""
        return self.whole.size * WIDTH + len(self.edge)

    @property
    def root(self) -> bytes:
        """The root over all that were taken in."""
        return Frontier(self.size, [*self.whole.hashes, *peaks(self.edge)]).root()

    def take(self, leaves: Sequence[bytes]) -> Iterator[tuple[int, bytes]]:
        """Take leaves in; gives each tile that became whole, as (number, bytes)."""
        self.edge += leaves
        while len(self.edge) >= WIDTH:
            index, data = self.whole.size, b"".join(self.edge[:WIDTH])
            del self.edge[:WIDTH]
            for level, at, node in self.whole.add(subtree(data))[::HEIGHT]:
                self.tiles.append((level // HEIGHT, at, node))
            yield index, data


@dataclass(frozen=True)
class Step:
    """A log's next state: `tiles` are (level, number, root) of those that became whole since the last one
    that was stored."""

    org: int
    name: str
    size: int
    root: bytes
    tiles: tuple[tuple[int, int, bytes], ...]


class Sequencer:
    """See the module. All methods but `stop` are for its thread."""

    def __init__(self, database: Path, tiles: TileStore) -> None:
        self._database = database
        self._store = tiles
        self._logs: dict[int, Kept] = {}
        self._stop = threading.Event()
        self._rows: LogRows | None = None
        self._tree: Tree | None = None
        #: Logs that are not continued, and why.
        self.diverged: dict[int, str] = {}

    def stop(self) -> None:
        """End what goes on, from any thread."""
        self._stop.set()

    def close(self) -> None:
        """Close the connection."""
        if self._rows is not None:
            self._connection.close()

    def advance(self, again: bool = False) -> tuple[list[Step], bool]:
        """Take in what is new: the logs whose state is not stored (`again`: all), and whether there is more.
        A log whose rows are not what it published is not continued; the others are. Raises StorageFull,
        Unavailable (tiles could not be written: what was taken stays, and the next one tries again), and
        Internal when the database can't be read."""
        rows, tree = self._open()
        steps: list[Step] = []
        more = False
        for org, name, there in rows.sizes():
            if org in self.diverged:
                continue
            try:
                step = self._take(rows, tree, org, name, there, again)
            except Diverged as error:
                self.diverged[org] = str(error)
            except Internal as error:
                if isinstance(error.__cause__, sqlite3.Error):
                    raise
                self.diverged[org] = error.sentence
            else:
                if step is not None:
                    steps.append(step)
                    more = more or step.size < there
                continue
            log.critical("The log of %s is not continued: %s", name, self.diverged[org])
        return steps, more

    def _take(self, rows: LogRows, tree: Tree, org: int, name: str, there: int, again: bool) -> Step | None:
        """What is new of one log. Raises Diverged, and what `advance` does."""
        kept = self._logs.get(org)
        if kept is None:
            if there == 0:
                return None
            kept = self._logs[org] = self._begin(rows, tree, org, name, there)
        size = kept.size
        if there < size:
            raise Diverged(f"it has {there} leaves, and had {size}")
        if there == size == kept.stored and not again:
            return None
        end = min(there, size + CHUNK)
        for index, data in kept.take(rows.leaves(org, size, end)):
            tree.keep(org, Tile(0, index), data)
            self._stop.wait(REST)
        self._write(rows, tree, org, kept)
        return Step(org, name, end, kept.root, tuple(kept.tiles))

    def stored(self, step: Step) -> None:
        """The step is in the database."""
        kept = self._logs[step.org]
        kept.stored = step.size
        kept.tiles = [each for each in kept.tiles if each not in step.tiles]
        assert self._tree is not None
        for level, index, _ in step.tiles:
            self._tree.pending.pop((step.org, level, index), None)

    def tile(self, org: int, name: str, tile: Tile, size: int) -> bytes:
        """A tile of the log's first `size` leaves: a whole one from the store, made again if it is not there
        or not what it was; others from the rows. Raises TileError, Internal."""
        _, tree = self._open()
        there = size if tile.level == ENTRIES else size >> HEIGHT * tile.level
        if tile.start + tile.width > there:
            raise TileError(f"a log of {size} entries has no such tile")
        root = tree.root_of(org, tile.level, tile.index) if tile.width == 256 else None
        if root is None:
            return tree.tile(org, tile)
        path = f"{name}/{tile.path}"
        data = self._store.read(path)
        if data is None or not _whole(tile, data, root):
            log.warning("The tile %s is %s and is made again.", path, "damaged" if data else "gone")
            data = tree.tile(org, tile)
            if not _whole(tile, data, root):
                raise Internal("Rows of the log are not those that it published.", operator=path)
            self._store.write(path, data)
        return data

    def _open(self) -> tuple[LogRows, Tree]:
        if self._rows is None or self._tree is None:
            self._connection = connect(self._database, readonly=True)
            self._rows = LogRows(self._connection)
            self._tree = Tree(self._rows)
        return self._rows, self._tree

    def _begin(self, rows: LogRows, tree: Tree, org: int, name: str, there: int) -> Kept:
        """The log as its last checkpoint says. Raises Diverged."""
        last = rows.logs().get(org)
        if last is None or last.size == 0:
            return Kept(name, Frontier(), [], 0, [])
        if not _same(last):
            raise Diverged("its last checkpoint is damaged")
        if there < last.size:
            raise Diverged(f"it has {there} leaves, and its last checkpoint says {last.size}")
        start = last.size - last.size % AGAIN
        read = tree.read(org, start)
        hashes = [read(level, index) for level, index in complete_subtrees(start)]
        kept = Kept(name, Frontier(start // WIDTH, hashes), [], last.size, [])
        while kept.size < last.size:
            if self._stop.wait(PAUSE):
                raise Unavailable("The platform ends.")
            for _ in kept.take(rows.leaves(org, kept.size, min(last.size, kept.size + CHUNK))):
                self._stop.wait(REST)
        if kept.root != last.root:
            raise Diverged(
                f"the root over its first {last.size} leaves is {kept.root.hex()}, and its last"
                f" checkpoint says {last.root.hex()}"
            )
        kept.tiles.clear()  # They are stored.
        return kept

    def _write(self, rows: LogRows, tree: Tree, org: int, kept: Kept) -> None:
        """Write the tiles that became whole."""
        for level, index, root in kept.tiles:
            if (org, level, index) in tree.pending:
                continue
            tile = Tile(level, index)
            hashes = tree.tile(org, tile)
            self._store.write(f"{kept.name}/{tile.path}", hashes)
            if level == 0:
                below = Tile(ENTRIES, index)
                entries = rows.entries(org, below.start, below.start + WIDTH)
                if b"".join(map(leaf_hash, entries)) != hashes:
                    raise Internal("A leaf is not what its row says.", operator=f"{kept.name}/{below.path}")
                self._store.write(f"{kept.name}/{below.path}", write_entries(entries))
            self._stop.wait(REST)
            tree.pending[org, level, index] = root


def _same(last: StoredLog) -> bool:
    """Whether a stored checkpoint's note says what its row says."""
    try:
        told, _ = read_checkpoint(last.note)
    except NoteError:
        return False
    return (told.origin, told.size, told.root) == (last.origin, last.size, last.root)


def _whole(tile: Tile, data: bytes, root: bytes) -> bool:
    """Whether `data` is the whole tile over which `root` stands."""
    try:
        if tile.level == ENTRIES:
            data = b"".join(leaf_hash(each) for each in read_entries(data, tile.width))
        return len(data) == tile.width * 32 and subtree(data) == root
    except TileError:
        return False
