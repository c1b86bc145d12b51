"""Which runs were accepted within a time. Runs are numbered as they come, so the numbers are searched by
halves and no index by time costs each call anything."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Protocol

from a2a_cloud.model.scope import Scope
from a2a_cloud.storage.sql.reader import RunRow

_PAGE = 1000


class RunPages(Protocol):
    """Runs by number, newest first."""

    def runs(
        self, scope: Scope, *, agent: int | None = None, before: int | None = None, limit: int = 50
    ) -> list[RunRow]:
        """Those with a number below `before`."""
        ...


def runs_between(
    reader: RunPages, scope: Scope, agent: int | None, since: float, until: float
) -> Iterator[RunRow]:
    """Runs with `since` <= accepted < `until`, to the millisecond that people see, newest first. Ends once a
    whole page is older: a clock that was turned back by less than that loses nothing."""
    newest = reader.runs(scope, agent=agent, limit=1)
    if not newest:
        return
    # The largest number below which the newest run was accepted before `until`.
    low, high = 0, newest[0].no + 1
    while low < high:
        middle = (low + high + 1) // 2
        found = reader.runs(scope, agent=agent, before=middle, limit=1)
        if not found or _shown(found[0]) < until:
            low = middle
        else:
            high = middle - 1
    before = low
    while page := reader.runs(scope, agent=agent, before=before, limit=_PAGE):
        within = [row for row in page if since <= _shown(row) < until]
        yield from within
        if len(page) < _PAGE or (not within and _shown(page[0]) < since):
            return
        before = page[-1].no


def _shown(row: RunRow) -> float:
    return round(row.created, 3)
