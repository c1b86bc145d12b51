"""What the surface needs of organisations, by shape, and `Organisations`, in which app hands it over."""

from __future__ import annotations

from collections.abc import Collection, Iterable, Sequence
from dataclasses import dataclass
from typing import Any, Protocol

from a2a_cloud.model.access import Rule
from a2a_cloud.model.org import Change, Member, Org, OrgRole, Team
from a2a_cloud.model.principal import Principal
from a2a_cloud.model.release import Release, SkillSpec


class Account(Protocol):
    """A person."""

    @property
    def id(self) -> str: ...
    @property
    def email(self) -> str: ...
    @property
    def name(self) -> str: ...


class Person(Protocol):
    """A member with their account and the names of their teams."""

    @property
    def member(self) -> Member: ...
    @property
    def account(self) -> Account: ...
    @property
    def teams(self) -> Sequence[str]: ...


class Orgs(Protocol):
    """Organisations."""

    def listed(self, by: Principal) -> Sequence[tuple[Org, str]]:
        """(organisation, role there) of those that the caller may see."""
        ...

    def one(self, by: Principal, name: str) -> Org:
        """Raises NotFound."""
        ...

    async def make(self, by: Principal, name: str, owner: str = "") -> Org:
        """Raises Forbidden, InvalidParams, AlreadyExists, NotFound."""
        ...


class Members(Protocol):
    """Members of organisations. All raise Forbidden and NotFound for who may not."""

    def principal(self, account_id: str, org: str = "") -> Principal | None:
        """Who an account is in an organisation ("": the first that it came to); None when it is nobody."""
        ...

    def orgs(self, account_id: str) -> Sequence[tuple[str, str]]:
        """(organisation, role) of an account."""
        ...

    def check_invites(self, by: Principal, org_no: int, role: str) -> None:
        """Whether `by` may let somebody in with that role. Raises InvalidParams too."""
        ...

    def listed(self, org_no: int) -> Sequence[Person]:
        """As they came."""
        ...

    def one(self, org_no: int, who: str) -> Person:
        """By e-mail address or account."""
        ...

    async def add(self, by: Principal, org_no: int, email: str, role: str) -> Person:
        """Raises InvalidParams, AlreadyExists."""
        ...

    async def change(
        self, by: Principal, org_no: int, who: str, *, role: str | None = None, active: bool | None = None
    ) -> Person:
        """Raises InvalidParams, InvalidRequest."""
        ...

    async def remove(self, by: Principal, org_no: int, who: str) -> Person:
        """Raises InvalidRequest."""
        ...


class Roles(Protocol):
    """Roles."""

    def own(self, org_no: int) -> Sequence[OrgRole]:
        """The organisation's own."""
        ...

    async def put(
        self, by: Principal, org_no: int, name: str, permissions: Iterable[str], description: str = ""
    ) -> OrgRole:
        """Raises NotFound, Forbidden, InvalidParams."""
        ...

    async def drop(self, by: Principal, org_no: int, name: str) -> None:
        """Raises NotFound, Forbidden, InvalidRequest."""
        ...


class Teams(Protocol):
    """Teams."""

    def listed(self, org_no: int) -> Sequence[Team]:
        """By name."""
        ...

    def one(self, org_no: int, which: str) -> Team:
        """By id or name. Raises NotFound."""
        ...

    async def make(
        self, by: Principal, org_no: int, name: str, *, role: str = "", external: str = ""
    ) -> Team:
        """Raises Forbidden, NotFound, InvalidParams, AlreadyExists."""
        ...

    async def change(
        self,
        by: Principal,
        org_no: int,
        which: str,
        *,
        name: str | None = None,
        role: str | None = None,
        members: Collection[str] | None = None,
    ) -> Team:
        """Raises as `make`."""
        ...

    async def drop(self, by: Principal, org_no: int, which: str) -> Team:
        """Raises NotFound, Forbidden."""
        ...


class ScimToken(Protocol):
    """A directory's token, without its secret."""

    @property
    def id(self) -> str: ...
    @property
    def role(self) -> str: ...
    @property
    def created(self) -> float: ...
    @property
    def by(self) -> str: ...


