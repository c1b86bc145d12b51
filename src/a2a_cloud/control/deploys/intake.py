"""The source of a release as it comes in: an archive from outside, or a folder of this machine. What is
good lies in the store under its digest afterwards, whole or not at all."""

from __future__ import annotations

import shutil
import tempfile
import threading
from collections.abc import Callable
from pathlib import Path
from typing import BinaryIO

from msgspec import Struct

from a2a_cloud.control.registry.manifest import read_manifest
from a2a_cloud.control.registry.pack import check_secrets, copy_release, digest_folder, prune_release
from a2a_cloud.model.problem import InvalidParams, TooLarge, Unavailable
from a2a_cloud.model.release import Manifest
from a2a_cloud.wire.archive import read_archive

#: Bytes of a packed source.
MAX_ARCHIVE = 64 << 20


class Source(Struct, frozen=True):
    """A source in the store. `size` in bytes, unpacked; `files` their number."""

    manifest: Manifest
    digest: str
    size: int
    files: int


class Upload:
    """An archive as it arrives: `write` its bytes, hand it to `Intake.archive`, `close` it in any case."""

    def __init__(self, folder: Path) -> None:
        self.file: BinaryIO = tempfile.TemporaryFile(dir=folder)  # noqa: SIM115  # closed by `close`
        self._size = 0

    def write(self, chunk: bytes) -> None:
        """Raises TooLarge past the limit, OSError when the disk is full."""
        self._size += len(chunk)
        if self._size > MAX_ARCHIVE:
            raise TooLarge(
                f"The archive is larger than {MAX_ARCHIVE >> 20} MiB.",
                remedy="Keep data out of the agent's folder, or name it in .a2aignore.",
            )
        self.file.write(chunk)

    def close(self) -> None:
        """Delete it."""
        self.file.close()


class Intake:
    """Takes sources into the store. All of it blocks: call it in a thread."""

    def __init__(self, staging: Path, place: Callable[[str], Path]) -> None:
        self._staging = staging
        self._place = place
        #: Two that keep the same source at once would be in each other's way.
        self._keeping = threading.Lock()

    def upload(self) -> Upload:
        """Room for an archive."""
        return Upload(self._staging)

    def archive(self, upload: Upload, name: str, expected: str = "") -> Source:
        """Unpack, check and keep an archive of the agent `name`.

        Raises InvalidParams, TooLarge, SecretInSource, StorageFull, Unavailable.
        """
        folder = Path(tempfile.mkdtemp(prefix="source-", dir=self._staging))
        try:
            upload.file.seek(0)
            read_archive(upload.file, folder)
            return self.folder(folder, name, expected)
        finally:
            shutil.rmtree(folder, ignore_errors=True)

    def folder(self, folder: Path, name: str = "", expected: str = "") -> Source:
        """Check and keep what lies in a folder. Raises as `archive`."""
        manifest = read_manifest(folder)
        if name and manifest.name != name:
            raise InvalidParams(
                f"The source is of an agent called {manifest.name}, not {name}.",
                remedy=f"Send it to /api/v1/agents/{manifest.name}/releases.",
                info={"field": "name"},
            )
        check_secrets(folder)
        digest, files = digest_folder(folder)
        if expected and digest != expected:
            raise InvalidParams(
                "The source does not have the digest that was announced.",
                remedy="Send it again; a file may have changed while it was packed.",
                info={"digest": digest},
            )
        dest = self._place(digest)
        with self._keeping:
            for anew in (False, True, True):
                if dest.exists() and not anew:
                    copied = prune_release(dest, files)
                else:
                    copied, _ = copy_release(folder, dest, anew=anew)
                if copied == digest:
                    size = sum(dest.joinpath(*one.split("/")).stat().st_size for one in files)
                    return Source(manifest, digest, size, len(files))
                # What lies there is not what its name says: the folder changed while it was copied, just
                # now or before a crash, or an agent outside of a jail changed it.
            shutil.rmtree(dest, ignore_errors=True)  # Nothing lies under another's digest.
        raise Unavailable(f"{folder} changed while it was read.", remedy="Run the command again.")
