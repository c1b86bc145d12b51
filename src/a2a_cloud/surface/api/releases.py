"""`/api/v1/agents/{name}/releases…`: deploys, the releases that came of them, and the pointers that say
which one serves. Changes are for admins of the agent's organisation; whoever is outside of it is told
that there is no such agent."""

from __future__ import annotations

import math
from collections.abc import Mapping
from typing import Any

import msgspec

from a2a_cloud.model.principal import DEFAULT_ORG, Permission, Principal
from a2a_cloud.model.problem import (
    AgentNotFound,
    Forbidden,
    InvalidParams,
    ReleaseNotFound,
    StorageFull,
    Unavailable,
)
from a2a_cloud.model.stamp import stamp
from a2a_cloud.surface.a2a.cards import described
from a2a_cloud.surface.api.scores import last_eval
from a2a_cloud.surface.front_names import qualified
from a2a_cloud.surface.ports import Services
from a2a_cloud.surface.registry_port import Agent, Record
from a2a_cloud.surface.request import Gone, Request, flag
from a2a_cloud.wire.a2a_v1 import read_timestamp
from a2a_cloud.wire.rubric import decimal_of

#: Seconds that a request for news waits at most.
MAX_WAIT = 25.0
MAX_BODY = 64 << 10
MAX_GRACE = 90 * 86_400.0

Answer = tuple[int, Any]
#: What a handler gives that has answered by itself.
ANSWERED: Answer = (0, None)


# --- deploys --------------------------------------------------------------------------------------------


async def deploy(services: Services, request: Request, values: list[str]) -> Answer:
    """`POST …/releases?force=&upgrade=&promote=`: an archive in, a release that is being made out."""
    principal, name = request.principal, values[0]
    _may_change(principal)
    org, dot, bare = name.partition(".")
    if dot and org != principal.org:
        raise AgentNotFound.of(name)
    query = request.query()
    wish = services.deploys.wish(
        by=principal.label,
        force=flag(query, "force"),
        upgrade=flag(query, "upgrade"),
        promote=flag(query, "promote") if "promote" in query else True,
    )
    expected = dict(request.scope["headers"]).get(b"a2a-source-digest", b"").decode("latin-1")
    upload = services.deploys.upload()
    try:
        await _receive(request, upload.write)
        record = await services.deploys.archive(
            upload, bare if dot else name, expected, principal.org_no, principal.org, wish
        )
    finally:
        upload.close()
    agent = services.registry.agent(f"{principal.org}.{bare if dot else name}", principal.org_no)
    return (200 if record.ready else 202), document(services, agent, record, request.base)


async def _receive(request: Request, write: Any) -> None:
    more = True
    while more:
        message = await request.receive()
        if message["type"] != "http.request":
            raise Gone
        try:
            write(message.get("body", b""))
        except OSError as error:
            raise StorageFull("There is no room for the archive.", operator=str(error)) from error
        more = message.get("more_body", False)


async def listed(services: Services, request: Request, values: list[str]) -> Answer:
    """`GET …/releases?limit=&before=`: newest first."""
    agent = found_agent(services, request, values[0])
    query = request.query()
    limit = number(query, "limit", 50, 1, 500)
    before = number(query, "before", 1 << 30, 1, 1 << 30)
    numbers = sorted((one for one in agent.records if one < before), reverse=True)[:limit]
    return 200, {
        "agent": agent.name,
        "serving": agent.serving.number if agent.serving is not None else None,
        "canary": canary(agent),
        "majors": [
            {
                "major": number,
                "release": major.release.number,
                "until": stamp(major.until) if major.until is not None else None,
            }
            for number, major in sorted(agent.majors.items())
        ],
        "deleted": stamp(agent.deleted) if agent.deleted is not None else None,
        "releases": [document(services, agent, agent.records[number], request.base) for number in numbers],
    }


