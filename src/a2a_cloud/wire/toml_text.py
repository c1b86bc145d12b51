"""TOML from strangers. The standard library's reader takes time and memory with the square of a dotted key's
parts: 100 KB of `a.a.a…` cost it gigabytes, so keys with more parts than anybody writes are refused before it
sees them."""

from __future__ import annotations

import re
import tomllib
from typing import Any

#: Parts of one key.
MAX_PARTS = 64
_PART = r"""(?:[A-Za-z0-9_-]++|"[^"\n]*+"|'[^'\n]*+')"""
# Begins where a word begins, and never goes back into one: no text makes it look at a byte often.
_LONG_KEY = re.compile(rf"(?<![A-Za-z0-9_-]){_PART}(?:[ \t]*+\.[ \t]*+{_PART}){{{MAX_PARTS}}}")


class LongKey(tomllib.TOMLDecodeError):
    """A key that is refused."""

    def __init__(self, line: int) -> None:
        ValueError.__init__(self, f"A key has more than {MAX_PARTS} parts (at line {line}, column 1)")


def loads(text: str) -> dict[str, Any]:
    """What a TOML document says. Raises tomllib.TOMLDecodeError, RecursionError."""
    found = _LONG_KEY.search(text)
    if found is not None:
        raise LongKey(text.count("\n", 0, found.start()) + 1)
    return tomllib.loads(text)
