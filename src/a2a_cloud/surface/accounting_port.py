"""What the surface needs of billing for people to see: usage, invoices, statements of revenue, billing's
clock, and what agents cost. Money is moved elsewhere (surface/billing_port.py)."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Protocol

from a2a_cloud.model.invoice import Invoice, InvoiceRow, Party, Rebuilt, Statement
from a2a_cloud.model.principal import Principal
from a2a_cloud.model.release import Release
from a2a_cloud.model.scope import Scope
from a2a_cloud.model.usage import UsageLine, UsageQuery


class Usage(Protocol):
    """Questions about what was used."""

    async def lines(self, scope: Scope, query: UsageQuery) -> list[UsageLine]:
        """In the order of the keys; with an owner in the scope, that owner's calls alone. Raises TooLarge."""
        ...


class Invoices(Protocol):
    """Invoices and credit notes of organisations."""

    async def make(self, org: int | None, month: str, by: Principal) -> list[Invoice]:
        """Issue what there is to invoice up to a month's end, `2026-10`: for an organisation, or for all.
        Raises InvalidParams, AlreadyExists."""
        ...

    async def listed(self, scope: Scope, before: int, limit: int) -> list[InvoiceRow]:
        """The newest first, without their lines; those of an organisation, of all for the platform's
        scope."""
        ...

    async def one(self, scope: Scope, no: int) -> InvoiceRow:
        """Raises NotFound."""
        ...

    async def verify(self, scope: Scope, no: int) -> Rebuilt:
        """Rebuild one from the ledger and compare. Raises NotFound."""
        ...

    async def html(self, row: InvoiceRow) -> bytes:
        """For a browser."""
        ...

    async def pdf(self, row: InvoiceRow) -> bytes:
        """For a printer. Raises Unavailable, InvalidParams."""
        ...

    def party(self, org: int) -> Party:
        """What invoices say of an organisation."""
        ...

    async def set_party(self, org: int, party: Party, by: Principal) -> Party:
        """Change that, for invoices from now on. Raises InvalidParams."""
        ...


class Payouts(Protocol):
    """What organisations earn with their agents."""

    async def statement(self, org: int, month: str) -> Statement:
        """A month's. Raises InvalidParams."""
        ...

    def html(self, statement: Statement) -> bytes:
        """For a browser."""
        ...

    async def make(
        self, org: int, amount: str, currency: str, ref: str, key: str, by: Principal
    ) -> Mapping[str, Any]:
        """Record that revenue was paid out: all of it where `amount` is "". The same `key` again is the same
        payout. Raises InvalidParams, IdempotencyConflict, BudgetSpent."""
        ...


class BillingClock(Protocol):
    """Billing's clock. `movable` on a test platform."""

    @property
    def movable(self) -> bool: ...
    @property
    def ahead(self) -> float: ...

    def now(self) -> float:
        """Wall seconds as billing counts them."""
        ...

    async def advance(self, seconds: float, org: int, by: str) -> float:
        """Put it forward. Raises Forbidden, InvalidParams."""
        ...


class Shown(Protocol):
    """What agents cost, as cards say it."""

    def of(self, release: Release, *, extended: bool = False) -> tuple[Mapping[str, Any] | None, float]:
        """(the params of the card's extension, None where nothing has a price; since when, in wall seconds).
        `extended`: with the skills of the extended card."""
        ...

    def skill(self, release: Release, skill: str) -> Mapping[str, Any] | None:
        """What a call of a skill costs; None: nothing."""
        ...


@dataclass(frozen=True, slots=True)
class Accounting:
    """All of it."""

    usage: Usage
    invoices: Invoices
    payouts: Payouts
    clock: BillingClock
    shown: Shown


def price_of(accounting: Accounting | None, release: Release, skill: str) -> Mapping[str, Any] | None:
    """What a call of a skill costs; None: nothing."""
    return None if accounting is None else accounting.shown.skill(release, skill)


def currencies(lines: Sequence[UsageLine]) -> list[str]:
    """The currencies in an answer, in order."""
    return sorted({money.currency for line in lines for money in line.money})
