"""storage/log/tiles_store: what each driver has to do."""

from __future__ import annotations

import errno
from pathlib import Path

import pytest

from a2a_cloud.model.problem import BadSetting, StorageFull
from a2a_cloud.storage.log.tiles_store import BucketTiles, FolderTiles, TileStore, open_tiles

PATH = "acme/tile/0/x001/234"


@pytest.fixture(params=["folder", "bucket"])
def store(request: pytest.FixtureRequest, tmp_path: Path) -> TileStore:
    return FolderTiles(tmp_path / "log") if request.param == "folder" else BucketTiles("memory:///")


def test_what_was_written_is_read(store: TileStore) -> None:
    store.write(PATH, b"x" * 8192)
    store.write("acme/tile/entries/x001/234", b"y" * 8704)
    assert store.read(PATH) == b"x" * 8192
    assert store.read("acme/tile/entries/x001/234") == b"y" * 8704


def test_what_is_not_there_is_none(store: TileStore) -> None:
    assert store.read(PATH) is None
    store.write(PATH, b"x")
    assert store.read("acme/tile/0/x001") is None
    assert store.read("other/tile/0/x001/234") is None


def test_a_tile_is_written_in_the_place_of_another(store: TileStore) -> None:
    for data in (b"long and damaged", b"good", b""):
        store.write(PATH, data)
        assert store.read(PATH) == data


def test_a_folder_has_tiles_whole_or_not(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    store = FolderTiles(tmp_path)
    store.write(PATH, b"good")

    def full(_: Path, __: Path) -> None:
        raise OSError(errno.ENOSPC, "no room")

    monkeypatch.setattr(Path, "replace", full)
    with pytest.raises(StorageFull):
        store.write(PATH, b"half")
    monkeypatch.undo()
    assert store.read(PATH) == b"good"
    assert [path.name for path in (tmp_path / PATH).parent.iterdir()] == ["234"]


def test_tiles_lie_beside_the_objects(tmp_path: Path) -> None:
    open_tiles("", tmp_path / "data").write(PATH, b"one")
    assert (tmp_path / "data" / "objects" / "log" / PATH).read_bytes() == b"one"
    open_tiles((tmp_path / "else").as_uri(), tmp_path / "data").write(PATH, b"two")
    assert (tmp_path / "else" / "log" / PATH).read_bytes() == b"two"
    assert isinstance(open_tiles("memory:///", tmp_path), BucketTiles)
    with pytest.raises(BadSetting):
        open_tiles("ftp://nowhere", tmp_path)
