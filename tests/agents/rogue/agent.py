"""An agent that does what an agent should not do: crash, flood, break the protocol, not stop."""

from __future__ import annotations

import asyncio
import ctypes
import gc
import os
import signal
import subprocess
import sys
import time
from pathlib import Path
from typing import Any, Literal

import msgspec

from a2a_cloud import Context, skill
from a2a_cloud.agent.session import Session
from a2a_cloud.wire import worker as wire


def session() -> Session:
    """The kit's connection, which any code in the process can find."""
    return next(one for one in gc.get_objects() if type(one) is Session)


def raw(data: bytes) -> None:
    """Bytes on the worker's socket, past the kit."""
    transport: Any = session()._transport  # pyright: ignore[reportPrivateUsage]
    transport.write(data)


def number(ctx: Context) -> int:
    """The run's number on the wire."""
    return ctx._execution.run  # pyright: ignore[reportPrivateUsage]


# --- what still works -------------------------------------------------------------------------------


@skill
async def pid() -> int:
    """Which process answers."""
    return os.getpid()


@skill
async def hold(ctx: Context, gate: str) -> int:
    """Wait for the file `gate`."""
    ctx.progress("holding")
    while not Path(gate).exists():  # noqa: ASYNC110, ASYNC240
        await asyncio.sleep(0.01)
    return os.getpid()


@skill
async def look() -> dict[str, Any]:
    """The environment and the limits."""
    import resource

    names = ("RLIMIT_NOFILE", "RLIMIT_DATA", "RLIMIT_CORE", "RLIMIT_FSIZE")
    return {
        "environ": dict(os.environ),
        "limits": {name: resource.getrlimit(getattr(resource, name))[0] for name in names},
        "early": EARLY,
        "group": os.getpgid(0),
        "session": os.getsid(0),
        "pid": os.getpid(),
    }


def _early() -> int:
    import resource

    return resource.getrlimit(resource.RLIMIT_NOFILE)[0]


EARLY = _early()
signal.signal(signal.SIGTERM, signal.SIG_IGN)


# --- does not stop ----------------------------------------------------------------------------------


@skill(timeout=0.3)
async def slow() -> str:
    """Take too long, and stop when told to."""
    await asyncio.sleep(60)
    return "never"


@skill(timeout=0.3)
async def deaf() -> str:
    """Take too long, and not stop when told to."""
    while True:
        try:
            await asyncio.sleep(60)
        except asyncio.CancelledError:
            continue


@skill(timeout=0.3)
def stuck() -> str:
    """Take too long in a thread."""
    time.sleep(60)
    return "never"


@skill(timeout=0.3)
def obedient(ctx: Context) -> str:
    """Take too long in a thread, and look."""
    while not ctx.cancelled:
        time.sleep(0.01)
    return "stopped"


# --- crashes ----------------------------------------------------------------------------------------


@skill
async def crash(
    how: Literal["exit", "segv", "memory", "memory_thread", "recursion", "sysexit", "kill"],
) -> str:
    """End badly."""
    match how:
        case "exit":
            os._exit(3)
        case "segv":
            ctypes.string_at(0)
        case "memory":
            return str(len(b"x" * (4 << 30)))
        case "memory_thread":
            return str(len(await asyncio.to_thread(lambda: [bytes(1 << 20) for _ in range(4096)])))
        case "recursion":
            return _deeper(0)
        case "sysexit":
            sys.exit(4)
        case "kill":
            os.kill(os.getpid(), signal.SIGKILL)
    return how


def _deeper(depth: int) -> str:
    return _deeper(depth + 1) + "!"


@skill
async def files() -> int:
    """Open files until it is refused."""
    opened = []
    try:
        while True:
            opened.append(open("/dev/null"))  # noqa: SIM115, ASYNC230
    except OSError:
        return len(opened)
    finally:
        for one in opened:
            one.close()


# --- floods -----------------------------------------------------------------------------------------


