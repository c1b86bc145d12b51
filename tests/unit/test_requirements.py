"""The lock files: pinned, hashed, consistent, and silent about where packages come from."""

from __future__ import annotations

import re
import tomllib
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
LOCKS = sorted((ROOT / "requirements").glob("*.lock"))
REQUIREMENT = re.compile(r"([a-z0-9][a-z0-9-]*)(?:\[[a-z0-9,-]+\])?==([A-Za-z0-9.+!_]+)( ; [^\\]+)? \\")
HASH = re.compile(r"    --hash=sha256:[0-9a-f]{64}( \\)?")


def pins(lock: Path) -> dict[str, str]:
    found = (REQUIREMENT.fullmatch(line) for line in lock.read_text().splitlines())
    return {match[1]: match[2] for match in found if match}


def test_there_are_three() -> None:
    assert [lock.name for lock in LOCKS] == ["bootstrap.lock", "dev.lock", "platform.lock"]


@pytest.mark.parametrize("lock", LOCKS, ids=lambda lock: lock.name)
def test_a_lock_is_pins_and_hashes_and_nothing_else(lock: Path) -> None:
    """No index, no address, no path, no comment: so no registry is named and none is preferred."""
    hashed = True
    for line in lock.read_text().splitlines():
        if HASH.fullmatch(line):
            hashed = True
            continue
        assert REQUIREMENT.fullmatch(line), line
        assert hashed, f"what stands before {line!r} has no hash"
        hashed = False
    assert hashed


def test_the_locks_agree() -> None:
    bootstrap, dev, platform = (pins(lock) for lock in LOCKS)
    assert platform.items() <= dev.items()
    assert bootstrap.items() <= dev.items()


def test_what_the_project_asks_for_is_locked() -> None:
    project = tomllib.loads((ROOT / "pyproject.toml").read_text())
    platform = project["project"]["dependencies"] + project["project"]["optional-dependencies"]["platform"]
    groups = project["dependency-groups"]

    def names(requirements: list[str]) -> set[str]:
        return {re.split(r"[\[=<>~ ;]", each)[0].lower() for each in requirements}

    assert names(platform + groups["build"]) <= pins(ROOT / "requirements/platform.lock").keys()
    assert names(platform + groups["build"] + groups["dev"]) <= pins(ROOT / "requirements/dev.lock").keys()


def test_an_agent_gets_msgspec_alone() -> None:
    project = tomllib.loads((ROOT / "pyproject.toml").read_text())
    assert [each.split(">")[0] for each in project["project"]["dependencies"]] == ["msgspec"]
