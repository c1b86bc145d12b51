"""A log built of wire/ alone, in memory and as a folder of tiles: what the verifiers of logs are tried on."""

from __future__ import annotations

from collections.abc import Iterable
from hashlib import sha256
from pathlib import Path

from a2a_cloud.wire import merkle, note, tiles, tlog_proof
from a2a_cloud.wire.jws import Signer
from a2a_cloud.wire.merkle import Frontier
from a2a_cloud.wire.note import Checkpoint, NoteKey
from a2a_cloud.wire.tiles import ENTRIES, HEIGHT, WIDTH, Tile
from a2a_cloud.wire.verify.log import check_proof
from a2a_cloud.wire.verify.trail import Trail


class BuiltLog:
    """An append-only log with a key of its own."""

    def __init__(self, origin: str = "a2a.example/log/default", seed: int = 1) -> None:
        self.origin = origin
        self.signers = [Signer(bytes([seed]) * 32)]
        self.entries: list[bytes] = []
        self._frontier = Frontier()
        self._nodes: dict[tuple[int, int], bytes] = {}

    @property
    def key(self) -> NoteKey:
        """The first key that signs."""
        return NoteKey(self.origin, self.signers[0].public)

    @property
    def size(self) -> int:
        """How many entries."""
        return len(self.entries)

    def add(self, entries: Iterable[bytes]) -> BuiltLog:
        """Append them."""
        for entry in entries:
            self.entries.append(entry)
            for level, index, node in self._frontier.add(merkle.leaf_hash(entry)):
                self._nodes[level, index] = node
        return self

    def grow(self, count: int) -> BuiltLog:
        """Append so many entries of 32 bytes."""
        return self.add(sha256(b"%d" % number).digest() for number in range(self.size, self.size + count))

    def read(self, level: int, index: int) -> bytes:
        """A `merkle.Read`."""
        return self._nodes[level, index]

    def root(self, size: int) -> bytes:
        """The root of the first `size` entries."""
        return merkle.root(self.read, size)

    def checkpoint(self, size: int | None = None) -> bytes:
        """The signed checkpoint of the first `size` entries, of all without it."""
        length = self.size if size is None else size
        text = note.checkpoint_text(Checkpoint(self.origin, length, self.root(length)))
        return note.sign_note(text, [(self.origin, signer) for signer in self.signers])

    def proof(self, index: int, size: int | None = None) -> bytes:
        """The `.tlog-proof` of an entry."""
        length = self.size if size is None else size
        path = merkle.prove_inclusion(self.read, index, length)
        return tlog_proof.write_proof(index, path, self.checkpoint(length))

    def tile(self, tile: Tile) -> bytes:
        """A tile's content."""
        places = range(tile.start, tile.start + tile.width)
        if tile.level == ENTRIES:
            return tiles.write_entries(self.entries[place] for place in places)
        return b"".join(self._nodes[HEIGHT * tile.level, place] for place in places)

    def save(self, folder: Path) -> Path:
        """Write the checkpoint and every tile below `folder`."""
        folder.mkdir(parents=True, exist_ok=True)
        for level in (ENTRIES, *tiles.levels_of(self.size)):
            for tile in tiles_of(self.size, level):
                path = folder / tile.path
                path.parent.mkdir(parents=True, exist_ok=True)
                path.write_bytes(self.tile(tile))
        (folder / "checkpoint").write_bytes(self.checkpoint())
        return folder


def tiles_of(size: int, level: int) -> list[Tile]:
    """The tiles of one level of a tree of `size` leaves, in order; the last may be partial."""
    hashes = size if level == ENTRIES else size >> HEIGHT * level
    return [tiles.tile_at(level, index, size) for index in range((hashes + WIDTH - 1) // WIDTH)]


def refusal(proof: bytes, entry: bytes, key: NoteKey, *witnesses: NoteKey) -> str:
    """Why a proof file is refused for `entry`; "" when it holds and the log's `key` signed it."""
    trail = Trail()
    text = proof.decode(errors="surrogateescape")
    check_proof(trail, text, None, entry, key.name.rpartition("/")[2], {"": key.public}, witnesses)
    return trail.failure.why if trail.failure else ""
