"""What a worker's connections leave behind while nothing runs in it."""

from __future__ import annotations

from types import SimpleNamespace
from typing import Any, cast

from a2a_cloud.runtime.sites import LINES, LINES_SECONDS, Site


class Clock:
    at = 0.0

    def now(self) -> float:
        return 1000.0 + self.at

    def monotonic(self) -> float:
        return self.at


def a_site(lines: list[str]) -> tuple[Site, Clock]:
    clock = Clock()

    def log_line(*words: Any) -> None:
        lines.append(words[-1])

    runs: Any = SimpleNamespace(clock=clock, log_line=log_line)
    worker: Any = SimpleNamespace(runs={}, release=SimpleNamespace(name="one"))
    return Site(runs, worker, cast("Any", None)), clock


def test_lines_about_connections_while_nothing_ran_are_bounded() -> None:
    lines: list[str] = []
    site, clock = a_site(lines)
    assert site.allows("a.test", 443) != ""
    assert site.holds("a.test", 443) != ""
    site.connected("a.test", 443, "192.0.2.1", "allowed")
    site.ended("a.test", 443, 1, 2)
    for _ in range(10_000):
        site.connected("b.test", 443, "", "refused: nothing runs")
    assert lines[:3] == [
        "a.test:443 was connected to while nothing ran.",
        "a.test:443 was left while nothing ran.",
        "b.test:443 refused: nothing runs while nothing ran.",
    ]
    assert len(lines) == LINES
    assert lines[-1].endswith("More such connections are not named for 60 s.")
    clock.at = LINES_SECONDS
    for _ in range(10_000):
        site.connected("b.test", 443, "", "refused: nothing runs")
    assert len(lines) == 2 * LINES
