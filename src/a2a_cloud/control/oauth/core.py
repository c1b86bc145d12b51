"""The authorization server on Authlib's framework-neutral core (RFC 6749, 7636, 8628, 7009, 7662): which
parameters, which client, which grant, which error.

The core is synchronous and keeps nothing: what it reads is a row or memory, what it would store it hands to
the `Exchange` that it answers, whose caller writes all of it at once (`server.py`). That makes a code or a
token count once, and a token exist only when it is stored.
"""
# Authlib has no types.
# pyright: basic

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any, NamedTuple, cast

from authlib.oauth2.rfc6749 import AuthorizationServer, OAuth2Payload, OAuth2Request
from authlib.oauth2.rfc6749.errors import (
    InvalidRequestError,
    InvalidScopeError,
    OAuth2Error,
)

from a2a_cloud.control.oauth import assertions, records, scopes
from a2a_cloud.control.oauth.clients import Clients
from a2a_cloud.control.oauth.records import Client, Family, Subject, digest, fits
from a2a_cloud.control.oauth.rows import (
    ADD_REFRESH,
    SPEND,
    OAuthRows,
)
from a2a_cloud.control.oauth.tokens import SECONDS, Claims, Tokens
from a2a_cloud.model.ports import Clock, Entropy
from a2a_cloud.model.scope import SYSTEM
from a2a_cloud.storage.journal.port import Op
from a2a_cloud.wire.jws import b64url

#: Seconds that a code waits for its client; that a refresh token may lie unused, and that a family lasts
#: however often it is refreshed.
CODE_SECONDS, UNUSED, LONGEST = 60, 30 * 86400.0, 180 * 86400.0
CONFIDENTIAL = ["client_secret_basic", "client_secret_post", assertions.METHOD]
ANY = [*CONFIDENTIAL, "none"]


class InvalidTarget(OAuth2Error):
    """RFC 8707, section 2."""

    error = "invalid_target"


class InvalidProof(OAuth2Error):
    """RFC 9449, section 5."""

    error = "invalid_dpop_proof"


class Given(NamedTuple):
    """A request's parameters, each there once, as Authlib reads them."""

    method: str
    values: Mapping[str, str]
    authorization: str = ""
    jkt: str = ""
    x5t: str = ""
    address: str = ""


class Exchange(OAuth2Request):
    """One request to the core, what is to be written for it, and what came to light: `replayed` is the family
    of a code or token that was used before, `device` the one that asks too often or not."""

    def __init__(self, given: Given) -> None:
        # Whether a connection is safe enough is decided where it is accepted.
        super().__init__(given.method, "https://server", headers={"Authorization": given.authorization})
        self.given = given
        self.client: Any = None  # An AuthClient, once it is known.
        self.payload: Any = _Payload(given.values)
        self.ops: list[Op] = []
        self.family: Family | None = None
        self.code = ""
        self.replayed: tuple[str, int] | None = None
        self.revoking: Claims | Family | None = None

    @property
    def form(self) -> Mapping[str, str]:
        """The parameters."""
        return self.given.values

    @property
    def args(self) -> Mapping[str, str]:
        """The same: a GET has no others."""
        return self.given.values


class _Payload(OAuth2Payload):
    def __init__(self, values: Mapping[str, str]) -> None:
        self._values = values

    @property
    def data(self) -> Mapping[str, str]:
        return self._values

    @property
    def datalist(self) -> dict[str, list[str]]:
        return {name: [value] for name, value in self._values.items()}


class Answer(NamedTuple):
    """What to say."""

    status: int
    body: dict[str, Any]
    headers: list[tuple[str, str]]


class AuthClient:
    """A client as Authlib asks about it."""

    def __init__(self, client: Client) -> None:
        self.client = client

    @property
    def client_id(self) -> str:
        return self.client.id

    def get_client_id(self) -> str:
        return self.client.id

    def get_default_redirect_uri(self) -> None:
        return None  # It is always said: OAuth 2.1.

    def get_allowed_scope(self, scope: str | None) -> str:
        return scope or ""  # What is granted then, the resource says.

    def check_redirect_uri(self, redirect_uri: str) -> bool:
        return self.client.redirects_to(redirect_uri)

    def check_client_secret(self, client_secret: str) -> bool:
        return fits(client_secret, self.client.secret)

    def check_endpoint_auth_method(self, method: str, endpoint: str) -> bool:
        # Both ways to send a secret are one method: clients mix them up, and it is the same secret.
        mine = self.client.auth_method
        return method == mine or (method.startswith("client_secret") and mine.startswith("client_secret"))

    def check_response_type(self, response_type: str) -> bool:
        return response_type == "code" and records.CODE in self.client.grants

    def check_grant_type(self, grant_type: str) -> bool:
        return grant_type in self.client.grants