@skill
async def flood(ctx: Context, what: str, count: int) -> int:
    """Put out too much."""
    match what:
        case "print":
            line = "x" * 99
            for _ in range(count):
                print(line)
        case "descriptor":
            block = (b"y" * 99 + b"\n") * 1000
            for _ in range(count // 1000):
                os.write(1, block)
        case "endless line":
            for _ in range(count // 65536):
                os.write(2, b"z" * 65536)
        case "log":
            for _ in range(count):
                ctx.log("x" * 99)
        case "progress":
            for n in range(count):
                ctx.progress("stage", None, f"{n}")
                if n % 100 == 0:
                    await asyncio.sleep(0)
        case "text":
            for _ in range(count):
                await ctx.text("t" * 1024)
        case "raw text":
            frame = wire.encode(wire.Text(number(ctx), "t" * 65536))
            for _ in range(count):
                raw(frame)
                await asyncio.sleep(0)
        case "raw log":
            frames = wire.encode(wire.Log(0, "error", "platform", "forged " + "l" * 90)) * 1000
            for _ in range(count // 1000):
                raw(frames)
                await asyncio.sleep(0)
        case "raw stray":
            frames = wire.encode(wire.Text(number(ctx) + 1000, "stray")) * 1000
            for _ in range(count // 1000):
                raw(frames)
                await asyncio.sleep(0)
        case _:
            raise ValueError(what)
    return count


@skill(timeout=0.5)
async def unread(ctx: Context) -> str:
    """Read nothing more from the socket."""
    transport: Any = session()._transport  # pyright: ignore[reportPrivateUsage]
    transport.pause_reading()
    await asyncio.sleep(60)
    return "never"


@skill
async def hog(gate: str) -> str:
    """Read nothing until `gate` exists, and keep the thread that would."""
    while not Path(gate).exists():  # noqa: ASYNC240
        time.sleep(0.01)  # noqa: ASYNC251
    return "read"


# --- nonsense ---------------------------------------------------------------------------------------

SHA = "0" * 64


@skill
async def say(ctx: Context, what: str, other: int = 0) -> Any:
    """Send what the protocol does not allow, then go on as if nothing had been."""
    run = number(ctx)
    artifact = msgspec.json.encode(
        {"artifactId": "a", "parts": [{"object": {"sha256": SHA, "size": 3}, "mediaType": "text/plain"}]}
    )
    saying: dict[str, list[Any]] = {
        "bad msgpack": [b"\x00\x00\x00\x03\xc1\xc1\xc1"],
        "not a frame": [_framed({"hello": 1})],
        "unknown tag": [_framed(["nonsense", run])],
        "wrong types": [_framed(["text", "one", 2])],
        "too few": [_framed(["text"])],
        "oversized": [(wire.MAX_FRAME + 1).to_bytes(4, "big")],
        "large text": [wire.Text(run, "x" * (wire.VALUE_LIMIT + 1))],
        "bad utf-8": [b"\x00\x00\x00\x0a\x93\xa4text\x01\xa2\xff\xfe"],
        "foreign run": [
            wire.Text(other or run + 1, "stolen"),
            wire.Effect(other or run + 1, 7, "set", "k", b"1", b'{"value":1}'),
            wire.Result(other or run + 1, "ok", b'"stolen"'),
            wire.Cancel(run, "shutdown"),  # A runtime's frame: no worker may send it.
        ][: 3 if what == "foreign run" else 4],
        "runtime's frame": [wire.Cancel(run, "shutdown")],
        "done": [wire.Done(run, 4711, b"1")],
        "done of ask": [wire.Effect(run, 91, "ask", "", b"q", b'{"question":"?"}'), wire.Done(run, 91, b"1")],
        "unknown effect": [wire.Effect(run, 92, "format_disk", "")],
        "large effect": [wire.Effect(run, 93, "get", "", b"x" * (wire.VALUE_LIMIT + 1))],
        "bad input": [wire.Effect(run, 94, "ask", "", b"q", b'{"question":')],
        "bad usage": [wire.Usage(run, "tokens", "1e5", "")],
        "no usage": [wire.Usage(run, "", "1", "")],
        "artifact": [wire.Made(run, artifact, False, True)],
        "bad artifact": [wire.Made(run, b'{"artifactId":', False, True)],
        "artifact shape": [wire.Made(run, b'{"artifactId":7}', False, True)],
        "path": [wire.Read(run, 95, "../../../../etc/passwd", 0, 100)],
        "ready again": [wire.Ready(1, "kit", 1, b"[]", False)],
        "result twice": [wire.Result(run, "ok", b'"first"'), wire.Result(run, "ok", b'"second"')],
        "status": [wire.Result(run, "triumphant", b"1")],
        "bad json": [wire.Result(run, "ok", b'{"a":')],
        "deep json": [wire.Result(run, "ok", b"[" * 100_000 + b"]" * 100_000)],
        "bad reply": [wire.Result(run, "reply", b'{"parts":7}')],
        "large result": [wire.Result(run, "ok", b'"' + b"x" * wire.RESULT_LIMIT + b'"')],
        "code": [wire.Result(run, "failed", b"null", wire.Trouble("internal", "mine", "x" * 9000))],
        "uploads": [wire.Put(run, 1000 + n, b"x", False) for n in range(200)],
        "whole uploads": [wire.Put(run, 1000 + n, b"%d" % n, True) for n in range(200)],
        "past the last": [wire.Put(run, 1000, b"x", True), wire.Put(run, 1000, b"y", False)],
        "reads": [wire.Read(run, 1000 + n, SHA, 0, 1) for n in range(wire.MAX_READS + 1)],
        "large chunk": [wire.Put(run, 96, b"x" * (wire.CHUNK + 1), True)],
        "surrogate": [],
    }
    if what == "path":
        future: asyncio.Future[Any] = asyncio.get_running_loop().create_future()
        ctx._execution._waiting[95] = future  # pyright: ignore[reportPrivateUsage]
        raw(wire.encode(saying[what][0]))
        data = await future
        return data.trouble.code if data.trouble else data.data.decode()
    if what == "surrogate":
        print("half \ud800 pair")
        ctx.log("half \ud800 pair")
        ctx.progress("half \ud800 pair")
        await ctx.text("half \ud800 pair")
        return "half"
    for one in saying[what]:
        raw(one if isinstance(one, bytes) else wire.encode(one))
    await asyncio.sleep(0.2)
    return "went on"


def _framed(value: Any) -> bytes:
    body = msgspec.msgpack.encode(value)
    return len(body).to_bytes(4, "big") + body


# --- children ---------------------------------------------------------------------------------------


@skill
def breed(how: Literal["child", "deaf", "daemon"], count: int = 1) -> list[int]:
    """Start processes that outlive the call."""
    made = []
    for _ in range(count):
        if how == "child":
            made.append(subprocess.Popen(["sleep", "300"]).pid)
        elif how == "deaf":
            script = "trap '' TERM HUP INT; while :; do sleep 1; done"
            made.append(subprocess.Popen(["sh", "-c", script]).pid)
        else:
            script = "setsid sleep 300 >/dev/null 2>&1 & echo $!"
            made.append(int(subprocess.check_output(["sh", "-c", script])))
    return made
