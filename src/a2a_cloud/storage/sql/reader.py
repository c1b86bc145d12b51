"""The reader's port: what is committed, as rows, and who may see it. Every method takes a Scope and
touches no row outside of it: another organisation's, and where the scope has an owner, another owner's.
`SYSTEM` is for the platform's own work at start. Point reads and keyset pages only: nothing here grows
with the number of stored runs. All of it is called on the loop's thread, and raises Internal when the
database can't be read."""

from __future__ import annotations

from collections.abc import Sequence
from contextlib import AbstractContextManager
from typing import NamedTuple, Protocol

from msgspec import Struct

from a2a_cloud.model.scope import Scope


class TaskRow(Struct, frozen=True, array_like=True):
    """A row of `task`."""

    no: int
    id: str
    org: int
    owner: int
    agent: int
    context: str
    state: str
    at: float


class RunRow(Struct, frozen=True, array_like=True):
    """A row of `run`, without its call. Times are wall seconds or None."""

    no: int
    id: str
    org: int
    owner: int
    agent: int
    release: int
    task: int
    task_id: str
    ordinal: int
    context: str
    skill: str
    state: str
    attempt: int
    created: float
    started: float | None
    ended: float | None
    parent: int | None
    problem: str | None
    detail: str | None
    dead: int


class LogRow(Struct, frozen=True, array_like=True):
    """A row of `log`; `no` is the cursor."""

    no: int
    release: int
    run: int | None
    at: float
    level: str
    source: str
    line: str


class ReceiptRow(Struct, frozen=True, array_like=True):
    """A row of `receipt`."""

    run: int
    org: int
    leaf: int
    leaf_hash: bytes
    id: bytes
    body: bytes
    protected: str
    signature: str
    sections: bytes


class LivingKey(NamedTuple):
    """Whom a key stands for, as long as it is not revoked. `scopes` are words by spaces, "" for all;
    `expires` is wall seconds."""

    id: str
    org: int
    principal: int
    role: str
    priority: int
    scopes: str
    expires: float | None


class StoredKey(NamedTuple):
    """A row of `api_key` without its hash. Times are wall seconds. `prior` is the key in whose place it was
    made, "" for none."""

    id: str
    org: int
    principal: int
    role: str
    label: str
    created: float
    created_by: str
    revoked: float | None
    priority: int
    scopes: str
    expires: float | None
    used: float | None
    prior: str


class AgentRow(NamedTuple):
    """A row of `agent`; `serving` and `canary` are the `no` of releases, `weight` the percentage of new
    calls that go to the canary. Times are wall seconds."""

    no: int
    org: int
    name: str
    serving: int | None
    canary: int | None
    weight: int
    deleted: float | None
    delete_at: float | None


class MajorRow(NamedTuple):
    """A row of `major`: the release behind `name@major`, and when that is said to end."""

    agent: int
    major: int
    release: int
    deprecated: float | None
    until: float | None


class SettingRow(NamedTuple):
    """A row of `setting`: a variable of an agent's environment."""

    name: str
    value: str
    at: float


class ReleaseRow(NamedTuple):
    """A row of `release`; `manifest`, `skills` and `notes` are JSON. Times are wall seconds."""

    no: int
    org: int
    agent: int
    number: int
    state: str
    step: str
    digest: str
    source: str
    environment: str
    manifest: bytes
    skills: bytes
    message_handler: int
    created: float
    ended: float | None
    made_by: str
    notes: bytes


