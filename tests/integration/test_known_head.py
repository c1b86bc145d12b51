"""Heads that a connection repeats: the application sees the same with and without them being kept."""

from __future__ import annotations

import asyncio
from typing import Any

import pytest
from http_site import PATIENT, StoppedClock, answer
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from a2a_cloud.surface import http_protocol
from a2a_cloud.surface.http_protocol import NarrowedProtocol
from a2a_cloud.surface.known_head import KnownHead
from a2a_cloud.surface.serve import Serving

POST = b"POST /echo?a=1 HTTP/1.1\r\nHost: localhost\r\nContent-Length: 2\r\nAccept: */*\r\n\r\n"
SCOPE: dict[str, Any] = {"headers": [(b"host", b"localhost"), (b"content-length", b"2"), (b"accept", b"*/*")]}


def test_a_known_head_takes_bodies_of_any_length() -> None:
    known = KnownHead.of(POST + b"ab", SCOPE)
    assert known is not None
    read = known.read(POST.replace(b": 2", b": 11") + b"hello world", 100)
    assert read is not None
    scope, body = read
    assert body == b"hello world"
    assert scope["headers"] == [(b"host", b"localhost"), (b"content-length", b"11"), (b"accept", b"*/*")]
    assert SCOPE["headers"][1] == (b"content-length", b"2")


@pytest.mark.parametrize(
    "data",
    [
        POST + b"a",  # the rest is still on its way
        POST + b"abc",  # what follows is another request
        POST.replace(b": 2", b": ") + b"",
        POST.replace(b": 2", b": +2") + b"ab",
        POST.replace(b": 2", b": 2 ") + b"ab",
        POST.replace(b": 2", b": 2,2") + b"ab",
        POST.replace(b": 2", b": \xc2\xb2") + b"ab",
        POST.replace(b": 2", b": 0000000002") + b"ab",
        POST.replace(b": 2", b": 2\r\nContent-Length: 2") + b"ab",
        POST.replace(b"Accept", b"accept") + b"ab",
        POST.replace(b": 2", b": 101") + b"x" * 101,  # more than is taken
    ],
)
def test_what_differs_goes_to_the_parser(data: bytes) -> None:
    known = KnownHead.of(POST + b"ab", SCOPE)
    assert known is not None
    assert known.read(data, 100) is None


@pytest.mark.parametrize(
    "data",
    [
        POST.replace(b"Accept: ", b"Accept:\r\n ") + b"ab",  # folded
        POST.replace(b"*/*\r\n", b"*/*\n") + b"ab",
        b"\r\n" + POST + b"ab",
        POST + b"abc",
        POST.replace(b"localhost", b"l" * 4000) + b"ab",
    ],
)
def test_only_plain_heads_are_kept(data: bytes) -> None:
    assert KnownHead.of(data, SCOPE) is None


@pytest.mark.parametrize("name", [b"transfer-encoding", b"expect", b"upgrade"])
def test_heads_that_change_the_framing_are_not_kept(name: bytes) -> None:
    data = POST.replace(b"Accept: */*", name + b": x") + b"ab"
    assert KnownHead.of(data, {"headers": [*SCOPE["headers"][:2], (name, b"x")]}) is None


LINES = [b"GET /hello", b"POST /echo", b"POST /echo?x=%41", b"HEAD /hello"]
FIELDS = [b"Accept: */*", b"accept:  text/plain ", b"X: " + b"x" * 300, b"Content-Length-Of: 5", b"Expect: x"]
LENGTHS = [b"Content-Length: %d", b"content-length:%d", b"CONTENT-LENGTH: \t%d", b"Content-Length: %06d"]


@st.composite
def requests(draw: st.DrawFn) -> list[bytes]:
    """Requests of one connection, most of them with a head that came before."""
    heads: list[tuple[bytes, list[bytes], bytes]] = []
    sent: list[bytes] = []
    for _ in range(draw(st.integers(2, 10))):
        if not heads or draw(st.integers(0, 3)) == 0:
            line = draw(st.sampled_from(LINES))
            fields = draw(st.lists(st.sampled_from(FIELDS), max_size=3, unique=True))
            heads.append((line, fields, draw(st.sampled_from(LENGTHS))))
        line, fields, length = draw(st.sampled_from(heads))
        lines = [line + b" HTTP/1.1", b"Host: localhost", *fields]
        body = b""
        if line.startswith(b"POST"):
            body = draw(st.sampled_from([b"", b"ab", b"\r\n\r\n", b"GET / HTTP/1.1\r\n\r\n", b"x" * 2000]))
            lines.insert(draw(st.sampled_from([1, len(lines)])), length % len(body))
        sent.append(b"\r\n".join(lines) + b"\r\n\r\n" + body)
    return sent


async def _seen(sent: list[bytes], cuts: list[int]) -> list[Any]:
    """What the application sees of `sent`, each cut at its place into two pieces (0: not cut)."""
    seen: list[Any] = []
    changed = asyncio.Event()

    async def app(scope: Any, receive: Any, send: Any) -> None:
        message = await receive()
        body = message["body"]
        while message["more_body"]:
            message = await receive()
            body += message["body"]
        kept = {key: value for key, value in scope.items() if key not in ("client", "server")}
        seen.append((kept | {"headers": list(scope["headers"])}, body))
        scope["headers"].clear()  # It may do what it likes with its own.
        scope["a2a.of"] = "this request"
        await answer(send, b"")
        changed.set()

    serving = Serving(StoppedClock())
    _, port = await serving.start(app, "127.0.0.1", 0, PATIENT)
    reader, writer = await asyncio.open_connection("127.0.0.1", port)
    for data, cut in zip(sent, cuts, strict=True):
        changed.clear()
        place = cut % len(data)
        if place:
            writer.write(data[:place])
            await writer.drain()
            await asyncio.sleep(0)
        writer.write(data[place:])
        await asyncio.wait_for(changed.wait(), 10)
        await reader.readuntil(b"\r\n\r\n")
    writer.close()
    await serving.drain(1)
    return seen


@given(sent=requests(), data=st.data())
@settings(max_examples=60, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
def test_the_application_sees_the_same(
    monkeypatch: pytest.MonkeyPatch, sent: list[bytes], data: st.DataObject
) -> None:
    cuts = [data.draw(st.sampled_from([0, 0, 0, 1, 30, -1])) for _ in sent]
    with monkeypatch.context() as patch:
        patch.setattr(http_protocol, "FORGETFUL", 0)
        parsed = asyncio.run(_seen(sent, cuts))
    assert asyncio.run(_seen(sent, cuts)) == parsed
    assert len(parsed) == len(sent)


def test_a_head_that_comes_again_is_recognized(monkeypatch: pytest.MonkeyPatch) -> None:
    taken: list[bool] = []
    recognize = NarrowedProtocol._recognize

    def counted(self: NarrowedProtocol, data: bytes) -> bool:
        taken.append(recognize(self, data))
        return taken[-1]

    monkeypatch.setattr(NarrowedProtocol, "_recognize", counted)
    other = [POST.replace(b"*/*", b"n/%d" % n) + b"ab" for n in range(9)]
    seen = asyncio.run(_seen([POST + b"ab"] * 4 + [POST.replace(b": 2", b": 3") + b"abc", *other], [0] * 14))
    assert [body for _, body in seen] == [b"ab"] * 4 + [b"abc"] + [b"ab"] * 9
    # The first is not kept: most connections of a stream send no other. The second is.
    assert taken == [True, True, True] + [False] * 9
