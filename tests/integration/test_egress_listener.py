"""A listener that agent code holds too, connections that are allowed no more, and many refusals."""

from __future__ import annotations

import asyncio
import os
import socket
import struct
import time
from contextlib import suppress

import uvloop
from egress_site import Names, Site, client_hello, ended, proxy, say, server

from a2a_cloud.runtime.egress.dial import tls_context
from a2a_cloud.runtime.egress.proxy import Egress
from a2a_cloud.runtime.egress.site import EgressLimits

HERE = [["127.0.0.1"]]
REFUSED = b"GET http://evil.test/ HTTP/1.1\r\nHost: evil.test\r\n\r\n"


async def beats(seconds: float) -> float:
    """The longest time that the loop was stuck within so many seconds."""
    longest, last = 0.0, time.monotonic()
    end = last + seconds
    while last < end:
        await asyncio.sleep(0.01)
        now = time.monotonic()
        longest, last = max(longest, now - last), now
    return longest


def test_an_agent_that_makes_its_listener_blocking_does_not_stop_the_loop() -> None:
    async def whole() -> None:
        listener = socket.create_server(("127.0.0.1", 0))
        kept, at = listener.dup(), listener.getsockname()[1]
        served = Egress(context=tls_context()).serve(listener, Site())
        for blocking in (True, False, True):
            os.set_blocking(kept.fileno(), blocking)
            answer = await say(at, REFUSED)
            assert b"egress_refused" in answer
            assert await beats(0.2) < 0.15
        # It goes on listening when it is to end: that stops nobody either.
        stopping = asyncio.create_task(served.stop())
        end = time.monotonic() + 3
        while not stopping.done() and time.monotonic() < end:
            with suppress(OSError):
                kept.listen(8)
            await asyncio.sleep(0)
        assert stopping.done()
        kept.close()

    uvloop.run(whole())


def test_a_connection_that_the_agent_lets_linger_is_closed_at_once() -> None:
    async def pour(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await reader.readuntil(b"\r\n\r\n")
        writer.write(b"HTTP/1.1 200 OK\r\nContent-Length: 50000000\r\n\r\n")
        while True:
            writer.write(bytes(1 << 16))
            await writer.drain()

    async def whole() -> None:
        async with server(pour) as port:
            listener = socket.create_server(("127.0.0.1", 0))
            listener.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 30))
            at = listener.getsockname()[1]
            site = Site(("api.test", port))
            egress = Egress(
                context=tls_context(),
                private=frozenset([("api.test", port)]),
                resolver=Names(api_test=HERE),
                limits=EgressLimits(idle_seconds=0.3),
            )
            served = egress.serve(listener, site)
            with socket.create_connection(("127.0.0.1", at)) as never:
                never.sendall(
                    f"GET http://api.test:{port}/ HTTP/1.1\r\nHost: api.test:{port}\r\n\r\n".encode()
                )
                assert await beats(1.0) < 0.3  # It never reads, so the proxy ends it in between.
                assert len(site.ends) == 1
                await asyncio.wait_for(served.stop(), 2)

    uvloop.run(whole())


def test_what_is_allowed_no_more_is_cut_and_the_rest_stays() -> None:
    async def keep(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        while data := await reader.read(1 << 16):
            writer.write(data)

    async def whole() -> None:
        async with server(keep) as one, server(keep) as two:
            site = Site(("a.test", one), ("b.test", two))
            names = Names(a_test=HERE, b_test=HERE)
            hello = {host: client_hello(host) for host in ("a.test", "b.test")}
            async with proxy(site, names, ("a.test", one), ("b.test", two)) as at:
                tunnels: dict[str, tuple[asyncio.StreamReader, asyncio.StreamWriter]] = {}
                for host, port in (("a.test", one), ("b.test", two)):
                    reader, writer = tunnels[host] = await asyncio.open_connection("127.0.0.1", at)
                    writer.write(f"CONNECT {host}:{port} HTTP/1.1\r\nHost: {host}:{port}\r\n\r\n".encode())
                    await reader.readuntil(b"\r\n\r\n")
                    writer.write(hello[host])
                    assert await reader.readexactly(len(hello[host])) == hello[host]
                site.recheck()
                assert site.ends == []
                site.open.remove(("a.test", one))
                site.recheck()
                assert site.ends == [("a.test", one, len(hello["a.test"]), len(hello["a.test"]))]
                assert site.refusals == ["refused: The connection was cut: It is closed by now."]
                reader, writer = tunnels["a.test"]
                with suppress(ConnectionError):
                    assert await reader.read() == b""
                await ended(writer)
                reader, writer = tunnels["b.test"]
                writer.write(b"still")
                assert await reader.readexactly(5) == b"still"
                await ended(writer)

    asyncio.run(whole())


def test_one_that_is_being_made_when_it_is_revoked_is_never_made() -> None:
    class Slow(Names):
        async def __call__(self, host: str, port: int) -> list[str]:
            await asyncio.sleep(0.3)
            return await super().__call__(host, port)

    async def never(_: asyncio.StreamReader, __: asyncio.StreamWriter) -> None:
        raise AssertionError("it was connected to")

    async def whole() -> None:
        async with server(never) as port:
            site = Site(("api.test", port))
            async with proxy(site, Slow(api_test=HERE), ("api.test", port)) as at:
                raw = f"GET http://api.test:{port}/ HTTP/1.1\r\nHost: api.test:{port}\r\n\r\n".encode()
                said = asyncio.create_task(say(at, raw))
                await asyncio.sleep(0.1)
                site.open.clear()
                site.recheck()
                with suppress(ConnectionError):
                    assert await said == b""
                assert await beats(0.4) < 0.3
                assert site.ends == []
                assert len(site.refusals) == 1

    asyncio.run(whole())


def test_refusals_in_a_second_are_bounded() -> None:
    async def whole() -> None:
        site = Site()
        limits = EgressLimits(refusals=5)
        async with proxy(site, Names(), limits=limits) as at:
            began = time.monotonic()

            async def lane() -> None:
                for _ in range(6):
                    assert b" 403 " in await say(at, REFUSED, seconds=9)

            await asyncio.gather(lane(), lane(), lane())
            took = time.monotonic() - began
        # 18 refusals, of which 5 fit into a second and 2 others are under way when the bound is met.
        assert took > 2.0
        assert len(site.refusals) == 18

    asyncio.run(whole())
