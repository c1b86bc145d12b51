"""What the surface needs of agents' own identities (control/services)."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Protocol

from a2a_cloud.model.principal import Principal


class Issued(Protocol):
    """A certificate, PEM. Times are wall seconds."""

    @property
    def id(self) -> str: ...
    @property
    def serial(self) -> str: ...
    @property
    def certificate(self) -> str: ...
    @property
    def bundle(self) -> str: ...
    @property
    def created(self) -> float: ...
    @property
    def ends(self) -> float: ...


class Listed(Protocol):
    """An agent's identity; `ends` of the certificate that lasts longest."""

    @property
    def agent(self) -> str: ...
    @property
    def id(self) -> str: ...
    @property
    def kid(self) -> str: ...
    @property
    def certificates(self) -> int: ...
    @property
    def ends(self) -> float | None: ...
    @property
    def deleted(self) -> bool: ...


class Root(Protocol):
    """A root of the platform's authority: it signs from `signs` on."""

    @property
    def id(self) -> str: ...
    @property
    def created(self) -> float: ...
    @property
    def signs(self) -> float: ...
    @property
    def ends(self) -> float: ...


class Standing(Protocol):
    """A root of the bundle and what it does: next, current or last."""

    @property
    def root(self) -> Root: ...
    @property
    def state(self) -> str: ...


class Roots(Protocol):
    """The authority's roots."""

    def standing(self) -> Sequence[Standing]:
        """Those of the bundle."""
        ...

    def bundle(self) -> str:
        """The same as PEM."""
        ...

    async def ready(self) -> None:
        """See to it that there is one."""
        ...


class Services(Protocol):
    """See the module. Each raises AgentNotFound and Forbidden."""

    @property
    def roots(self) -> Roots: ...
    @property
    def domain(self) -> str: ...

    def listed(self, org_no: int) -> Sequence[Listed]:
        """The agents of an organisation."""
        ...

    def check(self, by: Principal, agent_name: str) -> None:
        """Whether `by` may have certificates and tokens for an agent."""
        ...

    async def certify(self, by: Principal, agent_name: str, csr: str) -> Issued:
        """A certificate for the key of a signing request. Raises InvalidParams, Unavailable."""
        ...

    async def token(
        self, by: Principal, agent_name: str, *, audience: Sequence[str], scopes: Sequence[str], seconds: int
    ) -> str:
        """An access token. Raises InvalidParams, Unavailable."""
        ...

    async def end(self, by: Principal, agent_name: str) -> int:
        """Revoke what is out."""
        ...

    async def rotate_root(self, by: Principal, *, at_once: bool) -> None:
        """Make the next root."""
        ...


class SigV4Row(Protocol):
    """A key for AWS signatures, without its secret. `scopes`: words with blanks between them."""

    @property
    def id(self) -> str: ...
    @property
    def role(self) -> str: ...
    @property
    def label(self) -> str: ...
    @property
    def scopes(self) -> str: ...
    @property
    def created(self) -> float: ...
    @property
    def expires(self) -> float | None: ...
    @property
    def made_by(self) -> str: ...


class SigV4Keys(Protocol):
    """Those keys. Each raises Forbidden."""

    region: str
    service: str

    async def create(
        self,
        by: Principal,
        *,
        principal: str,
        role: str,
        label: str = "",
        scopes: Sequence[str] | None = None,
        seconds: int | None = None,
    ) -> tuple[SigV4Row, str]:
        """A new key and its secret. Raises InvalidParams."""
        ...

    def listed(self, by: Principal) -> Sequence[tuple[SigV4Row, str]]:
        """Each with its principal's name."""
        ...

    async def revoke(self, by: Principal, key_id: str) -> None:
        """Raises NotFound."""
        ...
