"""Pools and workers as they are, with real processes: who shares one, spare ones, sleep, limits."""

from __future__ import annotations

import asyncio
import json
import os
import socket
import time
from collections.abc import Awaitable, Callable, Sequence
from pathlib import Path
from typing import Any, TypeVar

import msgspec
import pytest
import uvloop

import a2a_cloud
from a2a_cloud.model.principal import ANONYMOUS, Principal
from a2a_cloud.model.problem import Problem, SandboxRequired
from a2a_cloud.model.release import Limits, Manifest, Release, SandboxSpec
from a2a_cloud.model.run import Call
from a2a_cloud.model.task import Message, Role
from a2a_cloud.ops.system import SystemClock
from a2a_cloud.runtime import pool as pools
from a2a_cloud.runtime.live import LiveTask, Question, Run
from a2a_cloud.runtime.pool import Pool, Turns
from a2a_cloud.runtime.process import COMMAND, Worker
from a2a_cloud.runtime.sandbox.jail import Jail, lacking
from a2a_cloud.runtime.sandbox.port import Sandbox, roots_of
from a2a_cloud.runtime.sandbox.process import Process
from a2a_cloud.wire.worker import Effect, Result, Start, ToRuntime

T = TypeVar("T")

AGENT = '''
import asyncio, os, socket, subprocess, time
from a2a_cloud import Context, skill


@skill
async def pid() -> int:
    """Which process."""
    return HERE


HERE = int.from_bytes(os.urandom(6))


@skill
async def slow(seconds: float) -> int:
    """Takes its time."""
    await asyncio.sleep(seconds)
    return HERE


@skill
async def ask(ctx: Context) -> int:
    """Waits for somebody."""
    await ctx.ask("Well?", {"type": "string"})
    return HERE


@skill
def place() -> dict:
    """What it sees."""
    return {
        "cwd": os.getcwd(), "home": os.environ["HOME"], "proxy": os.environ["HTTPS_PROXY"],
        "own": os.environ.get("OWN"), "egress": "A2A_EGRESS_FD" in os.environ,
    }


@skill
def way_out() -> str:
    """What the proxy says."""
    host, _, port = os.environ["HTTPS_PROXY"].removeprefix("http://").partition(":")
    with socket.create_connection((host, int(port)), timeout=5) as line:
        return line.recv(100).decode()


@skill
def hog(size: int) -> int:
    """Takes memory, and uses it."""
    kept = []
    while sum(map(len, kept)) < size:
        kept.append(bytearray(os.urandom(1) * (1 << 20)))
    return len(kept)


@skill
def fill(size: int) -> int:
    """Fills its /tmp."""
    with open("/tmp/fill", "wb") as file:
        try:
            for _ in range(size >> 20):
                file.write(b"x" * (1 << 20))
        finally:
            os.unlink("/tmp/fill")
    return size


@skill
def open_many() -> int:
    """Opens files."""
    return len([open("/dev/null") for _ in range(1000)])


@skill
def fork_many() -> int:
    """Starts processes."""
    started = []
    try:
        for _ in range(200):
            started.append(subprocess.Popen(["/bin/sleep", "20"]))
    finally:
        for one in started:
            one.kill()
            one.wait()
    return len(started)


@skill
def again() -> None:
    """A socket's EAGAIN, which is no limit."""
    left, right = socket.socketpair()
    left.setblocking(False)
    left.recv(1)
'''


