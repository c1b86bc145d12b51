"""Members, teams, roles and the log of their changes: who gives what to whom, and what counts at once."""

from __future__ import annotations

import asyncio
import json
from collections.abc import AsyncGenerator, Coroutine
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import pytest

from a2a_cloud.app.orgs import tie
from a2a_cloud.app.people import accounts_of
from a2a_cloud.control.identity.keys import Identity
from a2a_cloud.control.orgs.audit import Audit
from a2a_cloud.control.orgs.members import Members
from a2a_cloud.control.orgs.roles import Roles
from a2a_cloud.control.orgs.rows import OrgRows
from a2a_cloud.control.orgs.teams import Teams
from a2a_cloud.model.principal import PERMISSIONS, Permission, Principal, Role
from a2a_cloud.model.problem import (
    AlreadyExists,
    Forbidden,
    InvalidParams,
    InvalidRequest,
    NotFound,
    Problem,
    Unauthenticated,
)
from a2a_cloud.ops.system import SystemClock, SystemEntropy, TimeIds
from a2a_cloud.storage.journal.sqlite import SqliteJournal
from a2a_cloud.storage.sql.sqlite import SqliteReader


class Site:
    """Organisations over a database: ada owns acme, bob is its admin, cy a member; eve owns globex."""

    def __init__(self, folder: Path) -> None:
        path = folder / "journal.db"
        clock, entropy = SystemClock(), SystemEntropy()
        ids = TimeIds(clock, entropy)
        self.journal = SqliteJournal(path)
        self.reader = SqliteReader(path)
        self.identity = Identity(self.reader, self.journal, clock, entropy)
        rows = self.reader.connection
        self.accounts = accounts_of(rows, self.journal, clock, entropy, ids)
        tied = tie(rows, self.journal, clock, entropy, ids, self.identity, self.accounts)
        self.tied = tied
        self.members: Members = tied.members
        self.teams: Teams = tied.all.teams  # type: ignore[assignment]
        self.roles: Roles = tied.all.roles  # type: ignore[assignment]
        self.audit = Audit(OrgRows(rows))

    async def begin(self, folder: Path) -> None:
        self.admin = self.identity.authenticate(await self.identity.admin_key(folder / "admin.key"))
        for org, people in (("acme", ("ada", "bob", "cy")), ("globex", ("eve",))):
            await self.tied.all.orgs.make(self.admin, org)
            for name in people:
                await self.accounts.create(f"{name}@x.org", name)
        self.acme, self.globex = self.number("acme"), self.number("globex")
        self.ada = await self.joined("ada", "acme", Role.OWNER)
        self.bob = await self.joined("bob", "acme", Role.ADMIN)
        self.cy = await self.joined("cy", "acme", Role.MEMBER)
        self.eve = await self.joined("eve", "globex", Role.OWNER)

    def number(self, org: str) -> int:
        found = self.identity.org_no(org)
        assert found is not None
        return found

    def account(self, name: str) -> str:
        found = self.accounts.by_email(f"{name}@x.org")
        assert found is not None
        return found.id

    async def joined(self, name: str, org: str, role: str) -> Principal:
        return await self.members.join(self.account(name), org, role, "platform")

    def now(self, name: str, org: str = "acme") -> Principal:
        found = self.members.principal(self.account(name), org)
        assert found is not None
        return found

    def kinds(self, **where: Any) -> list[str]:
        return [each.kind for each in self.audit.events(self.acme, **where)]


@asynccontextmanager
async def opened(folder: Path) -> AsyncGenerator[Site]:
    site = Site(folder)
    await site.begin(folder)
    try:
        yield site
    finally:
        await site.journal.close()
        site.reader.close()


async def refused(kind: type[Problem], asked: Coroutine[Any, Any, Any]) -> Problem:
    with pytest.raises(kind) as caught:
        await asked
    return caught.value


def test_a_member_is_somebody_with_a_role(tmp_path: Path) -> None:
    async def tell() -> None:
        async with opened(tmp_path) as site:
            assert (site.ada.label, site.ada.role, site.ada.permissions) == ("ada@x.org@acme", "owner", None)
            assert site.cy.may(Permission.CALL)
            assert not site.cy.may(Permission.DEPLOY)
            assert site.members.orgs(site.account("cy")) == [("acme", "member")]
            assert site.members.principal(site.account("cy")) == site.cy  # In the organisation it came to.
            assert site.members.principal(site.account("cy"), "globex") is None
            assert site.members.principal("acct_nobody") is None
            again = await site.joined("cy", "acme", Role.OWNER)
            assert again.role == "member"  # Who belongs there already keeps their role.

    asyncio.run(tell())


