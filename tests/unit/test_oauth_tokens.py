"""control/oauth: what tokens say and when they are believed, clocks that turn, keys that change, scopes."""

from __future__ import annotations

import json
import stat
from collections.abc import Sequence
from pathlib import Path
from typing import NamedTuple

import pytest
from grant_fixtures import TurnedClock

from a2a_cloud.control.oauth import metadata, records, scopes
from a2a_cloud.control.oauth.records import Client, Subject
from a2a_cloud.control.oauth.rows import OAuthRows
from a2a_cloud.control.oauth.signing import KEPT, LEAD, LIFE, TokenKeys
from a2a_cloud.control.oauth.tokens import SECONDS, TokenRefused, Tokens
from a2a_cloud.model.principal import Permission, Principal
from a2a_cloud.model.problem import InvalidParams, Unavailable
from a2a_cloud.ops.system import SystemEntropy
from a2a_cloud.storage.journal.port import Op
from a2a_cloud.storage.journal.writer import connect, prepare

ENTROPY = SystemEntropy()
ISSUER = "https://agents.example"
ADA = Subject("person", "acct_1", "default")


class Shown(NamedTuple):
    scheme: str = "bearer"
    method: str = "GET"
    url: str = f"{ISSUER}/agents/desk/mcp"
    dpop: str = ""
    x5t: str = ""


class NoJournal:
    async def write(self, ops: Sequence[Op]) -> None:
        pass


class Site:
    """Tokens of a platform with one person."""

    def __init__(self, folder: Path) -> None:
        self.clock = TurnedClock()
        self.who: Principal | None = Principal(7, 1, "ada", "default", role="owner")
        prepare(folder / "db")
        self.keys = TokenKeys(folder, ENTROPY, self.clock)

        def place(url: str) -> str | None:
            return url.removeprefix(ISSUER) if url.startswith(ISSUER) else None

        self.tokens = Tokens(
            self.keys,
            OAuthRows(connect(folder / "db")),
            NoJournal(),
            self.clock,
            ENTROPY,
            issuer=lambda: ISSUER,
            place=place,
            target=place,
        )
        self.tokens.subjects["person"] = lambda _id, _org: self.who

    def turn(self, seconds: float) -> None:
        self.clock.at += seconds

    def token(self, audience: str = ISSUER, scope: str = "all", **more: str) -> str:
        return self.tokens.issue(ADA, client="c", audience=(audience,), scopes=scope.split(), **more)  # type: ignore[arg-type]

    def refused(self, token: str, shown: Shown | None = None) -> str:
        with pytest.raises(TokenRefused) as raised:
            self.tokens.authenticate(token, shown or Shown())
        return raised.value.detail


@pytest.fixture
def site(tmp_path: Path) -> Site:
    return Site(tmp_path)


# --- time ---------------------------------------------------------------------------------------------


def test_a_token_lasts_ten_minutes_at_most(site: Site) -> None:
    token = site.token(seconds=86_400)  # type: ignore[arg-type]
    site.turn(SECONDS - 1)
    assert site.tokens.authenticate(token, Shown()).name == "ada"
    site.turn(1)
    assert "ended" in site.refused(token)


def test_a_clock_that_goes_back_makes_no_token_last(site: Site) -> None:
    token = site.token()
    site.turn(-SECONDS - 1)
    assert "time to come" in site.refused(token)


def test_a_token_that_was_known_is_looked_at_again(site: Site) -> None:
    token = site.token(scope="agents.call")
    assert site.tokens.authenticate(token, Shown()).may(Permission.CALL)
    site.who = Principal(7, 1, "ada", "default", role="auditor")
    assert site.tokens.authenticate(token, Shown()).role == "owner"  # Nobody said that it changed.
    site.tokens.changed(7)
    assert not site.tokens.authenticate(token, Shown()).may(Permission.CALL)
    site.who = None
    site.tokens.changed(7)
    assert "not there any more" in site.refused(token)


# --- what a token is for ------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("audience", "url", "good"),
    [
        ("", "/api/v1/runs", True),
        ("", "/agents/desk", True),
        ("/agents/desk", "/agents/desk/mcp", True),
        ("/agents/desk", "/agents/desk2", False),
        ("/agents/desk/mcp", "/agents/desk", False),
        ("/agents/desk/mcp", "/agents/desk/mcp", True),
        ("/mcp", "/agents/desk/mcp", False),
        ("/agents/desk", "/api/v1/runs", False),
    ],
)
def test_a_token_covers_its_resource_and_what_is_below(
    site: Site, audience: str, url: str, good: bool
) -> None:
    token = site.token(ISSUER + audience)
    shown = Shown(url=ISSUER + url)
    if good:
        assert site.tokens.authenticate(token, shown).name == "ada"
    else:
        assert "another resource" in site.refused(token, shown)


def test_an_audience_that_is_not_ours_covers_nothing(site: Site) -> None:
    assert "another resource" in site.refused(site.token("https://other.example"))


def test_a_token_is_bound_to_a_certificate(site: Site) -> None:
    token = site.token(x5t="abc")
    assert site.tokens.authenticate(token, Shown(x5t="abc")).name == "ada"
    assert "certificate" in site.refused(token)
    assert "certificate" in site.refused(token, Shown(x5t="abd"))


