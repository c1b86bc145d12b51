"""The conformance suite of the object store's port (storage/objects/port.py): what any driver must do.

Subclass `ObjectsSuite` in a test module and give it `open`; where the driver's disk can be made full,
give it `full` too.
"""

from __future__ import annotations

import asyncio
import hashlib
from collections.abc import Callable, Coroutine
from contextlib import AbstractContextManager
from pathlib import Path
from typing import Any

from a2a_cloud.model.problem import NotFound, StorageFull
from a2a_cloud.model.task import ObjectRef
from a2a_cloud.storage.objects.port import ObjectStore

#: What is no SHA-256 in hex, and what a careless driver would look for elsewhere.
BAD_NAMES = (
    "",
    "0",
    "0" * 63,
    "0" * 65,
    "A" * 64,
    "g" * 64,
    "0" * 63 + "\n",
    "\N{ARABIC-INDIC DIGIT ZERO}" * 64,
    "../" * 21 + "a",
    "../../../../../../etc/passwd",
    "/etc/passwd",
    "aa/" + "a" * 61,
    "a" * 63 + "\0",
    "..",
)


async def _missing(store: ObjectStore, ref: ObjectRef) -> bool:
    try:
        await store.read(ref)
    except NotFound:
        return True
    return False


class ObjectsSuite:
    """What every driver does."""

    def open(self, folder: Path) -> ObjectStore:
        """The driver under test over `folder`, which is empty at first; opened again to see what stayed."""
        raise NotImplementedError

    def left_behind(self, folder: Path) -> int:
        """How many things lie in `folder` beside whole objects, and objects that are there twice."""
        raise NotImplementedError

    def full(self, folder: Path) -> AbstractContextManager[object] | None:
        """Within it the disk of `folder` takes no more than some 100 KB; None: it can't be made full."""
        return None

    def go(self, body: Callable[[], Coroutine[Any, Any, None]]) -> None:
        """Run a test's body on a loop of its own."""
        asyncio.run(body())

    def test_what_is_put_is_read_after_a_restart(self, tmp_path: Path) -> None:
        async def body() -> None:
            store = self.open(tmp_path)
            refs = [await store.put(data) for data in (b"", b"a", bytes(300_000))]
            assert refs[1] == ObjectRef(hashlib.sha256(b"a").hexdigest(), 1)
            again = self.open(tmp_path)
            assert [await again.read(ref) for ref in refs] == [b"", b"a", bytes(300_000)]
            assert self.left_behind(tmp_path) == 0

        self.go(body)

    def test_what_nobody_wants_any_more_is_deleted(self, tmp_path: Path) -> None:
        async def body() -> None:
            store = self.open(tmp_path)
            refs = [await store.put(bytes([number])) for number in range(8)]
            wanted = {ref.sha256 for ref in refs[::2]}
            for ref in refs:
                prefix = ref.sha256[:2]
                assert await store.prune(prefix, 0.0, lambda _: False) == 0  # None is that old.
            counts = [await store.prune(f"{number:02x}", 1e12, wanted.__contains__) for number in range(256)]
            assert sum(counts) == 4
            for ref in refs:
                if ref.sha256 in wanted:
                    assert len(await store.read(ref)) == 1
                else:
                    assert await _missing(store, ref)
            assert await store.put(b"\1") == refs[1]
            assert await store.read(refs[1]) == b"\1"
            assert self.left_behind(tmp_path) == 0

        self.go(body)

    def test_a_writer_takes_chunks(self, tmp_path: Path) -> None:
        async def body() -> None:
            store = self.open(tmp_path)
            writer = store.writer()
            for number in range(100):
                writer.write(bytes([number]) * 1000)
            writer.write(b"")
            ref = await writer.finish()
            writer.abort()  # Harmless after the end.
            data = b"".join(bytes([number]) * 1000 for number in range(100))
            assert ref == ObjectRef(hashlib.sha256(data).hexdigest(), len(data))
            assert await store.read(ref) == data

        self.go(body)

    def test_ranges(self, tmp_path: Path) -> None:
        async def body() -> None:
            store = self.open(tmp_path)
            data = bytes(range(256)) * 10
            ref = await store.put(data)
            for offset, length in ((0, 0), (0, 10), (100, 5), (2559, 10), (2560, 1), (9999, -1), (17, -1)):
                end = None if length < 0 else offset + length
                assert await store.read(ref, offset, length) == data[offset:end]

        self.go(body)

    def test_the_same_content_twice_is_one_object(self, tmp_path: Path) -> None:
        async def body() -> None:
            store = self.open(tmp_path)
            first, second = await store.put(b"same"), await store.put(b"same")
            assert first == second
            assert await store.read(first) == b"same"
            assert self.left_behind(tmp_path) == 0

        self.go(body)

    def test_writers_beside_each_other(self, tmp_path: Path) -> None:
        async def body() -> None:
            store = self.open(tmp_path)
            texts = [f"{number % 7}".encode() * 70_000 for number in range(40)]
            writers = [store.writer() for _ in texts]
            for half in (slice(0, 35_000), slice(35_000, None)):
                for writer, text in zip(writers, texts, strict=True):
                    writer.write(text[half])
            refs = await asyncio.gather(*(writer.finish() for writer in writers))
            assert [await store.read(ref) for ref in refs] == texts
            assert len({ref.sha256 for ref in refs}) == 7
            assert self.left_behind(tmp_path) == 0

        self.go(body)

    def test_what_is_given_up_leaves_nothing(self, tmp_path: Path) -> None:
        async def body() -> None:
            store = self.open(tmp_path)
            writer = store.writer()
            writer.write(b"half")
            writer.abort()
            writer.abort()
            left = store.writer()
            left.write(b"cut off by a crash")
            again = self.open(tmp_path)
            await again.put(b"whole")
            assert self.left_behind(tmp_path) == 0
            await gone(again, hashlib.sha256(b"half").hexdigest())
            left.abort()

        self.go(body)

    def test_a_finish_that_nobody_waits_for_does_no_harm(self, tmp_path: Path) -> None:
        async def body() -> None:
            store = self.open(tmp_path)
            tasks = [asyncio.create_task(store.put(b"x" * 100_000)) for _ in range(5)]
            await asyncio.sleep(0)
            for task in tasks:
                task.cancel()
            await asyncio.gather(*tasks, return_exceptions=True)
            ref = await store.put(b"x" * 100_000)
            assert await store.read(ref) == b"x" * 100_000

        self.go(body)
        assert self.left_behind(tmp_path) == 0  # The loop has waited for its threads.

    def test_names_never_become_paths(self, tmp_path: Path) -> None:
        async def body() -> None:
            (tmp_path / "secret").write_bytes(b"secret")
            store = self.open(tmp_path / "store")
            await store.put(b"something")
            for name in (*BAD_NAMES, str(tmp_path / "secret"), "../secret", "0" * 64):
                await gone(store, name)

        self.go(body)

    def test_a_full_disk_is_said_and_leaves_nothing(self, tmp_path: Path) -> None:
        full = self.full(tmp_path)
        if full is None:
            return

        async def body() -> None:
            store = self.open(tmp_path)
            with full:
                try:
                    await store.put(bytes(1 << 20))
                except StorageFull:
                    pass
                else:
                    raise AssertionError("a full disk took an object")
            assert self.left_behind(tmp_path) == 0
            assert await store.read(await store.put(b"room again")) == b"room again"

        self.go(body)


async def gone(store: ObjectStore, name: str) -> None:
    """There is no object of that name."""
    try:
        await store.read(ObjectRef(name, 1))
    except NotFound:
        return
    raise AssertionError(f"{name!r} was read")
