"""Answers that are sent as they are made, piece by piece."""

from __future__ import annotations

from collections.abc import AsyncGenerator
from contextlib import aclosing

from a2a_cloud.surface.request import Headers, Request


async def send_pieces(
    request: Request, headers: Headers, pieces: AsyncGenerator[bytes], *, status: int = 200
) -> None:
    """The first piece before the head: what is wrong from the beginning is a problem of its own. One that
    `pieces` raises later cuts the answer off. It is closed here, also when the client leaves."""
    async with aclosing(pieces):
        first = await anext(pieces, b"")
        request.started, request.status = True, status
        await request.send({"type": "http.response.start", "status": status, "headers": headers})
        if first:
            await request.send({"type": "http.response.body", "body": first, "more_body": True})
        async for piece in pieces:
            await request.send({"type": "http.response.body", "body": piece, "more_body": True})
    await request.send({"type": "http.response.body", "body": b""})


async def no_pieces() -> AsyncGenerator[bytes]:
    """An answer without a body."""
    return
    yield b""
