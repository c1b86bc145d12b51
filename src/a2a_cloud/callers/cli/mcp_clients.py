"""Where MCP clients keep their servers, and how they write them down.

Each client has a file of its own with one entry a server: a command to start (stdio), or an address with
headers (Streamable HTTP) where it knows that. docs/client.md lists them.
"""

from __future__ import annotations

import json
import os
import re
import sys
import tomllib
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, cast

from a2a_cloud.callers.cli import jsonc

Entry = dict[str, Any]
Where = Callable[[Mapping[str, str], str], Path]


class NotWritten(Exception):
    """The file can't be changed safely; the message says why."""


@dataclass(frozen=True)
class McpClient:
    """`file`: (environment, sys.platform) → its configuration. `project`: the file in a project's folder, ""
    for none. `member`: the object that holds the servers. `kind`: what an entry says of its kind, and `http`
    how it names an address ("" for a client that starts processes alone). `after`: what to do then."""

    title: str
    file: Where
    member: str = "mcpServers"
    project: str = ""
    kind: tuple[str, str] = ("", "")
    http: str = ""
    headers: str = "headers"
    after: str = "Restart it."
    toml: bool = False

    def command_entry(self, command: list[str], env: Mapping[str, str]) -> Entry:
        """The entry of a server that the client starts."""
        entry: Entry = {"type": self.kind[0]} if self.kind[0] else {}
        entry |= {"command": command[0], "args": command[1:]}
        return {**entry, "env": dict(env)} if env else entry

    def http_entry(self, url: str, headers: Mapping[str, str]) -> Entry:
        """The entry of a server at an address."""
        entry: Entry = {"type": self.kind[1]} if self.kind[1] else {}
        entry[self.http] = url
        return {**entry, self.headers: dict(headers)} if headers else entry

    def put(self, text: str, name: str, entry: Entry) -> str:
        """The file's `text` with the entry `name`. Raises NotWritten."""
        return self._edited(text, name, entry)

    def remove(self, text: str, name: str) -> str:
        """The file's `text` without the entry `name`. Raises NotWritten."""
        return self._edited(text, name, None)

    def has(self, text: str, name: str) -> bool:
        """Whether there is an entry `name`. Raises NotWritten."""
        try:
            document = tomllib.loads(text) if self.toml else jsonc.parse(text)
        except (tomllib.TOMLDecodeError, jsonc.NotEditable) as error:
            raise NotWritten(str(error)) from None
        found: Any = document.get(self.member)
        return isinstance(found, dict) and name in found

    def _edited(self, text: str, name: str, entry: Entry | None) -> str:
        try:
            if self.toml:
                return _toml_edited(text, self.member, name, entry)
            path = (self.member, name)
            return jsonc.remove(text, path) if entry is None else jsonc.put(text, path, entry)
        except (jsonc.NotEditable, tomllib.TOMLDecodeError) as error:
            raise NotWritten(str(error)) from None


def _home(env: Mapping[str, str]) -> Path:
    found = env.get("USERPROFILE" if sys.platform == "win32" else "HOME", "")
    return Path(found) if found else Path.home()


def _in_home(*parts: str, variable: str = "", folder: str = "") -> Where:
    """A file below the home folder; or, when `variable` names a folder, there in place of `folder`."""

    def where(env: Mapping[str, str], _platform: str) -> Path:
        named = env.get(variable, "") if variable else ""
        if named:
            return Path(named, *parts)
        return Path(_home(env), folder, *parts) if folder else Path(_home(env), *parts)

    return where


def _application(mac: str, windows: str, linux: str) -> Where:
    """A file in the place for applications' data of this system."""

    def where(env: Mapping[str, str], platform: str) -> Path:
        if platform == "darwin":
            return _home(env) / "Library" / "Application Support" / mac
        if platform == "win32":
            return Path(env.get("APPDATA") or _home(env) / "AppData" / "Roaming") / windows
        config = env.get("XDG_CONFIG_HOME", "")
        return (Path(config) if os.path.isabs(config) else _home(env) / ".config") / linux

    return where


def _zed(env: Mapping[str, str], platform: str) -> Path:
    if platform == "darwin":
        return _home(env) / ".config" / "zed" / "settings.json"
    return _application("", "Zed/settings.json", "zed/settings.json")(env, platform)


_CLAUDE = "Claude/claude_desktop_config.json"
_CODE = "Code/User/mcp.json"
_CLINE = "Code/User/globalStorage/saoudrizwan.claude-dev/settings/cline_mcp_settings.json"

