"""What the surface needs of push notifications, and of who fetches files."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Protocol

from a2a_cloud.model.run import PushTarget
from a2a_cloud.model.scope import Scope
from a2a_cloud.model.task import ObjectRef


class PushStatus(Protocol):
    """How a config's deliveries stand. Times are wall seconds, 0 for none; `after` is the position (ordinal,
    seq) of the last event that the receiver has."""

    @property
    def no(self) -> int: ...
    @property
    def handle(self) -> str: ...
    @property
    def task_id(self) -> str: ...
    @property
    def id(self) -> str: ...
    @property
    def agent(self) -> str: ...
    @property
    def host(self) -> str: ...
    @property
    def state(self) -> str: ...
    @property
    def after(self) -> tuple[int, int]: ...
    @property
    def attempts(self) -> int: ...
    @property
    def next_at(self) -> float: ...
    @property
    def reason(self) -> str: ...
    @property
    def created(self) -> float: ...
    @property
    def at(self) -> float: ...


class Push(Protocol):
    """Push configs and their deliveries."""

    async def check(self, target: PushTarget, owner: int, field: str = "") -> None:
        """Raises InvalidParams for a target that can't be used, Busy when its owner has too many."""
        ...

    async def put(
        self, scope: Scope, agent_no: int, task_id: str, target: PushTarget, dialect: str
    ) -> PushTarget:
        """Store a checked target; the one that is kept. Raises TaskNotFound, InvalidParams."""
        ...

    def one(self, scope: Scope, agent_no: int, task_id: str, config_id: str) -> PushTarget:
        """Raises TaskNotFound."""
        ...

    def listed(
        self, scope: Scope, agent_no: int, task_id: str, *, after: str, limit: int
    ) -> Sequence[PushTarget]:
        """Those after the id `after`, by id. Raises TaskNotFound."""
        ...

    async def drop(self, scope: Scope, agent_no: int, task_id: str, config_id: str) -> None:
        """Idempotent. Raises TaskNotFound for the task."""
        ...

    def page(
        self, scope: Scope, *, dead: bool = False, before: int | None = None, limit: int = 50
    ) -> Sequence[PushStatus]:
        """Configs of the scope, newest first."""
        ...

    async def retry(self, scope: Scope, handle: str) -> PushStatus:
        """Deliver again, at once. Raises NotFound, InvalidParams."""
        ...


class Fetched(Protocol):
    """A file that was fetched; `media_type` and `filename` are "" where nobody said."""

    @property
    def ref(self) -> ObjectRef: ...
    @property
    def media_type(self) -> str: ...
    @property
    def filename(self) -> str: ...


class Files(Protocol):
    """Fetches files."""

    async def fetch(self, url: str, limit: int, field: str, owner: int) -> Fetched:
        """The file at `url` for the principal `owner`, of at most `limit` bytes, as an object. Raises
        InvalidParams, StorageFull."""
        ...
