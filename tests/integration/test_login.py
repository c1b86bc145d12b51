"""`a2a login` against a real platform: the browser of this machine, a browser elsewhere, renewal by many
commands at once, the end; and that nobody else can read what is kept, or slip something in."""

from __future__ import annotations

import http.client
import json
import os
import re
import stat
import subprocess
import sys
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any
from urllib.parse import parse_qs, urlencode, urlsplit

import pytest
from oauth_site import ADA, signed_in
from visitor import Visitor

from running import AGENTS, SOURCE, Running, start_platform


@pytest.fixture(scope="module")
def site(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Running]:
    running = start_platform([AGENTS / "desk"], tmp_path_factory.mktemp("login"), A2A_LIMITS="off")
    yield running
    running.stop()


@pytest.fixture(scope="module")
def ada(site: Running) -> Visitor:
    return signed_in(site)


@dataclass
class Person:
    """Somebody at a terminal: a home folder, and no key."""

    home: Path
    more: dict[str, str]

    @property
    def env(self) -> dict[str, str]:
        kept = {name: value for name, value in os.environ.items() if not name.startswith(("A2A_", "XDG_"))}
        for name in ("DISPLAY", "WAYLAND_DISPLAY", "BROWSER", "DBUS_SESSION_BUS_ADDRESS"):
            kept.pop(name, None)
        return kept | {"HOME": str(self.home), "PYTHONPATH": str(SOURCE)} | self.more

    @property
    def tokens(self) -> Path:
        return self.home / ".config" / "a2a" / "tokens"

    def begin(self, *words: str) -> subprocess.Popen[str]:
        command = [sys.executable, "-m", "a2a_cloud.callers.cli", *words]
        return subprocess.Popen(
            command, env=self.env, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True, cwd=self.home
        )

    def a2a(self, *words: str) -> tuple[int, str, str]:
        process = self.begin(*words)
        out, err = process.communicate(timeout=60)
        return process.returncode, out, err

    def kept(self) -> dict[str, Any]:
        (file,) = self.tokens.glob("*.json")
        return json.loads(file.read_text())

    def keep(self, **fields: Any) -> None:
        (file,) = self.tokens.glob("*.json")
        file.write_text(json.dumps({**json.loads(file.read_text()), **fields}))


@pytest.fixture
def person(tmp_path: Path) -> Person:
    return Person(tmp_path, {})


def heard(process: subprocess.Popen[str], pattern: str) -> str:
    """What the pattern finds in the lines that the command says."""
    assert process.stderr is not None
    said = ""
    for line in process.stderr:
        said += line
        if found := re.search(pattern, line):
            return found[1]
    raise AssertionError(said)


def by_device(person: Person, site: Running, ada: Visitor, decision: str = "allow") -> tuple[int, str, str]:
    process = person.begin("login", site.url, "--device", "--json")
    code = heard(process, r"type ([A-Z0-9-]+)$")
    shown = ada.get("/oauth/device")
    confirm = ada.post("/oauth/device", {"csrf": shown.csrf, "user_code": code})
    done = ada.post("/oauth/device", confirm.fields() | {"user_code": code, "decision": decision})
    assert done.status == 200, done.text
    out, err = process.communicate(timeout=60)
    return process.returncode, out, err


def knock(port: int, path: str, host: str = "") -> int:
    connection = http.client.HTTPConnection("127.0.0.1", port, timeout=20)
    try:
        connection.request("GET", path, headers={"Host": host} if host else {})
        return connection.getresponse().status
    finally:
        connection.close()


# --- signing in -----------------------------------------------------------------------------------------


def test_a_browser_elsewhere(site: Running, ada: Visitor, person: Person) -> None:
    code, out, err = by_device(person, site, ada)
    assert code == 0, err
    told = json.loads(out)
    assert (told["principal"], told["org"], told["kept"]) == (ADA, "default", "file")
    kept = person.kept()
    assert kept["access"] not in out + err
    assert kept["refresh"] not in out + err
    (file,) = person.tokens.glob("*.json")
    assert stat.S_IMODE(file.stat().st_mode) == 0o600
    assert stat.S_IMODE(person.tokens.stat().st_mode) == 0o700
    code, out, err = person.a2a("whoami")
    assert (code, out) == (0, f"{ADA}@default (owner) at {site.url}\n"), err
    assert "the sign-in of the profile" in err
    assert person.a2a("call", "desk", "shout", "text=hi")[:2] == (0, "HI\n")
    code, out, err = person.a2a("profiles", "ls")
    assert re.search(r"^\*\s+127\.0\.0\.1-\d+\s+http://127\.0\.0\.1:\d+\s+a sign-in, in a file", out, re.M)


