"""Environments of agents, made by uv: a virtual environment with the kit, and what the agent asks for.

An environment's digest is over its lock, the interpreter and the kit; the same digest is built once
and used by every release that needs it. Nothing of an agent or of its packages is run to build one:
wheels alone, checked by their hashes, and their bytecode is made by a Python that does not look into
the environment. In a jail an organisation has environments of its own: its builds share a cache, and
what a broken one put there must reach nobody else.
"""

from __future__ import annotations

import asyncio
import contextlib
import errno
import hashlib
import os
import sys
from collections.abc import AsyncGenerator, Callable, Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import ParamSpec, TypeVar
from urllib.parse import quote

import msgspec

from a2a_cloud.model.problem import BuildFailed
from a2a_cloud.runtime.build.cage import Cages, Ways
from a2a_cloud.runtime.build.environment import (
    BuiltEnvironment,
    EnvironmentRecord,
    Interpreter,
    Package,
    installed,
)
from a2a_cloud.runtime.build.failures import explain
from a2a_cloud.runtime.build.indexes import Indexes, read_indexes
from a2a_cloud.runtime.build.inputs import Inputs, read_inputs
from a2a_cloud.runtime.build.kit import NAME as KIT
from a2a_cloud.runtime.build.kit import REQUIRES, kit_wheel
from a2a_cloud.runtime.build.lock import Pin, parse_lock, pinned, preferences, read_pylock, render_lock
from a2a_cloud.runtime.build.place import Place
from a2a_cloud.runtime.build.requirements import name_of, parse_requirements
from a2a_cloud.runtime.build.takeout import read_text, take_out
from a2a_cloud.runtime.build.uv import Uv, run
from a2a_cloud.runtime.build.versions import fits
from a2a_cloud.runtime.sandbox.port import Sandbox

P = ParamSpec("P")
T = TypeVar("T")
Say = Callable[[str], None]

#: Environments that are built at once.
AT_ONCE = 2
_DESCRIBE = (
    "import platform, sys, sysconfig as s; print(platform.python_implementation().lower(), "
    "platform.python_version(), s.get_platform(), s.get_config_var('SOABI'), sep='\\n', file=sys.stderr)"
)
_KIT_NEEDS, _KIT_RANGE = name_of(REQUIRES), REQUIRES[len(name_of(REQUIRES)) :]


@dataclass(frozen=True, slots=True)
class _Job:
    """One `prepare`: `indexes` is what its cage gets, None outside of one; `why` it is outside is said once,
    if anything is built at all."""

    interpreter: Interpreter
    wheel: Path
    kit: Package
    say: Say
    org_no: int
    indexes: Indexes | None
    why: list[str]

    @property
    def realm(self) -> tuple[bytes, ...]:
        """Who shares what is made: all, or the organisation."""
        return (b"organisation %d" % self.org_no,) if self.indexes is not None else ()


