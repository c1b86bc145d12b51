"""The egress proxy over real sockets: what passes, and every way around it that is on the list."""

from __future__ import annotations

import asyncio
import inspect
import json
import logging
import os
import shutil
import socket
import ssl
import sys
import urllib.request
from collections.abc import Awaitable, Callable
from contextlib import suppress
from pathlib import Path
from typing import Any

import aiohttp
import httpx
import pytest
from egress_site import Authority, Names, Site, client_hello, ended, proxy, say, server

from a2a_cloud.model.problem import BadSetting
from a2a_cloud.runtime.egress.dial import private_hosts, tls_context
from a2a_cloud.runtime.egress.inject import Injection
from a2a_cloud.runtime.egress.site import EgressLimits

SECRET = "s3cret-value-of-the-test"
HERE = [["127.0.0.1"]]


def running(test: Callable[..., Awaitable[None]]) -> Callable[..., None]:
    """An asynchronous test; what it left behind is a failure too."""

    def run(**fixtures: Any) -> None:
        async def whole() -> None:
            async with asyncio.timeout(30):
                await test(**fixtures)

        asyncio.run(whole())

    run.__name__, run.__doc__ = test.__name__, test.__doc__
    code = test.__code__
    names = code.co_varnames[: code.co_argcount]
    run.__signature__ = inspect.Signature(  # pyright: ignore
        [inspect.Parameter(name, inspect.Parameter.KEYWORD_ONLY) for name in names]
    )
    return run


@pytest.fixture(scope="module")
def authority(tmp_path_factory: pytest.TempPathFactory) -> Authority:
    return Authority(tmp_path_factory.mktemp("ca"))


