"""What the surface consumes of the registry's search and of how agents stand, by shape."""

from __future__ import annotations

from typing import Protocol

from a2a_cloud.model.principal import Principal
from a2a_cloud.model.release import Release
from a2a_cloud.model.search import Found, Health, Query, Usage


class Search(Protocol):
    """Finds agents (control/registry/search.py)."""

    async def find(self, query: Query, principal: Principal) -> Found:
        """The agents that fit, of those that `principal` sees. Raises InvalidParams, Unavailable."""
        ...


class Standing(Protocol):
    """How agents stand. Asking starts none."""

    def health(self, release: Release) -> tuple[Health, str]:
        """The health of a release that serves, and why it fails ("": it doesn't)."""
        ...

    def usage(self, release: Release) -> Usage | None:
        """How its agent was used lately; None when it never was."""
        ...
