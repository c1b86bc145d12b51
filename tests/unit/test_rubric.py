"""The reader of evals.toml: what it takes, and that every refusal names the place and what belongs there."""

from __future__ import annotations

import time

import pytest

from a2a_cloud.model.problem import InvalidParams, TooLarge
from a2a_cloud.wire.rubric import MAX_BYTES, Check, decimal_of, linear, read_rubric, steps_of

WHOLE = b"""
timeout = 10
pass = 0.5

[[case]]
name = "one"
skill = "greet"
arguments = { name = "Ada", deep = { list = [1, 2.5] } }
files = ["a/b.txt", { path = "c.pdf", param = "file", media_type = "application/pdf" }]
answers = ["yes", { n = 1 }]
weight = 2

[[case.check]]
kind = "equals"
path = "/x~1y/0"
value = [1]
ignore = ["/at"]
weight = 0.25

[[case.check]]
kind = "numeric"
value = 1.5
abs = 1e-9
rel = 0.01

[[case]]
name = "two"
message = "Hello"
state = "rejected"
pass = 1
timeout = 2.5

[[case]]
name = "three"
run = "run_0123abc"
"""


def test_all_that_a_rubric_says_is_read() -> None:
    rubric = read_rubric(WHOLE)
    one, two, three = rubric.cases
    assert (one.skill, one.weight, one.passing, one.timeout) == ("greet", "2", "0.5", 10.0)
    assert one.arguments == {"name": "Ada", "deep": {"list": [1, 2.5]}}
    assert [(file.path, file.param, file.media_type) for file in one.files] == [
        ("a/b.txt", "", ""),
        ("c.pdf", "file", "application/pdf"),
    ]
    assert one.answers == ("yes", {"n": 1})
    assert one.checks[0] == Check("equals", "/x~1y/0", "0.25", [1], ("/at",))
    assert one.checks[1].tolerance == ("0.000000001", "0.01")
    assert (two.message, two.state, two.passing, two.timeout) == ("Hello", "rejected", "1", 2.5)
    assert (three.run, three.state, three.checks) == ("run_0123abc", "", ())
    assert len(rubric.sha256) == 64


CASE = '[[case]]\nname = "a"\nskill = "s"\n'
CHECK = CASE + "[[case.check]]\n"
WRONG = {
    "not toml": ("[[case]", "not valid TOML", ""),
    "no case": ("", "no case", "[[case]]"),
    "top key": ("cases = 1", "`cases` is no key", "`case`"),
    "no name": ('[[case]]\nskill = "s"', "`name` is missing", "name ="),
    "twice": (CASE + 'state="failed"\n' + CASE + 'state="failed"', "two cases", "of its own"),
    "case key": (CASE + 'argumnts = {}\nstate = "failed"', "`argumnts`", "`arguments`"),
    "nothing to call": ('[[case]]\nname = "a"\nstate = "failed"', "`arguments` is missing", "recorded run"),
    "run and arguments": ('[[case]]\nname="a"\nrun="run_1"\narguments={}', "stands beside", "its own"),
    "bad run": ('[[case]]\nname="a"\nrun="last"', "no run's id", "a2a runs"),
    "message and arguments": (CASE + 'message="x"\narguments={}', "stands beside", "one of the two"),
    "no check": (CASE, "`check` is missing", "state ="),
    "state": (CASE + 'state = "working"', "no end of a run", "completed"),
    "file outside": (CASE + 'files = ["../x"]\nstate = "failed"', "names no file", "relative"),
    "date": (CASE + 'arguments = { d = 2020-01-01 }\nstate = "failed"', "a date", "text"),
    "infinite": (CASE + 'arguments = { d = inf }\nstate = "failed"', "inf or nan", "text"),
    "weight": (CASE + 'weight = -1\nstate = "failed"', "from 0 to 1000", ""),
    "timeout": (CASE + 'timeout = 1e9\nstate = "failed"', "from 0.1 to 3600", ""),
    "kind": (CHECK + 'kind = "equal"', "'equal'", "equals"),
    "no value": (CHECK + 'kind = "equals"', "`value` is missing", "expected"),
    "key of another kind": (CHECK + 'kind = "equals"\nvalue = 1\nabs = 1', "`abs` is no key", "keys here"),
    "pointer": (CHECK + 'kind = "equals"\nvalue = 1\npath = "x"', "no JSON pointer", "/findings"),
    "pointer's escape": (CHECK + 'kind = "equals"\nvalue = 1\npath = "/~2"', "no JSON pointer", ""),
    "ignore": (CHECK + 'kind = "equals"\nvalue = 1\nignore = ["at"]', "list of JSON pointers", "/created"),
    "number": (CHECK + 'kind = "numeric"\nvalue = "1"', "has to be a number", ""),
    "bad pattern": (CHECK + 'kind = "regex"\npattern = "("', "linear-time", "look-around"),
    "look-around": (CHECK + 'kind = "regex"\npattern = "(?=a)b"', "linear-time", "look-around"),
    "large pattern": (CHECK + "kind = 'regex'\npattern = '\\d{1000}{1000}'", "linear-time", ""),
    "two schemas": (CHECK + 'kind = "schema"\nschema = {}\nfile = "x"', "stands beside", "one of the two"),
    "bad schema": (CHECK + 'kind = "schema"\nschema = { type = "wrong" }', "can't be used", ""),
    "remote schema": (CHECK + 'kind="schema"\nschema={"$ref"="http://x/y"}', "can't be used", ""),
    "function": (CHECK + 'kind = "python"\nfunction = "os.system"', "names no function", "checks:tone"),
    "judge": (CHECK + 'kind = "judge"\nagent = "../x"\nskill = "s"', "names no agent", "judge"),
    "judge's skill": (CHECK + 'kind = "judge"\nagent = "j"', "`skill` is missing", "score"),
}


@pytest.mark.parametrize("name", WRONG)
def test_what_does_not_belong_is_refused_with_its_place(name: str) -> None:
    text, what, remedy = WRONG[name]
    with pytest.raises(InvalidParams) as refused:
        read_rubric(text.encode())
    assert what in refused.value.detail
    assert remedy in refused.value.remedy
    assert "evals.toml" in refused.value.detail


def test_a_check_is_named_by_its_case_and_number() -> None:
    with pytest.raises(InvalidParams, match=r"case 1 'a', check 2: `kind`"):
        read_rubric((CHECK + 'kind = "equals"\nvalue = 1\n[[case.check]]\nkind = "x"').encode())


def test_size_and_depth_are_bounded() -> None:
    with pytest.raises(TooLarge):
        read_rubric(b"#" * (MAX_BYTES + 1))
    with pytest.raises(InvalidParams):
        read_rubric((CASE + "arguments = { a = " + "[" * 5000 + "]" * 5000 + " }").encode())
    with pytest.raises(InvalidParams, match="not UTF-8"):
        read_rubric(b"\xff")


def test_a_pattern_takes_linear_time() -> None:
    began = time.monotonic()
    assert not linear("^(a+)+$").is_valid("a" * 100_000 + "b")
    assert time.monotonic() - began < 30  # Backtracking would take longer than the universe has.


@pytest.mark.parametrize(
    ("value", "text"), [(0.95, "0.95"), (1, "1"), (1.0, "1"), (0, "0"), (1e-9, "0.000000001"), (1e3, "1000")]
)
def test_numbers_are_decimal_strings(value: float, text: str) -> None:
    assert decimal_of(value) == text


def test_pointers_are_taken_apart() -> None:
    assert steps_of("") == []
    assert steps_of("/a~1b/~0/") == ["a/b", "~", ""]
