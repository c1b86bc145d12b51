"""Files of the workspace that are open: read and written in pieces, so that any size passes in constant
memory. `with` and plain calls in a sync skill, `async with` and `await` in an async one."""

from __future__ import annotations

import asyncio
import codecs
from collections.abc import Awaitable, Callable, Coroutine
from typing import TYPE_CHECKING, Any, Protocol, TypeVar

from a2a_cloud.agent.files import BLOCK
from a2a_cloud.agent.problem import InvalidArguments, Problem
from a2a_cloud.agent.uploads import Upload
from a2a_cloud.wire.worker import CHUNK, INLINE_LIMIT

if TYPE_CHECKING:
    from a2a_cloud.agent.execution import Execution


C = TypeVar("C")


class Found(Protocol):
    """A file's content, by its hash."""

    @property
    def sha256(self) -> str: ...
    @property
    def size(self) -> int: ...


class Opened:
    """What both have in common: the two faces, and that it ends with its block."""

    def __init__(self, execution: Execution, path: str) -> None:
        self._execution = execution
        self.path = path
        self.closed = False
        self._order = asyncio.Lock()  # Of calls that overlap the second waits: there is one position.

    def __repr__(self) -> str:
        return f"<{type(self).__name__} {self.path}>"

    def read(self, size: int = -1) -> Any:
        """Up to `size` bytes or characters (all that is left: -1); empty at the end."""
        raise Problem(f"`{self.path}` is open for writing.", remedy="Open it as rb or r to read.")

    def readline(self) -> Any:
        """In text mode the next line with its line break; "" at the end."""
        return self.read()

    def write(self, data: bytes | str) -> Any:
        """Add bytes, or in a text mode text."""
        raise Problem(f"`{self.path}` is open for reading.", remedy="Open it as wb, w, ab or a to write.")

    def close(self) -> Any:
        """Finish. Leaving the `with` block does it; more than once is fine."""
        return self._face(self._finish())

    def __enter__(self) -> Any:
        if not self._execution.blocking:
            raise Problem(
                "In an async skill a file is opened with `async with`.",
                remedy="Write `async with ctx.workspace.open(path) as f`, and `await f.read(n)`.",
            )
        self._face(self._begin())
        return self

    def __exit__(self, kind: type[BaseException] | None, error: object, trace: object) -> None:
        self._face(self._finish() if kind is None else self._give_up())

    async def __aenter__(self) -> Any:
        await self._face(self._begin())
        return self

    async def __aexit__(self, kind: type[BaseException] | None, error: object, trace: object) -> None:
        await self._face(self._finish() if kind is None else self._give_up())

    def _face(self, coroutine: Coroutine[Any, Any, Any]) -> Any:
        return self._execution.face(coroutine)

    def _check(self) -> None:
        if self.closed:
            raise Problem(f"`{self.path}` is closed.", remedy="Use it within its `with` block.")

    async def _begin(self) -> None:
        self._check()

    async def _finish(self) -> None:
        self.closed = True

    async def _give_up(self) -> None:
        self.closed = True


