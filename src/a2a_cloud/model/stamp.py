"""Points in time as the platform writes them: RFC 3339, UTC, milliseconds, `Z`."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from functools import lru_cache

_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)


@lru_cache(maxsize=8)
def _second(whole: int) -> str:
    # Stamps come in bursts of the same second; the calendar is worked out once for each.
    return (_EPOCH + timedelta(seconds=whole)).strftime("%Y-%m-%dT%H:%M:%S.")


@lru_cache(maxsize=64)
def stamp(seconds: float) -> str:
    """`seconds` since the epoch as `2026-01-31T12:00:00.000Z`, rounded to a millisecond."""
    whole, milli = divmod(round(seconds * 1000), 1000)
    return f"{_second(whole)}{milli:03d}Z"
