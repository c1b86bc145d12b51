"""The platform's signing key, in a file that only the platform can read, and its public keys.

`keys/receipt.jwk` in the data folder is the private key (RFC 8037 JWK, mode 0600, folder 0700).
`keys/retired/KID.jwk` are public parts of earlier keys: receipts that they signed stay checkable as
long as `/.well-known/jwks.json` lists them. Reference: proof.md, "Receipt".
"""

from __future__ import annotations

import json
import os
import stat
from pathlib import Path
from typing import cast

from a2a_cloud.model.ports import Entropy
from a2a_cloud.model.problem import Problem, Unavailable
from a2a_cloud.ops import private_file
from a2a_cloud.wire.canonical import parse_strict
from a2a_cloud.wire.jws import Jwk, Signer, private_key, public_jwk, public_key

KEY_FILE = "receipt.jwk"
RETIRED = "retired"
_KEY_BYTES = 32
_MAX_FILE = 16 << 10


class SigningKeys:
    """The current signer and the public keys, current and retired."""

    def __init__(self, folder: Path, signer: Signer, retired: list[dict[str, str]]) -> None:
        self._folder = folder
        self.signer = signer
        self._retired = retired

    @classmethod
    def open(cls, folder: Path, entropy: Entropy) -> SigningKeys:
        """The keys in `folder` (`$A2A_DATA/keys`), made first when there are none.

        Of two processes that start at once both get the same key. Raises Unavailable when the key
        file is damaged, is no plain file, or may be read or written by others; nothing is replaced.
        """
        try:
            folder.mkdir(mode=0o700, parents=True, exist_ok=True)
            _refuse_open_folder(folder)
            path = folder / KEY_FILE
            if not os.path.lexists(path):
                new = Signer(entropy.bytes(_KEY_BYTES))
                private_file.create(path, _dump(new.private_jwk()), entropy)
            return cls(folder, _read_private(path), _read_retired(folder / RETIRED))
        except OSError as error:
            raise _cannot_use(folder, error) from None

    def jwks(self) -> dict[str, list[dict[str, str]]]:
        """The public keys as a JWK set, the current one first."""
        current = self.signer.jwk()
        return {"keys": [current, *(jwk for jwk in self._retired if jwk["kid"] != current["kid"])]}

    def rotate(self, entropy: Entropy) -> SigningKeys:
        """A new current key; the one until now is retired and stays in `jwks()`.

        A crash in between leaves the old key current, listed twice in files and once in `jwks()`.
        """
        old = self.signer
        new = Signer(entropy.bytes(_KEY_BYTES))
        try:
            retired = self._folder / RETIRED
            retired.mkdir(mode=0o700, exist_ok=True)
            private_file.replace(retired / f"{old.kid}.jwk", _dump(old.jwk()), entropy)
            private_file.replace(self._folder / KEY_FILE, _dump(new.private_jwk()), entropy)
            return SigningKeys.open(self._folder, entropy)
        except OSError as error:
            raise _cannot_use(self._folder, error) from None


def _cannot_use(folder: Path, error: OSError) -> Problem:
    return Unavailable(
        f"The folder of signing keys {folder} can't be used: {error.strerror or error}.",
        remedy="Make it a folder that the platform's user can read and write, on a disk with space.",
    )


def _refuse_open_folder(folder: Path) -> None:
    if stat.S_IMODE(folder.stat().st_mode) & 0o022:
        raise Unavailable(
            f"Others may write to the folder of signing keys {folder}.", remedy=f"chmod 700 {folder}"
        )


def _read_private(path: Path) -> Signer:
    try:
        data = private_file.read(
            path,
            "the key that signs receipts, so what it signs proves nothing",
            "move it away, and a new key is made at the next start.",
        )
    except OSError as error:
        raise Unavailable(
            f"The signing key {path} can't be opened: {error.strerror}.",
            remedy="Make it a plain file that belongs to the user who runs the platform.",
        ) from None
    try:
        return private_key(_parse(data))
    except ValueError as error:
        raise Unavailable(
            f"The signing key {path} is damaged: {error}.",
            remedy="Restore it from a backup. Or move it away, and a new key is made at the next start; "
            "earlier receipts then verify only with a copy of the earlier public key.",
        ) from None


def _read_retired(folder: Path) -> list[dict[str, str]]:
    if not folder.is_dir():
        return []
    found: list[dict[str, str]] = []
    for path in sorted(folder.glob("*.jwk")):
        try:
            # Only the public part is taken over, whatever else the file holds.
            found.append(public_jwk(public_key(_parse(path.read_bytes()))))
        except ValueError as error:
            raise Unavailable(
                f"The retired key {path} is damaged: {error}.",
                remedy="Restore it from a backup, or move it away: receipts that it signed can't be checked.",
            ) from None
    return found


def _parse(data: bytes) -> Jwk:
    if len(data) > _MAX_FILE:
        raise ValueError("it is too large for a key")
    parsed = parse_strict(data)
    if not isinstance(parsed, dict):
        raise ValueError("it is not a JWK")
    return cast("Jwk", parsed)


def _dump(jwk: dict[str, str]) -> bytes:
    return json.dumps(jwk, indent=2).encode() + b"\n"
