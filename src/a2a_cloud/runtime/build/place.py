"""The folder of environments: whole ones, the locks that inputs got, and where one is being built.

What is under work lies aside, held by a file lock that ends with the process, and becomes an
environment by one rename. What a killed process left is found by its free lock and removed.
"""

from __future__ import annotations

import contextlib
import errno
import fcntl
import os
import re
import shutil
import subprocess
import tempfile
from collections.abc import Generator
from pathlib import Path

import msgspec

from a2a_cloud.runtime.build.environment import BuiltEnvironment, EnvironmentRecord
from a2a_cloud.runtime.sandbox.launch import tool

RECORD = "environment.json"
LOCK = "requirements.lock"
MARKER = ".held"
_DIGEST = re.compile(r"sha256:([0-9a-f]{64})")
_record = msgspec.json.Decoder(EnvironmentRecord)


class Place:
    """`root`/envs, /locks, /kit and /building; made when first needed."""

    def __init__(self, root: Path) -> None:
        self.root = root
        self.kit = root / "kit"
        self._environments = root / "envs"
        self._locks = root / "locks"
        self._building = root / "building"

    def find(self, digest: str) -> BuiltEnvironment | None:
        """The environment, or None when it isn't there, is no whole one, or its Python is gone."""
        folder = self.folder(digest)
        if folder is None:
            return None
        try:
            record = _record.decode((folder / RECORD).read_bytes())
            lock = (folder / LOCK).read_bytes()
        except (FileNotFoundError, NotADirectoryError, msgspec.MsgspecError):
            return None
        python = folder / "bin" / "python"
        if record.digest != digest or not os.access(python, os.X_OK):
            return None
        return BuiltEnvironment(**msgspec.structs.asdict(record), python=python, lock=lock)

    def folder(self, digest: str) -> Path | None:
        """Where the environment of that digest lies or would lie; None for what is no digest."""
        found = _DIGEST.fullmatch(digest)
        return self._environments / found[1] if found else None

    def keep(self, made: Path, record: EnvironmentRecord, lock: bytes) -> BuiltEnvironment:
        """Make the finished folder `made` the environment that `record` describes. Raises OSError.

        When another process was faster, its environment is returned.
        """
        (made / LOCK).write_bytes(lock)
        (made / RECORD).write_bytes(msgspec.json.format(msgspec.json.encode(record)))
        target = self.folder(record.digest)
        assert target is not None
        target.parent.mkdir(parents=True, exist_ok=True)
        # Thousands of files: asking for them one by one takes far longer than for all at once.
        os.sync()
        try:
            made.rename(target)
        except OSError as error:
            if error.errno not in (errno.ENOTEMPTY, errno.EEXIST, errno.ENOTDIR):
                raise
            found = self.find(record.digest)
            if found is not None:
                return found
            self.remove(record.digest)  # Not whole, or its Python is gone: it is in the way.
            made.rename(target)
        sync_folder(target.parent)
        found = self.find(record.digest)
        assert found is not None
        return found

    def remove(self, digest: str) -> None:
        """Remove an environment: it is out of sight at once, and gone when this returns."""
        folder = self.folder(digest)
        if folder is None or not os.path.lexists(folder):
            return
        with self.workplace() as work, contextlib.suppress(FileNotFoundError):
            folder.rename(work / "removed")

    def lock_of(self, key: str) -> bytes | None:
        """The lock that the inputs of that key got, if they got one."""
        try:
            return (self._locks / f"{key}.txt").read_bytes()
        except FileNotFoundError:
            return None

    def keep_lock(self, key: str, lock: bytes) -> None:
        """From now on the inputs of that key have this lock. Raises OSError."""
        self._locks.mkdir(parents=True, exist_ok=True)
        with self.workplace() as work:
            made = work / "lock"
            with made.open("xb") as file:
                file.write(lock)
                file.flush()
                os.fsync(file.fileno())
            made.replace(self._locks / f"{key}.txt")
        sync_folder(self._locks)

    @contextlib.contextmanager
    def workplace(self) -> Generator[Path, None, None]:
        """An empty folder that is removed at the end, at the latest by the process after this one."""
        self._building.mkdir(parents=True, exist_ok=True)
        held, marker = self._held_marker()
        work = marker.with_suffix("")
        try:
            work.mkdir()
            yield work
        finally:
            discard(work)
            marker.unlink(missing_ok=True)
            os.close(held)

    def clean(self) -> None:
        """Remove what processes that are gone left in the middle. Raises OSError."""
        if not self._building.is_dir():
            return
        for marker in sorted(self._building.glob(f"*{MARKER}")):
            with contextlib.suppress(FileNotFoundError):
                number = os.open(marker, os.O_RDWR | os.O_CLOEXEC)
                try:
                    fcntl.flock(number, fcntl.LOCK_EX | fcntl.LOCK_NB)
                    discard(marker.with_suffix(""))
                    marker.unlink()
                except BlockingIOError:
                    pass  # Somebody is at work there.
                finally:
                    os.close(number)
        # A folder is made after its marker and removed before it: without one it belongs to nobody.
        for work in sorted(self._building.iterdir()):
            if work.suffix != MARKER and not work.with_suffix(MARKER).exists():
                discard(work)

    def _held_marker(self) -> tuple[int, Path]:
        while True:
            number, name = tempfile.mkstemp(suffix=MARKER, dir=self._building)
            fcntl.flock(number, fcntl.LOCK_EX)
            with contextlib.suppress(FileNotFoundError):
                # Somebody who cleans up may have taken it between the two.
                if os.stat(name).st_ino == os.fstat(number).st_ino:
                    return number, Path(name)
            os.close(number)


def sync_folder(path: Path) -> None:
    """Names in this folder are on disk when this returns."""
    number = os.open(path, os.O_RDONLY | os.O_DIRECTORY)
    try:
        os.fsync(number)
    finally:
        os.close(number)


def discard(path: Path) -> None:
    """Remove a folder, following no link. What can't be removed now (a program of a killed process still
    writes there) is next time."""
    if not os.path.lexists(path):
        return
    if tool("rm"):
        # A cage may have written it: a way of ours down the tree would end where it is deeper than
        # Python's stack, or than there are descriptors.
        remove = (tool("rm"), "-rf", "--one-file-system", "--")
        _quietly(*remove, str(path))
        if path.is_dir() and not path.is_symlink() and tool("chmod"):
            # Who is not root can't look into a folder of their own that is closed.
            _quietly(tool("chmod"), "-R", "u+rwX", "--", str(path))
            _quietly(*remove, str(path))
    else:
        shutil.rmtree(path, ignore_errors=True)


def _quietly(*command: str) -> None:
    subprocess.run(  # noqa: S603  # found on a fixed path
        command, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL, check=False
    )
