"""uvicorn's httptools protocol, narrowed (RFC 9112; RFC 9110, sections 15.5 and 10.1.1).

Plain uvicorn keeps a half-sent header open for as long as the client likes, takes megabytes of
header fields, counts no connections and answers errors with plain text. Here every phase of a
connection has a limit in bytes, a limit in time and a way to be refused that the client gets to
read: an `application/problem+json` answer, a half-closed connection, and a short while in which what
the client still sends is dropped (closing at once would reset the connection and lose the answer).
No timer per connection: one sweep over all of them (`serve.py`) compares `since` with the limits.
"""

from __future__ import annotations

import asyncio
from collections import deque
from collections.abc import Iterable
from typing import Any, cast
from urllib.parse import unquote

import httptools
from uvicorn.config import Config
from uvicorn.protocols.http.httptools_impl import HttpToolsProtocol
from uvicorn.server import ServerState

from a2a_cloud.model.problem import Problem
from a2a_cloud.surface import http_refusals as refusals
from a2a_cloud.surface.exchange import STATUS_LINES, Exchange, problem_answer
from a2a_cloud.surface.http_shared import Shared
from a2a_cloud.surface.known_head import KnownHead

# Phases of reading. What is being answered is told by `running`.
IDLE, HEAD, BODY, DEAF, LINGER = range(5)

HIGH_WATER = 65_536  # bytes of a body that wait for the application before reading stops
FORGETFUL = 4  # heads that a connection may have in a row, each another one, until none is kept any more
LINGER_BYTES = 64 * 1024 * 1024  # dropped from a refused client before it is cut
REFUSED_AT_ONCE = 256  # refused connections that may linger over the cap at the same time

_ASGI = {"version": "3.0", "spec_version": "2.3"}
_WATCHED = frozenset((b"host", b"content-length", b"transfer-encoding", b"expect", b"upgrade"))
_NONE: Any = None
_NO_PIPELINE: deque[Any] = deque(maxlen=0)


