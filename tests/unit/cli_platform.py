"""A small HTTP server that plays the platform for the command line: it says what a test wants said."""

from __future__ import annotations

import asyncio
import json
import threading
from collections.abc import Awaitable, Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import Any

from aiohttp import web

Answer = Callable[[web.Request], Awaitable[web.StreamResponse]]


@dataclass
class Asked:
    """A request that came: its body is counted, and kept when it is small."""

    method: str
    path: str
    query: dict[str, str]
    headers: dict[str, str]
    body: bytes
    size: int


@dataclass
class Played:
    """The server's address, what it was asked, and what it answers by (method, path)."""

    url: str = ""
    asked: list[Asked] = field(default_factory=list)
    answers: dict[tuple[str, str], Answer] = field(default_factory=dict)

    def json(self, method: str, path: str, value: Any, status: int = 200, **headers: str) -> None:
        """Answer with JSON (a problem when the status says so)."""
        kind = "application/problem+json" if status >= 400 else "application/json"
        names = {name.replace("_", "-"): text for name, text in headers.items()}

        async def answer(_request: web.Request) -> web.StreamResponse:
            return web.Response(
                body=json.dumps(value).encode(), status=status, content_type=kind, headers=names
            )

        self.answers[method, path] = answer

    def stream(self, method: str, path: str, *streams: list[tuple[str, str, Any]], cut: bool = False) -> None:
        """Answer with events, (id, kind, data); the first stream for the first request, and so on.

        `cut`: every stream but the last breaks in the middle of a chunk.
        """
        left = list(streams)

        async def answer(request: web.Request) -> web.StreamResponse:
            events = left.pop(0) if len(left) > 1 else left[0]
            response = web.StreamResponse(headers={"Content-Type": "text/event-stream", "A2A-Run": "run_1"})
            response.headers["A2A-Task"] = "task_1"
            await response.prepare(request)
            for ident, kind, data in events:
                line = f"id: {ident}\n" if ident else ""
                await response.write(f"{line}event: {kind}\ndata: {json.dumps(data)}\n\n".encode())
            if cut and left[0] is not events and request.transport is not None:
                request.transport.abort()
            return response

        self.answers[method, path] = answer

    def last(self, method: str, path: str) -> Asked:
        """The last request of that method and path."""
        return next(a for a in reversed(self.asked) if (a.method, a.path) == (method, path))


@contextmanager
def playing() -> Iterator[Played]:
    """A server on a free port of this machine, in a thread."""
    played = Played()
    loop = asyncio.new_event_loop()
    ready = threading.Event()
    stop = asyncio.Event()

    async def front(request: web.Request) -> web.StreamResponse:
        body, size = b"", 0
        async for piece in request.content.iter_any():
            size += len(piece)
            body = body + piece if size < 1 << 20 else b""
        played.asked.append(
            Asked(request.method, request.path, dict(request.query), dict(request.headers), body, size)
        )
        answer = played.answers.get((request.method, request.path))
        if answer is None:
            problem = {"code": "not_found", "detail": f"Nobody plays {request.method} {request.path}."}
            return web.Response(
                body=json.dumps(problem).encode(), status=404, content_type="application/problem+json"
            )
        return await answer(request)

    async def serve() -> None:
        runner = web.ServerRunner(web.Server(front))
        await runner.setup()
        site = web.TCPSite(runner, "127.0.0.1", 0)
        await site.start()
        port = runner.addresses[0][1]
        played.url = f"http://127.0.0.1:{port}"
        ready.set()
        await stop.wait()
        await runner.cleanup()

    def run() -> None:
        loop.run_until_complete(serve())
        loop.close()

    thread = threading.Thread(target=run, daemon=True)
    thread.start()
    assert ready.wait(10)
    try:
        yield played
    finally:
        loop.call_soon_threadsafe(stop.set)
        thread.join(10)


def status(state: str, ident: str = "", **more: Any) -> tuple[str, str, Any]:
    """A status event of run_1."""
    return (
        ident,
        "status",
        {"run_id": "run_1", "task_id": "task_1", "context_id": "ctx_1", "state": state, **more},
    )
