"""What the surface consumes of the planes below it, by shape: runs, identity, registry, objects; and
`Services`, the one object in which app.py hands them over. Problems that a method may raise are named
in its docstring.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, NamedTuple, Protocol

import msgspec

from a2a_cloud.model.issuer import Issuer
from a2a_cloud.model.ports import Clock, Ids
from a2a_cloud.model.principal import Principal
from a2a_cloud.model.release import Cause, Release, ReleaseState
from a2a_cloud.model.run import Call, RunEvent
from a2a_cloud.model.scope import Scope
from a2a_cloud.model.task import Message, ObjectRef, TaskState
from a2a_cloud.surface.accounting_port import Accounting
from a2a_cloud.surface.api.approvals_port import Approvals
from a2a_cloud.surface.api.grants_port import GrantOffice
from a2a_cloud.surface.api.secrets_port import Secrets
from a2a_cloud.surface.billing_port import Money
from a2a_cloud.surface.erasure_port import Erasures
from a2a_cloud.surface.evals_port import Evals
from a2a_cloud.surface.hooks_port import Hooks
from a2a_cloud.surface.limits import Declared, Quotas
from a2a_cloud.surface.log_port import AuditLogs
from a2a_cloud.surface.metrics import Metrics
from a2a_cloud.surface.names_port import Names, Sessions
from a2a_cloud.surface.operator_port import Operator, Traces
from a2a_cloud.surface.orgs_port import Audit, Organisations
from a2a_cloud.surface.packs_port import Packs
from a2a_cloud.surface.people.port import People
from a2a_cloud.surface.push_port import Files, Push
from a2a_cloud.surface.replays_port import Replays
from a2a_cloud.surface.reviews_port import Reviews
from a2a_cloud.surface.search_port import Search, Standing
from a2a_cloud.surface.services_port import Services as AgentIdentities
from a2a_cloud.surface.services_port import SigV4Keys
from a2a_cloud.surface.uploads import Uploads
from a2a_cloud.surface.workspace_ports import Workspaces
from a2a_cloud.wire.api_key import Found
from a2a_cloud.wire.views import Delivered, RunView, TaskView

if TYPE_CHECKING:
    from a2a_cloud.control.oauth.server import OAuth
    from a2a_cloud.surface.auth_schemes import Scheme


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
    @property
    def release(self) -> int: ...


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

    def between(self, scope: Scope, since: float, until: float, agent: str = "") -> Iterator[RunRow]:
        """Runs accepted at `since` or later and before `until`, newest first, read as they are asked for."""
        ...

    def logs(self, scope: Scope, run_id: str, after: int = 0) -> Sequence[LogLine]:
        """Lines after that number. Raises RunNotFound."""
        ...

    def agent_logs(
        self,
        org_no: int,
        agent_no: int,
        *,
        run_id: str = "",
        release: int | None = None,
        levels: Sequence[str] = (),
        since: float = 0.0,
        after: int = 0,
        limit: int = 1000,
    ) -> Sequence[LogLine]:
        """Lines after that number, else the newest; the caller has checked who asks. `release` is a
        release's `no`. Raises RunNotFound."""
        ...

    def run_events(self, scope: Scope, run_id: str) -> Sequence[tuple[int, RunEvent]]:
        """All events of a run, in order, those that callers do not see too. Raises RunNotFound."""
        ...

    def run_view(self, scope: Scope, run_id: str) -> RunView:
        """A run with its message and visible events. Raises RunNotFound."""
        ...

    def receipt(self, scope: Scope, run_id: str) -> bytes:
        """The receipt document as JSON. Raises ReceiptPending, RunNotFound."""
        ...

    def receipt_place(self, scope: Scope, run_id: str) -> tuple[int, int]:
        """(organisation, index): where the receipt stands in its log. Raises ReceiptPending, RunNotFound."""
        ...

    def receipts(self, scope: Scope, run_id: str, most: int) -> Sequence[tuple[str, int]]:
        """(id, organisation) of a run and of those that descend from it. Raises RunNotFound."""
        ...


class KeyRow(Protocol):
    """A key, without its secret. Times are wall seconds."""

    @property
    def id(self) -> str: ...
    @property
    def principal(self) -> str: ...
    @property
    def org(self) -> str: ...
    @property
    def role(self) -> str: ...
    @property
    def label(self) -> str: ...
    @property
    def created(self) -> float: ...
    @property
    def revoked(self) -> float | None: ...
    @property
    def priority(self) -> int: ...
    @property
    def scopes(self) -> Sequence[str] | None: ...
    @property
    def expires(self) -> float | None: ...
    @property
    def used(self) -> float | None: ...
    @property
    def prior(self) -> str: ...


class Leak(Protocol):
    """What a key that turned up somewhere is: "active", "expired", "revoked" or "unknown"; `row` for who may
    know more; `ended` by the report."""

    @property
    def id(self) -> str: ...
    @property
    def state(self) -> str: ...
    @property
    def row(self) -> KeyRow | None: ...
    @property
    def ended(self) -> bool: ...


