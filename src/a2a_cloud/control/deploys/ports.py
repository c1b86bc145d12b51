"""What a deploy needs from other planes, as it sees them; `app.py` ties them."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Protocol

from a2a_cloud.model.release import Release

Say = Callable[[str], None]


class Built(Protocol):
    """An environment: `digest` names it, `lock_digest` the packages that were asked for."""

    @property
    def digest(self) -> str: ...
    @property
    def python(self) -> Path: ...
    @property
    def lock(self) -> bytes: ...
    @property
    def lock_digest(self) -> str: ...
    @property
    def packages(self) -> Sequence[object]: ...


class Builder(Protocol):
    """Makes environments for agents' code."""

    async def prepare(self, source: Path, say: Say, *, org_no: int = 0, upgrade: bool = False) -> Built:
        """The environment that the source in that folder asks for, for an agent of that organisation.
        Raises BuildFailed."""
        ...

    def find(self, digest: str) -> Built | None:
        """An environment that was made."""
        ...

    async def remove(self, digest: str) -> None:
        """Delete an environment."""
        ...


class Starter(Protocol):
    """Starts and stops the workers of releases."""

    async def start(self, draft: Release) -> tuple[bytes, bool]:
        """Start a worker of `draft`: (its skills as JSON, whether it has a message handler).

        Raises StartFailed.
        """
        ...

    def adopt(self, release: Release) -> None:
        """What was started as a draft is this release now."""
        ...

    async def drop(self, no: int) -> None:
        """End the workers of a release that never served."""
        ...

    def say(self, draft: Release, level: str, line: str) -> None:
        """A line for the release's log."""
        ...

    async def lines(self, draft: Release) -> list[str]:
        """The last lines that the release's own code wrote."""
        ...
