"""Fixtures of a platform as a user starts it; what they give is in `running.py`."""

from __future__ import annotations

import signal
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from running import AGENTS, Running, start_platform

# A shell starts background jobs with SIGINT ignored, and so would every process of ours in turn: tests
# that press Ctrl-C would wait for ever.
if signal.getsignal(signal.SIGINT) is signal.SIG_IGN:
    signal.signal(signal.SIGINT, signal.default_int_handler)


@pytest.fixture
def platform(tmp_path: Path) -> Iterator[Callable[..., Running]]:
    """`platform(folders, A2A_…=…)` → Running; folders are paths, or names of tests/agents."""
    started: list[Running] = []

    def start(folders: list[str | Path], **settings: str) -> Running:
        home = tmp_path / f"platform{len(started)}"
        home.mkdir()
        paths = [AGENTS / each if isinstance(each, str) else each for each in folders]
        running = start_platform(paths, home, **settings)
        started.append(running)
        return running

    yield start
    for running in started:
        running.stop()


@pytest.fixture(scope="session")
def desk(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Running]:
    """One platform for all tests that only call it: agents desk, open and talker."""
    folders = [AGENTS / "desk", AGENTS / "open", AGENTS / "talker"]
    running = start_platform(folders, tmp_path_factory.mktemp("desk"))
    yield running
    running.stop()
