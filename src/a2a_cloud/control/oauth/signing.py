"""The keys that sign tokens: ES256 (RFC 7518, section 3.4), published a day before they sign, an hour after.

`keys/tokens.json` in the data folder (mode 0600) holds them, each with the time from which it signs; the one
whose time came last is in use. It is made when the first token or the key set is asked for.
"""

from __future__ import annotations

import os
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import msgspec
from msgspec import Meta, Struct

from a2a_cloud.control.identity import p256
from a2a_cloud.model.ports import Clock, Entropy
from a2a_cloud.model.problem import InvalidParams, Unavailable
from a2a_cloud.ops import private_file
from a2a_cloud.wire.jws import b64url

if TYPE_CHECKING:
    from joserfc.jwk import ECKey

KEY_FILE = "tokens.json"
#: Seconds that a key signs, that it is published before, and that it is published after: longer than the
#: longest token, and than readers keep a key set.
LIFE, LEAD, KEPT = 30 * 86400.0, 86400.0, 3600.0
_HEX = Meta(pattern=r"^[0-9a-f]{64}$")


class _Stored(Struct, frozen=True, forbid_unknown_fields=True):
    secret: Annotated[str, _HEX]
    starts: float


class _File(Struct, frozen=True, forbid_unknown_fields=True):
    keys: Annotated[list[_Stored], Meta(min_length=1, max_length=8)]


class TokenKeys:
    """See the module. Nothing is read or made before it is asked for something."""

    def __init__(self, folder: Path, entropy: Entropy, clock: Clock) -> None:
        """`folder` is that of the platform's keys, which exists."""
        self._path = folder / KEY_FILE
        self._entropy = entropy
        self._clock = clock
        self._stored: list[_Stored] = []
        self._keys: dict[str, ECKey] = {}  # By what is stored of them.

    @property
    def used(self) -> bool:
        """Whether there are keys: somebody asked for one."""
        return bool(self._stored) or os.path.lexists(self._path)

    def current(self) -> ECKey:
        """The key that signs now. Raises Unavailable."""
        return self._key(self._in_use(self._read()))

    def all(self) -> list[ECKey]:
        """Every key that is published: the one in use first. Raises Unavailable."""
        stored = self._read()
        now = self._in_use(stored)
        return [self._key(now), *(self._key(one) for one in stored if one is not now)]

    def jwks(self) -> dict[str, list[dict[str, Any]]]:
        """The public keys as a JWK set. Raises Unavailable."""
        return {"keys": [dict(key.as_dict(private=False)) for key in self.all()]}

    def tend(self) -> bool:
        """Publish the next key when the time of the one in use nears its end, forget those before. Whether
        anything changed. Raises Unavailable."""
        stored = self._read()
        now = self._clock.now()
        used = self._in_use(stored)
        later = [one for one in stored if one.starts > now]
        if not later and used.starts + LIFE - LEAD <= now:
            later = [self._new(now + LEAD)]
        keep = [one for one in stored if one.starts < used.starts and used.starts + KEPT > now]
        return self._put([*keep, used, *later], stored)

    def rotate(self, *, at_once: bool = False) -> None:
        """A new key, in use once readers can know it; `at_once`: from now on, and those until now are
        trusted no more, nor any token that they signed. Raises Unavailable, InvalidParams when the next one
        is published already."""
        stored = self._read()
        now = self._clock.now()
        if at_once:
            self._put([self._new(now)], stored)
            return
        later = [one for one in stored if one.starts > now]
        if later:
            raise InvalidParams(
                f"The next key is published already, and signs in {int(later[0].starts - now) + 1} s.",
                remedy="Wait for it, or change keys at once: tokens that are out then end.",
            )
        self._put([*stored, self._new(now + LEAD)], stored)

    def _in_use(self, stored: list[_Stored]) -> _Stored:
        now = self._clock.now()
        begun = [one for one in stored if one.starts <= now]
        # A clock that went back finds none: the oldest is the one that everybody knows.
        return max(begun, key=lambda one: one.starts) if begun else min(stored, key=lambda one: one.starts)

    def _new(self, starts: float) -> _Stored:
        return _Stored(p256.draw(self._entropy).hex(), starts)

    def _key(self, stored: _Stored) -> ECKey:
        known = self._keys.get(stored.secret)
        if known is None:
            known = self._keys[stored.secret] = _key(stored.secret)
        return known

    def _put(self, stored: list[_Stored], before: list[_Stored]) -> bool:
        if stored == before:
            return False
        try:
            private_file.replace(self._path, msgspec.json.encode(_File(stored)), self._entropy)
        except OSError as error:
            raise self._cannot(error) from None
        self._stored = stored
        self._keys = {one.secret: self._key(one) for one in stored}
        return True

    def _read(self) -> list[_Stored]:
        if self._stored:
            return self._stored
        try:
            if not os.path.lexists(self._path):
                first = msgspec.json.encode(_File([self._new(self._clock.now())]))
                private_file.create(self._path, first, self._entropy)
            data = private_file.read(
                self._path,
                "the keys that sign tokens, so tokens prove nothing",
                "move it away: new keys are made, and everybody signs in again.",
            )
            self._stored = msgspec.json.decode(data, type=_File).keys
        except OSError as error:
            raise self._cannot(error) from None
        except msgspec.MsgspecError as error:
            raise Unavailable(
                f"The keys of tokens {self._path} are damaged: {error}.",
                remedy="Restore the file from a backup, or move it away: new keys are made, and tokens that "
                "are out end.",
            ) from None
        return self._stored

    def _cannot(self, error: OSError) -> Unavailable:
        return Unavailable(
            f"The keys of tokens {self._path} can't be used: {error.strerror or error}.",
            remedy="Make it a plain file that belongs to the user who runs the platform, with space left.",
        )


def _key(secret: str) -> ECKey:
    from joserfc.jwk import ECKey

    raw = bytes.fromhex(secret)
    return ECKey.import_key({**p256.public_jwk(p256.private(raw)), "d": b64url(raw).decode()})
