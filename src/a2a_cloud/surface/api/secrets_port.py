"""What the surface needs of the store of secrets. There is no way here to read a value."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Protocol


class SecretRow(Protocol):
    """A stored secret without its value. Times are wall seconds."""

    @property
    def name(self) -> str: ...
    @property
    def version(self) -> int: ...
    @property
    def created(self) -> float: ...
    @property
    def at(self) -> float: ...
    @property
    def by(self) -> str: ...


class Secrets(Protocol):
    """The store."""

    def listed(self, org_no: int) -> Sequence[SecretRow]:
        """By name."""
        ...

    async def put(self, org_no: int, name: str, value: str, *, by: str, rotate: bool = False) -> SecretRow:
        """Store a value; `rotate`: there has to be one. Raises InvalidParams, NotFound."""
        ...

    async def drop(self, org_no: int, name: str, *, by: str) -> None:
        """Raises NotFound."""
        ...
