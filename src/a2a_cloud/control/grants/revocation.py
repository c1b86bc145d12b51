"""Whether a grant that is signed rightly still stands: revoked, replaced, or handed over behind our back.

Everything is in memory, so that every operation asks for it; it is fed from the rows at start and by what
is revoked, replaced and handed over since. Revoking a root ends its tree and every rotation of it with the
next operation, in flight too.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence

from a2a_cloud.control.grants.rows import EndRow, GrantRow

#: Seconds in which a grant that was replaced still works, for operations that were under way.
GRACE = 60.0


class Standings:
    """The `Standing` that `wire.grant.verify` asks.

    A handover that this does not know (`handed_over`) is refused: whoever gets hold of a token can add
    blocks to it, but cannot make the platform record them, so a stolen grant is of no use to the thief.
    `misused(id, root)` is called once when a grant is used after it was replaced and its grace is over:
    its root has then been revoked here, and the caller writes that down.
    """

    def __init__(self, *, grace: float = GRACE, misused: Callable[[str, str], None] | None = None) -> None:
        self._grace = grace
        self._misused = misused
        self._ended: dict[str, float] = {}
        self._replaced: dict[str, float] = {}
        self._handed: dict[str, float] = {}
        self._lines: dict[str, tuple[float, tuple[str, ...]]] = {}

    def load(self, grants: Iterable[GrantRow], ends: Iterable[EndRow]) -> None:
        """What the rows say: at start, before the first operation."""
        for row in grants:
            if row.parent:
                self.handed_over(row.id, row.expires)
            if row.prior:
                self.follows(row.id, row.line.split(), row.created)
                self.replaced(row.prior, row.created)
        for end in ends:
            self.revoke(end.id, end.at)

    def revoke(self, grant_id: str, now: float) -> None:
        """End a grant and all that was handed on from it; with a root's id its rotations too."""
        self._ended.setdefault(grant_id, now)

    def revoked(self, grant_id: str) -> bool:
        """Whether that id itself was revoked."""
        return grant_id in self._ended

    def replaced(self, grant_id: str, now: float) -> None:
        """A grant got a successor, which is on disk. What was handed on from the old one stands: it never
        allowed more than that did."""
        self._replaced.setdefault(grant_id, now + self._grace)

    def follows(self, grant_id: str, line: Sequence[str], now: float) -> None:
        """A new grant that replaces others: revoking one of `line` revokes it too."""
        self._lines[grant_id] = (now, tuple(line))

    def line(self, ids: Sequence[str]) -> list[str]:
        """The ids that a grant with these ids falls with: its own, and those that it replaced."""
        followed = self._lines.get(ids[0])
        return [*ids, *followed[1]] if followed else list(ids)

    def handed_over(self, grant_id: str, until: float) -> None:
        """The platform itself made this handover; the grant ends at `until` (wall seconds)."""
        self._handed[grant_id] = until

    def refusal(self, root_id: str, ids: Sequence[str], now: float) -> str:
        """As `state`, for an operation that is being tried. Whoever uses a grant after it was replaced and
        its grace is over has a copy that nobody should have: its root is revoked."""
        state = self.state(root_id, ids, now)
        if state == "replaced":
            self.revoke(root_id, now)
            if self._misused is not None:
                self._misused(ids[-1], root_id)
        return state

    def state(self, root_id: str, ids: Sequence[str], now: float) -> str:
        """`revoked`, `replaced` (past its grace), `handover` (not ours), or "" when it stands."""
        ended = self._ended
        if ended and (root_id in ended or any(each in ended for each in self.line(ids))):
            return "revoked"
        for each in ids[1:]:
            if each not in self._handed:
                return "handover"
        if self._replaced and now > self._replaced.get(ids[-1], now):
            return "replaced"
        return ""

    def sweep(self, now: float, longest: float) -> None:
        """Forget what no living grant can meet: handovers past their end, and what is older than
        `longest` seconds, the longest time that a grant may live."""
        self._handed = {each: until for each, until in self._handed.items() if until > now}
        self._ended = {each: at for each, at in self._ended.items() if at > now - longest}
        self._replaced = {each: at for each, at in self._replaced.items() if at > now - longest}
        self._lines = {each: line for each, line in self._lines.items() if line[0] > now - longest}
