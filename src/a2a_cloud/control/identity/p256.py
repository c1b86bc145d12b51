"""Keys on P-256 (RFC 7518, section 6.2): drawn, and written as JWK members with their thumbprint."""

from __future__ import annotations

from hashlib import sha256
from typing import TYPE_CHECKING

from a2a_cloud.model.ports import Entropy
from a2a_cloud.wire.jcs import jcs
from a2a_cloud.wire.jws import b64url

if TYPE_CHECKING:
    from cryptography.hazmat.primitives.asymmetric.ec import EllipticCurvePrivateKey

#: Bytes of a private key, and of each coordinate of a public one.
SIZE = 32
#: The order of the group; a private key is a number from 1 to one below it.
_ORDER = 0xFFFFFFFF00000000FFFFFFFFFFFFFFFFBCE6FAADA7179E84F3B9CAC2FC632551


def draw(entropy: Entropy) -> bytes:
    """A new private key, SIZE bytes."""
    # 16 bytes more than needed: the remainder is as good as even.
    return (int.from_bytes(entropy.bytes(SIZE + 16)) % (_ORDER - 1) + 1).to_bytes(SIZE)


def private(secret: bytes) -> EllipticCurvePrivateKey:
    """The key of a secret. Raises ValueError for what is none."""
    from cryptography.hazmat.primitives.asymmetric.ec import SECP256R1, derive_private_key

    return derive_private_key(int.from_bytes(secret), SECP256R1())


def public_jwk(key: EllipticCurvePrivateKey) -> dict[str, str]:
    """The public key as a JWK for ES256, with its RFC 7638 thumbprint as `kid`."""
    public = key.public_key().public_numbers()
    members = {
        "crv": "P-256",
        "kty": "EC",
        "x": b64url(public.x.to_bytes(SIZE)).decode(),
        "y": b64url(public.y.to_bytes(SIZE)).decode(),
    }
    kid = b64url(sha256(jcs(members)).digest()).decode()
    return {**members, "kid": kid, "use": "sig", "alg": "ES256"}
