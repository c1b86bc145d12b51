"""A site, a resolver, servers and certificates for tests of the egress proxy: real sockets on 127.0.0.1."""

from __future__ import annotations

import asyncio
import datetime
import socket
import ssl
from collections.abc import AsyncGenerator, Awaitable, Callable, Sequence
from contextlib import asynccontextmanager, suppress
from pathlib import Path

from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import NameOID

from a2a_cloud.model.problem import NotFound
from a2a_cloud.runtime.egress.dial import tls_context
from a2a_cloud.runtime.egress.inject import Injection
from a2a_cloud.runtime.egress.proxy import Egress
from a2a_cloud.runtime.egress.site import EgressLimits

Handler = Callable[[asyncio.StreamReader, asyncio.StreamWriter], Awaitable[None]]


class Site:
    """Allows what is in `open`, has the secrets of `stored`, and keeps what it is told."""

    def __init__(self, *allowed: tuple[str, int]) -> None:
        self.open = set(allowed)
        self.bound: list[Injection] = []
        self.stored: dict[str, str] = {}
        self.asked: list[tuple[str, int]] = []
        self.told: list[tuple[str, int, str, str]] = []
        self.ends: list[tuple[str, int, int, int]] = []
        #: Looks at what is open; the proxy's, while it serves.
        self.recheck: Callable[[], None] = lambda: None

    def allows(self, host: str, port: int) -> str:
        self.asked.append((host, port))
        return "" if (host, port) in self.open else "its grant does not name it."

    def holds(self, host: str, port: int) -> str:
        return "" if (host, port) in self.open else "It is closed by now."

    def secrets(self) -> Sequence[Injection]:
        return self.bound

    def secret(self, name: str) -> str:
        if name not in self.stored:
            raise NotFound("There is no such secret.")
        return self.stored[name]

    def connected(self, host: str, port: int, address: str, decision: str) -> None:
        self.told.append((host, port, address, decision))

    def ended(self, host: str, port: int, sent: int, received: int) -> None:
        self.ends.append((host, port, sent, received))

    @property
    def refusals(self) -> list[str]:
        return [decision for _, _, _, decision in self.told if decision.startswith("refused")]


class Names:
    """A resolver: each look-up of a name takes its next answer, the last one stays."""

    def __init__(self, **names: list[list[str]]) -> None:
        self.names = {name.replace("_", "."): answers for name, answers in names.items()}
        self.looked: list[str] = []

    async def __call__(self, host: str, port: int) -> list[str]:
        self.looked.append(host)
        if host not in self.names:
            raise socket.gaierror(socket.EAI_NONAME, "not known")
        answers = self.names[host]
        return answers.pop(0) if len(answers) > 1 else answers[0]


class Authority:
    """A CA of the test's own, its file, and certificates for names."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        self._key = ec.generate_private_key(ec.SECP256R1())
        self._name = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, "Test CA")])
        self._cert = self._sign(self._name, self._key.public_key(), ca=True)
        self.roots = folder / "roots.pem"
        self.roots.write_bytes(self._cert.public_bytes(serialization.Encoding.PEM))

    def _sign(
        self, subject: x509.Name, public: ec.EllipticCurvePublicKey, *, ca: bool, host: str = ""
    ) -> x509.Certificate:
        now = datetime.datetime.now(datetime.UTC)
        builder = (
            x509.CertificateBuilder()
            .subject_name(subject)
            .issuer_name(self._name)
            .public_key(public)
            .serial_number(x509.random_serial_number())
            .not_valid_before(now - datetime.timedelta(days=1))
            .not_valid_after(now + datetime.timedelta(days=1))
            .add_extension(x509.BasicConstraints(ca=ca, path_length=None), critical=True)
            .add_extension(x509.SubjectKeyIdentifier.from_public_key(public), critical=False)
            .add_extension(
                x509.AuthorityKeyIdentifier.from_issuer_public_key(self._key.public_key()), critical=False
            )
        )
        if ca:
            usage = x509.KeyUsage(False, False, False, False, False, True, True, False, False)
            builder = builder.add_extension(usage, critical=True)
        if host:
            builder = builder.add_extension(x509.SubjectAlternativeName([x509.DNSName(host)]), critical=False)
        return builder.sign(self._key, hashes.SHA256())

    def server(self, host: str) -> ssl.SSLContext:
        """A server's context with a certificate for `host`."""
        key = ec.generate_private_key(ec.SECP256R1())
        subject = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, host)])
        cert = self._sign(subject, key.public_key(), ca=False, host=host)
        path = self._folder / f"{host}.pem"
        path.write_bytes(
            key.private_bytes(
                serialization.Encoding.PEM,
                serialization.PrivateFormat.PKCS8,
                serialization.NoEncryption(),
            )
            + cert.public_bytes(serialization.Encoding.PEM)
        )
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        context.load_cert_chain(path)
        return context


@asynccontextmanager
async def server(handler: Handler, context: ssl.SSLContext | None = None) -> AsyncGenerator[int]:
    """A server on a free port of 127.0.0.1."""

    tasks: set[asyncio.Task[None]] = set()

    async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        task = asyncio.current_task()
        assert task is not None
        tasks.add(task)
        try:
            await handler(reader, writer)
        except (OSError, asyncio.IncompleteReadError, asyncio.CancelledError):
            pass  # the test has ended, or the proxy cut the connection
        finally:
            await ended(writer)
            tasks.discard(task)

    running = await asyncio.start_server(serve, "127.0.0.1", 0, ssl=context)
    try:
        yield running.sockets[0].getsockname()[1]
    finally:
        running.close()
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)


@asynccontextmanager
async def proxy(
    site: Site,
    names: Names,
    *private: tuple[str, int],
    roots: Path | None = None,
    limits: EgressLimits | None = None,
) -> AsyncGenerator[int]:
    """The proxy of one worker, on a free port of 127.0.0.1."""
    listener = socket.create_server(("127.0.0.1", 0))
    port = listener.getsockname()[1]
    egress = Egress(
        context=tls_context(roots),
        private=frozenset(private),
        resolver=names,
        limits=limits or EgressLimits(head_seconds=2, idle_seconds=5, connect_seconds=3),
    )
    served = egress.serve(listener, site)
    site.recheck = served.recheck
    try:
        yield port
    finally:
        await served.stop()


async def say(port: int, data: bytes, *, seconds: float = 5.0) -> bytes:
    """Send `data` to the proxy, and everything that comes back until it ends the connection."""
    reader, writer = await asyncio.open_connection("127.0.0.1", port)
    try:
        writer.write(data)
        async with asyncio.timeout(seconds):
            return await reader.read()
    finally:
        await ended(writer)


async def ended(writer: asyncio.StreamWriter) -> None:
    """Close it and wait until it is: what stays open is a warning, and so a failure."""
    writer.close()
    with suppress(OSError, TimeoutError):
        async with asyncio.timeout(1):
            await writer.wait_closed()
    writer.transport.abort()
    await asyncio.sleep(0)


def client_hello(name: str | None) -> bytes:
    """The first bytes of a real TLS client for `name` (None: without SNI)."""
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    context.check_hostname = False
    context.verify_mode = ssl.CERT_NONE
    out = ssl.MemoryBIO()
    tls = context.wrap_bio(ssl.MemoryBIO(), out, server_hostname=name)
    try:
        tls.do_handshake()
    except ssl.SSLWantReadError:
        return out.read()
    raise AssertionError("a handshake without an answer")
