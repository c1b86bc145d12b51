"""API keys that are narrowed, that end, that are rotated, and that turn up where they should not be."""

from __future__ import annotations

from collections.abc import Sequence
from hashlib import sha256
from pathlib import Path
from typing import Any

import pytest
from identity_site import Site, refused, site

from a2a_cloud.model.principal import Permission, Principal, Role
from a2a_cloud.model.problem import Forbidden, InvalidParams, NotFound, Problem
from a2a_cloud.testing.commits import Fault
from a2a_cloud.wire.api_key import Found, make_key

CALL = Permission.CALL


def found(token: str) -> Found:
    return Found(token[4:16], sha256(token.encode()).hexdigest())


def events(site: Site) -> list[tuple[str, str, str]]:
    rows = site.reader.connection.execute("SELECT kind, caller, target FROM audit_event ORDER BY no")
    return [tuple(row) for row in rows]


# --- scopes -------------------------------------------------------------------------------------------


def test_scopes_are_the_principals_also_after_a_restart(tmp_path: Path) -> None:
    async def body(site: Site) -> None:
        token = await site.make("ci", scopes=["agent:desk/shout", "runs.read", "agent:acme.desk"])
        for _ in range(2):
            who = site.identity.authenticate(token)
            assert who.scopes == {"agent:desk/shout", "runs.read", "agent:acme.desk"}
            assert who.reaches("desk", "shout")
            assert not who.reaches("desk", "whisper")
            assert not who.reaches("desk", "")
            assert who.reaches("acme.desk", "anything")
            assert not who.may(CALL)
            await site.restart()
        (row,) = [one for one in site.identity.keys(await site.admin()) if one.principal == "ci"]
        assert row.scopes == ("agent:acme.desk", "agent:desk/shout", "runs.read")
        assert site.identity.authenticate(await site.make("ci")).scopes is None

    site(tmp_path, body)


@pytest.mark.parametrize(
    "scopes",
    [
        [],
        ["agent:"],
        ["agent:Desk"],
        ["agent:desk/"],
        ["agent:desk/a/b"],
        ["agent:a.b.c"],
        ["agent:desk "],
        ["runs.reed"],
        ["runs"],
        ["*"],
        [""],
        ["a b.c"],
        ["\ud800.x"],
        [f"agent:a{number}" for number in range(65)],
    ],
    ids=str,
)
def test_what_is_no_scope(tmp_path: Path, scopes: list[str]) -> None:
    async def body(site: Site) -> None:
        admin = await site.admin()
        with pytest.raises(InvalidParams):
            await site.make("ci", by=admin, scopes=scopes)

    site(tmp_path, body)


def test_a_word_that_skills_ask_for_is_a_scope(tmp_path: Path) -> None:
    async def body(site: Site) -> None:
        who = site.identity.authenticate(await site.make("ci", scopes=["invoices.pay", "agent:desk"]))
        assert who.scopes == {"invoices.pay", "agent:desk"}

    site(tmp_path, body)


# --- roles, and who may make which key ------------------------------------------------------------------


@pytest.mark.parametrize("role", [one for one in Role if one is not Role.OWNER])
def test_a_key_may_have_any_role(tmp_path: Path, role: Role) -> None:
    async def body(site: Site) -> None:
        who = site.identity.authenticate(await site.make("ann", role=role))
        assert who.role == role
        assert who.permissions is None

    site(tmp_path, body)


def test_owners_are_made_by_owners(tmp_path: Path) -> None:
    async def body(site: Site) -> None:
        admin = await site.admin()
        with pytest.raises(Forbidden, match="by owners"):
            await site.make("ann", role=Role.OWNER, by=admin)
        owner = Principal(admin.no, admin.org_no, "boss", "default", Role.OWNER)
        token = await site.make("ann", role=Role.OWNER, by=owner)
        assert site.identity.authenticate(token).role == Role.OWNER
        acme = await site.make("al", "acme", Role.ADMIN)
        with pytest.raises(Forbidden):
            await site.make("ann", "acme", Role.OWNER, by=site.identity.authenticate(acme))

    site(tmp_path, body)


def test_a_key_of_an_owner_is_ended_by_owners(tmp_path: Path) -> None:
    async def body(site: Site) -> None:
        admin = site.identity.authenticate(await site.make("al", "acme", Role.ADMIN))
        owner = Principal(admin.no, admin.org_no, "boss", "acme", Role.OWNER)
        token = await site.make("boss", "acme", Role.OWNER, by=owner)
        key_id = site.identity.authenticate(token).key_id
        with pytest.raises(Forbidden):
            await site.identity.revoke(admin, key_id)
        assert (await site.identity.revoke(owner, key_id)).revoked is not None

    site(tmp_path, body)


