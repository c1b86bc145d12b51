"""Builds in a cage: uv and the compiler of bytecode run where agents do, as a user of the organisation's
own, see what they need and nothing else, and reach the package index alone.

They write to two folders: that of the build, which is new each time, and the organisation's cache. No
other organisation's builds are shown either, and what is used later is a copy (takeout.py).
"""

from __future__ import annotations

import asyncio
import contextlib
import os
import shutil
import socket
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Protocol

from a2a_cloud.model.problem import BuildFailed, StartFailed
from a2a_cloud.runtime.build.failures import LINES, redacted
from a2a_cloud.runtime.build.indexes import Indexes
from a2a_cloud.runtime.build.place import discard
from a2a_cloud.runtime.build.uv import Ended, run
from a2a_cloud.runtime.egress.inject import Injection
from a2a_cloud.runtime.egress.site import EgressSite
from a2a_cloud.runtime.handed import WrongHandover, close_aside, listener_from
from a2a_cloud.runtime.sandbox.launch import tool
from a2a_cloud.runtime.sandbox.port import Caged, CageLimits, CageSpec, Sandbox, roots_of

#: What one build may use. A file is at most as large as the memory.
LIMITS = CageLimits(memory=2 << 30, pids=512, open_files=4096, tmp_bytes=256 << 20)
#: Bytes and files that a build and its cache may have on the disk together, and bytes that it leaves free.
DISK_BYTES, DISK_FILES, FREE = 12 << 30, 2 << 20, 256 << 20
#: A cache that is larger after a build is thrown away.
CACHE_BYTES = 6 << 30
#: Seconds between two looks at the disk.
LOOK = 2.0
#: Refused hosts that a failure names.
_NAMED = 5
#: Runs in the cage: hands out the listener that stands for the build, and becomes the program.
_LAUNCH = """\
import os, socket, sys
out, folder, *command = sys.argv[1:]
if int(out) >= 0:
    with socket.socket(fileno=int(out)) as handed, socket.socket() as listener:
        listener.bind(("127.0.0.1", 0))
        listener.listen(128)
        proxy = "http://127.0.0.1:%d" % listener.getsockname()[1]
        socket.send_fds(handed, [b"l"], [listener.fileno()])
    for name in ("HTTP_PROXY", "HTTPS_PROXY", "http_proxy", "https_proxy"):
        os.environ[name] = proxy
    os.environ["NO_PROXY"] = os.environ["no_proxy"] = ""
os.chdir(folder)
os.execv(command[0], command)
"""


class Served(Protocol):
    """A listener that is served."""

    async def stop(self) -> None:
        """Cut its connections and close it."""
        ...


class Ways(Protocol):
    """The egress proxy; see `egress.proxy.Egress`."""

    def serve_named(
        self, listener: socket.socket, site: EgressSite, named: frozenset[tuple[str, int]]
    ) -> Served:
        """As `serve`, where the operator named the hosts. Raises RuntimeError."""
        ...


class BuildSite:
    """See `egress.site.EgressSite`: a build may connect to `hosts`; `refused` are others that it tried,
    `failed` is what came of the last of its own that could not be reached."""

    def __init__(self, hosts: frozenset[tuple[str, int]]) -> None:
        self.hosts = hosts
        self.refused: list[str] = []
        self.failed = ""

    def allows(self, host: str, port: int) -> str:
        """See EgressSite."""
        if (host, port) in self.hosts:
            return ""
        what = f"{host}:{port}"[:260]
        if what not in self.refused and len(self.refused) < _NAMED:
            self.refused.append(what)
        return "A build may connect to the package index alone."

    def holds(self, host: str, port: int) -> str:
        """See EgressSite."""
        return self.allows(host, port)

    def secrets(self) -> tuple[Injection, ...]:
        """None: what has credentials is not built in a cage."""
        return ()

    def secret(self, name: str) -> str:
        """There is none, and nobody asks."""
        raise AssertionError(name)

    def connected(self, host: str, port: int, address: str, decision: str) -> None:
        """See EgressSite."""
        if not address and (host, port) in self.hosts:
            self.failed = decision.removeprefix("refused: ")

    def ended(self, host: str, port: int, sent: int, received: int) -> None:
        """Nobody's record."""


