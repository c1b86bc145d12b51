"""What comes out of a build's cage: files that a stranger may have written, and may be writing still.

They are copied by descriptors, following no link: what root keeps shares no file, mode or owner with
what a cage could write, so that nothing that happens in a cage later changes it.
"""

from __future__ import annotations

import os
import stat
from pathlib import Path

from a2a_cloud.model.problem import BuildFailed

#: Of one environment: bytes, files and folders, folders in each other, and of one file about a package.
BYTES, ENTRIES, DEPTH, METADATA = 16 << 30, 1 << 20, 64, 8 << 20
_PIECE = 1 << 20
_OPEN = os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_CLOEXEC
_FOLDER = _OPEN | os.O_DIRECTORY
_ABOUT = frozenset({"METADATA", "PKG-INFO", "RECORD", "entry_points.txt"})


def read_text(path: Path, most: int = 64 << 20) -> str:
    """A file's text, in a folder that a cage may write. Raises BuildFailed unless it is a plain one."""
    try:
        number = os.open(path, _OPEN)
        with open(number, "rb") as file:
            if not stat.S_ISREG(os.fstat(number).st_mode):
                raise _odd(path.name, "is no file")
            data = file.read(most + 1)
        if len(data) > most:
            raise _odd(path.name, "is too large")
        return data.decode()
    except (OSError, UnicodeDecodeError) as error:
        raise _odd(path.name, "can't be read", str(error)) from error


def take_out(made: Path, target: Path, python: Path) -> None:
    """Copy the environment `made` to `target`, which is not there yet. Raises BuildFailed, OSError.

    All of it is the platform's and may be read by everybody. `bin/python` is a new link to `python`;
    other links stay when they name something beside them, and are refused else.
    """
    try:
        root = os.open(made, _FOLDER)
    except OSError as error:
        raise _odd(made.name, "is no folder", str(error)) from error
    copy = _Copy()
    try:
        os.mkdir(target, 0o755)
        into = os.open(target, _FOLDER)
        try:
            copy.folder(root, into, "")
        finally:
            os.close(into)
    finally:
        os.close(root)
    try:
        (target / "bin" / "python").symlink_to(python)
    except OSError as error:
        raise _odd("bin/python", "is not what it has to be", str(error)) from error


class _Copy:
    def __init__(self) -> None:
        self.bytes = self.entries = 0

    def folder(self, source: int, into: int, where: str) -> None:
        os.fchmod(into, 0o755)
        if where.count("/") > DEPTH:
            raise _odd(where[:200], "lies in too many folders")
        with os.scandir(source) as entries:
            for entry in entries:
                self.entries += 1
                if self.entries > ENTRIES:
                    raise _odd("It", f"has more than {ENTRIES} files")
                self._entry(entry.name, source, into, f"{where}{entry.name}")

    def _entry(self, name: str, source: int, into: int, path: str) -> None:
        mode = os.stat(name, dir_fd=source, follow_symlinks=False).st_mode
        if stat.S_ISLNK(mode):
            self._link(name, source, into, path)
            return
        if not stat.S_ISDIR(mode) and not stat.S_ISREG(mode):
            raise _odd(path, "is neither file nor folder")
        try:
            number = os.open(name, _OPEN, dir_fd=source)
        except OSError as error:
            raise _odd(path, "can't be opened", str(error)) from error
        try:
            found = os.fstat(number)  # What was opened counts, not what was there before.
            if stat.S_ISDIR(found.st_mode):
                os.mkdir(name, 0o755, dir_fd=into)
                inner = os.open(name, _FOLDER, dir_fd=into)
                try:
                    self.folder(number, inner, f"{path}/")
                finally:
                    os.close(inner)
            elif stat.S_ISREG(found.st_mode):
                self._file(number, found, name, into, path)
            else:
                raise _odd(path, "is neither file nor folder")
        finally:
            os.close(number)

    def _file(self, number: int, found: os.stat_result, name: str, into: int, path: str) -> None:
        mode = 0o755 if found.st_mode & 0o100 else 0o644
        made = os.open(name, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, mode, dir_fd=into)
        try:
            size = 0
            while data := os.read(number, _PIECE):
                size += len(data)
                self.bytes += len(data)
                if self.bytes > BYTES or (name in _ABOUT and size > METADATA):
                    raise _odd(path, "is too large")
                view = memoryview(data)
                while view:
                    view = view[os.write(made, view) :]
            os.fchmod(made, mode)
            # Bytecode is taken for good while its source has the time that it names.
            os.utime(made, ns=(found.st_mtime_ns, found.st_mtime_ns))
        finally:
            os.close(made)

    def _link(self, name: str, source: int, into: int, path: str) -> None:
        if path == "bin/python":
            return
        try:
            target = os.readlink(name, dir_fd=source)
        except OSError as error:
            raise _odd(path, "can't be opened", str(error)) from error
        if "/" in target or target in (".", ".."):
            raise _odd(path, "is a link that leads elsewhere")
        os.symlink(target, name, dir_fd=into)


def _odd(what: str, how: str, operator: str = "") -> BuildFailed:
    shown = what.encode(errors="replace").decode()[:200]
    return BuildFailed(
        f"What was built can't be taken: {shown} {how}.",
        remedy="Look at what the packages that are asked for do; deploy again.",
        operator=operator or shown,
    )
