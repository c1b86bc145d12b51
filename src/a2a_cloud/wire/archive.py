"""Archives of an agent's source: a gzipped tar that is made the same each time, and safe unpacking.

What comes may be from anybody, so it is read by a reader of its own, which knows as much of POSIX pax
and ustar (IEEE Std 1003.1, pax) and of GNU tar as ordinary archives need: plain files and folders. It
holds one block in memory, counts while it inflates, and refuses everything else by name: links, devices,
sparse files, a path used twice. Nothing is ever written outside of its folder, and nothing stays behind
when it refuses. The gzip layer (RFC 1952) has to be one whole member, with nothing after it.
"""

from __future__ import annotations

import errno
import gzip
import hashlib
import os
import shutil
import tarfile
from collections.abc import Sequence
from pathlib import Path
from typing import BinaryIO, NamedTuple, Protocol

from a2a_cloud.model.problem import InvalidParams, Problem, StorageFull, TooLarge, Unavailable
from a2a_cloud.wire.inflate import REMEDY, Inflated, damaged
from a2a_cloud.wire.source import (
    MAX_FILES,
    Readable,
    SourceDigest,
    SourceFile,
    check_path,
    check_total,
    left_out,
    list_source,
    open_source,
    too_many,
)

MEDIA_TYPE = "application/gzip"

_TAR = 512
#: Of the records before an entry (a long path, a file's attributes).
_MAX_RECORDS = 256 << 10
#: Entries of any kind, those that are left out too.
_MAX_ENTRIES = 4 * MAX_FILES
_KINDS = {
    b"1": "a hard link",
    b"2": "a symbolic link",
    b"3": "a device",
    b"4": "a device",
    b"6": "a pipe",
    b"K": "a link",
    b"S": "a sparse file",
}


class Writable(Protocol):
    """A file open for writing in bytes."""

    def write(self, data: bytes, /) -> object:
        """Write all of `data`."""
        ...


# --- packing ------------------------------------------------------------------------------------------


def write_archive(folder: Path, files: Sequence[SourceFile], out: Writable) -> tuple[str, int]:
    """Write these files of `folder` to `out`: (the source's digest, the archive's size in bytes).

    The same files give the same bytes: sorted, no times, no owners, modes 644 and 755. Raises
    InvalidParams, TooLarge, and Unavailable when a file changes while it is read.
    """
    counted = _Counted(out)
    digest = SourceDigest()
    with gzip.GzipFile(filename="", mode="wb", compresslevel=6, fileobj=counted, mtime=0) as packed:
        for file in sorted(files, key=lambda file: file.name.encode()):
            with open_source(folder, file.name) as (source, executable):
                size = os.fstat(source.fileno()).st_size
                packed.write(_header(file.name, size, executable))
                read = digest.read(file.name, executable, _Limited(source, size), packed.write)
                if read != size or source.read(1):
                    raise Unavailable(
                        f"`{file.name}` changed while it was read.", remedy="Run the command again."
                    )
                packed.write(bytes(-size % _TAR))
        packed.write(bytes(2 * _TAR))
    return digest.value, counted.size


def _header(name: str, size: int, executable: bool) -> bytes:
    info = tarfile.TarInfo(name)
    info.size = size
    info.mode = 0o755 if executable else 0o644
    return info.tobuf(tarfile.PAX_FORMAT, "utf-8", "strict")


class _Counted:
    def __init__(self, out: Writable) -> None:
        self._out = out
        self.size = 0

    def write(self, data: bytes) -> int:
        self._out.write(data)
        self.size += len(data)
        return len(data)

    def flush(self) -> None:
        """Asked for by gzip; who gave the file flushes it."""


class _Limited:
    """The first bytes of a file: what its header announced."""

    def __init__(self, source: BinaryIO, size: int) -> None:
        self._source = source
        self._left = size

    def read(self, size: int, /) -> bytes:
        block = self._source.read(min(size, self._left))
        self._left -= len(block)
        return block


# --- unpacking ----------------------------------------------------------------------------------------


