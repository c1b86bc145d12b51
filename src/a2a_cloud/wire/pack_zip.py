"""The zip file of a compliance pack (docs/packs.md): APPNOTE.TXT of PKWARE, narrowed until there is one way
to write the same files. Nothing is compressed, there are no times, comments, extra fields, gaps or links, and
names are plain; what differs in a byte is refused, so a pack can't grow when it is read and no byte of it can
change unnoticed. Every unzip program reads it.
"""

from __future__ import annotations

import re
import struct
from collections.abc import Iterator
from io import BytesIO
from typing import BinaryIO, NamedTuple
from zlib import crc32

#: Files in a pack, and bytes of a pack: within what 32 bits of a zip's directory can say.
MAX_FILES = 200_000
MAX_PACK = 0xFFFF_FFFF - 1
#: A longer name is refused.
MAX_NAME = 200
#: Bytes that are read at a time.
CHUNK = 1 << 20

_NAME = re.compile(r"[A-Za-z0-9_][A-Za-z0-9._-]*(/[A-Za-z0-9_][A-Za-z0-9._-]*)*", re.ASCII)
_LOCAL = struct.Struct("<4sHHHHHIIIHH")
_ENTRY = struct.Struct("<4sHHHHHHIIIHHHHHII")
_END64 = struct.Struct("<4sQHHIIQQQQ")
_LOCATOR = struct.Struct("<4sIQI")
_END = struct.Struct("<4sHHHHIIH")
#: 1980-01-01, the first day that a zip knows.
_DATE = 0x0021
_MODE = 0o100644 << 16
_MANY = 0xFFFF


class PackError(ValueError):
    """A pack that can't be relied on: `file` names the member, "" for the zip itself; the text says why."""

    def __init__(self, file: str, why: str) -> None:
        super().__init__(why)
        self.file = file


class Member(NamedTuple):
    """A file of a pack: its bytes begin at `start` of the zip."""

    name: str
    crc: int
    size: int
    offset: int

    @property
    def start(self) -> int:
        """Where the bytes begin."""
        return self.offset + _LOCAL.size + len(self.name)


def good_name(name: str) -> bool:
    """Whether a file of a pack may have this name: plain steps that lead nowhere else."""
    return len(name) <= MAX_NAME and _NAME.fullmatch(name) is not None


class ZipWriter:
    """Says the bytes of a zip, file by file, and keeps its directory (about 200 bytes for each file)."""

    def __init__(self) -> None:
        self._members: list[Member] = []
        self._names: set[str] = set()
        self._at = 0

    @property
    def size(self) -> int:
        """Bytes so far."""
        return self._at

    def begin(self, name: str, crc: int, size: int) -> bytes:
        """What stands before a file's bytes, which the caller sends itself. Raises PackError when the pack
        would be too large, ValueError for a name that is no plain one or is there already."""
        if not good_name(name) or name in self._names:
            raise ValueError(f"{name!a} can't be a name in a pack")
        if len(self._members) >= MAX_FILES or self._at + size > MAX_PACK - (64 << 20):
            raise PackError(name, "the pack would be larger than 4 GiB, or have too many files")
        member = Member(name, crc, size, self._at)
        self._members.append(member)
        self._names.add(name)
        self._at = member.start + size
        return _local(member)

    def end(self) -> Iterator[bytes]:
        """The directory and the end."""
        start = self._at
        for member in self._members:
            entry = _entry(member)
            self._at += len(entry)
            yield entry
        yield _trailer(len(self._members), start, self._at - start)


