"""Cards, host names and signed links: surface/a2a/card.py, cards.py, surface/hosts.py, surface/links.py."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import msgspec
import pytest
from a2a.client.card_resolver import parse_agent_card
from hypothesis import given
from hypothesis import strategies as st
from msgspec import Raw

from a2a_cloud.model.card import EXTENSIONS
from a2a_cloud.model.problem import ExtendedAgentCardNotConfigured, Unauthenticated, UnsupportedOperation
from a2a_cloud.model.release import FileParam, Manifest, Release, SandboxSpec, SkillSpec, Visibility
from a2a_cloud.surface.a2a.card import card_of
from a2a_cloud.surface.a2a.cards import Cards, check_extended
from a2a_cloud.surface.accounting_port import Accounting
from a2a_cloud.surface.auth_schemes import Scheme
from a2a_cloud.surface.hosts import Host, Hosts
from a2a_cloud.surface.identity_port import Issuers
from a2a_cloud.surface.limits import Declared
from a2a_cloud.surface.links import AgentLinks, Links
from a2a_cloud.surface.ports import CardKey, Sandbox
from a2a_cloud.wire.openapi import document

SPEC = SkillSpec(
    "read",
    "Read",
    "Reads",
    Raw(b'{"type":"object","properties":{"law":{"type":"string"}}}'),
    Raw(b'{"type":"string"}'),
    tags=["law"],
    files=[FileParam("document", media_types=["application/pdf"])],
)
BASE = "http://127.0.0.1:8080/agents/desk"
JAIL = Sandbox("jail", ("network namespace", "seccomp"), ("The clock can be read.",))


def release(visibility: Visibility = Visibility.ORG) -> Release:
    manifest = Manifest(
        "desk", "agent.py", "Desk", provider_name="P", provider_url="https://p", visibility=visibility
    )
    return Release(3, 1, 1, "default", 1, "sha256:0", "", manifest, (SPEC,), created=1_763_716_992.0)


@dataclass
class About:
    """What a card says that is not the release's."""

    sandbox: Sandbox = JAIL
    base_url: str = BASE
    grpc_url: str = ""
    oauth: object | None = None
    card_key: CardKey | None = None
    declared: Declared | None = None
    accounting: Accounting | None = None
    issuers: Issuers | None = None
    schemes: tuple[Scheme, ...] = ()


def read(card: object) -> dict[str, Any]:
    return msgspec.json.decode(msgspec.json.encode(card))


def test_the_official_client_reads_the_card() -> None:
    card = parse_agent_card(msgspec.json.decode(msgspec.json.encode(card_of(release(), BASE, JAIL))))
    assert [(i.url, i.protocol_binding, i.protocol_version) for i in card.supported_interfaces] == [
        (BASE, "JSONRPC", "1.0"),
        (BASE, "HTTP+JSON", "1.0"),
        (BASE, "JSONRPC", "0.3"),
        (BASE, "HTTP+JSON", "0.3"),
    ]
    assert card.capabilities.streaming
    assert card.capabilities.push_notifications
    assert set(card.security_schemes) == {"bearer", "apiKey"}
    assert card.security_schemes["apiKey"].api_key_security_scheme.name == "X-API-Key"
    assert [list(r.schemes) for r in card.security_requirements] == [["bearer"], ["apiKey"]]
    assert "application/pdf" in card.skills[0].input_modes
    params = card.capabilities.extensions[0].params
    assert params["skills"]["read"]["inputSchema"]["properties"]["law"]["type"] == "string"
    assert params["skills"]["read"]["files"][0]["name"] == "document"


def test_the_card_says_how_the_agent_is_kept_apart() -> None:
    own = release()
    own = msgspec.structs.replace(
        own, manifest=msgspec.structs.replace(own.manifest, sandbox=SandboxSpec(isolation="run"))
    )
    card = parse_agent_card(msgspec.json.decode(msgspec.json.encode(card_of(own, BASE, JAIL))))
    found = {each.uri: each.params for each in card.capabilities.extensions}
    params = found["urn:a2a-cloud:isolation:v1"]
    assert params["sandbox"] == "jail"
    assert params["isolation"] == "run"
    assert list(params["layers"]) == ["network namespace", "seccomp"]
    assert b"urn:a2a-cloud:isolation:v1" in EXTENSIONS


