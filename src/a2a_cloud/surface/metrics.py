"""What the surface counts, as plain integers; /metrics turns them into Prometheus text at scrape time."""

from __future__ import annotations

from collections import defaultdict


class Metrics:
    """Counters. Keys are label values: a request's route and status, a stream's reason to close."""

    __slots__ = ("problems", "requests", "streams_closed", "streams_lagged", "streams_open", "streams_opened")

    def __init__(self) -> None:
        self.requests: defaultdict[tuple[str, int], int] = defaultdict(int)
        self.problems: defaultdict[str, int] = defaultdict(int)
        self.streams_opened = 0
        self.streams_open = 0
        self.streams_lagged = 0
        self.streams_closed: defaultdict[str, int] = defaultdict(int)
