"""Detached JWS over bytes with Ed25519 (RFC 7515 appendix F, RFC 8037, RFC 9864) and its keys.

For receipts; cards are signed with ES256 (wire/card_signature). A key's id is its RFC 7638
thumbprint, so an id cannot name two keys.
Signing goes through libsodium (24 µs; it releases the GIL); the header is encoded once per key.
"""

from __future__ import annotations

import binascii
import json
from collections.abc import Iterable, Mapping
from hashlib import sha256
from typing import Final, cast

from nacl.bindings import crypto_sign, crypto_sign_open, crypto_sign_seed_keypair
from nacl.exceptions import BadSignatureError

from a2a_cloud.model.problem import InvalidParams
from a2a_cloud.wire.canonical import canonical, parse_strict

ALGORITHM: Final = "Ed25519"
#: A protected header longer than this is refused unread.
MAX_HEADER = 1024
#: A set of keys longer than this is refused unread.
MAX_JWKS = 1 << 20

_URLSAFE = bytes.maketrans(b"+/", b"-_")
_STANDARD = bytes.maketrans(b"-_", b"+/")
_ALPHABET = frozenset("ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_")

Jwk = Mapping[str, object]


class SignatureError(ValueError):
    """A signature that does not hold; the text says why."""


def b64url(data: bytes) -> bytes:
    """Base64url without padding."""
    return binascii.b2a_base64(data, newline=False).rstrip(b"=").translate(_URLSAFE)


def b64url_decode(text: str) -> bytes:
    """The bytes of base64url without padding. Raises ValueError on any other spelling of them."""
    if not _ALPHABET.issuperset(text):
        raise ValueError("not base64url")
    try:
        data = binascii.a2b_base64(text.encode().translate(_STANDARD) + b"=" * (-len(text) % 4))
    except binascii.Error:
        raise ValueError("not base64url") from None
    if b64url(data).decode() != text:
        # The last character has spare bits; only zeros there are the one right spelling.
        raise ValueError("not base64url in its one right spelling")
    return data


def thumbprint(public: bytes) -> str:
    """The RFC 7638 thumbprint (SHA-256, base64url) of a 32-byte Ed25519 public key."""
    return b64url(
        sha256(canonical({"crv": ALGORITHM, "kty": "OKP", "x": b64url(public).decode()})).digest()
    ).decode()


class Signer:
    """A private key that signs. `kid`, `public` (32 bytes) and `protected` are fixed at birth."""

    __slots__ = ("_lead", "_secret", "_seed", "kid", "protected", "public")

    def __init__(self, seed: bytes) -> None:
        """From a 32-byte private key. Raises ValueError on another length."""
        if len(seed) != 32:
            raise ValueError("an Ed25519 private key has 32 bytes")
        self.public, self._secret = crypto_sign_seed_keypair(seed)
        self._seed = seed
        self.kid = thumbprint(self.public)
        lead = b64url(canonical({"alg": ALGORITHM, "kid": self.kid}))
        self.protected = lead.decode()
        self._lead = lead + b"."

    def sign(self, payload: bytes) -> str:
        """The detached signature over `payload` under `protected`, in base64url."""
        signed = crypto_sign(self._lead + b64url(payload), self._secret)
        return b64url(signed[:64]).decode()

    def sign_raw(self, data: bytes) -> bytes:
        """The 64 bytes of the signature over `data` as it is: for formats that are no JWS (wire/note)."""
        return crypto_sign(data, self._secret)[:64]

    def jwk(self) -> dict[str, str]:
        """The public key."""
        return public_jwk(self.public)

    @property
    def seed(self) -> bytes:
        """The private key, for the process that signs."""
        return self._seed

    def private_jwk(self) -> dict[str, str]:
        """The private key. It is for the key file alone."""
        return {**self.jwk(), "d": b64url(self._seed).decode()}

    def __repr__(self) -> str:
        return f"Signer(kid={self.kid!r})"


def public_jwk(public: bytes) -> dict[str, str]:
    """The JWK (RFC 8037) of a 32-byte public key."""
    return {
        "kty": "OKP",
        "crv": ALGORITHM,
        "x": b64url(public).decode(),
        "kid": thumbprint(public),
        "use": "sig",
        "alg": ALGORITHM,
    }


