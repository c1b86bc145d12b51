"""What a cage is: what it is asked for, what it gives, and what it says of itself."""

from __future__ import annotations

import contextlib
import errno
import os
import signal
import sys
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Protocol

import a2a_cloud
from a2a_cloud.model.problem import StartFailed
from a2a_cloud.runtime.sandbox.cgroups import Group

#: Variables of the platform's that agent code sees as they are.
INHERITED = ("LANG", "LC_ALL", "LC_CTYPE", "TZ")


@dataclass(frozen=True, slots=True)
class CageLimits:
    """What a cage's processes may use together. Sizes in bytes; `cpu` in cores, 0 for no limit.

    `memory` counts what is in `/dev/shm` (at most half of it); files in `/tmp` count as `tmp_bytes`
    alone. `pids` counts threads too. `open_files` is per process.
    """

    memory: int = 1 << 30
    cpu: float = 0.0
    pids: int = 512
    open_files: int = 256
    tmp_bytes: int = 64 << 20


@dataclass(frozen=True, slots=True)
class CageSpec:
    """One process to be caged.

    `agent_key`: a stable id of the agent; agents of different keys never share a uid by intent.
    `command`: absolute program and arguments. `folder`: the agent's source, seen at `Caged.folder`.
    `roots`: folders (or files) that the command needs besides (environment, interpreter: `roots_of`), seen
    read-only under their own paths. `settings`: the agent's variables. `rundir`: a folder that it may
    write, seen at `Caged.rundir`. `writable`: more of them, seen under their own paths (what is written
    there is limited by nothing but the disk; hard links work within one of them). As root, `rundir`
    and `writable` become the agent's, not what is in them already. `descriptors`: open descriptors
    that are handed in under their own numbers; `socket` is the one to the runtime (-1: none).
    """

    agent_key: str
    command: Sequence[str]
    folder: Path
    roots: tuple[Path, ...] = ()
    settings: Mapping[str, str] = field(default_factory=dict[str, str])
    rundir: Path | None = None
    socket: int = -1
    descriptors: tuple[int, ...] = ()
    limits: CageLimits = CageLimits()
    writable: tuple[Path, ...] = ()


@dataclass(frozen=True, slots=True)
class Attack:
    """One thing that the self-test tried from inside. `detail` says how it went."""

    name: str
    refused: bool
    detail: str


@dataclass(slots=True)
class Caged:
    """How to start one caged process: once, with `start_new_session`, from the loop's thread (the
    kernel's parent-death signal watches the thread), then call `started`. `cleanup` at its end.
    `folder` and `rundir` are where the agent sees its source and the folder that it may write.
    """

    argv: tuple[str, ...]
    env: dict[str, str]
    cwd: str
    pass_fds: tuple[int, ...]
    folder: str
    limits: CageLimits
    group: Group | None = None
    own: list[int] = field(default_factory=list[int])
    rundir: str = ""
    _hits: dict[str, int] = field(default_factory=dict[str, int])

    def started(self) -> None:
        """The process has been started, or could not be: the descriptors for its start are closed."""
        while self.own:
            os.close(self.own.pop())

    def status(self, code: int) -> int:
        """The exit code of the agent's own process: negative for a signal, as subprocess has it.

        The programs around it pass a signal on as 128 + its number.
        """
        return 128 - code if 128 < code <= 128 + signal.NSIG else code

    def verdict(self, code: int | None = None, error: int = 0) -> str:
        """Which limit was hit since this was last asked: a sentence for the caller, "" for none.

        `code` is the process's exit code once it has ended, `error` the errno of what its code
        raised (MemoryError counts as ENOMEM, "can't start new thread" as EAGAIN). What the kernel
        counted comes first, because programs say all kinds of things when they run out of something.
        """
        limits = self.limits
        hits = self.group.hits() if self.group is not None else {}
        new = [name for name, count in hits.items() if count > self._hits.get(name, 0)]
        self._hits = hits
        ended = self.status(code) if code is not None else 0
        if "memory" in new or error == errno.ENOMEM:
            return _sentence("used more memory", size(limits.memory), "memory")
        if "pids" in new or error == errno.EAGAIN:
            return _sentence("started more processes and threads", str(limits.pids), "pids")
        if ended == -signal.SIGXFSZ or error in (errno.ENOSPC, errno.EFBIG, errno.EDQUOT):
            return _sentence("wrote more to /tmp", size(limits.tmp_bytes), "tmp_bytes")
        if error == errno.EMFILE:
            return _sentence("opened more files at once", str(limits.open_files), "open_files")
        return ""

    def kill(self) -> None:
        """End whatever is left of it, where the machine can name it."""
        if self.group is not None:
            self.group.kill()

    def cleanup(self) -> None:
        """The process has ended: nothing of the cage stays. May be called more than once."""
        self.started()
        if self.group is not None:
            self.group.remove()


