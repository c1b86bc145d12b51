"""The limits of the HTTP server in bytes, time and number, over raw sockets."""

from __future__ import annotations

import asyncio
import contextlib
import socket
from dataclasses import replace

import pytest
from http_site import (
    GET,
    HOST,
    PATIENT,
    SHORT,
    Site,
    problem,
    read_all,
    read_answer,
    with_site,
)


def test_too_many_pipelined_requests_end_the_connection_after_those_that_fit() -> None:
    async def check(site: Site) -> None:
        said = await site.say(b"GET /slow HTTP/1.1\r\n" + HOST + b"\r\n" + GET * 50)
        assert said.count(b"HTTP/1.1 200 OK") == 5
        assert problem(said)[0] == 503

    async def released(site: Site) -> None:
        site.app.release.set()
        await check(site)

    with_site(released, replace(PATIENT, pipelined=4))


def test_the_address_may_have_8_kib() -> None:
    async def check(site: Site) -> None:
        fits = b"GET /" + b"a" * (8 * 1024 - 1) + b" HTTP/1.1\r\n" + HOST + b"Connection: close\r\n\r\n"
        assert (await site.say(fits)).startswith(b"HTTP/1.1 200")
        status, members = problem(await site.say(fits.replace(b"/a", b"/aa")))
        assert (status, members["code"]) == (414, "url_too_long")
        assert problem(await site.say(b"GET /" + b"a" * 5_000_000))[0] == 414
        assert problem(await site.say(b"GET /", *[b"a" * 100] * 100))[0] == 414

    with_site(check)


@pytest.mark.parametrize(
    "pieces",
    [
        [b"GET / HTTP/1.1\r\n" + HOST + b"X: " + b"a" * 5_000_000 + b"\r\n\r\n"],
        [b"GET / HTTP/1.1\r\n" + HOST + b"X: "] + [b"a" * 10_000] * 500,
        [b"GET / HTTP/1.1\r\n" + HOST] + [b"X%d: y\r\n" % n for n in range(101)] + [b"\r\n"],
        [b"GET / HTTP/1.1\r\n" + HOST] + [b"X%d: %s\r\n" % (n, b"y" * 700) for n in range(60)] + [b"\r\n"],
        [b"GET / HTTP/1.1\r\n" + HOST + b"a" * 5_000_000],
        [b"POST /echo HTTP/1.1\r\n" + HOST + b"X: " + b"a" * 33_000 + b"\r\nContent-Length: 3\r\n\r\nabc"],
    ],
    ids=["5 MB at once", "5 MB in pieces", "101 fields", "42 KB of fields", "5 MB of a name", "with a body"],
)
def test_header_fields_have_a_limit(pieces: list[bytes]) -> None:
    async def check(site: Site) -> None:
        status, members = problem(await site.say(*pieces))
        assert (status, members["code"]) == (431, "too_many_headers")
        assert members["remedy"]
        assert site.app.seen == []
        assert await site.alive()

    with_site(check)


def test_a_header_just_within_the_limits_passes() -> None:
    async def check(site: Site) -> None:
        fields = b"".join(b"X%02d: %s\r\n" % (n, b"y" * 300) for n in range(98))
        said = await site.say(b"GET /hello HTTP/1.1\r\n" + HOST + b"Connection: close\r\n" + fields + b"\r\n")
        assert said.startswith(b"HTTP/1.1 200")

    with_site(check)


def test_trailer_fields_and_chunk_extensions_have_a_limit() -> None:
    async def check(site: Site) -> None:
        head = b"POST /echo HTTP/1.1\r\n" + HOST + b"Transfer-Encoding: chunked\r\n\r\n1\r\na\r\n"
        for endless in (b"0\r\nX: " + b"a" * 5_000_000, b"1;x=" + b"a" * 5_000_000):
            status, _ = problem(
                await site.say(head, *[endless[at : at + 9_000] for at in range(0, len(endless), 9_000)])
            )
            assert status in (400, 431)
        many = b"0\r\n" + b"".join(b"X%d: y\r\n" % n for n in range(5_000)) + b"\r\n"
        assert problem(await site.say(head + many))[0] == 431
        assert await site.alive()

    with_site(check)


@pytest.mark.parametrize("half", [b"G", b"GET / HTTP/1.1\r\nHost: a\r\nX", b"\r\n\r\n"])
def test_a_half_sent_header_is_refused_in_time(half: bytes) -> None:
    async def check(site: Site) -> None:
        status, members = problem(await site.say(half))
        assert (status, members["code"]) == (408, "request_timeout")

    with_site(check, SHORT)


def test_a_header_that_trickles_is_refused_in_time() -> None:
    async def check(site: Site) -> None:
        reader, writer = await site.connect()
        writer.write(b"GET / HTTP/1.1\r\n")
        reading = asyncio.ensure_future(read_all(reader))
        while not reading.done():  # one byte every now and then, for as long as the server listens
            with contextlib.suppress(ConnectionError):
                writer.write(b"x")
                await writer.drain()
            await asyncio.sleep(0.05)
        assert problem(reading.result())[0] == 408
        writer.close()

    with_site(check, SHORT)


