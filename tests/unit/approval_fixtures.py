"""Approvals for tests: over a journal and rows in a folder, with a clock that a test turns."""

from __future__ import annotations

from collections.abc import AsyncGenerator, Callable
from contextlib import asynccontextmanager
from pathlib import Path

from grant_fixtures import Numbers, TurnedClock

from a2a_cloud.control.approvals.approvals import Approvals
from a2a_cloud.control.approvals.notices import Notices
from a2a_cloud.control.approvals.rows import ApprovalRows
from a2a_cloud.model.approval import Approval, Ask
from a2a_cloud.model.grant import Widening
from a2a_cloud.model.principal import Principal, Role
from a2a_cloud.storage.journal.port import Op
from a2a_cloud.storage.journal.sqlite import SqliteJournal
from a2a_cloud.storage.journal.writer import connect, prepare

ADA, BOB, EVE = (
    Principal(no, 1, name, "acme", Role.ADMIN) for no, name in ((1, "ada"), (2, "bob"), (3, "eve"))
)
STRANGER = Principal(9, 2, "ada", "other", Role.ADMIN)
MEMBER = Principal(4, 1, "mia", "acme", Role.MEMBER)
FINANCE = Widening(read=("finance/**",), egress=("api.example.com",))

IDS = Numbers()


def ask(
    wanted: Widening = FINANCE, *, run: str = "run_1", requester: str = "ada@acme", seconds: int = 0
) -> Ask:
    """What a run of ada's asks for."""
    return Ask(1, run, "task_1", "reviewer", "review", requester, wanted, "the report needs it", seconds)


class Site:
    """Approvals over the database in `folder`. `decided` are those that the runtime was told of, in order;
    `before` is called first, as the runtime that finds its run gone."""

    def __init__(self, folder: Path, notices: Notices | None = None) -> None:
        path = folder / "journal.db"
        prepare(path)
        self.clock = TurnedClock()
        self.journal = SqliteJournal(path)
        self.connection = connect(path, readonly=True)
        self.rows = ApprovalRows(self.connection)
        self.decided: list[Approval] = []
        self.before: Callable[[Approval], None] = lambda _approval: None
        self.approvals = Approvals(self.clock, IDS, self.journal, self.rows, notices=notices)
        self.approvals.on_decided = self._decided
        self.restored = self.approvals.restore()

    async def _decided(self, approval: Approval, ops: list[Op]) -> None:
        self.before(approval)
        await self.journal.write(ops)
        self.decided.append(approval)

    async def ask(self, asked: Ask | None = None) -> Approval:
        """A request that is on disk."""
        approval, ops = self.approvals.request(asked or ask())
        await self.journal.write(ops)
        self.approvals.opened(approval)
        return approval

    def ends(self, approval_id: str) -> list[str]:
        """The states that are written as its end."""
        found = self.connection.execute("SELECT state FROM approval_end WHERE approval=?", (approval_id,))
        return [row[0] for row in found]

    async def close(self) -> None:
        """What is queued is written."""
        await self.journal.close()
        self.connection.close()


@asynccontextmanager
async def site(folder: Path, notices: Notices | None = None) -> AsyncGenerator[Site]:
    """A Site, closed at the end."""
    made = Site(folder, notices)
    try:
        yield made
    finally:
        await made.close()
