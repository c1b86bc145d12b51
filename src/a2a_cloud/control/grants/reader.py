"""What is stored of grants, read: over the reader's connection, on the loop's thread. What a person may
see names its organisation; the rest is for the platform's own work (`Authority`)."""

from __future__ import annotations

import json
import sqlite3
from collections.abc import Iterable, Sequence
from typing import Any

from a2a_cloud.control.grants import rows as sql
from a2a_cloud.control.grants.rows import EndRow, GrantRow, PolicyRow, UseRow
from a2a_cloud.model.problem import Internal


class GrantRows:
    """See the module. Every method raises Internal when the database can't be read."""

    def __init__(self, connection: sqlite3.Connection) -> None:
        self._connection = connection

    def _all(self, query: str, params: Sequence[Any] = ()) -> list[tuple[Any, ...]]:
        try:
            return self._connection.execute(query, params).fetchall()
        except sqlite3.Error as error:
            raise Internal("The stored grants could not be read.", operator=str(error)) from error
        except (UnicodeEncodeError, OverflowError):
            return []  # No stored text or number can be equal to that one.

    # --- of one organisation ----------------------------------------------------------------------------

    def grant(self, org: int, grant_id: str) -> GrantRow | None:
        """The grant with that id."""
        found = self._all(sql.GRANT, (org, grant_id))
        return GrantRow(*found[0]) if found else None

    def grants(
        self,
        org: int,
        *,
        holder: str = "",
        subject: str = "",
        before: GrantRow | None = None,
        limit: int = 50,
    ) -> list[GrantRow]:
        """Newest first: those of a holder, or of a subject, or all."""
        place = "" if before is None else before.id
        if holder:
            found = self._all(sql.GRANTS_OF_HOLDER, (org, holder, place, limit))
        elif subject:
            found = self._all(sql.GRANTS_OF_SUBJECT, (org, subject, place, limit))
        else:
            found = self._all(sql.GRANTS, (org, place, limit))
        return [GrantRow(*row) for row in found]

    def of_run(self, org: int, run: str) -> list[GrantRow]:
        """A run's grants, oldest first."""
        return [GrantRow(*row) for row in self._all(sql.GRANTS_OF_RUN, (org, sql.first_of(run), org, run))]

    def links(self, org: int, root: str, limit: int) -> list[GrantRow]:
        """What came of a root, oldest first, the root itself left out."""
        return [GrantRow(*row) for row in self._all(sql.LINKS_OF_ROOT, (org, root, limit))]

    def in_use(self, org: int, now: float, limit: int) -> list[GrantRow]:
        """Grants of runs that have not ended."""
        return [GrantRow(*row) for row in self._all(sql.GRANTS_OF_OPEN_RUNS, (org, now, org, now, limit))]

    # --- the platform's own -----------------------------------------------------------------------------

    def by_id(self, ids: Iterable[str]) -> list[GrantRow]:
        """The grants with these ids, of any organisation."""
        return [GrantRow(*row) for row in self._all(sql.GRANTS_BY_ID, (json.dumps(list(ids)),))]

    def ends(self, ids: Iterable[str]) -> list[EndRow]:
        """Those of these ids that were revoked."""
        return [EndRow(*row) for row in self._all(sql.ENDS_BY_ID, (json.dumps(list(ids)),))]

    def uses(self, ids: Iterable[str]) -> list[UseRow]:
        """Totals under these ids of Limits."""
        return [UseRow(*row) for row in self._all(sql.USES, (json.dumps(list(ids)),))]

    def living_links(self, now: float) -> list[GrantRow]:
        """Handovers and rotations that have not ended."""
        return [GrantRow(*row) for row in self._all(sql.LIVING_LINKS, (now,))]

    def living_ends(self, since: float) -> list[EndRow]:
        """What was revoked since then."""
        return [EndRow(*row) for row in self._all(sql.LIVING_ENDS, (since,))]

    def policies(self) -> list[PolicyRow]:
        """The cap of each organisation that has one."""
        return [PolicyRow(*row) for row in self._all(sql.POLICIES)]
