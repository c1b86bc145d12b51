"""Values that a client keeps for us and brings back, signed (HMAC-SHA-256): sessions' ids and
`requestState` (MCP 2026-07-28, basic/patterns/mrtr: attacker-controlled input). Nothing in them is secret,
nothing in them grants anything by itself: who brings them is checked apart.
"""

from __future__ import annotations

import hmac
from base64 import urlsafe_b64decode, urlsafe_b64encode
from hashlib import sha256
from typing import TypeVar

import msgspec

T = TypeVar("T")
_MAX = 4096


class Sealer:
    """Seals and opens with a key of its own, made of the platform's key for links."""

    __slots__ = ("_key",)

    def __init__(self, key: bytes) -> None:
        self._key = hmac.digest(key, b"a2a-cloud mcp v1", sha256)

    def seal(self, purpose: str, value: msgspec.Struct) -> str:
        """`value`, signed for that purpose: visible ASCII."""
        body = urlsafe_b64encode(msgspec.json.encode(value)).rstrip(b"=")
        return f"{body.decode()}.{self._mark(purpose, body)}"

    def open(self, purpose: str, text: str, kind: type[T]) -> T | None:
        """What was sealed for that purpose, or None for anything else."""
        body, dot, mark = text.partition(".")
        if not dot or len(text) > _MAX or not text.isascii():
            return None
        if not hmac.compare_digest(self._mark(purpose, body.encode()).encode(), mark.encode()):
            return None
        try:
            return msgspec.json.decode(urlsafe_b64decode(body + "=" * (-len(body) % 4)), type=kind)
        except (ValueError, msgspec.MsgspecError):
            return None

    def _mark(self, purpose: str, body: bytes) -> str:
        mark = hmac.digest(self._key, purpose.encode() + b"\0" + body, sha256)
        return urlsafe_b64encode(mark).rstrip(b"=").decode()
