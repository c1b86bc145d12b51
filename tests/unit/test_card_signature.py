"""Signatures of cards: wire/card_signature.py, wire/jcs.py, control/identity/card_key.py."""

from __future__ import annotations

import base64
import json
import math
import os
from pathlib import Path
from typing import Any

import msgspec
import pytest
import rfc8785
from a2a.client.card_resolver import parse_agent_card
from a2a.types import AgentCard
from a2a.utils.signing import InvalidSignaturesError, create_signature_verifier
from google.protobuf import json_format
from hypothesis import given
from hypothesis import strategies as st
from joserfc import jwk, jws
from jwt.api_jwk import PyJWK
from msgspec import Raw

from a2a_cloud.control.identity.card_key import KEY_FILE, CardKey
from a2a_cloud.model.issuer import Issuer
from a2a_cloud.model.problem import Unavailable
from a2a_cloud.model.release import ExtensionSpec, Manifest, Release, SkillSpec
from a2a_cloud.ops.system import SystemEntropy
from a2a_cloud.surface.a2a.card import card_of
from a2a_cloud.surface.ports import Sandbox
from a2a_cloud.wire.card_early import with_early_members
from a2a_cloud.wire.card_signature import forms, signatures
from a2a_cloud.wire.jcs import jcs, number

JKU = "https://agents.example.com/.well-known/jwks.json"
#: A schema with all that readers treat each in their own way: empty values, floats, large integers.
SCHEMA = {
    "type": "object",
    "properties": {
        "name": {"type": "string", "default": "", "description": "Ünïcode \U0001f600"},
        "share": {"type": "number", "default": 0.5, "minimum": -1e-7, "maximum": 1e21},
        "no": {"type": "integer", "maximum": 9007199254740991, "default": 0},
        "any": {},
        "flag": {"type": "boolean", "default": False},
        "none": {"default": None, "enum": []},
    },
    "required": [],
}


def card(*, schema: Any = SCHEMA) -> dict[str, Any]:
    spec = SkillSpec("read", "Read", "Réads", Raw(msgspec.json.encode(schema)), Raw(b"{}"))
    hidden = SkillSpec("hidden", "H", "H", Raw(b'{"type":"object"}'), Raw(b"{}"), extended=True)
    own = ExtensionSpec("https://example.com/x/v1", "", True, {"list": [1, 2.5, ""], "deep": {"empty": {}}})
    manifest = Manifest("desk", "agent.py", "Desk", extensions=(own,), icon_url="https://example.com/i.png")
    release = Release(3, 1, 1, "default", 1, "sha256:0", "", manifest, (spec, hidden))
    login = "https://login.example.com"
    issuers = (Issuer("corp", login), Issuer("other", login, jwks_uri=f"{login}/keys"))
    base = "https://agents.example.com/agents/desk"
    made = card_of(release, base, Sandbox("jail"), extended=True, issuers=issuers)
    return msgspec.json.decode(msgspec.json.encode(made))


@pytest.fixture
def key(tmp_path: Path) -> CardKey:
    return CardKey(tmp_path, SystemEntropy())


def signed(document: dict[str, Any], key: CardKey) -> dict[str, Any]:
    return {**document, "signatures": signatures(document, key.kid, JKU, key.sign)}


def official(key: CardKey) -> Any:
    def found(kid: str | None, jku: str | None) -> PyJWK:
        assert (kid, jku) == (key.kid, JKU)
        return PyJWK(key.jwk)

    return create_signature_verifier(found, ["ES256"])


@pytest.mark.parametrize("early", [False, True], ids=["card", "early"])
def test_the_official_verifier_accepts_the_card_however_it_was_read(key: CardKey, early: bool) -> None:
    document = signed(with_early_members(card()) if early else card(), key)
    text = json.dumps(document)
    official(key)(parse_agent_card(json.loads(text)))
    official(key)(json_format.ParseDict(json.loads(text), AgentCard(), ignore_unknown_fields=True))


@pytest.mark.parametrize("member", ["name", "url of an interface", "schema", "tags"])
def test_a_changed_card_is_refused(key: CardKey, member: str) -> None:
    document = signed(card(), key)
    if member == "name":
        document["name"] = "other"
    elif member == "tags":
        document["skills"][0]["tags"].append("more")
    elif member == "schema":
        params = document["capabilities"]["extensions"][0]["params"]
        params["skills"]["read"]["inputSchema"]["type"] = "array"
    else:
        document["supportedInterfaces"][0]["url"] = "https://elsewhere.example"
    with pytest.raises(InvalidSignaturesError):
        official(key)(parse_agent_card(document))


