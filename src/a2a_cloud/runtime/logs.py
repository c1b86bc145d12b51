"""Run logs: what agents print and log, bounded, readable per run and per agent.

A line flood is cut per release and minute and said so in one line; old lines beyond `KEPT_LINES` of
an agent are deleted as new ones come.
"""

from __future__ import annotations

from collections.abc import Sequence

from a2a_cloud.model.ports import Clock
from a2a_cloud.model.release import Release
from a2a_cloud.model.scope import Scope
from a2a_cloud.storage.journal.port import Journal, Write
from a2a_cloud.storage.sql import statements as sql
from a2a_cloud.storage.sql.reader import LogRow, Reader

#: Characters of a line that are kept.
LINE_LIMIT = 8192
#: Lines of an agent that are kept.
KEPT_LINES = 50_000
LEVELS = frozenset({"debug", "info", "warning", "error"})


class _Budget:
    __slots__ = ("bytes", "dropped", "lines", "since")

    def __init__(self, since: float) -> None:
        self.since, self.bytes, self.dropped, self.lines = since, 0, 0, 0


class Logs:
    """Writes and reads log lines."""

    def __init__(self, journal: Journal, reader: Reader, clock: Clock) -> None:
        self._journal = journal
        self._reader = reader
        self._clock = clock
        self._budgets: dict[int, _Budget] = {}

    def add(self, release: Release, run_no: int, level: str, source: str, line: str) -> bool:
        """Keep a line, as far as the release's `log_bytes` per minute go; returns whether it was kept.
        `run_no` 0: of no run."""
        now = self._clock.monotonic()
        budget = self._budgets.get(release.agent_no)
        if budget is None:
            budget = self._budgets[release.agent_no] = _Budget(now)
        if now - budget.since > 60:
            if budget.dropped:
                self._write(
                    release,
                    0,
                    "warning",
                    "platform",
                    f"{budget.dropped} lines were dropped: too many in a minute.",
                )
            budget.since, budget.bytes, budget.dropped = now, 0, 0
        budget.bytes += len(line) + 64
        if source != "platform" and budget.bytes > release.manifest.limits.log_bytes:
            if not budget.dropped:
                self._write(
                    release,
                    run_no,
                    "warning",
                    "platform",
                    "Too much output in a minute ([limits] log_bytes): further lines are dropped.",
                )
            budget.dropped += 1
            return False
        self._write(release, run_no, level if level in LEVELS else "info", source, line[:LINE_LIMIT])
        budget.lines += 1
        if budget.lines % 1000 == 0:
            self._trim(release)
        return True

    def say(self, release: Release, level: str, line: str) -> None:
        """A line of the release's deploy; it counts against no budget."""
        self._write(release, 0, level, "deploy", line[:LINE_LIMIT])

    def drop(self, release: Release, lines: int) -> None:
        """Count lines that were dropped unseen, because `add` had refused the one before."""
        budget = self._budgets.get(release.agent_no)
        if budget is not None:
            budget.dropped += lines

    def _write(self, release: Release, run_no: int, level: str, source: str, line: str) -> None:
        line = line.encode("utf-8", "replace").decode()
        self._journal.submit(
            Write(
                [
                    (
                        sql.ADD_LOG,
                        (
                            release.org_no,
                            release.agent_no,
                            release.no,
                            run_no or None,
                            self._clock.now(),
                            level,
                            source,
                            line,
                        ),
                    )
                ]
            )
        )

    def _trim(self, release: Release) -> None:
        newest = self._reader.logs(Scope(org=release.org_no), agent=release.agent_no, limit=1)
        if newest:
            self._journal.submit(
                Write([(sql.TRIM_LOG, (release.org_no, release.agent_no, newest[-1].no - KEPT_LINES))])
            )

    def of_run(self, org_no: int, run_no: int, after: int = 0) -> list[LogRow]:
        """Lines of a run; the caller has checked its owner."""
        return self._reader.logs(Scope(org=org_no), run=run_no, after=after)

    def of_agent(
        self,
        org_no: int,
        agent_no: int,
        *,
        run: int | None = None,
        release: int | None = None,
        levels: Sequence[str] = (),
        since: float = 0.0,
        after: int = 0,
        limit: int = 1000,
    ) -> list[LogRow]:
        """Lines of an agent; the caller has checked who asks. Filters as the reader's."""
        return self._reader.logs(
            Scope(org=org_no),
            agent=agent_no,
            run=run,
            release=release,
            levels=levels,
            since=since,
            after=after,
            limit=limit,
        )
