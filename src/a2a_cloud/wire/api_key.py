"""The form of the platform's API keys: what makes one recognisable wherever it turns up.

`a2a_` + id (12 hex digits) + `_` + secret (43 characters of base64url: 32 bytes) + check (6 characters).
`a2a_` + id is the prefix, which is no secret. The check is the CRC-32 of everything before it, in digits of
base 62, so that a scanner tells a key from what only looks like one without asking anybody. Keys of before
had no check.
"""

from __future__ import annotations

import base64
import re
import zlib
from collections.abc import Iterator
from hashlib import sha256
from typing import NamedTuple

#: What secret scanners look for (docs/keys.md).
PATTERN = r"a2a_[0-9a-f]{12}_[A-Za-z0-9_-]{49}"
_KEY = re.compile(r"a2a_([0-9a-f]{12})_[A-Za-z0-9_-]{43}(?:[0-9A-Za-z]{6})?")
_FOUND = re.compile(r"a2a_([0-9a-f]{12})(?:_([A-Za-z0-9_-]{43,}))?")
_DIGITS = "0123456789ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz"
_SECRET, _CHECK = 43, 6


class Found(NamedTuple):
    """A key in some text: its id, and the SHA-256 of the whole of it, "" when only its prefix stood there."""

    id: str
    sha256: str = ""


def make_key(key_id: str, secret: bytes) -> str:
    """The key with that id (12 hex digits) and secret (32 bytes)."""
    plain = f"a2a_{key_id}_{base64.urlsafe_b64encode(secret).decode().rstrip('=')}"
    return plain + check_of(plain)


def check_of(plain: str) -> str:
    """The check of a key, which is given without it."""
    left, digits = zlib.crc32(plain.encode()), ""
    for _ in range(_CHECK):
        left, digit = divmod(left, 62)
        digits = _DIGITS[digit] + digits
    return digits


def is_key(text: str) -> bool:
    """Whether `text` has the form of a key, its check included where it has one."""
    if _KEY.fullmatch(text) is None:
        return False
    plain = text[: len("a2a_123456789012_") + _SECRET]
    return text == plain or text == plain + check_of(plain)


def keys_in(text: str) -> Iterator[Found]:
    """The keys and the prefixes of keys in `text`, each once, in their order."""
    seen: set[Found] = set()
    for match in _FOUND.finditer(text):
        head = f"a2a_{match[1]}_"
        tail: str = match[2] or ""
        # What follows a key may be letters too, as in a URL: the longest that is one counts.
        whole = next((one for size in (_SECRET + _CHECK, _SECRET) if is_key(one := head + tail[:size])), "")
        found = Found(match[1], sha256(whole.encode()).hexdigest() if whole else "")
        if found not in seen:
            seen.add(found)
            yield found
