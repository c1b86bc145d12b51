"""What a caller leaves of the agent's grant: `a2a-cloud/grant` in a message's metadata, or the header
`A2A-Grant` of `/invoke`, both JSON (docs/grants.md). Checked here, so that a run never begins with less
than its caller meant."""

from __future__ import annotations

from typing import Any, cast

import msgspec
from msgspec import UNSET, Struct, UnsetType

from a2a_cloud.control.grants.declare import read_narrowing
from a2a_cloud.model.grant import Narrowing
from a2a_cloud.model.problem import InvalidParams

KEY = "a2a-cloud/grant"
HEADER = b"a2a-grant"
_MARK = KEY.encode()


class _Metadata(Struct):
    grant: msgspec.Raw | UnsetType = msgspec.field(default=UNSET, name=KEY)


_metadata = msgspec.json.Decoder(_Metadata)


def of_metadata(*found: msgspec.Raw | UnsetType) -> Narrowing | None:
    """What the first of these metadata that has the key says. Raises InvalidParams."""
    for raw in found:
        # An escape may spell the key another way (`\/`, `\u002d`): then only decoding tells.
        if raw is not UNSET and (_MARK in (data := bytes(raw)) or b"\\" in data):
            grant = _metadata.decode(raw).grant
            if grant is not UNSET:
                return _read(bytes(grant), f"metadata[{KEY!r}]")
    return None


def of_header(value: bytes) -> Narrowing | None:
    """What the header says; None without one. Raises InvalidParams."""
    return _read(value, "The header A2A-Grant") if value else None


def _read(body: bytes, where: str) -> Narrowing:
    try:
        table = msgspec.json.decode(body)
    except (msgspec.MsgspecError, UnicodeDecodeError, RecursionError):
        table = None
    if not isinstance(table, dict):
        raise InvalidParams(
            f"{where} is no JSON object.",
            remedy='Send for example {"read": ["contracts/**"], "write": []}; docs/grants.md has the fields.',
        )
    return of_table(cast("dict[str, Any]", table), where)


def of_table(table: dict[str, Any], where: str) -> Narrowing:
    """What an object of the decoded body at `where` says. Raises InvalidParams."""
    return read_narrowing(table, where)
