"""`/api/v1/secrets`: what the egress proxy adds to agents' requests. A value comes in and never goes out;
each change is a line of the log `a2a_cloud.audit`."""

from __future__ import annotations

import logging
from typing import Any

import msgspec
from msgspec import Struct

from a2a_cloud.model.principal import Permission
from a2a_cloud.model.problem import Forbidden, InvalidParams, Malformed, Unavailable
from a2a_cloud.model.stamp import stamp
from a2a_cloud.surface.api.secrets_port import SecretRow, Secrets
from a2a_cloud.surface.ports import Services
from a2a_cloud.surface.request import Request

log = logging.getLogger("a2a_cloud.audit")

#: A value of 32 KiB, every character escaped.
_MAX_BODY = 256 << 10

Answer = tuple[int, Any]


class NewSecret(Struct, forbid_unknown_fields=True):
    """The body of `PUT /api/v1/secrets/{NAME}`; `rotate`: only if there is one."""

    value: str
    rotate: bool = False


_decode = msgspec.json.Decoder(NewSecret).decode


async def listed(services: Services, request: Request, _values: list[str]) -> Answer:
    """`GET /api/v1/secrets`."""
    store = _of(services, request)
    return 200, {"secrets": [_document(row) for row in store.listed(request.principal.org_no)]}


async def put(services: Services, request: Request, values: list[str]) -> Answer:
    """`PUT /api/v1/secrets/{NAME}`."""
    store = _of(services, request)
    request.expect_json()
    body = await request.body(_MAX_BODY)
    try:
        wanted = _decode(body)
    except msgspec.ValidationError as error:  # says which field and type, never what was there
        raise InvalidParams(f"{error}.", remedy='Send {"value": TEXT, "rotate"?: true}.') from None
    except (msgspec.DecodeError, UnicodeDecodeError):
        raise Malformed("The body is not valid JSON.", remedy='Send {"value": TEXT}.') from None
    row = await store.put(
        request.principal.org_no,
        values[0],
        wanted.value,
        by=request.principal.label,
        rotate=wanted.rotate,
    )
    _audit(request, "set", row.name, row.version)
    return 200, _document(row)


async def drop(services: Services, request: Request, values: list[str]) -> Answer:
    """`DELETE /api/v1/secrets/{NAME}`."""
    by = request.principal
    await _of(services, request).drop(by.org_no, values[0], by=by.label)
    _audit(request, "removed", values[0], 0)
    return 200, {"name": values[0], "removed": True}


def _of(services: Services, request: Request) -> Secrets:
    if not request.principal.may(Permission.MANAGE_SECRETS):
        raise Forbidden("Secrets are for admins.", remedy="Use an admin's key.")
    if services.secrets is None:
        raise Unavailable("This platform has no store of secrets.")
    return services.secrets


def _audit(request: Request, what: str, name: str, version: int) -> None:
    # The name has passed the store's check: letters, digits and `_`.
    log.info(
        "secret %s: %s version=%d by=%s key=%s",
        what,
        name,
        version,
        request.principal.label,
        request.principal.key_id,
    )


def _document(row: SecretRow) -> dict[str, Any]:
    return {
        "name": row.name,
        "version": row.version,
        "created": stamp(row.created),
        "at": stamp(row.at),
        "by": row.by,
    }
