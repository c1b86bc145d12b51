"""What the surface consumes of the planes below it, by shape: runs, identity, registry, objects; and
`Services`, the one object in which app.py hands them over. Problems that a method may raise are named
in its docstring.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, field
from typing import Protocol

from a2a_cloud.model.ports import Clock, Ids
from a2a_cloud.model.principal import Principal, Role
from a2a_cloud.model.release import Release
from a2a_cloud.model.run import Call
from a2a_cloud.model.scope import Scope
from a2a_cloud.model.task import Message, ObjectRef, TaskState
from a2a_cloud.surface.metrics import Metrics
from a2a_cloud.wire.views import Delivered, RunView, TaskView


class Run(Protocol):
    """A run that was submitted; `reply` is set when the answer is a bare Message and no task."""

    @property
    def id(self) -> str: ...
    @property
    def task_id(self) -> str: ...
    @property
    def context_id(self) -> str: ...
    @property
    def ordinal(self) -> int: ...
    @property
    def reply(self) -> Message | None: ...
    @property
    def receipt_id(self) -> str: ...

    async def accepted(self) -> None:
        """Returns once the acceptance is on disk. Raises Problem when it could not be stored."""
        ...

    async def settled(self) -> None:
        """Returns once the run has ended or waits for input, and that is on disk."""
        ...


class TaskPage(Protocol):
    """A page of tasks, newest status first. `next` is the cursor of the next page, "" at the end."""

    @property
    def tasks(self) -> Sequence[TaskView]: ...
    @property
    def next(self) -> str: ...
    @property
    def total(self) -> int: ...


class RunRow(Protocol):
    """A stored run as operators see it. Times are wall seconds or None; `owner` is `name@org`."""

    @property
    def id(self) -> str: ...
    @property
    def task_id(self) -> str: ...
    @property
    def context_id(self) -> str: ...
    @property
    def agent(self) -> str: ...
    @property
    def release(self) -> int: ...
    @property
    def skill(self) -> str: ...
    @property
    def state(self) -> TaskState: ...
    @property
    def attempt(self) -> int: ...
    @property
    def owner(self) -> str: ...
    @property
    def created(self) -> float: ...
    @property
    def started(self) -> float | None: ...
    @property
    def ended(self) -> float | None: ...
    @property
    def problem_code(self) -> str: ...
    @property
    def problem_detail(self) -> str: ...
    @property
    def dead(self) -> bool: ...
    @property
    def receipt_id(self) -> str: ...
    @property
    def parent(self) -> str: ...


class RunPage(Protocol):
    """A page of runs, newest first."""

    @property
    def runs(self) -> Sequence[RunRow]: ...
    @property
    def next(self) -> str: ...


class LogLine(Protocol):
    """A line of a run's or an agent's log; `no` counts up and is the cursor."""

    @property
    def no(self) -> int: ...
    @property
    def at(self) -> float: ...
    @property
    def level(self) -> str: ...
    @property
    def source(self) -> str: ...
    @property
    def line(self) -> str: ...
    @property
    def run_id(self) -> str: ...


class Sink(Protocol):
    """A subscriber of a task's events."""

    def deliver(self, delivered: Delivered) -> None:
        """Takes an event. Never raises, never blocks."""
        ...


class Subscription(Protocol):
    """A subscription to a task's events."""

    def close(self) -> None:
        """Ends it. Idempotent."""
        ...


class Runs(Protocol):
    """The run engine."""

    def submit(self, call: Call) -> Run:
        """A new run, a follow-up, the answer to an open question, or the run of an earlier identical call.

        Raises TaskNotFound, UnsupportedOperation, InvalidParams, IdempotencyConflict, Busy, StorageFull,
        Unavailable.
        """
        ...

    def used(self, release: Release, principal: Principal, key: str) -> bool:
        """Whether a call or an answer of that principal to that agent came under this key before."""
        ...

    async def cancel(self, scope: Scope, agent_no: int, task_id: str) -> None:
        """Returns when committed. Raises TaskNotFound, TaskNotCancelable."""
        ...

    def task(self, scope: Scope, agent_no: int, task_id: str) -> TaskView:
        """The committed view. Raises TaskNotFound."""
        ...

    def view(self, run: Run) -> TaskView | None:
        """The view of a run's task from memory, where that is all there is of it."""
        ...

    def tasks(
        self,
        scope: Scope,
        agent_no: int,
        *,
        context_id: str = "",
        state: TaskState | None = None,
        after: float | None = None,
        limit: int = 50,
        cursor: str = "",
    ) -> TaskPage:
        """A page; `after` is inclusive. Raises InvalidParams for a cursor that nobody gave out."""
        ...

    def subscribe(
        self, scope: Scope, agent_no: int, task_id: str, sink: Sink, after: tuple[int, int] | None = None
    ) -> Subscription:
        """Delivers all visible events after (ordinal, seq), then live ones; None: only live ones."""
        ...

    def run(self, scope: Scope, run_id: str) -> RunRow:
        """Raises RunNotFound."""
        ...

    def runs(
        self,
        scope: Scope,
        *,
        agent: str = "",
        task_id: str = "",
        state: str = "",
        dead: bool = False,
        limit: int = 50,
        cursor: str = "",
    ) -> RunPage: ...

    def logs(self, scope: Scope, run_id: str, after: int = 0) -> Sequence[LogLine]:
        """Lines after that number. Raises RunNotFound."""
        ...

    def agent_logs(self, org_no: int, agent_no: int, after: int = 0) -> Sequence[LogLine]:
        """Lines after that number, else the newest; the caller has checked who asks."""
        ...

    def run_view(self, scope: Scope, run_id: str) -> RunView:
        """A run with its message and visible events. Raises RunNotFound."""
        ...

    def receipt(self, scope: Scope, run_id: str) -> bytes:
        """The receipt document as JSON. Raises ReceiptPending, RunNotFound."""
        ...