async def one(services: Services, request: Request, values: list[str]) -> Answer:
    """`GET …/releases/{n}?after=&wait=`: a release and the lines of its deploy after that number."""
    agent = found_agent(services, request, values[0])
    record = release_record(agent, values[1])
    query = request.query()
    after = number(query, "after", 0, 0, 1 << 30)
    wait = seconds(query, "wait")
    if wait:
        await services.deploys.wait(record, after, wait)
    found = document(services, agent, record, request.base)
    found["progress"] = [
        {"no": line.no, "at": stamp(line.at), "step": line.step, "level": line.level, "message": line.message}
        for line in record.progress[after:]
    ]
    return 200, found


def document(services: Services, agent: Agent, record: Record, origin: str) -> dict[str, Any]:
    """A release as programs read it."""
    release, notes = record.release, record.notes
    url = f"{origin}/agents/{qualified(release)}"
    scheme, _, host = origin.partition("://")
    name, colon, port = host.rpartition(":") if not host.endswith("]") else (host, "", "")
    local = (name or port) in ("localhost", "127.0.0.1", "[::1]")
    preview = f"{scheme}://{release.number}--{qualified(release)}." + (
        f"localhost{colon}{port if colon else ''}" if local else host
    )
    cause = notes.cause
    return {
        "agent": release.name,
        "org": release.org,
        "release": release.number,
        "state": record.state.value,
        "step": record.step,
        "serving": agent.serving is not None and agent.serving.no == release.no,
        "weight": _weight(agent, release.no),
        "digest": release.digest,
        "source_digest": release.source,
        "version": release.manifest.version,
        "major": release.major,
        "created": stamp(record.created),
        "ended": stamp(record.ended) if record.ended is not None else None,
        "by": record.by,
        "size": notes.size,
        "files": notes.files,
        "environment": {"digest": release.environment, "python": notes.python, "packages": notes.packages}
        if release.environment
        else None,
        "sandbox": services.sandbox._asdict(),
        "isolation": release.manifest.sandbox.isolation,
        "require": release.manifest.sandbox.require,
        "skills": [spec.id for spec in release.skills],
        "findings": notes.findings,
        "changes": notes.changes,
        "cause": msgspec.to_builtins(cause) if cause is not None else None,
        "eval": last_eval(services, release) if record.ready else None,
        "url": url,
        "preview_url": preview,
        "docs_url": f"{preview}/docs",
    }


def _weight(agent: Agent, no: int) -> int:
    if agent.canary is not None and agent.canary.no == no:
        return agent.weight
    if agent.serving is not None and agent.serving.no == no:
        return 100 - (agent.weight if agent.canary is not None else 0)
    return 0


def canary(agent: Agent) -> dict[str, Any] | None:
    """The share of new calls that goes to another release than the one that serves."""
    return {"release": agent.canary.number, "weight": agent.weight} if agent.canary is not None else None


# --- what a release is made of --------------------------------------------------------------------------


async def part(services: Services, request: Request, values: list[str]) -> Answer:
    """`GET …/releases/{n}/{source|sbom|provenance|lock|card}`."""
    agent = found_agent(services, request, values[0], change=values[2] != "card")
    record = release_record(agent, values[1])
    if values[2] == "card" and record.ready:
        base = f"{request.base}/agents/{qualified(record.release)}"
        return 200, described(services, record.release, base)
    found = await services.parts.part(values[2], record)
    if found is None:
        raise ReleaseNotFound(
            f"Release {record.number} of {agent.name} has no {values[2][:40]}.",
            remedy="It has: source, sbom, provenance, lock, card; the last four once it is ready.",
        )
    body, kind = found
    await request.answer(200, body, kind.encode(), [(b"cache-control", b"no-store")])
    return ANSWERED


async def difference(services: Services, request: Request, values: list[str]) -> Answer:
    """`GET …/diff?from=&to=`."""
    agent = found_agent(services, request, values[0], change=True)
    query = request.query()
    old = release_record(agent, query.get("from", ""))
    new = release_record(agent, query.get("to", ""))
    found = await services.parts.difference(old, new)
    return 200, {"agent": agent.name, "from": old.number, "to": new.number, **found}


