"""The first rail: credits that were paid in before. Its own books are the grants of credits, whose rests
are what the accounts have."""

from __future__ import annotations

import sqlite3
from collections.abc import Sequence

from a2a_cloud.control.billing.accounts import PAID_OUT, Account
from a2a_cloud.control.billing.ledger import Ledger, Line, Posting, asked_sha256, check_amount
from a2a_cloud.control.billing.rails.port import Quote, Reserved
from a2a_cloud.control.billing.rows import TxnRow
from a2a_cloud.model.billing import Money, show_amount
from a2a_cloud.model.ports import Clock
from a2a_cloud.model.principal import Principal
from a2a_cloud.model.problem import PaymentRequired
from a2a_cloud.storage.journal.port import Op

NAME = "prepaid"
_DIFFERENT = (
    "SELECT 'account ' || a.code || ' has ' || a.balance || ', its grants ' || COALESCE(SUM(g.rest), 0) FROM"
    " ledger_account a LEFT JOIN credit_grant g ON g.account=a.no AND g.rest>0 WHERE a.kind='prepaid' AND"
    " a.org>=0 GROUP BY a.no HAVING a.balance<>COALESCE(SUM(g.rest), 0)"
)


class Prepaid:
    """See `rails.port.Rail`."""

    name = NAME

    def __init__(self, ledger: Ledger, clock: Clock) -> None:
        self._ledger = ledger
        self._clock = clock

    def verify(self, payer: Principal, currency: str) -> Account | None:
        """See the port: who calls is the evidence, and their own account or their organisation's pays."""
        if payer.anonymous:
            return None
        return self._ledger.accounts.payer(payer.no, payer.name, payer.org_no, currency)

    def quote(self, account: Account | None) -> Quote:
        """See the port."""
        return Quote(account, 0 if account is None else account.available(self._clock.now()))

    def challenge(self, quote: Quote, price: Money, what: str) -> PaymentRequired:
        """See the port."""
        left = show_amount(quote.available, price.scale)
        where = (
            f"{quote.account.code} has {left} left" if quote.account is not None else "there is no account"
        )
        return PaymentRequired(
            f"{what} may cost {price}, and {where}.",
            remedy="Ask who runs the platform for credits: `a2a credits grant`. See yours: `a2a credits`.",
            info={
                "amount": show_amount(price.amount, price.scale),
                "currency": price.currency,
                "left": left,
                "rail": NAME,
            },
        )

    def reserve(self, run: int, account: Account | None, amount: int) -> Reserved:
        """See the port."""
        if account is not None:
            account.held += amount
        return Reserved(run, account, amount)

    def undo(self, reserved: Reserved) -> None:
        """See the port."""
        if reserved.account is not None:
            reserved.account.held -= reserved.amount

    def settle(
        self, reserved: Reserved, key: str, shares: Sequence[Line], *, org: int, by: str, memo: str
    ) -> Posting | None:
        """See the port."""
        self.undo(reserved)
        amount = sum(line.amount for line in shares)
        if not amount:
            return None
        assert reserved.account is not None
        assert amount <= reserved.amount, "no more than was reserved"
        return self._ledger.post(
            "charge",
            key,
            [Line(reserved.account, -amount), *shares],
            org=org,
            by=by,
            memo=memo,
            run=reserved.run,
        )

    def unsettle(self, reserved: Reserved, posting: Posting | None) -> None:
        """See the port."""
        if posting is not None:
            self._ledger.undo(posting)
        if reserved.account is not None:
            reserved.account.held += reserved.amount

    def refund(
        self,
        key: str,
        account: Account,
        back: Sequence[Line],
        *,
        run: int,
        refers: int,
        org: int,
        by: str,
        memo: str,
        asked: bytes,
    ) -> Posting:
        """See the port: what is given back are credits without an end."""
        amount = sum(line.amount for line in back)
        lines = [Line(account, amount), *(Line(line.account, -line.amount) for line in back)]
        return self._ledger.post(
            "refund", key, lines, org=org, by=by, memo=memo, run=run, refers=refers, asked=asked
        )

    async def payout(
        self, key: str, owner: Account, amount: int, *, by: str, memo: str, more: Sequence[Op] = ()
    ) -> TxnRow:
        """See the port: that an owner was paid by other means is written down."""
        check_amount(amount)
        if amount > owner.balance:
            raise PaymentRequired(
                f"{owner.code} has {show_amount(owner.balance, owner.scale)} to be paid out.",
                remedy="Pay out no more than that: see `a2a payouts statement`.",
                info={"left": show_amount(owner.balance, owner.scale), "currency": owner.currency},
            )
        key = f"payout:{key}"
        asked = asked_sha256(kind="payout", account=owner.code, amount=amount, memo=memo)
        paid_out, opened = self._ledger.accounts.of(PAID_OUT, 0, owner.currency)
        lines = [Line(owner, -amount), Line(paid_out, amount)]

        _, row = await self._ledger.write(
            key,
            asked,
            lambda: (
                self._ledger.post("payout", key, lines, org=owner.org, by=by, memo=memo, asked=asked),
                [*opened, *more],
            ),
            made=[paid_out] if opened else [],
        )
        return row


def reconcile(connection: sqlite3.Connection) -> list[str]:
    """What the grants of credits and the ledger disagree about, a sentence each (check.py)."""
    return [text for (text,) in connection.execute(_DIFFERENT)]
