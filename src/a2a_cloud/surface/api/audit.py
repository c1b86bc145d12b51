"""`/api/v1/audit`: what was changed, by whom and when; and what became of grants."""

from __future__ import annotations

from typing import Any

import msgspec

from a2a_cloud.model.org import Change
from a2a_cloud.model.problem import Unavailable
from a2a_cloud.model.stamp import stamp
from a2a_cloud.surface.api.log import which
from a2a_cloud.surface.api.releases import number
from a2a_cloud.surface.ports import Services
from a2a_cloud.surface.request import Request, flag
from a2a_cloud.wire.a2a_v1 import read_timestamp


async def listed(services: Services, request: Request, _values: list[str]) -> tuple[int, Any]:
    """`GET /api/v1/audit?kind=&by=&since=&until=&changes=&run=&grant=&after=&limit=`: events of the
    organisation, those after a number, else the newest. `changes=1`, and whatever else narrows but a run or a
    grant: only what is of no run. `words=&before=`: those that have all of these words, the newest first, and
    `before`, where to go on. `proof=1`: with what each leaf of the log is made of. `org=_platform`: the
    platform's own."""
    query = request.query()
    org, _ = which(request.principal, query.get("org", "") or request.principal.org)
    since, until = query.get("since", ""), query.get("until", "")
    if services.audit is None:
        raise Unavailable("This platform has no audit log.", remedy="Start it with `a2a up`.")
    limit = number(query, "limit", 100, 1, 1000)
    proof = flag(query, "proof")
    if "words" in query:
        before = number(query, "before", 0, 0, 99_999_999_999)
        some, more = services.audit.search(org, query["words"], before, limit)
        return 200, {"events": [_event(each, proof) for each in some], **({"before": more} if more else {})}
    found = services.audit.events(
        org,
        kind=query.get("kind", ""),
        by=query.get("by", ""),
        changes=flag(query, "changes"),
        run=query.get("run", ""),
        grant=query.get("grant", ""),
        since=read_timestamp(since, "since") if since else 0.0,
        until=read_timestamp(until, "until") if until else 0.0,
        # 0 is before all there are, and not the same as nothing.
        after=number(query, "after", 0, 0, 99_999_999_999) or (-1 if query.get("after") else 0),
        limit=limit,
    )
    return 200, {"events": [_event(each, proof) for each in found]}


def _event(event: Change, proof: bool) -> dict[str, Any]:
    document: dict[str, Any] = {
        "no": event.no,
        "index": event.index,
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
    if proof:
        document |= {"salt": event.salt.hex(), "payload": event.payload.decode()}
    return {**document, "allowed": event.allowed, "reason": event.reason}