# --- pointers -------------------------------------------------------------------------------------------


async def rollback(services: Services, request: Request, values: list[str]) -> Answer:
    """`POST …/rollback`: a pointer moves, nothing is built."""
    agent = found_agent(services, request, values[0], change=True)
    body = await _body(request)
    number = body.get("release")
    if number is None:
        target = services.registry.before(agent)
    else:
        target = services.registry.release(agent, _whole(number, "release"))
    before = agent.serving.number if agent.serving is not None else None
    await services.registry.serve(target, by=request.principal.label)
    return 200, {"agent": agent.name, "from": before, "to": target.number}


async def promote(services: Services, request: Request, values: list[str]) -> Answer:
    """`POST …/promote {release, weight?, gate?}`: all new calls, or a share of them, go to a release; with
    `gate`, from 0 to 1, only if its score by its own rubric is that good."""
    agent = found_agent(services, request, values[0], change=True)
    body = await _body(request)
    target = services.registry.release(agent, _whole(body.get("release"), "release"))
    weight = _whole(body.get("weight", 100), "weight")
    if not 0 <= weight <= 100:
        raise InvalidParams("The weight is a percentage from 0 to 100.", info={"field": "weight"})
    gate = body.get("gate")
    if gate is not None:
        if isinstance(gate, bool) or not isinstance(gate, int | float) or not 0 <= gate <= 1:
            raise InvalidParams("gate is a number from 0 to 1.", info={"field": "gate"})
        if services.evals is None:
            raise Unavailable("There are no evals here.", remedy="Promote it without a gate.")
        services.evals.check_gate(target, decimal_of(gate))
    before = agent.serving.number if agent.serving is not None else None
    if weight == 100 or agent.serving is None or agent.serving.no == target.no:
        if agent.serving is not None and agent.serving.no == target.no and weight < 100:
            raise InvalidParams(
                f"Release {target.number} is the one that serves.",
                remedy="Give the share to another release.",
                info={"field": "release"},
            )
        await services.registry.serve(target, by=request.principal.label)
    else:
        by = request.principal.label
        await services.registry.share(agent, target if weight else None, weight, by=by)
    return 200, {"agent": agent.name, "from": before, "to": target.number, "weight": weight}


async def deprecate(services: Services, request: Request, values: list[str]) -> Answer:
    """`POST …/deprecate`: a major version ends at a time, or doesn't."""
    agent = found_agent(services, request, values[0], change=True)
    body = await _body(request)
    until = body.get("until")
    if until is not None and not isinstance(until, str):
        raise InvalidParams('until is a time such as "2027-01-31T00:00:00Z".', info={"field": "until"})
    at = read_timestamp(until, "until") if until is not None else None
    major = _whole(body.get("major"), "major")
    await services.registry.deprecate(agent, major, at, by=request.principal.label)
    return 200, {"agent": agent.name, "major": major, "until": stamp(at) if at is not None else None}


async def delete(services: Services, request: Request, values: list[str]) -> Answer:
    """`DELETE /agents/{name}?grace=`: no new calls, gone for good after `grace` seconds."""
    agent = found_agent(services, request, values[0], change=True)
    grace = number(request.query(), "grace", 86_400, 0, int(MAX_GRACE))
    await services.registry.delete(agent, float(grace), by=request.principal.label)
    assert agent.deleted is not None
    assert agent.delete_at is not None
    return 200, {"agent": agent.name, "deleted": stamp(agent.deleted), "until": stamp(agent.delete_at)}


async def restore(services: Services, request: Request, values: list[str]) -> Answer:
    """`POST …/restore`: takes a deletion back."""
    agent = found_agent(services, request, values[0], change=True)
    await services.registry.restore(agent, by=request.principal.label)
    serving = agent.serving.number if agent.serving is not None else None
    return 200, {"agent": agent.name, "deleted": None, "serving": serving}


# --- variables ------------------------------------------------------------------------------------------


