"""`/api/v1/members`, `/api/v1/teams` and `/api/v1/roles`: who belongs to an organisation, and what they may
do. Members see their organisation; who manages members changes it."""

from __future__ import annotations

from typing import Any

from msgspec import Struct

from a2a_cloud.model.org import OrgRole, Team
from a2a_cloud.model.principal import PERMISSIONS, Permission
from a2a_cloud.model.problem import Forbidden
from a2a_cloud.model.stamp import stamp
from a2a_cloud.surface.api.bodies import read_body
from a2a_cloud.surface.api.orgs import of, org_of
from a2a_cloud.surface.orgs_port import Person
from a2a_cloud.surface.ports import Services
from a2a_cloud.surface.request import Request

Answer = tuple[int, Any]


class _NewMember(Struct, forbid_unknown_fields=True):
    email: str
    role: str = "member"


class _MemberChange(Struct, forbid_unknown_fields=True):
    role: str | None = None
    active: bool | None = None


class _NewTeam(Struct, forbid_unknown_fields=True):
    name: str
    role: str = ""


class _TeamChange(Struct, forbid_unknown_fields=True):
    name: str | None = None
    role: str | None = None


class _RoleBody(Struct, forbid_unknown_fields=True):
    permissions: list[str]
    description: str = ""


# --- members ----------------------------------------------------------------------------------------------


async def listed(services: Services, request: Request, _values: list[str]) -> Answer:
    """`GET /api/v1/members?org=`."""
    org = _seen(services, request)
    return 200, {"members": [_member(each) for each in of(services).members.listed(org)]}


async def add(services: Services, request: Request, _values: list[str]) -> Answer:
    """`POST /api/v1/members?org= {email, role?}`: who has an account; others get an invitation."""
    wanted = await read_body(request, _NewMember, '{"email", "role"?}')
    org = org_of(services, request)
    return 201, _member(await of(services).members.add(request.principal, org.no, wanted.email, wanted.role))


async def one(services: Services, request: Request, values: list[str]) -> Answer:
    """`GET /api/v1/members/{e-mail or account}?org=`."""
    return 200, _member(of(services).members.one(_seen(services, request), values[0]))


async def change(services: Services, request: Request, values: list[str]) -> Answer:
    """`PUT /api/v1/members/{…}?org= {role?, active?}`."""
    wanted = await read_body(request, _MemberChange, '{"role"?, "active"?: true|false}')
    org = org_of(services, request)
    changed = await of(services).members.change(
        request.principal, org.no, values[0], role=wanted.role, active=wanted.active
    )
    return 200, _member(changed)


async def remove(services: Services, request: Request, values: list[str]) -> Answer:
    """`DELETE /api/v1/members/{…}?org=`: also to leave oneself."""
    org = org_of(services, request)
    gone = await of(services).members.remove(request.principal, org.no, values[0])
    return 200, {**_member(gone), "removed": True}


# --- teams ------------------------------------------------------------------------------------------------


async def teams(services: Services, request: Request, _values: list[str]) -> Answer:
    """`GET /api/v1/teams?org=`."""
    org = _seen(services, request)
    emails = {each.account.id: each.account.email for each in of(services).members.listed(org)}
    return 200, {"teams": [_team(each, emails) for each in of(services).teams.listed(org)]}


async def make_team(services: Services, request: Request, _values: list[str]) -> Answer:
    """`POST /api/v1/teams?org= {name, role?}`."""
    wanted = await read_body(request, _NewTeam, '{"name", "role"?}')
    org = org_of(services, request)
    made = await of(services).teams.make(request.principal, org.no, wanted.name, role=wanted.role)
    return 201, _team(made, {})


async def change_team(services: Services, request: Request, values: list[str]) -> Answer:
    """`PUT /api/v1/teams/{id or name}?org= {name?, role?}`; the role "" is none."""
    wanted = await read_body(request, _TeamChange, '{"name"?, "role"?}')
    org = org_of(services, request)
    changed = await of(services).teams.change(
        request.principal, org.no, values[0], name=wanted.name, role=wanted.role
    )
    return 200, _shown(services, org.no, changed)


