"""AWS Signature Version 4 as a receiver: AWS's own examples, AWS's own signer, and what is refused."""

from __future__ import annotations

import asyncio
from collections.abc import Iterator
from hashlib import sha256
from pathlib import Path
from typing import Any

import msgspec
import pytest
from botocore.auth import SigV4Auth  # pyright: ignore[reportMissingTypeStubs]
from botocore.awsrequest import AWSRequest  # pyright: ignore[reportMissingTypeStubs]
from botocore.credentials import Credentials  # pyright: ignore[reportMissingTypeStubs]
from identity_site import Site

from a2a_cloud.control.secrets.seal import Seal
from a2a_cloud.control.services.rows import ServiceRows
from a2a_cloud.control.services.sigv4 import SigV4Keys
from a2a_cloud.model.principal import Principal
from a2a_cloud.model.problem import Forbidden, InvalidParams, NotFound, Unauthenticated
from a2a_cloud.ops.system import SystemEntropy
from a2a_cloud.wire.sigv4 import EMPTY, BadSignature, Claim, canonical_query, read, signature

SECRET = "wJalrXUtnFEMI/K7MDENG+bPxRfiCYEXAMPLEKEY"
HOST, DATE = (b"host", b"example.amazonaws.com"), (b"x-amz-date", b"20150830T123600Z")
SIGNED = "host;x-amz-date"


def header(
    signed: str = SIGNED, scope: str = "20150830/us-east-1/service/aws4_request", sign: str = "0" * 64
) -> bytes:
    return (
        f"AWS4-HMAC-SHA256 Credential=AKIDEXAMPLE/{scope}, SignedHeaders={signed}, Signature={sign}".encode()
    )


# The examples of AWS's Signature Version 4 test suite.
@pytest.mark.parametrize(
    ("method", "query", "expected"),
    [
        pytest.param(
            "GET", "", "5fa00fa31553b73ebf1942676e86291e8372ff2a2260956d9b8aae1d763fbf31", id="vanilla"
        ),
        pytest.param(
            "POST", "", "5da7c1a2acd57cee7505fc6676e4e544621c30862966e37dddb68e92efbe5d6b", id="post"
        ),
        pytest.param(
            "GET",
            "Param2=value2&Param1=value1",
            "b97d918cfa904a5beff61c982a1b6f458b799221646efd99d3219ec94cdf2500",
            id="query-order",
        ),
    ],
)
def test_the_examples_of_aws(method: str, query: str, expected: str) -> None:
    assert signature(read(header(), [HOST, DATE]), SECRET, method, "/", query, EMPTY) == expected


@pytest.mark.parametrize(
    ("fields", "authorization", "why"),
    [
        pytest.param([HOST, DATE], b"AWS4-HMAC-SHA256 nonsense", "as AWS writes it", id="no-fields"),
        pytest.param([HOST, DATE], header("host"), "x-amz-date is not signed", id="date-unsigned"),
        pytest.param([HOST, DATE], header("x-amz-date"), "host is not signed", id="host-unsigned"),
        pytest.param([HOST, DATE], header("x-amz-date;host"), "not in order", id="out-of-order"),
        pytest.param([HOST, DATE], header("host;host;x-amz-date"), "not in order", id="twice"),
        pytest.param([HOST], header(), "signed and not there", id="date-missing"),
        pytest.param([HOST, DATE, DATE], header(), "no time", id="two-dates"),
        pytest.param([HOST, (b"x-amz-date", b"20159930T123600Z")], header(), "another day", id="other-day"),
        pytest.param(
            [HOST, (b"x-amz-date", b"20151399T123600Z")],
            header(scope="20151399/us-east-1/service/aws4_request"),
            "no time",
            id="no-month",
        ),
        pytest.param(
            [HOST, DATE, (b"x-amz-content-sha256", b"UNSIGNED-PAYLOAD")],
            header("host;x-amz-content-sha256;x-amz-date"),
            "unsigned or streamed",
            id="unsigned-body",
        ),
        pytest.param(
            [HOST, DATE, (b"x-amz-content-sha256", EMPTY.encode())],
            header(),
            "not signed",
            id="hash-unsigned",
        ),
        pytest.param(
            [HOST, DATE, (b"x-amz-security-token", b"x")],
            header("host;x-amz-date;x-amz-security-token"),
            "session tokens",
            id="session-token",
        ),
        pytest.param([HOST, DATE], header(scope="20150830/us-east-1/service/aws5"), "writes it", id="end"),
    ],
)
def test_what_is_not_signed_as_it_has_to_be(
    fields: list[tuple[bytes, bytes]], authorization: bytes, why: str
) -> None:
    with pytest.raises(BadSignature, match=why):
        read(authorization, fields)


