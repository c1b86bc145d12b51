"""Agents' identities: who is let in with which certificate; roots that follow each other without a gap."""

from __future__ import annotations

import asyncio
import datetime
import ssl
from collections.abc import Coroutine, Iterator
from pathlib import Path
from typing import Any, TypeVar

import pytest
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import dsa, ec, ed25519, rsa
from cryptography.x509.verification import PolicyBuilder, Store, VerificationError
from identity_site import Site

from a2a_cloud.control.registry.catalog import Agent
from a2a_cloud.control.secrets.seal import Seal
from a2a_cloud.control.services import ca
from a2a_cloud.control.services.identities import Asked, Services
from a2a_cloud.control.services.keys import KEY_FILE, ServiceKeys
from a2a_cloud.control.services.roots import LEAF, OVERLAP, ROOT_AGES, Roots
from a2a_cloud.control.services.rows import ServiceRows
from a2a_cloud.model.principal import Permission, Principal
from a2a_cloud.model.problem import AgentNotFound, Forbidden, InvalidParams, Unauthenticated, Unavailable
from a2a_cloud.model.service import read_id
from a2a_cloud.ops.system import SystemEntropy

T = TypeVar("T")
ID = "spiffe://example.com/org/default/agent/desk"


def csr(key: Any = None) -> str:
    key = key or ec.generate_private_key(ec.SECP256R1())
    algorithm = None if isinstance(key, ed25519.Ed25519PrivateKey) else hashes.SHA256()
    request = x509.CertificateSigningRequestBuilder().subject_name(x509.Name([])).sign(key, algorithm)
    return request.public_bytes(serialization.Encoding.PEM).decode()


CSR = csr()
SHORT = rsa.generate_private_key(65537, 1024)  # noqa: S505


class Agents:
    """A registry with one agent."""

    def __init__(self) -> None:
        self.desk = Agent(1, 1, "default", "desk")

    def known(self, org: str, name: str) -> Agent | None:
        return self.desk if (org, name) == (self.desk.org, self.desk.name) else None

    def everyone(self) -> list[Agent]:
        return [self.desk]


