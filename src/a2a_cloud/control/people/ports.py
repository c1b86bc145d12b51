"""What this slice needs of others: the journal, organisations' members, a way to send mail."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Sequence
from typing import Protocol

from a2a_cloud.model.principal import Principal
from a2a_cloud.storage.journal.port import Op, Write


class Journal(Protocol):
    """The one writer."""

    def submit(self, write: Write) -> None:
        """Queue a write."""
        ...

    async def write(self, ops: Sequence[Op]) -> None:
        """Commit `ops`. Raises Refusal, StorageFull, Unavailable."""
        ...


class Members(Protocol):
    """Who belongs to which organisation (control/orgs)."""

    def principal(self, account_id: str, org: str = "") -> Principal | None:
        """Who the account is in `org`; "": in its usual one. None when it is no member there."""
        ...

    def orgs(self, account_id: str) -> Sequence[tuple[str, str]]:
        """[(organisation, role)…] of the account."""
        ...

    def suspended(self, account_id: str) -> Sequence[str]:
        """Organisations that let the account in no more, and may again."""
        ...

    def came_with(self, account_id: str, org: str) -> bool:
        """Whether the account was made for that organisation, and belongs to no other."""
        ...

    def check_recovers(self, by: Principal, account_id: str) -> None:
        """Raises NotFound, Forbidden unless `by` could make somebody all that the account is."""
        ...

    def check_invites(self, by: Principal, org_no: int, role: str) -> None:
        """Raises NotFound, Forbidden, InvalidParams unless `by` may let somebody in with that role."""
        ...

    async def join(
        self, account_id: str, org: str, role: str, by: str, *, also: Sequence[Op] = ()
    ) -> Principal:
        """Make the account a member (`by` is a label); `also` is written with it, or neither is. Who is one
        keeps their role. Raises NotFound, InvalidParams, NameTaken."""
        ...

    async def change(self, by: Principal, org_no: int, who: str, *, role: str | None = None) -> object:
        """Give a member another role. Raises Problem."""
        ...


#: Sends one message: to whom, its subject, its text. Raises Unavailable.
Send = Callable[[str, str, str], Awaitable[None]]
