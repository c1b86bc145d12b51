"""The files of a call, archives opened: names, beginnings, and what can't be taken with a reason."""

from __future__ import annotations

import io
import mimetypes
import zipfile
from dataclasses import dataclass
from pathlib import PurePosixPath

from a2a_cloud import File

MAX_FILES = 40
#: Bytes of an archive, and of all that it holds: these stay in memory.
MAX_ARCHIVE = 32 << 20
MAX_UNPACKED = 96 << 20
HEAD = 64 << 10


class TooMuchError(Exception):
    """The folder is too large; the message says what to do."""


@dataclass(frozen=True, slots=True)
class Item:
    """A file, its name in the folder, and its first bytes."""

    name: str
    file: File
    head: bytes


@dataclass(frozen=True, slots=True)
class Skipped:
    """A file that can't be taken, and why."""

    name: str
    why: str


async def items_of(files: list[File]) -> tuple[list[Item], list[Skipped]]:
    """All files, those in zip archives too. Raises TooMuchError."""
    items: list[Item] = []
    skipped: list[Skipped] = []
    room = MAX_UNPACKED
    for place, file in enumerate(files, 1):
        name = file.name or f"file {place}"
        head = await _head(file)
        if head.startswith(b"PK\x03\x04") and not name.lower().endswith(
            (".docx", ".xlsx", ".odt", ".ods", ".pptx")
        ):
            if file.size > MAX_ARCHIVE:
                raise TooMuchError(
                    f"{name} is larger than {MAX_ARCHIVE >> 20} MB. Send large files one by one."
                )
            room = _unpack(name, await file.aread(), room, items, skipped)
        elif head:
            items.append(Item(name, file, head))
        else:
            skipped.append(Skipped(name, "the file is empty"))
        if len(items) > MAX_FILES:
            raise TooMuchError(f"There are more than {MAX_FILES} files. Send fewer at a time.")
    return _named_apart(items), skipped


async def _head(file: File) -> bytes:
    head = b""
    async for block in file.aiter_chunks(HEAD):
        head += block
        if len(head) >= HEAD:
            break
    return head[:HEAD]


def _unpack(archive: str, data: bytes, room: int, items: list[Item], skipped: list[Skipped]) -> int:
    try:
        opened = zipfile.ZipFile(io.BytesIO(data))
    except (zipfile.BadZipFile, ValueError, OSError):
        skipped.append(Skipped(archive, "the archive is damaged"))
        return room
    with opened:
        for info in sorted(opened.infolist(), key=lambda one: one.filename):
            path = PurePosixPath(info.filename)
            if info.is_dir() or path.name.startswith(".") or "__MACOSX" in path.parts:
                continue
            if len(items) >= MAX_FILES:
                raise TooMuchError(f"{archive} holds more than {MAX_FILES} files. Send fewer at a time.")
            if info.flag_bits & 1:
                skipped.append(Skipped(info.filename, "it is locked with a password"))
                continue
            try:
                with opened.open(info) as member:
                    # What the directory says of sizes may be a lie.
                    body = member.read(room + 1)
            except (
                zipfile.BadZipFile,
                NotImplementedError,
                OSError,
                EOFError,
                RuntimeError,
                ValueError,
            ) as error:
                skipped.append(Skipped(info.filename, f"it can't be unpacked ({type(error).__name__})"))
                continue
            room -= len(body)
            if room < 0:
                raise TooMuchError(
                    f"{archive} holds more than {MAX_UNPACKED >> 20} MB. Send large files by themselves."
                )
            if not body:
                skipped.append(Skipped(info.filename, "the file is empty"))
                continue
            items.append(
                Item(info.filename, File.from_bytes(path.name, body, media_type(path.name)), body[:HEAD])
            )
    return room


def media_type(name: str) -> str:
    """The media type that a name suggests, the same on every machine for the usual ones."""
    known = {
        ".md": "text/markdown",
        ".csv": "text/csv",
        ".tsv": "text/tab-separated-values",
        ".txt": "text/plain",
    }
    suffix = PurePosixPath(name).suffix.lower()
    return known.get(suffix) or mimetypes.guess_type(name)[0] or "application/octet-stream"


def _named_apart(items: list[Item]) -> list[Item]:
    seen: dict[str, int] = {}
    out: list[Item] = []
    for item in items:
        seen[item.name] = seen.get(item.name, 0) + 1
        times = seen[item.name]
        out.append(item if times == 1 else Item(f"{item.name} ({times})", item.file, item.head))
    return out
