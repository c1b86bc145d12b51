"""From a host to a connection: the name is looked up once, every address is judged, and what was judged is
dialled. A name that says something else a moment later changes nothing.
"""

from __future__ import annotations

import asyncio
import socket
import ssl
from collections.abc import Awaitable, Callable, Sequence
from contextlib import suppress
from ipaddress import ip_address
from pathlib import Path

from a2a_cloud.model.problem import BadSetting, EgressRefused, InvalidRequest, UpstreamFailed
from a2a_cloud.runtime.egress.hosts import Address, Host, barred, closed, host_and_port, own

#: A name and a port → its addresses. Raises OSError.
Resolver = Callable[[str, int], Awaitable[Sequence[str]]]
Streams = tuple[asyncio.StreamReader, asyncio.StreamWriter]

#: Addresses of a name that are tried.
MAX_TRIES = 4
#: Bytes that wait in our buffers, each way.
BUFFER = 64 << 10


async def system_resolver(host: str, port: int) -> list[str]:
    """The machine's resolver."""
    found = await asyncio.get_running_loop().getaddrinfo(
        host, port, type=socket.SOCK_STREAM, proto=socket.IPPROTO_TCP
    )
    return [str(address[4][0]) for address in found]


def private_hosts(text: str, setting: str = "A2A_EGRESS_PRIVATE") -> frozenset[tuple[str, int]]:
    """The value of a setting with hosts: `host:port`, separated by commas. Raises BadSetting."""
    hosts: set[tuple[str, int]] = set()
    for part in filter(None, (each.strip() for each in text.split(","))):
        try:
            host, port = host_and_port(part)
        except InvalidRequest as error:
            raise BadSetting(
                f"{setting} holds {part[:100]!r}, which can't be used. {error.detail}",
                remedy="Write host:port, separated by commas, such as db.internal:8443,10.0.0.7:80.",
                info={"setting": "A2A_EGRESS_PRIVATE"},
            ) from None
        hosts.add((host.name, port))
    return frozenset(hosts)


def tls_context(roots: Path | None = None) -> ssl.SSLContext:
    """Verifies servers with the system's roots, and with those in the file `roots` too. Raises BadSetting."""
    context = ssl.create_default_context()
    context.minimum_version = ssl.TLSVersion.TLSv1_2
    context.set_alpn_protocols(["http/1.1"])
    if roots is not None:
        try:
            context.load_verify_locations(cafile=str(roots))
        except (OSError, ssl.SSLError) as error:
            raise BadSetting(
                f"A2A_EGRESS_CA names {str(roots)[:200]!r}, which can't be read as certificates: "
                f"{error.strerror or error}.",
                remedy="Name a PEM file.",
                info={"setting": "A2A_EGRESS_CA"},
            ) from None
    return context


class Dialler:
    """See the module. `private`: hosts and ports that the operator named, which may lie in their own
    networks or on this machine; with `anywhere` at any address that is not barred."""

    def __init__(
        self,
        resolver: Resolver,
        private: frozenset[tuple[str, int]],
        context: ssl.SSLContext | None,
        *,
        anywhere: bool = False,
    ) -> None:
        self._resolver = resolver
        self._private = private
        self._context = context
        self._anywhere = anywhere

    async def addresses(self, host: Host, port: int) -> list[str]:
        """Where `host` is; the one look-up. Raises EgressRefused when one of its addresses may not be
        dialled, UpstreamFailed when it has none."""
        if host.address is not None:
            found: list[Address] = [host.address]
        else:
            try:
                texts = await self._resolver(host.name, port)
            except (OSError, UnicodeError):
                raise UpstreamFailed(
                    f"The name {host.name} is not known.", remedy="Check its spelling."
                ) from None
            try:
                found = [ip_address(text) for text in dict.fromkeys(texts)]
            except ValueError:  # as with a zone: fe80::1%eth0
                raise _refused(host, port, "is not global") from None
        if not found:
            raise UpstreamFailed(f"The name {host.name} has no address.", remedy="Check its spelling.")
        named = (host.name, port) in self._private
        for address in found:
            why = closed(address)
            literal = host.address is not None and not (address.is_multicast or address.is_unspecified)
            meant = not barred(address) if self._anywhere else literal or own(address)
            if why and not (named and meant):
                raise _refused(host, port, why)
        return [str(address) for address in found]

    async def connect(
        self, host: Host, port: int, addresses: Sequence[str], *, tls: bool
    ) -> tuple[Streams, str]:
        """A connection to the first of `addresses` that answers, and that address. Raises UpstreamFailed."""
        loop = asyncio.get_running_loop()
        if tls and self._context is None:  # The system's roots take megabytes, and most need none.
            self._context = await asyncio.to_thread(tls_context)
        why = ""
        for address in addresses[:MAX_TRIES]:
            family = socket.AF_INET6 if ":" in address else socket.AF_INET
            try:
                sock = socket.socket(family, socket.SOCK_STREAM | socket.SOCK_CLOEXEC)
            except OSError as error:
                why = error.strerror or str(error)
                continue
            try:
                sock.setblocking(False)
                await loop.sock_connect(sock, (address, port))
            except OSError as error:
                sock.close()
                why = error.strerror or str(error)
                continue
            except BaseException:
                sock.close()
                raise
            try:  # from here on the socket is the stream's, which closes it
                if tls:
                    streams = await asyncio.open_connection(
                        sock=sock, limit=BUFFER, ssl=self._context, server_hostname=host.bare
                    )
                else:
                    streams = await asyncio.open_connection(sock=sock, limit=BUFFER)
            except ssl.SSLCertVerificationError as error:
                raise UpstreamFailed(
                    f"The certificate of {host.name} is not good: {error.verify_message}.",
                    remedy="Roots of your own go into the file that A2A_EGRESS_CA names.",
                ) from None
            except OSError as error:  # TLS errors are some of these
                why = error.strerror or "the connection broke"
            else:
                return streams, address
        raise UpstreamFailed(f"No connection to {host.name}:{port}: {why}.", remedy="Is the server up?")


def no_buffer(writer: asyncio.StreamWriter) -> None:
    """From now on `drain` returns when the kernel has everything: nothing waits here, nothing is lost when
    the connection is cut later."""
    # With 0 a TLS transport of asyncio pauses for ever; what it holds back is sent before an answer comes.
    writer.transport.set_write_buffer_limits(high=1 if writer.get_extra_info("sslcontext") else 0, low=0)


async def closed_now(writer: asyncio.StreamWriter) -> None:
    """Wait until a connection that was cut has let go of its socket."""
    with suppress(OSError):
        await writer.wait_closed()


def _refused(host: Host, port: int, why: str) -> EgressRefused:
    return EgressRefused(
        f"{host.name} leads to an address that {why}.",
        remedy=f"If that is meant, the operator names it: A2A_EGRESS_PRIVATE={host.name}:{port}",
        info={"reason": "address"},
    )
