"""A copy of a data folder as one tar archive, taken while the platform works: `python -m a2a_cloud.ops.backup
DATA [OBJECTS]` writes it to its standard output. docs/backup.md has the form.

The database comes first, in one read transaction: what it refers to was stored before, and is copied after.
So the archive is the platform at one moment, as a crash then would have left it. A process of its own, so
that the platform's loop copies nothing.
"""

from __future__ import annotations

import io
import json
import os
import shutil
import sqlite3
import sys
import tarfile
import tempfile
from collections.abc import Iterable, Iterator
from hashlib import sha256
from pathlib import Path
from typing import Any, BinaryIO

import a2a_cloud
from a2a_cloud.ops.system import SystemClock
from a2a_cloud.storage.log.rows import PLATFORM_NAME, PLATFORM_NO

#: The first member, which says what the archive is, and the last one, without which it is not whole.
FIRST, LAST = "a2a-backup.json", "SHA256SUMS"
DATABASE = "journal.db"
VERSION = 1
#: Folders that are copied as they are.
FOLDERS = ("keys", "releases")


class Broken(Exception):
    """The copy can't be made; the text says why."""


def write(data: Path, objects: Path | None, out: BinaryIO) -> dict[str, Any]:
    """Write the archive of the folder `data`; `objects` is the folder of objects, None when they are in a
    bucket. Returns what the first member says. Raises Broken, OSError."""
    with tempfile.TemporaryDirectory(dir=data, prefix=".backup-") as aside:
        copy = Path(aside) / DATABASE
        _snapshot(data / DATABASE, copy)
        told = {
            "v": VERSION,
            "made": SystemClock().now(),
            "version": a2a_cloud.__version__,
            "objects": objects is not None,
            **described(copy),
        }
        sums: list[str] = []
        with tarfile.open(fileobj=out, mode="w|", format=tarfile.PAX_FORMAT) as archive:
            _text(archive, FIRST, json.dumps(told, indent=2) + "\n", sums)
            _file(archive, DATABASE, copy, sums)
            for name, path in _members(data, objects):
                _file(archive, name, path, sums)
            _text(archive, LAST, "".join(sums), [])
    return told


def _snapshot(database: Path, copy: Path) -> None:
    """The database as it is now, in a file of its own."""
    if not database.is_file():
        raise Broken(f"{database.parent} is no data folder: it has no {database.name}.")
    size = database.stat().st_size
    if shutil.disk_usage(copy.parent).free < size + (64 << 20):
        raise Broken(f"The copy of the database needs {size} bytes next to it, and there is no room.")
    source = sqlite3.connect(f"{database.absolute().as_uri()}?mode=ro", uri=True)
    target = sqlite3.connect(copy)
    try:
        source.execute("PRAGMA busy_timeout=10000")
        source.backup(target)  # In one step, so that no write begins it anew.
        target.execute("PRAGMA journal_mode=DELETE")
    except sqlite3.Error as error:
        raise Broken(f"The database can't be copied: {error}.") from error
    finally:
        source.close()
        target.close()


def described(database: Path) -> dict[str, Any]:
    """What an archive says of its database: the schema, and the length and root of each log."""
    connection = sqlite3.connect(f"{database.absolute().as_uri()}?mode=ro&immutable=1", uri=True)
    try:
        (schema,) = connection.execute("PRAGMA user_version").fetchone()
        orgs = connection.execute("SELECT no, name FROM org ORDER BY no").fetchall()
        events = events_are_leaves(connection)
        if events:
            orgs.append((PLATFORM_NO, PLATFORM_NAME))
        logs: list[dict[str, Any]] = []
        for number, name in orgs:
            length, root = _root(name, leaves(connection, number))
            (receipts,) = connection.execute("SELECT COUNT(*) FROM receipt WHERE org=?", (number,)).fetchone()
            told = {"org": name, "receipts": receipts, "root": root}
            logs.append({**told, "leaves": length} if events else told)
        return {"schema": schema, "logs": logs}
    finally:
        connection.close()


