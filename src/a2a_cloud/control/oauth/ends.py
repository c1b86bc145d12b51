"""Tokens that are given back (RFC 7009) or asked about (RFC 7662), on Authlib's endpoints."""
# Authlib has no types.
# pyright: basic

from __future__ import annotations

from typing import Any

import msgspec
from authlib.oauth2.rfc6749.errors import InvalidRequestError
from authlib.oauth2.rfc7009 import RevocationEndpoint
from authlib.oauth2.rfc7662 import IntrospectionEndpoint

from a2a_cloud.control.oauth import records
from a2a_cloud.control.oauth.core import ANY, CONFIDENTIAL, AuthClient, Core, Exchange
from a2a_cloud.control.oauth.records import Family, digest
from a2a_cloud.control.oauth.tokens import Claims, TokenRefused
from a2a_cloud.model.scope import SYSTEM


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

    CLIENT_AUTH_METHODS = ANY
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
