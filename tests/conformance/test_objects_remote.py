"""Objects in a bucket against the suite that we ship: over obstore's own stores, and over S3 as moto
speaks it, where moto is installed."""

from __future__ import annotations

import asyncio
import contextlib
import http.client
import importlib.util
import os
import re
import resource
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path

import obstore
import pytest
from obstore.store import LocalStore, MemoryStore, ObjectStore, S3Store

from a2a_cloud.model.problem import BadSetting, Unavailable
from a2a_cloud.model.task import ObjectRef
from a2a_cloud.ops.system import SystemClock, SystemEntropy, TimeIds
from a2a_cloud.storage.objects import remote
from a2a_cloud.storage.objects.places import open_objects
from a2a_cloud.storage.objects.remote import RemoteObjects, key_of
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


def strange(bucket: ObjectStore) -> int:
    """Things in a bucket that are no whole objects."""
    pattern = re.compile(r"sha256/([0-9a-f]{2})/\1[0-9a-f]{62}")
    return sum(1 for page in obstore.list(bucket) for one in page if not pattern.fullmatch(one["path"]))


class TestBucketInAFolder(ObjectsSuite):
    def open(self, folder: Path) -> RemoteObjects:
        return RemoteObjects(LocalStore(folder / "bucket", mkdir=True), folder / "spool", IDS)

    def left_behind(self, folder: Path) -> int:
        bucket = folder / "bucket"
        odd = sum(
            1
            for path in bucket.rglob("*")
            if path.is_file() and path.relative_to(bucket).parts != ("sha256", path.name[:2], path.name)
        )
        return odd + sum(1 for _ in (folder / "spool").iterdir())

    def full(self, folder: Path) -> contextlib.AbstractContextManager[object]:
        return little_room()


class TestBucketInMemory(ObjectsSuite):
    buckets: dict[Path, MemoryStore] = {}  # noqa: RUF012

    def open(self, folder: Path) -> RemoteObjects:
        bucket = self.buckets.setdefault(folder, MemoryStore())
        return RemoteObjects(bucket, folder / "spool", IDS)

    def left_behind(self, folder: Path) -> int:
        return strange(self.buckets[folder]) + sum(1 for _ in (folder / "spool").iterdir())


