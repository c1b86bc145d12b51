"""`/api/v1/config` and `/api/v1/backup`: how the platform is set up, and a copy of everything in it. For who
keeps the platform."""

from __future__ import annotations

from typing import Any

from a2a_cloud.model.principal import Permission, Role
from a2a_cloud.model.problem import Forbidden, NotFound
from a2a_cloud.surface.operator_port import Operator
from a2a_cloud.surface.ports import Services
from a2a_cloud.surface.request import Request
from a2a_cloud.surface.sending import send_pieces

Answer = tuple[int, Any]


async def config(services: Services, request: Request, _values: list[str]) -> Answer:
    """`GET /api/v1/config`: every setting and where it comes from; secrets are masked."""
    file, settings = _of(services, request).settings()
    return 200, {"file": file, "settings": [one._asdict() for one in settings]}


async def backup(services: Services, request: Request, _values: list[str]) -> Answer:
    """`POST /api/v1/backup`: a tar archive (docs/backup.md). An answer that is cut off is none: an archive's
    last member says what belongs to it."""
    operator, who = _of(services, request), request.principal
    # All keys are in it: who has a copy can become anybody, so an admin who is no owner gets none.
    if who.scopes is not None or not (who.role == Role.OWNER or who.key_id == operator.key):
        raise Forbidden(
            "A copy of everything is for owners, and for who has the data folder's own key.",
            remedy="Use an owner's key that is not narrowed, or the key in A2A_DATA/admin.key.",
        )
    fields = [
        (b"content-type", b"application/x-tar"),
        (b"content-disposition", b'attachment; filename="a2a-backup.tar"'),
        (b"cache-control", b"no-store"),
    ]
    await send_pieces(request, fields, operator.backup(who.label))
    return 200, None


def _of(services: Services, request: Request) -> Operator:
    if not request.principal.may(Permission.MANAGE_PLATFORM):
        raise Forbidden("This is for who keeps the platform.", remedy="Use an owner's or admin's key.")
    if services.operator is None:
        raise NotFound("This platform has nobody who keeps it.")
    return services.operator
