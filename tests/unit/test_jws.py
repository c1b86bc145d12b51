"""wire/jws.py, with joserfc as the independent signer and verifier."""

from __future__ import annotations

import base64
import json
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from joserfc import jws as jose
from joserfc.jwk import KeySet, OKPKey

from a2a_cloud.model.problem import InvalidParams
from a2a_cloud.wire import jws
from a2a_cloud.wire.jws import SignatureError, Signer

# RFC 8037, appendix A.
RFC_D = "nWGxne_9WmC6hEr0kuwsxERJxWl7MmkZcDusAxyuf2A"
RFC_X = "11qYAYKxCrfVS_7TyWQHOg7hcvPapiMlrwIaaPcHURo"
RFC_KID = "kPrK_qmxVWaYVA9wwBF6Iuo3vVzz7TxHCTwXBygrS4k"

SIGNER = Signer(bytes(range(32)))
KEYS = {SIGNER.kid: SIGNER.public}


def header(**fields: Any) -> str:
    return jws.b64url(json.dumps(fields).encode()).decode()


def test_the_key_of_rfc8037() -> None:
    signer = Signer(jws.b64url_decode(RFC_D))
    assert signer.jwk()["x"] == RFC_X
    assert signer.kid == RFC_KID
    assert "d" not in signer.jwk()
    assert RFC_D not in repr(signer)
    assert jws.private_key(signer.private_jwk()).kid == RFC_KID


def test_a_seed_of_another_length_is_refused() -> None:
    with pytest.raises(ValueError, match="32 bytes"):
        Signer(bytes(31))


@given(st.binary(max_size=300))
def test_base64url_has_one_spelling(data: bytes) -> None:
    text = base64.urlsafe_b64encode(data).rstrip(b"=").decode()
    assert jws.b64url(data).decode() == text
    assert jws.b64url_decode(text) == data


@pytest.mark.parametrize("text", ["A", "AA=", "AA==", "AB", "A+", "A/", "A\n", " AA", "AAAA=", "ÄA", "AAAAA"])
def test_other_spellings_of_base64url_are_refused(text: str) -> None:
    with pytest.raises(ValueError, match="base64url"):
        jws.b64url_decode(text)


@given(st.binary(max_size=300))
def test_joserfc_accepts_what_we_sign(payload: bytes) -> None:
    keys = KeySet.import_key_set({"keys": [SIGNER.jwk()]})  # type: ignore[typeddict-item]
    parts = {"protected": SIGNER.protected, "signature": SIGNER.sign(payload)}
    found = jose.deserialize_json({"payload": jws.b64url(payload).decode(), **parts}, keys, ["Ed25519"])
    assert found.payload == payload
    assert found.headers() == {"alg": "Ed25519", "kid": SIGNER.kid}


def test_we_accept_what_joserfc_signs() -> None:
    key = OKPKey.import_key(SIGNER.private_jwk())  # type: ignore[arg-type]
    assert key.thumbprint() == SIGNER.kid
    made = jose.serialize_json(
        {"protected": {"alg": "Ed25519", "kid": SIGNER.kid}}, b"payload", key, ["Ed25519"]
    )
    assert jws.verify(b"payload", made["protected"], made["signature"], KEYS) == SIGNER.kid  # type: ignore[typeddict-item]


def test_a_changed_payload_signature_or_key_is_refused() -> None:
    signature = SIGNER.sign(b"payload")
    assert jws.verify(b"payload", SIGNER.protected, signature, KEYS) == SIGNER.kid
    with pytest.raises(SignatureError, match="over these bytes"):
        jws.verify(b"Payload", SIGNER.protected, signature, KEYS)
    raw = bytearray(jws.b64url_decode(signature))
    for place in range(64):
        raw[place] ^= 1
        with pytest.raises(SignatureError):
            jws.verify(b"payload", SIGNER.protected, jws.b64url(raw).decode(), KEYS)
        raw[place] ^= 1
    with pytest.raises(SignatureError, match="over these bytes"):
        jws.verify(b"payload", SIGNER.protected, signature, {SIGNER.kid: Signer(bytes(32)).public})
    with pytest.raises(SignatureError, match="not among"):
        jws.verify(b"payload", SIGNER.protected, signature, {})