class Environments:
    """The environments under the folder `root`.

    `uv`: the program, None for the one of the installed `uv` package; `python`: the interpreter that
    agents get, None for the platform's own; `timeout`: seconds that one `prepare` may take;
    `environ`: the platform's environment variables, of which uv sees those about indexes, proxies,
    certificates and its cache. With a `sandbox` that is a jail, and `egress`, builds are caged, and may
    connect to the indexes that the operator's configuration names, and to `hosts` (name, port).
    """

    def __init__(
        self,
        root: Path,
        *,
        uv: Path | None = None,
        python: Path | None = None,
        timeout: float = 600.0,
        environ: Mapping[str, str] | None = None,
        sandbox: Sandbox | None = None,
        egress: Ways | None = None,
        hosts: Iterable[tuple[str, int]] = (),
    ) -> None:
        self._place = Place(root.absolute())
        environ = os.environ if environ is None else environ
        self._uv = Uv(uv, environ, self._place.root / "cache")
        self._python = python or Path(sys.executable)
        self._timeout = timeout
        self._bare = {name: environ[name] for name in ("PATH", "LANG", "LC_ALL") if name in environ}
        self._interpreter: Interpreter | None = None
        self._kit: tuple[Path, Package] | None = None
        self._turns: dict[str, tuple[asyncio.Lock, int]] = {}
        self._builds = asyncio.Semaphore(AT_ONCE)
        self._cleaned = False
        self._hosts = frozenset(hosts)
        self._cages: Cages | None = None
        if sandbox is not None and sandbox.name == "jail" and egress is not None:
            # The interpreter itself: what is installed beside the platform is not shown.
            self._python = self._python.resolve()
            self._cages = Cages(sandbox, egress, self._place.root, self._place.kit, self._python)

    async def prepare(
        self,
        source: Path,
        say: Say,
        *,
        org_no: int = 0,
        upgrade: bool = False,
        known_lock: bytes | None = None,
    ) -> BuiltEnvironment:
        """The environment for an agent's folder, built if there is none yet. `org_no`: whose agent it is.

        `say` gets a sentence per step. What the same dependencies resolved to before holds until
        `upgrade`; `known_lock` (the last release's) says which versions to keep where new
        dependencies allow it. Raises BuildFailed; its `info["log"]` holds uv's last lines.
        """
        try:
            async with asyncio.timeout(self._timeout):
                return await self._prepare(source, say, org_no, upgrade, known_lock)
        except TimeoutError:
            raise BuildFailed(
                f"The environment was not ready after {self._timeout:.0f} s.",
                remedy="Deploy again: what was downloaded is kept. If it goes on, ask for less, or for "
                "smaller packages.",
            ) from None
        except OSError as error:
            if error.errno in (errno.ENOSPC, errno.EDQUOT):
                raise BuildFailed(
                    "The disk filled up while the environment was made.",
                    remedy="Free some space, and deploy again.",
                ) from error
            raise BuildFailed(
                f"The environment can't be stored: {error.strerror or error}.",
                remedy="The operator finds the path in the platform's log.",
                operator=str(error),
            ) from error

    def find(self, digest: str) -> BuiltEnvironment | None:
        """The environment with this digest, None when there is no whole one."""
        return self._place.find(digest)

    async def remove(self, digest: str) -> None:
        """Remove an environment, if it is there; no worker may run in it. Raises OSError."""
        async with self._turn(digest):
            await _to_its_end(self._place.remove, digest)

    # --- the steps --------------------------------------------------------------------------------

    async def uncaged(self) -> str | None:
        """Why builds are not caged though agents are, as a sentence; "" when they are; None when nobody
        is."""
        if self._cages is None:
            return None
        return (await asyncio.to_thread(read_indexes, self._uv.environ, self._hosts)).why

    async def _prepare(
        self, source: Path, say: Say, org_no: int, upgrade: bool, known_lock: bytes | None
    ) -> BuiltEnvironment:
        if not self._cleaned:
            self._cleaned = True
            await asyncio.to_thread(self._place.clean)
        interpreter = await self._describe()
        inputs = await asyncio.to_thread(read_inputs, source, interpreter.version)
        for note in inputs.notes:
            say(note)
        wheel, kit = await self._made_kit()
        indexes: Indexes | None = None
        if self._cages is not None:
            indexes = await asyncio.to_thread(read_indexes, self._uv.environ, self._hosts)
        why = [indexes.why] if indexes is not None and indexes.why else []
        job = _Job(interpreter, wheel, kit, say, org_no, None if why else indexes, why)
        pins = await self._resolve(inputs, job, upgrade, _known(known_lock, say))
        lock = render_lock(pins)
        facts = msgspec.json.encode(interpreter), kit.hashes[0].encode()
        digest = _digest("environment", lock, *facts, *job.realm)
        async with self._turn(digest):
            found = await asyncio.to_thread(self._place.find, digest)
            if found is not None:
                say(f"The environment is there already: {_count(found.packages)}.")
                return found
            async with self._builds:
                return await self._build(digest, pins, lock, job)

    async def _resolve(
        self, inputs: Inputs, job: _Job, upgrade: bool, known: tuple[Pin, ...]
    ) -> tuple[Pin, ...]:
        """The pins of everything but the kit, with what the kit needs among them."""
        say = job.say
        if inputs.pins is not None:
            say(f"{inputs.source} fixes {_count(inputs.pins)} by hash.")
            pins = inputs.pins
        else:
            key = _key(inputs, job)
            async with self._turn(key):
                stored = None if upgrade else await asyncio.to_thread(self._place.lock_of, key)
                if stored is not None:
                    pins = parse_lock(stored.decode(), "the stored lock")
                    say(f"Dependencies are as before: {_count(pins)} ({inputs.source or 'the kit alone'}).")
                elif inputs.uv_lock:
                    pins = await self._export(inputs, job)
                    await _to_its_end(self._place.keep_lock, key, render_lock(pins))
                else:
                    pins = await self._compile(inputs, job, () if upgrade else known)
                    await _to_its_end(self._place.keep_lock, key, render_lock(pins))
        needed = [pin for pin in pins if pin.name == _KIT_NEEDS]
        if not needed:
            # An agent with fixed dependencies need not know what the kit needs.
            alone = await self._resolve(Inputs(""), job, upgrade, known)
            return (*pins, *alone)
        for pin in needed:
            if not fits(pin.version, _KIT_RANGE):
                raise BuildFailed(
                    f"{inputs.source} fixes {pin.name}=={pin.version}, and the kit needs {REQUIRES}.",
                    remedy=f"Fix {_KIT_NEEDS} to a version that fits, or leave it out: the kit brings it.",
                )
        return pins

    async def _compile(self, inputs: Inputs, job: _Job, known: tuple[Pin, ...]) -> tuple[Pin, ...]:
        job.say(f"Resolving the dependencies in {inputs.source or 'the kit'}.")
        async with self._workplace() as work:
            (work / "requirements.txt").write_text("".join(f"{one}\n" for one in inputs.requirements))
            constraints: tuple[str, ...] = ()
            if inputs.constraints:
                (work / "constraints.txt").write_text("".join(f"{one}\n" for one in inputs.constraints))
                constraints = ("--constraints", "constraints.txt")
            # The kit is named by its file: no package of that name on an index takes its place.
            (work / "kit.txt").write_text(f"{KIT} @ {_address(job.wheel)}\n")
            if known:
                (work / "pylock.toml").write_text(preferences(known))
            self._hand_in(job, work)
            await self._run(
                "resolving the dependencies",
                job,
                work,
                *("pip", "compile", "--format", "pylock.toml", "--output-file", "pylock.toml"),
                *("--only-binary", ":all:", "--no-emit-package", KIT, "--no-header", "--no-annotate"),
                *("--python", self._python, *constraints),
                *(("requirements.txt",) if inputs.requirements else ()),
                "kit.txt",
            )
            return await asyncio.to_thread(_pins_in, work / "pylock.toml")

    async def _export(self, inputs: Inputs, job: _Job) -> tuple[Pin, ...]:
        job.say("Reading uv.lock.")
        async with self._workplace() as work:
            (work / "uv.lock").write_bytes(inputs.uv_lock)
            # uv wants a project beside a lock; of the agent's own file it needs the name alone.
            (work / "pyproject.toml").write_text(f'[project]\nname = "{inputs.project}"\nversion = "0"\n')
            self._hand_in(job, work)
            await self._run(
                "reading uv.lock",
                job,
                work,
                *("export", "--frozen", "--no-default-groups", "--no-emit-project", "--no-emit-package", KIT),
                *("--no-header", "--no-annotate", "--format", "requirements-txt"),
                *("--python", self._python, "--output-file", "requirements.txt"),
            )
            text = await asyncio.to_thread(read_text, work / "requirements.txt")
            found = parse_requirements(text, "uv.lock")
        pins = [pinned(one) for one in found]
        if None not in pins:
            return tuple(pin for pin in pins if pin is not None)
        # An index that gives no hashes leaves them out of the lock: they are taken from the files.
        job.say("uv.lock has packages without a hash: they are looked up.")
        return await self._compile(Inputs("uv.lock", tuple(one.text for one in found)), job, ())

    async def _build(self, digest: str, pins: tuple[Pin, ...], lock: bytes, job: _Job) -> BuiltEnvironment:
        say, kit = job.say, job.kit
        say(f"Building the environment: {_count(pins)} and the kit, on Python {job.interpreter.version}.")
        async with self._workplace() as work:
            made = work / "environment"
            (work / "requirements.txt").write_bytes(lock)
            (work / "kit.txt").write_text(f"{KIT} @ {_address(job.wheel)} --hash={kit.hashes[0]}\n")
            self._hand_in(job, work)
            # Relocatable, because it is renamed when it is whole.
            await self._run(
                "making the environment",
                job,
                work,
                *("venv", "--relocatable", "--no-project", "--python", self._python, made),
            )
            await self._run(
                "installing the packages",
                job,
                work,
                *("pip", "install", "--python", made / "bin" / "python", "--require-hashes", "--no-deps"),
                *("--only-binary", ":all:", "-r", "requirements.txt", "-r", "kit.txt"),
            )
            say("Compiling bytecode.")
            # -S and the base interpreter: no .pth file of a package is run. That some files of
            # packages compile in no Python of today is usual, so its exit code says nothing.
            words = ("-I", "-S", "-X", "utf8", "-m", "compileall", "-q", "-j", "0", made / "lib")
            if self._cages is not None and job.indexes is not None:
                await self._cages.compile(*words, work=work, org_no=job.org_no, say=say)
                async with self._workplace() as kept:
                    whole = kept / "environment"
                    await _to_its_end(take_out, made, whole, self._python)
                    built = await _to_its_end(self._finish, whole, digest, pins, lock, job)
                await self._cages.tidy(job.org_no)
            else:
                await run(str(self._python), *words, cwd=work, environ=self._bare, say=say)
                built = await _to_its_end(self._finish, made, digest, pins, lock, job)
            say(f"The environment is built: {_count(built.packages)} and the kit.")
            return built

    def _finish(
        self, made: Path, digest: str, pins: tuple[Pin, ...], lock: bytes, job: _Job
    ) -> BuiltEnvironment:
        try:
            site = next((made / "lib").glob("python*/site-packages"))
            packages, kit = installed(site, pins, job.kit)
            uv = _built_by(made)
        except (ArithmeticError, AttributeError, LookupError, StopIteration, TypeError, ValueError) as error:
            raise BuildFailed(
                "What was built is no environment: what it says of its packages can't be read.",
                remedy="Deploy again; if it goes on, look at the packages that are asked for.",
                operator=repr(error),
            ) from error
        record = EnvironmentRecord(
            digest=digest,
            lock_digest=f"sha256:{hashlib.sha256(lock).hexdigest()}",
            packages=packages,
            kit=kit,
            interpreter=job.interpreter,
            uv=uv,
        )
        return self._place.keep(made, record, lock)

    # --- what the steps use -----------------------------------------------------------------------

    @contextlib.asynccontextmanager
    async def _workplace(self) -> AsyncGenerator[Path]:
        # Entered and left in a thread: what is removed at the end may be thousands of files.
        workplace = self._place.workplace()
        work = await _to_its_end(workplace.__enter__)
        try:
            # The search for configuration ends here, and does not go up to whose folder this is in.
            (work / "uv.toml").touch()
            yield work
        finally:
            await _to_its_end(workplace.__exit__, None, None, None)

    def _hand_in(self, job: _Job, work: Path) -> None:
        """All that a build gets is in `work`, and nothing ran there yet: from now on the folder is the
        cage's, and its user may write what lies there. Nobody else gets to it."""
        if job.indexes is not None:
            work.parent.chmod(0o700)
            for path in work.iterdir():
                path.chmod(0o666)

    async def _run(self, what: str, job: _Job, work: Path, *arguments: str | Path) -> None:
        if job.why:
            job.say(f"This build is not caged. {job.why.pop()}")
        if self._cages is not None and job.indexes is not None:
            ended = await self._cages.uv(
                self._uv.path(),
                *arguments,
                work=work,
                org_no=job.org_no,
                indexes=job.indexes,
                say=job.say,
            )
        else:
            ended = await self._uv.run(*arguments, cwd=work, say=job.say)
        if ended.code:
            lines = [line.replace(f"{work}/", "") for line in ended.lines]
            raise explain(lines, ended.code, what, job.interpreter.version)

    async def _made_kit(self) -> tuple[Path, Package]:
        # Once: the code that runs is what it was when it started.
        if self._kit is None or not self._kit[0].is_file():
            wheel = await _to_its_end(kit_wheel, self._place.kit)
            digest = await asyncio.to_thread(_file_digest, wheel)
            self._kit = wheel, Package(name=KIT, version=wheel.name.split("-")[1], hashes=(digest,))
        return self._kit

    async def _describe(self) -> Interpreter:
        if self._interpreter is None:
            ended = await run(
                str(self._python),
                *("-I", "-S", "-c", _DESCRIBE),
                cwd=Path("/"),
                environ=self._bare,
                say=lambda _: None,
            )
            if ended.code or len(ended.lines) != 4:
                raise BuildFailed(
                    "The Python that agents get can't be run.",
                    remedy="The operator finds what it said in the platform's log.",
                    operator=f"{self._python}: {ended.code} {ended.lines}",
                )
            implementation, version, platform, abi = ended.lines
            self._interpreter = Interpreter(implementation, version, platform, abi)
        return self._interpreter

    @contextlib.asynccontextmanager
    async def _turn(self, key: str) -> AsyncGenerator[None]:
        """One at a time for the same key: who comes second finds what the first one made."""
        lock, waiting = self._turns.get(key, (asyncio.Lock(), 0))
        self._turns[key] = lock, waiting + 1
        try:
            async with lock:
                yield
        finally:
            lock, waiting = self._turns[key]
            if waiting == 1:
                del self._turns[key]
            else:
                self._turns[key] = lock, waiting - 1