class Said(Protocol):
    """What a directory says of a user; `changed` in wall seconds."""

    @property
    def external(self) -> str: ...
    @property
    def body(self) -> dict[str, Any]: ...
    @property
    def changed(self) -> float: ...


class DirectoryUser(Protocol):
    """A member as a directory sees them."""

    @property
    def person(self) -> Person: ...
    @property
    def said(self) -> Said | None: ...
    @property
    def teams(self) -> Sequence[Team]: ...


class Scim(Protocol):
    """Directories and what they provision."""

    async def make_token(self, by: Principal, org_no: int, role: str) -> tuple[ScimToken, str]:
        """Raises Forbidden, NotFound, InvalidParams."""
        ...

    def tokens(self, by: Principal, org_no: int) -> Sequence[ScimToken]:
        """Raises Forbidden, NotFound."""
        ...

    async def drop_token(self, by: Principal, org_no: int, token_id: str) -> None:
        """Raises Forbidden, NotFound."""
        ...

    def authenticate(self, token: str) -> tuple[Principal, str]:
        """The directory, and the role that it gives. Raises Unauthenticated."""
        ...

    def users(self, by: Principal) -> Sequence[DirectoryUser]: ...
    def user(self, by: Principal, user_id: str) -> DirectoryUser:
        """Raises NotFound."""
        ...

    async def add(
        self,
        by: Principal,
        role: str,
        *,
        user_name: str,
        email: str,
        shown: str,
        external: str,
        active: bool,
        body: dict[str, Any],
    ) -> DirectoryUser:
        """Raises AlreadyExists, InvalidParams."""
        ...

    async def change(
        self,
        by: Principal,
        user_id: str,
        *,
        user_name: str,
        external: str,
        active: bool,
        body: dict[str, Any],
    ) -> DirectoryUser:
        """Raises NotFound, AlreadyExists, Forbidden."""
        ...

    async def drop(self, by: Principal, user_id: str) -> None:
        """Raises NotFound, Forbidden."""
        ...

    def groups(self, by: Principal) -> Sequence[Team]: ...
    def group(self, by: Principal, group_id: str) -> Team:
        """Raises NotFound."""
        ...

    async def put_group(
        self, by: Principal, group_id: str, name: str, external: str, members: Collection[str] | None
    ) -> Team:
        """A new one without an id. Raises NotFound, AlreadyExists, InvalidParams."""
        ...

    async def drop_group(self, by: Principal, group_id: str) -> None:
        """Raises NotFound."""
        ...


class Audit(Protocol):
    """The audit log."""

    def events(
        self,
        org_no: int,
        *,
        kind: str = "",
        by: str = "",
        run: str = "",
        grant: str = "",
        since: float = 0.0,
        until: float = 0.0,
        changes: bool = False,
        after: int = 0,
        limit: int = 100,
    ) -> Sequence[Change]:
        """Raises InvalidParams."""
        ...

    def search(
        self, org_no: int, words: str, before: int = 0, limit: int = 100
    ) -> tuple[Sequence[Change], int]:
        """(the newest first; before which number to go on, 0 at the end). Raises InvalidParams."""
        ...


class Verdict(Protocol):
    """What becomes of a call in one way to come, and each rule's word."""

    @property
    def who(self) -> str: ...
    @property
    def via(self) -> str: ...
    @property
    def role(self) -> str: ...
    @property
    def allowed(self) -> bool: ...
    @property
    def why(self) -> str: ...
    @property
    def rules(self) -> Sequence[Rule]: ...


class Access(Protocol):
    """Who may call what."""

    def explain(
        self, by: Principal, release: Release, skill: SkillSpec | None, who: str = ""
    ) -> tuple[Sequence[Verdict], bool]:
        """Verdicts, and whether that is all. Raises NotFound, Forbidden."""
        ...


@dataclass(frozen=True, slots=True)
class Organisations:
    """All of it."""

    orgs: Orgs
    members: Members
    roles: Roles
    teams: Teams
    scim: Scim
    access: Access
