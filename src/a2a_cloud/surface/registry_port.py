"""What the surface needs of agents, by shape: releases and the pointers to them, deploys, parts, settings."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, Protocol

import msgspec

from a2a_cloud.model.principal import Principal
from a2a_cloud.model.release import Cause, Release, ReleaseState


class Notes(Protocol):
    """What a deploy found out. `findings` and `changes` are JSON lists."""

    @property
    def findings(self) -> msgspec.Raw: ...
    @property
    def changes(self) -> msgspec.Raw: ...
    @property
    def cause(self) -> Cause | None: ...
    @property
    def size(self) -> int: ...
    @property
    def files(self) -> int: ...
    @property
    def packages(self) -> int: ...
    @property
    def python(self) -> str: ...


class Progress(Protocol):
    """A line of a deploy; `at` in wall seconds."""

    @property
    def no(self) -> int: ...
    @property
    def at(self) -> float: ...
    @property
    def step(self) -> str: ...
    @property
    def level(self) -> str: ...
    @property
    def message(self) -> str: ...


class Record(Protocol):
    """A release from the moment that its deploy began. Times are wall seconds or None."""

    @property
    def release(self) -> Release: ...
    @property
    def number(self) -> int: ...
    @property
    def state(self) -> ReleaseState: ...
    @property
    def ready(self) -> bool: ...
    @property
    def step(self) -> str: ...
    @property
    def created(self) -> float: ...
    @property
    def ended(self) -> float | None: ...
    @property
    def by(self) -> str: ...
    @property
    def notes(self) -> Notes: ...
    @property
    def progress(self) -> Sequence[Progress]: ...


class Major(Protocol):
    """The release behind a major version, and when that is said to end (wall seconds)."""

    @property
    def release(self) -> Release: ...
    @property
    def until(self) -> float | None: ...


class Agent(Protocol):
    """An agent: its releases by number, and the pointers to those that serve."""

    @property
    def no(self) -> int: ...
    @property
    def org_no(self) -> int: ...
    @property
    def name(self) -> str: ...
    @property
    def records(self) -> Mapping[int, Record]: ...
    @property
    def latest(self) -> Record | None: ...
    @property
    def serving(self) -> Release | None: ...
    @property
    def canary(self) -> Release | None: ...
    @property
    def weight(self) -> int: ...
    @property
    def majors(self) -> Mapping[int, Major]: ...
    @property
    def deleted(self) -> float | None: ...
    @property
    def delete_at(self) -> float | None: ...


class Registry(Protocol):
    """Agents, their releases, and which one serves."""

    #: (agent's number, major) → (deprecated since, until), wall seconds.
    notices: dict[tuple[int, int], tuple[float, float]]

    def serving(self, name: str) -> Release:
        """The release that takes a call to `name`, `org.name`, `name@major` or `7--name`.

        Raises AgentNotFound, ReleaseNotFound, VersionEnded.
        """
        ...

    def visible(self, name: str, principal: Principal) -> bool:
        """Whether `principal` may know that there is an agent behind `name`."""
        ...

    def agents(self, principal: Principal) -> Sequence[Release]:
        """What `principal` may see: agents of their organisation, and public ones."""
        ...

    def agent(self, name: str, org_no: int) -> Agent:
        """An agent of that organisation, deleted or not. Raises AgentNotFound."""
        ...

    def release(self, agent: Any, number: int) -> Release:
        """A ready release of an agent. Raises ReleaseNotFound."""
        ...

    def before(self, agent: Any) -> Release:
        """Where a rollback goes. Raises ReleaseNotFound."""
        ...

    async def serve(self, release: Release, *, by: str = ...) -> None:
        """All new calls go there."""
        ...

    async def share(self, agent: Any, release: Release | None, weight: int, *, by: str = ...) -> None:
        """`weight` percent of the new calls go there. Raises InvalidRequest."""
        ...

    async def deprecate(self, agent: Any, number: int, until: float | None, *, by: str = ...) -> None:
        """A major version ends at a time, or doesn't. Raises InvalidParams."""
        ...

    async def delete(self, agent: Any, grace: float, *, by: str = ...) -> None:
        """No new calls; gone for good after `grace` seconds."""
        ...

    async def restore(self, agent: Any, *, by: str = ...) -> None:
        """Takes a deletion back."""
        ...


class Upload(Protocol):
    """An archive as it arrives."""

    def write(self, chunk: bytes) -> None:
        """Raises TooLarge, OSError."""
        ...

    def close(self) -> None:
        """Deletes it."""
        ...


class Deploys(Protocol):
    """Makes releases."""

    def wish(self, *, by: str, force: bool, upgrade: bool, promote: bool) -> Any:
        """How somebody wants a deploy."""
        ...

    def upload(self) -> Upload:
        """Room for an archive."""
        ...

    async def archive(
        self, upload: Any, name: str, expected: str, org_no: int, org: str, wish: Any
    ) -> Record:
        """Begins a deploy, or finds it done. Raises what is wrong with the archive."""
        ...

    async def wait(self, record: Any, after: int, seconds: float) -> None:
        """Returns when there is news after line `after`, or the time is over."""
        ...


class Parts(Protocol):
    """What releases are made of."""

    async def part(self, kind: str, record: Any) -> tuple[bytes, str] | None:
        """(bytes, media type) of its source, lock, sbom or provenance; None when there is none."""
        ...

    async def difference(self, old: Any, new: Any) -> dict[str, Any]:
        """source, card and environment of two releases compared."""
        ...


class Variable(Protocol):
    """A variable of an agent's environment; `at` in wall seconds."""

    @property
    def name(self) -> str: ...
    @property
    def value(self) -> str: ...
    @property
    def at(self) -> float: ...


class Variables(Protocol):
    """Plain settings of agents."""

    def rows(self, agent: Any) -> Sequence[Variable]:
        """By name."""
        ...

    async def put(self, agent: Any, name: str, value: str, *, by: str) -> None:
        """Raises InvalidParams."""
        ...

    async def drop(self, agent: Any, name: str, *, by: str) -> None:
        """Raises NotFound."""
        ...
