"""Every security scheme that a card lists lets the right caller in and a wrong one out (A2A 1.0, sections
4.5 and 7.3); and whose name is in what agents then call."""

from __future__ import annotations

import base64
import datetime
import json
import ssl
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

import httpx
import pytest
from botocore.auth import SigV4Auth  # pyright: ignore[reportMissingTypeStubs]
from botocore.awsrequest import AWSRequest  # pyright: ignore[reportMissingTypeStubs]
from botocore.credentials import Credentials  # pyright: ignore[reportMissingTypeStubs]
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from joserfc import jwt
from joserfc.jwk import ECKey, KeySet

from a2a_cloud.wire.proof import Outcome, verify_receipt
from auth_scheme import sealed
from running import AGENTS, SOURCE, Running, start_platform

DOMAIN = "agents.example.com"
WITNESS, RELAY = (f"spiffe://{DOMAIN}/org/default/agent/{name}" for name in ("witness", "relay"))
CORP, OTHER = (ECKey.generate_key("P-256", parameters={"kid": "k1"}) for _ in range(2))
MAKE = """
import sys
from pathlib import Path
from certificates import leaf, root
folder, authority = Path(sys.argv[1]), root()
leaf(authority).write(folder / "cert.pem", folder / "key.pem")
(folder / "root.pem").write_bytes(authority.pem)
"""
AUDIENCE = "https://agents.example.com"


@dataclass
class World:
    """A platform with every scheme that there is, and how its clients trust it."""

    running: Running
    folder: Path
    issuer: str
    trust: ssl.SSLContext
    schemes: dict[str, Any]

    @property
    def who(self) -> str:
        return self.running.agent("witness") + "/invoke/who"

    def admin(self, method: str, path: str, body: Any = None) -> httpx.Response:
        with httpx.Client(verify=self.trust, headers=self.running.auth) as client:
            return client.request(method, self.running.url + path, json=body)

    def ask(self, headers: dict[str, str], *, trust: ssl.SSLContext | None = None) -> httpx.Response:
        with httpx.Client(verify=trust or self.trust) as client:
            return client.post(
                self.who, content=b"{}", headers={"content-type": "application/json", **headers}
            )

    def token(self, key: ECKey) -> str:
        now = int(time.time())
        claims = {"iss": self.issuer, "aud": AUDIENCE, "sub": "bob", "iat": now, "exp": now + 60}
        return jwt.encode({"alg": "ES256", "kid": "k1"}, claims, key)

    def signed(self, credentials: Credentials) -> dict[str, str]:
        request = AWSRequest("POST", self.who, data=b"{}")
        request.headers["Host"] = f"127.0.0.1:{self.running.port}"
        SigV4Auth(credentials, "execute-api", "eu-central-1").add_auth(request)  # pyright: ignore[reportUnknownMemberType]
        return dict(request.headers.items())

    def connection(self, certificate: str, key: bytes) -> ssl.SSLContext:
        """With a client's certificate."""
        path = self.folder / "client.pem"
        path.write_bytes(certificate.encode() + key)
        context = ssl.create_default_context(cafile=str(self.folder / "root.pem"))
        context.load_cert_chain(path)
        return context


def key_and_csr() -> tuple[bytes, str, ec.EllipticCurvePrivateKey]:
    key = ec.generate_private_key(ec.SECP256R1())
    request = x509.CertificateSigningRequestBuilder().subject_name(x509.Name([])).sign(key, hashes.SHA256())
    private = key.private_bytes(
        serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption()
    )
    return private, request.public_bytes(serialization.Encoding.PEM).decode(), key


