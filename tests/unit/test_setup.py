"""scripts/setup and scripts/setup-system on machines that lack something, with stand-ins."""

from __future__ import annotations

import os
import shutil
import subprocess
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
TOOLS = ("sh", "cat", "cksum", "dirname", "rm", "head", "env")


@pytest.fixture
def machine(tmp_path: Path) -> Path:
    """A clone with its scripts, and a PATH of its own in `bin` with the plainest tools."""
    names = ("scripts/setup", "scripts/setup-system", "scripts/setup-conformance")
    for name in (*names, "pyproject.toml", "requirements/platform.lock"):
        (tmp_path / name).parent.mkdir(exist_ok=True)
        shutil.copy(ROOT / name, tmp_path / name)
    shutil.copy(ROOT / "requirements/bootstrap.lock", tmp_path / "requirements")
    (tmp_path / "bin").mkdir()
    for tool in TOOLS:
        found = shutil.which(tool)
        assert found
        (tmp_path / "bin" / tool).symlink_to(found)
    return tmp_path


def program(machine: Path, name: str, script: str) -> None:
    path = machine / "bin" / name
    path.write_text("#!/bin/sh\n" + script + "\n")
    path.chmod(0o755)


def run(machine: Path, *command: str) -> subprocess.CompletedProcess[str]:
    environ = {"PATH": str(machine / "bin"), "HOME": str(machine)}
    return subprocess.run(
        [str(machine / command[0]), *command[1:]],
        env=environ,
        capture_output=True,
        text=True,
        stdin=subprocess.DEVNULL,
        check=False,
    )


def test_no_python_is_named(machine: Path) -> None:
    done = run(machine, "scripts/setup")
    assert done.returncode == 1
    assert "Python 3.11 or newer is needed; found: nothing" in done.stderr
    assert "apt-get install python3 python3-venv" in done.stderr


def test_an_old_python_is_named_with_its_version(machine: Path) -> None:
    program(machine, "python3", "case $1 in -V) echo Python 3.9.2 ;; *) exit 1 ;; esac")
    done = run(machine, "scripts/setup")
    assert done.returncode == 1
    assert "Python 3.9.2" in done.stderr


NO_VENV = 'case "$2" in *ensurepip*) exit 1 ;; *version_info*) exit 0 ;; esac; exit 1'


def test_a_missing_venv_is_named_to_a_plain_user(machine: Path) -> None:
    program(machine, "python3", NO_VENV)
    program(machine, "id", "echo 1000")
    program(machine, "apt-get", "echo must not run; exit 1")
    done = run(machine, "scripts/setup")
    assert done.returncode == 1
    assert "run: sudo apt-get install python3-venv" in done.stderr
    assert "must not run" not in done.stderr


def test_a_missing_venv_is_installed_by_root(machine: Path) -> None:
    program(machine, "python3", NO_VENV)
    program(machine, "id", "echo 0")
    program(machine, "apt-get", f'echo "$@" >>{machine}/apt')
    done = run(machine, "scripts/setup")
    assert (machine / "apt").read_text() == "update -q\ninstall -qy python3-venv\n"
    assert done.returncode == 1  # the stand-in installed nothing
    assert "can't make virtual environments" in done.stderr


def test_a_word_it_does_not_know_is_refused(machine: Path) -> None:
    done = run(machine, "scripts/setup", "everything")
    assert (done.returncode, "platform or dev" in done.stderr) == (2, True)


def test_a_current_stamp_means_nothing_to_do(machine: Path) -> None:
    python = machine / ".venv/bin/python"
    python.parent.mkdir(parents=True)
    python.write_text("#!/bin/sh\nexit 1\n")
    python.chmod(0o755)
    names = ["requirements/platform.lock", "requirements/bootstrap.lock", "pyproject.toml", "scripts/setup"]
    sums = subprocess.run(["cksum", *names], cwd=machine, capture_output=True, text=True, check=True).stdout
    stamp = machine / ".venv/setup-platform"
    stamp.write_text(f"{os.path.realpath(machine)}\n{sums}")
    assert run(machine, "scripts/setup").returncode == 0
    with (machine / "requirements/platform.lock").open("a") as lock:
        lock.write("more==1 \\\n")
    assert run(machine, "scripts/setup").returncode == 1  # it began, and found no Python


ALL = "bubblewrap util-linux strace chromium chromium-driver caddy"


def test_what_jails_need_is_asked_for_and_not_insisted_on(machine: Path) -> None:
    program(machine, "id", "echo 1000")
    program(machine, "uname", "echo Linux")
    done = run(machine, "scripts/setup-system", "platform")
    assert (done.returncode, "sudo apt-get install bubblewrap util-linux" in done.stderr) == (0, True)
    assert "chromium" not in done.stderr


def test_a_missing_tool_of_the_tests_is_named_or_installed(machine: Path) -> None:
    program(machine, "id", "echo 1000")
    done = run(machine, "scripts/setup-system")
    assert done.returncode == 1
    assert f"sudo apt-get install {ALL}" in done.stderr
    program(machine, "id", "echo 0")
    program(machine, "apt-get", f'echo "$@" >>{machine}/apt')
    assert run(machine, "scripts/setup-system").returncode == 0
    assert (machine / "apt").read_text() == f"update -q\ninstall -qy {ALL}\n"
    for tool in ("bwrap", "setpriv", "prlimit", "strace", "chromium", "chromedriver", "caddy"):
        program(machine, tool, "")
    program(machine, "apt-get", "exit 1")
    assert run(machine, "scripts/setup-system").returncode == 0


def test_the_suites_need_the_environment_first(machine: Path) -> None:
    done = run(machine, "scripts/setup-conformance")
    assert (done.returncode, "Run: make setup-dev" in done.stderr) == (1, True)


def test_suites_that_are_made_are_left_alone(machine: Path) -> None:
    program(machine, "mkdir", 'exec /bin/mkdir "$@"')
    (machine / ".venv/bin").mkdir(parents=True)
    for name, said in (("uv", "exit 1"), ("python", "echo Python 3.12.0")):
        (machine / ".venv/bin" / name).write_text(f"#!/bin/sh\n{said}\n")
        (machine / ".venv/bin" / name).chmod(0o755)
    locks = "requirements/conformance"
    parts = {
        "a2a-0.3": [f"{locks}/a2a-0.3.lock"],
        "mcp": [f"{locks}/mcp.lock"],
        "go": [f"{locks}/go.lock"],
        "scitt": [f"{locks}/scitt.lock"],
        "tlog-check": ["tests/conformance/programs/tlog_check.go", f"{locks}/go.lock"],
        "generator": ["src/a2a_cloud/callers/cli/client.py"],
        "node": [f"{locks}/package.json", f"{locks}/package-lock.json"],
    }
    for part, names in parts.items():
        for name in names:
            (machine / name).parent.mkdir(parents=True, exist_ok=True)
            (machine / name).write_text(name)
        made = machine / ".conformance" / part / "made"
        made.parent.mkdir(parents=True)
        files = [*names, "scripts/setup-conformance"]
        sums = subprocess.run(
            ["cksum", *files], cwd=machine, capture_output=True, text=True, check=True
        ).stdout
        made.write_text(f"{os.path.realpath(machine)}\nPython 3.12.0\n{sums}")
    assert run(machine, "scripts/setup-conformance").returncode == 0
    (machine / locks / "mcp.lock").write_text("another")
    done = run(machine, "scripts/setup-conformance")
    assert done.returncode == 1  # it began, and uv is a stand-in
    assert "making .conformance/mcp" in done.stderr
