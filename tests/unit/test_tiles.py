"""Tiles: paths in one spelling, and every proof made from tiles alone."""

from __future__ import annotations

from contextlib import suppress

import pytest
from hypothesis import given
from hypothesis import strategies as st

from a2a_cloud.wire import merkle, tiles
from a2a_cloud.wire.merkle import Frontier
from a2a_cloud.wire.tiles import ENTRIES, Tile, TileError
from built_log import tiles_of


@pytest.mark.parametrize(
    ("tile", "path"),
    [
        (Tile(0, 0), "tile/0/000"),
        (Tile(0, 1234067), "tile/0/x001/x234/067"),
        (Tile(1, 1000, 17), "tile/1/x001/000.p/17"),
        (Tile(ENTRIES, 272, 112), "tile/entries/272.p/112"),
    ],
    ids=["first", "spec", "partial", "entries"],
)
def test_paths_are_those_of_the_specification(tile: Tile, path: str) -> None:
    assert tile.path == path
    assert tiles.read_path(path) == tile


@pytest.mark.parametrize(
    "path",
    [
        "tile/0/0",
        "tile/00/000",
        "tile/8/000",
        "tile/0/x000/001",
        "tile/0/001/002",
        "tile/0/x001/x002",
        "tile/0/000.p/0",
        "tile/0/000.p/256",
        "tile/0/000.p/01",
        "tile/0/000/",
        "tile/0/../000",
        "tile/entries/000\n",
        "tile/0/\u0660\u0660\u0660",
        "tile/0/x999/x999/x999/x999/x999/x999/999",
    ],
)
def test_other_spellings_are_refused(path: str) -> None:
    with pytest.raises(TileError):
        tiles.read_path(path)


@given(level=st.integers(-1, 7), index=st.integers(0, 2**55 - 1), width=st.integers(1, 256))
def test_every_path_comes_back(level: int, index: int, width: int) -> None:
    tile = Tile(level, index, width)
    assert tiles.read_path(tile.path) == tile


@given(st.text(max_size=60))
def test_no_text_breaks_the_reader(text: str) -> None:
    for path in (text, "tile/0/" + text):
        with suppress(TileError):
            assert tiles.read_path(path).path == path


def test_a_tree_has_the_tiles_of_the_specification() -> None:
    def widths(level: int) -> list[int]:
        return [tile.width for tile in tiles_of(70_000, level)]

    assert widths(0) == [256] * 273 + [112] == widths(ENTRIES)
    assert widths(1) == [256, 17]
    assert widths(2) == [1]
    assert tiles.levels_of(70_000) == range(3)
    assert tiles_of(256, 0) == [Tile(0, 0)]
    assert tiles_of(256, 1) == [Tile(1, 0, 1)]
    assert tiles.levels_of(0) == range(0)
    for level, index in ((0, 274), (1, 2), (2, 1), (3, 0), (0, -1)):
        with pytest.raises(TileError):
            tiles.tile_at(level, index, 70_000)


@pytest.mark.parametrize("size", [1, 2, 255, 256, 257, 1000, 66_000])
def test_proofs_come_from_tiles_alone(size: int) -> None:
    frontier, levels = Frontier(), dict[int, list[bytes]]()
    leaves = [merkle.leaf_hash(b"%d" % number) for number in range(size)]
    for leaf in leaves:
        for level, _, node in frontier.add(leaf):
            if level % 8 == 0:
                levels.setdefault(level // 8, []).append(node)

    def data(tile: Tile) -> bytes:
        return b"".join(levels[tile.level][tile.start : tile.start + tile.width])

    read = tiles.reader(data, size)
    root = frontier.root()
    assert merkle.root(read, size) == root
    for index in {0, size // 2, size - 1}:
        merkle.verify_inclusion(leaves[index], index, size, root, merkle.prove_inclusion(read, index, size))
    for old in {1, size // 3 or 1, size - 1 or 1}:
        before = merkle.root(read, old)
        merkle.verify_consistency(old, before, size, root, merkle.prove_consistency(read, old, size))


@given(st.lists(st.binary(max_size=40), max_size=20))
def test_entries_come_back(entries: list[bytes]) -> None:
    data = tiles.write_entries(entries)
    assert tiles.read_entries(data, len(entries)) == entries
    with pytest.raises(TileError):
        tiles.read_entries(data + b"\x00", len(entries))
    if data:
        with pytest.raises(TileError):
            tiles.read_entries(data[:-1], len(entries))


def test_a_tile_of_the_wrong_length_is_refused() -> None:
    with pytest.raises(TileError, match="has 31 bytes"):
        tiles.reader(lambda tile: b"\x00" * 31, 5)(0, 0)
    with pytest.raises(TileError, match="complete subtree"):
        tiles.subtree(b"\x00" * 96)
    with pytest.raises(TileError, match="no place"):
        tiles.write_entries([b"\x00" * 65536])