class NarrowedProtocol(HttpToolsProtocol):
    """One connection."""

    __slots__ = (
        "admitted",
        "begun",
        "certificate",
        "chunked",
        "declared",
        "expects",
        "fed_bytes",
        "head_bytes",
        "hosts",
        "known",
        "learned",
        "moved",
        "newest",
        "phase",
        "proxied",
        "queue",
        "read_paused",
        "refusal",
        "running",
        "shared",
        "since",
        "unsent",
        "unsent_since",
        "upgrade",
        "write_paused",
        "writers",
    )

    def __init__(
        self,
        config: Config,
        server_state: ServerState,
        app_state: dict[str, Any],
        _loop: asyncio.AbstractEventLoop | None = None,
    ) -> None:
        super().__init__(config, server_state, app_state, _loop)
        self.pipeline = _NO_PIPELINE  # ours is made when a client pipelines; an empty deque costs 700 bytes
        self.shared = cast(Shared, server_state)
        self.admitted = ""
        self.phase = HEAD
        self.since = self.loop.time()
        self.newest: Exchange | None = None  # the request that is being read, or was read last
        self.running: Exchange | None = None  # the request that is being answered
        self.queue: deque[Exchange] | None = None  # requests that were read and wait for their turn
        self.refusal: Problem | None = None
        self.fed_bytes = 0  # bytes since the head began, or since the last piece of a body
        self.head_bytes = 0
        self.begun = False  # a header is being read
        self.moved = False  # a header or a piece of a body became complete
        self.read_paused = False
        self.write_paused = False
        self.writers: list[asyncio.Future[None]] | None = None
        self.unsent = 0
        self.unsent_since = 0.0
        self.declared = -1
        self.chunked = False
        self.expects = False
        self.upgrade = False
        self.hosts = 0
        self.known: KnownHead | None = None
        self.learned = 0  # heads that were kept since the last one that came again
        self.proxied = False  # what the other side says of callers is believed
        self.certificate = b""

    # Connection

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """Counts the connection in; one too many is answered 503."""
        self.transport = cast(asyncio.Transport, transport)
        peer = transport.get_extra_info("peername")
        self.client = (str(peer[0]), int(peer[1])) if peer else ("", 0)
        self.connections.add(self)
        shared = self.shared
        if shared.draining:
            self.transport.close()
            return
        address = self.client[0].removeprefix("::ffff:") or "?"
        proxies = shared.proxies
        self.proxied = proxies is not None and proxies.trusts(address)
        if shared.tls:
            shown = transport.get_extra_info("ssl_object").getpeercert(binary_form=True)
            self.certificate = shown or b""
        problem = shared.admit(address, many=self.proxied)
        if problem is None:
            self.admitted = address
        elif shared.lingering >= REFUSED_AT_ONCE:
            self.transport.abort()
        else:
            self._answer(problem)

    def connection_lost(self, exc: Exception | None) -> None:
        """Counts the connection out and tells whoever is running on it."""
        shared = self.shared
        self.connections.discard(self)
        if self.admitted:
            shared.release(self.admitted)
        if self.phase == LINGER:
            shared.lingering -= 1
        self.phase = DEAF
        for exchange in (self.running, self.newest, *(self.queue or ())):
            if exchange is not None:
                exchange.lose()
        self.running = self.newest = self.queue = None
        self.resume_writing()
        self.parser = _NONE
        if shared.changed is not None:
            shared.changed()

    def eof_received(self) -> None:
        """A client that has closed its side is gone: the transport closes and `connection_lost` follows."""

    def retire(self) -> None:
        """For a drain: closes when nothing is being answered, else after the answer."""
        if self.phase == LINGER:
            return
        running = self.running
        if running is None:
            self.transport.close()
        else:
            running.keep_alive = False

    shutdown = retire

    def sweep(self, now: float) -> None:
        """Compares the connection with its time limits; called about once a second."""
        limits, phase = self.shared.limits, self.phase
        if self.write_paused:
            self._sweep_writing(now, limits.write_idle_seconds)
        if phase == IDLE:
            if now - self.since > limits.idle_seconds:
                self.transport.close()
        elif phase == HEAD:
            if self.running is not None:
                self.since = now  # the next request's time begins when the answer before it is out
            elif now - self.since > limits.head_seconds:
                if self.fed_bytes or self.begun:
                    self.refuse(refusals.head_too_slow(limits))
                else:
                    self.transport.close()  # it never asked, so there is nothing to answer
        elif phase == BODY:
            if self.moved or self.read_paused:
                self.moved = False
                self.since = now
            elif now - self.since > limits.body_idle_seconds:
                self.refuse(refusals.body_too_slow(limits))
        elif phase == LINGER and now - self.since > limits.linger_seconds:
            self.transport.abort()

    def _sweep_writing(self, now: float, limit: float) -> None:
        left = self.transport.get_write_buffer_size()
        if left < self.unsent or not self.unsent:
            self.unsent, self.unsent_since = left, now
        else:
            self.unsent = left
            if now - self.unsent_since > limit:
                self.transport.abort()

    # Reading

    def data_received(self, data: bytes) -> None:
        """Feeds the parser, within limits."""
        phase = self.phase
        if phase >= DEAF:
            self.fed_bytes += len(data)
            if self.fed_bytes > LINGER_BYTES:
                self.transport.abort()
            return
        if phase == IDLE:
            if self.known is not None and self._recognize(data):
                return
            self.phase = HEAD
            self.since = self.loop.time()
            self.fed_bytes = 0
            whole = data
        else:
            whole = b""
        self.fed_bytes += len(data)
        self.moved = False
        try:
            self._parse(data)
        except httptools.HttpParserError as error:
            self.refuse(self.refusal or refusals.malformed(error))
            return
        if self.moved:
            self.fed_bytes = 0
            if whole and self.learned < FORGETFUL:
                self._learn(whole)
        elif self.phase == HEAD:
            if self.fed_bytes > self.shared.limits.head_bytes:
                self._refuse_head()
        elif self.phase == BODY and self.fed_bytes > self.shared.limits.head_bytes:
            # Trailer fields and chunk extensions without end: no byte of a body among all these.
            self.refuse(refusals.body_without_bytes())

    def _parse(self, data: bytes) -> None:
        while True:
            try:
                self.parser.feed_data(data)
                return
            except httptools.HttpParserUpgrade as upgrade:
                # Nothing is upgraded here, as RFC 9110, section 7.8 allows: the next request follows.
                data = data[upgrade.args[0] :]
                if not data:
                    return

    def _learn(self, data: bytes) -> None:
        """Keeps the head of a request that came whole in one piece, and by itself."""
        newest = self.newest
        if newest is not None and newest is self.running and newest.keep_alive and not newest.more_body:
            self.known = KnownHead.of(data, newest.scope)
            self.learned += 1

    def _recognize(self, data: bytes) -> bool:
        """Begins the exchange of a request whose head is known; False when it must be parsed."""
        shared = self.shared
        assert self.known is not None
        read = self.known.read(data, min(HIGH_WATER, shared.limits.body_bytes))
        if read is None or shared.draining:
            return False
        scope, body = read
        self.learned = 0
        self.newest = exchange = Exchange(self, scope, expects=False, keep_alive=True)
        if body:
            exchange.feed(body)
        exchange.fed()
        self.fed_bytes = 0
        self.phase = HEAD
        self.since = self.loop.time()
        self._run(exchange)
        return True

    def _refuse_head(self) -> None:
        limits = self.shared.limits
        if len(self.url) + 16 > self.fed_bytes:
            self.refuse(refusals.url_too_long(limits))
        else:
            self.refuse(refusals.head_too_large(limits))

    def on_message_begin(self) -> None:
        """A request line begins."""
        if self.shared.draining or (
            self.queue is not None and len(self.queue) >= self.shared.limits.pipelined
        ):
            raise self._stop(refusals.pipeline_full())
        self.phase = HEAD
        self.begun = True
        self.url = b""
        self.headers = []
        self.head_bytes = 0
        self.hosts = 0
        self.declared = -1
        self.chunked = self.expects = self.upgrade = False

    def on_url(self, url: bytes) -> None:
        """A piece of the request target."""
        self.url += url
        if len(self.url) > self.shared.limits.url_bytes:
            raise self._stop(refusals.url_too_long(self.shared.limits))

    def on_header(self, name: bytes, value: bytes) -> None:
        """A header field, or a trailer field, which is counted and dropped."""
        limits = self.shared.limits
        self.head_bytes += len(name) + len(value) + 4
        headers = self.headers
        if self.head_bytes + len(self.url) > limits.head_bytes or len(headers) >= limits.head_count:
            raise self._stop(refusals.head_too_large(limits))
        if self.phase == BODY:
            return
        name = name.lower()
        headers.append((name, value))
        if name in _WATCHED:
            self._watch(name, value)

    def _watch(self, name: bytes, value: bytes) -> None:
        if name == b"host":
            self.hosts += 1
        elif name == b"content-length":
            # The parser has checked that these are digits and that there is one such field.
            self.declared = int(value)
        elif name == b"transfer-encoding":
            if self.chunked or value.strip().lower() != b"chunked":
                raise self._stop(refusals.coding_unknown())
            self.chunked = True
        elif name == b"expect":
            self.expects = value.lower() == b"100-continue"
        else:
            self.upgrade = True

    def on_headers_complete(self) -> None:
        """Checks the header as a whole and begins the exchange."""
        version = self.parser.get_http_version()
        method = self.parser.get_method()
        modern = version == "1.1"
        limits = self.shared.limits
        problem = refusals.check_head(
            version,
            method,
            hosts=self.hosts,
            chunked=self.chunked,
            declared=self.declared,
            upgrade=self.upgrade and self.parser.should_upgrade(),
            body_bytes=limits.body_bytes,
        )
        if problem is not None:
            raise self._stop(problem)
        target = refusals.target(self.url, self.headers)
        if isinstance(target, Problem):
            raise self._stop(target)
        path, query = target
        scope: dict[str, Any] = {
            "type": "http",
            "asgi": _ASGI,
            "http_version": version,
            "server": self.shared.server,
            "client": self.client,
            "scheme": "https" if self.shared.tls else "http",
            "root_path": "",
            "method": method.decode("ascii"),
            "path": unquote(path.decode("ascii")) if b"%" in path else path.decode("ascii"),
            "raw_path": path,
            "query_string": query,
            "headers": self.headers,
        }
        if self.proxied:
            self._behind(scope)
        if self.certificate:
            scope["a2a.certificate"] = self.certificate
        exchange = Exchange(
            self,
            scope,
            expects=self.expects and modern,
            keep_alive=modern and self.parser.should_keep_alive(),
        )
        self.newest = exchange
        self.phase = BODY
        self.begun = False
        self.moved = True
        self.since = self.loop.time()
        if self.running is None:
            self._run(exchange)
        else:
            if self.queue is None:
                self.queue = deque()
            self.queue.append(exchange)
            self._pause_reading()

    def _behind(self, scope: dict[str, Any]) -> None:
        """Puts who called the proxy, and how, in the place of the proxy."""
        proxies = self.shared.proxies
        assert proxies is not None
        assert self.client is not None
        peer = self.client[0].removeprefix("::ffff:")
        caller = proxies.caller(peer, self.headers)
        if caller.address != peer:
            scope["client"] = (caller.address, 0)
        if caller.scheme:
            scope["scheme"] = caller.scheme
        if caller.host:
            host = (b"host", caller.host.encode("latin-1"))
            scope["headers"] = [host, *(field for field in self.headers if field[0] != b"host")]

    def on_body(self, body: bytes) -> None:
        """A piece of the body."""
        exchange = self.newest
        if exchange is None:
            return
        self.moved = True
        self.declared -= len(body)
        if self.chunked and -self.declared > self.shared.limits.body_bytes:
            raise self._stop(refusals.body_too_large(self.shared.limits))
        exchange.feed(body)
        if exchange.buffered > HIGH_WATER:
            self._pause_reading()

    def on_message_complete(self) -> None:
        """The request has been read whole."""
        if self.newest is not None:
            self.newest.fed()
        self.moved = True
        self.phase = HEAD if self.running is not None else IDLE
        self.since = self.loop.time()

    def _stop(self, problem: Problem) -> Problem:
        """Keeps `problem` for `data_received`: whatever is raised in a callback ends the parser."""
        self.refusal = problem
        return problem

    def _pause_reading(self) -> None:
        if not self.read_paused and self.phase != LINGER:
            self.read_paused = True
            self.transport.pause_reading()

    def _resume_reading(self) -> None:
        if self.read_paused:
            self.read_paused = False
            if not self.transport.is_closing():
                self.transport.resume_reading()

    def resume_body(self) -> None:
        """The running application wants more; requests that wait behind it hold back what comes next."""
        if not self.queue:
            self._resume_reading()

    # Answering

    def _run(self, exchange: Exchange) -> None:
        self.running = exchange
        self.shared.running.add(exchange)
        exchange.task = self.loop.create_task(exchange.run(self.shared.app))

    def ended(self, exchange: Exchange) -> None:
        """The application has returned."""
        shared = self.shared
        shared.running.discard(exchange)
        if shared.changed is not None:
            shared.changed()

    def answered(self, exchange: Exchange) -> None:
        """The answer is complete: the next request's turn, or the end of the connection."""
        shared = self.shared
        shared.total_requests += 1
        if self.running is not exchange or self.transport.is_closing():
            return
        self.running = None
        queue = self.queue
        if not exchange.keep_alive or (exchange.more_body and exchange is self.newest):
            self._close(unread=bool(exchange.more_body or queue or self.read_paused or self.fed_bytes))
        elif queue and not shared.draining:
            self._run(queue.popleft())
            if not queue:
                self._resume_reading()
        elif self.refusal is not None:
            self._answer(self.refusal)
        elif shared.draining:
            self._close(unread=self.phase == BODY)
        else:
            self.phase = HEAD if self.begun else IDLE
            self.since = self.loop.time()
            self._resume_reading()

    def refuse(self, problem: Problem) -> None:
        """Answers `problem` once the requests before it are answered, and ends the connection."""
        self.refusal = problem
        self.parser = _NONE
        faulty = self.newest
        if faulty is not None and faulty.more_body and not faulty.complete:
            # The fault lies in this request's own body: its application sees the client go.
            faulty.lose()
            if self.queue and self.queue[-1] is faulty:
                self.queue.pop()
            elif self.running is faulty:
                self.running = None
                if faulty.started:
                    self.transport.abort()
                    return
        if self.running is None:
            self._answer(problem)
        else:
            self.phase = DEAF
            self.fed_bytes = 0

    def _answer(self, problem: Problem) -> None:
        status, headers, body = problem_answer(problem)
        head: Iterable[bytes] = (b"%b: %b\r\n" % header for header in headers)
        self.transport.write(
            b"".join((STATUS_LINES[status], self.date(), *head, b"connection: close\r\n\r\n", body))
        )
        self._close(unread=True)

    def _close(self, *, unread: bool) -> None:
        transport = self.transport
        if transport.is_closing() or not unread:
            transport.close()
            return
        if self.phase != LINGER:
            self.shared.lingering += 1
        self.phase = LINGER
        self.since = self.loop.time()
        self.fed_bytes = 0
        self._resume_reading()
        if transport.can_write_eof():  # TLS has no half-closed connection: it ends with the linger.
            transport.write_eof()

    def date(self) -> bytes:
        """The Date field, renewed once a second, and those that every answer has, with their line ends."""
        return self.shared.date

    # Writing

    def pause_writing(self) -> None:
        """The client reads more slowly than we write."""
        self.write_paused = True
        self.unsent = 0

    def resume_writing(self) -> None:
        """The client has caught up, or is gone."""
        self.write_paused = False
        writers, self.writers = self.writers, None
        for writer in writers or ():
            if not writer.done():
                writer.set_result(None)

    def writable(self) -> asyncio.Future[None]:
        """Done when the client has caught up, or is gone."""
        writer = self.loop.create_future()
        if self.writers is None:
            self.writers = [writer]
        else:
            self.writers.append(writer)
        return writer