async def variables(services: Services, request: Request, values: list[str]) -> Answer:
    """`GET …/env`."""
    agent = found_agent(services, request, values[0], change=True)
    rows = services.variables.rows(agent)
    return 200, {"env": [{"name": row.name, "value": row.value, "at": stamp(row.at)} for row in rows]}


async def put_variable(services: Services, request: Request, values: list[str]) -> Answer:
    """`PUT …/env/{NAME}`: set it, and give the agent fresh workers."""
    agent = found_agent(services, request, values[0], change=True)
    value = (await _body(request)).get("value")
    if not isinstance(value, str):
        raise InvalidParams("value has to be a text.", info={"field": "value"})
    await services.variables.put(agent, values[1], value, by=request.principal.label)
    services.renew(agent.no)
    return 200, {"name": values[1], "value": value}


async def drop_variable(services: Services, request: Request, values: list[str]) -> Answer:
    """`DELETE …/env/{NAME}`."""
    agent = found_agent(services, request, values[0], change=True)
    await services.variables.drop(agent, values[1], by=request.principal.label)
    services.renew(agent.no)
    return 200, {"name": values[1], "value": None}


# --- what requests say ----------------------------------------------------------------------------------


def _may_change(principal: Principal) -> None:
    if not principal.may(Permission.DEPLOY):
        raise Forbidden(
            "Agents, and what they are made of, are for who deploys them.",
            remedy="Use a key of a developer or admin.",
            info={"permission": Permission.DEPLOY.value},
        )


def found_agent(services: Services, request: Request, name: str, *, change: bool = False) -> Agent:
    """An agent of the caller's organisation. Raises AgentNotFound, Forbidden."""
    principal = request.principal
    try:
        agent = services.registry.agent(name, principal.org_no)
    except AgentNotFound:
        if "." in name or principal.org == DEFAULT_ORG:
            raise
        agent = services.registry.agent(f"{principal.org}.{name}", principal.org_no)
    if change:
        _may_change(principal)
    return agent


def release_record(agent: Agent, number: str) -> Record:
    """A release by its number, `latest` or `serving`. Raises ReleaseNotFound."""
    record = (
        agent.records.get(int(number)) if number.isascii() and number.isdigit() and len(number) < 10 else None
    )
    if number == "latest":
        record = agent.latest
    if number == "serving" and agent.serving is not None:
        record = agent.records.get(agent.serving.number)
    if record is None:
        raise ReleaseNotFound(
            f"{agent.name} has no release {number[:20] or '(none was named)'}.",
            remedy=f"See `a2a releases {agent.name}`.",
        )
    return record


async def _body(request: Request) -> Mapping[str, Any]:
    request.expect_json()
    raw = await request.body(MAX_BODY)
    try:
        body: Any = msgspec.json.decode(raw or b"{}")
    except (msgspec.MsgspecError, RecursionError, UnicodeDecodeError):
        body = None
    if not isinstance(body, dict):
        raise InvalidParams("The body has to be a JSON object.")
    return body  # pyright: ignore[reportUnknownVariableType]


def _whole(value: Any, field: str) -> int:
    if not isinstance(value, int) or isinstance(value, bool):
        raise InvalidParams(f"{field} has to be a whole number.", info={"field": field})
    return value


def number(query: Mapping[str, str], name: str, default: int, least: int, most: int) -> int:
    """A whole number of the query. Raises InvalidParams."""
    text = query.get(name, "")
    if not text:
        return default
    if not (text.isascii() and text.isdigit() and len(text) < 12 and least <= int(text) <= most):
        raise InvalidParams(f"{name} has to be a whole number from {least} to {most}.", info={"field": name})
    return int(text)


def seconds(query: Mapping[str, str], name: str) -> float:
    """How long a request may wait, MAX_WAIT at most. Raises InvalidParams."""
    try:
        value = float(query.get(name, "") or 0)
    except ValueError:
        value = math.nan
    if not 0 <= value <= 3600:
        raise InvalidParams(f"{name} has to be a number of seconds.", info={"field": name})
    return min(value, MAX_WAIT)
