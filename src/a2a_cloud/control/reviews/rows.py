"""What is stored of reviews: the signed document, and the notes apart from it, for they can be deleted."""

from __future__ import annotations

import sqlite3
from collections.abc import Sequence
from typing import Any, NamedTuple

from a2a_cloud.model.problem import Internal
from a2a_cloud.model.scope import Scope
from a2a_cloud.storage.journal.port import Op, Statement

ADD_REVIEW = Statement(
    "add_review",
    "INSERT INTO review(id, org, agent, run, receipt, principal, verdict, at, own, document, salt, notes)"
    " VALUES(?,?,?,?,?,?,?,?,?,?,?,?)",
)
#: Zeros first, in place: a value that is only let go of stays in the page's free space.
WIPE_NOTES = Statement(
    "wipe_notes", "UPDATE review SET notes=zeroblob(length(CAST(notes AS BLOB))) WHERE org=? AND run=?", 7
)
ERASE_NOTES = Statement("erase_notes", "UPDATE review SET salt=NULL, notes=NULL WHERE org=? AND run=?", 8)

_COLUMNS = "id, agent, run, receipt, verdict, at, own, document, salt, notes"
ONE = f"SELECT {_COLUMNS} FROM review WHERE id=? AND org=?"  # noqa: S608
OF_RUN = f"SELECT {_COLUMNS} FROM review WHERE org=? AND run=? ORDER BY at, id"  # noqa: S608


class ReviewRow(NamedTuple):
    """A stored review. `document` is the signed one as JSON, without notes; `salt` and `notes` are None where
    there are none, or none any more. `own`: the reviewer's own run. `at` in wall seconds."""

    id: str
    agent: str
    run: str
    receipt: str
    verdict: str
    at: float
    own: bool
    document: bytes
    salt: bytes | None
    notes: str | None


def erased(org: int, run_id: str) -> list[Op]:
    """The notes on an erased run go; the verdicts stay."""
    return [(WIPE_NOTES, (org, run_id)), (ERASE_NOTES, (org, run_id))]


class ReviewRows:
    """Reads of committed rows; a scope names one organisation."""

    def __init__(self, connection: sqlite3.Connection) -> None:
        self._connection = connection

    def _all(self, sql: str, params: Sequence[Any]) -> list[ReviewRow]:
        try:
            found = self._connection.execute(sql, params).fetchall()
        except sqlite3.Error as error:
            raise Internal("The stored rows could not be read.", operator=str(error)) from error
        except UnicodeEncodeError:
            return []  # No stored text can be equal to that one.
        return [_row(row) for row in found]

    def one(self, scope: Scope, review_id: str) -> ReviewRow | None:
        """The review of that id."""
        found = self._all(ONE, (review_id, _org(scope)))
        return found[0] if found else None

    def of_run(self, scope: Scope, run_id: str) -> list[ReviewRow]:
        """Those of a run, oldest first."""
        return self._all(OF_RUN, (_org(scope), run_id))

    def listed(self, scope: Scope, *, agent: str = "", before: str = "", limit: int = 50) -> list[ReviewRow]:
        """The organisation's or an agent's, newest first, those before the one named `before`."""
        org = _org(scope)
        sql = (
            f"SELECT {_COLUMNS} FROM review WHERE org=?"  # noqa: S608
            + (" AND agent=?" if agent else "")
            + (" AND (at, id) < (SELECT at, id FROM review WHERE org=? AND id=?)" if before else "")
            + " ORDER BY at DESC, id DESC LIMIT ?"
        )
        more = ((agent,) if agent else ()) + ((org, before) if before else ())
        return self._all(sql, (org, *more, limit))


def _row(row: tuple[Any, ...]) -> ReviewRow:
    review_id, agent, run, receipt, verdict, at, own, document, salt, notes = row
    return ReviewRow(review_id, agent, run, receipt, verdict, at, bool(own), document, salt, notes)


def _org(scope: Scope) -> int:
    if scope.system:
        raise Internal("Reviews were asked for without their organisation.")
    return scope.org
