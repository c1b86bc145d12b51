"""What the surface consumes of the audit logs, by shape. Organisations come by their number and name; 0 and
`_platform` are the platform's own log."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Protocol

PLATFORM_NO, PLATFORM_NAME = 0, "_platform"


class Place(Protocol):
    """A log as far as a checkpoint covers it; `at` in wall seconds, 0 before the first."""

    @property
    def org(self) -> str: ...
    @property
    def origin(self) -> str: ...
    @property
    def size(self) -> int: ...
    @property
    def root(self) -> bytes: ...
    @property
    def at(self) -> float: ...


class Entry(Protocol):
    """What stands at an index: an event with `salt` and `payload`, or a receipt with its id and run's."""

    @property
    def entry(self) -> bytes: ...
    @property
    def receipt(self) -> str: ...
    @property
    def run(self) -> str: ...
    @property
    def salt(self) -> bytes: ...
    @property
    def payload(self) -> bytes: ...


class LogKey(Protocol):
    """A key that signs checkpoints, or did. Times are wall seconds."""

    @property
    def vkey(self) -> str: ...
    @property
    def kid(self) -> str: ...
    @property
    def made(self) -> float: ...
    @property
    def until(self) -> float | None: ...
    @property
    def signs(self) -> bool: ...


class Logs(Protocol):
    """The logs. What a checkpoint does not cover is not there."""

    def place(self, org: int, org_name: str) -> Place: ...

    def checkpoint(self, org: int, org_name: str, *, witnessed: bool = False) -> bytes:
        """Raises NotFound when no witness has cosigned one."""
        ...

    async def tile(self, org: int, org_name: str, path: str) -> tuple[bytes, bool]:
        """(its bytes, whether it is whole). Raises NotFound, Unavailable, Internal."""
        ...

    def entry(self, org: int, index: int) -> Entry:
        """Raises NotFound."""
        ...

    def opened(self, org: int, path: str) -> tuple[Sequence[tuple[int, Entry]], bool]:
        """(all entries of a tile by index, whether it is whole). Raises NotFound, Internal."""
        ...

    def of_run(self, org: int, run: str) -> int:
        """The index of a run's receipt. Raises NotFound."""
        ...

    async def covered(self, org: int, index: int, seconds: float) -> bool:
        """Whether a checkpoint covers the leaf, waiting for it so long. Raises NotFound."""
        ...

    def proof(self, org: int, index: int) -> bytes:
        """The `.tlog-proof`; b"" while no checkpoint covers the leaf. Raises Unavailable."""
        ...

    def cose(self, org: int, index: int, subject: str) -> bytes:
        """The COSE receipt; b"" while no checkpoint covers the leaf. Raises Unavailable."""
        ...

    def root(self, org: int, size: int) -> bytes:
        """The root over the first `size` leaves. Raises NotFound, Unavailable."""
        ...

    def consistency(self, org: int, old: int, new: int) -> Sequence[bytes]:
        """Raises NotFound, Unavailable."""
        ...

    def troubles(self) -> Sequence[tuple[str, str]]:
        """(what is wrong, remedy)."""
        ...


class Keys(Protocol):
    """Their keys."""

    def history(self, origin: str) -> Sequence[LogKey]:
        """All of them under the name of one log."""
        ...

    async def rotate(self, by: str, overlap: float) -> None:
        """Raises InvalidParams, StorageFull, Unavailable."""
        ...


class AuditLogs(Protocol):
    """Logs and keys."""

    @property
    def logs(self) -> Logs: ...
    @property
    def keys(self) -> Keys: ...