class Owner:
    """The engine's part, as far as a pool needs one."""

    def __init__(self) -> None:
        self.pool: Pool | None = None
        self.waits: dict[int, asyncio.Future[Any]] = {}
        self.asked: dict[int, Effect] = {}
        self.listeners: list[tuple[Worker, socket.socket]] = []
        self.ended: list[Worker] = []
        self.lines: list[str] = []
        self.started = 0.0

    def start_run(self, worker: Worker, run: Run) -> None:
        run.worker = worker
        worker.runs[run.no] = run
        worker.send(
            Start(run.no, run.id, run.task.id, "ctx", run.call.skill, run.call.arguments, b"{}", 30.0)
        )

    def run_frame(self, worker: Worker, frame: ToRuntime) -> None:
        run = worker.runs.get(frame.run)  # type: ignore[union-attr]
        if run is None:
            return
        if isinstance(frame, Result):
            assert self.pool is not None
            self.pool.release_run(run)
            self._end(run, frame.trouble or json.loads(frame.value))
        elif isinstance(frame, Effect):
            self.asked[run.no] = frame

    def _end(self, run: Run, how: Any) -> None:
        if not self.waits[run.no].done():
            self.waits[run.no].set_result(how)

    def run_lost(self, run: Run, why: str) -> None:
        if not run.parked:
            self._end(run, f"lost: {why}")

    def run_failed(self, run: Run, problem: Problem) -> None:
        self._end(run, problem)

    def cannot_start(self, run: Run, why: str, problem: Problem | None = None) -> None:
        self._end(run, problem or f"not started: {why}")

    def log_line(self, release: Release, run_no: int, level: str, source: str, line: str) -> bool:
        self.lines.append(line)
        return True

    def log_dropped(self, release: Release, lines: int) -> None:
        self.lines.append(f"{lines} dropped")

    def on_listener(self, worker: Worker, listener: socket.socket) -> None:
        self.listeners.append((worker, listener))

    def worker_ended(self, worker: Worker) -> None:
        self.ended.append(worker)
        for one, listener in self.listeners:
            if one is worker:
                listener.close()


class Started:
    """How the platform starts workers without an environment of their own."""

    def command(self, release: Release) -> Sequence[str]:
        return COMMAND

    def roots(self, release: Release) -> Sequence[Path]:
        return (*roots_of(Path(COMMAND[0])), Path(a2a_cloud.__file__).parents[1])

    def settings(self, release: Release) -> dict[str, str]:
        return {"OWN": "yes"}


class Site:
    """A pool and what is asked of it."""

    def __init__(
        self,
        home: Path,
        sandbox: Sandbox,
        spec: SandboxSpec,
        limits: Limits,
        idle: float,
        turns: Turns | None,
    ) -> None:
        folder = home / "agent"
        folder.mkdir(mode=0o755, exist_ok=True)
        (folder / "agent.py").write_text(AGENT)
        records = home / "data" / "workers"
        records.mkdir(parents=True, exist_ok=True)
        manifest = Manifest(name="a", entry="agent.py", limits=limits, sandbox=spec)
        self.release = Release(1, 1, 1, "default", 1, "sha256:0", str(folder), manifest, ())
        self.owner = Owner()
        self.pool = self.owner.pool = Pool(
            self.release, self.owner, SystemClock(), records, Started(), sandbox, turns, idle
        )
        self._last = 0

    def call(self, skill: str, who: Principal | int = 1, **arguments: object) -> tuple[Run, Awaitable[Any]]:
        self._last += 1
        no = self._last
        principal = who if isinstance(who, Principal) else Principal(who, 1, f"p{who}", "default")
        message = Message("m", Role.USER, [])
        call = Call(self.release, principal, skill, json.dumps(arguments).encode(), message)
        run = Run(no, f"run_{no}", LiveTask(no, f"task_{no}", 1, 1, 1, "ctx"), 1, call, None)
        self.owner.waits[no] = asyncio.get_running_loop().create_future()
        self.pool.enqueue(run)
        return run, asyncio.wait_for(self.owner.waits[no], 20)

    async def said(self, skill: str, who: Principal | int = 1, **arguments: object) -> Any:
        return await self.call(skill, who, **arguments)[1]

    async def parked(self, who: int = 1) -> Run:
        """A run that has asked, gave up its slot, and can go on by replay."""
        run, answer = self.call("ask", who)
        asyncio.ensure_future(answer).cancel()
        await until(lambda: run.no in self.owner.asked)
        run.parked, run.question = True, Question(1, "Well?", msgspec.Raw(b"{}"))
        self.pool.leave(run)
        return run

    def idle(self) -> list[Worker]:
        """Workers that have had no run and are ready for one."""
        return [one for one in self.pool.workers if one.ready and not one.served and not one.draining]


async def until(true: Callable[[], object], seconds: float = 15.0) -> None:
    end = time.monotonic() + seconds
    while not true():
        assert time.monotonic() < end, "it did not happen"
        await asyncio.sleep(0.01)


CAGES = ["process", pytest.param("jail", marks=pytest.mark.skipif(bool(lacking()), reason="no jail here"))]


@pytest.fixture(params=CAGES)
def sandbox(request: pytest.FixtureRequest, tmp_path: Path) -> Sandbox:
    return a_sandbox(request.param, tmp_path)


