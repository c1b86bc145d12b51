"""Framing, pipelining and refusals of the HTTP server over raw sockets."""

from __future__ import annotations

import asyncio
import contextlib
import json
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import pytest
import uvloop
from http_site import (
    GET,
    HOST,
    PATIENT,
    App,
    Site,
    StoppedClock,
    answer,
    problem,
    read_all,
    read_answer,
    with_site,
)
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from a2a_cloud.surface.serve import Serving


@pytest.mark.parametrize("loop", [uvloop.new_event_loop, asyncio.new_event_loop], ids=["uvloop", "asyncio"])
def test_answers_on_a_kept_connection(loop: Callable[[], asyncio.AbstractEventLoop]) -> None:
    async def check(site: Site) -> None:
        reader, writer = await site.connect()
        for _ in range(3):
            writer.write(GET)
            status, fields, body = await read_answer(reader)
            assert (status, body) == (200, b"hello")
            assert fields["date"] == "Tue, 14 Nov 2023 22:13:20 GMT"
            assert "server" not in fields
            assert "connection" not in fields
        writer.write(b"GET /a%20b%2Fc?x=%41 HTTP/1.1\r\n" + HOST + b"Connection: close\r\n\r\n")
        status, fields, body = await read_answer(reader)
        assert json.loads(body) == ["/a b/c", "x=%41"]
        assert fields["connection"] == "close"
        assert await reader.read() == b""
        writer.close()

    with_site(check, loop=loop)


def test_head_has_the_fields_and_no_body() -> None:
    async def check(site: Site) -> None:
        said = await site.say(b"HEAD /hello HTTP/1.1\r\n" + HOST + b"Connection: close\r\n\r\n")
        assert said.startswith(b"HTTP/1.1 200 OK\r\n")
        assert b"content-length: 5\r\n" in said
        assert said.endswith(b"\r\n\r\n")

    with_site(check)


def test_http_1_0_gets_a_body_without_chunks_and_a_close() -> None:
    async def check(site: Site) -> None:
        said = await site.say(b"GET /pieces HTTP/1.0\r\nConnection: keep-alive\r\n\r\n")
        assert b"chunked" not in said
        assert said.endswith(b"\r\n\r\none " + b"y" * 20_000)

    with_site(check)


def test_chunked_answers_are_framed() -> None:
    async def check(site: Site) -> None:
        said = await site.say(b"GET /pieces HTTP/1.1\r\n" + HOST + b"Connection: close\r\n\r\n")
        assert said.endswith(b"\r\n\r\n4\r\none \r\n4e20\r\n" + b"y" * 20_000 + b"\r\n0\r\n\r\n")

    with_site(check)


def test_bodies_with_length_and_in_chunks() -> None:
    async def check(site: Site) -> None:
        reader, writer = await site.connect()
        writer.write(b"POST /echo HTTP/1.1\r\n" + HOST + b"Content-Length: 5\r\n\r\nab")
        await writer.drain()
        writer.write(b"cde")
        assert (await read_answer(reader))[2] == b"abcde"
        writer.write(b"POST /echo HTTP/1.1\r\n" + HOST + b"Transfer-Encoding: chunked\r\n\r\n")
        for piece in (b"3\r\nabc\r\n", b"2;x=y\r\n", b"de\r\n", b"0\r\nX-Trailer: 1\r\n\r\n"):
            writer.write(piece)
            await writer.drain()
        assert (await read_answer(reader))[2] == b"abcde"
        writer.write(b"POST /echo HTTP/1.1\r\n" + HOST + b"Content-Length: 0\r\n\r\n")
        assert (await read_answer(reader))[2] == b""
        writer.close()

    with_site(check)


def test_trailer_fields_never_become_header_fields() -> None:
    async def check(site: Site) -> None:
        captured: list[Any] = []

        async def app(scope: Any, receive: Any, send: Any) -> None:
            captured.append(scope["headers"])
            while (await receive())["more_body"]:
                pass
            await answer(send, b"")

        serving = Serving(StoppedClock())
        _, port = await serving.start(app, "127.0.0.1", 0, PATIENT)
        other = Site(serving, site.app, port)
        await other.say(
            b"POST / HTTP/1.1\r\nHost: a\r\nConnection: close\r\nTransfer-Encoding: chunked\r\n\r\n"
            b"1\r\na\r\n0\r\nAuthorization: Bearer x\r\n\r\n"
        )
        assert [name for name, _ in captured[0]] == [b"host", b"connection", b"transfer-encoding"]
        await serving.drain(1)

    with_site(check)


