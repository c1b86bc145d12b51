"""`a2a connect`: the entry is proved, then put into the client's file, and nothing else there changes."""

from __future__ import annotations

import json
import os
import stat
import sys
import tomllib
from pathlib import Path
from typing import Any

import pytest
from aiohttp import web
from cli_platform import Played
from cli_running import Run

from a2a_cloud.callers.cli.mcp_clients import CLIENTS, NotWritten

pytest_plugins = ["cli_fixtures"]


@pytest.fixture
def home(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A user of their own, whose configuration is where everybody's is."""
    for name in ("XDG_CONFIG_HOME", "CLAUDE_CONFIG_DIR", "CODEX_HOME"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setenv("HOME", str(tmp_path / "home"))
    (tmp_path / "home").mkdir()
    return tmp_path / "home"


@pytest.fixture
def mcp(played: Played) -> Played:
    """The played platform serves one tool at /agents/greeter/mcp."""

    async def answer(request: web.Request) -> web.StreamResponse:
        message = json.loads(played.asked[-1].body or b"{}")
        if "id" not in message:
            return web.Response(status=202 if request.method == "POST" else 405)
        tools = [{"name": "greet", "description": "Greets.\nAt length.", "inputSchema": {"type": "object"}}]
        result: dict[str, Any] = {"tools": tools}
        if message["method"] == "initialize":
            result = {"protocolVersion": "2025-11-25", "capabilities": {}, "serverInfo": {"name": "greeter"}}
        return web.json_response({"jsonrpc": "2.0", "id": message["id"], "result": result})

    for method in ("GET", "POST"):
        played.answers[method, "/agents/greeter/mcp"] = answer
    return played


def mode(path: Path) -> int:
    return stat.S_IMODE(path.stat().st_mode)


def test_the_entry_is_used_before_it_is_written(mcp: Played, a2a: Run, home: Path) -> None:
    code, out, err = a2a("connect", "cursor", "greeter")
    assert code == 0, err
    assert "greet: Greets." in out
    entry = json.loads((home / ".cursor" / "mcp.json").read_text())["mcpServers"]["a2a-greeter"]
    # A key that only this command was given is kept, and not in the client's file.
    name = entry["args"][entry["args"].index("--profile") + 1]
    assert entry["args"][-4:] == ["mcp-stdio", "--profile", name, "greeter"]
    key = home / ".config" / "a2a" / "keys" / f"{name}.key"
    assert (key.read_text(), mode(key)) == ("k-test\n", 0o600)
    assert str(key) in err
    assert mcp.last("POST", "/agents/greeter/mcp").headers["Authorization"] == "Bearer k-test"
    assert os.path.isabs(entry["command"])


def test_nothing_is_written_when_it_does_not_work(mcp: Played, a2a: Run, home: Path) -> None:
    code, _, err = a2a("connect", "cursor", "nobody", "--http")
    assert code == 1
    assert "could not be proved" in err
    assert not (home / ".cursor").exists()
    assert a2a("connect", "cursor", "nobody", "--http", "--no-check")[0] == 0
    assert (home / ".cursor" / "mcp.json").exists()


@pytest.mark.parametrize("client", [name for name, each in CLIENTS.items() if each.http])
def test_an_address_with_the_key(mcp: Played, a2a: Run, home: Path, client: str) -> None:
    code, out, err = a2a("connect", client, "greeter", "--http", "--json")
    assert code == 0, err
    said = json.loads(out)
    assert said["tools"] == [{"name": "greet", "about": "Greets."}]
    file = Path(said["file"])
    assert mode(file) == 0o600
    text = file.read_text()
    found = CLIENTS[client]
    document = tomllib.loads(text) if found.toml else json.loads(text)
    entry = document[found.member]["a2a-greeter"]
    assert entry[found.http] == mcp.url + "/agents/greeter/mcp"
    assert entry[found.headers] == {"Authorization": "Bearer k-test"}
    # Again is no change; out again leaves nothing of it.
    assert json.loads(a2a("connect", client, "greeter", "--http", "--json")[1])["changed"] is False
    assert a2a("connect", client, "greeter", "--remove")[0] == 0
    assert "k-test" not in file.read_text()
    assert a2a("connect", client, "greeter", "--remove")[0] == 5


def test_what_else_is_there_stays(mcp: Played, a2a: Run, home: Path) -> None:
    real = home / "dotfiles" / "settings.json"
    real.parent.mkdir()
    before = '{\n  // mine\n  "theme": "dark",\n  "mcpServers": {"other": {"command": "x"}},\n}\n'
    real.write_text(before)
    real.chmod(0o644)
    file = home / ".gemini" / "settings.json"
    file.parent.mkdir()
    file.symlink_to(real)
    assert a2a("connect", "gemini", "greeter", "--http")[0] == 0
    assert file.is_symlink()
    after = real.read_text()
    assert "// mine" in after
    assert '"other": {"command": "x"}' in after
    assert mode(real) == 0o600  # a key is in it now
    assert real.with_name("settings.json.before-a2a").read_text() == before
    assert a2a("connect", "gemini", "greeter", "--remove")[0] == 0
    assert real.read_text() == before


def test_a_file_that_can_not_be_read_is_left(mcp: Played, a2a: Run, home: Path) -> None:
    file = home / ".cursor" / "mcp.json"
    file.parent.mkdir()
    for text in ('{"mcpServers": [', '{"mcpServers": 1}', "[]"):
        file.write_text(text)
        code, _, err = a2a("connect", "cursor", "greeter", "--http")
        assert code == 1
        assert "can't be changed" in err
        assert "k-test" not in err
        assert file.read_text() == text


def test_a_dry_run_changes_nothing(mcp: Played, a2a: Run, home: Path) -> None:
    code, out, err = a2a("connect", "windsurf", "greeter", "--http", "--dry-run")
    assert code == 0, err
    assert '+      "serverUrl"' in out
    assert "k-test" not in out
    assert list(home.rglob("*")) == []
    assert a2a("connect", "cursor", "greeter", "--dry-run")[0] == 0
    assert list(home.rglob("*")) == []


def test_what_is_refused(mcp: Played, a2a: Run, home: Path) -> None:
    for words, said in (
        (("cursr", "greeter"), "Did you mean cursor?"),
        (("claude", "greeter", "--http"), "starts processes alone"),
        (("windsurf", "greeter", "--project"), "has no file for a project"),
        (("vscode", "greeter", "--project", "--http"), "does not belong"),
        (("cursor", "greeter", "--name", "a b"), "no name for a server"),
    ):
        code, _, err = a2a("connect", *words)
        assert code == 2, err
        assert said in err
    assert list(home.rglob("*")) == []


def test_the_clients_are_listed(a2a: Run, home: Path) -> None:
    code, out, _ = a2a("connect", "--json")
    assert code == 0
    assert {each["name"] for each in json.loads(out)["clients"]} == set(CLIENTS)


def test_a_project_s_file(mcp: Played, a2a: Run, home: Path) -> None:
    assert a2a("connect", "vscode", "greeter", "--project", "--no-check")[0] == 0
    entry = json.loads(Path(".vscode/mcp.json").read_text())["servers"]["a2a-greeter"]
    assert entry["type"] == "stdio"


TOML = """# mine
model = "x"

[mcp_servers.other] # theirs
command = "y"

[mcp_servers.a2a.env]
A = "1"

[mcp_servers.a2a]
command = "old"
[tools]
web = true
"""


def test_toml_keeps_what_is_there() -> None:
    codex = CLIENTS["codex"]
    entry = codex.command_entry(["/bin/a2a", "mcp-stdio"], {"B": '"2"'})
    text = codex.put(TOML, "a2a", entry)
    assert tomllib.loads(text)["mcp_servers"] == {"other": {"command": "y"}, "a2a": entry}
    assert "# mine" in text
    assert "# theirs" in text
    assert tomllib.loads(codex.remove(text, "a2a")) == {
        "model": "x",
        "mcp_servers": {"other": {"command": "y"}},
        "tools": {"web": True},
    }
    for strange in ('mcp_servers = {a = {command = "x"}}\n', "mcp_servers = 1\n", "nonsense"):
        with pytest.raises(NotWritten):
            codex.put(strange, "a2a", entry)


@pytest.mark.parametrize("platform", ["linux", "darwin", "win32"])
def test_every_client_has_a_place(platform: str) -> None:
    env = {"HOME": "/home/me", "USERPROFILE": "/home/me", "APPDATA": "/home/me/AppData/Roaming"}
    for client in CLIENTS.values():
        assert str(client.file(env, platform)).startswith("/home/me"), (client.title, sys.platform)
