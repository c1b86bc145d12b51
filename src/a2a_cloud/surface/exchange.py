"""One request and its answer on a connection: the ASGI 3.0 `receive` and `send` (ASGI HTTP spec 2.3)
framed as HTTP/1.1 (RFC 9112, sections 6 and 7).
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Awaitable, Callable, MutableMapping
from http import HTTPStatus
from typing import Any, Protocol

from a2a_cloud.model.problem import Internal, Problem
from a2a_cloud.wire.problem_json import PROBLEM_JSON, problem_headers, problem_json

log = logging.getLogger("a2a_cloud.http")

Receive = Callable[[], Awaitable[MutableMapping[str, Any]]]
Send = Callable[[MutableMapping[str, Any]], Awaitable[None]]
App = Callable[[MutableMapping[str, Any], Receive, Send], Awaitable[None]]


def _status_line(status: int) -> bytes:
    try:
        phrase = HTTPStatus(status).phrase
    except ValueError:
        phrase = ""
    return f"HTTP/1.1 {status} {phrase}\r\n".encode()


#: Types of most answers: no line break is in them.
_CLEAN = frozenset((b"application/json", b"application/a2a+json"))
STATUS_LINES = {status: _status_line(status) for status in range(200, 600)}


def problem_answer(problem: Problem) -> tuple[int, list[tuple[bytes, bytes]], bytes]:
    """Status, header fields and body of a problem that is answered before any application (RFC 9457)."""
    content = problem_json(problem)
    headers = [
        (b"content-type", PROBLEM_JSON),
        (b"content-length", b"%d" % len(content)),
        (b"cache-control", b"no-store"),
        *problem_headers(problem),
    ]
    return problem.http, headers, content


class Connection(Protocol):
    """What an exchange needs of the connection that it is on."""

    transport: asyncio.Transport
    loop: asyncio.AbstractEventLoop
    write_paused: bool

    def date(self) -> bytes: ...
    def writable(self) -> asyncio.Future[None]: ...
    def resume_body(self) -> None: ...
    def answered(self, exchange: Exchange) -> None: ...
    def ended(self, exchange: Exchange) -> None: ...


class Exchange:
    """One request and its answer.

    `more_body`: the request's body has not fully arrived. `gone`: the client is gone, or its
    request was refused in the middle; whatever is sent from then on is dropped.
    """

    __slots__ = (
        "_chunked",
        "_chunks",
        "_held",
        "_left",
        "_waiters",
        "buffered",
        "complete",
        "connection",
        "expects",
        "gone",
        "keep_alive",
        "more_body",
        "scope",
        "started",
        "task",
    )

    def __init__(
        self, connection: Connection, scope: MutableMapping[str, Any], *, expects: bool, keep_alive: bool
    ) -> None:
        self.connection = connection
        self.scope = scope
        self.expects = expects
        self.keep_alive = keep_alive
        self.task: asyncio.Task[None] | None = None
        self.more_body = True
        self.buffered = 0
        self.started = False
        self.complete = False
        self.gone = False
        self._chunks: list[bytes] | None = None
        self._waiters: list[asyncio.Future[None]] | None = None
        self._chunked = False
        self._held = b""  # the head of the answer: it leaves with the first piece of the body, in one write
        self._left: int | None = None  # bytes still owed under Content-Length; None: no such promise

    # What the connection tells

    def feed(self, body: bytes) -> None:
        """Takes a piece of the request's body."""
        if self.complete or self.gone:
            return
        if self._chunks is None:
            self._chunks = [body]
        else:
            self._chunks.append(body)
        self.buffered += len(body)
        self._wake()

    def fed(self) -> None:
        """The request is complete."""
        self.more_body = False
        self._wake()

    def lose(self) -> None:
        """The client is gone."""
        self.gone = True
        self._wake()

    def _wake(self) -> None:
        waiters = self._waiters
        if waiters is not None:
            self._waiters = None
            for waiter in waiters:
                if not waiter.done():
                    waiter.set_result(None)

    # Running the application

    async def run(self, app: App) -> None:
        """Runs the application; whatever it raises becomes an answer or a cut connection."""
        try:
            await app(self.scope, self.receive, self.send)
            if not self.complete and not self.gone:
                raise RuntimeError("the application returned without a whole answer")
        except asyncio.CancelledError:
            self.connection.transport.abort()
            raise
        except Exception:
            log.exception("The application failed on %s %s", self.scope["method"], self.scope["path"])
            await self._fail()
        finally:
            self.task = None
            self.connection.ended(self)

    async def _fail(self) -> None:
        if self.gone or self.complete:
            return
        if self.started:
            self.connection.transport.abort()  # half an answer must not look like a whole one
            return
        status, headers, body = problem_answer(Internal(remedy="Try again; if it stays, tell the operator."))
        headers.append((b"connection", b"close"))
        await self.send({"type": "http.response.start", "status": status, "headers": headers})
        await self.send({"type": "http.response.body", "body": body})

    # ASGI

    async def receive(self) -> MutableMapping[str, Any]:
        """The next piece of the body, or `http.disconnect` once the client is gone or the answer complete."""
        connection = self.connection
        if self.expects and self.more_body and not self.started and not self._chunks:
            self.expects = False
            if not connection.transport.is_closing():
                connection.transport.write(b"HTTP/1.1 100 Continue\r\n\r\n")
        # After the last piece (buffered is -1) only a disconnect is left to be told.
        while (
            not self.gone and not self.complete and not self._chunks and (self.more_body or self.buffered < 0)
        ):
            connection.resume_body()
            waiter = connection.loop.create_future()
            if self._waiters is None:
                self._waiters = [waiter]
            else:
                self._waiters.append(waiter)
            await waiter
        if self.gone or self.complete:
            return {"type": "http.disconnect"}
        chunks, self._chunks = self._chunks, None
        self.buffered = 0 if self.more_body else -1
        body = b"" if chunks is None else chunks[0] if len(chunks) == 1 else b"".join(chunks)
        return {"type": "http.request", "body": body, "more_body": self.more_body}

    async def send(self, message: MutableMapping[str, Any]) -> None:
        """Sends the head of the answer, then pieces of its body; waits while the client reads too slowly.

        It waits before it writes and never after: `streams.py` drives it by hand and relies on that.
        Raises RuntimeError for messages out of order, or a body that differs from its Content-Length.
        """
        connection = self.connection
        if connection.write_paused and not self.gone:
            await connection.writable()
        if self.gone:
            return
        kind = message["type"]
        if not self.started:
            if kind != "http.response.start":
                raise RuntimeError(f"the answer began with {kind!r}")
            self._head(message["status"], message.get("headers", ()))
        elif self.complete:
            raise RuntimeError(f"{kind!r} after the end of the answer")
        elif kind != "http.response.body":
            raise RuntimeError(f"{kind!r} in the middle of an answer")
        else:
            body: bytes = message.get("body", b"")
            more: bool = message.get("more_body", False)
            self._body(body, more)
            if not more:
                if self._left:
                    raise RuntimeError("the body is shorter than its Content-Length")
                self.complete = True
                self._wake()
                connection.answered(self)

    def _head(self, status: int, headers: list[tuple[bytes, bytes]]) -> None:
        date = self.connection.date()
        bare = len(headers) == 2 and self.keep_alive and not self.more_body
        if bare and self._plain(status, date, headers):
            return
        parts = [STATUS_LINES[status], date]
        lines = 2 + date.count(b"\n")  # status, what comes with the date, the empty line
        left: int | None = None
        closing = False
        for name, value in headers:
            if name == b"content-length":
                left = int(value)
            elif name == b"connection":
                closing = closing or b"close" in value.lower()
                continue
            elif name == b"transfer-encoding":
                continue  # framing is ours
            parts += (name, b": ", value, b"\r\n")
            lines += 1
        if self.more_body and status >= 400:
            closing = True  # a refused body is not read to its end
        if closing:
            self.keep_alive = False
        scope = self.scope
        if scope["method"] == "HEAD" or status == 204 or status == 304:
            left = 0
        elif left is None:
            if scope["http_version"] == "1.1":
                self._chunked = True
                parts.append(b"transfer-encoding: chunked\r\n")
                lines += 1
            else:
                self.keep_alive = False  # HTTP/1.0: the end of the connection ends the body
        if not self.keep_alive:
            parts.append(b"connection: close\r\n")
            lines += 1
        parts.append(b"\r\n")
        head = b"".join(parts)
        if head.count(b"\n") != lines or head.count(b"\r") != lines or b"\0" in head:
            raise RuntimeError("a header field of the answer holds a line break or a NUL")
        self._left = left
        self.started = True
        self.expects = False
        self._held = head

    def _plain(self, status: int, date: bytes, headers: list[tuple[bytes, bytes]]) -> bool:
        """The head of most answers: a type that is known to be clean, a length, and nothing else."""
        (first, kind), (second, length) = headers
        if first != b"content-type" or second != b"content-length" or kind not in _CLEAN:
            return False
        if status == 204 or status == 304 or self.scope["method"] == "HEAD":
            return False
        left = self._left = int(length)
        self.started = True
        self.expects = False
        self._held = b"%b%bcontent-type: %b\r\ncontent-length: %d\r\n\r\n" % (
            STATUS_LINES[status],
            date,
            kind,
            left,
        )
        return True

    def _body(self, body: bytes, more: bool) -> None:
        transport = self.connection.transport
        held = self._held
        if held:
            self._held = b""
            if self._left == len(body) and self.scope["method"] != "HEAD" and len(body) < 65_536:
                self._left = 0
                transport.write(held + body)
                return
            transport.write(held)
        left = self._left
        if self._chunked:
            if body:
                end = b"\r\n" if more else b"\r\n0\r\n\r\n"
                if len(body) < 16_384:
                    transport.write(b"%x\r\n%b%b" % (len(body), body, end))
                else:
                    transport.writelines((b"%x\r\n" % len(body), body, end))
            elif not more:
                transport.write(b"0\r\n\r\n")
        elif left is None:
            if body:
                transport.write(body)
        elif left == 0 and (self.scope["method"] == "HEAD" or not body):
            return
        elif len(body) > left:
            raise RuntimeError("the body is longer than its Content-Length")
        elif body:
            self._left = left - len(body)
            transport.write(body)
