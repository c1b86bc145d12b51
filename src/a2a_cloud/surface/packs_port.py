"""What packs need of the rest, by shape: the platform's signature, the log's events that are about runs."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from contextlib import AbstractContextManager
from typing import Any, Protocol

from a2a_cloud.model.receipt import Signature
from a2a_cloud.model.scope import Scope


class Packs(Protocol):
    """Vouches for packs, and finds what belongs into them. `org` is an organisation's number."""

    def turn(self, org: int) -> AbstractContextManager[None]:
        """While it is entered a pack is made for somebody of `org`: each takes time from calls. Raises Busy
        when enough are, of that organisation or in all."""
        ...

    def sign(self, manifest: bytes) -> Signature:
        """The platform's signature over a manifest's bytes."""
        ...

    async def made(self, org: int, by: str, manifest_sha256: str, **detail: Any) -> None:
        """Says in the organisation's audit log that a pack was made; on disk when it returns. Raises
        StorageFull, Unavailable."""
        ...

    async def mentions(self, scope: Scope, since: float) -> Mapping[str, Sequence[int]]:
        """The id of a run or approval → the indexes of events about it, of all since a time."""
        ...

    def of_run(self, scope: Scope, run: str) -> Sequence[int]:
        """The indexes of what became of a run's grants."""
        ...