class KeyRow(Protocol):
    """A key, without its secret. `created` and `revoked` are wall seconds."""

    @property
    def id(self) -> str: ...
    @property
    def principal(self) -> str: ...
    @property
    def org(self) -> str: ...
    @property
    def role(self) -> Role: ...
    @property
    def label(self) -> str: ...
    @property
    def created(self) -> float: ...
    @property
    def revoked(self) -> float | None: ...


class Identity(Protocol):
    """Who calls."""

    def authenticate(self, token: str) -> Principal:
        """Raises Unauthenticated."""
        ...

    async def create_key(
        self, by: Principal, *, principal: str, org: str, role: Role, label: str
    ) -> tuple[KeyRow, str]:
        """The key and its secret, which nobody sees again. Raises Forbidden, InvalidParams."""
        ...

    def keys(self, by: Principal) -> Sequence[KeyRow]:
        """Raises Forbidden."""
        ...

    async def revoke(self, by: Principal, key_id: str) -> KeyRow:
        """Raises NotFound, Forbidden."""
        ...


class Registry(Protocol):
    """Which release serves."""

    def serving(self, name: str) -> Release:
        """The release behind `name` or `org.name`. Raises AgentNotFound."""
        ...

    def agents(self, principal: Principal) -> Sequence[Release]:
        """What `principal` may see: agents of their organisation, and public ones."""
        ...


class ObjectWriter(Protocol):
    """An object in the making."""

    def write(self, chunk: bytes) -> None:
        """Raises StorageFull."""
        ...

    async def finish(self) -> ObjectRef:
        """The reference, once the object is on disk. Raises StorageFull."""
        ...

    def abort(self) -> None:
        """Leaves nothing behind. Idempotent; harmless after `finish`."""
        ...


class Objects(Protocol):
    """The store of content-addressed blobs."""

    def writer(self) -> ObjectWriter:
        """Begins an object."""
        ...

    async def put(self, data: bytes) -> ObjectRef:
        """Stores `data` whole. Raises StorageFull."""
        ...

    async def read(self, ref: ObjectRef, offset: int = 0, length: int = -1) -> bytes:
        """Up to `length` bytes (all: -1) from `offset`. Raises NotFound when the object is gone."""
        ...


@dataclass(frozen=True, slots=True)
class SurfaceLimits:
    """What one request may hold. Sizes in bytes."""

    body: int = 16 * 1024 * 1024
    file: int = 1024 * 1024 * 1024
    parts: int = 100
    inline: int = 64 * 1024
    streams: int = 1_000
    streams_admin: int = 10_000
    drain_seconds: float = 10.0
    keep_alive_seconds: float = 15.0
    link_seconds: float = 900.0


@dataclass(slots=True)
class Services:
    """What app.py fills. `base_url` is the configured address, without a slash at its end; with port 0
    it is set once the port is known. `allowed_hosts`: lower case, no port, `*.name` for all below it.
    `link_key` signs links (32 bytes or more). `jwks` gives the receipt keys as a JWKS document.
    `gauges` are asked at each scrape of /metrics for (name, help, value).
    """

    runs: Runs
    identity: Identity
    registry: Registry
    objects: Objects
    clock: Clock
    ids: Ids
    link_key: bytes
    base_url: str = "http://127.0.0.1:8080"
    allowed_hosts: tuple[str, ...] = ()
    limits: SurfaceLimits = field(default_factory=SurfaceLimits)
    metrics: Metrics = field(default_factory=Metrics)
    ready: Callable[[], bool] = lambda: True
    jwks: Callable[[], bytes] = lambda: b'{"keys":[]}'
    gauges: Callable[[], Iterable[tuple[str, str, float]]] = lambda: ()
