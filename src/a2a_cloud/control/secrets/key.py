"""The key that seals secrets: `keys/secrets.key` in the data folder, 32 bytes in hex, mode 0600.

It is in no backup of the database, and the other way about: who has one of the two has no secret.
"""

from __future__ import annotations

import os
import re
import stat
from pathlib import Path

from a2a_cloud.model.ports import Entropy
from a2a_cloud.model.problem import Unavailable

KEY_FILE = "secrets.key"
_BYTES = 32
_TEXT = re.compile(rb"[0-9a-f]{64}\n").fullmatch


def open_key(folder: Path, entropy: Entropy, *, needed: bool) -> bytes:
    """The key in `folder` (`$A2A_DATA/keys`), made first when there is none.

    `needed`: secrets are stored already, so that a new key would open none of them. Raises Unavailable
    when it is missing then, is damaged, is no plain file, or may be read or written by others.
    """
    path = folder / KEY_FILE
    try:
        folder.mkdir(mode=0o700, parents=True, exist_ok=True)
        if stat.S_IMODE(folder.stat().st_mode) & 0o022:
            raise Unavailable(
                f"Others may write to the folder of keys {folder}.", remedy=f"chmod 700 {folder}"
            )
        if not os.path.lexists(path):
            if needed:
                raise Unavailable(
                    f"Secrets are stored, and the key that opens them, {path}, is gone.",
                    remedy="Restore the file from a backup. Without one the secrets are lost: see "
                    "docs/egress.md, 'A lost key'.",
                )
            _create(path, entropy)
        return _read(path)
    except OSError as error:
        raise Unavailable(
            f"The key of the secrets, {path}, can't be used: {error.strerror or error}.",
            remedy="Make it a plain file that belongs to the user who runs the platform.",
        ) from None


def _create(path: Path, entropy: Entropy) -> None:
    """Aside first, readable by us alone from its first moment, then linked: of two that race the second
    finds the first one's."""
    aside = path.with_name(f".{path.name}.{entropy.bytes(8).hex()}")
    handle = os.open(aside, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC | os.O_NOFOLLOW, 0o600)
    try:
        with os.fdopen(handle, "wb") as file:
            file.write(entropy.bytes(_BYTES).hex().encode() + b"\n")
            file.flush()
            os.fsync(file.fileno())
        os.link(aside, path)
    except FileExistsError:
        return
    finally:
        aside.unlink()
    folder = os.open(path.parent, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
    try:
        os.fsync(folder)
    finally:
        os.close(folder)


def _read(path: Path) -> bytes:
    # O_NONBLOCK: a pipe in the file's place must not hang the start.
    handle = os.open(path, os.O_RDONLY | os.O_CLOEXEC | os.O_NOFOLLOW | os.O_NONBLOCK)
    with os.fdopen(handle, "rb") as file:
        found = os.fstat(file.fileno())
        if not stat.S_ISREG(found.st_mode) or stat.S_IMODE(found.st_mode) & 0o077:
            raise Unavailable(
                f"Others may read the key of the secrets, {path}, or it is no plain file.",
                remedy=f"If nobody has read it: chmod 600 {path}. Otherwise change the secrets where they "
                "come from too.",
            )
        text = file.read(128)
    if not _TEXT(text):
        raise Unavailable(
            f"The key of the secrets, {path}, is damaged.", remedy="Restore the file from a backup."
        )
    return bytes.fromhex(text.decode())
