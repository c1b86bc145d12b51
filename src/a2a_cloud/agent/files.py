"""Files as skills see them: what a caller sent, and what a skill gives back.

The bytes come from memory, from a path, or through an injected reader (the worker's connection to
the runtime), in blocks of 256 KiB, so that a file of any size passes in constant memory.
"""

from __future__ import annotations

import asyncio
import io
import mimetypes
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator
from pathlib import Path
from typing import BinaryIO, cast

from a2a_cloud.agent.problem import InvalidArguments, Problem

BLOCK = 256 * 1024
OCTETS = "application/octet-stream"

Reader = Callable[[int, int], bytes]
"""`(offset, length)` → at least one byte and at most `length`; b"" only past the end. Blocks."""

AsyncReader = Callable[[int, int], Awaitable[bytes]]
"""The same, awaited."""


class File:
    """A file: `name`, `media_type`, `size` in bytes, and its content.

    Read it whole (`read()`, `read_text()`, in async skills `await aread()`), or in constant memory:
    `with file.open() as f:` gives a seekable binary file, `async for block in file.aiter_chunks()`
    blocks of 256 KiB. Make one for an artifact with `File.from_bytes` or `File.from_path`.
    """

    __slots__ = ("_areader", "_data", "_path", "_reader", "media_type", "name", "ref", "run_id", "size")

    def __init__(
        self,
        name: str,
        media_type: str,
        size: int,
        *,
        data: bytes | None = None,
        path: Path | None = None,
        reader: Reader | None = None,
        areader: AsyncReader | None = None,
        ref: str = "",
        run_id: str = "",
    ) -> None:
        """One source of bytes is needed: `data`, `path`, `reader` or `areader` (or both readers).

        `ref` is the runtime's reference to the stored content, if it has one, and `run_id` the run in
        which it counts: an artifact made of a file that was received is then not copied.
        """
        if data is None and path is None and reader is None and areader is None:
            raise Problem("A file needs its bytes.", remedy="Write File.from_bytes(…) or File.from_path(…).")
        self.name = name
        self.media_type = media_type
        self.size = size
        self.ref = ref
        self.run_id = run_id
        self._data = data
        self._path = path
        self._reader = reader
        self._areader = areader

    @classmethod
    def from_bytes(cls, name: str, data: bytes, media_type: str = OCTETS) -> File:
        """A file whose content is in memory."""
        data = bytes(data)
        return cls(name, media_type, len(data), data=data)

    @classmethod
    def from_path(cls, path: str | Path, media_type: str | None = None) -> File:
        """A file on disk; read when it is needed. The media type is guessed from the name if None."""
        path = Path(path)
        if not path.is_file():
            raise Problem(f"There is no file at {path}.")
        guessed = media_type or mimetypes.guess_type(path.name)[0] or OCTETS
        return cls(path.name, guessed, path.stat().st_size, path=path)

    def __repr__(self) -> str:
        return f"File(name={self.name!r}, media_type={self.media_type!r}, size={self.size})"

    def open(self) -> BinaryIO:
        """A seekable, buffered, read-only binary file at position 0. Blocks while it reads.

        Raises Problem where the content can only be awaited (use `aread` or `aiter_chunks`).
        """
        if self._data is not None:
            return io.BytesIO(self._data)
        if self._path is not None:
            return self._path.open("rb", buffering=BLOCK)
        if self._reader is None:
            raise Problem(
                f"The file `{self.name}` can't be opened in an async skill.",
                remedy="Write `await file.aread()` or `async for block in file.aiter_chunks()`.",
            )
        raw = _Remote(self.name, self.size, self._reader)
        return cast(BinaryIO, io.BufferedReader(raw, BLOCK))

    def read(self) -> bytes:
        """The whole content. Blocks."""
        if self._data is not None:
            return self._data
        with self.open() as opened:
            return opened.read()

    def read_text(self, encoding: str = "utf-8") -> str:
        """The whole content as text, without a byte order mark. InvalidArguments if it isn't text."""
        return self._text(self.read(), encoding)

    def iter_chunks(self, size: int = BLOCK) -> Iterator[bytes]:
        """The content in blocks of `size` bytes. Blocks."""
        with self.open() as opened:
            while block := opened.read(size):
                yield block

    async def aread(self) -> bytes:
        """The whole content, awaited: the event loop goes on meanwhile."""
        if self._data is not None:
            return self._data
        if self._areader is None:
            return await asyncio.to_thread(self.read)
        return b"".join([block async for block in self.aiter_chunks()])

    async def aread_text(self, encoding: str = "utf-8") -> str:
        """`read_text`, awaited."""
        return self._text(await self.aread(), encoding)

    async def aiter_chunks(self, size: int = BLOCK) -> AsyncIterator[bytes]:
        """The content in blocks of at most `size` bytes, awaited."""
        if self._areader is not None:
            at = 0
            while at < self.size:
                block = await self._areader(at, min(size, self.size - at))
                _check(self.name, self.size, at, min(size, self.size - at), block)
                at += len(block)
                yield block
            return
        opened = await asyncio.to_thread(self.open)
        try:
            while block := await asyncio.to_thread(opened.read, size):
                yield block
        finally:
            opened.close()

    def _text(self, data: bytes, encoding: str) -> str:
        # Editors on Windows write a mark in front of UTF-8; nobody wants it in the text.
        codec = "utf-8-sig" if encoding.lower().replace("_", "-") in ("utf-8", "utf8") else encoding
        try:
            return data.decode(codec)
        except UnicodeDecodeError as error:
            raise InvalidArguments(
                f"The file `{self.name}` ({self.media_type}) is not {encoding} text: "
                f"byte {error.start} can't be read."
            ) from None


def _check(name: str, size: int, at: int, asked: int, block: bytes) -> None:
    if not block:
        raise Problem(f"The file `{name}` ended after {at} of {size} bytes.", retry=True)
    if len(block) > asked:
        raise Problem(
            f"The reader of the file `{name}` gave {len(block)} bytes where {asked} were asked for."
        )


class _Remote(io.RawIOBase):
    """A file behind a reader: position and bounds here, bytes from there."""

    def __init__(self, name: str, size: int, reader: Reader) -> None:
        super().__init__()
        self._label = name
        self._size = size
        self._reader = reader
        self._at = 0

    def readable(self) -> bool:
        return True

    def seekable(self) -> bool:
        return True

    def tell(self) -> int:
        return self._at

    def seek(self, offset: int, whence: int = io.SEEK_SET, /) -> int:
        base = {io.SEEK_SET: 0, io.SEEK_CUR: self._at, io.SEEK_END: self._size}.get(whence)
        if base is None or base + offset < 0:
            raise ValueError("the position to seek to is out of range")
        self._at = base + offset
        return self._at

    def readinto(self, buffer: bytearray | memoryview, /) -> int:  # type: ignore[override]
        asked = min(len(buffer), self._size - self._at)
        if asked <= 0:
            return 0
        block = self._reader(self._at, asked)
        _check(self._label, self._size, self._at, asked, block)
        buffer[: len(block)] = block
        self._at += len(block)
        return len(block)

    def readall(self) -> bytes:
        # The default asks for 8 KiB at a time, and each question is a round trip.
        blocks: list[bytes] = []
        while self._at < self._size:
            block = bytearray(min(BLOCK, self._size - self._at))
            blocks.append(bytes(memoryview(block)[: self.readinto(block)]))
        return b"".join(blocks)
