"""Control groups of cages, version 1 and 2 (Documentation/admin-guide/cgroup-v1, cgroup-v2.rst).

Cages' groups lie under the platform's own, so that whatever limits the platform limits them too. A
group's name says whose it is; what a killed platform left is ended and removed by the next one.
"""

from __future__ import annotations

import atexit
import contextlib
import itertools
import os
import signal
from dataclasses import dataclass, field
from pathlib import Path

WANTED = ("memory", "pids", "cpu")
_PREFIX = "a2a-cage-"
_PLATFORM = "a2a-platform"
#: Microseconds over which a cpu limit is counted.
_PERIOD = 100_000
#: Numbers of groups: of the process, because a process may hold more than one Cgroups.
_NUMBERS = itertools.count()


@dataclass(slots=True)
class Group:
    """One cage's groups: a folder per hierarchy."""

    version: int
    paths: dict[str, Path]
    _last: dict[str, int] = field(default_factory=dict[str, int])

    @property
    def folders(self) -> tuple[Path, ...]:
        """Each folder once."""
        return tuple(dict.fromkeys(self.paths.values()))

    def hits(self) -> dict[str, int]:
        """How often the kernel enforced a limit: processes killed for memory, forks refused.

        Once the group is removed: what it was then.
        """
        found = self._last
        memory = "memory.oom_control" if self.version == 1 else "memory.events"
        for name, file, key in (("memory", memory, "oom_kill"), ("pids", "pids.events", "max")):
            if name in self.paths:
                with contextlib.suppress(OSError):
                    found[name] = _counter((self.paths[name] / file).read_text(), key)
        return dict(found)

    def pids(self) -> set[int]:
        """Who is in it."""
        found: set[int] = set()
        for folder in self.folders:
            with contextlib.suppress(OSError):
                found.update(int(pid) for pid in (folder / "cgroup.procs").read_text().split())
        return found

    def kill(self) -> None:
        """End everybody in it."""
        for folder in self.folders:
            with contextlib.suppress(OSError):
                if (folder / "cgroup.kill").exists():
                    (folder / "cgroup.kill").write_text("1")
        for pid in self.pids():
            with contextlib.suppress(ProcessLookupError, PermissionError):
                os.kill(pid, signal.SIGKILL)

    def remove(self) -> bool:
        """End everybody in it and remove it; what is still dying is removed with a later cage."""
        self.hits()
        if not all(_removed(folder) for folder in self.folders):
            self.kill()
            if not all(_removed(folder) for folder in self.folders):
                if self not in _leftovers:
                    _leftovers.append(self)
                return False
        return True


#: Groups whose last process was still dying when they were to be removed.
_leftovers: list[Group] = []


def _settle() -> None:
    """Remove what can be removed by now."""
    _leftovers[:] = [one for one in _leftovers if not all(map(_removed, one.folders))]


atexit.register(_settle)


@dataclass(slots=True)
class Cgroups:
    """Where groups can be made: `bases` has the parent folder of each controller that can be used."""

    version: int
    bases: dict[str, Path]
    missing: tuple[str, ...] = ()
    owner: str = ""

    def make(self, memory: int, pids: int, cpu: float) -> Group | None:
        """A group with these limits (bytes, processes, cores; 0: none); None when there is no place.

        Raises OSError when the kernel takes a limit no more, with nothing left behind.
        """
        _settle()
        if not self.bases:
            return None
        name = f"{_PREFIX}{self.owner}-{next(_NUMBERS)}"
        group = Group(self.version, {key: base / name for key, base in self.bases.items()})
        try:
            for folder in group.folders:
                folder.mkdir()
            for key, file, value in _limits(self.version, memory, pids, cpu):
                if key in group.paths:
                    (group.paths[key] / file).write_text(value)
            if memory and "memory" in group.paths:
                _without_swap(group.paths["memory"], memory, self.version)
        except OSError:
            group.remove()
            raise
        return group

    def sweep(self) -> int:
        """End and remove the groups of platforms that are gone; returns how many there were."""
        stale: set[str] = set()
        for base in set(self.bases.values()):
            for folder in base.glob(f"{_PREFIX}*"):
                space, pid, started, *_ = (*folder.name.removeprefix(_PREFIX).split("-"), "", "", "")
                # Pids of another process namespace say nothing here.
                if space == _space() and pid.isdigit() and _started(int(pid)) != started:
                    stale.add(folder.name)
        for name in stale:
            paths = {key: base / name for key, base in self.bases.items()}
            Group(self.version, paths).remove()
        return len(stale)


def find_cgroups(proc: Path = Path("/proc")) -> Cgroups:
    """The groups that this process may make, by trying it."""
    mounts = _mounts(proc)
    own = _own(proc)
    owner = _owner()
    first = {
        key: place
        for key in WANTED
        if (place := _place(mounts.get(key), own.get(key))) is not None and _usable(place)
    }
    second: dict[str, Path] = {}
    why = ""
    if not first:
        place = _place(mounts.get(""), own.get(""))
        if place is not None:
            second, why = _unified(place)
    found = first or second
    missing = [
        f"{_WITHOUT[key]}: no writable cgroup with the controller `{key}`{why}."
        for key in WANTED
        if key not in found
    ]
    return Cgroups(1 if first else 2, found, tuple(missing), owner)


_WITHOUT = {
    "memory": "Memory is limited per process, not for all processes of an agent together",
    "pids": "Processes are limited by RLIMIT_NPROC alone",
    "cpu": "CPU time is not limited",
}


