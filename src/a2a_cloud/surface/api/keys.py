"""`/api/v1/keys` and `/api/v1/whoami`: who may call. A key's secret is in one answer only, the one that
makes it.
"""

from __future__ import annotations

import re
from typing import Any, TypeVar

import msgspec
from msgspec import Struct

from a2a_cloud.model.principal import Permission, Role
from a2a_cloud.model.problem import Forbidden, InvalidParams, Malformed
from a2a_cloud.model.stamp import stamp
from a2a_cloud.surface.identity_port import KeyRow, Leak
from a2a_cloud.surface.ports import Services
from a2a_cloud.surface.request import Request
from a2a_cloud.wire.api_key import Found
from a2a_cloud.wire.json_text import check_text

_MAX_BODY, _MAX_REPORT = 16 * 1024, 256 * 1024
T = TypeVar("T")
_HASH = re.compile(r"(?:[0-9a-f]{64})?")


class NewKey(Struct, forbid_unknown_fields=True):
    """The body of `POST /api/v1/keys`; without `org` the caller's own. `expires_in` is seconds."""

    principal: str
    org: str = ""
    role: str = Role.MEMBER
    label: str = ""
    priority: int | None = None
    scopes: list[str] | None = None
    expires_in: int | None = None


class Rotation(Struct, forbid_unknown_fields=True):
    """The body of `POST /api/v1/keys/{id}/rotate`: how many seconds the old key stays good."""

    overlap: float = 0.0


class LeakedKey(Struct, forbid_unknown_fields=True):
    """A key that turned up: its id, and the SHA-256 of the whole of it in hex where it stood there whole."""

    id: str
    sha256: str = ""


class Report(Struct, forbid_unknown_fields=True):
    """The body of `POST /api/v1/keys/leaked`."""

    keys: list[LeakedKey]
    revoke: bool = False


async def whoami(_services: Services, request: Request, _values: list[str]) -> tuple[int, Any]:
    """`GET /api/v1/whoami`."""
    who = request.principal
    document: dict[str, Any] = {
        "principal": who.name,
        "org": who.org,
        "role": str(who.role),
        "permissions": [one.value for one in Permission if who.may(one)],
        "scopes": None if who.scopes is None else sorted(who.scopes),
    }
    if who.key_id:
        document["key"] = who.key_id
    if who.client:
        document["client"] = who.client
    if who.actors:
        document["actors"] = list(who.actors)
    return 200, document


async def listed(services: Services, request: Request, _values: list[str]) -> tuple[int, Any]:
    """`GET /api/v1/keys`."""
    _admin(request)
    return 200, {"keys": [_document(row) for row in services.identity.keys(request.principal)]}


async def create(services: Services, request: Request, _values: list[str]) -> tuple[int, Any]:
    """`POST /api/v1/keys`."""
    _admin(request)
    remedy = (
        'Send {"principal": NAME, "org"?, "role"?, "label"?, "priority"?, "scopes"?: ["agent:NAME", …], '
        '"expires_in"?: SECONDS}.'
    )
    wanted = await _read(request, NewKey, remedy)
    row, secret = await services.identity.create_key(
        request.principal,
        principal=wanted.principal,
        org=wanted.org or request.principal.org,
        role=wanted.role,
        label=wanted.label,
        priority=wanted.priority,
        scopes=wanted.scopes,
        seconds=wanted.expires_in,
    )
    return 201, {**_document(row), "key": secret}


async def rotate(services: Services, request: Request, values: list[str]) -> tuple[int, Any]:
    """`POST /api/v1/keys/{id}/rotate`."""
    _admin(request)
    wanted = await _read(request, Rotation, 'Send {"overlap"?: SECONDS}.')
    row, secret = await services.identity.rotate(request.principal, values[0], wanted.overlap)
    return 201, {**_document(row), "key": secret}


async def revoke(services: Services, request: Request, values: list[str]) -> tuple[int, Any]:
    """`DELETE /api/v1/keys/{id}`."""
    _admin(request)
    return 200, _document(await services.identity.revoke(request.principal, values[0]))


async def leaked(services: Services, request: Request, _values: list[str]) -> tuple[int, Any]:
    """`POST /api/v1/keys/leaked`: who has a whole key may end it."""
    remedy = 'Send {"keys": [{"id": ID, "sha256"?: HEX}], "revoke"?: true}.'
    report = await _read(request, Report, remedy, _MAX_REPORT)
    if not all(_HASH.fullmatch(one.sha256) for one in report.keys):
        raise InvalidParams("A sha256 is not 64 hex digits.", remedy=remedy, info={"field": "keys"})
    found = [Found(one.id, one.sha256) for one in report.keys]
    leaks = await services.identity.leaked(request.principal, found, revoke=report.revoke)
    return 200, {"keys": [_leak(one) for one in leaks]}


async def _read(request: Request, kind: type[T], remedy: str, most: int = _MAX_BODY) -> T:
    request.expect_json()
    body = await request.body(most) or b"{}"
    check_text(body)
    try:
        return msgspec.json.decode(body, type=kind)
    except msgspec.ValidationError as error:
        raise InvalidParams(f"{error}.", remedy=remedy) from None
    except (msgspec.DecodeError, UnicodeDecodeError) as error:
        raise Malformed(f"The body is not valid JSON: {error}.") from None


def _admin(request: Request) -> None:
    if not request.principal.may(Permission.MANAGE_KEYS):
        raise Forbidden("Keys are for admins.", remedy="Use an admin's key.")


def _leak(leak: Leak) -> dict[str, Any]:
    document: dict[str, Any] = {"id": leak.id, "state": leak.state, "revoked_now": leak.ended}
    if leak.row is not None:
        document["key"] = _document(leak.row)
    return document


def _document(row: KeyRow) -> dict[str, Any]:
    return {
        "id": row.id,
        "prefix": f"a2a_{row.id}",
        "principal": row.principal,
        "org": row.org,
        "role": str(row.role),
        "label": row.label,
        "priority": row.priority,
        "scopes": None if row.scopes is None else list(row.scopes),
        "created": stamp(row.created),
        "expires": _when(row.expires),
        "last_used": _when(row.used),
        "revoked": _when(row.revoked),
        "replaces": row.prior or None,
    }


def _when(at: float | None) -> str | None:
    return None if at is None else stamp(at)
