"""Limits as the surface knows them: every request is counted where its caller becomes known, whatever the
binding, and who has used more than half of what they may is told so on the answer
(draft-ietf-httpapi-ratelimit-headers-11). Refusals carry the same fields: wire/problem_json.
"""

from __future__ import annotations

from collections.abc import Mapping
from functools import lru_cache
from typing import Any, Protocol

from msgspec.structs import replace

from a2a_cloud.model.limits import CallerLimits, Rate, subscriber
from a2a_cloud.model.principal import ANONYMOUS, Principal
from a2a_cloud.model.release import Release

#: Addresses whose principals are remembered.
_KEPT = 4096


class Use(Protocol):
    """How far a rate is used: how many could come at once, and seconds until all of it is there again."""

    @property
    def name(self) -> str: ...
    @property
    def rate(self) -> Rate: ...
    @property
    def left(self) -> int: ...
    @property
    def reset(self) -> float: ...


class Spent(Protocol):
    """Calls of a skill today and this month, and how many may be."""

    @property
    def day(self) -> int: ...
    @property
    def day_most(self) -> int: ...
    @property
    def month(self) -> int: ...
    @property
    def month_most(self) -> int: ...


class Quotas(Protocol):
    """Limits of callers. `org` is the number of an organisation, `target` what a rule is for."""

    def request(self, caller: Principal) -> Use | None:
        """Count a request; the use of its rate when that is more than half. Raises RateLimited."""
        ...

    def sign_in(self, address: str, account: str = "") -> None:
        """Count a try to sign in, register or get a token, from an address and as somebody. Raises
        RateLimited."""
        ...

    def of_caller(self, caller: Principal) -> CallerLimits:
        """What a caller may do, with the key that they show."""
        ...

    def running(self, caller: Principal) -> int:
        """How many runs of theirs have not ended."""
        ...

    def spent(self, caller: Principal, release: Release, skill: str) -> Spent:
        """How much of their budget for a skill is used."""
        ...

    def rules(self, org: int) -> Mapping[str, Mapping[str, Any]]:
        """What is set for an organisation, by target."""
        ...

    async def set_rule(self, org: int, target: str, table: Mapping[str, Any], by: str) -> Mapping[str, Any]:
        """Set some limits of a target; None takes one away. Returns what is set then. Raises InvalidParams,
        NotFound."""
        ...

    async def drop_rule(self, org: int, target: str, by: str) -> None:
        """Back to what is usual. Raises InvalidParams, NotFound."""
        ...


class Declared(Protocol):
    """What cards say of limits."""

    def of(self, release: Release) -> tuple[Mapping[str, Any], float]:
        """The params of the card's extension, and since when (wall seconds) they say so."""
        ...


class Comes(Protocol):
    """Something that came from somewhere: a request, a call by gRPC."""

    @property
    def address(self) -> str: ...


def counted(quotas: Quotas, principal: Principal, came: Comes) -> tuple[Principal, Use | None]:
    """Count a request: who sent it (a stranger is known by their address from here on), and the use of their
    rate when that is more than half. Raises RateLimited."""
    if not principal.no:
        principal = stranger(came.address)
    return principal, quotas.request(principal)


@lru_cache(maxsize=_KEPT)
def stranger(address: str) -> Principal:
    """Somebody without a key at an address."""
    return replace(ANONYMOUS, address=subscriber(address))


def fields_of(use: Use) -> list[tuple[bytes, bytes]]:
    """RateLimit-Policy and RateLimit."""
    name, rate = use.name, use.rate
    return [
        (b"ratelimit-policy", f'"{name}";q={rate.quota};w={rate.window}'.encode()),
        (b"ratelimit", f'"{name}";r={use.left};t={max(1, round(use.reset))}'.encode()),
    ]
