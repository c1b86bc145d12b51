"""A platform as it is reached: by TLS of its own, behind Debian's caddy, and not in the clear."""

from __future__ import annotations

import os
import shutil
import socket
import ssl
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path

import grpc
import httpx
import pytest
from certificates import Pair, leaf, root

from running import AGENTS, SOURCE, Running, start_platform

CADDY = shutil.which("caddy")


#: All of this machine's addresses.
WILD = "0.0.0.0"  # noqa: S104


def ask(url: str, context: ssl.SSLContext | bool = True, **fields: str) -> httpx.Response:
    """The answer."""
    headers = {name.replace("_", "-"): value for name, value in fields.items()}
    return httpx.get(url, verify=context, headers=headers, timeout=10, trust_env=False)


class Served:
    """A platform with TLS."""

    def __init__(self, home: Path) -> None:
        self.root = root()
        self.cert, self.key = home / "cert.pem", home / "key.pem"
        self.pair = self.renew()
        (home / "roots.pem").write_bytes(self.root.pem)
        self.platform: Running = start_platform(
            [AGENTS / "open"],
            home,
            A2A_TLS_CERT=str(self.cert),
            A2A_TLS_KEY=str(self.key),
            SSL_CERT_FILE=str(home / "roots.pem"),
        )
        self.context = ssl.create_default_context(cadata=self.root.pem.decode())

    def renew(self) -> Pair:
        self.pair = leaf(self.root)
        self.pair.write(self.cert, self.key)
        return self.pair


@pytest.fixture(scope="module")
def served(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Served]:
    site = Served(tmp_path_factory.mktemp("tls"))
    yield site
    site.platform.stop()


def test_cards_and_the_command_line_by_tls(served: Served) -> None:
    platform = served.platform
    assert platform.url.startswith("https://127.0.0.1:")
    card = ask(f"{platform.agent('open')}/.well-known/agent-card.json", served.context).json()
    assert {one["url"].split(":")[0] for one in card["supportedInterfaces"] if "GRPC" not in str(one)} == {
        "https"
    }
    done = subprocess.run(
        [sys.executable, "-m", "a2a_cloud.callers.cli", "ls"],
        env=platform.env,
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )
    assert (done.returncode, "open" in done.stdout) == (0, True), done.stderr


def test_grpc_by_tls_with_the_same_certificate_and_a_renewed_one(served: Served) -> None:
    def shown() -> bytes:
        host, port = served.platform.grpc.rsplit(":", 1)
        context = ssl.create_default_context(cadata=served.root.pem.decode())
        context.set_alpn_protocols(["h2"])
        with (
            socket.create_connection((host, int(port)), 10) as plain,
            context.wrap_socket(plain, server_hostname="localhost") as secure,
        ):
            return secure.getpeercert(binary_form=True) or b""

    assert shown() == served.pair.der
    pair = served.renew()
    assert shown() == pair.der
    channel = grpc.secure_channel(served.platform.grpc, grpc.ssl_channel_credentials(served.root.pem))
    with channel:
        grpc.channel_ready_future(channel).result(10)


def test_plain_grpc_is_not_answered(served: Served) -> None:
    with grpc.insecure_channel(served.platform.grpc) as channel, pytest.raises(grpc.FutureTimeoutError):
        grpc.channel_ready_future(channel).result(1)


def refused(home: Path, **settings: str) -> str:
    """What a platform says that does not start."""
    env = {name: value for name, value in os.environ.items() if not name.startswith("A2A_")}
    env |= {
        "A2A_PORT": "0",
        "A2A_GRPC_PORT": "off",
        "A2A_DATA": str(home / "data"),
        "HOME": str(home),
        "PYTHONPATH": str(SOURCE),
        **settings,
    }
    words = [sys.executable, "-m", "a2a_cloud.app"]
    done = subprocess.run(words, env=env, cwd=home, capture_output=True, text=True, timeout=60, check=False)
    assert done.returncode == 1, done.stderr
    return done.stderr


