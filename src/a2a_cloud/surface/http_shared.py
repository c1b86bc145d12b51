"""What all connections of one HTTP server share: its application, limits, counts and Date field."""

from __future__ import annotations

from collections.abc import Callable
from ipaddress import ip_address

from uvicorn.server import ServerState

from a2a_cloud.model.problem import Problem
from a2a_cloud.settings import HttpLimits
from a2a_cloud.surface import http_refusals
from a2a_cloud.surface.exchange import App, Exchange
from a2a_cloud.surface.proxies import Proxies


def loopback(address: str) -> bool:
    """Whether the address is one of this machine alone."""
    try:
        return ip_address(address.partition("%")[0]).is_loopback
    except ValueError:
        return False


class Shared(ServerState):
    """What all connections of one server share: limits, counts, the Date header, who is running."""

    def __init__(self, app: App, limits: HttpLimits, server: tuple[str, int]) -> None:
        super().__init__()
        self.app = app
        self.limits = limits
        self.server = server
        self.clients: dict[str, int] = {}
        self.counted = 0
        self.lingering = 0
        self.running: set[Exchange] = set()
        self.draining = False
        self.date = b""  # with the fields that every answer has
        self.proxies: Proxies | None = None
        self.tls = False
        self.guarded = False  # plain HTTP, for proxies and this machine alone
        self.changed: Callable[[], None] | None = None  # told while draining that somebody left

    def admit(self, client: str, many: bool = False) -> Problem | None:
        """Counts a new connection in, or says why not. `many`: it is a proxy's, and one address may have
        any number."""
        limits = self.limits
        if self.guarded and not many and not loopback(client):
            return http_refusals.not_by_proxy()
        if self.counted >= limits.connections:
            return http_refusals.server_full(limits)
        held = self.clients.get(client, 0)
        if held >= limits.connections_per_client and not many:
            return http_refusals.client_full(limits)
        self.clients[client] = held + 1
        self.counted += 1
        return None

    def release(self, client: str) -> None:
        """Counts a connection out."""
        self.counted -= 1
        held = self.clients[client] - 1
        if held:
            self.clients[client] = held
        else:
            del self.clients[client]
