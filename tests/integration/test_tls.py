"""TLS on the narrowed protocol: what is served, what changes with the files, and what a caller shows."""

from __future__ import annotations

import asyncio
import contextlib
import ssl
from collections.abc import Callable, Coroutine
from pathlib import Path
from typing import Any

import pytest
import uvloop
from certificates import Pair, leaf, root
from http_site import PATIENT, StoppedClock, answer

from a2a_cloud.model.problem import BadSetting, Unavailable
from a2a_cloud.settings import Transport
from a2a_cloud.settings.read import networks
from a2a_cloud.surface.proxies import Proxies
from a2a_cloud.surface.serve import Serving, check_exposure
from a2a_cloud.surface.tls import Tls


class Site:
    """A server with TLS whose application says what it knows of the caller."""

    def __init__(self, folder: Path) -> None:
        self.root = root()
        self.cert, self.key = folder / "cert.pem", folder / "key.pem"
        self.renew()
        self.tls = Tls(self.cert, self.key)
        self.serving = Serving(StoppedClock())
        self.port = 0

    def renew(self) -> Pair:
        pair = leaf(self.root)
        pair.write(self.cert, self.key)
        return pair

    async def start(self) -> None:
        _, self.port = await self.serving.start(self, "127.0.0.1", 0, PATIENT, tls=self.tls)

    async def __call__(self, scope: Any, _receive: Any, send: Any) -> None:
        shown = scope.get("a2a.certificate", b"")
        await answer(send, f"{scope['scheme']} {len(shown)}".encode())

    def context(self, client: Pair | None = None, folder: Path | None = None) -> ssl.SSLContext:
        context = ssl.create_default_context(cadata=self.root.pem.decode())
        if client is not None and folder is not None:
            client.write(folder / "client.pem", folder / "client.key")
            context.load_cert_chain(folder / "client.pem", folder / "client.key")
        return context

    async def ask(
        self, context: ssl.SSLContext, name: str = "localhost", said: bytes = b"GET / HTTP/1.1"
    ) -> tuple[str, bytes]:
        """(the answer, the server's certificate)."""
        reader, writer = await asyncio.open_connection(
            "127.0.0.1", self.port, ssl=context, server_hostname=name
        )
        shown: bytes = writer.get_extra_info("ssl_object").getpeercert(binary_form=True)
        writer.write(said + b"\r\nHost: localhost\r\nConnection: close\r\n\r\n")
        text = (await reader.read()).decode()
        writer.close()
        return text, shown


def with_site(folder: Path, check: Callable[[Site], Coroutine[Any, Any, None]]) -> None:
    async def main() -> None:
        site = Site(folder)
        await site.start()
        try:
            await check(site)
        finally:
            await site.serving.drain(1)

    uvloop.run(main())


def test_an_answer_by_tls(tmp_path: Path) -> None:
    async def check(site: Site) -> None:
        text, _ = await site.ask(site.context())
        assert text.endswith("https 0")
        assert "strict-transport-security: max-age=31536000" in text
        assert "x-content-type-options: nosniff" in text
        old = site.context()
        old.maximum_version = ssl.TLSVersion.TLSv1_2
        assert (await site.ask(old))[0].endswith("https 0")

    with_site(tmp_path, check)


def test_a_refusal_by_tls_is_read_whole(tmp_path: Path) -> None:
    async def check(site: Site) -> None:
        reader, writer = await asyncio.open_connection(
            "127.0.0.1", site.port, ssl=site.context(), server_hostname="localhost"
        )
        writer.write(b"GET / HTTP/1.1\r\n\r\n")
        head = await reader.readuntil(b"\r\n\r\n")
        assert b"400 Bad Request" in head
        writer.close()

    with_site(tmp_path, check)


def test_plain_http_is_not_answered(tmp_path: Path) -> None:
    async def check(site: Site) -> None:
        reader, writer = await asyncio.open_connection("127.0.0.1", site.port)
        writer.write(b"GET / HTTP/1.1\r\nHost: localhost\r\n\r\n")
        assert b"HTTP" not in await reader.read()
        writer.close()

    with_site(tmp_path, check)


def test_a_new_certificate_is_taken_and_a_half_renewed_one_is_not(tmp_path: Path) -> None:
    async def check(site: Site) -> None:
        context = site.context()
        _, first = await site.ask(context)
        assert not site.tls.refresh()
        pair = site.renew()
        assert site.tls.refresh()
        for name in ("localhost", "127.0.0.1"):  # with a name in the handshake, and without
            _, second = await site.ask(context, name)
            assert second == pair.der != first
        site.key.write_bytes(leaf(site.root).key_pem)  # of another certificate
        assert not site.tls.refresh()
        assert (await site.ask(context))[1] == pair.der
        pair.write(site.cert, site.key)
        site.tls.refresh()
        assert (await site.ask(context))[1] == pair.der

    with_site(tmp_path, check)


def test_a_connection_outlives_a_renewal(tmp_path: Path) -> None:
    async def check(site: Site) -> None:
        reader, writer = await asyncio.open_connection(
            "127.0.0.1", site.port, ssl=site.context(), server_hostname="localhost"
        )
        site.renew()
        assert site.tls.refresh()
        writer.write(b"GET / HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n")
        assert (await reader.read()).endswith(b"https 0")
        writer.close()

    with_site(tmp_path, check)


