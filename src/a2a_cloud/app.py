"""The platform as a process: the one place that chooses implementations and ties the planes.

`python -m a2a_cloud.app [FOLDER…]` serves the agents in the folders and those that it served
before; settings come from the environment (settings.py). SIGINT and SIGTERM drain: no new work,
running calls get 10 s, then it exits with 0.
"""

from __future__ import annotations

import asyncio
import fcntl
import gc
import hashlib
import json
import logging
import mimetypes
import os
import platform
import shlex
import signal
import sys
from collections.abc import Sequence
from importlib import metadata
from pathlib import Path

import uvloop

import a2a_cloud
from a2a_cloud.client.profile import NotConfigured, write_local_profile
from a2a_cloud.control.identity.keys import Identity
from a2a_cloud.control.identity.signing import SigningKeys
from a2a_cloud.control.registry.registry import Registry
from a2a_cloud.model.ports import Clock, Entropy, Ids
from a2a_cloud.model.principal import DEFAULT_ORG
from a2a_cloud.model.problem import Internal, InvalidParams, Problem, Unavailable
from a2a_cloud.model.receipt import Environment
from a2a_cloud.model.release import Release
from a2a_cloud.ops.system import SystemClock, SystemEntropy, TimeIds
from a2a_cloud.runtime.drain import drain
from a2a_cloud.runtime.notary import Notary
from a2a_cloud.runtime.process import COMMAND
from a2a_cloud.runtime.recovery import recover
from a2a_cloud.runtime.runs import Runs
from a2a_cloud.runtime.views import RunService
from a2a_cloud.settings import Settings
from a2a_cloud.storage.journal.process import ProcessJournal
from a2a_cloud.storage.journal.sqlite import Commit, SqliteJournal
from a2a_cloud.storage.objects.folder import FolderObjects
from a2a_cloud.storage.sql.sqlite import SqliteReader
from a2a_cloud.surface.front_door import FrontDoor
from a2a_cloud.surface.ports import Services
from a2a_cloud.surface.serve import Serving

log = logging.getLogger("a2a_cloud")

DRAIN_SECONDS = 10.0


