"""The authorization server as the surface asks it: each request is answered by the core and written at once.

What was used twice ends its family, whoever came second: a thief and an owner can't be told apart
(RFC 9700, section 4.14).
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any, NamedTuple, Protocol

from a2a_cloud.control.oauth import records, scopes
from a2a_cloud.control.oauth.clients import Clients
from a2a_cloud.control.oauth.metadata import BadMetadata
from a2a_cloud.control.oauth.proofs import ALGORITHMS
from a2a_cloud.control.oauth.records import Client, Device, Family
from a2a_cloud.control.oauth.rows import (
    DROP_CONSENTS,
    END_OWNERS,
    PUT_CONSENT,
    OAuthRows,
    decide_device,
)
from a2a_cloud.control.oauth.tokens import Committer, Shown, TokenRefused, Tokens
from a2a_cloud.model.ports import Clock, Entropy, Ids
from a2a_cloud.model.principal import Principal
from a2a_cloud.model.problem import NotFound
from a2a_cloud.model.scope import SYSTEM, owner_scope
from a2a_cloud.storage.journal.port import Op, Refusal
from a2a_cloud.storage.sql.audit import change

if TYPE_CHECKING:
    from a2a_cloud.control.oauth.core import Answer, Core, Given

#: Wrong user codes of one person in ten minutes.
WRONG_CODES, WRONG_SECONDS = 10, 600.0
_UNKNOWN = {
    "error": "invalid_client",
    "error_description": "The client is not known, or didn't prove who it is as it has to.",
}
_HEADERS = [("Cache-Control", "no-store"), ("Pragma", "no-cache")]


class Person(NamedTuple):
    """Who signed in and decides. `since`: when they signed in, wall seconds."""

    account: str
    principal: Principal
    since: float


class Profile(Protocol):
    """What is told of an account to clients that may know."""

    def __call__(self, account_id: str) -> Mapping[str, Any]:
        """`name`, `email`, as they are now; empty when there is no such account."""
        ...


class Asked(NamedTuple):
    """An authorization request that may be decided. `known`: the person allowed this before, and where the
    code goes is the client's for certain."""

    client: Client
    scopes: tuple[str, ...]
    resource: str
    redirect_uri: str
    known: bool


class Unredirectable(Exception):
    """A request that can't be sent back to its client: there is none, or the address isn't its own."""


