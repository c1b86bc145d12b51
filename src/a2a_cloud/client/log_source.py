"""Where a log lies that is checked: on a platform (`/api/v1/log/{org}/…`), or in a folder saved from one.

Both have the same paths: `checkpoint`, `tile/…`; and `opened/…`, a JSON line per entry with what it is of, as
`entries/{index}` gives it.
"""

from __future__ import annotations

import binascii
import json
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any, cast
from urllib.parse import quote

from a2a_cloud.client.log_walk import Damage, Opened
from a2a_cloud.wire import merkle
from a2a_cloud.wire.note import MAX_NOTE, read_checkpoint
from a2a_cloud.wire.tiles import MAX_ENTRY, Tile, TileError, reader

if TYPE_CHECKING:
    from a2a_cloud.client.http import Platform

#: The longest consistency proof that is read.
MAX_TOLD = 1 << 20
#: The longest that is read of what an entry is, on average over those of a tile.
MAX_OPENED = 1 << 16


class PlatformLog:
    """A platform's log. Everything may raise what the platform's client does. `save`: a folder for it all."""

    def __init__(self, platform: Platform, org: str, save: Path | None = None) -> None:
        self._platform = platform
        self._base = f"/api/v1/log/{quote(org, safe='')}"
        self._save = save

    async def checkpoint(self, *, witnessed: bool = False) -> bytes:
        """The signed checkpoint; `witnessed`: the last one that a witness has cosigned."""
        params = {"witnessed": "1"} if witnessed else None
        data = await self._get("checkpoint", MAX_NOTE, params)
        return self._kept("checkpoint.witnessed" if witnessed else "checkpoint", data)

    async def keys(self) -> list[dict[str, Any]]:
        """The keys that sign the log, or did."""
        answer: Any = await self._platform.json("GET", f"{self._base}/keys")
        return cast("list[dict[str, Any]]", answer["keys"])

    async def tile(self, tile: Tile) -> bytes:
        """See Source."""
        return self._kept(tile.path, await self._get(tile.path, tile.width * (2 + MAX_ENTRY)))

    async def opened(self, tile: Tile) -> list[Opened] | None:
        """See Source."""
        path = _opened_path(tile)
        return _lines(path, self._kept(path, await self._get(path, tile.width * MAX_OPENED)), tile)

    async def consistency(self, old: int, new: int) -> list[bytes]:
        """The proof between two sizes. Raises ValueError when the answer is none."""
        proof, _, _ = await self.roots(old, new)
        return proof

    async def roots(
        self, old: int, new: int | None
    ) -> tuple[list[bytes], tuple[int, bytes], tuple[int, bytes]]:
        """(proof, old size and root, new size and root) as the platform says; `new` None: as it is now."""
        params = {"old": str(old), **({} if new is None else {"new": str(new)})}
        return read_consistency(json.loads(await self._get("consistency", MAX_TOLD, params)))

    async def _get(self, path: str, most: int, params: Mapping[str, str] | None = None) -> bytes:
        """An answer of at most so many bytes: a log that would fill the memory is none. Raises Damage."""
        data = await self._platform.bytes("GET", f"{self._base}/{path}", params=params, most=most)
        if len(data) > most:
            raise Damage(path, f"it is longer than {most} bytes")
        return data

    def _kept(self, path: str, data: bytes) -> bytes:
        if self._save is not None:
            place = self._save / path
            place.parent.mkdir(parents=True, exist_ok=True)
            place.write_bytes(data)
        return data


class SavedLog:
    """A folder with a log."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder

    async def checkpoint(self, *, witnessed: bool = False) -> bytes:
        """See PlatformLog. Raises Damage when it is not there."""
        return self._read("checkpoint.witnessed" if witnessed else "checkpoint")

    async def tile(self, tile: Tile) -> bytes:
        """See Source."""
        return self._read(tile.path)

    async def opened(self, tile: Tile) -> list[Opened] | None:
        """See Source. None when the folder has the tiles alone."""
        path = _opened_path(tile)
        if not (self._folder / "opened").is_dir():
            return None
        return _lines(path, self._read(path), tile)

    async def consistency(self, old: int, new: int) -> list[bytes]:
        """The proof between two sizes, made of the tiles. Raises Damage, ValueError."""
        checkpoint, _ = read_checkpoint(self._read("checkpoint"))
        if not 0 <= old <= new <= checkpoint.size:
            raise ValueError(f"the folder has the first {checkpoint.size} entries, not {max(old, new)}")
        try:
            read = reader(lambda tile: self._read(tile.path), checkpoint.size)
            return merkle.prove_consistency(read, old, new)
        except TileError as error:
            raise ValueError(str(error)) from None

    def _read(self, path: str) -> bytes:
        try:
            return (self._folder / path).read_bytes()
        except OSError as error:
            raise Damage(path, f"it can't be read: {error.strerror}") from None


def read_consistency(answer: Any) -> tuple[list[bytes], tuple[int, bytes], tuple[int, bytes]]:
    """(proof, old size and root, new size and root) of a document as the platform gives it. Raises
    ValueError."""
    try:
        said = cast("dict[str, Any]", answer)
        proof = [binascii.a2b_base64(line, strict_mode=True) for line in cast("Sequence[str]", said["proof"])]
        old, new = int(said["old"]), int(said["new"])
        return proof, (old, bytes.fromhex(said["old_root"])), (new, bytes.fromhex(said["new_root"]))
    except (KeyError, TypeError, ValueError) as error:
        raise ValueError(f"not a consistency proof: {type(error).__name__} {error}") from None


def _opened_path(tile: Tile) -> str:
    return f"{tile.path.replace('tile/entries/', 'opened/', 1)}.jsonl"


def _lines(path: str, data: bytes, tile: Tile) -> list[Opened]:
    lines = data.splitlines()
    found = [_opened(path, line, tile.start + at) for at, line in enumerate(lines[: tile.width])]
    if len(lines) != tile.width:
        raise Damage(path, f"it has {len(lines)} lines, not {tile.width}", index=tile.start + len(found))
    return found


def _opened(path: str, line: bytes, index: int) -> Opened:
    try:
        said: Any = json.loads(line)
        told = cast("dict[str, Any]", said)
        texts = {name: told.get(name, "") for name in ("kind", "receipt", "salt", "payload")}
        if not all(isinstance(value, str) for value in texts.values()) or told["index"] != index:
            raise ValueError
    except (ValueError, AttributeError, KeyError, TypeError, RecursionError):
        raise Damage(path, "it does not say what the entry is", index=index) from None
    return Opened(path, **texts)
