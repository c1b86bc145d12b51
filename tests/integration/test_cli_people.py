"""`a2a link` and `a2a sessions` against a platform, as people type them."""

from __future__ import annotations

import json
import subprocess
import sys
from collections.abc import Iterator
from urllib.parse import urlsplit

import pytest
from visitor import Visitor

from running import Running, start_platform

SECRET = "three green teapots sing"


@pytest.fixture(scope="module")
def site(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Running]:
    running = start_platform([], tmp_path_factory.mktemp("cli"), A2A_LIMITS="off")
    yield running
    running.stop()


def a2a(site: Running, *words: str) -> subprocess.CompletedProcess[str]:
    env = site.env | {"A2A_URL": site.url, "A2A_KEY": site.key}
    command = [sys.executable, "-m", "a2a_cloud.callers.cli", *words]
    return subprocess.run(command, env=env, capture_output=True, text=True, timeout=30, check=False)


def test_links_and_sessions(site: Running) -> None:
    made = a2a(site, "link", "invite", "ada@example.com", "--role", "developer")
    assert made.returncode == 0, made.stderr
    assert made.stdout.startswith(f"{site.url}/invite/")
    assert "ada@example.com becomes developer of default" in made.stderr
    ada = Visitor(site.url, agent="Ada's browser")
    path = urlsplit(made.stdout.strip()).path
    assert ada.fill(path, {"email": "ada@example.com", "name": "Ada", "password": SECRET}).status == 303

    listed = a2a(site, "sessions", "ls", "--account", "ada@example.com")
    assert "Ada's browser" in listed.stdout
    assert a2a(site, "sessions", "ls", "--account", "bob@example.com").returncode != 0
    assert a2a(site, "sessions", "end").returncode == 2
    ended = a2a(site, "sessions", "end", "--all", "--account", "ada@example.com", "--json")
    assert json.loads(ended.stdout)["ended"] is True
    assert ada.get("/api/v1/whoami").status == 401

    recover = a2a(site, "link", "recover", "ada@example.com", "--json")
    found = json.loads(recover.stdout)
    assert (found["kind"], found["state"]) == ("recover", "open")
    assert found["id"] in a2a(site, "link", "ls").stdout
    assert a2a(site, "link", "end", found["id"]).returncode == 0
    assert ada.get(urlsplit(found["url"]).path).status == 404
    assert "/invite/" in a2a(site, "link", "admin").stdout
    assert a2a(site, "link", "invite", "no address").returncode != 0
