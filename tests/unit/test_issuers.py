"""Bearer tokens of outside issuers: which are taken, for which agent, as whom; and the keys they are checked
with."""

from __future__ import annotations

import asyncio
import base64
import hmac
import json
from collections.abc import Awaitable, Callable
from typing import Any

import pytest
from identity_site import Turned
from joserfc import jws
from joserfc.jwk import ECKey, KeySet, RSAKey

from a2a_cloud.control.identity.issuers import Issuers, check_named, principal_name
from a2a_cloud.control.identity.jwks import AGAIN, KEPT, STALE
from a2a_cloud.model.issuer import Issuer
from a2a_cloud.model.principal import Permission, Principal
from a2a_cloud.model.problem import InvalidParams, Problem, Unauthenticated, UpstreamFailed
from a2a_cloud.model.release import Manifest, Release

ISS = "https://login.example.com"
AUD = "https://agents.example.com"
KEY = RSAKey.generate_key(2048, parameters={"kid": "k1"})
NEXT = ECKey.generate_key("P-256", parameters={"kid": "k2"})


def release(*issuers: str, name: str = "desk", org: str = "default", no: int = 1) -> Release:
    manifest = Manifest(name=name, entry="agent.py", issuers=issuers or ("corp",))
    return Release(no, no, 1, org, 1, "sha256:0", "/", manifest, ())


DESK = release()


class Site:
    """An issuer's web site, and the platform's side that reads it."""

    def __init__(self, *issuers: Issuer) -> None:
        self.clock = Turned()
        self.keys: list[RSAKey | ECKey] = [KEY]
        self.asked: list[str] = []
        self.down = False
        self.description: dict[str, Any] = {"issuer": ISS, "jwks_uri": f"{ISS}/keys"}
        self.numbers: dict[tuple[str, str], int] = {}
        told = issuers or (Issuer("corp", ISS, (AUD,)),)
        self.issuers = Issuers(told, self.fetch, self.ensure, lambda _release: (AUD,), self.clock)

    async def fetch(self, url: str) -> bytes:
        self.asked.append(url)
        await asyncio.sleep(0)
        if self.down:
            raise UpstreamFailed("It is down.")
        if url == f"{ISS}/.well-known/openid-configuration":
            return json.dumps(self.description).encode()
        keys: list[Any] = [*self.keys]
        return json.dumps(KeySet(keys).as_dict(private=False)).encode()

    async def ensure(self, org: str, name: str) -> Principal:
        no = self.numbers.setdefault((org, name), len(self.numbers) + 10)
        return Principal(no, 1, name, org)

    def token(self, key: Any = KEY, header: dict[str, Any] | None = None, **claims: Any) -> str:
        now = int(self.clock.now())
        told = {"iss": ISS, "aud": AUD, "sub": "alice", "iat": now, "exp": now + 600, **claims}
        told = {name: value for name, value in told.items() if value is not ...}
        algorithm = "RS256" if isinstance(key, RSAKey) else "ES256"
        head: dict[str, Any] = {"alg": algorithm, "kid": key.kid, **(header or {})}
        head = {name: value for name, value in head.items() if value is not ...}
        return jws.serialize_compact(head, json.dumps(told), key, algorithms=[head["alg"]])

    async def who(self, token: str, agent: Release = DESK) -> Principal:
        assert self.issuers.token_of(f"Bearer {token}".encode()) == token
        return await self.issuers.authenticate(token, agent)


def tried(body: Callable[[Site], Awaitable[None]], *issuers: Issuer) -> None:
    async def go() -> None:
        await body(Site(*issuers))

    asyncio.run(go())


async def refused(site: Site, token: str, why: str = "", agent: Release = DESK) -> None:
    with pytest.raises(Unauthenticated, match=why):
        await site.issuers.authenticate(token, agent)


# --- who calls ------------------------------------------------------------------------------------------


def test_a_good_token_is_somebody_of_the_agents_organisation() -> None:
    async def body(site: Site) -> None:
        who = await site.who(site.token(azp="app"))
        assert (who.label, who.role, who.client, who.key_id) == (
            *("corp:alice@default", "member", "app", "jwt:corp"),
        )
        assert who.scopes == {"agent:desk"}
        assert who.reaches("desk", "shout")
        assert not who.reaches("other", "shout")
        assert not any(who.may(one) for one in Permission)
        assert (await site.who(site.token(sub="bob"))).no != who.no
        assert (await site.who(site.token(jti="2"))).no == who.no

    tried(body)


