"""How two releases differ on disk: source as unified diffs, environments package by package."""

from __future__ import annotations

import difflib
import os
import re
from collections.abc import Iterator
from pathlib import Path
from typing import Literal

from msgspec import Struct

from a2a_cloud.model.problem import Unavailable

#: A file larger than this, in bytes or lines, is named and not shown; so is what comes after MAX_SHOWN.
MAX_FILE = 64 << 10
MAX_LINES = 3000
MAX_SHOWN = 1 << 20

_BLOCK = 1 << 20
_PINNED = re.compile(
    r"(?P<name>[A-Za-z0-9](?:[A-Za-z0-9._-]*[A-Za-z0-9])?)\s*(?:\[[^\]]*\])?\s*"
    r"(?:===?\s*(?P<version>[^\s;]+)|@\s*(?P<url>\S+)|(?P<range>[^;]*))"
)
_HASH = re.compile(r"--hash[= ]\s*(\S+)")
_COMMENT = re.compile(r"(^|\s)#.*$")


class FileChange(Struct, frozen=True):
    """A file that differs. `diff` is unified, with `a/` and `b/` before its path; "" when the file is
    no UTF-8 text, or too large to show."""

    path: str
    change: Literal["added", "removed", "changed"]
    diff: str


class PackageChange(Struct, frozen=True):
    """A package that differs: its version before and after, "" where it is absent. Versions that are
    several, each for its own platform, are joined by commas; a package of no version has its address."""

    name: str
    before: str
    after: str


def source_difference(old: Path, new: Path) -> list[FileChange]:
    """What differs between two releases' folders, by path. Reads all of both; raises Unavailable when a
    folder or file can't be read."""
    try:
        before, after = dict(_listed(old)), dict(_listed(new))
        found: list[FileChange] = []
        shown = 0
        for path in sorted(before.keys() | after.keys(), key=str.encode):
            change = _file(path, before.get(path), after.get(path))
            if change is None:
                continue
            shown += len(change.diff)
            found.append(change if shown <= MAX_SHOWN else FileChange(path, change.change, ""))
        return found
    except OSError as error:
        raise Unavailable(
            "The source of a release can't be read.", operator=f"{error} (comparing {old} with {new})"
        ) from error


def environment_difference(old_lock: bytes, new_lock: bytes) -> list[PackageChange]:
    """What differs between two locks (requirements with `==` and hashes), by name. A version with other
    hashes is a change: `1.0` and `1.0 (other files)`."""
    old, new = _packages(old_lock), _packages(new_lock)
    found: list[PackageChange] = []
    for name in sorted(old.keys() | new.keys()):
        (before, files), (after, now) = old.get(name, ("", frozenset())), new.get(name, ("", frozenset()))
        if before != after:
            found.append(PackageChange(name, before, after))
        elif files != now:
            found.append(PackageChange(name, before, f"{after} (other files)"))
    return found


def _listed(folder: Path) -> Iterator[tuple[str, Path]]:
    """The plain files of a folder by relative POSIX path; byte code that running it left is none of it."""

    def refuse(error: OSError) -> None:
        raise error

    for place, folders, files in os.walk(folder, onerror=refuse):
        folders[:] = [name for name in folders if name != "__pycache__"]
        for name in files:
            path = Path(place, name)
            if not path.is_symlink() and path.is_file():
                yield path.relative_to(folder).as_posix(), path


def _file(path: str, old: Path | None, new: Path | None) -> FileChange | None:
    if old is None or new is None:
        return FileChange(path, "added" if old is None else "removed", _diff(path, old, new))
    if not _same(old, new):
        return FileChange(path, "changed", _diff(path, old, new))
    if _executable(old) == _executable(new):
        return None
    was, now = (f"executable: {'yes' if _executable(one) else 'no'}" for one in (old, new))
    return FileChange(path, "changed", f"--- a/{path} ({was})\n+++ b/{path} ({now})\n")


def _executable(path: Path) -> bool:
    return bool(path.stat().st_mode & 0o100)


def _same(old: Path, new: Path) -> bool:
    if old.stat().st_size != new.stat().st_size:
        return False
    with old.open("rb") as one, new.open("rb") as two:
        while block := one.read(_BLOCK):
            if block != two.read(_BLOCK):
                return False
    return True


def _diff(path: str, old: Path | None, new: Path | None) -> str:
    before, after = _lines(old), _lines(new)
    if before is None or after is None:
        return ""
    return "".join(
        difflib.unified_diff(
            before,
            after,
            "/dev/null" if old is None else f"a/{path}",
            "/dev/null" if new is None else f"b/{path}",
        )
    )


def _lines(path: Path | None) -> list[str] | None:
    """A text's lines with their ends; None for what is not shown."""
    if path is None:
        return []
    if path.stat().st_size > MAX_FILE:
        return None
    data = path.read_bytes()
    if b"\0" in data or data.count(b"\n") > MAX_LINES:
        return None
    try:
        # Not splitlines(): a form feed in a line ends it for Python and not for a diff.
        lines = [f"{line}\n" for line in data.decode().split("\n")]
    except UnicodeDecodeError:
        return None
    last = lines.pop()
    return lines if last == "\n" else [*lines, f"{last}\\ No newline at end of file\n"]


def _packages(lock: bytes) -> dict[str, tuple[str, frozenset[str]]]:
    """name → (its versions, the hashes of its files)."""
    found: dict[str, tuple[list[str], set[str]]] = {}
    text = lock.decode("utf-8", "replace").replace("\\\r\n", " ").replace("\\\n", " ")
    for line in text.splitlines():
        said = _COMMENT.sub("", line).strip()
        if not said or said.startswith("-"):
            continue
        required, _, _ = said.partition(" --")
        match = _PINNED.match(required)
        # A line of another form (a path, say) is its own name: it is shown when it comes or goes.
        name = re.sub(r"[-_.]+", "-", match["name"]).lower() if match else required[:200]
        version = (match["version"] or match["url"] or match["range"] or "").strip() if match else ""
        versions, hashes = found.setdefault(name, ([], set()))
        versions.append(version or "any version")
        hashes.update(_HASH.findall(said))
    return {
        name: (", ".join(sorted(set(versions))), frozenset(hashes))
        for name, (versions, hashes) in found.items()
    }