def test_roles_of_an_organisations_own(tmp_path: Path) -> None:
    async def body(site: Site) -> None:
        roles: dict[str, frozenset[str]] = {"payer": frozenset({CALL, "invoices.pay"})}
        site.identity.roles = lambda _org, name: roles.get(name)
        admin = await site.admin()
        with pytest.raises(InvalidParams, match="no role 'payee'"):
            await site.make("ann", role="payee", by=admin)
        token = await site.make("ann", role="payer", by=admin)
        who = site.identity.authenticate(token)
        assert who.holds("invoices.pay")
        assert who.may(CALL)
        assert not who.may(Permission.MANAGE_KEYS)
        roles["payer"] = frozenset({CALL})
        site.identity.forget(org_no=who.org_no)
        assert not site.identity.authenticate(token).holds("invoices.pay")
        del roles["payer"]  # A role that is no more lets nobody do anything.
        site.identity.forget(org_no=who.org_no)
        assert not site.identity.authenticate(token).may(CALL)

    site(tmp_path, body)


_KEYS = [Permission.MANAGE_KEYS.value]


@pytest.mark.parametrize(
    ("mine", "role", "scopes", "may"),
    [
        (_KEYS, Role.MEMBER, None, False),
        (_KEYS, Role.ADMIN, None, False),
        (_KEYS, Role.ADMIN, _KEYS, True),
        (_KEYS, Role.MEMBER, ["agent:desk"], False),
        ([*_KEYS, "agent:desk"], Role.MEMBER, ["agent:desk"], True),
        ([*_KEYS, "agent:desk"], Role.MEMBER, ["agent:desk/shout"], True),
        ([*_KEYS, "agent:desk/shout"], Role.MEMBER, ["agent:desk"], False),
        ([*_KEYS, "agent:desk/shout"], Role.MEMBER, ["agent:desk/whisper"], False),
        ([*_KEYS, "agent:desk"], Role.MEMBER, ["agent:desks"], False),
        ([*_KEYS, "agents.call"], Role.MEMBER, ["agent:desk"], True),
        ([*_KEYS, "agents.call"], Role.MEMBER, None, False),
        ([*_KEYS, "agents.call"], Role.MEMBER, ["agents.call", "invoices.pay"], False),
        ([*_KEYS, "agents.call"], Role.DEVELOPER, ["agents.call", "agents.deploy"], False),
    ],
)
def test_nobody_makes_a_key_that_may_do_more_than_theirs(
    tmp_path: Path, mine: list[str], role: Role, scopes: list[str] | None, may: bool
) -> None:
    async def body(site: Site) -> None:
        by = site.identity.authenticate(await site.make("ops", role=Role.ADMIN, scopes=mine))
        if may:
            made = site.identity.authenticate(await site.make("x", role=role, by=by, scopes=scopes))
            assert all(by.may(one) for one in Permission if made.may(one))
        else:
            with pytest.raises(Forbidden):
                await site.make("x", role=role, by=by, scopes=scopes)

    site(tmp_path, body)


def test_who_makes_keys_in_the_default_organisation_governs_no_other(tmp_path: Path) -> None:
    async def body(site: Site) -> None:
        site.identity.roles = lambda _org, _name: frozenset({Permission.MANAGE_KEYS})
        acme = site.identity.authenticate(await site.make("al", "acme"))
        clerk = site.identity.authenticate(await site.make("clerk", role="clerk"))
        with pytest.raises(NotFound):
            await site.identity.revoke(clerk, acme.key_id)
        with pytest.raises(Forbidden):
            await site.make("x", "acme", "clerk", by=clerk)
        assert {row.org for row in site.identity.keys(clerk)} == {"default"}

    site(tmp_path, body)


# --- when keys end, and when they were used ---------------------------------------------------------------


@pytest.mark.parametrize("restart", [False, True])
def test_a_key_ends_when_its_time_is_over(tmp_path: Path, restart: bool) -> None:
    async def body(site: Site) -> None:
        token = await site.make("ci", seconds=60)
        for _ in range(3):
            assert not refused(site.identity, token)
        site.clock.ahead = 59.0
        assert not refused(site.identity, token)
        site.clock.ahead = 60.1
        if restart:
            await site.restart()
        assert refused(site.identity, token)
        assert refused(site.identity, token)

    site(tmp_path, body)


@pytest.mark.parametrize("seconds", [0, -1, 1 << 40])
def test_times_that_no_key_has(tmp_path: Path, seconds: int) -> None:
    async def body(site: Site) -> None:
        admin = await site.admin()
        with pytest.raises(InvalidParams):
            await site.make("ci", by=admin, seconds=seconds)

    site(tmp_path, body)