def test_a_caller_shows_a_certificate(tmp_path: Path) -> None:
    async def check(site: Site) -> None:
        theirs = root("the callers' root")
        mine = leaf(theirs, "caller", client=True)
        known = site.context(mine, tmp_path)
        assert (await site.ask(known))[0].endswith("https 0")  # nobody asks for it yet
        site.tls.trust(theirs.pem.decode())
        assert (await site.ask(known))[0].endswith(f"https {len(mine.der)}")
        assert (await site.ask(site.context()))[0].endswith("https 0")
        stranger = site.context(leaf(root("another"), "caller", client=True), tmp_path)
        text = ""
        with contextlib.suppress(ssl.SSLError, ConnectionError):
            text, _ = await site.ask(stranger)
        assert text == ""
        site.renew()  # and what is asked for stays over a renewal
        site.tls.refresh()
        assert (await site.ask(known))[0].endswith(f"https {len(mine.der)}")
        site.tls.trust("")
        assert (await site.ask(known))[0].endswith("https 0")

    with_site(tmp_path, check)


def test_files_that_hold_no_certificate_are_named(tmp_path: Path) -> None:
    with pytest.raises(Unavailable) as caught:
        Tls(tmp_path / "none.pem", tmp_path / "none.key")
    assert "none.pem" in caught.value.detail
    (tmp_path / "none.pem").write_text("nothing")
    (tmp_path / "none.key").write_text("nothing")
    with pytest.raises(Unavailable) as caught:
        Tls(tmp_path / "none.pem", tmp_path / "none.key")
    assert "A2A_TLS_CERT" in caught.value.remedy


@pytest.mark.parametrize(
    ("host", "transport", "refused"),
    [
        ("127.0.0.1", Transport(), False),
        ("localhost", Transport(), False),
        ("::1", Transport(), False),
        ("0.0.0.0", Transport(), True),  # noqa: S104
        ("::", Transport(), True),
        ("0.0.0.0", Transport(insecure=True), False),  # noqa: S104
        ("0.0.0.0", Transport(proxies=networks({"A": "10.0.0.0/8"}, "A")), False),  # noqa: S104
        ("0.0.0.0", Transport(cert=Path("c"), key=Path("k")), False),  # noqa: S104
    ],
    ids=["loopback", "name", "loopback6", "all", "all6", "insecure", "proxy", "tls"],
)
def test_who_may_listen_in_the_clear(host: str, transport: Transport, refused: bool) -> None:
    if not refused:
        asyncio.run(check_exposure(host, transport))
        return
    with pytest.raises(BadSetting) as caught:
        asyncio.run(check_exposure(host, transport))
    assert "yes-i-know" in caught.value.remedy


async def _said(transport: Transport, fields: bytes) -> str:
    """What an application behind proxies sees of a request from 127.0.0.1."""
    seen: list[str] = []

    async def app(scope: Any, _receive: Any, send: Any) -> None:
        host = next(value for name, value in scope["headers"] if name == b"host")
        seen.append(f"{scope['scheme']} {scope['client'][0]} {host.decode()}")
        await answer(send, b"")

    serving = Serving(StoppedClock())
    _, port = await serving.start(app, "127.0.0.1", 0, PATIENT, proxies=Proxies(transport))
    reader, writer = await asyncio.open_connection("127.0.0.1", port)
    writer.write(b"GET / HTTP/1.1\r\nHost: localhost\r\n" + fields + b"Connection: close\r\n\r\n")
    text = (await reader.read()).decode()
    writer.close()
    await serving.drain(1)
    return seen[0] if seen else text


_FIELDS = (
    b"X-Forwarded-For: 203.0.113.9, 10.1.1.1\r\nX-Forwarded-Proto: https\r\nX-Forwarded-Host: a.example\r\n"
)


@pytest.mark.parametrize(
    ("trusted", "expected"),
    [
        ("127.0.0.1,10.0.0.0/8", "https 203.0.113.9 a.example"),
        ("127.0.0.1", "https 10.1.1.1 a.example"),
        ("10.0.0.0/8", "http 127.0.0.1 localhost"),
    ],
    ids=["both-hops", "one-hop", "not-ours"],
)
def test_only_configured_hops_are_believed(trusted: str, expected: str) -> None:
    transport = Transport(proxies=networks({"A": trusted}, "A"))
    assert uvloop.run(_said(transport, _FIELDS)) == expected


def test_forwarded_is_read_where_it_is_configured() -> None:
    fields = _FIELDS + b'Forwarded: for="[2001:db8::7]:4711";proto=https;host="b.example"\r\n'
    networks_ = networks({"A": "127.0.0.1"}, "A")
    assert uvloop.run(_said(Transport(proxies=networks_, headers="forwarded"), fields)) == (
        "https 2001:db8::7 b.example"
    )
    assert uvloop.run(_said(Transport(proxies=networks_), fields)) == "https 10.1.1.1 a.example"
