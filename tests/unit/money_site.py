"""Paid calls over a journal on disk: the whole engine of billing, without the runs that it is for."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from contextlib import suppress
from decimal import Decimal
from pathlib import Path
from typing import Any

from a2a_cloud.control.billing.accounts import Accounts
from a2a_cloud.control.billing.budgets import Budgets
from a2a_cloud.control.billing.check import check
from a2a_cloud.control.billing.credits import Credits
from a2a_cloud.control.billing.holds import Billing, Hold, Settlement
from a2a_cloud.control.billing.ledger import Ledger
from a2a_cloud.control.billing.prices import Prices
from a2a_cloud.control.billing.rails.prepaid import Prepaid
from a2a_cloud.control.billing.rows import BillingRows
from a2a_cloud.model.billing import Price, Spend, Terms
from a2a_cloud.model.principal import Principal, Role
from a2a_cloud.model.problem import Unavailable
from a2a_cloud.model.release import Manifest, Release
from a2a_cloud.model.run import Call
from a2a_cloud.model.scope import SYSTEM
from a2a_cloud.model.task import Message
from a2a_cloud.model.task import Role as Says
from a2a_cloud.storage.journal.port import Op, Statement, Write
from a2a_cloud.storage.journal.sqlite import SqliteJournal
from a2a_cloud.storage.journal.writer import Commit, connect, real_commit
from a2a_cloud.storage.sql import statements as sql

NOON = 1_800_014_400.0  # 2027-01-15 12:00 UTC
DAY = 86_400.0
ORGS = {1: "default", 2: "acme", 3: "globex"}
ADA = Principal(2, 2, "ada", "acme", Role.MEMBER, key_id="aaaa")
BOB = Principal(3, 2, "bob", "acme", Role.MEMBER, key_id="bbbb")
EVE = Principal(4, 3, "eve", "globex", Role.MEMBER, key_id="eeee")
DESK = Release(1, 7, 1, "default", 1, "sha256:1", "/", Manifest("desk", "agent.py"), ())
_RUN = Statement(
    "test_money_run",
    "INSERT INTO run(no, id, org, owner, agent, release, task, task_id, ordinal, context, skill, state,"
    " attempt,"
    " created, call) VALUES(?,?,1,?,7,1,?,'t',1,'c',?,'TASK_STATE_WORKING',1,1.0,x'')",
)
_END = Statement("test_money_end", "UPDATE run SET ended=2.0 WHERE no=? AND org=1", 2)
_RECEIPT = Statement(
    "test_money_receipt",
    "INSERT INTO receipt(run, org, leaf, leaf_hash, id, body, protected, signature, sections)"
    " VALUES(?,1,?,x'',?,?,'','',x'')",
)
#: A statement that no database takes.
BROKEN = Statement("test_money_broken", "INSERT INTO org(no, name, created) VALUES(1, 'default', 1.0)")


class Clock:
    """Stands still until it is turned."""

    def __init__(self, at: float = NOON) -> None:
        self.at = at

    def now(self) -> float:
        return self.at

    def monotonic(self) -> float:
        return self.at


class Ids:
    """Ids that count, over all lives."""

    last = 0

    def new(self, prefix: str) -> str:
        Ids.last += 1
        return f"{prefix}_{Ids.last:032x}"


class Run:
    """As much of a run as billing knows of one."""

    def __init__(self, no: int, call: Call) -> None:
        self.no, self.id, self.call = no, f"run_{no}", call
        self.usage: dict[tuple[str, str], Decimal] | None = None
        self.hold: Hold | None = None
        self.purse: Any = None
        self.stored: Any = None
        self.acceptance: Write | None = None
        self.write: Write | None = None
        self.void = False


class Site:
    """A data folder, and one life of billing on it."""

    def __init__(self, folder: Path, clock: Clock | None = None, *, share: int = 0, commit: Commit = real_commit, **scales: int) -> None:  # noqa: E501  # fmt: skip
        self.path = folder / "journal.db"
        self.journal = SqliteJournal(self.path, commit=commit)
        self.connection = connect(self.path, readonly=True)
        self.clock = clock or Clock()
        ids = Ids()
        rows = self.rows = BillingRows(self.connection)
        numbers = rows.numbers(SYSTEM)
        self.accounts = Accounts(rows, self.clock, ORGS.__getitem__, scales, numbers["ledger_account"])
        self.ledger = Ledger(rows, self.accounts, self.journal, self.clock, ids, numbers)
        self.rail = Prepaid(self.ledger, self.clock)
        self.prices = Prices(rows, self.accounts, self.journal, self.clock, share, numbers["price"])
        self.budgets = Budgets(rows, self.accounts, self.journal, self.clock, numbers)
        self.credits = Credits(rows, self.ledger, self.rail, self.prices, self.budgets, self.clock, ids)
        self.billing = Billing(
            rows, self.journal, self.clock, self.prices, self.budgets, self.rail, self.accounts
        )
        (self.last,) = self.connection.execute("SELECT COALESCE(MAX(no), 0) FROM run").fetchone()
        self.live: dict[int, Run] = {}
        self.billing.alive = self.live.__contains__

    async def people(self) -> None:
        """Organisations and principals."""
        known = {no for (no,) in self.connection.execute("SELECT no FROM org")}
        ops: list[Op] = [(sql.ADD_ORG, (no, name, 1.0)) for no, name in ORGS.items() if no not in known]
        ops += [(sql.ADD_PRINCIPAL, (who.no, who.org_no, who.name, 1.0)) for who in (ADA, BOB, EVE)]
        await self.journal.write(ops)

    async def price(self, skill: str = "ask", **terms: Any) -> Price:
        """A price of one of desk's skills."""
        said = Terms("USD", **terms)
        return await self.prices.set(1, 7, skill, said, name=f"desk/{skill}", by="root", may_share=True)

    async def put_in(self, amount: str, org: int = 2, **more: Any) -> None:
        """Credits for an organisation, or (`owner`, `name`) one of its principals."""
        owner, name = more.pop("owner", 0), more.pop("name", "")
        await self.credits.grant(org, owner, name, amount, "USD", by="root", by_org=1, **more)

    def begin(self, caller: Principal = ADA, skill: str = "ask", *, budget: Spend | None = None, above: Run | None = None, fails: bool = False) -> Run:  # noqa: E501  # fmt: skip
        """A call is taken; `fails`: its write is refused. Raises what `reserve` raises."""
        call = Call(DESK, caller, skill, b"{}", Message("m", Says.USER, []), budget=budget)
        self.last += 1
        run = Run(self.last, call)
        run.purse = above.purse if above is not None else self.billing.purse(call, run.no)
        held = self.billing.reserve(call, run.no, run.purse)
        ops: list[Op] = [(_RUN, (run.no, run.id, caller.no, run.no, skill))]
        if held is not None:
            run.hold, more = held
            ops += more
        self.live[run.no] = run

        def done(error: BaseException | None) -> None:
            run.stored = error or True
            run.acceptance = None
            if error is not None:
                run.void = True  # As in the runtime: what it did in the meantime is not stored.
                if run.write is not None:
                    run.write.ops = ()
                del self.live[run.no]
                if run.hold is not None:
                    self.billing.undo(run.hold)
                self.billing.over(run.no, run.purse if above is None else None)

        run.acceptance = Write([*ops, (BROKEN, ())] if fails else ops, done)
        self.journal.submit(run.acceptance)
        return run

    def end(self, run: Run, state: str = "completed", *, fails: bool = False, **usage: Any) -> Settlement:
        """A run ends; `fails`: the first write of its end is refused."""
        run.usage = {(meter, ""): Decimal(qty) for meter, qty in usage.items()} or None
        settled = self.billing.settle(run, state)
        body = b"{}"
        if settled.price is not None:
            body = b'{"price":{"amount":%d},"ledger":{"txn_id":"%s"}}' % (
                settled.price.amount,
                settled.txn.encode(),
            )
        ops = [(_RECEIPT, (run.no, run.no, str(run.no).encode(), body)), *settled.ops, (_END, (run.no,))]

        def done(error: BaseException | None) -> None:
            run.write = None
            if run.void:
                return
            if error is None:
                self.live.pop(run.no, None)
                own = run.purse is not None and run.purse.subject == run.no
                self.billing.over(run.no, run.purse if own else None)
                return
            if run.hold is not None:
                self.billing.unsettle(run.hold)
            if run.stored is True:
                with suppress(Unavailable):  # The life is over.
                    self.end(run, "failed", **usage)

        told = [*ops, (BROKEN, ())] if fails else ops
        run.write = Write(told, done, must=True, after=run.acceptance)
        self.journal.submit(run.write)
        return settled

    async def rest(self) -> None:
        """Everything that was queued is on disk, or refused."""
        for _ in range(3):
            await self.journal.write([])

    def usage(self, run: Run) -> list[tuple[str, str, int]]:
        """What is stored of its usage: (meter, quantity, amount)."""
        text = "SELECT meter, qty, amount FROM usage WHERE run=? ORDER BY line"
        return self.connection.execute(text, (run.no,)).fetchall()

    def left(self, code: str = "prepaid/acme:USD") -> int:
        """What can be held of an account."""
        account = self.accounts.find(code)
        return 0 if account is None else account.available(self.clock.now())

    def sound(self) -> None:
        """Every invariant holds on disk, and memory says the same."""
        broken = {one.name: one.broken for one in check(self.path) if one.broken}
        assert not broken, broken
        for row in self.rows.accounts(SYSTEM):
            account = self.accounts.no(row.no)
            assert (account.balance, account.held) == (row.balance, row.held), row.code
            grants = {one.no: one.rest for one in self.rows.grants(SYSTEM, row.no)}
            assert {part.no: part.rest for part in account.parts} == grants, row.code
        for use in self.budgets.known():
            row = self.rows.use_no(SYSTEM, use.no)
            assert (use.spent, use.held) == ((row.spent, row.held) if row is not None else (0, 0)), use.name
            assert use.spent + use.held <= max(use.most, use.spent)

    async def close(self) -> None:
        """The life ends, as in a crash: nothing of memory is kept."""
        await self.journal.close()
        self.connection.close()


def tell(story: Callable[[], Awaitable[None]]) -> None:
    """Run a test's story."""
    asyncio.run(story())  # type: ignore[arg-type]


async def site_of(folder: Path, clock: Clock | None = None, **more: Any) -> Site:
    """A site with its people."""
    site = Site(folder, clock, **more)
    await site.people()
    return site
