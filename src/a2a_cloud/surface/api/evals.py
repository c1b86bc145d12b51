"""`/api/v1/agents/{name}/evals…`: releases put to rubrics. Beginning and ending one is for who deploys; what
checks expected and got is for who reads the organisation's runs."""

from __future__ import annotations

from msgspec import Struct

from a2a_cloud.model.principal import Permission, Principal
from a2a_cloud.model.problem import Forbidden, Unavailable
from a2a_cloud.surface.api.bodies import read_body
from a2a_cloud.surface.api.releases import ANSWERED, Answer, found_agent, number, release_record, seconds
from a2a_cloud.surface.api.scores import document, score
from a2a_cloud.surface.evals_port import Evals
from a2a_cloud.surface.ports import Services
from a2a_cloud.surface.request import Request
from a2a_cloud.wire.rubric import MAX_BYTES

_SHAPE = '{"release"?, "rubric"?: TOML, "cases"?: [NAME…], "parallel"?: 1 to 16, "repeat"?: 1 to 100}'
#: A rubric as a JSON string may take six characters for one.
_MOST = MAX_BYTES * 6 + (64 << 10)


class _Begin(Struct, forbid_unknown_fields=True):
    release: int | None = None
    rubric: str | None = None
    cases: list[str] = []
    parallel: int = 4
    repeat: int = 1


async def start(services: Services, request: Request, values: list[str]) -> Answer:
    """`POST …/evals {release?, rubric?, cases?, parallel?, repeat?}`: 202 with the eval that began."""
    agent = found_agent(services, request, values[0], change=True)
    body = await read_body(request, _Begin, _SHAPE, most=_MOST)
    if body.release is None:
        release = release_record(agent, "serving").release
    else:
        release = services.registry.release(agent, body.release)
    begun = await evals(services).start(
        release,
        request.principal,
        rubric=None if body.rubric is None else body.rubric.encode(),
        cases=body.cases,
        parallel=body.parallel,
        repeat=body.repeat,
    )
    return 202, document(begun)


async def listed(services: Services, request: Request, values: list[str]) -> Answer:
    """`GET …/evals?release=&before=&limit=`: newest first."""
    agent = found_agent(services, request, values[0])
    query = request.query()
    wanted = query.get("release", "")
    found = evals(services).listed(
        agent.org_no,
        agent.no,
        release_no=release_record(agent, wanted).release.no if wanted else 0,
        before=query.get("before", "")[:100],
        limit=number(query, "limit", 50, 1, 500),
    )
    return 200, {"agent": agent.name, "evals": [document(each) for each in found]}


async def one(services: Services, request: Request, values: list[str]) -> Answer:
    """`GET …/evals/{id}?after=&wait=`: an eval, and its scores after that number."""
    agent = found_agent(services, request, values[0])
    query, office = request.query(), evals(services)
    after = number(query, "after", 0, 0, 1 << 30)
    wait = seconds(query, "wait")
    office.one(agent.org_no, agent.no, values[1])  # Whose it is, before anybody waits for it.
    if wait:
        await office.wait(values[1], after, wait)
    found = office.one(agent.org_no, agent.no, values[1])
    whole = _reads(request.principal)
    scores = [score(each, whole=whole) for each in office.scores(agent.org_no, found.id, after)]
    return 200, {**document(found), "scores": scores}


async def rubric(services: Services, request: Request, values: list[str]) -> Answer:
    """`GET …/evals/{id}/rubric`: the text that was used, byte for byte."""
    agent = found_agent(services, request, values[0])
    if not _reads(request.principal):
        raise Forbidden(
            "Rubrics are for who deploys agents or reads their runs.",
            info={"permission": Permission.READ_RUNS.value},
        )
    found = evals(services).one(agent.org_no, agent.no, values[1])
    text = evals(services).rubric(agent.org_no, found.rubric_sha256)
    await request.answer(200, text, b"application/toml", [(b"cache-control", b"no-store")])
    return ANSWERED


async def cancel(services: Services, request: Request, values: list[str]) -> Answer:
    """`POST …/evals/{id}/cancel`: its runs are canceled; what was scored stays."""
    agent = found_agent(services, request, values[0], change=True)
    return 200, document(await evals(services).cancel(agent.org_no, agent.no, values[1]))


def evals(services: Services) -> Evals:
    """The evals. Raises Unavailable."""
    if services.evals is None:
        raise Unavailable("There are no evals here.", remedy="Start the platform with `a2a up`.")
    return services.evals


def _reads(principal: Principal) -> bool:
    return principal.may(Permission.READ_RUNS) or principal.may(Permission.DEPLOY)