class World:
    """Identities over a data folder; `restart` forgets what memory knows."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.runner = asyncio.Runner()
        self.site = self.run(self._begin())
        self.admin = self.run(self.site.admin())
        self.agents = Agents()
        self.told = 0
        self.open()

    async def _begin(self) -> Site:
        return Site(self.folder)

    def run(self, body: Coroutine[Any, Any, T]) -> T:
        return self.runner.run(body)

    def open(self) -> None:
        entropy = SystemEntropy()
        rows = ServiceRows(self.site.reader.connection)
        seal = Seal(bytes(range(32)), entropy)
        self.roots = Roots(rows, self.site.journal, seal, self.site.clock, entropy, "example.com")
        self.services = Services(
            ServiceKeys.open(self.folder, entropy),
            self.roots,
            rows,
            self.site.journal,
            self.site.clock,
            agents=self.agents,
            principals=self.site.identity,
            domain="example.com",
        )

    def restart(self) -> None:
        self.run(self.site.restart())
        self.open()

    def close(self) -> None:
        self.run(self.site.close())
        self.runner.close()

    def later(self, seconds: float) -> None:
        self.site.clock.ahead += seconds
        self.run(self.services.tend())

    def certificate(self, by: Principal | None = None) -> bytes:
        made = self.run(self.services.certify(by or self.admin, "desk", CSR))
        return ssl.PEM_cert_to_DER_cert(made.certificate)

    def refused(self, certificate: bytes) -> str:
        with pytest.raises(Unauthenticated) as caught:
            self.services.shown(certificate)
        return caught.value.detail

    def chains(self, certificate: bytes, bundle: str) -> bool:
        """Whether another implementation finds a way from the certificate to the bundle."""
        at = datetime.datetime.fromtimestamp(self.site.clock.now(), datetime.UTC)
        roots = Store(x509.load_pem_x509_certificates(bundle.encode()))
        try:
            found = PolicyBuilder().store(roots).time(at).build_client_verifier()
            found.verify(x509.load_der_x509_certificate(certificate), [])
        except VerificationError:
            return False
        return True


@pytest.fixture
def world(tmp_path: Path) -> Iterator[World]:
    found = World(tmp_path)
    yield found
    found.close()


def test_a_certificate_says_who_its_agent_is(world: World) -> None:
    shown = world.certificate()
    who = world.services.shown(shown)
    assert (who.name, who.org, who.client) == ("agent:desk", "default", ID)
    assert who.may(Permission.CALL)
    assert not who.may(Permission.DEPLOY)
    found = x509.load_der_x509_certificate(shown)
    names = found.extensions.get_extension_for_class(x509.SubjectAlternativeName)
    assert names.critical
    assert [name.value for name in names.value] == [ID]
    assert not found.subject.rdns
    assert (found.not_valid_after_utc - found.not_valid_before_utc).total_seconds() == LEAF + ca.BACKDATED
    assert world.chains(shown, world.roots.bundle())


def test_it_ends_by_itself_although_a_connection_lasts(world: World) -> None:
    shown = world.certificate()
    world.site.clock.ahead += LEAF + 1
    assert "has ended" in world.refused(shown)
    world.later(0)
    assert "revoked" in world.refused(shown)


def test_it_ends_with_its_agent_at_once(world: World) -> None:
    shown = world.certificate()
    world.agents.desk.deleted = 1.0
    assert "revoked" in world.refused(shown)
    with pytest.raises(AgentNotFound):
        world.certificate()
    assert world.services.standing(ID, "default") is None
    # Another agent under the same name is another agent.
    world.agents.desk = Agent(2, 1, "default", "desk")
    assert "revoked" in world.refused(shown)


def test_revoked_is_revoked_after_a_restart_too(world: World) -> None:
    shown, ended = world.certificate(), list[str]()
    world.restart()
    assert world.services.shown(shown).name == "agent:desk"
    assert world.run(world.services.end(world.admin, "desk")) == 1
    assert "revoked" in world.refused(shown)
    world.restart()
    assert "revoked" in world.refused(shown)
    world.services.ended = ended.append
    world.services.restore()
    assert ended == ["service-1-0"]
    assert world.services.shown(world.certificate()).name == "agent:desk"


def test_who_may_have_one(world: World) -> None:
    member = world.site.identity.authenticate(world.run(world.site.make("bob")))
    with pytest.raises(Forbidden):
        world.certificate(member)
    stranger = world.site.identity.authenticate(world.run(world.site.make("eve", "globex", "admin")))
    with pytest.raises(AgentNotFound):
        world.certificate(stranger)
    # The agent renews what it has, and gets nothing with a token.
    itself = world.services.shown(world.certificate())
    assert world.services.shown(world.certificate(itself)).name == "agent:desk"
    token = Principal(itself.no, itself.org_no, itself.name, itself.org, key_id="jti")
    with pytest.raises(Forbidden):
        world.certificate(token)
    with pytest.raises(Forbidden):
        world.run(world.services.rotate_root(member, at_once=True))


@pytest.mark.parametrize(
    "request_for",
    [
        pytest.param("nonsense", id="nonsense"),
        pytest.param("x" * (ca.MAX_CSR + 1), id="too-large"),
        pytest.param(csr(SHORT), id="short-rsa"),
        pytest.param(csr(dsa.generate_private_key(2048)), id="dsa"),
        pytest.param(csr(ec.generate_private_key(ec.SECP256K1())), id="another-curve"),
    ],
)
def test_requests_that_are_refused(world: World, request_for: str) -> None:
    with pytest.raises(InvalidParams):
        world.run(world.services.certify(world.admin, "desk", request_for))


@pytest.mark.parametrize(
    "key",
    [
        pytest.param(ed25519.Ed25519PrivateKey.generate(), id="ed25519"),
        pytest.param(ec.generate_private_key(ec.SECP384R1()), id="p-384"),
        pytest.param(rsa.generate_private_key(65537, 2048), id="rsa"),
    ],
)
def test_keys_that_are_taken(world: World, key: Any) -> None:
    made = world.run(world.services.certify(world.admin, "desk", csr(key)))
    assert world.services.shown(ssl.PEM_cert_to_DER_cert(made.certificate)).client == ID


def test_roots_follow_each_other_without_a_gap(world: World) -> None:
    """At every moment, each certificate that has not ended chains to the bundle that its holder fetched last
    and to the platform's; holders renew at half life."""
    holders: list[tuple[bytes, str, float]] = []
    world.certificate()
    began = world.roots.standing()[0].root.id
    world.run(world.services.rotate_root(world.admin, at_once=False))
    states: list[list[str]] = []
    for _ in range(24):
        made = world.run(world.services.certify(world.admin, "desk", CSR))
        holders.append((ssl.PEM_cert_to_DER_cert(made.certificate), made.bundle, made.ends))
        world.later(LEAF / 4)
        world.restart()  # Nothing of it is in memory alone.
        states.append([one.state for one in world.roots.standing()])
        living = [one for one in holders if one[2] > world.site.clock.now()]
        # Whoever holds one has renewed it at half of its life, and got the bundle with it.
        bundles = [bundle for _, bundle, ends in living if ends - world.site.clock.now() > LEAF / 2]
        for certificate, _, _ in living:
            world.services.shown(certificate)
            assert world.chains(certificate, world.roots.bundle())
            assert all(world.chains(certificate, bundle) for bundle in bundles)
    assert [state for place, state in enumerate(states) if states[place - 1 : place] != [state]] == [
        ["current", "next"],
        ["last", "current"],
        ["current"],
    ]
    assert began not in {one.root.id for one in world.roots.standing()}


