"""Files: memory, path and reader behave alike, and large ones pass in constant memory."""

from __future__ import annotations

import asyncio
import hashlib
import io
import tracemalloc
from collections.abc import Callable
from pathlib import Path

import pytest

from a2a_cloud.agent.files import BLOCK, File
from a2a_cloud.agent.problem import InvalidArguments, Problem

DATA = bytes(range(256)) * 3000  # three blocks, the last one short


def remote(data: bytes, most: int = 1 << 30) -> File:
    """A file behind a reader that gives at most `most` bytes at once."""

    def reader(offset: int, length: int) -> bytes:
        return data[offset : offset + min(length, most)]

    return File("data.bin", "application/octet-stream", len(data), reader=reader)


def awaited(data: bytes) -> File:
    async def areader(offset: int, length: int) -> bytes:
        await asyncio.sleep(0)
        return data[offset : offset + min(length, 1000)]

    return File("data.bin", "application/octet-stream", len(data), areader=areader)


@pytest.fixture(params=["memory", "path", "reader", "short"])
def file(request: pytest.FixtureRequest, tmp_path: Path) -> File:
    (tmp_path / "data.bin").write_bytes(DATA)
    made: dict[str, Callable[[], File]] = {
        "memory": lambda: File.from_bytes("data.bin", DATA),
        "path": lambda: File.from_path(tmp_path / "data.bin"),
        "reader": lambda: remote(DATA),
        "short": lambda: remote(DATA, most=1777),
    }
    return made[request.param]()


def test_whole(file: File) -> None:
    assert file.size == len(DATA)
    assert file.read() == DATA
    assert asyncio.run(file.aread()) == DATA


def test_open_is_a_binary_file(file: File) -> None:
    with file.open() as opened:
        assert opened.readable()
        assert opened.seekable()
        assert opened.read(10) == DATA[:10]
        opened.seek(-5, io.SEEK_END)
        assert opened.read() == DATA[-5:]
        assert opened.read() == b""
        opened.seek(256)
        buffer = bytearray(300)
        assert opened.readinto(buffer) == 300  # type: ignore[attr-defined]
        assert bytes(buffer) == DATA[256:556]
        opened.seek(0)
        assert b"".join(opened) == DATA
    assert opened.closed


def test_chunks(file: File) -> None:
    async def gather() -> list[bytes]:
        return [block async for block in file.aiter_chunks()]

    assert b"".join(file.iter_chunks()) == DATA
    assert b"".join(asyncio.run(gather())) == DATA


def test_an_awaited_file_says_how_to_read_it() -> None:
    file = awaited(DATA)
    assert asyncio.run(file.aread()) == DATA
    with pytest.raises(Problem, match=r"await file\.aread"):
        file.open()


def test_text(tmp_path: Path) -> None:
    assert File.from_bytes("a.txt", b"\xef\xbb\xbfgr\xc3\xbcn", "text/plain").read_text() == "grün"
    assert File.from_bytes("a.txt", "grün".encode("latin-1")).read_text("latin-1") == "grün"
    with pytest.raises(InvalidArguments, match=r"`a\.pdf` \(application/pdf\) is not utf-8 text"):
        File.from_bytes("a.pdf", b"\xff\xfe", "application/pdf").read_text()
    assert asyncio.run(File.from_bytes("a", b"x").aread_text()) == "x"


def test_from_path_guesses_the_type(tmp_path: Path) -> None:
    (tmp_path / "report.pdf").write_bytes(b"%PDF")
    file = File.from_path(tmp_path / "report.pdf")
    assert (file.name, file.media_type, file.size) == ("report.pdf", "application/pdf", 4)
    assert File.from_path(tmp_path / "report.pdf", "text/x").media_type == "text/x"
    with pytest.raises(Problem, match="no file"):
        File.from_path(tmp_path / "absent")


def test_a_source_that_ends_early_is_named() -> None:
    file = File("cut.bin", "", 100, reader=lambda offset, length: b"x" * 40 if offset == 0 else b"")
    with pytest.raises(Problem, match="ended after 40 of 100"):
        file.read()
    greedy = File("big.bin", "", 10, reader=lambda offset, length: b"x" * 11)
    with pytest.raises(Problem, match="11 bytes where 10"):
        greedy.read()
    with pytest.raises(Problem, match="needs its bytes"):
        File("none", "", 0)


def test_an_empty_file() -> None:
    assert remote(b"").read() == b""
    assert asyncio.run(awaited(b"").aread()) == b""


def test_a_hundred_megabytes_in_constant_memory() -> None:
    size = 100_000_000
    block = bytes(BLOCK)
    asked: list[int] = []

    def reader(offset: int, length: int) -> bytes:
        asked.append(length)
        return block[:length]

    file = File("big", "", size, reader=reader)
    seen, digest = 0, hashlib.sha256()
    tracemalloc.start()
    with file.open() as opened:
        while part := opened.read(64 * 1024):
            seen += len(part)
            digest.update(part)
    _, peak = tracemalloc.get_traced_memory()
    tracemalloc.stop()
    assert seen == size
    assert peak < 2_000_000
    assert max(asked) <= BLOCK
    assert len(asked) < size / BLOCK + 2
