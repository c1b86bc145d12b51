"""The worker process: `python -m a2a_cloud.agent.main`, started by the runtime, never by hand.

Speaks docs/worker-protocol.md on the descriptor that A2A_WORKER_FD names. Limits are set before a
line of the agent's code runs, and the process dies with its parent and with its socket.
"""

from __future__ import annotations

import asyncio
import contextlib
import ctypes
import gc
import os
import re
import resource
import signal
import socket
import sys
import threading
import warnings
from concurrent.futures import ThreadPoolExecutor
from typing import TextIO

import msgspec

import a2a_cloud
from a2a_cloud.agent.lines import Lines, Outlet
from a2a_cloud.agent.session import Session
from a2a_cloud.agent.skill import Declared, find_entry, load
from a2a_cloud.agent.trace import author_trace
from a2a_cloud.agent.values import clean
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
_FORGOTTEN = re.compile(r"coroutine '(Context|State)\._(\w+)' was never awaited")
#: Memory beyond the agent's own limit that the interpreter needs.
_OVERHEAD = 256 << 20
#: Bytes of a thread's stack; each counts in full, used or not.
_STACK = 1 << 20
#: Where agent code in a network of its own finds the way out.
_PROXY_PORT = 3128
_PROXY_VARIABLES = ("HTTP_PROXY", "HTTPS_PROXY", "http_proxy", "https_proxy")


def main() -> None:
    """Connect, load the agent, serve."""
    fd = os.environ.pop("A2A_WORKER_FD", "")
    parent = os.environ.pop("A2A_WORKER_PARENT", "")
    egress = os.environ.pop("A2A_EGRESS_FD", "")
    if not fd.isdigit() or not parent.isdigit():
        sys.exit("This program is started by a2a cloud. To serve an agent run: a2a up FOLDER")
    _die_with_parent(int(parent))
    connection = socket.socket(fileno=int(fd))
    connection.set_inheritable(False)
    frames = Frames()
    hello = _hello(connection, frames)
    _limit(hello)
    if egress.isdigit():
        _open_egress(int(egress))
    sys.dont_write_bytecode = True
    outlet = Outlet()
    streams = Lines(outlet, "stdout", sys.stdout), Lines(outlet, "stderr", sys.stderr)
    sys.stdout, sys.stderr = streams
    _explain_forgotten_awaits()
    try:
        declared = load(find_entry(hello.entry, hello.folder))
        ready = _ready(declared)
    except BaseException as error:
        detail = clean(f"{type(error).__name__}: {error}".strip())
        trace = clean("\n".join(author_trace(error)))
        _send(connection, Broken(detail.splitlines()[0][:2000], trace[:65536]))
        sys.exit(1)
    gc.freeze()  # What the agent consists of stays: no collection has to look at it.
    asyncio.run(_serve(connection, frames, declared, ready, hello, outlet, streams))


async def _serve(
    connection: socket.socket,
    frames: Frames,
    declared: Declared,
    ready: Ready,
    hello: Hello,
    outlet: Outlet,
    streams: tuple[Lines, Lines],
) -> None:
    loop = asyncio.get_running_loop()
    threads = ThreadPoolExecutor(max_workers=_threads(hello), thread_name_prefix="skill")

    def ended(run: int) -> None:
        for stream in streams:
            stream.end(run)

    connection.setblocking(False)
    session = Session(loop, declared, frames, threads, ended)
    outlet.connect(session.send, lambda: session.waiting, hello.log_bytes)
    await loop.create_unix_connection(lambda: session, sock=connection)
    session.send(ready)
    await session.closed
    # Skills that still run belong to nobody now; waiting for their threads would keep them acting.
    os._exit(0)


def _threads(hello: Hello) -> int:
    """Sync runs that wait for an answer keep their threads, so there may be many more than slots."""
    return max(256, hello.concurrency * 4)


def _explain_forgotten_awaits() -> None:
    """Say in the author's words that `ctx.text(…)` without `await` does nothing."""
    show = warnings.showwarning

    def say(
        message: Warning | str,
        category: type[Warning],
        filename: str,
        lineno: int,
        file: TextIO | None = None,
        line: str | None = None,
    ) -> None:
        found = _FORGOTTEN.match(str(message))
        if found is None:
            show(message, category, filename, lineno, file, line)
            return
        name = f"ctx.{'state.' if found[1] == 'State' else ''}{found[2]}"
        print(
            f"{filename}:{lineno}: {name}(…) was not awaited, so it did nothing: write `await {name}(…)`.",
            file=sys.stderr,
        )

    warnings.filterwarnings("always", message="coroutine '", category=RuntimeWarning)
    warnings.showwarning = say


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
    threading.stack_size(_STACK)
    _set(resource.RLIMIT_CORE, 0)
    _set(resource.RLIMIT_NOFILE, hello.open_files)
    _set(resource.RLIMIT_FSIZE, 1 << 30)
    if hello.memory:
        _set(resource.RLIMIT_DATA, hello.memory + _OVERHEAD + _threads(hello) * _STACK)


def _open_egress(fd: int) -> None:
    """Hand the runtime a listener: what connects to it comes from this agent, whoever made the connection.

    Without one the variables name a proxy that is not there: in a network of its own nothing else leads
    out, and elsewhere nothing is to go out unseen either.
    """
    port = _PROXY_PORT
    with socket.socket(fileno=fd) as out, contextlib.suppress(OSError), socket.socket() as listener:
        try:
            listener.bind(("127.0.0.1", port))
        except OSError:  # The machine's own network: somebody has it already.
            listener.bind(("127.0.0.1", 0))
        port = listener.getsockname()[1]
        listener.listen(128)
        socket.send_fds(out, [b"l"], [listener.fileno()])
    os.environ.update(dict.fromkeys(_PROXY_VARIABLES, f"http://127.0.0.1:{port}"))
    os.environ["NO_PROXY"] = os.environ["no_proxy"] = ""


def _set(which: int, value: int) -> None:
    _, hard = resource.getrlimit(which)
    if hard != resource.RLIM_INFINITY:
        value = min(value, hard)
    resource.setrlimit(which, (value, value))


if __name__ == "__main__":
    main()
