"""Teams: members together, who may have a role together. A directory's groups are teams (`scim.py`)."""

from __future__ import annotations

import asyncio
from collections.abc import Collection, Sequence

import msgspec

from a2a_cloud.control.orgs import rules
from a2a_cloud.control.orgs.members import Members
from a2a_cloud.control.orgs.ports import Committer
from a2a_cloud.control.orgs.roles import Roles
from a2a_cloud.control.orgs.rows import (
    DROP_TEAM,
    EMPTY_TEAM,
    JOIN_TEAM,
    LEAVE_TEAM,
    PUT_TEAM,
    OrgRows,
)
from a2a_cloud.model.org import Team
from a2a_cloud.model.ports import Clock, Ids
from a2a_cloud.model.principal import Principal, Role
from a2a_cloud.model.problem import AlreadyExists, InvalidParams, NotFound
from a2a_cloud.model.scope import Scope
from a2a_cloud.storage.journal.port import Op
from a2a_cloud.storage.sql.audit import change

MAX_TEAMS = 1000
_MOST_NAME = 200


class Teams:
    """See the module."""

    def __init__(
        self, rows: OrgRows, journal: Committer, clock: Clock, ids: Ids, roles: Roles, members: Members
    ) -> None:
        self._rows = rows
        self._journal = journal
        self._clock = clock
        self._ids = ids
        self._roles = roles
        self._members = members
        self._lock = asyncio.Lock()

    def listed(self, org_no: int) -> list[Team]:
        """The organisation's teams, by name."""
        return self._rows.teams(Scope(org=org_no))

    def one(self, org_no: int, which: str) -> Team:
        """A team by id or name. Raises NotFound."""
        scope = Scope(org=org_no)
        team = self._rows.team(scope, which) or self._rows.team_named(scope, which)
        if team is None:
            raise NotFound(f"There is no team {which[:80]!a}.", remedy="See `a2a teams ls`.")
        return team

    async def make(
        self, by: Principal, org_no: int, name: str, *, role: str = "", external: str = ""
    ) -> Team:
        """A new team, empty. Raises Forbidden, NotFound, InvalidParams, AlreadyExists."""
        rules.check_manages(by, org_no)
        self._check_role(by, org_no, role)
        _check_name(name)
        async with self._lock:
            self._check_free(org_no, name)
            if len(self._rows.teams(Scope(org=org_no))) >= MAX_TEAMS:
                raise InvalidParams(f"An organisation has {MAX_TEAMS} teams at most.", remedy="Remove one.")
            now = self._clock.now()
            team = Team(self._ids.new("team"), org_no, name, role, external, now, now, by.label)
            await self._journal.write(
                [
                    (PUT_TEAM, msgspec.structs.astuple(team)[:8]),
                    change(org_no, now, by.label, "team.made", name, role=role),
                ]
            )
        return team

    async def change(
        self,
        by: Principal,
        org_no: int,
        which: str,
        *,
        name: str | None = None,
        role: str | None = None,
        external: str | None = None,
        members: Collection[str] | None = None,
    ) -> Team:
        """Another name, role or other members (accounts, who belong to the organisation already). Raises
        NotFound, Forbidden, InvalidParams, AlreadyExists."""
        rules.check_manages(by, org_no)
        async with self._lock:
            old = self.one(org_no, which)
            new = msgspec.structs.replace(
                old,
                name=old.name if name is None else name,
                role=old.role if role is None else role,
                external=old.external if external is None else external,
                changed=self._clock.now(),
            )
            if new.name != old.name:
                _check_name(new.name)
                self._check_free(org_no, new.name)
            # Who joins a team gets its role: that is a gift too, and who leaves it loses one.
            if new.role != old.role:
                self._check_role(by, org_no, old.role)
            if new.role != old.role or members is not None:
                self._check_role(by, org_no, new.role)
            ops = self._ops(by, old, new, members)
            await self._journal.write(ops)
        for account in {*old.members, *(members or ())}:
            self._members.forget(org_no, account)
        return self.one(org_no, new.id)

    def _ops(self, by: Principal, old: Team, new: Team, members: Collection[str] | None) -> Sequence[Op]:
        ops: list[Op] = [(PUT_TEAM, msgspec.structs.astuple(new)[:8])]
        told = {"name": (old.name, new.name), "role": (old.role, new.role)}
        changed = {what: after or "none" for what, (before, after) in told.items() if before != after}
        if changed:
            ops.append(change(old.org, new.changed, by.label, "team.changed", old.name, **changed))
        if members is None:
            return ops
        scope = Scope(org=old.org)
        for account in sorted(set(members) - set(old.members)):
            if self._rows.member(scope, account) is None:
                raise InvalidParams(f"{account[:80]!a} is no member of the organisation.")
            ops.append((JOIN_TEAM, (old.org, old.id, account)))
            who = self._members.one(old.org, account).account.email
            ops.append(change(old.org, new.changed, by.label, "team.joined", who, team=new.name))
        for account in sorted(set(old.members) - set(members)):
            ops.append((LEAVE_TEAM, (old.org, old.id, account)))
            ops += self._members.without(by, old.org, account, old.id, new.changed)
            who = self._members.one(old.org, account).account.email
            ops.append(change(old.org, new.changed, by.label, "team.left", who, team=new.name))
        return ops

    async def drop(self, by: Principal, org_no: int, which: str) -> Team:
        """The team is no more; its members stay. Raises NotFound, Forbidden."""
        rules.check_manages(by, org_no)
        async with self._lock:
            team = self.one(org_no, which)
            self._check_role(by, org_no, team.role)
            now = self._clock.now()
            ops: list[Op] = [
                (EMPTY_TEAM, (org_no, team.id)),
                (DROP_TEAM, (org_no, team.id)),
                change(org_no, now, by.label, "team.removed", team.name),
            ]
            for account in team.members:
                ops += self._members.without(by, org_no, account, team.id, now)
            await self._journal.write(ops)
        for account in team.members:
            self._members.forget(org_no, account)
        return team

    def _check_role(self, by: Principal, org_no: int, role: str) -> None:
        if not role:
            return
        if role == Role.OWNER:
            raise InvalidParams(
                "A team makes nobody an owner.", remedy="Give its members the role one by one."
            )
        rules.check_gives(by, org_no, role, self._roles.check(org_no, role))

    def _check_free(self, org_no: int, name: str) -> None:
        if self._rows.team_named(Scope(org=org_no), name) is not None:
            raise AlreadyExists(f"There is a team {name[:80]!a} already.", remedy="Choose another name.")


def _check_name(name: str) -> None:
    if not 0 < len(name) <= _MOST_NAME or not name.isprintable() or name.strip() != name:
        raise InvalidParams(
            f"The name of a team has 1 to {_MOST_NAME} characters that can be printed.",
            info={"field": "name"},
        )