def test_a_rotation_that_is_on_its_way_is_not_begun_again(world: World) -> None:
    world.certificate()
    for _ in range(3):
        world.run(world.services.rotate_root(world.admin, at_once=False))
    assert [one.state for one in world.roots.standing()] == ["current", "next"]


def test_at_once_nothing_counts_that_others_signed(world: World) -> None:
    shown, before = world.certificate(), world.roots.bundle()
    told: list[str] = []
    world.roots.changed = lambda: told.append(world.roots.bundle())
    world.run(world.services.rotate_root(world.admin, at_once=True))
    assert "revoked" in world.refused(shown)
    world.restart()
    assert "revoked" in world.refused(shown)
    assert told == [world.roots.bundle()]
    assert before not in told
    assert not world.chains(world.certificate(), before)


def test_a_root_is_followed_in_time(world: World) -> None:
    world.certificate()
    world.later(ROOT_AGES + 1)
    assert [one.state for one in world.roots.standing()] == ["current", "next"]
    world.later(OVERLAP)
    assert [one.state for one in world.roots.standing()] == ["last", "current"]


def test_a_root_whose_key_can_not_be_opened_signs_nothing(world: World) -> None:
    world.certificate()
    world.roots._seal = Seal(bytes(32), SystemEntropy())  # pyright: ignore[reportPrivateUsage]
    with pytest.raises(Unavailable, match=r"rotate-root|secrets\.key"):
        world.certificate()


def test_no_private_key_is_in_the_database(world: World) -> None:
    world.certificate()
    (row,) = world.site.reader.connection.execute("SELECT * FROM service_root").fetchall()
    stored = b"".join(one for one in row if isinstance(one, bytes))
    (one,) = world.roots.standing()
    assert one.root.certificate in stored
    opened = Seal(bytes(range(32)), SystemEntropy()).open(
        one.root.sealed, f"a2a-cloud service-root-v1 {one.root.id}"
    )
    assert opened not in stored
    assert serialization.load_der_private_key(opened, None)


def test_tokens_are_made_for_those_who_may_have_them(world: World) -> None:
    asked: list[Asked] = []

    def issue(one: Asked) -> str:
        asked.append(one)
        return "token"

    with pytest.raises(Unavailable):
        world.run(world.services.token(world.admin, "desk", audience=["a"], scopes=["b"], seconds=1))
    world.services.issue = issue
    world.run(world.services.token(world.admin, "desk", audience=["a"], scopes=["b"], seconds=60))
    assert asked == [Asked(ID, "default", "service-1-0", ("a",), ("b",), 60)]
    with pytest.raises(InvalidParams):
        world.run(world.services.token(world.admin, "desk", audience=["a"], scopes=["b"], seconds=601))
    found = world.services.standing(ID, "default")
    assert found is not None
    assert found.name == "agent:desk"
    assert world.services.standing(ID, "globex") is None
    assert world.services.standing(ID.replace("example", "other"), "default") is None


def test_each_agent_signs_with_a_key_of_its_own(tmp_path: Path) -> None:
    keys = ServiceKeys.open(tmp_path, SystemEntropy())
    again = ServiceKeys.open(tmp_path, SystemEntropy())
    assert keys.signer(1).kid == again.signer(1).kid != keys.signer(2).kid
    assert (tmp_path / KEY_FILE).stat().st_mode & 0o777 == 0o600
    (tmp_path / KEY_FILE).write_text("short\n")
    with pytest.raises(Unavailable, match="damaged"):
        ServiceKeys.open(tmp_path, SystemEntropy())
    (tmp_path / KEY_FILE).chmod(0o644)
    with pytest.raises(Unavailable, match="Others may read"):
        ServiceKeys.open(tmp_path, SystemEntropy())


@pytest.mark.parametrize(
    "text",
    [
        "",
        "spiffe://example.com",
        "spiffe://example.com/org/default/agent/",
        "spiffe://example.com/org/default/agent/a/b",
        "spiffe://example.com/org/../agent/a",
        "spiffe://Example.com/org/default/agent/a",
        "spiffe://example.com/org/default/agent/a\n",
        "https://example.com/org/default/agent/a",
        "spiffe://example.com:1/org/default/agent/a",
    ],
)
def test_what_is_no_service_identity(text: str) -> None:
    assert read_id(text) is None
