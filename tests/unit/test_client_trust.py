"""A card's signature: by whose key, over what, and what is believed afterwards."""

from __future__ import annotations

import json
from typing import Any

import pytest
from cryptography.hazmat.primitives.asymmetric import rsa
from joserfc import jws
from joserfc.jwk import ECKey, OKPKey, RSAKey

from a2a_cloud.client.a2a_trust import vouched
from a2a_cloud.client.errors import Untrusted
from a2a_cloud.wire.jcs import jcs
from a2a_cloud.wire.jws import SignatureError, b64url
from a2a_cloud.wire.jws_any import ALGORITHMS, check, read_protected

CARD: dict[str, Any] = {
    "name": "echo",
    "description": "",
    "version": "1.0.0",
    "url": "http://old.example",
    "supportedInterfaces": [
        {"url": "http://new.example", "protocolBinding": "JSONRPC", "protocolVersion": "1.0"}
    ],
    "capabilities": {"streaming": True, "stateTransitionHistory": True, "extensions": []},
    "defaultInputModes": ["text/plain"],
    "defaultOutputModes": ["text/plain"],
    "skills": [{"id": "s", "name": "s", "description": "ö", "tags": []}],
    "securitySchemes": {
        "b": {"httpAuthSecurityScheme": {"scheme": "Bearer"}, "type": "http", "scheme": "bearer"}
    },
}


def keys() -> dict[str, Any]:
    """A private key for each algorithm."""
    found: dict[str, Any] = {"Ed25519": OKPKey.generate_key("Ed25519", {"kid": "Ed25519"})}
    for algorithm, curve in (("ES256", "P-256"), ("ES384", "P-384"), ("ES512", "P-521")):
        found[algorithm] = ECKey.generate_key(curve, {"kid": algorithm})
    one = RSAKey.generate_key(2048, {"kid": "rsa"})
    return found | dict.fromkeys(("RS256", "RS384", "RS512", "PS256", "PS384", "PS512"), one)


KEYS = keys()


def signature(payload: bytes, algorithm: str = "ES256", **header: Any) -> dict[str, str]:
    key = KEYS[algorithm]
    protected = {"alg": algorithm, "kid": key.as_dict()["kid"], **header}
    registry = jws.JWSRegistry(
        algorithms=list(ALGORITHMS - {"EdDSA"}), header_registry={}, strict_check_header=False
    )
    compact = jws.serialize_compact(protected, payload, key, registry=registry)
    head, _, sig = compact.split(".")
    return {"protected": head, "signature": sig}


def public(algorithm: str = "ES256") -> dict[str, Any]:
    return KEYS[algorithm].as_dict(private=False)


def believed(*jwks: dict[str, Any]) -> Any:
    return lambda _kid, _jku: list(jwks)


@pytest.mark.parametrize("algorithm", sorted(ALGORITHMS - {"EdDSA"}))
def test_every_algorithm(algorithm: str) -> None:
    card = {**CARD, "signatures": [signature(jcs(CARD), algorithm)]}
    proof = vouched(card, believed(public(algorithm)))
    assert (proof.algorithm, proof.document) == (algorithm, CARD)


def test_what_was_signed_is_what_counts() -> None:
    known = {name: value for name, value in CARD.items() if name != "url"}
    known["capabilities"] = {"streaming": True, "extensions": []}
    known["securitySchemes"] = {"b": {"httpAuthSecurityScheme": {"scheme": "Bearer"}}}
    proof = vouched({**CARD, "signatures": [signature(jcs(known))]}, believed(public()))
    assert "url" not in proof.document  # nobody vouches for it
    assert proof.document == known
    filled = {
        **{name: value for name, value in known.items() if name != "description"},
        "capabilities": {"streaming": True},
        "skills": [{"id": "s", "name": "s", "description": "ö"}],
    }
    assert vouched({**CARD, "signatures": [signature(jcs(filled))]}, believed(public())).document == filled


@pytest.mark.parametrize(
    "change",
    [
        {"name": "other"},
        {"supportedInterfaces": [{**CARD["supportedInterfaces"][0], "url": "http://evil.example"}]},
        {"skills": []},
    ],
    ids=["name", "address", "skills"],
)
def test_a_changed_card_is_refused(change: dict[str, Any]) -> None:
    with pytest.raises(Untrusted) as refused:
        vouched({**CARD, **change, "signatures": [signature(jcs(CARD))]}, believed(public()))
    assert refused.value.wrong


def test_a_key_that_is_not_believed_is_no_proof() -> None:
    signed = {**CARD, "signatures": [signature(jcs(CARD))]}
    with pytest.raises(Untrusted) as refused:
        vouched(signed, believed())
    assert not refused.value.wrong
    stranger = ECKey.generate_key("P-256", {"kid": public()["kid"]}).as_dict(private=False)
    with pytest.raises(Untrusted) as refused:
        vouched(signed, believed(stranger))
    assert refused.value.wrong
    with pytest.raises(Untrusted):
        vouched(CARD, believed(public()))


def test_one_signature_that_holds_is_enough() -> None:
    signatures = [{"protected": "!", "signature": "x"}, signature(b"other"), signature(jcs(CARD), "Ed25519")]
    assert vouched({**CARD, "signatures": signatures}, believed(public(), public("Ed25519"))).kid == "Ed25519"


@pytest.mark.parametrize(
    "header",
    [
        {"alg": "none"},
        {"alg": "HS256"},
        {"alg": "ES256", "crit": ["x"]},
        {"alg": "ES256", "b64": False},
        {},
        [],
    ],
    ids=["none", "shared secret", "crit", "b64", "no alg", "no object"],
)
def test_headers_that_are_refused(header: Any) -> None:
    with pytest.raises(SignatureError):
        read_protected(b64url(json.dumps(header).encode()).decode())


def test_the_key_has_to_fit_the_algorithm() -> None:
    made = signature(b"x")
    weak = rsa.generate_private_key(65537, 1024).public_key().public_numbers()  # noqa: S505
    number = lambda value: b64url(value.to_bytes((value.bit_length() + 7) // 8)).decode()  # noqa: E731
    rs = signature(b"x", "RS256")
    for protected, jwk in (
        (made, public("ES384")),
        (made, public("Ed25519")),
        (made, {**public(), "use": "enc"}),
        (made, {**public(), "alg": "ES384"}),
        (made, {**public(), "x": "AA"}),
        (made, {"kty": "EC", "crv": "P-256"}),
        (rs, {"kty": "RSA", "n": number(weak.n), "e": number(weak.e)}),
    ):
        with pytest.raises(SignatureError):
            check(b"x", protected["protected"], protected["signature"], jwk)
    check(b"x", made["protected"], made["signature"], public())