def test_required_members_are_there() -> None:
    card = msgspec.json.decode(msgspec.json.encode(card_of(release(), BASE, JAIL)))
    for name in (
        "name",
        "description",
        "supportedInterfaces",
        "version",
        "capabilities",
        "defaultInputModes",
        "defaultOutputModes",
        "skills",
    ):
        assert card[name], name


def test_a_public_agent_requires_nothing() -> None:
    card = msgspec.json.decode(msgspec.json.encode(card_of(release(Visibility.PUBLIC), BASE, JAIL)))
    assert "securityRequirements" not in card
    assert set(card["securitySchemes"]) == {"bearer", "apiKey"}


def test_nothing_that_is_required_is_empty() -> None:
    bare = msgspec.structs.replace(SPEC, tags=[], description="")
    manifest = Manifest("desk", "agent.py", provider_name="P")
    card = read(card_of(msgspec.structs.replace(release(), manifest=manifest, skills=(bare,)), BASE, JAIL))
    assert card["skills"][0]["tags"] == ["read"]
    assert card["skills"][0]["description"] == "Read"
    assert card["description"] == "desk"
    assert card["provider"] == {"organization": "P", "url": f"{BASE}/docs"}


def test_readers_of_0_3_find_what_they_require() -> None:
    card = read(card_of(release(), BASE, JAIL))
    assert (card["url"], card["preferredTransport"], card["protocolVersion"]) == (BASE, "JSONRPC", "0.3.0")
    assert [one["transport"] for one in card["additionalInterfaces"]] == ["JSONRPC", "HTTP+JSON"]
    assert card["security"] == [{"bearer": []}, {"apiKey": []}]
    assert card["capabilities"]["stateTransitionHistory"] is True
    key = card["securitySchemes"]["apiKey"]
    assert (key["type"], key["in"], key["name"]) == ("apiKey", "header", "X-API-Key")
    assert key["apiKeySecurityScheme"]["location"] == "header"
    assert "security" not in read(card_of(release(Visibility.PUBLIC), BASE, JAIL))


def test_readers_before_that_find_theirs() -> None:
    for visibility, schemes in ((Visibility.ORG, ["Bearer", "apiKey"]), (Visibility.PUBLIC, [])):
        card = msgspec.json.decode(Cards(About()).early(release(visibility), BASE).body)
        assert card["authentication"] == {"schemes": schemes}
        assert card["defaultModalities"] == ["text/plain", "application/json"]
        assert card["supportsStreaming"] is True
        assert card["url"] == BASE


def test_grpc_is_named_with_the_tenant_where_it_is_served() -> None:
    card = parse_agent_card(read(card_of(release(), BASE, JAIL, grpc="127.0.0.1:9")))
    (found,) = [one for one in card.supported_interfaces if one.protocol_binding == "GRPC"]
    assert (found.url, found.protocol_version, found.tenant) == ("127.0.0.1:9", "1.0", "desk")


def test_skills_for_callers_with_a_key_stand_in_the_extended_card_alone() -> None:
    hidden = msgspec.structs.replace(SPEC, id="hidden", extended=True, output_modes=["image/png"])
    both = msgspec.structs.replace(release(Visibility.PUBLIC), skills=(SPEC, hidden))
    cards = Cards(About())
    public = msgspec.json.decode(cards.public(both, BASE).body)
    assert b"hidden" not in cards.public(both, BASE).body
    assert public["capabilities"]["extendedAgentCard"] is public["supportsAuthenticatedExtendedCard"] is True
    assert "image/png" not in public["defaultOutputModes"]
    extended = msgspec.json.decode(cards.extended(both, BASE).body)
    assert [skill["id"] for skill in extended["skills"]] == ["read", "hidden"]
    assert extended["skills"][1]["security"] == [{"bearer": []}, {"apiKey": []}]
    assert [list(one["schemes"]) for one in extended["skills"][1]["securityRequirements"]] == [
        ["bearer"],
        ["apiKey"],
    ]
    assert "security" not in extended["skills"][0]
    assert both.seen_by(False) is both
    assert [spec.id for spec in both.seen_by(True).skills] == ["read"]
    described = document(both.seen_by(True), BASE)
    assert "/invoke/hidden" not in described["paths"]


