"""Sizes, durations and dates."""

from __future__ import annotations

from datetime import UTC, datetime

import pytest

from a2a_cloud.callers.cli.exits import Failure
from a2a_cloud.callers.cli.units import between, count, duration, moment, since, size, took, written


@pytest.mark.parametrize(
    ("word", "seconds"),
    [("90", 90), ("90s", 90), ("10m", 600), ("1.5h", 5400), ("1d", 86_400), ("2W", 1_209_600), ("0", 0)],
)
def test_durations(word: str, seconds: float) -> None:
    assert duration(word, "--x") == seconds


@pytest.mark.parametrize("word", ["", "-1", "1y", "m", "1 day", "1e9", "٣", "99999999999"])
def test_what_is_no_duration(word: str) -> None:
    with pytest.raises(Failure, match="--x can't be"):
        duration(word, "--x")


def test_moments() -> None:
    assert moment("2027-01-31", "--x") == datetime(2027, 1, 31, tzinfo=UTC)
    assert written(moment("2027-01-31T12:00:00.250+02:00", "--x")) == "2027-01-31T10:00:00.250Z"
    assert written(since("9999999d", "--x")) == "1970-01-01T00:00:00Z"
    for word in ("soon", "2027-13-01", ""):
        with pytest.raises(Failure):
            moment(word, "--x")


def test_sizes_and_times() -> None:
    sizes = [size(each) for each in (0, 999, 1000, 34_512, 999_600, 1_200_000, 3_400_000_000)]
    assert sizes == ["0 bytes", "999 bytes", "1 kB", "34.5 kB", "1 MB", "1.2 MB", "3.4 GB"]
    assert [took(each) for each in (-1, 0.044, 1.24, 63.4, 200)] == [
        "0.00 s",
        "0.04 s",
        "1.2 s",
        "63 s",
        "3 min 20 s",
    ]
    assert between("2026-11-21T12:00:00.000Z", "2026-11-21T12:00:01.500Z") == 1.5
    assert between("", "x") is None
    assert (count(1, "file"), count(2, "file")) == ("1 file", "2 files")