class Cages:
    """The cages of the builds under `root`, where the organisations' caches lie too. `python`: the
    interpreter that agents get; `kit`: the folder with the kit's wheel."""

    def __init__(self, sandbox: Sandbox, egress: Ways, root: Path, kit: Path, python: Path) -> None:
        self._sandbox = sandbox
        self._egress = egress
        self._root = root
        self._kit = kit
        self._python = python

    async def uv(
        self,
        program: Path,
        *arguments: str | Path,
        work: Path,
        org_no: int,
        indexes: Indexes,
        say: Callable[[str], None],
    ) -> Ended:
        """Run uv in the folder `work`. Raises BuildFailed when it takes too much or connects elsewhere."""
        cache = await asyncio.to_thread(self._cache, org_no)
        site = BuildSite(frozenset(indexes.hosts))
        settings = {
            "UV_CONCURRENT_DOWNLOADS": "16",
            **indexes.settings,
            "UV_CACHE_DIR": str(cache),
            "UV_LINK_MODE": "copy",  # The cache is another mount: nothing can be one file with it.
        }
        shown = (program, *indexes.shown)
        command = (str(program), *map(str, arguments))
        ended = await self._run(command, work, cache, org_no, shown, settings, site, say)
        if ended.code and site.refused:
            raise BuildFailed(
                f"The build was refused a connection to {', '.join(site.refused)}: it may reach the "
                "package index alone.",
                remedy="If the index keeps files there, the operator opens it to builds: "
                f"A2A_BUILD_HOSTS={','.join(site.refused)}",
                info={"log": "\n".join(map(redacted, ended.lines[-LINES:]))},
            )
        return Ended(ended.code, [*ended.lines, site.failed] if site.failed else ended.lines)

    async def compile(
        self, *arguments: str | Path, work: Path, org_no: int, say: Callable[[str], None]
    ) -> Ended:
        """Run the interpreter in the folder `work`, without a way out."""
        cache = await asyncio.to_thread(self._cache, org_no)
        command = (str(self._python), *map(str, arguments))
        return await self._run(command, work, cache, org_no, (), {}, None, say)

    async def tidy(self, org_no: int) -> None:
        """After a build: a cache that grew too large goes."""
        cache = self._root / "caches" / str(org_no)
        if cache.is_dir() and await _used(False, cache) > CACHE_BYTES:
            await asyncio.to_thread(discard, cache)

    def _cache(self, org_no: int) -> Path:
        cache = self._root / "caches" / str(org_no)
        cache.parent.mkdir(parents=True, exist_ok=True, mode=0o700)
        with contextlib.suppress(FileExistsError):
            cache.mkdir(mode=0o700)
        self._kit.chmod(0o755)
        return cache

    async def _run(
        self,
        command: tuple[str, ...],
        work: Path,
        cache: Path,
        org_no: int,
        shown: tuple[Path, ...],
        settings: Mapping[str, str],
        site: BuildSite | None,
        say: Callable[[str], None],
    ) -> Ended:
        ours, theirs = socket.socketpair()
        ours.setblocking(False)
        number = theirs.fileno() if site is not None else -1
        way = _Way(self._egress, site, ours)
        try:
            spec = CageSpec(
                # Of this folder: another platform's organisation of that number is another.
                agent_key=f"{self._root} builds of {org_no}",
                command=(str(self._python), "-I", "-S", "-c", _LAUNCH, str(number), str(work), *command),
                folder=self._kit,
                roots=tuple(dict.fromkeys((*roots_of(self._python), self._kit, *shown))),
                settings=settings,
                descriptors=(number,) if number >= 0 else (),
                limits=LIMITS,
                writable=(work, cache),
            )
            caged = self._wrapped(spec, cache)
            too_much = ""

            async def watch(kill: Callable[[], None]) -> None:
                nonlocal too_much
                while not too_much:
                    await asyncio.sleep(LOOK)
                    try:
                        too_much = await _too_much(work, cache)
                    except OSError as error:
                        too_much = f"can't be measured ({error.strerror or error})"
                kill()

            try:
                ended = await run(
                    caged.argv[0],
                    *caged.argv[1:],
                    cwd=Path(caged.cwd),
                    environ=caged.env,
                    say=say,
                    descriptors=caged.pass_fds,
                    beside=watch,
                    started=lambda: (caged.started(), theirs.close(), way.open()),
                    kill=caged.kill,
                )
            finally:
                caged.cleanup()
            if too_much:
                raise BuildFailed(f"The build {too_much}.", remedy="Ask for less, or for smaller packages.")
            if way.wrong:
                raise BuildFailed(
                    f"The build's program handed over {way.wrong} in the place of its way out.",
                    remedy="The operator looks at the platform's uv.",
                )
            return Ended(caged.status(ended.code), ended.lines)
        finally:
            theirs.close()
            await way.close()

    def _wrapped(self, spec: CageSpec, cache: Path) -> Caged:
        owner = cache.stat().st_uid
        try:
            caged = self._sandbox.wrap(spec)
        except StartFailed as problem:
            raise BuildFailed(
                f"The build can't be caged: {problem.detail}",
                remedy=problem.remedy,
                operator=problem.operator,
            ) from problem
        if cache.stat().st_uid != owner != os.geteuid():
            # The folder came from elsewhere: its files are another user's.
            for one in cache.iterdir():
                discard(one)
        return caged


