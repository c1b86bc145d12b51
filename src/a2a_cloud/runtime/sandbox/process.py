"""The bare process: a clean environment and limits, for machines and agents that can't have a jail."""

from __future__ import annotations

import os
import tempfile
from pathlib import Path

from a2a_cloud.model.problem import StartFailed
from a2a_cloud.runtime.sandbox.cgroups import find_cgroups
from a2a_cloud.runtime.sandbox.launch import check, early, join, rlimits, tool
from a2a_cloud.runtime.sandbox.port import INHERITED, Attack, Caged, CageSpec

_UNPROTECTED = (
    "Agent code can read and write every file that the platform's user can, its keys among them.",
    "Agent code can use the whole network, the machine's own services among it.",
    "Agent code can see, signal and trace other processes of the platform's user, other agents among them.",
    "Agent code can make every system call.",
    "What agent code writes to the disk is not limited in sum.",
)


class Process:
    """Processes with a clean environment and limits, under the platform's user and in its folders.

    `why` are sentences that say why it is not a jail.
    """

    name = "process"

    def __init__(self, data: Path, why: tuple[str, ...] = ()) -> None:
        self.attacks: list[Attack] = []
        self._data = data
        self._cgroups = find_cgroups()
        self._cgroups.sweep()
        limited = ("rlimits",) if tool("prlimit") else ()
        self.layers = (
            "clean environment",
            *limited,
            *(f"cgroup {one}" for one in sorted(self._cgroups.bases)),
        )
        counted = [one for one in self._cgroups.missing if "RLIMIT_NPROC" not in one]
        if "pids" not in self._cgroups.bases:
            counted.append("The number of processes is not limited.")
        self.missing = (*why, *_UNPROTECTED, *counted)

    def self_test(self) -> list[Attack]:
        """Nothing is refused here, so nothing is tried: `missing` says what isn't kept apart."""
        return []

    def wrap(self, spec: CageSpec) -> Caged:
        """See Sandbox."""
        check(spec, self._data)
        limits = spec.limits
        try:
            # Without programs around it; files in /tmp are the disk's here, not memory.
            group = self._cgroups.make(limits.memory, limits.pids, limits.cpu)
        except OSError as error:
            raise StartFailed(
                "The machine takes no more limits for another agent process.",
                remedy="Try again; if it goes on, fewer workers help.",
                operator=f"cgroup: {error}",
            ) from error
        settings = {name: os.environ[name] for name in ("PATH", *INHERITED) if name in os.environ}
        settings |= {**spec.settings, "HOME": "/nonexistent", "TMPDIR": tempfile.gettempdir()}
        handed: tuple[int, ...] = spec.descriptors
        if spec.socket >= 0:
            settings |= {"A2A_WORKER_FD": str(spec.socket), "A2A_WORKER_PARENT": str(os.getpid())}
            handed = (spec.socket, *handed)
        environ, late = early(settings)
        argv = join(group)
        if tool("prlimit"):
            # RLIMIT_NPROC counts all processes of the user, so a limit on agents would stop the platform.
            argv += rlimits(limits, pids=0, memory=group is None or "memory" not in group.paths)
        folder = str(spec.folder)
        rundir = str(spec.rundir) if spec.rundir is not None else ""
        whole = (*argv, *late, *spec.command)
        return Caged(whole, environ, folder, handed, folder, limits, group, rundir=rundir)
