"""What the surface needs to erase runs, by shape."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Protocol

from a2a_cloud.model.scope import Scope


class Erasure(Protocol):
    """That a run was erased; `at` in wall seconds, `by` as `name@org`."""

    @property
    def at(self) -> float: ...
    @property
    def by(self) -> str: ...
    @property
    def reason(self) -> str: ...


class Erasures(Protocol):
    """Takes away what runs were told, said and did."""

    def of(self, scope: Scope, run_id: str) -> Erasure | None:
        """The erasure of a run, if there was one. Raises RunNotFound."""
        ...

    async def erase(
        self, scope: Scope, run_id: str, *, by: str, reason: str = "", tree: bool = False
    ) -> Sequence[tuple[str, Erasure]]:
        """The run, with `tree` also those that it called, each with its erasure. Raises RunNotFound, RunOpen,
        TooLarge, StorageFull, Unavailable."""
        ...
