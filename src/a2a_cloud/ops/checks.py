"""What a platform finds when it looks at itself: the lines of `a2a doctor` that only it can know."""

from __future__ import annotations

import os
import shutil
from collections.abc import Iterable
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
    """An agent's workers: how many are ready, how many runs wait, and why the last start failed."""

    agent: str
    ready: int
    waiting: int
    reason: str


def checks(data: Path, full: bool, uv: str, agents: Iterable[Health]) -> list[Check]:
    """All checks. `full`: the last commit failed for lack of room; `uv`: its path, "" when missing."""
    found = [_disk(data, full), _uv(uv), _isolation()]
    for health in agents:
        name = f"agent {health.agent}"
        if health.reason:
            remedy = f"See a2a logs {health.agent}"
            found.append(Check(name, "fail", f"It can't be started: {health.reason}.", remedy))
        elif not health.ready:
            found.append(Check(name, "warn", "No worker is ready.", f"See a2a logs {health.agent}"))
        else:
            waits = f", {health.waiting} runs wait" if health.waiting else ""
            found.append(Check(name, "ok", f"{health.ready} ready{waits}"))
    return found


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


def _isolation() -> Check:
    return Check(
        "isolation",
        "warn",
        "Not isolated: agents run as processes with limits, not in a cage.",
        "Deploy only code that you trust.",
    )
