"""Bearer tokens of outside issuers (RFC 7519, RFC 9068; RFC 8725 for what to look at): JWTs that an agent
takes because its a2a.toml names their issuer, and the operator trusts it for the agent's organisation.

Who calls with one is a principal of the agent's organisation, named after the issuer and the token's
subject (`corp:alice`; no API key can have such a name), and reaches this agent alone. A token that was good
is taken again without a look at its signature for some minutes, at most until it expires.
"""

from __future__ import annotations

import asyncio
import importlib
import json
import sys
from collections.abc import Awaitable, Callable, Sequence
from hashlib import sha256
from typing import Any, cast
from urllib.parse import quote

from a2a_cloud.control.identity.jwks import Fetch, IssuerKeys
from a2a_cloud.model.issuer import Issuer
from a2a_cloud.model.ports import Clock
from a2a_cloud.model.principal import PERMISSIONS, Permission, Principal, Role
from a2a_cloud.model.problem import InvalidParams, Unauthenticated
from a2a_cloud.model.release import Release
from a2a_cloud.wire.jws import b64url_decode

#: Bytes of a token; seconds that clocks may differ; seconds that a good one is not looked at again.
_LONGEST, SKEW, TRUSTED = 16 * 1024, 60.0, 300.0
_KEPT = 4096
_MOST_WORDS = 64
_NAME = 110
_PERMISSIONS = frozenset(str(one) for one in Permission)


class Issuers:
    """The issuers that the operator trusts. `ensure` gives the principal of a name in an organisation;
    `addresses` are those of an agent that a token without an audience of its own may be for."""

    def __init__(
        self,
        issuers: Sequence[Issuer],
        fetch: Fetch,
        ensure: Callable[[str, str], Awaitable[Principal]],
        addresses: Callable[[Release], Sequence[str]],
        clock: Clock,
    ) -> None:
        self._issuers = {one.name: (one, IssuerKeys(one, fetch, clock)) for one in issuers}
        self._known = frozenset(one.issuer for one in issuers)
        self._ensure = ensure
        self._addresses = addresses
        self._clock = clock
        self._good: dict[tuple[str, int], tuple[Principal, float]] = {}

    def token_of(self, authorization: bytes) -> str:
        """The token of an Authorization header when it says that it comes from one of these issuers, else
        "": whatever else it is, it is not for here."""
        if authorization[:7].lower() != b"bearer " or len(authorization) > _LONGEST:
            return ""
        try:
            token = authorization[7:].strip().decode("ascii")
            return token if _part(token, 1).get("iss") in self._known else ""
        except (ValueError, TypeError):
            return ""

    def taken(self, release: Release) -> list[Issuer]:
        """The issuers whose tokens an agent takes."""
        named = [self._issuers[name][0] for name in release.manifest.issuers if name in self._issuers]
        return [one for one in named if release.org in one.organisations]

    async def authenticate(self, token: str, release: Release) -> Principal:
        """Who calls `release` with a token of `token_of`. Raises Unauthenticated, UpstreamFailed."""
        key = (token, release.no)
        found = self._good.get(key)
        if found is not None and self._clock.now() < found[1]:
            return found[0]
        if "joserfc.jws" not in sys.modules:  # Some milliseconds, once.
            await asyncio.to_thread(importlib.import_module, "joserfc.jws")
        why = "The agent takes no tokens of this issuer."
        header, said = _part(token, 0), _part(token, 1)
        for issuer in self.taken(release):
            if issuer.issuer != said.get("iss"):
                continue
            claims, why = await self._checked(issuer, token, header, release)
            if claims is not None:
                principal = await self._principal(issuer, claims, release)
                until = min(self._clock.now() + TRUSTED, float(claims["exp"]) + SKEW)
                if len(self._good) >= _KEPT:
                    self._good.clear()
                self._good[key] = (principal, until)
                return principal
        raise Unauthenticated(f"The token is not good here. {why}", remedy="Get another from its issuer.")

    async def _checked(
        self, issuer: Issuer, token: str, header: dict[str, Any], release: Release
    ) -> tuple[dict[str, Any] | None, str]:
        """The claims of a good token, or None and what is wrong with it."""
        from joserfc.errors import JoseError
        from joserfc.jwk import import_key
        from joserfc.jws import deserialize_compact

        algorithm: Any = header.get("alg")
        kid: Any = header.get("kid")
        if algorithm not in issuer.algorithms or "crit" in header or not isinstance(kid, str | None):
            return None, "Its signature is of a kind that is not taken."
        if str(header.get("typ", "JWT")).lower().removeprefix("application/") not in ("jwt", "at+jwt"):
            return None, "It is no access token."
        for key in (await self._issuers[issuer.name][1].of(kid, algorithm))[:10]:
            try:
                read = deserialize_compact(token, import_key(cast("Any", key)), algorithms=[algorithm])
                claims: Any = json.loads(read.payload)
            except (JoseError, ValueError, TypeError, KeyError, RecursionError):
                continue
            if isinstance(claims, dict):
                told = cast("dict[str, Any]", claims)
                why = self._wrong(issuer, told, release)
                return (told, "") if not why else (None, why)
        return None, "Its signature is not good."

    def _wrong(self, issuer: Issuer, claims: dict[str, Any], release: Release) -> str:
        """What is wrong with the claims of a token whose signature is good; "" for nothing."""
        now = self._clock.now()
        if claims.get("iss") != issuer.issuer:
            return "It is of another issuer."
        if not _number(claims.get("exp")) > now - SKEW:
            return "It has expired."
        if any(name in claims and not _number(claims[name]) < now + SKEW for name in ("nbf", "iat")):
            return "It is not good yet."
        if "cnf" in claims:
            return "It is bound to a key, and was sent without a proof of that."
        meant = {one for one in _values(claims.get("aud")) if isinstance(one, str)}
        if not meant & set(issuer.audience or self._addresses(release)):
            return "It is for another audience."
        for name, wanted in issuer.require:
            had = _values(_claim(claims, name), words=name in ("scope", "scp"))
            if not any(type(one) is type(value) and one == value for one in had for value in wanted):
                return f"Its claim {name} is not what is asked for."
        subject = claims.get(issuer.subject)
        if not isinstance(subject, str) or not 0 < len(subject) <= 1000 or not subject.isprintable():
            return f"It has no {issuer.subject}."
        return ""

    async def _principal(self, issuer: Issuer, claims: dict[str, Any], release: Release) -> Principal:
        who = await self._ensure(release.org, principal_name(issuer, claims[issuer.subject]))
        reach = frozenset({f"agent:{release.name}"})
        client: Any = claims.get("azp", claims.get("client_id", ""))
        held: list[Any] = _values(_claim(claims, issuer.words), words=True) if issuer.words else []
        # A Permission is the platform's to give.
        words = frozenset(
            one for one in held[:_MOST_WORDS] if isinstance(one, str) and one not in _PERMISSIONS
        )
        return Principal(
            who.no,
            who.org_no,
            who.name,
            who.org,
            role=Role.MEMBER,
            key_id=f"jwt:{issuer.name}",
            permissions=PERMISSIONS[Role.MEMBER] | words if words else None,
            scopes=reach | words,
            client=client[:200] if isinstance(client, str) else "",
        )