class Platform:
    """All planes, tied. `start`, then `stop`; tests and simulations pass their own ports."""

    def __init__(
        self,
        settings: Settings,
        *,
        clock: Clock | None = None,
        entropy: Entropy | None = None,
        ids: Ids | None = None,
        commit: Commit | None = None,
        worker_command: Sequence[str] = COMMAND,
    ) -> None:
        self.settings = settings
        self.data = settings.data
        self.clock = clock or SystemClock()
        self.entropy = entropy or SystemEntropy()
        self.ids = ids or TimeIds(self.clock, self.entropy)
        self.ready = False
        self.url = ""
        self._commit = commit
        self._worker_command = worker_command
        self._lock = -1
        self.serving = Serving(self.clock)

    async def start(self, folders: list[Path]) -> dict[str, int]:
        """Open the data folder, recover, serve the agents, listen. Returns what recovery did.

        Raises Problems that name what is missing and its remedy.
        """
        await self._open_data()
        database = self.data / "journal.db"
        keys = SigningKeys.open(self.data / "keys", self.entropy)
        self.journal: SqliteJournal | ProcessJournal
        if self._commit is None:
            self.journal = ProcessJournal(database, keys.signer.seed, self._lock)
        else:
            self.journal = SqliteJournal(database, commit=self._commit, sign=keys.signer.sign)
        self.reader = SqliteReader(database)
        self.identity = Identity(self.reader, self.journal, self.clock, self.entropy)
        self.key_path = self.data / "admin.key"
        await self.identity.admin_key(self.key_path)
        self.objects = FolderObjects(self.data / "objects", self.ids)
        org_no = self.identity.org_no(DEFAULT_ORG)
        assert org_no is not None
        self.registry = Registry(
            self.reader, self.journal, self.clock, self.data / "releases", self.identity.org_name
        )
        self.runs = Runs(
            journal=self.journal,
            reader=self.reader,
            objects=self.objects,
            releases=self.registry,
            principals=self.identity,
            notary=Notary(keys.signer, self.reader, environment()),
            clock=self.clock,
            ids=self.ids,
            entropy=self.entropy,
            records=self.data / "workers",
            worker_command=self._worker_command,
        )
        recovered = recover(self.runs)
        self.service = RunService(self.runs)
        for folder in folders:
            await self._register(folder, org_no)
        for release in self.registry.everything():
            self.runs.pool(release).ensure()
        settings = self.settings
        services = Services(
            runs=self.service,
            identity=self.identity,
            registry=self.registry,
            objects=self.objects,
            clock=self.clock,
            ids=self.ids,
            link_key=self._link_key(),
            base_url=settings.public_url,
            allowed_hosts=settings.allowed_hosts,
            ready=lambda: self.ready and not self.runs.draining and not self.journal.full,
            jwks=lambda: json.dumps(keys.jwks()).encode(),
            gauges=self._gauges,
        )
        self.door = FrontDoor(services)
        host, port = await self.serving.start(self.door, settings.host, settings.port, settings.http)
        self.url = f"http://{f'[{host}]' if ':' in host else host}:{port}"
        services.base_url = settings.public_url or self.url
        self.ready = True
        _write_whole(self.data / "server.json", json.dumps({"url": self.url, "pid": os.getpid()}).encode())
        return recovered

    async def stop(self, seconds: float = DRAIN_SECONDS) -> None:
        """Drain and close everything."""
        self.ready = False
        (self.data / "server.json").unlink(missing_ok=True)
        await drain(self.runs, seconds)
        await self.serving.drain(1.0)
        await self.journal.close()
        self.reader.close()
        os.close(self._lock)

    async def _open_data(self) -> None:
        try:
            self.data.mkdir(parents=True, exist_ok=True, mode=0o700)
            for name in ("objects", "releases", "workers"):
                (self.data / name).mkdir(exist_ok=True, mode=0o755 if name == "releases" else 0o700)
            self._lock = os.open(self.data / "lock", os.O_CREAT | os.O_RDWR | os.O_CLOEXEC, 0o600)
        except OSError as error:
            raise Unavailable(
                f"The data folder {self.data} can't be used: {error.strerror}.",
                remedy="Set A2A_DATA to a folder that you may write to.",
            ) from error
        if not await self._locked():
            holder = os.pread(self._lock, 32, 0).decode("ascii", "replace").strip()
            raise Unavailable(
                f"Another a2a cloud (process {holder or 'unknown'}) holds the data folder {self.data}.",
                remedy="Stop it, or set A2A_DATA to another folder.",
            )
        (self.data / "server.json").unlink(missing_ok=True)  # Of a life that was cut short.
        os.ftruncate(self._lock, 0)
        os.pwrite(self._lock, str(os.getpid()).encode(), 0)

    async def _locked(self) -> bool:
        # The writer of a platform that was just killed may need a moment to end its last commit.
        for _ in range(30):
            try:
                fcntl.flock(self._lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
            except OSError:
                await asyncio.sleep(0.1)
            else:
                return True
        return False

    async def _register(self, folder: Path, org_no: int) -> Release:
        drafts: list[int] = []

        async def read_skills(draft: Release) -> tuple[bytes, bool]:
            pool = self.runs.pool(draft)
            drafts.append(draft.no)
            try:
                ready = await pool.first_ready()
            except RuntimeError as error:
                await self._drop_pools(drafts)
                await self.journal.write([])  # Its last lines are on disk after this.
                lines = self.service.agent_logs(draft.org_no, draft.agent_no)
                trace = "\n".join(f"  {line.line}" for line in lines[-12:] if line.source == "stderr")
                raise InvalidParams(
                    f"The agent in {folder} can't be loaded: {error}." + (f"\n{trace}" if trace else ""),
                    remedy=f"Mend {draft.manifest.entry} and run the command again.",
                ) from None
            return ready.skills, ready.message_handler

        try:
            release, new = await self.registry.register(folder, org_no, DEFAULT_ORG, read_skills)
        except BaseException:
            await self._drop_pools(drafts)  # What was never stored serves nobody.
            raise
        pool = self.runs.pools.get(release.no)
        if new and pool is not None:
            pool.release = release
        for other in self.runs.pools.values():
            if other.release.agent_no == release.agent_no:
                other.serving = other.release.no == release.no
        return release

    async def _drop_pools(self, numbers: list[int]) -> None:
        for number in numbers:
            pool = self.runs.pools.pop(number, None)
            if pool is not None:
                await pool.close()

    def _link_key(self) -> bytes:
        path = self.data / "keys" / "links.key"
        try:
            key = path.read_bytes()
        except FileNotFoundError:
            key = self.entropy.bytes(32)
            _write_whole(path, key)
        if len(key) != 32:
            raise Internal(f"{path} is damaged.", remedy="Delete it: signed links that are out will end.")
        return key

    def _gauges(self) -> list[tuple[str, str, float]]:
        runs, journal = self.runs, self.journal
        rows = [
            ("a2a_runs_live", "Runs that have not ended.", len(runs.live)),
            ("a2a_runs_started_total", "Runs accepted since the start.", runs.started),
            ("a2a_events_delivered_total", "Events delivered to subscribers.", runs.bus.delivered),
            ("a2a_journal_groups_total", "Group commits.", journal.groups),
            ("a2a_journal_writes_total", "Writes in group commits.", journal.writes),
            ("a2a_journal_backlog", "Writes waiting for a commit.", journal.backlog),
            ("a2a_journal_full", "1 while the disk is full.", float(journal.full)),
            ("a2a_connections", "Open connections.", self.serving.connections),
        ]
        for state, count in sorted(runs.finished.items()):
            rows.append((f"a2a_runs_{state.replace('-', '_')}_total", f"Runs that ended as {state}.", count))
        for pool in runs.pools.values():
            if pool.serving:
                name = pool.release.name.replace("-", "_")
                rows.append((f"a2a_queue_{name}", f"Runs of {name} that wait for a slot.", pool.queued))
        return rows


def environment() -> Environment:
    """Where agents' code runs: this interpreter, its packages, and no cage yet."""
    runtime = " ".join(
        (platform.python_implementation(), platform.python_version(), platform.machine(), platform.system())
    )
    packages = sorted({f"{one.metadata['Name']}=={one.version}" for one in metadata.distributions()})
    return Environment(
        deps_digest="sha256:" + hashlib.sha256("\n".join(packages).encode()).hexdigest(),
        runtime_digest="sha256:" + hashlib.sha256(runtime.encode()).hexdigest(),
        sandbox="process",
    )


def _write_whole(path: Path, body: bytes) -> None:
    aside = path.with_name(path.name + ".new")
    descriptor = os.open(aside, os.O_CREAT | os.O_TRUNC | os.O_WRONLY | os.O_CLOEXEC, 0o600)
    try:
        os.write(descriptor, body)
        os.fsync(descriptor)
    finally:
        os.close(descriptor)
    aside.replace(path)


def banner(plat: Platform, recovered: dict[str, int]) -> str:
    """What the terminal shows: where it is, and three commands to paste."""
    a2a = shlex.quote(str(Path(sys.executable).with_name("a2a")))
    lines = [
        f"a2a cloud {a2a_cloud.__version__} is up at {plat.url}",
        f"  data       {plat.data}",
        f"  admin key  {plat.key_path}",
    ]
    if any(recovered.values()):
        lines.append(
            "  recovered  " + ", ".join(f"{count} {what}" for what, count in recovered.items() if count)
        )
    releases = plat.registry.everything()
    for release in releases:
        skills = ", ".join(spec.id for spec in release.skills)
        lines.append(f"  agent      {release.name} · release {release.number} · {skills}")
    lines.append("  isolation  none yet: agents run as processes with limits, not in a cage")
    if releases:
        lines += ["", "Try, from another shell:", *_commands(plat, releases[0], a2a)]
    else:
        lines += ["", "No agent is served. Write one (see README), then: a2a up FOLDER"]
    return "\n".join(lines)


def _commands(plat: Platform, release: Release, a2a: str) -> list[str]:
    spec = release.skill(release.manifest.default_skill) or (release.skills[0] if release.skills else None)
    if spec is None:
        return []
    folder = Path(release.folder)
    sample = next(iter(sorted(folder.glob("samples/*"))), None)
    key, receipt, jwks = (
        shlex.quote(str(path))
        for path in (plat.key_path, plat.data / "receipt.json", plat.data / "jwks.json")
    )
    url = f"{plat.url}/agents/{release.name}/invoke/{spec.id}"
    if spec.files and sample is not None:
        kind = mimetypes.guess_type(sample.name)[0] or "text/markdown"
        argument = f"{spec.files[0].name}=@{shlex.quote(str(sample))}"
        body = f"-H 'Content-Type: {kind}' --data-binary @{shlex.quote(str(sample))}"
    else:
        argument = f"{spec.text_param or 'text'}=hello"
        body = f"-H 'Content-Type: application/json' -d '{{\"{spec.text_param or 'text'}\":\"hello\"}}'"
    return [
        f"  {a2a} call {release.name} {spec.id} {argument}",
        f'  curl -sS {url} -H "Authorization: Bearer $(cat {key})" {body}',
        f"  {a2a} receipt get last --out {receipt} && curl -sS {plat.url}/.well-known/jwks.json -o {jwks}"
        f" && {a2a} receipt verify {receipt} --key {jwks}",
    ]


async def serve(folders: list[Path]) -> None:
    """Run until a signal says stop."""
    plat = Platform(Settings.from_env(os.environ))
    stop = asyncio.Event()
    loop = asyncio.get_running_loop()
    for number in (signal.SIGINT, signal.SIGTERM):
        loop.add_signal_handler(number, stop.set)
    recovered = await plat.start(folders)
    try:
        write_local_profile(plat.url, plat.key_path)
    except (OSError, NotConfigured) as error:
        log.warning("The profile `local` could not be written: %s", error)
    gc.collect()
    gc.freeze()
    print(banner(plat, recovered), flush=True)
    await stop.wait()
    print("Draining: no new work, running calls get 10 s.", flush=True)
    await plat.stop()


def main() -> None:
    """The process's entry."""
    logging.basicConfig(
        level=logging.INFO, format="%(asctime)s %(levelname)s %(name)s: %(message)s", stream=sys.stderr
    )
    # Cycles are rare on the way of a call; looking for them often costs more than they do.
    gc.set_threshold(20_000, 20, 50)
    try:
        with asyncio.Runner(loop_factory=uvloop.new_event_loop) as runner:
            runner.run(serve([Path(name) for name in sys.argv[1:]]))
    except Problem as problem:
        print(f"a2a: {problem.detail}", file=sys.stderr)
        if problem.remedy:
            print(f"  {problem.remedy}", file=sys.stderr)
        sys.exit(1)


if __name__ == "__main__":
    main()