def read_archive(stream: Readable, dest: Path) -> tuple[str, list[SourceFile]]:
    """Unpack an archive to `dest`: (the source's digest, its files in order).

    `dest` is made, or is an empty folder; afterwards it holds exactly those files, without what
    a source leaves out. On a Problem nothing stays in it. Raises InvalidParams for an archive that can't
    be used, TooLarge for one that holds too much (without reading on), StorageFull and Unavailable.
    """
    made = not dest.exists()
    try:
        dest.mkdir(parents=True, exist_ok=True)
        with os.scandir(dest) as entries:
            if next(entries, None) is not None:
                raise FileExistsError(errno.ENOTEMPTY, os.strerror(errno.ENOTEMPTY), str(dest))
    except OSError as error:
        raise cannot_store(error, "archive", dest) from error
    try:
        hashes = _Unpacking(Inflated(stream), dest).run()
        files = list_source(dest)
        if not files:
            raise InvalidParams("The archive holds no files of an agent.", remedy=REMEDY)
        _prune(dest, {file.name for file in files}, hashes)
    except OSError as error:
        _clear(dest, made)
        raise cannot_store(error, "archive", dest) from error
    except BaseException:
        _clear(dest, made)
        raise
    digest = SourceDigest()
    for file in files:
        digest.add(file, hashes[file.name])
    return digest.value, files


def cannot_store(error: OSError, what: str, where: Path) -> Problem:
    """The Problem for a file system that would not take the `what`."""
    if error.errno in (errno.ENOSPC, errno.EDQUOT):
        return StorageFull(f"The disk is full: the {what} was not stored.", remedy="Free some space.")
    return Unavailable(
        f"The {what} can't be stored: {error.strerror or type(error).__name__}.",
        operator=f"{error} (while writing {where})",
    )


def _clear(dest: Path, made: bool) -> None:
    shutil.rmtree(dest, ignore_errors=True)
    if not made:
        dest.mkdir(exist_ok=True)


def _prune(dest: Path, listed: set[str], unpacked: dict[str, bytes]) -> None:
    """Remove what the archive held though the source's own rules leave it out."""
    rest = unpacked.keys() - listed
    for name in rest:
        dest.joinpath(*name.split("/")).unlink()
    if rest:
        for path, _, _ in os.walk(dest, topdown=False):
            if path != str(dest) and not os.listdir(path):
                os.rmdir(path)


class _Entry(NamedTuple):
    kind: bytes
    name: bytes
    size: int
    executable: bool


class _Unpacking:
    """One archive on its way to a folder."""

    def __init__(self, data: Inflated, dest: Path) -> None:
        self._data = data
        self._dest = dest
        self._hashes: dict[str, bytes] = {}
        self._folders: set[str] = set()
        self._total = 0

    def run(self) -> dict[str, bytes]:
        """Unpack all of it; the SHA-256 of each file's content by its path."""
        longer = b""
        size: int | None = None
        pending = False
        for count in range(_MAX_ENTRIES + 1):
            entry = self._next()
            if entry is None:
                if pending:
                    raise damaged("it ends where an entry should follow")
                self._data.end()
                return self._hashes
            if count == _MAX_ENTRIES:
                break
            if entry.kind == b"x":
                records = _records(self._small(entry))
                _refuse_sparse(records)
                longer = records.get(b"path", longer)
                size = _decimal(records[b"size"]) if b"size" in records else size
                pending = True
            elif entry.kind == b"g":
                records = _records(self._small(entry))
                _refuse_sparse(records)
                if records.keys() & {b"path", b"size"}:
                    raise damaged("it has one path or size for all entries")
            elif entry.kind == b"L":
                longer = self._small(entry).rstrip(b"\0")
                pending = True
            else:
                self._entry(
                    entry._replace(name=longer or entry.name, size=entry.size if size is None else size)
                )
                longer, size, pending = b"", None, False
        raise too_many("files and folders")

    def _next(self) -> _Entry | None:
        block = self._data.take(_TAR)
        if not block.strip(b"\0"):
            return None
        # The sum of the header's bytes, its own field taken as spaces.
        if sum(block[:148]) + 8 * 32 + sum(block[156:]) != _number(block[148:156]):
            raise damaged("a header's checksum is wrong")
        name = block[:100].partition(b"\0")[0]
        # GNU tar and its old relatives keep other things where POSIX has the prefix.
        if block[257:263] == b"ustar\0" and (prefix := block[345:500].partition(b"\0")[0]):
            name = prefix + b"/" + name
        kind = block[156:157]
        if kind == b"\0":
            kind = b"5" if name.endswith(b"/") else b"0"
        return _Entry(kind, name, _number(block[124:136]), bool(_number(block[100:108]) & 0o100))

    def _small(self, entry: _Entry) -> bytes:
        if entry.size > _MAX_RECORDS:
            raise TooLarge(
                f"The archive has {entry.size} bytes of attributes for one entry.",
                remedy="Pack without extended attributes.",
            )
        data = self._data.take(entry.size)
        self._data.take(-entry.size % _TAR)
        return data

    def _entry(self, entry: _Entry) -> None:
        name = _path(entry)
        skipped = any(map(left_out, name.split("/")))
        if entry.kind not in (b"0", b"5") and not skipped:
            raise InvalidParams(
                f"The archive's entry {name[:200]!a} is {_KINDS.get(entry.kind, 'of no known kind')},"
                " and a release holds plain files only.",
                remedy="Put the file itself there, or remove it.",
            )
        if entry.kind != b"0":
            if entry.size:
                raise damaged(f"{name[:200]!a} is no file and has content")
            if name and not skipped:
                check_path(name)
                self._folder(name)
            return
        self._total += entry.size
        check_total(self._total, name)
        if skipped:
            self._data.copy(entry.size, lambda _: None)
        else:
            check_path(name)
            if name in self._hashes:
                raise InvalidParams(f"The archive holds `{name}` twice.", remedy=REMEDY)
            if len(self._hashes) == MAX_FILES:
                raise too_many()
            self._folder(name.rpartition("/")[0])
            if name in self._folders:
                raise _both(name)
            self._file(name, entry)
        self._data.take(-entry.size % _TAR)

    def _folder(self, name: str) -> None:
        """Take note of a folder and those around it."""
        while name and name not in self._folders:
            if name in self._hashes:
                raise _both(name)
            self._folders.add(name)
            if len(self._folders) > MAX_FILES:
                raise too_many("folders")
            name = name.rpartition("/")[0]

    def _file(self, name: str, entry: _Entry) -> None:
        path = self._dest.joinpath(*name.split("/"))
        content = hashlib.sha256()
        try:
            path.parent.mkdir(parents=True, exist_ok=True)
            number = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_NOFOLLOW | os.O_CLOEXEC, 0o600)
        except FileExistsError:
            # A file system that takes two names for one.
            raise InvalidParams(
                f"The archive holds `{name}` twice, in two spellings.", remedy="Rename one of them."
            ) from None
        with os.fdopen(number, "wb", buffering=0) as file:

            def write(block: bytes) -> None:
                content.update(block)
                rest = memoryview(block)
                while rest:
                    rest = rest[file.write(rest) :]

            self._data.copy(entry.size, write)
            os.fchmod(number, 0o755 if entry.executable else 0o644)
        self._hashes[name] = content.digest()