def test_names_of_subjects_are_all_different() -> None:
    issuer = Issuer("corp", ISS)
    subjects = ["a", "A", "a b", "a%20b", "ä", "auth0|1", "a/b", "a:b", "x" * 200, "x" * 201]
    names = [principal_name(issuer, one) for one in subjects]
    assert len(set(names)) == len(subjects)
    assert all(name.startswith("corp:") and name.isascii() and len(name) < 128 for name in names)


def test_the_audience_of_an_issuer_without_one_is_the_agent() -> None:
    async def body(site: Site) -> None:
        assert (await site.who(site.token(aud=["x", AUD]))).name == "corp:alice"
        await refused(site, site.token(aud="x"), "another audience")

    tried(body, Issuer("corp", ISS))


def test_words_of_a_token_are_scopes_that_skills_ask_for() -> None:
    async def body(site: Site) -> None:
        who = await site.who(site.token(scope="invoices.pay keys.manage agents.call"))
        assert who.holds("invoices.pay")
        assert not who.holds("invoices.read")
        assert not who.may(Permission.MANAGE_KEYS)
        assert not who.may(Permission.CALL)
        assert who.has(Permission.CALL)
        assert not who.has(Permission.MANAGE_KEYS)

    tried(body, Issuer("corp", ISS, (AUD,), words="scope"))


# --- what is refused ------------------------------------------------------------------------------------

BAD: dict[str, tuple[dict[str, Any], str]] = {
    "expired": ({"exp": 1}, "expired"),
    "no exp": ({"exp": ...}, "expired"),
    "exp text": ({"exp": "9999999999"}, "expired"),
    "exp nan": ({"exp": float("nan")}, "expired"),
    "exp bool": ({"exp": True}, "expired"),
    "later": ({"nbf": 1 << 40}, "not good yet"),
    "made later": ({"iat": 1 << 40}, "not good yet"),
    "other audience": ({"aud": "https://other.example.com"}, "audience"),
    "audience prefix": ({"aud": AUD + "/"}, "audience"),
    "no audience": ({"aud": ...}, "audience"),
    "odd audience": ({"aud": {"a": AUD}}, "audience"),
    "no subject": ({"sub": ...}, "has no sub"),
    "empty subject": ({"sub": ""}, "has no sub"),
    "odd subject": ({"sub": ["alice"]}, "has no sub"),
    "control in subject": ({"sub": "a\nb"}, "has no sub"),
    "surrogate in subject": ({"sub": "\ud800"}, "has no sub"),
    "long subject": ({"sub": "x" * 1001}, "has no sub"),
    "bound to a key": ({"cnf": {"jkt": "x"}}, "bound to a key"),
}


@pytest.mark.parametrize(("claims", "why"), BAD.values(), ids=BAD)
def test_claims_that_are_not_right(claims: dict[str, Any], why: str) -> None:
    async def body(site: Site) -> None:
        await refused(site, site.token(**claims), why)

    tried(body)


@pytest.mark.parametrize(
    ("header", "why"),
    [
        ({"alg": "RS512"}, "kind"),
        ({"typ": "dpop+jwt"}, "no access token"),
        ({"kid": "k9"}, "signature"),
        ({"kid": "k2"}, "signature"),
    ],
    ids=["algorithm", "type", "unknown-key", "other-kind-of-key"],
)
def test_headers_that_are_not_right(header: dict[str, Any], why: str) -> None:
    async def body(site: Site) -> None:
        site.keys.append(NEXT)
        await refused(site, site.token(header=header), why)

    tried(body)


def test_types_and_keys_without_an_id() -> None:
    async def body(site: Site) -> None:
        for header in ({"typ": "at+jwt"}, {"typ": "application/at+jwt"}, {"typ": "JWT"}, {"kid": ...}):
            assert (await site.who(site.token(header=header))).name == "corp:alice"

    tried(body)


