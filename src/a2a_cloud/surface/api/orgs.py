"""`/api/v1/orgs`: organisations, and the tokens of their directories; `/api/v1/access`: who may call what."""

from __future__ import annotations

from typing import Any

from msgspec import Struct

from a2a_cloud.model.org import Org
from a2a_cloud.model.principal import Permission, Role
from a2a_cloud.model.problem import AgentNotFound, Forbidden, InvalidParams, Unavailable
from a2a_cloud.model.stamp import stamp
from a2a_cloud.surface.api.bodies import read_body
from a2a_cloud.surface.calls import find_skill
from a2a_cloud.surface.front_names import qualified
from a2a_cloud.surface.orgs_port import Organisations, ScimToken
from a2a_cloud.surface.ports import Services
from a2a_cloud.surface.request import Request

Answer = tuple[int, Any]


class _NewOrg(Struct, forbid_unknown_fields=True):
    name: str
    owner: str = ""


class _NewToken(Struct, forbid_unknown_fields=True):
    role: str = Role.MEMBER


async def listed(services: Services, request: Request, _values: list[str]) -> Answer:
    """`GET /api/v1/orgs`: one's own; all for who runs the platform."""
    return 200, {"orgs": [_document(*each) for each in of(services).orgs.listed(request.principal)]}


async def make(services: Services, request: Request, _values: list[str]) -> Answer:
    """`POST /api/v1/orgs {name, owner?}`."""
    wanted = await read_body(request, _NewOrg, '{"name", "owner"?: E-MAIL}')
    return 201, _document(await of(services).orgs.make(request.principal, wanted.name, wanted.owner), "")


async def one(services: Services, request: Request, values: list[str]) -> Answer:
    """`GET /api/v1/orgs/{name}`."""
    org = of(services).orgs.one(request.principal, values[0])
    return 200, _document(org, "")


async def tokens(services: Services, request: Request, values: list[str]) -> Answer:
    """`GET /api/v1/orgs/{name}/scim`."""
    org = of(services).orgs.one(request.principal, values[0])
    found = of(services).scim.tokens(request.principal, org.no)
    return 200, {"tokens": [_token(each) for each in found], "url": f"{request.base}/scim/v2"}


async def make_token(services: Services, request: Request, values: list[str]) -> Answer:
    """`POST /api/v1/orgs/{name}/scim {role?}`: a token, shown this once."""
    wanted = await read_body(request, _NewToken, '{"role"?: what those get whom the directory brings}')
    org = of(services).orgs.one(request.principal, values[0])
    made, secret = await of(services).scim.make_token(request.principal, org.no, wanted.role)
    return 201, {**_token(made), "token": secret, "url": f"{request.base}/scim/v2"}


async def drop_token(services: Services, request: Request, values: list[str]) -> Answer:
    """`DELETE /api/v1/orgs/{name}/scim/{id}`."""
    org = of(services).orgs.one(request.principal, values[0])
    await of(services).scim.drop_token(request.principal, org.no, values[1])
    return 200, {"id": values[1], "removed": True}


async def access(services: Services, request: Request, _values: list[str]) -> Answer:
    """`GET /api/v1/access?agent=&skill=&principal=`: who may call it, and why."""
    query = request.query()
    name, principal = query.get("agent", ""), request.principal
    if not name:
        raise InvalidParams(
            "agent is missing.", remedy="Send ?agent=NAME&skill=SKILL.", info={"field": "agent"}
        )
    release = services.registry.serving(name)
    if not release.open_to(principal):
        raise AgentNotFound.of(name)
    skill = query.get("skill", "")
    spec = find_skill(release.seen_by(principal.anonymous), skill) if skill else None
    found, whole = of(services).access.explain(principal, release, spec, query.get("principal", ""))
    return 200, {
        "agent": qualified(release),
        "skill": skill,
        "visibility": list(release.manifest.visible_to) or release.manifest.visibility.value,
        "requires": spec.scopes if spec is not None else [],
        "callers": [
            {
                "who": each.who,
                "via": each.via,
                "role": each.role,
                "allowed": each.allowed,
                "why": each.why,
                "rules": [rule._asdict() for rule in each.rules],
            }
            for each in found
        ],
        "complete": whole,
    }


def of(services: Services) -> Organisations:
    """Raises Unavailable on a platform that has none."""
    if services.orgs is None:
        raise Unavailable("This platform has no organisations.", remedy="Start it with `a2a up`.")
    return services.orgs


def org_of(services: Services, request: Request) -> Org:
    """The organisation that a request is about: `?org=` for who runs the platform, else the caller's own.
    Raises NotFound, Forbidden."""
    name = request.query().get("org", "") or request.principal.org
    if name != request.principal.org and not request.principal.may(Permission.MANAGE_PLATFORM):
        raise Forbidden("Other organisations are for who runs the platform.", remedy="Leave org out.")
    return of(services).orgs.one(request.principal, name)


def _document(org: Org, role: str) -> dict[str, Any]:
    return {"name": org.name, "created": stamp(org.created), **({"role": role} if role else {})}


def _token(token: ScimToken) -> dict[str, Any]:
    return {"id": token.id, "role": token.role, "created": stamp(token.created), "by": token.by}