def _both(name: str) -> InvalidParams:
    return InvalidParams(f"The archive holds `{name}` as a file and as a folder.", remedy=REMEDY)


def _number(field: bytes) -> int:
    """A number of a header: octal digits, or for large ones bytes after a set bit (GNU)."""
    if field[:1] == b"\x80":
        return int.from_bytes(field[1:], "big")
    digits = field.partition(b"\0")[0].strip(b" ")
    if not digits:
        return 0
    if not digits.isdigit() or b"8" in digits or b"9" in digits:
        raise damaged("a number in a header can't be read")
    return int(digits, 8)


def _decimal(value: bytes) -> int:
    """A number of a pax record."""
    if not value.isdigit() or len(value) > 20:
        raise damaged("a number in a pax record can't be read")
    return int(value)


def _path(entry: _Entry) -> str:
    """The entry's path, not checked yet; "" for the folder that was packed itself."""
    raw = entry.name
    while raw.startswith(b"./"):
        raw = raw[2:].lstrip(b"/")
    if entry.kind == b"5":
        raw = raw.rstrip(b"/") if raw.strip(b"/") else raw
        if raw in (b"", b"."):
            return ""
    return raw.decode("utf-8", "surrogateescape")


def _records(data: bytes) -> dict[bytes, bytes]:
    """A pax header's records: `LENGTH KEY=VALUE\\n` each. Of a key that comes twice the last one counts."""
    found: dict[bytes, bytes] = {}
    at = 0
    while at < len(data):
        space = data.find(b" ", at, at + 8)
        digits = data[at:space]
        if space < 0 or not digits.isdigit():
            raise damaged("a pax record can't be read")
        end = at + int(digits)
        record = data[space + 1 : end]
        key, equals, value = record[:-1].partition(b"=")
        if end > len(data) or not equals or not key or not record.endswith(b"\n"):
            raise damaged("a pax record can't be read")
        found[key] = value
        at = end
    return found


def _refuse_sparse(records: dict[bytes, bytes]) -> None:
    if any(key.startswith(b"GNU.sparse") for key in records):
        raise InvalidParams(
            "The archive holds a sparse file, and a release holds plain files only.",
            remedy="Pack without --sparse.",
        )