def test_the_browser_of_this_machine(site: Running, ada: Visitor, person: Person) -> None:
    person.more["BROWSER"] = "true"  # A program that opens nothing: the test is the browser.
    process = person.begin("login", site.url, "--name", "work")
    address = heard(process, r"(http://\S+/oauth/authorize\S+)")
    asked = {name: values[0] for name, values in parse_qs(urlsplit(address).query).items()}
    assert (asked["client_id"], asked["code_challenge_method"]) == ("a2a-cli", "S256")
    port = urlsplit(asked["redirect_uri"]).port or 0
    # Others knock first: another path, another state, another host name, no state at all.
    for path in ("/", "/favicon.ico", "/callback", "/callback?state=x&code=evil", "/callback?code=evil"):
        assert knock(port, path) == 404
    state = asked["state"]
    assert knock(port, f"/callback?{urlencode({'state': state, 'code': 'evil'})}", "evil.example.com") == 404
    assert knock(port, f"/callback?state={state}&state={state}&code=evil") == 404
    shown = ada.get(address.removeprefix(site.url))
    if shown.status == 200:  # Asked, unless it was allowed before.
        shown = ada.post("/oauth/consent", shown.fields() | {"decision": "allow"})
    back = urlsplit(shown.headers["location"])
    assert (back.hostname, back.port, back.path) == ("127.0.0.1", port, "/callback")
    assert knock(port, f"{back.path}?{back.query}", f"127.0.0.1:{port}") == 200
    out, err = process.communicate(timeout=60)
    assert process.returncode == 0, err
    assert f"signed in as {ADA}@default" in err
    assert person.a2a("whoami", "--profile", "work")[1].startswith(ADA)
    kept = person.kept()
    assert not any(secret in out + err for secret in (kept["access"], kept["refresh"]))


@pytest.mark.parametrize(
    ("more", "said"),
    [({"error": "access_denied"}, "access_denied"), ({"code": "x", "iss": "https://evil"}, "another server")],
    ids=["denied", "mix-up"],
)
def test_an_answer_that_brings_nobody(site: Running, person: Person, more: dict[str, str], said: str) -> None:
    person.more["BROWSER"] = "true"
    process = person.begin("login", site.url)
    asked = parse_qs(urlsplit(heard(process, r"(http://\S+/oauth/authorize\S+)")).query)
    port = urlsplit(asked["redirect_uri"][0]).port or 0
    knock(port, "/callback?" + urlencode({"state": asked["state"][0], **more}), f"127.0.0.1:{port}")
    _, err = process.communicate(timeout=60)
    assert process.returncode == 4, err
    assert said in err
    assert not list(person.home.rglob("*.json"))


def test_a_code_that_is_not_ours(site: Running, person: Person) -> None:
    person.more["BROWSER"] = "true"
    process = person.begin("login", site.url)
    asked = parse_qs(urlsplit(heard(process, r"(http://\S+/oauth/authorize\S+)")).query)
    port = urlsplit(asked["redirect_uri"][0]).port or 0
    fields = {"state": asked["state"][0], "code": "made-up", "iss": site.url}
    knock(port, "/callback?" + urlencode(fields), f"127.0.0.1:{port}")
    _, err = process.communicate(timeout=60)
    assert process.returncode == 4, err
    assert "Traceback" not in err


def test_a_person_who_says_no(site: Running, ada: Visitor, person: Person) -> None:
    code, _, err = by_device(person, site, ada, "deny")
    assert code == 4
    assert "Nobody was signed in" in err
    assert not list(person.home.rglob("*.json"))


@pytest.mark.parametrize("url", ["http://127.0.0.1:9", "not a url", "ftp://x"])
def test_no_platform_there(person: Person, url: str) -> None:
    code, _, err = person.a2a("login", url)
    assert code == 3, err
    assert "Traceback" not in err


def test_a_platform_that_calls_itself_otherwise(site: Running, person: Person) -> None:
    url = site.url.replace("127.0.0.1", "localhost")
    code, _, err = person.a2a("login", url)
    assert code == 1
    assert f"a2a login {site.url}" in err


# --- while signed in ------------------------------------------------------------------------------------


def test_commands_at_once_renew_the_token_once(site: Running, ada: Visitor, person: Person) -> None:
    assert by_device(person, site, ada)[0] == 0
    first = person.kept()
    person.keep(expires=0)
    commands = [person.begin("whoami") for _ in range(5)]
    said = [each.communicate(timeout=60) for each in commands]
    assert [each.returncode for each in commands] == [0] * 5, said
    second = person.kept()
    assert second["refresh"] != first["refresh"]
    assert second["access"] != first["access"]
    # Had two of them used the refresh token, the whole sign-in had ended: it goes on.
    person.keep(expires=0)
    assert person.a2a("whoami")[0] == 0


