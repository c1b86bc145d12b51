"""Clients: found by their id, registered by themselves (RFC 7591, RFC 7592), made by admins, or described by
the document behind their id.

One that registered itself and that nobody has used is forgotten after a day; there is room for so many of
those, and each address may make so many in an hour.
"""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Sequence
from typing import Any, NamedTuple, Protocol

import msgspec

from a2a_cloud.control.oauth import metadata, records
from a2a_cloud.control.oauth.metadata import BadMetadata, Metadata
from a2a_cloud.control.oauth.records import BUILT_IN, DOCUMENT, MADE, REGISTERED, Client, digest, fits
from a2a_cloud.control.oauth.rows import DROP_CLIENT, END_CLIENTS, OAuthRows, put_client
from a2a_cloud.control.oauth.tokens import Committer, Tokens
from a2a_cloud.model.limits import subscriber
from a2a_cloud.model.ports import Clock, Entropy
from a2a_cloud.model.principal import Permission, Principal, Role
from a2a_cloud.model.problem import Forbidden, InvalidParams, NotFound, Problem
from a2a_cloud.model.scope import SYSTEM, Scope
from a2a_cloud.storage.journal.port import Op
from a2a_cloud.storage.sql.audit import change
from a2a_cloud.wire.jws import b64url

#: Seconds that a client waits for its first use; how many may wait; what one address makes in an hour.
WAITS, MOST_WAITING, HOURLY = 86400.0, 2000, 60
#: Documents that are kept; seconds that one is believed, and until one that was refused is tried again.
DOCUMENTS, BELIEVED, REFUSED = 256, 3600.0, 30.0

CLI = Client(
    id="a2a-cli",
    kind=BUILT_IN,
    name="a2a, the command line",
    redirect_uris=("http://127.0.0.1/callback", "http://[::1]/callback", "http://localhost/callback"),
    grants=(records.CODE, records.REFRESH, records.DEVICE),
    application_type="native",
)
_BUILT_IN = {CLI.id: CLI}


class Fetch(Protocol):
    """How documents of strangers are fetched: guarded, without redirects, capped."""

    async def __call__(self, url: str) -> bytes:
        """The body of a 200 answer. Raises Problem."""
        ...


class Enrol(Protocol):
    """How a client that acts by itself becomes a principal."""

    async def __call__(self, org_no: int, name: str) -> int:
        """The number of the principal of that name in that organisation, made when there is none."""
        ...


class Registered(NamedTuple):
    """A client with what is said once: its secret and the token that manages it, "" for none."""

    client: Client
    secret: str
    manage: str


class _Kept(NamedTuple):
    client: Client | None
    why: str
    until: float