def test_a_query_that_can_be_read_in_two_ways() -> None:
    assert canonical_query("b=%7e&a=%2f&a=1&c") == "a=%2F&a=1&b=~&c="
    with pytest.raises(BadSignature, match="blank"):
        canonical_query("a=1+2")


def key_id_of(credentials: Any) -> str:
    return str(credentials.access_key)


def secret_of(credentials: Any) -> str:
    return str(credentials.secret_key)


class Store:
    """Keys over a data folder."""

    def __init__(self, folder: Path) -> None:
        self.runner = asyncio.Runner()
        self.site = self.runner.run(self._begin(folder))
        self.admin = self.runner.run(self.site.admin())
        self.open()

    async def _begin(self, folder: Path) -> Site:
        return Site(folder)

    def open(self) -> None:
        entropy = SystemEntropy()
        self.keys = SigV4Keys(
            ServiceRows(self.site.reader.connection),
            self.site.journal,
            Seal(bytes(range(32)), entropy),
            self.site.clock,
            entropy,
            self.site.identity,
            region="eu-central-1",
            service="execute-api",
        )

    def make(
        self, principal: str = "robot", by: Principal | None = None, role: str = "member"
    ) -> Credentials:
        row, secret = self.runner.run(self.keys.create(by or self.admin, principal=principal, role=role))
        return Credentials(row.id, secret)

    def sign(
        self,
        credentials: Credentials,
        method: str = "POST",
        target: str = "/agents/desk/invoke/x",
        body: bytes = b"{}",
        region: str = "eu-central-1",
        hashed: bool = False,
    ) -> Claim:
        """As AWS's own library signs it."""
        headers = {"X-Amz-Content-SHA256": sha256(body).hexdigest()} if hashed else {}
        request = AWSRequest(method, f"https://agents.example.com{target}", headers=headers, data=body)
        request.headers["Host"] = "agents.example.com"
        SigV4Auth(credentials, "execute-api", region).add_auth(request)  # pyright: ignore[reportUnknownMemberType]
        sent = [(name.lower().encode(), value.encode()) for name, value in request.headers.items()]
        return read(request.headers["Authorization"].encode(), sent)


@pytest.fixture
def store(tmp_path: Path) -> Iterator[Store]:
    found = Store(tmp_path)
    yield found
    found.runner.run(found.site.close())
    found.runner.close()


def check(
    store: Store, claim: Claim, target: str = "/agents/desk/invoke/x", body: bytes = b"{}"
) -> Principal:
    path, _, query = target.partition("?")
    return store.keys.check(claim, "POST", path, query, sha256(body).hexdigest())


@pytest.mark.parametrize(
    "target",
    [
        pytest.param("/", id="root"),
        pytest.param("/agents/a.b/x%20y", id="encoded-path"),
        pytest.param("/x?b=2&a=1&a=%C3%A4&c=", id="query"),
    ],
)
@pytest.mark.parametrize("hashed", [False, True], ids=["no-hash", "hash-in-header"])
def test_what_awss_own_library_signs(store: Store, target: str, hashed: bool) -> None:
    who = check(store, store.sign(store.make(), target=target, hashed=hashed), target)
    assert (who.name, who.org, who.role) == ("robot", "default", "member")


