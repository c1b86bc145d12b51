"""What the surface needs of hooks: made, listed, rotated, removed; found by key, and a delivery admitted."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Protocol

from a2a_cloud.model.grant import Narrowing
from a2a_cloud.model.hook import Checks, Hook, Scheme
from a2a_cloud.model.principal import Principal


class Made(Protocol):
    """What nobody sees again: the key in the path, and the secret if it was made here ("": it wasn't)."""

    @property
    def hook(self) -> Hook: ...
    @property
    def key(self) -> str: ...
    @property
    def secret(self) -> str: ...


class Hooks(Protocol):
    """The store of hooks."""

    async def create(
        self,
        by: Principal,
        *,
        agent_no: int,
        agent: str,
        skill: str,
        scheme: Scheme,
        checks: Checks,
        secret: str,
        narrow: Narrowing | None,
        label: str,
    ) -> Made:
        """Raises InvalidParams."""
        ...

    def listed(self, by: Principal) -> Sequence[Hook]:
        """All of the organisation for its admins, else one's own."""
        ...

    async def drop(self, by: Principal, hook_id: str) -> Hook:
        """Raises NotFound."""
        ...

    async def rotate_key(self, by: Principal, hook_id: str, grace: float) -> Made:
        """Raises NotFound, InvalidParams."""
        ...

    async def rotate_secret(self, by: Principal, hook_id: str, secret: str, grace: float) -> Made:
        """Raises NotFound, InvalidParams."""
        ...

    def find(self, org_no: int, agent_no: int, skill: str, key: str) -> Hook:
        """The hook whose path this is. Raises NotFound."""
        ...

    def admit(self, hook: Hook, headers: Mapping[str, str], body: bytes) -> Principal:
        """For whom the delivery runs. Raises Unauthenticated, Forbidden, NotFound, Unavailable."""
        ...
