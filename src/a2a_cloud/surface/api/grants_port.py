"""What the control API asks of grants, by shape."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Protocol

from a2a_cloud.model.grant import (
    BlockFacts,
    Explanation,
    GrantBranch,
    GrantFacts,
    Narrowing,
    Operation,
)


class GrantOffice(Protocol):
    """Grants as people see and govern them. `subject`: only those of runs that act for them ("": all)."""

    def listed(
        self,
        org: int,
        *,
        subject: str = "",
        run: str = "",
        agent: str = "",
        before: str = "",
        limit: int = 50,
    ) -> list[GrantFacts]:
        """Newest first. Raises NotFound for a `before` that is no grant."""
        ...

    def one(self, org: int, grant_id: str, subject: str = "") -> tuple[GrantFacts, list[BlockFacts]]:
        """Raises NotFound."""
        ...

    def tree(self, org: int, grant_id: str, subject: str = "") -> tuple[GrantBranch, bool]:
        """From the root, and whether it is whole. Raises NotFound."""
        ...

    async def explain(
        self, org: int, target: str, operation: Operation, *, workspace: str = "", subject: str = ""
    ) -> tuple[list[Explanation], bool]:
        """Raises InvalidParams for a target that is no path."""
        ...

    async def revoke(self, org: int, grant_id: str, by: str, reason: str) -> GrantFacts:
        """Raises NotFound."""
        ...

    def policy(self, org: int) -> Narrowing:
        """The cap; an empty Narrowing: none."""
        ...

    def rotate_key(self, org: str, org_no: int, by: str) -> str:
        """The new key's id. Raises InvalidParams, Unavailable."""
        ...

    async def set_policy(self, org: int, table: Mapping[str, Any], by: str) -> Narrowing:
        """Raises InvalidParams."""
        ...
