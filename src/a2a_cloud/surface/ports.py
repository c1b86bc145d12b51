"""`Services`, the one object in which app hands the surface what it consumes of the planes below, by shape
(the `*_port` modules beside this); and the shapes that are of no single plane. Problems that a method may
raise are named in its docstring.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Iterable, Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, NamedTuple, Protocol

from a2a_cloud.model.ports import Clock, Ids
from a2a_cloud.model.task import ObjectRef
from a2a_cloud.surface.accounting_port import Accounting
from a2a_cloud.surface.api.approvals_port import Approvals
from a2a_cloud.surface.api.grants_port import GrantOffice
from a2a_cloud.surface.api.secrets_port import Secrets
from a2a_cloud.surface.billing_port import Money
from a2a_cloud.surface.erasure_port import Erasures
from a2a_cloud.surface.evals_port import Evals
from a2a_cloud.surface.hooks_port import Hooks
from a2a_cloud.surface.identity_port import Identity, Issuers
from a2a_cloud.surface.limits import Declared, Quotas
from a2a_cloud.surface.log_port import AuditLogs
from a2a_cloud.surface.metrics import Metrics
from a2a_cloud.surface.names_port import Names, Sessions
from a2a_cloud.surface.operator_port import Operator, Traces
from a2a_cloud.surface.orgs_port import Audit, Organisations
from a2a_cloud.surface.packs_port import Packs
from a2a_cloud.surface.people.port import People
from a2a_cloud.surface.push_port import Files, Push
from a2a_cloud.surface.registry_port import Deploys, Parts, Registry, Variables
from a2a_cloud.surface.replays_port import Replays
from a2a_cloud.surface.reviews_port import Reviews
from a2a_cloud.surface.runs_port import Runs
from a2a_cloud.surface.search_port import Search, Standing
from a2a_cloud.surface.services_port import Services as AgentIdentities
from a2a_cloud.surface.services_port import SigV4Keys
from a2a_cloud.surface.uploads import Uploads
from a2a_cloud.surface.workspace_ports import Workspaces

if TYPE_CHECKING:
    from a2a_cloud.control.oauth.server import OAuth
    from a2a_cloud.surface.auth_schemes import Scheme


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
