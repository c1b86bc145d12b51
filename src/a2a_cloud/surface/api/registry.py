"""`/api/v1/search`, and what the control API tells of an agent beside its card: tags, owner, health, usage.

The same query and the same answer serve the platform's own agent (surface/platform_agent).
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from a2a_cloud.model.principal import ANONYMOUS, Principal
from a2a_cloud.model.problem import InvalidParams, Unavailable
from a2a_cloud.model.release import Release, SkillSpec
from a2a_cloud.model.search import MAX_FOUND, AgentFound, By, Found, Query
from a2a_cloud.model.stamp import stamp
from a2a_cloud.surface.accounting_port import price_of
from a2a_cloud.surface.api.scores import last_eval
from a2a_cloud.surface.front_names import qualified
from a2a_cloud.surface.ports import Services
from a2a_cloud.surface.request import Request
from a2a_cloud.surface.search_port import Search
from a2a_cloud.wire.json_text import readable

#: What a query names besides its text, and how it may be compared.
FILTERS = ("parameter", "accepts", "returns", "mode", "tag")
_KNOWN = frozenset({"q", "by", "limit", *FILTERS})
#: Seconds that an answer may wait for the model, when it is wanted and when nothing else will do.
PATIENCE = 2.0
_PATIENT = 20.0
_MOST_SIGNS = 200


async def search(services: Services, request: Request, _values: list[str]) -> tuple[int, Any]:
    """`GET /api/v1/search?q=&by=&parameter=&accepts=&returns=&mode=&tag=&limit=`: agents that the caller
    sees, best first; anybody may search among the public ones."""
    given = request.query()
    unknown = sorted(given.keys() - _KNOWN)
    if unknown:
        raise InvalidParams(
            f"A search has no {readable(unknown[0])}.",
            remedy=f"It has {', '.join(sorted(_KNOWN))}.",
            info={"field": unknown[0]},
        )
    limit = given.get("limit", "") or "10"
    query = read_query(
        given.get("q", ""),
        given,
        by=given.get("by", ""),
        limit=int(limit) if limit.isascii() and limit.isdigit() and len(limit) < 6 else 0,
    )
    found = await served(services).find(query, request.principal)
    return 200, {"query": query.text, **found_document(services, found, request.base, request.principal)}


def served(services: Services) -> Search:
    """The search. Raises Unavailable."""
    if services.search is None:
        raise Unavailable("There is no search here.")
    return services.search


def read_query(text: str, filters: Mapping[str, Any], *, by: str = "", limit: int = 10) -> Query:
    """A query out of what a caller said. Raises InvalidParams."""
    if by not in ("", *By):
        raise InvalidParams(f"by is one of {', '.join(By)}.", info={"field": "by"})
    if not 1 <= limit <= MAX_FOUND:
        raise InvalidParams(f"limit is from 1 to {MAX_FOUND}.", info={"field": "limit"})
    values: dict[str, str] = {}
    for name in FILTERS:
        values[name] = str(filters.get(name, ""))
        if len(values[name]) > _MOST_SIGNS:
            raise InvalidParams(
                f"{name} is longer than {_MOST_SIGNS} characters.",
                remedy="Name one thing in each filter.",
                info={"field": name},
            )
    how = By(by or By.BOTH)
    patience = _PATIENT if how is By.MEANING else PATIENCE
    return Query(text, how, limit=limit, patience=patience, **values)


def found_document(
    services: Services, found: Found, origin: str, principal: Principal = ANONYMOUS
) -> dict[str, Any]:
    """What was found, as programs read it; `principal` hears more of their own organisation's agents."""
    return {
        "agents": [_agent(services, one, origin, principal) for one in found.agents],
        "total": found.total,
        "meaning": found.meaning.value,
    }


def _agent(services: Services, found: AgentFound, origin: str, principal: Principal) -> dict[str, Any]:
    release = found.release
    url = f"{origin}/agents/{qualified(release)}"
    document: dict[str, Any] = {
        "name": qualified(release),
        "version": release.manifest.version,
        "description": release.manifest.description,
        "url": url,
        "card_url": f"{url}/.well-known/agent-card.json",
        "skills": [
            {
                "id": one.spec.id,
                "name": one.spec.name,
                "description": one.spec.description,
                "tags": tags_of(one.spec),
                "score": one.score,
                "price": price_of(services.accounting, release, one.spec.id),
            }
            for one in found.skills
        ],
        "score": found.score,
    }
    standing = services.standing
    if standing is not None:
        document["health"] = standing.health(release)[0].value
    if principal.org_no == release.org_no:
        document["eval"] = last_eval(services, release)
    return document


def tags_of(spec: SkillSpec) -> list[str]:
    """A skill's tags, without those that only MCP reads."""
    return [tag for tag in spec.tags if not tag.startswith("mcp:")]


def facts(services: Services, release: Release, principal: Principal) -> dict[str, Any]:
    """What is known of an agent. Who made its release, why it fails and how it is used is its organisation's
    business."""
    manifest = release.manifest
    document: dict[str, Any] = {"tags": sorted({tag for spec in release.skills for tag in tags_of(spec)})}
    if manifest.provider_name:
        document["provider"] = {"name": manifest.provider_name, "url": manifest.provider_url}
    own = principal.org_no == release.org_no
    if own:
        record = services.registry.agent(f"{release.org}.{release.name}", release.org_no).records.get(
            release.number
        )
        document["owner"] = record.by if record is not None else ""
        document["created"] = stamp(release.created)
        document["eval"] = last_eval(services, release)
    standing = services.standing
    if standing is not None:
        health, why = standing.health(release)
        document["health"] = {"state": health.value, "reason": why if own else ""}
        if own:
            used = standing.usage(release)
            document["usage"] = used and {
                "runs": used.runs,
                "failed": used.failed,
                "p50_seconds": used.p50,
                "since": stamp(used.since),
            }
    return document