def a_sandbox(name: str, home: Path) -> Sandbox:
    (home / "data").mkdir(exist_ok=True)
    return Jail(home / "data") if name == "jail" else Process(home / "data")


def play(
    home: Path,
    sandbox: Sandbox,
    scene: Callable[[Site], Awaitable[T]],
    spec: SandboxSpec = SandboxSpec(),
    limits: Limits = Limits(),
    *,
    idle: float = 900.0,
    turns: Turns | None = None,
) -> T:
    """Run the scene on the platform's kind of loop, and see that nothing of the pool is left."""

    async def whole() -> T:
        site = Site(home, sandbox, spec, limits, idle, turns)
        try:
            return await scene(site)
        finally:
            await site.pool.close()
            assert not list((home / "data" / "workers").iterdir())
            for worker, listener in site.owner.listeners:
                listener.close()
                assert worker in site.owner.ended

    with asyncio.Runner(loop_factory=uvloop.new_event_loop) as runner:
        return runner.run(whole())


# --- where code runs, and the way out ---------------------------------------------------------------


def test_where_agent_code_runs(tmp_path: Path, sandbox: Sandbox) -> None:
    async def scene(site: Site) -> None:
        place = await site.said("place")
        jailed = sandbox.name == "jail"
        assert place["cwd"] == ("/app" if jailed else str(tmp_path / "agent"))
        assert place["home"] == ("/tmp" if jailed else "/nonexistent")
        assert (place["own"], place["egress"]) == ("yes", False)
        if jailed:
            assert place["proxy"] == "http://127.0.0.1:3128"

    play(tmp_path, sandbox, scene)


def test_the_listener_leads_out_of_the_cage(tmp_path: Path, sandbox: Sandbox) -> None:
    async def scene(site: Site) -> None:
        await site.said("pid")
        ((worker, listener),) = site.owner.listeners
        assert worker is site.pool.workers[0]
        assert not os.get_inheritable(listener.fileno())
        _, answer = site.call("way_out")
        line, _ = await asyncio.get_running_loop().sock_accept(listener)
        with line:
            line.send(b"this way")
        assert await answer == "this way"

    play(tmp_path, sandbox, scene)


def test_two_workers_of_a_machine_have_ports_of_their_own(tmp_path: Path, sandbox: Sandbox) -> None:
    async def scene(site: Site) -> None:
        site.pool.ensure()
        await until(lambda: len(site.owner.listeners) == 2)
        names = {listener.getsockname() for _, listener in site.owner.listeners}
        assert len(names) == (1 if sandbox.name == "jail" else 2)

    play(tmp_path, sandbox, scene, limits=Limits(workers=2))


# --- limits -----------------------------------------------------------------------------------------

SMALL = Limits(memory=96 << 20, tmp_bytes=4 << 20, open_files=64, pids=48)


@pytest.mark.parametrize(
    ("skill", "arguments", "names"),
    [
        ("hog", {"size": 1 << 30}, "memory"),
        ("fill", {"size": 64 << 20}, "tmp_bytes"),
        ("open_many", {}, "open_files"),
        ("fork_many", {}, "pids"),
    ],
)
def test_a_limit_that_was_hit_is_named(
    tmp_path: Path, sandbox: Sandbox, skill: str, arguments: dict[str, int], names: str
) -> None:
    counted = any(layer == f"cgroup {names}" for layer in sandbox.layers)
    if sandbox.name == "process" and names in ("tmp_bytes", "pids") and not counted:
        pytest.skip("a bare process has no such limit")

    async def scene(site: Site) -> None:
        said = await site.said(skill, **arguments)
        assert getattr(said, "code", said) == "limit_exceeded"
        assert f"`{names}` under [limits]" in said.detail
        assert not said.retry
        assert isinstance(await site.said("pid"), int)

    play(tmp_path, sandbox, scene, limits=SMALL)


def test_what_only_looks_like_a_limit_is_none(tmp_path: Path, sandbox: Sandbox) -> None:
    if "cgroup pids" not in sandbox.layers:
        pytest.skip("without the kernel's count an EAGAIN is taken at its word")

    async def scene(site: Site) -> None:
        said = await site.said("again")
        assert (said.code, said.detail) == ("skill_failed", "The skill raised BlockingIOError.")

    play(tmp_path, sandbox, scene)


