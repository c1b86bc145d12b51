"""A run's view of a workspace: one pinned version, and what the run wrote on top of it. Nothing of it is
seen by others before it is committed; small files stay in memory until then, so that a run that fails
leaves nothing behind."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Iterable, Sequence

from a2a_cloud.model.problem import InvalidParams, TooLarge
from a2a_cloud.model.task import ObjectRef
from a2a_cloud.model.workspace import Change, File, Folder, Piece, Version
from a2a_cloud.runtime.workspace.held import FILE, Held
from a2a_cloud.runtime.workspace.overlay import Overlay, Slot
from a2a_cloud.runtime.workspace.writing import Appended, DraftWriter
from a2a_cloud.storage.objects.port import ObjectStore
from a2a_cloud.storage.workspaces.nodes import Entry
from a2a_cloud.storage.workspaces.tree import PAGE, Tree, a_folder, glob, missing, shown, stream, walk
from a2a_cloud.wire.glob import check_path

#: Bytes that one read gives.
READ_MOST = 64 << 20
#: Paths that one draft touches.
MOST_TOUCHED = 200_000


class Draft:
    """See the module. Paths are checked by every method, which raises InvalidParams for what is none.

    Operations may overlap: each takes effect whole, in the order in which they were begun.
    """

    def __init__(self, base: Version, tree: Tree, objects: ObjectStore) -> None:
        self.base = base
        self.tree = tree
        self._objects = objects
        self._overlay = Overlay()
        self._held = Held(objects)
        self._appended: dict[str, Appended] = {}
        self._writers: set[DraftWriter] = set()
        self._order = asyncio.Lock()
        self._closed = False

    # --- reading ----------------------------------------------------------------------------------

    async def stat(self, path: str) -> File | Folder:
        """The file or folder at `path`; "" is the root. Raises FileNotFound."""
        if not path:
            root = await self.tree.stat("")
            assert isinstance(root, Folder)
            slot = self._overlay.root
            return Folder("", root.files + slot.files, root.size + slot.size)
        entry = await self._entry(check_path(path))
        if entry is None:
            raise missing(path)
        return shown(path, entry)

    async def list(self, folder: str = "", after: str = "", limit: int = PAGE) -> Sequence[File | Folder]:
        """What is directly in `folder`, by name, after the name `after`: at most `limit`.

        Raises FileNotFound when there is no such folder, for a file too.
        """
        slot: Slot | None = self._overlay.root
        address = self.tree.root
        if folder:
            entry = await self._entry(check_path(folder))
            if entry is None or entry.kind == "file":
                raise missing(folder, "folder")
            slot = self._overlay.find(folder)
            base = await self.tree.entry(folder)
            address = base.sha256 if base is not None and base.kind == "folder" else ""
        lead = f"{folder}/" if folder else ""
        found: list[File | Folder] = []
        while True:
            entries = list(await self.tree.entries(address, after, limit)) if address else []
            whole = len(entries) < limit
            by_name = {entry.name: entry for entry in entries}
            names = set(by_name)
            if slot is not None:
                names.update(slot.names(after, None if whole else entries[-1].name))
            for name in sorted(names):
                over = None if slot is None else slot.below.get(name)
                entry = by_name.get(name) if over is None else over.over(by_name.get(name), name)
                if entry is not None:
                    found.append(shown(lead + name, entry))
                    if len(found) == limit:
                        return found
            if whole:
                return found
            after = entries[-1].name

    def walk(self, folder: str = "", after: str = "") -> AsyncIterator[File]:
        """All files below `folder` after the path `after`, in order of their segments."""
        return walk(self.list, folder, after)

    async def glob(self, pattern: str, after: str = "", limit: int = PAGE) -> list[File]:
        """The files whose path fits (`*`, `?`, `**`), after the path `after`: at most `limit`."""
        return await glob(self.stat, self.list, pattern, after, limit)

    async def read(self, path: str, offset: int = 0, length: int = -1) -> Piece:
        """Up to `length` bytes (all: -1) of a file from `offset` on.

        Raises FileNotFound, and TooLarge for more than READ_MOST bytes: read those in pieces.
        """
        file = await self._file(path)
        offset = max(0, offset)
        left = max(0, file.size - offset)
        if (left if length < 0 else min(left, length)) > READ_MOST:
            raise TooLarge(
                f"{path[:200]!a} has {file.size} bytes; one read gives at most {READ_MOST}.",
                remedy="Read it in pieces, or open it.",
            )
        held = self._held.get(file.ref)
        if held is not None:
            return Piece(file, held[offset:] if length < 0 else held[offset : offset + length])
        if path in self._appended:
            ref = await self.ref(path)
            file = File(path, ref.sha256, ref.size)
        return Piece(file, await self._objects.read(file.ref, offset, length))

    async def stream(self, path: str, offset: int = 0, length: int = -1) -> AsyncIterator[bytes]:
        """A file's bytes in chunks, in constant memory, as it is now. Raises FileNotFound."""
        ref = await self.ref(path)
        async for chunk in stream(self._objects, ref, offset, length):
            yield chunk

    async def ref(self, path: str) -> ObjectRef:
        """A file's content as a stored object, fit for an artifact. Raises FileNotFound."""
        async with self._order:
            file = await self._file(path)
            await self._end_append(path)
            held = self._held.get(file.ref)
            if held is not None:
                await self._objects.put(held)
            return file.ref

    def unstored(self, ref: ObjectRef) -> bytes | None:
        """A content of the draft that is in memory alone; None when it is on disk, or none of its."""
        return self._held.get(ref)

    # --- writing ----------------------------------------------------------------------------------

    async def write(self, path: str, data: bytes) -> Change:
        """Let `path` hold `data`. Raises InvalidParams where a folder or a file is in the way."""
        async with self._order:
            base = await self._may_hold(path)
            ref = await self._held.keep(data)
            return self._put(path, base, ref)

    async def append(self, path: str, data: bytes) -> Change:
        """Add `data` to the end of the file, which is made if it is not there.

        A large file is copied once for a row of appends: whatever reads it in between ends the row.
        """
        async with self._order:
            base = await self._may_hold(path)
            appended = self._appended.get(path)
            if appended is None:
                entry = await self._entry(path)
                ref = None if entry is None else entry.ref
                size = 0 if ref is None else ref.size
                if size + len(data) <= FILE:
                    old = b"" if ref is None else await self._bytes(ref)
                    return self._put(path, base, await self._held.keep(old + data))
                appended = Appended(self._objects.writer())
                try:
                    held = None if ref is None else self._held.get(ref)
                    if held is not None:
                        appended.write(held)
                    elif ref is not None:
                        async for chunk in stream(self._objects, ref):
                            appended.write(chunk)
                    appended.write(data)
                except BaseException:
                    appended.abort()
                    raise
            else:
                appended.write(data)
            change = self._put(path, base, appended.ref)
            self._appended[path] = appended
            return change

    async def copies(self, path: str) -> int:
        """Bytes of the file that an append to it copies first: none within a row of appends."""
        if path in self._appended:
            return 0
        entry = await self._entry(check_path(path))
        return 0 if entry is None or entry.kind != "file" or entry.size <= FILE else entry.size

    async def append_object(self, path: str, content: ObjectRef) -> Change:
        """Add a stored object's bytes to the end of the file, in constant memory.

        The caller has checked that the run may have the object.
        """
        change: Change | None = None
        async for chunk in stream(self._objects, content):
            added = await self.append(path, chunk)
            change = added if change is None else Change(path, change.before, added.after)
        return change or await self.append(path, b"")

    async def delete(self, path: str) -> Change:
        """Take the file away. Raises FileNotFound."""
        async with self._order:
            base = await self._may_hold(path)
            await self._file(path)
            return self._put(path, base, None)

    async def copy(self, source: str, target: str) -> Change:
        """Let `target` hold what `source` holds; no bytes are copied. Raises FileNotFound."""
        async with self._order:
            file = await self._file(source)
            await self._end_append(source)
            return self._put(target, await self._may_hold(target), file.ref)

    async def adopt(self, path: str, content: ObjectRef) -> Change:
        """Let `path` hold a stored object; no bytes are copied.

        The caller has checked that the run may have the object: who knows a hash has no right to it.
        """
        async with self._order:
            return self._put(path, await self._may_hold(path), content)

    async def open_write(self, path: str) -> DraftWriter:
        """Begin a file of any size, chunk by chunk; `path` holds it from `DraftWriter.finish` on."""
        await self._may_hold(path)
        writer = DraftWriter(self, path, self._objects.writer())
        self._writers.add(writer)
        return writer

    # --- the end ----------------------------------------------------------------------------------

    async def changes(self) -> list[Change]:
        """All that differs from the base, contents stored: what `Workspace.commit` takes.

        The draft may go on. Raises StorageFull, Unavailable.
        """
        async with self._order:
            for path in list(self._appended):
                await self._end_append(path)
            await self._held.flush()
            return self.differing()

    def differing(self) -> list[Change]:
        """All that differs from the base, in order; contents may be in memory alone."""
        changed = sorted(self._overlay.changed(), key=_path)
        return [Change(path, slot.before, slot.after) for path, slot in changed]

    def resume(self, changes: Iterable[Change]) -> None:
        """Begin from what `changes` gave at an earlier time, over the same base."""
        for change in changes:
            self._overlay.put(check_path(change.path), change.before, change.after)

    @property
    def clean(self) -> bool:
        """Nothing differs from the base."""
        return next(self._overlay.changed(), None) is None

    def close(self) -> None:
        """Give up what is not finished. Idempotent; harmless after a commit."""
        self._closed = True
        for writer in list(self._writers):
            writer.abort()
        for appended in self._appended.values():
            appended.abort()
        self._appended.clear()
        self._held.clear()

    # --- inside -----------------------------------------------------------------------------------

    def forget(self, writer: DraftWriter) -> None:
        """A writer was given up."""
        self._writers.discard(writer)

    async def _entry(self, path: str) -> Entry | None:
        slot = self._overlay.find(path)
        base = await self.tree.entry(path)
        return base if slot is None else slot.over(base, path.rpartition("/")[2])

    async def _file(self, path: str) -> File:
        entry = await self._entry(check_path(path))
        if entry is None:
            raise missing(path)
        if entry.kind == "folder":
            raise a_folder(path)
        return File(path, entry.sha256, entry.size)

    async def _may_hold(self, path: str) -> ObjectRef | None:
        """Whether a file may be at `path`: no folder is there, and no file where one of its folders is.
        Returns what the base has there."""
        if self._closed:
            raise InvalidParams("The run's view of the workspace is closed.", remedy="Write before the end.")
        check_path(path)
        trail = await self.tree.trail(path)
        slot: Slot | None = self._overlay.root
        segments = path.split("/")
        for number, segment in enumerate(segments):
            base = trail[number] if number < len(trail) else None
            slot = None if slot is None else slot.below.get(segment)
            entry = base if slot is None else slot.over(base, segment)
            last = number == len(segments) - 1
            if entry is None:
                continue
            if last and entry.kind == "folder":
                raise a_folder(path)
            if not last and entry.kind == "file":
                way = "/".join(segments[: number + 1])
                raise InvalidParams(
                    f"{way[:200]!a} is a file, so nothing can be in it.",
                    remedy="Delete it, or use another name.",
                )
        if (slot is None or not slot.touched) and self._overlay.touched >= MOST_TOUCHED:
            raise TooLarge(
                f"The run has changed {MOST_TOUCHED} files, which is the most.", remedy="Split the work."
            )
        return trail[-1].ref if len(trail) == len(segments) else None

    def _put(self, path: str, base: ObjectRef | None, ref: ObjectRef | None) -> Change:
        appended = self._appended.get(path)
        if appended is not None and (ref is None or appended.ref != ref):
            self._appended.pop(path).abort()
        before = self._overlay.put(path, base, ref)
        self._held.moved(before, ref)
        return Change(path, before, ref)

    async def _end_append(self, path: str) -> None:
        appended = self._appended.get(path)
        if appended is not None:
            await appended.finish()
            self._appended.pop(path, None)

    async def _bytes(self, ref: ObjectRef) -> bytes:
        held = self._held.get(ref)
        return await self._objects.read(ref) if held is None else held


def _path(item: tuple[str, Slot]) -> str:
    return item[0]
