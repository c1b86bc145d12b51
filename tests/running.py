"""A platform as a user starts it, for tests that speak to it over its sockets.

`platform(folders)` starts `python -m a2a_cloud.app` with a data folder of its own and a free port. The
process is the real one, so what these tests show is what a user gets.
"""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import time
from dataclasses import dataclass, field
from pathlib import Path
from urllib.parse import urlsplit

import pytest

AGENTS = Path(__file__).parent / "agents"
SOURCE = Path(__file__).parents[1] / "src"
#: Agents' environments, made once for all platforms of all tests.
ENVIRONMENTS = Path(__file__).parents[1] / ".test-environments"


@dataclass
class Running:
    """A platform that was started: where it listens, its admin key, its data folder."""

    process: subprocess.Popen[bytes]
    data: Path
    folders: list[Path]
    env: dict[str, str]
    log: Path
    url: str = ""
    grpc: str = ""
    key: str = ""
    host: str = "127.0.0.1"
    port: int = 0
    auth: dict[str, str] = field(default_factory=dict)

    def agent(self, name: str) -> str:
        """The agent's base address."""
        return f"{self.url}/agents/{name}"

    def wait_ready(self, seconds: float = 30.0) -> None:
        """Returns once it listens; fails with its log when it doesn't."""
        end = time.monotonic() + seconds
        server = self.data / "server.json"
        while True:
            if self.process.poll() is not None:
                pytest.fail(f"The platform ended with {self.process.returncode}:\n{self.log.read_text()}")
            try:
                found = json.loads(server.read_bytes())
            except (OSError, ValueError):
                found = {}
            if found.get("pid") == self.process.pid:
                break
            if time.monotonic() > end:
                pytest.fail(f"The platform was not ready in {seconds} s:\n{self.log.read_text()}")
            time.sleep(0.02)
        self.url, self.grpc = found["url"], found["grpc"]
        parts = urlsplit(self.url)
        self.host, self.port = parts.hostname or "", parts.port or 0
        self.key = (self.data / "admin.key").read_text().strip()
        self.auth = {"Authorization": f"Bearer {self.key}"}

    def kill(self) -> None:
        """`kill -9`, as a crash would."""
        self.process.kill()
        self.process.wait(10)
        (self.data / "server.json").unlink(missing_ok=True)

    def stop(self) -> int:
        """Ctrl-C; returns the exit status."""
        if self.process.poll() is None:
            self.process.send_signal(signal.SIGINT)
            try:
                self.process.wait(30)
            except subprocess.TimeoutExpired:
                self.process.kill()
                self.process.wait(10)
        return self.process.returncode

    def a2a(self, *words: str) -> subprocess.CompletedProcess[str]:
        """`a2a`, as its user types it, with the platform's own key."""
        return subprocess.run(
            [sys.executable, "-m", "a2a_cloud.callers.cli", *words],
            env={**self.env, "A2A_DATA": str(self.data)},
            capture_output=True,
            text=True,
            timeout=120,
            check=False,
        )

    def restart(self) -> None:
        """Starts it again on the same data folder."""
        self.process = _launch(self.folders, self.env, self.log)
        self.wait_ready()


def _launch(folders: list[Path], env: dict[str, str], log: Path) -> subprocess.Popen[bytes]:
    with log.open("ab") as out:
        return subprocess.Popen(
            [sys.executable, "-m", "a2a_cloud.app", *map(str, folders)],
            env=env,
            stdout=out,
            stderr=out,
            cwd=log.parent,
        )


def start_platform(folders: list[Path], home: Path, **settings: str) -> Running:
    """Starts a platform that keeps everything under `home`; `settings` are A2A_… variables."""
    data = home / "data"
    env = {name: value for name, value in os.environ.items() if not name.startswith("A2A_")}
    env |= {
        "A2A_PORT": "0",
        "A2A_ENVIRONMENTS": str(ENVIRONMENTS),
        "A2A_DATA": str(data),
        "HOME": str(home),
        "XDG_CONFIG_HOME": str(home / "config"),
        "PYTHONPATH": str(SOURCE),
        # Many tests kill workers by the pid that agents tell, or hold them at a file of this machine: a
        # pid of a jail is another process outside of it. Tests of the jail set it themselves.
        "A2A_SANDBOX": "process",
        **settings,
    }
    log = home / "platform.log"
    running = Running(_launch(folders, env, log), data, folders, env, log)
    running.wait_ready()
    return running