class ZipReader:
    """The files of a zip that ZipWriter could have written. Raises PackError for any other, OSError."""

    def __init__(self, source: BinaryIO | bytes) -> None:
        self._file: BinaryIO = BytesIO(source) if isinstance(source, bytes) else source
        self.members: dict[str, Member] = {}
        self._read()

    def data(self, name: str, most: int) -> bytes:
        """A file whole. Raises PackError when it is larger than `most`, or its CRC says another."""
        member = self.members[name]
        if member.size > most:
            raise PackError(name, f"it is larger than {most} bytes")
        data = self._bytes(member.start, member.size)
        if crc32(data) != member.crc:
            raise PackError(name, "its bytes are not those that the zip's checksum is of")
        return data

    def pieces(self, name: str) -> Iterator[bytes]:
        """A file piece by piece. Raises PackError at its end when its CRC says another."""
        member = self.members[name]
        crc, at, end = 0, member.start, member.start + member.size
        while at < end:
            piece = self._bytes(at, min(CHUNK, end - at))
            crc = crc32(piece, crc)
            at += len(piece)
            yield piece
        if crc != member.crc:
            raise PackError(name, "its bytes are not those that the zip's checksum is of")

    def _bytes(self, at: int, length: int) -> bytes:
        self._file.seek(at)
        data = self._file.read(length)
        if len(data) != length:
            raise PackError("", f"the zip ends early, at byte {at + len(data)}")
        return data

    def _read(self) -> None:
        size = self._file.seek(0, 2)
        if size < _END.size:
            raise PackError("", "this is no pack: it is too short for a zip")
        if size > MAX_PACK:
            raise PackError("", "it is larger than a pack may be")
        if self._bytes(0, 4) != b"PK\x03\x04":
            raise PackError("", "this is no pack: it does not begin like a zip")
        count, start, length = self._end(size)
        directory = self._bytes(start, length)
        expected, at = 0, 0
        for _ in range(count):
            member = _parse(directory, at, start + at)
            at += _ENTRY.size + len(member.name)
            if member.name in self.members:
                raise PackError(member.name, "it is in the zip twice")
            if member.offset != expected:
                raise PackError(member.name, f"it begins at byte {member.offset} and not at {expected}")
            expected = member.start + member.size
            if expected > start:
                raise PackError(member.name, "it goes on into the zip's directory")
            if self._bytes(member.offset, member.start - member.offset) != _local(member):
                raise PackError(
                    member.name, f"its head at byte {member.offset} is not what the directory says"
                )
            self.members[member.name] = member
        if expected != start:
            raise PackError("", f"there is something that belongs to no file at byte {expected}")
        if at != length:
            raise PackError("", "the zip's directory is longer than its files")

    def _end(self, size: int) -> tuple[int, int, int]:
        """(files, where the directory begins, its length)."""
        _, _, _, _, count, length, start, _ = _END.unpack(self._bytes(size - _END.size, _END.size))
        more = _END64.size + _LOCATOR.size
        if count == _MANY and size >= _END.size + more:
            count = _END64.unpack(self._bytes(size - _END.size - more, _END64.size))[6]
        if count > MAX_FILES or start + length > size or length > count * (_ENTRY.size + MAX_NAME):
            raise PackError("", "the end of the zip is damaged, or the zip is cut off")
        trailer = _trailer(count, start, length)
        if size != start + length + len(trailer) or self._bytes(start + length, len(trailer)) != trailer:
            raise PackError("", "the end of the zip is not what belongs there: it was changed or cut off")
        return count, start, length


def _parse(directory: bytes, at: int, where: int) -> Member:
    """A line of the directory. Its bytes are compared with the one way to write them."""
    if at + _ENTRY.size > len(directory):
        raise PackError("", "the zip's directory is shorter than its files")
    fields = _ENTRY.unpack_from(directory, at)
    crc, size, length, offset = fields[7], fields[8], fields[10], fields[16]
    raw = directory[at + _ENTRY.size : at + _ENTRY.size + length]
    name = raw.decode("ascii", "replace")
    if not good_name(name):
        shown = re.sub(r"[^A-Za-z0-9._/-]", "?", name[:80])
        raise PackError("", f"a file has the name {shown}, which no pack has")
    member = Member(name, crc, size, offset)
    if directory[at : at + _ENTRY.size + length] != _entry(member):
        raise PackError(name, f"its line in the zip's directory, at byte {where}, is not what belongs there")
    return member


def _local(member: Member) -> bytes:
    name = member.name.encode("ascii")
    head = _LOCAL.pack(b"PK\x03\x04", 10, 0, 0, 0, _DATE, member.crc, member.size, member.size, len(name), 0)
    return head + name


def _entry(member: Member) -> bytes:
    name, crc, size = member.name.encode("ascii"), member.crc, member.size
    head = (b"PK\x01\x02", 0x0314, 10, 0, 0, 0, _DATE, crc, size, size, len(name))
    return _ENTRY.pack(*head, 0, 0, 0, 0, _MODE, member.offset) + name


def _trailer(count: int, start: int, length: int) -> bytes:
    few = count if count < _MANY else _MANY
    end = _END.pack(b"PK\x05\x06", 0, 0, few, few, length, start, 0)
    if count < _MANY:
        return end
    record = _END64.pack(b"PK\x06\x06", 44, 0x032D, 45, 0, 0, count, count, length, start)
    return record + _LOCATOR.pack(b"PK\x06\x07", 0, start + length, 1) + end