class Core(AuthorizationServer):
    """Authlib's server over our rows."""

    def __init__(
        self,
        rows: OAuthRows,
        tokens: Tokens,
        clients: Clients,
        clock: Clock,
        entropy: Entropy,
        *,
        depth: int,
        id_token: Callable[[Family, str], str],
    ) -> None:
        super().__init__()
        self.rows = rows
        self.tokens = tokens
        self.clients = clients
        self.clock = clock
        self.entropy = entropy
        self.depth = depth
        self.id_token = id_token
        self.polled: dict[bytes, tuple[float, int]] = {}
        self.asserted = assertions.Assertions(clock, tokens.issuer)
        self.register_client_auth_method(assertions.METHOD, self.asserted.authenticate)

    def answer(self, *endpoints: type) -> None:
        """Have further endpoints."""
        for endpoint in endpoints:
            self.register_endpoint(endpoint)

    def ask(self, exchange: Exchange, endpoint: str = "") -> Answer:
        """The answer of an endpoint, "" for that of tokens. Raises ValueError for a parameter that Authlib
        won't write into an error."""
        if endpoint:
            return cast("Answer", self.create_endpoint_response(endpoint, exchange))
        return cast("Answer", self.create_token_response(exchange))

    def check(self, exchange: Exchange) -> None:
        """Whether what is asked at the authorization endpoint may be decided by a person. Raises
        OAuth2Error, ValueError."""
        self.get_consent_grant(exchange)

    def beyond(self, redirect_uri: str) -> OAuth2Error:
        """That a client asks for more than it was made for."""
        return InvalidScopeError("The client was not made for that.", redirect_uri=redirect_uri)

    def give(self, exchange: Exchange) -> None:
        """Make the code of a request that a person allowed."""
        grant: Any = self.get_authorization_grant(exchange)
        grant.create_authorization_response(grant.validate_authorization_request(), exchange.family)

    def query_client(self, client_id: str) -> AuthClient | None:
        """By its id, from memory or a row."""
        found = self.clients.known(client_id)
        return AuthClient(found) if found is not None else None

    def create_oauth2_request(self, request: Exchange) -> Exchange:
        """It is one."""
        return request

    def handle_response(self, status: int, body: Any, headers: list[tuple[str, str]]) -> Answer:
        """For our surface to send."""
        return Answer(status, body if isinstance(body, dict) else {}, headers)

    def send_signal(self, name: str, *args: Any, **kwargs: Any) -> None:
        """Nobody listens."""

    def validate_requested_scope(self, scope: str | None) -> None:
        """Raises InvalidScopeError."""
        try:
            scopes.read(scope or "")
        except ValueError as error:
            raise InvalidScopeError(f"This can not be asked for: {error}.") from None

    def new(self, prefix: str) -> str:
        """A secret that nobody can guess."""
        return prefix + b64url(self.entropy.bytes(32)).decode()

    def place(self, resource: str) -> str:
        """The canonical path of a resource of ours, "" for the platform. Raises InvalidTarget."""
        if not resource:
            return ""
        found = self.tokens.place(resource)
        if found is None or not records.protected(found):
            raise InvalidTarget("The resource is not one of this platform.")
        return found

    def narrowed(self, family: Family, exchange: Exchange) -> str:
        """The resource of a token of that family: the family's, or what the request names within it. Raises
        InvalidTarget."""
        asked = exchange.given.values.get("resource", "")
        if not asked:
            return family.resource
        inner, outer = self.place(asked), self.place(family.resource)
        if outer and inner != outer and not inner.startswith(outer + "/"):
            raise InvalidTarget("The resource is another than the one that was agreed to.")
        return asked

    def token(
        self,
        exchange: Exchange,
        client: Client,
        family: Family,
        scope: str,
        *,
        refresh: bool,
        act: tuple[str, ...] = (),
        seconds: int = SECONDS,
    ) -> dict[str, Any]:
        """The answer of the token endpoint. Raises InvalidTarget, InvalidProof."""
        jkt, x5t = exchange.given.jkt, exchange.given.x5t if client.certified else ""
        if client.dpop and not jkt:
            raise InvalidProof("This client's tokens are bound to a key: send a DPoP proof.")
        if client.certified and not x5t:
            raise InvalidRequestError("This client's tokens are bound to a certificate: connect with one.")
        resource = self.narrowed(family, exchange)
        granted = scope.split()
        lasting = refresh and scopes.OFFLINE in family.scope.split() and records.REFRESH in client.grants
        answer: dict[str, Any] = {
            "access_token": self.tokens.issue(
                family.about,
                client=client.id,
                audience=(resource or self.tokens.issuer(),),
                scopes=granted,
                seconds=seconds,
                act=act,
                family=family.id,
                auth_time=family.auth_time,
                jkt=jkt,
                x5t=x5t,
            ),
            "token_type": "DPoP" if jkt else "Bearer",
            "expires_in": min(seconds, SECONDS),
            "scope": scope,
        }
        if lasting:
            now = self.clock.now()
            secret = self.new("a2r_")
            until = min(now + UNUSED, family.expires)
            exchange.ops.append((ADD_REFRESH, (digest(secret), family.org_no, family.id, until)))
            answer["refresh_token"] = secret
        if "openid" in granted and family.kind == "person":
            answer["id_token"] = self.id_token(family, client.id)
        return answer

    def spend(self, secret: str, family: Family, until: float) -> Op:
        """What lets a code or a token count once."""
        return SPEND, (digest(secret), family.org_no, family.id, until)

    def replayed(self, exchange: Exchange, family_id: str) -> None:
        """A code or token came a second time: its family is to end."""
        found = self.rows.family(SYSTEM, family_id)
        exchange.replayed = (family_id, found[0].org_no if found is not None else 0)

    def alive(self, subject: Subject) -> bool:
        """Whether who it is about is still there."""
        return self.tokens.standing(subject) is not None
