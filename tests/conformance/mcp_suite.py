"""The official MCP suite (npm `@modelcontextprotocol/conformance`) run against a server; what it found."""

from __future__ import annotations

import json
import re
from dataclasses import dataclass, field
from pathlib import Path

import outside

PACKAGE = "@modelcontextprotocol/conformance"
#: The revisions of MCP for which the suite names what a server has to pass.
REVISIONS = ("2025-11-25", "2026-07-28")
_SECTION = re.compile(r"=== Running scenario: (\S+) ===")
_UNSCORED = re.compile(r"^  [✓✗] (\S+) \(([a-z-]+)\)$", re.MULTILINE)
_FOLDER = re.compile(r"server-(.+)-\d{4}-\d\d-\d\dT[\d-]+Z")


@dataclass
class Scenario:
    """One scenario: its checks that passed, and those that did not with why. `unscored` says why it doesn't
    count, "" when it does."""

    name: str
    passed: int = 0
    failed: list[str] = field(default_factory=list[str])
    unscored: str = ""


def run(url: str, revision: str, folder: Path) -> dict[str, Scenario]:
    """The scenarios of a revision, by name, run against the MCP server at `url`."""
    program = outside.modules() / "node_modules" / PACKAGE / "dist" / "index.js"
    command = [outside.node(), program, "server", "--url", url, "--requirements", revision, "-o", folder]
    done = outside.run(command, 300)
    found = {name: Scenario(name) for name in _SECTION.findall(done.stdout)}
    for path in folder.glob("*/checks.json"):
        match = _FOLDER.fullmatch(path.parent.name)
        assert match, path
        scenario = found[match[1]]
        for check in json.loads(path.read_text()):
            if check["status"] == "SUCCESS":
                scenario.passed += 1
            elif check["status"] == "FAILURE":
                scenario.failed.append(f"{check['id']}: {check.get('errorMessage', '')}".strip(": "))
    for name, why in _UNSCORED.findall(done.stdout):
        found[name].unscored = why
    assert found, f"The suite ran nothing:\n{done.stdout[-2000:]}\n{done.stderr[-2000:]}"
    return found


def version() -> str:
    """The suite's version."""
    package = outside.modules() / "node_modules" / PACKAGE / "package.json"
    return str(json.loads(package.read_text())["version"])
