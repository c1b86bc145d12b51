"""HTTP that the platform itself sends to addresses of strangers: push notifications, files behind `url`
parts (A2A 1.0, section 13.2: no request into networks that the sender of an address can't reach).

A name is looked up once for each connection, every address that it has is judged, and what was judged is
dialled: a name that says something else a moment later changes nothing. A redirect is a new address, and
judged as one. What lies in private networks has to be named by the operator, with a setting.
"""

from __future__ import annotations

import asyncio
import importlib
import os
import socket
from collections.abc import AsyncGenerator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import asynccontextmanager
from functools import partial
from ipaddress import IPv4Network, IPv6Network, ip_address, ip_network
from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple
from urllib.parse import SplitResult, urljoin, urlsplit

from a2a_cloud.model.problem import BadSetting, EgressRefused, InvalidParams, InvalidRequest, UpstreamFailed
from a2a_cloud.runtime.egress.dial import Resolver, tls_context
from a2a_cloud.runtime.egress.hosts import Address, Host, barred, canonical, closed, own

if TYPE_CHECKING:
    import aiohttp

#: Characters of an address.
MAX_URL = 2048
#: Redirects that a fetch follows.
MAX_HOPS = 5
#: Seconds for a look-up that only wants to say early what will be refused later, and how many of those there
#: are at once.
LOOK, LOOKS = 3.0, 8

_PORTS = {"http": 80, "https": 443}
_REDIRECTS = frozenset({301, 302, 303, 307, 308})


class Private(NamedTuple):
    """What lies in private networks and may be reached: hosts (port 0: any) and ranges of addresses.
    `setting` is the variable that says so."""

    setting: str
    hosts: frozenset[tuple[str, int]] = frozenset()
    networks: tuple[IPv4Network | IPv6Network, ...] = ()


class Place(NamedTuple):
    """Where a URL leads. `url` is its plain spelling: the host in its one form, no fragment."""

    url: str
    secure: bool
    host: Host
    port: int

    @property
    def origin(self) -> str:
        """What operators see of it: nothing of what may be a secret."""
        scheme = "https" if self.secure else "http"
        usual = self.port == _PORTS[scheme]
        return f"{scheme}://{self.host.name}" + ("" if usual else f":{self.port}")


class Answered(NamedTuple):
    """What a server said: the status, and the Retry-After header as it came."""

    status: int
    retry_after: str = ""


def private(text: str, setting: str) -> Private:
    """The value of a setting: `host`, `host:port` and ranges such as `10.0.0.0/8`, by commas. Raises
    BadSetting."""
    hosts: set[tuple[str, int]] = set()
    networks: list[IPv4Network | IPv6Network] = []
    for part in filter(None, (each.strip() for each in text.split(","))):
        try:
            if "/" in part:
                networks.append(ip_network(part))
                continue
            name, port = part, 0
            if part.rpartition("]")[2].count(":") == 1:
                name, _, digits = part.rpartition(":")
                port = int(digits)
                if not 0 < port < 65536:
                    raise ValueError(digits)
            hosts.add((canonical(name).name, port))
        except (ValueError, InvalidRequest):
            raise BadSetting(
                f"{setting} holds {part[:100]!r}, which can't be used.",
                remedy="Write hosts and ranges, separated by commas, such as hooks.internal, "
                "localhost:8000, 10.0.0.0/8.",
                info={"setting": setting},
            ) from None
    return Private(setting, frozenset(hosts), tuple(networks))


def place(url: str, field: str = "url") -> Place:
    """Where `url` leads. Raises InvalidParams for what is no plain http or https address."""
    why = ""
    parts: SplitResult | None = None
    if not url or len(url) > MAX_URL:
        why = f"has to be an address of 1 to {MAX_URL} characters"
    elif not url.isascii() or not url.isprintable() or " " in url or "\\" in url:
        why = "holds characters that an address can't have"
    else:
        try:
            parts = urlsplit(url)
            port = parts.port
        except ValueError:
            why = "can't be read as an address"
        else:
            if parts.scheme not in _PORTS:
                why = "has to begin with https:// or http://"
            elif "@" in parts.netloc:
                why = "holds a user's name or password"
            elif "%" in parts.netloc or "[" in parts.netloc[1:]:
                why = "holds characters that a host can't have"
            elif port == 0:
                why = "names the port 0"
            else:
                return _plain(parts, port, field)
    raise InvalidParams(f"{field} {why}.", remedy="Send https://…", info={"field": field})


