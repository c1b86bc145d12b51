"""Conditional requests and ranges of one file (RFC 9110, sections 13 and 14): pure functions over header
fields. Entity tags are strong; a weak one never matches where strength is asked for."""

from __future__ import annotations

import re

from a2a_cloud.model.problem import InvalidParams, PreconditionFailed
from a2a_cloud.model.task import ObjectRef

_TAG = re.compile(r'\s*(W/)?"([\x21\x23-\x7e\x80-\xff]*)"\s*(?:,|$)')
_RANGE = re.compile(r"bytes\s*=\s*([0-9]{0,19})\s*-\s*([0-9]{0,19})\s*", re.IGNORECASE)
_HASH = re.compile(r"[0-9a-f]{64}")


def tags(field: bytes, name: str) -> list[tuple[bool, str]] | None:
    """[(it is weak, tag without quotes)…] of a list of entity tags; None for `*`. Raises InvalidParams."""
    text = field.decode("latin-1").strip()
    if text == "*":
        return None
    found: list[tuple[bool, str]] = []
    at = 0
    while at < len(text):
        match = _TAG.match(text, at)
        if match is None:
            raise InvalidParams(
                f"{name} is no list of entity tags.",
                remedy='Send an ETag as it came, quotes included: "…", or *.',
                info={"field": name},
            )
        found.append((bool(match[1]), match[2]))
        at = match.end()
    return found


def expectation(there: ObjectRef | None, if_match: bytes, if_none_match: bytes) -> str | None:
    """What a write expects to find, given what is there now: a SHA-256, "*" for any file, "" for none,
    None for no matter. It is to be checked again as the write happens. Raises PreconditionFailed."""
    expect: str | None = None
    tag = "" if there is None else there.sha256
    if if_match:
        wanted = tags(if_match, "If-Match")
        if wanted is None:
            expect = "*"
            met = there is not None
        else:
            expect = tag
            met = there is not None and any(not weak and one == tag for weak, one in wanted)
        if not met:
            raise differs(there)
    if if_none_match:
        unwanted = tags(if_none_match, "If-None-Match")
        if (there is not None) if unwanted is None else any(one == tag for _, one in unwanted):
            raise differs(there)
        expect = tag
    return expect


def differs(there: ObjectRef | None) -> PreconditionFailed:
    """That the file is another one, with its ETag."""
    if there is None:
        return PreconditionFailed("There is no such file.", remedy="Send no If-Match.", info={"etag": ""})
    etag = f'"{there.sha256}"'
    return PreconditionFailed(
        f"The file has the ETag {etag}.", remedy="Read it again, and send its ETag.", info={"etag": etag}
    )


def unchanged(sha256: str, if_none_match: bytes) -> bool:
    """Whether the client of a read has this content already (section 13.1.2: weak tags match too)."""
    if not if_none_match:
        return False
    known = tags(if_none_match, "If-None-Match")
    return known is None or any(one == sha256 for _, one in known)


def wanted_range(field: bytes, if_range: bytes, sha256: str, size: int) -> tuple[int, int] | None:
    """(offset, length) of a single range; None for the whole file: no range was asked for, several were,
    it can't be read, or `if_range` names another content. A length of 0: no byte of it is there."""
    if not field or (if_range and if_range.strip() != b'"%b"' % sha256.encode()):
        return None
    match = _RANGE.fullmatch(field.decode("latin-1").strip())
    if match is None or not (match[1] or match[2]):
        return None
    if not match[1]:
        length = min(int(match[2]), size)
        return size - length, length
    first = int(match[1])
    last = min(int(match[2]), size - 1) if match[2] else size - 1
    if match[2] and int(match[2]) < first:
        return None
    return first, max(0, last - first + 1)


def is_hash(text: str) -> bool:
    """Whether this is a SHA-256 as we write it."""
    return _HASH.fullmatch(text) is not None
