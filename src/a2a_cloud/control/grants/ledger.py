"""How much was used of what a grant allows: operations and bytes, counted for each block that limits them.

A count is over everything under its block: a child's use is its parent's too. The counts are in memory;
`changed` gives what is to be written, `restore` takes it back at start.
"""

from __future__ import annotations

from collections.abc import Iterable

from a2a_cloud.control.grants.rows import UseRow
from a2a_cloud.model.grant import Limit
from a2a_cloud.model.problem import Forbidden
from a2a_cloud.wire.grant import Grant


class _Count:
    __slots__ = ("bytes", "ids", "org", "until", "uses")

    def __init__(self, first_id: str, org: int) -> None:
        self.org = org
        self.uses = 0
        self.bytes = 0
        self.until = 0.0
        self.ids = [first_id]


class Ledger:
    """The counts of living grants."""

    def __init__(self) -> None:
        self._counts: dict[str, _Count] = {}
        self._changed: dict[int, _Count] = {}

    def spend(self, grant: Grant, org: int, *, uses: int = 1, bytes: int = 0) -> None:  # noqa: A002
        """Count an operation that is about to happen, and the bytes that it reads or writes. All counts
        take it or none. Raises Forbidden with `info["reason"]` "limit" when one would pass its limit."""
        counts = [self._of(limit.id, org) for limit in grant.limits]
        for limit, count in zip(grant.limits, counts, strict=True):
            if limit.uses and count.uses + uses > limit.uses:
                raise _spent("operations", "uses", limit.uses, count.uses, uses, grant)
            if limit.bytes and count.bytes + bytes > limit.bytes:
                raise _spent("bytes", "bytes", limit.bytes, count.bytes, bytes, grant)
        for count in counts:
            count.uses += uses
            count.bytes += bytes
            count.until = max(count.until, grant.exp)
            self._changed[id(count)] = count

    def left(self, grant: Grant) -> tuple[int | None, int | None]:
        """(operations, bytes) that are left; None: no limit."""
        uses = [each.uses - self._used(each).uses for each in grant.limits if each.uses]
        sizes = [each.bytes - self._used(each).bytes for each in grant.limits if each.bytes]
        return min(uses, default=None), min(sizes, default=None)

    def carry(self, old: Grant, new: Grant, org: int) -> None:
        """`new` replaces `old`: it goes on with the same counts, block by block, so that a rotation gives
        nothing back and the two together have no more than one."""
        for before, after in zip(old.limits, new.limits, strict=True):
            count = self._of(before.id, org)
            count.until = max(count.until, new.exp)
            earlier = self._counts.get(after.id)
            if earlier is not count:
                if earlier is not None:  # at start both come from rows
                    count.uses = max(count.uses, earlier.uses)
                    count.bytes = max(count.bytes, earlier.bytes)
                count.ids.append(after.id)
                self._counts[after.id] = count

    def restore(self, rows: Iterable[UseRow], until: float = 0.0) -> None:
        """Totals as they were written, of grants that end at `until` (wall seconds); call it before `carry`
        and before the first operation."""
        for row in rows:
            count = self._of(row.id, row.org)
            count.until = max(count.until, until)
            count.uses = max(count.uses, row.uses)
            count.bytes = max(count.bytes, row.bytes)

    def changed(self) -> list[UseRow]:
        """Totals that changed since the last call, for PUT_GRANT_USE in the step's write."""
        rows = [
            UseRow(each, count.org, count.uses, count.bytes)
            for count in self._changed.values()
            for each in count.ids
        ]
        self._changed.clear()
        return rows

    def used(self, limit_id: str) -> tuple[int, int]:
        """(operations, bytes) counted under that Limit since the start, and what was restored."""
        count = self._counts.get(limit_id)
        return (count.uses, count.bytes) if count is not None else (0, 0)

    def sweep(self, now: float) -> None:
        """Forget the counts of grants that have ended and are written: their rows keep them."""
        self._counts = {
            each: count
            for each, count in self._counts.items()
            if count.until > now or id(count) in self._changed
        }

    def forget(self, grant: Grant) -> None:
        """The grant ended, and so did all that was handed on from it: its own counts are not needed."""
        first = max((at for at, block in enumerate(grant.blocks) if block.aud), default=0)
        own = sum(1 for block in grant.blocks[first:] if block.max_uses or block.max_bytes)
        for limit in grant.limits[len(grant.limits) - own :]:
            self._counts.pop(limit.id, None)

    def _of(self, limit_id: str, org: int) -> _Count:
        count = self._counts.get(limit_id)
        if count is None:
            count = self._counts[limit_id] = _Count(limit_id, org)
        return count

    def _used(self, limit: Limit) -> _Count:
        return self._counts.get(limit.id) or _Count(limit.id, 0)


def _spent(what: str, key: str, most: int, used: int, more: int, grant: Grant) -> Forbidden:
    return Forbidden(
        f"This run's grant allows {most} {what}; {used} are used, and this needs {more} more.",
        remedy=f"Raise `{key}` in [grant] of a2a.toml, or ask the caller for a wider grant.",
        info={"reason": "limit", "limit": key, "grant_id": grant.id},
    )
