"""What a caller leaves of the agent's grant: `a2a-cloud/grant` in a message's metadata, or the header
`A2A-Grant` of `/invoke`, both JSON (docs/grants.md). Checked here, so that a run never begins with less
than its caller meant."""

from __future__ import annotations

from collections.abc import Iterable

import msgspec
from msgspec import UNSET, Struct, UnsetType

from a2a_cloud.model.grant import Narrowing
from a2a_cloud.model.problem import InvalidParams
from a2a_cloud.wire.glob import check_globs, host_glob

KEY = "a2a-cloud/grant"
HEADER = b"a2a-grant"
_MARK = KEY.encode()
#: Patterns of one list, and characters of a reason.
_MOST = 64
_REASON = 1000


class _Metadata(Struct):
    grant: msgspec.Raw | UnsetType = msgspec.field(default=UNSET, name=KEY)


_metadata = msgspec.json.Decoder(_Metadata)
_narrowing = msgspec.json.Decoder(Narrowing)


def of_metadata(*found: msgspec.Raw | UnsetType) -> Narrowing | None:
    """What the first of these metadata that has the key says. Raises InvalidParams."""
    for raw in found:
        if raw is not UNSET and _MARK in bytes(raw):
            grant = _metadata.decode(raw).grant
            if grant is not UNSET:
                return read_narrowing(bytes(grant), f"metadata[{KEY!r}]")
    return None


def of_header(value: bytes) -> Narrowing | None:
    """What the header says; None without one. Raises InvalidParams."""
    return read_narrowing(value, "The header A2A-Grant") if value else None


def read_narrowing(body: bytes, where: str) -> Narrowing:
    """The JSON as a Narrowing with patterns that are some. Raises InvalidParams."""
    try:
        narrow = _narrowing.decode(body)
    except (msgspec.MsgspecError, UnicodeDecodeError, RecursionError) as error:
        raise InvalidParams(
            f"{where} can't be read: {error}.",
            remedy='Send for example {"read": ["contracts/**"], "write": []}; docs/grants.md has the fields.',
        ) from None
    for name, patterns in (
        ("read", narrow.read),
        ("write", narrow.write),
        ("deny", narrow.deny),
        ("skills", narrow.skills),
    ):
        _check(where, name, patterns or ())
    for host in narrow.egress or ():
        host_glob(host)
    if len(narrow.egress or ()) > _MOST or len(narrow.reason) > _REASON:
        raise InvalidParams(f"{where} is too long.", remedy=f"{_MOST} patterns of a kind are the most.")
    if min(narrow.bytes, narrow.uses, narrow.seconds) < 0 or not narrow.seconds < 1e9:
        raise InvalidParams(f"{where}: bytes, uses and seconds are no less than 0.", remedy="Leave them out.")
    return narrow


def _check(where: str, name: str, patterns: Iterable[str]) -> None:
    patterns = tuple(patterns)
    if len(patterns) > _MOST:
        raise InvalidParams(f"{where} has {len(patterns)} patterns in `{name}`; {_MOST} are the most.")
    try:
        check_globs(patterns)
    except InvalidParams as problem:
        raise InvalidParams(
            f"{where}, `{name}`: {problem.detail}", remedy=problem.remedy, info=problem.info
        ) from None
