"""`/api/v1/doctor`: what the platform finds when it looks at itself. For admins."""

from __future__ import annotations

from typing import Any

from a2a_cloud.model.principal import Permission
from a2a_cloud.model.problem import Forbidden
from a2a_cloud.surface.ports import Services
from a2a_cloud.surface.request import Request


async def checks(services: Services, request: Request, _values: list[str]) -> tuple[int, Any]:
    """`GET /api/v1/doctor`."""
    if not request.principal.may(Permission.MANAGE_PLATFORM):
        raise Forbidden("The platform's health is for admins.", remedy="Use an admin's key.")
    return 200, {"checks": [check._asdict() for check in await services.checks()]}
