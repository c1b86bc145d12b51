"""API keys: the first one, making, listing and ending them, whose they are, and what a failed commit or a
caller that hangs up leaves behind."""

from __future__ import annotations

import asyncio
import os
from pathlib import Path

import pytest
from identity_site import Site, refused, site
from msgspec.structs import replace

from a2a_cloud.model.principal import ANONYMOUS, Role
from a2a_cloud.model.problem import Forbidden, InvalidParams, NotFound, Problem, Unavailable
from a2a_cloud.testing.commits import Fault
from a2a_cloud.wire.api_key import make_key

# --- the admin key ------------------------------------------------------------------------------------


def test_the_first_start_makes_the_admin_key(tmp_path: Path) -> None:
    async def body(site: Site) -> None:
        umask = os.umask(0)
        try:
            token = await site.identity.admin_key(site.key_path)
        finally:
            os.umask(umask)
        assert site.key_path.stat().st_mode & 0o777 == 0o600
        assert site.key_path.read_text() == token + "\n"
        who = site.identity.authenticate(token)
        assert (who.label, who.role) == ("admin@default", Role.ADMIN)
        await site.restart()
        assert await site.identity.admin_key(site.key_path) == token
        assert len(site.identity.keys(await site.admin())) == 1

    site(tmp_path, body)


def test_it_is_made_again_when_its_file_is_gone_or_of_no_use(tmp_path: Path) -> None:
    async def body(site: Site) -> None:
        tokens = [await site.identity.admin_key(site.key_path)]
        member = await site.make("bob")
        acme = await site.make("ann", "acme", Role.ADMIN)
        key_id = site.identity.authenticate(tokens[0]).key_id
        for content in (None, b"", b"rubbish\xff\n", member.encode(), acme.encode()):
            if content is None:
                site.key_path.unlink()
            else:
                site.key_path.write_bytes(content)
            tokens.append(await site.identity.admin_key(site.key_path))
        await site.identity.revoke(await site.admin(), site.identity.authenticate(tokens[-1]).key_id)
        tokens.append(await site.identity.admin_key(site.key_path))
        assert len(set(tokens)) == len(tokens)
        assert site.key_path.read_text().strip() == tokens[-1]
        assert site.key_path.stat().st_mode & 0o777 == 0o600
        assert len({site.identity.authenticate(one).no for one in (*tokens[:-2], tokens[-1])}) == 1
        assert key_id != site.identity.authenticate(tokens[-1]).key_id

    site(tmp_path, body)


@pytest.mark.parametrize("mode", [0o640, 0o604, 0o660, 0o601])
def test_a_file_that_others_may_read_is_refused(tmp_path: Path, mode: int) -> None:
    async def body(site: Site) -> None:
        await site.identity.admin_key(site.key_path)
        site.key_path.chmod(mode)
        with pytest.raises(Unavailable) as problem:
            await site.identity.admin_key(site.key_path)
        assert problem.value.remedy == f"Run: chmod 600 {site.key_path}"

    site(tmp_path, body)


def test_a_file_that_cannot_be_read_or_written_is_a_problem(tmp_path: Path) -> None:
    async def body(site: Site) -> None:
        folder = tmp_path / "folder"
        folder.mkdir(mode=0o700)
        for path in (folder, tmp_path / "nowhere" / "admin.key"):
            with pytest.raises(Unavailable, match="can't be read or written"):
                await site.identity.admin_key(path)

    site(tmp_path, body)


# --- making, listing, ending --------------------------------------------------------------------------


def test_a_key_stands_for_its_principal_also_after_a_restart(tmp_path: Path) -> None:
    async def body(site: Site) -> None:
        row, token = await site.identity.create_key(
            await site.admin(), principal="bob", org="acme", role=Role.MEMBER, label="laptop"
        )
        assert (row.principal, row.org, row.role, row.label, row.revoked) == (
            *("bob", "acme", Role.MEMBER, "laptop", None),
        )
        before = site.identity.authenticate(token)
        assert (before.label, before.role, before.key_id) == ("bob@acme", Role.MEMBER, row.id)
        assert token.encode() not in site.path.read_bytes()
        await site.restart()
        assert token.encode() not in site.path.read_bytes()
        assert site.identity.authenticate(token) == before
        assert site.identity.org_name(before.org_no) == "acme"
        assert site.identity.org_no("acme") == before.org_no
        (listed,) = [one for one in site.identity.keys(await site.admin()) if one.id == row.id]
        assert replace(listed, used=None) == row

    site(tmp_path, body)