@pytest.mark.parametrize(
    ("settings", "words"),
    [
        ({"A2A_HOST": WILD}, "A2A_INSECURE_HTTP=yes-i-know"),
        ({"A2A_HOST": WILD, "A2A_INSECURE_HTTP": "1"}, "Write yes-i-know"),
        ({"A2A_TLS_CERT": "cert.pem"}, "Set A2A_TLS_KEY too"),
        ({"A2A_TLS_CERT": "no.pem", "A2A_TLS_KEY": "no.key"}, "No such file"),
        ({"A2A_TRUSTED_PROXIES": "0.0.0.0/0"}, "which is everybody"),
    ],
    ids=["open", "half-said", "no-key", "no-file", "everybody"],
)
def test_what_is_refused_at_the_start(tmp_path: Path, settings: dict[str, str], words: str) -> None:
    assert words in refused(tmp_path, **settings)


def free_port() -> int:
    with socket.create_server(("127.0.0.1", 0)) as taken:
        return taken.getsockname()[1]


@pytest.mark.skipif(CADDY is None, reason="caddy is not installed (scripts/setup-system)")
def test_behind_caddy(tmp_path: Path) -> None:
    """The page docs/tls.md has this configuration: TLS and its certificates are caddy's."""
    platform = start_platform([AGENTS / "open"], tmp_path, A2A_TRUSTED_PROXIES="127.0.0.1")
    port = free_port()
    (tmp_path / "Caddyfile").write_text(
        "{\n\tadmin off\n\tauto_https disable_redirects\n\tskip_install_trust\n}\n"
        f"https://localhost:{port} {{\n\ttls internal\n\treverse_proxy 127.0.0.1:{platform.port} {{\n"
        "\t\tflush_interval -1\n\t}\n}\n"
    )
    env = {**os.environ, "HOME": str(tmp_path), "XDG_DATA_HOME": str(tmp_path / "caddy")}
    with (tmp_path / "caddy.log").open("wb") as log:
        caddy = subprocess.Popen(
            [CADDY or "", "run", "--config", "Caddyfile", "--adapter", "caddyfile"],
            cwd=tmp_path,
            env=env,
            stdout=log,
            stderr=log,
        )
    try:
        roots = tmp_path / "caddy" / "caddy" / "pki" / "authorities" / "local" / "root.crt"
        end = time.monotonic() + 60
        while not (roots.exists() and _listens(port)):
            assert caddy.poll() is None, (tmp_path / "caddy.log").read_text()
            assert time.monotonic() < end, (tmp_path / "caddy.log").read_text()
            time.sleep(0.1)
        context = ssl.create_default_context(cafile=str(roots))
        base = f"https://localhost:{port}"
        card = ask(f"{base}/agents/open/.well-known/agent-card.json", context).json()
        first = card["supportedInterfaces"][0]["url"]
        assert first == f"{base}/agents/open"  # as callers reach it: scheme, name and port
        # What a caller says of itself is not believed: caddy puts the address that it sees.
        assert ask(f"{base}/metrics", context, X_Forwarded_For="127.0.0.1").status_code == 401
        assert ask(f"{platform.url}/metrics").status_code == 200
        env |= {
            "A2A_URL": base,
            "A2A_KEY": platform.key,
            "SSL_CERT_FILE": str(roots),
            "PYTHONPATH": str(SOURCE),
        }
        words = [sys.executable, "-m", "a2a_cloud.callers.cli", "call", "open", "shout", "text=hi"]
        done = subprocess.run(words, env=env, capture_output=True, text=True, timeout=60, check=False)
        assert (done.returncode, done.stdout.strip()) == (0, "HI"), done.stderr
    finally:
        caddy.terminate()
        caddy.wait(10)
        platform.stop()


def _listens(port: int) -> bool:
    with socket.socket() as tried:
        tried.settimeout(1)
        return tried.connect_ex(("127.0.0.1", port)) == 0
