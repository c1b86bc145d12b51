"""What somebody gives as a push target, checked before it is kept (A2A 1.0, section 4.3.1): an address
that may be reached, and values that can stand in a header."""

from __future__ import annotations

import re

import msgspec

from a2a_cloud.model.problem import EgressRefused, InvalidParams
from a2a_cloud.model.run import PushTarget
from a2a_cloud.runtime.outward import Outward, Place, place
from a2a_cloud.wire.json_text import readable

_MAX_ID = 256
_MAX_VALUE = 4096
_SCHEME = re.compile(r"[A-Za-z0-9!#$%&'*+.^_`|~-]{1,64}").fullmatch
#: What a header's value may hold (RFC 9110, section 5.5), without what is not ASCII.
_VALUE = re.compile(r"[\x21-\x7e](?:[\x20-\x7e]*[\x21-\x7e])?").fullmatch

_encode = msgspec.json.Encoder().encode
_decode = msgspec.json.Decoder(PushTarget).decode


async def check(target: PushTarget, outward: Outward, field: str = "") -> Place:
    """Where `target` leads. Raises InvalidParams for what can't be used, and for what may not be reached as
    far as that is to be seen now. `field`: what stands before the names of its fields."""
    where = place(target.url, f"{field}url")
    if len(target.id) > _MAX_ID or (target.id and not target.id.isprintable()):
        raise InvalidParams(
            f"{field}id has to be {_MAX_ID} printable characters at most.", info={"field": f"{field}id"}
        )
    _check_value(target.token, f"{field}token")
    _check_value(target.credentials, f"{field}authentication.credentials")
    if target.scheme and not _SCHEME(target.scheme):
        raise InvalidParams(
            f"{readable(target.scheme)} is no authentication scheme.",
            remedy="Name one such as Bearer.",
            info={"field": f"{field}authentication.scheme"},
        )
    if target.credentials and not target.scheme:
        raise InvalidParams(
            "There are credentials without a scheme.",
            remedy="Name the scheme, such as Bearer.",
            info={"field": f"{field}authentication.scheme"},
        )
    try:
        await outward.look(where)
    except EgressRefused as refused:
        raise InvalidParams(
            refused.detail, remedy=refused.remedy, info={"field": f"{field}url", "reason": "address"}
        ) from None
    return where


def _check_value(value: str, field: str) -> None:
    if value and (len(value) > _MAX_VALUE or not _VALUE(value)):
        raise InvalidParams(
            f"{field} can't be sent in a header.",
            remedy=f"Use {_MAX_VALUE} printable ASCII characters at most.",
            info={"field": field},
        )


def headers(target: PushTarget) -> dict[str, str]:
    """What the receiver wants to see, as it was configured."""
    found: dict[str, str] = {}
    if target.token:
        found["X-A2A-Notification-Token"] = target.token
    if target.scheme and target.credentials:
        found["Authorization"] = f"{target.scheme} {target.credentials}"
    return found


def pack(target: PushTarget) -> bytes:
    """The bytes that are sealed."""
    return _encode(target)


def unpack(body: bytes) -> PushTarget:
    """What `pack` packed. Raises msgspec.MsgspecError."""
    return _decode(body)