class OAuth:
    """See the module."""

    def __init__(
        self,
        rows: OAuthRows,
        journal: Committer,
        tokens: Tokens,
        clients: Clients,
        clock: Clock,
        entropy: Entropy,
        ids: Ids,
        *,
        profile: Profile,
        depth: int,
    ) -> None:
        self.tokens = tokens
        self.clients = clients
        self._rows = rows
        self._journal = journal
        self._clock = clock
        self._entropy = entropy
        self._ids = ids
        self._profile = profile
        self._depth = depth
        self._made: Core | None = None
        self._wrong: dict[str, list[float]] = {}

    @property
    def _core(self) -> Core:
        """Made with the first request: Authlib is large."""
        core = self._made
        if core is None:
            from a2a_cloud.control.oauth.core import Core
            from a2a_cloud.control.oauth.devices import DeviceGrant, DeviceStart
            from a2a_cloud.control.oauth.ends import Introspection, Revocation
            from a2a_cloud.control.oauth.exchange import ExchangeGrant
            from a2a_cloud.control.oauth.flows import S256, CodeGrant, CredentialsGrant, RefreshGrant

            core = self._made = Core(
                self._rows,
                self.tokens,
                self.clients,
                self._clock,
                self._entropy,
                depth=self._depth,
                id_token=self._id_token,
            )
            core.register_grant(CodeGrant, [S256()])
            for grant in (RefreshGrant, CredentialsGrant, DeviceGrant, ExchangeGrant):
                core.register_grant(grant)
            core.answer(DeviceStart, Revocation, Introspection)
        return core

    # --- what is published ----------------------------------------------------------------------------

    def metadata(self) -> dict[str, Any]:
        """RFC 8414, and OpenID Connect Discovery."""
        issuer = self.tokens.issuer()
        secrets = ["client_secret_basic", "client_secret_post", "private_key_jwt"]
        algorithms = ["ES256", "ES384", "ES512", "EdDSA", "RS256", "PS256"]
        return {
            "issuer": issuer,
            "authorization_endpoint": f"{issuer}/oauth/authorize",
            "token_endpoint": f"{issuer}/oauth/token",
            "device_authorization_endpoint": f"{issuer}/oauth/device_authorization",
            "registration_endpoint": f"{issuer}/oauth/register",
            "revocation_endpoint": f"{issuer}/oauth/revoke",
            "introspection_endpoint": f"{issuer}/oauth/introspect",
            "userinfo_endpoint": f"{issuer}/oauth/userinfo",
            "jwks_uri": f"{issuer}/oauth/jwks.json",
            "scopes_supported": list(scopes.SUPPORTED),
            "response_types_supported": ["code"],
            "response_modes_supported": ["query"],
            "grant_types_supported": [
                records.CODE,
                records.REFRESH,
                records.CREDENTIALS,
                records.DEVICE,
                records.EXCHANGE,
            ],
            "code_challenge_methods_supported": ["S256"],
            "token_endpoint_auth_methods_supported": ["none", *secrets],
            "token_endpoint_auth_signing_alg_values_supported": algorithms,
            "revocation_endpoint_auth_methods_supported": ["none", *secrets],
            "revocation_endpoint_auth_signing_alg_values_supported": algorithms,
            "introspection_endpoint_auth_methods_supported": secrets,
            "introspection_endpoint_auth_signing_alg_values_supported": algorithms,
            "authorization_response_iss_parameter_supported": True,
            "client_id_metadata_document_supported": True,
            "dpop_signing_alg_values_supported": list(ALGORITHMS),
            "tls_client_certificate_bound_access_tokens": True,
            "subject_types_supported": ["public"],
            "id_token_signing_alg_values_supported": ["ES256"],
            "claims_supported": ["sub", "iss", "aud", "exp", "iat", "auth_time", "nonce", "name", "email"],
            "prompt_values_supported": ["none", "login", "consent"],
            "service_documentation": f"{issuer}/.well-known/api-catalog",
        }

    def resource(self, address: str) -> dict[str, Any]:
        """RFC 9728: what a client has to know of the resource at `address`, one of ours. Raises NotFound."""
        place = self.tokens.place(address)
        if place is None or not records.protected(place):
            raise NotFound("There is no resource at that address.")
        wanted = scopes.usual(place)
        return {
            "resource": address,
            "authorization_servers": [self.tokens.issuer()],
            "scopes_supported": [wanted, scopes.OFFLINE],
            "bearer_methods_supported": ["header"],
            "dpop_signing_alg_values_supported": list(ALGORITHMS),
            "tls_client_certificate_bound_access_tokens": True,
        }

    # --- people decide --------------------------------------------------------------------------------

    async def asked(self, values: Mapping[str, str], person: Person | None) -> Asked:
        """A request at the authorization endpoint, checked. Raises Unredirectable, or OAuth2Error of Authlib
        with where it goes."""
        from a2a_cloud.control.oauth.core import Exchange, Given

        await self._find(values.get("client_id", ""))
        exchange = Exchange(Given("GET", values))
        client = self._core.query_client(values.get("client_id", ""))
        if client is None:
            raise Unredirectable("The client that sent you here is not known.")
        uri = values.get("redirect_uri", "")
        if not client.client.redirects_to(uri):
            raise Unredirectable("The client that sent you here wants its answer at another's address.")
        self._core.check(exchange)
        resource = values.get("resource", "")
        place = self._place(resource, uri)
        asked = scopes.read(values.get("scope", ""))
        if client.client.kind == records.MADE and client.client.scope:  # Who made it said how far it goes.
            asked = asked or scopes.read(client.client.scope)
            if not scopes.within(asked, client.client.scope.split()):
                raise self._core.beyond(uri)
        asked = asked or (scopes.usual(place),)
        known = person is not None and self._allowed(person, client.client, resource, asked, uri)
        return Asked(client.client, asked, resource, uri, known)

    def _place(self, resource: str, uri: str) -> str:
        from a2a_cloud.control.oauth.core import InvalidTarget

        try:
            return self._core.place(resource)
        except InvalidTarget as error:
            error.redirect_uri = uri
            raise

    def _allowed(
        self, person: Person, client: Client, resource: str, asked: tuple[str, ...], uri: str
    ) -> bool:
        if not uri.startswith("https://"):
            return False  # Any program of the same machine could have asked.
        scope = owner_scope(person.principal, person.principal.org_no)
        given = self._rows.consent(scope, client.id, resource)
        return given is not None and scopes.within(asked, given.scope.split())

    async def allow(self, values: Mapping[str, str], asked: Asked, person: Person) -> list[tuple[str, str]]:
        """A code for the client: the parameters of the redirect."""
        from a2a_cloud.control.oauth.core import Exchange, Given

        exchange = Exchange(Given("POST", values))
        family = self._family(asked.client.id, asked.scopes, asked.resource, person, values.get("nonce", ""))
        exchange.family = family
        self._core.give(exchange)
        exchange.ops += self.clients.used(asked.client)
        exchange.ops += self._consented(asked.client, asked.scopes, asked.resource, person)
        await self._journal.write(exchange.ops)
        return [("code", exchange.code), *self._back(values)]

    def _back(self, values: Mapping[str, str]) -> list[tuple[str, str]]:
        """What every answer to a client has (RFC 9207)."""
        state = [("state", values["state"])] if values.get("state") else []
        return [*state, ("iss", self.tokens.issuer())]

    def refused(self, values: Mapping[str, str], error: str, why: str = "") -> list[tuple[str, str]]:
        """The parameters of a redirect that says no."""
        described = [("error_description", why)] if why else []
        return [("error", error), *described, *self._back(values)]

    def _consented(self, client: Client, granted: tuple[str, ...], resource: str, person: Person) -> list[Op]:
        who, now = person.principal, self._clock.now()
        event = change(
            who.org_no, now, who.label, "consent.given", client.id, name=client.name, scope=" ".join(granted)
        )
        row = (who.org_no, who.no, client.id, resource, " ".join(granted), now)
        return [(PUT_CONSENT, row), event]

    def _family(
        self, client: str, granted: tuple[str, ...], resource: str, person: Person, nonce: str = ""
    ) -> Family:
        from a2a_cloud.control.oauth.core import LONGEST

        who = person.principal
        return Family(
            id=self._ids.new("fam"),
            client=client,
            kind="person",
            subject=person.account,
            org=who.org,
            org_no=who.org_no,
            principal=who.no,
            scope=" ".join(granted),
            resource=resource,
            nonce=nonce,
            auth_time=int(person.since),
            expires=self._clock.now() + LONGEST,
        )

    # --- devices --------------------------------------------------------------------------------------

    def device(self, user_code: str, person: Person) -> tuple[Device, Client] | None:
        """The device that shows that code, and its client; None for a wrong code, as for too many of them."""
        now = self._clock.monotonic()
        wrong = [at for at in self._wrong.get(person.account, ()) if at > now - WRONG_SECONDS]
        if len(wrong) >= WRONG_CODES:
            return None
        letters = "".join(each for each in user_code.upper() if each.isalpha())[:8]
        found = self._rows.device_by_user_code(SYSTEM, f"{letters[:4]}-{letters[4:]}", self._clock.now())
        client = self.clients.known(found.client) if found is not None else None
        if found is None or found.verdict or client is None:
            if len(self._wrong) > 10_000:
                self._wrong.clear()
            self._wrong[person.account] = [*wrong, now]
            return None
        return found, client

    async def decide(self, device: Device, client: Client, person: Person, *, allow: bool) -> bool:
        """A person's decision; False when somebody was faster."""
        granted = tuple(device.scope.split())
        family = self._family(client.id, granted, device.resource, person) if allow else None
        verdict = "allow" if allow else "deny"
        ops: list[Op] = [decide_device(device, verdict, family, person.principal.org_no)]
        if allow:
            ops += self.clients.used(client)
            ops += self._consented(client, granted, device.resource, person)
        try:
            await self._journal.write(ops)
        except Refusal:
            return False
        return True

    # --- clients ask ----------------------------------------------------------------------------------

    async def token(self, given: Given) -> Answer:
        """The token endpoint."""
        return await self._answer(given, "")

    async def start_device(self, given: Given) -> Answer:
        """The device authorization endpoint."""
        return await self._answer(given, "device_authorization")

    async def revoke(self, given: Given) -> Answer:
        """The revocation endpoint."""
        return await self._answer(given, "revocation")

    async def introspect(self, given: Given) -> Answer:
        """The introspection endpoint."""
        return await self._answer(given, "introspection")

    def prove(self, proof: str, method: str, url: str) -> str:
        """The key of a DPoP proof. Raises ProofRefused."""
        return self.tokens.proofs.check(proof, method, url)

    async def _answer(self, given: Given, endpoint: str) -> Answer:
        from a2a_cloud.control.oauth.core import Answer, Exchange

        who = given.values.get("client_id", "")
        try:
            await self._find(who)
        except Unredirectable as error:
            return _error(401, "invalid_client", str(error))
        exchange = Exchange(given)
        try:
            answer = self._core.ask(exchange, endpoint)
        except ValueError:  # Authlib won't write what a client sent into its error.
            return _error(400, "invalid_request", "A parameter holds characters that can not be there.")
        if exchange.replayed is not None:
            family_id, org_no = exchange.replayed
            event = change(org_no, self._clock.now(), who, "token.replayed", family_id)
            await self.tokens.end_family(family_id, org_no, event)
        elif answer.status == 200:
            if exchange.revoking is not None:
                await self._revoke(exchange.revoking)
            try:
                if exchange.ops:
                    await self._journal.write(
                        [*exchange.ops, *self._issued(exchange.family, given, endpoint)]
                    )
            except Refusal:
                # Somebody used the same code or token while this was on its way.
                if exchange.family is not None:
                    await self.tokens.end_family(exchange.family.id, exchange.family.org_no)
                return _error(400, "invalid_grant", "It was used already.")
        # Whether there is a client of that id, nobody learns.
        status = 401 if answer.body.get("error") == "invalid_client" else answer.status
        body = _UNKNOWN if status == 401 else answer.body
        return Answer(status, body, [*answer.headers, *_HEADERS])

    def _issued(self, family: Family | None, given: Given, endpoint: str) -> list[Op]:
        """The event of tokens that a family got, the first ones or new ones for old ones."""
        if family is None or endpoint:
            return []
        grant = given.values.get("grant_type", "")
        now = self._clock.now()
        return [
            change(
                family.org_no, now, family.client, "token.issued", family.id, grant=grant, of=family.subject
            )
        ]

    async def _revoke(self, what: Any) -> None:
        now = self._clock.now()
        if isinstance(what, Family):
            event = change(what.org_no, now, what.client, "token.revoked", what.id)
            await self.tokens.end_family(what.id, what.org_no, event)
        else:
            await self.tokens.revoke(what)

    async def _find(self, client_id: str) -> None:
        """Fetch a client's document, where it has one. Raises Unredirectable."""
        try:
            await self.clients.find(client_id)
        except BadMetadata as error:
            raise Unredirectable(f"The client can not be used: {error}.") from None

    # --- what tokens tell -----------------------------------------------------------------------------

    def _id_token(self, family: Family, client_id: str) -> str:
        now = int(self._clock.now())
        claims: dict[str, Any] = {
            "iss": self.tokens.issuer(),
            "sub": family.subject,
            "aud": client_id,
            "exp": now + 600,
            "iat": now,
            "auth_time": family.auth_time,
            **self._told(family.subject, family.scope.split(), family.org),
        }
        if family.nonce:
            claims["nonce"] = family.nonce
        return self.tokens.sign(claims, "JWT")

    def _told(self, account: str, granted: list[str], org: str) -> dict[str, Any]:
        profile = self._profile(account)
        told: dict[str, Any] = {}
        if "profile" in granted:
            told |= {"name": profile.get("name", ""), "org": org}
        if "email" in granted:
            told["email"] = profile.get("email", "")
        return {name: value for name, value in told.items() if value}

    def userinfo(self, token: str, shown: Shown) -> dict[str, Any]:
        """OpenID Connect Core, section 5.3. Raises Unauthenticated."""
        self.tokens.authenticate(token, shown)
        claims = self.tokens.read(token)
        if "openid" not in claims.scope.split() or claims.sub_type != "person":
            raise TokenRefused("The token was not given for openid.", error="insufficient_scope")
        return {"sub": claims.sub, **self._told(claims.sub, claims.scope.split(), claims.org)}

    # --- what people have let in ----------------------------------------------------------------------

    def grants(self, by: Principal) -> list[dict[str, Any]]:
        """The clients that act for somebody, by consent."""
        told: list[dict[str, Any]] = []
        for family, created in self._rows.families(owner_scope(by, by.org_no)):
            if family.expires <= self._clock.now():
                continue
            client = self.clients.known(family.client)
            told.append(
                {
                    "id": family.id,
                    "client": family.client,
                    "name": client.name if client is not None else "",
                    "scopes": family.scope.split(),
                    "resource": family.resource,
                    "created": created,
                    "expires": family.expires,
                }
            )
        return told

    async def end_grant(self, by: Principal, family_id: str) -> None:
        """End one of one's own, and forget the consent. Raises NotFound."""
        found = self._rows.family(owner_scope(by, by.org_no), family_id)
        if found is None or found[1] is not None:
            raise NotFound(f"There is no consent {family_id[:80]!a}.", remedy="See GET /api/v1/oauth/grants.")
        family = found[0]
        event = change(
            by.org_no, self._clock.now(), by.label, "token.revoked", family_id, client=family.client
        )
        forget = (DROP_CONSENTS, (by.org_no, by.no, family.client))
        await self.tokens.end_family(family_id, family.org_no, forget, event)

    async def end_all(self, principal: Principal) -> None:
        """End everything that clients hold of somebody."""
        families = self._rows.families(owner_scope(principal, principal.org_no))
        self.tokens.ended([family.id for family, _ in families])
        self.tokens.changed(principal.no)
        now = self._clock.now()
        event = change(principal.org_no, now, principal.label, "token.revoked", principal.label, all=True)
        await self._journal.write([(END_OWNERS, (now, principal.org_no, principal.no)), event])

    async def rotate_keys(self, by: Principal, *, at_once: bool) -> list[str]:
        """Change the keys of tokens; the ids of those that are published then. Raises InvalidParams,
        Unavailable."""
        self.tokens.keys.rotate(at_once=at_once)
        if at_once:
            self.tokens.forget()
        now = self._clock.now()
        event = change(by.org_no, now, by.label, "jwks.rotated", "tokens", at_once=at_once or None)
        await self._journal.write([event])
        return [str(key["kid"]) for key in self.tokens.keys.jwks()["keys"]]

    # --- housekeeping ---------------------------------------------------------------------------------

    async def tend(self) -> None:
        """Now and then: keys in time, what is over away. A little at a time."""
        if self.tokens.keys.used:
            self.tokens.keys.tend()
        self.tokens.tend()
        over = self._rows.over(SYSTEM, self._clock.now())
        if over:
            await self._journal.write(over)


def _error(status: int, error: str, why: str) -> Answer:
    from a2a_cloud.control.oauth.core import Answer

    return Answer(status, {"error": error, "error_description": why}, list(_HEADERS))
