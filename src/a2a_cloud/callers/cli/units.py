"""Sizes, durations and dates as people write and read them on the command line."""

from __future__ import annotations

import re
from datetime import UTC, datetime, timedelta

from a2a_cloud.callers.cli.exits import Exit, Failure

_SECONDS = {"": 1, "s": 1, "m": 60, "h": 3600, "d": 86_400, "w": 604_800}
_DURATION = re.compile(r"([0-9]{1,9}(?:\.[0-9]{1,3})?)([smhdw]?)")


def duration(word: str, name: str) -> float:
    """Seconds of `90`, `90s`, `10m`, `2h`, `1d`, `1w`. Raises Failure (usage) that names `name`."""
    match = _DURATION.fullmatch(word.strip().lower())
    if match is None:
        raise Failure(
            Exit.USAGE, f"{name} can't be {word!r}.", remedy="Write a time such as 90s, 10m, 2h or 1d."
        )
    return float(match[1]) * _SECONDS[match[2]]


def moment(word: str, name: str) -> datetime:
    """The point in time of a date or stamp (RFC 3339); UTC where it names no zone. Raises Failure (usage)."""
    try:
        found = datetime.fromisoformat(word.strip())
    except ValueError:
        raise Failure(
            Exit.USAGE,
            f"{name} can't be {word!r}.",
            remedy="Write a date such as 2027-01-31, or a time such as 2027-01-31T12:00:00Z.",
        ) from None
    return (found if found.tzinfo else found.replace(tzinfo=UTC)).astimezone(UTC)


def since(word: str, name: str) -> datetime:
    """`10m` (so long ago) or a stamp, as a point in time. Raises Failure (usage)."""
    if _DURATION.fullmatch(word.strip().lower()):
        ago = duration(word, name)
        try:
            return datetime.now(UTC) - timedelta(seconds=ago)
        except OverflowError:
            return datetime(1970, 1, 1, tzinfo=UTC)
    return moment(word, name)


def written(at: datetime) -> str:
    """A point in time as the platform reads it: RFC 3339, UTC, `Z`."""
    return at.astimezone(UTC).isoformat(timespec="milliseconds").replace("+00:00", "Z").replace(".000Z", "Z")


def size(count: int) -> str:
    """Bytes in three digits or so: `812 bytes`, `34.5 kB`, `1.2 MB`."""
    if count < 1000:
        return f"{count} bytes"
    value = float(count)
    for unit in ("kB", "MB"):
        value /= 1000
        if value < 999.5:
            return f"{value:.3g} {unit}"
    return f"{value / 1000:.3g} GB"


def took(seconds: float) -> str:
    """A duration: `0.04 s`, `1.2 s`, `63 s`, `3 min 20 s`."""
    seconds = max(seconds, 0.0)
    if seconds < 1:
        return f"{seconds:.2f} s"
    if seconds < 10:
        return f"{seconds:.1f} s"
    if seconds < 120:
        return f"{seconds:.0f} s"
    minutes, rest = divmod(round(seconds), 60)
    return f"{minutes} min {rest} s"


def between(start: str, end: str) -> float | None:
    """Seconds between two stamps of the platform; None when one of them is none."""
    try:
        return (datetime.fromisoformat(end) - datetime.fromisoformat(start)).total_seconds()
    except (ValueError, TypeError):
        return None


def count(number: int, word: str) -> str:
    """`1 file`, `2 files`."""
    return f"{number} {word}" if number == 1 else f"{number} {word}s"