CLIENTS: dict[str, McpClient] = {
    "claude": McpClient(
        "Claude Desktop",
        _application(_CLAUDE, _CLAUDE, _CLAUDE),
        after="Quit Claude Desktop and start it again.",
    ),
    "claude-code": McpClient(
        "Claude Code",
        _in_home(".claude.json", variable="CLAUDE_CONFIG_DIR"),
        project=".mcp.json",
        kind=("stdio", "http"),
        http="url",
        after="Start a new session; /mcp shows it.",
    ),
    "cursor": McpClient(
        "Cursor",
        _in_home(".cursor", "mcp.json"),
        project=".cursor/mcp.json",
        http="url",
        after="Switch it on in Cursor's settings, under MCP.",
    ),
    "vscode": McpClient(
        "Visual Studio Code",
        _application(_CODE, _CODE, _CODE),
        member="servers",
        project=".vscode/mcp.json",
        kind=("stdio", "http"),
        http="url",
        after="Start it with the command `MCP: List Servers`.",
    ),
    "windsurf": McpClient(
        "Windsurf",
        _in_home(".codeium", "windsurf", "mcp_config.json"),
        http="serverUrl",
        after="Refresh the servers in Cascade's MCP panel.",
    ),
    "zed": McpClient(
        "Zed",
        _zed,
        member="context_servers",
        project=".zed/settings.json",
        http="url",
        after="Zed reads it by itself.",
    ),
    "gemini": McpClient(
        "Gemini CLI",
        _in_home(".gemini", "settings.json"),
        project=".gemini/settings.json",
        http="httpUrl",
        after="Start a new session; /mcp shows it.",
    ),
    "codex": McpClient(
        "Codex",
        _in_home("config.toml", variable="CODEX_HOME", folder=".codex"),
        member="mcp_servers",
        http="url",
        headers="http_headers",
        after="Start a new session; /mcp shows it.",
        toml=True,
    ),
    "cline": McpClient(
        "Cline",
        _application(_CLINE, _CLINE, _CLINE),
        kind=("stdio", "streamableHttp"),
        http="url",
        after="Cline reads it by itself.",
    ),
    "lmstudio": McpClient(
        "LM Studio", _in_home(".lmstudio", "mcp.json"), http="url", after="LM Studio reads it by itself."
    ),
}


# --- TOML, which only Codex has ----------------------------------------------------------------------

_TABLE = re.compile(r"^[ \t]*\[", re.MULTILINE)


def _toml_edited(text: str, member: str, name: str, entry: Entry | None) -> str:
    """The tables of an entry taken out, and put in anew at the end; all else stays as it is."""
    before = tomllib.loads(text)
    changed = text
    key = rf"(?:{re.escape(name)}|\"{re.escape(name)}\")"
    header = re.compile(
        rf"^[ \t]*\[[ \t]*{member}[ \t]*\.[ \t]*{key}[ \t]*(?:\.[^\]\n]*)?\][^\n]*\n?", re.MULTILINE
    )
    while found := header.search(changed):
        following = _TABLE.search(changed, found.end())
        changed = changed[: found.start()] + (changed[following.start() :] if following else "")
    if entry is not None:
        gap = "" if not changed or changed.endswith("\n\n") else "\n" if changed.endswith("\n") else "\n\n"
        changed += gap + _toml_table(f"{member}.{_toml_key(name)}", entry)
    servers: Any = before.get(member, {})
    if not isinstance(servers, dict):
        raise NotWritten(f"{member} is no table")
    wanted = {each: value for each, value in cast("Entry", servers).items() if each != name}
    if entry is not None:
        wanted[name] = entry
    now = tomllib.loads(changed)
    rest = {each: value for each, value in before.items() if each != member}
    if now != ({**rest, member: wanted} if wanted or (member in now) else rest):
        raise NotWritten("the place to change could not be found for certain")
    return changed


def _toml_table(name: str, entry: Entry) -> str:
    lines = [f"[{name}]"]
    tables: list[str] = []
    for key, value in entry.items():
        if isinstance(value, dict):
            tables.append("\n" + _toml_table(f"{name}.{_toml_key(key)}", cast("Entry", value)))
        else:
            # JSON's texts and lists of texts are TOML's, but for DEL.
            lines.append(
                f"{_toml_key(key)} = {json.dumps(value, ensure_ascii=False)}".replace("\x7f", "\\u007f")
            )
    return "\n".join(lines) + "\n" + "".join(tables)


def _toml_key(name: str) -> str:
    return name if re.fullmatch(r"[A-Za-z0-9_-]+", name) else json.dumps(name)
