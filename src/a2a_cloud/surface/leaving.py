"""A client that hangs up before its answer is whole: nothing tells of it but a look at the request."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncGenerator
from contextlib import asynccontextmanager

from a2a_cloud.surface.request import Request


@asynccontextmanager
async def leaving(request: Request) -> AsyncGenerator[asyncio.Future[None]]:
    """Gives what is done once the client is gone, for a request whose body was read."""

    async def gone() -> None:
        while (await request.receive())["type"] != "http.disconnect":
            pass

    task = asyncio.create_task(gone())
    try:
        yield task
    finally:
        task.cancel()
        await asyncio.wait((task,))
