"""DPoP (RFC 9449): proofs that who shows a token holds the key that it is bound to, each good once.

Proofs are remembered for as long as they could be shown again. A proof from before the platform's start may
have been shown to the life before: it is asked for again, with a nonce (section 8).
"""

from __future__ import annotations

import hmac
import math
from hashlib import sha256
from typing import Any, cast
from urllib.parse import urlsplit

from a2a_cloud.model.ports import Clock, Entropy
from a2a_cloud.wire.canonical import parse_strict
from a2a_cloud.wire.jcs import jcs
from a2a_cloud.wire.jws import SignatureError, b64url, b64url_decode

ALGORITHMS = ("ES256", "ES384", "EdDSA", "Ed25519", "PS256")
#: Seconds that the client's clock may be off, either way.
SKEW = 60
_MAX_PROOF = 8 << 10
_KEPT = 50_000
_MEMBERS = {"EC": ("crv", "kty", "x", "y"), "OKP": ("crv", "kty", "x"), "RSA": ("e", "kty", "n")}


class ProofRefused(Exception):
    """Why, in a sentence that may be shown. `nonce`: a proof with this nonce will do."""

    def __init__(self, why: str, nonce: str = "") -> None:
        super().__init__(why)
        self.nonce = nonce


class Proofs:
    """Checks proofs, and remembers them."""

    def __init__(self, clock: Clock, entropy: Entropy) -> None:
        self._clock = clock
        self._secret = entropy.bytes(32)
        self._began = clock.now()
        self._seen: dict[bytes, float] = {}

    def nonce(self) -> str:
        """One that proofs may carry for the next minute or two."""
        return self._nonce(math.floor(self._clock.now() / SKEW))

    def _nonce(self, slot: int) -> str:
        return b64url(hmac.digest(self._secret, str(slot).encode(), "sha256")[:16]).decode()

    def check(self, proof: str, method: str, url: str, token: str = "") -> str:
        """The thumbprint (RFC 7638) of the key that made it. `token`: the access token that it goes with.
        Raises ProofRefused."""
        key, claims = _read(proof)
        now = self._clock.now()
        nonce, made, jti = claims.get("nonce"), claims.get("iat"), claims.get("jti")
        if not isinstance(made, int | float) or isinstance(made, bool) or not math.isfinite(made):
            raise ProofRefused("The DPoP proof has no time (iat).")
        if not isinstance(jti, str) or not 1 <= len(jti) <= 200:
            raise ProofRefused("The DPoP proof has no identifier (jti).")
        if claims.get("htm") != method:
            raise ProofRefused("The DPoP proof is for another HTTP method.")
        if _plain(claims.get("htu")) != _plain(url):
            raise ProofRefused("The DPoP proof is for another address.")
        if token and claims.get("ath") != b64url(sha256(token.encode()).digest()).decode():
            raise ProofRefused("The DPoP proof is for another token.")
        if nonce is not None:
            slot = math.floor(now / SKEW)
            if nonce not in (self._nonce(slot), self._nonce(slot - 1)):
                raise ProofRefused("The nonce of the DPoP proof is over.", self.nonce())
        elif made < self._began:
            raise ProofRefused("The DPoP proof needs a nonce.", self.nonce())
        elif abs(now - made) > SKEW:
            # A nonce tells a client whose clock is off what time it is here.
            raise ProofRefused(f"The DPoP proof is more than {SKEW} s off.", self.nonce())
        jkt = thumbprint(key)
        self._once(sha256(f"{jkt} {jti}".encode()).digest(), now)
        return jkt

    def _once(self, mark: bytes, now: float) -> None:
        until = self._seen.get(mark)
        if until is not None and until > now:
            raise ProofRefused("The DPoP proof was shown before.")
        if len(self._seen) >= _KEPT:
            self._seen = {seen: until for seen, until in self._seen.items() if until > now}
            if len(self._seen) >= _KEPT:  # To forget one would be to take it twice.
                raise ProofRefused("Too many DPoP proofs came at once. Try again in a minute.")
        self._seen[mark] = now + 3 * SKEW


def thumbprint(jwk: dict[str, Any]) -> str:
    """RFC 7638: what names a public key. Raises ValueError."""
    members = _MEMBERS.get(str(jwk.get("kty")))
    if members is None or not all(isinstance(jwk.get(name), str) for name in members):
        raise ValueError("the key is of no kind that is known")
    return b64url(sha256(jcs({name: jwk[name] for name in members})).digest()).decode()


def _read(proof: str) -> tuple[dict[str, Any], dict[str, Any]]:
    """The key in the proof's header, and what it says; its signature is good."""
    from a2a_cloud.wire import jws_any  # Few callers send proofs.

    parts = proof.split(".")
    if len(proof) > _MAX_PROOF or len(parts) != 3:
        raise ProofRefused("The DPoP header is no proof.")
    try:
        header: Any = parse_strict(b64url_decode(parts[0]))
        payload = b64url_decode(parts[1])
        fields, claims = cast("dict[str, Any]", header), parse_json(payload)
        if not isinstance(header, dict) or fields.get("typ") != "dpop+jwt":
            raise ProofRefused("The DPoP proof has another type than dpop+jwt.")
        key: Any = fields.get("jwk")
        if fields.get("alg") not in ALGORITHMS or not isinstance(key, dict):
            raise ProofRefused("The DPoP proof has no key, or an algorithm that is not taken.")
        jwk = cast("dict[str, Any]", key)
        if {"d", "p", "q", "k", "dp", "dq", "qi", "oth"} & jwk.keys():
            raise ProofRefused("The DPoP proof holds a private key. Make a new one: this one is known now.")
        thumbprint(jwk)
        jws_any.check(payload, parts[0], parts[2], jwk)
    except (SignatureError, ValueError) as error:
        raise ProofRefused(f"The DPoP proof is not good: {error}.") from None
    return jwk, claims


def parse_json(data: bytes) -> dict[str, Any]:
    """A JSON object, floats allowed as claims may hold them. Raises ValueError."""
    import msgspec

    try:
        found: Any = msgspec.json.decode(data)
    except msgspec.DecodeError as error:
        raise ValueError(f"it is no JSON: {error}") from None
    if not isinstance(found, dict):
        raise ValueError("it is no JSON object")
    return cast("dict[str, Any]", found)


def _plain(url: object) -> tuple[str, str, int | None, str] | None:
    """An address as proofs are compared: without query and fragment, the usual port left out."""
    if not isinstance(url, str) or len(url) > 4096:
        return None
    try:
        parts = urlsplit(url)
        port = parts.port
    except ValueError:
        return None
    if port == {"http": 80, "https": 443}.get(parts.scheme):
        port = None
    return parts.scheme, parts.hostname or "", port, parts.path.rstrip("/")