def test_neighbours_of_a_memory_hog_are_told_of_the_limit(tmp_path: Path, sandbox: Sandbox) -> None:
    if "cgroup memory" not in sandbox.layers:
        pytest.skip("without a cgroup an allocation fails, and the worker lives")

    async def scene(site: Site) -> None:
        _, neighbour = site.call("slow", seconds=20)
        hog = await site.said("hog", size=1 << 30)
        for one in (hog, await neighbour):
            assert one.startswith("lost: the agent used more memory than it may (96 MiB)")
        assert isinstance(await site.said("pid"), int)

    play(tmp_path, sandbox, scene, limits=SMALL)


# --- who shares a worker ----------------------------------------------------------------------------

RUN = SandboxSpec(isolation="run", spares=1)
CALLER = SandboxSpec(isolation="caller", spares=1)


def test_each_run_has_a_worker_of_its_own(tmp_path: Path, sandbox: Sandbox) -> None:
    async def scene(site: Site) -> None:
        site.pool.ensure()
        seen: set[int] = set()
        for _ in range(3):
            await until(site.idle)
            before = time.perf_counter()
            seen.add(await site.said("pid"))
            site.owner.started = max(site.owner.started, time.perf_counter() - before)
        assert len(seen) == 3
        assert site.owner.started < 0.25  # It did not wait for a start. bench/ has the real numbers.
        await until(lambda: len(site.pool.workers) == 1 and site.idle())
        assert len(site.owner.ended) == 3

    play(tmp_path, sandbox, scene, RUN, Limits(workers=2))


def test_no_more_workers_are_busy_than_may_be(tmp_path: Path) -> None:
    async def scene(site: Site) -> None:
        answers = [site.call("slow", seconds=0.2)[1] for _ in range(6)]
        most = 0
        while len(site.pool.waiting) + sum(one.busy for one in site.pool.workers):
            most = max(most, sum(1 for one in site.pool.workers if one.busy))
            assert all(one.busy <= 1 for one in site.pool.workers)
            await asyncio.sleep(0.005)
        assert most == 2
        assert len(set(await asyncio.gather(*answers))) == 6

    play(tmp_path, a_sandbox("process", tmp_path), scene, RUN, Limits(workers=2))


def test_without_spares_a_run_waits_for_its_worker(tmp_path: Path) -> None:
    async def scene(site: Site) -> None:
        site.pool.ensure()
        await asyncio.sleep(0.2)
        assert not site.pool.workers
        assert site.pool.resting
        assert await site.said("pid") != await site.said("pid")

    spec = SandboxSpec(isolation="run")
    play(tmp_path, a_sandbox("process", tmp_path), scene, spec, Limits())


def test_a_parked_run_keeps_its_worker_and_lets_others_run(tmp_path: Path) -> None:
    async def scene(site: Site) -> None:
        run = await site.parked()
        holder = run.worker
        assert holder is not None
        assert isinstance(await site.said("pid"), int)
        assert run.worker is holder
        assert not holder.gone

    play(tmp_path, a_sandbox("process", tmp_path), scene, RUN, Limits(workers=1))


