"""Conditional requests (RFC 9110, section 13): whether the caller has already what we would send."""

from __future__ import annotations

from email.utils import parsedate_to_datetime

from a2a_cloud.surface.request import Request

#: Seconds for which a document about an agent may be kept.
MAX_AGE = 60


def has_it(request: Request, etag: bytes, modified: float) -> bool:
    """Whether the request names `etag`, or a time not before `modified` (wall seconds)."""
    if request.if_none_match:
        given = [tag.strip().removeprefix(b"W/") for tag in request.if_none_match.split(b",")]
        return etag in given or b"*" in given
    if request.if_modified_since:
        try:
            since = parsedate_to_datetime(request.if_modified_since.decode("latin-1")).timestamp()
        except (ValueError, TypeError, OverflowError):
            return False
        return int(modified) <= since
    return False
