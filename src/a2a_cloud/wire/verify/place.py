"""Where in a JSON text a value stands, so that a verifier can say which line and column is meant."""

from __future__ import annotations

import json
import re

_STEP = re.compile(r"\.([A-Za-z0-9_]+)|\[([0-9]+)\]")
_BLANK = re.compile(r"[ \t\r\n]*")
_decoder = json.JSONDecoder()


def line_and_column(text: str, index: int) -> tuple[int, int]:
    """Both counted from 1, in characters."""
    before = text[:index]
    return before.count("\n") + 1, index - (before.rfind("\n") + 1) + 1


def find(text: str, path: str) -> int | None:
    """The index at which the value at `path` (`$.a.b[0]`) begins in the JSON text; None when there is none.
    A path that goes on below the last value that is there means that value."""
    steps = [int(number) if number else name for name, number in _STEP.findall(path)]
    try:
        at = _blank(text, 0)
        for step in steps:
            below = _member(text, at, step) if isinstance(step, str) else _element(text, at, step)
            if below is None:
                return at
            at = below
        return at
    except (ValueError, IndexError, RecursionError):
        return None


def _member(text: str, at: int, name: str) -> int | None:
    if text[at] != "{":
        return None
    at = _blank(text, at + 1)
    while text[at] == '"':
        key, at = _decoder.raw_decode(text, at)
        at = _blank(text, _blank(text, at) + 1)
        if key == name:
            return at
        at = _past(text, at)
    return None


def _element(text: str, at: int, index: int) -> int | None:
    if text[at] != "[":
        return None
    at = _blank(text, at + 1)
    while text[at] != "]":
        if not index:
            return at
        index -= 1
        at = _past(text, at)
    return None


def _past(text: str, at: int) -> int:
    """What follows the value at `at`, and the comma after it."""
    _, end = _decoder.raw_decode(text, at)
    end = _blank(text, end)
    return _blank(text, end + 1) if text[end] == "," else end


def _blank(text: str, at: int) -> int:
    found = _BLANK.match(text, at)
    return at if found is None else found.end()
