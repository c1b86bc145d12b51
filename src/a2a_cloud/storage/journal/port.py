"""The journal's port: what a driver must do, whatever database lies below.

Duties of a driver. Durability: `Write.done(None)` is called only after the write is on disk.
Order: writes take effect in the order of `submit`; those submitted before a write that is done are
done too. Grouping: everything queued while a commit runs shares the next one. Isolation: a write
that the database refuses (a uniqueness rule) fails alone; its neighbours in the group do not.
Loss: a commit whose fate is unknown is looked up, never guessed; when the disk is full, writes with
`must` are kept and tried again, others fail with StorageFull. All of it happens on the loop's
thread but for the commit itself.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any, Protocol

Params = tuple[Any, ...]

#: The rank of statements whose order counts across kinds, as of those that set and drop one key.
IN_ORDER = 3


class Statement:
    """A named statement that changes rows. Drivers for other dialects map `name` to their SQL.

    `rank` orders statements within one group commit: inserts (0) before updates (1 and up) before
    deletes, so that statements of many writes can be sent together, and a later fact about a row
    (that a run ended) overwrites an earlier one (that it started). Those of one kind keep the order
    of `submit`; those of rank IN_ORDER keep it across kinds too.

    `signs`: the places of the text to sign and of its signature among the parameters; the writer
    fills the signature in where it is None.
    """

    __slots__ = ("name", "rank", "signs", "sql")

    def __init__(self, name: str, sql: str, rank: int = 0, signs: tuple[int, int] | None = None) -> None:
        self.name, self.sql, self.rank, self.signs = name, sql, rank, signs

    def __repr__(self) -> str:
        return f"Statement({self.name})"


Op = tuple[Statement, Params]


class Refusal(Exception):
    """The database refused this write alone: a uniqueness rule, a value of the wrong kind."""


class Write:
    """One step's changes: a transaction's worth, made of statements that several planes contribute.

    Either `ops`, or `collect`, which is called once when the group is formed, so that what happens
    while a commit runs still joins the next one. `done` is called on the loop with None once the
    write is on disk, else with the exception. `must`: never dropped, tried again while the disk is full.
    `after`: when that write is refused, or dropped, and this one is in the same group, so is this one. Who
    is refused hears it before the next group forms.
    """

    __slots__ = ("after", "collect", "done", "must", "ops")

    def __init__(
        self,
        ops: Sequence[Op] | None = None,
        done: Callable[[BaseException | None], None] | None = None,
        *,
        collect: Callable[[], Sequence[Op]] | None = None,
        must: bool = False,
        after: Write | None = None,
    ) -> None:
        self.ops = ops
        self.collect = collect
        self.done = done
        self.must = must
        self.after = after


class Journal(Protocol):
    """The one writer."""

    @property
    def full(self) -> bool:
        """The last commit failed for lack of room; new work should be refused."""
        ...

    def submit(self, write: Write) -> None:
        """Queue a write. Loop thread only."""
        ...

    def write_blocking(self, ops: Sequence[Op]) -> None:
        """Commit `ops` and wait: the face for synchronous code on other threads.

        Raises Refusal, StorageFull, Unavailable (closed, locked), Internal.
        """
        ...

    async def write(self, ops: Sequence[Op]) -> None:
        """Commit `ops`. Raises Refusal, StorageFull, Unavailable (closed, locked), Internal."""
        ...

    async def close(self) -> None:
        """Commit what is queued and close. When that fails, what is left is given up as in a crash."""
        ...
