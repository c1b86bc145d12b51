"""The way out of a jail, on a whole platform: ordinary libraries, hosts, secrets, approvals, revocation."""

from __future__ import annotations

import json
import os
import shutil
import socketserver
import ssl
import subprocess
import sys
from collections.abc import Iterator
from dataclasses import dataclass
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from threading import Thread
from typing import Any

import pytest
from calling import Said, begin, invoke, request, wait_for
from egress_site import Authority

from running import AGENTS, Running, start_platform

SECRET = "s3cret" + "-of-" + os.urandom(8).hex()
AGENT = "caller-out"


class Web(ThreadingHTTPServer):
    """A server on 127.0.0.1 that keeps what it got and shows nothing of it."""

    daemon_threads = True

    def __init__(self, context: ssl.SSLContext | None = None) -> None:
        super().__init__(("127.0.0.1", 0), Page)
        self.heads: list[dict[str, str]] = []
        self.paths: list[str] = []
        if context is not None:
            self.socket = context.wrap_socket(self.socket, server_side=True)
        Thread(target=self.serve_forever, args=(0.05,), daemon=True).start()

    @property
    def port(self) -> int:
        return self.server_address[1]

    def handle_error(self, request: Any, client_address: Any) -> None:
        """Connections that are cut are what is tested."""


class Page(BaseHTTPRequestHandler):
    server: Web  # pyright: ignore[reportIncompatibleVariableOverride]

    def do_GET(self) -> None:
        size = int(self.headers.get("Content-Length") or 0)
        sent = self.rfile.read(size)
        self.server.paths.append(self.path)
        self.server.heads.append({name.lower(): value for name, value in self.headers.items()})
        to = self.path.partition("?to=")[2]
        body = b"hello" + b"." * len(sent)
        self.send_response(302 if to else 200)
        if to:
            self.send_header("Location", to)
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    do_POST = do_GET  # noqa: N815

    def log_message(self, format: str, *args: Any) -> None:  # noqa: A002
        """Silence."""


class Lines(socketserver.ThreadingTCPServer):
    """Gives back each line, in TLS; counts who is connected."""

    daemon_threads = True
    allow_reuse_address = True

    def __init__(self, context: ssl.SSLContext) -> None:
        super().__init__(("127.0.0.1", 0), Line)
        self.open = 0
        self.socket = context.wrap_socket(self.socket, server_side=True)
        Thread(target=self.serve_forever, args=(0.05,), daemon=True).start()

    @property
    def port(self) -> int:
        return self.server_address[1]

    def handle_error(self, request: Any, client_address: Any) -> None:
        """As above."""


class Line(socketserver.StreamRequestHandler):
    server: Lines  # pyright: ignore[reportIncompatibleVariableOverride]

    def handle(self) -> None:
        self.server.open += 1
        try:
            for line in self.rfile:
                self.wfile.write(line)
        finally:
            self.server.open -= 1


@dataclass
class Out:
    """A platform with the agent, and what there is to reach."""

    running: Running
    plain: Web
    other: Web
    tls: Web
    lines: Lines
    roots: str
    stored: subprocess.CompletedProcess[str]

    def a2a(self, *words: str, stdin: str = "") -> subprocess.CompletedProcess[str]:
        return a2a(self.running, *words, stdin=stdin)

    def call(self, skill: str, **arguments: Any) -> Said:
        return invoke(self.running, AGENT, skill, **arguments)

    def egress(self, said: Said) -> list[dict[str, Any]]:
        """The connections in the record of a call's run."""
        record = request(self.running, "GET", f"/api/v1/runs/{said.run}").json["record"]
        return [line for line in record if line["kind"] == "egress"]


def a2a(running: Running, *words: str, stdin: str = "") -> subprocess.CompletedProcess[str]:
    done = subprocess.run(
        [sys.executable, "-m", "a2a_cloud.callers.cli", *words],
        env={**running.env, "A2A_URL": running.url, "A2A_KEY": running.key},
        input=stdin,
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )
    assert done.returncode == 0, (words, done.stdout, done.stderr)
    return done


@pytest.fixture(scope="module")
def out(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Out]:
    if shutil.which("bwrap") is None:
        pytest.fail("bubblewrap is missing: run scripts/setup-system.")
    home = tmp_path_factory.mktemp("caged-egress")
    authority = Authority(home)
    context = authority.server("localhost")
    plain, other, tls, lines = Web(), Web(), Web(context), Lines(context)
    folder = home / "caller_out"
    shutil.copytree(AGENTS / "caller_out", folder, ignore=shutil.ignore_patterns("__pycache__"))
    hosts = [f"localhost:{each.port}" for each in (plain, tls, lines)] + [f"127.0.0.1:{other.port}"]
    with (folder / "a2a.toml").open("a") as manifest:
        manifest.write(f"""
[grant]
egress = {json.dumps([*hosts, "127.0.0.1:9", "localhost:9"])}

[secrets]
PRICES_KEY = {{ host = "localhost:{tls.port}", header = "Authorization", format = "Bearer {{}}" }}
""")
    running = start_platform(
        [folder],
        home,
        A2A_SANDBOX="jail",
        A2A_EGRESS_PRIVATE=",".join([*hosts, f"localhost:{other.port}"]),
        A2A_EGRESS_CA=str(authority.roots),
    )
    stored = a2a(running, "secrets", "set", "PRICES_KEY", stdin=SECRET + "\n")
    yield Out(running, plain, other, tls, lines, authority.roots.read_text(), stored)
    running.stop()
    for server in (plain, other, tls, lines):
        server.shutdown()
        server.server_close()


