"""The form of API keys: recognised wherever they stand, and never what only looks like one."""

from __future__ import annotations

import re
from hashlib import sha256
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from a2a_cloud.model.problem import SecretInSource
from a2a_cloud.wire.api_key import PATTERN, Found, check_of, is_key, keys_in, make_key
from a2a_cloud.wire.secrets_scan import check_secrets

KEY = make_key("0123456789ab", bytes(range(32)))
OLDER = KEY[:-6]


def whole(key: str) -> Found:
    return Found(key[4:16], sha256(key.encode()).hexdigest())


@given(st.binary(min_size=6, max_size=6), st.binary(min_size=32, max_size=32))
def test_every_key_is_one_and_is_found(key_id: bytes, secret: bytes) -> None:
    key = make_key(key_id.hex(), secret)
    assert is_key(key)
    assert is_key(key[:-6])
    assert re.fullmatch(PATTERN, key)
    assert list(keys_in(f"Authorization: Bearer {key}\n")) == [whole(key)]


@given(st.integers(0, len(KEY) - 1), st.characters(codec="ascii"))
def test_one_wrong_character_is_no_key(place: int, sign: str) -> None:
    if KEY[place] != sign:
        assert not is_key(KEY[:place] + sign + KEY[place + 1 :])


@pytest.mark.parametrize(
    "text",
    ["", "a2a_", KEY[:-1], KEY + "x", " " + KEY, KEY + "\n", KEY.upper(), OLDER[:-1], "a2a_0123456789ab"],
)
def test_what_only_looks_like_a_key(text: str) -> None:
    assert not is_key(text)


def test_the_check_is_always_six_digits() -> None:
    assert all(re.fullmatch("[0-9A-Za-z]{6}", check_of(str(number))) for number in range(1000))


def test_what_is_found_in_a_text() -> None:
    text = f"{KEY}zz {OLDER} a2a_ffffffffffff 'a2a_bbbbbbbbbbbb_short' a2a_XYZ {KEY} {KEY[:-1]}!"
    assert list(keys_in(text)) == [
        whole(KEY),
        whole(OLDER),
        Found("ffffffffffff"),
        Found("bbbbbbbbbbbb"),
    ]


@pytest.mark.parametrize("older", [False, True], ids=["key", "older"])
def test_a_deploy_finds_it_in_the_source(tmp_path: Path, older: bool) -> None:
    key = make_key("0123456789ab", sha256(b"a").digest())
    (tmp_path / "agent.py").write_text(f'KEY = "{key[:-6] if older else key}"\n')
    with pytest.raises(SecretInSource, match="a key of this platform"):
        check_secrets(tmp_path)
