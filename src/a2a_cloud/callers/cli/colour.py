"""Colour on a terminal, and nowhere else; https://no-color.org is honoured."""

from __future__ import annotations

import os
import sys
from collections.abc import Callable

from a2a_cloud.callers.cli.terminal import clean, put


def coloured() -> bool:
    """Whether standard output may be coloured."""
    return sys.stdout.isatty() and not os.environ.get("NO_COLOR")


def _painter(code: str) -> Callable[[str], str]:
    def paint(text: str) -> str:
        return f"\x1b[{code}m{clean(text)}\x1b[0m" if coloured() else text

    return paint


bold, red, green, yellow, cyan, dim = (_painter(code) for code in ("1", "31", "32", "33", "36", "2"))


def put_painted(text: str, paint: Callable[[str], str]) -> None:
    """A line on standard output in a colour. What is in `text` cannot drive the terminal."""
    if coloured():
        print(paint(text), flush=True)
    else:
        put(text)
