"""`/api/v1/services`, agents' own identities: certificates, tokens, the bundle of roots; and
`/api/v1/sigv4-keys`, for callers who can do nothing but AWS signatures."""

from __future__ import annotations

from typing import Any

from msgspec import Struct, field

from a2a_cloud.model.principal import Permission, Role
from a2a_cloud.model.problem import Forbidden, Unavailable
from a2a_cloud.model.stamp import stamp
from a2a_cloud.surface.api.bodies import read_body
from a2a_cloud.surface.ports import Services
from a2a_cloud.surface.request import Request
from a2a_cloud.surface.services_port import Services as Identities
from a2a_cloud.surface.services_port import SigV4Keys, SigV4Row

Answer = tuple[int, Any]

#: Seconds after which holders of a certificate ask for the bundle again, as SPIFFE says it.
_REFRESH = 1800
_CERT_SHAPE = '{"csr": PEM}'
_ASKED_SHAPE = '{"scopes"?: [TEXT], "audience"?: [URL], "seconds"?: 600}'
_KEY_SHAPE = '{"principal": NAME, "role"?: ROLE, "label"?: TEXT, "scopes"?: [TEXT], "seconds"?: NUMBER}'


class _Cert(Struct, forbid_unknown_fields=True):
    csr: str


class _Token(Struct, forbid_unknown_fields=True):
    scopes: list[str] = field(default_factory=lambda: [Permission.CALL.value])
    audience: list[str] = []
    seconds: int = 600


class _Rotate(Struct, forbid_unknown_fields=True):
    now: bool = False


class _Key(Struct, forbid_unknown_fields=True):
    principal: str
    role: str = Role.MEMBER.value
    label: str = ""
    scopes: list[str] | None = None
    seconds: int | None = None


async def listed(services: Services, request: Request, _values: list[str]) -> Answer:
    """`GET /api/v1/services`."""
    identities = _of(services)
    if not request.principal.may(Permission.DEPLOY):
        raise Forbidden("Agents' identities are listed for those who deploy.", remedy="Use such a key.")
    rows = [
        {
            "agent": one.agent,
            "id": one.id,
            "kid": one.kid,
            "certificates": one.certificates,
            "ends": stamp(one.ends) if one.ends is not None else None,
            "deleted": one.deleted,
        }
        for one in identities.listed(request.principal.org_no)
    ]
    return 200, {"domain": identities.domain, "services": rows}


async def bundle(services: Services, _request: Request, _values: list[str]) -> Answer:
    """`GET /api/v1/services/bundle`."""
    identities = _of(services)
    await identities.roots.ready()
    return 200, _bundle(identities)


async def certify(services: Services, request: Request, values: list[str]) -> Answer:
    """`POST /api/v1/services/{agent}/certificates`."""
    identities = _of(services)
    identities.check(request.principal, values[0])  # Before anything is said of the body.
    wanted = await read_body(request, _Cert, _CERT_SHAPE)
    made = await identities.certify(request.principal, values[0], wanted.csr)
    return 201, {
        "id": made.id,
        "serial": made.serial,
        "certificate": made.certificate,
        "bundle": made.bundle,
        "created": stamp(made.created),
        "ends": stamp(made.ends),
        "seconds": int(made.ends - made.created),
    }


async def token(services: Services, request: Request, values: list[str]) -> Answer:
    """`POST /api/v1/services/{agent}/tokens`."""
    identities = _of(services)
    identities.check(request.principal, values[0])
    wanted = await read_body(request, _Token, _ASKED_SHAPE)
    made = await identities.token(
        request.principal,
        values[0],
        audience=wanted.audience or [services.base_url],
        scopes=wanted.scopes,
        seconds=wanted.seconds,
    )
    return 201, {"access_token": made, "token_type": "Bearer", "expires_in": wanted.seconds}


async def revoke(services: Services, request: Request, values: list[str]) -> Answer:
    """`POST /api/v1/services/{agent}/revoke`."""
    ended = await _of(services).end(request.principal, values[0])
    return 200, {"agent": values[0], "certificates": ended}


async def rotate_root(services: Services, request: Request, _values: list[str]) -> Answer:
    """`POST /api/v1/services/rotate-root`."""
    identities = _of(services)
    if not request.principal.may(Permission.MANAGE_PLATFORM):
        raise Forbidden("Roots are changed by who runs the platform.", remedy="Use an admin's key.")
    wanted = await read_body(request, _Rotate, '{"now"?: true}')
    await identities.rotate_root(request.principal, at_once=wanted.now)
    return 200, _bundle(identities)


async def keys(services: Services, request: Request, _values: list[str]) -> Answer:
    """`GET /api/v1/sigv4-keys`."""
    store = _signing(services, request)
    found = [_key(row, name) for row, name in store.listed(request.principal)]
    return 200, {"region": store.region, "service": store.service, "keys": found}


async def make_key(services: Services, request: Request, _values: list[str]) -> Answer:
    """`POST /api/v1/sigv4-keys`."""
    store = _signing(services, request)
    wanted = await read_body(request, _Key, _KEY_SHAPE)
    row, secret = await store.create(
        request.principal,
        principal=wanted.principal,
        role=wanted.role,
        label=wanted.label,
        scopes=wanted.scopes,
        seconds=wanted.seconds,
    )
    told = {**_key(row, wanted.principal), "secret": secret}
    return 201, {**told, "region": store.region, "service": store.service}


async def drop_key(services: Services, request: Request, values: list[str]) -> Answer:
    """`DELETE /api/v1/sigv4-keys/{id}`."""
    await _signing(services, request).revoke(request.principal, values[0])
    return 200, {"id": values[0], "revoked": True}


def _of(services: Services) -> Identities:
    if services.services is None:
        raise Unavailable("This platform gives agents no identities.")
    return services.services


def _signing(services: Services, request: Request) -> SigV4Keys:
    if not request.principal.may(Permission.MANAGE_KEYS):
        raise Forbidden("Keys are made and seen by admins.", remedy="Use an admin's key.")
    if services.sigv4 is None:
        raise Unavailable(
            "This platform takes no AWS signatures.",
            remedy="Who runs it sets A2A_SIGV4 to a region and a service.",
        )
    return services.sigv4


def _bundle(identities: Identities) -> dict[str, Any]:
    return {
        "domain": identities.domain,
        "bundle": identities.roots.bundle(),
        "refresh": _REFRESH,
        "roots": [
            {
                "id": one.root.id,
                "state": one.state,
                "created": stamp(one.root.created),
                "signs": stamp(one.root.signs),
                "ends": stamp(one.root.ends),
            }
            for one in identities.roots.standing()
        ],
    }


def _key(row: SigV4Row, principal: str) -> dict[str, Any]:
    return {
        "id": row.id,
        "principal": principal,
        "role": row.role,
        "label": row.label,
        "scopes": row.scopes.split(" ") if row.scopes else None,
        "created": stamp(row.created),
        "expires": stamp(row.expires) if row.expires is not None else None,
        "made_by": row.made_by,
    }
