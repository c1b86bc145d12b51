"""The nouns of workspaces: a named, versioned tree of files per organisation. A file is a path and an
object; a version is a tree that never changes again; a change says what a path held before and after."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Literal

import msgspec
from msgspec import Struct

from a2a_cloud.model.problem import WorkspaceConflict
from a2a_cloud.model.task import ObjectRef

#: What becomes of a commit when somebody else changed one of its paths meanwhile.
Merge = Literal["refuse", "last-writer"]
#: Paths that a conflict names; it says how many there are in all.
NAMED = 100


class File(Struct, frozen=True, tag_field="kind", tag="file"):
    """A file of a version: `sha256` in hex and `size` in bytes are those of its content."""

    path: str
    sha256: str
    size: int

    @property
    def ref(self) -> ObjectRef:
        """The object that is its content."""
        return ObjectRef(self.sha256, self.size)

    @property
    def etag(self) -> str:
        """The strong entity tag of its content (RFC 9110, section 8.8.3), quotes included."""
        return f'"{self.sha256}"'


class Folder(Struct, frozen=True, tag_field="kind", tag="folder"):
    """A folder of a version: there because files are below it. `files` and `size` count all of those."""

    path: str
    files: int
    size: int


class Piece(Struct, frozen=True):
    """Bytes of a file, and which content they are of."""

    file: File
    data: bytes


class Change(Struct, frozen=True):
    """What a path held before and holds after; None: no file. Both None or equal: nothing changed."""

    path: str
    before: ObjectRef | None
    after: ObjectRef | None


class Version(Struct, frozen=True):
    """A version of a workspace; number 0 is the empty one that nobody made.

    `tree` is the SHA-256 of its root node in hex: equal trees have equal content. `at` is wall seconds,
    `by` is `name@org`, `run` the id of the run that made it ("" for a person), `base` the version that
    its maker saw, `restored` the version that it equals because it was restored (0: it was not),
    `changed` how many paths differ from the version before (of a whole restore: 0, as nobody counts).
    """

    number: int
    tree: str
    files: int
    size: int
    at: float = 0.0
    by: str = ""
    run: str = ""
    message: str = ""
    base: int = 0
    restored: int = 0
    changed: int = 0


class Clash(Struct, frozen=True, omit_defaults=True):
    """A path that two changed: what was there at first, what we wrote, what `version` holds instead.

    With `blocked` it is no other content that is in the way but a file where we need a folder, or a
    folder where we wrote a file: that is never merged.
    """

    path: str
    before: str = ""
    ours: str = ""
    theirs: str = ""
    version: int = 0
    run: str = ""
    by: str = ""
    blocked: bool = False


def conflict_of(base: int, head: int, clashes: Sequence[Clash], count: int = 0) -> WorkspaceConflict:
    """The Problem of a commit that started from version `base` and met version `head`.

    `clashes` (one or more) are the first of `count` paths; NAMED of them go along, in `info` as JSON too.
    """
    count = max(count, len(clashes))
    first = clashes[0]
    what = f"`{first.path}` is in the way" if first.blocked else f"`{first.path}` was changed"
    who = f" by {first.run or first.by}" if first.run or first.by else ""
    where = f" in version {first.version}{who}" if first.version else ""
    since = "" if first.blocked else f" since version {base}, which this commit started from"
    more = f", and so were {count - 1} more paths" if count > 1 else ""
    problem = WorkspaceConflict(
        f"{what}{where}{since}{more}.",
        remedy=(
            "Rename the file that is in the way."
            if first.blocked
            else "Read the newer version and do it again, or commit with merge last-writer."
        ),
        info={
            "base": str(base),
            "head": str(head),
            "count": str(count),
            "clashes": msgspec.json.encode(clashes[:NAMED]).decode(),
        },
    )
    problem.clashes = tuple(clashes[:NAMED])
    return problem
