"""`/api/v1/keys` and `/api/v1/whoami`: who may call. A key's secret is in one answer only, the one that
makes it.
"""

from __future__ import annotations

from typing import Any

import msgspec
from msgspec import Struct

from a2a_cloud.model.principal import Permission, Role
from a2a_cloud.model.problem import Forbidden, InvalidParams, Malformed
from a2a_cloud.model.stamp import stamp
from a2a_cloud.surface.ports import KeyRow, Services
from a2a_cloud.surface.request import Request
from a2a_cloud.wire.json_text import check_text

_MAX_BODY = 16 * 1024


class NewKey(Struct, forbid_unknown_fields=True):
    """The body of `POST /api/v1/keys`; without `org` the caller's own."""

    principal: str
    org: str = ""
    role: Role = Role.MEMBER
    label: str = ""
    priority: int | None = None


_decode = msgspec.json.Decoder(NewKey).decode


async def whoami(_services: Services, request: Request, _values: list[str]) -> tuple[int, Any]:
    """`GET /api/v1/whoami`."""
    principal = request.principal
    return 200, {"principal": principal.name, "org": principal.org, "role": str(principal.role)}


async def listed(services: Services, request: Request, _values: list[str]) -> tuple[int, Any]:
    """`GET /api/v1/keys`."""
    _admin(request)
    return 200, {"keys": [_document(row) for row in services.identity.keys(request.principal)]}


async def create(services: Services, request: Request, _values: list[str]) -> tuple[int, Any]:
    """`POST /api/v1/keys`."""
    _admin(request)
    request.expect_json()
    body = await request.body(_MAX_BODY)
    check_text(body)
    try:
        wanted = _decode(body)
    except msgspec.ValidationError as error:
        raise InvalidParams(
            f"{error}.",
            remedy='Send {"principal": NAME, "org"?, "role"?: member|admin, "label"?, "priority"?}.',
        ) from None
    except (msgspec.DecodeError, UnicodeDecodeError) as error:
        raise Malformed(f"The body is not valid JSON: {error}.") from None
    row, secret = await services.identity.create_key(
        request.principal,
        principal=wanted.principal,
        org=wanted.org or request.principal.org,
        role=wanted.role,
        label=wanted.label,
        priority=wanted.priority,
    )
    return 201, {**_document(row), "key": secret}


async def revoke(services: Services, request: Request, values: list[str]) -> tuple[int, Any]:
    """`DELETE /api/v1/keys/{id}`."""
    _admin(request)
    return 200, _document(await services.identity.revoke(request.principal, values[0]))


def _admin(request: Request) -> None:
    if not request.principal.may(Permission.MANAGE_KEYS):
        raise Forbidden("Keys are for admins.", remedy="Use an admin's key.")


def _document(row: KeyRow) -> dict[str, Any]:
    return {
        "id": row.id,
        "principal": row.principal,
        "org": row.org,
        "role": row.role.value,
        "label": row.label,
        "priority": row.priority,
        "created": stamp(row.created),
        "revoked": None if row.revoked is None else stamp(row.revoked),
    }