def test_one_name_in_two_organisations_is_two_principals(tmp_path: Path) -> None:
    async def body(site: Site) -> None:
        tokens = [await site.make("bob", org) for org in ("", "acme", "", "acme")]
        here, there, here_again, there_again = (site.identity.authenticate(one) for one in tokens)
        assert (here.no, there.no) == (here_again.no, there_again.no)
        assert here.no != there.no
        assert (here.org, there.org) == ("default", "acme")
        assert len({one.key_id for one in (here, there, here_again, there_again)}) == 4

    site(tmp_path, body)


def test_one_principal_may_have_keys_of_both_roles(tmp_path: Path) -> None:
    async def body(site: Site) -> None:
        member = site.identity.authenticate(await site.make("bob"))
        admin = site.identity.authenticate(await site.make("bob", role=Role.ADMIN))
        assert member.no == admin.no
        assert (member.role, admin.role) == (Role.MEMBER, Role.ADMIN)
        # By number alone, as recovery asks, nobody is more than a member.
        found = site.identity.by_no(admin.no)
        assert found is not None
        assert (found.role, found.key_id, found.label) == (Role.MEMBER, "", "bob@default")
        assert site.identity.by_no(0) is ANONYMOUS
        assert site.identity.by_no(99) is None

    site(tmp_path, body)


def test_what_members_and_admins_of_an_organisation_may(tmp_path: Path) -> None:
    async def body(site: Site) -> None:
        identity = site.identity
        admin = await site.admin()
        member = identity.authenticate(await site.make("bob"))
        ann = identity.authenticate(await site.make("ann", "acme", Role.ADMIN))
        for act in (
            lambda: site.make("eve", by=member),
            lambda: identity.revoke(member, admin.key_id),
            lambda: site.make("eve", "default", by=ann),
            lambda: site.make("eve", "other", by=ann),
        ):
            with pytest.raises(Forbidden):
                await act()
        with pytest.raises(Forbidden):
            identity.keys(member)
        eve = identity.authenticate(await site.make("eve", by=ann))
        assert eve.org == "acme"
        assert {row.principal for row in identity.keys(ann)} == {"ann", "eve"}
        assert {row.principal for row in identity.keys(admin)} == {"admin", "bob", "ann", "eve"}
        for foreign in (admin.key_id, member.key_id, "0" * 12, "", "\ud800", "x" * 1000):
            with pytest.raises(NotFound):
                await identity.revoke(ann, foreign)
        assert (await identity.revoke(ann, eve.key_id)).revoked is not None
        assert (await identity.revoke(admin, ann.key_id)).org == "acme"

    site(tmp_path, body)


def test_a_revoked_key_is_refused_at_once_and_for_good(tmp_path: Path) -> None:
    async def body(site: Site) -> None:
        admin = await site.admin()
        token, other = await site.make("bob"), await site.make("bob")
        who = site.identity.authenticate(token)
        first = await site.identity.revoke(admin, who.key_id)
        assert refused(site.identity, token)
        assert not refused(site.identity, other)
        again = await site.identity.revoke(admin, who.key_id)
        assert again.revoked == first.revoked is not None  # When it ended stays what it was.
        await site.restart()
        assert refused(site.identity, token)
        assert not refused(site.identity, other)

    site(tmp_path, body)


@pytest.mark.parametrize(
    ("principal", "org", "label"),
    [
        *((name, "acme", "") for name in ("", "Bob", "-x", "a b", "a\n", "ü", "a/b", "x" * 128)),
        *(("bob", name, "") for name in ("Acme", "a.b", "a b", "_a", "../x", "x" * 64, "a\0")),
        *(("bob", "acme", label) for label in ("x" * 201, "two\nlines", "\x1b[31mred", "\ud800")),
    ],
)
def test_names_that_are_none(tmp_path: Path, principal: str, org: str, label: str) -> None:
    async def body(site: Site) -> None:
        admin = await site.admin()
        before = site.commits.count
        with pytest.raises(InvalidParams):
            await site.identity.create_key(admin, principal=principal, org=org, role=Role.MEMBER, label=label)
        assert site.commits.count == before

    site(tmp_path, body)


