"""What the surface needs of who calls, by shape: keys, what became of leaked ones, outside issuers."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Protocol

from a2a_cloud.model.issuer import Issuer
from a2a_cloud.model.principal import Principal
from a2a_cloud.model.release import Release
from a2a_cloud.wire.api_key import Found


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