class Clients:
    """See the module."""

    def __init__(
        self,
        rows: OAuthRows,
        journal: Committer,
        tokens: Tokens,
        clock: Clock,
        entropy: Entropy,
        *,
        fetch: Fetch | None,
        enrol: Enrol,
        org_name: Any,
    ) -> None:
        self._rows = rows
        self._journal = journal
        self._tokens = tokens
        self._clock = clock
        self._entropy = entropy
        self._fetch = fetch
        self._enrol = enrol
        self._org_name = org_name
        self._documents: OrderedDict[str, _Kept] = OrderedDict()
        self._made: dict[str, list[float]] = {}

    # --- found ----------------------------------------------------------------------------------------

    def known(self, client_id: str) -> Client | None:
        """The client with that id, if it can be told without asking anybody."""
        built_in = _BUILT_IN.get(client_id)
        if built_in is not None:
            return built_in
        if metadata.document_url(client_id):
            kept = self._documents.get(client_id)
            return kept.client if kept is not None else None
        if not client_id.startswith("client_") or len(client_id) > 64:
            return None
        found = self._rows.client(SYSTEM, client_id)
        if found is not None and found.expires is not None and found.expires <= self._clock.now():
            return None
        return found

    async def find(self, client_id: str) -> Client | None:
        """The same, with its document fetched where its id is an address. Raises BadMetadata when that is no
        good."""
        if not metadata.document_url(client_id):
            return self.known(client_id)
        now = self._clock.now()
        kept = self._documents.get(client_id)
        if kept is not None and kept.until > now:
            self._documents.move_to_end(client_id)
            if kept.client is None:
                raise BadMetadata(kept.why)
            return kept.client
        if self._fetch is None:
            return None
        try:
            client = _of_document(
                client_id, metadata.of_document(client_id, await self._fetch(client_id)), now
            )
            kept = _Kept(client, "", now + BELIEVED)
        except Problem as problem:
            kept = _Kept(None, f"the client's document can't be fetched: {problem.detail}", now + REFUSED)
        except BadMetadata as error:
            kept = _Kept(None, str(error), now + REFUSED)
        self._documents[client_id] = kept
        if len(self._documents) > DOCUMENTS:
            self._documents.popitem(last=False)
        if kept.client is None:
            raise BadMetadata(kept.why)
        return kept.client

    def principal(self, client_id: str, _org: str) -> Principal | None:
        """Who a client is that acts by itself."""
        client = self.known(client_id)
        if client is None or not client.principal:
            return None
        org = self._org_name(client.org_no)
        return Principal(client.principal, client.org_no, client.id, org, role=client.role)

    # --- by themselves --------------------------------------------------------------------------------

    async def register(self, found: Metadata, address: str) -> Registered:
        """A client that registers itself. Raises BadMetadata; `error` "slow_down" when there are too many."""
        metadata.check(found)
        now, address = self._clock.now(), subscriber(address)
        recent = [at for at in self._made.get(address, ()) if at > now - 3600]
        if len(recent) >= HOURLY:
            raise BadMetadata("this address registered too many clients; try again later", "slow_down")
        if self._rows.waiting(SYSTEM, MOST_WAITING) >= MOST_WAITING:
            raise BadMetadata("too many clients wait for their first use; try again later", "slow_down")
        if len(self._made) > 10_000:
            self._made = {who: when for who, when in self._made.items() if when[-1] > now - 3600}
        self._made[address] = [*recent, now]
        secret = "" if found.token_endpoint_auth_method in ("none", "private_key_jwt") else self._new("a2s_")
        manage = self._new("a2g_")
        client = _client(
            found,
            id="client_" + self._entropy.bytes(12).hex(),
            kind=REGISTERED,
            secret=digest(secret) if secret else b"",
            manage=digest(manage),
            created=now,
            expires=now + WAITS,
        )
        await self._journal.write([put_client(client)])
        return Registered(client, secret, manage)

    def managed(self, client_id: str, token: str) -> Client | None:
        """The client that a registration token is for."""
        client = self.known(client_id)
        return client if client is not None and fits(token, client.manage) else None

    async def update(self, client: Client, found: Metadata) -> Client:
        """Other metadata of a client that registered itself. Raises BadMetadata."""
        metadata.check(found)
        if found.client_id and found.client_id != client.id:
            raise BadMetadata("client_id is another's")
        if found.token_endpoint_auth_method != client.auth_method:
            raise BadMetadata("token_endpoint_auth_method stays what it was: register anew")
        new = _client(
            found,
            id=client.id,
            kind=client.kind,
            secret=client.secret,
            manage=client.manage,
            created=client.created,
            expires=client.expires,
        )
        ops: list[Op] = [put_client(new)]
        if set(new.redirect_uris) - set(client.redirect_uris):
            # Consent was given to a client that sends its codes elsewhere.
            ops += self._end(client)
        await self._journal.write(ops)
        return new

    async def remove(self, client: Client, *more: Op) -> None:
        """Forget a client; its tokens end."""
        await self._journal.write([(DROP_CLIENT, (client.org_no, client.id)), *self._end(client), *more])
        if client.principal:
            self._tokens.changed(client.principal)

    def used(self, client: Client) -> list[Op]:
        """That somebody let it in: it stays."""
        if client.expires is None:
            return []
        return [put_client(msgspec.structs.replace(client, expires=None))]

    def _end(self, client: Client) -> list[Op]:
        self._tokens.ended([family.id for family in self._rows.of_client(SYSTEM, client.id)])
        return [(END_CLIENTS, (self._clock.now(), client.id))]

    # --- by admins ------------------------------------------------------------------------------------

    async def make(
        self,
        by: Principal,
        *,
        name: str,
        grants: Sequence[str],
        redirect_uris: Sequence[str] = (),
        scope: str = "",
        role: str = Role.MEMBER,
        method: str = "client_secret_basic",
        jwks: dict[str, Any] | None = None,
        certified: bool = False,
        dpop: bool = False,
    ) -> Registered:
        """A client of the admin's organisation. With client_credentials or token exchange it is a principal
        of its own, in `role`. Raises Forbidden, InvalidParams."""
        _admin(by)
        if role == Role.OWNER or role not in set(Role):
            raise InvalidParams(f"{str(role)[:40]!r} is no role for a client.", remedy="Use member.")
        like = Principal(1, by.org_no, "", by.org, role=role)
        if any(like.may(each) and not by.may(each) for each in Permission):
            raise Forbidden(f"The role {role} may more than you.", remedy="Give the client another role.")
        allowed = metadata.OPEN_GRANTS | {records.CREDENTIALS, records.EXCHANGE}
        found = Metadata(
            tuple(redirect_uris),
            method,
            tuple(grants),
            client_name=name,
            scope=scope,
            jwks=jwks,
            tls_client_certificate_bound_access_tokens=certified,
            dpop_bound_access_tokens=dpop,
        )
        by_itself = {records.CREDENTIALS, records.EXCHANGE} & set(grants)
        try:
            metadata.check(found, allowed)
        except BadMetadata as error:
            raise InvalidParams(f"The client can't be made: {error}.") from None
        if by_itself and method == records.PUBLIC:
            raise InvalidParams("A client that acts by itself proves who it is.", remedy="Give it a secret.")
        now = self._clock.now()
        secret = self._new("a2s_") if method.startswith("client_secret") else ""
        client_id = "client_" + self._entropy.bytes(12).hex()
        number = await self._enrol(by.org_no, client_id) if by_itself else 0
        client = _client(
            found,
            id=client_id,
            kind=MADE,
            org_no=by.org_no,
            principal=number,
            role=role if number else "",
            secret=digest(secret) if secret else b"",
            created=now,
            made_by=by.label,
        )
        event = change(by.org_no, now, by.label, "client.registered", client_id, name=name, role=client.role)
        await self._journal.write([put_client(client), event])
        return Registered(client, secret, "")

    def listed(self, by: Principal) -> list[Client]:
        """Those of the admin's organisation. Raises Forbidden."""
        _admin(by)
        return self._rows.clients(Scope(org=by.org_no))

    async def drop(self, by: Principal, client_id: str) -> None:
        """Remove one of the admin's organisation. Raises Forbidden, NotFound."""
        _admin(by)
        client = self._rows.client(Scope(org=by.org_no), client_id)
        if client is None:
            raise NotFound(f"There is no client {client_id[:80]!a}.", remedy="See GET /api/v1/oauth/clients.")
        event = change(by.org_no, self._clock.now(), by.label, "client.removed", client_id, name=client.name)
        await self.remove(client, event)

    def _new(self, prefix: str) -> str:
        return prefix + b64url(self._entropy.bytes(32)).decode()