@pytest.mark.parametrize(
    ("protected", "reason"),
    [
        (header(alg="none", kid=SIGNER.kid), "algorithm"),
        (header(alg="HS256", kid=SIGNER.kid), "algorithm"),
        (header(alg="EdDSA", kid=SIGNER.kid), "algorithm"),
        (header(alg=["Ed25519"], kid=SIGNER.kid), "algorithm"),
        (header(kid=SIGNER.kid), "algorithm"),
        (header(alg="Ed25519", kid=SIGNER.kid, crit=["b64"], b64=False), "crit"),
        (header(alg="Ed25519", kid=SIGNER.kid, jwk=SIGNER.jwk()), "exactly"),
        (header(alg="Ed25519"), "exactly"),
        (header(alg="Ed25519", kid=7), "exactly"),
        (jws.b64url(b'{"alg":"none","alg":"Ed25519","kid":"x"}').decode(), "twice"),
        (jws.b64url(b"[]").decode(), "object"),
        (jws.b64url(b"\xff").decode(), "unreadable"),
        ("", "unreadable"),
        ("not base64", "unreadable"),
        (SIGNER.protected + "=", "unreadable"),
        (header(alg="Ed25519", kid="k" * 2000), "too long"),
    ],
)
def test_a_strange_header_is_refused_even_when_it_is_signed(protected: str, reason: str) -> None:
    signature = SIGNER.sign(b"payload")
    with pytest.raises(SignatureError, match=reason):
        jws.verify(b"payload", protected, signature, KEYS)


@pytest.mark.parametrize("signature", ["", "A" * 85, "A" * 87, "A" * 85 + "B", "A" * 85 + "=", "A" * 100_000])
def test_a_misshapen_signature_is_refused(signature: str) -> None:
    with pytest.raises(SignatureError, match="base64url"):
        jws.verify(b"payload", SIGNER.protected, signature, KEYS)


def test_a_key_of_small_order_signs_nothing() -> None:
    # The neutral element as a key: a forged signature would hold for any message in a lax library.
    weak = bytes([1]) + bytes(31)
    kid = jws.thumbprint(weak)
    signature = jws.b64url(weak + bytes(32)).decode()
    with pytest.raises(SignatureError):
        jws.verify(b"anything", header(alg="Ed25519", kid=kid), signature, {kid: weak})


@pytest.mark.parametrize(
    ("change", "reason"),
    [
        ({"kty": "EC"}, "not an Ed25519"),
        ({"crv": "X25519"}, "not an Ed25519"),
        ({"x": "AA"}, "32 bytes"),
        ({"x": 7}, "32 bytes"),
        ({"d": ""}, "32 bytes"),
        ({"x": RFC_X}, "another key"),
        ({"kid": "mine"}, "thumbprint"),
    ],
)
def test_a_damaged_private_jwk_is_refused(change: dict[str, object], reason: str) -> None:
    with pytest.raises(ValueError, match=reason):
        jws.private_key({**SIGNER.private_jwk(), **change})


def test_key_sets_are_read_by_thumbprint() -> None:
    other = Signer(bytes(32))
    data = json.dumps({"keys": [{"kty": "RSA"}, {**other.jwk(), "kid": SIGNER.kid}, SIGNER.jwk()]}).encode()
    assert jws.by_kid(jws.read_jwks(data)) == {other.kid: other.public, SIGNER.kid: SIGNER.public}
    assert jws.by_kid(jws.read_jwks(json.dumps(SIGNER.jwk()).encode())) == KEYS


@pytest.mark.parametrize(
    "data", [b"", b"[]", b"{}", b'{"keys":1}', b'{"keys":["a"]}', b'{"keys":[],"keys":[]}']
)
def test_what_is_no_key_set_is_refused_with_a_remedy(data: bytes) -> None:
    with pytest.raises(InvalidParams) as caught:
        jws.read_jwks(data)
    assert "jwks.json" in caught.value.remedy


def test_a_huge_key_file_is_refused() -> None:
    with pytest.raises(InvalidParams, match="larger"):
        jws.read_jwks(b" " * (jws.MAX_JWKS + 1))
