"""The official clients and suites that live outside of .venv: scripts/setup-conformance makes them.

`python("a2a-0.3")` and `python("mcp")` are the interpreters of environments with a2a-sdk 0.3.x, and with the
official `mcp` and `fastmcp`, `python("scitt")` of one with scitt-cose; `program("tlog-check", "tlog_check")`
is what Go built over its checksum database's code; `node()` is a node, `modules()` the folder with its
node_modules.
"""

from __future__ import annotations

import json
import os
import subprocess
from pathlib import Path
from typing import Any

import pytest

ROOT = Path(__file__).parents[2]
MADE = ROOT / ".conformance"
#: The programs that run in those environments: they import nothing of ours.
PROGRAMS = Path(__file__).parent / "programs"


def python(name: str) -> Path:
    """The interpreter of the environment `name`."""
    return _made(MADE / name / "bin" / "python")


def program(folder: str, name: str) -> Path:
    """A program that was built in a folder of its own."""
    return _made(MADE / folder / name)


def node() -> Path:
    """A node that is new enough for all that is run in it."""
    return _made(MADE / "node" / "node")


def modules() -> Path:
    """The folder with node_modules; a program there imports from it."""
    return _made(MADE / "node" / "node_modules").parent


def run(command: list[str | Path], seconds: float = 100, **more: str) -> subprocess.CompletedProcess[str]:
    """Runs a program to its end, with `more` in its environment."""
    # A program that is written in Python reads no settings of the tests' own interpreter.
    env = {name: value for name, value in os.environ.items() if not name.startswith(("PYTHON", "A2A_"))}
    return subprocess.run(
        [str(part) for part in command],
        env=env | more,
        capture_output=True,
        text=True,
        timeout=seconds,
        stdin=subprocess.DEVNULL,
        check=False,
    )


def lines(command: list[str | Path], seconds: float = 100, **more: str) -> list[dict[str, Any]]:
    """What a program printed, a JSON object a line; fails with what it said when it failed."""
    done = run(command, seconds, **more)
    if done.returncode:
        pytest.fail(
            f"{command[0]} ended with {done.returncode}:\n{done.stdout[-4000:]}\n{done.stderr[-4000:]}"
        )
    return [json.loads(line) for line in done.stdout.splitlines()]


def _made(path: Path) -> Path:
    if not path.exists():
        pytest.fail(f"{path.relative_to(ROOT)} is missing. Run: make setup-dev && scripts/setup-conformance")
    return path
