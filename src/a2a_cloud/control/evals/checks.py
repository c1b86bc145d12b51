"""What a check says of a result, and how scores come together. Nothing here runs or opens anything."""

from __future__ import annotations

import re
from fractions import Fraction
from typing import Any, cast

import msgspec
from msgspec import UNSET

from a2a_cloud.model.evaluation import Outcome
from a2a_cloud.wire.canonical import MAX_INTEGER
from a2a_cloud.wire.rubric import Check, linear, steps_of, validator

#: Characters of JSON of a value that a failure shows.
SHOWN = 2_000
#: Of what a check or a judge says.
DETAIL = 1_000
_LEVELS = 20
_NUMBER = re.compile(r"[0-9]{1,3}(\.[0-9]{1,30})?(e-[0-9]{1,3})?")
_PLACES = 6
_encode = msgspec.json.Encoder().encode

NOTHING = object()


def judge(check: Check, result: Any, schema: Any = None) -> Outcome:
    """The outcome of a check that only looks; `schema` is that of a schema check."""
    found = at(result, check.path)
    if found is NOTHING:
        return _failed(check, f"the result has nothing at {check.path}", UNSET, result)
    return _JUDGES[check.kind](check, found, schema)


def at(value: Any, pointer: str) -> Any:
    """What a JSON pointer leads to, NOTHING when there is nothing."""
    for step in steps_of(pointer):
        if isinstance(value, dict):
            value = cast("dict[str, Any]", value).get(step, NOTHING)
        elif isinstance(value, list) and step.isascii() and step.isdigit() and len(step) < 10:
            items = cast("list[Any]", value)
            value = items[int(step)] if int(step) < len(items) else NOTHING
        else:
            return NOTHING
        if value is NOTHING:
            return NOTHING
    return value


def _equals(check: Check, found: Any, _schema: Any) -> Outcome:
    expected = check.value
    for pointer in check.ignore:
        expected, found = _without(expected, steps_of(pointer)), _without(found, steps_of(pointer))
    difference = first_difference(expected, found)
    if difference is None:
        return _passed(check)
    where, want, got = difference
    place = check.path + where
    return _failed(check, f"it differs at {place}" if place else "it differs", want, got)


def _contains(check: Check, found: Any, _schema: Any) -> Outcome:
    wanted = check.value
    if isinstance(found, str):
        held = isinstance(wanted, str) and wanted in found
    elif isinstance(found, list):
        held = any(first_difference(wanted, one) is None for one in cast("list[Any]", found))
    elif isinstance(found, dict):
        members = cast("dict[str, Any]", found)
        held = isinstance(wanted, dict) and all(
            name in members and first_difference(value, members[name]) is None
            for name, value in cast("dict[str, Any]", wanted).items()
        )
    else:
        held = False
    return _passed(check) if held else _failed(check, "it does not contain that", wanted, found)


def _regex(check: Check, found: Any, _schema: Any) -> Outcome:
    if not isinstance(found, str):
        return _failed(check, "it is no text", check.pattern, found)
    if linear(check.pattern).is_valid(found):
        return _passed(check)
    return _failed(check, "the pattern is not found in it", check.pattern, found)


def _schema_check(check: Check, found: Any, schema: Any) -> Outcome:
    try:
        error = next(iter(validator(schema).iter_errors(found)), None)
    except ValueError as broken:
        return _failed(check, f"the schema can't be used: {str(broken).splitlines()[0]}", UNSET, UNSET)
    if error is None:
        return _passed(check)
    inside = _pointer(*error.instance_path)
    place = f" at {check.path}{inside}" if check.path or inside else ""
    why = f"it does not fit the schema{place}: {error.message}"
    return _failed(check, why, UNSET, at(found, inside))


def _numeric(check: Check, found: Any, _schema: Any) -> Outcome:
    if isinstance(found, bool) or not isinstance(found, int | float):
        return _failed(check, "it is no number", check.value, found)
    want, got = Fraction(str(check.value)), Fraction(str(found))
    absolute, relative = (Fraction(one) for one in check.tolerance)
    off = abs(want - got)
    if off <= max(absolute, relative * abs(want)):
        return _passed(check)
    try:
        far = f"{float(off):g}"
    except OverflowError:
        far = "more than a float can hold"
    return _failed(check, f"it is off by {far}", check.value, found)


_JUDGES = {
    "equals": _equals,
    "contains": _contains,
    "regex": _regex,
    "schema": _schema_check,
    "numeric": _numeric,
}


def said(check: Check, value: Any, result: Any) -> Outcome:
    """The outcome that a function or a judge gave: true, false, a score, or {score, reason}. Raises
    ValueError for anything else."""
    reason = ""
    if isinstance(value, dict):
        answer = cast("dict[str, Any]", value)
        value, reason = answer.get("score"), str(answer.get("reason") or "")[:DETAIL]
    if isinstance(value, bool):
        value = int(value)
    if isinstance(value, int | float):
        value = str(value)
    if not isinstance(value, str) or not _NUMBER.fullmatch(value) or Fraction(value) > 1:
        raise ValueError("the answer is no score from 0 to 1, nor {score, reason}")
    score = told(Fraction(value))
    if score == "1":
        return Outcome(check.kind, score, True, check.path, reason)
    return Outcome(check.kind, score, False, check.path, reason or "the score is not full", got=shown(result))


