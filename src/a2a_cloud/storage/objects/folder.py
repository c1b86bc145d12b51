"""Objects in a local folder: `sha256/<aa>/<hash>`, written aside, synced, then renamed into place."""

from __future__ import annotations

import asyncio
import contextlib
import errno
import hashlib
import os
from collections.abc import Callable
from pathlib import Path

from a2a_cloud.model.ports import Ids
from a2a_cloud.model.problem import Internal, NotFound, Problem, StorageFull, Unavailable
from a2a_cloud.model.task import ObjectRef

#: What is being cleared away, until it is known that nobody has written it again meanwhile.
_PRUNED = "prune-"


class FolderObjects:
    """See `storage.objects.port.ObjectStore`."""

    def __init__(self, root: Path, ids: Ids) -> None:
        self._root = root
        self._ids = ids
        self._aside = root / "aside"
        try:
            for folder in (self._aside, root / "sha256"):
                folder.mkdir(parents=True, exist_ok=True)
            _sync(root)
            for leftover in self._aside.iterdir():
                if leftover.name.startswith(_PRUNED):  # Of a crash amid a look at it: it may be wanted.
                    leftover.replace(place(root, leftover.name.removeprefix(_PRUNED)))
                else:  # Of a crash amid a write: nobody refers to it.
                    leftover.unlink(missing_ok=True)
        except OSError as error:
            raise _problem(error) from error

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

    async def prune(self, prefix: str, before: float, keep: Callable[[str], bool]) -> int:
        """See the port."""
        try:
            return await asyncio.to_thread(self._prune, self._root / "sha256" / prefix, before, keep)
        except OSError as error:
            raise _problem(error) from error

    def _prune(self, folder: Path, before: float, keep: Callable[[str], bool]) -> int:
        count = 0
        if not folder.is_dir():
            return 0
        with os.scandir(folder) as entries:
            old = [entry for entry in entries if entry.is_file() and entry.stat().st_mtime < before]
        for entry in old:
            if keep(entry.name):
                continue
            # Aside first: whoever writes it again meanwhile does so in its place, or is seen by its time.
            aside = self._aside / (_PRUNED + entry.name)
            try:
                os.rename(entry.path, aside)
            except FileNotFoundError:
                continue
            if aside.stat().st_mtime >= before:
                with contextlib.suppress(FileExistsError):
                    os.link(aside, entry.path)
            else:
                count += 1
            aside.unlink()
        return count


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
            raise _problem(error) from error
        self._open = True

    def write(self, chunk: bytes) -> None:
        """See the port."""
        assert self._open, "the object is finished, or was given up"
        view = memoryview(chunk)
        try:
            while view:
                view = view[os.write(self._file, view) :]
        except OSError as error:
            self.abort()
            raise _problem(error) from error
        self._hash.update(chunk)
        self._size += len(chunk)

    async def finish(self) -> ObjectRef:
        """See the port."""
        assert self._open, "the object is finished, or was given up"
        # From here on the file is the thread's: whoever waits may give up, and abort does nothing.
        self._open = False
        ref = ObjectRef(self._hash.hexdigest(), self._size)
        try:
            await asyncio.shield(asyncio.to_thread(self._settle, place(self._root, ref.sha256)))
        except OSError as error:
            raise _problem(error) from error
        return ref

    def _settle(self, place: Path) -> None:
        try:
            os.fsync(self._file)
            place.parent.mkdir(parents=True, exist_ok=True)
            # The same content replaces itself: if what lies there was damaged, it is whole again.
            self._path.replace(place)
            _sync(place.parent)
            _sync(place.parent.parent)
        finally:
            os.close(self._file)
            self._path.unlink(missing_ok=True)

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
            file.seek(max(0, offset))
            return file.read(length)
    except FileNotFoundError:
        raise NotFound("The object is gone.") from None
    except OSError as error:
        raise Internal("The object could not be read.", operator=str(error)) from error


def _sync(folder: Path) -> None:
    descriptor = os.open(folder, os.O_RDONLY | os.O_DIRECTORY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


def _problem(error: OSError) -> Problem:
    if error.errno in (errno.ENOSPC, errno.EDQUOT, errno.EFBIG, errno.EIO):
        return StorageFull(
            remedy="Free some space on the disk of A2A_DATA.", operator=str(error), retry_after=5
        )
    return Unavailable(
        f"The object store can't be written: {error.strerror}.",
        remedy="Check the owner of A2A_DATA, and how many files may be open.",
        operator=str(error),
        retry_after=5,
    )