async def drop_team(services: Services, request: Request, values: list[str]) -> Answer:
    """`DELETE /api/v1/teams/{…}?org=`."""
    org = org_of(services, request)
    gone = await of(services).teams.drop(request.principal, org.no, values[0])
    return 200, {"name": gone.name, "removed": True}


async def join_team(services: Services, request: Request, values: list[str]) -> Answer:
    """`PUT /api/v1/teams/{…}/members/{e-mail or account}?org=`."""
    return await _moved(services, request, values, joins=True)


async def leave_team(services: Services, request: Request, values: list[str]) -> Answer:
    """`DELETE /api/v1/teams/{…}/members/{…}?org=`."""
    return await _moved(services, request, values, joins=False)


async def _moved(services: Services, request: Request, values: list[str], *, joins: bool) -> Answer:
    org, about = org_of(services, request), of(services)
    if not request.principal.may(Permission.MANAGE_MEMBERS):
        raise Forbidden("Teams are for who manages members.", info={"permission": Permission.MANAGE_MEMBERS})
    team, who = about.teams.one(org.no, values[0]), about.members.one(org.no, values[1]).account.id
    members = {*team.members, who} if joins else {*team.members} - {who}
    changed = await about.teams.change(request.principal, org.no, team.id, members=members)
    return 200, _shown(services, org.no, changed)


# --- roles ------------------------------------------------------------------------------------------------


async def roles(services: Services, request: Request, _values: list[str]) -> Answer:
    """`GET /api/v1/roles?org=`: those of every organisation, and its own; and all permissions."""
    org = _seen(services, request)
    built_in = [{"name": name, "permissions": sorted(held)} for name, held in PERMISSIONS.items()]
    return 200, {
        "roles": [*built_in, *(_role(each) for each in of(services).roles.own(org))],
        "permissions": list(Permission),
    }


async def put_role(services: Services, request: Request, values: list[str]) -> Answer:
    """`PUT /api/v1/roles/{name}?org= {permissions, description?}`."""
    wanted = await read_body(request, _RoleBody, '{"permissions": ["runs.read"], "description"?}')
    org = org_of(services, request)
    kept = await of(services).roles.put(
        request.principal, org.no, values[0], wanted.permissions, wanted.description
    )
    return 200, _role(kept)


async def drop_role(services: Services, request: Request, values: list[str]) -> Answer:
    """`DELETE /api/v1/roles/{name}?org=`."""
    org = org_of(services, request)
    await of(services).roles.drop(request.principal, org.no, values[0])
    return 200, {"name": values[0], "removed": True}


# --- documents --------------------------------------------------------------------------------------------


def _seen(services: Services, request: Request) -> int:
    """The organisation whose people may be seen: who belongs to it is for its members and who manages them,
    not for every key. Raises Forbidden, NotFound."""
    org, by = org_of(services, request), request.principal
    if by.may(Permission.MANAGE_MEMBERS) or by.may(Permission.READ_AUDIT):
        return org.no
    found = of(services).members.listed(org.no)
    if by.org_no == org.no and any(each.member.principal == by.no and each.member.active for each in found):
        return org.no
    raise Forbidden(
        "Who belongs to an organisation is for its members.",
        remedy="Sign in, or use a key of somebody who manages members.",
        info={"permission": Permission.MANAGE_MEMBERS.value},
    )


def _member(person: Person) -> dict[str, Any]:
    member, account = person.member, person.account
    return {
        "account": account.id,
        "email": account.email,
        "name": account.name,
        "role": member.role,
        "active": member.active,
        "teams": list(person.teams),
        "joined": stamp(member.created),
        "by": member.added_by,
    }


def _shown(services: Services, org_no: int, team: Team) -> dict[str, Any]:
    return _team(team, {each.account.id: each.account.email for each in of(services).members.listed(org_no)})


def _team(team: Team, emails: dict[str, str]) -> dict[str, Any]:
    return {
        "id": team.id,
        "name": team.name,
        "role": team.role,
        "members": [emails.get(account, account) for account in team.members],
        "created": stamp(team.created),
        "by": team.made_by,
    }


def _role(role: OrgRole) -> dict[str, Any]:
    return {
        "name": role.name,
        "permissions": sorted(role.permissions),
        "description": role.description,
        "created": stamp(role.created),
        "by": role.made_by,
    }
