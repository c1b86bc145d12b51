"""One member of a file is changed, and every other character stays."""

from __future__ import annotations

import json
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from a2a_cloud.callers.cli import jsonc

COMMENTED = """// mine
{
    // fonts
    "editor": {"size": 12}, /* "servers": {} */
    "servers": {
        "one": {"command": "x"}, // the first
    },
    "url": "http://a//b",
}
"""


def test_comments_and_commas_stay() -> None:
    text = jsonc.put(COMMENTED, ("servers", "two"), {"command": "y"})
    assert text == COMMENTED.replace(
        " // the first\n",
        '\n        "two": {\n          "command": "y"\n        }, // the first\n',
    )
    assert jsonc.parse(text)["servers"] == {"one": {"command": "x"}, "two": {"command": "y"}}
    assert jsonc.remove(text, ("servers", "one")).count("// the first") == 1


def test_a_member_is_replaced_in_its_place() -> None:
    text = jsonc.put(COMMENTED, ("servers", "one"), {"command": "z"})
    assert text.startswith(COMMENTED[: COMMENTED.index('"one"')])
    assert text.endswith(COMMENTED[COMMENTED.index(", // the first") :])


@pytest.mark.parametrize(
    "text", ["", "  \n", "{}", "{\n}\n", '{"a": 1}', '{"servers": {}}', '{"servers": {\n  // none\n}}']
)
def test_what_is_missing_is_made(text: str) -> None:
    changed = jsonc.put(text, ("servers", "x"), {"command": "y"})
    assert jsonc.parse(changed) == {**jsonc.parse(text), "servers": {"x": {"command": "y"}}}
    assert ("// none" in text) == ("// none" in changed)
    assert jsonc.parse(jsonc.remove(changed, ("servers", "x")))["servers"] == {}


@pytest.mark.parametrize(
    "text",
    [
        "[]",
        "nonsense",
        '{"servers": 1}',
        '{"servers": {}',
        '{"a": 1 "b": 2}',
        '{"a": 1, "a": 2}',
        "{} {}",
        '{"a": 01}',
        "{a: 1}",
        "{" * 300,
    ],
)
def test_what_can_not_be_edited_is_refused(text: str) -> None:
    with pytest.raises(jsonc.NotEditable):
        jsonc.put(text, ("servers", "x"), {})


def test_nothing_to_remove() -> None:
    for text in ("", '{"a": 1}', '{"servers": {"y": {}}}'):
        assert jsonc.remove(text, ("servers", "x")) == text


VALUES = st.recursive(
    st.none() | st.booleans() | st.integers() | st.text(max_size=4),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=3), inner, max_size=3),
    max_leaves=8,
)
INDENTS = st.sampled_from([None, 2, 4])


@given(st.dictionaries(st.text(max_size=3), VALUES, max_size=4), st.text(max_size=3), INDENTS, VALUES)
def test_any_document(document: dict[str, Any], name: str, indent: int | None, value: Any) -> None:
    document = {**document, "servers": {"old": 1}}
    text = json.dumps(document, indent=indent)
    there = jsonc.put(text, ("servers", name), value)
    assert jsonc.parse(there) == {**document, "servers": {"old": 1, name: value}}
    gone = jsonc.remove(there, ("servers", name))
    assert jsonc.parse(gone) == {**document, "servers": {"old": 1} if name != "old" else {}}
    if name != "old":
        assert json.loads(gone) == document
