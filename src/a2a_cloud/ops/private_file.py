"""Files that the platform's own user alone can read (mode 0600 from their first moment), on disk whole or not
there at all: keys, and what tells where the platform is."""

from __future__ import annotations

import os
import stat
from pathlib import Path

from a2a_cloud.model.ports import Entropy
from a2a_cloud.model.problem import Unavailable


def read(path: Path, what: str, remedy: str, most: int = 16 << 10) -> bytes:
    """What is in the file, cut after `most` bytes and one. `what` it is, and what to do when others may have
    read it (`remedy` goes on after a chmod), as the ends of sentences. Raises OSError, and Unavailable when
    others may read it or it is no plain file."""
    # O_NONBLOCK: a pipe in the file's place must not hang the start.
    handle = os.open(path, os.O_RDONLY | os.O_CLOEXEC | os.O_NOFOLLOW | os.O_NONBLOCK)
    try:
        found = os.fstat(handle)
        if not stat.S_ISREG(found.st_mode):
            raise Unavailable(f"{path}, {what}, is no plain file.", remedy="Put the file itself there.")
        if stat.S_IMODE(found.st_mode) & 0o077:
            raise Unavailable(
                f"Others may read {path}, {what}.",
                remedy=f"If nobody has read it: chmod 600 {path}. Otherwise {remedy}",
            )
        return os.read(handle, most + 1)
    finally:
        os.close(handle)


def create(path: Path, data: bytes, entropy: Entropy) -> None:
    """Makes the file; of two that race the first one's stays. Raises OSError."""
    aside = _aside(path, data, entropy)
    try:
        os.link(aside, path)
    except FileExistsError:
        return
    finally:
        aside.unlink()
    _sync(path.parent)


def replace(path: Path, data: bytes, entropy: Entropy) -> None:
    """Makes the file, in the place of what is there. Raises OSError."""
    aside = _aside(path, data, entropy)
    try:
        aside.replace(path)
    except BaseException:
        aside.unlink()
        raise
    _sync(path.parent)


def _aside(path: Path, data: bytes, entropy: Entropy) -> Path:
    """A new file next to `path` with `data` on disk."""
    aside = path.with_name(f".{path.name}.{entropy.bytes(8).hex()}")
    handle = os.open(aside, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC | os.O_NOFOLLOW, 0o600)
    try:
        with os.fdopen(handle, "wb") as file:
            file.write(data)
            file.flush()
            os.fsync(file.fileno())
    except BaseException:
        aside.unlink(missing_ok=True)
        raise
    return aside


def _sync(folder: Path) -> None:
    handle = os.open(folder, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
    try:
        os.fsync(handle)
    finally:
        os.close(handle)
