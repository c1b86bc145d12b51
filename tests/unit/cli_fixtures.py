"""Fixtures of the command line against a played platform: `played` answers, `a2a(*words)` runs."""

from __future__ import annotations

import os
from collections.abc import Iterator
from pathlib import Path

import pytest
from cli_platform import Played, playing
from cli_running import Run

from a2a_cloud.callers.cli import root as cli
from a2a_cloud.client import deploys


@pytest.fixture(scope="module")
def server() -> Iterator[Played]:
    """One server for the tests of a module."""
    with playing() as played:
        yield played


@pytest.fixture
def played(server: Played, monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Played:
    """It has no answers yet; the folder is empty; waiting between attempts is short."""
    server.asked.clear()
    server.answers.clear()
    for name in [name for name in os.environ if name.startswith("A2A_")]:
        monkeypatch.delenv(name)
    monkeypatch.setenv("XDG_CONFIG_HOME", str(tmp_path / "config"))
    monkeypatch.setenv("A2A_URL", server.url)
    monkeypatch.setenv("A2A_KEY", "k-test")
    monkeypatch.setattr(deploys, "PAUSES", (0.01,))
    here = tmp_path / "here"
    here.mkdir()
    monkeypatch.chdir(here)
    return server


@pytest.fixture
def a2a(played: Played, capfd: pytest.CaptureFixture[str]) -> Run:
    """Run a command line in this process: (exit code, stdout, stderr)."""

    def run(*words: str) -> tuple[int, str, str]:
        capfd.readouterr()
        code = cli.run(list(words))
        out, err = capfd.readouterr()
        return code, out, err

    return run
