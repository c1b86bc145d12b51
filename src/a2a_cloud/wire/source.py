"""An agent's source: which files of a folder belong to it, and the digest that they have together.

The one place that decides both, for who sends a folder and for who keeps it. Left out are what tools
leave behind (`IGNORED`), virtual environments by any name, and what the folder's `.a2aignore` says, or
its `.gitignore` when it has none. The digest depends on relative paths, the executable bit and contents
alone: not on times, owners, the order of a listing or where the folder lies.
"""

from __future__ import annotations

import hashlib
import os
import stat
import unicodedata
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import BinaryIO, Protocol

from a2a_cloud.model.problem import InvalidParams, TooLarge
from a2a_cloud.wire.ignore import Ignore

#: Of all files together.
MAX_BYTES = 64 << 20
#: And as many folders at most.
MAX_FILES = 10_000
#: Of a relative path in UTF-8, of one name in it, and how many names it may have.
MAX_PATH = 1024
MAX_NAME = 255
MAX_DEPTH = 32

#: The file that says what is left out: the first of these that the folder has.
IGNORE_FILES = (".a2aignore", ".gitignore")
MAX_IGNORE_FILE = 64 << 10

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
# Control characters, line and paragraph separators, and what turns the direction of writing: a name
# with those shows as another one.
_INVISIBLE = frozenset({"Cc", "Zl", "Zp"})
_DIRECTIONS = frozenset("\u200e\u200f\u061c\u202a\u202b\u202c\u202d\u202e\u2066\u2067\u2068\u2069")


@dataclass(frozen=True, slots=True)
class SourceFile:
    """A file of an agent's source: its relative POSIX path, its size in bytes, whether it can be run."""

    name: str
    size: int
    executable: bool


class Readable(Protocol):
    """A file open for reading in bytes."""

    def read(self, size: int, /) -> bytes:
        """At most `size` bytes; none at the end."""
        ...


class SourceDigest:
    """The digest of a source as it grows; files come in the order of their paths' UTF-8 bytes."""

    def __init__(self) -> None:
        self._hash = hashlib.sha256(b"a2a-cloud release 1\n")
        self._bytes = 0

    @property
    def value(self) -> str:
        """`sha256:<hex>`."""
        return f"sha256:{self._hash.hexdigest()}"

    def read(
        self, name: str, executable: bool, source: Readable, write: Callable[[bytes], object] | None = None
    ) -> int:
        """Add a file by reading it, handing each block to `write`; its size in bytes. Raises TooLarge."""
        content = hashlib.sha256()
        size = 0
        while block := source.read(_BLOCK):
            size += len(block)
            self._bytes += len(block)
            check_total(self._bytes, name)
            content.update(block)
            if write is not None:
                write(block)
        self.add(SourceFile(name, size, executable), content.digest())
        return size

    def add(self, file: SourceFile, content: bytes) -> None:
        """Add a file by the SHA-256 of its content."""
        path = file.name.encode()
        # Lengths in front, so that no two listings have the same bytes.
        self._hash.update(b"%d:%s %d %d " % (len(path), path, file.executable, file.size) + content)


def list_source(folder: Path) -> list[SourceFile]:
    """The files that belong to the source in `folder`, in the order of their paths' UTF-8 bytes.

    Raises InvalidParams for what can't be released (links, devices, odd names), TooLarge for too much.
    """
    if not folder.is_dir():
        raise InvalidParams(f"There is no folder {folder}.", remedy="Name the agent's folder.")
    files: list[SourceFile] = []
    for file in _walk(folder):
        files.append(file)
        if len(files) > MAX_FILES:
            raise too_many()
    files.sort(key=lambda file: file.name.encode())
    total = 0
    for file in files:
        total += file.size
        check_total(total, file.name)
    return files


def digest_source(folder: Path, files: list[SourceFile]) -> str:
    """The digest of these files as they are now. Raises InvalidParams, TooLarge."""
    digest = SourceDigest()
    for file in files:
        with open_source(folder, file.name) as (source, executable):
            digest.read(file.name, executable, source)
    return digest.value


class open_source:  # noqa: N801 (reads as a function)
    """A source file, open for reading, and its executable bit; refuses what is no plain file (any more)."""

    def __init__(self, folder: Path, name: str) -> None:
        self._path = folder.joinpath(*name.split("/"))
        self._name = name

    def __enter__(self) -> tuple[BinaryIO, bool]:
        try:
            # O_NONBLOCK: a file that was swapped for a pipe must not hang us.
            number = os.open(self._path, os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_CLOEXEC)
        except OSError as error:
            raise InvalidParams(
                f"`{self._name}` can't be read: {error.strerror}.", remedy="Make it readable, or ignore it."
            ) from None
        mode = os.fstat(number).st_mode
        if not stat.S_ISREG(mode):
            os.close(number)
            raise InvalidParams(f"`{self._name}` is not a plain file.", remedy="Remove it from the folder.")
        self._file = os.fdopen(number, "rb", buffering=0)
        return self._file, bool(mode & stat.S_IXUSR)

    def __exit__(self, *exc: object) -> None:
        self._file.close()


