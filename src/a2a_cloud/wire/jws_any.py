"""Checking a detached JWS of anybody (RFC 7515), with the asymmetric algorithms that cards are signed with.

ES256, ES384, ES512, RS256 and its kin, PS256 and its kin, Ed25519 (also as EdDSA, RFC 8037 and 9864). The
algorithm has to fit the key: `none` and shared secrets are no signatures here. `cryptography` is loaded
with the first check.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, cast

from a2a_cloud.wire.canonical import parse_strict
from a2a_cloud.wire.jws import MAX_HEADER, Jwk, SignatureError, b64url, b64url_decode

_CURVES = {"ES256": "P-256", "ES384": "P-384", "ES512": "P-521"}
_SIZES = {"P-256": 32, "P-384": 48, "P-521": 66}
_EDWARDS = ("EdDSA", "Ed25519")
_LEAST_RSA = 2048
ALGORITHMS = frozenset({*_CURVES, *_EDWARDS, "RS256", "RS384", "RS512", "PS256", "PS384", "PS512"})


def read_protected(protected: str) -> dict[str, Any]:
    """The protected header. Raises SignatureError unless `alg` is one of ALGORITHMS and nothing critical
    is demanded."""
    if len(protected) > 4 * MAX_HEADER:
        raise SignatureError("the protected header is too long")
    try:
        header = parse_strict(b64url_decode(protected))
    except ValueError as error:
        raise SignatureError(f"the protected header is unreadable: {error}") from None
    if not isinstance(header, dict):
        raise SignatureError("the protected header is not an object")
    fields = cast("dict[str, Any]", header)
    if fields.get("alg") not in ALGORITHMS:
        raise SignatureError(f"the algorithm {str(fields.get('alg'))[:20]!r} is not one that is trusted")
    if "crit" in fields or fields.get("b64") is False:
        raise SignatureError("the protected header demands an extension that is not known")
    return fields


def check(payload: bytes, protected: str, signature: str, jwk: Jwk) -> None:
    """Raises SignatureError unless `signature` is that of the public key `jwk` over `payload`."""
    from cryptography.exceptions import InvalidSignature

    header = read_protected(protected)
    try:
        raw = b64url_decode(signature)
        signed = protected.encode() + b"." + b64url(payload)
        _verify(str(header["alg"]), jwk, raw, signed)
    except InvalidSignature:
        raise SignatureError("the signature is not that of the key over these bytes") from None
    except (ValueError, TypeError, KeyError) as error:
        raise SignatureError(f"the key or the signature can't be used: {error}") from None


def _verify(algorithm: str, jwk: Jwk, raw: bytes, signed: bytes) -> None:
    from cryptography.hazmat.primitives import hashes
    from cryptography.hazmat.primitives.asymmetric import ec, ed25519, padding, rsa
    from cryptography.hazmat.primitives.asymmetric.utils import encode_dss_signature

    if jwk.get("alg", algorithm) != algorithm and not {jwk.get("alg"), algorithm} <= set(_EDWARDS):
        raise ValueError(f"the key is for {jwk.get('alg')}")
    if jwk.get("use", "sig") != "sig":
        raise ValueError("the key is not for signatures")
    if algorithm in _EDWARDS:
        _expect(jwk, kty="OKP", crv="Ed25519")
        ed25519.Ed25519PublicKey.from_public_bytes(_bytes(jwk, "x")).verify(raw, signed)
        return
    digest = {"256": hashes.SHA256, "384": hashes.SHA384, "512": hashes.SHA512}[algorithm[2:]]()
    if algorithm in _CURVES:
        curve = _CURVES[algorithm]
        _expect(jwk, kty="EC", crv=curve)
        size = _SIZES[curve]
        if len(raw) != 2 * size:
            raise ValueError(f"a signature of {algorithm} has {2 * size} bytes")
        kind = {"P-256": ec.SECP256R1, "P-384": ec.SECP384R1, "P-521": ec.SECP521R1}[curve]()
        numbers = ec.EllipticCurvePublicNumbers(_number(jwk, "x"), _number(jwk, "y"), kind)
        pair = encode_dss_signature(int.from_bytes(raw[:size]), int.from_bytes(raw[size:]))
        numbers.public_key().verify(pair, signed, ec.ECDSA(digest))
        return
    _expect(jwk, kty="RSA")
    modulus = _number(jwk, "n")
    if modulus.bit_length() < _LEAST_RSA:
        raise ValueError(f"the RSA key has less than {_LEAST_RSA} bits")
    key = rsa.RSAPublicNumbers(_number(jwk, "e"), modulus).public_key()
    pad = padding.PKCS1v15() if algorithm[0] == "R" else padding.PSS(padding.MGF1(digest), digest.digest_size)
    key.verify(raw, signed, pad, digest)


def _expect(jwk: Jwk, **members: str) -> None:
    for name, value in members.items():
        if jwk.get(name) != value:
            raise ValueError(f"the key's {name} is not {value}")


def _bytes(jwk: Mapping[str, object], name: str) -> bytes:
    value = jwk.get(name)
    if not isinstance(value, str):
        raise ValueError(f"the key has no {name}")
    return b64url_decode(value)


def _number(jwk: Mapping[str, object], name: str) -> int:
    return int.from_bytes(_bytes(jwk, name))
