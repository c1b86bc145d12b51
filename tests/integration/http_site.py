"""A small application on a real server, and a client that speaks raw bytes: for the HTTP tests."""

from __future__ import annotations

import asyncio
import contextlib
import json
import re
from asyncio import StreamReader as Reader
from asyncio import StreamWriter as Writer
from collections.abc import Callable, Coroutine
from dataclasses import dataclass, field
from typing import Any

import pytest
import uvloop

from a2a_cloud.settings import HttpLimits
from a2a_cloud.surface.serve import Serving

SHORT = HttpLimits(
    head_seconds=0.3, idle_seconds=0.6, body_idle_seconds=0.3, write_idle_seconds=0.3, linger_seconds=0.3
)
PATIENT = HttpLimits(linger_seconds=5)  # where time is not what is tested
HOST = b"Host: localhost\r\n"
GET = b"GET /hello HTTP/1.1\r\n" + HOST + b"\r\n"


class StoppedClock:
    """A clock that stands still: the Date field is then known."""

    def now(self) -> float:
        return 1_700_000_000.0

    def monotonic(self) -> float:
        return 0.0


@dataclass
class App:
    """A small application that answers by path and tells what it saw."""

    release: asyncio.Event = field(default_factory=asyncio.Event)
    began: asyncio.Event = field(default_factory=asyncio.Event)
    gone: asyncio.Event = field(default_factory=asyncio.Event)
    seen: list[str] = field(default_factory=list[str])
    largest: int = 0

    async def __call__(self, scope: Any, receive: Any, send: Any) -> None:
        path = scope["path"]
        self.seen.append(f"{scope['method']} {path}")
        match path:
            case "/hello":
                await answer(send, b"hello")
            case "/echo":
                body = b""
                while True:
                    message = await receive()
                    if message["type"] == "http.disconnect":
                        self.gone.set()
                        return
                    body += message["body"]
                    if not message["more_body"]:
                        break
                await answer(send, body, (b"content-type", scope["headers"][0][1]))
            case "/count":
                size = 0
                while True:
                    message = await receive()
                    self.largest = max(self.largest, len(message["body"]))
                    size += len(message["body"])
                    if not message["more_body"]:
                        break
                await answer(send, str(size).encode())
            case "/slow":
                self.began.set()
                await self.release.wait()
                await answer(send, b"slow")
            case "/stream":
                await send(start())
                self.began.set()
                for n in range(3):
                    step = send(
                        {"type": "http.response.body", "body": b"data: %d\n\n" % n, "more_body": True}
                    )
                    with pytest.raises(StopIteration):  # written at once: nobody waits
                        step.send(None)
                while (await receive())["type"] != "http.disconnect":
                    pass
                await send({"type": "http.response.body", "body": b"late"})  # goes nowhere, harms nobody
                self.gone.set()
            case "/flood":
                await send(start())
                for _ in range(10_000):  # once the client is gone, these go nowhere
                    await send({"type": "http.response.body", "body": b"x" * 65_536, "more_body": True})
                self.gone.set()
            case "/early":
                await answer(send, b"no", status=403)
            case "/pieces":
                await send(start())
                await send({"type": "http.response.body", "body": b"one ", "more_body": True})
                await send({"type": "http.response.body", "body": b"y" * 20_000, "more_body": True})
                await send({"type": "http.response.body", "body": b"", "more_body": False})
            case "/broken":
                raise ValueError("the secret of the house")
            case "/half":
                await send(start((b"content-length", b"10")))
                await send({"type": "http.response.body", "body": b"12345", "more_body": True})
                raise ValueError
            case "/split":
                await answer(send, b"", (b"x", b"a\r\nset-cookie: b"))
            case _:
                await answer(send, json.dumps([path, scope["query_string"].decode()]).encode())


def start(*headers: tuple[bytes, bytes], status: int = 200) -> dict[str, Any]:
    return {"type": "http.response.start", "status": status, "headers": list(headers)}


async def answer(send: Any, body: bytes, *headers: tuple[bytes, bytes], status: int = 200) -> None:
    await send(start((b"content-length", b"%d" % len(body)), *headers, status=status))
    await send({"type": "http.response.body", "body": body})


@dataclass
class Site:
    """A running server and its application."""

    serving: Serving
    app: App
    port: int

    async def connect(self) -> tuple[Reader, Writer]:
        return await asyncio.open_connection("127.0.0.1", self.port)

    async def say(self, *pieces: bytes) -> bytes:
        """All that the server answers to `pieces` until it closes; a client that reads all the time."""
        reader, writer = await self.connect()
        try:
            for piece in pieces:
                with contextlib.suppress(ConnectionError):
                    writer.write(piece)
                    await writer.drain()
            return await read_all(reader)
        finally:
            writer.close()

    async def alive(self) -> bool:
        return b"hello" in await self.say(GET.replace(b"\r\n\r\n", b"\r\nConnection: close\r\n\r\n"))


async def read_all(reader: Reader) -> bytes:
    got = b""
    with contextlib.suppress(ConnectionError):
        while piece := await reader.read(65_536):
            got += piece
    return got


async def read_answer(reader: Reader) -> tuple[int, dict[str, str], bytes]:
    """One answer with a Content-Length."""
    head = (await reader.readuntil(b"\r\n\r\n")).decode()
    lines = head.rstrip().split("\r\n")
    fields = dict(line.split(": ", 1) for line in lines[1:])
    return int(lines[0].split(" ")[1]), fields, await reader.readexactly(int(fields.get("content-length", 0)))


def problem(said: bytes) -> tuple[int, dict[str, Any]]:
    """Status and members of the problem at the end of what was said."""
    last = [found.start() for found in re.finditer(rb"HTTP/1\.1 \d{3} ", said)][-1]
    head, _, body = said[last:].partition(b"\r\n\r\n")
    fields = head.decode().split("\r\n")
    assert "content-type: application/problem+json" in fields
    assert "connection: close" in fields
    assert f"content-length: {len(body)}" in fields
    members = json.loads(body)
    assert members["status"] == int(fields[0].split(" ")[1])
    assert members["detail"]
    return members["status"], members


def with_site(
    test: Callable[[Site], Coroutine[Any, Any, None]],
    limits: HttpLimits = PATIENT,
    loop: Callable[[], asyncio.AbstractEventLoop] = uvloop.new_event_loop,
) -> None:
    """Runs `test` with a server of its own, and drains it."""

    async def main() -> None:
        app = App()
        serving = Serving(StoppedClock())
        _, port = await serving.start(app, "127.0.0.1", 0, limits)
        try:
            async with asyncio.timeout(30):
                await test(Site(serving, app, port))
        finally:
            app.release.set()
            await serving.drain(1.0)

    with asyncio.Runner(loop_factory=loop) as runner:
        runner.run(main())