def test_a_signature_with_the_public_key_as_a_secret() -> None:
    """The attack by which a verifier takes an RSA key for an HMAC secret (RFC 8725, section 2.1)."""

    async def body(site: Site) -> None:
        head = base64.urlsafe_b64encode(b'{"alg":"HS256","kid":"k1"}').rstrip(b"=").decode()
        body = f"{head}.{site.token().split('.')[1]}"
        mac = hmac.digest(KEY.as_pem(private=False), body.encode(), "sha256")
        await refused(site, f"{body}.{base64.urlsafe_b64encode(mac).rstrip(b'=').decode()}", "kind")

    tried(body)


def test_no_signature_at_all() -> None:
    async def body(site: Site) -> None:
        good = site.token()
        head, payload, signature = good.split(".")
        none = base64.urlsafe_b64encode(b'{"alg":"none"}').decode().rstrip("=")
        crit = base64.urlsafe_b64encode(b'{"alg":"RS256","crit":["x"],"x":1}').decode().rstrip("=")
        for token in (f"{none}.{payload}.", f"{none}.{payload}.{signature}", f"{crit}.{payload}.{signature}"):
            await refused(site, token, "kind")
        for token in (f"{head}.{payload}.", f"{head}.{payload}.{signature[:-8]}AAAAAAAA"):
            await refused(site, token, "signature")

    tried(body)


def test_somebody_elses_key_under_the_same_id() -> None:
    async def body(site: Site) -> None:
        mine = RSAKey.generate_key(2048, parameters={"kid": "k1"})
        await refused(site, site.token(mine), "signature")

    tried(body)


def test_a_key_in_the_tokens_own_header_is_not_looked_at() -> None:
    async def body(site: Site) -> None:
        mine = RSAKey.generate_key(2048, parameters={"kid": "k1"})
        header = {"jwk": mine.as_dict(private=False), "jku": "https://evil.example.com/keys"}
        await refused(site, site.token(mine, header=header), "signature")
        assert not any("evil" in url for url in site.asked)

    tried(body)


@pytest.mark.parametrize(
    "text",
    [
        b"",
        b"Bearer",
        b"Bearer a2a_x",
        b"Bearer a.b.c",
        b"Bearer eyJ.eyJ.x",
        b"Basic eyJhbGciOiJub25lIn0.e30.",
        b"Bearer eyJhbGciOiJub25lIn0.W10.",
        b"Bearer eyJhbGciOiJub25lIn0.eyJpc3MiOlsiYSJdfQ.",
        b"Bearer \xff.\xff.\xff",
        b"Bearer " + b"x" * 20_000,
        b"Bearer e30." + base64.urlsafe_b64encode(b"[" * 9000).rstrip(b"=") + b".",
    ],
    ids=range(11),
)
def test_what_comes_from_none_of_them(text: bytes) -> None:
    async def body(site: Site) -> None:
        assert site.issuers.token_of(text) == ""
        assert site.issuers.token_of(f"Bearer {site.token(iss='https://other')}".encode()) == ""

    tried(body)


# --- rules ------------------------------------------------------------------------------------------------

RULES = (
    ("email_verified", (True,)),
    ("groups", ("agents", "ops")),
    ("realm_access.roles", ("user",)),
    ("scope", ("a2a",)),
)
GOOD: dict[str, Any] = {
    "email_verified": True,
    "groups": ["x", "ops"],
    "realm_access": {"roles": ["user"]},
    "scope": "openid a2a",
}


@pytest.mark.parametrize(
    "change",
    [
        {"email_verified": False},
        {"email_verified": 1},
        {"email_verified": "true"},
        {"email_verified": ...},
        {"groups": ["x"]},
        {"groups": "agents ops"},
        {"groups": ...},
        {"realm_access": {"roles": []}},
        {"realm_access": ["user"]},
        {"scope": "openid a2axx"},
    ],
    ids=str,
)
def test_rules_over_claims(change: dict[str, Any]) -> None:
    async def body(site: Site) -> None:
        assert (await site.who(site.token(**GOOD))).name == "corp:alice"
        await refused(site, site.token(**{**GOOD, **change}), "Its claim")

    tried(body, Issuer("corp", ISS, (AUD,), require=RULES))


