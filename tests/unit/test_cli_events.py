"""Server-sent events over any chunk boundaries."""

from __future__ import annotations

import itertools

from hypothesis import given
from hypothesis import strategies as st

from a2a_cloud.client.events import ServerEvent, SseParser

LINES = st.text(alphabet=st.characters(exclude_categories=["Cs"], exclude_characters="\r\n"), max_size=20)
FIELD = st.text(alphabet=st.characters(exclude_categories=["Cs"], exclude_characters="\r\n\0"), max_size=8)
EVENTS = st.lists(
    st.tuples(
        FIELD, FIELD, st.lists(LINES, min_size=1, max_size=3).filter(lambda lines: "\n".join(lines) != "")
    ),
    min_size=1,
    max_size=5,
)


def split(raw: bytes, cuts: list[int]) -> list[bytes]:
    edges = sorted({0, len(raw), *(cut % (len(raw) + 1) for cut in cuts)})
    return [raw[a:b] for a, b in itertools.pairwise(edges)]


@given(EVENTS, st.lists(st.integers(0, 10_000)), st.sampled_from(["\n", "\r\n", "\r"]), st.booleans())
def test_chunks_change_nothing(
    events: list[tuple[str, str, list[str]]], cuts: list[int], eol: str, comments: bool
) -> None:
    raw, expected = "", []
    for ident, kind, lines in events:
        if comments:
            raw += f": keep-alive{eol}{eol}"
        raw += f"id: {ident}{eol}event: {kind}{eol}" + "".join(f"data: {line}{eol}" for line in lines) + eol
        expected.append(ServerEvent(ident, kind or "message", "\n".join(lines)))
    body = raw.encode()
    for chunks in (split(body, cuts), [body[i : i + 1] for i in range(len(body))], [body]):
        parser = SseParser()
        assert [event for chunk in chunks for event in parser.feed(chunk)] == expected


def test_an_event_that_was_cut_off_is_none() -> None:
    assert SseParser().feed(b'id: 1.2\ndata: {"a": 1}\n') == []


def test_small_print() -> None:
    parser = SseParser()
    assert parser.feed(b"\xef\xbb\xbfdata:a\n\n") == [ServerEvent("", "message", "a")]
    assert parser.feed(b"event: x\n\n") == []  # no data, no event
    assert parser.feed(b"data\nnope: x\nretry: 5\ndata: b\n\n") == [ServerEvent("", "message", "\nb")]
    assert parser.feed(b"id: 1\0\ndata: c\n\n") == [ServerEvent("", "message", "c")]
    assert parser.feed(b"id: 7\ndata: d\n\ndata: e\n\n") == [
        ServerEvent("7", "message", "d"),
        ServerEvent("", "message", "e"),
    ]


@given(st.lists(st.binary(max_size=40), max_size=20))
def test_nonsense_raises_nothing(chunks: list[bytes]) -> None:
    parser = SseParser()
    for chunk in chunks:
        parser.feed(chunk)
