"""The keys that grants are signed with: a file for each organisation, two keys at most in use.

`FOLDER/{org}.json` (mode 0600, folder 0700) holds secrets; what signs is HKDF-SHA256 (RFC 5869) of a
secret with the organisation and the key's id, so that a file in another organisation's place signs
nothing that was signed before. After a rotation the earlier key verifies for `overlap` seconds more.
"""

from __future__ import annotations

import fcntl
import hmac
import os
import re
import stat
from collections.abc import Generator
from contextlib import contextmanager
from pathlib import Path
from typing import Annotated

import msgspec
from msgspec import Meta, Struct

from a2a_cloud.model.ports import Clock, Entropy
from a2a_cloud.model.problem import InvalidParams, Unavailable
from a2a_cloud.ops import private_file
from a2a_cloud.wire.grant import GrantKey

#: Longer than the longest run (7 days), so that no living grant loses its key.
OVERLAP = 8 * 86400.0
_SECRET = 32
_MAX_FILE = 16 << 10
_ORG = re.compile(r"[a-z0-9][a-z0-9_-]{0,62}")
_LOCK = ".lock"


class _StoredKey(Struct, forbid_unknown_fields=True):
    kid: Annotated[str, Meta(pattern=r"^gk_[0-9a-f]{24}$")]
    secret: Annotated[str, Meta(pattern=r"^[0-9a-f]{64}$")]
    made: float
    until: float | None = None


class _File(Struct, forbid_unknown_fields=True):
    org: str
    keys: list[_StoredKey]


class GrantKeys:
    """The keys of all organisations; the ring that `wire.grant.verify` takes."""

    def __init__(self, folder: Path, entropy: Entropy, clock: Clock, *, overlap: float = OVERLAP) -> None:
        """Reads what is in `folder`, which is made when it is not there. Raises Unavailable when a file
        is damaged, is no plain file, or may be read or written by others; nothing is replaced."""
        self._folder = folder
        self._entropy = entropy
        self._clock = clock
        self._overlap = overlap
        self._by_kid: dict[str, GrantKey] = {}
        self._by_org: dict[str, list[GrantKey]] = {}
        try:
            folder.mkdir(mode=0o700, parents=True, exist_ok=True)
            if stat.S_IMODE(folder.stat().st_mode) & 0o022:
                raise Unavailable(
                    f"Others may write to the folder of grant keys {folder}.", remedy=f"chmod 700 {folder}"
                )
            for path in sorted(folder.glob("*.json")):
                self._take(_read(path))
        except OSError as error:
            raise _cannot_use(folder, error) from None

    def get(self, kid: str, /) -> GrantKey | None:
        """The key with that id, in use or waiting for its end."""
        return self._by_kid.get(kid)

    def current(self, org: str) -> GrantKey:
        """The key that signs for `org`; made at the first call. Raises Unavailable, InvalidParams."""
        known = self._by_org.get(org)
        return known[0] if known else self._add(org, first=True)

    def rotate(self, org: str) -> GrantKey:
        """A new key that signs from now on. Raises InvalidParams while the last rotation's earlier key is
        still in use: a third would cut living grants off."""
        return self._add(org, first=False)

    def _add(self, org: str, *, first: bool) -> GrantKey:
        if not _ORG.fullmatch(org):
            raise InvalidParams(f"{org[:80]!a} is no name for an organisation.")
        path = self._folder / f"{org}.json"
        try:
            with _locked(self._folder):
                stored = _read(path).keys if os.path.lexists(path) else []
                if not (first and stored):  # else another process was faster: its key is the one
                    stored = self._with_new(org, stored)
                    body = msgspec.json.encode(_File(org, stored))
                    private_file.replace(path, body, self._entropy)
        except OSError as error:
            raise _cannot_use(self._folder, error) from None
        self._take(_File(org, stored))
        return self._by_org[org][0]

    def _with_new(self, org: str, stored: list[_StoredKey]) -> list[_StoredKey]:
        now = self._clock.now()
        living = [key for key in stored if key.until is None or key.until > now]
        if len(living) > 1:
            raise InvalidParams(
                f"The grant key of {org} was changed {int(now - living[0].made)} s ago, and the one before "
                "it is still in use.",
                remedy=f"Change it again in {int((living[1].until or now) - now) + 1} s.",
                info={"reason": "overlap"},
            )
        earlier = [msgspec.structs.replace(key, until=now + self._overlap) for key in living]
        new = _StoredKey(f"gk_{self._entropy.bytes(12).hex()}", self._entropy.bytes(_SECRET).hex(), now)
        return [new, *earlier]

    def _take(self, file: _File) -> None:
        keys = [
            GrantKey(
                key.kid,
                file.org,
                derive(bytes.fromhex(key.secret), f"a2a-cloud grant-v1 {file.org} {key.kid}".encode()),
                float("inf") if key.until is None else key.until,
            )
            for key in file.keys
        ]
        for old in self._by_org.get(file.org, ()):
            self._by_kid.pop(old.kid, None)
        self._by_org[file.org] = keys
        self._by_kid.update((key.kid, key) for key in keys)


def derive(secret: bytes, info: bytes) -> bytes:
    """HKDF-SHA256 (RFC 5869) of `secret`: 32 bytes, without salt."""
    extracted = hmac.digest(bytes(32), secret, "sha256")
    return hmac.digest(extracted, info + b"\x01", "sha256")


@contextmanager
def _locked(folder: Path) -> Generator[None]:
    """One writer at a time, also between processes."""
    handle = os.open(folder / _LOCK, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC | os.O_NOFOLLOW, 0o600)
    try:
        fcntl.flock(handle, fcntl.LOCK_EX)
        yield
    finally:
        os.close(handle)


def _read(path: Path) -> _File:
    data = private_file.read(
        path,
        "which holds grant keys",
        "move it away: a new key is made, and runs that wait go on with new grants.",
        _MAX_FILE,
    )
    try:
        file = msgspec.json.decode(data, type=_File)
        if file.org != path.stem or not file.keys or file.keys[0].until is not None:
            raise ValueError("it is another organisation's, or has no key in use")
    except (ValueError, msgspec.MsgspecError) as error:
        raise Unavailable(
            f"The grant keys {path} are damaged: {error}.",
            remedy="Restore the file from a backup, or move it away: a new key is made, and every grant "
            "of the organisation ends.",
        ) from None
    return file


def _cannot_use(folder: Path, error: OSError) -> Unavailable:
    return Unavailable(
        f"The folder of grant keys {folder} can't be used: {error.strerror or error}.",
        remedy="Make it a folder that the platform's user can read and write, on a disk with space.",
    )
