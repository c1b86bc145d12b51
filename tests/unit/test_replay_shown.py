"""How differences are found in values, and shown."""

from __future__ import annotations

from typing import Any

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from a2a_cloud.model.run import EffectStarted, ProgressEvent, TextEvent
from a2a_cloud.runtime.replay import shown
from a2a_cloud.wire.worker import Effect, Log, Progress, Text

JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.text(),
    lambda inner: st.lists(inner) | st.dictionaries(st.text(), inner),
    max_leaves=12,
)


@given(JSON)
def test_a_value_equals_itself(value: Any) -> None:
    assert shown.values_differ(value, msgspec.json.decode(msgspec.json.encode(value))) is None


@given(JSON, JSON)
def test_what_differs_is_found(one: Any, other: Any) -> None:
    same = shown.value(one) == shown.value(other)
    assert (shown.values_differ(one, other) is None) == same


@pytest.mark.parametrize(
    ("expected", "got", "path"),
    [
        ({"a": 1, "b": 2}, {"a": 1, "b": 3}, "/b"),
        ({"a": [1, {"c~/d": 0}]}, {"a": [1, {"c~/d": 1}]}, "/a/1/c~0~1d"),
        ([1, 2], [1], "/1"),
        ([], {}, ""),
        (True, 1, ""),
        ({}, {"x": None}, "/x"),
        ({"b": 0, "a": 0}, {"b": 1, "a": 1}, "/b"),
    ],
    ids=["member", "pointer", "shorter", "kinds", "true is not one", "null is a value", "in order"],
)
def test_the_first_place_is_named(expected: Any, got: Any, path: str) -> None:
    found = shown.values_differ(expected, got)
    assert found is not None
    assert found[0] == path


def test_long_texts_are_shown_where_they_differ() -> None:
    expected, got = shown.pair("a" * 900 + "X" + "b" * 900, "a" * 900 + "Y" + "b" * 900)
    assert expected.startswith("…aaa")
    assert "X" in expected
    assert "Y" in got
    assert max(len(expected), len(got)) <= shown.MOST + 2


def test_what_is_not_printable_is_escaped() -> None:
    assert shown.brief("a\x1b[31m\n\u202e") == r"a\x1b[31m\n\u202e"


def test_of_a_step_only_the_name_is_compared_with_another_name() -> None:
    due = EffectStarted(kind="step", name="one", args=b"\x01\x02")
    found = shown.unmatched(3, due, Effect(1, 1, "step", "two", b"[]"))
    assert (found.seq, found.kind, found.name) == (3, "step", "one")
    assert (found.expected, found.got) == ("step 'one'", "step 'two'")
    same = shown.unmatched(3, due, Effect(1, 1, "step", "one", b"[1]"))
    assert (same.expected, same.got) == ("arguments with hash 0102", "[1]")


def test_outputs_are_shown_by_what_they_say() -> None:
    due = ProgressEvent(stage="read", percent=20.0, message="a")
    found = shown.unmatched(2, due, Progress(1, "read", 20.0, "b"))
    assert (found.expected, found.got) == ("read 20 %: a", "read 20 %: b")
    other = shown.unmatched(2, due, Log(1, "info", "log", "line"))
    assert (other.expected, other.got) == ("progress 'read 20 %: a'", "log 'line'")
    more = shown.unmatched(0, None, Text(1, "and more"))
    assert (more.kind, more.expected, more.got) == ("text", "nothing", "text 'and more'")
    less = shown.missing(7, TextEvent(delta="rest"), "ended (ok)")
    assert (less.seq, less.kind, less.expected, less.got) == (7, "text", "text 'rest'", "ended (ok)")
