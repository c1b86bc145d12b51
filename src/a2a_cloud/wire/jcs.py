"""Canonical JSON of any document (RFC 8785, JCS), floats and all.

`wire.canonical` is the fast way for what we sign on the way of a call, which holds no floats; this one is
for documents with parts that others wrote, such as the schemas in a card.
"""

from __future__ import annotations

import json
from typing import Any, cast

#: Beyond this JavaScript's numbers, which are what JSON's are here, have gaps.
_EXACT = 2**53


def jcs(value: Any) -> bytes:
    """The canonical form of JSON builtins. Raises ValueError on NaN, infinities and lone surrogates, and on
    what is no JSON."""
    out: list[str] = []
    _write(value, out)
    return "".join(out).encode()


def _write(value: Any, out: list[str]) -> None:
    if isinstance(value, dict):
        pairs = cast("dict[str, Any]", value)
        out.append("{")
        for index, key in enumerate(sorted(pairs, key=_utf16)):
            out.append(("," if index else "") + _text(key) + ":")
            _write(pairs[key], out)
        out.append("}")
    elif isinstance(value, list | tuple):
        out.append("[")
        for index, item in enumerate(cast("list[Any]", value)):
            if index:
                out.append(",")
            _write(item, out)
        out.append("]")
    elif isinstance(value, str):
        out.append(_text(value))
    elif value is None or isinstance(value, bool):
        out.append("null" if value is None else "true" if value else "false")
    elif isinstance(value, int):
        out.append(str(value) if -_EXACT < value < _EXACT else number(float(value)))
    elif isinstance(value, float):
        out.append(number(value))
    else:
        raise ValueError(f"a {type(value).__name__} is no JSON")


def _text(text: str) -> str:
    return json.dumps(text, ensure_ascii=False)


def _utf16(key: str) -> bytes:
    return key.encode("utf-16-be")


def number(value: float) -> str:
    """A double as ECMAScript prints it (ECMA-262, Number::toString; RFC 8785, section 3.2.2.3)."""
    if value != value or value in (float("inf"), float("-inf")):
        raise ValueError(f"{value} is no JSON")
    if value == 0:
        return "0"
    sign = "-" if value < 0 else ""
    # Python's repr gives the same shortest digits; only where the point and the exponent go differs.
    mantissa, _, exponent = repr(abs(value)).partition("e")
    whole, _, fraction = mantissa.partition(".")
    fraction = "" if fraction == "0" else fraction
    digits = (whole + fraction).lstrip("0")
    #: The value is 0.digits × 10 ** point.
    point = len(whole) + int(exponent or 0) - (len(whole + fraction) - len(digits))
    digits = digits.rstrip("0")
    if len(digits) <= point <= 21:
        return sign + digits + "0" * (point - len(digits))
    if 0 < point <= 21:
        return f"{sign}{digits[:point]}.{digits[point:]}"
    if -6 < point <= 0:
        return f"{sign}0.{'0' * -point}{digits}"
    power = point - 1
    shown = digits if len(digits) == 1 else f"{digits[0]}.{digits[1:]}"
    return f"{sign}{shown}e{'+' if power > 0 else '-'}{abs(power)}"