def check_path(name: str) -> None:
    """Raises InvalidParams unless `name` is a relative path that means the same file everywhere."""
    shown = ascii(name if len(name) <= 200 else name[:200] + "…")
    try:
        length = len(name.encode())
    except UnicodeEncodeError:
        raise InvalidParams(f"The name of {shown} is not UTF-8.", remedy="Rename the file.") from None
    parts = name.split("/")
    if any(part in ("", ".", "..") for part in parts):
        raise InvalidParams(
            f"The path {shown} is not a plain relative path.", remedy="Pack from inside the agent's folder."
        )
    odd = next((char for char in name if not char.isprintable() and _is_odd(char)), "")
    if odd or "\\" in name:
        raise InvalidParams(
            f"The name of {shown} has a character that names can't have: {odd or chr(92)!a}.",
            remedy="Rename the file.",
        )
    if length > MAX_PATH or len(parts) > MAX_DEPTH or any(len(part.encode()) > MAX_NAME for part in parts):
        raise InvalidParams(
            f"The path {shown} is too long: at most {MAX_PATH} bytes, {MAX_NAME} a name, and"
            f" {MAX_DEPTH} names.",
            remedy="Use shorter names and fewer folders inside folders.",
        )


def _is_odd(char: str) -> bool:
    return char in _DIRECTIONS or unicodedata.category(char) in _INVISIBLE


def left_out(name: str) -> bool:
    """Whether a file or folder of this name (its last part) never belongs to a source."""
    return name in IGNORED or name.endswith((".pyc", ".pyo"))


def check_total(size: int, name: str) -> None:
    """Raises TooLarge when the files up to `name` have more bytes together than a source may have."""
    if size > MAX_BYTES:
        raise TooLarge(
            f"The agent's folder holds more than {MAX_BYTES >> 20} MiB; `{name}` is where it passed.",
            remedy="Move data out of the folder, or list it in .a2aignore; let the agent fetch it or take it"
            " as a file.",
        )


def too_many(what: str = "files") -> TooLarge:
    """What to raise when a source has too many files or folders."""
    return TooLarge(
        f"The agent's folder holds more than {MAX_FILES} {what}.",
        remedy="Keep data and environments (a virtual environment, say) outside of it, or list them in"
        " .a2aignore.",
    )


def read_ignore(folder: Path) -> tuple[str, Ignore | None]:
    """(the name of the folder's ignore file, its rules); ("", None) without one.

    Raises InvalidParams and TooLarge.
    """
    for name in IGNORE_FILES:
        if not os.path.lexists(folder / name):
            continue
        with open_source(folder, name) as (source, _):
            text = source.read(MAX_IGNORE_FILE + 1)
        if len(text) > MAX_IGNORE_FILE:
            raise TooLarge(
                f"`{name}` has more than {MAX_IGNORE_FILE >> 10} KiB.",
                remedy="Write a shorter .a2aignore; it is read instead of .gitignore.",
            )
        return name, Ignore(text, name)
    return "", None


def _walk(folder: Path) -> Iterator[SourceFile]:
    rules_file, rules = read_ignore(folder)
    folders = [""]
    seen = 0
    while folders:
        prefix = folders.pop()
        seen += 1
        if seen > MAX_FILES:
            raise too_many("folders")
        try:
            with os.scandir(folder / prefix) as entries:
                found = sorted(entries, key=lambda entry: entry.name)
        except OSError as error:
            raise InvalidParams(
                f"{folder / prefix} can't be read: {error.strerror}.",
                remedy="Make it readable, or list it in .a2aignore.",
            ) from None
        for entry in found:
            if left_out(entry.name):
                continue
            name = prefix + entry.name
            is_folder = entry.is_dir(follow_symlinks=False)
            # The file with the rules stays: without it, a copy of the source would have other rules.
            if rules is not None and name != rules_file and rules.ignores(name, folder=is_folder):
                continue
            check_path(name)
            if entry.is_symlink():
                raise InvalidParams(
                    f"`{name}` is a symbolic link, and a release holds plain files only.",
                    remedy="Put the file itself there, or remove the link.",
                )
            if is_folder:
                # A virtual environment by any name: its marker says so.
                if not os.path.lexists(os.path.join(entry.path, "pyvenv.cfg")):
                    folders.append(f"{name}/")
            elif entry.is_file(follow_symlinks=False):
                status = entry.stat(follow_symlinks=False)
                yield SourceFile(name, status.st_size, bool(status.st_mode & stat.S_IXUSR))
            else:
                raise InvalidParams(
                    f"`{name}` is neither a file nor a folder.", remedy="Remove the socket, pipe or device."
                )
