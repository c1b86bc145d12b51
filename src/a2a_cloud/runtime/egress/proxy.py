"""The filtering forward proxy: it accepts on listeners that workers handed out of their cages, so that the
listener says who asks. HTTP in absolute form, and CONNECT for TLS; docs/egress.md.
"""

from __future__ import annotations

import asyncio
import logging
import socket
import ssl
from collections.abc import Awaitable, Callable

from a2a_cloud.model.problem import Busy
from a2a_cloud.runtime.egress.connection import Connection
from a2a_cloud.runtime.egress.dial import BUFFER, Dialler, Resolver, system_resolver
from a2a_cloud.runtime.egress.http1 import write_head
from a2a_cloud.runtime.egress.site import EgressLimits, EgressSite
from a2a_cloud.wire.problem_json import problem_json

log = logging.getLogger("a2a_cloud.egress")

#: Seconds after which a failed accept (no descriptors left) is tried again.
PAUSE = 0.1


class Egress:
    """The proxy of all workers; each has its listener and its site.

    `private`: hosts and ports in the operator's own networks (`dial.private_hosts`). `context` verifies
    the servers that get secrets (`dial.tls_context`).
    """

    def __init__(
        self,
        *,
        context: ssl.SSLContext,
        private: frozenset[tuple[str, int]] = frozenset(),
        resolver: Resolver = system_resolver,
        limits: EgressLimits | None = None,
    ) -> None:
        self._dialler = Dialler(resolver, private, context)
        self._limits = limits or EgressLimits()

    def serve(self, listener: socket.socket, site: EgressSite) -> Callable[[], Awaitable[None]]:
        """Accept on `listener`, a bound TCP socket that listens, which is ours from now on; on the loop's
        thread. Gives what ends it: connections are cut, all are written down, the listener is closed."""
        listener.setblocking(False)
        open_ones: set[asyncio.Task[None]] = set()
        task = asyncio.get_running_loop().create_task(self._accept(listener, site, open_ones))

        async def stop() -> None:
            task.cancel()
            await asyncio.gather(task, return_exceptions=True)
            for each in open_ones:
                each.cancel()
            await asyncio.gather(*open_ones, return_exceptions=True)
            await asyncio.sleep(0)  # what was cut lets go of its socket in the loop's next turn
            listener.close()

        return stop

    async def _accept(
        self, listener: socket.socket, site: EgressSite, open_ones: set[asyncio.Task[None]]
    ) -> None:
        loop = asyncio.get_running_loop()
        while True:
            try:
                peer, _ = await loop.sock_accept(listener)
            except OSError as error:
                if listener.fileno() < 0:
                    return
                log.warning("An agent's connection can't be accepted: %s", error)
                await asyncio.sleep(PAUSE)
                continue
            if len(open_ones) >= self._limits.connections:
                self._too_many(peer, site)
                continue
            task = loop.create_task(self._serve_one(peer, site))
            open_ones.add(task)
            task.add_done_callback(open_ones.discard)
            task.add_done_callback(lambda _task, peer=peer: peer.close())  # also where it never began

    async def _serve_one(self, peer: socket.socket, site: EgressSite) -> None:
        try:
            peer.setblocking(False)
            streams = await asyncio.open_connection(sock=peer, limit=BUFFER)
        except OSError:
            peer.close()
            return
        await Connection(streams, site, self._dialler, self._limits).run()

    def _too_many(self, peer: socket.socket, site: EgressSite) -> None:
        problem = Busy(
            f"The agent has {self._limits.connections} open connections, which is the most.",
            remedy="Close some, or use fewer at once.",
        )
        site.connected("", 0, "", f"refused: {problem.detail}")
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
                peer.setblocking(False)
                peer.send(head + body)  # it fits into an empty socket's buffer
            except OSError as error:
                log.debug("An agent left before it was refused: %s", error)
