"""What a platform finds when it looks at itself: the lines of `a2a doctor` that only it can know."""

from __future__ import annotations

import os
import shutil
from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import NamedTuple

#: Bytes that should be free where the data lies: below the first the platform is about to stop.
LOW = 256 << 20
ENOUGH = 2 << 30


class Check(NamedTuple):
    """A line: `state` is ok, warn or fail."""

    name: str
    state: str
    detail: str
    remedy: str = ""


class Health(NamedTuple):
    """An agent's workers: how many are ready, how many runs wait, why the last start failed, and whether
    it needs none before somebody calls."""

    agent: str
    ready: int
    waiting: int
    reason: str
    resting: bool = False


class Cage(NamedTuple):
    """What keeps agents apart: `layers` are enforced, `missing` are sentences about what is not. `tried` has
    for each attack of the self-test its name, whether it was refused, and how it went."""

    name: str
    layers: Sequence[str]
    missing: Sequence[str]
    tried: Sequence[tuple[str, bool, str]] = ()


def checks(data: Path, full: bool, uv: str, cage: Cage, agents: Iterable[Health]) -> list[Check]:
    """All checks. `full`: the last commit failed for lack of room; `uv`: its path, "" when missing."""
    found = [_disk(data, full), _uv(uv), *_sandbox(cage)]
    for health in agents:
        name = f"agent {health.agent}"
        if health.reason:
            remedy = f"See a2a logs {health.agent}"
            found.append(Check(name, "fail", f"It can't be started: {health.reason}.", remedy))
        elif not health.ready and health.resting:
            found.append(Check(name, "ok", "No process; the next call starts one."))
        elif not health.ready:
            found.append(Check(name, "warn", "No worker is ready.", f"See a2a logs {health.agent}"))
        else:
            waits = f", {health.waiting} runs wait" if health.waiting else ""
            found.append(Check(name, "ok", f"{health.ready} ready{waits}"))
    return found


def builds(why: str) -> Check:
    """Whether environments are built where agents run. `why`: why not, "" when they are."""
    if not why:
        return Check("builds", "ok", "caged, with a way to the package index alone")
    remedy = "Name an index that needs neither credentials nor a proxy, such as a mirror of your own."
    return Check("builds", "warn", f"They are not caged. {why}", remedy)


def _disk(data: Path, full: bool) -> Check:
    free = shutil.disk_usage(data).free
    words = f"{data}: {free / 1e9:.1f} GB free"
    if full or free < LOW:
        return Check("disk", "fail", words, "Free some space: no new work is taken without it.")
    if not os.access(data, os.W_OK):
        return Check("disk", "fail", f"{data} is not writable.", "Give the platform's user the folder.")
    if free < ENOUGH:
        return Check("disk", "warn", words, "Free some space before it is full.")
    return Check("disk", "ok", words)


def _uv(uv: str) -> Check:
    if uv:
        return Check("uv", "ok", uv)
    return Check("uv", "fail", "uv is not installed: no environment can be built.", "pip install uv")


def _sandbox(cage: Cage) -> list[Check]:
    """Which one, what it enforces, what it does not, and what came of trying."""
    layers = ", ".join(cage.layers)
    if cage.name == "process":
        detail = f"none: agents run as processes, with {layers or 'no limits'}, and are not isolated"
        found = [Check("sandbox", "warn", detail, "Deploy only code that you trust.")]
    else:
        found = [Check("sandbox", "ok", f"{cage.name}: {layers}")]
    through = [(name, detail) for name, refused, detail in cage.tried if not refused]
    for name, detail in through:
        found.append(
            Check(
                "sandbox test",
                "fail",
                f"This got through: {name} ({detail}).",
                "Run no code you don't trust.",
            )
        )
    if cage.tried and not through:
        names = ", ".join(name for name, _, _ in cage.tried)
        count = len(cage.tried)
        found.append(Check("sandbox test", "ok", f"{count} attacks from inside, all refused: {names}"))
    found.extend(Check("sandbox lacks", "warn", sentence) for sentence in cage.missing)
    return found
