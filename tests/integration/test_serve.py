"""Listening and draining: which ports and hosts are refused how, and what a drain does to whom."""

from __future__ import annotations

import asyncio
import socket
from dataclasses import replace

import pytest
import uvloop
from http_site import (
    GET,
    HOST,
    PATIENT,
    App,
    Site,
    StoppedClock,
    read_all,
    read_answer,
    with_site,
)

from a2a_cloud.model.problem import Unavailable
from a2a_cloud.surface.serve import Serving


async def until_refused(port: int) -> None:
    """Waits until nothing listens on `port`."""
    while True:
        try:
            _, writer = await asyncio.open_connection("127.0.0.1", port)
        except ConnectionError:
            return
        writer.close()
        await asyncio.sleep(0.01)


def test_a_drain_lets_a_running_request_finish() -> None:
    async def check(site: Site) -> None:
        idle_reader, idle = await site.connect()
        idle.write(GET)
        await read_answer(idle_reader)
        reader, writer = await site.connect()
        writer.write(b"GET /slow HTTP/1.1\r\n" + HOST + b"\r\n" + GET)
        await site.app.began.wait()
        draining = asyncio.ensure_future(site.serving.drain(20))
        assert await idle_reader.read() == b""
        await until_refused(site.port)
        assert not draining.done()
        site.app.release.set()
        said = await read_all(reader)
        assert said.count(b"HTTP/1.1 200 OK") == 1  # what waits behind it is not begun
        assert b"connection: close" in said
        assert said.endswith(b"slow")
        assert await draining == 0
        for each in (idle, writer):
            each.close()

    with_site(check, replace(PATIENT, linger_seconds=0.3))


def test_a_drain_cuts_what_takes_longer() -> None:
    async def check(site: Site) -> None:
        reader, writer = await site.connect()
        writer.write(b"GET /slow HTTP/1.1\r\n" + HOST + b"\r\n")
        await site.app.began.wait()
        assert await site.serving.drain(0.1) == 1
        assert await read_all(reader) == b""
        assert site.serving.connections == 0
        assert await site.serving.drain(1) == 0
        writer.close()

    with_site(check)


def refused(host: str, port: int) -> Unavailable:
    async def main() -> Unavailable:
        serving = Serving(StoppedClock())
        with pytest.raises(Unavailable) as caught:
            await serving.start(App(), host, port)
        await serving.drain(0)
        return caught.value

    return asyncio.run(main())


def test_a_busy_port_is_named_with_its_remedy() -> None:
    with socket.create_server(("127.0.0.1", 0)) as other:
        port = other.getsockname()[1]
        said = refused("127.0.0.1", port)
    assert str(port) in said.detail
    assert "A2A_PORT=0" in said.remedy


def test_hosts_that_are_not_ours_are_named() -> None:
    assert "resolved" in refused("a" * 300, 0).detail  # no name server is asked for such a name
    assert "A2A_HOST" in refused("192.0.2.1", 0).remedy  # TEST-NET-1: never an address of a machine
    assert "A2A_HOST" in refused("a" * 300, 0).remedy


def test_ipv6_and_names() -> None:
    async def check(host: str) -> None:
        serving = Serving(StoppedClock())
        address, port = await serving.start(App(), host, 0)
        assert port > 0
        reader, writer = await asyncio.open_connection(address, port)
        writer.write(GET)
        assert (await read_answer(reader))[2] == b"hello"
        writer.close()
        await serving.drain(1)

    asyncio.run(check("localhost"))
    if has_ipv6():
        asyncio.run(check("::1"))


def has_ipv6() -> bool:
    try:
        with socket.create_server(("::1", 0), family=socket.AF_INET6):
            return True
    except OSError:
        return False


def test_a_port_can_be_taken_again_right_after_a_drain() -> None:
    async def main() -> None:
        app = App()
        first = Serving(StoppedClock())
        _, port = await first.start(app, "127.0.0.1", 0)
        site = Site(first, app, port)
        assert await site.alive()
        await first.drain(1)
        second = Serving(StoppedClock())
        assert (await second.start(app, "127.0.0.1", port))[1] == port
        assert await Site(second, app, port).alive()
        await second.drain(1)

    with asyncio.Runner(loop_factory=uvloop.new_event_loop) as runner:
        runner.run(main())