class Identity(Protocol):
    """Who calls."""

    def authenticate(self, token: str) -> Principal:
        """Raises Unauthenticated."""
        ...

    def org_no(self, name: str) -> int | None:
        """The number of an organisation."""
        ...

    async def create_key(
        self,
        by: Principal,
        *,
        principal: str,
        org: str,
        role: str,
        label: str,
        priority: int | None = None,
        scopes: Sequence[str] | None = None,
        seconds: int | None = None,
    ) -> tuple[KeyRow, str]:
        """The key and its secret, which nobody sees again. Raises Forbidden, InvalidParams."""
        ...

    def keys(self, by: Principal) -> Sequence[KeyRow]:
        """Raises Forbidden."""
        ...

    async def rotate(self, by: Principal, key_id: str, overlap: float) -> tuple[KeyRow, str]:
        """The key in its place, and its secret. Raises NotFound, Forbidden, InvalidParams."""
        ...

    async def revoke(self, by: Principal, key_id: str) -> KeyRow:
        """Raises NotFound, Forbidden."""
        ...

    async def leaked(self, by: Principal, found: Sequence[Found], *, revoke: bool) -> Sequence[Leak]:
        """What became of keys that turned up. Raises InvalidParams."""
        ...


class Issuers(Protocol):
    """Outside issuers whose tokens agents may take."""

    def token_of(self, authorization: bytes) -> str:
        """The token of an Authorization header that says that it comes from one of them, else ""."""
        ...

    async def authenticate(self, token: str, release: Release) -> Principal:
        """Who calls `release` with it. Raises Unauthenticated, UpstreamFailed."""
        ...

    def taken(self, release: Release) -> Sequence[Issuer]:
        """Those whose tokens an agent takes."""
        ...


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
    """What one request may hold. Sizes in bytes. `fetched`: of all files of a message that are fetched for
    it, within `fetch_seconds`."""

    body: int = 16 * 1024 * 1024
    file: int = 1024 * 1024 * 1024
    fetched: int = 100 * 1024 * 1024
    fetch_seconds: float = 60.0
    parts: int = 100
    inline: int = 64 * 1024
    streams: int = 1_000
    streams_admin: int = 10_000
    drain_seconds: float = 10.0
    keep_alive_seconds: float = 15.0
    link_seconds: float = 900.0


class Check(NamedTuple):
    """A line of `a2a doctor`: `state` is ok, warn or fail."""

    name: str
    state: str
    detail: str
    remedy: str = ""


class Sandbox(NamedTuple):
    """What keeps agent code apart here: `name` is jail or process, `layers` are enforced, `missing` are
    sentences about what is not."""

    name: str
    layers: tuple[str, ...] = ()
    missing: tuple[str, ...] = ()


class CardKey(Protocol):
    """The key that signs agent cards (ES256). Each raises Unavailable when it can't be used."""

    @property
    def kid(self) -> str:
        """Its id in the platform's key set."""
        ...

    def sign(self, data: bytes) -> bytes:
        """The signature of `data` as JWS writes it, 64 bytes."""
        ...


#: Of a platform that says nothing about it.
UNTOLD = Sandbox("process")


async def no_checks() -> Sequence[Check]:
    """Nothing to check."""
    return ()


@dataclass(slots=True)
class Services:
    """What app.py fills. `base_url` is the configured address, without a slash at its end; with port 0
    it is set once the port is known. `allowed_hosts`: lower case, no port, `*.name` for all below it.
    `link_key` signs links (32 bytes or more). `jwks` gives the receipt keys as a JWKS document.
    `renew` gives an agent, by its number, fresh workers. `dev`: `/_dev` is served.
    `gauges` are asked at each scrape of /metrics for (name, help, value). `sandbox` is the one in force.
    `grpc_url` is where gRPC is served ("": nowhere; `:8081`: that port of whatever host an agent is reached
    at), set once it is; `card_key` signs cards. `quotas` are the limits of callers, `declared` what cards say
    of them. `services` are agents' own identities, `sigv4` keys of AWS signatures; `schemes` are the ways to
    say who calls besides keys and tokens. `accounting` is what people see of billing.
    """

    runs: Runs
    identity: Identity
    registry: Registry
    objects: Objects
    deploys: Deploys
    parts: Parts
    variables: Variables
    renew: Callable[[int], None]
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
    checks: Callable[[], Awaitable[Sequence[Check]]] = no_checks
    dev: bool = False
    operator: Operator | None = None
    traces: Traces | None = None
    workspaces: Workspaces | None = None
    uploads: Uploads = field(default_factory=Uploads)
    push: Push | None = None
    files: Files | None = None
    approvals: Approvals | None = None
    grants: GrantOffice | None = None
    secrets: Secrets | None = None
    erasures: Erasures | None = None
    names: Names | None = None
    sessions: Sessions | None = None
    hooks: Hooks | None = None
    orgs: Organisations | None = None
    audit: Audit | None = None
    log: AuditLogs | None = None
    issuers: Issuers | None = None
    search: Search | None = None
    standing: Standing | None = None
    quotas: Quotas | None = None
    declared: Declared | None = None
    accounting: Accounting | None = None
    money: Money | None = None
    evals: Evals | None = None
    reviews: Reviews | None = None
    packs: Packs | None = None
    replays: Replays | None = None
    people: People | None = None
    oauth: OAuth | None = None
    services: AgentIdentities | None = None
    sigv4: SigV4Keys | None = None
    schemes: Sequence[Scheme] = ()
    sandbox: Sandbox = UNTOLD
    grpc_url: str = ""
    card_key: CardKey | None = None
