"""`/api/v1/oauth`: clients of an organisation, what people have let in, the keys of tokens."""

from __future__ import annotations

from typing import Any

from msgspec import Struct

from a2a_cloud.control.oauth.clients import described
from a2a_cloud.control.oauth.records import CREDENTIALS, Client
from a2a_cloud.control.oauth.server import OAuth
from a2a_cloud.model.principal import Permission, Role
from a2a_cloud.model.problem import Forbidden, NotFound
from a2a_cloud.model.stamp import stamp
from a2a_cloud.surface.api.bodies import read_body
from a2a_cloud.surface.ports import Services
from a2a_cloud.surface.request import Request


class NewClient(Struct, forbid_unknown_fields=True):
    """The body of `POST /api/v1/oauth/clients`. `role` is what it may by itself; `certificate_bound`,
    `dpop_bound`: what its tokens are bound to."""

    name: str
    grant_types: tuple[str, ...] = (CREDENTIALS,)
    redirect_uris: tuple[str, ...] = ()
    scope: str = ""
    role: str = Role.MEMBER
    token_endpoint_auth_method: str = "client_secret_basic"  # noqa: S105
    jwks: dict[str, Any] | None = None
    certificate_bound: bool = False
    dpop_bound: bool = False


class Change(Struct, forbid_unknown_fields=True):
    """The body of `POST /api/v1/oauth/rotate-key`. `at_once`: the key that is in use is known to others."""

    at_once: bool = False


async def clients(services: Services, request: Request, _values: list[str]) -> tuple[int, Any]:
    """`GET /api/v1/oauth/clients`."""
    return 200, {"clients": [_told(one) for one in _oauth(services).clients.listed(request.principal)]}


async def make(services: Services, request: Request, _values: list[str]) -> tuple[int, Any]:
    """`POST /api/v1/oauth/clients`: the secret is in this answer alone."""
    body = await read_body(request, NewClient, "{name, grant_types?, redirect_uris?, scope?, role?}")
    made = await _oauth(services).clients.make(
        request.principal,
        name=body.name,
        grants=body.grant_types,
        redirect_uris=body.redirect_uris,
        scope=body.scope,
        role=body.role,
        method=body.token_endpoint_auth_method,
        jwks=body.jwks,
        certified=body.certificate_bound,
        dpop=body.dpop_bound,
    )
    secret = {"client_secret": made.secret} if made.secret else {}
    return 201, _told(made.client) | secret


async def drop(services: Services, request: Request, values: list[str]) -> tuple[int, Any]:
    """`DELETE /api/v1/oauth/clients/{id}`: its tokens end."""
    await _oauth(services).clients.drop(request.principal, values[0])
    return 200, {"removed": values[0]}


async def grants(services: Services, request: Request, _values: list[str]) -> tuple[int, Any]:
    """`GET /api/v1/oauth/grants`: the clients that act for the caller."""
    _whole(request)
    found = _oauth(services).grants(request.principal)
    return 200, {
        "grants": [
            one | {"created": stamp(one["created"]), "expires": stamp(one["expires"])} for one in found
        ]
    }


async def end_grant(services: Services, request: Request, values: list[str]) -> tuple[int, Any]:
    """`DELETE /api/v1/oauth/grants/{id}`."""
    _whole(request)
    await _oauth(services).end_grant(request.principal, values[0])
    return 200, {"ended": values[0]}


async def rotate_key(services: Services, request: Request, _values: list[str]) -> tuple[int, Any]:
    """`POST /api/v1/oauth/rotate-key`."""
    who = request.principal
    if not who.may(Permission.MANAGE_PLATFORM):
        raise Forbidden("The platform's keys are changed by who runs it.", remedy="Use an admin's key.")
    body = await read_body(request, Change, "{at_once?}")
    keys = await _oauth(services).rotate_keys(who, at_once=body.at_once)
    return 200, {"keys": keys}


def _told(client: Client) -> dict[str, Any]:
    role = {"role": client.role} if client.role else {}
    return described(client) | role | {"created": stamp(client.created), "made_by": client.made_by}


def _oauth(services: Services) -> OAuth:
    if services.oauth is None:
        raise NotFound("This platform gives out no tokens.")
    return services.oauth


def _whole(request: Request) -> None:
    """What others hold in somebody's name is for themselves, and not for one of those. Raises Forbidden."""
    if request.principal.scopes is not None:
        raise Forbidden(
            "A key or token that is narrowed doesn't see what other clients hold.",
            remedy="Sign in, or use a key that is not narrowed.",
            info={"scope": "all"},
        )
