"""Tokens bound to a client's certificate (RFC 8705), over TLS with certificates of the platform's own CA."""

from __future__ import annotations

import base64
import hashlib
import http.client
import json
import ssl
from pathlib import Path
from typing import Any
from urllib.parse import urlencode

from certificates import leaf, root
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from oauth_client import claims

from running import AGENTS, Running, start_platform


class Connections:
    """What a program asks over TLS, with one certificate or none."""

    def __init__(self, site: Running, authority: Path, pair: tuple[Path, Path] | None = None) -> None:
        self._port = site.port
        self._context = ssl.create_default_context(cafile=str(authority))
        if pair is not None:
            self._context.load_cert_chain(*pair)

    def ask(self, method: str, path: str, body: Any = None, **headers: str) -> tuple[int, Any]:
        connection = http.client.HTTPSConnection("localhost", self._port, context=self._context, timeout=20)
        kind = {"Content-Type": "application/json"}
        if isinstance(body, bytes):
            kind = {"Content-Type": "application/x-www-form-urlencoded"}
        elif body is not None:
            body = json.dumps(body).encode()
        try:
            connection.request(method, path, body, kind | headers)
            answer = connection.getresponse()
            return answer.status, json.loads(answer.read())
        finally:
            connection.close()


def certificate(site: Running, admin: Connections, folder: Path, name: str) -> tuple[Path, Path]:
    """A certificate of the agent's, from the platform."""
    key = ec.generate_private_key(ec.SECP256R1())
    csr = x509.CertificateSigningRequestBuilder().subject_name(x509.Name([])).sign(key, hashes.SHA256())
    pem = csr.public_bytes(serialization.Encoding.PEM).decode()
    status, made = admin.ask("POST", "/api/v1/services/desk/certificates", {"csr": pem}, **site.auth)
    assert status == 201, made
    cert_path, key_path = folder / f"{name}.pem", folder / f"{name}.key"
    cert_path.write_text(made["certificate"])
    key_path.write_bytes(
        key.private_bytes(
            serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption()
        )
    )
    return cert_path, key_path


def thumbprint(path: Path) -> str:
    der = x509.load_pem_x509_certificate(path.read_bytes()).public_bytes(serialization.Encoding.DER)
    return base64.urlsafe_b64encode(hashlib.sha256(der).digest()).rstrip(b"=").decode()


def test_a_token_is_good_on_connections_with_its_certificate(tmp_path: Path) -> None:
    authority = root()
    (tmp_path / "root.pem").write_bytes(authority.pem)
    leaf(authority).write(tmp_path / "cert.pem", tmp_path / "key.pem")
    site = start_platform(
        [AGENTS / "desk"],
        tmp_path,
        A2A_LIMITS="off",
        A2A_TLS_CERT=str(tmp_path / "cert.pem"),
        A2A_TLS_KEY=str(tmp_path / "key.pem"),
        A2A_MTLS="1",
    )
    try:
        bare = Connections(site, tmp_path / "root.pem")
        mine = certificate(site, bare, tmp_path, "mine")
        with_mine = Connections(site, tmp_path / "root.pem", mine)
        with_other = Connections(site, tmp_path / "root.pem", certificate(site, bare, tmp_path, "other"))
        document = {"name": "Bound", "scope": "agents.call", "certificate_bound": True}
        status, client = bare.ask("POST", "/api/v1/oauth/clients", document, **site.auth)
        assert status == 201, client
        fields = {
            "grant_type": "client_credentials",
            "client_id": client["client_id"],
            "client_secret": client["client_secret"],
        }
        form = urlencode(fields).encode()
        assert bare.ask("POST", "/oauth/token", form)[0] == 400
        status, told = with_mine.ask("POST", "/oauth/token", form)
        assert status == 200, told
        assert claims(told["access_token"])["cnf"] == {"x5t#S256": thumbprint(mine[0])}
        auth = {"Authorization": f"Bearer {told['access_token']}"}
        assert with_mine.ask("GET", "/api/v1/whoami", **auth)[0] == 200
        assert with_other.ask("GET", "/api/v1/whoami", **auth)[0] == 401
        assert bare.ask("GET", "/api/v1/whoami", **auth)[0] == 401
    finally:
        site.stop()
