"""`/api/v1/agents/{name}/prices`: what an agent's skills cost. Who sees the agent sees its prices; those of
one's organisation are set by who handles its billing. A version never changes: what is set makes a further
one."""

from __future__ import annotations

from typing import Any

import msgspec

from a2a_cloud.model.billing import EVERY_SKILL, HANDLER, Price, Terms
from a2a_cloud.model.problem import AgentNotFound, SkillNotFound
from a2a_cloud.model.stamp import stamp
from a2a_cloud.surface.api.money import Answer, body_of, may_change, of, runs_platform
from a2a_cloud.surface.api.releases import found_agent
from a2a_cloud.surface.ports import Services
from a2a_cloud.surface.request import Request, flag

_decoder = msgspec.json.Decoder(Terms)
_EXAMPLE = '{"currency": "USD", "call": "0.05"}'


async def listed(services: Services, request: Request, values: list[str]) -> Answer:
    """`GET /api/v1/agents/{name}/prices?all=`: those that hold, with `all` every version."""
    principal, name = request.principal, values[0]
    if not services.registry.visible(name, principal):
        raise AgentNotFound.of(name)  # Whether it has such a release or not.
    release = services.registry.serving(name)
    prices = of(services).prices
    every = flag(request.query(), "all")
    found = prices.history(release.org_no, release.agent_no) if every else prices.current(release.agent_no)
    return 200, {"agent": release.name, "prices": [document(price, principal.org_no) for price in found]}


async def put(services: Services, request: Request, values: list[str]) -> Answer:
    """`PUT /api/v1/agents/{name}/prices/{skill}`, `*` for all skills without one, `message` for the message
    handler."""
    agent, name, skill = _mine(services, request, values)
    terms = await body_of(request, _decoder, _EXAMPLE)
    return await _set(services, request, agent, name, skill, terms)


async def drop(services: Services, request: Request, values: list[str]) -> Answer:
    """`DELETE`: it costs nothing from now on."""
    agent, name, skill = _mine(services, request, values)
    return await _set(services, request, agent, name, skill, None)


async def _set(
    services: Services, request: Request, agent: int, name: str, skill: str, terms: Terms | None
) -> Answer:
    principal = request.principal
    price = await of(services).prices.set(
        principal.org_no,
        agent,
        skill,
        terms,
        name=f"{name}/{skill or HANDLER}",
        by=principal.label,
        may_share=runs_platform(principal),
    )
    return 200, {"agent": name, **document(price, principal.org_no)}


def _mine(services: Services, request: Request, values: list[str]) -> tuple[int, str, str]:
    """(number and name of the agent, skill as prices name it). Raises Forbidden, AgentNotFound,
    SkillNotFound."""
    principal = request.principal
    may_change(principal)
    agent = found_agent(services, request, values[0])
    skill = values[1]
    release = agent.serving
    if skill == EVERY_SKILL or release is None or release.skill(skill) is not None:
        return agent.no, agent.name, skill
    if skill == HANDLER and release.has_message_handler:
        return agent.no, agent.name, ""
    known = ", ".join(one.id for one in release.skills)
    raise SkillNotFound(f"{agent.name} has no skill {skill[:80]!r}.", remedy=f"It has: {known}; or write *.")


def document(price: Price, org: int) -> dict[str, Any]:
    """A price as programs read it; who set it, and the platform's share, are for its own organisation."""
    told = msgspec.to_builtins(price.terms) if price.terms is not None else {"free": True}
    if price.org != org:
        told.pop("platform_share", None)
    return {
        "skill": price.skill or HANDLER,
        "version": price.version,
        "at": stamp(price.at),
        **({"by": price.by} if price.org == org else {}),
        **({"model": price.terms.model, "scale": price.scale} if price.terms is not None else {}),
        **told,
    }
