"""What a release consists of: the files of an agent's folder, their digest, and a copy for keeps.

The digest depends on relative paths, the executable bit and contents alone: not on times, owners, the
order of a listing or where the folder lies. A release is copied once, whole or not at all, and hashed
again while it is copied: a file that changes in between is never released under another's digest.
"""

from __future__ import annotations

import errno
import hashlib
import os
import shutil
import stat
from collections.abc import Iterator
from pathlib import Path
from typing import BinaryIO

from a2a_cloud.model.problem import InvalidParams, Problem, StorageFull, TooLarge, Unavailable

MAX_BYTES = 64 << 20
MAX_FILES = 10_000

IGNORED = frozenset(
    {
        ".git",
        ".hg",
        ".svn",
        ".venv",
        ".a2a",
        "__pycache__",
        "node_modules",
        ".cache",
        ".mypy_cache",
        ".pytest_cache",
        ".ruff_cache",
        ".hypothesis",
        ".ipynb_checkpoints",
        ".tox",
        ".nox",
        ".idea",
        ".vscode",
        ".DS_Store",
    }
)

_BLOCK = 1 << 20


def digest_folder(folder: Path) -> tuple[str, list[str]]:
    """(`sha256:<hex>`, the sorted relative POSIX paths). Raises InvalidParams, TooLarge."""
    files = _files(folder)
    total = _Total()
    for name in files:
        with _opened(folder, name) as (source, executable):
            total.add(name, executable, source, None)
    return total.digest, files


def copy_release(folder: Path, dest: Path) -> tuple[str, list[str]]:
    """Copy exactly those files to `dest`; returns their digest and paths when all is on disk.

    `dest` appears whole or not at all, its files read-only. When it is there already nothing is
    copied, and its own digest and paths are returned. Raises InvalidParams, TooLarge, StorageFull,
    Unavailable. The caller compares the digest with the one that it expects.
    """
    if dest.exists():
        return digest_folder(dest)
    files = _files(folder)
    partial = dest.with_name(f".{dest.name}.partial-{os.getpid()}")
    try:
        partial.parent.mkdir(parents=True, exist_ok=True)
        _discard(partial)
        partial.mkdir()
        total = _Total()
        for name in files:
            target = partial.joinpath(*name.split("/"))
            target.parent.mkdir(parents=True, exist_ok=True)
            with _opened(folder, name) as (source, executable), target.open("xb") as copy:
                total.add(name, executable, source, copy)
                copy.flush()
                os.fchmod(copy.fileno(), 0o555 if executable else 0o444)
                os.fsync(copy.fileno())
        for path, _, _ in os.walk(partial):
            _sync_folder(path)
        partial.rename(dest)
        _sync_folder(dest.parent)
    except OSError as error:
        raise _disk(error, dest) from error
    finally:
        _discard(partial)
    return total.digest, files


class _Total:
    """The digest as it grows: for each file its path, executable bit, size and content's hash."""

    def __init__(self) -> None:
        self._hash = hashlib.sha256(b"a2a-cloud release 1\n")
        self._bytes = 0

    @property
    def digest(self) -> str:
        return f"sha256:{self._hash.hexdigest()}"

    def add(self, name: str, executable: bool, source: BinaryIO, copy: BinaryIO | None) -> None:
        content = hashlib.sha256()
        size = 0
        while block := source.read(_BLOCK):
            size += len(block)
            self._bytes += len(block)
            if self._bytes > MAX_BYTES:
                raise TooLarge(
                    f"The agent's folder holds more than {MAX_BYTES >> 20} MiB; `{name}` is where it passed.",
                    remedy="Move data out of the folder, and let the agent fetch it or take it as a file.",
                )
            content.update(block)
            if copy is not None:
                copy.write(block)
        path = name.encode()
        # Lengths in front, so that no two listings have the same bytes.
        self._hash.update(b"%d:%s %d %d " % (len(path), path, executable, size) + content.digest())


class _opened:  # noqa: N801 (reads as a function)
    """A source file and its executable bit; refuses what became a link since it was listed."""

    def __init__(self, folder: Path, name: str) -> None:
        self._path = folder.joinpath(*name.split("/"))
        self._name = name

    def __enter__(self) -> tuple[BinaryIO, bool]:
        try:
            # O_NONBLOCK: a file that was swapped for a pipe must not hang us.
            number = os.open(self._path, os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_CLOEXEC)
        except OSError as error:
            raise InvalidParams(f"`{self._name}` can't be read: {error.strerror}.") from None
        self._file = os.fdopen(number, "rb", buffering=0)
        mode = os.fstat(number).st_mode
        if not stat.S_ISREG(mode):
            self._file.close()
            raise InvalidParams(f"`{self._name}` is not a plain file.", remedy="Remove it from the folder.")
        return self._file, bool(mode & stat.S_IXUSR)

    def __exit__(self, *exc: object) -> None:
        self._file.close()


def _files(folder: Path) -> list[str]:
    if not folder.is_dir():
        raise InvalidParams(f"There is no folder {folder}.")
    files: list[str] = []
    for name in _walk(folder, ""):
        files.append(name)
        if len(files) > MAX_FILES:
            raise TooLarge(
                f"The agent's folder holds more than {MAX_FILES} files.",
                remedy="Keep data and environments (a virtual environment, say) outside of it.",
            )
    return sorted(files, key=str.encode)


def _walk(folder: Path, prefix: str) -> Iterator[str]:
    try:
        found = sorted(os.scandir(folder), key=lambda entry: entry.name)
    except OSError as error:
        raise InvalidParams(f"{folder} can't be read: {error.strerror}.") from None
    for entry in found:
        if entry.name in IGNORED or entry.name.endswith((".pyc", ".pyo")):
            continue
        name = prefix + entry.name
        try:
            name.encode()
        except UnicodeEncodeError:
            raise InvalidParams(f"The name of {name!a} is not UTF-8.", remedy="Rename the file.") from None
        if entry.is_symlink():
            raise InvalidParams(
                f"`{name}` is a symbolic link, and a release holds plain files only.",
                remedy="Put the file itself there, or remove the link.",
            )
        if entry.is_dir(follow_symlinks=False):
            # A virtual environment by any name: its marker says so.
            if not os.path.exists(os.path.join(entry.path, "pyvenv.cfg")):
                yield from _walk(Path(entry.path), f"{name}/")
        elif entry.is_file(follow_symlinks=False):
            yield name
        else:
            raise InvalidParams(
                f"`{name}` is neither a file nor a folder.", remedy="Remove the socket, pipe or device."
            )


def _discard(path: Path) -> None:
    if path.exists():
        shutil.rmtree(path, ignore_errors=True)


def _sync_folder(path: str | Path) -> None:
    number = os.open(path, os.O_RDONLY | os.O_DIRECTORY)
    try:
        os.fsync(number)
    finally:
        os.close(number)


def _disk(error: OSError, dest: Path) -> Problem:
    if error.errno in (errno.ENOSPC, errno.EDQUOT):
        return StorageFull("The disk is full: the release was not stored.", remedy="Free some space.")
    return Unavailable(
        f"The release can't be stored: {error.strerror}.", operator=f"{error} (while writing {dest})"
    )
