"""Credits: what is paid into prepaid accounts, what is given back, and what ends. Each is a transaction;
with a key of the caller's it is made once."""

from __future__ import annotations

from typing import NamedTuple

from a2a_cloud.control.billing import charging
from a2a_cloud.control.billing.accounts import EXPIRED, ISSUED, PREPAID, Account, Part
from a2a_cloud.control.billing.budgets import Budgets
from a2a_cloud.control.billing.ledger import Credit, Ledger, Line, asked_sha256, check_amount
from a2a_cloud.control.billing.prices import Prices
from a2a_cloud.control.billing.rails.port import Rail
from a2a_cloud.control.billing.rows import GIVE_BACK, AccountRow, BillingRows, GrantRow, TxnRow
from a2a_cloud.model.billing import MOST, read_amount, read_currency, show_amount
from a2a_cloud.model.ports import Clock, Ids
from a2a_cloud.model.problem import Busy, InvalidParams, NotFound
from a2a_cloud.model.scope import SYSTEM, Scope
from a2a_cloud.storage.journal.port import Op
from a2a_cloud.storage.sql.audit import change

MOST_PRIORITY = 100


class Balance(NamedTuple):
    """An account, what may be held of it now, and the grants that it is made of."""

    row: AccountRow
    available: int
    grants: list[GrantRow]


class Refund(NamedTuple):
    """What was given back of a run's charge, and how much of it by now."""

    row: TxnRow
    amount: int
    refunded: int
    charged: int
    account: Account