def check_named(issuers: Sequence[Issuer], release: Release) -> None:
    """Raises InvalidParams when a2a.toml names an issuer that the operator has not named for the agent's
    organisation: the card would say what is not so."""
    for name in release.manifest.issuers:
        if not any(one.name == name and release.org in one.organisations for one in issuers):
            raise InvalidParams(
                f"a2a.toml names the issuer {name!r}, which this platform does not know for {release.org}.",
                remedy="Ask the operator to add it to the file of A2A_ISSUERS, or take it out of [auth].",
                info={"key": "auth.issuers"},
            )


def principal_name(issuer: Issuer, subject: str) -> str:
    """What a subject is called: nothing that two subjects, or an API key's principal, could both be."""
    plain = quote(subject, safe="@+")
    if len(plain) > _NAME:
        plain = f"%sha256-{sha256(subject.encode()).hexdigest()}"
    return f"{issuer.name}:{plain}"


def _part(token: str, place: int) -> dict[str, Any]:
    """A part of a JWT, unchecked. Raises ValueError."""
    parts = token.split(".")
    if len(parts) != 3:
        raise ValueError("not a JWT")
    try:
        found: Any = json.loads(b64url_decode(parts[place]))
    except RecursionError:
        raise ValueError("nested too deep") from None
    if not isinstance(found, dict):
        raise ValueError("not an object")
    return cast("dict[str, Any]", found)


def _claim(claims: dict[str, Any], name: str) -> Any:
    """A claim by its name, or inside of others by `a.b`."""
    if name in claims:
        return claims[name]
    found: Any = claims
    for step in name.split("."):
        found = cast("dict[str, Any]", found).get(step) if isinstance(found, dict) else None
    return found


def _values(value: Any, *, words: bool = False) -> list[Any]:
    if isinstance(value, list):
        return cast("list[Any]", value)
    if words and isinstance(value, str):
        return value.split()
    return [] if value is None else [value]


def _number(value: Any) -> float:
    good = isinstance(value, int | float) and not isinstance(value, bool)
    try:
        return float(value) if good else float("nan")
    except OverflowError:
        return float("nan")
