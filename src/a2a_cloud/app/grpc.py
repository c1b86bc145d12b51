"""The gRPC server: grpcio on the platform's own event loop, on a port of its own, with limits.

grpcio is loaded here, when the platform starts (0.03 s, 5 MB), and nowhere else.
"""

from __future__ import annotations

import asyncio
import contextlib
import errno
import logging
import os
import socket
from collections.abc import Sequence
from functools import partial
from importlib import import_module
from typing import Any
from urllib.parse import unquote

from a2a_cloud.model.problem import Unavailable
from a2a_cloud.settings import HttpLimits
from a2a_cloud.surface.a2a.grpc.servicer import Metadata, Servicer
from a2a_cloud.surface.http_shared import loopback
from a2a_cloud.surface.proxies import Proxies
from a2a_cloud.surface.tls import Tls
from a2a_cloud.wire.a2a_proto import SERVICE

_CONNECTIONS = 1_000
#: Streams of one connection: more than anybody may have open at all, so that none waits without a word.
_STREAMS = 20_000
_REFUSE_SECONDS = 1.0


class _Context:
    """A call of grpc.aio, fit for the servicer."""

    __slots__ = ("_believed", "_codes", "_context")

    def __init__(self, context: Any, codes: Any, believed: Proxies | None) -> None:
        self._context = context
        self._codes = codes
        self._believed = believed

    def invocation_metadata(self) -> Metadata | None:
        """See servicer.Context."""
        return self._context.invocation_metadata()

    def address(self) -> str:
        """See servicer.Context."""
        peer = _peer(self._context)
        if self._believed is None or not self._believed.trusts(peer):
            return peer
        fields = [
            (name.encode(), value if isinstance(value, bytes) else value.encode("latin-1", "replace"))
            for name, value in self._context.invocation_metadata() or ()
        ]
        return self._believed.caller(peer, fields).address

    async def send_initial_metadata(self, initial_metadata: Metadata) -> None:
        """See servicer.Context."""
        await self._context.send_initial_metadata(initial_metadata)

    async def write(self, message: bytes) -> None:
        """See servicer.Context."""
        await self._context.write(message)

    async def refuse(self, code: str, message: str, trailing: Metadata) -> None:
        """See servicer.Context."""
        try:
            async with asyncio.timeout(_REFUSE_SECONDS):
                await self._context.abort(self._codes[code], message, tuple(trailing))
        except TimeoutError:
            # The status waits behind what the client doesn't read. It gets it when it does; the call's
            # own work is over now.
            raise asyncio.CancelledError from None


class GrpcServing:
    """One gRPC server."""

    def __init__(self) -> None:
        self._server: Any = None

    async def start(
        self,
        servicer: Servicer,
        host: str,
        port: int,
        *,
        exact: bool,
        limits: HttpLimits,
        body: int,
        tls: Tls | None = None,
        proxies: Proxies | None = None,
    ) -> int:
        """Serves on `port` of `host` and returns it: a free one for 0, and for one that another program has
        unless it has to be `exact`. `body`: bytes of the largest message. Without TLS and with `proxies`,
        only they and this machine itself are served. Raises Unavailable."""
        port = _free(host, port, exact)
        # Not REUSEPORT: two platforms must not share a port without knowing it.
        options: Sequence[tuple[str, int]] = (
            ("grpc.so_reuseport", 0),
            ("grpc.max_receive_message_length", body),
            ("grpc.max_metadata_size", limits.head_bytes),
            ("grpc.absolute_max_metadata_size", limits.head_bytes),
            ("grpc.max_allowed_incoming_connections", min(_CONNECTIONS, limits.connections)),
            ("grpc.max_concurrent_streams", _STREAMS),
            ("grpc.max_connection_idle_ms", 300_000),
            ("grpc.keepalive_time_ms", 30_000),
            ("grpc.keepalive_timeout_ms", 10_000),
            ("grpc.http2.min_recv_ping_interval_without_data_ms", 5_000),
            ("grpc.keepalive_permit_without_calls", 1),
        )
        # The platform forks only to become another program: what grpcio does at a fork for processes that
        # go on with it would be lost time, and is written to the log when its threads are at work.
        os.environ.setdefault("GRPC_ENABLE_FORK_SUPPORT", "0")
        logging.getLogger("grpc._cython.cygrpc").addFilter(_ours)
        grpc = import_module("grpc")
        server = import_module("grpc.aio").server(options=options, maximum_concurrent_rpcs=limits.connections)
        try:
            if tls is None:
                taken: int = server.add_insecure_port(_address(host, port))
            else:
                taken = server.add_secure_port(_address(host, port), _credentials(grpc, tls))
        except RuntimeError as error:
            raise _unusable(host, port, str(error)) from error
        guard = proxies if tls is None else None
        server.add_generic_rpc_handlers((_handler(grpc, servicer, guard, proxies),))
        self._server = server
        await server.start()
        return taken

    async def stop(self, seconds: float) -> None:
        """Takes no new calls, gives those that run `seconds`, then cuts them."""
        server, self._server = self._server, None
        if server is not None:
            await server.stop(seconds)


