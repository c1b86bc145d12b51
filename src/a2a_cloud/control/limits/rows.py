"""Budgets' counters and organisations' rules in SQL. A counter's row has its window in its key: a clock that
was turned back finds what was used then, and gives nothing twice."""

from __future__ import annotations

import sqlite3
from typing import NamedTuple

from a2a_cloud.model.scope import SYSTEM, Scope
from a2a_cloud.storage.journal.port import IN_ORDER, Statement

PUT_USE = Statement(
    "put_budget_use",
    "INSERT INTO budget_use(span, org, subject, agent, skill, used) VALUES(?,?,?,?,?,?)"
    " ON CONFLICT DO UPDATE SET used=excluded.used",
    IN_ORDER,
)
#: A day or month that nobody looks at any more; of every organisation.
DROP_USE = Statement("drop_budget_use", "DELETE FROM budget_use WHERE span=? AND org>=0", IN_ORDER)
PUT_RULE = Statement(
    "put_limit_rule",
    "INSERT INTO limit_rule(org, target, body, at, set_by) VALUES(?,?,?,?,?)"
    " ON CONFLICT DO UPDATE SET body=excluded.body, at=excluded.at, set_by=excluded.set_by",
    IN_ORDER,
)
DROP_RULE = Statement("drop_limit_rule", "DELETE FROM limit_rule WHERE org=? AND target=?", IN_ORDER)

_USE = "SELECT span, used FROM budget_use WHERE org=? AND subject=? AND agent=? AND skill=? AND span IN (?,?)"
#: From one span to the next by the index: there are few, and many rows of each.
_SPANS = (
    "WITH RECURSIVE known(span) AS (SELECT MIN(span) FROM budget_use WHERE org>=0 UNION ALL"
    " SELECT (SELECT MIN(span) FROM budget_use WHERE span>known.span AND org>=0) FROM known"
    " WHERE span IS NOT NULL) SELECT span FROM known WHERE span IS NOT NULL"
)
_HAS = {
    "caller": "SELECT 1 FROM principal WHERE org=? AND name=?",
    "key": "SELECT 1 FROM api_key WHERE org=? AND id=?",
}
_RULES = "SELECT org, target, body, at, set_by FROM limit_rule"


class RuleRow(NamedTuple):
    """What an organisation set for a target; `body` is JSON."""

    org: int
    target: str
    body: str
    at: float
    by: str


class LimitRows:
    """The reads."""

    def __init__(self, connection: sqlite3.Connection) -> None:
        self._connection = connection

    def used(
        self, scope: Scope, subject: str, agent: int, skill: str, spans: tuple[str, str]
    ) -> dict[str, int]:
        """Calls so far, by span, as far as they are on disk."""
        found = self._connection.execute(_USE, (scope.org, subject, agent, skill, *spans))
        return dict(found.fetchall())

    def spans(self, scope: Scope) -> list[str]:
        """Days and months with counters, in order: for the platform's own clearing up."""
        assert scope is SYSTEM
        return [span for (span,) in self._connection.execute(_SPANS)]

    def has(self, scope: Scope, target: str) -> bool:
        """Whether an organisation has what a rule is for."""
        kind, _, name = target.partition(":")
        query = _HAS.get(kind)
        return query is None or self._connection.execute(query, (scope.org, name)).fetchone() is not None

    def rules(self, scope: Scope) -> list[RuleRow]:
        """All rules: for the platform's own start."""
        assert scope is SYSTEM
        return [RuleRow(*row) for row in self._connection.execute(_RULES)]
