"""`/api/v1/push`: how deliveries of push notifications stand, and trying one again that was given up
(docs/push.md). Admins see their organisation's, others their own; addresses only as far as the host."""

from __future__ import annotations

from typing import Any

from a2a_cloud.model.problem import PushNotificationNotSupported
from a2a_cloud.model.scope import manager_scope, reader_scope
from a2a_cloud.model.stamp import stamp
from a2a_cloud.surface.api.releases import number
from a2a_cloud.surface.ports import Services
from a2a_cloud.surface.push_port import Push, PushStatus
from a2a_cloud.surface.request import Request, flag

_MAX_PAGE = 200
_MOST_NO = (1 << 53) - 1

Answer = tuple[int, Any]


async def listed(services: Services, request: Request, _values: list[str]) -> Answer:
    """`GET /api/v1/push?dead=1&limit=&cursor=`: newest first."""
    query = request.query()
    limit = number(query, "limit", 50, 1, _MAX_PAGE)
    before = number(query, "cursor", 0, 1, _MOST_NO) or None
    scope = reader_scope(request.principal, request.principal.org_no)
    page = _of(services).page(scope, dead=flag(query, "dead"), before=before, limit=limit + 1)
    shown = page[:limit]
    more = str(shown[-1].no) if len(page) > limit else ""
    return 200, {"push": [_document(each) for each in shown], "next": more}


async def retry(services: Services, request: Request, values: list[str]) -> Answer:
    """`POST /api/v1/push/{id}/retry`: goes on where it stopped, at once."""
    scope = manager_scope(request.principal, request.principal.org_no)
    return 200, _document(await _of(services).retry(scope, values[0]))


def _of(services: Services) -> Push:
    if services.push is None:
        raise PushNotificationNotSupported("This platform sends no push notifications.")
    return services.push


def _document(status: PushStatus) -> dict[str, Any]:
    ordinal, seq = status.after
    return {
        "id": status.handle,
        "task_id": status.task_id,
        "config_id": status.id,
        "agent": status.agent,
        "host": status.host,
        "state": status.state,
        "after": f"{ordinal}.{seq}",
        "attempts": status.attempts,
        "next": stamp(status.next_at) if status.next_at else None,
        "reason": status.reason,
        "created": stamp(status.created),
        "at": stamp(status.at),
    }
