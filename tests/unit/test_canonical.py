"""wire/canonical.py: byte for byte what rfc8785 prints; strict reading."""

from __future__ import annotations

import hashlib
import json
from typing import Any

import msgspec
import pytest
import rfc8785
from hypothesis import given
from hypothesis import strategies as st

from a2a_cloud.wire.canonical import MAX_DEPTH, MAX_INTEGER, canonical, parse_strict, salted_sha256

texts = st.text(st.characters(exclude_categories=["Cs"]), max_size=12)
odd_keys = texts | st.sampled_from(["\U0001f600", "\ufb33", "\ud7ff", "é", "a", "A", "", "\x7f", "\u2028"])
values = st.recursive(
    st.none() | st.booleans() | st.integers(-MAX_INTEGER, MAX_INTEGER) | texts,
    lambda inner: st.lists(inner, max_size=5) | st.dictionaries(odd_keys, inner, max_size=5),
    max_leaves=25,
)


@given(values)
def test_canonical_is_rfc8785(value: Any) -> None:
    assert canonical(value) == rfc8785.dumps(value)


@given(values)
def test_strict_reading_is_the_inverse(value: Any) -> None:
    assert parse_strict(canonical(value)) == value
    assert parse_strict(json.dumps(value, indent=1).encode()) == value


def test_keys_sort_by_utf16_units_not_by_code_points() -> None:
    value = {"\U0001f600": 1, "\ufb33": {"\U0001f600": 1, "\ufb33": 2}, "z": [{"\ufb33": 0, "\U0001f600": 1}]}
    assert canonical(value) == rfc8785.dumps(value)
    assert list(json.loads(canonical(value))) == ["z", "\U0001f600", "\ufb33"]


def test_every_control_character_is_escaped_alike() -> None:
    value = "".join(map(chr, range(0x100))) + "\u2028\u2029"
    assert canonical(value) == rfc8785.dumps(value)


class Point(msgspec.Struct):
    y: int
    x: int
    gone: int | msgspec.UnsetType = msgspec.UNSET


def test_structs_are_sorted_too() -> None:
    assert canonical(Point(y=2, x=1)) == b'{"x":1,"y":2}'


@pytest.mark.parametrize(
    "value",
    [
        1.0,
        {"a": [0.5]},
        float("nan"),
        {1: 2},
        MAX_INTEGER + 1,
        -MAX_INTEGER - 1,
        2**200,
        "\ud800",
        {"\udfff": 1},
        b"x",
    ],
)
def test_what_has_no_canonical_form_is_refused(value: Any) -> None:
    with pytest.raises((ValueError, TypeError)):
        canonical(value)


def test_deep_nesting_is_refused() -> None:
    deep: Any = 1
    for _ in range(MAX_DEPTH + 1):
        deep = [deep]
    with pytest.raises(ValueError, match="deep"):
        canonical(deep)


@pytest.mark.parametrize(
    ("document", "reason"),
    [
        (b"", "not JSON"),
        (b"{", "not JSON"),
        (b'{"a":1}x', "more follows"),
        (b'{"a":1} {"a":1}', "more follows"),
        (b'{"a":1}\x00', "more follows"),
        (b'{"a":1,"a":1}', "stands twice"),
        (b'{"b":{"a":1,"\\u0061":2}}', "stands twice"),
        (b"1.5", "not an integer"),
        (b"1e3", "not an integer"),
        (b"NaN", "not an integer"),
        (b"-Infinity", "not an integer"),
        (b"9007199254740992", "2\\^53"),
        (b"1" * 5000, "2\\^53"),
        (b'"\\ud800"', "surrogate"),
        (b"\xff", "UTF-8"),
        (b"\xef\xbb\xbf1", "not JSON"),
        ("1".encode("utf-16"), "UTF-8"),
        (b"[" * 100 + b"]" * 100, "deep"),
        (b"[" * 200_000, "deep"),
        (b'{"a":' * 200_000, "deep"),
        (b"'a'", "not JSON"),
        (b"[1,]", "not JSON"),
        (b'"\n"', "not JSON"),
    ],
)
def test_an_ambiguous_document_is_refused(document: bytes, reason: str) -> None:
    with pytest.raises(ValueError, match=reason):
        parse_strict(document)


def test_salted_hash() -> None:
    salt = bytes(range(16))
    assert salted_sha256(salt, b"payload") == hashlib.sha256(salt + b"payload").hexdigest()
    assert salted_sha256(salt, b"payload") != salted_sha256(bytes(16), b"payload")