@pytest.fixture(scope="session")
def s3(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    """A server that speaks S3: the one at A2A_TEST_S3 (http://127.0.0.1:port), or moto's own."""
    if given := os.environ.get("A2A_TEST_S3"):
        yield given
        return
    if importlib.util.find_spec("moto") is None or importlib.util.find_spec("flask") is None:
        pytest.skip("moto[server] is not installed")
    # To a file: a pipe that nobody reads fills up, and the server stands still in the middle of a test.
    told = tmp_path_factory.mktemp("moto") / "log"
    with told.open("wb") as out:
        server = subprocess.Popen(
            [sys.executable, "-m", "moto.server", "-H", "127.0.0.1", "-p", "0"], stdout=out, stderr=out
        )
    try:
        until = time.monotonic() + 60
        while not (found := re.search(r"http://127\.0\.0\.1:\d+", told.read_text())):
            assert server.poll() is None, told.read_text()
            assert time.monotonic() < until, told.read_text()
            time.sleep(0.05)
        yield found[0]
    finally:
        server.terminate()
        server.wait()


class TestS3(ObjectsSuite):
    @pytest.fixture(autouse=True)
    def _server(self, s3: str) -> None:
        self.url = s3

    def bucket(self, folder: Path) -> S3Store:
        while folder.name in ("store",):
            folder = folder.parent
        name = re.sub(r"[^a-z0-9]", "", f"{folder.parent.name}{folder.name}".lower())[-60:]
        connection = http.client.HTTPConnection(self.url.removeprefix("http://"))
        connection.request("PUT", f"/{name}")
        connection.getresponse().read()
        connection.close()
        return S3Store(
            name,
            endpoint=self.url,
            region="us-east-1",
            access_key_id="x",
            secret_access_key="x",
            client_options={"allow_http": True},
        )

    def open(self, folder: Path) -> RemoteObjects:
        return RemoteObjects(self.bucket(folder), folder / "spool", IDS)

    def left_behind(self, folder: Path) -> int:
        return strange(self.bucket(folder)) + sum(1 for _ in (folder / "spool").iterdir())

    def test_a_large_object_goes_in_parts(self, tmp_path: Path) -> None:
        async def body() -> None:
            store = self.open(tmp_path)
            writer = store.writer()
            for number in range(20):
                writer.write(bytes([number]) * (1 << 20))
            ref = await writer.finish()
            assert ref.size == 20 << 20
            assert await store.read(ref, (19 << 20) - 1, 2) == b"\x12\x13"

        asyncio.run(body())
        assert self.left_behind(tmp_path) == 0


def test_what_is_large_waits_on_disk_and_not_in_memory(tmp_path: Path) -> None:
    async def body() -> None:
        store = RemoteObjects(LocalStore(tmp_path / "bucket", mkdir=True), tmp_path / "spool", IDS)
        writer = store.writer()
        writer.write(bytes(remote.IN_MEMORY))
        assert list((tmp_path / "spool").iterdir()) == []
        writer.write(b"more")
        (waiting,) = (tmp_path / "spool").iterdir()
        assert waiting.stat().st_size == remote.IN_MEMORY + 4
        ref = await writer.finish()
        assert list((tmp_path / "spool").iterdir()) == []
        assert await store.read(ref, remote.IN_MEMORY) == b"more"
        given_up = store.writer()
        given_up.write(bytes(remote.IN_MEMORY + 1))
        given_up.abort()
        assert list((tmp_path / "spool").iterdir()) == []

    asyncio.run(body())


def test_what_was_damaged_is_whole_after_the_same_content(tmp_path: Path) -> None:
    async def body() -> None:
        bucket = MemoryStore()
        store = RemoteObjects(bucket, tmp_path, IDS)
        ref = await store.put(b"content")
        obstore.put(bucket, key_of(ref.sha256), b"damaged")
        assert await store.put(b"content") == ref
        assert await store.read(ref) == b"content"

    asyncio.run(body())


@pytest.mark.parametrize(
    "url", ["", "nonsense", "ftp://host/x", "file:///etc", "http://host/x", "s3://", "az://container"]
)
def test_an_address_that_is_none_is_a_problem(tmp_path: Path, url: str) -> None:
    with pytest.raises(BadSetting) as refused:
        RemoteObjects.at(url, tmp_path, IDS)
    assert refused.value.remedy


def test_an_address_is_opened(tmp_path: Path) -> None:
    async def body() -> None:
        store = RemoteObjects.at("memory:///", tmp_path, IDS)
        assert await store.read(await store.put(b"x")) == b"x"

    asyncio.run(body())
    RemoteObjects.at("s3://bucket/some/prefix", tmp_path, IDS)
    RemoteObjects.at("gs://bucket", tmp_path, IDS)


def test_a_bucket_that_is_not_there_is_a_problem(tmp_path: Path) -> None:
    bucket = S3Store(
        "b",
        endpoint="http://127.0.0.1:9",
        region="us-east-1",
        access_key_id="x",
        secret_access_key="x",
        client_options={"allow_http": True, "timeout": "2s"},
        retry_config={"max_retries": 0},
    )

    async def body() -> None:
        store = RemoteObjects(bucket, tmp_path, IDS)
        with pytest.raises(Unavailable, match="bucket"):
            await store.put(b"x")
        with pytest.raises(Unavailable, match="bucket"):
            await store.read(ObjectRef("0" * 64, 1))

    asyncio.run(body())


def test_a_spool_that_cannot_be_made_is_a_problem(tmp_path: Path) -> None:
    (tmp_path / "file").write_bytes(b"")
    with pytest.raises(Unavailable, match="local disk"):
        RemoteObjects(MemoryStore(), tmp_path / "file" / "spool", IDS)


def test_the_setting_says_where_objects_lie(tmp_path: Path) -> None:
    async def body() -> None:
        here = open_objects("", tmp_path / "data", IDS)
        ref = await here.put(b"here")
        assert (
            tmp_path / "data" / "objects" / "sha256" / ref.sha256[:2] / ref.sha256
        ).read_bytes() == b"here"
        there = open_objects((tmp_path / "a b").as_uri(), tmp_path / "data", IDS)
        await there.put(b"here")
        assert (tmp_path / "a b" / "sha256" / ref.sha256[:2] / ref.sha256).exists()
        bucket = open_objects("memory:///", tmp_path / "data", IDS)
        assert await bucket.read(await bucket.put(b"x")) == b"x"
        assert (tmp_path / "data" / "spool").is_dir()

    asyncio.run(body())
    for url in ("file:///", "file://host/x", "file://", "ftp://x/y", "file:///%ff", "nonsense"):
        with pytest.raises(BadSetting) as refused:
            open_objects(url, tmp_path, IDS)
        assert refused.value.remedy