def test_who_may_have_the_extended_card() -> None:
    hidden = msgspec.structs.replace(SPEC, extended=True)
    both = msgspec.structs.replace(release(Visibility.PUBLIC), skills=(hidden,))
    check_extended(both, False, "a2a-1.0")
    with pytest.raises(Unauthenticated):
        check_extended(both, True, "a2a-1.0")
    with pytest.raises(UnsupportedOperation):
        check_extended(release(), False, "a2a-1.0")
    with pytest.raises(ExtendedAgentCardNotConfigured):
        check_extended(release(), False, "a2a-0.3")


def test_the_etag_follows_the_content() -> None:
    about = About()
    cards = Cards(about)
    card = cards.public(release(), BASE)
    etag = card.etag
    assert cards.public(release(), BASE) == card
    other = cards.public(release(), "http://desk.localhost:8080")
    assert etag != other.etag
    assert b"desk.localhost" in other.body
    about.grpc_url = "127.0.0.1:9"
    assert cards.public(release(), BASE).etag != etag


def test_openapi_describes_the_skills() -> None:
    described = document(release(), BASE)
    assert described["openapi"] == "3.1.0"
    post = described["paths"]["/invoke/read"]["post"]
    assert next(iter(post["requestBody"]["content"])) == "application/pdf"
    assert post["responses"]["200"]["content"]["application/json"]["schema"] == {"type": "string"}
    msgspec.json.encode(described)


# --- hosts ------------------------------------------------------------------------------------------------

HOSTS = Hosts("https://agents.example.com", ("other.example.org", "*.example.net"))


@pytest.mark.parametrize(
    ("header", "host"),
    [
        (b"127.0.0.1:8080", Host("http://127.0.0.1:8080", "")),
        (b"localhost", Host("http://localhost", "")),
        (b"LOCALHOST:1", Host("http://localhost:1", "")),
        (b"[::1]:8080", Host("http://[::1]:8080", "")),
        (b"agents.example.com", Host("http://agents.example.com", "")),
        (b"other.example.org", Host("http://other.example.org", "")),
        (b"desk.localhost:8080", Host("http://desk.localhost:8080", "desk")),
        (b"acme.desk.localhost", Host("http://acme.desk.localhost", "acme.desk")),
        (b"desk.example.net", Host("http://desk.example.net", "desk")),
        (b"evil.com", None),
        (b"localhost.evil.com", None),
        (b"evillocalhost", None),
        (b"127.0.0.1.evil.com", None),
        (b"", None),
        (b"a b.localhost", None),
        (b"localhost:x", None),
        (b"\xff", None),
    ],
)
def test_host_names(header: bytes, host: Host | None) -> None:
    assert HOSTS.read(header, "http") == host


@given(st.binary(max_size=40))
def test_any_host_header_is_read(header: bytes) -> None:
    HOSTS.read(header, "http")


# --- links ------------------------------------------------------------------------------------------------


class Clock:
    at = 1000.0

    def now(self) -> float:
        return self.at

    def monotonic(self) -> float:
        return self.at


def test_a_link_opens_what_it_was_made_for_until_it_ends() -> None:
    clock = Clock()
    links = Links(b"k" * 32, clock)
    url = AgentLinks(links, BASE, "desk").artifact("run_1", "a b/c", 2)
    path, _, query = url.removeprefix(BASE).partition("&")
    assert path == "/runs/run_1/artifacts/a%20b%2Fc?part=2"
    given_query = dict(pair.split("=", 1) for pair in query.split("&"))
    links.check("desk", path, given_query["exp"], given_query["sig"])
    for agent, where, exp, sig in (
        ("other", path, given_query["exp"], given_query["sig"]),
        ("desk", path.replace("run_1", "run_2"), given_query["exp"], given_query["sig"]),
        ("desk", path, str(int(given_query["exp"]) + 9), given_query["sig"]),
        ("desk", path, given_query["exp"], given_query["sig"][:-1] + "é"),
        ("desk", path, "", ""),
    ):
        with pytest.raises(Unauthenticated):
            links.check(agent, where, exp, sig)
    with pytest.raises(Unauthenticated):
        Links(b"j" * 32, clock).check("desk", path, given_query["exp"], given_query["sig"])
    clock.at += 901
    with pytest.raises(Unauthenticated, match="ended"):
        links.check("desk", path, given_query["exp"], given_query["sig"])