def test_two_names_of_one_issuer() -> None:
    """The same issuer with other rules under another name: an agent says which it takes."""
    strict = Issuer("ops", ISS, (AUD,), require=(("groups", ("ops",)),))

    async def body(site: Site) -> None:
        both = release("ops", "corp")
        assert (await site.who(site.token(groups=["ops"]), both)).name == "ops:alice"
        assert (await site.who(site.token(), both)).name == "corp:alice"
        await refused(site, site.token(), "Its claim groups", release("ops", no=3))

    tried(body, Issuer("corp", ISS, (AUD,)), strict)


# --- which agent --------------------------------------------------------------------------------------------


def test_an_agent_takes_what_it_names_and_the_operator_allows() -> None:
    async def body(site: Site) -> None:
        token = site.token()
        assert [one.name for one in site.issuers.taken(DESK)] == ["corp"]
        for agent in (release("other", no=2), release(name="desk", org="acme", no=3)):
            assert site.issuers.taken(agent) == []
            await refused(site, token, "takes no tokens", agent)
        await site.who(token)
        await refused(site, token, "takes no tokens", release("other", no=2))  # What is kept is by agent.

    tried(body)


def test_a_deploy_that_names_an_unknown_issuer() -> None:
    corp = (Issuer("corp", ISS),)
    check_named(corp, DESK)
    check_named((), Release(1, 1, 1, "default", 1, "", "", Manifest(name="x", entry="x.py"), ()))
    for named in (release("corp", "other"), release(org="acme")):
        with pytest.raises(InvalidParams, match="which this platform does not know"):
            check_named(corp, named)


# --- time, keys ---------------------------------------------------------------------------------------------


def test_a_good_token_is_checked_once_and_ends_with_its_time() -> None:
    async def body(site: Site) -> None:
        token = site.token()
        first = await site.who(token)
        assert await site.who(token) is first
        site.clock.ahead = 301.0
        assert await site.who(token) is not first
        site.clock.ahead = 661.0
        await refused(site, token, "expired")

    tried(body)


def test_keys_are_asked_for_once_and_again_for_a_new_one() -> None:
    async def body(site: Site) -> None:
        await asyncio.gather(*(site.who(site.token(jti=str(number))) for number in range(10)))
        assert len(site.asked) == 2
        site.keys = [NEXT]
        await refused(site, site.token(NEXT), "signature")  # Asked a moment ago.
        assert len(site.asked) == 2
        site.clock.ahead = AGAIN + 1
        assert (await site.who(site.token(NEXT))).name == "corp:alice"
        for number in range(20):
            await refused(site, site.token(header={"kid": f"no{number}"}), "signature")
        assert len(site.asked) == 4
        await refused(site, site.token(jti="old key"), "signature")

    tried(body)


def test_an_issuer_that_does_not_answer() -> None:
    async def body(site: Site) -> None:
        site.down = True
        with pytest.raises(UpstreamFailed):
            await site.who(site.token())
        with pytest.raises(UpstreamFailed):
            await site.who(site.token())
        assert len(site.asked) == 1
        site.down, site.clock.ahead = False, AGAIN + 1
        await site.who(site.token())
        site.down = True
        site.clock.ahead += KEPT + 1
        await site.who(site.token(jti="2"))  # With the keys of before.
        site.clock.ahead += STALE
        with pytest.raises(UpstreamFailed):
            await site.who(site.token(jti="3"))

    tried(body)


@pytest.mark.parametrize(
    "description",
    [
        {},
        {"issuer": ISS},
        {"issuer": ISS + "/", "jwks_uri": f"{ISS}/keys"},
        {"issuer": "https://evil.example.com", "jwks_uri": f"{ISS}/keys"},
        {"issuer": ISS, "jwks_uri": "http://login.example.com/keys"},
        {"issuer": ISS, "jwks_uri": 5},
    ],
    ids=str,
)
def test_descriptions_that_are_not_right(description: dict[str, Any]) -> None:
    async def body(site: Site) -> None:
        site.description = description
        with pytest.raises(Problem):
            await site.who(site.token())

    tried(body)


def test_where_keys_are_may_be_said_by_the_operator() -> None:
    async def body(site: Site) -> None:
        await site.who(site.token())
        assert site.asked == ["https://keys.example.com/jwks"]

    tried(body, Issuer("corp", ISS, (AUD,), jwks_uri="https://keys.example.com/jwks"))
