"""Fixtures of the command line against a played platform: `played` answers, `a2a(*words)` runs."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from cli_platform import Played, playing

from a2a_cloud.callers.cli import root as cli
from a2a_cloud.client import deploys

Run = Callable[..., tuple[int, str, str]]


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


def make_agent(folder: Path, name: str = "greeter", **files: str | bytes) -> Path:
    """A folder that is an agent; further files by name, with `__` for a dot."""
    folder.mkdir(parents=True, exist_ok=True)
    (folder / "a2a.toml").write_text(f'name = "{name}"\nentry = "agent"\n')
    (folder / "agent.py").write_text("print('hello')\n")
    for file, content in files.items():
        path = folder / file.replace("__", ".")
        path.write_bytes(content.encode() if isinstance(content, str) else content)
    return folder


def release(number: int = 1, **more: Any) -> dict[str, Any]:
    """A Release document as the control API gives it."""
    return {
        "agent": "greeter",
        "org": "default",
        "release": number,
        "state": "ready",
        "step": "switch",
        "serving": True,
        "digest": "sha256:" + "ab" * 32,
        "source_digest": "sha256:" + "cd" * 32,
        "version": "1.0.0",
        "major": 1,
        "created": "2026-11-21T12:00:00.000Z",
        "ended": "2026-11-21T12:00:01.500Z",
        "by": "ada@default",
        "size": 100,
        "files": 2,
        "environment": {"digest": "sha256:" + "ef" * 32, "python": "3.11.7", "packages": 2},
        "isolation": "none",
        "skills": ["greet"],
        "findings": [],
        "changes": [],
        "cause": None,
        "url": "http://127.0.0.1:8080/agents/greeter",
        "preview_url": f"http://{number}--greeter.localhost:8080",
        "docs_url": f"http://{number}--greeter.localhost:8080/docs",
        **more,
    }


def entry(no: int, step: str, message: str = "", *, at: str = "00.000", level: str = "info") -> dict[str, Any]:
    """An entry of a release's progress; `at` are seconds of the minute."""
    return {"no": no, "at": f"2026-11-21T12:00:{at}Z", "step": step, "level": level, "message": message}