def test_each_counts_once_and_only_for_itself(store: Store) -> None:
    claim = store.sign(store.make())
    for target, body in (("/agents/desk/invoke/y", b"{}"), ("/agents/desk/invoke/x", b"[]")):
        with pytest.raises(Unauthenticated, match="does not fit"):
            check(store, claim, target, body)
    check(store, claim)
    with pytest.raises(Unauthenticated, match="came before"):
        check(store, claim)
    reading = store.sign(Credentials("x" * 8, "y"), "GET", body=b"")
    with pytest.raises(Unauthenticated, match="no key"):
        store.keys.check(reading, "GET", "/agents/desk/invoke/x", "", EMPTY)


def test_a_body_that_is_another_than_its_header_says(store: Store) -> None:
    with pytest.raises(Unauthenticated, match="another body"):
        check(store, store.sign(store.make(), hashed=True), body=b"[]")


@pytest.mark.parametrize("ahead", [301.0, -302.0], ids=["old", "of-tomorrow"])
def test_five_minutes_and_no_more(store: Store, ahead: float) -> None:
    credentials = store.make()
    claim = store.sign(credentials)
    store.site.clock.ahead = ahead
    with pytest.raises(Unauthenticated, match="another time"):
        check(store, claim)


def test_another_region_is_another_scope(store: Store) -> None:
    with pytest.raises(Unauthenticated, match="another scope"):
        check(store, store.sign(store.make(), region="us-east-1"))


def test_keys_outlive_a_restart_and_what_they_signed_before_does_not(store: Store) -> None:
    credentials = store.make()
    before = store.sign(credentials)
    store.runner.run(store.site.restart())
    store.site.clock.ahead = 2.0
    store.open()
    with pytest.raises(Unauthenticated, match="before this platform was started"):
        check(store, before)
    store.site.clock.ahead = 0.0
    store.open()
    assert check(store, store.sign(credentials)).name == "robot"


def test_a_revoked_key_is_none(store: Store) -> None:
    credentials = store.make()
    store.runner.run(store.keys.revoke(store.admin, key_id_of(credentials)))
    with pytest.raises(Unauthenticated, match="no key"):
        check(store, store.sign(credentials))
    assert store.keys.listed(store.admin) == []
    with pytest.raises(NotFound):
        store.runner.run(store.keys.revoke(store.admin, key_id_of(credentials)))


def test_nobody_makes_a_key_that_may_do_more_than_they_may(store: Store) -> None:
    key = store.runner.run(store.site.make("bob"))
    with pytest.raises(Forbidden):
        store.make(by=store.site.identity.authenticate(key))
    with pytest.raises(InvalidParams):
        store.make("agent:desk")
    with pytest.raises(InvalidParams):
        store.make(role="emperor")


def test_it_ends_with_its_principals_rights(store: Store) -> None:
    credentials = store.make()
    check(store, store.sign(credentials))
    none = frozenset[str]()
    store.site.identity.rights = lambda who: msgspec.structs.replace(who, permissions=none)
    with pytest.raises(Unauthenticated, match="suspended"):
        check(store, store.sign(credentials, body=b"[]"), body=b"[]")
    with pytest.raises(Forbidden, match="suspended"):
        store.make()


def test_an_owners_name_is_for_owners(store: Store) -> None:
    store.make("ada")
    store.site.identity.rights = lambda who: msgspec.structs.replace(who, role="owner")
    with pytest.raises(Forbidden, match="owner"):
        store.make("ada")


def test_the_secret_is_nowhere_in_the_database(store: Store) -> None:
    credentials = store.make()
    stored = store.site.path.read_bytes() + store.site.path.with_name("journal.db-wal").read_bytes()
    assert key_id_of(credentials).encode() in stored
    assert secret_of(credentials).encode() not in stored
