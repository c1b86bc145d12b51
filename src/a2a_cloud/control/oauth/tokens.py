"""Access tokens: ES256 JWTs (RFC 9068) for one audience (RFC 8707), made here and checked here.

A token is checked once and then known, until it ends, is revoked, or what its principal may has changed. Who
that is now, those say who know people, clients and agents; a token says only who it was.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any, Protocol, cast

import msgspec
from msgspec import Struct

from a2a_cloud.control.oauth import scopes as words
from a2a_cloud.control.oauth.proofs import ProofRefused, Proofs
from a2a_cloud.control.oauth.records import Subject
from a2a_cloud.control.oauth.rows import ADD_ENDED, END_FAMILY, OAuthRows
from a2a_cloud.control.oauth.signing import TokenKeys
from a2a_cloud.model.ports import Clock, Entropy
from a2a_cloud.model.principal import Principal
from a2a_cloud.model.problem import Unauthenticated
from a2a_cloud.model.scope import SYSTEM
from a2a_cloud.storage.journal.port import Op
from a2a_cloud.wire.jws import b64url

#: Seconds that an access token lasts, and the longest that anybody may ask for.
SECONDS = 600
#: Agents in a chain that acts for somebody, and characters of a token.
MAX_ACTORS, MAX_TOKEN = 16, 12 << 10
_KEPT = 20_000
_TYPES = ("at+jwt", "application/at+jwt")


class Shown(Protocol):
    """How a token was shown. `url`: what is asked for, "" while that is not known (the caller asks again when
    it is); `x5t`: the thumbprint of the client's certificate (RFC 8705), "" for none."""

    @property
    def scheme(self) -> str: ...
    @property
    def method(self) -> str: ...
    @property
    def url(self) -> str: ...
    @property
    def dpop(self) -> str: ...
    @property
    def x5t(self) -> str: ...


class Committer(Protocol):
    """The journal, as this slice uses it."""

    async def write(self, ops: Sequence[Op]) -> None:
        """Commit `ops`."""
        ...


class TokenRefused(Unauthenticated):
    """A token that is not good here, with the challenge that says why (RFC 6750, section 3; RFC 9449)."""

    def __init__(
        self, detail: str, *, error: str = "invalid_token", scheme: str = "Bearer", nonce: str = ""
    ) -> None:
        remedy = "Send the proof again with the nonce." if nonce else "Get a new token, or sign in again."
        super().__init__(detail, remedy=remedy)
        self.error, self.scheme, self.nonce = error, scheme, nonce


class Claims(Struct, frozen=True):
    """What an access token says, in the order of RFC 9068, and what is ours: `sub_type` and `org` of the
    subject, `fam` the family that it ends with."""

    iss: str
    sub: str
    aud: str | list[str]
    exp: int
    iat: int
    jti: str
    client_id: str
    scope: str
    org: str
    sub_type: str
    fam: str = ""
    auth_time: int = 0
    act: dict[str, Any] | None = None
    cnf: dict[str, str] | None = None

    @property
    def about(self) -> Subject:
        """Who it is about."""
        return Subject(self.sub_type, self.sub, self.org)

    @property
    def audience(self) -> tuple[str, ...]:
        """What it is for."""
        return (self.aud,) if isinstance(self.aud, str) else tuple(self.aud)

    @property
    def actors(self) -> tuple[str, ...]:
        """Who acts for the subject, nearest first (RFC 8693, section 4.1)."""
        found: list[str] = []
        act: Any = self.act
        while isinstance(act, dict) and len(found) <= MAX_ACTORS:
            one = cast("dict[str, Any]", act)
            found.append(str(one.get("sub", "")))
            act = one.get("act")
        return tuple(found)


class _Known(Struct, frozen=True):
    principal: Principal
    claims: Claims
    places: tuple[str, ...]
    epoch: int


_claims = msgspec.json.Decoder(Claims).decode

#: Who that is now; None: nobody any more. Takes a subject's id and organisation.
Standing = Callable[[str, str], Principal | None]


