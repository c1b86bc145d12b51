"""What the surface needs of money: prices, budgets, credits and the ledger (control/billing). What people
see of usage and invoices is another port (surface/accounting_port.py)."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Protocol

from a2a_cloud.model.billing import Budget, Period, Price, Terms, Who
from a2a_cloud.model.scope import Scope


class Prices(Protocol):
    """What skills cost."""

    def current(self, agent: int) -> Sequence[Price]:
        """Prices of an agent's skills that hold."""
        ...

    def history(self, org: int, agent: int) -> Sequence[Price]:
        """All their versions, of each skill the newest first."""
        ...

    async def set(
        self, org: int, agent: int, skill: str, terms: Terms | None, *, name: str, by: str, may_share: bool
    ) -> Price:
        """Make a further version; `terms` None: it costs nothing from now on. Raises InvalidParams,
        Forbidden, NotFound."""
        ...


class Use(Protocol):
    """A budget's period, by all or one (`subject`, a principal's number)."""

    @property
    def subject(self) -> int: ...
    @property
    def spent(self) -> int: ...
    @property
    def held(self) -> int: ...
    @property
    def left(self) -> int: ...


class ShownBudget(Protocol):
    """A budget, what was used of it in the period that goes on, and when that ends (wall seconds)."""

    @property
    def budget(self) -> Budget: ...
    @property
    def uses(self) -> Sequence[Use]: ...
    @property
    def ends(self) -> float | None: ...


class Budgets(Protocol):
    """What an organisation's callers may spend."""

    def shown(self, org: int) -> Sequence[ShownBudget]:
        """By name."""
        ...

    async def set(
        self, org: int, name: str, amount: str, currency: str, period: Period, who: Who, by: str
    ) -> Budget:
        """Set or change one. Raises InvalidParams."""
        ...

    async def remove(self, org: int, name: str, by: str) -> None:
        """Take one away. Raises NotFound."""
        ...


class Account(Protocol):
    """An account of the ledger."""

    @property
    def code(self) -> str: ...
    @property
    def org(self) -> int: ...
    @property
    def owner(self) -> int: ...
    @property
    def currency(self) -> str: ...
    @property
    def scale(self) -> int: ...
    @property
    def balance(self) -> int: ...
    @property
    def held(self) -> int: ...


class Grant(Protocol):
    """Credits that were paid in at once."""

    @property
    def id(self) -> str: ...
    @property
    def amount(self) -> int: ...
    @property
    def rest(self) -> int: ...
    @property
    def priority(self) -> int: ...
    @property
    def expires(self) -> float | None: ...
    @property
    def created(self) -> float: ...
    @property
    def made_by(self) -> str: ...
    @property
    def memo(self) -> str: ...


class Balance(Protocol):
    """A prepaid account, what may be held of it now, and its grants."""

    @property
    def row(self) -> Account: ...
    @property
    def available(self) -> int: ...
    @property
    def grants(self) -> Sequence[Grant]: ...


class Txn(Protocol):
    """A transaction."""

    @property
    def no(self) -> int: ...
    @property
    def id(self) -> str: ...
    @property
    def kind(self) -> str: ...
    @property
    def run(self) -> int | None: ...
    @property
    def at(self) -> float: ...
    @property
    def made_by(self) -> str: ...
    @property
    def memo(self) -> str: ...


class Entry(Protocol):
    """A line of one."""

    @property
    def line(self) -> int: ...
    @property
    def code(self) -> str: ...
    @property
    def amount(self) -> int: ...
    @property
    def currency(self) -> str: ...
    @property
    def scale(self) -> int: ...


class Refund(Protocol):
    """What was given back of a run's charge: now, and by now."""

    @property
    def row(self) -> Txn: ...
    @property
    def amount(self) -> int: ...
    @property
    def refunded(self) -> int: ...
    @property
    def charged(self) -> int: ...
    @property
    def account(self) -> Account: ...


class Credits(Protocol):
    """What is paid in and given back."""

    async def grant(
        self, org: int, owner: int, name: str, amount: str, currency: str, *, by: str, by_org: int,
        priority: int = 0, expires: float | None = None, memo: str = "", key: str = "",
    ) -> tuple[Txn, Account]:  # fmt: skip
        """Pay into an organisation's account, or one principal's (`owner`, `name`). Raises InvalidParams,
        IdempotencyConflict."""
        ...

    def balances(self, scope: Scope, owner: int | None = None) -> Sequence[Balance]:
        """An organisation's accounts, or one principal's."""
        ...

    async def refund(
        self, run: int, amount: str, *, by: str, by_org: int, memo: str = "", key: str = "",
        org: int | None = None,
    ) -> Refund:  # fmt: skip
        """Give back what a run was charged. Raises NotFound, InvalidParams, PaymentRequired,
        IdempotencyConflict."""
        ...


class Finding(Protocol):
    """A check of the ledger, and what breaks it."""

    @property
    def name(self) -> str: ...
    @property
    def says(self) -> str: ...
    @property
    def broken(self) -> Sequence[str]: ...


class Trial(Protocol):
    """A trial balance."""

    @property
    def accounts(self) -> Sequence[tuple[str, str, int, int]]: ...
    @property
    def sums(self) -> Mapping[str, int]: ...
    @property
    def txn(self) -> int: ...
    @property
    def sha256(self) -> str: ...


class Books(Protocol):
    """The ledger to read."""

    def accounts(self, scope: Scope) -> Sequence[Account]:
        """An organisation's accounts."""
        ...

    def txns(self, scope: Scope, before: int, most: int) -> Sequence[tuple[Txn, Sequence[Entry]]]:
        """Transactions in them, the newest first, with the lines in them."""
        ...

    def txn(self, scope: Scope, id_: str) -> tuple[Txn, Sequence[Entry]]:
        """One. Raises NotFound."""
        ...

    def run_no(self, scope: Scope, id_: str) -> int:
        """A run of an organisation's agents. Raises RunNotFound."""
        ...

    def run_id(self, no: int) -> str:
        """The id of a transaction's run."""
        ...

    def caller_no(self, org: int, name: str) -> int:
        """One of an organisation's callers. Raises NotFound."""
        ...

    def caller_name(self, org: int, no: int) -> str:
        """How one of them is called."""
        ...

    async def check(self) -> Sequence[Finding]:
        """Whether it adds up."""
        ...

    async def balance(self, by: str) -> Trial:
        """A trial balance, into the log."""
        ...


@dataclass(frozen=True, slots=True)
class Money:
    """All of it."""

    prices: Prices
    budgets: Budgets
    credits: Credits
    books: Books
