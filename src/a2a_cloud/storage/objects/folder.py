"""Objects in a local folder: `sha256/<aa>/<hash>`, written aside, synced, then renamed into place."""

from __future__ import annotations

import asyncio
import contextlib
import hashlib
import os
from pathlib import Path

from a2a_cloud.model.ports import Ids
from a2a_cloud.model.problem import NotFound, Problem, StorageFull
from a2a_cloud.model.task import ObjectRef


class FolderObjects:
    """See `storage.objects.port.ObjectStore`."""

    def __init__(self, root: Path, ids: Ids) -> None:
        self._root = root
        self._ids = ids
        self._aside = root / "aside"
        self._aside.mkdir(parents=True, exist_ok=True)
        for leftover in self._aside.iterdir():  # Of a crash in the middle of a write: nobody refers to it.
            leftover.unlink(missing_ok=True)

    def writer(self) -> FolderWriter:
        """See the port."""
        return FolderWriter(self._root, self._aside / self._ids.new("obj"))

    async def put(self, data: bytes) -> ObjectRef:
        """See the port."""
        writer = self.writer()
        try:
            writer.write(data)
            return await writer.finish()
        finally:
            writer.abort()

    async def read(self, ref: ObjectRef, offset: int = 0, length: int = -1) -> bytes:
        """See the port."""
        path = place(self._root, ref.sha256)
        return await asyncio.to_thread(_read, path, offset, length)


class FolderWriter:
    """See `storage.objects.port.ObjectWriter`."""

    def __init__(self, root: Path, path: Path) -> None:
        self._root = root
        self._path = path
        self._hash = hashlib.sha256()
        self._size = 0
        try:
            self._file = os.open(path, os.O_CREAT | os.O_EXCL | os.O_WRONLY | os.O_CLOEXEC, 0o600)
        except OSError as error:
            raise _full(error) from error
        self._open = True

    def write(self, chunk: bytes) -> None:
        """See the port."""
        view = memoryview(chunk)
        try:
            while view:
                view = view[os.write(self._file, view) :]
        except OSError as error:
            self.abort()
            raise _full(error) from error
        self._hash.update(chunk)
        self._size += len(chunk)

    async def finish(self) -> ObjectRef:
        """See the port."""
        ref = ObjectRef(self._hash.hexdigest(), self._size)
        try:
            await asyncio.to_thread(self._settle, place(self._root, ref.sha256))
        except OSError as error:
            self.abort()
            raise _full(error) from error
        self._open = False
        os.close(self._file)
        return ref

    def _settle(self, place: Path) -> None:
        os.fsync(self._file)
        place.parent.mkdir(parents=True, exist_ok=True)
        self._path.replace(place)
        for folder in (place.parent, place.parent.parent):
            descriptor = os.open(folder, os.O_RDONLY | os.O_DIRECTORY)
            try:
                os.fsync(descriptor)
            finally:
                os.close(descriptor)

    def abort(self) -> None:
        """See the port."""
        if self._open:
            self._open = False
            os.close(self._file)
            with contextlib.suppress(FileNotFoundError):
                self._path.unlink()


def place(root: Path, sha256: str) -> Path:
    """Where an object lies. Raises NotFound for what is no hash: names never become paths."""
    if len(sha256) != 64 or not all(digit in "0123456789abcdef" for digit in sha256):
        raise NotFound("There is no such object.")
    return root / "sha256" / sha256[:2] / sha256


def _read(path: Path, offset: int, length: int) -> bytes:
    try:
        with path.open("rb") as file:
            file.seek(offset)
            return file.read(length)
    except FileNotFoundError:
        raise NotFound("The object is gone.") from None


def _full(error: OSError) -> Problem:
    return StorageFull(remedy="Free some space on the disk of A2A_DATA.", operator=str(error), retry_after=5)