def _limits(version: int, memory: int, pids: int, cpu: float) -> list[tuple[str, str, str]]:
    quota = max(1000, int(cpu * _PERIOD))
    lines: list[tuple[str, str, str]] = []
    if memory:
        lines.append(("memory", "memory.limit_in_bytes" if version == 1 else "memory.max", str(memory)))
    if pids:
        lines.append(("pids", "pids.max", str(pids)))
    if cpu and version == 1:
        lines += [("cpu", "cpu.cfs_period_us", str(_PERIOD)), ("cpu", "cpu.cfs_quota_us", str(quota))]
    elif cpu:
        lines.append(("cpu", "cpu.max", f"{quota} {_PERIOD}"))
    return lines


def _without_swap(folder: Path, memory: int, version: int) -> None:
    """What is swapped out counts too, where the kernel can count it."""
    name, value = ("memory.memsw.limit_in_bytes", memory) if version == 1 else ("memory.swap.max", 0)
    if (folder / name).exists():
        (folder / name).write_text(str(value))


def _mounts(proc: Path) -> dict[str, tuple[Path, str]]:
    """Controller ("" for version 2) → where its hierarchy is mounted, and which part of it is."""
    found: dict[str, tuple[Path, str]] = {}
    try:
        lines = (proc / "self/mountinfo").read_text().splitlines()
    except OSError:
        return found
    for line in lines:
        left, _, right = line.partition(" - ")
        fields, kind = left.split(), right.split()
        if kind[:1] == ["cgroup2"]:
            found.setdefault("", (Path(fields[4]), fields[3]))
        elif kind[:1] == ["cgroup"]:
            for option in kind[2].split(","):
                found.setdefault(option, (Path(fields[4]), fields[3]))
    return found


def _own(proc: Path) -> dict[str, str]:
    """Controller ("" for version 2) → the path of the group that this process is in."""
    found: dict[str, str] = {}
    with contextlib.suppress(OSError):
        for line in (proc / "self/cgroup").read_text().splitlines():
            _, controllers, path = line.split(":", 2)
            found.update((one, path) for one in controllers.split(","))
    return found


def _place(mount: tuple[Path, str] | None, path: str | None) -> Path | None:
    """The folder of a group whose hierarchy is mounted, None when the mount does not show it."""
    if mount is None or path is None:
        return None
    point, root = mount
    inside = os.path.relpath(path, root)
    if inside.startswith(".."):
        return None
    place = Path(os.path.normpath(point / inside))
    if place.name == _PLATFORM:
        place = place.parent
    return place if place.is_dir() else None


def _usable(place: Path) -> bool:
    """Whether a group can be made here, and this process be put into one."""
    trial = place / f"{_PREFIX}{_owner()}-trial{next(_NUMBERS)}"
    try:
        trial.mkdir()
    except OSError:
        return False
    try:
        return os.access(trial / "cgroup.procs", os.W_OK) and os.access(place / "cgroup.procs", os.W_OK)
    finally:
        trial.rmdir()


def _unified(place: Path) -> tuple[dict[str, Path], str]:
    """Controllers that groups under this one of version 2 can have, and why not more."""
    try:
        there = set((place / "cgroup.controllers").read_text().split()) & set(WANTED)
    except OSError:
        return {}, ""
    if not there or not _usable(place):
        return {}, ""
    lacking = there - set((place / "cgroup.subtree_control").read_text().split())
    why = ""
    if lacking:
        try:
            _hand_down(place, lacking)
        except OSError:
            there -= lacking
            why = (
                " (the platform's group holds other processes; start it with"
                " `systemd-run --user --scope -p Delegate=yes`)"
            )
    return dict.fromkeys(sorted(there), place), why


def _hand_down(place: Path, controllers: set[str]) -> None:
    """Let groups under this one have the controllers. Raises OSError when others' processes are in it."""
    words = " ".join(f"+{one}" for one in sorted(controllers))
    try:
        (place / "cgroup.subtree_control").write_text(words)
    except OSError:
        # A group with processes can't hand down: the platform moves one down, if it is alone here.
        pids = [int(pid) for pid in (place / "cgroup.procs").read_text().split()]
        if not pids or not all(_descends(pid, os.getpid()) for pid in pids):
            raise
        leaf = place / _PLATFORM
        leaf.mkdir(exist_ok=True)
        for pid in pids:
            (leaf / "cgroup.procs").write_text(str(pid))
        (place / "cgroup.subtree_control").write_text(words)


def _descends(pid: int, ancestor: int) -> bool:
    while pid > 1 and pid != ancestor:
        try:
            pid = int(Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[1])
        except (OSError, IndexError):
            return False
    return pid == ancestor


def _owner() -> str:
    """This process's name, for good."""
    return f"{_space()}-{os.getpid()}-{_started(os.getpid())}"


def _space() -> str:
    """The process namespace that we are in."""
    try:
        return str(os.stat("/proc/self/ns/pid").st_ino)
    except OSError:
        return "0"


def _started(pid: int) -> str:
    """A process's start time: with the pid it names a process for good. "" when there is none."""
    try:
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[19]
    except (OSError, IndexError):
        return ""


def _removed(folder: Path) -> bool:
    try:
        folder.rmdir()
    except FileNotFoundError:
        return True
    except OSError:
        return False
    return True


def _counter(text: str, key: str) -> int:
    for line in text.splitlines():
        name, _, value = line.partition(" ")
        if name == key:
            return int(value)
    return 0
