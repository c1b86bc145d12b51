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

import msgspec
from authlib.oauth2.rfc6749 import AuthorizationServer, OAuth2Payload, OAuth2Request, grants
from authlib.oauth2.rfc6749.errors import (
    InvalidClientError,
    InvalidGrantError,
    InvalidRequestError,
    InvalidScopeError,
    OAuth2Error,
)
from authlib.oauth2.rfc7009 import RevocationEndpoint
from authlib.oauth2.rfc7636 import CodeChallenge
from authlib.oauth2.rfc7662 import IntrospectionEndpoint
from authlib.oauth2.rfc8628 import DeviceAuthorizationEndpoint, DeviceCodeGrant

from a2a_cloud.control.oauth import assertions, records, scopes
from a2a_cloud.control.oauth.clients import Clients
from a2a_cloud.control.oauth.records import Client, Code, Device, Family, Subject, digest, fits
from a2a_cloud.control.oauth.rows import (
    ADD_REFRESH,
    SPEND,
    OAuthRows,
    add_code,
    add_device,
    add_family,
)
from a2a_cloud.control.oauth.tokens import SECONDS, Claims, TokenRefused, Tokens
from a2a_cloud.model.ports import Clock, Entropy
from a2a_cloud.model.scope import SYSTEM
from a2a_cloud.storage.journal.port import Op
from a2a_cloud.wire.jws import b64url

#: Seconds that a code waits for its client, a device for its person; that a refresh token may lie unused, and
#: that a family lasts however often it is refreshed.
CODE_SECONDS, DEVICE_SECONDS, UNUSED, LONGEST = 60, 600, 30 * 86400.0, 180 * 86400.0
INTERVAL = 5
CONFIDENTIAL = ["client_secret_basic", "client_secret_post", assertions.METHOD]
_ANY = [*CONFIDENTIAL, "none"]
#: What people read off one screen and type at another: no vowels, nothing that looks like something else.
_LETTERS = "BCDFGHJKLMNPQRSTVWXZ"


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
        self.register_grant(CodeGrant, [S256()])
        self.register_grant(RefreshGrant)
        self.register_grant(CredentialsGrant)
        self.register_grant(DeviceGrant)
        from a2a_cloud.control.oauth.exchange import ExchangeGrant  # It builds on what is here.

        self.register_grant(ExchangeGrant)
        self.register_endpoint(DeviceStart)
        self.register_endpoint(Revocation)
        self.register_endpoint(Introspection)

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
        jkt, x5t = exchange.given.jkt, exchange.given.x5t
        if client.dpop and not jkt:
            raise InvalidProof("This client's tokens are bound to a key: send a DPoP proof.")
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

    def alive(self, subject: Subject) -> bool:
        """Whether who it is about is still there."""
        return self.tokens.standing(subject) is not None


class S256(CodeChallenge):
    """PKCE (RFC 7636) with S256, for every client."""

    DEFAULT_CODE_CHALLENGE_METHOD = "S256"
    SUPPORTED_CODE_CHALLENGE_METHOD = ["S256"]  # noqa: RUF012
    CODE_CHALLENGE_METHODS = {"S256": CodeChallenge.CODE_CHALLENGE_METHODS["S256"]}  # noqa: RUF012

    def validate_code_challenge(self, grant: Any, redirect_uri: str) -> None:
        """Raises InvalidRequestError unless there is a challenge, and its method is said to be S256."""
        data = grant.request.payload.data
        if not data.get("code_challenge") or data.get("code_challenge_method") != "S256":
            raise InvalidRequestError("PKCE is needed: send code_challenge, and code_challenge_method=S256.")
        super().validate_code_challenge(grant, redirect_uri)

    def validate_code_verifier(self, grant: Any, result: Any) -> None:
        """Raises InvalidRequestError without a verifier, InvalidGrantError for a wrong one."""
        if not grant.request.form.get("code_verifier"):
            raise InvalidRequestError("PKCE is needed: send code_verifier.")
        super().validate_code_verifier(grant, result)

    def get_authorization_code_challenge_method(self, authorization_code: Any) -> str:
        """There is no other."""
        return "S256"


class _Stored:
    """A code or refresh token that was found, as Authlib asks about it."""

    def __init__(self, secret: str, family: Family, code: Code | None = None, expires: float = 0.0) -> None:
        self.secret, self.family, self.code, self.expires = secret, family, code, expires

    @property
    def code_challenge(self) -> str:
        return self.code.challenge if self.code is not None else ""

    def get_redirect_uri(self) -> str:
        return self.code.redirect_uri if self.code is not None else ""

    def get_scope(self) -> str:
        return self.family.scope

    def check_client(self, client: AuthClient) -> bool:
        return client.client.id == self.family.client