def test_a_hundred_megabytes_pass_in_small_pieces() -> None:
    async def check(site: Site) -> None:
        reader, writer = await site.connect()
        piece, count = b"z" * (1 << 20), 100
        writer.write(b"PUT /count HTTP/1.1\r\n" + HOST + b"Content-Length: %d\r\n\r\n" % (len(piece) * count))
        for _ in range(count):
            writer.write(piece)
            await writer.drain()
        assert (await read_answer(reader))[2] == b"%d" % (len(piece) * count)
        assert site.app.largest < 1 << 20
        writer.close()

    with_site(check)


def test_expect_100_continue() -> None:
    async def check(site: Site) -> None:
        head = HOST + b"Content-Length: 3\r\nExpect: 100-continue\r\n\r\n"
        reader, writer = await site.connect()
        writer.write(b"POST /echo HTTP/1.1\r\n" + head)
        assert await reader.readuntil(b"\r\n\r\n") == b"HTTP/1.1 100 Continue\r\n\r\n"
        writer.write(b"abc")
        assert (await read_answer(reader))[2] == b"abc"
        writer.close()
        # An application that refuses before reading never asks for the body, and the connection ends.
        said = await site.say(b"POST /early HTTP/1.1\r\n" + head)
        assert said.startswith(b"HTTP/1.1 403 ")
        assert b"connection: close" in said

    with_site(check)


def test_pipelined_requests_are_answered_in_order() -> None:
    async def check(site: Site) -> None:
        reader, writer = await site.connect()
        writer.write(
            b"GET /slow HTTP/1.1\r\n"
            + HOST
            + b"\r\n"
            + b"POST /echo HTTP/1.1\r\n"
            + HOST
            + b"Content-Length: 3\r\n\r\nabc"
            + GET
            + b"GET /last HTTP/1.1\r\nHost:"
        )
        await site.app.began.wait()
        assert site.app.seen == ["GET /slow"]
        site.app.release.set()
        assert [(await read_answer(reader))[2] for _ in range(3)] == [b"slow", b"abc", b"hello"]
        writer.write(b" x\r\n\r\n")
        assert json.loads((await read_answer(reader))[2]) == ["/last", ""]
        writer.close()

    with_site(check)


def test_a_large_body_behind_a_slow_request_waits() -> None:
    async def check(site: Site) -> None:
        reader, writer = await site.connect()
        body = b"b" * 3_000_000
        writer.write(b"GET /slow HTTP/1.1\r\n" + HOST + b"\r\n")
        writer.write(b"POST /count HTTP/1.1\r\n" + HOST + b"Content-Length: 3000000\r\n\r\n" + body)
        await site.app.began.wait()
        site.app.release.set()
        assert (await read_answer(reader))[2] == b"slow"
        assert (await read_answer(reader))[2] == b"3000000"
        writer.close()

    with_site(check)


def test_a_bad_request_behind_a_good_one_is_refused_after_its_answer() -> None:
    async def check(site: Site) -> None:
        saying = asyncio.ensure_future(
            site.say(b"GET /slow HTTP/1.1\r\n" + HOST + b"\r\n" + b"\x00\x01garbage")
        )
        await site.app.began.wait()
        site.app.release.set()
        said = await saying
        assert said.startswith(b"HTTP/1.1 200 OK")
        assert problem(said)[0] == 400

    with_site(check)


