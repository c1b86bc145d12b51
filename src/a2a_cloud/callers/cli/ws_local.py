"""Local folders for `a2a ws`: what is in one, and writing into one without ever leaving it."""

from __future__ import annotations

import hashlib
import os
import stat
from contextlib import suppress
from dataclasses import dataclass, field
from pathlib import Path

from a2a_cloud.callers.cli.exits import Exit, Failure
from a2a_cloud.model.problem import InvalidParams
from a2a_cloud.wire.glob import check_path

_BLOCK = 1 << 20
#: Names that a refusal shows.
SHOWN = 5


@dataclass
class Scan:
    """The files of a folder by their path in it; `left` are links and special files, which don't go along."""

    files: dict[str, Path] = field(default_factory=dict[str, Path])
    left: list[str] = field(default_factory=list[str])


def scan(root: Path) -> Scan:
    """All regular files below `root`; links are not followed. Raises Failure (usage) for what can't be
    read, and for names that no path of a workspace can have."""
    found = Scan()
    bad: list[str] = []
    todo = [("", root)]
    while todo:
        lead, folder = todo.pop()
        try:
            with os.scandir(folder) as entries:
                inside = sorted(entries, key=lambda entry: entry.name)
        except OSError as error:
            raise unreadable(folder, error) from None
        for entry in inside:
            path = lead + entry.name
            if entry.is_dir(follow_symlinks=False):
                todo.append((f"{path}/", Path(entry.path)))
            elif not entry.is_file(follow_symlinks=False):
                found.left.append(path)
            else:
                try:
                    found.files[check_path(path)] = Path(entry.path)
                except InvalidParams as problem:
                    bad.append(problem.detail)
    if bad:
        raise Failure(
            Exit.USAGE,
            f"{bad[0]}" + (f" So do {len(bad) - 1} more names." if len(bad) > 1 else ""),
            remedy="Rename what can't be a path in a workspace; nothing was sent.",
            code="invalid_params",
        )
    return found


def hash_of(path: Path) -> str:
    """A file's SHA-256 in hex. Raises Failure (usage)."""
    digest = hashlib.sha256()
    try:
        with path.open("rb") as file:
            while piece := file.read(_BLOCK):
                digest.update(piece)
    except OSError as error:
        raise unreadable(path, error) from None
    return digest.hexdigest()


def unreadable(path: Path, error: OSError) -> Failure:
    """That a local file or folder can't be read."""
    return Failure(Exit.USAGE, f"{path} can't be read: {error.strerror}.", remedy="Check its owner and mode.")


def unwritable(path: Path, error: OSError) -> Failure:
    """That a local file or folder can't be written."""
    return Failure(
        Exit.USAGE, f"{path} can't be written: {error.strerror}.", remedy="Check the folder and its disk."
    )


def same(path: Path, sha256: str, size: int) -> bool | None:
    """Whether the file at `path` has that content; None: nothing is there."""
    try:
        found = path.lstat()
    except FileNotFoundError:
        return None
    except OSError as error:
        raise unreadable(path, error) from None
    return stat.S_ISREG(found.st_mode) and found.st_size == size and hash_of(path) == sha256


def place(root: Path, relative: str) -> Path:
    """Where a checked path lies below `root`. Raises Failure when a link stands on the way: it could lead
    out of the folder."""
    at = root
    *folders, name = check_path(relative).split("/")
    for folder in folders:
        at = at / folder
        if at.is_symlink():
            raise Failure(
                Exit.USAGE,
                f"{at} is a link, and {relative!r} would be written through it.",
                remedy="Remove the link, or get the files into another folder.",
            )
    return at / name


class Arriving:
    """A file that is being written: beside its place under another name, then moved there whole."""

    def __init__(self, path: Path) -> None:
        """Raises Failure (usage)."""
        self._path = path
        self._aside = path.with_name(f".{path.name[:100]}.{os.getpid()}.part")
        try:
            path.parent.mkdir(parents=True, exist_ok=True)
            with suppress(FileNotFoundError):
                self._aside.unlink()
            # A new file, never through a link.
            number = os.open(self._aside, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_NOFOLLOW, 0o666)
        except OSError as error:
            raise unwritable(path, error) from None
        self._file = os.fdopen(number, "wb")

    def write(self, data: bytes) -> None:
        """Take the next bytes. Raises Failure (usage)."""
        try:
            self._file.write(data)
        except OSError as error:
            raise unwritable(self._path, error) from None

    def keep(self) -> None:
        """It is whole: put it in its place. A link there is replaced, not followed. Raises Failure."""
        try:
            self._file.close()
            self._aside.replace(self._path)
        except OSError as error:
            raise unwritable(self._path, error) from None

    def drop(self) -> None:
        """Leave nothing behind. Harmless after `keep`."""
        with suppress(OSError):
            self._file.close()
        with suppress(FileNotFoundError):
            self._aside.unlink()
