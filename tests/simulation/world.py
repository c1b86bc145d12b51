"""A platform that can be made to fail: in a process of its own, with a commit port and a clock that the
test turns from outside while it runs.

`World` is one data folder and the lives of the platform on it. Each life is forked from a server that
has everything imported, so a life costs little more than its agents. A life dies by a real SIGKILL, on
either side of a chosen COMMIT or whenever the test says so.
"""

from __future__ import annotations

import asyncio
import contextlib
import json
import mmap
import multiprocessing
import os
import signal
import struct
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

from a2a_cloud.app import Platform
from a2a_cloud.ops.system import SystemClock
from a2a_cloud.settings import Settings
from a2a_cloud.settings.billing import Billing
from a2a_cloud.testing.commits import Commits, Fault

AGENTS = Path(__file__).parents[1] / "agents"
#: Agents' environments, made once for all platforms of all tests.
ENVIRONMENTS = Path(__file__).parents[2] / ".test-environments"
#: "Within 5 s of restart": what the house promises about runs that a crash caught.
PROMISED = 5.0
FAULTS = [None, *Fault]

_forks = multiprocessing.get_context("forkserver")
_forks.set_forkserver_preload(["world"])


class Control:
    """A page that test and platform share: which commit meets which fault, and the clock's offset."""

    _COUNTDOWN, _FAULT, _TIMES, _COUNT, _OFFSET = range(0, 40, 8)

    def __init__(self, path: Path) -> None:
        if not path.exists():
            path.write_bytes(bytes(4096))
        with path.open("r+b") as file:
            self._page = mmap.mmap(file.fileno(), 4096)

    def close(self) -> None:
        self._page.close()

    def arm(self, fault: Fault, at: int = 1, times: int = 1) -> None:
        """The `at`-th commit from now on (and the `times` - 1 after it) meets `fault`."""
        self._put(self._FAULT, FAULTS.index(fault))
        self._put(self._TIMES, times)
        self._put(self._COUNTDOWN, at)

    def disarm(self) -> None:
        self._put(self._COUNTDOWN, 0)
        self._put(self._TIMES, 0)

    @property
    def hit(self) -> bool:
        """The fault that was armed has happened."""
        return self._get(self._COUNTDOWN) <= 0

    @property
    def commits(self) -> int:
        return self._get(self._COUNT)

    def turn(self, seconds: float) -> None:
        """Set the wall clock that far off."""
        struct.pack_into("<d", self._page, self._OFFSET, seconds)

    @property
    def offset(self) -> float:
        return struct.unpack_from("<d", self._page, self._OFFSET)[0]

    def plan(self, _: int) -> Fault | None:
        """What the commit meets that begins now. Called by the platform."""
        self._put(self._COUNT, self._get(self._COUNT) + 1)
        countdown, times = self._get(self._COUNTDOWN), self._get(self._TIMES)
        if countdown > 1:
            self._put(self._COUNTDOWN, countdown - 1)
        elif countdown == 1 or times > 0:
            if countdown == 1:
                self._put(self._COUNTDOWN, 0)
            if times > 0:
                self._put(self._TIMES, times - 1)
                return FAULTS[self._get(self._FAULT)]
        return None

    def _get(self, at: int) -> int:
        return struct.unpack_from("<q", self._page, at)[0]

    def _put(self, at: int, value: int) -> None:
        struct.pack_into("<q", self._page, at, value)


class TurnedClock(SystemClock):
    """The machine's clocks, the wall clock as far off as the control page says."""

    def __init__(self, control: Control) -> None:
        self._control = control

    def now(self) -> float:  # type: ignore[override]
        return time.time() + self._control.offset


def live(
    data: str,
    control_path: str,
    log: str,
    folders: list[str],
    hold: float,
    drain: float,
    currencies: tuple[tuple[str, int], ...],
) -> None:
    """One life: as `python -m a2a_cloud.app` with ports of ours."""
    import uvloop

    from a2a_cloud.runtime import frames
    from a2a_cloud.storage.journal import group

    frames.HOLD_SECONDS = hold
    group.RETRY_SECONDS = 0.1
    output = os.open(log, os.O_CREAT | os.O_APPEND | os.O_WRONLY)
    os.dup2(output, 1)
    os.dup2(output, 2)
    control = Control(Path(control_path))

    async def serve() -> None:
        plat = Platform(
            Settings(
                port=0,
                data=Path(data),
                environments=ENVIRONMENTS,
                sandbox="process",
                billing=Billing(currencies=currencies),
            ),
            clock=TurnedClock(control),
            commit=Commits(control.plan),
        )
        stop = asyncio.Event()
        asyncio.get_running_loop().add_signal_handler(signal.SIGINT, stop.set)
        await plat.start([Path(folder) for folder in folders])
        await stop.wait()
        await plat.stop(drain)

    with asyncio.Runner(loop_factory=uvloop.new_event_loop) as runner:
        runner.run(serve())