def _ours(record: logging.LogRecord) -> bool:
    """Whether a line of grpcio's is worth the log: a client that is gone before its answer is not."""
    error = record.exc_info[1] if record.exc_info else None
    return type(error).__name__ != "ExecuteBatchError"


def _credentials(grpc: Any, tls: Tls) -> Any:
    """The certificate, which is asked for at each handshake: that of the files' present state."""
    told: list[tuple[bytes, bytes]] = [tls.pair()]

    def configuration() -> Any:
        return grpc.ssl_server_certificate_configuration([told[0]])

    def fetch() -> Any:
        """None: what was said last still holds."""
        try:
            pair = tls.pair()
        except OSError:
            return None
        if pair == told[0] or not tls.holds(pair):
            return None
        told[0] = pair
        return configuration()

    return grpc.dynamic_ssl_server_credentials(configuration(), fetch)


def _peer(context: Any) -> str:
    """The address behind `ipv4:127.0.0.1:5000` or `ipv6:%5B::1%5D:5000`, "" for something else."""
    kind, _, rest = str(context.peer()).partition(":")
    if kind not in ("ipv4", "ipv6"):
        return ""
    return unquote(rest).rpartition(":")[0].strip("[]").removeprefix("::ffff:")


async def _guard(context: Any, codes: Any, proxies: Proxies | None) -> None:
    """Ends calls of strangers where only proxies are served."""
    if proxies is None:
        return
    address = _peer(context)
    if not address or not (loopback(address) or proxies.trusts(address)):
        await context.abort(codes["PERMISSION_DENIED"], "This port is for the platform's proxies.")


def _handler(grpc: Any, servicer: Servicer, proxies: Proxies | None, believed: Proxies | None) -> Any:
    """The servicer's methods, as grpcio calls them: for `proxies` alone where there are any; `believed` are
    those that say where a call came from."""
    codes = grpc.StatusCode.__members__

    async def answer(method: str, body: bytes, context: Any) -> bytes:
        await _guard(context, codes, proxies)
        return await servicer.answer(method, body, _Context(context, codes, believed))

    async def stream(method: str, body: bytes, context: Any) -> None:
        await _guard(context, codes, proxies)
        await servicer.stream(method, body, _Context(context, codes, believed))

    methods: dict[str, Any] = {
        name: grpc.unary_unary_rpc_method_handler(partial(answer, name)) for name in servicer.unary
    }
    methods |= {
        name: grpc.unary_stream_rpc_method_handler(partial(stream, name)) for name in servicer.streaming
    }
    return grpc.method_handlers_generic_handler(SERVICE, methods)


def _address(host: str, port: int) -> str:
    return f"[{host}]:{port}" if ":" in host else f"{host}:{port}"


def _free(host: str, port: int, exact: bool) -> int:
    """`port` if it can be had, 0 where another will do."""
    if port == 0:
        return 0
    family = socket.AF_INET6 if ":" in host else socket.AF_INET
    with contextlib.closing(socket.socket(family, socket.SOCK_STREAM)) as tried:
        tried.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            tried.bind((host, port))
            tried.listen(1)
        except OSError as error:
            if not exact and error.errno in (errno.EADDRINUSE, errno.EACCES):
                return 0
            raise _unusable(host, port, os.strerror(error.errno or 0)) from error
    return port


def _unusable(host: str, port: int, why: str) -> Unavailable:
    return Unavailable(
        f"gRPC can't listen on {host}, port {port}: {why}.",
        remedy="Set A2A_GRPC_PORT to another port, to 0 for a free one, or to off.",
        info={"port": str(port)},
    )
