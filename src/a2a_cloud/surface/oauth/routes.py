"""The authorization server over HTTP: discovery (RFC 8414, RFC 9728, OpenID Connect), the token endpoint and
those beside it, registration (RFC 7591, RFC 7592)."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from typing import Any

from a2a_cloud.control.oauth import records
from a2a_cloud.control.oauth.clients import described
from a2a_cloud.control.oauth.metadata import BadMetadata, read
from a2a_cloud.control.oauth.proofs import ProofRefused
from a2a_cloud.control.oauth.server import OAuth
from a2a_cloud.model.problem import InvalidRequest, NotFound, Unauthenticated
from a2a_cloud.surface.came import thumbprint
from a2a_cloud.surface.oauth.answers import (
    MAX_BODY,
    form,
    header,
    preflight,
    refuse,
    tell,
)
from a2a_cloud.surface.oauth.people import Deciding
from a2a_cloud.surface.ports import Services
from a2a_cloud.surface.request import JSON, Request

#: Paths that are ours on every host, an agent's too.
PRM = "/.well-known/oauth-protected-resource"
_METADATA = ("/.well-known/oauth-authorization-server", "/.well-known/openid-configuration")
_REGISTER = "/oauth/register"


class OAuthRoutes:
    """See the module."""

    def __init__(self, services: Services, oauth: OAuth) -> None:
        self._services = services
        self._oauth = oauth
        self._deciding = Deciding(services, oauth)
        self._told: dict[str, Callable[[Request], Awaitable[None]]] = {
            "/oauth/token": self._token,
            "/oauth/device_authorization": self._start_device,
            "/oauth/revoke": self._revoke,
            "/oauth/introspect": self._introspect,
        }

    async def serve(self, request: Request) -> None:
        """Answers what lies below /oauth, and the metadata. Raises Problem."""
        path = request.path
        request.route = "oauth"
        if path in _METADATA:
            return await self._document(request, self._oauth.metadata)
        if path == PRM or path.startswith(PRM + "/"):
            address = request.base + path[len(PRM) :].rstrip("/")
            return await self._document(request, lambda: self._oauth.resource(address))
        if path == "/oauth/jwks.json":
            return await self._document(request, self._oauth.tokens.keys.jwks)
        if path == "/oauth/authorize":
            return await self._deciding.authorize(request)
        if path == "/oauth/consent":
            return await self._deciding.consent(request)
        if path == "/oauth/device":
            return await self._deciding.device(request)
        if path == "/oauth/userinfo":
            return await self._userinfo(request)
        if path == _REGISTER or path.startswith(_REGISTER + "/"):
            return await self._register(request, path[len(_REGISTER) + 1 :])
        endpoint = self._told.get(path)
        if endpoint is None:
            raise NotFound(
                "There is nothing at this path.", remedy="See /.well-known/oauth-authorization-server."
            )
        if request.method == "OPTIONS":
            return await preflight(request, "POST")
        request.allow("POST")
        return await endpoint(request)

    async def _document(self, request: Request, make: Callable[[], dict[str, Any]]) -> None:
        if request.method == "OPTIONS":
            return await preflight(request, "GET")
        request.allow("GET")
        return await tell(request, 200, make(), cache=300)

    # --- what clients ask -----------------------------------------------------------------------------

    async def _token(self, request: Request) -> None:
        await self._ask(request, self._oauth.token)

    async def _start_device(self, request: Request) -> None:
        self._count(request)
        await self._ask(request, self._oauth.start_device)

    async def _revoke(self, request: Request) -> None:
        await self._ask(request, self._oauth.revoke)

    async def _introspect(self, request: Request) -> None:
        await self._ask(request, self._oauth.introspect)

    async def _ask(self, request: Request, ask: Callable[[Any], Awaitable[Any]]) -> None:
        from a2a_cloud.control.oauth.core import Given  # With it comes Authlib.

        jkt = ""
        try:
            values = await form(request)
            proof = header(request, b"dpop")
            if proof:
                jkt = self._oauth.prove(proof, request.method, request.base + request.path)
        except InvalidRequest as problem:
            return await refuse(request, 400, "invalid_request", problem.sentence)
        except ProofRefused as error:
            nonce = [("DPoP-Nonce", error.nonce)] if error.nonce else []
            return await refuse(
                request, 400, "use_dpop_nonce" if error.nonce else "invalid_dpop_proof", str(error), nonce
            )
        authorization = request.authorization.decode("latin-1")
        given = Given("POST", values, authorization, jkt, thumbprint(request.certificate), request.address)
        answer = await ask(given)
        headers = answer.headers
        if answer.status == 401:
            headers = [*headers, ("WWW-Authenticate", 'Basic realm="a2a-cloud"')]
            self._count(request)  # Who guesses secrets does it slowly.
        return await tell(request, answer.status, answer.body, headers)

    def _count(self, request: Request) -> None:
        """Raises RateLimited."""
        if self._services.quotas is not None:
            self._services.quotas.sign_in(request.address)

    async def _userinfo(self, request: Request) -> None:
        if request.method == "OPTIONS":
            return await preflight(request, "GET, POST")
        request.allow("GET", "POST")
        scheme, _, token = request.authorization.decode("latin-1").partition(" ")
        if scheme.lower() not in ("bearer", "dpop") or not token.strip():
            raise Unauthenticated("This is told to who shows an access token.", remedy="Send it as Bearer.")
        told = self._oauth.userinfo(token.strip(), request.came(scheme.lower()))
        return await tell(request, 200, told)

    # --- registration ---------------------------------------------------------------------------------

    async def _register(self, request: Request, client_id: str) -> None:
        if request.method == "OPTIONS":
            return await preflight(request, "GET, PUT, DELETE" if client_id else "POST")
        request.allow(*(("GET", "PUT", "DELETE") if client_id else ("POST",)))
        clients = self._oauth.clients
        try:
            if not client_id:
                self._count(request)
                request.expect_json()
                made = await clients.register(read(await request.body(MAX_BODY)), request.address)
                return await tell(request, 201, self._registered(made.client, made.secret, made.manage))
            scheme, _, token = request.authorization.decode("latin-1").partition(" ")
            client = clients.managed(client_id, token.strip()) if scheme.lower() == "bearer" else None
            if client is None:
                challenge = [("WWW-Authenticate", 'Bearer error="invalid_token"')]
                return await refuse(
                    request, 401, "invalid_token", "The registration token is not good.", challenge
                )
            if request.method == "DELETE":
                await clients.remove(client)
                return await request.answer(204, b"", JSON, [(b"access-control-allow-origin", b"*")])
            if request.method == "PUT":
                request.expect_json()
                client = await clients.update(client, read(await request.body(MAX_BODY)))
            return await tell(request, 200, self._registered(client, "", token.strip()))
        except BadMetadata as error:
            status = 429 if error.error == "slow_down" else 400
            return await refuse(request, status, error.error, str(error))

    def _registered(self, client: records.Client, secret: str, manage: str) -> dict[str, Any]:
        """RFC 7591, section 3.2.1; RFC 7592, section 3."""
        told = described(client) | {
            "registration_access_token": manage,
            "registration_client_uri": f"{self._oauth.tokens.issuer()}{_REGISTER}/{client.id}",
        }
        if secret:
            told |= {"client_secret": secret, "client_secret_expires_at": 0}
        return told