def test_only_owners_make_owners_and_the_last_one_stays(tmp_path: Path) -> None:
    async def tell() -> None:
        async with opened(tmp_path) as site:
            members, acme = site.members, site.acme
            cy, ada = "cy@x.org", "ada@x.org"
            await refused(Forbidden, members.change(site.cy, acme, cy, role="admin"))
            await refused(Forbidden, members.change(site.bob, acme, cy, role="owner"))
            await refused(Forbidden, members.change(site.bob, acme, ada, role="member"))
            await refused(Forbidden, members.remove(site.bob, acme, ada))
            await refused(InvalidRequest, members.change(site.ada, acme, ada, role="member"))
            await refused(InvalidRequest, members.remove(site.ada, acme, ada))
            await refused(InvalidRequest, members.change(site.ada, acme, ada, active=False))
            await members.change(site.ada, acme, cy, role="owner")
            await members.change(site.ada, acme, ada, role="member")
            assert site.now("cy").role == "owner"
            assert not site.now("ada").may(Permission.MANAGE_MEMBERS)
            await refused(InvalidRequest, members.remove(site.now("cy"), acme, cy))
            # Who runs the platform mends an organisation that has lost its people.
            await members.change(site.admin, acme, ada, role="owner")

    asyncio.run(tell())


def test_nobody_gives_more_than_they_have(tmp_path: Path) -> None:
    async def tell() -> None:
        async with opened(tmp_path) as site:
            acme = site.acme
            await site.roles.put(
                site.ada, acme, "desk", ["members.manage", "runs.read", "usage.read", "invoices.pay"]
            )
            await site.members.change(site.ada, acme, "cy@x.org", role="desk")
            cy = site.now("cy")
            assert cy.may(Permission.MANAGE_MEMBERS)
            assert not cy.may(Permission.MANAGE_KEYS)
            assert cy.holds("invoices.pay")
            await site.accounts.create("dee@x.org", "dee")
            why = await refused(Forbidden, site.members.add(cy, acme, "dee@x.org", "admin"))
            assert why.info["permission"] in PERMISSIONS[Role.ADMIN]
            await refused(Forbidden, site.members.add(cy, acme, "dee@x.org", "owner"))
            await refused(Forbidden, site.roles.put(cy, acme, "mine", ["keys.manage"]))
            await refused(Forbidden, site.roles.put(cy, acme, "desk", ["members.manage", "keys.manage"]))
            await refused(Forbidden, site.teams.make(cy, acme, "ops", role="developer"))
            # Who has an account is no organisation's to know, and nobody becomes its member unasked.
            told = [
                str(await refused(Forbidden, site.members.add(cy, acme, email, "viewer")))
                for email in ("dee@x.org", "nobody@x.org")
            ]
            assert told[0] == told[1]
            await site.members.add(site.admin, acme, "dee@x.org", "viewer")
            await refused(AlreadyExists, site.members.add(site.admin, acme, "dee@x.org", "viewer"))
            await refused(InvalidParams, site.members.add(site.admin, acme, "dee@x.org", "boss"))
            await refused(NotFound, site.members.add(site.admin, acme, "nobody@x.org", "viewer"))

    asyncio.run(tell())


def test_another_organisation_is_not_there(tmp_path: Path) -> None:
    async def tell() -> None:
        async with opened(tmp_path) as site:
            acme, eve = site.acme, site.eve
            await refused(NotFound, site.members.change(eve, acme, "cy@x.org", role="viewer"))
            await refused(NotFound, site.members.remove(eve, acme, "cy@x.org"))
            await refused(NotFound, site.members.add(eve, acme, "eve@x.org", "owner"))
            await refused(NotFound, site.roles.put(eve, acme, "mine", ["runs.read"]))
            await refused(NotFound, site.teams.make(eve, acme, "spies"))
            with pytest.raises(NotFound):
                site.members.one(site.globex, "cy@x.org")
            with pytest.raises(NotFound):
                site.tied.all.orgs.one(eve, "acme")
            assert [org.name for org, _ in site.tied.all.orgs.listed(eve)] == ["globex"]
            assert {org.name for org, _ in site.tied.all.orgs.listed(site.admin)} == {
                "default",
                "acme",
                "globex",
            }
            await refused(Forbidden, site.tied.all.orgs.make(eve, "more"))
            await refused(AlreadyExists, site.tied.all.orgs.make(site.admin, "acme"))

    asyncio.run(tell())


def test_who_leaves_is_out_at_once_with_their_keys(tmp_path: Path) -> None:
    async def tell() -> None:
        async with opened(tmp_path) as site:
            heard: list[int] = []
            site.members.on_change.append(heard.append)
            _, key = await site.identity.create_key(
                site.bob, principal="cy@x.org", org="acme", role="member", label=""
            )
            assert site.identity.authenticate(key).no == site.cy.no
            await site.members.change(site.bob, site.acme, "cy@x.org", active=False)
            assert site.members.principal(site.account("cy"), "acme") is None
            with pytest.raises(Unauthenticated):
                site.identity.authenticate(key)
            _, admins = await site.identity.create_key(
                site.bob, principal="bob@x.org", org="acme", role="admin", label=""
            )
            await site.members.change(site.ada, site.acme, "bob@x.org", role="developer")
            with pytest.raises(Unauthenticated):  # The key may do more than bob does now.
                site.identity.authenticate(admins)
            await site.members.change(site.ada, site.acme, "bob@x.org", role="admin")
            assert site.tied.rights(site.cy.no).permissions == frozenset()  # type: ignore[union-attr]
            await site.members.change(site.bob, site.acme, "cy@x.org", active=True)
            assert site.now("cy").role == "member"
            gone = await site.members.remove(site.now("cy"), site.acme, "cy@x.org")  # By themselves.
            assert gone.account.email == "cy@x.org"
            assert site.members.principal(site.account("cy")) is None
            assert set(heard) == {site.cy.no, site.bob.no}
            assert site.kinds(kind="member")[-5:] == [
                "member.suspended",
                "member.role",
                "member.role",
                "member.activated",
                "member.removed",
            ]

    asyncio.run(tell())


