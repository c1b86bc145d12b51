"""The audit log: what was refused, issued, handed over, replaced and revoked. Events are written with the
next group of the journal; the last refusals of a run are kept in memory for its record."""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Sequence
from typing import Protocol

from a2a_cloud.control.grants.rows import ADD_AUDIT
from a2a_cloud.model.grant import AuditEntry
from a2a_cloud.storage.journal.port import Op, Write

#: Refusals of a run in memory, and runs of which there are any.
KEPT = 50
RUNS_KEPT = 2048
#: Refusals of one run that are written; a run that goes on trying fills no disk.
MOST_OF_RUN = 1000
MAX_TARGET = 500


class Submits(Protocol):
    """The journal's queue."""

    def submit(self, write: Write) -> None:
        """Queue a write."""
        ...


class _Refusals:
    __slots__ = ("count", "last")

    def __init__(self) -> None:
        self.count = 0
        self.last: deque[AuditEntry] = deque(maxlen=KEPT)


class AuditLog:
    """See the module. `on_audit` hears every event, the unwritten ones too."""

    def __init__(self, journal: Submits, on_audit: Callable[[AuditEntry], None] | None = None) -> None:
        self._journal = journal
        self._on_audit = on_audit
        self._waiting: list[Op] = []
        self._queued = False
        self._refusals: dict[str, _Refusals] = {}

    def add(self, entry: AuditEntry) -> None:
        """Keep an event. Of a run's refusals the first MOST_OF_RUN are written, then a line that says so."""
        if self._on_audit is not None:
            self._on_audit(entry)
        if not entry.allowed:
            count = self._refused(entry)
            if count > MOST_OF_RUN + 1:
                return
            if count == MOST_OF_RUN + 1:
                reason = (
                    f"this run was refused more than {MOST_OF_RUN} times: further refusals are not written"
                )
                entry = AuditEntry(
                    entry.grant, entry.root, (), entry.caller, "", "", False, reason, "check", entry.run,
                    entry.org, entry.at,
                )  # fmt: skip
        self._waiting.append((ADD_AUDIT, _values(entry)))
        if not self._queued:
            self._queued = True
            self._journal.submit(Write(collect=self._collect, must=True))

    def refusals(self, run: str) -> list[AuditEntry]:
        """The last KEPT refusals of a run, oldest first."""
        found = self._refusals.get(run)
        return list(found.last) if found is not None else []

    def _refused(self, entry: AuditEntry) -> int:
        found = self._refusals.pop(entry.run, None) or _Refusals()
        self._refusals[entry.run] = found  # the latest stands last
        if len(self._refusals) > RUNS_KEPT:
            self._refusals.pop(next(iter(self._refusals)))
        found.count += 1
        found.last.append(entry)
        return found.count

    def _collect(self) -> Sequence[Op]:
        self._queued = False
        ops, self._waiting = self._waiting, []
        return ops


def _values(entry: AuditEntry) -> tuple[str | int | float, ...]:
    return (
        entry.org,
        entry.at,
        entry.kind,
        entry.run,
        entry.grant,
        entry.root,
        " ".join(entry.blocks),
        entry.caller,
        entry.operation,
        shown(entry.target),
        int(entry.allowed),
        shown(entry.reason),
    )


def shown(text: str) -> str:
    """`text` as it can be stored and read: what can't be printed is escaped, what is long is cut."""
    cut = text[:MAX_TARGET]
    return cut if cut.isprintable() else ascii(cut)[1:-1]