def _plain(parts: SplitResult, port: int | None, field: str) -> Place:
    name = parts.hostname or ""
    try:
        host = canonical(f"[{name}]" if ":" in name else name)
    except InvalidRequest as error:
        raise InvalidParams(error.detail, remedy=error.remedy, info={"field": field}) from None
    behind = f":{port}" if port and port != _PORTS[parts.scheme] else ""
    query = f"?{parts.query}" if parts.query else ""
    url = f"{parts.scheme}://{host.name}{behind}{parts.path or '/'}{query}"
    return Place(url, parts.scheme == "https", host, port or _PORTS[parts.scheme])


class Outward:
    """A client for such addresses. Loop thread only; `close` ends it. `roots`: a file of certificates that
    are trusted beside the system's. `at_once`: connections at the same time."""

    def __init__(
        self,
        allowed: Private,
        *,
        resolver: Resolver | None = None,
        roots: Path | None = None,
        at_once: int = 64,
    ) -> None:
        self._allowed = allowed
        self._resolver = resolver
        # Those that only look have threads of their own: names that are slow to be found, as a stranger's
        # server can make them, then hold up nothing that is to be sent.
        self._names = ThreadPoolExecutor(at_once, "outward-names")
        self._looks = ThreadPoolExecutor(LOOKS, "outward-looks")
        self._roots = roots
        self._at_once = at_once
        self._session: aiohttp.ClientSession | None = None
        self._making = asyncio.Lock()

    # --- what may be reached --------------------------------------------------------------------------

    async def look(self, where: Place) -> None:
        """Say now what is refused for certain. A name that is not known yet may be so later. Raises
        EgressRefused."""
        try:
            async with asyncio.timeout(LOOK):
                await self.addresses(where.host, where.port, looks=True)
        except (UpstreamFailed, TimeoutError):
            return

    async def addresses(self, host: Host, port: int, *, looks: bool = False) -> list[str]:
        """Where `host` is; the one look-up. `looks`: nothing is dialled now. Raises EgressRefused when one
        of its addresses may not be dialled, UpstreamFailed when it has none."""
        if host.address is not None:
            found: list[Address] = [host.address]
        else:
            try:
                if self._resolver is None:
                    texts = await self._look_up(host.name, port, self._looks if looks else self._names)
                else:
                    texts = await self._resolver(host.name, port)
            except (OSError, UnicodeError):
                texts = ()
            try:
                found = [ip_address(text) for text in dict.fromkeys(texts)]
            except ValueError:  # as with a zone: fe80::1%eth0
                raise self._refused(host, port, "is not global") from None
        if not found:
            raise UpstreamFailed(f"The name {host.name} is not known.", remedy="Check its spelling.")
        for address in found:
            why = closed(address)
            if why and not self._meant(host, port, address):
                raise self._refused(host, port, why)
        return [str(address) for address in found]

    async def _look_up(self, host: str, port: int, threads: ThreadPoolExecutor) -> list[str]:
        """By the machine's resolver, in threads of our own."""
        found = await asyncio.get_running_loop().run_in_executor(
            threads, partial(socket.getaddrinfo, host, port, type=socket.SOCK_STREAM)
        )
        return [str(address[4][0]) for address in found]

    def _meant(self, host: Host, port: int, address: Address) -> bool:
        """Whether the operator opened this private address."""
        hosts, networks = self._allowed.hosts, self._allowed.networks
        if any(address.version == net.version and address in net for net in networks):
            return not barred(address)
        if (host.name, port) not in hosts and (host.name, 0) not in hosts:
            return False
        literal = host.address is not None and not (address.is_multicast or address.is_unspecified)
        return literal or own(address)

    def _refused(self, host: Host, port: int, why: str) -> EgressRefused:
        return EgressRefused(
            f"{host.name} leads to an address that {why}.",
            remedy=f"If that is meant, the operator names it: {self._allowed.setting}={host.name}:{port}",
            info={"reason": "address"},
        )

    # --- requests -------------------------------------------------------------------------------------

    async def post(self, where: Place, body: bytes, headers: Mapping[str, str], seconds: float) -> Answered:
        """Post `body`; the answer's body is not read. Redirects are not followed. Raises EgressRefused,
        UpstreamFailed."""
        async with self._ask("POST", where, headers, seconds, body) as response:
            return Answered(response.status, response.headers.get("Retry-After", ""))

    @asynccontextmanager
    async def get(
        self, where: Place, seconds: float, *, hops: int = MAX_HOPS
    ) -> AsyncGenerator[aiohttp.ClientResponse]:
        """The answer to a GET, after redirects, `hops` at most, its body unread and as it was sent. Raises
        EgressRefused, UpstreamFailed, InvalidParams for a redirect to what is no address."""
        for _ in range(hops + 1):
            async with self._ask("GET", where, {"Accept-Encoding": "identity"}, seconds) as response:
                if response.status not in _REDIRECTS or "Location" not in response.headers:
                    yield response
                    return
                onward = place(urljoin(where.url, response.headers["Location"]), "The redirect's address")
            if where.secure and not onward.secure:
                raise EgressRefused("It redirects from https to http.", remedy="Name the file's own address.")
            where = onward
        raise UpstreamFailed(f"It redirects more than {hops} times.", remedy="Name the file's address.")

    @asynccontextmanager
    async def _ask(
        self, method: str, where: Place, headers: Mapping[str, str], seconds: float, body: bytes | None = None
    ) -> AsyncGenerator[aiohttp.ClientResponse]:
        session = await self._open()
        import aiohttp
        from yarl import URL

        try:
            url = URL(where.url, encoded=True)
            # Two readers of one address: what was judged has to be what is dialled. (`host` wants good IDNA.)
            if not url.host or url.raw_host != where.host.bare or url.port != where.port:
                raise ValueError
        except ValueError:
            raise InvalidParams("The address can be read in two ways.", remedy="Write it plainly.") from None
        if where.host.address is not None:  # No name, so the connector asks nobody.
            await self.addresses(where.host, where.port)
        try:
            async with session.request(
                method,
                url,
                data=body,
                headers=headers,
                allow_redirects=False,
                timeout=aiohttp.ClientTimeout(total=seconds),
            ) as response:
                yield response
        except TimeoutError:
            raise UpstreamFailed(f"No answer within {seconds:g} s.") from None
        except (aiohttp.ClientError, OSError, ValueError) as error:
            raise UpstreamFailed(_why(error)) from None

    async def _open(self) -> aiohttp.ClientSession:
        async with self._making:
            if self._session is None:
                # Large, and most platforms send nothing: in a thread, so that nobody waits meanwhile.
                await asyncio.to_thread(importlib.import_module, "aiohttp")
                context = await asyncio.to_thread(tls_context, self._roots)
                import aiohttp

                self._session = aiohttp.ClientSession(
                    connector=aiohttp.TCPConnector(
                        limit=self._at_once,
                        ssl=context,
                        use_dns_cache=False,
                        resolver=_resolver(self),
                        keepalive_timeout=15.0,
                    ),
                    headers={"User-Agent": "a2a-cloud"},
                    cookie_jar=aiohttp.DummyCookieJar(),
                    auto_decompress=False,
                    trust_env=False,
                )
            return self._session

    async def close(self) -> None:
        """Close all connections."""
        for threads in (self._names, self._looks):
            threads.shutdown(wait=False, cancel_futures=True)
        session, self._session = self._session, None
        if session is not None:
            await session.close()


