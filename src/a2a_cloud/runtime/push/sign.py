"""The signature of a notification: a JWT (RFC 7519) over the body's hash, by a key of the platform that its
JWKS holds, so that a receiver can check who sent it and that nobody changed it (A2A 1.0, section 13.2).

It stands in a header of its own, because `Authorization` is the receiver's: docs/push.md shows how to
check it. Only ES256, which every library of JWTs knows.
"""

from __future__ import annotations

from hashlib import sha256
from typing import Protocol

import msgspec

from a2a_cloud.wire.jws import b64url

SIGNATURE = "A2A-Notification-Signature"
#: Seconds for which a signature is good.
GOOD_FOR = 300

_encode = msgspec.json.Encoder().encode


class Key(Protocol):
    """An ES256 key that the platform's JWKS holds."""

    @property
    def kid(self) -> str: ...

    def sign(self, data: bytes) -> bytes:
        """r and s, 32 bytes each."""
        ...


def signature(key: Key, *, issuer: str, audience: str, subject: str, id: str, at: float, body: bytes) -> str:  # noqa: A002 (the claim's name)
    """The header's value. `issuer`: the platform's address; `audience`: the receiver's, as configured;
    `subject`: the task; `id`: the notification's, the same for each attempt; `at`: wall seconds."""
    issued = int(at)
    head = _encode({"alg": "ES256", "kid": key.kid, "typ": "JWT"})
    claims = _encode(
        {
            "iss": issuer,
            "aud": audience,
            "sub": subject,
            "jti": id,
            "iat": issued,
            "exp": issued + GOOD_FOR,
            "request_body_sha256": sha256(body).hexdigest(),
        }
    )
    signing = b64url(head) + b"." + b64url(claims)
    return (signing + b"." + b64url(key.sign(signing))).decode()
