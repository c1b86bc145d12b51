"""Objects in a bucket, by URL: S3, Google Cloud Storage, Azure, through `obstore`. An object's name is its
hash, which is known at its end: what is larger than a little waits in a local file until then, so that
memory stays constant and a bucket never holds half of an object."""

from __future__ import annotations

import asyncio
import contextlib
import errno
import hashlib
import os
from collections.abc import Callable
from pathlib import Path
from urllib.parse import urlsplit

import obstore
from obstore.exceptions import BaseError, PermissionDeniedError, UnauthenticatedError
from obstore.store import ObjectStore as Bucket
from obstore.store import from_url

from a2a_cloud.model.ports import Ids
from a2a_cloud.model.problem import BadSetting, NotFound, Problem, StorageFull, Unavailable
from a2a_cloud.model.task import ObjectRef

SCHEMES = ("s3", "gs", "az", "azure", "abfss", "memory")
#: Bytes of an object that stay in memory while it is made.
IN_MEMORY = 1 << 20
#: Bytes of a part, and parts on their way at once. A bucket takes 10,000 parts of one object.
PART = 8 << 20
AT_ONCE = 4
MOST_PARTS = 9_000


class RemoteObjects:
    """See `storage.objects.port.ObjectStore`. `spool` is a local folder of its own."""

    def __init__(self, bucket: Bucket, spool: Path, ids: Ids) -> None:
        self._bucket = bucket
        self._spool = spool
        self._ids = ids
        self._tasks: set[asyncio.Task[None]] = set()
        try:
            spool.mkdir(parents=True, exist_ok=True)
            for leftover in spool.iterdir():  # Of a crash amid a write: nobody refers to it.
                leftover.unlink(missing_ok=True)
        except OSError as error:
            raise _local(error) from error

    @classmethod
    def at(cls, url: str, spool: Path, ids: Ids) -> RemoteObjects:
        """The bucket at `s3://bucket/prefix`, `gs://…`, `az://account/container/prefix`; its keys come from
        the environment, as the provider's own tools take them. Raises BadSetting."""
        return cls(open_bucket(url), spool, ids)

    def writer(self) -> RemoteWriter:
        """See the port."""
        return RemoteWriter(self, self._spool / self._ids.new("obj"))

    async def put(self, data: bytes) -> ObjectRef:
        """See the port."""
        ref = ObjectRef(hashlib.sha256(data).hexdigest(), len(data))
        await self.upload(ref, data)
        return ref

    async def read(self, ref: ObjectRef, offset: int = 0, length: int = -1) -> bytes:
        """See the port."""
        key = key_of(ref.sha256)
        offset = max(0, offset)
        try:
            if length == 0:
                await obstore.head_async(self._bucket, key)
                return b""
            if length > 0:
                return bytes(await obstore.get_range_async(self._bucket, key, start=offset, length=length))
            if offset:
                found = await obstore.get_async(self._bucket, key, options={"range": {"offset": offset}})
            else:
                found = await obstore.get_async(self._bucket, key)
            return bytes(await found.bytes_async())
        except FileNotFoundError:
            raise NotFound("The object is gone.") from None
        except (BaseError, OSError) as error:
            # A range that begins at the object's end is an error to them, and no bytes to us.
            if await self._size(key) <= offset:
                return b""
            raise _remote(error) from error

    async def prune(self, prefix: str, before: float, keep: Callable[[str], bool]) -> int:
        """See the port."""
        count = 0
        try:
            pages = obstore.list(  # pyright: ignore[reportUnknownMemberType]
                self._bucket, prefix=f"sha256/{prefix}", return_arrow=False
            )
            async for page in pages:
                for found in page:
                    sha256 = found["path"].rpartition("/")[2]
                    if found["last_modified"].timestamp() >= before or len(sha256) != 64 or keep(sha256):
                        continue
                    now = await obstore.head_async(self._bucket, found["path"])
                    if now["last_modified"].timestamp() < before:
                        await obstore.delete_async(self._bucket, found["path"])
                        count += 1
        except FileNotFoundError:
            return count  # Of something that was deleted from elsewhere: the next pass sees the rest.
        except (BaseError, OSError) as error:
            raise _remote(error) from error
        return count

    async def _size(self, key: str) -> int:
        try:
            return (await obstore.head_async(self._bucket, key))["size"]
        except FileNotFoundError:
            raise NotFound("The object is gone.") from None
        except (BaseError, OSError) as error:
            raise _remote(error) from error

    async def upload(self, ref: ObjectRef, source: bytes | Path) -> None:
        """Put bytes or a local file in its place; a file is removed at the end. Goes on to its end also
        when nobody waits. Raises StorageFull, Unavailable."""
        task = asyncio.create_task(self._upload(ref, source))
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)
        await _shielded(task)

    async def _upload(self, ref: ObjectRef, source: bytes | Path) -> None:
        key = key_of(ref.sha256)
        part = max(PART, -(-ref.size // MOST_PARTS))
        try:
            # The same content replaces itself: no condition is needed, and not all buckets have one.
            await obstore.put_async(self._bucket, key, source, chunk_size=part, max_concurrency=AT_ONCE)
        except (BaseError, OSError) as error:
            raise _remote(error) from error
        finally:
            if isinstance(source, Path):
                _remove(source)


def open_bucket(url: str) -> Bucket:
    """The bucket itself. Raises BadSetting."""
    if urlsplit(url).scheme not in SCHEMES:
        raise BadSetting(
            f"{url[:200]!a} is no address of a bucket.",
            remedy="Write s3://bucket/prefix, gs://bucket/prefix or az://account/container/prefix.",
        )
    try:
        return from_url(url)
    except (BaseError, ValueError) as error:
        raise BadSetting(
            f"The bucket {url[:200]!a} can't be used: {_first_line(error)}.",
            remedy="Check the address, and the provider's variables (AWS_…, GOOGLE_…, AZURE_…).",
            operator=str(error),
        ) from error


class RemoteWriter:
    """See `storage.objects.port.ObjectWriter`."""

    def __init__(self, objects: RemoteObjects, path: Path) -> None:
        self._objects = objects
        self._path = path
        self._hash = hashlib.sha256()
        self._size = 0
        self._begun = bytearray()
        self._file = -1
        self._open = True

    def write(self, chunk: bytes) -> None:
        """See the port."""
        assert self._open, "the object is finished, or was given up"
        try:
            if self._file < 0 and len(self._begun) + len(chunk) <= IN_MEMORY:
                self._begun += chunk
            else:
                if self._file < 0:
                    flags = os.O_CREAT | os.O_EXCL | os.O_WRONLY | os.O_CLOEXEC
                    self._file = os.open(self._path, flags, 0o600)
                    self._spill(self._begun)
                    self._begun.clear()
                self._spill(chunk)
        except OSError as error:
            self.abort()
            raise _local(error) from error
        self._hash.update(chunk)
        self._size += len(chunk)

    def _spill(self, data: bytes | bytearray) -> None:
        with memoryview(data) as view:
            at = 0
            while at < len(view):
                at += os.write(self._file, view[at:])

    async def finish(self) -> ObjectRef:
        """See the port."""
        assert self._open, "the object is finished, or was given up"
        self._open = False
        ref = ObjectRef(self._hash.hexdigest(), self._size)
        if self._file < 0:
            await self._objects.upload(ref, bytes(self._begun))
        else:
            os.close(self._file)
            await self._objects.upload(ref, self._path)
        return ref

    def abort(self) -> None:
        """See the port."""
        if self._open:
            self._open = False
            self._begun.clear()
            if self._file >= 0:
                os.close(self._file)
                with contextlib.suppress(FileNotFoundError):
                    self._path.unlink()


def key_of(sha256: str) -> str:
    """An object's name in the bucket. Raises NotFound for what is no hash: names never become paths."""
    if len(sha256) != 64 or not all(digit in "0123456789abcdef" for digit in sha256):
        raise NotFound("There is no such object.")
    return f"sha256/{sha256[:2]}/{sha256}"


def _remove(path: Path) -> None:
    path.unlink(missing_ok=True)


async def _shielded(task: asyncio.Task[None]) -> None:
    try:
        await asyncio.shield(task)
    except asyncio.CancelledError:
        # Whoever waited is gone: what the upload says is heard all the same.
        task.add_done_callback(_heard)
        raise


def _heard(task: asyncio.Task[None]) -> None:
    if not task.cancelled():
        task.exception()


def _first_line(error: BaseException) -> str:
    return str(error).partition("\n")[0].strip().rstrip(".")[:300]


def _remote(error: BaseException) -> Problem:
    told = _first_line(error)
    if isinstance(error, PermissionDeniedError | UnauthenticatedError):
        return Unavailable(
            "The bucket refused our keys.",
            remedy="Check the provider's variables (AWS_…, GOOGLE_…, AZURE_…) and the rights that they give.",
            operator=str(error),
            retry_after=5,
        )
    if any(word in str(error) for word in ("No space left", "File too large", "quota")):
        return StorageFull(remedy="Make room where the objects lie.", operator=str(error), retry_after=5)
    return Unavailable(
        f"The bucket can't be used: {told}.",
        remedy="See whether it is reachable, and try again.",
        operator=str(error),
        retry_after=5,
    )


def _local(error: OSError) -> Problem:
    if error.errno in (errno.ENOSPC, errno.EDQUOT, errno.EFBIG, errno.EIO):
        return StorageFull(
            remedy="Free some space on the disk of A2A_DATA: objects wait there on their way to the bucket.",
            operator=str(error),
            retry_after=5,
        )
    return Unavailable(
        f"Objects can't wait on the local disk: {error.strerror}.",
        remedy="Check the owner of A2A_DATA, and how many files may be open.",
        operator=str(error),
        retry_after=5,
    )
