"""Our object stores against the suite that we ship (src/a2a_cloud/testing/objects.py)."""

from __future__ import annotations

import asyncio
import contextlib
import resource
from collections.abc import Iterator
from pathlib import Path

import pytest

from a2a_cloud.model.problem import Unavailable
from a2a_cloud.ops.system import SystemClock, SystemEntropy, TimeIds
from a2a_cloud.storage.objects.folder import FolderObjects
from a2a_cloud.testing.objects import ObjectsSuite

IDS = TimeIds(SystemClock(), SystemEntropy())


@contextlib.contextmanager
def little_room() -> Iterator[None]:
    """No file of this process grows beyond 100 KB."""
    soft, hard = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (100_000, hard))
    try:
        yield
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, (soft, hard))


class TestFolder(ObjectsSuite):
    def open(self, folder: Path) -> FolderObjects:
        return FolderObjects(folder, IDS)

    def left_behind(self, folder: Path) -> int:
        return sum(
            1
            for path in folder.rglob("*")
            if path.is_file() and path.relative_to(folder).parts != ("sha256", path.name[:2], path.name)
        )

    def full(self, folder: Path) -> contextlib.AbstractContextManager[object]:
        return little_room()


def test_what_was_damaged_is_whole_after_the_same_content(tmp_path: Path) -> None:
    async def body() -> None:
        store = FolderObjects(tmp_path, IDS)
        ref = await store.put(b"content")
        path = tmp_path / "sha256" / ref.sha256[:2] / ref.sha256
        path.chmod(0o600)
        path.write_bytes(b"damaged")
        assert await store.put(b"content") == ref
        assert await store.read(ref) == b"content"

    asyncio.run(body())


def test_a_folder_that_cannot_be_made_is_a_problem(tmp_path: Path) -> None:
    (tmp_path / "file").write_bytes(b"")
    with pytest.raises(Unavailable, match="can't be written"):
        FolderObjects(tmp_path / "file" / "objects", IDS)
