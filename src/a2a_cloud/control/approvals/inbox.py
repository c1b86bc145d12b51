"""What people see of approvals: pages, one with its story, and waiting for the next. Admins see those of
their organisation, others what they asked for themselves."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence

from a2a_cloud.control.approvals.rows import ApprovalRows
from a2a_cloud.model.approval import Approval, ApprovalState
from a2a_cloud.model.principal import Permission, Principal
from a2a_cloud.model.problem import ApprovalNotFound, InvalidParams
from a2a_cloud.model.scope import Scope

_STATES = ("", *(state.value for state in ApprovalState))


def unknown(approval_id: str) -> ApprovalNotFound:
    """The same words whether there is none, or none for this key."""
    return ApprovalNotFound(
        f"There is no approval {approval_id[:80]!a} here.", remedy="See `a2a approvals ls --state all`."
    )


class Inbox:
    """See the module. Loop thread only. Everything that is read is committed."""

    def __init__(self, rows: ApprovalRows) -> None:
        self._rows = rows
        self._waiting: dict[int, set[asyncio.Future[None]]] = {}

    def page(
        self, by: Principal, *, state: str = "open", limit: int = 50, before: int | None = None
    ) -> list[Approval]:
        """Newest first, below the number `before`; `state` "": whatever it is. Raises InvalidParams."""
        scope, requester = _seen(by)
        return self._rows.before(scope, state=_known(state), requester=requester, before=before, limit=limit)

    def since(
        self, by: Principal, after: int, *, state: str = "open", limit: int = 50
    ) -> tuple[Sequence[Approval], int]:
        """Those with a number above `after`, oldest first, and the number to go on from. Raises
        InvalidParams."""
        scope, requester = _seen(by)
        last = self._rows.last(scope)
        found = self._rows.after(
            scope, last=last, after=after, state=_known(state), requester=requester, limit=limit
        )
        return found, found[-1].no if len(found) == limit else max(last, after)

    def last(self, by: Principal) -> int:
        """The number to go on from after all that there are."""
        return self._rows.last(_seen(by)[0])

    def one(self, by: Principal, approval_id: str) -> Approval:
        """Raises ApprovalNotFound."""
        scope, requester = _seen(by)
        found = self._rows.approval(scope, approval_id, requester)
        if found is None:
            raise unknown(approval_id)
        return found

    def of_run(self, org_no: int, run: str) -> Sequence[Approval]:
        """What a run asked for, oldest first; the caller has checked who asks."""
        return self._rows.of_run(Scope(org=org_no), run)

    def concerns(self, by: Principal, run: str) -> bool:
        """Whether `by` decides, or has decided, what that run of their organisation asked for."""
        asked = self._rows.of_run(Scope(org=by.org_no), run)
        if by.may(Permission.DECIDE):
            return bool(asked)
        return any(vote.by == by.label for each in asked for vote in each.votes)

    async def wait(self, org_no: int, seconds: float) -> None:
        """Returns when there is news in that organisation, or the time is over."""
        loop = asyncio.get_running_loop()
        news: asyncio.Future[None] = loop.create_future()
        waiting = self._waiting.setdefault(org_no, set())
        waiting.add(news)
        try:
            await asyncio.wait((news,), timeout=seconds)
        finally:
            waiting.discard(news)
            if not waiting and self._waiting.get(org_no) is waiting:
                del self._waiting[org_no]

    def wake(self, org_no: int) -> None:
        """There is news."""
        for news in self._waiting.get(org_no, ()):
            if not news.done():
                news.set_result(None)


def _seen(by: Principal) -> tuple[Scope, str]:
    return Scope(org=by.org_no), "" if by.may(Permission.DECIDE) else by.label


def _known(state: str) -> str:
    if state not in _STATES:
        raise InvalidParams(
            f"There is no state {state[:40]!a} of approvals.",
            remedy=f"Write one of {', '.join(_STATES[1:])}.",
            info={"field": "state"},
        )
    return state