@pytest.mark.parametrize("seconds", [None, 86_400], ids=["for-ever", "that-ends"])
def test_when_a_key_was_used_is_noted_once_a_minute(tmp_path: Path, seconds: int | None) -> None:
    async def body(site: Site) -> None:
        def used() -> float | None:
            (row,) = [one for one in site.identity.keys(admin) if one.principal == "ci"]
            return row.used

        token = await site.make("ci", seconds=seconds)
        admin = await site.admin()
        assert used() is None
        site.identity.authenticate(token)
        first = used()
        assert first is not None
        await site.identity.flush()
        before = site.commits.count
        await site.identity.flush()  # Nothing was used meanwhile, so nothing is written.
        assert site.commits.count == before
        await site.restart()
        assert used() == first
        site.clock.ahead = 3600.0
        site.identity.authenticate(token)
        assert (used() or 0.0) >= first + 3600.0
        site.commits.next(Fault.FULL)
        with pytest.raises(Problem):
            await site.identity.flush()
        await site.identity.flush()
        await site.restart()
        assert (used() or 0.0) >= first + 3600.0

    site(tmp_path, body)


def test_a_key_in_use_asks_the_database_once(tmp_path: Path) -> None:
    async def body(site: Site) -> None:
        token = await site.make("ci")
        site.reader.looked = 0
        for _ in range(5):
            for _ in range(10):
                site.identity.authenticate(token)
            await site.identity.flush()
        assert site.reader.looked == 1
        await site.identity.revoke(await site.admin(), token[4:16])
        assert refused(site.identity, token)

    site(tmp_path, body)


# --- rotation ---------------------------------------------------------------------------------------------


def test_two_keys_are_good_for_a_while(tmp_path: Path) -> None:
    async def body(site: Site) -> None:
        old = await site.make("ci", role=Role.DEVELOPER, scopes=["agent:desk", "runs.read"])
        before = site.identity.authenticate(old)
        row, new = await site.identity.rotate(await site.admin(), before.key_id, 3600)
        after = site.identity.authenticate(new)
        assert (row.prior, row.principal, row.scopes) == (before.key_id, "ci", ("agent:desk", "runs.read"))
        assert (after.no, after.role, after.scopes) == (before.no, before.role, before.scopes)
        assert after.key_id != before.key_id
        site.clock.ahead = 3500.0
        assert not refused(site.identity, old)
        site.clock.ahead = 3601.0
        assert refused(site.identity, old)
        assert not refused(site.identity, new)
        await site.restart()
        assert refused(site.identity, old)
        assert ("key.rotated", "admin@default", row.id) in events(site)

    site(tmp_path, body)


def test_without_overlap_the_old_key_ends_at_once(tmp_path: Path) -> None:
    async def body(site: Site) -> None:
        old = await site.make("ci")
        site.identity.authenticate(old)
        await site.identity.rotate(await site.admin(), old[4:16], 0)
        assert refused(site.identity, old)

    site(tmp_path, body)


def test_the_new_key_has_the_time_that_the_old_one_was_made_for(tmp_path: Path) -> None:
    async def body(site: Site) -> None:
        own = site.identity.authenticate(await site.make("ci", scopes=["agent:desk"], seconds=1000))
        site.clock.ahead = 900.0
        with pytest.raises(Forbidden):  # A key that was stolen makes no successor of its own.
            await site.identity.rotate(own, own.key_id, 10)
        row, _ = await site.identity.rotate(await site.admin(), own.key_id, 3600)
        assert row.expires is not None
        assert row.expires - row.created == pytest.approx(1000.0, abs=1)
        (old,) = [one for one in site.identity.keys(await site.admin()) if one.id == own.key_id]
        assert old.expires == pytest.approx(old.created + 1000.0, abs=1)  # No longer than it was good before.

    site(tmp_path, body)


@pytest.mark.parametrize("overlap", [-1.0, 31 * 86_400.0, float("nan")])
def test_overlaps_that_are_none(tmp_path: Path, overlap: float) -> None:
    async def body(site: Site) -> None:
        token = await site.make("ci")
        with pytest.raises(InvalidParams):
            await site.identity.rotate(await site.admin(), token[4:16], overlap)
        assert not refused(site.identity, token)

    site(tmp_path, body)


def test_what_has_ended_is_not_rotated(tmp_path: Path) -> None:
    async def body(site: Site) -> None:
        admin = await site.admin()
        token, short = await site.make("ci"), await site.make("ci", seconds=5)
        await site.identity.revoke(admin, token[4:16])
        site.clock.ahead = 6.0
        for one in (token, short):
            with pytest.raises(InvalidParams, match="ended"):
                await site.identity.rotate(admin, one[4:16], 10)
        acme = site.identity.authenticate(await site.make("al", "acme", Role.ADMIN))
        with pytest.raises(NotFound):
            await site.identity.rotate(acme, admin.key_id, 10)

    site(tmp_path, body)


