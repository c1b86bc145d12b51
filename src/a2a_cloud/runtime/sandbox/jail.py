"""The jail: bubblewrap with namespaces, a seccomp filter, limits, and a user id of the agent's own.

As root, two of them: the outer one, still root, makes a file system of just what the agent may see,
so that nothing of it need be readable for others where it lies; then the user id is changed for good;
then the inner one, an ordinary user by now, makes the cage. Started as root directly, bubblewrap
would leave the kernel's uid 0 inside, for which file modes and RLIMIT_NPROC mean nothing. As an
ordinary user there is the inner one alone.
"""

from __future__ import annotations

import hashlib
import os
import platform
import stat
import subprocess
from pathlib import Path

from a2a_cloud.model.problem import BadSetting, StartFailed
from a2a_cloud.runtime.sandbox import seccomp
from a2a_cloud.runtime.sandbox.cgroups import Group, find_cgroups
from a2a_cloud.runtime.sandbox.launch import (
    arguments_file,
    check,
    early,
    give,
    join,
    memory_file,
    rlimits,
    tool,
)
from a2a_cloud.runtime.sandbox.port import INHERITED, Attack, Caged, CageSpec

#: Where things are for the agent.
APP, RUN, TMP, SHM = "/app", "/run/agent", "/tmp", "/dev/shm"  # noqa: S108  # of its own
#: Its user and group id, as it sees them.
SEEN = 1000
INSTALL = "On Debian or Ubuntu: sudo apt-get install bubblewrap"

_SYSTEM = ("bin", "sbin", "lib", "lib32", "lib64", "libx32")
#: Files of the machine that programs ask for and that tell nothing about it.
_ETC = (
    "/etc/alternatives",
    "/etc/ca-certificates",
    "/etc/ld.so.cache",
    "/etc/localtime",
    "/etc/mime.types",
    "/etc/pki/ca-trust/extracted",
    "/etc/pki/tls/certs",
    "/etc/ssl/certs",
    "/etc/ssl/openssl.cnf",
)
_DEVICES = ("null", "zero", "full", "random", "urandom", "tty")
_FILES = {
    "/etc/passwd": f"agent:x:{SEEN}:{SEEN}:agent:{TMP}:/bin/sh\n",
    "/etc/group": f"agent:x:{SEEN}:\n",
    "/etc/hosts": "127.0.0.1 localhost agent\n::1 localhost agent\n",
    "/etc/nsswitch.conf": "passwd: files\ngroup: files\nhosts: files dns\n",
}
_NAMESPACES = {
    "process namespace": ("--unshare-pid",),
    "network namespace": ("--unshare-net",),
    "ipc namespace": ("--unshare-ipc",),
    "host name namespace": ("--unshare-uts", "--hostname", "agent"),
    "cgroup namespace": ("--unshare-cgroup-try",),
    "no nested user namespaces": ("--disable-userns",),
}
_REST = ("seccomp", "no capabilities", "no new privileges", "read-only files", "private /tmp", "rlimits")
#: Programs around the agent's own that count as processes, outside and inside its namespace.
_AROUND, _INSIDE = 4, 1
_FEATURES = ("--disable-userns", "--size", "--perms", "--clearenv", "--args")
#: A part of the ids that no distribution gives to users; systemd leaves it to containers.
_FIRST_UID, _UIDS = 900_000_000, 1 << 28


def lacking() -> list[str]:
    """What keeps this machine from having a jail, as sentences; found without starting one."""
    if platform.system() != "Linux":
        return ["The jail needs Linux."]
    found: list[str] = []
    if platform.machine() not in seccomp.ARCHITECTURES:
        found.append(f"The jail does not know the system calls of {platform.machine()}.")
    if not tool("bwrap"):
        found.append(f"bubblewrap (bwrap) is not installed. {INSTALL}")
    else:
        text = subprocess.run(  # noqa: S603  # found on a fixed path
            [tool("bwrap"), "--help"], capture_output=True, text=True, check=False, env={}
        )
        if any(feature not in text.stdout + text.stderr for feature in _FEATURES):
            found.append("bubblewrap is too old: 0.8 or newer is needed.")
    needed = ("prlimit", "env", "sh", *(("setpriv",) if os.geteuid() == 0 else ()))
    found.extend(
        f"The program {name} is missing. On Debian or Ubuntu: sudo apt-get install util-linux coreutils"
        for name in needed
        if not tool(name)
    )
    if os.geteuid() == 0 and not _uids():
        found.append("Here root can't give an agent a user id of its own: the platform's user namespace "
                     "has too few. Start it as an ordinary user, or with more ids.")  # fmt: skip
    return found