class Real:
    """`python -m a2a_cloud.app` as a user starts it; looks like a multiprocessing Process."""

    def __init__(self, world: World, *before: str) -> None:
        environment = {name: value for name, value in os.environ.items() if not name.startswith("A2A_")}
        environment |= {
            "A2A_PORT": "0",
            "A2A_ENVIRONMENTS": str(ENVIRONMENTS),
            "A2A_SANDBOX": "process",  # Gates and marks are files of this machine.
            "A2A_DATA": str(world.data),
            "HOME": str(world.home),
            "XDG_CONFIG_HOME": str(world.home / "config"),
            "PYTHONPATH": str(Path(__file__).parents[2] / "src"),
        }
        command = [*before, sys.executable, "-m", "a2a_cloud.app", *world.folders]
        with world.log.open("ab") as log:
            self._process = subprocess.Popen(command, env=environment, stdout=log, stderr=log, cwd=world.home)
        self.pid = self._process.pid

    def is_alive(self) -> bool:
        return self._process.poll() is None

    def kill(self) -> None:
        self._process.kill()

    def join(self, seconds: float) -> None:
        with contextlib.suppress(subprocess.TimeoutExpired):
            self._process.wait(seconds)

    @property
    def exitcode(self) -> int | None:
        return self._process.poll()


class World:
    """A data folder, and the platform's lives on it. `real`: as a user starts it, without our ports;
    `before` is then a command that it runs under. `hold`: how long a replay may stand still; `drain`: how
    long running calls have when it is stopped; `currencies`: A2A_CURRENCIES."""

    def __init__(
        self,
        home: Path,
        folders: tuple[Path, ...] = (AGENTS / "crash",),
        *,
        hold: float = 0.5,
        real: bool = False,
        before: tuple[str, ...] = (),
    ) -> None:
        self.home = home
        self.real, self.before = real, before
        self.data = home / "data"
        self.log = home / "platform.log"
        self.control = Control(home / "control")
        self.process: Any = None
        self.folders = [str(folder) for folder in folders]
        self.hold = hold
        self.drain = 10.0
        self.currencies: tuple[tuple[str, int], ...] = ()
        self.host, self.port, self.key = "127.0.0.1", 0, ""

    def start(self, *, expect: bool = True) -> bool:
        """Begin a life; False when it died before it was ready (`expect`: that fails the test)."""
        (self.data / "server.json").unlink(missing_ok=True)
        if self.real:
            self.process = Real(self, *self.before)
        else:
            paths = str(self.data), str(self.home / "control"), str(self.log)
            self.process = _forks.Process(
                target=live,
                args=(*paths, self.folders, self.hold, self.drain, self.currencies),
                daemon=True,
            )
            self.process.start()
        server = self.data / "server.json"
        self.until(lambda: not self.process.is_alive() or server.exists(), 30, "it was ready")
        if not server.exists():
            assert not expect, self.log.read_text()
            return False
        self.port = urlsplit(json.loads(server.read_bytes())["url"]).port or 0
        self.key = (self.data / "admin.key").read_text().strip()
        return True

    @property
    def dead(self) -> bool:
        return self.process is None or not self.process.is_alive()

    def wait_dead(self, seconds: float = 20) -> int:
        """Its exit code, once it is dead."""
        self.process.join(seconds)
        assert self.process.exitcode is not None, self.log.read_text()
        return self.process.exitcode

    def kill(self) -> None:
        """`kill -9`."""
        if not self.dead:
            self.process.kill()
        self.wait_dead()

    def restart(self) -> None:
        """Die if it has not yet, and live again."""
        self.kill()
        self.control.disarm()
        self.start()

    def stop(self) -> int:
        """Ctrl-C; its exit code."""
        os.kill(self.process.pid, signal.SIGINT)
        return self.wait_dead(30)

    def close(self) -> None:
        if self.process is not None:
            self.kill()
        self.control.close()

    @property
    def workers(self) -> list[int]:
        """Process ids of the workers on record."""
        return [int(path.name) for path in (self.data / "workers").iterdir() if path.name.isdigit()]

    def kill_worker(self) -> None:
        """`kill -9` of all workers, once there are some."""
        self.until(lambda: self.workers, 10, "there is a worker")
        killed = set(self.workers)
        for pid in killed:
            os.kill(pid, signal.SIGKILL)
        self.until(lambda: not killed & set(self.workers), 10, "the worker's end was seen")

    def until(self, true: Callable[[], Any], seconds: float, what: str) -> None:
        """Wait for something that nothing tells of."""
        end = time.monotonic() + seconds
        while not true():
            if time.monotonic() > end:
                log = self.log.read_text()[-4000:] if self.log.exists() else ""
                raise AssertionError(f"Not within {seconds} s: {what}.\n{log}")
            time.sleep(0.005)