def described(client: Client) -> dict[str, Any]:
    """A client's metadata as RFC 7591 says them."""
    found: dict[str, Any] = {
        "client_id": client.id,
        "client_id_issued_at": int(client.created),
        "client_name": client.name,
        "client_uri": client.uri,
        "redirect_uris": list(client.redirect_uris),
        "grant_types": list(client.grants),
        "response_types": ["code"] if records.CODE in client.grants else [],
        "token_endpoint_auth_method": client.auth_method,
        "application_type": client.application_type,
        "scope": client.scope,
        "jwks": client.jwks,
        "dpop_bound_access_tokens": client.dpop,
        "tls_client_certificate_bound_access_tokens": client.certified,
    }
    return {name: value for name, value in found.items() if value}


def _client(found: Metadata, **more: Any) -> Client:
    return Client(
        name=found.client_name,
        redirect_uris=tuple(dict.fromkeys(found.redirect_uris)),
        grants=tuple(dict.fromkeys(found.grant_types)),
        auth_method=found.token_endpoint_auth_method,
        scope=found.scope,
        uri=found.client_uri,
        application_type=found.application_type,
        jwks=found.jwks,
        dpop=found.dpop_bound_access_tokens,
        certified=found.tls_client_certificate_bound_access_tokens,
        **more,
    )


def _of_document(client_id: str, found: Metadata, now: float) -> Client:
    return _client(found, id=client_id, kind=DOCUMENT, created=now)


def _admin(by: Principal) -> None:
    if not by.may(Permission.MANAGE_KEYS):
        raise Forbidden("Clients are made and seen by admins.", remedy="Use an admin's key.")
