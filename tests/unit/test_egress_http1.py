"""runtime/egress/http1.py: a strict reader of heads and chunks, for whatever bytes come."""

from __future__ import annotations

import asyncio
from contextlib import suppress

import pytest
from hypothesis import given
from hypothesis import strategies as st

from a2a_cloud.model.problem import InvalidRequest, Problem, TooManyHeaders, UpstreamFailed
from a2a_cloud.runtime.egress.http1 import (
    Body,
    Chunks,
    Framing,
    end_to_end,
    parse_request,
    parse_response,
    stray_line_end,
    wants_close,
    write_head,
)
from a2a_cloud.runtime.egress.source import Ended, Source, Watch

TOKEN = "!#$%&'*+-.^_`|~0123456789abcXYZ"
names = st.text(TOKEN, min_size=1, max_size=12).map(str.encode)
values = st.text([chr(c) for c in (*range(0x21, 0x7F), 0x80, 0xFF)], max_size=20).map(
    lambda s: s.encode("latin-1")
)
TAKEN = {b"host", b"content-length", b"transfer-encoding", b"connection", b"proxy-connection"}
fields = st.lists(st.tuples(names, values).filter(lambda f: f[0].lower() not in TAKEN), max_size=8)
targets = st.text([chr(c) for c in range(0x21, 0x7F)], min_size=1, max_size=40)


@given(st.text(TOKEN, min_size=1, max_size=10), targets, fields)
def test_what_is_well_formed_comes_back_as_it_was(
    method: str, target: str, given_fields: list[tuple[bytes, bytes]]
) -> None:
    whole = [(b"Host", b"a"), *given_fields]
    raw = write_head(f"{method} {target} HTTP/1.1".encode(), whole)
    head = parse_request(raw)
    assert (head.method, head.target, head.minor) == (method, target, 1)
    assert list(head.fields) == whole
    assert head.body == Body(Framing.NONE)
    assert parse_request(write_head(f"{method} {target} HTTP/1.1".encode(), list(head.fields))) == head


PIECES = st.sampled_from(
    [
        b"GET ",
        b"CONNECT ",
        b"http://a/",
        b"a:443",
        b" HTTP/1.1",
        b" HTTP/1.0",
        b"\r\n",
        b"\n",
        b"\r",
        b"\r\n\r\n",
        b"Host: a",
        b"Content-Length: 5",
        b"Content-Length:",
        b"Transfer-Encoding: chunked",
        b" ",
        b"\t",
        b":",
        b"\x00",
        b"Connection: close, x",
        b"X: y",
        b"\xff",
        b"\x0b",
        b"5",
        b"HTTP/1.1 200 OK",
    ]
)


@given(st.lists(PIECES | st.binary(max_size=3), max_size=14).map(b"".join))
def test_of_anything_a_head_or_a_problem_is_made(raw: bytes) -> None:
    try:
        head = parse_request(raw)
    except (InvalidRequest, TooManyHeaders):
        pass
    else:
        # What was taken holds nothing that another reader could cut elsewhere, and is one head alone.
        again = write_head(f"{head.method} {head.target} HTTP/1.{head.minor}".encode(), list(head.fields))
        assert parse_request(again) == head
        assert not stray_line_end(raw)
        assert raw.count(b"\r\n\r\n") == 1
        assert raw.endswith(b"\r\n\r\n")
        assert len(head.values(b"content-length")) + len(head.values(b"transfer-encoding")) <= 1
        assert all(b"\r" not in n + v and b"\n" not in n + v and b"\0" not in n + v for n, v in head.fields)
    with suppress(UpstreamFailed):
        parse_response(raw, "GET")


@pytest.mark.parametrize(
    ("line", "good"),
    [
        ("GET http://a/ HTTP/1.1", True),
        ("get http://a/ HTTP/1.1", True),  # a method of its own, and passed on as it is
        ("GET http://a/ HTTP/1.2", False),
        ("GET http://a/ http/1.1", False),
        ("GET http://a/", False),
        ("GET http://a/ HTTP/1.1 ", False),
        (" GET http://a/ HTTP/1.1", False),
        ("GET  http://a/ HTTP/1.1", False),
        ("GET http://a /x HTTP/1.1", False),
        ("GET http://\xe4/ HTTP/1.1", False),
        ("G@T http://a/ HTTP/1.1", False),
        ("G" * 33 + " http://a/ HTTP/1.1", False),
    ],
)
def test_request_lines(line: str, good: bool) -> None:
    raw = line.encode("latin-1") + b"\r\nHost: a\r\n\r\n"
    if good:
        parse_request(raw)
    else:
        with pytest.raises(InvalidRequest):
            parse_request(raw)


def test_an_answers_body_ends_as_its_head_says() -> None:
    def body(head: str, method: str = "GET") -> Body:
        return parse_response(f"HTTP/1.1 {head}\r\n\r\n".encode(), method)[1]

    assert body("200 OK\r\nContent-Length: 7") == Body(Framing.LENGTH, 7)
    assert body("200 OK\r\nContent-Length: 7", "HEAD") == Body(Framing.NONE)
    assert body("204 No Content") == body("304 Not Modified\r\nContent-Length: 7") == Body(Framing.NONE)
    assert body("103 Early Hints") == Body(Framing.NONE)
    assert body("200\r\nTransfer-Encoding: Chunked") == Body(Framing.CHUNKED)
    assert body("200 ") == Body(Framing.CLOSE)
    for bad in ("099 X", "200OK", "20 OK", "200 a\x07b", "200 OK\r\nTransfer-Encoding: gzip"):
        with pytest.raises(UpstreamFailed):
            body(bad)


