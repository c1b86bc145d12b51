"""A receiver of push notifications on this machine, for as long as a case needs one."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncGenerator, Mapping
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from typing import Any

from a2a_cloud.callers.conformance.speakers import LARGEST
from a2a_cloud.client.shapes import obj


@dataclass
class Received:
    """A notification: its headers, names in lower case, and its body."""

    headers: Mapping[str, str]
    body: dict[str, Any]


@dataclass
class Receiver:
    """What came so far; `url` is where it listens."""

    url: str = ""
    got: list[Received] = field(default_factory=list[Received])
    _more: asyncio.Event = field(default_factory=asyncio.Event)

    def take(self, one: Received) -> None:
        """A notification came."""
        self.got.append(one)
        self._more.set()

    async def until(self, kind: str, state: str, seconds: float) -> bool:
        """Whether a notification with that status came within that time."""
        try:
            async with asyncio.timeout(seconds):
                while not any(_state(one.body) == (kind, state) for one in self.got):
                    self._more.clear()
                    await self._more.wait()
        except TimeoutError:
            return False
        return True


def _state(body: dict[str, Any]) -> tuple[str, str]:
    for kind in ("statusUpdate", "task"):
        state = str(obj(obj(body.get(kind)).get("status")).get("state", ""))
        if state:
            return "status", state.removeprefix("TASK_STATE_")
    return "", ""


@asynccontextmanager
async def receiver(host: str) -> AsyncGenerator[Receiver]:
    """A receiver at a free port of `host`."""
    from aiohttp import web

    found = Receiver()

    async def take(request: web.Request) -> web.Response:
        body = obj(await request.json())
        found.take(Received({name.lower(): value for name, value in request.headers.items()}, body))
        return web.Response(status=204)

    app = web.Application(client_max_size=LARGEST)
    app.router.add_post("/push", take)
    runner = web.AppRunner(app, access_log=None)
    await runner.setup()
    try:
        site = web.TCPSite(runner, host, 0)
        await site.start()
        port = runner.addresses[0][1]
        found.url = f"http://{host}:{port}/push"
        yield found
    finally:
        await runner.cleanup()
