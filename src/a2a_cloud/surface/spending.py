"""What a call may cost with all that it calls: `a2a-cloud/budget` in a message's metadata, or the header
`A2A-Budget` of `/invoke`, such as `1.00USD` (docs/billing.md)."""

from __future__ import annotations

import msgspec
from msgspec import UNSET, UnsetType

from a2a_cloud.model.billing import Spend, read_spend
from a2a_cloud.model.problem import InvalidParams

KEY = "a2a-cloud/budget"
_MARK = KEY.encode()


class _Metadata(msgspec.Struct):
    budget: str | UnsetType = msgspec.field(default=UNSET, name=KEY)


_metadata = msgspec.json.Decoder(_Metadata)


def of_metadata(*found: msgspec.Raw | UnsetType) -> Spend | None:
    """What the first of these metadata that has the key says. Raises InvalidParams."""
    for raw in found:
        # An escape may spell the key another way (`\/`, `\u002d`): then only decoding tells.
        if raw is not UNSET and (_MARK in (data := bytes(raw)) or b"\\" in data):
            try:
                budget = _metadata.decode(raw).budget
            except msgspec.ValidationError:
                raise InvalidParams(
                    f"metadata[{KEY!r}] is no text.", remedy='Send "1.00USD".', info={"field": KEY}
                ) from None
            if budget is not UNSET:
                return read_spend(budget)
    return None


def of_header(value: bytes) -> Spend | None:
    """What the header says; None without one. Raises InvalidParams."""
    return read_spend(value.decode("latin-1")) if value else None