def test_fields_of_one_hop_go_no_further() -> None:
    given_fields = (
        (b"Connection", b"keep-alive, X-Hop"),
        (b"x-hop", b"1"),
        (b"Keep-Alive", b"5"),
        (b"Proxy-Authorization", b"Basic x"),
        (b"TE", b"trailers"),
        (b"Upgrade", b"h2c"),
        (b"HTTP2-Settings", b"x"),
        (b"X-Own", b"1"),
    )
    assert end_to_end(given_fields, InvalidRequest) == [(b"X-Own", b"1")]
    with pytest.raises(InvalidRequest):
        end_to_end(((b"Connection", b"close, HOST"),), InvalidRequest)
    assert wants_close(((b"Proxy-Connection", b"Close"),), 1)
    assert wants_close((), 0)
    assert not wants_close(((b"Connection", b"keep-alive"),), 0)


# --- chunks ------------------------------------------------------------------------------------------------


def chunked(contents: list[bytes]) -> bytes:
    return b"".join(b"%X\r\n%s\r\n" % (len(each), each) for each in contents if each) + b"0\r\n\r\n"


@given(st.lists(st.binary(max_size=40), max_size=6), st.binary(max_size=20), st.data())
def test_chunks_are_the_same_wherever_they_are_cut(
    contents: list[bytes], rest: bytes, data: st.DataObject
) -> None:
    raw = chunked(contents) + rest
    chunks = Chunks(InvalidRequest, extensions=False)
    got, at = b"", 0
    while not chunks.done:
        step = data.draw(st.integers(1, 30))
        got += chunks.feed(raw[at : at + step])
        at += step
    assert got == b"".join(contents)
    assert chunks.rest + raw[at:] == rest


@given(st.lists(PIECES | st.binary(max_size=4) | st.sampled_from([b"0\r\n\r\n", b"1\r\na\r\n"]), max_size=9))
def test_of_anything_chunks_or_a_problem_are_made(pieces: list[bytes]) -> None:
    whole, one = Chunks(InvalidRequest, extensions=False), Chunks(InvalidRequest, extensions=False)
    raw = b"".join(pieces)
    ends: list[tuple[bytes, bool] | str] = []
    for chunks, cut in ((whole, [raw]), (one, [bytes((byte,)) for byte in raw])):
        try:
            got = b""
            for piece in cut:
                if not chunks.done:
                    got += chunks.feed(piece)
            ends.append((got, chunks.done))
        except InvalidRequest:
            ends.append("refused")
    assert ends[0] == ends[1]


@pytest.mark.parametrize(
    "raw",
    [
        b"5;x\r\nhello\r\n0\r\n\r\n",
        b"5 \r\nhello\r\n",
        b"0x5\r\nhello\r\n",
        b"-1\r\n",
        b"\r\n",
        b"5\nhello\n",
        b"5\r\nhelloo\r\n",
        b"f" * 16 + b"\r\n",
        b"1" * 300,
        b"0\r\nA b: c\r\n\r\n",
        b"0\r\n" + b"A: b\r\n" * 10_000 + b"\r\n",
    ],
)
def test_bad_chunks(raw: bytes) -> None:
    with pytest.raises(InvalidRequest):
        Chunks(InvalidRequest, extensions=False).feed(raw)


def test_a_servers_extensions_are_dropped() -> None:
    chunks = Chunks(UpstreamFailed, extensions=True)
    assert chunks.feed(b'5;a="b"\r\nhello\r\n0;c\r\nX: 1\r\n\r\nmore') == b"hello"
    assert (chunks.done, chunks.rest) == (True, b"more")


# --- a head that comes in pieces ---------------------------------------------------------------------------


async def _head(pieces: list[bytes], limit: int = 100) -> bytes | str:
    reader = asyncio.StreamReader()
    task = asyncio.current_task()
    assert task is not None
    watch = Watch(task, 5, 5)
    for piece in pieces:
        reader.feed_data(piece)
    reader.feed_eof()
    source = Source(_Slices(reader, [len(piece) for piece in pieces]), watch)  # pyright: ignore
    try:
        return await source.head(limit, InvalidRequest, TooManyHeaders)
    except (Problem, Ended) as error:
        return type(error).__name__
    finally:
        watch.stop()


class _Slices:
    """Reads as it was sent."""

    def __init__(self, reader: asyncio.StreamReader, sizes: list[int]) -> None:
        self._reader, self._sizes = reader, sizes

    async def read(self, _most: int) -> bytes:
        return await self._reader.read(self._sizes.pop(0) if self._sizes else 1)


@given(
    st.lists(st.sampled_from([b"a", b"\r\n", b"\r", b"\n", b"\r\n\r\n", b"bc"]), max_size=10).map(b"".join),
    st.data(),
)
def test_a_head_is_the_same_wherever_it_is_cut(raw: bytes, data: st.DataObject) -> None:
    cuts = sorted(data.draw(st.sets(st.integers(1, max(1, len(raw) - 1)), max_size=5)))
    pieces = [raw[a:b] for a, b in zip([0, *cuts], [*cuts, len(raw)], strict=True) if raw[a:b]]
    end = raw.find(b"\r\n\r\n")
    head = raw if end < 0 else raw[: end + 4]
    expected: bytes | str = "InvalidRequest" if stray_line_end(head) else "Ended" if end < 0 else head
    assert asyncio.run(_head(pieces)) == expected
    assert asyncio.run(_head([b"x" * 60, b"x" * 60])) == "TooManyHeaders"