class _Way:
    """The way out of one cage: its listener, once it comes, is served."""

    def __init__(self, egress: Ways, site: BuildSite | None, ours: socket.socket) -> None:
        self._egress = egress
        self._site = site
        self._ours: socket.socket | None = ours
        self._served: Served | None = None
        self.wrong = ""

    def open(self) -> None:
        """The cage is started."""
        if self._ours is not None and self._site is not None:
            asyncio.get_running_loop().add_reader(self._ours, self._take)

    def _take(self) -> None:
        assert self._ours is not None
        assert self._site is not None
        try:
            found = listener_from(self._ours)
        except BlockingIOError:
            return
        except WrongHandover as wrong:
            self.wrong, found = str(wrong), None
        self._drop()
        if found is not None:
            try:
                self._served = self._egress.serve_named(found, self._site, self._site.hosts)
            except RuntimeError as error:
                self.wrong = f"a listener that can't be served ({error})"
                close_aside(found.detach())

    def _drop(self) -> None:
        ours, self._ours = self._ours, None
        if ours is not None:
            asyncio.get_running_loop().remove_reader(ours)
            close_aside(ours.detach())  # More may be on its way in it.

    async def close(self) -> None:
        """The cage has ended."""
        self._drop()
        if self._served is not None:
            await self._served.stop()


async def _too_much(work: Path, cache: Path) -> str:
    """What of the disk is used up, as the rest of a sentence; "" when all is well."""
    if shutil.disk_usage(work).free < FREE:
        return "leaves no room on the disk"
    if await _used(False, work, cache) > DISK_BYTES:
        return f"takes more than {DISK_BYTES / (1 << 30):g} GiB of the disk"
    if await _used(True, work, cache) > DISK_FILES:
        return f"makes more than {DISK_FILES} files"
    return ""


async def _used(files: bool, *folders: Path) -> int:
    """Bytes or files in the folders. `du` follows no link and takes any depth."""
    what = "--inodes" if files else "--block-size=1"
    process = await asyncio.create_subprocess_exec(
        *(tool("du"), "-s", "-c", what, "--", *map(str, folders)),
        stdin=asyncio.subprocess.DEVNULL,
        stdout=asyncio.subprocess.PIPE,
        stderr=asyncio.subprocess.DEVNULL,
    )
    try:
        out, _ = await process.communicate()
    finally:
        if process.returncode is None:
            with contextlib.suppress(ProcessLookupError):
                process.kill()
            await process.wait()
    found = out.split(b"\n")[-2:-1]
    count = found[0].split()[0] if found else b""
    return int(count) if count.isdigit() else 0
