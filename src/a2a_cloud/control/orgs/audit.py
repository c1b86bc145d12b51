"""The audit log: every change of the control plane and what became of grants, as people read it. A change
writes its event itself, in its own write (storage/sql/audit.py)."""

from __future__ import annotations

import re

from a2a_cloud.control.orgs.rows import OrgRows
from a2a_cloud.model.org import Change
from a2a_cloud.model.problem import InvalidParams
from a2a_cloud.model.scope import Scope

#: Words of one search.
MOST_WORDS = 10
_KIND = re.compile(r"[a-z_]{1,40}(\.[a-z_]{1,40})?")


class Audit:
    """See the module."""

    def __init__(self, rows: OrgRows) -> None:
        self._rows = rows

    def events(
        self,
        org_no: int,
        *,
        kind: str = "",
        by: str = "",
        run: str = "",
        grant: str = "",
        since: float = 0.0,
        until: float = 0.0,
        changes: bool = False,
        after: int = 0,
        limit: int = 100,
    ) -> list[Change]:
        """Events in their order, those after number `after`, else the newest. `changes`, and whatever else
        narrows but a run or a grant: only those that are of no run. `kind` is a kind (`member.role`) or what
        it is about (`member`). Raises InvalidParams."""
        if kind and not _KIND.fullmatch(kind):
            raise InvalidParams(
                f"{kind[:80]!a} is no kind of event.",
                remedy="Name one such as member.added, or its first word.",
                info={"field": "kind"},
            )
        return self._rows.changes(
            Scope(org=org_no),
            kind=kind,
            by=by,
            run=run,
            grant=grant,
            since=since,
            until=until,
            changes=changes,
            after=after,
            limit=limit,
        )

    def search(self, org_no: int, words: str, before: int = 0, limit: int = 100) -> tuple[list[Change], int]:
        """(events in which each of the words stands somewhere, the newest first; the number before which to
        go on, 0 at the end). A search looks at a part of a long log at a time, so there may be none and yet
        more to come. Raises InvalidParams."""
        wanted = words.split()
        if not 0 < len(wanted) <= MOST_WORDS:
            raise InvalidParams(f"Search for 1 to {MOST_WORDS} words.", info={"field": "words"})
        return self._rows.search(Scope(org=org_no), wanted, before, limit)