async def _to_its_end(function: Callable[P, T], *args: P.args, **kwargs: P.kwargs) -> T:
    """Run it in a thread. A thread can't be cancelled: who is cancelled waits for its end, so that
    nothing is removed under its hands."""
    running = asyncio.ensure_future(asyncio.to_thread(function, *args, **kwargs))
    try:
        return await asyncio.shield(running)
    except asyncio.CancelledError:
        await asyncio.wait({running})
        raise


def _known(lock: bytes | None, say: Say) -> tuple[Pin, ...]:
    if lock is None:
        return ()
    try:
        return parse_lock(lock.decode(), "the last release's lock")
    except (BuildFailed, UnicodeDecodeError):
        say("The last release's lock can't be read: versions are chosen afresh.")
        return ()


def _key(inputs: Inputs, job: _Job) -> str:
    """What the same dependencies have in common, wherever they are written down."""
    what = [inputs.requirements, inputs.constraints, inputs.project, REQUIRES]
    parts = msgspec.json.encode([what, job.interpreter])
    return _digest("inputs", parts, inputs.uv_lock, *job.realm).removeprefix("sha256:")


def _pins_in(path: Path) -> tuple[Pin, ...]:
    """What uv resolved. It has to stand the way through a lock: names, versions and hashes, no more."""
    text = read_text(path)
    try:
        return parse_lock(render_lock(read_pylock(text)).decode(), "what uv resolved")
    except (AttributeError, LookupError, TypeError, ValueError) as error:
        raise BuildFailed(
            "What uv resolved can't be read.", remedy="Deploy again.", operator=repr(error)
        ) from error


def _digest(kind: str, *parts: bytes) -> str:
    whole = hashlib.sha256(f"a2a-cloud {kind} 1\n".encode())
    for part in parts:
        whole.update(b"%d:" % len(part) + part)
    return f"sha256:{whole.hexdigest()}"


def _file_digest(path: Path) -> str:
    with path.open("rb") as file:
        return f"sha256:{hashlib.file_digest(file, 'sha256').hexdigest()}"


def _address(path: Path) -> str:
    return f"file://{quote(str(path))}"


def _count(packages: tuple[object, ...]) -> str:
    return f"{len(packages)} package{'' if len(packages) == 1 else 's'}"


def _built_by(made: Path) -> str:
    for line in (made / "pyvenv.cfg").read_text().splitlines():
        name, _, value = line.partition("=")
        if name.strip() == "uv":
            return value.strip()
    return ""
