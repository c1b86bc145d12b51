"""Canonical JSON (RFC 8785, JCS) for bodies without floats, and salted hashes of payloads.

JCS is costly in general (numbers as ECMAScript prints them, keys by UTF-16 code units). Without
floats and with ASCII keys it is what msgspec prints with sorted keys, which costs 1 µs where
rfc8785 takes 30; the tests compare both byte for byte. Floats are refused: nothing that is signed
here has any.
"""

from __future__ import annotations

import json
from collections import Counter
from hashlib import sha256
from typing import Any, cast

import msgspec

#: Integers beyond this lose digits in JavaScript; RFC 8785 (with RFC 7493) leaves them out.
MAX_INTEGER = 2**53 - 1
#: Depth at which a strange document is refused, far below Python's own recursion limit.
MAX_DEPTH = 64
#: Brackets and commas at which one is refused unread: each value costs many times its bytes in memory, and
#: 64 MiB of empty lists would take gigabytes.
MAX_MARKS = 1 << 22

_sorted = msgspec.json.Encoder(order="sorted")
_declared = msgspec.json.Encoder()


def canonical(obj: object) -> bytes:
    """The canonical JSON of builtins or Structs.

    Raises ValueError on floats, on integers beyond ±(2^53 - 1), on keys that are no strings, on
    lone surrogates, on bytes and on nesting deeper than MAX_DEPTH; TypeError on what is no JSON at all.
    """
    plain = msgspec.to_builtins(obj, builtin_types=(bytes, bytearray, memoryview))
    if _check(plain, 0):
        return _sorted.encode(plain)
    return _declared.encode(_ordered(plain))


def salted_sha256(salt: bytes, payload: bytes) -> str:
    """SHA-256(salt ‖ payload) in hex. `salt` has 16 bytes (unchecked: this is on the way of a call)."""
    return sha256(salt + payload).hexdigest()


def parse_strict(document: bytes) -> object:
    """The builtins of a JSON text in which nothing is ambiguous.

    Raises ValueError with a sentence on bytes that are not UTF-8 or not JSON, on anything after the
    value, duplicate keys, floats, NaN, integers beyond ±(2^53 - 1), lone surrogates, deep nesting and
    millions of values.
    """
    if len(document) > MAX_MARKS and sum(map(document.count, (b",", b"[", b"{"))) > MAX_MARKS:
        raise ValueError(f"more than {MAX_MARKS} brackets and commas")
    try:
        text = document.decode("utf-8")
    except UnicodeDecodeError as error:
        raise ValueError(f"not UTF-8 at byte {error.start}") from None
    try:
        value = _decoder.decode(text)
    except json.JSONDecodeError as error:
        what = "more follows after the end" if error.msg == "Extra data" else f"not JSON ({error.msg})"
        raise ValueError(f"{what}, at character {error.pos}") from None
    except RecursionError:
        raise ValueError("nested too deeply") from None
    _check(value, 0)
    return value


def _check(value: object, depth: int) -> bool:
    """Refuse what has no canonical form here; say whether every key is ASCII."""
    if depth > MAX_DEPTH:
        raise ValueError("nested too deeply")
    if isinstance(value, str):
        if not value.isascii():
            _check_text(value)
        return True
    if value is None or isinstance(value, bool):
        return True
    if isinstance(value, int):
        if not -MAX_INTEGER <= value <= MAX_INTEGER:
            raise ValueError("an integer beyond 2^53 - 1")
        return True
    if isinstance(value, list):
        plain = True
        for item in cast("list[object]", value):
            plain &= _check(item, depth + 1)
        return plain
    if isinstance(value, dict):
        plain = True
        for key, item in cast("dict[object, object]", value).items():
            if not isinstance(key, str):
                raise ValueError("a key that is not a string")
            if not key.isascii():
                _check_text(key)
                plain = False
            plain &= _check(item, depth + 1)
        return plain
    raise ValueError("a float" if isinstance(value, float) else f"a {type(value).__name__}")


def _check_text(text: str) -> None:
    try:
        text.encode()
    except UnicodeEncodeError:
        raise ValueError("half of a surrogate pair") from None


def _ordered(value: object) -> object:
    """Keys by UTF-16 code units (RFC 8785, section 3.2.3), which is not the order of code points."""
    if isinstance(value, dict):
        pairs = cast("dict[str, object]", value)
        return {key: _ordered(pairs[key]) for key in sorted(pairs, key=_utf16)}
    if isinstance(value, list):
        return [_ordered(item) for item in cast("list[object]", value)]
    return value


def _utf16(key: str) -> bytes:
    return key.encode("utf-16-be")


def _no_duplicates(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    found = dict(pairs)
    if len(found) != len(pairs):
        twice, _ = Counter(key for key, _ in pairs).most_common(1)[0]
        raise ValueError(f"the key {twice!a} stands twice in one object")
    return found


def _integer(digits: str) -> int:
    if len(digits) > 17:
        raise ValueError("an integer beyond 2^53 - 1")
    return int(digits)


def _no_float(digits: str) -> float:
    raise ValueError(f"the number {digits[:40]} is not an integer")


_decoder = json.JSONDecoder(
    object_pairs_hook=_no_duplicates, parse_int=_integer, parse_float=_no_float, parse_constant=_no_float
)
