"""The keys of one outside issuer (RFC 7517): found by its description (OpenID Connect Discovery 1.0, RFC
8414), kept for a while, asked for again when a token names one that is not known, and used for longer when
the issuer can't be reached.
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Awaitable, Callable
from typing import Any, cast
from urllib.parse import urlsplit

import msgspec

from a2a_cloud.model.issuer import Issuer
from a2a_cloud.model.ports import Clock
from a2a_cloud.model.problem import Problem, UpstreamFailed

log = logging.getLogger("a2a_cloud.identity")

#: Gets a document, guarded as addresses of strangers are. Raises Problem.
Fetch = Callable[[str], Awaitable[bytes]]

#: Seconds that keys are kept, that they may be used when the issuer does not answer, and between two times
#: that it is asked.
KEPT, STALE, AGAIN = 600.0, 86_400.0, 30.0
#: Keys of one issuer that are looked at.
_MOST = 100


class IssuerKeys:
    """The keys of `issuer`. Loop thread only."""

    def __init__(self, issuer: Issuer, fetch: Fetch, clock: Clock) -> None:
        self._issuer = issuer
        self._fetch = fetch
        self._clock = clock
        self._asking = asyncio.Lock()
        self._keys: list[dict[str, Any]] = []
        self._at = self._asked = float("-inf")

    async def of(self, kid: str | None, algorithm: str) -> list[dict[str, Any]]:
        """The keys that a token with that header may be signed with. Raises UpstreamFailed when the issuer
        has not told any."""
        if self._clock.monotonic() - self._at > KEPT:
            await self._again()
        found = self._fitting(kid, algorithm)
        if not found:
            await self._again()
            found = self._fitting(kid, algorithm)
        return found

    def _fitting(self, kid: str | None, algorithm: str) -> list[dict[str, Any]]:
        kind = {"R": "RSA", "P": "RSA", "E": "EC"}[algorithm[0]] if algorithm != "Ed25519" else "OKP"
        return [
            key
            for key in self._keys
            if key.get("kty") == kind
            and (kid is None or key.get("kid") == kid)
            and key.get("use", "sig") == "sig"
            and key.get("alg", algorithm) in (algorithm, "EdDSA" if kind == "OKP" else algorithm)
        ]

    async def _again(self) -> None:
        """Ask for the keys, unless somebody has just done so."""
        began = self._clock.monotonic()
        async with self._asking:
            # Who sends tokens with keys that are not there makes us ask no more often than this.
            if self._asked < began and began - self._asked >= AGAIN:
                try:
                    self._keys = await self._read()
                    self._at = self._clock.monotonic()
                except (Problem, msgspec.DecodeError, UnicodeDecodeError) as error:
                    log.warning("The keys of %s could not be read: %s", self._issuer.issuer, error)
                self._asked = self._clock.monotonic()
        if self._clock.monotonic() - self._at > STALE:
            raise UpstreamFailed(
                f"The keys of {self._issuer.issuer} can't be had.", remedy="Try again in a minute."
            )

    async def _read(self) -> list[dict[str, Any]]:
        address = self._issuer.jwks_uri or await self._found()
        document: Any = msgspec.json.decode(await self._fetch(address))
        keys: Any = cast("dict[str, Any]", document).get("keys") if isinstance(document, dict) else None
        if not isinstance(keys, list):
            raise UpstreamFailed(f"What is at {address} is no key set.")
        listed = cast("list[Any]", keys)[:_MOST]
        return [cast("dict[str, Any]", key) for key in listed if isinstance(key, dict)]

    async def _found(self) -> str:
        """Where its keys are, as it says itself."""
        document: Any = msgspec.json.decode(await self._fetch(self._issuer.description))
        told = cast("dict[str, Any]", document) if isinstance(document, dict) else {}
        if told.get("issuer") != self._issuer.issuer:
            raise UpstreamFailed(f"{self._issuer.description} describes another issuer.")
        address: Any = told.get("jwks_uri")
        if not isinstance(address, str):
            raise UpstreamFailed(f"{self._issuer.description} names no jwks_uri.")
        if urlsplit(address).scheme != urlsplit(self._issuer.issuer).scheme:
            raise UpstreamFailed("Its jwks_uri is less safe than the issuer's own address.")
        return address
