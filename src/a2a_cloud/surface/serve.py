"""Listening, sweeping and draining: an ASGI application on uvicorn's narrowed protocol.

uvicorn gives the protocol class and its configuration; its `Server` is left out because it exits
the process when a port is busy, installs signal handlers and polls ten times a second. The Problems
raised here name the address and the variable to change.
"""

from __future__ import annotations

import asyncio
import contextlib
import errno
import logging
import os
import resource
import socket
from dataclasses import replace
from email.utils import formatdate

from uvicorn.config import Config

from a2a_cloud.model.ports import Clock
from a2a_cloud.model.problem import BadSetting, Unavailable
from a2a_cloud.settings import HttpLimits, Transport
from a2a_cloud.surface.exchange import App
from a2a_cloud.surface.http_protocol import NarrowedProtocol
from a2a_cloud.surface.http_shared import Shared, loopback
from a2a_cloud.surface.proxies import Proxies
from a2a_cloud.surface.tls import Tls

log = logging.getLogger("a2a_cloud.http")

#: What every answer says besides: no guessing of media types, no addresses told to other sites.
_ALWAYS = "x-content-type-options: nosniff\r\nreferrer-policy: no-referrer\r\n"
#: What it says by TLS: for a year, this name is asked by https alone.
_BY_TLS = "strict-transport-security: max-age=31536000\r\n"
#: Seconds between two looks at the files of TLS.
_REFRESH = 5.0

SPARE_FILES = 256  # descriptors that are not connections: databases, workers, logs


class Serving:
    """One listening HTTP server. `clock` gives the Date field; limits in time use the loop's clock."""

    def __init__(self, clock: Clock) -> None:
        self._clock = clock
        self._server: asyncio.Server | None = None
        self._shared: Shared | None = None
        self._sweeper: asyncio.TimerHandle | None = None
        self._every = 1.0
        self._tls: Tls | None = None
        self._refreshed = 0.0

    @property
    def connections(self) -> int:
        """Connections that are open now."""
        return len(self._shared.connections) if self._shared else 0

    @property
    def requests(self) -> int:
        """Requests answered since the start."""
        return self._shared.total_requests if self._shared else 0

    async def start(
        self,
        app: App,
        host: str,
        port: int,
        limits: HttpLimits | None = None,
        *,
        tls: Tls | None = None,
        proxies: Proxies | None = None,
    ) -> tuple[str, int]:
        """Listens on `host`:`port` and serves `app`; port 0 takes a free one. `proxies` are believed; on an
        address that others reach, without TLS, only they and this machine itself are served.

        Returns the address and port that were really bound. Raises Unavailable, with the remedy,
        when the host has no address here, the port is taken, or the port needs a privilege.
        """
        limits = limits or HttpLimits()
        limits = _within_files(limits)
        loop = asyncio.get_running_loop()
        listener = await _listen(host, port, limits.backlog)
        address: tuple[str, int] = listener.getsockname()[:2]
        shared = Shared(app, limits, address)
        shared.proxies, shared.tls = proxies, tls is not None
        shared.guarded = proxies is not None and tls is None and not loopback(address[0])
        config = Config(
            app,  # type: ignore[arg-type]  # the same shape; uvicorn spells each message as a TypedDict
            http=NarrowedProtocol,
            ws="none",
            lifespan="off",
            interface="asgi3",
            log_config=None,
            access_log=False,
            proxy_headers=False,
            server_header=False,
        )
        config.load()

        def connection() -> NarrowedProtocol:
            return NarrowedProtocol(config, shared, {}, loop)

        self._shared, self._tls = shared, tls
        shortest = min(limits.head_seconds, limits.body_idle_seconds, limits.write_idle_seconds)
        self._every = min(1.0, shortest / 4, limits.idle_seconds / 4, limits.linger_seconds / 4)
        self._sweep()
        self._server = await loop.create_server(
            connection,
            sock=listener,
            backlog=limits.backlog,
            ssl=None if tls is None else tls.context,
            ssl_handshake_timeout=None if tls is None else limits.head_seconds,
        )
        return address

    async def drain(self, seconds: float) -> int:
        """Stops listening, closes idle connections, gives running requests `seconds`, then cuts the rest.

        Streams end when the application ends them. Returns how many requests were cut.
        """
        server, shared = self._server, self._shared
        if server is None or shared is None:
            return 0
        self._server = None
        shared.draining = True
        server.close()
        emptied = asyncio.Event()

        def changed() -> None:
            if not shared.connections and not shared.running:
                emptied.set()

        shared.changed = changed
        for connection in list(shared.connections):
            connection.shutdown()
        cut = 0
        if shared.connections or shared.running:
            with contextlib.suppress(TimeoutError):
                await asyncio.wait_for(emptied.wait(), seconds)
        if shared.connections or shared.running:
            cut = len(shared.running)
            tasks = [exchange.task for exchange in shared.running if exchange.task is not None]
            for task in tasks:
                task.cancel()
            for connection in list(shared.connections):
                connection.transport.abort()
            if tasks:
                await asyncio.wait(tasks, timeout=1.0)
            with contextlib.suppress(TimeoutError):
                await asyncio.wait_for(emptied.wait(), 1.0)
        if self._sweeper is not None:
            self._sweeper.cancel()
        shared.changed = None
        return cut

    def _sweep(self) -> None:
        shared = self._shared
        assert shared is not None
        loop = asyncio.get_running_loop()
        always = _ALWAYS + _BY_TLS if shared.tls else _ALWAYS
        shared.date = f"date: {formatdate(self._clock.now(), usegmt=True)}\r\n{always}".encode()
        now = loop.time()
        if self._tls is not None and now - self._refreshed > _REFRESH:
            self._refreshed = now
            self._tls.refresh()
        for connection in list(shared.connections):
            connection.sweep(now)  # type: ignore[union-attr]  # all are NarrowedProtocol
        self._sweeper = loop.call_later(self._every, self._sweep)


