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
from a2a_cloud.ops import private_file

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
            private_file.create(path, entropy.bytes(_BYTES).hex().encode() + b"\n", entropy)
        return _read(path)
    except OSError as error:
        raise Unavailable(
            f"The key of the secrets, {path}, can't be used: {error.strerror or error}.",
            remedy="Make it a plain file that belongs to the user who runs the platform.",
        ) from None


def _read(path: Path) -> bytes:
    text = private_file.read(
        path, "the key of the secrets", "change the secrets where they come from too.", 128
    )
    if not _TEXT(text):
        raise Unavailable(
            f"The key of the secrets, {path}, is damaged.", remedy="Restore the file from a backup."
        )
    return bytes.fromhex(text.decode())