def broken(check: Check, why: str) -> Outcome:
    """A check that could not be made is one that does not hold."""
    return _failed(check, why[:DETAIL], UNSET, UNSET)


def ended(wanted: str, state: str, result: Any) -> Outcome:
    """Whether a run ended as it had to."""
    if wanted == state:
        return Outcome("state", "1", True)
    return Outcome(
        "state",
        "0",
        False,
        detail=f"the run ended as {state or 'nothing'}",
        expected=wanted,
        got=shown(result),
    )


def _passed(check: Check) -> Outcome:
    return Outcome(check.kind, "1", True, check.path)


def _failed(check: Check, why: str, expected: Any, got: Any) -> Outcome:
    return Outcome(
        check.kind,
        "0",
        False,
        check.path,
        why[:DETAIL],
        expected=UNSET if expected is UNSET else shown(expected),
        got=UNSET if got is UNSET or got is NOTHING else shown(got),
    )


def shown(value: Any) -> Any:
    """A value as a failure shows it: the beginning of its JSON where it is long, or has floats, which what is
    hashed can't have."""
    text = _encode(value).decode()
    if len(text) > SHOWN:
        return text[:SHOWN] + "…"
    return text if _hard(value) else value


def _hard(value: Any, depth: int = 0) -> bool:
    """Whether a value has no canonical form: floats, integers that lose digits elsewhere, too many levels."""
    if isinstance(value, float) or (isinstance(value, int) and abs(value) > MAX_INTEGER) or depth > _LEVELS:
        return True
    if isinstance(value, dict):
        return any(_hard(one, depth + 1) for one in cast("dict[str, Any]", value).values())
    return isinstance(value, list) and any(_hard(one, depth + 1) for one in cast("list[Any]", value))


def first_difference(want: Any, got: Any) -> tuple[str, Any, Any] | None:
    """(JSON pointer, expected, got) of the first place where two JSON values differ; UNSET for what is not
    there. Numbers are equal by their value; true is no number."""
    if isinstance(want, dict) and isinstance(got, dict):
        ours, theirs = cast("dict[str, Any]", want), cast("dict[str, Any]", got)
        for name in [*ours, *(name for name in theirs if name not in ours)]:
            found = first_difference(ours.get(name, UNSET), theirs.get(name, UNSET))
            if found is not None:
                return _pointer(name) + found[0], found[1], found[2]
        return None
    if isinstance(want, list) and isinstance(got, list):
        left, right = cast("list[Any]", want), cast("list[Any]", got)
        for index in range(max(len(left), len(right))):
            found = first_difference(
                left[index] if index < len(left) else UNSET, right[index] if index < len(right) else UNSET
            )
            if found is not None:
                return f"/{index}{found[0]}", found[1], found[2]
        return None
    one, other = cast("object", want), cast("object", got)
    same = one is other or (isinstance(one, bool) == isinstance(other, bool) and one == other)
    return None if same else ("", one, other)


def _pointer(*steps: str | int) -> str:
    return "".join("/" + str(step).replace("~", "~0").replace("/", "~1") for step in steps)


def _without(value: Any, steps: list[str]) -> Any:
    """A value without what a pointer leads to."""
    if isinstance(value, dict):
        members = dict(cast("dict[str, Any]", value))
        if len(steps) == 1:
            members.pop(steps[0], None)
        elif steps[0] in members:
            members[steps[0]] = _without(members[steps[0]], steps[1:])
        return members
    if isinstance(value, list) and steps[0].isdigit() and len(steps[0]) < 10:
        items = list(cast("list[Any]", value))
        index = int(steps[0])
        if index < len(items):
            items[index : index + 1] = [] if len(steps) == 1 else [_without(items[index], steps[1:])]
        return items
    return cast("object", value)


# --- scores -----------------------------------------------------------------------------------------


def mean(scores: list[tuple[str, str]]) -> str:
    """The mean of (score, weight), each a decimal string; never rounded up. "0" for no weight at all."""
    total = sum((Fraction(weight) for _, weight in scores), Fraction(0))
    if not total:
        return "0"
    return told(sum((Fraction(score) * Fraction(weight) for score, weight in scores), Fraction(0)) / total)


def told(score: Fraction) -> str:
    """A score as a decimal string of at most 6 places, rounded down."""
    # In integers: a division of decimals rounds to its own digits first, and that may be up.
    whole, rest = divmod(score.numerator * 10**_PLACES // score.denominator, 10**_PLACES)
    return f"{whole}.{rest:0{_PLACES}}".rstrip("0").rstrip(".")


def at_least(score: str, wanted: str) -> bool:
    """Whether a score is one that is wanted, or better."""
    return bool(score) and Fraction(score) >= Fraction(wanted)