def test_ordinary_libraries_reach_what_is_allowed_and_bytes_are_counted(out: Out) -> None:
    url = f"http://localhost:{out.plain.port}/a?b=c"
    said = out.call("with_urllib", url=url)
    assert said.json == {"status": 200, "body": "hello", "url": url}
    assert out.plain.paths[-1] == "/a?b=c"
    made, ended = out.egress(said)
    assert (made["what"], made["state"], made["address"]) == (
        f"localhost:{out.plain.port}", "done", "127.0.0.1",
    )  # fmt: skip
    assert ended["sent"] > 100
    assert ended["received"] > 50
    assert not made["shared"]

    said = out.call("with_httpx", url=url, body="x" * 200_000)
    assert said.json == {"status": 200, "body": "hello" + "." * 200_000}
    ended = out.egress(said)[-1]
    assert 200_000 < ended["sent"] < 202_000
    assert 200_000 < ended["received"] < 202_000


def test_tls_goes_through_as_it_is(out: Out) -> None:
    said = out.call("with_httpx", url=f"https://localhost:{out.tls.port}/tls", roots=out.roots)
    assert said.json == {"status": 200, "body": "hello"}
    assert "authorization" not in out.tls.heads[-1]
    made, ended = out.egress(said)
    assert made["what"] == f"localhost:{out.tls.port}"
    assert ended["sent"] > 300
    assert ended["received"] > 500


def test_what_is_not_allowed_is_refused_with_a_remedy_and_told(out: Out) -> None:
    count = len(out.other.paths)
    said = out.call("with_urllib", url=f"http://localhost:{out.other.port}/")
    answer = said.json
    problem = json.loads(answer["body"])
    assert (answer["status"], problem["code"]) == (403, "egress_refused")
    assert "[grant] of a2a.toml" in problem["remedy"]
    (line,) = out.egress(said)
    assert (line["what"], line["state"]) == (f"localhost:{out.other.port}", "refused")
    shown = json.loads(out.a2a("runs", said.run, "--json").stdout)
    assert line in shown["record"]
    events = request(out.running, "GET", f"/api/v1/audit?run={said.run}").json["events"]
    assert [(each["operation"], each["allowed"]) for each in events if each["kind"] == "check"] == [
        ("egress", False)
    ]

    said = out.call("with_httpx", url=f"https://localhost:{out.other.port}/")
    assert said.json["status"] == 0
    assert "403" in said.json["body"]
    # Allowed by the grant, and not named by the operator: an address of this machine.
    said = out.call("with_urllib", url="http://127.0.0.1:9/")
    problem = json.loads(said.json["body"])
    assert said.json["status"] == 403
    assert "A2A_EGRESS_PRIVATE=127.0.0.1:9" in problem["remedy"]
    assert len(out.other.paths) == count


def test_without_the_proxy_there_is_no_network(out: Out) -> None:
    addresses = [("127.0.0.1", out.plain.port), ("192.0.2.1", 80), ("169.254.169.254", 80),
                 ("2001:db8::1", 80), ("localhost", out.tls.port), ("example.com", 443)]  # fmt: skip
    found = out.call("straight", addresses=addresses).json
    assert found == {
        "127.0.0.1": "ECONNREFUSED",  # A loopback interface of its own, with nobody on it.
        "192.0.2.1": "ENETUNREACH",
        "169.254.169.254": "ENETUNREACH",
        "2001:db8::1": "ENETUNREACH",
        "localhost": "ECONNREFUSED",
        "example.com": "EAI",
    }


