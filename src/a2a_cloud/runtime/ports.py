"""What the runtime needs from other planes, as it sees them; `app.py` ties them."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Protocol

from a2a_cloud.model.principal import Principal
from a2a_cloud.model.release import Release


class Releases(Protocol):
    """The registry: which release serves, and those that still have runs."""

    def find(self, org: str, name: str) -> Release:
        """The release that serves agent `name` of organisation `org`. Raises AgentNotFound."""
        ...

    def by_no(self, no: int) -> Release | None:
        """The release with that `no`, if it is ready."""
        ...

    def number(self, no: int) -> int:
        """What people call the release with that `no`, ready or not; 0 when there is none."""
        ...


class Launch(Protocol):
    """How a worker of a release is started."""

    def command(self, release: Release) -> Sequence[str]:
        """The program and its arguments."""
        ...

    def settings(self, release: Release) -> Mapping[str, str]:
        """Variables of the agent's own for the worker's environment."""
        ...


class Principals(Protocol):
    """Identity: who a stored number is."""

    def by_no(self, no: int) -> Principal | None:
        """The principal with that number."""
        ...