class Jail:
    """Caged processes by bubblewrap. `data` is the platform's data folder, which no agent may see.

    `omit` takes layers away, for tests that show what each layer is good for. Raises BadSetting when
    the machine can't have a jail.
    """

    name = "jail"

    def __init__(self, data: Path, *, omit: frozenset[str] = frozenset()) -> None:
        reasons = lacking()
        if reasons:
            raise BadSetting("A jail can't be had here.", remedy=" ".join(reasons))
        self.attacks: list[Attack] = []
        self._data = data
        self._root = os.geteuid() == 0
        self._omit = omit
        self._filter = seccomp.program()
        self._cgroups = find_cgroups()
        if "cgroups" in omit:
            self._cgroups.bases.clear()
        self._cgroups.sweep()
        self._system: list[str] = ["--ro-bind", "/usr", "/usr"]
        for name in _SYSTEM:
            path = Path("/") / name
            if path.is_symlink():
                self._system += ["--symlink", str(path.readlink()), str(path)]
            elif path.is_dir():
                self._system += ["--ro-bind", str(path), str(path)]
        self._etc = [path for path in _ETC if os.path.exists(path)]
        self.layers = tuple(self._layers())
        self.missing = tuple(self._missing())

    def _on(self, layer: str) -> bool:
        return layer not in self._omit

    def _layers(self) -> list[str]:
        own = ("own user id",) if self._root else ()
        layers = (*own, "user namespace", "file system of its own", *_NAMESPACES, *_REST)
        return [*filter(self._on, layers), *(f"cgroup {one}" for one in sorted(self._cgroups.bases))]

    def _missing(self) -> list[str]:
        sentences = [f"The layer `{one}` was left out." for one in sorted(self._omit)]
        if not self._root:
            sentences.append(
                "Agents have no user id of their own outside of the jail: they run under the platform's, "
                "in a user namespace. Started as root, the platform gives each its own."
            )
        if "memory" not in self._cgroups.bases:
            sentences.append("How many files without content there are in /tmp is not limited.")
        return [*sentences, *self._cgroups.missing]

    def self_test(self) -> list[Attack]:
        """See Sandbox."""
        from a2a_cloud.runtime.sandbox.selftest import attacks  # which runs cages itself

        self.attacks = attacks(self, self._data)
        return self.attacks

    def wrap(self, spec: CageSpec) -> Caged:
        """See Sandbox."""
        check(spec, self._data)
        # A folder before what lies in it.
        inner = sorted({*spec.roots, *spec.writable}, key=lambda root: len(root.parts))
        shown = {str(folder): folder for folder in inner} | {APP: spec.folder}
        written = {str(folder) for folder in spec.writable}
        limits = spec.limits
        group = self._group(spec)
        own: list[int] = []
        caged = Caged((), {}, "/", (), APP, limits, group, own)
        try:
            places = {seen: str(folder) for seen, folder in shown.items()}
            run = str(spec.rundir) if spec.rundir is not None else ""
            argv = join(group)
            if self._root and self._on("own user id"):
                uid = uid_of(spec.agent_key)
                for seen, folder in shown.items():
                    if seen in written:
                        give(folder, uid)
                    else:
                        _readable(folder)
                places = {seen: f"/cage/{number}" for number, seen in enumerate(shown)}
                staged = [(str(shown[seen]), place, seen in written) for seen, place in places.items()]
                if spec.rundir is not None:
                    give(spec.rundir, uid)
                    staged.append((run, "/cage/run", True))
                    run = "/cage/run"
                own.append(arguments_file(self._stage(staged)))
                argv += [tool("bwrap"), "--args", str(own[-1]), "--"]
                argv += [tool("setpriv"), "--reuid", str(uid), "--regid", str(uid), "--clear-groups"]
                argv += ["--no-new-privs"]
            settings, late = early(self._settings(spec))
            words = self._cage(own, places, written, run)
            for name, value in settings.items():
                words += ["--setenv", name, value]
            # /dev is a tmpfs too, without a limit; what is in /dev/shm counts as memory.
            words += ["--perms", "1777", "--size", str(max(limits.memory // 2, 1 << 20)), "--tmpfs", SHM]
            words += ["--remount-ro", "/dev", "--remount-ro", "/", "--chdir", APP]
            own.append(arguments_file(self._private_tmp(limits.tmp_bytes) + words))
            argv += [tool("bwrap"), "--args", str(own[-1]), "--"]
            if self._on("rlimits"):
                counted = group is not None and "pids" in group.paths
                # Where the cgroup counts, it is to be the one that refuses, because it can be read.
                pids = limits.pids + _INSIDE + (_AROUND * 4 if counted else 0)
                argv += rlimits(limits, pids=pids, memory=group is None or "memory" not in group.paths)
            caged.rundir = RUN if spec.rundir is not None else ""
            caged.argv = (*argv, *late, *spec.command)
            handed = (spec.socket,) if spec.socket >= 0 else ()
            caged.pass_fds = (*own, *handed, *spec.descriptors)
        except BaseException:
            caged.cleanup()
            raise
        return caged

    def _group(self, spec: CageSpec) -> Group | None:
        limits = spec.limits
        try:
            return self._cgroups.make(limits.memory + limits.tmp_bytes, limits.pids + _AROUND, limits.cpu)
        except OSError as error:
            raise StartFailed(
                "The machine takes no more limits for another agent process.",
                remedy="Try again; if it goes on, fewer workers help.",
                operator=f"cgroup: {error}",
            ) from error

    def _stage(self, folders: list[tuple[str, str, bool]]) -> list[str]:
        """Arguments of the outer one: a file system with what the inner one needs, and no more.

        `folders`: where each is, where it goes, whether it may be written.
        """
        # When a process dies that is root without capabilities, a child of another user is sent no
        # signal, whatever it asked for. A process namespace ends with its first process, always.
        words = ["--die-with-parent", *(["--unshare-pid"] if self._on("process namespace") else [])]
        for folder in ("/cage", "/etc", "/dev"):
            words += ["--perms", "0755", "--dir", folder]
        words += ["--perms", "1777", "--dir", TMP, *self._system]
        for path in self._etc:
            for parent in reversed(Path(path).parents[:-2]):
                words += ["--perms", "0755", "--dir", str(parent)]
            words += ["--ro-bind", path, path]
        for device in _DEVICES:
            words += ["--dev-bind-try", f"/dev/{device}", f"/dev/{device}"]
        read = "--ro-bind" if self._on("read-only files") else "--bind"
        for folder, place, writable in folders:
            words += ["--bind" if writable else read, folder, place]
        return [*words, "--bind", "/proc", "/proc", "--remount-ro", "/"]

    def _cage(self, own: list[int], places: dict[str, str], written: set[str], run: str) -> list[str]:
        """Arguments of the inner one, up to what the spec's limits and settings say."""
        words = ["--unshare-user", "--uid", str(SEEN), "--gid", str(SEEN)]
        for layer, options in _NAMESPACES.items():
            if self._on(layer):
                words += options
        words += ["--die-with-parent", "--new-session", "--cap-drop", "ALL", "--clearenv"]
        read = "--ro-bind" if self._on("read-only files") else "--bind"
        words += [read if word == "--ro-bind" else word for word in self._system]
        for path in self._etc:
            words += ["--ro-bind", path, path]
        for path, content in _FILES.items():
            own.append(memory_file(content.encode()))
            words += ["--perms", "0444", "--file", str(own[-1]), path]
        for path, place in places.items():
            words += ["--bind" if path in written else read, place, path]
        # A proc of its own can be had in a process namespace of its own alone.
        words += ["--proc", "/proc"] if self._on("process namespace") else ["--bind", "/proc", "/proc"]
        words += ["--dev", "/dev"]
        if run:
            words += ["--bind", run, RUN]
        if self._on("seccomp"):
            own.append(memory_file(self._filter))
            words += ["--seccomp", str(own[-1])]
        return words

    def _private_tmp(self, tmp_bytes: int) -> list[str]:
        # First of all mounts: environments may lie below the machine's /tmp.
        return ["--perms", "1777", "--size", str(tmp_bytes), "--tmpfs", TMP]

    def _settings(self, spec: CageSpec) -> dict[str, str]:
        settings = {name: os.environ[name] for name in INHERITED if name in os.environ}
        folder = os.path.dirname(spec.command[0])
        usual = ("/usr/local/bin", "/usr/bin", "/bin")
        settings["PATH"] = ":".join((*(() if folder in usual else (folder,)), *usual))
        settings |= spec.settings
        settings |= {"HOME": TMP, "TMPDIR": TMP}
        if spec.socket >= 0:
            # The parent is bubblewrap's first process in the namespace.
            settings |= {"A2A_WORKER_FD": str(spec.socket), "A2A_WORKER_PARENT": "1"}
        return settings


def uid_of(agent_key: str) -> int:
    """The user and group id of an agent, the same on every start."""
    uids = _uids()
    number = int.from_bytes(hashlib.sha256(agent_key.encode()).digest()[:8])
    return uids[number % len(uids)]


def _uids() -> range:
    """Ids that root can become here and that nobody else has; empty when there are too few."""
    for line in Path("/proc/self/uid_map").read_text().splitlines():
        first, _, count = map(int, line.split())
        if first <= _FIRST_UID and first + count >= _FIRST_UID + _UIDS:
            return range(_FIRST_UID, _FIRST_UID + _UIDS)
        # In a container there are often 65536, of which the upper part is nobody's by custom.
        if first == 0 and count >= 65_536:
            return range(30_000, 60_000)
    return range(0)


def _readable(folder: Path) -> None:
    mode = folder.stat().st_mode
    wanted = 0o005 if stat.S_ISDIR(mode) else 0o004
    if mode & wanted != wanted:
        raise StartFailed(
            "The agent's own user can't read a folder that it needs.",
            remedy="The operator finds the folder in the platform's log.",
            operator=f"chmod -R o+rX {folder}  (its mode is {mode & 0o7777:04o})",
        )