def test_a_secret_goes_to_its_host_and_nowhere_else(out: Out) -> None:
    assert SECRET not in out.stored.stdout + out.stored.stderr
    plain = f"http://localhost:{out.tls.port}"
    mine = {"Authorization": "Bearer mine"}
    said = out.call("with_urllib", url=f"{plain}/prices", headers=mine)
    assert said.json["status"] == 200
    assert out.tls.heads[-1]["authorization"] == f"Bearer {SECRET}"
    assert SECRET not in json.dumps(out.egress(said))

    # Redirected to another host, on the same machine or by another name, it is not taken along.
    for web, host in ((out.other, "127.0.0.1"), (out.plain, "localhost")):
        to = f"http://{host}:{web.port}/stolen"
        said = out.call("with_urllib", url=f"{plain}/go?to={to}", headers=mine)
        assert (said.json["status"], said.json["url"]) == (200, to)
        assert out.tls.heads[-1]["authorization"] == f"Bearer {SECRET}"
        assert web.paths[-1] == "/stolen"
        assert SECRET not in json.dumps(web.heads)

    seen = out.call("everything").json
    assert "HTTP_PROXY" in seen
    assert "PRICES_KEY" not in seen
    assert "s3cret" not in seen
    # The same look finds one that it is told.
    out.call("with_urllib", url=f"http://localhost:{out.plain.port}/?s3cret-of-0123456789abcdef")
    assert "s3cret-of-0123456789abcdef" in out.call("everything").json
    logs = request(out.running, "GET", "/api/v1/runs?limit=100").body.decode()
    assert SECRET not in logs + out.running.log.read_text()
    database = (out.running.data / "journal.db").read_bytes()
    wal = out.running.data / "journal.db-wal"
    assert SECRET.encode() not in database + (wal.read_bytes() if wal.exists() else b"")

    out.a2a("secrets", "rotate", "PRICES_KEY", stdin="another-" + SECRET)
    out.call("with_urllib", url=f"{plain}/prices")
    assert out.tls.heads[-1]["authorization"] == f"Bearer another-{SECRET}"


def test_an_approval_opens_a_host_for_one_run(out: Out) -> None:
    host, url = f"localhost:{out.other.port}", f"http://localhost:{out.other.port}/approved"
    message = {
        "messageId": os.urandom(8).hex(),
        "role": "ROLE_USER",
        "parts": [{"data": {"skill": "wider", "arguments": {"host": host, "url": url}}}],
    }
    task = request(out.running, "POST", f"/agents/{AGENT}/message:send", {"message": message}).json["task"]
    assert task["status"]["state"] == "TASK_STATE_AUTH_REQUIRED", task
    approval = task["status"]["message"]["metadata"]["a2a-cloud/approval"]["approval"]
    made = request(out.running, "POST", "/api/v1/keys", {"principal": "bea", "role": "admin"}).json
    approved = request(
        out.running,
        "POST",
        f"/api/v1/approvals/{approval}/approve",
        {},
        {"Authorization": f"Bearer {made['key']}"},
    )
    assert approved.status == 200, approved.body

    def ended() -> Any:
        found = request(out.running, "GET", f"/agents/{AGENT}/tasks/{task['id']}").json
        return found if found["status"]["state"] == "TASK_STATE_COMPLETED" else None

    result = wait_for(ended)["artifacts"][-1]["parts"][0]["data"]
    assert result["before"]["status"] == 403
    assert result["egress"] == [host]
    assert result["after"] == {"status": 200, "body": "hello", "url": url}
    assert out.other.paths[-1] == "/approved"
    assert out.call("with_urllib", url=url).json["status"] == 403


def _held(out: Out) -> str:
    """The id of the run that holds a tunnel, once it does."""

    def look() -> str | None:
        runs = request(out.running, "GET", "/api/v1/runs").json["runs"]
        held = [each["id"] for each in runs if each["skill"] == "hold" and each["ended"] is None]
        return held[0] if held and out.lines.open else None

    return wait_for(look)


def test_a_tunnel_is_cut_when_its_grant_is_revoked(out: Out) -> None:
    where = {"host": "localhost", "port": out.lines.port, "roots": out.roots}
    held = begin(out.running, AGENT, "hold", **where)
    run = _held(out)
    assert not held.done()
    (grant,) = request(out.running, "GET", f"/api/v1/grants?run={run}").json["grants"]
    out.a2a("grants", "revoke", grant["id"], "--reason", "leaked")
    said = held.result(10)
    assert said.json["cut"] is True
    assert said.json["again"] == 403
    made, cut, ended, refused = out.egress(said)
    assert made["state"] == "done"
    assert cut["state"] == "refused"
    assert "cut" in cut["detail"]
    assert ended["state"] == "done"
    assert ended["sent"] > 300
    assert refused["state"] == "refused"
    assert "revoked" in refused["detail"]
    wait_for(lambda: out.lines.open == 0)


def test_a_tunnel_does_not_outlive_the_runs_that_may_have_it(out: Out) -> None:
    where = {"host": "localhost", "port": out.lines.port, "roots": out.roots}
    said = out.call("keep", **where)
    assert said.json == "kept"
    wait_for(lambda: out.lines.open == 0)
    made, ended = out.egress(said)
    assert made["state"] == ended["state"] == "done"
    assert ended["received"] > 300
    assert out.call("kept").json == ["ended"]
    # Another run in the same worker, whose grant allows it too, keeps it open.
    held = begin(out.running, AGENT, "hold", **where)
    run = _held(out)
    out.call("keep", **where)
    assert out.lines.open == 2
    assert out.call("kept").json == ["open"]
    request(out.running, "POST", f"/api/v1/runs/{run}/cancel", {})
    held.result(10)
    wait_for(lambda: out.lines.open == 0)
