"""The port of rails: ways that money comes and goes. The engine decides what a call costs and what budgets
leave; a rail says whether it can be paid, and pays.

Duties of a driver. Idempotency: each operation is named by a key (a run's, or the caller's own), and the
same key does a thing once. Durability: what an operation changes is statements for the write that it
belongs to; a write that is refused is taken back with `undo`. Books: a rail
that has its own says what they and the ledger disagree about (`RAILS` in check.py). Nothing is asked of
anybody else in `reserve` and `settle`, which are on the way of a call: a rail that has to ask somebody does
so before.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple, Protocol

from a2a_cloud.control.billing.accounts import Account
from a2a_cloud.control.billing.ledger import Line, Posting
from a2a_cloud.control.billing.rows import TxnRow
from a2a_cloud.model.billing import Money
from a2a_cloud.model.principal import Principal
from a2a_cloud.model.problem import PaymentRequired
from a2a_cloud.storage.journal.port import Op


class Quote(NamedTuple):
    """What a payer can pay now; `account` None: they have none with this rail."""

    account: Account | None
    available: int


class Reserved(NamedTuple):
    """What is set aside for one run in the ledger's account of its payer."""

    run: int
    account: Account | None
    amount: int


class Rail(Protocol):
    """See the module."""

    @property
    def name(self) -> str:
        """How payouts' documents call it."""
        ...

    def verify(self, payer: Principal, currency: str) -> Account | None:
        """The account that the evidence of who calls is good for; None where they have none here."""
        ...

    def quote(self, account: Account | None) -> Quote:
        """What can be paid from it now."""
        ...

    def challenge(self, quote: Quote, price: Money, what: str) -> PaymentRequired:
        """What a caller is told who can't pay: what it costs, what is left, how to get more."""
        ...

    def reserve(self, run: int, account: Account | None, amount: int) -> Reserved:
        """Set `amount` aside for a run: no more than was quoted. The engine writes the hold."""
        ...

    def undo(self, reserved: Reserved) -> None:
        """The run was not accepted after all, or ends without being charged."""
        ...

    def settle(
        self, reserved: Reserved, key: str, shares: Sequence[Line], *, org: int, by: str, memo: str
    ) -> Posting | None:
        """Pay `shares`, no more in sum than was reserved, and let go of the rest. None: there is nothing to
        pay."""
        ...

    def unsettle(self, reserved: Reserved, posting: Posting | None) -> None:
        """It could not be written: as it was before."""
        ...

    def refund(
        self, key: str, account: Account, back: Sequence[Line], *, run: int, refers: int, org: int, by: str,
        memo: str, asked: bytes,
    ) -> Posting:  # fmt: skip
        """Give back to a payer what a settlement took: a transaction that takes back that one's shares."""
        ...

    async def payout(
        self, key: str, owner: Account, amount: int, *, by: str, memo: str, more: Sequence[Op] = ()
    ) -> TxnRow:
        """Pay an owner what they are owed; `more` rides in the same write. Raises PaymentRequired (they are
        owed less), IdempotencyConflict."""
        ...
