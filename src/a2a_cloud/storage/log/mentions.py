"""Events of an organisation's log that are about runs: what was decided, signed, scored and erased. Found in
one pass over its changes, so that no event needs an index by what it is about."""

from __future__ import annotations

import json
import sqlite3
from collections.abc import Iterator

from a2a_cloud.model.problem import Internal
from a2a_cloud.model.scope import Scope

_KINDS = "('review.signed', 'run.erased', 'eval.scored', 'approval.approved', 'approval.denied')"
_PAGE = 500
_FIRST = (
    "SELECT no, at FROM audit_event INDEXED BY audit_event_change"
    " WHERE org=? AND run='' AND no>=? ORDER BY no LIMIT 1"
)
_LAST = "SELECT MAX(no) FROM audit_event INDEXED BY audit_event_change WHERE org=? AND run=''"
_NEXT = (
    "SELECT no, leaf, kind, target, detail FROM audit_event INDEXED BY audit_event_change"  # noqa: S608
    f" WHERE org=? AND run='' AND no>? AND kind IN {_KINDS} ORDER BY no LIMIT {_PAGE}"
)
_OF_RUN = (
    "SELECT leaf FROM audit_event INDEXED BY audit_event_run WHERE run=? AND org=? ORDER BY leaf LIMIT ?"
)


class Mentions:
    """Reads of committed rows. Raises Internal when the database can't be read."""

    def __init__(self, connection: sqlite3.Connection) -> None:
        self._connection = connection

    def _all(self, sql: str, params: tuple[object, ...]) -> list[tuple[object, ...]]:
        try:
            return self._connection.execute(sql, params).fetchall()
        except sqlite3.Error as error:
            raise Internal("The log's events could not be read.", operator=str(error)) from error

    def of_run(self, scope: Scope, run: str, limit: int) -> list[int]:
        """Leaves of what became of a run's grants."""
        return [int(str(leaf)) for (leaf,) in self._all(_OF_RUN, (run, scope.org, limit))]

    def since(self, scope: Scope, at: float) -> Iterator[list[tuple[str, int]]]:
        """(the id of a run or approval, the leaf of an event about it), page by page, of all events since a
        time in wall seconds."""
        after = self._before(scope, at)
        while rows := self._all(_NEXT, (scope.org, after)):
            page: list[tuple[str, int]] = []
            for no, leaf, kind, target, detail in rows:
                about = json.loads(str(detail)).get("run", "") if kind == "eval.scored" else target
                page.append((str(about), int(str(leaf))))
                after = int(str(no))
            yield page

    def _before(self, scope: Scope, at: float) -> int:
        """A number after which all events since `at` come: changes are numbered as they happen."""
        ((last,),) = self._all(_LAST, (scope.org,))
        low, high = 0, int(str(last or 0))
        while low < high:
            middle = (low + high) // 2
            found = self._all(_FIRST, (scope.org, middle + 1))
            if found and float(str(found[0][1])) < at:
                low = int(str(found[0][0]))
            else:
                high = middle
        return low
