"""The command line of deploys against a real platform: from a folder to a call, to a failure, and back."""

from __future__ import annotations

import json
import socket
import subprocess
import sys
import threading
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

from running import Running

AGENT = '''
from a2a_cloud import skill


@skill
def greet(name: str) -> str:
    """Greet somebody by name. Does not remember anybody."""
    print("greeting", name)
    return f"Hello, {name}."
'''
Start = Callable[..., Running]


def make(folder: Path) -> Path:
    folder.mkdir()
    (folder / "a2a.toml").write_text('name = "greeter"\nversion = "1.0.0"\n')
    (folder / "agent.py").write_text(AGENT)
    return folder


def change(folder: Path, old: str, new: str) -> None:
    source = (folder / "agent.py").read_text()
    assert old in source
    (folder / "agent.py").write_text(source.replace(old, new))


def begin(running: Running, folder: Path, *words: str) -> subprocess.Popen[str]:
    return subprocess.Popen(
        [sys.executable, "-m", "a2a_cloud.callers.cli", *words],
        env=running.env,
        cwd=folder,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )


def a2a(running: Running, folder: Path, *words: str, code: int = 0) -> tuple[str, str]:
    process = begin(running, folder, *words)
    out, err = process.communicate(timeout=60)
    assert process.returncode == code, (out, err)
    return out, err


def document(running: Running, folder: Path, *words: str, code: int = 0) -> Any:
    return json.loads(a2a(running, folder, *words, "--json", code=code)[0])


def free_port() -> str:
    with socket.create_server(("127.0.0.1", 0)) as server:
        return str(server.getsockname()[1])


def test_a_user_s_day(platform: Start, tmp_path: Path) -> None:
    running = platform([])
    folder = make(tmp_path / "greeter")

    out, err = a2a(running, folder, "deploy")
    assert "packed 2 files" in err
    for step in ("receive", "environment", "start", "skills", "lint", "switch"):
        assert f"\n{step} took " in err
    assert out.startswith(f"Release 1 of greeter serves at {running.url}/agents/greeter\n")
    assert "not isolated" in out
    call = out.splitlines()[-1].removeprefix("Call it: ").split()
    assert call[:4] == ["a2a", "call", "greeter", "greet"]
    assert a2a(running, folder, *call[1:])[0] == "Hello, hello.\n"

    change(folder, "Hello", "Good day")
    assert document(running, folder, "deploy")["release"] == 2
    assert "Nothing changed" in a2a(running, folder, "deploy")[0]
    assert a2a(running, folder, "call", "greeter", "greet", "name=Ada")[0] == "Good day, Ada.\n"
    found = document(running, folder, "diff", "1", "2")
    assert [each["path"] for each in found["source"]] == ["agent.py"]
    assert '+    return f"Good day, {name}."' in a2a(running, folder, "diff", "1", "2")[0]

    change(folder, "(name: str)", "(name: str, times: int)")
    _, err = a2a(running, folder, "deploy", code=1)
    assert "(code breaking_change)" in err
    assert "Release 2 keeps serving." in err
    change(folder, "from a2a_cloud", "import no_such_module\nfrom a2a_cloud")
    failed = document(running, folder, "deploy", "--force", code=1)
    assert failed["error"]["code"] == "start_failed"
    assert failed["error"]["serving"] == 2
    assert "no_such_module" in failed["error"]["detail"]
    assert "no_such_module" in a2a(running, folder, "logs")[0]
    assert "greeting Ada" in a2a(running, folder, "logs", "--release", "2")[0]
    page = document(running, folder, "releases")
    assert [each["state"] for each in page["releases"]] == ["failed", "failed", "ready", "ready"]
    assert page["serving"] == 2

    a2a(running, folder, "rollback")
    assert a2a(running, folder, "call", "greeter", "greet", "name=Ada")[0] == "Hello, Ada.\n"
    a2a(running, folder, "promote", "2", "--weight", "50")
    assert document(running, folder, "releases")["canary"] == {"release": 2, "weight": 50}
    a2a(running, folder, "promote", "2")
    a2a(running, folder, "env", "set", "MODE=fast")
    assert document(running, folder, "env")["env"][0]["value"] == "fast"
    assert a2a(running, folder, "open", "--print")[0].strip().endswith("/docs")
    a2a(running, folder, "delete", "--yes")
    a2a(running, folder, "call", "greeter", "greet", "name=Ada", code=5)
    a2a(running, folder, "restore")
    assert a2a(running, folder, "call", "greeter", "greet", "name=Ada")[0] == "Good day, Ada.\n"
    states = {each["name"]: each["state"] for each in document(running, folder, "doctor")["checks"]}
    assert states["platform"] == states["clock"] == "ok"
    assert "fail" not in states.values()


def test_following_goes_on_over_a_crash(platform: Start, tmp_path: Path) -> None:
    running = platform([], A2A_PORT=free_port())
    folder = make(tmp_path / "greeter")
    a2a(running, folder, "deploy")
    a2a(running, folder, "call", "greeter", "greet", "name=Ada")
    following = begin(running, folder, "logs", "-f", "--json")
    lines: list[str] = []
    reader = threading.Thread(target=lambda: lines.extend(iter(following.stdout.readline, "")))  # pyright: ignore
    reader.start()
    try:
        wait_for(lambda: any("greeting Ada" in line for line in lines))
        key = running.key
        running.process.kill()
        running.process.wait(10)
        running.restart()
        assert running.key == key
        a2a(running, folder, "call", "greeter", "greet", "name=Grace")
        wait_for(lambda: any("greeting Grace" in line for line in lines))
    finally:
        following.terminate()
        following.wait(10)
        reader.join(10)
        for stream in (following.stdout, following.stderr):
            assert stream is not None
            stream.close()
    numbers = [json.loads(line)["no"] for line in lines]
    assert numbers == sorted(set(numbers))


def wait_for(ready: Callable[[], bool], seconds: float = 20.0) -> None:
    end = time.monotonic() + seconds
    while not ready():
        assert time.monotonic() < end
        time.sleep(0.05)
