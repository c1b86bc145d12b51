"""What the surface consumes of names and sessions (runtime/names.py), by shape. Every scope names an
owner."""

from __future__ import annotations

from typing import Protocol

from a2a_cloud.model.scope import Scope


class Names(Protocol):
    """What callers of `tasks/send` call their tasks."""

    def task(self, scope: Scope, agent_no: int, name: str) -> str:
        """The id of the task that the owner calls so with that agent; "" for none."""
        ...


class Session(Protocol):
    """A session; `id` is the context's. Times are wall seconds; `metadata` is a JSON object."""

    @property
    def id(self) -> str: ...
    @property
    def created(self) -> float: ...
    @property
    def ended(self) -> float | None: ...
    @property
    def metadata(self) -> str: ...


class Sessions(Protocol):
    """Sessions of owners with agents."""

    async def open(self, scope: Scope, agent_no: int, metadata: str) -> Session:
        """A new session, on disk. Raises StorageFull, Unavailable."""
        ...

    def find(self, scope: Scope, agent_no: int, session_id: str) -> Session:
        """The session, ended or not. Raises SessionNotFound."""
        ...

    async def end(self, scope: Scope, agent_no: int, session_id: str) -> None:
        """The session takes no more messages, and its state is gone. Raises StorageFull, Unavailable."""
        ...
