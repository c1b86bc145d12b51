"""What a run wrote, over a tree: which paths hold what now, and what each folder gained or lost by it."""

from __future__ import annotations

from bisect import bisect_right
from collections.abc import Iterator

from a2a_cloud.model.task import ObjectRef
from a2a_cloud.storage.workspaces.nodes import Entry


class Slot:
    """A name of the overlay. With `touched`: the file there was `before` and is `after`. `files` and
    `size` are what the files below it add to those of the base."""

    __slots__ = ("_sorted", "after", "before", "below", "files", "size", "touched")

    def __init__(self) -> None:
        self.touched = False
        self.before: ObjectRef | None = None
        self.after: ObjectRef | None = None
        self.below: dict[str, Slot] = {}
        self.files = 0
        self.size = 0
        self._sorted: list[str] = []

    def names(self, after: str, last: str | None) -> list[str]:
        """The names below it after `after`, up to `last` (None: all)."""
        if len(self._sorted) != len(self.below):  # Names come, and never go.
            self._sorted = sorted(self.below)
        end = len(self._sorted) if last is None else bisect_right(self._sorted, last)
        return self._sorted[bisect_right(self._sorted, after) : end]

    def over(self, entry: Entry | None, name: str) -> Entry | None:
        """What is at this name, where the base has `entry`."""
        file = entry.ref if entry is not None else None
        if self.touched:
            file = self.after
        if file is not None:
            return Entry(name, "file", file.sha256, file.size, 1)
        base = entry if entry is not None and entry.kind == "folder" else None
        files = self.files + (base.files if base is not None else 0)
        if files == 0:  # A folder is there because files are below it.
            return None
        return Entry(name, "folder", "", self.size + (base.size if base is not None else 0), files)


class Overlay:
    """All slots of a run."""

    def __init__(self) -> None:
        self.root = Slot()
        self.touched = 0

    def find(self, path: str) -> Slot | None:
        """The slot at a path, if there is one."""
        at: Slot | None = self.root
        for segment in path.split("/"):
            at = at.below.get(segment)
            if at is None:
                return None
        return at

    def put(self, path: str, base: ObjectRef | None, after: ObjectRef | None) -> ObjectRef | None:
        """Let `path` hold `after`, where the base has `base`. Returns what it held."""
        at = self.root
        way = [at]
        for segment in path.split("/"):
            below = at.below.get(segment)
            if below is None:
                below = at.below[segment] = Slot()
            at = below
            way.append(at)
        if not at.touched:
            at.touched = True
            at.before = at.after = base
            self.touched += 1
        held, at.after = at.after, after
        files = (after is not None) - (held is not None)
        size = (0 if after is None else after.size) - (0 if held is None else held.size)
        for slot in way[:-1]:
            slot.files += files
            slot.size += size
        return held

    def changed(self) -> Iterator[tuple[str, Slot]]:
        """(path, slot) of all that hold other content than the base."""
        left: list[tuple[str, Slot]] = [("", self.root)]
        while left:
            path, slot = left.pop()
            if slot.touched and slot.before != slot.after:
                yield path, slot
            lead = f"{path}/" if path else ""
            left += [(lead + name, below) for name, below in slot.below.items()]