class Tokens:
    """Issues and checks. Synchronous but for what ends tokens."""

    def __init__(
        self,
        keys: TokenKeys,
        rows: OAuthRows,
        journal: Committer,
        clock: Clock,
        entropy: Entropy,
        *,
        issuer: Callable[[], str],
        place: Callable[[str], str | None],
        target: Callable[[str], str | None],
    ) -> None:
        """`issuer`: the platform's address; `place`: the canonical path of an address of ours that somebody
        names, None for another's; `target`: the same of one at which a request came."""
        self.keys = keys
        self.issuer = issuer
        self.place = place
        self._target = target
        self.proofs = Proofs(clock, entropy)
        #: By the kind of subject. What they don't know is refused.
        self.subjects: dict[str, Standing] = {}
        self._rows = rows
        self._journal = journal
        self._clock = clock
        self._entropy = entropy
        self._known: dict[str, _Known] = {}
        self._epochs: dict[int, int] = {}
        # Ended less than a token's life ago, and until when that matters.
        self._ended: dict[str, float] = {}
        self._revoked: dict[str, float] = {}

    def restore(self) -> None:
        """Read what ended before the start, and counts on."""
        now = self._clock.now()
        self._ended = dict.fromkeys(self._rows.ended_since(SYSTEM, now - SECONDS), now + SECONDS)
        self._revoked = dict(self._rows.ended_tokens(SYSTEM))

    # --- made -----------------------------------------------------------------------------------------

    def issue(
        self,
        subject: Subject,
        *,
        client: str,
        audience: Sequence[str],
        scopes: Sequence[str],
        seconds: int = SECONDS,
        act: Sequence[str] = (),
        family: str = "",
        auth_time: int = 0,
        jkt: str = "",
        x5t: str = "",
    ) -> str:
        """A token for at most SECONDS. `act`: who acts, nearest first; `jkt`, `x5t`: what it is bound to.
        Raises Unavailable when there is no key to sign with."""
        now = int(self._clock.now())
        acting: dict[str, Any] | None = None
        for actor in reversed(act):
            acting = {"sub": actor} if acting is None else {"sub": actor, "act": acting}
        bound = {name: value for name, value in (("jkt", jkt), ("x5t#S256", x5t)) if value}
        claims = {
            "iss": self.issuer(),
            "sub": subject.id,
            "aud": audience[0] if len(audience) == 1 else list(audience),
            "exp": now + max(1, min(seconds, SECONDS)),
            "iat": now,
            "jti": b64url(self._entropy.bytes(16)).decode(),
            "client_id": client,
            "scope": " ".join(scopes),
            "org": subject.org,
            "sub_type": subject.kind,
            "fam": family,
            "auth_time": auth_time,
            "act": acting,
            "cnf": bound,
        }
        return self.sign({name: value for name, value in claims.items() if value}, "at+jwt")

    def sign(self, claims: dict[str, Any], kind: str) -> str:
        """A JWT of those claims by the key in use. Raises Unavailable."""
        from joserfc import jwt

        key = self.keys.current()
        return jwt.encode({"alg": "ES256", "typ": kind, "kid": key.kid}, claims, key, algorithms=["ES256"])

    # --- checked --------------------------------------------------------------------------------------

    def authenticate(self, token: str, shown: Shown) -> Principal:
        """Who shows it. Raises Unauthenticated with the challenge for the client."""
        known = self._known.get(token)
        if known is None or known.epoch != self._epochs.get(known.principal.no, 0):
            known = self._look(token)
        claims = known.claims
        self._check_time(claims)
        target = self._target(shown.url) if shown.url else None
        if shown.url and (target is None or not any(_covers(place, target) for place in known.places)):
            raise TokenRefused("The token is for another resource than this.")
        self._check_bound(claims.cnf, token, shown)
        return known.principal

    def read(self, token: str) -> Claims:
        """What one of our tokens says that is good now, whatever it is for. Raises TokenRefused."""
        known = self._known.get(token)
        claims = known.claims if known is not None else self._decode(token)
        self._check_time(claims)
        return claims

    def standing(self, subject: Subject) -> Principal | None:
        """Who that is now."""
        who = self.subjects.get(subject.kind)
        return who(subject.id, subject.org) if who is not None else None

    def _look(self, token: str) -> _Known:
        claims = self._decode(token)
        self._check_time(claims)
        base = self.standing(claims.about)
        if base is None:
            raise TokenRefused("Who the token was given to is not there any more.")
        principal = msgspec.structs.replace(
            base,
            key_id=claims.jti,
            scopes=words.narrowing(claims.scope.split(), base.org),
            actors=claims.actors,
            client=claims.client_id,
        )
        places = tuple(place for place in map(self.place, claims.audience) if place is not None)
        if len(self._known) >= _KEPT:
            self._forget()
        known = _Known(principal, claims, places, self._epochs.get(principal.no, 0))
        self._known[token] = known
        return known

    def _decode(self, token: str) -> Claims:
        from joserfc import jws
        from joserfc.errors import JoseError
        from joserfc.jwk import KeySet

        if len(token) > MAX_TOKEN:
            raise TokenRefused("The token is too long for one of ours.")
        try:
            found = jws.deserialize_compact(token, KeySet(list(self.keys.all())), algorithms=["ES256"])
            if found.headers().get("typ") not in _TYPES or not found.headers().get("kid"):
                raise ValueError("it is no access token")
            claims = _claims(found.payload or b"")
        except (JoseError, ValueError, msgspec.MsgspecError):
            raise TokenRefused("The token is not good, or is none of this platform's.") from None
        if claims.iss != self.issuer():
            raise TokenRefused("The token is of another issuer.")
        return claims

    def _check_time(self, claims: Claims) -> None:
        now = self._clock.now()
        if claims.exp <= now:
            raise TokenRefused("The token has ended.")
        if claims.iat > now + SECONDS:  # The clock went back: a token from so far ahead would last too long.
            raise TokenRefused("The token is from a time to come.")
        if claims.jti in self._revoked or (claims.fam and claims.fam in self._ended):
            raise TokenRefused("The token was revoked.")

    def _check_bound(self, bound: dict[str, str] | None, token: str, shown: Shown) -> None:
        jkt = bound.get("jkt", "") if bound else ""
        x5t = bound.get("x5t#S256", "") if bound else ""
        if x5t and shown.x5t != x5t:
            raise TokenRefused("The token is bound to a certificate that the connection doesn't have.")
        if not jkt:
            if shown.scheme == "dpop":
                raise TokenRefused("The token is not bound to a key: send it as Bearer.", scheme="DPoP")
            return
        if shown.scheme != "dpop":
            raise TokenRefused("The token is bound to a key: send it as DPoP, with a proof.", scheme="DPoP")
        try:
            if self.proofs.check(shown.dpop, shown.method, shown.url, token) != jkt:
                raise ProofRefused("The DPoP proof is of another key.")
        except ProofRefused as error:
            refused = "use_dpop_nonce" if error.nonce else "invalid_dpop_proof"
            raise TokenRefused(str(error), error=refused, scheme="DPoP", nonce=error.nonce) from None

    def _forget(self) -> None:
        now = self._clock.now()
        self._known = {token: known for token, known in self._known.items() if known.claims.exp > now}
        if len(self._known) >= _KEPT:
            self._known.clear()

    # --- ended ----------------------------------------------------------------------------------------

    def changed(self, principal_no: int) -> None:
        """What they may has changed: tokens are looked at again."""
        self._epochs[principal_no] = self._epochs.get(principal_no, 0) + 1

    def forget(self) -> None:
        """Look at every token again: keys were changed."""
        self._known.clear()

    async def end_family(self, family_id: str, org_no: int, *more: Op) -> None:
        """End all tokens of a family, in one write with `more`."""
        now = self._clock.now()
        # First in memory: nothing may be let in while it is written.
        self._ended[family_id] = now + SECONDS
        await self._journal.write([(END_FAMILY, (now, org_no, family_id)), *more])

    def ended(self, families: Sequence[str]) -> None:
        """These were ended by somebody else's write."""
        until = self._clock.now() + SECONDS
        self._ended.update(dict.fromkeys(families, until))

    async def revoke(self, claims: Claims, *more: Op) -> None:
        """End one access token."""
        self._revoked[claims.jti] = float(claims.exp)
        await self._journal.write([(ADD_ENDED, (claims.jti, 0, float(claims.exp))), *more])

    def tend(self) -> None:
        """Forget what has ended by itself."""
        now = self._clock.now()
        self._ended = {family: until for family, until in self._ended.items() if until > now}
        self._revoked = {jti: until for jti, until in self._revoked.items() if until > now}


def _covers(place: str, target: str) -> bool:
    """Whether what a token is for is the target, or above it."""
    return not place or target == place or target.startswith(place + "/")
