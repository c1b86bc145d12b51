"""Values sealed at rest with AES-256-GCM under the key of `key.py`. The place that a value is for is bound
into it, so that a row moved to another place opens nothing."""

from __future__ import annotations

from functools import cached_property
from typing import TYPE_CHECKING

from a2a_cloud.model.ports import Entropy

if TYPE_CHECKING:
    from cryptography.hazmat.primitives.ciphers.aead import AESGCM

_NONCE = 12


class Seal:
    """Seals and opens. `key`: 32 bytes, as `open_key` gives them."""

    __slots__ = ("__dict__", "_entropy", "_key")

    def __init__(self, key: bytes, entropy: Entropy) -> None:
        self._key = key
        self._entropy = entropy

    @cached_property
    def _cipher(self) -> AESGCM:
        # Made at first use: the library is large, and most platforms seal nothing.
        from cryptography.hazmat.primitives.ciphers.aead import AESGCM

        return AESGCM(self._key)

    def close(self, value: bytes, place: str) -> bytes:
        """`value`, sealed for `place`: a text that names row and version."""
        nonce = self._entropy.bytes(_NONCE)
        return nonce + self._cipher.encrypt(nonce, value, place.encode())

    def open(self, sealed: bytes, place: str) -> bytes:
        """What was sealed for `place`. Raises ValueError when it wasn't, or not with this key."""
        from cryptography.exceptions import InvalidTag

        try:
            return self._cipher.decrypt(sealed[:_NONCE], sealed[_NONCE:], place.encode())
        except InvalidTag:
            raise ValueError("The sealed value can't be opened.") from None
