"""Months of billing: in UTC, as `2026-10`."""

from __future__ import annotations

import re
from datetime import UTC, datetime, timedelta

from a2a_cloud.model.problem import InvalidParams

_MONTH = re.compile(r"(20[0-9]{2})-(0[1-9]|1[0-2])", re.ASCII).fullmatch


def bounds(month: str) -> tuple[int, int]:
    """(its first second, the first after it) in wall seconds. Raises InvalidParams."""
    found = _MONTH(month)
    if found is None:
        raise InvalidParams(
            f"The month is {month[:40]!r}.", remedy="Write it as 2026-10.", info={"field": "month"}
        )
    start = datetime(int(found[1]), int(found[2]), 1, tzinfo=UTC)
    after = (start + timedelta(days=32)).replace(day=1)
    return int(start.timestamp()), int(after.timestamp())


def day_of(at: float, days: int = 0) -> str:
    """The day of a moment, or so many days later."""
    return (datetime.fromtimestamp(at, UTC) + timedelta(days=days)).strftime("%Y-%m-%d")