class Issuer(BaseHTTPRequestHandler):
    """The keys of an issuer outside."""

    def do_GET(self) -> None:
        body = json.dumps(KeySet([CORP]).as_dict(private=False)).encode()
        self.send_response(200)
        self.send_header("content-type", "application/json")
        self.send_header("content-length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, format: str, *args: Any) -> None:  # noqa: A002
        """Say nothing."""


@pytest.fixture(scope="module")
def world(tmp_path_factory: pytest.TempPathFactory) -> Iterator[World]:
    folder = tmp_path_factory.mktemp("schemes")
    # In a process of its own: what makes certificates is beside other tests.
    subprocess.run(
        [sys.executable, "-c", MAKE, str(folder)], check=True, cwd=Path(__file__).parents[1] / "integration"
    )
    server = ThreadingHTTPServer(("127.0.0.1", 0), Issuer)
    threading.Thread(target=server.serve_forever, daemon=True).start()
    issuer = f"http://127.0.0.1:{server.server_address[1]}"
    (folder / "issuers.toml").write_text(
        f'[corp]\nissuer = "{issuer}"\njwks_uri = "{issuer}/keys"\naudience = ["{AUDIENCE}"]\n'
    )
    running = start_platform(
        [AGENTS / "witness", AGENTS / "relay"],
        folder,
        A2A_TLS_CERT=str(folder / "cert.pem"),
        A2A_TLS_KEY=str(folder / "key.pem"),
        A2A_MTLS="1",
        A2A_SIGV4="eu-central-1/execute-api",
        A2A_ISSUERS=str(folder / "issuers.toml"),
        A2A_AUTH_SCHEMES="auth_scheme:scheme",
        A2A_TRUST_DOMAIN=DOMAIN,
        PYTHONPATH=f"{SOURCE}:{Path(__file__).parents[1]}",
    )
    trust = ssl.create_default_context(cafile=str(folder / "root.pem"))
    found = World(running, folder, issuer, trust, {})
    found.schemes = found.admin("GET", "/agents/witness/.well-known/agent-card.json").json()[
        "securitySchemes"
    ]
    yield found
    running.stop()
    server.shutdown()
    server.server_close()


# --- for each scheme a right caller and a wrong one ---------------------------------------------------


def bearer(world: World, *, right: bool) -> httpx.Response:
    key = world.running.key if right else world.running.key.swapcase()
    return world.ask({"Authorization": f"Bearer {key}"})


def api_key(world: World, *, right: bool) -> httpx.Response:
    return world.ask({"X-API-Key": world.running.key if right else "a2a_wrong"})


def oauth2(world: World, *, right: bool) -> httpx.Response:
    scheme = world.schemes["oauth2"]["openIdConnectSecurityScheme"]
    made = world.admin(
        "POST", "/api/v1/oauth/clients", {"name": "robot", "grant_types": ["client_credentials"]}
    ).json()
    with httpx.Client(verify=world.trust) as client:
        server = client.get(scheme["openIdConnectUrl"]).json()
        fields = {"grant_type": "client_credentials", "client_id": made["client_id"]}
        answer = client.post(
            server["token_endpoint"], data={**fields, "client_secret": made["client_secret"]}
        ).json()
    token = answer["access_token"]
    return world.ask({"Authorization": f"Bearer {token if right else token[:-8] + 'AAAAAAAA'}"})


def corp(world: World, *, right: bool) -> httpx.Response:
    return world.ask({"Authorization": f"Bearer {world.token(CORP if right else OTHER)}"})


def badge(world: World, *, right: bool) -> httpx.Response:
    return world.ask({"X-Badge": sealed("ann") if right else "ann." + "0" * 64})


def sigv4(world: World, *, right: bool) -> httpx.Response:
    made = world.admin("POST", "/api/v1/sigv4-keys", {"principal": "robot"}).json()
    secret = made["secret"] if right else made["secret"][::-1]
    return world.ask(world.signed(Credentials(made["id"], secret)))


def mtls(world: World, *, right: bool) -> httpx.Response:
    private, request, _ = key_and_csr()
    made = world.admin("POST", "/api/v1/services/relay/certificates", {"csr": request}).json()
    certificate = made["certificate"]
    if not right:  # One of our own authority that was revoked.
        world.admin("POST", "/api/v1/services/relay/revoke", {})
    return world.ask({}, trust=world.connection(certificate, private))


WAYS: dict[str, Callable[..., httpx.Response]] = {
    "bearer": bearer,
    "apiKey": api_key,
    "oauth2": oauth2,
    "corp": corp,
    "badge": badge,
    "sigv4": sigv4,
    "mtls": mtls,
}


def test_there_is_a_caller_for_each_scheme(world: World) -> None:
    assert set(world.schemes) == set(WAYS)


@pytest.mark.parametrize("name", WAYS)
def test_a_scheme_lets_the_right_caller_in_and_a_wrong_one_out(world: World, name: str) -> None:
    came = WAYS[name](world, right=True)
    assert came.status_code == 200, came.text
    assert came.json()["org"] == "default"
    wrong = WAYS[name](world, right=False)
    assert wrong.status_code == 401, wrong.text
    assert wrong.json()["code"] == "unauthenticated"
    assert wrong.json()["remedy"]


def test_nobody_comes_in_without_any(world: World) -> None:
    assert world.ask({}).status_code == 401


def test_cards_of_both_generations_name_them_alike(world: World) -> None:
    card = world.admin("GET", "/agents/witness/.well-known/agent-card.json").json()
    asked = [next(iter(one["schemes"])) for one in card["securityRequirements"]]
    assert sorted(asked) == sorted(next(iter(one)) for one in card["security"]) == sorted(WAYS)


def test_a_certificate_of_another_authority_is_refused_in_tls(world: World) -> None:
    private, _, key = key_and_csr()
    name = x509.Name([])
    now = datetime.datetime.now(datetime.UTC)
    forged = (
        x509.CertificateBuilder()
        .subject_name(name)
        .issuer_name(name)
        .public_key(key.public_key())
        .serial_number(1)
        .not_valid_before(now - datetime.timedelta(hours=1))
        .not_valid_after(now + datetime.timedelta(hours=1))
        .add_extension(x509.SubjectAlternativeName([x509.UniformResourceIdentifier(RELAY)]), critical=True)
        .sign(key, hashes.SHA256())
    )
    context = world.connection(forged.public_bytes(serialization.Encoding.PEM).decode(), private)
    with pytest.raises(httpx.TransportError):
        world.ask({}, trust=context)


def test_a_body_that_was_signed_arrives_and_another_does_not(world: World) -> None:
    made = world.admin("POST", "/api/v1/sigv4-keys", {"principal": "robot"}).json()
    headers = world.signed(Credentials(made["id"], made["secret"]))
    with httpx.Client(verify=world.trust) as client:
        said = client.post(world.who, content=b"{ }", headers={"content-type": "application/json", **headers})
    assert said.status_code == 401
    assert world.ask(headers).status_code == 200
    assert world.ask(headers).status_code == 401  # The same again is a replay.


# --- in whose name ------------------------------------------------------------------------------------


def ask_relay(world: World, hops: int) -> httpx.Response:
    return world.admin("POST", "/agents/relay/invoke/ask", {"hops": hops})


def test_the_user_stays_the_caller_and_agents_act(world: World) -> None:
    assert ask_relay(world, 2).json() == {
        "name": "admin",
        "org": "default",
        "agent": "relay",
        "actors": [RELAY, RELAY, RELAY],
    }


def test_receipts_name_who_acted_and_the_agent_countersigns(world: World) -> None:
    run = ask_relay(world, 1).headers["a2a-run"]
    jwks = world.admin("GET", "/.well-known/jwks.json").json()["keys"]
    runs = world.admin("GET", "/api/v1/runs?limit=3").json()["runs"]
    asked = {"relay": [[], [RELAY]], "witness": [[RELAY, RELAY]]}
    seen: dict[str, list[Any]] = {"relay": [], "witness": []}
    for one in reversed(runs):
        receipt = world.admin("GET", f"/agents/{one['agent']}/runs/{one['id']}/receipt").content
        verdict = verify_receipt(receipt, jwks)
        assert verdict.outcome is Outcome.VALID
        assert "countersignature" in verdict.checked
        body = json.loads(receipt)["body"]
        assert body["caller"] == "admin@default"
        assert body["agent"]["service_id"] == {"relay": RELAY, "witness": WITNESS}[one["agent"]]
        seen[one["agent"]].append(body.get("actors", []))
    assert run in {one["id"] for one in runs}
    assert {name: sorted(found) for name, found in seen.items()} == asked


def test_a_service_token_ends_with_its_agent(world: World) -> None:
    made = world.admin("POST", "/api/v1/services/relay/tokens", {}).json()
    headers = {"Authorization": f"Bearer {made['access_token']}"}
    assert world.ask(headers).json()["name"] == "agent:relay"
    claims = json.loads(base64.urlsafe_b64decode(made["access_token"].split(".")[1] + "=="))
    assert claims["sub"] == RELAY
    assert claims["exp"] - claims["iat"] <= 600
    private, request, _ = key_and_csr()
    cert = world.admin("POST", "/api/v1/services/relay/certificates", {"csr": request}).json()
    shown = world.connection(cert["certificate"], private)
    assert world.ask({}, trust=shown).status_code == 200
    # A browser shows it for whatever page it is that makes it ask.
    assert world.ask({"Sec-Fetch-Site": "cross-site"}, trust=shown).status_code == 401
    assert world.admin("DELETE", "/api/v1/agents/relay").status_code == 200
    assert world.ask(headers).status_code == 401
    assert world.ask({}, trust=shown).status_code == 401
    assert world.admin("POST", "/api/v1/agents/relay/restore").status_code == 200
    assert world.ask(headers).status_code == 200
