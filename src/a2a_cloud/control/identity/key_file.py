"""A key in a file of its own, which the platform alone can read (mode 0600), whole or not there at all."""

from __future__ import annotations

import os
import stat
from pathlib import Path

from a2a_cloud.model.ports import Entropy
from a2a_cloud.model.problem import Unavailable

_MAX_FILE = 16 << 10


def read_key_file(path: Path) -> bytes | None:
    """What is in the file, None when there is none. Raises Unavailable when others may read it, or it is
    no plain file."""
    try:
        # O_NONBLOCK: a pipe in the file's place must not hang the start.
        handle = os.open(path, os.O_RDONLY | os.O_CLOEXEC | os.O_NOFOLLOW | os.O_NONBLOCK)
    except FileNotFoundError:
        return None
    except OSError as error:
        raise _unusable(path, error) from None
    try:
        found = os.fstat(handle)
        if not stat.S_ISREG(found.st_mode) or stat.S_IMODE(found.st_mode) & 0o077:
            raise Unavailable(
                f"Others may read the key {path}, or it is no plain file, so what it signs proves nothing.",
                remedy=f"If nobody has read it: chmod 600 {path}. Otherwise move it away, and a new key is "
                "made at the next start.",
            )
        return os.read(handle, _MAX_FILE)
    finally:
        os.close(handle)


def write_key_file(path: Path, data: bytes, entropy: Entropy) -> bytes:
    """Puts a new key in place; what is in the file then: of two that race the second gets the first one's.

    Raises Unavailable.
    """
    aside = path.with_name(f".{path.name}.{entropy.bytes(8).hex()}")
    try:
        handle = os.open(aside, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC | os.O_NOFOLLOW, 0o600)
        try:
            with os.fdopen(handle, "wb") as file:
                file.write(data)
                file.flush()
                os.fsync(file.fileno())
            os.link(aside, path)
        except FileExistsError:
            return read_key_file(path) or data
        finally:
            aside.unlink()
        folder = os.open(path.parent, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
        try:
            os.fsync(folder)
        finally:
            os.close(folder)
    except OSError as error:
        raise _unusable(path, error) from None
    return data


def _unusable(path: Path, error: OSError) -> Unavailable:
    return Unavailable(
        f"The key {path} can't be used: {error.strerror or error}.",
        remedy="Make it a plain file that belongs to the user who runs the platform, on a disk with space.",
    )
