"""What the proxy asks of the runtime about the worker behind a listener, and what bounds a worker."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Protocol

from a2a_cloud.runtime.egress.inject import Injection


class EgressSite(Protocol):
    """One worker: who may connect where, and who writes it down. All on the loop's thread, and quick.

    Hosts are canonical: small letters, no dot at the end; an IPv6 address in brackets.
    """

    def allows(self, host: str, port: int) -> str:
        """ "" when the worker may connect there, else the reason, a sentence. Asked for each request, and
        before the name is looked up. A Problem is a refusal too."""
        ...

    def holds(self, host: str, port: int) -> str:
        """As `allows`, for a connection that was allowed: "" when it may stay. Counts nothing."""
        ...

    def secrets(self) -> Sequence[Injection]:
        """What the manifest binds."""
        ...

    def secret(self, name: str) -> str:
        """The stored secret. Raises NotFound, Unavailable."""
        ...

    def connected(self, host: str, port: int, address: str, decision: str) -> None:
        """A connection was made to `address`, or refused: then there is none. `decision` begins with
        `allowed` or `refused`; a refused host is as it was written, cut and in ASCII; port 0: not known."""
        ...

    def ended(self, host: str, port: int, sent: int, received: int) -> None:
        """A connection that was made is over: bytes to the server and from it, without TLS's own."""
        ...


@dataclass(frozen=True, slots=True)
class EgressLimits:
    """What bounds the connections of one worker; bytes and seconds.

    `head_seconds`: for a whole head or ClientHello, from its first byte. `keep_alive_seconds`: between
    two requests. `idle_seconds`: nothing moves in either direction, as while a server thinks.
    `connect_seconds`: for the name, the connection and TLS together. `total_seconds`: a connection's life.
    `refusals`: in a second; then no connection is accepted until that is over.
    """

    connections: int = 64
    refusals: int = 50
    head_bytes: int = 64 << 10
    head_seconds: float = 15.0
    keep_alive_seconds: float = 75.0
    idle_seconds: float = 300.0
    connect_seconds: float = 15.0
    total_seconds: float = 3600.0