class Credits:
    """See the module. On the loop's thread."""

    def __init__(
        self,
        rows: BillingRows,
        ledger: Ledger,
        rail: Rail,
        prices: Prices,
        budgets: Budgets,
        clock: Clock,
        ids: Ids,
    ) -> None:
        self._rows = rows
        self._ledger = ledger
        self._rail = rail
        self._prices = prices
        self._budgets = budgets
        self._clock = clock
        self._ids = ids
        #: Runs whose refunds are on their way: one at a time, so that none is counted twice.
        self._refunding: set[int] = set()

    async def grant(
        self,
        org: int,
        owner: int,
        name: str,
        amount: str,
        currency: str,
        *,
        by: str,
        by_org: int,
        priority: int = 0,
        expires: float | None = None,
        memo: str = "",
        key: str = "",
    ) -> tuple[TxnRow, Account]:
        """Pay credits into an organisation's account, or one principal's own (`owner`, `name`), which is
        made with the first. `by_org`: whose the key is. Raises InvalidParams, IdempotencyConflict."""
        currency = read_currency(currency)
        units = read_amount(amount, currency, self._ledger.accounts.scale(currency))
        check_amount(units)
        now = self._clock.now()
        if not -MOST_PRIORITY <= priority <= MOST_PRIORITY:
            raise InvalidParams(
                f"The priority is {priority}.", remedy=f"Write -{MOST_PRIORITY} to {MOST_PRIORITY}."
            )
        asked = asked_sha256(
            kind="credit", org=org, owner=owner, amount=units, currency=currency, priority=priority,
            expires=expires, memo=memo,
        )  # fmt: skip
        key = f"credit:{by_org}:{key}" if key else f"credit:{self._ids.new('key')}"
        new = self._ledger.earlier(key, asked) is None
        if new and expires is not None and expires <= now:
            raise InvalidParams("The credits would have ended already.", remedy="Let them end later.")
        accounts = self._ledger.accounts
        known = accounts.find(accounts.code(PREPAID, org, currency, name))
        if new and known is not None and known.balance + units > MOST:
            raise InvalidParams(
                f"{known.code} would have more than {show_amount(MOST, known.scale)}.",
                remedy="Pay in less; documents have no larger numbers.",
            )
        account, opened = accounts.of(PREPAID, org, currency, owner, name)
        issued, more = accounts.of(ISSUED, 0, currency)
        lines = [Line(account, units), Line(issued, -units)]
        event = change(
            org,
            now,
            by,
            "credit.granted",
            account.code,
            amount=show_amount(units, account.scale),
            currency=currency,
            memo=memo,
            sha256=asked.hex(),
        )

        _, row = await self._ledger.write(
            key,
            asked,
            lambda: (
                self._ledger.post(
                    "credit",
                    key,
                    lines,
                    org=org,
                    by=by,
                    memo=memo,
                    credit=Credit(priority, expires),
                    asked=asked,
                ),
                [*opened, *more, event],
            ),
            made=[one for one, made in ((account, opened), (issued, more)) if made],
        )
        return row, account

    def balances(self, scope: Scope, owner: int | None = None) -> list[Balance]:
        """An organisation's prepaid accounts, those of its principals too; `owner`: of one of them alone."""
        found: list[Balance] = []
        for row in self._rows.accounts(scope):
            if row.kind != PREPAID.name or (owner is not None and row.owner != owner):
                continue
            account = self._ledger.accounts.no(row.no)
            grants = self._rows.grants(Scope(org=row.org), row.no, 100)
            found.append(Balance(row, account.available(self._clock.now()), grants))
        return found

    async def refund(
        self,
        run: int,
        amount: str,
        *,
        by: str,
        by_org: int,
        memo: str = "",
        key: str = "",
        org: int | None = None,
    ) -> Refund:
        """Give back what a run was charged, or a part of it (`amount` "": what is left): a further
        transaction, and the budgets have it again. `by_org`: whose the key is; `org`: whose agent it has to
        have been. Raises NotFound,
        InvalidParams, PaymentRequired (more than is left of it), IdempotencyConflict."""
        hold = self._rows.hold(SYSTEM, run)
        offer = self._prices.reoffer(hold.price) if hold is not None and hold.captured else None
        if hold is None or hold.account is None or offer is None or org not in (None, offer.price.org):
            raise NotFound("The run was charged nothing.", remedy="See `a2a ledger ls`.")
        account = self._ledger.accounts.no(hold.account)
        charge, *earlier = self._rows.txns_of_run(SYSTEM, run)
        before = sum(self._given(row, account) for row in earlier)
        given = f"refund:{by_org}:{key}" if key else f"refund:{self._ids.new('key')}"
        asked = asked_sha256(kind="refund", run=run, amount=amount, memo=memo)
        known = self._ledger.earlier(given, asked)
        if known is not None:
            return Refund(known, self._given(known, account), before, hold.captured, account)
        left = hold.captured - before
        units = read_amount(amount, account.currency, account.scale) if amount else left
        if run in self._refunding:
            raise Busy("Something of this run is being given back.", remedy="Try again.", retry_after=1)
        if not 0 < units <= left:
            told = show_amount(left, account.scale)
            raise InvalidParams(
                f"The run was charged {show_amount(hold.captured, account.scale)} {account.currency}, of"
                f" which"
                f" {told} can be given back.",
                remedy="Give back an amount above 0, and no more than that.",
                info={"left": told, "currency": account.currency},
            )
        share = offer.terms.platform_share or 0
        # Of what will have been given back, less what was: in the end each gave what it got.
        now_split, then_split = charging.split(before + units, share), charging.split(before, share)
        back = [
            Line(whose, now - then)
            for whose, now, then in zip(
                (offer.owner, offer.fees, offer.rounding), now_split, then_split, strict=True
            )
        ]
        uses = [self._budgets.no(no, account.currency) for no in self._rows.uses_of_hold(SYSTEM, run)]
        more: list[Op] = [(GIVE_BACK, (units, use.org, use.no)) for use in uses]
        for use in uses:
            use.holds += 1
        told = show_amount(units, account.scale)
        detail = {
            "run_no": run,
            "amount": told,
            "currency": account.currency,
            "memo": memo,
            "sha256": asked.hex(),
        }
        more.append(change(offer.price.org, self._clock.now(), by, "charge.refunded", charge.id, **detail))
        self._refunding.add(run)
        try:
            _, row = await self._ledger.write(
                given,
                asked,
                lambda: (
                    self._rail.refund(
                        given, account, back, run=run, refers=charge.no, org=hold.org, by=by, memo=memo,
                        asked=asked,
                    ),
                    more,
                ),
            )  # fmt: skip
        finally:
            self._refunding.discard(run)
            for use in uses:
                use.holds -= 1
        for use in uses:
            use.spent -= units
        return Refund(row, units, before + units, hold.captured, account)

    def _given(self, refund: TxnRow, account: Account) -> int:
        """What a refund put into the payer's account."""
        lines = self._rows.entries(SYSTEM, refund.no)
        return sum(line.amount for line in lines if line.account == account.no)

    # --- what ends ------------------------------------------------------------------------------

    async def expire(self) -> int:
        """Take credits whose time is over out of their accounts, as far as nothing is held of them: of how
        many accounts."""
        now = self._clock.now()
        ended = 0
        for no in self._rows.expiring(SYSTEM, now):
            account = self._ledger.accounts.no(no)
            over = [part for part in account.parts if part.expires is not None and part.expires <= now]
            for part in over:
                amount = min(part.rest, account.balance - account.held)
                if amount > 0:
                    await self._end(account, part, amount)
                    ended += 1
        return ended

    async def _end(self, account: Account, part: Part, amount: int) -> None:
        accounts = self._ledger.accounts
        key = f"expiry:{part.no}:{part.rest}"
        asked = asked_sha256(kind="expiry", grant=part.no, rest=part.rest)
        expired, opened = accounts.of(EXPIRED, 0, account.currency)
        lines = [Line(account, -amount), Line(expired, amount)]
        told = {"amount": show_amount(amount, account.scale), "currency": account.currency, "grant": part.no}
        event = change(
            account.org,
            self._clock.now(),
            "platform",
            "credit.expired",
            account.code,
            sha256=asked.hex(),
            **told,
        )
        await self._ledger.write(
            key,
            asked,
            lambda: (
                self._ledger.post(
                    "expiry", key, lines, org=account.org, by="platform", burn=part, asked=asked
                ),
                [*opened, event],
            ),
            made=[expired] if opened else [],
        )
