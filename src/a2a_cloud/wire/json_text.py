"""What is checked on the text of a JSON body before anything is decoded from it (RFC 8259).

Values that nobody here reads stay the bytes that came, and are sent on to workers, journals and
callers: so they have to be well formed before they are kept. msgspec checks the grammar and surrogates
of what it skips, but not its UTF-8 and not its depth; both are checked here, by scans that run at the
speed of C.
"""

from __future__ import annotations

import re

from a2a_cloud.model.problem import InvalidRequest, Malformed

MAX_DEPTH = 64
# Possessive, and content with an end that never comes: no text makes it look at a byte twice.
_STRING = re.compile(rb'"[^"\\]*+(?:\\.[^"\\]*+)*+(?:"|\\?\Z)', re.DOTALL)
_SQUARE = bytes.maketrans(b"{}", b"[]")
_NOT_BRACKETS = bytes(c for c in range(256) if c not in b"[]")


def check_text(body: bytes) -> None:
    """Raises Malformed unless `body` is UTF-8, InvalidRequest when its values nest deeper than 64."""
    if not body.isascii():
        try:
            body.decode()
        except UnicodeDecodeError as error:
            raise Malformed(
                f"The body is not valid UTF-8: byte {error.start} can't be read.",
                remedy="Send JSON encoded as UTF-8.",
            ) from None
    # At most 64 brackets that open can't nest deeper than 64: true of nearly every body.
    if body.count(b"{") + body.count(b"[") > MAX_DEPTH and depth_over(body, MAX_DEPTH):
        raise InvalidRequest(
            f"The JSON nests deeper than {MAX_DEPTH} levels.", remedy="Send flatter data, or a file part."
        )


def depth_over(body: bytes, limit: int) -> bool:
    """Whether brackets outside of strings nest deeper than `limit` levels.

    Each round takes the innermost pairs away; what is left after `limit` rounds was deeper, or is
    unbalanced, which the decoder then refuses.
    """
    brackets = _STRING.sub(b"", body).translate(_SQUARE).translate(None, _NOT_BRACKETS)
    for _ in range(limit):
        shorter = brackets.replace(b"[]", b"")
        if len(shorter) == len(brackets):
            break
        brackets = shorter
    return brackets.count(b"[") > limit or b"[]" in brackets


def readable(value: object, limit: int = 80) -> str:
    """A value that came from outside, quoted and cut, fit for a sentence."""
    text = repr(value) if not isinstance(value, str) else f"'{value}'"
    text = text.encode("utf-8", "replace").decode()
    text = "".join(c if c.isprintable() else "\N{REPLACEMENT CHARACTER}" for c in text)
    return text if len(text) <= limit else text[: limit - 1] + "…"
