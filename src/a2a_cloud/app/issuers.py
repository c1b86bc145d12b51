"""Outside issuers tied to the rest: their keys are fetched as addresses of strangers are, but for the hosts
that the operator named."""

from __future__ import annotations

from collections.abc import Callable
from urllib.parse import urlsplit

from a2a_cloud.control.identity.issuers import Issuers
from a2a_cloud.control.identity.keys import Identity
from a2a_cloud.model.issuer import Issuer
from a2a_cloud.model.ports import Clock
from a2a_cloud.model.problem import UpstreamFailed
from a2a_cloud.model.release import Release
from a2a_cloud.runtime.egress.hosts import canonical
from a2a_cloud.runtime.outward import Outward, Private, place
from a2a_cloud.settings import Settings
from a2a_cloud.surface.front_names import qualified

_SECONDS = 10.0
_MOST = 1 << 20


class OutsideIssuers(Issuers):
    """The issuers of the settings. `close` ends their connections."""

    def __init__(self, settings: Settings, identity: Identity, base: Callable[[], str], clock: Clock) -> None:
        """`base` gives the platform's address, without a slash at its end."""
        hosts = frozenset(host for one in settings.issuers for host in _hosts(one))
        self._outward = Outward(Private("A2A_ISSUERS", hosts), roots=settings.egress_ca, at_once=4)

        def addresses(release: Release) -> tuple[str, str]:
            return base(), f"{base()}/agents/{qualified(release)}"

        super().__init__(settings.issuers, self._fetch, identity.ensure, addresses, clock)

    async def _fetch(self, url: str) -> bytes:
        async with self._outward.get(place(url), _SECONDS) as response:
            if response.status != 200:
                raise UpstreamFailed(f"{url} answered {response.status}.")
            body = b""
            async for chunk in response.content.iter_chunked(1 << 16):
                body += chunk
                if len(body) > _MOST:
                    raise UpstreamFailed(f"{url} answered with more than {_MOST} bytes.")
            return body

    async def close(self) -> None:
        """Let go of connections."""
        await self._outward.close()


def _hosts(issuer: Issuer) -> list[tuple[str, int]]:
    found: list[tuple[str, int]] = []
    for address in filter(None, (issuer.issuer, issuer.jwks_uri)):
        parts = urlsplit(address)
        name = parts.hostname or ""
        port = parts.port or (443 if parts.scheme == "https" else 80)
        found.append((canonical(f"[{name}]" if ":" in name else name).name, port))
    return found
