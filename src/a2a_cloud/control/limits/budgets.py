"""Budgets in calls: how often a caller, or a key, called one skill in a day and in a month (UTC).

Counted in memory and written once a second, each counter as a whole, so that a platform that is killed loses
a second's counts at most, and a call costs no statement. Days go by a clock that is not turned while the
platform runs.
"""

from __future__ import annotations

from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from typing import Protocol

from a2a_cloud.control.limits.rows import DROP_USE, PUT_USE
from a2a_cloud.model.ports import Clock
from a2a_cloud.model.scope import SYSTEM, Scope
from a2a_cloud.storage.journal.port import Op, Write

#: Seconds until what was counted is written.
WRITE_SECONDS = 1.0
#: Counters in memory, as long as there are others that are written.
MOST_COUNTERS = 50_000
#: The last ones stay on disk: by their number and not by their age, which a wrong clock gets wrong.
KEPT_DAYS = 35
KEPT_MONTHS = 13


class Journal(Protocol):
    """The journal's queue."""

    def submit(self, write: Write) -> None:
        """Queue a write."""
        ...


class Rows(Protocol):
    """What is on disk."""

    def used(
        self, scope: Scope, subject: str, agent: int, skill: str, spans: tuple[str, str]
    ) -> dict[str, int]:
        """Calls so far, by span."""
        ...

    def spans(self, scope: Scope) -> list[str]:
        """Days and months with counters, in order."""
        ...


class Counter:
    """Calls of one skill by one subject: `day` and `month` in the spans that go on."""

    __slots__ = ("agent", "changed", "day", "flying", "month", "org", "skill", "spans", "subject")

    def __init__(
        self, org: int, subject: str, agent: int, skill: str, spans: tuple[str, str], used: dict[str, int]
    ) -> None:
        self.org, self.subject, self.agent, self.skill = org, subject, agent, skill
        self.spans = spans
        self.day, self.month = (used.get(span, 0) for span in spans)
        #: Not yet on its way to disk; and writes that are.
        self.changed = False
        self.flying = 0

    def ops(self) -> list[Op]:
        """What writes it."""
        whose = (self.org, self.subject, self.agent, self.skill)
        return [
            (PUT_USE, (span, *whose, used))
            for span, used in zip(self.spans, (self.day, self.month), strict=True)
        ]


class Budgets:
    """All counters. `later` calls something after some seconds."""

    __slots__ = (
        "_changed",
        "_clock",
        "_counters",
        "_journal",
        "_later",
        "_left",
        "_most",
        "_rows",
        "_spans",
        "turn",
    )

    def __init__(
        self,
        rows: Rows,
        journal: Journal,
        clock: Clock,
        later: Callable[[float, Callable[[], object]], object],
        most: int = MOST_COUNTERS,
    ) -> None:
        self._rows = rows
        self._journal = journal
        self._clock = clock
        self._later = later
        self._most = most
        self._counters: dict[tuple[str, int, str], Counter] = {}
        self._changed: list[Counter] = []
        #: What is to be written of spans that are over.
        self._left: list[Op] = []
        self._spans = ("", "")
        #: When the day is over (monotonic).
        self.turn = 0.0
        self._new_day()
        self._clear()

    @property
    def full(self) -> bool:
        """Whether some should be forgotten."""
        return len(self._counters) >= self._most

    @property
    def day_ends(self) -> float:
        """When the day is over, in wall seconds."""
        return self._clock.now() + self.turn - self._clock.monotonic()

    @property
    def month_ends(self) -> float:
        """The same of the month."""
        last = datetime.fromtimestamp(self.day_ends - 1, UTC).replace(day=28) + timedelta(days=4)
        return last.replace(day=1, hour=0, minute=0, second=0, microsecond=0).timestamp()

    def of(self, org: int, subject: str, agent: int, skill: str) -> Counter:
        """The counter of a subject for a skill, as it goes on from what is on disk."""
        key = (subject, agent, skill)
        found = self._counters.get(key)
        if found is None:
            used = self._rows.used(Scope(org=org), subject, agent, skill, self._spans)
            found = self._counters[key] = Counter(org, subject, agent, skill, self._spans, used)
        return found

    def counted(self, counter: Counter) -> None:
        """It was changed, and is not marked so: it will be written."""
        counter.changed = True
        if not self._changed and not self._left:
            self._later(WRITE_SECONDS, self.write)
        self._changed.append(counter)

    def write(self) -> None:
        """Write what was counted, with the journal's next group."""
        changed, self._changed = self._changed, []
        if not changed and not self._left:
            return
        for counter in changed:
            counter.changed = False
            counter.flying += 1

        def collect() -> list[Op]:
            left, self._left = self._left, []
            return [*left, *(op for counter in changed for op in counter.ops())]

        def done(_: BaseException | None) -> None:
            for counter in changed:
                counter.flying -= 1

        self._journal.submit(Write(collect=collect, done=done, must=True))

    def new_day(self) -> None:
        """The day is over: counters go on with what the new one has, usually nothing. As `forget`."""
        old = self._spans
        self._new_day()
        if self._spans == old:
            return
        self.forget()
        for counter in self._counters.values():
            self._left += counter.ops()
            spans = counter.spans
            used = self._rows.used(
                Scope(org=counter.org), counter.subject, counter.agent, counter.skill, self._spans
            )
            counter.day = used.get(self._spans[0], 0)
            if spans[1] != self._spans[1]:
                counter.month = used.get(self._spans[1], 0)
            counter.spans = self._spans
        if self._left:
            self.write()
        self._clear()

    def forget(self) -> None:
        """Let go of those that are on disk. Nobody may hold one but runs whose acceptance is on its way: what
        they counted is written after it, so theirs stay."""
        self._counters = {
            key: counter for key, counter in self._counters.items() if counter.changed or counter.flying
        }

    def _new_day(self) -> None:
        now = datetime.fromtimestamp(self._clock.now(), UTC)
        self._spans = (f"{now:%Y-%m-%d}", f"{now:%Y-%m}")
        midnight = now.replace(hour=0, minute=0, second=0, microsecond=0) + timedelta(days=1)
        self.turn = self._clock.monotonic() + (midnight - now).total_seconds()

    def _clear(self) -> None:
        spans = self._rows.spans(SYSTEM)
        days = [span for span in spans if len(span) == len(self._spans[0])]
        months = [span for span in spans if len(span) == len(self._spans[1])]
        ops: list[Op] = [(DROP_USE, (span,)) for span in days[:-KEPT_DAYS] + months[:-KEPT_MONTHS]]
        if ops:
            self._journal.submit(Write(ops, must=True))
