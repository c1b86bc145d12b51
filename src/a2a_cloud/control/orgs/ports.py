"""What organisations consume of others, by shape."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Protocol

from a2a_cloud.model.principal import Principal
from a2a_cloud.storage.journal.port import Op


class Committer(Protocol):
    """The journal."""

    async def write(self, ops: Sequence[Op]) -> None:
        """Commit `ops`."""
        ...


class Account(Protocol):
    """A person."""

    @property
    def id(self) -> str: ...
    @property
    def email(self) -> str: ...
    @property
    def name(self) -> str: ...
    @property
    def created(self) -> float: ...


class Accounts(Protocol):
    """People (control/people)."""

    def by_id(self, account_id: str) -> Account | None: ...
    def by_email(self, email: str) -> Account | None: ...
    async def create(self, email: str, name: str) -> Account:
        """Raises InvalidParams, AlreadyExists."""
        ...


class Numbers(Protocol):
    """Who has which number in rows (control/identity)."""

    def org_no(self, name: str) -> int | None: ...
    def org_name(self, no: int) -> str: ...
    def by_no(self, no: int) -> Principal | None: ...
    def forget(self, *, org_no: int | None = None, principal: int | None = None) -> None:
        """What was kept of keys of an organisation or a principal is asked for again."""
        ...

    def behind_keys(self, org_no: int) -> Sequence[tuple[str, Principal]]:
        """(label, who they stand for) of an organisation's keys that are good."""
        ...

    def end_keys(self, org_no: int, principal: int) -> Op:
        """What revokes a principal's keys."""
        ...

    async def make_org(self, name: str, ops: Callable[[int], Sequence[Op]]) -> int:
        """A new organisation and what `ops` says of its number, in one write. Raises InvalidParams,
        AlreadyExists."""
        ...

    async def ensure(self, org: str, name: str) -> Principal:
        """The principal of that name, which gets its number now if it has none. Raises NotFound."""
        ...
