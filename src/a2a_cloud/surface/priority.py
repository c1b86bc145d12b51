"""How urgent a call is: `a2a-cloud/priority` in a message's metadata, or the header `A2A-Priority` of
`/invoke`, a whole number (docs/http.md). Nobody is let past the highest that their key allows: what asks
for more gets that much."""

from __future__ import annotations

import msgspec
from msgspec import UNSET, UnsetType

from a2a_cloud.model.principal import MAX_PRIORITY, Principal
from a2a_cloud.model.problem import InvalidParams
from a2a_cloud.wire.json_text import readable

KEY = "a2a-cloud/priority"
_MARK = KEY.encode()


class _Metadata(msgspec.Struct):
    priority: msgspec.Raw | UnsetType = msgspec.field(default=UNSET, name=KEY)


_metadata = msgspec.json.Decoder(_Metadata)


def of_metadata(principal: Principal, *found: msgspec.Raw | UnsetType) -> int:
    """What the first of these metadata that has the key says, 0 without. Raises InvalidParams."""
    for raw in found:
        # An escape may spell the key another way (`\/`, `\u002d`): then only decoding tells.
        if raw is not UNSET and (_MARK in (data := bytes(raw)) or b"\\" in data):
            priority = _metadata.decode(raw).priority
            if priority is not UNSET:
                return _read(bytes(priority), f"metadata[{KEY!r}]", principal)
    return min(0, principal.priority)


def of_header(principal: Principal, value: bytes) -> int:
    """What the header says; 0 without one. Raises InvalidParams."""
    if not value:
        return min(0, principal.priority)
    return _read(value.strip(), "The header A2A-Priority", principal)


def _read(text: bytes, where: str, principal: Principal) -> int:
    digits = text.removeprefix(b"-")
    if not (digits.isdigit() and len(digits) <= 3):
        raise InvalidParams(
            f"{where} has to be a whole number, not {readable(text.decode('utf-8', 'replace'))}.",
            remedy=f"Send a number from -{MAX_PRIORITY} to {MAX_PRIORITY}; 0 is the usual one.",
            info={"field": KEY},
        )
    return max(-MAX_PRIORITY, min(int(text), principal.priority))
