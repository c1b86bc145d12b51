"""The key that signs agent cards: ES256, which every verifier of A2A cards knows (RFC 7518, 3.4).

`keys/card.jwk` in the data folder is the private key, made when a card or the key set is first asked for.
Moved away, a new one is made at the next start; cards are signed anew with it, and readers fetch it by the
new `kid`. Signatures are deterministic (RFC 6979), so that the same card has the same bytes and ETag.
"""

from __future__ import annotations

import json
import os
from functools import cached_property
from hashlib import sha256
from pathlib import Path
from typing import TYPE_CHECKING, Any, cast

from a2a_cloud.model.ports import Entropy
from a2a_cloud.model.problem import Unavailable
from a2a_cloud.ops import private_file
from a2a_cloud.wire.jcs import jcs
from a2a_cloud.wire.jws import b64url, b64url_decode

if TYPE_CHECKING:
    from cryptography.hazmat.primitives.asymmetric.ec import EllipticCurvePrivateKey

KEY_FILE = "card.jwk"
_SIZE = 32
#: The order of P-256's group; a private key is a number from 1 to one below it.
_ORDER = 0xFFFFFFFF00000000FFFFFFFFFFFFFFFFBCE6FAADA7179E84F3B9CAC2FC632551


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
        public = self._key.public_key().public_numbers()
        members = {
            "crv": "P-256",
            "kty": "EC",
            "x": b64url(public.x.to_bytes(_SIZE)).decode(),
            "y": b64url(public.y.to_bytes(_SIZE)).decode(),
        }
        kid = b64url(sha256(jcs(members)).digest()).decode()
        return {**members, "kid": kid, "use": "sig", "alg": "ES256"}

    def sign(self, data: bytes) -> bytes:
        """The signature of `data` as JWS writes it: r and s, 32 bytes each. Raises Unavailable."""
        from cryptography.hazmat.primitives.asymmetric.ec import ECDSA
        from cryptography.hazmat.primitives.asymmetric.utils import decode_dss_signature
        from cryptography.hazmat.primitives.hashes import SHA256

        r, s = decode_dss_signature(self._key.sign(data, ECDSA(SHA256(), deterministic_signing=True)))
        return r.to_bytes(_SIZE) + s.to_bytes(_SIZE)

    @cached_property
    def _key(self) -> EllipticCurvePrivateKey:
        from cryptography.hazmat.primitives.asymmetric.ec import SECP256R1, derive_private_key

        stored = self._stored()
        try:
            found: Any = json.loads(stored)
            secret = int.from_bytes(b64url_decode(str(cast("dict[str, Any]", found)["d"])))
            return derive_private_key(secret, SECP256R1())
        except (ValueError, TypeError, KeyError) as error:
            raise Unavailable(
                f"The card key {self._path} is damaged: {error}.",
                remedy="Move it away: a new one is made at the next start, and cards are signed with it.",
            ) from None

    def _stored(self) -> bytes:
        """What is in the file, which is made first where there is none."""
        try:
            if not os.path.lexists(self._path):
                # 16 bytes more than needed: the remainder is as good as even.
                secret = int.from_bytes(self._entropy.bytes(_SIZE + 16)) % (_ORDER - 1) + 1
                text = json.dumps({"kty": "EC", "crv": "P-256", "d": b64url(secret.to_bytes(_SIZE)).decode()})
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
