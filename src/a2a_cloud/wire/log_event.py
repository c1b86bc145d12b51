"""What an event of the audit log is made of as a leaf: its bytes, which anybody can hash again.

The bytes are a JSON object with sorted keys; what an event does not have is left out. They are a function of
the stored row alone. The log's entry is 0x01 and SHA-256(salt ‖ bytes), with 16 bytes of salt: a byte longer
than a receipt's, so that neither can be passed off as the other (docs/audit-log.md).
"""

from __future__ import annotations

from hashlib import sha256
from typing import Any

import msgspec

from a2a_cloud.model.stamp import stamp

#: The form of the bytes.
VERSION = 1

_encode = msgspec.json.Encoder(order="sorted").encode


def event_bytes(
    at: float,
    kind: str,
    caller: str,
    target: str,
    detail: str,
    run: str,
    grant: str,
    root: str,
    blocks: str,
    operation: str,
    allowed: int,
    reason: str,
) -> bytes:
    """The bytes of one event, its stored columns given. `at` in wall seconds, `detail` a JSON object or "",
    `blocks` digests by spaces, `allowed` 0 or 1."""
    told: dict[str, Any] = {"v": VERSION, "at": stamp(at), "kind": kind, "by": caller, "target": target}
    if detail:
        told["detail"] = msgspec.Raw(detail.encode())
    for name, value in (
        ("run", run),
        ("grant", grant),
        ("root", root),
        ("operation", operation),
        ("reason", reason),
    ):
        if value:
            told[name] = value
    if blocks:
        told["blocks"] = blocks.split()
    if run or grant:
        told["allowed"] = bool(allowed)
    return _encode(told)


def is_event(payload: str) -> bool:
    """Whether a text says an event."""
    try:
        told = msgspec.json.decode(payload.encode())
    except (ValueError, RecursionError):  # A DecodeError is a ValueError.
        return False
    return isinstance(told, dict) and isinstance(told.get("kind"), str)  # pyright: ignore[reportUnknownMemberType]


def event_entry(salt: bytes, payload: bytes) -> bytes:
    """The entry of the log for an event: 0x01 ‖ SHA-256(salt ‖ bytes)."""
    return b"\x01" + sha256(salt + payload).digest()