@pytest.mark.parametrize(
    "request_bytes",
    [
        b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03",
        b"GET /\r\n\r\n",
        b"GET / HTTP/0.9\r\n\r\n",
        b"GET / HTTP/2.0\r\n" + HOST + b"\r\n",
        b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n",
        b"GET / HTTP/1.1\nHost: a\n\n",
        b"GET / HTTP/1.1\r\n\r\n",
        b"GET / HTTP/1.1\r\n" + HOST + HOST + b"\r\n",
        b"GET /\xff HTTP/1.1\r\n" + HOST + b"\r\n",
        b"GET / HTTP/1.1\r\n" + HOST + b"X: a\r\n folded\r\n\r\n",
        b"GET / HTTP/1.1\r\n" + HOST + b"X: a\x00b\r\n\r\n",
        b"GET / HTTP/1.1\r\n" + HOST + b"X : a\r\n\r\n",
        b"GET http://other/ HTTP/1.1\r\n" + HOST + b"\r\n",
        b"POST /echo HTTP/1.1\r\n"
        + HOST
        + b"Content-Length: 3\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n",
        b"POST /echo HTTP/1.1\r\n"
        + HOST
        + b"Transfer-Encoding: chunked\r\nContent-Length: 3\r\n\r\n0\r\n\r\n",
        b"POST /echo HTTP/1.1\r\n" + HOST + b"Content-Length: 3\r\nContent-Length: 4\r\n\r\nabcd",
        b"POST /echo HTTP/1.1\r\n" + HOST + b"Content-Length: 3\r\nContent-Length: 3\r\n\r\nabc",
        b"POST /echo HTTP/1.1\r\n" + HOST + b"Content-Length: +3\r\n\r\nabc",
        b"POST /echo HTTP/1.1\r\n" + HOST + b"Content-Length: 0x3\r\n\r\nabc",
        b"POST /echo HTTP/1.1\r\n" + HOST + b"Content-Length: -1\r\n\r\n",
        b"POST /echo HTTP/1.1\r\n" + HOST + b"Content-Length: 99999999999999999999999\r\n\r\n",
        b"POST /echo HTTP/1.1\r\n" + HOST + b"Transfer-Encoding: xchunked\r\n\r\n0\r\n\r\n",
        b"POST /echo HTTP/1.1\r\n" + HOST + b"Transfer-Encoding: identity\r\n\r\n0\r\n\r\n",
        b"POST /echo HTTP/1.1\r\n" + HOST + b"Transfer-Encoding: gzip, chunked\r\n\r\n0\r\n\r\n",
        b"POST /echo HTTP/1.1\r\n" + HOST + b"Transfer-Encoding: chunked, identity\r\n\r\n0\r\n\r\n",
        b"POST /echo HTTP/1.1\r\n" + HOST + b"Transfer-Encoding: chunked\r\n" * 2 + b"\r\n0\r\n\r\n",
        b"POST /echo HTTP/1.1\r\n" + HOST + b"Transfer-Encoding:\x0bchunked\r\n\r\n0\r\n\r\n",
        b"POST /echo HTTP/1.0\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n",
        b"POST /echo HTTP/1.1\r\n" + HOST + b"Transfer-Encoding: chunked\r\n\r\n5\nhello\r\n0\r\n\r\n",
        b"POST /echo HTTP/1.1\r\n" + HOST + b"Transfer-Encoding: chunked\r\n\r\nffffffffffffffffff\r\n",
        b"POST /echo HTTP/1.1\r\n" + HOST + b"Transfer-Encoding: chunked\r\n\r\n1\r\nabc\r\n0\r\n\r\n",
        b"POST /echo HTTP/1.1\r\n"
        + HOST
        + b"Connection: Upgrade\r\nUpgrade: h2c\r\nContent-Length: 3\r\n\r\nabc",
    ],
)
def test_what_is_not_well_formed_is_refused_with_a_problem(request_bytes: bytes) -> None:
    async def check(site: Site) -> None:
        status, members = problem(await site.say(request_bytes))
        assert (status, members["code"]) == (400, "invalid_request")
        # A byte at a time it ends the same way.
        pieces = [request_bytes[at : at + 1] for at in range(len(request_bytes))]
        assert problem(await site.say(*pieces))[0] == 400
        assert await site.alive()
        assert site.app.seen.count("GET /") == 0

    with_site(check)


def test_a_tunnel_is_refused_and_an_upgrade_ignored() -> None:
    async def check(site: Site) -> None:
        assert problem(await site.say(b"CONNECT a:443 HTTP/1.1\r\nHost: a\r\n\r\n"))[0] == 405
        reader, writer = await site.connect()
        upgrade = b"GET /hello HTTP/1.1\r\n" + HOST + b"Connection: Upgrade\r\nUpgrade: websocket\r\n\r\n"
        writer.write(upgrade + upgrade + GET)
        for _ in range(3):
            assert (await read_answer(reader))[2] == b"hello"
        writer.write(GET)
        assert (await read_answer(reader))[2] == b"hello"
        writer.close()

    with_site(check)


