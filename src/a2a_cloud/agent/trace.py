"""Tracebacks for an agent's author: their own frames, without the kit's."""

from __future__ import annotations

import traceback
from pathlib import Path

_KIT = str(Path(__file__).resolve().parents[1]) + "/"
#: Lines that are kept of the beginning and of the end of a long one.
_HEAD, _TAIL = 20, 40


def author_trace(error: BaseException) -> list[str]:
    """The lines of an exception's traceback, causes too; cut in the middle when it is long."""
    try:
        whole = traceback.TracebackException.from_exception(error, compact=True)
        _strip(whole)
        lines = "".join(whole.format()).rstrip().split("\n")
    except (MemoryError, RecursionError):
        return [type(error).__name__]
    if len(lines) > _HEAD + _TAIL:
        lines[_HEAD:-_TAIL] = [f"  … {len(lines) - _HEAD - _TAIL} lines …"]
    return lines


def _strip(one: traceback.TracebackException, depth: int = 0) -> None:
    own = [frame for frame in one.stack if not frame.filename.startswith((_KIT, "<frozen "))]
    one.stack = traceback.StackSummary.from_list(own)
    if depth < 20:
        for other in (one.__cause__, one.__context__, *(one.exceptions or ())):
            if other is not None:
                _strip(other, depth + 1)
