"""The socket of `a2a witness`: `POST /add-checkpoint` of c2sp.org/tlog-witness, as a bare ASGI application.

It is a program of its own beside the platform; nothing else is served there.
"""

from __future__ import annotations

import asyncio
import logging
import sqlite3
from collections.abc import Awaitable, Callable, MutableMapping
from typing import Any

from a2a_cloud.ops.witness import MAX_REQUEST, TEXT, Answer, Witness

log = logging.getLogger(__name__)

#: Seconds that a request may take to arrive.
ARRIVAL = 15.0
PATH = "/add-checkpoint"

Message = MutableMapping[str, Any]
Receive = Callable[[], Awaitable[Message]]
Send = Callable[[Message], Awaitable[None]]


class WitnessApp:
    """Answers what `witness` decides."""

    def __init__(self, witness: Witness) -> None:
        self._witness = witness

    async def __call__(self, scope: Message, receive: Receive, send: Send) -> None:
        """The ASGI application (HTTP alone)."""
        answer = await self._answer(scope, receive)
        if answer.told:
            log.warning("%s", answer.told)
        headers = [
            (b"content-type", answer.kind.encode()),
            (b"content-length", str(len(answer.body)).encode()),
            (b"cache-control", b"no-store"),
        ]
        if answer.status == 405:
            headers.append((b"allow", b"POST"))
        await send({"type": "http.response.start", "status": answer.status, "headers": headers})
        await send({"type": "http.response.body", "body": answer.body})

    async def _answer(self, scope: Message, receive: Receive) -> Answer:
        if scope["path"] != PATH:
            return Answer(404, b"A witness answers POST /add-checkpoint alone.\n")
        if scope["method"] != "POST":
            return Answer(405, b"A witness answers POST /add-checkpoint alone.\n")
        try:
            async with asyncio.timeout(ARRIVAL):
                body = await _body(receive)
        except TimeoutError:
            return Answer(408, b"The request did not arrive in time.\n")
        if body is None:
            return Answer(413, f"A request has at most {MAX_REQUEST >> 10} KiB.\n".encode())
        try:
            return self._witness.add_checkpoint(body)
        except sqlite3.Error as error:
            return Answer(503, b"The witness's memory failed it.\n", TEXT, f"memory: {error}")


async def _body(receive: Receive) -> bytes | None:
    """The request's body; None when it is too long. What was cut off is no request of anybody's."""
    parts: list[bytes] = []
    length = 0
    while True:
        message = await receive()
        if message["type"] != "http.request":
            return b""
        part = message.get("body", b"")
        length += len(part)
        if length > MAX_REQUEST:
            return None
        parts.append(part)
        if not message.get("more_body"):
            return b"".join(parts)
