"""Names below `localhost` are this machine (RFC 6761, section 6.3), also where the system's resolver knows
none of them: an agent's own host name is `NAME.localhost`.
"""

from __future__ import annotations

import socket

from aiohttp.abc import AbstractResolver, ResolveResult
from aiohttp.resolver import DefaultResolver


class LocalhostResolver(AbstractResolver):
    """The system's answers, and 127.0.0.1 for `….localhost`."""

    def __init__(self) -> None:
        self._others = DefaultResolver()

    async def resolve(
        self, host: str, port: int = 0, family: socket.AddressFamily = socket.AF_INET
    ) -> list[ResolveResult]:
        """See AbstractResolver."""
        if not host.lower().rstrip(".").endswith(".localhost"):
            return await self._others.resolve(host, port, family)
        return [
            ResolveResult(
                hostname=host,
                host="127.0.0.1",
                port=port,
                family=socket.AF_INET,
                proto=0,
                flags=socket.AI_NUMERICHOST,
            )
        ]

    async def close(self) -> None:
        """See AbstractResolver."""
        await self._others.close()