def test_a_chain_of_actors_is_nearest_first(site: Site) -> None:
    token = site.tokens.issue(ADA, client="c", audience=(ISSUER,), scopes=("all",), act=("b", "a"))
    assert site.tokens.authenticate(token, Shown()).actors == ("b", "a")
    assert site.tokens.read(token).act == {"sub": "b", "act": {"sub": "a"}}


def test_another_issuer_is_nobody_here(site: Site) -> None:
    token = site.token()
    site.tokens.issuer = lambda: "https://moved.example"
    site.tokens.forget()
    assert "another issuer" in site.refused(token)


# --- keys ---------------------------------------------------------------------------------------------


def test_the_next_key_is_published_before_it_signs(site: Site) -> None:
    first = site.keys.current().kid
    old = site.token()
    site.turn(LIFE - LEAD)
    assert site.keys.tend()
    kids = [key["kid"] for key in site.keys.jwks()["keys"]]
    assert (len(kids), kids[0], site.keys.current().kid) == (2, first, first)
    site.turn(LEAD)
    assert site.keys.current().kid == kids[1]
    assert not site.keys.tend()
    assert first in [key["kid"] for key in site.keys.jwks()["keys"]]
    site.turn(KEPT + 1)
    site.keys.tend()
    assert [key["kid"] for key in site.keys.jwks()["keys"]] == [kids[1]]
    assert "ended" in site.refused(old) or "not good" in site.refused(old)


def test_a_key_that_leaked_is_trusted_no_more(site: Site) -> None:
    token = site.token()
    assert site.tokens.authenticate(token, Shown())
    site.keys.rotate(at_once=True)
    site.tokens.forget()
    assert "not good" in site.refused(token)
    site.keys.rotate()
    with pytest.raises(InvalidParams):
        site.keys.rotate()


def test_keys_are_private_and_the_next_start_finds_them(site: Site, tmp_path: Path) -> None:
    kid = site.keys.current().kid
    path = tmp_path / "tokens.json"
    assert stat.S_IMODE(path.stat().st_mode) == 0o600
    assert TokenKeys(tmp_path, ENTROPY, site.clock).current().kid == kid
    assert all("d" not in key for key in site.keys.jwks()["keys"])
    path.chmod(0o644)
    with pytest.raises(Unavailable):
        TokenKeys(tmp_path, ENTROPY, site.clock).current()
    path.chmod(0o600)
    path.write_text(json.dumps({"keys": []}))
    with pytest.raises(Unavailable):
        TokenKeys(tmp_path, ENTROPY, site.clock).current()


# --- scopes -------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("asked", "granted", "good"),
    [
        ("agent:a", "agent:a", True),
        ("agent:a/x", "agent:a", True),
        ("agent:a", "agent:a/x", False),
        ("agent:ab", "agent:a", False),
        ("agent:a", "agents.call", True),
        ("agents.call", "agent:a", False),
        ("runs.read", "all", True),
        ("all", "runs.read", False),
        ("openid", "all", False),
        ("openid", "openid", True),
    ],
)
def test_one_scope_within_another(asked: str, granted: str, good: bool) -> None:
    assert scopes.within(asked.split(), granted.split()) is good


def test_agents_are_named_as_their_people_do() -> None:
    assert scopes.narrowing(["agent:a", "openid"], "default") == {"agent:a"}
    assert scopes.narrowing(["agent:acme.a/x"], "acme") == {"agent:a/x"}
    assert scopes.narrowing(["agent:a"], "acme") == {"agent:default.a"}
    assert scopes.narrowing(["agent:acme.a"], "default") == {"agent:acme.a"}
    assert scopes.narrowing(["all", "agent:a"], "default") is None
    assert scopes.narrowing(["openid"], "default") == frozenset()


@pytest.mark.parametrize(
    "text", ["A", "agent:", "agent:a/b/c", 'a"', "a\\b", "x" * 101, " ".join("a" * 3000)]
)
def test_no_scope_at_all(text: str) -> None:
    with pytest.raises(ValueError, match="scope"):
        scopes.read(text)


def test_every_permission_has_words() -> None:
    for scope in (*scopes.SUPPORTED, "agent:a", "agent:a/x"):
        assert "“" not in scopes.words(scope), scope


# --- addresses ----------------------------------------------------------------------------------------


def test_a_port_of_the_loopback_interface_is_any() -> None:
    client = Client("c", "registered", "", redirect_uris=("http://127.0.0.1:1/cb", "https://a.example/cb"))
    assert client.redirects_to("http://127.0.0.1:2/cb")
    assert not client.redirects_to("https://a.example:444/cb")
    assert not client.redirects_to("http://127.0.0.1:2/cb?x")
    assert records.loopback("http://localhost.evil.example/cb") is None


@pytest.mark.parametrize(
    "uri", ["cursor://x/cb", "com.example.app:/cb", "vscode://a.b/cb", "http://[::1]:9/cb"]
)
def test_apps_have_addresses_too(uri: str) -> None:
    metadata.redirect(uri)
