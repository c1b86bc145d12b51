"""Shell completion: the scripts, and names that come from the platform within a second or not at all."""

from __future__ import annotations

import json
import os
import socket
import subprocess
import sys
from pathlib import Path
from time import monotonic

import pytest
from cli_platform import Played
from cli_running import Run

pytest_plugins = ["cli_fixtures"]


def complete(*words: str) -> list[str]:
    """What fish would show after these words (the last one begun)."""
    environment = {
        **os.environ,
        "_A2A_COMPLETE": "fish_complete",
        "COMP_WORDS": " ".join(words),
        "COMP_CWORD": words[-1],
    }
    done = subprocess.run(
        [sys.executable, "-m", "a2a_cloud.callers.cli"],
        env=environment,
        capture_output=True,
        text=True,
        check=False,
        timeout=20,
    )
    assert done.stderr == ""
    return [line.partition(",")[2].partition("\t")[0] for line in done.stdout.splitlines() if "," in line]


@pytest.mark.parametrize("shell", ["bash", "zsh", "fish"])
def test_the_script_names_the_program_and_its_variable(
    a2a: Run, shell: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    code, out, _ = a2a("completion", shell)
    assert code == 0
    assert f"_A2A_COMPLETE={shell}_complete" in out
    monkeypatch.setenv("SHELL", f"/usr/bin/{shell}")
    assert a2a("completion")[1] == out
    assert json.loads(a2a("completion", shell, "--json")[1]) == {
        "shell": shell,
        "script": out.rstrip("\n") + "\n",
    }


def test_a_shell_that_is_not_known(a2a: Run, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("SHELL", "/bin/tcsh")
    code, _, err = a2a("completion")
    assert code == 2
    assert "a2a completion bash" in err


def test_agents_are_completed_by_name(played: Played) -> None:
    found = [
        {"name": "greeter", "org": "default", "description": "Greets."},
        {"name": "grader", "org": "acme", "description": ""},
        {"name": "gr eve\nil", "org": "default"},
        {"name": "other", "org": "default"},
    ]
    played.json("GET", "/api/v1/agents", {"agents": found})
    assert complete("a2a", "releases", "gr") == ["greeter"]
    assert complete("a2a", "delete", "") == ["greeter", "acme.grader", "other"]
    assert played.last("GET", "/api/v1/agents").headers["Authorization"] == "Bearer k-test"


def test_it_is_silent_when_nobody_answers(played: Played, monkeypatch: pytest.MonkeyPatch) -> None:
    played.json("GET", "/api/v1/agents", {"code": "unauthenticated", "detail": "No."}, 401)
    assert complete("a2a", "releases", "gr") == []
    monkeypatch.setenv("A2A_URL", "http://127.0.0.1:1")
    assert complete("a2a", "releases", "gr") == []
    monkeypatch.delenv("A2A_URL")
    assert complete("a2a", "releases", "gr") == []


def test_it_waits_a_second_at_most(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setenv("XDG_CONFIG_HOME", str(tmp_path))
    with socket.create_server(("127.0.0.1", 0)) as silent:
        monkeypatch.setenv("A2A_URL", f"http://127.0.0.1:{silent.getsockname()[1]}")
        began = monotonic()
        assert complete("a2a", "releases", "gr") == []
        assert monotonic() - began < 5  # a second, and the start of an interpreter on a busy machine


def test_commands_are_completed_without_asking(played: Played) -> None:
    assert complete("a2a", "dep") == ["deploy", "deprecate"]
    assert complete("a2a", "deploy", "--no") == ["--no-promote"]
    assert played.asked == []
