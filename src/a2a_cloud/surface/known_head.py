"""A request head that a connection has sent before need not be parsed again: most clients send the same one
with every call, but for its Content-Length.

What is taken as known is a whole request in one piece, whose head equals, byte for byte and apart from the
digits of that one field, a head that the parser took (RFC 9112). All else goes to the parser, which stands
between two messages all the while.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Any

#: A field line of its own: digits, and nothing after them.
_LENGTH = re.compile(rb"\r\ncontent-length:[ \t]*([0-9]{1,9})\r\n", re.IGNORECASE)
#: Longer heads are not kept: each connection keeps one.
_LONGEST = 2048
#: Digits of a length that is taken; more, and the parser looks at it.
_DIGITS = 9

Scope = dict[str, Any]


class KnownHead:
    """A head, cut at its length's digits, and the ASGI scope that it was read as."""

    __slots__ = ("_after", "_before", "_place", "_scope")

    def __init__(self, before: bytes, after: bytes, place: int, scope: Scope) -> None:
        self._before = before
        self._after = after
        self._place = place  # of Content-Length among the fields; -1 when there is none
        self._scope = scope

    @classmethod
    def of(cls, data: bytes, scope: Mapping[str, Any]) -> KnownHead | None:
        """From a request that came in one piece and was read as `scope`; None when its head is not plain
        enough to be sure what the parser made of it."""
        end = data.find(b"\r\n\r\n", 0, _LONGEST) + 4
        fields: list[tuple[bytes, bytes]] = scope["headers"]
        head = data[:end]
        # A line for the request, one for each field and the empty one: nothing is folded, nothing skipped.
        lines = len(fields) + 2
        if end < 4 or any(head.count(mark) != lines for mark in (b"\r\n", b"\r", b"\n")):
            return None
        names = [name for name, _ in fields]
        if b"transfer-encoding" in names or b"expect" in names or b"upgrade" in names:
            return None
        kept: Scope = {**scope, "headers": fields.copy()}
        found = _LENGTH.search(head)
        if found is None:
            return cls(head, b"", -1, kept) if b"content-length" not in names and len(data) == end else None
        if names.count(b"content-length") != 1 or len(data) != end + int(found[1]):
            return None
        return cls(head[: found.start(1)], head[found.end(1) :], names.index(b"content-length"), kept)

    def read(self, data: bytes, most: int) -> tuple[Scope, bytes] | None:
        """The scope and the body of a whole request with this head and at most `most` bytes of body, else
        None."""
        before = self._before
        if not data.startswith(before):
            return None
        begin = len(before)
        if self._place < 0:
            return (self._read()[0], b"") if len(data) == begin else None
        stop = data.find(b"\r", begin, begin + _DIGITS + 1)
        digits = data[begin:stop]
        # isdigit() of bytes: ASCII alone, and not of none.
        if stop < 0 or not digits.isdigit() or not data.startswith(self._after, stop):
            return None
        head = stop + len(self._after)
        length = int(digits)
        if len(data) - head != length or length > most:
            return None
        scope, fields = self._read()
        fields[self._place] = (b"content-length", digits)
        return scope, data[head:]

    def _read(self) -> tuple[Scope, list[tuple[bytes, bytes]]]:
        """The scope and its fields, for one request alone."""
        scope = self._scope.copy()
        fields = scope["headers"] = scope["headers"].copy()
        return scope, fields
