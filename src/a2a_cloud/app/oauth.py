"""The authorization server tied to the rest: who people are says the slice of organisations, how documents of
strangers are fetched says the runtime, which addresses are ours says the surface."""

from __future__ import annotations

import sqlite3
from collections.abc import Callable, Mapping
from functools import lru_cache
from pathlib import Path
from typing import Any, Protocol
from urllib.parse import urlsplit

from a2a_cloud.control.identity.keys import Identity
from a2a_cloud.control.oauth.clients import Clients
from a2a_cloud.control.oauth.rows import OAuthRows
from a2a_cloud.control.oauth.server import OAuth
from a2a_cloud.control.oauth.signing import TokenKeys
from a2a_cloud.control.oauth.tokens import Committer, Standing, Tokens
from a2a_cloud.model.ports import Clock, Entropy, Ids
from a2a_cloud.model.principal import DEFAULT_ORG
from a2a_cloud.model.problem import UpstreamFailed
from a2a_cloud.runtime.outward import Outward, place, private
from a2a_cloud.settings import Settings
from a2a_cloud.surface.hosts import Hosts

#: Seconds that a client's document may take, and its bytes.
FETCH_SECONDS, MAX_DOCUMENT = 5.0, 64 << 10


class Account(Protocol):
    """A person."""

    @property
    def email(self) -> str: ...
    @property
    def name(self) -> str: ...


class Documents:
    """Fetches what lies behind the ids of clients."""

    def __init__(self, settings: Settings) -> None:
        self._settings = settings
        self._outward: Outward | None = None

    async def __call__(self, url: str) -> bytes:
        """The body of a 200 answer at the address itself. Raises Problem."""
        outward = self._outward
        if outward is None:
            settings = self._settings
            allowed = private(settings.fetch_private, "A2A_FETCH_PRIVATE")
            outward = self._outward = Outward(allowed, roots=settings.egress_ca, at_once=8)
        async with outward.get(place(url, "client_id"), FETCH_SECONDS, hops=0) as response:
            if response.status != 200:
                raise UpstreamFailed(f"It answers {response.status}.")
            body = await response.content.read(MAX_DOCUMENT + 1)
            while len(body) <= MAX_DOCUMENT and (more := await response.content.read(MAX_DOCUMENT)):
                body += more
            if len(body) > MAX_DOCUMENT:
                raise UpstreamFailed(f"It is larger than {MAX_DOCUMENT >> 10} KiB.")
            return body

    async def close(self) -> None:
        """Close all connections."""
        if self._outward is not None:
            await self._outward.close()


class Places:
    """Which addresses are ours, and what they name, whatever the host: `/agents/NAME/…`, or a path of the
    platform. `issuer` is the platform's address, `local` the one that it listens at."""

    def __init__(self, issuer: Callable[[], str], local: Callable[[], str], allowed: tuple[str, ...]) -> None:
        self._issuer = issuer
        self._local = local
        self._allowed = allowed
        self._hosts: Hosts | None = None
        self.asked = lru_cache(4096)(self._asked)
        self.named = lru_cache(4096)(self._named)

    def _named(self, url: str) -> str | None:
        """Of an address that somebody names. A loopback host alone doesn't make it ours: other servers of
        this machine listen there too, and a token for one of them is none for us."""
        try:
            port = _port(url)
            ours = port in (_port(self._issuer()), _port(self._local()))
        except ValueError:
            return None
        return self._asked(url) if ours else None

    def _asked(self, url: str) -> str | None:
        """Of an address at which a request came."""
        if self._hosts is None:
            self._hosts = Hosts(self._issuer(), self._allowed)
        try:
            parts = urlsplit(url)
        except ValueError:
            return None
        if parts.scheme not in ("http", "https") or parts.query or "#" in url or "@" in parts.netloc:
            return None
        if not url.isascii() or not url.isprintable() or len(url) > 2048 or " " in url:
            return None
        host = self._hosts.read(parts.netloc.encode(), parts.scheme)
        path = parts.path.rstrip("/")
        if host is None or "//" in path or "/." in path:
            return None
        path = f"/agents/{host.agent}{path}" if host.agent else path
        usual = f"/agents/{DEFAULT_ORG}."
        return "/agents/" + path[len(usual) :] if path.startswith(usual) else path


def _port(url: str) -> int:
    """Raises ValueError."""
    parts = urlsplit(url)
    return parts.port or (443 if parts.scheme == "https" else 80)


def oauth_of(
    settings: Settings,
    identity: Identity,
    *,
    folder: Path,
    connection: sqlite3.Connection,
    journal: Committer,
    clock: Clock,
    entropy: Entropy,
    ids: Ids,
    issuer: Callable[[], str],
    local: Callable[[], str],
    person: Standing,
    account: Callable[[str], Account | None],
    documents: Documents,
) -> OAuth:
    """The authorization server. `issuer` is the platform's address once it is known, `local` where it
    listens; `person` says who an account is in an organisation now, `account` what it is called."""
    rows = OAuthRows(connection)
    places = Places(issuer, local, settings.allowed_hosts)
    tokens = Tokens(
        TokenKeys(folder, entropy, clock),
        rows,
        journal,
        clock,
        entropy,
        issuer=issuer,
        place=places.named,
        target=places.asked,
    )

    async def enrol(org_no: int, name: str) -> int:
        return (await identity.ensure(identity.org_name(org_no), f"oauth:{name}")).no

    def profile(account_id: str) -> Mapping[str, Any]:
        found = account(account_id)
        return {} if found is None else {"name": found.name, "email": found.email}

    clients = Clients(
        rows, journal, tokens, clock, entropy, fetch=documents, enrol=enrol, org_name=identity.org_name
    )
    tokens.subjects["person"] = person
    tokens.subjects["client"] = clients.principal
    tokens.restore()
    return OAuth(
        rows, journal, tokens, clients, clock, entropy, ids, profile=profile, depth=settings.exchange_depth
    )
