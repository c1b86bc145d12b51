"""Clients whose id is the address of their metadata: the document is fetched with care, and believed when it
is the client's own."""

from __future__ import annotations

import json
import ssl
import threading
from collections.abc import Iterator
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

import pytest
from certificates import leaf, root
from oauth_client import REDIRECT, Client, Pkce
from oauth_site import signed_in
from visitor import Visitor

from running import Running, start_platform


@dataclass
class Web:
    """A web server of somebody else, by https."""

    port: int
    pages: dict[str, tuple[int, bytes]] = field(default_factory=dict[str, tuple[int, bytes]])
    asked: list[str] = field(default_factory=list[str])

    def document(self, path: str, **metadata: Any) -> str:
        """Puts a client's document there; gives its address, which is the client's id."""
        url = f"https://localhost:{self.port}{path}"
        usual: dict[str, Any] = {
            "client_id": url,
            "client_name": "By document",
            "redirect_uris": [REDIRECT],
            "grant_types": ["authorization_code", "refresh_token"],
            "token_endpoint_auth_method": "none",
        }
        told = {name: value for name, value in (usual | metadata).items() if value is not None}
        self.pages[path] = (200, json.dumps(told).encode())
        return url


@pytest.fixture(scope="module")
def web(tmp_path_factory: pytest.TempPathFactory) -> Iterator[tuple[Web, Path]]:
    folder = tmp_path_factory.mktemp("web")
    authority = root()
    (folder / "root.pem").write_bytes(authority.pem)
    leaf(authority).write(folder / "cert.pem", folder / "key.pem")
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(folder / "cert.pem", folder / "key.pem")
    site = Web(0)

    class Handler(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            site.asked.append(self.path)
            status, body = site.pages.get(self.path, (404, b""))
            self.send_response(status)
            if status == 302:
                self.send_header("Location", body.decode())
            self.send_header("Content-Length", str(len(body)))
            self.end_headers()
            self.wfile.write(body)

        def log_message(self, format: str, *args: Any) -> None:  # noqa: A002
            pass

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    server.socket = context.wrap_socket(server.socket, server_side=True)
    site.port = server.server_address[1]
    thread = threading.Thread(target=server.serve_forever)
    thread.start()
    yield site, folder / "root.pem"
    server.shutdown()
    thread.join()
    server.server_close()


@pytest.fixture(scope="module")
def site(web: tuple[Web, Path], tmp_path_factory: pytest.TempPathFactory) -> Iterator[Running]:
    running = start_platform(
        [],
        tmp_path_factory.mktemp("documents"),
        A2A_LIMITS="off",
        A2A_EGRESS_CA=str(web[1]),
        A2A_FETCH_PRIVATE=f"localhost:{web[0].port}",
    )
    yield running
    running.stop()


@pytest.fixture(scope="module")
def ada(site: Running) -> Visitor:
    return signed_in(site)


def test_a_client_is_described_by_its_document(site: Running, ada: Visitor, web: tuple[Web, Path]) -> None:
    client = Client(site.url, web[0].document("/client.json"))
    shown = ada.get(client.address(Pkce()))
    assert "By document" in shown.text
    tokens = client.tokens(ada)
    assert client.refresh(tokens["refresh_token"]).status == 200
    assert web[0].asked.count("/client.json") == 1
    # After a restart it is fetched again, and what was given goes on.
    site.kill()
    site.restart()
    again = Client(site.url, client.id)
    assert again.refresh("a2r_unknown").error == "invalid_grant"
    assert web[0].asked.count("/client.json") == 2


@pytest.mark.parametrize(
    "metadata",
    [
        {"client_id": "https://localhost/other.json"},
        {"client_id": None},
        {"token_endpoint_auth_method": "client_secret_basic"},
        {"client_secret": "public"},
        {"redirect_uris": ["http://evil.example/cb"]},
        {"redirect_uris": []},
        {"grant_types": ["client_credentials"]},
        {"client_name": "a\u202eb"},
    ],
    ids=["another", "nobody", "secret-method", "secret", "http", "nowhere", "grant", "name"],
)
def test_a_document_has_to_be_the_clients_own(
    site: Running, web: tuple[Web, Path], metadata: dict[str, Any], request: pytest.FixtureRequest
) -> None:
    client = Client(site.url, web[0].document(f"/{request.node.callspec.id}.json", **metadata))
    shown = Visitor(site.url).get(client.address(Pkce()))
    assert (shown.status, "location" in shown.headers) == (400, False)


@pytest.mark.parametrize(
    "answer",
    [(302, b"/client.json"), (404, b"no"), (200, b"no json"), (200, b" " * 70_000), (200, b"[]")],
    ids=["redirect", "missing", "text", "large", "list"],
)
def test_an_odd_answer_is_no_client(
    site: Running, web: tuple[Web, Path], answer: tuple[int, bytes], request: pytest.FixtureRequest
) -> None:
    path = f"/{request.node.callspec.id}.json"
    web[0].pages[path] = answer
    client = Client(site.url, f"https://localhost:{web[0].port}{path}")
    assert Visitor(site.url).get(client.address(Pkce())).status == 400
    asked = len(web[0].asked)
    assert Visitor(site.url).get(client.address(Pkce())).status == 400
    assert len(web[0].asked) == asked  # What was refused is not fetched again at once.


@pytest.mark.parametrize(
    "client_id",
    [
        "https://127.0.0.1/client.json",
        "https://169.254.169.254/latest",
        "https://[::1]/client.json",
        "https://10.0.0.1/client.json",
        "https://user@localhost/client.json",
        "https://localhost/../client.json",
        "https://localhost",
        "http://localhost/client.json",
    ],
)
def test_nothing_is_fetched_where_nobody_may_look(site: Running, client_id: str) -> None:
    assert Visitor(site.url).get(Client(site.url, client_id).address(Pkce())).status == 400
