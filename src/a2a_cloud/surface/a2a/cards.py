"""Cards on their way out: signed, kept for each address, with the headers that caches need (A2A 1.0,
sections 8.2, 8.4 and 8.6).

`/.well-known/agent-card.json` and `/card` give the card; `/.well-known/agent.json`, where readers before
0.3 look, the same one with the members of that time beside it. The extended card needs a key.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from email.utils import formatdate
from hashlib import sha256
from typing import Any, NamedTuple, Protocol
from urllib.parse import urlsplit

import msgspec

from a2a_cloud.model.card import AgentCard
from a2a_cloud.model.problem import ExtendedAgentCardNotConfigured, Unauthenticated, UnsupportedOperation
from a2a_cloud.model.release import Release
from a2a_cloud.surface.a2a.card import card_of, sign_in
from a2a_cloud.surface.a2a.grpc.address import grpc_address
from a2a_cloud.surface.accounting_port import Accounting
from a2a_cloud.surface.auth_schemes import Scheme, in_cards
from a2a_cloud.surface.conditional import MAX_AGE, has_it
from a2a_cloud.surface.identity_port import Issuers
from a2a_cloud.surface.limits import Declared
from a2a_cloud.surface.ports import CardKey, Sandbox
from a2a_cloud.surface.request import A2A_JSON, JSON, Headers, Request
from a2a_cloud.wire.card_early import with_early_members
from a2a_cloud.wire.card_signature import signatures

PATHS = ("/.well-known/agent-card.json", "/.well-known/agent.json", "/card")
EARLY = "/.well-known/agent.json"
JWKS = "/.well-known/jwks.json"
_MAX_KEPT = 1024
_encode = msgspec.json.Encoder().encode
_decode = msgspec.json.Decoder(dict[str, Any]).decode


class Encoded(NamedTuple):
    """A signed card as JSON, its ETag, and since when (wall seconds) it says so."""

    body: bytes
    etag: bytes
    since: float


#: What a card calls the platform's own sign-in.
OAUTH = "oauth2"


class About(Protocol):
    """What a card says that is not the release's: of Services."""

    @property
    def sandbox(self) -> Sandbox: ...
    @property
    def base_url(self) -> str: ...
    @property
    def grpc_url(self) -> str: ...
    @property
    def oauth(self) -> object | None: ...
    @property
    def card_key(self) -> CardKey | None: ...
    @property
    def issuers(self) -> Issuers | None: ...
    @property
    def schemes(self) -> Sequence[Scheme]: ...
    @property
    def declared(self) -> Declared | None: ...
    @property
    def accounting(self) -> Accounting | None: ...


def described(
    about: About,
    release: Release,
    base: str,
    *,
    extended: bool = False,
    limits: Mapping[str, Any] | None = None,
    pricing: Mapping[str, Any] | None = None,
) -> AgentCard:
    """The card of a release at that address, not signed: with the ways in that are in force here."""
    own = {OAUTH: sign_in(about.base_url)} if about.oauth is not None else {}
    return card_of(
        release,
        base,
        about.sandbox,
        grpc=grpc_address(about.grpc_url, base),
        extended=extended,
        limits=limits,
        pricing=pricing,
        issuers=about.issuers.taken(release) if about.issuers is not None else (),
        schemes={**own, **in_cards(about.schemes)},
    )


class Cards:
    """Encoded cards by release and address."""

    __slots__ = ("_about", "_kept")

    def __init__(self, about: About) -> None:
        self._about = about
        self._kept: dict[tuple[int, str, str, str], Encoded] = {}

    def public(self, release: Release, base: str) -> Encoded:
        """The card that everybody sees who may call the agent. Raises Unavailable: no key to sign with."""
        return self._card(release, base, "")

    def early(self, release: Release, base: str) -> Encoded:
        """The same with the members that readers before 0.3 look for."""
        return self._card(release, base, "early", with_early_members)

    def extended(self, release: Release, base: str) -> Encoded:
        """The card with the skills that only callers with a key see."""
        return self._card(release, base, "extended")

    def _card(
        self,
        release: Release,
        base: str,
        kind: str,
        change: Callable[[dict[str, Any]], dict[str, Any]] | None = None,
    ) -> Encoded:
        about = self._about
        key = (release.no, base, kind, about.grpc_url)
        limits, since = about.declared.of(release) if about.declared is not None else (None, 0.0)
        pricing = None
        if about.accounting is not None:
            pricing, priced = about.accounting.shown.of(release, extended=kind == "extended")
            since = max(since, priced)
        since = max(since, release.created)
        found = self._kept.get(key)
        if found is not None and found.since == since:
            return found
        if len(self._kept) >= _MAX_KEPT:
            self._kept.clear()
        card = described(about, release, base, extended=kind == "extended", limits=limits, pricing=pricing)
        document = _decode(_encode(card))
        if change is not None:
            document = change(document)
        signer = about.card_key
        if signer is not None:
            address = urlsplit(base)
            jku = f"{address.scheme}://{address.netloc}{JWKS}"
            document["signatures"] = signatures(document, signer.kid, jku, signer.sign)
        body = _encode(document)
        etag = b'"' + sha256(body).hexdigest()[:32].encode() + b'"'
        found = self._kept[key] = Encoded(body, etag, since)
        return found

    async def serve(self, request: Request) -> None:
        """Answers with the card, or with 304 when the caller has it."""
        request.allow("GET")
        release = request.release
        found = (self.early if request.rest == EARLY else self.public)(release, request.base)
        scope = b"public" if release.public else b"private"
        await _send(request, found, scope, JSON)

    async def serve_extended(self, request: Request) -> None:
        """`GET /extendedAgentCard`. Raises as `check_extended`."""
        check_extended(request.release, request.principal.anonymous, request.speaks)
        await _send(request, self.extended(request.release, request.base), b"private", A2A_JSON)


def check_extended(release: Release, anonymous: bool, speaks: str) -> None:
    """Whether a caller may have the extended card. Raises UnsupportedOperation when there is none (1.0,
    section 3.3.4; before 1.0 ExtendedAgentCardNotConfigured), Unauthenticated without a key."""
    if not release.extended:
        error = UnsupportedOperation if speaks == "a2a-1.0" else ExtendedAgentCardNotConfigured
        raise error("This agent has no extended card.", remedy="Read /.well-known/agent-card.json.")
    if anonymous:
        raise Unauthenticated(
            "The extended card is for callers with a key.",
            remedy="Send a key as Authorization: Bearer KEY, or as X-API-Key: KEY.",
        )


async def _send(request: Request, found: Encoded, scope: bytes, content_type: bytes) -> None:
    created = found.since
    headers: Headers = [
        (b"etag", found.etag),
        (b"cache-control", scope + b", max-age=%d" % MAX_AGE),
        (b"last-modified", formatdate(int(created), usegmt=True).encode()),
        (b"vary", b"Host, Authorization, X-API-Key"),
    ]
    if has_it(request, found.etag, created):
        return await request.answer(304, b"", content_type, headers)
    return await request.answer(200, found.body, content_type, headers)
