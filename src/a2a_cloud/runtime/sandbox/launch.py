"""The small programs around a caged process, and the descriptors that they read.

A program is started through a chain of others that each do one thing and exec the next: join the
cgroups, change the user, set the limits. What they are told goes through memory files where it can:
nothing of it is in an argument list that others may read.
"""

from __future__ import annotations

import functools
import os
import resource
import shutil
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path

from a2a_cloud.model.problem import StartFailed
from a2a_cloud.runtime.sandbox.cgroups import Group
from a2a_cloud.runtime.sandbox.port import CageLimits, CageSpec

#: Where the programs are looked for, whatever the platform's PATH says.
SEARCH = "/usr/bin:/bin:/usr/sbin:/sbin:/usr/local/bin"
#: Memory of a process beyond the agent's limit that RLIMIT_DATA grants: interpreter, and stacks.
OVERHEAD = 256 << 20
_STACK = 1 << 20
# What glibc itself takes from nobody's hand in a set-user-id program, and what shells read.
_LATE = (
    "LD_",
    "GLIBC_",
    "MALLOC_",
    "GCONV_PATH",
    "GETCONF_DIR",
    "HOSTALIASES",
    "LOCALDOMAIN",
    "LOCPATH",
    "NIS_PATH",
    "NLSPATH",
    "RES_OPTIONS",
    "RESOLV_HOST_CONF",
    "TZDIR",
    "BASH",
    "SHELLOPTS",
    "PS4",
    "ENV",
    "IFS",
)
_JOIN = 'while [ "$1" != -- ]; do echo 0 >"$1/cgroup.procs" || exit 125; shift; done; shift; exec "$@"'


@functools.cache
def tool(name: str) -> str:
    """Where a program lies, "" when the machine has none."""
    return shutil.which(name, path=SEARCH) or ""


def join(group: Group | None) -> list[str]:
    """The start of a command that puts itself into the group first."""
    if group is None:
        return []
    return [tool("sh"), "-c", _JOIN, "cage", *map(str, group.folders), "--"]


def rlimits(limits: CageLimits, *, pids: int, memory: bool) -> list[str]:
    """The start of a command that sets limits on itself. `pids` 0 leaves RLIMIT_NPROC alone."""
    wanted = [
        ("core", resource.RLIMIT_CORE, 0),
        ("nofile", resource.RLIMIT_NOFILE, limits.open_files),
        ("fsize", resource.RLIMIT_FSIZE, max(limits.tmp_bytes, limits.memory)),
    ]
    if pids:
        wanted.append(("nproc", resource.RLIMIT_NPROC, pids))
    if memory:
        wanted.append(("data", resource.RLIMIT_DATA, limits.memory + OVERHEAD + limits.pids * _STACK))
    words = [tool("prlimit")]
    for name, which, value in wanted:
        hard = resource.getrlimit(which)[1]
        if hard != resource.RLIM_INFINITY:
            value = min(value, hard)
        words.append(f"--{name}={value}:{value}")
    return [*words, "--"]


def early(settings: Mapping[str, str]) -> tuple[dict[str, str], list[str]]:
    """Settings apart from those that change how programs are loaded, and a command that sets these.

    The linker's variables (ld.so(8)) and some others run code in whatever is started next; they must
    not reach the programs that set the limits.
    """
    late = {name: value for name, value in settings.items() if name.startswith(_LATE)}
    rest = {name: value for name, value in settings.items() if name not in late}
    return rest, [tool("env"), *(f"{name}={value}" for name, value in late.items())] if late else []


def memory_file(content: bytes) -> int:
    """A descriptor from which `content` is read once."""
    number = os.memfd_create("a2a-cage", os.MFD_CLOEXEC)
    with open(number, "wb", closefd=False) as file:
        file.write(content)
    os.lseek(number, 0, os.SEEK_SET)
    return number


def arguments_file(words: Iterable[str]) -> int:
    """A descriptor for `bwrap --args`."""
    return memory_file(b"".join(os.fsencode(word) + b"\0" for word in words))


def check(spec: CageSpec, data: Path) -> None:
    """Refuse what must not be shown to an agent, or can't be passed on. Raises StartFailed."""
    words: Sequence[str] = (*spec.command, *spec.settings, *spec.settings.values())
    if not spec.command or not os.path.isabs(spec.command[0]):
        raise StartFailed("The agent's command has no absolute path.", operator=repr(spec.command))
    if any("\0" in word for word in words) or any("=" in name or not name for name in spec.settings):
        raise StartFailed(
            "A variable of the agent can't be passed on: a name is empty or has a `=`, or there is a NUL.",
            remedy="See `a2a env list`.",
        )
    written = (*spec.writable, *((spec.rundir,) if spec.rundir is not None else ()))
    for folder in (spec.folder, *spec.roots, *written):
        real = folder.resolve()
        if not folder.is_absolute() or data.resolve().is_relative_to(real):
            raise StartFailed(
                "A folder that the agent needs holds the platform's own data.",
                remedy="Move the data folder (A2A_DATA) out of it.",
                operator=f"{folder} is shown to the agent, {data} must not be.",
            )


def give(folder: Path, owner: int) -> None:
    """Make a folder the user's and its group's. Raises StartFailed when it is no folder, or a link."""
    try:
        number = os.open(folder, os.O_RDONLY | os.O_DIRECTORY | os.O_NOFOLLOW | os.O_CLOEXEC)
        try:
            os.fchown(number, owner, owner)
        finally:
            os.close(number)
    except OSError as error:
        raise StartFailed(
            "A folder that the agent is to write can't be given to its user.",
            remedy="The operator finds the folder in the platform's log.",
            operator=f"{folder}: {error}",
        ) from error
