"""A release's copy of an agent's source, made for keeps.

Which files belong to it and what digest they have is decided in wire.source, as for those who send it.
A release is copied once, whole or not at all, and hashed again while it is copied: a file that changes
in between is never released under another's digest.
"""

from __future__ import annotations

import os
import shutil
from pathlib import Path

from a2a_cloud.wire.archive import cannot_store
from a2a_cloud.wire.secrets_scan import check_secrets
from a2a_cloud.wire.source import (
    MAX_BYTES,
    MAX_FILES,
    SourceDigest,
    digest_source,
    list_source,
    open_source,
)

__all__ = ["MAX_BYTES", "MAX_FILES", "check_secrets", "copy_release", "digest_folder"]


def digest_folder(folder: Path) -> tuple[str, list[str]]:
    """(`sha256:<hex>`, the sorted relative POSIX paths). Raises InvalidParams, TooLarge."""
    files = list_source(folder)
    return digest_source(folder, files), [file.name for file in files]


def copy_release(folder: Path, dest: Path, *, anew: bool = False) -> tuple[str, list[str]]:
    """Copy exactly those files to `dest`; returns their digest and paths when all is on disk.

    `dest` appears whole or not at all, its files read-only. When it is there already nothing is
    copied, and its own digest and paths are returned; with `anew` it is replaced, at once, so that a
    worker which begins there meanwhile finds one or the other. Raises InvalidParams, TooLarge, StorageFull,
    Unavailable. The caller compares the digest with the one that it expects, and asks `check_secrets`
    about the folder first.
    """
    if dest.exists() and not anew:
        return digest_folder(dest)
    files = [file.name for file in list_source(folder)]
    partial = dest.with_name(f".{dest.name}.partial-{os.getpid()}")
    old = dest.with_name(f".{dest.name}.old-{os.getpid()}")
    try:
        partial.parent.mkdir(parents=True, exist_ok=True)
        _discard(partial)
        partial.mkdir()
        digest = SourceDigest()
        for name in files:
            target = partial.joinpath(*name.split("/"))
            target.parent.mkdir(parents=True, exist_ok=True)
            with open_source(folder, name) as (source, executable), target.open("xb") as copy:
                digest.read(name, executable, source, copy.write)
                copy.flush()
                os.fchmod(copy.fileno(), 0o555 if executable else 0o444)
                os.fsync(copy.fileno())
        for path, _, _ in os.walk(partial):
            _sync_folder(path)
        if dest.exists():
            dest.rename(old)
        partial.rename(dest)
        _sync_folder(dest.parent)
    except OSError as error:
        raise cannot_store(error, "release", dest) from error
    finally:
        _discard(partial)
        _discard(old)
    return digest.value, files


def prune_release(dest: Path, files: list[str]) -> str:
    """Take away what lies in `dest` besides `files`: an agent outside of a jail wrote it there. The digest
    of the rest. Workers that begin there meanwhile miss nothing that is theirs. Raises as `copy_release`."""
    kept = set(files)
    try:
        for path, folders, names in os.walk(dest, topdown=False):
            for name in names:
                one = Path(path, name)
                if one.relative_to(dest).as_posix() not in kept:
                    one.unlink()
            for name in folders:
                one = Path(path, name)
                if one.is_symlink():
                    one.unlink()
                elif not any(one.iterdir()):
                    one.rmdir()
    except OSError as error:
        raise cannot_store(error, "release", dest) from error
    return digest_folder(dest)[0]


def _discard(path: Path) -> None:
    if path.exists():
        shutil.rmtree(path, ignore_errors=True)


def _sync_folder(path: str | Path) -> None:
    number = os.open(path, os.O_RDONLY | os.O_DIRECTORY)
    try:
        os.fsync(number)
    finally:
        os.close(number)
