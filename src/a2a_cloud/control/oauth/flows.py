"""Codes with PKCE, refresh tokens with rotation, clients by themselves (RFC 6749, RFC 7636), on Authlib's
grants: what is found, what is spent, what a token says."""
# Authlib has no types.
# pyright: basic

from __future__ import annotations

from typing import Any

import msgspec
from authlib.oauth2.rfc6749 import grants
from authlib.oauth2.rfc6749.errors import (
    InvalidClientError,
    InvalidGrantError,
    InvalidRequestError,
    InvalidScopeError,
)
from authlib.oauth2.rfc7636 import CodeChallenge

from a2a_cloud.control.oauth import scopes
from a2a_cloud.control.oauth.core import ANY, CODE_SECONDS, CONFIDENTIAL, AuthClient, Exchange, InvalidProof
from a2a_cloud.control.oauth.records import Client, Code, Family, Subject, digest
from a2a_cloud.control.oauth.rows import add_code, add_family
from a2a_cloud.control.oauth.tokens import SECONDS
from a2a_cloud.model.scope import SYSTEM


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

    TOKEN_ENDPOINT_AUTH_METHODS = ANY
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
            self.server.replayed(self.request, used)
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
            user = msgspec.structs.replace(user, jkt=given.jkt, x5t=given.x5t if client.certified else "")
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

    TOKEN_ENDPOINT_AUTH_METHODS = ANY
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
