"""control/people: when sessions and links end; surface/people/browser.py: cookies, and what is believed of a
browser."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, MutableMapping
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import pytest

from a2a_cloud.app.people import accounts_of
from a2a_cloud.control.people.links import INVITE, Links
from a2a_cloud.control.people.rows import PeopleRows
from a2a_cloud.control.people.sessions import SEEN, Sessions, Where
from a2a_cloud.model.principal import Principal
from a2a_cloud.model.problem import AlreadyExists, Forbidden, InvalidParams
from a2a_cloud.ops.system import SystemEntropy, TimeIds
from a2a_cloud.storage.journal.port import Refusal
from a2a_cloud.storage.journal.sqlite import SqliteJournal
from a2a_cloud.storage.sql.sqlite import SqliteReader
from a2a_cloud.surface.people.browser import check_origin, cookie, cookie_name, page_headers, set_cookie
from a2a_cloud.surface.request import Request

IDLE, LONGEST = 3600.0, 20_000.0


class Clock:
    at = 1_800_000_000.0

    def now(self) -> float:
        return self.at

    def monotonic(self) -> float:
        return self.at


class Members:
    """Everybody is of one organisation, until they are not."""

    orgs_of = ("default", "acme")

    def principal(self, account_id: str, org: str = "") -> Principal | None:
        wanted = org or next(iter(self.orgs_of), "")
        return Principal(7, 1, "ada@x.org", wanted) if wanted in self.orgs_of else None


class Site:
    def __init__(self, path: Path) -> None:
        self.clock, entropy = Clock(), SystemEntropy()
        self.ids = TimeIds(self.clock, entropy)
        self.journal = SqliteJournal(path)
        self.reader = SqliteReader(path)
        rows = PeopleRows(self.reader.connection)
        self.members: Any = Members()
        self.accounts = accounts_of(self.reader.connection, self.journal, self.clock, entropy, self.ids)
        self.sessions = self.again()
        self.links = Links(rows, self.journal, self.clock, entropy, self.ids)

    def again(self) -> Sessions:
        """As after a restart."""
        return Sessions(
            PeopleRows(self.reader.connection), self.journal, self.members, self.clock, SystemEntropy(),
            self.ids, key=b"k" * 32, idle=IDLE, longest=LONGEST,
        )  # fmt: skip

    async def begun(self) -> str:
        account = self.accounts.by_email("ada@x.org") or await self.accounts.create("Ada@X.org", "Ada")
        _, token, op = self.sessions.beginning(
            account, "password", Where("agent\n\x1b[0m" + "x" * 500, "::1")
        )
        await self.journal.write([op])
        return token


@asynccontextmanager
async def site_at(path: Path) -> AsyncIterator[Site]:
    site = Site(path / "journal.db")
    try:
        yield site
    finally:
        site.accounts.close()
        await site.journal.close()
        site.reader.close()


def test_a_session_ends_when_nobody_uses_it(tmp_path: Path) -> None:
    async def work() -> None:
        async with site_at(tmp_path) as site:
            token = await site.begun()
            for _ in range(2):
                site.clock.at += IDLE - 1
                assert site.sessions.of(token) is not None
            # What was written of its use holds after a restart too.
            await site.journal.write([])
            site.sessions = site.again()
            site.clock.at += IDLE - SEEN
            assert site.sessions.of(token) is not None
            site.clock.at += IDLE + 1
            assert site.sessions.of(token) is None
            assert site.sessions.listed(site.accounts.by_email("ada@x.org").id) == []  # type: ignore[union-attr]

    asyncio.run(work())


def test_a_session_ends_in_any_case(tmp_path: Path) -> None:
    async def work() -> None:
        async with site_at(tmp_path) as site:
            token = await site.begun()
            for _ in range(19):
                site.clock.at += 1000
                assert site.sessions.of(token) is not None
            site.clock.at += 1000
            assert site.sessions.of(token) is None
            site.sessions.sweep()
            await site.journal.write([])
            assert site.reader.connection.execute("SELECT COUNT(*) FROM web_session").fetchone() == (0,)

    asyncio.run(work())


def test_what_is_shown_of_a_session_can_be_shown(tmp_path: Path) -> None:
    async def work() -> None:
        async with site_at(tmp_path) as site:
            session = site.sessions.of(await site.begun())
            assert session is not None
            assert session.agent.isprintable()
            assert len(session.agent) < 400
            for wrong in ("", "x", "x" * 43, "ä" * 43, "x" * 5000):
                assert site.sessions.of(wrong) is None

    asyncio.run(work())


def test_it_speaks_for_an_organisation_as_long_as_its_person_is_a_member(tmp_path: Path) -> None:
    async def work() -> None:
        async with site_at(tmp_path) as site:
            token = await site.begun()
            session = site.sessions.of(token)
            assert session is not None
            assert session.org == "default"
            assert not await site.sessions.move(session, "globex")
            assert await site.sessions.move(session, "acme")
            moved = site.sessions.of(token)
            assert moved is not None
            assert moved.org == "acme"
            site.members.orgs_of = ("default",)
            fallen = site.sessions.of(token)
            assert fallen is not None
            assert fallen.org == "default"
            site.members.orgs_of = ()
            nobody = site.sessions.of(token)
            assert nobody is not None
            assert nobody.principal is None

    asyncio.run(work())


def test_a_link_is_used_once_and_ends(tmp_path: Path) -> None:
    async def work() -> None:
        async with site_at(tmp_path) as site:

            async def made() -> tuple[Any, str]:
                return await site.links.make(
                    INVITE, org="default", role="member", email="bob@x.org", by="ada@default"
                )

            first, old = await made()
            link, token = await made()
            assert site.links.find(old) is None  # The later one is the one that holds.
            assert site.links.find(token) == link
            await site.journal.write([site.links.using(link, "one")])
            with pytest.raises(Refusal):
                await site.journal.write([site.links.using(link, "two")])
            assert site.links.find(token) is None
            assert first.id != link.id
            other, token = await made()
            site.clock.at = other.ends - 1
            assert site.links.find(token) == other
            site.clock.at = other.ends
            assert site.links.find(token) is None
            site.clock.at += 40 * 86_400
            site.links.sweep()
            await site.journal.write([])
            for table in ("link", "link_use"):
                assert site.reader.connection.execute(f"SELECT COUNT(*) FROM {table}").fetchone() == (0,)  # noqa: S608

    asyncio.run(work())


def test_an_address_is_one_persons_however_it_is_written(tmp_path: Path) -> None:
    async def work() -> None:
        async with site_at(tmp_path) as site:
            made = await site.accounts.create(" Ada@Example.COM ", "  Ada   L. ")
            assert (made.email, made.name) == ("ada@example.com", "Ada L.")
            assert site.accounts.by_email("ADA@example.com") == made
            with pytest.raises(AlreadyExists):
                await site.accounts.create("ada@example.com", "Another")
            both = await asyncio.gather(
                *(site.accounts.create("bob@example.com", "Bob") for _ in range(2)), return_exceptions=True
            )
            assert sorted(type(each).__name__ for each in both) == ["Account", "AlreadyExists"]
            for email in ("", "x", "a@", "@b", "a b@c", "ä@b.org", "a@b..c", "a@-b", "a\n@b", "a@b" * 60):
                with pytest.raises(InvalidParams):
                    await site.accounts.create(email, "X")
            for name in ("", " ", "x" * 101, "a\x1bb"):
                with pytest.raises(InvalidParams):
                    await site.accounts.create("c@example.com", name)

    asyncio.run(work())


# --- browsers -----------------------------------------------------------------------------------------


def request(
    scheme: str = "http", base: str = "http://localhost:8080", method: str = "POST", **headers: str
) -> Request:
    async def nothing(*_: Any) -> Any: ...

    scope: MutableMapping[str, Any] = {
        "method": method,
        "query_string": b"",
        "scheme": scheme,
        "headers": [(name.replace("_", "-").encode(), value.encode()) for name, value in headers.items()],
    }
    found = Request(scope, nothing, nothing)
    found.base = base
    found.read_headers()
    return found


def test_cookies_are_this_hosts_own() -> None:
    safe = request("https", "https://agents.example.com")
    name, value = set_cookie(safe, "session", "t", 60)
    assert name == b"set-cookie"
    assert value == b"__Host-a2a-session=t; Path=/; HttpOnly; SameSite=Lax; Secure; Max-Age=60"
    assert set_cookie(request(), "session", "")[1].endswith(b"SameSite=Lax; Max-Age=0")
    assert cookie_name(request(), "session") == "a2a-session-8080"
    assert cookie_name(request(base="http://localhost"), "session") == "a2a-session"
    # With TLS a cookie that a neighbour could have planted is none.
    planted = request("https", "https://agents.example.com", cookie="a2a-session=x; a2a-session-443=x")
    assert cookie(planted, "session") == ""
    assert cookie(request(cookie="a=b; a2a-session-8080=x; c"), "session") == "x"
    assert cookie(request(cookie="a2a-session-8080=x; a2a-session-8080=y"), "session") == ""
    assert cookie(request(cookie="a2a-session-8081=x"), "session") == ""


@pytest.mark.parametrize(
    ("headers", "good"),
    [
        ({"sec_fetch_site": "same-origin"}, True),
        ({"sec_fetch_site": "none"}, True),
        ({"sec_fetch_site": "same-origin", "origin": "null"}, True),
        ({"sec_fetch_site": "same-site", "origin": "http://localhost:8080"}, False),
        ({"sec_fetch_site": "cross-site"}, False),
        ({"sec_fetch_site": "what"}, False),
        ({"origin": "http://localhost:8080"}, True),
        ({"origin": "http://localhost:8081"}, False),
        ({"origin": "https://localhost:8080"}, False),
        ({"origin": "http://localhost:8080.evil.example"}, False),
        ({"origin": "null"}, True),
        ({}, True),
    ],
    ids=range(12),
)
def test_what_another_site_sends_is_refused(headers: dict[str, str], good: bool) -> None:
    if good:
        check_origin(request(**headers))
    else:
        with pytest.raises(Forbidden):
            check_origin(request(**headers))


@pytest.mark.parametrize(
    ("address", "source"),
    [
        ("", "'self'"),
        ("http://127.0.0.1:7/cb?x=1", "'self' http://127.0.0.1:7"),
        ("cursor://anysphere/cb", "'self' cursor:"),
        ("https://a.example;script-src *", "'self'"),
        ("https://a.example, b", "'self'"),
        ("https://*/cb", "'self'"),
    ],
    ids=["none", "loopback", "scheme", "semicolon", "comma", "star"],
)
def test_a_forms_end_is_the_clients_and_nothing_more(address: str, source: str) -> None:
    policy = dict(page_headers(goes_to=address))[b"content-security-policy"].decode()
    assert f"form-action {source};" in policy
    assert policy.count(";") == 7
