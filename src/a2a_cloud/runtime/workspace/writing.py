"""Files in the making: opened by a run and written in chunks, or appended to."""

from __future__ import annotations

import hashlib
from typing import TYPE_CHECKING

from a2a_cloud.model.problem import Problem, Unavailable
from a2a_cloud.model.task import ObjectRef
from a2a_cloud.model.workspace import Change
from a2a_cloud.storage.objects.port import ObjectWriter

if TYPE_CHECKING:
    from a2a_cloud.runtime.workspace.draft import Draft


class DraftWriter:
    """A file of any size, in constant memory."""

    def __init__(self, draft: Draft, path: str, writer: ObjectWriter) -> None:
        self.path = path
        self._draft = draft
        self._writer = writer
        self._open = True

    def write(self, chunk: bytes) -> None:
        """Take the next bytes. Raises StorageFull, Unavailable."""
        self._writer.write(chunk)

    async def finish(self) -> Change:
        """Let the path hold what was written. Raises StorageFull, Unavailable, and InvalidParams when
        something came in the way meanwhile."""
        self._open = False
        try:
            ref = await self._writer.finish()
        finally:
            self._writer.abort()
            self._draft.forget(self)
        return await self._draft.adopt(self.path, ref)

    def abort(self) -> None:
        """Leave nothing behind. Idempotent; harmless after `finish`."""
        if self._open:
            self._open = False
            self._writer.abort()
            self._draft.forget(self)


class Appended:
    """A large file that is being appended to: its hash is known at any time, its end is still open.

    Once it could not be written, it says so to everybody who wants it.
    """

    def __init__(self, writer: ObjectWriter) -> None:
        self._writer = writer
        self._hash = hashlib.sha256()
        self._size = 0
        self._failed: Problem | None = None

    @property
    def ref(self) -> ObjectRef:
        """The content so far."""
        return ObjectRef(self._hash.hexdigest(), self._size)

    def write(self, chunk: bytes) -> None:
        """Take the next bytes. Raises StorageFull, Unavailable."""
        self._check()
        try:
            self._writer.write(chunk)
        except Problem as problem:
            self._failed = problem
            raise
        self._hash.update(chunk)
        self._size += len(chunk)

    async def finish(self) -> None:
        """Store it. Raises StorageFull, Unavailable."""
        self._check()
        # Who is canceled while it is stored does not know how it ended: that counts as failed.
        self._failed = Unavailable("The end of an append was not waited for.", remedy="Write it anew.")
        try:
            await self._writer.finish()
        except Problem as problem:
            self._failed = problem
            raise
        finally:
            self._writer.abort()
        self._failed = None

    def _check(self) -> None:
        if self._failed is not None:
            raise self._failed

    def abort(self) -> None:
        """Leave nothing behind."""
        self._writer.abort()
