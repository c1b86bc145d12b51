"""The worker process: `python -m a2a_cloud.agent.main`, started by the runtime, never by hand.

Speaks docs/worker-protocol.md on the descriptor that A2A_WORKER_FD names. Limits are set before a
line of the agent's code runs, and the process dies with its parent and with its socket.
"""

from __future__ import annotations

import asyncio
import contextlib
import ctypes
import os
import resource
import signal
import socket
import sys
import threading
from concurrent.futures import ThreadPoolExecutor

import msgspec

import a2a_cloud
from a2a_cloud.agent.session import Lines, Session, short_trace
from a2a_cloud.agent.skill import Declared, find_entry, load
from a2a_cloud.wire.worker import (
    PROTOCOL,
    BadFrame,
    Broken,
    Frames,
    Hello,
    Ready,
    ToRuntime,
    decode_from_runtime,
    encode,
)

_PR_SET_PDEATHSIG = 1
#: Virtual memory beyond the agent's own limit that interpreter and threads need.
_OVERHEAD = 256 << 20


def main() -> None:
    """Connect, load the agent, serve."""
    fd = os.environ.pop("A2A_WORKER_FD", "")
    parent = os.environ.pop("A2A_WORKER_PARENT", "")
    if not fd.isdigit() or not parent.isdigit():
        sys.exit("This program is started by a2a cloud. To serve an agent run: a2a up FOLDER")
    _die_with_parent(int(parent))
    connection = socket.socket(fileno=int(fd))
    connection.set_inheritable(False)
    frames = Frames()
    hello = _hello(connection, frames)
    _limit(hello)
    sys.dont_write_bytecode = True
    try:
        declared = load(find_entry(hello.entry, hello.folder))
        ready = _ready(declared)
    except BaseException as error:
        detail = f"{type(error).__name__}: {error}".strip().splitlines()[0]
        _send(connection, Broken(detail, short_trace(error, hello.folder)))
        sys.exit(1)
    asyncio.run(_serve(connection, frames, declared, ready, hello))


async def _serve(
    connection: socket.socket, frames: Frames, declared: Declared, ready: Ready, hello: Hello
) -> None:
    loop = asyncio.get_running_loop()
    # Parked sync runs keep their threads, so there may be many more of them than slots.
    loop.set_default_executor(ThreadPoolExecutor(max_workers=max(64, hello.concurrency * 8)))
    connection.setblocking(False)
    session = Session(loop, declared, frames)
    sys.stdout = Lines(session, "stdout")
    sys.stderr = Lines(session, "stderr")
    await loop.create_unix_connection(lambda: session, sock=connection)
    session.send(ready)
    await session.closed
    # Skills that still run belong to nobody now; waiting for their threads would keep them acting.
    os._exit(0)


def _ready(declared: Declared) -> Ready:
    skills = msgspec.json.encode([one.spec() for one in declared.skills.values()])
    return Ready(PROTOCOL, a2a_cloud.__version__, os.getpid(), skills, declared.message is not None)


def _hello(connection: socket.socket, frames: Frames) -> Hello:
    while True:
        data = connection.recv(65536)
        if not data:
            sys.exit("The runtime went away before it said hello.")
        for body in frames.feed(data):
            try:
                frame = decode_from_runtime(body)
            except BadFrame as error:
                sys.exit(f"The runtime's hello is not readable: {error}")
            if not isinstance(frame, Hello) or frame.protocol != PROTOCOL:
                _send(connection, Broken(f"This kit speaks worker protocol {PROTOCOL}."))
                sys.exit(1)
            return frame


def _send(connection: socket.socket, frame: ToRuntime) -> None:
    with contextlib.suppress(OSError):
        connection.sendall(encode(frame))


def _die_with_parent(parent: int) -> None:
    with contextlib.suppress(OSError, AttributeError):
        ctypes.CDLL(None, use_errno=True).prctl(_PR_SET_PDEATHSIG, signal.SIGKILL, 0, 0, 0)
    if os.getppid() != parent:  # It died before the signal was asked for.
        os._exit(1)


def _limit(hello: Hello) -> None:
    threading.stack_size(1 << 20)
    _set(resource.RLIMIT_CORE, 0)
    _set(resource.RLIMIT_NOFILE, hello.open_files)
    _set(resource.RLIMIT_FSIZE, 1 << 30)
    if hello.memory:
        _set(resource.RLIMIT_DATA, hello.memory + _OVERHEAD)


def _set(which: int, value: int) -> None:
    _, hard = resource.getrlimit(which)
    if hard != resource.RLIM_INFINITY:
        value = min(value, hard)
    resource.setrlimit(which, (value, value))


if __name__ == "__main__":
    main()
