"""`/api/v1/audit`: what was changed, by whom and when; and what became of grants."""

from __future__ import annotations

from typing import Any

import msgspec

from a2a_cloud.model.org import Change
from a2a_cloud.model.principal import Permission
from a2a_cloud.model.problem import Forbidden, Unavailable
from a2a_cloud.model.stamp import stamp
from a2a_cloud.surface.api.releases import number
from a2a_cloud.surface.ports import Services
from a2a_cloud.surface.request import Request, flag
from a2a_cloud.wire.a2a_v1 import read_timestamp


async def listed(services: Services, request: Request, _values: list[str]) -> tuple[int, Any]:
    """`GET /api/v1/audit?kind=&by=&since=&until=&changes=&run=&grant=&after=&limit=`: events of the
    organisation, those after a number, else the newest. `changes=1`, and whatever else narrows but a run or a
    grant: only what is of no run."""
    if not request.principal.may(Permission.READ_AUDIT):
        raise Forbidden(
            "The audit log is for auditors and admins.",
            remedy="Use a key of theirs.",
            info={"permission": Permission.READ_AUDIT.value},
        )
    query = request.query()
    since, until = query.get("since", ""), query.get("until", "")
    if services.audit is None:
        raise Unavailable("This platform has no audit log.", remedy="Start it with `a2a up`.")
    found = services.audit.events(
        request.principal.org_no,
        kind=query.get("kind", ""),
        by=query.get("by", ""),
        changes=flag(query, "changes"),
        run=query.get("run", ""),
        grant=query.get("grant", ""),
        since=read_timestamp(since, "since") if since else 0.0,
        until=read_timestamp(until, "until") if until else 0.0,
        after=number(query, "after", 0, 0, 99_999_999_999),
        limit=number(query, "limit", 100, 1, 1000),
    )
    return 200, {"events": [_event(each) for each in found]}


def _event(event: Change) -> dict[str, Any]:
    document: dict[str, Any] = {
        "no": event.no,
        "at": stamp(event.at),
        "kind": event.kind,
        "caller": event.caller,
        "target": event.target,
    }
    if event.detail:
        document["detail"] = msgspec.Raw(event.detail.encode())
    if event.run or event.grant:
        document |= {
            "run": event.run,
            "grant": event.grant,
            "root": event.root,
            "blocks": event.blocks,
            "operation": event.operation,
        }
    return {**document, "allowed": event.allowed, "reason": event.reason}
