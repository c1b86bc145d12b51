"""Objects that a principal uploaded and may put into a commit: who knows a hash has no right to it, who
brought the bytes has, for an hour. Kept in memory: after a restart they are uploaded again."""

from __future__ import annotations

from collections import OrderedDict

from a2a_cloud.model.principal import Principal
from a2a_cloud.model.task import ObjectRef

#: Seconds that an upload is remembered.
KEPT = 3600.0
#: Uploads remembered of one principal; the oldest is forgotten first.
MOST = 250_000


class Uploads:
    """See the module. Loop thread only; `now` is monotonic seconds."""

    def __init__(self) -> None:
        #: (organisation, principal) → hash → (size, until)
        self._of: dict[tuple[int, int], OrderedDict[bytes, tuple[int, float]]] = {}

    def allow(self, principal: Principal, ref: ObjectRef, now: float) -> None:
        """The principal brought these bytes."""
        mine = self._of.setdefault((principal.org_no, principal.no), OrderedDict())
        digest = bytes.fromhex(ref.sha256)
        mine.pop(digest, None)
        mine[digest] = (ref.size, now + KEPT)
        if len(mine) > MOST:
            mine.popitem(last=False)
        self._forget(now)

    def allowed(self, principal: Principal, ref: ObjectRef, now: float) -> bool:
        """Whether the principal brought just these bytes within the hour."""
        try:
            digest = bytes.fromhex(ref.sha256)
        except ValueError:
            return False
        mine = self._of.get((principal.org_no, principal.no))
        size, until = (mine.get(digest) if mine is not None else None) or (-1, 0.0)
        return size == ref.size and now < until

    def _forget(self, now: float) -> None:
        for key, mine in list(self._of.items()):
            while mine and next(iter(mine.values()))[1] <= now:
                mine.popitem(last=False)
            if not mine:
                del self._of[key]