class Reading(Opened):
    """A file that is read from its beginning to its end; `size` in bytes, known once it is open.

    A loop over it gives blocks of 256 KiB, in text mode lines with their line break.
    """

    def __init__(
        self,
        execution: Execution,
        path: str,
        find: Callable[[], Awaitable[tuple[Found, bytes]]],
        encoding: str,
    ) -> None:
        super().__init__(execution, path)
        self.size = 0
        self._find = find
        self._sha256 = ""
        self._encoding = encoding
        self._decoder: codecs.IncrementalDecoder | None = None
        self._at = 0  # Bytes that came.
        self._bytes = bytearray()  # Those of them that nobody read yet,
        self._text = ""  # or, in text mode, characters,
        self._pos = 0  # of which so many have been read,
        self._searched = 0  # and so many hold no line break that was not.
        self._open = False

    def read(self, size: int = -1) -> Any:
        return self._face(self._read(size))

    def readline(self) -> Any:
        return self._face(self._line())

    def __iter__(self) -> Reading:
        return self

    def __next__(self) -> Any:
        found = self._face(self._next())
        if not found:
            raise StopIteration
        return found

    def __aiter__(self) -> Reading:
        return self

    async def __anext__(self) -> Any:
        found = await self._face(self._next())
        if not found:
            raise StopAsyncIteration
        return found

    async def _begin(self) -> None:
        async with self._order:
            await self._start()

    async def _start(self) -> None:
        self._check()
        if self._open:
            return
        if self._encoding:
            # A byte order mark in front of UTF-8 is no text.
            utf8 = self._encoding.lower().replace("_", "-") in ("utf-8", "utf8")
            self._decoder = _codec(codecs.getincrementaldecoder, "utf-8-sig" if utf8 else self._encoding)()
        found, first = await self._find()
        self.size, self._sha256 = found.size, found.sha256
        self._open = True
        self._take(first)

    def _take(self, block: bytes) -> None:
        self._at += len(block)
        if self._decoder is None:
            self._bytes += block
            return
        try:
            self._text = self._text[self._pos :] + self._decoder.decode(block, self._at >= self.size)
            self._searched = max(0, self._searched - self._pos)
            self._pos = 0
        except UnicodeDecodeError as error:
            raise InvalidArguments(
                f"The file `{self.path}` is not {self._encoding} text: {error.reason}."
            ) from None

    async def _more(self) -> bool:
        """Fetch a chunk; False at the end."""
        if self._at >= self.size:
            return False
        block = await self._execution.read(self._sha256, self._at, min(CHUNK, self.size - self._at))
        if not block:
            raise Problem(f"`{self.path}` ended after {self._at} of {self.size} bytes.", retry=True)
        self._take(block)
        return True

    async def _read(self, size: int) -> bytes | str:
        async with self._order:
            await self._start()
            if self._decoder is None:
                while (size < 0 or len(self._bytes) < size) and await self._more():
                    pass
                return self._bytes_out(len(self._bytes) if size < 0 else size)
            have = len(self._text) - self._pos
            if size < 0 or have < size:
                pieces = [self._text[self._pos :]]
                self._text, self._pos = "", 0
                while (size < 0 or have < size) and await self._more():
                    # Joined once: text that grows piece by piece would be copied each time.
                    pieces.append(self._text)
                    have += len(self._text)
                    self._text = ""
                self._text, self._searched = "".join(pieces), 0
            return self._text_out(have if size < 0 else min(size, have))

    def _bytes_out(self, size: int) -> bytes:
        with memoryview(self._bytes) as view:
            found = bytes(view[:size])
        del self._bytes[:size]
        return found

    def _text_out(self, size: int) -> str:
        found = self._text[self._pos : self._pos + size]
        self._pos += size
        return found

    async def _next(self) -> bytes | str:
        return await self._read(BLOCK) if not self._encoding else await self._line()

    async def _line(self) -> str:
        if not self._encoding:
            raise Problem(f"`{self.path}` is open for bytes, which have no lines.", remedy="Open it as r.")
        async with self._order:
            await self._start()
            while True:
                end = self._text.find("\n", max(self._pos, self._searched))
                if end >= 0:
                    return self._text_out(end + 1 - self._pos)
                self._searched = len(self._text)
                if not await self._more():
                    return self._text_out(len(self._text) - self._pos)


class Writing(Opened):
    """A content in the making; the path holds it once the block is left without an exception."""

    def __init__(
        self, execution: Execution, path: str, put: Callable[[Upload], Awaitable[None]], encoding: str
    ) -> None:
        super().__init__(execution, path)
        self._put = put
        self._encoding = encoding
        self._encoder = _codec(codecs.getincrementalencoder, encoding)() if encoding else None
        self._upload = Upload(execution)
        self._permit = False
        self._pending = 0

    def write(self, data: bytes | str) -> Any:
        return self._face(self._write(self._encoded(data)))

    def _encoded(self, data: Any) -> Any:
        if self._encoder is not None and isinstance(data, str):
            try:
                return self._encoder.encode(data)
            except UnicodeEncodeError as error:
                raise Problem(
                    f"The text can't be written as {self._encoding}: {error}.", code="invalid_params"
                ) from None
        if not self._encoding and isinstance(data, bytes | bytearray | memoryview):
            # A copy of what may change: the skill may go on before it is sent.
            return data if isinstance(data, bytes) else bytes(data)  # pyright: ignore[reportUnknownArgumentType]
        wanted = "text" if self._encoding else "bytes"
        raise Problem(
            f"`{self.path}` takes {wanted}, not {type(data).__name__}.",
            code="invalid_params",
            remedy="Open it as wb to write bytes, as w to write text.",
        )

    async def _write(self, data: bytes) -> None:
        async with self._order:
            self._check()
            self._pending += len(data)
            if self._pending >= CHUNK:
                await self._reserve()
            await self._upload.write(data)

    async def _reserve(self) -> None:
        """One of the few objects that a worker may be making. Who has one does not wait for another: all
        could wait for each other."""
        execution = self._execution
        if self._permit:
            return
        if execution.at_end and execution.link.writers.locked():
            raise Problem(
                "Too many large files are being written at once.",
                code="too_many_files",
                retry=True,
                remedy="Finish one before you open the next.",
            )
        await execution.link.writers.acquire()
        self._permit = True
        execution.at_end.add(self._release)

    def _release(self) -> None:
        if self._permit:
            self._permit = False
            self._execution.at_end.discard(self._release)
            self._execution.link.writers.release()

    async def _finish(self) -> None:
        async with self._order:
            if self.closed:
                return
            try:
                if self._pending > INLINE_LIMIT:
                    await self._reserve()
                self.closed = True
                await self._put(self._upload)
            finally:
                self._release()

    async def _give_up(self) -> None:
        async with self._order:
            if not self.closed:
                self.closed = True
                try:
                    if not self._execution.cancelled:  # Else nobody answers any more.
                        await self._upload.abort()
                finally:
                    self._release()


def _codec(find: Callable[[str], C], encoding: str) -> C:
    try:
        return find(encoding)
    except LookupError:
        raise Problem(f"There is no encoding {encoding!r}.", code="invalid_params") from None
