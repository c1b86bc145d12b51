"""The forms of arguments, and that what we print can be pasted."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from a2a_cloud.callers.cli.arguments import (
    FromFile,
    Json,
    Text,
    parse_argument,
    parse_arguments,
    write_argument,
)
from a2a_cloud.callers.cli.ask import example_words, part_from_words
from a2a_cloud.callers.cli.exits import Exit, Failure
from a2a_cloud.callers.cli.up import check_folders

NAMES = st.from_regex(r"[A-Za-z_][A-Za-z0-9_]{0,12}", fullmatch=True)
TEXTS = st.text(alphabet=st.characters(exclude_categories=["Cs"], exclude_characters="\0"))
AWKWARD = st.lists(st.sampled_from(["@", "\\", "=", ":", "-", "a", " ", "\n"]), max_size=6).map("".join)
VALUES = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False, allow_infinity=False) | TEXTS,
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(TEXTS, inner, max_size=3),
    max_leaves=8,
)


@given(NAMES, TEXTS | AWKWARD)
def test_every_text_can_be_written(name: str, value: str) -> None:
    read = parse_argument(write_argument(name, value))
    assert read.name == name
    assert isinstance(read, Text | Json)
    assert read.value == value


@given(NAMES, VALUES)
def test_every_value_can_be_written(name: str, value: Any) -> None:
    read = parse_argument(write_argument(name, value))
    assert not isinstance(read, FromFile)
    assert (read.name, read.value) == (name, value)


@given(st.text(max_size=30))
def test_any_word_is_an_argument_or_a_usage_error(word: str) -> None:
    refused: Failure | None = None
    try:
        parse_argument(word)
    except Failure as failure:
        refused = failure
    assert refused is None or (refused.exit_code is Exit.USAGE and refused.detail)


@pytest.mark.parametrize(
    ("word", "read"),
    [
        ("k=text", Text("k", "text")),
        ("k=", Text("k", "")),
        ("k=a=b", Text("k", "a=b")),
        ("k=5", Text("k", "5")),
        ("k:=5", Json("k", 5)),
        ('k:={"a":[1]}', Json("k", {"a": [1]})),
        ("k=@file", FromFile("k", "file")),
        ("k=@-", FromFile("k", "-")),
        ("k:=@f.json", FromFile("k", "f.json", as_json=True)),
        ("k==@text", Text("k", "@text")),
        ("k=\\@text", Text("k", "@text")),
        ("k=\\\\@text", Text("k", "\\@text")),
        ("k==5", Text("k", "=5")),
        ("k=\\n", Text("k", "\\n")),
        ("a:b=c", Text("a:b", "c")),
    ],
)
def test_forms(word: str, read: object) -> None:
    assert parse_argument(word) == read


@pytest.mark.parametrize("word", ["text", "=x", ":=1", "k:=nope", "k:=NaN", "k:=Infinity", "k=@", "k:=@"])
def test_what_is_no_argument(word: str) -> None:
    with pytest.raises(Failure) as caught:
        parse_argument(word)
    assert caught.value.exit_code is Exit.USAGE


@pytest.mark.parametrize("words", [("a=1", "a=2"), ("a=1", "a:=2"), ("a=@-", "b=@-")])
def test_names_once_and_stdin_once(words: tuple[str, ...]) -> None:
    with pytest.raises(Failure):
        parse_arguments(words)


def test_deep_json_is_a_usage_error() -> None:
    with pytest.raises(Failure):
        parse_argument("k:=" + "[" * 100_000)


LAW = {"type": "object", "properties": {"law": {"type": "string"}}, "required": ["law"]}


@pytest.mark.parametrize(
    ("words", "schema", "part"),
    [
        (("Delaware",), {"type": "string"}, {"text": "Delaware"}),
        (("two", "words"), {"type": "string"}, {"text": "two words"}),
        (("a=b",), {"type": "string"}, {"text": "a=b"}),
        (("5",), {"type": "integer"}, {"text": "5"}),
        (("Yes",), {"type": "boolean"}, {"data": True, "mediaType": "application/json"}),
        (("maybe",), {"type": "boolean"}, {"text": "maybe"}),
        (("law=Delaware",), LAW, {"data": {"law": "Delaware"}, "mediaType": "application/json"}),
        (("Delaware",), LAW, {"text": "Delaware"}),
        (("x=y",), LAW, {"text": "x=y"}),
        (("n:=3",), True, {"data": {"n": 3}, "mediaType": "application/json"}),
        (("hello",), True, {"text": "hello"}),
    ],
)
def test_answers(words: tuple[str, ...], schema: Any, part: dict[str, Any]) -> None:
    assert part_from_words(words, {"text": "?", "schema": schema}) == part


def test_several_words_where_no_text_is_asked() -> None:
    with pytest.raises(Failure):
        part_from_words(("1", "2"), {"schema": {"type": "integer"}})


@given(NAMES, st.sampled_from(["string", "integer", "boolean"]))
def test_examples_name_the_required_fields(name: str, kind: str) -> None:
    schema = {"type": "object", "properties": {name: {"type": kind}}, "required": [name]}
    (word,) = example_words({"schema": schema})
    assert word.split("=")[0].removesuffix(":") == name


def test_up_names_what_is_missing(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    with pytest.raises(Failure, match="No agent is here"):
        check_folders((), tmp_path / "data")
    (tmp_path / "kept").mkdir()
    (tmp_path / "kept" / "journal.db").touch()
    assert check_folders((), tmp_path / "kept") == []
    (tmp_path / "empty").mkdir()
    with pytest.raises(Failure, match=r"empty has no a2a\.toml"):
        check_folders(("empty",))
    with pytest.raises(Failure, match="does not exist"):
        check_folders(("nowhere",))
    for name in ("one", "two", ".hidden"):
        (tmp_path / name).mkdir()
        (tmp_path / name / "a2a.toml").write_text("")
    (tmp_path / "three").mkdir()
    (tmp_path / "three" / "pyproject.toml").write_text('[tool.a2a]\nname = "three"\n')
    assert [each.name for each in check_folders(())] == ["one", "three", "two"]
    with pytest.raises(Failure) as caught:
        check_folders((str(tmp_path),))
    assert str(tmp_path / "one") in caught.value.remedy