def _resolver(outward: Outward) -> Any:
    """What tells the connector the addresses of a name: those that were judged, and no others."""
    from aiohttp.abc import AbstractResolver, ResolveResult

    class Judged(AbstractResolver):
        async def resolve(
            self, host: str, port: int = 0, family: socket.AddressFamily = socket.AF_INET
        ) -> list[ResolveResult]:
            found: Sequence[str] = await outward.addresses(canonical(host), port)
            return [
                ResolveResult(
                    hostname=host,
                    host=address,
                    port=port,
                    family=socket.AF_INET6 if ":" in address else socket.AF_INET,
                    proto=socket.IPPROTO_TCP,
                    flags=socket.AI_NUMERICHOST,
                )
                for address in found
            ]

        async def close(self) -> None:
            return

    return Judged()


def _why(error: Exception) -> str:
    """A sentence for people, without the address: that may hold a secret."""
    cause: BaseException = getattr(error, "os_error", None) or error
    verify = getattr(cause, "verify_message", "") or getattr(
        getattr(error, "certificate_error", None), "verify_message", ""
    )
    if verify:
        return f"Its certificate is not good: {verify}."
    number = getattr(cause, "errno", None)  # Its text may hold the address.
    said = os.strerror(number) if isinstance(number, int) and number > 0 else type(error).__name__
    return f"The connection failed: {said}."