class CodeGrant(grants.AuthorizationCodeGrant):
    """RFC 6749, section 4.1."""

    TOKEN_ENDPOINT_AUTH_METHODS = _ANY
    request: Any  # An Exchange.
    server: Any  # The Core.

    def generate_authorization_code(self) -> str:
        return self.server.new("a2c_")

    def save_authorization_code(self, code: str, request: Exchange) -> None:
        assert request.family is not None
        values = request.given.values
        request.code = code
        stored = Code(
            request.family, values["redirect_uri"], values["code_challenge"], values.get("dpop_jkt", "")
        )
        request.ops.append(add_code(digest(code), stored, self.server.clock.now() + CODE_SECONDS))

    def query_authorization_code(self, code: str, client: AuthClient) -> _Stored | None:
        key = digest(code)
        used = self.server.rows.spent(SYSTEM, key)
        found = self.server.rows.code(SYSTEM, key, self.server.clock.now())
        if used is not None:
            org_no = found.family.org_no if found is not None else None
            self.request.replayed = (used, _org_of(self.server.rows, used) if org_no is None else org_no)
            return None
        if found is None or found.family.client != client.client.id:
            return None
        if found.jkt and found.jkt != self.request.given.jkt:
            raise InvalidProof("The code is bound to the key of another DPoP proof.")
        self.request.family = found.family
        return _Stored(code, found.family, found)

    def authenticate_user(self, authorization_code: _Stored) -> Any:
        return authorization_code.family if self.server.alive(authorization_code.family.about) else None

    def generate_token(self, user: Family, scope: str, **_: Any) -> dict[str, Any]:
        client: Client = self.request.client.client
        given = self.request.given
        if client.public:  # Who stole a refresh token has no key; a confidential client proves itself.
            user = msgspec.structs.replace(user, jkt=given.jkt, x5t=given.x5t)
        self.request.ops.append(add_family(user, self.server.clock.now()))
        return self.server.token(self.request, client, user, scope, refresh=True)

    def save_token(self, token: dict[str, Any]) -> None:
        """It is in the family's write."""

    def delete_authorization_code(self, authorization_code: _Stored) -> None:
        until = self.server.clock.now() + SECONDS + CODE_SECONDS
        family = authorization_code.family
        self.request.ops.append(self.server.spend(authorization_code.secret, family, until))


class RefreshGrant(grants.RefreshTokenGrant):
    """RFC 6749, section 6, with rotation."""

    TOKEN_ENDPOINT_AUTH_METHODS = _ANY
    INCLUDE_NEW_REFRESH_TOKEN = True
    request: Any  # An Exchange.
    server: Any  # The Core.

    def authenticate_refresh_token(self, refresh_token: str) -> _Stored | None:
        key, now = digest(refresh_token), self.server.clock.now()
        found = self.server.rows.refresh(SYSTEM, key)
        if found is None:
            return None
        if self.server.rows.spent(SYSTEM, key) is not None:
            self.request.replayed = (found.family.id, found.family.org_no)
            return None
        if found.ended or found.expires <= now or found.family.expires <= now:
            return None
        given = self.request.given
        if (found.family.jkt and found.family.jkt != given.jkt) or (
            found.family.x5t and found.family.x5t != given.x5t
        ):
            raise InvalidProof("The refresh token is bound to another key.")
        self.request.family = found.family
        return _Stored(refresh_token, found.family, expires=found.expires)

    def authenticate_user(self, refresh_token: _Stored) -> Family:
        if not self.server.alive(refresh_token.family.about):
            raise InvalidGrantError("Who gave the consent is not there any more.")
        return refresh_token.family

    def generate_token(self, user: Family, scope: str, **_: Any) -> dict[str, Any]:
        return self.server.token(self.request, self.request.client.client, user, scope, refresh=True)

    def save_token(self, token: dict[str, Any]) -> None:
        """It is in the family's write."""

    def revoke_old_credential(self, refresh_token: _Stored) -> None:
        until = refresh_token.expires
        self.request.ops.append(self.server.spend(refresh_token.secret, refresh_token.family, until))


