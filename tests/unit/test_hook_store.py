"""The store of hooks: keys and secrets are never stored as they are, old ones end, owners see their own."""

from __future__ import annotations

import asyncio
import hmac
import sqlite3
from collections.abc import Iterator
from hashlib import sha256
from pathlib import Path
from typing import Any

import pytest

from a2a_cloud.control.hooks.rows import SqliteHookRows
from a2a_cloud.control.hooks.store import MAX_HOOKS, Hooks, Made
from a2a_cloud.control.identity.keys import Identity
from a2a_cloud.control.secrets.seal import Seal
from a2a_cloud.model.grant import Narrowing
from a2a_cloud.model.hook import Checks, Hook, Scheme
from a2a_cloud.model.principal import Principal, Role
from a2a_cloud.model.problem import Forbidden, Internal, InvalidParams, NotFound, Unauthenticated, Unavailable
from a2a_cloud.model.scope import SYSTEM, Scope
from a2a_cloud.ops.system import SystemEntropy, TimeIds
from a2a_cloud.storage.journal.sqlite import SqliteJournal
from a2a_cloud.storage.sql.sqlite import SqliteReader


class Clock:
    """Time that a test turns."""

    def __init__(self) -> None:
        self.at = 1_700_000_000.0

    def now(self) -> float:
        return self.at

    def monotonic(self) -> float:
        return self.at


class Site:
    """A store over a database, and people of two organisations."""

    def __init__(self, folder: Path) -> None:
        self.clock = Clock()
        entropy = SystemEntropy()
        self.path = folder / "journal.db"
        self.journal = SqliteJournal(self.path)
        self.reader = SqliteReader(self.path)
        self.identity = Identity(self.reader, self.journal, self.clock, entropy)
        self.key = bytes(32)
        self.hooks = self.open(self.key)

    def open(self, key: bytes) -> Hooks:
        entropy = SystemEntropy()
        return Hooks(
            SqliteHookRows(self.reader.connection),
            self.journal,
            Seal(key, entropy),
            self.clock,
            TimeIds(self.clock, entropy),
            entropy,
            self.identity.by_no,
        )

    async def people(self, tmp: Path) -> None:
        token = await self.identity.admin_key(tmp / "admin.key")
        self.admin = self.identity.authenticate(token)
        self.ada = await self.person("ada")
        self.eve = await self.person("eve")
        self.far = await self.person("far", org="far", role=Role.ADMIN)

    async def person(self, name: str, org: str = "", role: Role = Role.MEMBER) -> Principal:
        _, token = await self.identity.create_key(self.admin, principal=name, org=org, role=role, label="")
        return self.identity.authenticate(token)

    async def make(self, by: Principal, scheme: Scheme = Scheme.GITHUB, **options: Any) -> Made:
        wanted: dict[str, Any] = {
            "agent_no": 1,
            "agent": "desk",
            "skill": "shout",
            "checks": Checks(),
            "secret": "",
            "narrow": None,
            "label": "",
            **options,
        }
        return await self.hooks.create(by, scheme=scheme, **wanted)

    def find(self, key: str, **other: Any) -> Hook:
        where: dict[str, Any] = {"org_no": self.ada.org_no, "agent_no": 1, "skill": "shout", **other}
        return self.hooks.find(key=key, **where)


@pytest.fixture
def site(tmp_path: Path) -> Iterator[Site]:
    found: list[Site] = []

    async def begin() -> Site:
        site = Site(tmp_path)
        found.append(site)
        await site.people(tmp_path)
        return site

    loop = asyncio.new_event_loop()
    site = loop.run_until_complete(begin())
    site.loop = loop  # type: ignore[attr-defined]
    yield site
    loop.run_until_complete(site.journal.close())
    site.reader.close()
    loop.close()


def run(site: Site, work: Any) -> Any:
    return site.loop.run_until_complete(work)  # type: ignore[attr-defined]


def signed(secret: str, body: bytes = b"{}") -> dict[str, str]:
    return {"x-hub-signature-256": "sha256=" + hmac.new(secret.encode(), body, sha256).hexdigest()}


def test_a_hook_is_found_by_its_key_and_admits_its_owner(site: Site) -> None:
    made = run(site, site.make(site.ada, narrow=Narrowing(write=()), label="issues"))
    assert len(made.key) == 43
    assert len(made.secret) == 64
    hook = site.find(made.key)
    assert (hook, hook.narrow, hook.by) == (made.hook, Narrowing(write=()), "ada@default")
    owner = site.hooks.admit(hook, signed(made.secret), b"{}")
    assert (owner.no, owner.role) == (site.ada.no, Role.MEMBER)
    with pytest.raises(Unauthenticated):
        site.hooks.admit(hook, signed(made.secret), b"{} ")


@pytest.mark.parametrize(
    "other", [{"org_no": 99}, {"agent_no": 2}, {"skill": "add"}], ids=["org", "agent", "skill"]
)
def test_a_key_opens_its_own_path_alone(site: Site, other: dict[str, Any]) -> None:
    made = run(site, site.make(site.ada))
    with pytest.raises(NotFound):
        site.find(made.key, **other)
    with pytest.raises(NotFound):
        site.find(made.key[:-1])


