"""What the platform hands out to get back soon, and keeps nothing of: challenges of passkeys, the state of a
sign-in at an outside provider. Sealed, so that nobody reads or changes it; good for one purpose, a short
time, and (where that matters) once."""

from __future__ import annotations

import base64
import binascii
from collections.abc import Mapping
from typing import Protocol

import msgspec

from a2a_cloud.model.ports import Clock

#: Those that were used and would still be good, at most.
_KEPT = 100_000


class Seals(Protocol):
    """Seals values (control/secrets/seal.py)."""

    def close(self, value: bytes, place: str) -> bytes: ...
    def open(self, sealed: bytes, place: str) -> bytes: ...


class Tickets:
    """See the module."""

    def __init__(self, seal: Seals, clock: Clock) -> None:
        self._seal = seal
        self._clock = clock
        self._used: dict[bytes, float] = {}

    def make(self, purpose: str, seconds: float, claims: Mapping[str, str]) -> str:
        """A ticket that carries `claims`."""
        body = msgspec.json.encode([self._clock.now() + seconds, dict(claims)])
        sealed = self._seal.close(body, f"ticket/{purpose}")
        return base64.urlsafe_b64encode(sealed).decode().rstrip("=")

    def read(self, purpose: str, ticket: str, *, once: bool = True) -> dict[str, str] | None:
        """The claims; None when it is none of ours, for another purpose, too old, or was used."""
        try:
            sealed = base64.urlsafe_b64decode(ticket + "=" * (-len(ticket) % 4))
            body = self._seal.open(sealed, f"ticket/{purpose}")
        except (ValueError, binascii.Error):
            return None
        ends, claims = msgspec.json.decode(body, type=tuple[float, dict[str, str]])
        now = self._clock.now()
        mark = sealed[:12]  # The nonce: no two tickets have the same.
        if ends < now or mark in self._used:
            return None
        if once:
            if len(self._used) >= _KEPT:
                self._used = {each: until for each, until in self._used.items() if until > now}
            self._used[mark] = ends
        return claims
