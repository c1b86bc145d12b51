"""The key that signs agent cards: ES256, which every verifier of A2A cards knows (RFC 7518, 3.4).

`keys/card.jwk` in the data folder is the private key, made when a card or the key set is first asked for.
Moved away, a new one is made at the next start; cards are signed anew with it, and readers fetch it by the
new `kid`. Signatures are deterministic (RFC 6979), so that the same card has the same bytes and ETag.
"""

from __future__ import annotations

import json
import os
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING, Any, cast

from a2a_cloud.control.identity import p256
from a2a_cloud.model.ports import Entropy
from a2a_cloud.model.problem import Unavailable
from a2a_cloud.ops import private_file
from a2a_cloud.wire.jws import b64url, b64url_decode

if TYPE_CHECKING:
    from cryptography.hazmat.primitives.asymmetric.ec import EllipticCurvePrivateKey

KEY_FILE = "card.jwk"


class CardKey:
    """The signer of cards. Nothing is read or made before it is asked for something."""

    def __init__(self, folder: Path, entropy: Entropy) -> None:
        """`folder` is that of the platform's keys, which exists."""
        self._path = folder / KEY_FILE
        self._entropy = entropy

    @property
    def kid(self) -> str:
        """The key's id: its RFC 7638 thumbprint. Raises Unavailable."""
        return self.jwk["kid"]

    @cached_property
    def jwk(self) -> dict[str, str]:
        """The public key. Raises Unavailable."""
        return p256.public_jwk(self._key)

    def sign(self, data: bytes) -> bytes:
        """The signature of `data` as JWS writes it: r and s, 32 bytes each. Raises Unavailable."""
        from cryptography.hazmat.primitives.asymmetric.ec import ECDSA
        from cryptography.hazmat.primitives.asymmetric.utils import decode_dss_signature
        from cryptography.hazmat.primitives.hashes import SHA256

        r, s = decode_dss_signature(self._key.sign(data, ECDSA(SHA256(), deterministic_signing=True)))
        return r.to_bytes(p256.SIZE) + s.to_bytes(p256.SIZE)

    @cached_property
    def _key(self) -> EllipticCurvePrivateKey:
        stored = self._stored()
        try:
            found: Any = json.loads(stored)
            return p256.private(b64url_decode(str(cast("dict[str, Any]", found)["d"])))
        except (ValueError, TypeError, KeyError) as error:
            raise Unavailable(
                f"The card key {self._path} is damaged: {error}.",
                remedy="Move it away: a new one is made at the next start, and cards are signed with it.",
            ) from None

    def _stored(self) -> bytes:
        """What is in the file, which is made first where there is none."""
        try:
            if not os.path.lexists(self._path):
                secret = b64url(p256.draw(self._entropy)).decode()
                text = json.dumps({"kty": "EC", "crv": "P-256", "d": secret})
                private_file.create(self._path, text.encode() + b"\n", self._entropy)
            return private_file.read(
                self._path,
                "the key that signs cards, so what it signs proves nothing",
                "move it away, and a new key is made at the next start.",
            )
        except OSError as error:
            raise Unavailable(
                f"The key {self._path} can't be used: {error.strerror or error}.",
                remedy="Make it a plain file that belongs to the user who runs the platform, on a disk with "
                "space.",
            ) from None