class CredentialsGrant(grants.ClientCredentialsGrant):
    """RFC 6749, section 4.4: a client acts by itself."""

    TOKEN_ENDPOINT_AUTH_METHODS = CONFIDENTIAL
    request: Any  # An Exchange.
    server: Any  # The Core.

    def generate_token(self, scope: str = "", **_: Any) -> dict[str, Any]:
        client: Client = self.request.client.client
        org = self.server.tokens.standing(Subject("client", client.id, ""))
        if org is None:
            raise InvalidClientError("The client does not act by itself.")
        resource = self.request.given.values.get("resource", "")
        place = self.server.place(resource)
        asked = scopes.read(self.request.given.values.get("scope", ""))
        granted = asked or scopes.read(client.scope) or (scopes.usual(place),)
        if (client.scope and not scopes.within(granted, client.scope.split())) or scopes.OPENID & set(
            granted
        ):
            raise InvalidScopeError("The client may not ask for that.")
        about = Family(
            id="",
            client=client.id,
            kind="client",
            subject=client.id,
            org=org.org,
            org_no=org.org_no,
            principal=org.no,
            scope=" ".join(granted),
            resource=resource,
        )
        return self.server.token(self.request, client, about, about.scope, refresh=False)

    def save_token(self, token: dict[str, Any]) -> None:
        """An access token is not stored."""


class DeviceStart(DeviceAuthorizationEndpoint):
    """RFC 8628, section 3.1."""

    CLIENT_AUTH_METHODS = _ANY
    EXPIRES_IN = DEVICE_SECONDS
    INTERVAL = INTERVAL
    server: Any

    def create_endpoint_response(self, request: Exchange) -> Any:
        client: Client = self.authenticate_client(request).client
        if records.DEVICE not in client.grants:
            raise InvalidClientError("The client is not registered for devices.")
        self.server.validate_requested_scope(request.given.values.get("scope"))
        resource = request.given.values.get("resource", "")
        place = self.server.place(resource)
        secret, code = self.server.new("a2d_"), self._user_code()
        asked = scopes.read(request.given.values.get("scope", "")) or (scopes.usual(place),)
        now = self.server.clock.now()
        expires = now + DEVICE_SECONDS
        device = Device(digest(secret), code, client.id, " ".join(asked), resource, expires)
        request.ops.append(add_device(device))
        where = f"{self.server.tokens.issuer()}/oauth/device"
        body = {
            "device_code": secret,
            "user_code": code,
            "verification_uri": where,
            "verification_uri_complete": f"{where}?user_code={code}",
            "expires_in": DEVICE_SECONDS,
            "interval": INTERVAL,
        }
        return 200, body, []

    def _user_code(self) -> str:
        # 8 letters of 20: some 34 bits, good for ten minutes, and wrong ones are counted.
        number = int.from_bytes(self.server.entropy.bytes(16))
        letters: list[str] = []
        for _ in range(8):
            number, place = divmod(number, len(_LETTERS))
            letters.append(_LETTERS[place])
        return f"{''.join(letters[:4])}-{''.join(letters[4:])}"


class _Waiting:
    """A device as Authlib asks about it."""

    def __init__(self, secret: str, device: Device, now: float) -> None:
        self.secret, self.device, self._now = secret, device, now

    def is_expired(self) -> bool:
        return self.device.expires <= self._now

    def get_client_id(self) -> str:
        return self.device.client

    def get_user_code(self) -> _Waiting:
        return self  # Authlib asks for the verdict by it.

    def get_scope(self) -> str:
        return self.device.family.scope if self.device.family is not None else ""


class DeviceGrant(DeviceCodeGrant):
    """RFC 8628, section 3.4."""

    TOKEN_ENDPOINT_AUTH_METHODS = _ANY
    request: Any  # An Exchange.
    server: Any  # The Core.

    def query_device_credential(self, device_code: str) -> _Waiting:
        key = digest(device_code)
        found = self.server.rows.device(SYSTEM, key)
        used = self.server.rows.spent(SYSTEM, key)
        if found is None:
            raise InvalidGrantError("The device code is not known, or its time is over.")
        if used is not None:
            self.request.replayed = (used, _org_of(self.server.rows, used))
            raise InvalidGrantError("The device code was used already.")
        return _Waiting(device_code, found, self.server.clock.now())

    def query_user_grant(self, user_code: _Waiting) -> tuple[Family | None, bool] | None:
        device = user_code.device
        if not device.verdict:
            return None
        if (
            device.verdict == "allow"
            and device.family is not None
            and not self.server.alive(device.family.about)
        ):
            return None, False
        return device.family, device.verdict == "allow"

    def should_slow_down(self, credential: _Waiting) -> bool:
        polled, now = self.server.polled, self.server.clock.monotonic()
        last, interval = polled.get(credential.device.digest, (-1e9, INTERVAL))
        early = now - last < interval - 1  # A second for the network's sake.
        if len(polled) > 10_000:
            polled.clear()
        polled[credential.device.digest] = (now, interval + 5 if early else interval)
        return early

    def generate_token(self, user: Family, scope: str, **_: Any) -> dict[str, Any]:
        client: Client = self.request.client.client
        given = self.request.given
        waiting: _Waiting = self.request.credential
        if client.public:
            user = msgspec.structs.replace(user, jkt=given.jkt, x5t=given.x5t)
        until = waiting.device.expires + SECONDS
        self.request.family = user
        self.request.ops += [
            add_family(user, self.server.clock.now()),
            self.server.spend(waiting.secret, user, until),
        ]
        return self.server.token(self.request, client, user, scope, refresh=True)

    def save_token(self, token: dict[str, Any]) -> None:
        """It is in the family's write."""


