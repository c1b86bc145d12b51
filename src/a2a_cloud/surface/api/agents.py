"""`/api/v1/agents`: what serves here, as programs read it."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from a2a_cloud.model.principal import Role
from a2a_cloud.model.problem import AgentNotFound, Forbidden, InvalidParams
from a2a_cloud.model.release import Release, Visibility
from a2a_cloud.model.stamp import stamp
from a2a_cloud.surface.front_names import qualified
from a2a_cloud.surface.ports import LogLine, Services
from a2a_cloud.surface.request import Request


async def listed(services: Services, request: Request, _values: list[str]) -> tuple[int, Any]:
    """`GET /api/v1/agents`."""
    releases = services.registry.agents(request.principal)
    return 200, {"agents": [_summary(release, request.base) for release in releases]}


async def one(services: Services, request: Request, values: list[str]) -> tuple[int, Any]:
    """`GET /api/v1/agents/{name}`."""
    release = _seen(services, request, values[0])
    document = _summary(release, request.base)
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
        }
        for spec in release.skills
    ]
    limits = release.manifest.limits
    document["limits"] = {name: getattr(limits, name) for name in limits.__struct_fields__}
    document["default_skill"] = release.manifest.default_skill
    document["message_handler"] = release.has_message_handler
    return 200, document


async def logs(services: Services, request: Request, values: list[str]) -> tuple[int, Any]:
    """`GET /api/v1/agents/{name}/logs?after=`: lines after that number. For admins of its organisation."""
    release = _seen(services, request, values[0])
    principal = request.principal
    if principal.role is not Role.ADMIN or principal.org_no != release.org_no:
        raise Forbidden("An agent's log is for admins of its organisation.", remedy="Use an admin's key.")
    found = services.runs.agent_logs(release.org_no, release.agent_no, after_line(request))
    return 200, {"lines": lines(found)}


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
        }
        for line in found
    ]


def _seen(services: Services, request: Request, name: str) -> Release:
    release = services.registry.serving(name)
    if release.manifest.visibility is Visibility.PUBLIC or request.principal.org_no == release.org_no:
        return release
    raise AgentNotFound("There is no such agent.", remedy="Look at /api/v1/agents for those you may call.")


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