# --- what is costly, what fails -----------------------------------------------------------------------


def test_known_and_unknown_keys_ask_the_database_once(tmp_path: Path) -> None:
    async def body(site: Site) -> None:
        token = await site.make("bob")
        key_id = site.identity.authenticate(token).key_id
        wrong = make_key(key_id, b"\0" * 32)
        await site.restart()
        for _ in range(1000):
            assert not refused(site.identity, token)
            assert refused(site.identity, wrong)
        assert site.reader.looked == 2
        # What has not the form of a key asks nothing.
        odd = ("", "x", token + "x", token[1:], token[:-1] + "-", "a2a_" + "0" * 10_000)
        for text in (*odd, token + "\n", "\ud800"):
            assert refused(site.identity, text)
        assert site.reader.looked == 2
        # A flood of made-up keys is not remembered without bound, and locks nobody out.
        for number in range(10_000):
            assert refused(site.identity, make_key(f"{number:012x}", b"x" * 32))
        assert len(site.identity._refused) < 5_000  # pyright: ignore[reportPrivateUsage]
        assert not refused(site.identity, token)

    site(tmp_path, body)


def test_a_commit_that_fails_leaves_no_ghost(tmp_path: Path) -> None:
    async def body(site: Site) -> None:
        admin = await site.admin()
        site.commits.next(Fault.FULL)
        with pytest.raises(Problem):
            await site.make("bob", "acme", by=admin)
        assert site.identity.org_no("acme") is None
        assert [row.principal for row in site.identity.keys(admin)] == ["admin"]
        who = site.identity.authenticate(await site.make("bob", "acme", by=admin))
        assert who.label == "bob@acme"
        token = await site.make("bob", "acme", by=admin)
        await site.restart()
        assert site.identity.authenticate(token).no == who.no

    site(tmp_path, body)


def test_a_commit_of_unknown_fate_is_looked_up(tmp_path: Path) -> None:
    async def body(site: Site) -> None:
        admin = await site.admin()
        site.commits.next(Fault.FAILS_AFTER)
        token = await site.make("bob", "acme", by=admin)
        site.commits.next(Fault.FAILS_AFTER)
        await site.identity.revoke(admin, site.identity.authenticate(token).key_id)
        assert refused(site.identity, token)

    site(tmp_path, body)


def test_a_revocation_that_fails_is_said_and_changes_nothing(tmp_path: Path) -> None:
    async def body(site: Site) -> None:
        admin = await site.admin()
        token = await site.make("bob")
        site.commits.next(Fault.FULL)
        with pytest.raises(Problem):
            await site.identity.revoke(admin, site.identity.authenticate(token).key_id)
        assert not refused(site.identity, token)

    site(tmp_path, body)


def test_many_at_once_give_each_name_one_number(tmp_path: Path) -> None:
    async def body(site: Site) -> None:
        admin = await site.admin()
        names = [(f"p{number % 5}", f"org{number % 3}") for number in range(60)]
        tokens = await asyncio.gather(*(site.make(name, org, by=admin) for name, org in names))
        who = [site.identity.authenticate(token) for token in tokens]
        assert [(one.name, one.org) for one in who] == names
        assert len({one.no for one in who}) == 15
        await site.restart()
        assert [site.identity.authenticate(token) for token in tokens] == who

    site(tmp_path, body)


def test_a_caller_that_hangs_up_leaves_memory_and_database_alike(tmp_path: Path) -> None:
    async def body(site: Site) -> None:
        admin = await site.admin()
        making = asyncio.create_task(site.make("bob", "acme", by=admin))
        await asyncio.sleep(0)
        making.cancel()
        await asyncio.gather(making, return_exceptions=True)
        token = await site.make("bob", "acme", by=admin)
        ending = asyncio.create_task(site.identity.revoke(admin, site.identity.authenticate(token).key_id))
        await asyncio.sleep(0)
        ending.cancel()
        await asyncio.gather(ending, return_exceptions=True)
        await site.journal.write([])
        await asyncio.sleep(0)
        assert refused(site.identity, token)

    site(tmp_path, body)
