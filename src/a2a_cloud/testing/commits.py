"""The commit port for simulations: commits that fail before, fail after, hang or are lost, and a process
that dies on either side of one (house.md, "Time, ids, randomness and commit are ports").

A plan says which commit (counted from 1, over the life of one `Commits`) meets which fault; it may be
changed while the journal runs. `Commits` is what `SqliteJournal(commit=…)` takes; a driver for another
database calls `before` and `after` around its own COMMIT.
"""

from __future__ import annotations

import errno
import os
import signal
import sqlite3
import threading
from collections.abc import Callable, Mapping
from enum import Enum

from a2a_cloud.storage.journal.writer import real_commit


class Fault(Enum):
    """What happens to a commit."""

    #: It raises and nothing is stored.
    FAILS_BEFORE = "fails before"
    #: It is stored, and raises: the answer went astray, and the fate must be looked up.
    FAILS_AFTER = "fails after"
    #: It raises as a full disk does, and nothing is stored.
    FULL = "full"
    #: It waits for `release`, then goes through: what is submitted meanwhile shares the next one.
    HANGS = "hangs"
    #: It waits for `release`, stores nothing and raises: for the caller it was lost.
    LOST = "lost"
    #: The process is killed (SIGKILL) with the commit still to come.
    DIES_BEFORE = "dies before"
    #: The process is killed (SIGKILL) when the commit is on disk and nobody knows it yet.
    DIES_AFTER = "dies after"


class CommitFailed(Exception):
    """What a commit raises that was told to fail."""


#: Commit's number (from 1) → what happens to it; None: nothing.
Plan = Callable[[int], Fault | None]


class Commits:
    """Counts commits and makes the planned ones fail. Used from the journal's commit thread."""

    def __init__(self, plan: Plan | Mapping[int, Fault] | None = None) -> None:
        self.plan: Plan = _nothing
        self.set(plan)
        #: How many commits were begun.
        self.count = 0
        self._held = threading.Event()
        self._released = threading.Event()
        self._fault: Fault | None = None

    def set(self, plan: Plan | Mapping[int, Fault] | None) -> None:
        """Follow another plan from the next commit on; None: no more faults."""
        if plan is None:
            self.plan = _nothing
        elif callable(plan):
            self.plan = plan
        else:
            self.plan = plan.get

    def next(self, fault: Fault, times: int = 1) -> None:
        """Let the next `times` commits meet `fault`."""
        first = self.count + 1
        self.plan = lambda number: fault if first <= number < first + times else None

    def release(self) -> None:
        """Let the commit go on that hangs or is lost, and all that would."""
        self._released.set()

    def wait_held(self, seconds: float = 10.0) -> bool:
        """Wait, in a thread, until a commit hangs; False when none did in time."""
        return self._held.wait(seconds)

    def __call__(self, connection: sqlite3.Connection) -> None:
        """The port of `storage.journal.sqlite.Commit`."""
        self.before()
        real_commit(connection)
        self.after()

    def before(self) -> None:
        """To be called before a COMMIT: raises, waits or kills where the plan says so."""
        self.count += 1
        fault = self._fault = self.plan(self.count)
        if fault is None or fault is Fault.FAILS_AFTER or fault is Fault.DIES_AFTER:
            return
        if fault is Fault.HANGS or fault is Fault.LOST:
            self._held.set()
            self._released.wait()
            if fault is Fault.LOST:
                raise CommitFailed(f"Commit {self.count} was lost.")
        elif fault is Fault.FULL:
            raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))
        elif fault is Fault.DIES_BEFORE:
            os.kill(os.getpid(), signal.SIGKILL)
        else:
            raise CommitFailed(f"Commit {self.count} failed before it took effect.")

    def after(self) -> None:
        """To be called after a COMMIT that took effect."""
        if self._fault is Fault.FAILS_AFTER:
            raise CommitFailed(f"Commit {self.count} failed after it took effect.")
        if self._fault is Fault.DIES_AFTER:
            os.kill(os.getpid(), signal.SIGKILL)


def _nothing(_: int) -> Fault | None:
    return None