def test_the_first_signature_is_over_the_document_as_it_stands(key: CardKey) -> None:
    document = signed(card(), key)
    first = document.pop("signatures")[0]
    payload = base64.urlsafe_b64encode(rfc8785.dumps(document)).rstrip(b"=").decode()
    found = jws.deserialize_compact(
        f"{first['protected']}.{payload}.{first['signature']}", jwk.ECKey.import_key(key.jwk), ["ES256"]
    )
    assert found.protected == {"alg": "ES256", "kid": key.kid, "jku": JKU, "typ": "JOSE"}


def test_forms_that_are_the_same_are_signed_once() -> None:
    plain = {"name": "a", "capabilities": {"streaming": True}, "skills": [{"id": "x"}]}
    assert len(forms(plain)) == 1
    assert len(forms(card())) == 4
    assert forms({**plain, "signatures": [{"protected": "a"}]}) == forms(plain)


def test_the_form_of_1_0_is_what_its_parser_gives_back() -> None:
    """Of a card in which nothing is empty, so that the official SDK drops nothing of it."""
    document = card(schema={"type": "object", "properties": {"a": {"type": "number", "default": 0.25}}})
    document["capabilities"]["extensions"] = document["capabilities"]["extensions"][:1]
    document["capabilities"]["extensions"][0]["params"]["skills"] = {
        "read": {"inputSchema": {"type": "object"}, "outputSchema": {"type": "string"}}
    }
    parsed = json_format.ParseDict(json.loads(json.dumps(document)), AgentCard(), ignore_unknown_fields=True)
    assert rfc8785.dumps(json_format.MessageToDict(parsed)) in forms(document)


# --- the key ----------------------------------------------------------------------------------------------


def test_the_key_stays_the_same_and_signs_the_same(tmp_path: Path, key: CardKey) -> None:
    assert not (tmp_path / KEY_FILE).exists()
    first = key.sign(b"text")
    assert len(first) == 64
    assert (tmp_path / KEY_FILE).stat().st_mode & 0o777 == 0o600
    again = CardKey(tmp_path, SystemEntropy())
    assert again.jwk == key.jwk
    assert again.sign(b"text") == first
    assert jwk.ECKey.import_key(key.jwk).thumbprint() == key.kid
    assert "d" not in key.jwk


@pytest.mark.parametrize(
    "text", [b"", b"{}", b'{"d":1}', b'{"d":"!"}', b'{"d":"AA"}', b"[]", b"\xff"], ids=repr
)
def test_a_damaged_key_is_said_and_not_replaced(tmp_path: Path, text: bytes) -> None:
    path = tmp_path / KEY_FILE
    path.write_bytes(text)
    path.chmod(0o600)
    with pytest.raises(Unavailable, match="damaged"):
        _ = CardKey(tmp_path, SystemEntropy()).jwk
    assert path.read_bytes() == text


def test_a_key_that_others_may_read_is_refused(tmp_path: Path, key: CardKey) -> None:
    _ = key.jwk
    (tmp_path / KEY_FILE).chmod(0o644)
    with pytest.raises(Unavailable, match="Others may read"):
        _ = CardKey(tmp_path, SystemEntropy()).jwk
    os.remove(tmp_path / KEY_FILE)
    (tmp_path / KEY_FILE).mkdir()
    with pytest.raises(Unavailable):
        _ = CardKey(tmp_path, SystemEntropy()).jwk


# --- canonical JSON ---------------------------------------------------------------------------------------

VALUES = st.recursive(
    st.none()
    | st.booleans()
    | st.integers(-(2**53) + 1, 2**53 - 1)
    | st.floats(allow_nan=False, allow_infinity=False)
    | st.text(st.characters(codec="utf-8")),
    lambda inner: st.lists(inner) | st.dictionaries(st.text(st.characters(codec="utf-8")), inner),
    max_leaves=20,
)


@given(VALUES)
def test_canonical_json_is_that_of_the_reference(value: Any) -> None:
    assert jcs(value) == rfc8785.dumps(value)


@pytest.mark.parametrize(
    ("value", "text"),
    [
        (-0.0, "0"),
        (1e21, "1e+21"),
        (1e20, "100000000000000000000"),
        (123456789012345680000.0, "123456789012345680000"),
        (1e-6, "0.000001"),
        (1e-7, "1e-7"),
        (1.5e-10, "1.5e-10"),
        (5e-324, "5e-324"),
        (1.7976931348623157e308, "1.7976931348623157e+308"),
        (-333333333.33333329, "-333333333.3333333"),
    ],
    ids=str,
)
def test_numbers_as_ecmascript_prints_them(value: float, text: str) -> None:
    assert number(value) == text


def test_what_is_no_json_is_refused() -> None:
    for value in (math.nan, math.inf, -math.inf, b"", {1}, "\ud800"):
        with pytest.raises(ValueError):  # noqa: PT011
            jcs(value)
    assert jcs(2**63 - 1) == b"9223372036854776000"
