"""A server that lies: it hands everything on to a real agent, and changes what is asked or answered.

The card that it gives names it for JSON-RPC, and the real agent for all else.
"""

from __future__ import annotations

import asyncio
import json
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import Any

import aiohttp
from aiohttp import web

Json = dict[str, Any]


@dataclass
class Lie:
    """What is changed: the request's headers and JSON, the answer's JSON, the list of a stream's events, the
    card, the card's headers."""

    headers: Callable[[dict[str, str]], None] | None = None
    asked: Callable[[Json], None] | None = None
    said: Callable[[Json], None] | None = None
    events: Callable[[list[Json]], list[Json]] | None = None
    card: Callable[[Json], None] | None = None
    card_headers: Callable[[dict[str, str]], None] | None = None


@dataclass
class Liar:
    """Where it listens, and the lie that it tells now."""

    url: str = ""
    lie: Lie = field(default_factory=Lie)


@contextmanager
def liar(agent: str) -> Iterator[Liar]:
    """A liar before the agent at this address, in a thread of its own."""
    found, ready, loop = Liar(), threading.Event(), asyncio.new_event_loop()
    stop = asyncio.Event()

    async def serve() -> None:
        async with aiohttp.ClientSession(auto_decompress=True) as session:

            async def handle(request: web.Request) -> web.Response:
                return await _handed_on(session, agent, found, request)

            app = web.Application()
            app.router.add_route("*", "/{path:.*}", handle)
            runner = web.AppRunner(app, access_log=None)
            await runner.setup()
            await web.TCPSite(runner, "127.0.0.1", 0).start()
            found.url = f"http://127.0.0.1:{runner.addresses[0][1]}"
            ready.set()
            await stop.wait()
            await runner.cleanup()

    thread = threading.Thread(target=loop.run_until_complete, args=(serve(),))
    thread.start()
    assert ready.wait(10)
    try:
        yield found
    finally:
        loop.call_soon_threadsafe(stop.set)
        thread.join(10)
        loop.close()


async def _handed_on(
    session: aiohttp.ClientSession, agent: str, found: Liar, request: web.Request
) -> web.Response:
    lie = found.lie
    headers = {
        name: value
        for name, value in request.headers.items()
        if name.lower() not in ("host", "content-length", "accept-encoding")
    }
    if lie.headers is not None:
        lie.headers(headers)
    body = await request.read()
    if body and lie.asked is not None:
        asked = json.loads(body)
        lie.asked(asked)
        body = json.dumps(asked).encode()
    path = "" if request.path == "/" else request.path
    async with session.request(request.method, agent + path, data=body or None, headers=headers) as got:
        answer = await got.read()
        back = {"Content-Type": got.headers.get("Content-Type", "")}
        if got.content_type == "text/event-stream":
            return web.Response(body=_events(answer, lie), headers=back, status=got.status)
        if path.startswith("/.well-known/"):
            back |= {name: got.headers[name] for name in ("ETag", "Cache-Control") if name in got.headers}
            if lie.card_headers is not None:
                lie.card_headers(back)
            return web.Response(body=_card(answer, found) if answer else b"", headers=back, status=got.status)
        if lie.said is not None and answer:
            said = json.loads(answer)
            lie.said(said)
            answer = json.dumps(said).encode()
        return web.Response(body=answer, headers=back, status=got.status)


def _card(answer: bytes, found: Liar) -> bytes:
    card = json.loads(answer)
    if "supportedInterfaces" in card:
        for one in card["supportedInterfaces"]:
            if one["protocolBinding"] == "JSONRPC":
                one["url"] = found.url
        if found.lie.card is not None:
            found.lie.card(card)
    return json.dumps(card).encode()


def _events(answer: bytes, lie: Lie) -> bytes:
    lines = [line for line in answer.splitlines() if line.startswith(b"data:")]
    events = [json.loads(line.removeprefix(b"data:")) for line in lines]
    if lie.events is not None:
        events = lie.events(events)
    return b"".join(b"data: " + json.dumps(event).encode() + b"\n\n" for event in events)
