"""control/approvals/covering.py: whatever it says of two patterns is true of every path."""

from __future__ import annotations

import pytest
from hypothesis import assume, given, settings
from hypothesis import strategies as st

from a2a_cloud.control.approvals.covering import common, covered, covers, may_meet, outside
from a2a_cloud.model.grant import Widening
from a2a_cloud.wire.glob import check_path, globs, host_path

SEGMENTS = st.one_of(
    st.just("**"),
    st.text("ab*?", min_size=1, max_size=4).filter(lambda segment: "**" not in segment),
)
PATTERNS = st.lists(SEGMENTS, min_size=1, max_size=5).map("/".join)
NAMES = st.text("ab", min_size=1, max_size=3)
PATHS = st.lists(NAMES, min_size=1, max_size=5).map("/".join)


@st.composite
def path_of(draw: st.DrawFn, pattern: str) -> str:
    """A path that the pattern most likely means."""
    names: list[str] = []
    for segment in pattern.split("/"):
        if segment == "**":
            names += draw(st.lists(NAMES, max_size=2))
            continue
        name = "".join(
            draw(st.text("ab", max_size=2))
            if sign == "*"
            else draw(st.sampled_from("ab"))
            if sign == "?"
            else sign
            for sign in segment
        )
        names.append(name)
    assume(names and all(names))
    return "/".join(names)


@st.composite
def narrower(draw: st.DrawFn, pattern: str) -> str:
    """A pattern made from another by filling some of its wildcards: it is often covered."""
    out: list[str] = []
    for segment in pattern.split("/"):
        if segment == "**":
            out += draw(st.lists(SEGMENTS, max_size=2))
        elif draw(st.booleans()):
            out.append(segment.replace("*", draw(NAMES)).replace("?", "a"))
        else:
            out.append(segment)
    assume(out and not any("**" in each and each != "**" for each in out))
    return "/".join(out)


@settings(max_examples=400)
@given(st.data(), PATTERNS)
def test_what_is_covered_means_nothing_more(data: st.DataObject, wide: str) -> None:
    narrow = data.draw(st.one_of(PATTERNS, narrower(wide)))
    path = data.draw(st.one_of(PATHS, path_of(narrow)))
    check_path(path)
    if covers(wide, narrow) and globs((narrow,)).matches(path):
        assert globs((wide,)).matches(path)


@settings(max_examples=400)
@given(st.data(), PATTERNS, PATTERNS)
def test_what_can_not_meet_never_does(data: st.DataObject, one: str, other: str) -> None:
    path = data.draw(st.one_of(PATHS, path_of(one), path_of(other)))
    if globs((one,)).matches(path) and globs((other,)).matches(path):
        assert may_meet(one, other)
        assert may_meet(other, one)


@settings(max_examples=300)
@given(PATTERNS, PATHS)
def test_for_a_path_itself_both_are_what_the_pattern_says(pattern: str, path: str) -> None:
    matches = globs((pattern,)).matches(path)
    assert covers(pattern, path) is matches
    assert may_meet(pattern, path) is matches


@settings(max_examples=200)
@given(st.data(), st.lists(PATTERNS, max_size=3), st.lists(PATTERNS, max_size=3))
def test_what_both_allow_is_within_each(data: st.DataObject, one: list[str], other: list[str]) -> None:
    a, b = Widening(read=tuple(one)), Widening(read=tuple(other))
    both = common(a, b)
    assert outside(both, a) is None
    assert outside(both, b) is None
    path = data.draw(PATHS)
    if globs(both.read).matches(path):
        assert globs(a.read).matches(path)
        assert globs(b.read).matches(path)


@pytest.mark.parametrize(
    ("wide", "narrow"),
    [
        ("finance/**", "finance/q3/**"),
        ("finance/**", "finance"),
        ("finance/**", "finance/*/x.md"),
        ("**", "a/**/b"),
        ("**/b", "a/**/b"),
        ("*.md", "a*.md"),
        ("*/**", "a/**"),
        ("a/**/b/**/c", "a/b/**/c"),
        ("a?c", "abc"),
        ("?*", "a*"),
    ],
)
def test_these_are_covered(wide: str, narrow: str) -> None:
    assert covers(wide, narrow)
    assert may_meet(wide, narrow)


@pytest.mark.parametrize(
    ("wide", "narrow"),
    [
        ("finance/*", "finance/**"),
        ("finance/q3/**", "finance/**"),
        ("finance/**", "finance*/**"),
        ("finance/**", "**"),
        ("*", "**"),
        ("a/*/b", "a/**/b"),
        ("a?", "a*"),
        ("*.md", "*"),
        ("finance/**", "Finance/x"),
    ],
)
def test_these_are_not(wide: str, narrow: str) -> None:
    assert not covers(wide, narrow)


def test_hosts_are_compared_as_they_are_matched() -> None:
    assert covered("egress", ["*.example.com"], "api.example.com")
    assert covered("egress", ["*.example.com:*"], "api.example.com:8443")
    assert not covered("egress", ["*.example.com"], "api.example.com:8443")
    assert not covered("egress", ["*.example.com"], "example.com")
    assert not covered("egress", ["*.example.com"], "a.b.example.com")
    assert globs(("com/*/443",)).patterns
    assert host_path("api.example.com", 443)


def test_what_is_outside_is_named_with_its_kind() -> None:
    asked = Widening(read=("finance/**",), write=("drafts/*",))
    assert outside(Widening(read=("finance/q3/*.md",)), asked) is None
    assert outside(Widening(write=("finance/q3/**",)), asked) == ("write", "finance/q3/**")
    assert outside(Widening(egress=("example.com",)), asked) == ("egress", "example.com")


def test_the_worst_patterns_are_compared_soon() -> None:
    one = "/".join(["*a*b?" * 3] * 60)
    other = "/".join(["?a*b*" * 3] * 60)
    assert not covers(one, other + "x")
    assert not covers("/".join(["**", "a"] * 30), "/".join(["**", "b"] * 30))
    assert isinstance(may_meet(one, other), bool)
