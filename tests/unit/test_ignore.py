"""Ignore files: the pattern format of gitignore(5). The expectations are what git 2.39 does."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from a2a_cloud.model.problem import InvalidParams, Problem, TooLarge
from a2a_cloud.wire.ignore import MAX_LENGTH, MAX_RULES, Ignore


def ignored(text: str | bytes, path: str) -> bool:
    """Whether a path is left out, by itself or with a folder around it."""
    rules = Ignore(text.encode() if isinstance(text, str) else text, ".a2aignore")
    parts = path.rstrip("/").split("/")
    folders = ["/".join(parts[:end]) for end in range(1, len(parts))]
    if any(rules.ignores(folder, folder=True) for folder in folders):
        return True
    return rules.ignores("/".join(parts), folder=path.endswith("/"))


@pytest.mark.parametrize(
    ("text", "yes", "no"),
    [
        ("data", ["data", "a/data", "data/x", "a/data/x/y"], ["datas", "a/mydata"]),
        ("data/", ["data/", "a/data/x"], ["data", "a/data"]),
        ("/data", ["data", "data/x"], ["a/data"]),
        ("a/b", ["a/b", "a/b/c"], ["b", "x/a/b"]),
        ("*.csv", ["x.csv", "a/.csv", "a/b.csv/c"], ["x.csv2", "csv"]),
        ("a?c", ["abc", "x/aéc"], ["ac", "abbc", "a/c"]),
        ("a/*.py", ["a/x.py"], ["a/b/x.py", "x.py"]),
        ("**/x", ["x", "a/x", "a/b/x/y"], ["ax"]),
        ("a/**", ["a/x", "a/x/y"], ["a/", "b/a/x"]),
        ("a/**/b", ["a/b", "a/x/b", "a/x/y/b"], ["a/bb", "b"]),
        ("a/**/b/**/c", ["a/b/c", "a/x/b/y/z/c", "a/b/b/c"], ["a/c", "a/b/x"]),
        ("***/x", ["x", "a/b/x"], ["ax"]),
        ("a**b", ["ab", "axxb"], ["a/b"]),
        ("*\n!*/\n!*.py", ["a", "a/b.txt"], ["x.py", "a/b/x.py"]),
        ("data/\n!data/keep", ["data/keep"], []),
        ("data/*\n!data/keep", ["data/x"], ["data/keep"]),
        ("*.log\n!a.log\n/a.log", ["a.log", "b.log"], ["x/a.log"]),
        ("[ab].txt", ["a.txt"], ["c.txt", "ab.txt"]),
        ("[!ab].txt\n[^x]z", ["c.txt", "yz"], ["a.txt", "xz"]),
        ("[a-c]\n[]x]\n[[:digit:]_]", ["b", "]", "x", "7", "_"], ["d", "y", "77"]),
        ("[z-a]", ["z"], ["a", "b"]),
        ("[a\n[[:what:]]\nx\\", [], ["[a", "a", "w", "x", "x\\"]),
        ("#x\n\\#y\n\\!z", ["#y", "!z"], ["#x", "x", "y", "z"]),
        ("x \n\\*\ny\\ \r\n\n/\n", ["x", "*", "y "], ["x ", "y", "a"]),
        (b"\xef\xbb\xbfx\r\ny", ["x", "y"], ["z"]),
        ("a\\/b", ["a/b"], ["b"]),
        ("a//b", [], ["a/b", "a", "b"]),
        ("ÄÖ*", ["ÄÖx"], ["äöx"]),
    ],
)
def test_patterns(text: str | bytes, yes: list[str], no: list[str]) -> None:
    assert [path for path in yes if not ignored(text, path)] == []
    assert [path for path in no if ignored(text, path)] == []


@pytest.mark.parametrize(
    ("pattern", "name"),
    [
        ("*" + "a*" * 100 + "b", "a" * 250),
        ("*" + "?a*" * 60 + "b", "a" * 250),
        ("/".join(["**", "a"] * 50) + "/b", "a/" * 31 + "c"),
        ("a**" * 60 + "b", "a" * 250),
    ],
)
def test_no_pattern_is_slow(pattern: str, name: str) -> None:
    """Regular expressions made the usual way need longer than anybody lives for these."""
    assert not Ignore(pattern.encode(), "x").ignores(name, folder=False)


def test_limits() -> None:
    with pytest.raises(InvalidParams, match="not UTF-8") as caught:
        Ignore(b"\xff", ".a2aignore")
    assert caught.value.remedy
    with pytest.raises(TooLarge, match="Line 2 of"):
        Ignore(b"a\n" + b"x" * (MAX_LENGTH + 1), ".a2aignore")
    with pytest.raises(TooLarge, match="more than 1000 patterns") as many:
        Ignore(b"a\n" * (MAX_RULES + 1), ".gitignore")
    assert "a2aignore" in many.value.remedy
    assert Ignore(b"# a\n" * 5000, ".a2aignore").ignores("a", folder=False) is False


@given(st.text("ab*?[]!-^\\/:# .", max_size=30), st.text("ab-[]!. ", min_size=1, max_size=8))
def test_any_text_is_read(text: str, name: str) -> None:
    try:
        rules = Ignore(text.encode(), "x")
    except Problem:
        return
    rules.ignores(f"a/{name}", folder=False)
    rules.ignores(name, folder=True)