async def check_exposure(host: str, transport: Transport) -> None:
    """Raises BadSetting where keys would travel in the clear on an address that others reach."""
    if transport.cert is not None or transport.proxies or transport.insecure:
        return
    try:
        found = await asyncio.get_running_loop().getaddrinfo(host, 0, type=socket.SOCK_STREAM)
    except (OSError, UnicodeError, OverflowError):
        return  # It can't be listened on either, and that says why.
    if not all(loopback(str(entry[4][0])) for entry in found):
        raise BadSetting(
            f"A2A_HOST is {host[:200]}, which others reach, and nothing keeps what they send secret.",
            remedy="Set A2A_TLS_CERT and A2A_TLS_KEY, or A2A_TRUSTED_PROXIES to the address of the proxy "
            "that speaks TLS (docs/tls.md). Without either: A2A_INSECURE_HTTP=yes-i-know.",
            info={"setting": "A2A_HOST"},
        )


async def _listen(host: str, port: int, backlog: int) -> socket.socket:
    loop = asyncio.get_running_loop()
    try:
        found = await loop.getaddrinfo(host, port, type=socket.SOCK_STREAM, flags=socket.AI_PASSIVE)
    except (OSError, UnicodeError, OverflowError) as error:
        raise Unavailable(
            f"The host {host!r} can't be resolved to an address.",
            remedy="Set A2A_HOST to an address of this machine, such as 127.0.0.1.",
            operator=str(error),
        ) from error
    # "localhost" has two addresses; port 0 would get two different ports, so one is taken, IPv4 first.
    family, kind, protocol, _, address = min(found, key=lambda entry: entry[0] != socket.AF_INET)
    listener = socket.socket(family, kind, protocol)
    try:
        listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        listener.bind(address)
        listener.listen(backlog)
        listener.setblocking(False)
    except OSError as error:
        listener.close()
        raise _unusable(host, port, error) from error
    return listener


def _unusable(host: str, port: int, error: OSError) -> Unavailable:
    operator = str(error)
    if error.errno == errno.EADDRINUSE:
        return Unavailable(
            f"Port {port} on {host} is used by another program.",
            remedy="Set A2A_PORT to another port, or A2A_PORT=0 to take a free one.",
            info={"port": str(port)},
            operator=operator,
        )
    if error.errno in (errno.EACCES, errno.EPERM):
        return Unavailable(
            f"Port {port} on {host} may be opened by a privileged user only.",
            remedy="Set A2A_PORT to 1024 or more, or A2A_PORT=0 to take a free one.",
            info={"port": str(port)},
            operator=operator,
        )
    if error.errno == errno.EADDRNOTAVAIL:
        return Unavailable(
            f"{host} is no address of this machine.",
            remedy="Set A2A_HOST to 127.0.0.1, or to 0.0.0.0 for all its addresses.",
            operator=operator,
        )
    return Unavailable(
        f"Listening on {host}, port {port}, failed: {os.strerror(error.errno or 0)}.",
        remedy="Set A2A_HOST and A2A_PORT to an address and port of this machine.",
        operator=operator,
    )


def _within_files(limits: HttpLimits) -> HttpLimits:
    """Raises the soft limit of open files as far as the connections need, or lowers their number to it.

    Without this the first connection too many would fail in `accept`, unanswered.
    """
    needed = limits.connections + SPARE_FILES
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    if soft != resource.RLIM_INFINITY and soft < needed:
        soft = needed if hard == resource.RLIM_INFINITY else min(needed, hard)
        with contextlib.suppress(OSError, ValueError):
            resource.setrlimit(resource.RLIMIT_NOFILE, (soft, hard))
        soft = resource.getrlimit(resource.RLIMIT_NOFILE)[0]
    if soft == resource.RLIM_INFINITY or soft >= needed:
        return limits
    connections = max(1, soft - SPARE_FILES)
    log.warning(
        "At most %d connections instead of %d: the limit of open files is %d.",
        connections,
        limits.connections,
        soft,
    )
    return replace(limits, connections=connections)
