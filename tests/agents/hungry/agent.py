"""An agent that takes more than it may, of whatever it is told."""

from __future__ import annotations

import asyncio
import os
import socket
import subprocess
import sys
import threading
import time
from pathlib import Path
from typing import Any

from a2a_cloud import skill

#: Another one in every process.
BORN = os.urandom(8).hex()


@skill
def born() -> str:
    """Which process this is."""
    return BORN


@skill
async def nap(seconds: float) -> str:
    """A neighbour."""
    await asyncio.sleep(seconds)
    return BORN


@skill
def memory() -> int:
    """Take 4 MiB again and again."""
    taken: list[bytearray] = []
    while len(taken) < 250:
        taken.append(bytearray(b"x" * (4 << 20)))
    return len(taken)


@skill
def memory_of_children() -> int:
    """The same, by processes that hold a part each."""
    code = "import time; x = b'x' * (60 << 20); time.sleep(1.5)"
    children = [subprocess.Popen([sys.executable, "-I", "-S", "-c", code]) for _ in range(3)]
    return sum(child.wait() for child in children)


@skill
def processes() -> int:
    """Start processes until no more can be had."""
    children: list[subprocess.Popen[bytes]] = []
    try:
        for _ in range(100):
            children.append(subprocess.Popen(["/bin/sleep", "20"]))
        return len(children)
    finally:
        for child in children:
            child.kill()
            child.wait()


@skill
def threads() -> int:
    """Start threads until no more can be had."""
    over = threading.Event()
    started: list[threading.Thread] = []
    try:
        for _ in range(100):
            thread = threading.Thread(target=over.wait)
            thread.start()
            started.append(thread)
        return len(started)
    finally:
        over.set()


@skill
def files() -> int:
    """Open files until no more can be had."""
    opened: list[Any] = []
    try:
        for _ in range(1000):
            opened.append(open("/dev/null"))  # noqa: SIM115
        return len(opened)
    finally:
        for each in opened:
            each.close()


@skill
def sockets() -> int:
    """The same with sockets."""
    opened: list[socket.socket] = []
    try:
        for _ in range(1000):
            opened.append(socket.socket())
        return len(opened)
    finally:
        for each in opened:
            each.close()


@skill
def disk() -> int:
    """Write into /tmp."""
    with Path("/tmp/large").open("wb") as out:
        for _ in range(64):
            out.write(bytes(1 << 20))
    return 64


@skill
def many_small_files() -> int:
    """Write into /tmp, a little each."""
    for number in range(4000):
        Path(f"/tmp/{number}").write_bytes(bytes(4096))
    return 4000


@skill
def cpu(seconds: float) -> float:
    """Compute for so many seconds of the processor; gives those of the wall."""
    began, used = time.monotonic(), time.process_time()
    while time.process_time() - used < seconds:
        sum(range(1000))
    return time.monotonic() - began


@skill(timeout=1)
def endless() -> None:
    """Never end, and hear nobody."""
    while True:
        sum(range(1000))
