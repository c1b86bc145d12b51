"""The filtering forward proxy: it accepts on listeners that workers handed out of their cages, so that the
listener says who asks. HTTP in absolute form, and CONNECT for TLS; docs/egress.md.
"""

from __future__ import annotations

import asyncio
import logging
import socket
import ssl

from a2a_cloud.model.problem import Busy
from a2a_cloud.runtime.egress.accept import Acceptor
from a2a_cloud.runtime.egress.connection import Connection
from a2a_cloud.runtime.egress.dial import BUFFER, Dialler, Resolver, system_resolver
from a2a_cloud.runtime.egress.http1 import write_head
from a2a_cloud.runtime.egress.site import EgressLimits, EgressSite
from a2a_cloud.wire.problem_json import problem_json

log = logging.getLogger("a2a_cloud.egress")


class Egress:
    """The proxy of all workers; each has its listener and its site.

    `private`: hosts and ports in the operator's own networks (`dial.private_hosts`). `context` verifies
    the servers that get secrets (`dial.tls_context`); None: with the system's roots, read when needed.
    """

    def __init__(
        self,
        *,
        context: ssl.SSLContext | None = None,
        private: frozenset[tuple[str, int]] = frozenset(),
        resolver: Resolver = system_resolver,
        limits: EgressLimits | None = None,
    ) -> None:
        self._resolver, self._context = resolver, context
        self._dialler = Dialler(resolver, private, context)
        self._limits = limits or EgressLimits()

    def serve(self, listener: socket.socket, site: EgressSite) -> Served:
        """Accept on `listener`, a bound TCP socket that listens, which is ours from now on, though the
        agent may hold it too; on the loop's thread. Raises RuntimeError when the machine has no thread
        left."""
        return Served(listener, site, self._dialler, self._limits)

    def serve_named(
        self, listener: socket.socket, site: EgressSite, named: frozenset[tuple[str, int]]
    ) -> Served:
        """As `serve`, for a site whose hosts the operator named: their addresses may be any but those that
        are barred for all. The site still decides."""
        dialler = Dialler(self._resolver, named, self._context, anywhere=True)
        return Served(listener, site, dialler, self._limits)


class Served:
    """One worker's listener and its connections. `stop` ends it."""

    def __init__(
        self, listener: socket.socket, site: EgressSite, dialler: Dialler, limits: EgressLimits
    ) -> None:
        self._site = site
        self._dialler = dialler
        self._limits = limits
        self._loop = asyncio.get_running_loop()
        self._tasks: set[asyncio.Task[None]] = set()
        self._connections: set[Connection] = set()
        self._second = 0.0
        self._refused = 0
        self._stopped = False
        self._acceptor = Acceptor(listener, self._take)

    def recheck(self, *, told: bool = True) -> None:
        """Cut the connections that are allowed no more. With `told` the site hears of each that it was
        refused, besides that it ended."""
        for each in list(self._connections):
            each.recheck(told=told)

    def cut(self) -> None:
        """Cut all connections now, and write them down; new ones are closed as they come."""
        self._stopped = True
        for each in list(self._connections):
            each.cut()

    async def stop(self) -> None:
        """Connections are cut, all are written down, the listener is closed."""
        self.cut()
        await self._acceptor.stop()
        for each in self._tasks:
            each.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)
        await asyncio.sleep(0)  # what was cut lets go of its socket in the loop's next turn

    def _take(self, peer: socket.socket) -> float:
        """A connection came; gives for how many seconds none is to follow it."""
        if self._stopped:
            peer.close()
        elif len(self._tasks) >= self._limits.connections:
            self._too_many(peer)
        else:
            task = self._loop.create_task(self._serve_one(peer))
            self._tasks.add(task)
            task.add_done_callback(self._tasks.discard)
            task.add_done_callback(lambda _task, peer=peer: peer.close())  # also where it never began
        left = self._second + 1.0 - self._loop.time()
        return left if self._refused >= self._limits.refusals and left > 0 else 0.0

    async def _serve_one(self, peer: socket.socket) -> None:
        try:
            streams = await asyncio.open_connection(sock=peer, limit=BUFFER)
        except OSError:
            peer.close()
            return
        connection = Connection(streams, self._site, self._dialler, self._limits, self._was_refused)
        self._connections.add(connection)
        try:
            await connection.run()
        finally:
            self._connections.discard(connection)

    def _was_refused(self) -> None:
        now = self._loop.time()
        if now - self._second >= 1.0:
            self._second, self._refused = now, 0
        self._refused += 1

    def _too_many(self, peer: socket.socket) -> None:
        self._was_refused()
        problem = Busy(
            f"The agent has {self._limits.connections} open connections, which is the most.",
            remedy="Close some, or use fewer at once.",
        )
        self._site.connected("", 0, "", f"refused: {problem.detail}")
        body = problem_json(problem)
        head = write_head(
            b"HTTP/1.1 429 Too Many Requests",
            [
                (b"Content-Type", b"application/problem+json"),
                (b"Content-Length", b"%d" % len(body)),
                (b"Connection", b"close"),
            ],
        )
        with peer:
            try:
                peer.send(head + body)  # it fits into an empty socket's buffer
            except OSError as error:
                log.debug("An agent left before it was refused: %s", error)
