"""What of a message is compared when its id comes again: the same words in another binding or spelling are
the same message.

Protocol Buffers know neither an order of members nor whole numbers, and base64 has two alphabets.
"""

from __future__ import annotations

from typing import Any, cast

import msgspec
from msgspec import UNSET, Raw
from msgspec.structs import replace

from a2a_cloud.model.task import Part

_canonical = msgspec.json.Encoder(order="sorted").encode
_encode = msgspec.json.Encoder().encode
_decode = msgspec.json.Decoder().decode
_STANDARD = str.maketrans("-_", "+/")


def alike(raw: Raw | bytes, value: Any) -> bytes:
    """`value`, which was decoded from `raw`: members in order, 2.0 as 2."""
    return _canonical(_whole(value) if b"." in bytes(raw) else value)


def parts_alike(parts: list[Part]) -> bytes:
    """Parts in full."""
    return _encode([_part(part) for part in parts])


def _part(part: Part) -> Part:
    if part.data is UNSET and part.metadata is UNSET and part.raw is UNSET:
        return part  # Text and addresses have one spelling.
    part = replace(part)
    if part.data is not UNSET:
        part.data = Raw(alike(part.data, _decode(part.data)))
    if part.metadata is not UNSET:
        part.metadata = Raw(alike(part.metadata, _decode(part.metadata)))
    if part.raw is not UNSET:
        part.raw = part.raw.translate(_STANDARD).rstrip("=")
    return part


def _whole(value: Any) -> Any:
    if isinstance(value, float):
        return int(value) if value.is_integer() and abs(value) <= 2.0**53 else value
    if isinstance(value, dict):
        return {name: _whole(item) for name, item in cast("dict[str, Any]", value).items()}
    if isinstance(value, list):
        return [_whole(item) for item in cast("list[Any]", value)]
    return value