def leaves(connection: sqlite3.Connection, org: int, start: int = 0) -> Iterator[tuple[int, bytes]]:
    """(index, leaf hash) of an organisation's log from `start` on: of receipts, and of events where they are
    leaves already."""
    rows = "SELECT leaf, leaf_hash FROM receipt WHERE org=?1 AND leaf>=?2"
    if events_are_leaves(connection):
        rows += " UNION ALL SELECT leaf, leaf_hash FROM audit_event WHERE org=?1 AND leaf>=?2"
    for leaf, found in connection.execute(f"{rows} ORDER BY 1", (org, start)):
        yield leaf, bytes(found)


def events_are_leaves(connection: sqlite3.Connection) -> bool:
    """Whether the database is of a version that makes every audit event a leaf."""
    return any(row[1] == "leaf" for row in connection.execute("PRAGMA table_info(audit_event)"))


def _root(org: str, rows: Iterable[tuple[int, bytes]]) -> tuple[int, str]:
    """(how many leaves, their Merkle root in hex: RFC 6962, section 2.1). Raises Broken for a gap."""
    # The roots of the whole subtrees that are open, with their heights.
    stack: list[tuple[int, bytes]] = []
    length = 0
    for leaf, found in rows:
        if leaf != length:
            raise Broken(f"The log of {org} has a gap at {length}.")
        length += 1
        height, node = 0, bytes(found)
        while stack and stack[-1][0] == height:
            node = sha256(b"\x01" + stack.pop()[1] + node).digest()
            height += 1
        stack.append((height, node))
    if not stack:
        return 0, sha256(b"").hexdigest()
    node = stack.pop()[1]
    while stack:
        node = sha256(b"\x01" + stack.pop()[1] + node).digest()
    return length, node.hex()


def _members(data: Path, objects: Path | None) -> Iterator[tuple[str, Path]]:
    if (data / "admin.key").is_file():
        yield "admin.key", data / "admin.key"
    for folder in FOLDERS:
        yield from _below(data / folder, folder)
    if objects is not None:
        yield from _below(objects / "sha256", "objects/sha256")


def _below(folder: Path, name: str) -> Iterator[tuple[str, Path]]:
    """Plain files below a folder, in an order that is always the same."""
    if not folder.is_dir():
        return
    with os.scandir(folder) as entries:
        found = sorted(entries, key=lambda entry: entry.name)
    for entry in found:
        if entry.is_dir(follow_symlinks=False):
            yield from _below(Path(entry.path), f"{name}/{entry.name}")
        elif entry.is_file(follow_symlinks=False):
            yield f"{name}/{entry.name}", Path(entry.path)


def _file(archive: tarfile.TarFile, name: str, path: Path, sums: list[str]) -> None:
    try:
        file = path.open("rb")
    except FileNotFoundError:
        return  # An object that was given up meanwhile: the database refers to none that is.
    with file:
        found = os.fstat(file.fileno())
        entry = tarfile.TarInfo(name)
        entry.size, entry.mtime = found.st_size, int(found.st_mtime)
        # Agents read their sources as other users; all else is the platform's own.
        entry.mode = found.st_mode & (0o755 if name.startswith("releases/") else 0o600)
        reading = _Reading(file)
        try:
            archive.addfile(entry, reading)  # pyright: ignore[reportArgumentType]
        except OSError as error:
            raise Broken(f"{path} can't be copied: {error}.") from error
        sums.append(f"{reading.hash.hexdigest()}  {name}\n")


def _text(archive: tarfile.TarFile, name: str, text: str, sums: list[str]) -> None:
    body = text.encode()
    entry = tarfile.TarInfo(name)
    entry.size, entry.mode = len(body), 0o600
    archive.addfile(entry, io.BytesIO(body))
    sums.append(f"{sha256(body).hexdigest()}  {name}\n")


class _Reading:
    """A file that is hashed as it is read."""

    def __init__(self, file: BinaryIO) -> None:
        self._file = file
        self.hash = sha256()

    def read(self, size: int = -1) -> bytes:
        piece = self._file.read(size)
        self.hash.update(piece)
        return piece


def main() -> int:
    """See the module."""
    data = Path(sys.argv[1])
    objects = Path(sys.argv[2]) if len(sys.argv) > 2 and sys.argv[2] else None
    if len(sys.argv) == 2:
        objects = data / "objects"
    try:
        write(data, objects, sys.stdout.buffer)
        sys.stdout.buffer.flush()
    except (Broken, OSError) as error:
        print(f"a2a backup: {error}", file=sys.stderr)
        return 1
    return 0


if __name__ == "__main__":
    sys.exit(main())
