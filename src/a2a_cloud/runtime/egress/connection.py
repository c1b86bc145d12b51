"""One connection of an agent: its requests one after the other, each checked anew, or one tunnel."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Awaitable, Callable, Coroutine
from contextlib import aclosing, suppress
from typing import Any

from a2a_cloud.model.problem import (
    EgressRefused,
    InvalidRequest,
    Problem,
    RequestTimeout,
    TooManyHeaders,
    UpstreamFailed,
    UpstreamTimeout,
)
from a2a_cloud.runtime.egress.dial import Dialler, Streams, closed_now, no_buffer
from a2a_cloud.runtime.egress.hello import DENIED, MAX_HELLO, NotTls, hello_in, server_name
from a2a_cloud.runtime.egress.hosts import Host, canonical, host_and_port
from a2a_cloud.runtime.egress.http1 import (
    Field,
    Framing,
    RequestHead,
    end_to_end,
    parse_request,
    parse_response,
    wants_close,
    write_head,
)
from a2a_cloud.runtime.egress.inject import HTTP, HTTPS, bound, with_secrets
from a2a_cloud.runtime.egress.site import EgressLimits, EgressSite
from a2a_cloud.runtime.egress.source import Ended, Source, Watch
from a2a_cloud.runtime.egress.upstream import Target, Upstream
from a2a_cloud.wire.problem_json import problem_json

log = logging.getLogger("a2a_cloud.egress")

#: A refused agent is read (and its bytes dropped) for so many seconds, so that it sees the refusal.
LINGER = 1.0
#: What an agent may send while its request is under way; more is not read yet.
AHEAD = 64 << 10
_REMEDY = "Add it to `egress` in [grant] of a2a.toml, or ask with ctx.request_scope(egress=[…])."


class _Gone(Exception):
    """The agent left while its request was under way."""


class Connection:
    """See the module. `run` once. `refused` is told of each refusal."""

    __slots__ = (
        "_answered",
        "_dialler",
        "_limits",
        "_on_refused",
        "_reached",
        "_site",
        "_source",
        "_target",
        "_task",
        "_told",
        "_upstream",
        "_watch",
        "_writer",
    )

    def __init__(
        self,
        streams: Streams,
        site: EgressSite,
        dialler: Dialler,
        limits: EgressLimits,
        refused: Callable[[], None],
    ) -> None:
        reader, self._writer = streams
        self._on_refused = refused
        self._site = site
        self._dialler = dialler
        self._limits = limits
        task = asyncio.current_task()
        assert task is not None
        self._task = task
        self._target: Target | None = None
        self._watch = Watch(task, limits.idle_seconds, limits.total_seconds)
        self._source = Source(reader, self._watch)
        no_buffer(self._writer)
        self._upstream: Upstream | None = None
        self._answered = False
        self._told = ("", 0)
        self._reached = False

    async def run(self) -> None:
        """Serve it to its end, and close it."""
        try:
            await self._guarded(self._requests())
        finally:
            # Both are cut before anything is awaited: a stop may come in the middle of it.
            self._watch.stop()
            self._writer.transport.abort()
            if self._upstream is not None:
                self._upstream.cut()
                await self._upstream.close()
            await closed_now(self._writer)

    def recheck(self, *, told: bool) -> None:
        """Cut it, if what it is for is allowed no more; `told`: the site hears that it was refused."""
        target = self._target
        why = self._site.holds(target.host.name, target.port) if target is not None else ""
        if target is not None and why:
            if told:
                self._site.connected(
                    target.host.name, target.port, "", f"refused: The connection was cut: {why}"
                )
            self.cut()

    def cut(self) -> None:
        """End it now; a connection that was made is written down before this returns."""
        self._target = None
        if self._upstream is not None:
            self._upstream.cut()
        self._writer.transport.abort()
        self._task.cancel()

    async def _guarded(self, work: Awaitable[None]) -> None:
        problem: Problem
        try:
            await work
            return
        except Problem as found:
            problem = found
        except (Ended, _Gone, OSError):
            return
        except asyncio.CancelledError:
            if not self._watch.expired:
                raise
            task = asyncio.current_task()
            if task is not None:
                task.uncancel()
            problem = UpstreamTimeout(
                "Nothing moved for too long, or the connection is too old.", remedy="Try again."
            )
        except Exception:
            # Nothing here holds a secret: the bytes of a head are in no message.
            log.exception("A connection of an agent ended by a fault of ours.")
            problem = UpstreamFailed("The proxy failed.", remedy="Tell the operator: its log says why.")
        if not self._reached or isinstance(problem, InvalidRequest):
            self._on_refused()
            self._site.connected(*self._told, "", f"refused: {problem.detail}")
        with suppress(OSError, TimeoutError):
            if not self._answered:
                await self._refuse(problem)
            elif isinstance(problem, NotTls):
                if self._source.buffer.startswith(b"\x16"):
                    await self._send(DENIED)
                await self._linger()

    async def _refuse(self, problem: Problem) -> None:
        body = problem_json(problem)
        head = write_head(
            f"HTTP/1.1 {problem.http} {problem.title}".encode("ascii", "replace"),
            [
                (b"Content-Type", b"application/problem+json"),
                (b"Content-Length", b"%d" % len(body)),
                (b"Connection", b"close"),
            ],
        )
        self._answered = True
        async with asyncio.timeout(LINGER):
            await self._send(head + body)
        await self._linger()

    async def _linger(self) -> None:
        """Nothing more from us. Read on for a moment: a close over unread bytes would be a reset, and the
        agent's library would lose the answer that is under way."""
        self._end_sending()
        with suppress(TimeoutError):
            async with asyncio.timeout(LINGER):
                self._source.buffer.clear()
                while await self._source.fill():
                    self._source.buffer.clear()

    async def _send(self, data: bytes) -> None:
        self._writer.write(data)
        await self._writer.drain()
        self._watch.touch()

    # --- requests ----------------------------------------------------------------------------------------

    async def _requests(self) -> None:
        while True:
            self._answered, self._told, self._reached = False, ("", 0), False
            head = await self._head()
            if head is None:
                return
            if head.method == "CONNECT":
                await self._tunnel(head)
                return
            if not await self._request(head):
                await self._linger()
                return

    async def _head(self) -> RequestHead | None:
        """The next request's head; None when the agent has no more."""
        if not self._source.buffer:
            try:
                async with asyncio.timeout(self._limits.keep_alive_seconds):
                    if not await self._source.fill():
                        return None
            except TimeoutError:
                return None
        try:
            async with asyncio.timeout(self._limits.head_seconds):
                raw = await self._source.head(self._limits.head_bytes, InvalidRequest, TooManyHeaders)
        except TimeoutError:
            raise RequestTimeout("The request's head came too slowly.") from None
        return parse_request(raw)

    async def _request(self, head: RequestHead) -> bool:
        """Pass one request and its answer on; whether another may follow."""
        target, path, authority = self._plain_target(head)
        # The agent's own part first: what can't be understood is not asked about.
        fields = [field for field in end_to_end(head.fields, InvalidRequest) if field[0].lower() != b"host"]
        self._allowed(target)
        if target.injections:
            fields = with_secrets(fields, target.injections, self._site.secret)
        fields = _framed([(b"Host", authority), *fields], head.body.framing)
        upstream = await self._upstream_for(target)
        await self._send_upstream(upstream, write_head(f"{head.method} {path} HTTP/1.1".encode(), fields))
        whole = False

        async def from_agent() -> None:
            nonlocal whole
            async with aclosing(self._source.body(head.body, InvalidRequest, extensions=False)) as body:
                async for piece in body:
                    await self._send_upstream(upstream, _piece(piece, head.body.framing))
            if head.body.framing is Framing.CHUNKED:
                await self._send_upstream(upstream, b"0\r\n\r\n")
            whole = True
            while len(self._source.buffer) < AHEAD:
                if not await self._source.fill():
                    raise _Gone
            await asyncio.Event().wait()

        again = await _first(self._answer(upstream, head), from_agent())
        return again and whole

    async def _send_upstream(self, upstream: Upstream, data: bytes) -> None:
        """What the server doesn't take any more is dropped: it may have answered already."""
        try:
            await upstream.send(data)
        except OSError:
            await asyncio.Event().wait()

    def _plain_target(self, head: RequestHead) -> tuple[Target, str, bytes]:
        """Where a request in absolute form goes, its path, and the value of its Host field."""
        scheme, mark, rest = head.target.partition("://")
        if not mark or scheme.lower() != "http":
            self._told = (head.target[:120], 0)
            raise InvalidRequest(
                "A proxy takes http:// addresses in full, and CONNECT for https.",
                remedy="Use a client's proxy setting: HTTP_PROXY and HTTPS_PROXY are set for it.",
            )
        if head.method == "TRACE":
            raise InvalidRequest("TRACE would show what the proxy adds.", remedy="Use another method.")
        ends = [at for at in (rest.find(sign) for sign in "/?") if at >= 0]
        end = min(ends, default=len(rest))
        authority, path = rest[:end], rest[end:]
        if "#" in path or "\\" in rest:
            raise InvalidRequest("The address has a # or a backslash.", remedy="Percent-encode it.")
        if path[:1] != "/":
            path = "/" + path if path else ("*" if head.method == "OPTIONS" else "/")
        self._told = (authority[:253], 0)
        host, port = host_and_port(authority, HTTP)
        self._told = (host.name, port)
        for value in head.values(b"host"):
            said, said_port = host_and_port(value.decode("latin-1"), HTTP)
            if (said.name, said_port) != (host.name, port):
                raise InvalidRequest(
                    "The Host field names another host than the address.", remedy="Let them be the same."
                )
        injections = bound(self._site.secrets(), host.name, port)
        target = Target(host, injections[0].port, True, injections) if injections else Target(host, port)
        default = HTTPS if target.tls else HTTP
        shown = host.name if target.port == default else f"{host.name}:{target.port}"
        self._told = (host.name, target.port)
        return target, path, shown.encode()

    def _allowed(self, target: Target) -> None:
        """Raises EgressRefused unless the worker may connect there."""
        try:
            why = self._site.allows(target.host.name, target.port)
        except Problem as problem:
            why = problem.detail
        if why:
            raise EgressRefused(
                f"The agent may not connect to {target.host.name}:{target.port}: {why}",
                remedy=_REMEDY,
                info={"reason": "egress"},
            )
        self._target = target

    async def _upstream_for(self, target: Target) -> Upstream:
        """The connection that is there, if it leads to the same place, else a new one."""
        old = self._upstream
        if old is not None:
            if old.target == target and await old.fit():
                self._reached = True
                return old
            self._upstream = None
            await old.close()
        try:
            async with asyncio.timeout(self._limits.connect_seconds):
                addresses = await self._dialler.addresses(target.host, target.port)
                streams, address = await self._dialler.connect(
                    target.host, target.port, addresses, tls=target.tls
                )
        except TimeoutError:
            raise UpstreamTimeout(f"No connection to {target.host.name}:{target.port} in time.") from None
        secrets = ", ".join(each.name for each in target.injections)
        # Nothing is awaited between the connection and its place here: nobody else would close it.
        self._upstream = upstream = Upstream(streams, target, self._site, self._watch)
        self._reached = True
        self._site.connected(
            target.host.name,
            target.port,
            address,
            f"allowed, with secret {secrets}" if secrets else "allowed",
        )
        return upstream

    async def _answer(self, upstream: Upstream, head: RequestHead) -> bool:
        """Pass the server's answer on; whether the connection can be used again."""
        source = upstream.source
        try:
            while True:
                raw = await source.head(self._limits.head_bytes, UpstreamFailed, UpstreamFailed)
                answer, body = parse_response(raw, head.method)
                fields = end_to_end(answer.fields, UpstreamFailed)
                if answer.status == 101:
                    raise UpstreamFailed("The server changed the protocol, which nobody asked for.")
                if answer.status >= 200:
                    break
                if head.minor:
                    await self._send(write_head(b"HTTP/1.1 %d %s" % (answer.status, answer.reason), fields))
        except (Ended, OSError):
            raise UpstreamFailed("The server ended the connection without an answer.") from None
        last = wants_close(head.fields, head.minor)
        framing = body.framing
        if framing is Framing.CHUNKED and not head.minor:
            framing, last = Framing.CLOSE, True  # HTTP/1.0 knows no chunks.
        last = last or framing is Framing.CLOSE
        if last:
            fields.append((b"Connection", b"close"))
        elif not head.minor:
            fields.append((b"Connection", b"keep-alive"))
        self._answered = True
        first = b"HTTP/1.1 %d %s" % (answer.status, answer.reason)
        await self._send(write_head(first, _framed(fields, framing)))
        async with aclosing(source.body(body, UpstreamFailed, extensions=True)) as pieces:
            async for piece in pieces:
                await self._send(_piece(piece, framing))
        if framing is Framing.CHUNKED:
            await self._send(b"0\r\n\r\n")
        if wants_close(answer.fields, answer.minor) or body.framing is Framing.CLOSE:
            await upstream.close()
        return not last

    # --- tunnels -----------------------------------------------------------------------------------------

    async def _tunnel(self, head: RequestHead) -> None:
        self._told = (head.target[:253], 0)
        host, port = host_and_port(head.target)
        self._told = (host.name, port)
        for value in head.values(b"host"):
            said = host_and_port(value.decode("latin-1"), port)
            if (said[0].name, said[1]) != (host.name, port):
                raise InvalidRequest(
                    "The Host field names another host than the CONNECT.", remedy="Let them be the same."
                )
        target = Target(host, port)
        self._allowed(target)
        upstream = await self._upstream_for(target)
        self._answered = True
        await self._send(b"HTTP/1.1 200 Connection established\r\n\r\n")
        await self._check_hello(host)
        await _both(
            _pump(self._source, upstream.send, upstream.end_sending),
            _pump(upstream.source, self._send, self._end_sending),
        )

    async def _check_hello(self, host: Host) -> None:
        """What comes first is a ClientHello for `host`; it stays in the buffer. Raises NotTls."""
        try:
            async with asyncio.timeout(self._limits.head_seconds):
                while (hello := hello_in(self._source.buffer)) is None:
                    if not await self._source.fill():
                        raise Ended
        except TimeoutError:
            raise NotTls(f"No ClientHello came in time (of {MAX_HELLO} bytes at most).") from None
        name = server_name(hello)
        if name is None and host.address is None:
            raise NotTls("The ClientHello names no server.", remedy="Use a TLS library that sends SNI.")
        try:
            same = name is None or canonical(name).name == host.name
        except InvalidRequest:
            same = name == host.bare
        if not same:
            raise NotTls("The ClientHello names another server than the CONNECT.")

    def _end_sending(self) -> None:
        with suppress(OSError):
            if self._writer.can_write_eof():
                self._writer.write_eof()


