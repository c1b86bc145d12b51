"""What checks say of results, and how scores come together."""

from __future__ import annotations

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from a2a_cloud.control.evals.checks import (
    NOTHING,
    SHOWN,
    at,
    at_least,
    first_difference,
    judge,
    mean,
    said,
    shown,
)
from a2a_cloud.model.evaluation import Outcome
from a2a_cloud.wire.canonical import canonical
from a2a_cloud.wire.rubric import Check, decimal_of

RESULT: dict[str, Any] = {"law": "Delaware", "n": 3, "x/y": [{"a": 1}, {"a": 2}], "ok": True, "at": "now"}


def check(kind: str, path: str = "", **more: Any) -> Outcome:
    return judge(Check(kind, path, **more), RESULT, more.get("schema"))


@pytest.mark.parametrize(
    ("made", "passed"),
    [
        (check("equals", "/law", value="Delaware"), True),
        (check("equals", "/law", value="delaware"), False),
        (check("equals", "/n", value=3.0), True),
        (check("equals", "/ok", value=1), False),
        (check("equals", "/x~1y/1/a", value=2), True),
        (check("equals", "", value={**RESULT, "at": "then"}), False),
        (check("equals", "", value={**RESULT, "at": "then"}, ignore=("/at",)), True),
        (check("equals", "/missing", value=1), False),
        (check("contains", "/law", value="ware"), True),
        (check("contains", "/law", value=1), False),
        (check("contains", "/x~1y", value={"a": 2}), True),
        (check("contains", "/x~1y", value={"a": 3}), False),
        (check("contains", "", value={"n": 3}), True),
        (check("contains", "/n", value=3), False),
        (check("regex", "/law", pattern="^Del"), True),
        (check("regex", "/law", pattern="^law"), False),
        (check("regex", "/n", pattern="3"), False),
        (check("numeric", "/n", value=3.2, tolerance=("0.2", "0")), True),
        (check("numeric", "/n", value=3.2, tolerance=("0.1", "0")), False),
        (check("numeric", "/n", value=100, tolerance=("0", "0.97")), True),
        (check("numeric", "/law", value=1), False),
        (check("numeric", "/ok", value=1), False),
        (check("schema", "/x~1y", schema={"type": "array", "items": {"required": ["a"]}}), True),
        (check("schema", "/x~1y", schema={"type": "array", "items": {"required": ["b"]}}), False),
    ],
)
def test_checks(made: Outcome, passed: bool) -> None:
    assert made.passed is passed
    assert made.score == ("1" if passed else "0")
    assert passed or made.detail


def test_a_failure_names_the_first_difference() -> None:
    made = check("equals", "/x~1y", value=[{"a": 1}, {"a": 9, "b/c": 1}])
    assert made.detail == "it differs at /x~1y/1/a"
    assert (made.expected, made.got) == (9, 2)
    more = check("equals", "/x~1y", value=[{"a": 1}, {"a": 2, "b/c": 1}])
    assert more.detail == "it differs at /x~1y/1/b~1c"
    assert more.expected == 1
    failed = check("schema", "/x~1y", schema={"items": {"properties": {"a": {"type": "string"}}}})
    assert "at /x~1y/0/a" in failed.detail
    assert failed.got == 1


values = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False) | st.text(max_size=5),
    lambda inside: st.lists(inside, max_size=4) | st.dictionaries(st.text(max_size=3), inside, max_size=4),
    max_leaves=12,
)


@given(values)
def test_a_value_is_the_same_as_itself_and_found_by_its_pointer(value: Any) -> None:
    assert first_difference(value, value) is None
    wrapped: dict[str, Any] = {"a/b~": [value]}
    assert at(wrapped, "/a~1b~0/0") is value
    assert at(wrapped, "/a~1b~0/1") is NOTHING


@given(values, values)
def test_a_difference_is_where_it_says(want: Any, got: Any) -> None:
    found = first_difference(want, got)
    if found is not None:
        place, expected, came = found
        assert at(want, place) is NOTHING or at(want, place) == expected
        assert at(got, place) is NOTHING or at(got, place) == came


@given(values)
def test_what_is_shown_has_a_canonical_form(value: Any) -> None:
    assert len(canonical({"got": shown(value)})) < 6 * SHOWN + 100


@pytest.mark.parametrize(
    ("value", "score", "passed"),
    [
        (True, "1", True),
        (False, "0", False),
        (1, "1", True),
        (0.25, "0.25", False),
        ({"score": 0.9, "reason": "nearly"}, "0.9", False),
        ({"score": "0.5"}, "0.5", False),
    ],
)
def test_what_functions_and_judges_say(value: Any, score: str, passed: bool) -> None:
    made = said(Check("judge"), value, "the result")
    assert (made.score, made.passed) == (score, passed)


@pytest.mark.parametrize("value", [2, -0.1, "much", None, [], {"reason": "x"}, {"score": "NaN"}])
def test_what_is_no_score_is_refused(value: Any) -> None:
    with pytest.raises(ValueError, match="score"):
        said(Check("python"), value, "the result")


def test_scores_are_never_rounded_up() -> None:
    assert mean([("1", "1"), ("1", "1"), ("0", "1")]) == "0.666666"
    assert mean([("1", "2"), ("0", "1")]) == "0.666666"
    assert mean([("1", "0")]) == "0"
    assert mean([]) == "0"
    assert not at_least("0.949999", "0.95")
    assert at_least("0.95", decimal_of(0.95))
    assert not at_least("", "0")


scores = st.lists(
    st.tuples(st.integers(0, 10**6).map(lambda n: decimal_of(n / 10**6)), st.integers(0, 1000).map(str)),
    min_size=1,
)


@given(scores)
def test_a_mean_lies_between_its_scores(marks: list[tuple[str, str]]) -> None:
    made = mean(marks)
    counted = [float(score) for score, weight in marks if weight != "0"]
    if counted:
        assert min(counted) - 2e-6 <= float(made) <= max(counted)
