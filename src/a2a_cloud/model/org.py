"""Organisations and who belongs to them: members with a role, teams that add another, roles of an
organisation's own. Times are wall seconds."""

from __future__ import annotations

from msgspec import Struct


class Org(Struct, frozen=True):
    """An organisation: whose agents, tasks and log they are."""

    no: int
    name: str
    created: float


class Member(Struct, frozen=True):
    """An account in an organisation. `principal` is the number under which rows name it there; one that is
    not `active` is let in nowhere and keeps what it owns."""

    org: int
    account: str
    principal: int
    role: str
    active: bool
    created: float
    added_by: str


class OrgRole(Struct, frozen=True):
    """A role of an organisation's own. `permissions` are Permissions and words that its skills ask for."""

    org: int
    name: str
    description: str
    permissions: frozenset[str]
    created: float
    made_by: str


class Team(Struct, frozen=True):
    """Members together. `role` ("": none) is had by each of them beside their own; `external` is the name
    that a directory has for it."""

    id: str
    org: int
    name: str
    role: str
    external: str
    created: float
    changed: float
    made_by: str
    members: tuple[str, ...] = ()


class Change(Struct, frozen=True):
    """One event of the audit log: a change of the control plane, or what became of a grant. `detail` is a
    JSON object or "", `no` the cursor; `run`, `grant`, `root`, `blocks` (SHA-256 in hex), `operation` and
    `reason` are of grants' events. `index` is its place in the organisation's log, where its entry is
    SHA-256(`salt` ‖ `payload`)."""

    no: int
    at: float
    kind: str
    caller: str
    target: str
    detail: str
    run: str = ""
    grant: str = ""
    root: str = ""
    blocks: tuple[str, ...] = ()
    operation: str = ""
    allowed: bool = True
    reason: str = ""
    index: int = 0
    salt: bytes = b""
    payload: bytes = b""