def test_a_header_has_its_time_on_a_kept_connection_too() -> None:
    async def check(site: Site) -> None:
        assert problem(await site.say(GET + b"GET / HT"))[0] == 408

    with_site(check, replace(SHORT, idle_seconds=60))


def test_a_connection_that_never_asks_is_closed_without_a_word() -> None:
    async def check(site: Site) -> None:
        assert await site.say() == b""

    with_site(check, SHORT)


def test_an_idle_connection_is_closed() -> None:
    async def check(site: Site) -> None:
        said = await site.say(GET)
        assert said.count(b"HTTP/1.1 200 OK") == 1
        assert said.endswith(b"hello")

    with_site(check, replace(SHORT, head_seconds=60))


def test_a_slow_application_has_no_time_limit_here() -> None:
    async def check(site: Site) -> None:
        reader, writer = await site.connect()
        writer.write(b"GET /slow HTTP/1.1\r\n" + HOST + b"\r\n")
        await asyncio.sleep(1.0)  # longer than every limit of SHORT
        site.app.release.set()
        assert (await read_answer(reader))[2] == b"slow"
        writer.close()

    with_site(check, SHORT)


@pytest.mark.parametrize(
    "pieces", [[b"Content-Length: 10\r\n\r\nabc"], [b"Transfer-Encoding: chunked\r\n\r\n", b"3\r\nabc\r\n"]]
)
def test_a_body_that_stops_is_refused_in_time(pieces: list[bytes]) -> None:
    async def check(site: Site) -> None:
        said = await site.say(b"POST /echo HTTP/1.1\r\n" + HOST, *pieces)
        assert problem(said)[0] == 408
        await site.app.gone.wait()  # the application is told

    with_site(check, SHORT)


def test_a_body_that_moves_may_take_long() -> None:
    async def check(site: Site) -> None:
        reader, writer = await site.connect()
        writer.write(b"POST /echo HTTP/1.1\r\n" + HOST + b"Content-Length: 5\r\n\r\n")
        for _ in range(5):
            await asyncio.sleep(0.4)
            writer.write(b"x")
        assert (await read_answer(reader))[2] == b"x" * 5
        writer.close()

    with_site(check, replace(SHORT, body_idle_seconds=1.0))


def test_a_body_over_the_limit_is_refused_before_it_is_read() -> None:
    async def check(site: Site) -> None:
        status, members = problem(
            await site.say(b"POST /echo HTTP/1.1\r\n" + HOST + b"Content-Length: 1001\r\n\r\n", b"a" * 1001)
        )
        assert (status, members["code"]) == (413, "too_large")
        assert site.app.seen == []
        chunks = b"1f4\r\n" + b"a" * 500 + b"\r\n"
        said = await site.say(
            b"POST /echo HTTP/1.1\r\n" + HOST + b"Transfer-Encoding: chunked\r\n\r\n" + chunks * 3
        )
        assert problem(said)[0] == 413

    with_site(check, replace(PATIENT, body_bytes=1000))


def test_an_early_refusal_reaches_a_client_that_is_still_sending() -> None:
    async def check(site: Site) -> None:
        body = b"a" * 20_000_000
        said = await site.say(b"POST /early HTTP/1.1\r\n" + HOST + b"Content-Length: 20000000\r\n\r\n", body)
        assert said.startswith(b"HTTP/1.1 403 ")
        assert said.endswith(b"no")

    with_site(check)


def test_a_client_that_does_not_read_is_cut() -> None:
    async def check(site: Site) -> None:
        with socket.socket() as client:
            client.setblocking(False)
            loop = asyncio.get_running_loop()
            await loop.sock_connect(client, ("127.0.0.1", site.port))
            await loop.sock_sendall(client, b"GET /flood HTTP/1.1\r\n" + HOST + b"\r\n")
            await site.app.gone.wait()

    with_site(check, SHORT)


def test_a_connection_over_the_cap_is_refused_and_room_comes_back() -> None:
    async def check(site: Site) -> None:
        held = [await site.connect() for _ in range(3)]
        for reader, writer in held:
            writer.write(GET)
            await read_answer(reader)
        said = await site.say(GET)
        status, members = problem(said)
        assert (status, members["code"]) == (503, "unavailable")
        assert b"retry-after: 2\r\n" in said
        held[0][1].close()
        while site.serving.connections > 2:  # noqa: ASYNC110  # the server has no event for this
            await asyncio.sleep(0.01)
        assert await site.alive()
        for _, writer in held:
            writer.close()

    with_site(check, replace(PATIENT, connections=3))
    with_site(check, replace(PATIENT, connections_per_client=3))
