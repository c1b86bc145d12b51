"""CPU time and memory of a process and all its descendants, read from /proc.

CPU seconds are utime + stime of every living process of the tree plus what each has collected from
children it waited for, so a worker that came and went is counted too. Memory is read
from `smaps_rollup`; PSS splits shared pages among those who share them, so that it adds up.
"""

from __future__ import annotations

import os
import sys
from pathlib import Path

_TICK = float(os.sysconf("SC_CLK_TCK"))
_PROC = Path("/proc")


def _stat(pid: int) -> list[str] | None:
    """Fields of /proc/PID/stat from field 3 (state) on, or None when the process is gone."""
    try:
        text = (_PROC / str(pid) / "stat").read_text()
    except (FileNotFoundError, ProcessLookupError):
        return None
    return text.rpartition(")")[2].split()  # the name in parentheses may hold spaces


def tree(pid: int) -> list[int]:
    """`pid` and its living descendants."""
    children: dict[int, list[int]] = {}
    for entry in os.listdir(_PROC):
        if entry.isdigit() and (fields := _stat(int(entry))):
            children.setdefault(int(fields[1]), []).append(int(entry))
    found = [pid]
    for parent in found:
        found.extend(children.get(parent, ()))
    return found


def cpu_seconds(pid: int) -> float:
    """CPU seconds of the tree under `pid`, in steps of 10 ms a process. 0 when it is gone."""
    total = 0
    for member in tree(pid):
        if fields := _stat(member):
            total += sum(int(field) for field in fields[11:15])  # utime stime cutime cstime
    return total / _TICK


def memory_bytes(pid: int, field: str = "Pss", *, whole_tree: bool = False) -> int:
    """A field of smaps_rollup in bytes, of `pid` or summed over its whole tree. 0 when it is gone.

    `Pss` halves a page that two processes share, so it falls when another Python starts; `Rss` does
    not, and `Pss_Anon` is what the process itself allocated.
    """
    total = 0
    for member in tree(pid) if whole_tree else [pid]:
        try:
            lines = (_PROC / str(member) / "smaps_rollup").read_text().splitlines()
        except (FileNotFoundError, ProcessLookupError):
            continue
        total += sum(int(line.split()[1]) * 1024 for line in lines if line.startswith(field + ":"))
    return total


if __name__ == "__main__":
    root = int(sys.argv[1])
    print(f"processes {tree(root)}")
    print(f"cpu_seconds {cpu_seconds(root):.2f}")
    for kind in ("Pss", "Rss", "Pss_Anon"):
        alone, whole = memory_bytes(root, kind) / 1e6, memory_bytes(root, kind, whole_tree=True) / 1e6
        print(f"{kind} {alone:.1f} MB, whole tree {whole:.1f} MB")