class Sandbox(Protocol):
    """A way to keep agent code apart."""

    @property
    def name(self) -> str:
        """ "jail" or "process"."""
        ...

    @property
    def layers(self) -> tuple[str, ...]:
        """What it enforces on this machine, such as "network namespace", "seccomp"."""
        ...

    @property
    def missing(self) -> tuple[str, ...]:
        """What it does not enforce here, as sentences for an operator."""
        ...

    @property
    def attacks(self) -> Sequence[Attack]:
        """What the last self-test tried; empty before the first."""
        ...

    def wrap(self, spec: CageSpec) -> Caged:
        """How to start that process caged. Raises StartFailed when the spec can't be caged."""
        ...

    def self_test(self) -> list[Attack]:
        """Try a few attacks in a real cage; blocks for up to a few hundred milliseconds."""
        ...


def size(count: int) -> str:
    """Bytes as people say them: `64 MiB`."""
    number, unit = float(count), "bytes"
    for larger in ("KiB", "MiB", "GiB"):
        if number < 1024:
            break
        number, unit = number / 1024, larger
    return f"{number:.1f}".removesuffix(".0") + f" {unit}"


def _sentence(what: str, limit: str, setting: str) -> str:
    return f"The agent {what} than it may ({limit}): `{setting}` under [limits] in a2a.toml."


# --- what a Python needs ------------------------------------------------------------------------


def roots_of(python: Path) -> tuple[Path, ...]:
    """The folders that a Python needs to run: its virtual environment, what that was made from, and,
    for the platform's own, this package where it is used from its source.

    `python` is the program as it is called. Raises StartFailed when its home can't be told: a folder
    that is only near a link is never shown to an agent.
    """
    roots: list[Path] = []
    environment = python.parent.parent
    if (environment / "pyvenv.cfg").is_file():
        roots.append(environment)
    home = python.resolve().parent.parent
    if home != Path("/usr") and not home.is_relative_to("/usr"):
        if not any((home / "lib").glob("python3*/os.py")):
            raise StartFailed(
                "The agent's Python can't be shown to a cage: what belongs to it is not known.",
                remedy="Use a Python that is installed as a folder with bin and lib.",
                operator=f"{python} is {python.resolve()}",
            )
        # Links between the two (a venv of a venv, ~/.pyenv/shims) may name folders on the way.
        roots.append(home)
        roots.extend(_on_the_way(python))
    if python == Path(sys.executable):
        package = Path(a2a_cloud.__file__).parent
        if not any(package.is_relative_to(root) for root in (*roots, Path("/usr"))):
            roots.append(package)
    return tuple(dict.fromkeys(roots))


def _on_the_way(python: Path) -> list[Path]:
    """Folders of programs that a chain of links passes through, apart from its two ends."""
    found: list[Path] = []
    here = python
    for _ in range(8):
        with contextlib.suppress(OSError):
            following = here.parent / here.readlink()
            here = Path(os.path.normpath(following))
            if (here.parent.parent / "pyvenv.cfg").is_file() or any(
                (here.parent.parent / "lib").glob("python3*/os.py")
            ):
                found.append(here.parent.parent)
            continue
        break
    return found