def test_a_long_command_goes_on_with_the_next_token(site: Running, ada: Visitor, person: Person) -> None:
    assert by_device(person, site, ada)[0] == 0
    code = (
        "import asyncio, json, pathlib\n"
        "from a2a_cloud.client.http import Platform\n"
        "from a2a_cloud.client.profile import resolve\n"
        "async def go():\n"
        "    async with Platform(resolve()) as platform:\n"
        "        target = platform.target\n"
        "        target.signed_in._known = None\n"
        "        file = next(pathlib.Path.home().glob('.config/a2a/tokens/*.json'))\n"
        "        kept = json.loads(file.read_text())\n"
        "        file.write_text(json.dumps({**kept, 'expires': 0, 'access': 'x'}))\n"
        "        print((await platform.json('GET', '/api/v1/whoami'))['principal'])\n"
        "asyncio.run(go())\n"
    )
    done = subprocess.run(
        [sys.executable, "-c", code], env=person.env, capture_output=True, text=True, check=False
    )
    assert done.stdout == ADA + "\n", done.stderr
    assert person.kept()["access"] != "x"


def test_a_sign_in_that_was_ended_elsewhere(site: Running, ada: Visitor, person: Person) -> None:
    assert by_device(person, site, ada)[0] == 0
    person.keep(expires=0, refresh="gone")
    code, _, err = person.a2a("whoami")
    assert code == 3, err
    assert f"a2a login {site.url}" in err
    assert not list(person.tokens.glob("*.json"))
    code, _, err = person.a2a("whoami")
    assert "signed out" in err


def test_tokens_that_others_may_read_are_not_used(site: Running, ada: Visitor, person: Person) -> None:
    assert by_device(person, site, ada)[0] == 0
    (file,) = person.tokens.glob("*.json")
    file.chmod(0o644)
    code, _, err = person.a2a("whoami")
    assert code == 3
    assert f"chmod 600 {file}" in err


def test_a_key_that_is_given_comes_first(site: Running, ada: Visitor, person: Person) -> None:
    assert by_device(person, site, ada)[0] == 0
    person.more["A2A_KEY"] = site.key
    assert person.a2a("whoami")[1].startswith("admin@default (admin)")


def test_a_file_of_an_mcp_client_gets_no_token(site: Running, ada: Visitor, person: Person) -> None:
    assert by_device(person, site, ada)[0] == 0
    file = person.home / "mcp.json"
    words = ("connect", "claude-code", "desk", "--file", str(file))
    code, _, err = person.a2a(*words, "--http", "--no-check")
    assert code == 2, err
    assert "good for minutes" in err
    code, out, err = person.a2a(*words)
    assert code == 0, out + err
    assert person.kept()["access"] not in file.read_text() + out + err
    assert "mcp-stdio" in file.read_text()


# --- the end ----------------------------------------------------------------------------------------------


def test_signing_out_ends_it_here_and_there(site: Running, ada: Visitor, person: Person) -> None:
    assert by_device(person, site, ada)[0] == 0
    access = person.kept()["access"]
    code, _, err = person.a2a("logout")
    assert code == 0, err
    assert not list(person.tokens.glob("*.json"))
    connection = http.client.HTTPConnection(site.host, site.port, timeout=20)
    connection.request("GET", "/api/v1/whoami", headers={"Authorization": f"Bearer {access}"})
    assert connection.getresponse().status == 401
    connection.close()
    code, _, err = person.a2a("logout")
    assert code == 2
    assert person.a2a("whoami")[0] == 4


def test_profiles(site: Running, ada: Visitor, person: Person) -> None:
    assert by_device(person, site, ada)[0] == 0
    name = next(iter(person.tokens.glob("*.json"))).stem
    config = person.home / ".config" / "a2a" / "profiles.toml"
    config.write_text(config.read_text() + '\n[other]\nurl = "http://127.0.0.1:9"\n')
    assert person.a2a("profiles", "use", "other")[0] == 0
    code, _, err = person.a2a("whoami")
    assert (code, "127.0.0.1:9" in err) == (3, True)
    assert person.a2a("whoami", "--profile", name)[0] == 0
    assert person.a2a("profiles", "use", "nothing")[0] == 3
    assert person.a2a("profiles", "rm", "nothing")[0] == 3
    assert person.a2a("profiles", "rm", "other")[0] == 0
    assert person.a2a("profiles", "rm", name)[0] == 0
    listed = json.loads(person.a2a("profiles", "ls", "--json")[1])
    assert listed == {"profiles": []}
    assert not list(person.tokens.glob("*.json"))