class Reader(Protocol):
    """Reads of committed rows: what a write's `done(None)` has told is seen by the next read."""

    def snapshot(self) -> AbstractContextManager[None]:
        """Everything read inside sees the database as it is at its first read: the writer commits
        beside us, and a task read before its last commit does not fit events read after it. Nested
        ones are one; nothing may be awaited inside."""
        ...

    def close(self) -> None:
        """Release the database."""
        ...

    # --- organisations, keys, agents ----------------------------------------------------------

    def orgs(self, scope: Scope) -> list[tuple[int, str]]:
        """(no, name) of every organisation. System only."""
        ...

    def principals(self, scope: Scope) -> list[tuple[int, int, str]]:
        """(no, org, name) of every principal. System only."""
        ...

    def key_by_hash(self, scope: Scope, digest: bytes) -> LivingKey | None:
        """The living key with that hash. System only."""
        ...

    def hash_of_key(self, scope: Scope, key_id: str) -> bytes | None:
        """The SHA-256 of the key with that id, revoked or not. System only."""
        ...

    def keys(self, scope: Scope) -> list[StoredKey]:
        """The organisation's keys, the newest 10,000, oldest first."""
        ...

    def key(self, scope: Scope, key_id: str) -> StoredKey | None:
        """The organisation's key with that id."""
        ...

    def agents(self, scope: Scope) -> list[AgentRow]:
        """The organisation's agents."""
        ...

    def releases(self, scope: Scope, agent: int) -> list[ReleaseRow]:
        """An agent's releases, oldest first."""
        ...

    # --- counters -------------------------------------------------------------------------------

    def majors(self, scope: Scope) -> list[MajorRow]:
        """Which release serves each major version of each agent."""
        ...

    def settings(self, scope: Scope, agent: int) -> list[SettingRow]:
        """An agent's settings, by name."""
        ...

    def last(self, scope: Scope, table: str) -> int:
        """The highest number given in `table`, 0 for none. System only."""
        ...

    # --- tasks and runs -------------------------------------------------------------------------

    def task(self, scope: Scope, task_id: str, agent: int | None = None) -> TaskRow | None:
        """The task with that id, if the scope may see it (and the agent is that one)."""
        ...

    def tasks(
        self,
        scope: Scope,
        agent: int,
        *,
        context: str = "",
        state: str = "",
        after: float | None = None,
        before: tuple[float, int] | None = None,
        limit: int = 50,
    ) -> list[TaskRow]:
        """An owner's tasks with an agent, newest status first; `before` is the keyset cursor (at, no).

        `after`: only with a status at or after that time (wall seconds, inclusive). The scope must
        name an owner. Raises InvalidParams as `runs` does.
        """
        ...

    def count_tasks(
        self, scope: Scope, agent: int, *, context: str = "", state: str = "", after: float | None = None
    ) -> int:
        """How many tasks that list has in all, counted to 10,000 at most: exact totals cost a scan."""
        ...

    def run(self, scope: Scope, run_id: str) -> RunRow | None:
        """The run with that id, if the scope may see it."""
        ...

    def run_by_no(self, scope: Scope, no: int) -> RunRow | None:
        """The run with that number, if the scope may see it."""
        ...

    def runs_of_task(self, scope: Scope, task: int) -> list[RunRow]:
        """A task's runs, in order."""
        ...

    def children(self, scope: Scope, run: int) -> list[RunRow]:
        """The runs that this run called, in order."""
        ...

    def open_runs(self, scope: Scope) -> list[RunRow]:
        """Runs that have not ended. System only: recovery reads them at start."""
        ...

    def runs(
        self,
        scope: Scope,
        *,
        agent: int | None = None,
        state: str = "",
        dead: bool = False,
        before: int | None = None,
        limit: int = 50,
    ) -> list[RunRow]:
        """Runs of an organisation or owner, newest first; `before` is the keyset cursor (a run's number),
        `state` what the row says: of runs that go on, the engine knows more.

        Raises InvalidParams when too many runs would have to be looked through to fill the page.
        """
        ...

    def call(self, scope: Scope, run: int) -> bytes | None:
        """A run's stored call."""
        ...

    def idempotency(self, scope: Scope, key: bytes) -> tuple[int, bytes] | None:
        """(run, fingerprint) that used this key before."""
        ...

    def events(self, scope: Scope, run: int, after: int = 0, limit: int = -1) -> list[tuple[int, bytes]]:
        """(seq, body) of a run's events after seq `after`, in order.

        The caller has checked the run's owner.
        """
        ...

    def receipt(self, scope: Scope, run: int) -> ReceiptRow | None:
        """A run's receipt. The caller has checked the run's owner."""
        ...

    def receipt_ids(self, scope: Scope, runs: list[int]) -> dict[int, bytes]:
        """Receipt ids (raw) by run number, of those that are sealed."""
        ...

    def state(self, scope: Scope, agent: int, context: str, key: str) -> bytes | None:
        """What `ctx.state` keeps under `key`; the scope must name an owner."""
        ...

    def logs(
        self,
        scope: Scope,
        *,
        agent: int | None = None,
        run: int | None = None,
        release: int | None = None,
        levels: Sequence[str] = (),
        since: float = 0.0,
        after: int = 0,
        limit: int = 1000,
    ) -> list[LogRow]:
        """Log lines of an agent or a run after line number `after`; without `after` the newest ones.
        `release` is a release's `no`; `levels` are those wanted, none: all; `since` in wall seconds."""
        ...
