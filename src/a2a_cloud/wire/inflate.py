"""The gzip layer of an archive from anybody (RFC 1952): inflated as it is asked for and no further.

One whole member with nothing after it. What it may inflate to is bounded, so that a bomb ends early, and
no more than two blocks of it are held at a time.
"""

from __future__ import annotations

import zlib
from collections.abc import Callable

from a2a_cloud.model.problem import InvalidParams, TooLarge
from a2a_cloud.wire.source import MAX_BYTES, Readable

_BLOCK = 1 << 16
#: What all that is not content may have when it is inflated: headers, filling, records.
_MAX_FRAME = 64 << 20


#: What to say about an archive that can't be used.
REMEDY = "Send what `tar -czf - -C FOLDER .` makes, or use `a2a deploy`."


class Inflated:
    """The bytes inside a gzip stream, inflated as they are asked for and no further."""

    def __init__(self, stream: Readable) -> None:
        self._stream = stream
        self._gzip = zlib.decompressobj(wbits=31)
        self._input = b""
        self._got: bytes = b""
        self._at = 0
        self._frame = _MAX_FRAME + MAX_BYTES
        self._begun = False

    def take(self, size: int) -> bytes:
        """Exactly so many bytes. Raises InvalidParams when there are fewer, TooLarge for a bomb."""
        blocks: list[bytes] = []
        self.copy(size, blocks.append)
        return b"".join(blocks)

    def copy(self, size: int, write: Callable[[bytes], object]) -> None:
        """Hand exactly so many bytes to `write`, in blocks."""
        while size:
            block = self._block(size)
            if not block:
                raise damaged("it ends too early")
            size -= len(block)
            write(block)

    def end(self) -> None:
        """What follows the tar's end is filling, and the gzip stream ends with it."""
        while block := self._block(_BLOCK):
            if block.strip(b"\0"):
                raise damaged("something follows its end")
        if self._gzip.unused_data or self._stream.read(1):
            raise damaged("something follows its end")

    def _block(self, size: int) -> bytes:
        """At most so many bytes; none at the end of the gzip stream."""
        if self._at == len(self._got):
            self._got, self._at = self._more(), 0
        block = self._got[self._at : self._at + size]
        self._at += len(block)
        return block

    def _more(self) -> bytes:
        """The next bytes that are inflated; none at the end of the gzip stream."""
        while not self._gzip.eof:
            if not self._input:
                self._input = self._stream.read(_BLOCK)
                if not self._begun:
                    _check_start(self._input)
                    self._begun = True
                if not self._input:
                    raise damaged("it ends too early")
            try:
                got: bytes = self._gzip.decompress(self._input, _BLOCK)
            except zlib.error:
                raise damaged("its gzip layer can't be read") from None
            self._input = self._gzip.unconsumed_tail
            if got:
                self._frame -= len(got)
                if self._frame < 0:
                    raise TooLarge(
                        f"The archive inflates to more than {(_MAX_FRAME + MAX_BYTES) >> 20} MiB.",
                        remedy="Move data out of the agent's folder.",
                    )
                return got
        return b""


def _check_start(start: bytes) -> None:
    if not start:
        raise InvalidParams("The archive is empty.", remedy=REMEDY)
    if not start.startswith(b"\x1f\x8b"[: len(start)]):
        kind = "a zip archive" if start.startswith(b"PK") else "no gzip"
        raise InvalidParams(f"The archive is {kind}, and a gzipped tar is needed.", remedy=REMEDY)


def damaged(how: str) -> InvalidParams:
    """What to raise for an archive that is not whole."""
    return InvalidParams(f"The archive can't be used: {how}.", remedy=REMEDY)