def test_an_absolute_address_with_the_same_host_is_its_path() -> None:
    async def check(site: Site) -> None:
        reader, writer = await site.connect()
        writer.write(b"GET http://LOCALHOST/x?y=1 HTTP/1.1\r\n" + HOST + b"\r\n")
        assert json.loads((await read_answer(reader))[2]) == ["/x", "y=1"]
        writer.write(b"OPTIONS * HTTP/1.1\r\n" + HOST + b"\r\n")
        assert json.loads((await read_answer(reader))[2]) == ["*", ""]
        writer.close()

    with_site(check)


def test_streams_are_written_at_once_and_end_with_the_client() -> None:
    async def check(site: Site) -> None:
        reader, writer = await site.connect()
        writer.write(b"GET /stream HTTP/1.1\r\n" + HOST + b"\r\n")
        said = b""
        while b"data: 2" not in said:
            said += await reader.read(1000)
        assert b"9\r\ndata: 0\n\n\r\n" in said
        writer.close()
        await site.app.gone.wait()

    with_site(check)


def test_applications_that_fail() -> None:
    async def check(site: Site) -> None:
        status, members = problem(await site.say(b"GET /broken HTTP/1.1\r\n" + HOST + b"\r\n"))
        assert (status, members["code"]) == (500, "internal")
        assert "secret" not in json.dumps(members)
        # Half an answer is cut, not completed.
        assert (await site.say(b"GET /half HTTP/1.1\r\n" + HOST + b"\r\n")).endswith((b"12345", b""))
        # A line break in a header field never reaches the client.
        said = await site.say(b"GET /split HTTP/1.1\r\n" + HOST + b"\r\n")
        assert problem(said)[0] == 500
        assert b"set-cookie" not in said

    with_site(check)


@settings(
    max_examples=200,
    deadline=None,
    suppress_health_check=[HealthCheck.function_scoped_fixture, HealthCheck.too_slow],
)
@given(
    pieces=st.lists(
        st.one_of(
            st.binary(max_size=200),
            st.sampled_from(
                [
                    GET,
                    b"GET / HTTP/1.1\r\n",
                    HOST,
                    b"\r\n",
                    b"POST /echo HTTP/1.1\r\n",
                    b"Content-Length: 4\r\n",
                    b"Transfer-Encoding: chunked\r\n",
                    b"Connection: close\r\n",
                    b"Connection: upgrade\r\nUpgrade: x\r\n",
                    b"Expect: 100-continue\r\n",
                    b"0\r\n\r\n",
                    b"3\r\nabc\r\n",
                    b"abcd",
                ]
            ),
        ),
        max_size=12,
    )
)
def test_no_bytes_harm_the_server(pieces: list[bytes], forever: ForeverSite) -> None:
    said = forever.say(pieces)
    for status in [int(line.split(b" ")[1]) for line in said.split(b"\r\n") if line.startswith(b"HTTP/1.1 ")]:
        assert status in (100, 200, 400, 405, 408, 431), said
    assert forever.alive()


@dataclass
class ForeverSite:
    """One server for all examples of the test above."""

    runner: asyncio.Runner
    site: Site

    def say(self, pieces: list[bytes]) -> bytes:
        return self.runner.run(self._say(pieces))

    async def _say(self, pieces: list[bytes]) -> bytes:
        reader, writer = await self.site.connect()
        with contextlib.suppress(ConnectionError):
            for piece in pieces:
                writer.write(piece)
                await writer.drain()
            writer.write_eof()
        try:
            return await asyncio.wait_for(read_all(reader), 10)
        finally:
            writer.close()

    def alive(self) -> bool:
        return self.runner.run(self.site.alive())


@pytest.fixture(scope="module")
def forever() -> Any:
    async def begin() -> Site:
        app, serving = App(), Serving(StoppedClock())
        _, port = await serving.start(app, "127.0.0.1", 0, PATIENT)
        return Site(serving, app, port)

    with asyncio.Runner(loop_factory=uvloop.new_event_loop) as runner:
        site = runner.run(begin())
        yield ForeverSite(runner, site)
        runner.run(site.serving.drain(1))