def test_a_rotation_that_fails_changes_nothing(tmp_path: Path) -> None:
    async def body(site: Site) -> None:
        token = await site.make("ci")
        admin = await site.admin()
        site.commits.next(Fault.FULL)
        with pytest.raises(Problem):
            await site.identity.rotate(admin, token[4:16], 0)
        await site.restart()
        assert not refused(site.identity, token)
        assert len(site.identity.keys(admin)) == 2

    site(tmp_path, body)


# --- leaks ------------------------------------------------------------------------------------------------


def test_a_report_of_keys(tmp_path: Path) -> None:
    async def body(site: Site) -> None:
        admin = await site.admin()
        active, ended = await site.make("a"), await site.make("b")
        short, made_up = await site.make("c", seconds=5), make_key(active[4:16], b"x" * 32)
        await site.identity.revoke(admin, ended[4:16])
        site.clock.ahead = 6.0
        whole = [found(one) for one in (active, ended, short, made_up)]
        leaks = await site.identity.leaked(admin, whole, revoke=False)
        assert [leak.state for leak in leaks] == ["active", "revoked", "expired", "unknown"]
        assert [leak.row.principal if leak.row else "" for leak in leaks] == ["a", "b", "c", ""]
        prefixes = [Found(one[4:16]) for one in (active, ended)] + [Found("0" * 12)]
        leaks = await site.identity.leaked(admin, prefixes, revoke=False)
        assert [leak.state for leak in leaks] == ["active", "revoked", "unknown"]
        assert not refused(site.identity, active)
        (leak,) = await site.identity.leaked(admin, [Found(active[4:16])], revoke=True)
        assert leak.ended
        assert refused(site.identity, active)
        assert events(site)[-1] == ("key.revoked", "admin@default", active[4:16])

    site(tmp_path, body)


def test_who_has_a_key_may_end_it_and_learns_nothing_else(tmp_path: Path) -> None:
    async def body(site: Site) -> None:
        stranger = site.identity.authenticate(await site.make("eve", "acme"))
        token, other = await site.make("a"), await site.make("b")
        site.identity.authenticate(token)
        given: Sequence[Any] = (Found(token[4:16]), Found(other[4:16], "0" * 64), Found("zz", "0" * 64))
        leaks = await site.identity.leaked(stranger, given, revoke=True)
        assert [(leak.state, leak.ended) for leak in leaks] == [("unknown", False)] * 3
        assert not refused(site.identity, token)
        (leak,) = await site.identity.leaked(stranger, [found(token)], revoke=True)
        assert (leak.state, leak.row, leak.ended) == ("active", None, True)
        assert refused(site.identity, token)
        assert not refused(site.identity, other)

    site(tmp_path, body)


def test_a_report_is_bounded(tmp_path: Path) -> None:
    async def body(site: Site) -> None:
        with pytest.raises(InvalidParams):
            await site.identity.leaked(await site.admin(), [Found("0" * 12)] * 1001, revoke=False)

    site(tmp_path, body)


# --- principals -------------------------------------------------------------------------------------------


def test_ending_all_keys_of_a_principal(tmp_path: Path) -> None:
    async def body(site: Site) -> None:
        tokens = [await site.make("bob"), await site.make("bob", seconds=60)]
        other = await site.make("ann")
        who = site.identity.authenticate(tokens[0])
        site.identity.authenticate(tokens[1])
        await site.journal.write([site.identity.end_keys(who.org_no, who.no)])
        site.identity.forget(principal=who.no)
        assert all(refused(site.identity, token) for token in tokens)
        assert not refused(site.identity, other)

    site(tmp_path, body)


def test_principals_for_others_than_keys(tmp_path: Path) -> None:
    async def body(site: Site) -> None:
        bob = site.identity.authenticate(await site.make("bob"))
        assert (await site.identity.ensure("default", "bob")).no == bob.no
        made = await site.identity.ensure("default", "corp:Bob%20B")
        assert made.no != bob.no
        await site.restart()
        assert await site.identity.ensure("default", "corp:Bob%20B") == made
        with pytest.raises(NotFound):
            await site.identity.ensure("nobody", "bob")

    site(tmp_path, body)


def test_each_change_has_its_event_in_the_same_write(tmp_path: Path) -> None:
    async def body(site: Site) -> None:
        admin = await site.admin()
        token = await site.make("bob", by=admin, scopes=["agent:desk"])
        await site.identity.revoke(admin, token[4:16])
        await site.identity.revoke(admin, token[4:16])
        assert [event for event in events(site) if event[0].startswith("key.")] == [
            ("key.created", "platform", admin.key_id),
            ("key.created", "admin@default", token[4:16]),
            ("key.revoked", "admin@default", token[4:16]),
        ]
        assert token not in "".join(str(event) for event in events(site))

    site(tmp_path, body)
