"""A connection to a server, counted and written down; and what is sent through it."""

from __future__ import annotations

import asyncio
from contextlib import suppress
from typing import NamedTuple

from a2a_cloud.runtime.egress.dial import Streams, closed_now, no_buffer
from a2a_cloud.runtime.egress.hosts import Host
from a2a_cloud.runtime.egress.inject import Injection
from a2a_cloud.runtime.egress.site import EgressSite
from a2a_cloud.runtime.egress.source import Source, Watch


class Target(NamedTuple):
    """Where a request goes: TLS where secrets are added, which are added here and nowhere else."""

    host: Host
    port: int
    tls: bool = False
    injections: tuple[Injection, ...] = ()


class Upstream:
    """See the module."""

    __slots__ = ("_closed", "_site", "_watch", "_writer", "sent", "source", "target")

    def __init__(self, streams: Streams, target: Target, site: EgressSite, watch: Watch) -> None:
        reader, self._writer = streams
        no_buffer(self._writer)
        self.source = Source(reader, watch)
        self.target = target
        self.sent = 0
        self._site = site
        self._watch = watch
        self._closed = False

    async def send(self, data: bytes) -> None:
        """Raises OSError. Returns when there is room again."""
        self.sent += len(data)
        self._writer.write(data)
        await self._writer.drain()
        self._watch.touch()

    async def fit(self) -> bool:
        """Whether it can take another request: it is open, and nothing came that nobody asked for."""
        if self._closed or self._writer.is_closing() or self.source.buffer:
            return False
        try:
            async with asyncio.timeout(0):
                await self.source.fill()
        except TimeoutError:
            return True
        except OSError:
            pass
        return False

    def end_sending(self) -> None:
        """Nothing more comes from the agent."""
        with suppress(OSError):
            if self._writer.can_write_eof():
                self._writer.write_eof()

    def cut(self) -> None:
        """Cut it and write it down, once."""
        if self._closed:
            return
        self._closed = True
        self._writer.transport.abort()
        self._site.ended(self.target.host.name, self.target.port, self.sent, self.source.read)

    async def close(self) -> None:
        """Cut it, and wait until it is gone."""
        self.cut()
        await closed_now(self._writer)
