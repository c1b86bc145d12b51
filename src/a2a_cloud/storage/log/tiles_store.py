"""Where the logs' whole tiles lie, as files that any server of static files can hand out: a folder beside the
objects, or the bucket that they are in. Tiles are projections: what is lost or damaged is made again.

The port is synchronous; the logs call it on their own thread.
"""

from __future__ import annotations

import contextlib
import errno
from pathlib import Path
from typing import Protocol

from a2a_cloud.model.problem import Problem, StorageFull, Unavailable
from a2a_cloud.storage.objects.places import folder_of

#: No tile is larger: 256 entries, each with its length.
MOST = 256 * (2 + 33)


class TileStore(Protocol):
    """Tiles by path (`ORG/tile/0/x001/234`)."""

    def read(self, path: str) -> bytes | None:
        """The bytes; None when there is no such tile, or it can't be read."""
        ...

    def write(self, path: str, data: bytes) -> None:
        """Store a tile, in the place of what is there: whole, or not at all. Raises StorageFull,
        Unavailable."""
        ...


def open_tiles(url: str, data: Path) -> TileStore:
    """The store beside the objects at `url` (A2A_OBJECTS). Raises BadSetting."""
    folder = folder_of(url, data)
    if folder is not None:
        return FolderTiles(folder / "log")
    return BucketTiles(url)


class FolderTiles:
    """See TileStore: files below a folder, renamed into place. They are not synced: what a power cut takes is
    made again when it is read, and syncs would hold up the journal's."""

    def __init__(self, root: Path) -> None:
        self._root = root

    def read(self, path: str) -> bytes | None:
        """See TileStore."""
        try:
            with (self._root / path).open("rb") as file:
                return file.read(MOST + 1)
        except OSError:
            return None

    def write(self, path: str, data: bytes) -> None:
        """See TileStore."""
        place = self._root / path
        aside = place.with_name(f"{place.name}.new")
        try:
            place.parent.mkdir(parents=True, exist_ok=True, mode=0o700)
            with aside.open("wb") as file:
                file.write(data)
            aside.replace(place)
        except OSError as error:
            with contextlib.suppress(OSError):
                aside.unlink(missing_ok=True)
            raise _problem(error) from error


class BucketTiles:
    """See TileStore: objects of a bucket, under `log/`."""

    def __init__(self, url: str) -> None:
        """Raises BadSetting."""
        from a2a_cloud.storage.objects.remote import open_bucket

        self._bucket = open_bucket(url)

    def read(self, path: str) -> bytes | None:
        """See TileStore."""
        import obstore
        from obstore.exceptions import BaseError

        try:
            return bytes(obstore.get(self._bucket, f"log/{path}").bytes())
        except (BaseError, OSError):
            return None

    def write(self, path: str, data: bytes) -> None:
        """See TileStore."""
        import obstore
        from obstore.exceptions import BaseError

        try:
            obstore.put(self._bucket, f"log/{path}", data)
        except (BaseError, OSError) as error:
            raise Unavailable(
                "The logs' tiles can't be written to the bucket.",
                remedy="See whether it is reachable; the logs go on by themselves.",
                operator=str(error),
                retry_after=5,
            ) from error


def _problem(error: OSError) -> Problem:
    if error.errno in (errno.ENOSPC, errno.EDQUOT, errno.EFBIG, errno.EIO):
        return StorageFull(
            remedy="Free some space on the disk of A2A_DATA.", operator=str(error), retry_after=5
        )
    return Unavailable(
        f"The logs' tiles can't be written: {error.strerror}.",
        remedy="Check the owner of the folder of objects.",
        operator=str(error),
        retry_after=5,
    )