class Echo:
    """Answers each request with what came, as JSON; keeps the connection."""

    def __init__(self) -> None:
        self.heads: list[bytes] = []
        self.bodies: list[bytes] = []
        self.connections = 0

    async def __call__(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self.connections += 1
        while True:
            head = await reader.readuntil(b"\r\n\r\n")
            self.heads.append(head)
            low = head.lower()
            body = b""
            if b"transfer-encoding: chunked" in low:
                while size := int(await reader.readline(), 16):
                    body += await reader.readexactly(size)
                    await reader.readexactly(2)
                await reader.readexactly(2)
            elif b"content-length:" in low:
                body = await reader.readexactly(int(low.split(b"content-length:")[1].split(b"\r\n")[0]))
            self.bodies.append(body)
            answer = json.dumps({"line": head.split(b"\r\n")[0].decode(), "bytes": len(body)}).encode()
            writer.write(
                b"HTTP/1.1 200 OK\r\nContent-Type: application/json\r\nContent-Length: %d\r\n\r\n%s"
                % (len(answer), answer)
            )
            await writer.drain()


def problem(answer: bytes) -> tuple[int, dict[str, Any]]:
    head, _, body = answer.partition(b"\r\n\r\n")
    assert b"application/problem+json" in head, answer
    return int(head.split(b" ")[1]), json.loads(body)


def get(host: str, path: str = "/", extra: str = "") -> bytes:
    return f"GET http://{host}{path} HTTP/1.1\r\nHost: {host}\r\n{extra}Connection: close\r\n\r\n".encode()


# --- what passes -------------------------------------------------------------------------------------------


@running
async def test_plain_requests_share_a_connection_and_are_counted() -> None:
    echo = Echo()
    async with server(echo) as port:
        host = f"api.test:{port}"
        site, names = Site(("api.test", port)), Names(api_test=HERE)
        async with proxy(site, names, ("api.test", port)) as at:
            first = get(host, "/a?b=c").replace(b"Connection: close\r\n", b"Proxy-Connection: keep-alive\r\n")
            answer = await say(at, first + get(host, "/d", "Keep-Alive: 5\r\nX-Own: 1\r\n"))
    assert answer.count(b"HTTP/1.1 200 OK") == 2
    assert echo.connections == 1
    assert names.looked == ["api.test"]
    assert site.asked == [("api.test", port)] * 2  # each request is checked
    assert echo.heads[0].startswith(b"GET /a?b=c HTTP/1.1\r\nHost: " + host.encode())
    assert b"proxy-connection" not in echo.heads[0].lower()
    assert b"keep-alive" not in echo.heads[1].lower()
    assert b"X-Own: 1\r\n" in echo.heads[1]
    assert site.told == [("api.test", port, "127.0.0.1", "allowed")]
    (_, _, sent, received) = site.ends[0]
    assert sent == sum(map(len, echo.heads))
    assert received > 100


@running
async def test_bodies_of_each_kind_pass_both_ways() -> None:
    big = os.urandom(3 << 20)

    async def chunked(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await reader.readuntil(b"\r\n\r\n")
        writer.write(b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n")
        for at in range(0, len(big), 300_000):
            piece = big[at : at + 300_000]
            writer.write(b"%x;ext=1\r\n%s\r\n" % (len(piece), piece))
            await writer.drain()
        writer.write(b"0\r\nX-Trailer: 1\r\n\r\n")
        await writer.drain()
        await reader.read()

    async def until_close(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await reader.readuntil(b"\r\n\r\n")
        writer.write(b"HTTP/1.0 200 OK\r\n\r\n" + big)
        await writer.drain()
        writer.write_eof()
        await asyncio.sleep(0.2)

    echo = Echo()
    async with server(echo) as one, server(chunked) as two, server(until_close) as three:
        ports = [("api.test", port) for port in (one, two, three)]
        async with (
            proxy(Site(*ports), Names(api_test=HERE), *ports) as at,
            httpx.AsyncClient(proxy=f"http://127.0.0.1:{at}", trust_env=False) as client,
        ):
            whole = await client.post(f"http://api.test:{one}/x", content=big)

            async def pieces() -> Any:
                for start in range(0, len(big), 100_000):
                    yield big[start : start + 100_000]

            in_pieces = await client.post(f"http://api.test:{one}/x", content=pieces())
            got = await client.get(f"http://api.test:{two}/x")
            old = await client.get(f"http://api.test:{three}/x")
            head = await say(at, get(f"api.test:{two}").replace(b"HTTP/1.1", b"HTTP/1.0"))
    assert whole.json()["bytes"] == in_pieces.json()["bytes"] == len(big)
    assert echo.bodies == [big, big]
    assert got.content == old.content == big
    assert b"chunked" not in head[:200].lower()
    assert head.endswith(big)  # HTTP/1.0 knows no chunks


@running
async def test_ordinary_libraries_go_through(authority: Authority, tmp_path: Path) -> None:
    echo, plain = Echo(), Echo()
    async with server(echo, authority.server("api.test")) as port, server(plain) as http_port:
        both = (("api.test", port), ("api.test", http_port))
        site = Site(*both)
        async with proxy(site, Names(api_test=HERE), *both) as at:
            url, http_url = f"https://api.test:{port}/x", f"http://api.test:{http_port}/x"
            via = f"http://127.0.0.1:{at}"
            context = ssl.create_default_context(cafile=str(authority.roots))

            def by_urllib() -> list[bytes]:
                opener = urllib.request.build_opener(
                    urllib.request.ProxyHandler({"http": via, "https": via}),
                    urllib.request.HTTPSHandler(context=context),
                )
                answers: list[bytes] = []
                for each in (url, http_url):
                    with opener.open(each, timeout=5) as answer:
                        answers.append(answer.read())
                return answers

            assert [json.loads(each)["bytes"] for each in await asyncio.to_thread(by_urllib)] == [0, 0]
            async with httpx.AsyncClient(proxy=via, verify=context, trust_env=False) as client:
                assert (await client.post(url, content=b"12345")).json()["bytes"] == 5
                assert (await client.get(http_url)).status_code == 200
            async with aiohttp.ClientSession() as session:
                async with session.post(url, data=b"123", proxy=via, ssl=context) as answer:
                    assert (await answer.json())["bytes"] == 3
                async with session.get(http_url, proxy=via) as answer:
                    assert answer.status == 200
            if curl := shutil.which("curl"):
                for each in (url, http_url):
                    run = await asyncio.create_subprocess_exec(
                        *(
                            curl,
                            "-sS",
                            "--proxy",
                            via,
                            "--cacert",
                            str(authority.roots),
                            "-d",
                            "1234567",
                            each,
                        ),
                        stdout=asyncio.subprocess.PIPE,
                        env={"PATH": os.environ["PATH"]},
                    )
                    out, _ = await run.communicate()
                    assert json.loads(out)["bytes"] == 7
    assert site.refusals == []
    assert {(host, where) for host, where, _, _ in site.ends} == set(both)
    assert all(sent and received for _, _, sent, received in site.ends)


@running
async def test_a_large_body_waits_for_its_reader() -> None:
    """Back-pressure: with nobody reading, the server can send no more than the buffers on the way take."""
    sent = 0

    async def endless(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        nonlocal sent
        await reader.readuntil(b"\r\n\r\n")
        writer.write(b"HTTP/1.1 200 OK\r\nContent-Length: 1000000000\r\n\r\n")
        while True:
            writer.write(bytes(1 << 16))
            await writer.drain()
            sent += 1 << 16

    async with (
        server(endless) as port,
        proxy(Site(("api.test", port)), Names(api_test=HERE), ("api.test", port)) as at,
    ):
        reader, writer = await asyncio.open_connection("127.0.0.1", at, limit=1 << 12)
        writer.write(get(f"api.test:{port}"))
        await reader.readuntil(b"\r\n\r\n")
        await asyncio.sleep(0.5)
        stood = sent
        await asyncio.sleep(0.3)
        assert sent == stood < 64 << 20
        await ended(writer)


# --- refusals ----------------------------------------------------------------------------------------------


@running
async def test_what_is_not_allowed_is_refused_before_its_name_is_looked_up() -> None:
    site, names = Site(("api.test", 443)), Names(api_test=HERE, evil_test=HERE)
    wanted = [
        b"CONNECT evil.test:443 HTTP/1.1\r\nHost: evil.test:443\r\n\r\n",
        b"CONNECT api.test:22 HTTP/1.1\r\nHost: api.test:22\r\n\r\n",
        b"CONNECT data-in-a-name.api.test:443 HTTP/1.1\r\nHost: data-in-a-name.api.test\r\n\r\n",
        b"CONNECT xn--bcher-kva.test:443 HTTP/1.0\r\n\r\n",
        get("evil.test"),
        get("api.test:8080"),
        get("api.test"),
    ]
    async with proxy(site, names) as at:
        for each in wanted:
            status, said = problem(await say(at, each))
            assert (status, said["code"]) == (403, "egress_refused"), each
            assert "[grant] of a2a.toml" in said["remedy"]
            assert "ctx.request_scope" in said["remedy"]
    assert names.looked == []
    assert len(site.refusals) == len(wanted)
    assert site.told[0][:3] == ("evil.test", 443, "")
    assert site.ends == []


SPELLINGS = [
    "127.1",
    "2130706433",
    "0x7f000001",
    "0x7f.0.0.1",
    "0177.0.0.1",
    "127.0.0.01",
    "127.0.0.1.",
    "api.test.",
    "user@api.test",
    "user:pw@api.test",
    "api.test@evil.test",
    "api%2etest",
    "api.test%00.evil.test",
    "[::ffff:127.0.0.1]",
    "[::ffff:7f00:1]",
    "[0:0:0:0:0:0:0:1]",
    "[fe80::1%25eth0]",
    "::1",
    "api..test",
    "-api.test",
    "api_.test" + "a" * 250,
    "xn--.test",
    "",
]


@pytest.mark.parametrize("host", SPELLINGS)
def test_other_spellings_of_hosts_are_no_hosts(host: str) -> None:
    async def whole() -> None:
        site, names = (
            Site(("127.0.0.1", 443), ("127.0.0.1", 80), ("api.test", 443), ("api.test", 80)),
            Names(),
        )
        async with proxy(site, names) as at:
            for each in (
                f"CONNECT {host}:443 HTTP/1.1\r\nHost: {host}:443\r\n\r\n".encode(),
                get(host),
                f"GET http://{host}/ HTTP/1.1\r\nHost: api.test\r\n\r\n".encode(),
            ):
                assert problem(await say(at, each))[0] == 400, each
        assert site.asked == names.looked == []
        assert len(site.refusals) == 3

    asyncio.run(whole())


PRIVATE = [
    "127.0.0.1",
    "127.8.8.8",
    "0.0.0.0",  # noqa: S104
    "10.0.0.1",
    "100.64.0.1",
    "100.100.100.200",
    "169.254.169.254",
    "168.63.129.16",
    "172.31.0.1",
    "192.168.1.1",
    "192.0.0.192",
    "224.0.0.1",
    "255.255.255.255",
    "::1",
    "::",
    "fd00:ec2::254",
    "fc00::1",
    "fe80::1",
    "fe80::1%lo",
    "ff02::1",
    "::ffff:127.0.0.1",
    "::ffff:169.254.169.254",
    "64:ff9b::7f00:1",
    "2002:7f00:1::1",
    "2001:0:7f00:1::",
]


@pytest.mark.parametrize("address", PRIVATE)
def test_a_name_that_leads_to_a_private_address_is_refused(address: str) -> None:
    """Also beside a public one; also by its literal where that has a right spelling."""

    async def whole() -> None:
        site = Site(("api.test", 443))
        names = Names(api_test=[[address], ["93.184.216.34", address]])
        wanted = [b"CONNECT api.test:443 HTTP/1.1\r\nHost: api.test:443\r\n\r\n"] * 2
        if "%" not in address and "ffff" not in address:
            literal = f"[{address}]" if ":" in address else address
            site.open.add((literal, 443))
            wanted.append(f"CONNECT {literal}:443 HTTP/1.1\r\nHost: {literal}:443\r\n\r\n".encode())
        async with proxy(site, names) as at:
            for each in wanted:
                status, said = problem(await say(at, each))
                assert (status, said["reason"]) == (403, "address"), said
        assert site.ends == []
        assert len(site.refusals) == len(wanted)

    asyncio.run(whole())


@running
async def test_a_named_host_may_lie_on_this_machine_and_never_where_keys_are() -> None:
    site = Site(("api.test", 9), ("keys.test", 80))
    names = Names(api_test=HERE, keys_test=[["169.254.169.254"]])
    async with proxy(site, names, ("api.test", 9), ("keys.test", 80)) as at:
        status, said = problem(await say(at, get("api.test:9")))  # the port of discard: nobody listens
        assert (status, said["code"]) == (502, "upstream_failed")
        assert problem(await say(at, get("keys.test")))[0] == 403


@running
async def test_a_name_that_changes_changes_nothing() -> None:
    """It is looked up once; what was judged is dialled."""
    echo = Echo()
    async with server(echo) as port:
        names = Names(api_test=[["127.0.0.1"], ["10.0.0.1"]])
        site = Site(("api.test", port))
        async with proxy(site, names, ("api.test", port)) as at:
            assert b"200 OK" in await say(at, get(f"api.test:{port}"))
        assert names.looked == ["api.test"]
        assert site.told == [("api.test", port, "127.0.0.1", "allowed")]


SMUGGLED = {
    "two lengths": "Content-Length: 1\r\nContent-Length: 1\r\n",
    "a list of lengths": "Content-Length: 1, 1\r\n",
    "length and chunks": "Content-Length: 1\r\nTransfer-Encoding: chunked\r\n",
    "signed length": "Content-Length: +1\r\n",
    "hex length": "Content-Length: 0x1\r\n",
    "another coding": "Transfer-Encoding: gzip, chunked\r\n",
    "a coding in disguise": "Transfer-Encoding: xchunked\r\n",
    "two codings": "Transfer-Encoding: chunked\r\nTransfer-Encoding: identity\r\n",
    "vertical tab": "Transfer-Encoding: \x0bchunked\r\n",
    "space before the colon": "Content-Length : 1\r\n",
    "folded": "X-A: 1\r\n Content-Length: 1\r\n",
    "folded first": " X-A: 1\r\n",
    "bare LF": "X-A: 1\nContent-Length: 1\r\n",
    "bare CR": "X-A: 1\rContent-Length: 1\r\n",
    "NUL": "X-A: a\0b\r\n",
    "no colon": "X-A\r\n",
    "no name": ": 1\r\n",
    "two hosts": "Host: evil.test\r\n",
    "connection drops host": "Connection: host\r\n",
    "connection drops length": "Connection: content-length\r\nContent-Length: 1\r\n",
}


@pytest.mark.parametrize("extra", SMUGGLED.values(), ids=SMUGGLED)
def test_header_smuggling_is_refused(extra: str) -> None:
    async def whole() -> None:
        echo = Echo()
        async with server(echo) as port:
            site = Site(("api.test", port))
            async with proxy(site, Names(api_test=HERE), ("api.test", port)) as at:
                raw = (
                    f"POST http://api.test:{port}/ HTTP/1.1\r\nHost: api.test:{port}\r\n{extra}\r\n".encode()
                )
                assert problem(await say(at, raw + b"x"))[0] == 400
            assert len(site.refusals) == 1
        assert echo.heads == []

    asyncio.run(whole())


REQUEST_LINES = {
    "origin form": "GET / HTTP/1.1\r\nHost: api.test\r\n\r\n",
    "origin form with a host": "GET //api.test/ HTTP/1.1\r\nHost: api.test\r\n\r\n",
    "https in full": "GET https://api.test/ HTTP/1.1\r\nHost: api.test\r\n\r\n",
    "another scheme": "GET ftp://api.test/ HTTP/1.1\r\nHost: api.test\r\n\r\n",
    "no host field": "GET http://api.test/ HTTP/1.1\r\n\r\n",
    "another host": "GET http://api.test/ HTTP/1.1\r\nHost: evil.test\r\n\r\n",
    "another port": "GET http://api.test/ HTTP/1.1\r\nHost: api.test:81\r\n\r\n",
    "fragment": "GET http://api.test/#x HTTP/1.1\r\nHost: api.test\r\n\r\n",
    "backslash": "GET http://api.test\\@evil.test/ HTTP/1.1\r\nHost: api.test\r\n\r\n",
    "trace": "TRACE http://api.test/ HTTP/1.1\r\nHost: api.test\r\n\r\n",
    "HTTP/2": "PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n",
    "HTTP/0.9": "GET http://api.test/\r\n\r\n",
    "two spaces": "GET  http://api.test/ HTTP/1.1\r\nHost: api.test\r\n\r\n",
    "tab": "GET\thttp://api.test/ HTTP/1.1\r\nHost: api.test\r\n\r\n",
    "empty line first": "\r\nGET http://api.test/ HTTP/1.1\r\nHost: api.test\r\n\r\n",
    "LF only": "GET http://api.test/ HTTP/1.1\nHost: api.test\n\n",
    "port 0": "GET http://api.test:0/ HTTP/1.1\r\nHost: api.test:0\r\n\r\n",
    "port with a zero": "GET http://api.test:080/ HTTP/1.1\r\nHost: api.test:80\r\n\r\n",
    "port too large": "GET http://api.test:65616/ HTTP/1.1\r\nHost: api.test\r\n\r\n",
    "no port": "CONNECT api.test HTTP/1.1\r\nHost: api.test\r\n\r\n",
    "connect with a path": "CONNECT api.test:443/ HTTP/1.1\r\nHost: api.test:443\r\n\r\n",
    "connect with another host": "CONNECT api.test:443 HTTP/1.1\r\nHost: evil.test:443\r\n\r\n",
    "connect with another port": "CONNECT api.test:443 HTTP/1.1\r\nHost: api.test:444\r\n\r\n",
    "connect with a body": "CONNECT api.test:443 HTTP/1.1\r\nHost: api.test\r\nContent-Length: 4\r\n\r\nabcd",
    "socks 5": "\x05\x01\x00\r\n\r\n",
    "tls to the proxy": "\x16\x03\x01\x02\x00\r\n\r\n",
}


@pytest.mark.parametrize("raw", REQUEST_LINES.values(), ids=REQUEST_LINES)
def test_requests_that_two_could_read_differently_are_refused(raw: str) -> None:
    async def whole() -> None:
        site, names = Site(("api.test", 80), ("api.test", 443)), Names(api_test=[["93.184.216.34"]])
        async with proxy(site, names) as at:
            assert problem(await say(at, raw.encode("latin-1")))[0] == 400
        assert names.looked == []
        assert len(site.refusals) == 1

    asyncio.run(whole())


@running
async def test_bad_chunks_end_the_request_and_reach_nobody() -> None:
    async def counts(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        got.append(await reader.read())

    for bad in (
        b"5;x=1\r\nhello\r\n0\r\n\r\n",
        b"5\nhello\r\n0\r\n\r\n",
        b"+5\r\nhello\r\n",
        b"5\r\nhelloX\r\n0\r\n\r\n",
    ):
        got: list[bytes] = []
        async with server(counts) as port:
            site = Site(("api.test", port))
            async with proxy(site, Names(api_test=HERE), ("api.test", port)) as at:
                raw = f"POST http://api.test:{port}/ HTTP/1.1\r\nHost: api.test:{port}\r\n"
                raw += "Transfer-Encoding: chunked\r\n\r\n"
                assert problem(await say(at, raw.encode() + bad))[0] == 400, bad
                assert len(site.refusals) == 1
            await asyncio.sleep(0.05)
        assert all(b"0\r\n\r\n" not in each for each in got), "the body looked whole to the server"


@running
async def test_a_second_request_behind_the_first_is_checked_anew() -> None:
    echo = Echo()
    async with server(echo) as port:
        site, names = Site(("api.test", port)), Names(api_test=HERE)
        async with proxy(site, names, ("api.test", port)) as at:
            first = get(f"api.test:{port}").replace(b"Connection: close\r\n", b"")
            for second in (
                get("evil.test"),
                b"CONNECT evil.test:443 HTTP/1.1\r\nHost: evil.test:443\r\n\r\n",
            ):
                answer = await say(at, first + second)
                ok, _, refused = answer.partition(b"HTTP/1.1 403")
                assert ok.startswith(b"HTTP/1.1 200")
                assert b"egress_refused" in refused
            site.open.clear()  # the grant ended in between
            reader, writer = await asyncio.open_connection("127.0.0.1", at)
            site.open.add(("api.test", port))
            writer.write(first)
            await reader.readuntil(b"}")
            site.open.clear()
            writer.write(first)
            assert b"egress_refused" in await reader.read()
            await ended(writer)
    assert names.looked == ["api.test"] * 3
    assert len(echo.heads) == 3
    assert len(site.refusals) == 3


@running
async def test_a_tunnel_takes_tls_for_its_host_and_nothing_else() -> None:
    got: list[bytes] = []

    async def take(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        got.append(await reader.read())

    hello = client_hello("api.test")
    first = {
        "another name": client_hello("evil.test"),
        "no name": client_hello(None),
        "a second CONNECT": b"CONNECT evil.test:443 HTTP/1.1\r\nHost: evil.test:443\r\n\r\n",
        "plain HTTP": b"GET / HTTP/1.1\r\nHost: evil.test\r\n\r\n",
        "ssh": b"SSH-2.0-x\r\n",
        "an alert first": b"\x15\x03\x01\x00\x02\x02\x28" + hello,
        "SSL 2": b"\x80\x2e\x01\x00\x02",
        "a ServerHello": hello[:5] + b"\x02" + hello[6:],
        "cut into crumbs": b"".join(b"\x16\x03\x01\x00\x01" + bytes((byte,)) for byte in hello[5:]),
        "more behind it": hello[:3] + (len(hello) - 4).to_bytes(2) + hello[5:] + b"\x01",
    }
    async with server(take) as port:
        site = Site(("api.test", port))
        connect = f"CONNECT api.test:{port} HTTP/1.1\r\nHost: api.test:{port}\r\n\r\n".encode()
        async with proxy(site, Names(api_test=HERE), ("api.test", port)) as at:
            for what, data in first.items():
                site.told.clear()
                answer = await say(at, connect + data)
                assert answer.startswith(b"HTTP/1.1 200 "), what
                assert answer.endswith((b"\r\n\r\n", b"\x15\x03\x03\x00\x02\x02\x31")), what
                assert len(site.refusals) == 1, what
            await asyncio.sleep(0.05)
            assert got == [b""] * len(first)
            got.clear()
            # In two pieces, and with capitals in the name of the CONNECT.
            reader, writer = await asyncio.open_connection("127.0.0.1", at)
            writer.write(connect.replace(b"api.test", b"API.test"))
            await reader.readuntil(b"\r\n\r\n")
            writer.write(hello[:40])
            await asyncio.sleep(0.05)
            writer.write(hello[40:] + b"more")
            writer.write_eof()
            assert await reader.read() == b""
            await ended(writer)
    assert got == [hello + b"more"]
    assert site.ends[-1][2] == len(hello) + 4


# --- secrets -----------------------------------------------------------------------------------------------


@running
async def test_a_secret_is_added_to_its_host_and_nowhere_else(
    authority: Authority, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.DEBUG)
    tls, plain = Echo(), Echo()
    context = authority.server("api.test")
    async with server(tls, context) as port, server(plain) as other:
        private = (("api.test", port), ("api.test", other), ("evil.test", other))
        site = Site(*private)
        site.bound = [Injection("KEY", "api.test", port, "Authorization", "Bearer {}")]
        site.stored["KEY"] = SECRET
        names = Names(api_test=HERE, evil_test=HERE)
        async with (
            proxy(site, names, *private, roots=authority.roots) as at,
            httpx.AsyncClient(proxy=f"http://127.0.0.1:{at}", trust_env=False) as client,
        ):
            mine = {"Authorization": "Bearer mine", "authorization": "x"}
            for _ in range(2):
                answer = await client.post(f"http://api.test:{port}/v1", content=b"body", headers=mine)
                assert answer.json() == {"line": "POST /v1 HTTP/1.1", "bytes": 4}
            await client.get(f"http://api.test:{other}/", headers=mine)
            await client.get(f"http://evil.test:{other}/", headers=mine)
            raw = get(
                f"api.test:{port}",
                "/",
                "authorization: a\r\nAUTHORIZATION: b\r\nConnection: authorization\r\n",
            )
            assert b"200 OK" in await say(at, raw)
    assert tls.connections == 2
    for head in tls.heads:
        assert head.lower().count(b"authorization") == 1
        assert f"Authorization: Bearer {SECRET}\r\n".encode() in head
        assert f"\r\nHost: api.test:{port}\r\n".encode() in head
    assert len(plain.heads) == 2
    assert SECRET.encode() not in b"".join(plain.heads)
    assert site.told[0] == ("api.test", port, "127.0.0.1", "allowed, with secret KEY")
    assert SECRET not in repr(site.told) + repr(site.ends) + caplog.text


@running
async def test_a_redirect_to_another_host_gets_nothing(authority: Authority) -> None:
    plain = Echo()

    async def redirect(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await reader.readuntil(b"\r\n\r\n")
        writer.write(
            b"HTTP/1.1 302 Found\r\nLocation: http://evil.test:%d/\r\nContent-Length: 0\r\n\r\n" % other
        )
        await writer.drain()

    async with server(plain) as other, server(redirect, authority.server("api.test")) as port:
        private = (("api.test", port), ("evil.test", other))
        site = Site(*private)
        site.bound = [Injection("KEY", "api.test", port, "X-Key")]
        site.stored["KEY"] = SECRET
        names = Names(api_test=HERE, evil_test=HERE)
        async with (
            proxy(site, names, *private, roots=authority.roots) as at,
            httpx.AsyncClient(
                proxy=f"http://127.0.0.1:{at}", trust_env=False, follow_redirects=True
            ) as client,
        ):
            assert (await client.get(f"http://api.test:{port}/")).status_code == 200
    assert len(plain.heads) == 1
    assert SECRET.encode() not in plain.heads[0]


@running
async def test_no_secret_goes_to_a_server_that_is_not_who_it_says(authority: Authority) -> None:
    wrong = Echo()
    got: list[bytes] = []

    async def plain(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        writer.write(b"HTTP/1.1 400 Bad Request\r\n\r\n")
        got.append(await reader.read())

    async with server(wrong, authority.server("evil.test")) as port, server(plain) as no_tls:
        private = (("api.test", port), ("api.test", no_tls))
        site = Site(*private)
        site.bound = [Injection("KEY", "api.test", each, "X-Key") for each in (port, no_tls)]
        site.stored["KEY"] = SECRET
        for roots in (authority.roots, None):
            async with proxy(site, Names(api_test=HERE), *private, roots=roots) as at:
                status, said = problem(await say(at, get(f"api.test:{port}")))
                assert (status, said["code"]) == (502, "upstream_failed")
                assert "certificate" in said["detail"]
                assert problem(await say(at, get(f"api.test:{no_tls}")))[0] == 502
    assert wrong.heads == []
    assert SECRET.encode() not in b"".join(got)


@running
async def test_a_secret_that_is_missing_or_no_header_is_a_refusal(authority: Authority) -> None:
    site = Site(("api.test", 443))
    site.bound = [Injection("KEY", "api.test", 443, "X-Key")]
    names = Names(api_test=HERE)
    async with proxy(site, names) as at:
        status, said = problem(await say(at, get("api.test")))
        assert (status, said["reason"]) == (403, "secret")
        assert "a2a secrets set KEY" in said["remedy"]
        for value in ("a\r\nX-Evil: 1", "first\nsecond", "", "é", "nul\0nul", " a"):
            site.stored["KEY"] = value
            status, said = problem(await say(at, get("api.test")))
            assert (status, said["reason"]) == (403, "secret")
            assert value.strip() in ("", "a") or value not in json.dumps(said, ensure_ascii=False)
        site.stored["KEY"] = SECRET
        for header in ("Host", "Content-Length", "Transfer-Encoding", "a b", ""):
            site.bound = [Injection("KEY", "api.test", 443, header)]
            answer = await say(at, get("api.test"))
            assert problem(answer)[0] == 403
            assert SECRET.encode() not in answer
    assert names.looked == []


# --- slow and hostile peers --------------------------------------------------------------------------------

QUICK = EgressLimits(
    connections=3,
    head_seconds=0.3,
    keep_alive_seconds=0.3,
    idle_seconds=0.5,
    connect_seconds=0.5,
    total_seconds=2,
)


@running
async def test_slow_heads_and_silent_agents_are_let_go() -> None:
    site = Site(("api.test", 80))
    async with proxy(site, Names(api_test=HERE), limits=QUICK) as at:
        assert problem(await say(at, b"GET http://api.te"))[0] == 408
        assert await say(at, b"") == b""
        reader, writer = await asyncio.open_connection("127.0.0.1", at)

        async def drip() -> None:  # a byte at a time is no progress
            with suppress(OSError):
                for _ in range(60):
                    writer.write(b"G")
                    await writer.drain()
                    await asyncio.sleep(0.05)

        dripping = asyncio.create_task(drip())
        assert problem(await reader.read())[0] == 408
        await dripping
        await ended(writer)
    assert len(site.refusals) == 2


@running
async def test_a_head_without_end_is_cut() -> None:
    async with proxy(Site(), Names()) as at:
        big = b"GET http://api.test/ HTTP/1.1\r\nX: " + b"a" * 70_000
        assert problem(await say(at, big))[0] == 431
        many = get("api.test", "/", "X: 1\r\n" * 300)
        assert problem(await say(at, many))[0] == 431


async def _silent(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    await reader.read()


async def _drip(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    await reader.readuntil(b"\r\n\r\n")
    writer.write(b"HTTP/1.1 200 OK\r\nContent-Length: 1000\r\n\r\n")
    while True:
        writer.write(b"x")
        await writer.drain()
        await asyncio.sleep(0.1)


@running
async def test_servers_that_say_nothing_or_never_end_are_cut() -> None:
    for handler, expected in ((_silent, b"HTTP/1.1 504"), (_drip, b"HTTP/1.1 200")):
        async with server(handler) as port:
            site = Site(("api.test", port))
            async with proxy(site, Names(api_test=HERE), ("api.test", port), limits=QUICK) as at:
                answer = await say(at, get(f"api.test:{port}"))
                assert answer.startswith(expected)
                assert len(answer) < 1000
            assert len(site.ends) == 1


BROKEN = {
    "no HTTP": b"SSH-2.0-x\r\n\r\n",
    "bare LF": b"HTTP/1.1 200 OK\nContent-Length: 0\n\n",
    "two lengths": b"HTTP/1.1 200 OK\r\nContent-Length: 1\r\nContent-Length: 2\r\n\r\nab",
    "length and chunks": b"HTTP/1.1 200\r\nContent-Length: 1\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n",
    "folded": b"HTTP/1.1 200 OK\r\nA: 1\r\n b\r\n\r\n",
    "upgrade": b"HTTP/1.1 101 Switching\r\nUpgrade: x\r\n\r\n",
    "nothing": b"",
    "too large": b"HTTP/1.1 200 OK\r\nX: " + b"a" * 70_000 + b"\r\n\r\n",
}


@pytest.mark.parametrize("raw", BROKEN.values(), ids=BROKEN)
def test_answers_that_two_could_read_differently_are_not_passed_on(raw: bytes) -> None:
    async def broken(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await reader.readuntil(b"\r\n\r\n")
        writer.write(raw)
        await writer.drain()

    async def whole() -> None:
        async with (
            server(broken) as port,
            proxy(Site(("api.test", port)), Names(api_test=HERE), ("api.test", port)) as at,
        ):
            status, said = problem(await say(at, get(f"api.test:{port}")))
            assert (status, said["code"]) == (502, "upstream_failed")

    asyncio.run(whole())


@running
async def test_interim_answers_pass_and_an_early_answer_is_seen() -> None:
    async def early(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await reader.readuntil(b"\r\n\r\n")
        writer.write(
            b"HTTP/1.1 103 Early Hints\r\nLink: <x>\r\n\r\n"
            b"HTTP/1.1 413 Too Large\r\nContent-Length: 2\r\n\r\nno"
        )
        await writer.drain()
        await reader.read(1000)

    async with (
        server(early) as port,
        proxy(Site(("api.test", port)), Names(api_test=HERE), ("api.test", port)) as at,
    ):
        head = f"POST http://api.test:{port}/ HTTP/1.1\r\nHost: api.test:{port}\r\n"
        head += "Content-Length: 9000000\r\n\r\n"
        answer = await say(at, head.encode() + bytes(100_000))
        assert answer.startswith(b"HTTP/1.1 103 Early Hints\r\nLink: <x>\r\n\r\nHTTP/1.1 413 Too Large\r\n")
        assert answer.endswith(b"\r\n\r\nno")


@running
async def test_what_comes_unasked_on_a_kept_connection_answers_nothing() -> None:
    """A server that pushes a second answer can't put it into another request's place."""
    seen = 0

    async def pushy(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        nonlocal seen
        await reader.readuntil(b"\r\n\r\n")
        seen += 1
        writer.write(b"HTTP/1.1 200 OK\r\nContent-Length: 1\r\n\r\n%d" % seen)
        writer.write(b"HTTP/1.1 200 OK\r\nContent-Length: 1\r\n\r\nX")
        await writer.drain()
        await reader.read()

    async with (
        server(pushy) as port,
        proxy(Site(("api.test", port)), Names(api_test=HERE), ("api.test", port)) as at,
    ):
        first = get(f"api.test:{port}").replace(b"Connection: close\r\n", b"")
        answer = await say(at, first + get(f"api.test:{port}"))
        assert answer.count(b"200 OK") == 2
        assert b"X" not in answer
    assert seen == 2


@running
async def test_a_kept_connection_that_spoke_or_ended_meanwhile_is_not_used_again() -> None:
    for late in (b"HTTP/1.1 200 OK\r\nContent-Length: 1\r\n\r\nX", b""):
        seen = 0

        async def moody(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
            nonlocal seen
            await reader.readuntil(b"\r\n\r\n")
            seen += 1
            writer.write(b"HTTP/1.1 200 OK\r\nContent-Length: 1\r\n\r\n%d" % seen)
            await writer.drain()
            await asyncio.sleep(0.05)
            writer.write(late)  # noqa: B023
            if late:  # noqa: B023
                await reader.read()

        async with (
            server(moody) as port,
            proxy(Site(("api.test", port)), Names(api_test=HERE), ("api.test", port)) as at,
        ):
            reader, writer = await asyncio.open_connection("127.0.0.1", at)
            request = get(f"api.test:{port}").replace(b"Connection: close\r\n", b"")
            for expected in (b"1", b"2"):
                writer.write(request)
                assert b" 200 " in await reader.readuntil(b"\r\n\r\n")
                assert await reader.read(1) == expected
                await asyncio.sleep(0.15)
            await ended(writer)


@running
async def test_connections_of_one_agent_are_bounded_and_a_place_comes_free() -> None:
    echo = Echo()
    async with server(echo) as port:
        site = Site(("api.test", port))
        limits = EgressLimits(connections=3)
        async with proxy(site, Names(api_test=HERE), ("api.test", port), limits=limits) as at:
            held = [await asyncio.open_connection("127.0.0.1", at) for _ in range(3)]
            await asyncio.sleep(0.05)
            status, said = problem(await say(at, b""))
            assert (status, said["code"]) == (429, "busy")
            for _, writer in held:
                await ended(writer)
            await asyncio.sleep(0.05)
            assert b"200 OK" in await say(at, get(f"api.test:{port}"))
        assert len(site.refusals) == 1


@running
async def test_an_agent_that_leaves_takes_its_connection_along() -> None:
    gone = asyncio.Event()

    async def waits(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await reader.readuntil(b"\r\n\r\n")
        await reader.read()
        gone.set()

    async with server(waits) as port:
        site = Site(("api.test", port))
        async with proxy(site, Names(api_test=HERE), ("api.test", port)) as at:
            _, writer = await asyncio.open_connection("127.0.0.1", at)
            writer.write(get(f"api.test:{port}"))
            await asyncio.sleep(0.1)
            await ended(writer)
            async with asyncio.timeout(2):
                await gone.wait()
        assert len(site.ends) == 1


@running
async def test_stopping_cuts_everything_and_writes_it_down() -> None:
    async with server(_silent) as port:
        site = Site(("api.test", port))
        async with proxy(site, Names(api_test=HERE), ("api.test", port)) as at:
            reader, writer = await asyncio.open_connection("127.0.0.1", at)
            writer.write(f"CONNECT api.test:{port} HTTP/1.1\r\nHost: api.test:{port}\r\n\r\n".encode())
            await reader.readuntil(b"\r\n\r\n")
            writer.write(client_hello("api.test"))
            await asyncio.sleep(0.1)
        assert len(site.ends) == 1
        assert await reader.read() == b""
        await ended(writer)
        with pytest.raises(OSError):  # noqa: PT011
            socket.create_connection(("127.0.0.1", at), timeout=1).close()
        leftover = [task for task in asyncio.all_tasks() if "Connection" in repr(task)]
        assert leftover == []


# --- settings ----------------------------------------------------------------------------------------------


def test_private_hosts_and_roots_are_read_strictly(tmp_path: Path) -> None:
    assert private_hosts(" db.internal:8443 , 10.0.0.7:80,[fd00::1]:443,") == {
        ("db.internal", 8443),
        ("10.0.0.7", 80),
        ("[fd00::1]", 443),
    }
    assert private_hosts("") == frozenset()
    for bad in ("db.internal", "10.1:80", "http://db:80", "db:0", "*.internal:80"):
        with pytest.raises(BadSetting) as caught:
            private_hosts(bad)
        assert "A2A_EGRESS_PRIVATE" in caught.value.detail
    (tmp_path / "empty.pem").write_text("")
    for path in (tmp_path / "none.pem", tmp_path / "empty.pem"):
        with pytest.raises(BadSetting):
            tls_context(path)


@pytest.mark.skipif(sys.platform != "linux", reason="uvloop is what the platform runs on")
def test_it_works_on_the_platforms_loop(authority: Authority) -> None:
    import uvloop

    async def whole() -> None:
        echo = Echo()
        async with server(echo, authority.server("api.test")) as port:
            site = Site(("api.test", port))
            site.bound = [Injection("KEY", "api.test", port, "X-Key")]
            site.stored["KEY"] = SECRET
            async with proxy(site, Names(api_test=HERE), ("api.test", port), roots=authority.roots) as at:
                via = f"http://127.0.0.1:{at}"
                context = ssl.create_default_context(cafile=str(authority.roots))
                async with httpx.AsyncClient(proxy=via, verify=context, trust_env=False) as client:
                    body = bytes(2 << 20)
                    assert (await client.post(f"http://api.test:{port}/", content=body)).json()[
                        "bytes"
                    ] == 2 << 20
                    assert (await client.post(f"https://api.test:{port}/", content=body)).status_code == 200
                assert problem(await say(at, get("evil.test")))[0] == 403
        assert SECRET.encode() in echo.heads[0]
        assert SECRET.encode() not in echo.heads[1]
        assert len(site.ends) == 2

    uvloop.run(whole())
