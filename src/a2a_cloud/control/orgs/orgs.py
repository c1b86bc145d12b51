"""Organisations: made by who runs the platform, seen by who belongs to them."""

from __future__ import annotations

from a2a_cloud.control.orgs.members import Members
from a2a_cloud.control.orgs.ports import Accounts, Numbers
from a2a_cloud.control.orgs.rows import OrgRows
from a2a_cloud.model.org import Org
from a2a_cloud.model.ports import Clock
from a2a_cloud.model.principal import Permission, Principal, Role
from a2a_cloud.model.problem import Forbidden, NotFound
from a2a_cloud.model.scope import SYSTEM, Scope
from a2a_cloud.storage.sql.audit import change


class Orgs:
    """See the module."""

    def __init__(
        self, rows: OrgRows, clock: Clock, numbers: Numbers, accounts: Accounts, members: Members
    ) -> None:
        self._rows = rows
        self._clock = clock
        self._numbers = numbers
        self._accounts = accounts
        self._members = members

    def listed(self, by: Principal) -> list[tuple[Org, str]]:
        """(organisation, role there): the caller's, of an account with several all of them; every one for who
        runs the platform."""
        own = self._rows.of_principal(Scope(org=by.org_no), by.no)
        roles = dict(self._members.orgs(own.account)) if own is not None and by.scopes is None else {}
        roles[by.org] = by.role
        every = by.may(Permission.MANAGE_PLATFORM)
        found = self._rows.orgs(SYSTEM)
        return [(org, roles.get(org.name, "")) for org in found if every or org.name in roles]

    def one(self, by: Principal, name: str) -> Org:
        """An organisation that the caller belongs to. Raises NotFound."""
        for org, _ in self.listed(by):
            if org.name == name:
                return org
        raise NotFound(f"There is no organisation {name[:63]!a}.", remedy="See `a2a orgs ls`.")

    async def make(self, by: Principal, name: str, owner: str = "") -> Org:
        """A new organisation; `owner` is the e-mail address of an account. Raises Forbidden, InvalidParams,
        AlreadyExists, NotFound."""
        if not by.may(Permission.MANAGE_PLATFORM):
            raise Forbidden(
                "Organisations are made by who runs the platform.",
                remedy="Use an admin's key of the default organisation.",
                info={"permission": Permission.MANAGE_PLATFORM.value},
            )
        account = self._accounts.by_email(owner) if owner else None
        if owner and account is None:
            raise NotFound(
                f"Nobody has an account with {owner[:127]!a}.",
                remedy="Make the organisation without an owner, and invite them to it.",
            )
        now = self._clock.now()
        no = await self._numbers.make_org(
            name,
            lambda no: [
                change(no, now, by.label, "org.made", name),
                change(by.org_no, now, by.label, "org.made", name),
            ],
        )
        if account is not None:
            await self._members.join(account.id, name, Role.OWNER, by.label)
        return Org(no, name, now)
