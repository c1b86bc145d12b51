"""Sessions of MCP until 2025-11-25 (basic/transports, "Session Management").

A session's id says everything about it that must not be lost (whose it is, what the client can, which
revision) and is signed: it survives a restart of the platform, and an abandoned one leaves nothing behind.
What may be lost is kept in memory, bounded: the log level, what it is subscribed to, its open stream.
"""

from __future__ import annotations

from collections import OrderedDict
from typing import TYPE_CHECKING

from msgspec import Struct

from a2a_cloud.model.ports import Clock, Ids
from a2a_cloud.model.principal import Principal
from a2a_cloud.model.problem import McpSessionNotFound
from a2a_cloud.surface.mcp.sealed import Sealer
from a2a_cloud.wire.mcp import Client

if TYPE_CHECKING:
    from a2a_cloud.surface.mcp.listening import Listening

SESSION_SECONDS = 7 * 86_400
MAX_URIS = 100
_MOST = 10_000


class _Said(Struct, array_like=True):
    server: str
    principal: int
    version: str
    client: int
    nonce: str
    until: int


class Kept:
    """What memory holds of a session."""

    __slots__ = ("level", "listening", "uris")

    def __init__(self) -> None:
        self.level = ""
        self.uris: set[str] = set()
        self.listening: Listening | None = None


class Session:
    """A session that a request names."""

    __slots__ = ("_sessions", "client", "nonce", "version")

    def __init__(self, sessions: Sessions, version: str, client: Client, nonce: str) -> None:
        self._sessions = sessions
        self.version = version
        self.client = client
        self.nonce = nonce

    @property
    def kept(self) -> Kept:
        """Its memory, made when it is first wanted."""
        return self._sessions.remember(self.nonce)

    @property
    def level(self) -> str:
        """The log level that it asked for, or ""."""
        kept = self._sessions.known(self.nonce)
        return "" if kept is None else kept.level


class Sessions:
    """Begins sessions, reads their ids, ends them."""

    def __init__(self, sealer: Sealer, clock: Clock, ids: Ids) -> None:
        self._sealer = sealer
        self._clock = clock
        self._ids = ids
        self._kept: OrderedDict[str, Kept] = OrderedDict()
        self._ended: OrderedDict[str, None] = OrderedDict()

    def begin(self, server: str, principal: Principal, version: str, client: Client) -> str:
        """A new session's id."""
        until = int(self._clock.now()) + SESSION_SECONDS
        nonce = self._ids.new("mcp")
        said = _Said(server, principal.no, version, client.bits, nonce, until)
        return self._sealer.seal("session", said)

    def read(self, text: str, server: str, principal: Principal) -> Session:
        """The session with that id. Raises McpSessionNotFound."""
        said = self._sealer.open("session", text, _Said)
        if (
            said is None
            or said.server != server
            or said.principal != principal.no
            or said.until < self._clock.now()
            or said.nonce in self._ended
        ):
            raise McpSessionNotFound("There is no such session.", remedy="Begin one with initialize.")
        return Session(self, said.version, Client.of_bits(said.client), said.nonce)

    def end(self, session: Session) -> None:
        """Whoever comes with its id from now on is told that there is none."""
        kept = self._kept.pop(session.nonce, None)
        if kept is not None and kept.listening is not None:
            kept.listening.finish()
        self._ended[session.nonce] = None
        if len(self._ended) > _MOST:
            self._ended.popitem(last=False)

    def known(self, nonce: str) -> Kept | None:
        """What memory holds of a session, if anything."""
        return self._kept.get(nonce)

    def remember(self, nonce: str) -> Kept:
        """The same, made if need be; the one that was longest unused is let go."""
        kept = self._kept.get(nonce)
        if kept is None:
            kept = self._kept[nonce] = Kept()
            if len(self._kept) > _MOST:
                _, oldest = self._kept.popitem(last=False)
                if oldest.listening is not None:
                    oldest.listening.finish()
        else:
            self._kept.move_to_end(nonce)
        return kept
