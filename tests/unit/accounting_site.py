"""A ledger on disk with runs that were charged, for tests of usage, invoices and statements: the real
journal, ledger and rail; only the engine that decides about calls is not here."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from a2a_cloud.control.billing.accounts import FEES, ISSUED, OWNER, PREPAID, Accounts
from a2a_cloud.control.billing.clock import BillingClock, ClockRows
from a2a_cloud.control.billing.invoice_rows import InvoiceRows
from a2a_cloud.control.billing.invoices import Invoices
from a2a_cloud.control.billing.ledger import Ledger, Line
from a2a_cloud.control.billing.payouts import Payouts
from a2a_cloud.control.billing.rails.prepaid import Prepaid
from a2a_cloud.control.billing.rows import ADD_HOLD, ADD_PRICE, ADD_USAGE, END_HOLD, BillingRows
from a2a_cloud.control.billing.usage import Usage
from a2a_cloud.model.invoice import Party
from a2a_cloud.model.principal import Principal, Role
from a2a_cloud.model.scope import SYSTEM
from a2a_cloud.settings.billing import Billing
from a2a_cloud.storage.journal.port import Statement
from a2a_cloud.storage.journal.sqlite import SqliteJournal
from a2a_cloud.storage.journal.writer import connect
from a2a_cloud.storage.sql import statements as sql

OCTOBER = 1_790_856_000.0  # 2026-10-01 12:00 UTC
DAY = 86_400.0
ROOT = Principal(1, 1, "admin", "default", Role.ADMIN)
ORGS = {1: "default", 2: "acme", 3: "globex"}
#: Principals: number → (organisation, name).
PEOPLE = {1: (1, "admin"), 2: (2, "ada"), 3: (2, "=cmd|x"), 4: (3, "gil")}
#: Agents: number → (organisation, name).
AGENTS = {1: (1, "desk"), 2: (3, "lane")}
_AGENT = Statement("test_add_agent", "INSERT INTO agent(no, org, name, created) VALUES(?,?,?,1.0)")
_RUN = Statement(
    "test_add_run",
    "INSERT INTO run(no, id, org, owner, agent, release, task, task_id, ordinal, context, skill, state,"
    " attempt, created, ended, call) VALUES(?,?,?,?,?,1,?,'t',1,'c',?,?,1,?,?,?)",
)


class Clock:
    """True time, as a test turns it."""

    def __init__(self, at: float = OCTOBER) -> None:
        self.at = at

    def now(self) -> float:
        return self.at

    def monotonic(self) -> float:
        return 50.0


class Ids:
    """Ids that count."""

    def __init__(self) -> None:
        self.last = 0

    def new(self, prefix: str) -> str:
        self.last += 1
        return f"{prefix}_{self.last:032x}"


class Site:
    """One life of a ledger."""

    def __init__(self, folder: Path, *, movable: bool = True) -> None:
        self.path = folder / "journal.db"
        self.journal = SqliteJournal(self.path)
        self.connection = connect(self.path, readonly=True)
        self.true, self.ids = Clock(), Ids()
        self.clock = BillingClock(self.true, ClockRows(self.connection), self.journal, movable=movable)
        self.rows = BillingRows(self.connection)
        numbers = self.rows.numbers(SYSTEM)
        self.accounts = Accounts(self.rows, self.clock, ORGS.__getitem__, {}, numbers["ledger_account"])
        self.ledger = Ledger(self.rows, self.accounts, self.journal, self.clock, self.ids, numbers)
        self.rail = Prepaid(self.ledger, self.clock)
        self.usage = Usage(self.path, self.true)
        self.invoices = Invoices(
            self.path,
            InvoiceRows(self.connection),
            self.journal,
            self.clock,
            Party("Seller & Söhne", ("Street 1", "Town"), "TAX1"),
            Billing(),
            ORGS.__getitem__,
        )
        self.payouts = Payouts(
            self.path, self.rows, self.accounts, self.rail, self.clock, self.ids, ORGS.__getitem__
        )
        self.last = 0

    async def people(self) -> None:
        """Organisations, principals, agents, and a price of each of desk's skills."""
        known = {no for (no,) in self.connection.execute("SELECT no FROM org")}
        ops: list[Any] = [(sql.ADD_ORG, (no, name, 1.0)) for no, name in ORGS.items() if no not in known]
        ops += [(sql.ADD_PRINCIPAL, (no, org, name, 1.0)) for no, (org, name) in PEOPLE.items()]
        ops += [(_AGENT, (no, org, name)) for no, (org, name) in AGENTS.items()]
        body = '{"call":"0.25","currency":"USD"}'
        ops += [(ADD_PRICE, (1, 1, 1, "review", 1, 2, body, 1.0, "root"))]
        ops += [(ADD_PRICE, (2, 1, 1, "review", 2, 2, body, 2.0, "root"))]
        flat = '{"currency":"USD","flat":{"amount":"9.00","period":"month"}}'
        ops += [(ADD_PRICE, (3, 1, 1, "greet", 1, 2, flat, 1.0, "root"))]
        await self.journal.write(ops)

    async def put_in(self, org: int, amount: int, currency: str = "USD") -> None:
        """Credits for an organisation."""
        ops: list[Any] = []
        found: list[Any] = []
        for kind, whose in ((PREPAID, org), (ISSUED, 0), (OWNER, 1), (FEES, 0)):
            account, more = self.accounts.of(kind, whose, currency)
            found.append(account)
            ops += more
        key = self.ids.new("key")
        lines = [Line(found[0], amount), Line(found[1], -amount)]
        posting = self.ledger.post("grant", key, lines, org=org, by="root")
        await self.journal.write([*ops, *posting.ops])
        self.ledger.landed(posting)

    def run_ops(
        self, owner: int, *, agent: int = 1, skill: str = "review", state: str = "COMPLETED", key: str = ""
    ) -> list[Any]:
        """A run that has ended now."""
        self.last += 1
        now = self.true.now()
        call = f'{{"key_id":"{key}"}}'.encode() if key else b"{}"
        ended = None if state == "WORKING" else now + 1
        told = (self.last, f"run_{int(now * 1000):012x}{self.last:020x}", AGENTS[agent][0], owner, agent)
        return [(_RUN, (*told, self.last, skill, f"TASK_STATE_{state}", now, ended, call))]

    async def charge(
        self,
        owner: int,
        amount: int,
        *,
        price: int = 1,
        currency: str = "USD",
        meters: dict[str, str] | None = None,
        **run: Any,
    ) -> int:
        """A run that was paid; its number."""
        ops = self.run_ops(owner, **run)
        org = PEOPLE[owner][0]
        payer = self.accounts.find(self.accounts.code(PREPAID, org, currency))
        earns = self.accounts.find(self.accounts.code(OWNER, 1, currency))
        fees = self.accounts.find(self.accounts.code(FEES, 0, currency))
        assert payer is not None
        assert earns is not None
        assert fees is not None
        now, cut = self.clock.now(), amount // 10
        ops.append((ADD_HOLD, (self.last, org, payer.no, price, amount, 0, now)))
        ops.append((END_HOLD, ("captured", amount, now, self.last, org)))
        lines = [Line(payer, -amount), Line(earns, amount - cut), Line(fees, cut)]
        posting = self.ledger.post(
            "charge",
            f"charge/{self.last}",
            lines,
            org=org,
            by="platform",
            run=self.last,
            memo=f"{AGENTS[run.get('agent', 1)][1]}/{run.get('skill', 'review')}",
        )
        base = (
            1,
            run.get("agent", 1),
            run.get("skill", "review"),
            org,
            owner,
            "",
            self.clock.now(),
            "completed",
        )
        row = (self.last, 0, *base, "call", "", "1", price, payer.no, amount, currency, posting.no)
        ops.append((ADD_USAGE, row))
        for line, (meter, qty) in enumerate((meters or {}).items(), 1):
            row = (self.last, line, *base, meter, "tokens", qty, price, payer.no, 0, currency, None)
            ops.append((ADD_USAGE, row))
        await self.journal.write([*ops, *posting.ops])
        return self.last

    async def refund(self, run: int, amount: int) -> None:
        """Give back what a run was charged."""
        (charge, *_) = self.rows.txns_of_run(SYSTEM, run)
        entries = self.rows.entries(SYSTEM, charge.no)
        payer, earns = self.accounts.no(entries[0].account), self.accounts.no(entries[1].account)
        posting = self.rail.refund(
            self.ids.new("refund"),
            payer,
            [Line(earns, amount)],
            run=run,
            refers=charge.no,
            org=payer.org,
            by="root",
            memo="",
            asked=b"x" * 32,
        )
        await self.journal.write(posting.ops)
        self.ledger.landed(posting)

    async def close(self) -> None:
        """End it."""
        await self.journal.close()
        self.connection.close()
