"""Roles: those that every organisation has, and its own out of permissions. In memory once they are on disk:
every request of who has one asks."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterable

from a2a_cloud.control.orgs import rules
from a2a_cloud.control.orgs.ports import Committer
from a2a_cloud.control.orgs.rows import DROP_ROLE, PUT_ROLE, OrgRows
from a2a_cloud.model.org import OrgRole
from a2a_cloud.model.ports import Clock
from a2a_cloud.model.principal import PERMISSIONS, Principal, Role
from a2a_cloud.model.problem import InvalidParams, InvalidRequest, NotFound
from a2a_cloud.model.scope import SYSTEM, Scope
from a2a_cloud.storage.sql.audit import change

MAX_ROLES = 100


class Roles:
    """See the module. `changed` hears of organisations whose roles mean something else than before."""

    def __init__(self, rows: OrgRows, journal: Committer, clock: Clock) -> None:
        self._rows = rows
        self._journal = journal
        self._clock = clock
        self._own = {(role.org, role.name): role for role in rows.roles(SYSTEM)}
        self.changed: Callable[[int], None] = lambda _org: None

    def permissions(self, org_no: int, name: str) -> frozenset[str] | None:
        """What a role allows; None when there is none of that name."""
        if name in PERMISSIONS:
            return frozenset(PERMISSIONS[Role(name)])
        own = self._own.get((org_no, name))
        return own.permissions if own is not None else None

    def own(self, org_no: int) -> list[OrgRole]:
        """The organisation's own, by name."""
        return self._rows.roles(Scope(org=org_no))

    def check(self, org_no: int, name: str) -> frozenset[str]:
        """What a role allows. Raises InvalidParams when there is none of that name."""
        found = self.permissions(org_no, name)
        if found is None:
            names = [*PERMISSIONS, *(each.name for each in self.own(org_no))]
            raise InvalidParams(
                f"There is no role {name[:80]!a}.",
                remedy=f"Name one of {', '.join(names)}.",
                info={"field": "role"},
            )
        return found

    async def put(
        self, by: Principal, org_no: int, name: str, permissions: Iterable[str], description: str = ""
    ) -> OrgRole:
        """Make a role, or give it other permissions. Raises NotFound, Forbidden, InvalidParams."""
        rules.check_manages(by, org_no)
        rules.check_role_name(name)
        allowed = rules.check_permissions(permissions)
        if len(description) > 200 or not (description.isprintable()):
            raise InvalidParams("The description has to be one line of 200 characters at most.")
        old = self._own.get((org_no, name))
        rules.check_gives(by, org_no, "", [*allowed, *(old.permissions if old is not None else ())])
        if old is None and len(self.own(org_no)) >= MAX_ROLES:
            raise InvalidParams(f"An organisation has {MAX_ROLES} roles at most.", remedy="Remove one.")
        now = self._clock.now()
        role = OrgRole(
            org_no,
            name,
            description,
            allowed,
            old.created if old is not None else now,
            old.made_by if old is not None else by.label,
        )
        listed = sorted(allowed)
        await self._journal.write(
            [
                (PUT_ROLE, (org_no, name, description, json.dumps(listed), role.created, role.made_by)),
                change(
                    org_no,
                    now,
                    by.label,
                    "role.made" if old is None else "role.changed",
                    name,
                    permissions=listed,
                    before=sorted(old.permissions) if old is not None else None,
                ),
            ]
        )
        self._own[org_no, name] = role
        self.changed(org_no)
        return role

    async def drop(self, by: Principal, org_no: int, name: str) -> None:
        """Remove a role that nobody has. Raises NotFound, Forbidden, InvalidRequest."""
        rules.check_manages(by, org_no)
        if (org_no, name) not in self._own:
            raise NotFound(f"There is no role {name[:80]!a} of your own.", remedy="See `a2a roles ls`.")
        if self._rows.role_in_use(Scope(org=org_no), name):
            raise InvalidRequest(
                f"The role {name} is somebody's.",
                remedy="Give its members, teams and keys another one first.",
            )
        await self._journal.write(
            [(DROP_ROLE, (org_no, name)), change(org_no, self._clock.now(), by.label, "role.removed", name)]
        )
        del self._own[org_no, name]