def test_neither_key_nor_secret_is_stored_as_it_is(site: Site) -> None:
    made = run(site, site.make(site.ada))
    with sqlite3.connect(site.path) as database:
        rows = repr(database.execute("SELECT * FROM hook").fetchall())
    assert made.hook.id in rows
    assert made.key not in rows
    assert made.secret not in rows


def test_people_see_their_own_and_admins_all_of_their_organisation(site: Site) -> None:
    made = run(site, site.make(site.ada))
    assert site.hooks.listed(site.ada) == [made.hook]
    assert site.hooks.listed(site.admin) == [made.hook]
    for stranger in (site.eve, site.far):
        assert site.hooks.listed(stranger) == []
        for work in (
            site.hooks.drop(stranger, made.hook.id),
            site.hooks.rotate_key(stranger, made.hook.id, 0),
            site.hooks.rotate_secret(stranger, made.hook.id, "", 0),
        ):
            with pytest.raises(NotFound):
                run(site, work)
    run(site, site.hooks.drop(site.admin, made.hook.id))
    with pytest.raises(NotFound):
        site.find(made.key)


def test_a_rotated_key_ends_at_once_or_after_its_grace(site: Site) -> None:
    first = run(site, site.make(site.ada))
    second = run(site, site.hooks.rotate_key(site.ada, first.hook.id, 60))
    assert site.find(first.key).id == site.find(second.key).id
    site.clock.at += 61
    with pytest.raises(NotFound):
        site.find(first.key)
    third = run(site, site.hooks.rotate_key(site.ada, first.hook.id, 0))
    with pytest.raises(NotFound):
        site.find(second.key)
    assert site.find(third.key).id == first.hook.id


def test_a_rotated_secret_ends_at_once_or_after_its_grace(site: Site) -> None:
    made = run(site, site.make(site.ada))
    other = run(site, site.hooks.rotate_secret(site.ada, made.hook.id, "a secret of our own choice", 60))
    assert other.secret == ""
    hook = site.find(made.key)
    site.hooks.admit(hook, signed("a secret of our own choice"), b"{}")
    site.hooks.admit(hook, signed(made.secret), b"{}")
    site.clock.at += 61
    with pytest.raises(Unauthenticated):
        site.hooks.admit(hook, signed(made.secret), b"{}")
    drawn = run(site, site.hooks.rotate_secret(site.ada, made.hook.id, "", 0))
    site.hooks.admit(hook, signed(drawn.secret), b"{}")
    with pytest.raises(Unauthenticated):
        site.hooks.admit(hook, signed("a secret of our own choice"), b"{}")


def test_a_hook_ends_with_its_owners_last_key(site: Site) -> None:
    made = run(site, site.make(site.ada))
    run(site, site.identity.revoke(site.admin, site.ada.key_id))
    with pytest.raises(Forbidden):
        site.hooks.admit(site.find(made.key), signed(made.secret), b"{}")


def test_another_key_file_opens_no_secret(site: Site) -> None:
    made = run(site, site.make(site.ada))
    store = site.open(b"x" * 32)
    with pytest.raises(Unavailable) as told:
        store.admit(made.hook, signed(made.secret), b"{}")
    assert "Set it again" in told.value.remedy


@pytest.mark.parametrize(
    ("scheme", "options"),
    [
        pytest.param(Scheme.HMAC, {}, id="hmac-without-header"),
        pytest.param(Scheme.GITHUB, {"checks": Checks(header="X-Sig")}, id="header-unused"),
        pytest.param(Scheme.STRIPE, {"secret": ""}, id="stripe-without-secret"),
        pytest.param(Scheme.GITHUB, {"checks": Checks(id_header="X-Id")}, id="id-unused"),
        pytest.param(Scheme.NONE, {"secret": "a secret that nobody asks"}, id="secret-unused"),
        pytest.param(Scheme.NONE, {"label": "two\nlines"}, id="label"),
    ],
)
def test_what_can_not_be_made(site: Site, scheme: Scheme, options: dict[str, Any]) -> None:
    with pytest.raises(InvalidParams):
        run(site, site.make(site.ada, scheme, **options))


def test_a_principal_has_so_many_and_no_more(site: Site) -> None:
    for _ in range(MAX_HOOKS):
        run(site, site.make(site.ada, Scheme.NONE))
    with pytest.raises(InvalidParams):
        run(site, site.make(site.ada, Scheme.NONE))
    run(site, site.make(site.eve, Scheme.NONE))


def test_a_hook_without_a_signature_has_no_secret_to_rotate(site: Site) -> None:
    made = run(site, site.make(site.ada, Scheme.NONE))
    assert made.secret == ""
    assert site.hooks.admit(site.find(made.key), {}, b"").no == site.ada.no
    with pytest.raises(InvalidParams):
        run(site, site.hooks.rotate_secret(site.ada, made.hook.id, "a secret that nobody asks", 0))


def test_every_query_has_an_organisation(site: Site) -> None:
    rows = SqliteHookRows(site.reader.connection)
    for query in (
        lambda: rows.hooks(SYSTEM),
        lambda: rows.hook(SYSTEM, "h"),
        lambda: rows.by_key(SYSTEM, 1, "s", b"", 0),
        lambda: rows.sealed(SYSTEM, "h"),
        lambda: rows.has_key(SYSTEM),
        lambda: rows.any(Scope(org=1)),
    ):
        with pytest.raises(Internal):
            query()
