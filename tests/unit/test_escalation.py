"""Ways in which somebody might become more than they are, where organisations, keys, directories and links
meet."""

from __future__ import annotations

import asyncio
from pathlib import Path
from typing import Any

import pytest
from test_orgs import opened, refused

from a2a_cloud.control.people.links import INVITE, Links
from a2a_cloud.control.people.rows import PeopleRows
from a2a_cloud.model.principal import Permission, Role
from a2a_cloud.model.problem import Forbidden, NotFound, Unauthenticated
from a2a_cloud.ops.system import SystemClock, SystemEntropy, TimeIds
from a2a_cloud.wire.api_key import Found


def test_who_manages_members_alone_makes_no_directory_that_fills_teams(tmp_path: Path) -> None:
    async def tell() -> None:
        async with opened(tmp_path) as site:
            acme, scim = site.acme, site.tied.all.scim
            await site.roles.put(site.bob, acme, "keeper", ["members.manage", "agents.call"])
            await site.members.change(site.bob, acme, "cy@x.org", role="keeper")
            await site.teams.make(site.bob, acme, "Ops", role="admin")
            cy = site.now("cy")
            await refused(Forbidden, site.teams.change(cy, acme, "Ops", members=[site.account("cy")]))
            await refused(Forbidden, scim.make_token(cy, acme, "member"))
            _, token = await scim.make_token(site.bob, acme, "member")
            assert scim.authenticate(token)[1] == "member"

    asyncio.run(tell())


def test_who_leaves_a_team_keeps_no_key_of_its_role(tmp_path: Path) -> None:
    async def tell() -> None:
        async with opened(tmp_path) as site:
            acme, cy = site.acme, site.account("cy")
            for drop in (False, True):
                await site.teams.make(site.bob, acme, "Ops", role="admin")
                await site.teams.change(site.bob, acme, "Ops", members=[cy])
                keys: list[str] = []
                for role in ("admin", "member"):
                    made = await site.identity.create_key(
                        site.now("cy"), principal="cy@x.org", org="acme", role=role, label=""
                    )
                    keys.append(made[1])
                if drop:
                    await site.teams.drop(site.bob, acme, "Ops")
                else:
                    await site.teams.change(site.bob, acme, "Ops", members=[])
                    await site.teams.drop(site.bob, acme, "Ops")
                with pytest.raises(Unauthenticated):
                    site.identity.authenticate(keys[0])
                assert site.identity.authenticate(keys[1]).role == "member"
            assert site.kinds(kind="key.revoked") == ["key.revoked"] * 2

    asyncio.run(tell())


def test_an_owners_name_is_on_no_key_of_an_admin(tmp_path: Path) -> None:
    async def tell() -> None:
        async with opened(tmp_path) as site:
            identity, ada = site.identity, "ada@x.org"
            wanted: dict[str, Any] = {"org": "acme", "role": "member", "label": ""}
            await refused(Forbidden, identity.create_key(site.bob, principal=ada, **wanted))
            row, _ = await identity.create_key(site.ada, principal=ada, **wanted)
            await refused(Forbidden, identity.rotate(site.bob, row.id, 0))
            await identity.create_key(site.bob, principal="cy@x.org", **wanted)
            await site.members.change(site.bob, site.acme, "cy@x.org", active=False)
            await refused(Forbidden, identity.create_key(site.ada, principal="cy@x.org", **wanted))
            boss, token = await identity.create_key(
                site.ada, principal=ada, org="acme", role=Role.OWNER, label=""
            )
            # By its prefix alone nobody ends a key that they could not end otherwise; who has all of it may.
            (leak,) = await identity.leaked(site.bob, [Found(boss.id)], revoke=True)
            assert (leak.state, leak.ended) == ("active", False)
            assert identity.authenticate(token).role == "owner"
            (leak,) = await identity.leaked(site.ada, [Found(boss.id)], revoke=True)
            assert leak.ended

    asyncio.run(tell())


def test_whose_account_an_organisation_may_open(tmp_path: Path) -> None:
    async def tell() -> None:
        async with opened(tmp_path) as site:
            members, acme, cy = site.members, site.acme, site.account("cy")
            assert members.came_with(cy, "acme")
            members.check_recovers(site.bob, cy)
            # A team's role is the person's too.
            await site.roles.put(site.bob, acme, "keeper", ["members.manage", "agents.call"])
            await site.accounts.create("kim@x.org", "Kim")
            kim = await site.joined("kim", "acme", "keeper")
            members.check_recovers(kim, cy)
            await site.teams.make(site.bob, acme, "Ops", role="admin")
            await site.teams.change(site.bob, acme, "Ops", members=[cy])
            with pytest.raises(Forbidden):
                members.check_recovers(kim, cy)
            # Who is suspended at one place, and let in at another, is not the other's.
            await members.change(site.bob, acme, "cy@x.org", active=False)
            await site.joined("cy", "globex", Role.MEMBER)
            assert members.orgs(cy) == [("globex", "member")]
            assert members.suspended(cy) == ["acme"]
            assert not members.came_with(cy, "globex")
            with pytest.raises(NotFound):
                members.check_recovers(site.eve, cy)

    asyncio.run(tell())


@pytest.mark.parametrize("ending", ["suspended", "removed"])
def test_no_link_leads_back(tmp_path: Path, ending: str) -> None:
    async def tell() -> None:
        async with opened(tmp_path) as site:
            clock, entropy = SystemClock(), SystemEntropy()
            rows = PeopleRows(site.reader.connection)
            links = Links(rows, site.journal, clock, entropy, TimeIds(clock, entropy))
            site.members.on_end = links.ending

            async def link(org: str, email: str, by: str) -> str:
                made = await links.make(INVITE, org=org, email=email, by=by, role="member", instead=False)
                return made[1]

            tokens = [
                await link("acme", "cy@x.org", "bob@x.org@acme"),
                await link("acme", "z@x.org", "cy@x.org@acme"),
                await link("acme", "y@x.org", "bob@x.org@acme"),
                await link("globex", "cy@x.org", "eve@x.org@globex"),
            ]
            if ending == "suspended":
                await site.members.change(site.bob, site.acme, "cy@x.org", active=False)
            else:
                await site.members.remove(site.bob, site.acme, "cy@x.org")
            assert [links.find(token) is not None for token in tokens] == [False, False, True, True]

    asyncio.run(tell())


def test_who_is_let_in_again_gets_their_teams_from_who_could_give_them(tmp_path: Path) -> None:
    async def tell() -> None:
        async with opened(tmp_path) as site:
            members, acme, cy = site.members, site.acme, "cy@x.org"
            await site.roles.put(site.bob, acme, "keeper", ["members.manage", "agents.call"])
            await site.accounts.create("kim@x.org", "Kim")
            kim = await site.joined("kim", "acme", "keeper")
            await site.teams.make(site.bob, acme, "Ops", role="admin")
            await site.teams.change(site.bob, acme, "Ops", members=[site.account("cy")])
            await members.change(site.bob, acme, cy, active=False)
            await refused(Forbidden, members.change(kim, acme, cy, active=True))
            await members.change(site.bob, acme, cy, active=True)
            assert site.now("cy").may(Permission.MANAGE_KEYS)

    asyncio.run(tell())