def public_key(jwk: Jwk) -> bytes:
    """The 32 bytes of an Ed25519 JWK. Raises ValueError on any other, or on a damaged one."""
    if jwk.get("kty") != "OKP" or jwk.get("crv") != ALGORITHM:
        raise ValueError("not an Ed25519 key")
    return _member(jwk, "x")


def private_key(jwk: Jwk) -> Signer:
    """The signer of a private JWK. Raises ValueError when its parts do not belong together."""
    public = public_key(jwk)
    signer = Signer(_member(jwk, "d"))
    if signer.public != public:
        raise ValueError("the public part belongs to another key than the private part")
    if jwk.get("kid", signer.kid) != signer.kid:
        raise ValueError("its kid is not the thumbprint of its key")
    return signer


def _member(jwk: Jwk, name: str) -> bytes:
    value = jwk.get(name)
    if not isinstance(value, str) or len(value) != 43:
        raise ValueError(f"{name} is not 32 bytes in base64url")
    return b64url_decode(value)


def read_jwks(data: bytes) -> list[Jwk]:
    """The keys of a file that holds a JWK set or a single JWK. Raises InvalidParams."""
    remedy = "Fetch the platform's keys from /.well-known/jwks.json."
    if len(data) > MAX_JWKS:
        raise InvalidParams("The key file is larger than 1 MiB.", remedy=remedy)
    try:
        parsed = parse_strict(data)
    except ValueError as error:
        raise InvalidParams(f"The key file is not a JWK set: {error}.", remedy=remedy) from None
    if isinstance(parsed, dict):
        found = cast("dict[str, object]", parsed)
        keys = found.get("keys", [found] if "kty" in found else None)
        if isinstance(keys, list) and all(isinstance(key, dict) for key in cast("list[object]", keys)):
            return cast("list[Jwk]", keys)
    raise InvalidParams("The key file is not a JWK set.", remedy=remedy)


def by_kid(jwks: Iterable[Jwk]) -> dict[str, bytes]:
    """Public keys by thumbprint. Keys of other kinds are left out; a `kid` that is not its key's
    thumbprint is not believed."""
    found: dict[str, bytes] = {}
    for jwk in jwks:
        try:
            public = public_key(jwk)
        except ValueError:
            continue
        found[thumbprint(public)] = public
    return found


def read_header(protected: str) -> str:
    """The kid of a protected header. Raises SignatureError unless it is exactly alg and kid."""
    if len(protected) > MAX_HEADER:
        raise SignatureError("the protected header is too long")
    try:
        header = parse_strict(b64url_decode(protected))
    except ValueError as error:
        raise SignatureError(f"the protected header is unreadable: {error}") from None
    if not isinstance(header, dict):
        raise SignatureError("the protected header is not an object")
    fields = cast("dict[str, object]", header)
    if fields.get("alg") != ALGORITHM:
        raise SignatureError(f"the algorithm is {json.dumps(fields.get('alg'))[:40]}, not {ALGORITHM}")
    if "crit" in fields:
        raise SignatureError("the protected header demands an extension (crit) that is not known")
    kid = fields.get("kid")
    if not isinstance(kid, str) or set(fields) != {"alg", "kid"}:
        raise SignatureError("the protected header is not exactly alg and kid")
    return kid


def read_signature(signature: str) -> bytes:
    """The 64 bytes of a signature. Raises SignatureError."""
    if len(signature) != 86:
        raise SignatureError("the signature is not 64 bytes in base64url")
    try:
        return b64url_decode(signature)
    except ValueError as error:
        raise SignatureError(f"the signature is {error}") from None


def verify(payload: bytes, protected: str, signature: str, keys: Mapping[str, bytes]) -> str:
    """The kid of the key in `keys` (by thumbprint) that signed `payload`. Raises SignatureError."""
    kid = read_header(protected)
    raw = read_signature(signature)
    public = keys.get(kid)
    if public is None:
        raise SignatureError(f"it is signed with key {kid}, which is not among the given keys")
    try:
        crypto_sign_open(raw + protected.encode() + b"." + b64url(payload), public)
    except BadSignatureError:
        raise SignatureError(f"the signature is not that of key {kid} over these bytes") from None
    return kid
