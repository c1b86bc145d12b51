"""Token exchange (RFC 8693): a token for somebody's request to be carried on by who received it.

Only clients that an admin made for it may; the new token is about the same subject, for no more than the
first, for no longer, and says who acts for them, with all who did before (`act`, nested).
"""
# Authlib has no types.
# pyright: basic

from __future__ import annotations

from typing import Any

from authlib.oauth2.rfc6749.errors import (
    InvalidGrantError,
    InvalidRequestError,
    InvalidScopeError,
    UnauthorizedClientError,
)
from authlib.oauth2.rfc6749.grants import BaseGrant, TokenEndpointMixin

from a2a_cloud.control.oauth import records, scopes
from a2a_cloud.control.oauth.core import CONFIDENTIAL, InvalidTarget
from a2a_cloud.control.oauth.records import Client, Family
from a2a_cloud.control.oauth.tokens import Claims, TokenRefused

ACCESS = "urn:ietf:params:oauth:token-type:access_token"
JWT = "urn:ietf:params:oauth:token-type:jwt"


class ExchangeGrant(BaseGrant, TokenEndpointMixin):
    """See the module."""

    GRANT_TYPE = records.EXCHANGE
    TOKEN_ENDPOINT_AUTH_METHODS = CONFIDENTIAL
    request: Any  # An Exchange.
    server: Any  # The Core.

    def validate_token_request(self) -> None:
        """Raises OAuth2Error."""
        client = self.authenticate_token_endpoint_client()
        if not client.check_grant_type(records.EXCHANGE):
            raise UnauthorizedClientError("The client may not exchange tokens: an admin makes one that may.")
        self.request.client = client
        form = self.request.form
        if form.get("requested_token_type", ACCESS) not in (ACCESS, JWT):
            raise InvalidRequestError("Access tokens are what can be had.")
        self.server.validate_requested_scope(form.get("scope"))

    def create_token_response(self) -> Any:
        """Raises OAuth2Error."""
        form, client = self.request.form, self.request.client.client
        subject = self._token("subject")
        actor = self._actor(client)
        actors = (actor, *subject.actors)
        if len(actors) > self.server.depth:
            raise InvalidRequestError(f"More than {self.server.depth} would act for one another.")
        had = subject.scope.split()
        granted = scopes.read(form.get("scope", "")) or tuple(
            scope for scope in had if scope not in scopes.OPENID
        )
        if not granted or not scopes.within(granted, had) or scopes.OPENID & set(granted):
            raise InvalidScopeError("The new token can not allow what the first does not.")
        who = self.server.tokens.standing(subject.about)
        mine = self.server.tokens.standing(records.Subject("client", client.id, ""))
        if who is None or mine is None:
            raise InvalidGrantError("Who the token is about is not there any more.")
        self._check_bound(subject)
        about = Family(
            id=subject.fam,
            client=client.id,
            kind=subject.sub_type,
            subject=subject.sub,
            org=subject.org,
            org_no=who.org_no,
            principal=who.no,
            scope=" ".join(granted),
            resource=self._audience(subject, tuple(granted)),
            auth_time=subject.auth_time,
        )
        left = int(subject.exp - self.server.clock.now())
        token = self.server.token(
            self.request, client, about, about.scope, refresh=False, act=actors, seconds=max(1, left)
        )
        return 200, {**token, "issued_token_type": ACCESS}, self.TOKEN_RESPONSE_HEADER

    def _token(self, role: str) -> Claims:
        form = self.request.form
        if form.get(f"{role}_token_type") not in (ACCESS, JWT) or not form.get(f"{role}_token"):
            raise InvalidRequestError(f"Send {role}_token, an access token, and its {role}_token_type.")
        try:
            return self.server.tokens.read(form[f"{role}_token"])
        except TokenRefused:
            raise InvalidGrantError(f"The {role}_token is not good here, or has ended.") from None

    def _actor(self, client: Client) -> str:
        """Who acts: whoever the actor token is about, else the client itself."""
        if not self.request.form.get("actor_token"):
            return client.id
        claims = self._token("actor")
        if claims.client_id != client.id or self.server.tokens.standing(claims.about) is None:
            raise InvalidGrantError("The actor_token was given to another client.")
        return claims.sub

    def _check_bound(self, subject: Claims) -> None:
        """A token that is bound to a key is exchanged by who holds the key."""
        given = self.request.given
        bound = subject.cnf or {}
        if bound.get("jkt", given.jkt) != given.jkt or bound.get("x5t#S256", given.x5t) != given.x5t:
            raise InvalidGrantError("The subject_token is bound to a key that was not shown.")

    def _audience(self, subject: Claims, granted: tuple[str, ...]) -> str:
        """What the new token is for: what the first one is for, what lies within that, or an agent that the
        scopes name."""
        form = self.request.form
        asked = form.get("resource") or form.get("audience") or ""
        if not asked:
            return subject.audience[0]
        inner = self.server.place(asked)
        for each in subject.audience:
            outer = self.server.tokens.place(each)
            if outer is not None and (not outer or inner == outer or inner.startswith(outer + "/")):
                return asked
        # By its own name alone: a scope for all agents says nothing of which the person meant it for.
        if inner.startswith("/agents/") and scopes.usual(inner) in granted:
            return asked
        raise InvalidTarget("The subject_token is for another resource, and its scopes do not name this one.")
