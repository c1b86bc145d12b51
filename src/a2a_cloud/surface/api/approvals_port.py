"""What `/api/v1/approvals` consumes of the control plane, by shape."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Protocol

from a2a_cloud.model.approval import Approval, Verdict
from a2a_cloud.model.grant import Widening
from a2a_cloud.model.principal import Principal


class Inbox(Protocol):
    """What people see. Admins see all of their organisation, others what they asked for."""

    def page(
        self, by: Principal, *, state: str = "open", limit: int = 50, before: int | None = None
    ) -> Sequence[Approval]:
        """Newest first, below the number `before`; `state` "": whatever it is. Raises InvalidParams."""
        ...

    def since(
        self, by: Principal, after: int, *, state: str = "open", limit: int = 50
    ) -> tuple[Sequence[Approval], int]:
        """Those above the number `after`, oldest first, and the number to go on from."""
        ...

    def last(self, by: Principal) -> int:
        """The number to go on from after all that there are."""
        ...

    def one(self, by: Principal, approval_id: str) -> Approval:
        """Raises ApprovalNotFound."""
        ...

    def of_run(self, org_no: int, run: str) -> Sequence[Approval]:
        """What a run asked for, oldest first; the caller has checked who asks."""
        ...

    def concerns(self, by: Principal, run: str) -> bool:
        """Whether `by` decides, or has decided, what that run of their organisation asked for."""
        ...

    async def wait(self, org_no: int, seconds: float) -> None:
        """Returns when there is news in that organisation, or the time is over."""
        ...


class RulesRow(Protocol):
    """A version of the rules; 0 with an empty text before there was one. `at` in wall seconds."""

    @property
    def version(self) -> int: ...
    @property
    def text(self) -> str: ...
    @property
    def at(self) -> float: ...
    @property
    def by(self) -> str: ...


class Rulebook(Protocol):
    """The organisations' rules."""

    def text(self, org_no: int) -> RulesRow:
        """The newest version."""
        ...

    async def put(self, by: Principal, text: str) -> RulesRow:
        """A new version, in force at once. Raises Forbidden, InvalidParams, StorageFull."""
        ...


class Approvals(Protocol):
    """Deciding, and what there is to decide."""

    @property
    def inbox(self) -> Inbox: ...
    @property
    def rulebook(self) -> Rulebook: ...

    async def vote(
        self,
        approval_id: str,
        by: Principal,
        verdict: Verdict,
        *,
        narrowed: Widening | None = None,
        seconds: int | None = None,
        note: str = "",
    ) -> Approval:
        """One person's decision, once it is on disk. Raises ApprovalNotFound, ApprovalClosed, Forbidden,
        InvalidParams, StorageFull, Unavailable."""
        ...
