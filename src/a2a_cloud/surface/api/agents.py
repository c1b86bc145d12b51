"""`/api/v1/agents`: what serves here, as programs read it."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from typing import Any

from a2a_cloud.model.principal import Permission
from a2a_cloud.model.problem import AgentNotFound, Forbidden, InvalidParams
from a2a_cloud.model.release import Release
from a2a_cloud.model.stamp import stamp
from a2a_cloud.surface.accounting_port import price_of
from a2a_cloud.surface.api.registry import facts
from a2a_cloud.surface.api.releases import canary, found_agent, number, release_record, seconds
from a2a_cloud.surface.front_names import qualified
from a2a_cloud.surface.ports import Services
from a2a_cloud.surface.request import Request
from a2a_cloud.surface.runs_port import LogLine
from a2a_cloud.wire.a2a_v1 import read_timestamp

LEVELS = ("debug", "info", "warning", "error")


async def listed(services: Services, request: Request, _values: list[str]) -> tuple[int, Any]:
    """`GET /api/v1/agents`."""
    anonymous = request.principal.anonymous
    releases = [release.seen_by(anonymous) for release in services.registry.agents(request.principal)]
    return 200, {"agents": [_summary(release, request.base) for release in releases]}


async def one(services: Services, request: Request, values: list[str]) -> tuple[int, Any]:
    """`GET /api/v1/agents/{name}`."""
    release = _seen(services, request, values[0])
    document = _summary(release, request.base) | facts(services, release, request.principal)
    document["skills"] = [
        {
            "id": spec.id,
            "name": spec.name,
            "description": spec.description,
            "tags": spec.tags,
            "examples": spec.examples,
            "input_schema": spec.input_schema,
            "output_schema": spec.output_schema,
            "input_modes": spec.input_modes,
            "output_modes": spec.output_modes,
            "files": [
                {
                    "name": param.name,
                    "required": param.required,
                    "many": param.many,
                    "media_types": param.media_types,
                    "description": param.description,
                }
                for param in spec.files
            ],
            "text_param": spec.text_param,
            "timeout": spec.timeout,
            "retries": spec.retries,
            "idempotent": spec.idempotent,
            "durable": spec.durable,
            "replayable": spec.replayable,
            "concurrency": spec.concurrency,
            "streams": spec.streams,
            "price": price_of(services.accounting, release, spec.id),
        }
        for spec in release.skills
    ]
    limits = release.manifest.limits
    document["limits"] = {name: getattr(limits, name) for name in limits.__struct_fields__}
    document["default_skill"] = release.manifest.default_skill
    document["message_handler"] = release.has_message_handler
    if release.has_message_handler:
        document["message_price"] = price_of(services.accounting, release, "")
    document["documentation_url"] = release.manifest.documentation_url or f"{document['url']}/docs"
    if request.principal.org_no == release.org_no:
        document["canary"] = canary(services.registry.agent(f"{release.org}.{release.name}", release.org_no))
    return 200, document


async def logs(services: Services, request: Request, values: list[str]) -> tuple[int, Any]:
    """`GET /api/v1/agents/{name}/logs?release=&run=&level=&since=&after=&limit=&wait=`: lines after that
    number, of the latest release unless another one or `all` is named. For admins of its organisation."""
    principal = request.principal
    agent = found_agent(services, request, values[0])
    if not principal.may(Permission.READ_LOGS):
        raise Forbidden("An agent's log is for admins of its organisation.", remedy="Use an admin's key.")
    query = request.query()
    wanted = query.get("release", "") or "latest"
    record = None if wanted == "all" or query.get("run") else release_record(agent, wanted)
    level, since = query.get("level", ""), query.get("since", "")
    if level and level not in LEVELS:
        raise InvalidParams(f"level is one of {', '.join(LEVELS)}.", info={"field": "level"})
    start = read_timestamp(since, "since") if since else 0.0
    after = after_line(request)
    limit = number(query, "limit", 1000, 1, 5000)
    end = services.clock.monotonic() + seconds(query, "wait")
    while True:
        found = services.runs.agent_logs(
            agent.org_no,
            agent.no,
            run_id=query.get("run", ""),
            release=record.release.no if record is not None else None,
            levels=LEVELS[LEVELS.index(level) :] if level else (),
            since=start,
            after=after,
            limit=limit,
        )
        if found or services.clock.monotonic() >= end:
            return 200, {"lines": lines(found), "release": record.number if record is not None else None}
        await asyncio.sleep(0.2)


def after_line(request: Request) -> int:
    """The number of the line that the query's `after` names, 0 for none. Raises InvalidParams."""
    after = request.query().get("after", "") or "0"
    if not after.isascii() or not after.isdigit() or len(after) > 18:
        raise InvalidParams("after has to be the number of a line.", info={"field": "after"})
    return int(after)


def lines(found: Sequence[LogLine]) -> list[dict[str, Any]]:
    """Log lines as this API shows them."""
    return [
        {
            "no": line.no,
            "at": stamp(line.at),
            "level": line.level,
            "source": line.source,
            "line": line.line,
            "run_id": line.run_id,
            "release": line.release,
        }
        for line in found
    ]


def _seen(services: Services, request: Request, name: str) -> Release:
    release = services.registry.serving(name)
    if release.open_to(request.principal):
        return release.seen_by(request.principal.anonymous)
    raise AgentNotFound.of(name)


def _summary(release: Release, origin: str) -> dict[str, Any]:
    url = f"{origin}/agents/{qualified(release)}"
    return {
        "name": release.name,
        "org": release.org,
        "version": release.manifest.version,
        "description": release.manifest.description,
        "release": release.number,
        "digest": release.digest,
        "visibility": release.manifest.visibility.value,
        "url": url,
        "card_url": f"{url}/.well-known/agent-card.json",
        "skills": [
            {"id": spec.id, "name": spec.name, "description": spec.description} for spec in release.skills
        ],
    }