class _Found:
    """A token that somebody asks about or gives back."""

    def __init__(self, claims: Claims | None, family: Family | None, expires: float = 0.0) -> None:
        self.claims, self.family, self.expires = claims, family, expires

    def check_client(self, client: AuthClient) -> bool:
        if self.claims is not None:
            return self.claims.client_id == client.client.id
        return self.family is not None and self.family.client == client.client.id

    def is_expired(self) -> bool:
        return False  # Only what is good is found.

    def is_revoked(self) -> bool:
        return False


def _find(server: Core, token: str) -> _Found | None:
    """A token of ours that is good now."""
    if token.startswith("a2r_"):
        key = digest(token)
        found = server.rows.refresh(SYSTEM, key)
        if found is None or found.ended or found.expires <= server.clock.now():
            return None
        if server.rows.spent(SYSTEM, key) is not None:
            return None
        return _Found(None, found.family, found.expires)
    try:
        return _Found(server.tokens.read(token), None)
    except TokenRefused:
        return None


class Revocation(RevocationEndpoint):
    """RFC 7009. A refresh token takes its family along, an access token itself alone."""

    CLIENT_AUTH_METHODS = _ANY
    server: Any

    def query_token(self, token_string: str, token_type_hint: str | None) -> _Found | None:
        return _find(self.server, token_string)

    def check_params(self, request: Exchange, client: AuthClient) -> None:
        if not request.form.get("token"):
            raise InvalidRequestError("Send the token that is to end.")

    def create_endpoint_request(self, request: Exchange) -> Exchange:
        return request

    def revoke_token(self, token: _Found, request: Exchange) -> None:
        request.revoking = token.claims or token.family


class Introspection(IntrospectionEndpoint):
    """RFC 7662, for clients that prove who they are: about tokens of their own, and about those of people
    and clients of the organisation that made them."""

    CLIENT_AUTH_METHODS = CONFIDENTIAL
    server: Any

    def query_token(self, token_string: str, token_type_hint: str | None) -> _Found | None:
        return _find(self.server, token_string)

    def check_params(self, request: Exchange, client: AuthClient) -> None:
        if not request.form.get("token"):
            raise InvalidRequestError("Send the token that you ask about.")

    def create_endpoint_request(self, request: Exchange) -> Exchange:
        return request

    def check_permission(self, token: _Found, client: AuthClient, request: Exchange) -> bool:
        if token.check_client(client):
            return True
        mine = client.client
        if mine.kind != records.MADE:
            return False
        about = token.claims.about if token.claims is not None else token.family.about  # type: ignore[union-attr]
        who = self.server.tokens.standing(about)
        return who is not None and who.org_no == mine.org_no

    def introspect_token(self, token: _Found) -> dict[str, Any]:
        claims, family = token.claims, token.family
        if claims is None:
            assert family is not None
            return {
                "active": True,
                "token_type": "refresh_token",
                "client_id": family.client,
                "scope": family.scope,
                "sub": family.subject,
                "exp": int(token.expires),
                "iss": self.server.tokens.issuer(),
            }
        if self.server.tokens.standing(claims.about) is None:
            return {"active": False}
        bound = "DPoP" if claims.cnf and "jkt" in claims.cnf else "Bearer"
        told = msgspec.to_builtins(claims)
        del told["fam"], told["sub_type"]
        return {"active": True, "token_type": bound} | {name: value for name, value in told.items() if value}


def _org_of(rows: OAuthRows, family_id: str) -> int:
    found = rows.family(SYSTEM, family_id)
    return found[0].org_no if found is not None else 0
