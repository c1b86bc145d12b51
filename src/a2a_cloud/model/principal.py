"""Who calls, and what they may do: a principal of an organisation with the permissions of a role, or nobody
in particular. Everything that decides asks `may`; nothing but this module asks for a role by its name."""

from __future__ import annotations

from enum import StrEnum
from types import MappingProxyType

from msgspec import Struct

DEFAULT_ORG = "default"


class Permission(StrEnum):
    """One thing that can be allowed in an organisation. What is one's own needs none of them: one's runs,
    their receipts, one's approvals and hooks."""

    CALL = "agents.call"
    DEPLOY = "agents.deploy"
    READ_RUNS = "runs.read"
    MANAGE_RUNS = "runs.manage"
    READ_LOGS = "logs.read"
    DECIDE = "approvals.decide"
    MANAGE_GRANTS = "grants.manage"
    MANAGE_SECRETS = "secrets.manage"
    READ_FILES = "workspaces.read"
    MANAGE_FILES = "workspaces.manage"
    MANAGE_KEYS = "keys.manage"
    MANAGE_MEMBERS = "members.manage"
    MANAGE_POLICY = "policy.manage"
    READ_AUDIT = "audit.read"
    READ_USAGE = "usage.read"
    MANAGE_BILLING = "billing.manage"
    MANAGE_PLATFORM = "platform.manage"


class Role(StrEnum):
    """A named set of permissions. Organisations may have further ones of their own."""

    OWNER = "owner"
    ADMIN = "admin"
    DEVELOPER = "developer"
    APPROVER = "approver"
    AUDITOR = "auditor"
    BILLING = "billing"
    VIEWER = "viewer"
    MEMBER = "member"


_P = Permission
_ALL = frozenset(Permission)
#: What each role may do. Only an owner makes owners (control/orgs); MANAGE_PLATFORM counts in the default
#: organisation alone, whose people run the platform.
PERMISSIONS: MappingProxyType[Role, frozenset[Permission]] = MappingProxyType(
    {
        Role.OWNER: _ALL,
        Role.ADMIN: _ALL,
        Role.DEVELOPER: frozenset(
            {_P.CALL, _P.DEPLOY, _P.READ_RUNS, _P.MANAGE_RUNS, _P.READ_LOGS, _P.READ_FILES, _P.MANAGE_FILES}
        ),
        Role.APPROVER: frozenset({_P.CALL, _P.DECIDE, _P.READ_RUNS, _P.READ_FILES}),
        Role.AUDITOR: frozenset({_P.READ_AUDIT, _P.READ_RUNS, _P.READ_LOGS, _P.READ_USAGE}),
        Role.BILLING: frozenset({_P.READ_USAGE, _P.MANAGE_BILLING}),
        Role.VIEWER: frozenset({_P.READ_RUNS, _P.READ_USAGE}),
        Role.MEMBER: frozenset({_P.CALL}),
    }
)

#: A call's place in a queue is from -MAX_PRIORITY to MAX_PRIORITY, usually 0.
MAX_PRIORITY = 10


class Principal(Struct, frozen=True):
    """The authenticated caller. `no` and `org_no` are the numbers under which rows name them; `priority`
    is the highest that they may give a call.

    `role` is a Role's value or the name of one of the organisation's own. `permissions`: None for those of
    the role; else Permissions, and words of the organisation's own that its skills ask for. `scopes`: what a
    key or token is narrowed to, `agent:NAME`, `agent:NAME/SKILL` or a permission; None for no narrowing.
    `actors` are those who act for this principal, nearest first, as `name@org` or the service identity of an
    agent. `client` is the OAuth client behind a token, `key_id` the key or the token that was shown,
    `address` where a request without either came from.
    """

    no: int
    org_no: int
    name: str
    org: str
    role: str = Role.MEMBER
    key_id: str = ""
    priority: int = 0
    permissions: frozenset[str] | None = None
    scopes: frozenset[str] | None = None
    actors: tuple[str, ...] = ()
    client: str = ""
    address: str = ""

    @property
    def anonymous(self) -> bool:
        """Nobody proved who they are; only public agents serve them."""
        return self.no == ANONYMOUS_NO

    @property
    def label(self) -> str:
        """`name@org`, as receipts and logs write it."""
        return f"{self.name}@{self.org}" if not self.anonymous else "anonymous"

    def may(self, permission: Permission) -> bool:
        """Whether they have it in their own organisation."""
        if self.scopes is not None and permission not in self.scopes:
            return False
        return self.has(permission)

    def has(self, permission: Permission) -> bool:
        """As `may`, whatever the key or token is narrowed to."""
        if permission is Permission.MANAGE_PLATFORM and self.org != DEFAULT_ORG:
            return False
        if self.permissions is not None:
            return permission in self.permissions
        return permission in PERMISSIONS.get(self.role, frozenset())  # type: ignore[call-overload]

    def reaches(self, agent: str, skill: str) -> bool:
        """Whether the key or token is good for that skill of that agent (`name`, or `org.name` outside of
        the principal's organisation); what the agent allows is another question."""
        scopes = self.scopes
        return (
            scopes is None
            or Permission.CALL in scopes
            or f"agent:{agent}" in scopes
            or f"agent:{agent}/{skill}" in scopes
        )

    def holds(self, scope: str) -> bool:
        """Whether they have a scope that a skill asks for: a Permission or a word of their organisation's
        own. Who gives out roles has every word."""
        if self.scopes is not None and scope not in self.scopes:
            return False
        if scope in _ALL:
            return self.has(Permission(scope))
        return scope in (self.permissions or ()) or self.has(Permission.MANAGE_MEMBERS)


ANONYMOUS_NO = 0
ANONYMOUS = Principal(no=ANONYMOUS_NO, org_no=0, name="anonymous", org="")
