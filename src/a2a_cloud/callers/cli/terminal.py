"""What `a2a` writes: results to stdout, everything else to stderr, nothing that drives a terminal.

Text from outside (agents' output, names, log lines) can hold control characters that move the
cursor, retitle the window or turn the reading direction; here they become visible escapes. `rich`
is imported only on a terminal, and only when something is drawn with it.
"""

from __future__ import annotations

import json
import re
import sys
from collections.abc import Sequence
from typing import TYPE_CHECKING, Any, TextIO

if TYPE_CHECKING:
    from rich.status import Status

# C0 but for tab and newline, DEL and C1, line and paragraph separators, marks and overrides of
# direction, the byte order mark, lone surrogates (which could not even be printed).
_UNSAFE = re.compile(
    "[\x00-\x08\x0b-\x1f\x7f-\x9f\u061c\u200e\u200f\u2028\u2029\u202a-\u202e\u2066-\u2069\ufeff\ud800-\udfff]"
)
_UNSAFE_IN_LINE = re.compile(_UNSAFE.pattern[:-1] + "\t\n]")
_SURROGATE = re.compile("[\ud800-\udfff]")
_SHORT = {"\n": "\\n", "\r": "\\r", "\t": "\\t"}


def _escape(match: re.Match[str]) -> str:
    return _SHORT.get(match[0]) or f"\\u{ord(match[0]):04x}"


def clean(text: str) -> str:
    """`text` without anything that a terminal obeys, newline and tab aside. JSON stays JSON."""
    return _UNSAFE.sub(_escape, text)


def clean_line(text: Any) -> str:
    """As `clean`, and on one line."""
    return _UNSAFE_IN_LINE.sub(_escape, str(text))


def _is_terminal(stream: TextIO) -> bool:
    return stream.isatty()


def interactive() -> bool:
    """Whether somebody is there to be asked."""
    return sys.stdin.isatty() and sys.stderr.isatty()


def say(text: str = "") -> None:
    """A line for the person, on stderr."""
    print(clean(text), file=sys.stderr, flush=True)


def put(text: str, *, end: str = "\n") -> None:
    """Output on stdout: escaped on a terminal, as it is in a pipe."""
    shown = clean(text) if _is_terminal(sys.stdout) else _SURROGATE.sub(_escape, text)
    print(shown, end=end, flush=True)


def put_json(value: Any) -> None:
    """One JSON document on stdout: indented for a terminal, one line in a pipe."""
    terminal = _is_terminal(sys.stdout)
    put(json.dumps(value, ensure_ascii=False, indent=2 if terminal else None))


def pretty(value: Any) -> str:
    """A JSON value for a reader."""
    return json.dumps(value, ensure_ascii=False, indent=2)


def table(columns: Sequence[str], rows: Sequence[Sequence[Any]]) -> None:
    """Aligned columns on stdout. Nothing is cut: a long line wraps, so an id can always be copied."""
    cells = [[clean_line(cell) for cell in row] for row in rows]
    widths = [max([len(name), *(len(row[i]) for row in cells)]) for i, name in enumerate(columns)]
    lines = [
        "  ".join(cell.ljust(width) for cell, width in zip(row, widths, strict=True)).rstrip()
        for row in [list(columns), *cells]
    ]
    if _is_terminal(sys.stdout):
        lines[0] = f"\x1b[1m{lines[0]}\x1b[0m"
    print("\n".join(lines), flush=True)  # every cell is clean already


class Progress:
    """What a call is doing, on stderr: one line that changes on a terminal, plain lines elsewhere."""

    def __init__(self, *, quiet: bool = False) -> None:
        self._quiet = quiet
        self._terminal = _is_terminal(sys.stderr)
        self._status: Status | None = None
        self._last = ""

    def show(self, text: str) -> None:
        """Say what goes on now; the same text twice is said once."""
        line = clean_line(text)
        if self._quiet or line == self._last:
            return
        self._last = line
        if not self._terminal:
            print(line, file=sys.stderr, flush=True)
            return
        from rich.text import Text

        if self._status is None:
            from rich.console import Console

            self._status = Console(file=sys.stderr, highlight=False).status(Text(line))
            self._status.start()
        else:
            self._status.update(Text(line))

    def clear(self) -> None:
        """Take the line away, because something else is written now."""
        self._last = ""
        if self._status is not None:
            self._status.stop()
            self._status = None