def test_parked_runs_do_not_keep_any_number_of_workers(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(pools, "HELD", 1)

    async def scene(site: Site) -> None:
        first, second = await site.parked(), await site.parked()
        site.pool.trim()
        await until(lambda: first.worker is None)
        assert second.worker is not None

    play(tmp_path, a_sandbox("process", tmp_path), scene, RUN, Limits(workers=1))


def test_a_caller_keeps_a_worker_that_nobody_else_gets(tmp_path: Path, sandbox: Sandbox) -> None:
    async def scene(site: Site) -> None:
        one, two = await site.said("pid", 1), await site.said("pid", 2)
        assert one != two
        assert [await site.said("pid", 1), await site.said("pid", 2)] == [one, two]
        # A third caller takes the place of the one that was idle for longer.
        three = await site.said("pid", 3)
        assert three not in (one, two)
        await until(lambda: len(site.owner.ended) == 1)
        assert await site.said("pid", 2) == two
        assert await site.said("pid", 1) not in (one, two, three)

    play(tmp_path, sandbox, scene, CALLER, Limits(workers=2))


def test_a_caller_waits_while_others_are_busy(tmp_path: Path) -> None:
    async def scene(site: Site) -> None:
        _, busy = site.call("slow", 1, seconds=0.6)
        await until(lambda: any(one.busy for one in site.pool.workers))
        before = time.monotonic()
        other = await site.said("pid", 2)
        assert time.monotonic() - before > 0.2
        assert await busy != other

    play(tmp_path, a_sandbox("process", tmp_path), scene, CALLER, Limits(workers=1))


def test_nobody_in_particular_is_not_one_caller(tmp_path: Path) -> None:
    async def scene(site: Site) -> None:
        assert await site.said("pid", ANONYMOUS) != await site.said("pid", ANONYMOUS)

    play(tmp_path, a_sandbox("process", tmp_path), scene, CALLER, Limits(workers=2))


def test_shared_workers_have_spares_too(tmp_path: Path) -> None:
    async def scene(site: Site) -> None:
        site.pool.ensure()
        await until(lambda: len(site.idle()) == 2)
        answers = [site.call("slow", who, seconds=0.1)[1] for who in range(1, 5)]
        assert sum(1 for one in site.pool.workers if one.busy) == 1
        assert len(set(await asyncio.gather(*answers))) == 1

    play(tmp_path, a_sandbox("process", tmp_path), scene, SandboxSpec(spares=1), Limits(workers=1))


def test_spares_of_several_pools_are_started_one_after_the_other(tmp_path: Path) -> None:
    turns = Turns()

    async def scene(site: Site) -> None:
        site.pool.ensure()
        most = 0
        while len(site.idle()) < 3:
            most = max(most, sum(1 for one in site.pool.workers if not one.ready))
            await asyncio.sleep(0.005)
        assert most == 1
        assert not turns.taken

    spec = SandboxSpec(isolation="run", spares=3)
    play(tmp_path, a_sandbox("process", tmp_path), scene, spec, Limits(), turns=turns)


# --- sleep ------------------------------------------------------------------------------------------


@pytest.mark.parametrize("isolation", ["shared", "run"])
def test_an_idle_agent_keeps_no_process_and_the_next_call_starts_one(tmp_path: Path, isolation: str) -> None:
    async def scene(site: Site) -> None:
        first = await site.said("pid")
        site.pool.trim()
        assert not site.pool.resting
        await asyncio.sleep(0.25)
        site.pool.trim()
        await until(lambda: not site.pool.workers)
        assert site.pool.resting
        await asyncio.sleep(0.2)
        assert not site.pool.workers
        assert await site.said("pid") != first
        assert not site.pool.asleep

    spec = SandboxSpec(isolation=isolation, spares=1 if isolation == "run" else 0)
    play(tmp_path, a_sandbox("process", tmp_path), scene, spec, Limits(), idle=0.2)


def test_the_manifest_says_when_an_agent_is_idle(tmp_path: Path) -> None:
    async def scene(site: Site) -> None:
        await site.said("pid")
        await asyncio.sleep(0.1)
        site.pool.trim()
        assert not site.pool.asleep

    play(tmp_path, a_sandbox("process", tmp_path), scene, SandboxSpec(idle=60.0), Limits(), idle=0.01)


def test_an_agent_that_works_is_not_idle(tmp_path: Path) -> None:
    async def scene(site: Site) -> None:
        _, answer = site.call("slow", seconds=0.4)
        await asyncio.sleep(0.3)
        site.pool.trim()
        assert not site.pool.asleep
        assert isinstance(await answer, int)

    play(tmp_path, a_sandbox("process", tmp_path), scene, idle=0.05)


# --- what a release requires ------------------------------------------------------------------------


def test_a_release_that_requires_a_jail_runs_nowhere_else(tmp_path: Path) -> None:
    async def scene(site: Site) -> None:
        assert isinstance(site.pool.refusal(), SandboxRequired)
        said = await site.said("pid")
        assert isinstance(said, SandboxRequired)
        assert "requires a jail" in said.detail
        assert said.remedy
        assert not site.pool.workers
        with pytest.raises(RuntimeError, match="requires a jail"):
            await site.pool.first_ready()

    play(tmp_path, a_sandbox("process", tmp_path), scene, SandboxSpec(require="jail"))


@pytest.mark.skipif(bool(lacking()), reason="no jail here")
def test_in_a_jail_it_runs(tmp_path: Path) -> None:
    async def scene(site: Site) -> None:
        assert site.pool.refusal() is None
        assert isinstance(await site.said("pid"), int)

    play(tmp_path, a_sandbox("jail", tmp_path), scene, SandboxSpec(require="jail"))