def test_a_team_gives_its_role_and_takes_it_back(tmp_path: Path) -> None:
    async def tell() -> None:
        async with opened(tmp_path) as site:
            acme, cy = site.acme, site.account("cy")
            team = await site.teams.make(site.bob, acme, "Ops", role="developer")
            await refused(AlreadyExists, site.teams.make(site.bob, acme, "Ops"))
            await refused(InvalidParams, site.teams.make(site.bob, acme, "Owners", role="owner"))
            await site.teams.change(site.bob, acme, team.id, members=[cy])
            assert site.now("cy").may(Permission.DEPLOY)
            assert site.members.one(acme, "cy@x.org").teams == ("Ops",)
            await site.teams.change(site.bob, acme, "Ops", role="approver")
            assert site.now("cy").may(Permission.DECIDE)
            assert not site.now("cy").may(Permission.DEPLOY)
            await refused(InvalidParams, site.teams.change(site.bob, acme, "Ops", members=["acct_x"]))
            await site.teams.drop(site.bob, acme, "Ops")
            assert not site.now("cy").may(Permission.DECIDE)
            assert site.kinds(kind="team") == [
                "team.made",
                "team.joined",
                "team.changed",
                "team.removed",
            ]

    asyncio.run(tell())


def test_a_role_of_ones_own_counts_at_once_for_members_and_keys(tmp_path: Path) -> None:
    async def tell() -> None:
        async with opened(tmp_path) as site:
            acme = site.acme
            await site.roles.put(site.bob, acme, "payer", ["agents.call", "invoices.pay"])
            await site.members.change(site.bob, acme, "cy@x.org", role="payer")
            _, key = await site.identity.create_key(
                site.bob, principal="robot", org="acme", role="payer", label=""
            )
            for who in (site.now("cy"), site.identity.authenticate(key)):
                assert who.holds("invoices.pay")
                assert not who.holds("invoices.void")
            await site.roles.put(site.bob, acme, "payer", ["agents.call", "invoices.void"])
            for who in (site.now("cy"), site.identity.authenticate(key)):
                assert who.holds("invoices.void")
                assert not who.holds("invoices.pay")
            assert site.tied.rights(site.now("cy").no) == site.now("cy")
            await refused(InvalidRequest, site.roles.drop(site.bob, acme, "payer"))
            await refused(InvalidParams, site.roles.put(site.bob, acme, "admin", ["runs.read"]))
            await refused(InvalidParams, site.roles.put(site.bob, acme, "x", []))
            await refused(InvalidParams, site.roles.put(site.bob, acme, "x", ["Not A Word"]))
            await site.members.change(site.bob, acme, "cy@x.org", role="member")
            await site.identity.revoke(site.bob, site.identity.authenticate(key).key_id)
            await site.roles.drop(site.bob, acme, "payer")
            (made, changed, removed) = site.audit.events(acme, kind="role")
            assert [each.kind for each in (made, changed, removed)] == [
                "role.made",
                "role.changed",
                "role.removed",
            ]
            assert json.loads(changed.detail)["before"] == ["agents.call", "invoices.pay"]

    asyncio.run(tell())


def test_the_log_of_changes_is_of_one_organisation_and_narrowed(tmp_path: Path) -> None:
    async def tell() -> None:
        async with opened(tmp_path) as site:
            await site.members.change(site.bob, site.acme, "cy@x.org", role="viewer")
            every = site.audit.events(site.acme, changes=True)
            assert [each.no for each in every] == sorted(each.no for each in every)
            (role,) = site.audit.events(site.acme, kind="member.role")
            assert (role.caller, role.target) == ("bob@x.org@acme", "cy@x.org")
            assert json.loads(role.detail) == {"role": "viewer", "before": "member"}
            assert site.audit.events(site.acme, by="bob@x.org@acme") == [role]
            assert site.audit.events(site.acme, since=role.at, kind="member") == [role]
            assert role not in site.audit.events(site.acme, until=role.at)
            assert site.audit.events(site.acme, after=role.no) == []
            assert site.audit.events(site.acme, limit=1) == [role]
            assert site.audit.events(site.globex, kind="member.role") == []
            with pytest.raises(InvalidParams):
                site.audit.events(site.acme, kind="Drop table")

    asyncio.run(tell())
