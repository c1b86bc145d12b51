"""`/api/v1/sessions` and `/api/v1/links`: browsers' sessions of people, and links that let somebody in. A
link's address is in one answer only, the one that makes it."""

from __future__ import annotations

from typing import Any

from msgspec import Struct

from a2a_cloud.model.problem import InvalidParams, NotFound, Problem, Unavailable
from a2a_cloud.model.stamp import stamp
from a2a_cloud.surface.api.bodies import read_body
from a2a_cloud.surface.people.port import Link, People, Session
from a2a_cloud.surface.ports import Services
from a2a_cloud.surface.request import Request

Answer = tuple[int, Any]


class NewLink(Struct, forbid_unknown_fields=True):
    """The body of `POST /api/v1/links`. `kind`: admin, invite (with `email`, `role` and `org`, the caller's
    own without), recover (with `email`)."""

    kind: str
    email: str = ""
    role: str = "member"
    org: str = ""
    mail: bool = True


async def sessions(services: Services, request: Request, _values: list[str]) -> Answer:
    """`GET /api/v1/sessions?account=EMAIL`: one's own, or a member's."""
    people = _people(services)
    account = people.governed(request.principal, request.query().get("account", ""))
    return 200, {
        "account": account.email,
        "sessions": [_session(each) for each in people.sessions.listed(account.id)],
    }


async def end_session(services: Services, request: Request, values: list[str]) -> Answer:
    """`DELETE /api/v1/sessions/{id}?account=EMAIL`."""
    people = _people(services)
    account = people.governed(request.principal, request.query().get("account", ""))
    if not await people.end_of(request.principal, account, values[0]):
        raise NotFound(f"There is no session {values[0][:60]!a}.", remedy="See `a2a sessions ls`.")
    return 200, {"id": values[0], "ended": True}


async def end_sessions(services: Services, request: Request, _values: list[str]) -> Answer:
    """`DELETE /api/v1/sessions?account=EMAIL`: all of them."""
    people = _people(services)
    account = people.governed(request.principal, request.query().get("account", ""))
    await people.end_of(request.principal, account, "")
    return 200, {"account": account.email, "ended": True}


async def links(services: Services, request: Request, _values: list[str]) -> Answer:
    """`GET /api/v1/links`."""
    found = _people(services).links_of(request.principal)
    now = services.clock.now()
    return 200, {"links": [_link(each, now) for each in found]}


async def make_link(services: Services, request: Request, _values: list[str]) -> Answer:
    """`POST /api/v1/links`."""
    people, by = _people(services), request.principal
    wanted = await read_body(request, NewLink, '{"kind": "invite", "email": ADDRESS, "role"?, "org"?}')
    if wanted.kind == "admin":
        link, token = await people.invite_admin(by)
    elif wanted.kind == "invite":
        link, token = await people.invite(by, wanted.org, wanted.email, wanted.role)
    elif wanted.kind == "recover":
        link, token = await people.recovery(by, wanted.email)
    else:
        raise InvalidParams("A link is of the kind admin, invite or recover.", info={"field": "kind"})
    path = "recover" if wanted.kind == "recover" else "invite"
    address = f"{services.base_url}/{path}/{token}"
    mailed, why = False, ""
    if wanted.mail:
        try:
            mailed = await people.mail(link, address)
        except Problem as problem:
            why = problem.sentence  # The link is made, and can be given by hand.
    document = {**_link(link, services.clock.now()), "url": address, "mailed": mailed}
    if why:
        document["mail_problem"] = why
    return 201, document


async def drop_link(services: Services, request: Request, values: list[str]) -> Answer:
    """`DELETE /api/v1/links/{id}`."""
    await _people(services).drop_link(request.principal, values[0])
    return 200, {"id": values[0], "ended": True}


def _people(services: Services) -> People:
    if services.people is None:
        raise Unavailable("This platform has no accounts of people.")
    return services.people


def _session(one: Session) -> dict[str, Any]:
    return {
        "id": one.id,
        "org": one.org,
        "method": one.method,
        "agent": one.agent,
        "address": one.address,
        "created": stamp(one.created),
        "seen": stamp(one.seen),
        "ends": stamp(one.ends),
    }


def _link(one: Link, now: float) -> dict[str, Any]:
    state = "used" if one.used is not None else "open" if now < one.ends else "ended"
    return {
        "id": one.id,
        "kind": one.kind,
        "org": one.org,
        "role": one.role,
        "email": one.email,
        "state": state,
        "created": stamp(one.created),
        "ends": stamp(one.ends),
        "by": one.made_by,
    }