def _framed(fields: list[Field], framing: Framing) -> list[Field]:
    """The fields, with the one that says how the body is cut where that is by chunks. Content-Length is
    among them where it was."""
    return [*fields, (b"Transfer-Encoding", b"chunked")] if framing is Framing.CHUNKED else fields


def _piece(piece: bytes, framing: Framing) -> bytes:
    return b"%x\r\n%s\r\n" % (len(piece), piece) if framing is Framing.CHUNKED else piece


async def _pump(source: Source, send: Callable[[bytes], Awaitable[None]], end: Callable[[], None]) -> None:
    while piece := await source.some():
        await send(piece)
    end()


async def _first(answer: Coroutine[Any, Any, bool], other: Coroutine[Any, Any, None]) -> bool:
    """The answer; `other` is dropped then. What either raises ends both."""
    tasks = asyncio.create_task(answer), asyncio.create_task(other)
    try:
        await asyncio.wait(tasks, return_when=asyncio.FIRST_COMPLETED)
        if not tasks[0].done():
            tasks[1].result()  # it never returns: it raises
        return await tasks[0]
    finally:
        await _drop(tasks)


async def _both(*works: Coroutine[Any, Any, None]) -> None:
    """All of them; what one raises ends the others."""
    tasks = tuple(asyncio.create_task(work) for work in works)
    try:
        await asyncio.gather(*tasks)
    finally:
        await _drop(tasks)


async def _drop(tasks: tuple[asyncio.Task[Any], ...]) -> None:
    for task in tasks:
        task.cancel()
    await asyncio.gather(*tasks, return_exceptions=True)
