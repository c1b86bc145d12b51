"""Paid calls, from acceptance to end. What a call may cost is held in the write that takes it; what it did
cost is charged in the write that ends it, with its usage: no write of its own, and none at all for a call
without a price.

Everything is decided on the loop from what is in memory, in the order in which the writes are queued, and the
database refuses what it does not agree with: an account below what is held of it, a budget past its amount,
a hold that ends twice. A write that is refused is taken back here.
"""

from __future__ import annotations

import logging
from collections.abc import Callable, Mapping
from decimal import Decimal
from fractions import Fraction
from typing import Any, NamedTuple, Protocol

from a2a_cloud.control.billing import charging
from a2a_cloud.control.billing.accounts import Accounts
from a2a_cloud.control.billing.budgets import Budgets, Use, span_of
from a2a_cloud.control.billing.charging import Used
from a2a_cloud.control.billing.ledger import Line, Posting
from a2a_cloud.control.billing.prices import Offer, Prices
from a2a_cloud.control.billing.rails.port import Rail, Reserved
from a2a_cloud.control.billing.rows import (
    ADD_HOLD,
    ADD_HOLD_USE,
    ADD_USAGE,
    END_HOLD,
    PUT_PRICE_USE,
    BillingRows,
    UnclaimedRow,
)
from a2a_cloud.model.billing import HANDLER, Money, show_amount
from a2a_cloud.model.ports import Clock
from a2a_cloud.model.problem import OverBudget, PaymentRequired
from a2a_cloud.model.receipt import PriceFacts, quantity
from a2a_cloud.model.run import Call
from a2a_cloud.model.scope import SYSTEM
from a2a_cloud.storage.journal.port import Op, Write

log = logging.getLogger("a2a_cloud.billing")

#: What is remembered of callers' use of prices, as long as nothing of it is open.
MOST_USED = 20_000


class Journal(Protocol):
    """The journal's queue."""

    def submit(self, write: Write) -> None:
        """Queue a write."""
        ...


class EndedRun(Protocol):
    """What settling needs to know of a run."""

    @property
    def no(self) -> int: ...
    @property
    def id(self) -> str: ...
    @property
    def call(self) -> Call: ...
    @property
    def usage(self) -> Mapping[tuple[str, str], Decimal] | None: ...
    @property
    def hold(self) -> Any: ...


class Hold:
    """What is set aside for a run that has not ended, and what that counts in."""

    __slots__ = ("bare", "free", "offer", "reserved", "settled", "used", "uses")

    def __init__(
        self, offer: Offer, reserved: Reserved, used: Used, uses: tuple[Use, ...], *, free: bool, bare: bool
    ) -> None:
        self.offer, self.reserved, self.used, self.uses = offer, reserved, used, uses
        self.free, self.bare = free, bare
        self.settled: _Settled | None = None

    @property
    def measures(self) -> tuple[str, ...]:
        """What the platform has to measure of the run."""
        return self.offer.measures


class _Settled(NamedTuple):
    """What settling did in memory, to take it back."""

    posting: Posting | None
    amount: int
    adds: dict[str, Fraction]


class Settlement(NamedTuple):
    """What a run's end says of money: `ops` for its write, `price` and `txn` for its receipt, and the
    canonical bytes of the transaction's entries (b"": there is none)."""

    ops: list[Op]
    price: PriceFacts | None = None
    txn: str = ""
    entries: bytes = b""


class Billing:
    """See the module. `alive` says whether a run, by its number, has not ended."""

    def __init__(
        self,
        rows: BillingRows,
        journal: Journal,
        clock: Clock,
        prices: Prices,
        budgets: Budgets,
        rail: Rail,
        accounts: Accounts,
    ) -> None:
        self._rows = rows
        self._journal = journal
        self._clock = clock
        self._prices = prices
        self._budgets = budgets
        self._rail = rail
        self._accounts = accounts
        self._used: dict[tuple[int, str, int, str], Used] = {}
        self.alive: Callable[[int], bool] = lambda _: True
        #: Holds of runs from before the platform was started, and those that live.
        self._unclaimed: dict[int, UnclaimedRow] = {row.hold.run: row for row in rows.open_holds(SYSTEM)}
        self._open: dict[int, Hold] = {}
        for row in self._unclaimed.values():
            self._restore(row)

    # --- acceptance -----------------------------------------------------------------------------

    def purse(self, call: Call, run: int) -> Use | None:
        """What its caller gave a call and all that it calls, if anything. Raises InvalidParams."""
        return None if call.budget is None else self._budgets.of_run(call, run, call.budget)

    def reserve(
        self, call: Call, run: int, purse: Use | None, *, strange: bool = False
    ) -> tuple[Hold, list[Op]] | None:
        """Set aside what a call may cost: the hold, and its statements for the acceptance's write. None: it
        costs nothing. `purse`: what a run above it was given, or itself. `strange`: another organisation's
        agent calls in the caller's name, and spends what they gave it and nothing else. Raises
        PaymentRequired, OverBudget; then nothing was set aside."""
        offer = self._prices.offer(call.release.agent_no, call.skill)
        if offer is None:
            return None
        price, caller = offer.price, call.principal
        what = f"{call.release.name}/{call.skill or HANDLER}"
        currency = offer.terms.currency
        used = self._used_of(offer, caller.no, self._clock.now())
        need = charging.need(price, used)
        if strange and purse is None and need.amount:
            told = show_amount(need.amount, price.scale)
            raise PaymentRequired(
                f"{what} may cost {told} {currency}, and another organisation's agent calls it: that spends"
                " what its caller gave the call, which is nothing.",
                remedy="Give the call that began it a budget: A2A-Budget.",
                info={"amount": told, "left": show_amount(0, price.scale), "currency": currency},
            )
        account = self._rail.verify(caller, currency)
        quote = self._rail.quote(account)
        amount, bare = need.amount, False
        if caller.anonymous or quote.available < amount:
            if caller.anonymous or not need.may_lack:
                if caller.anonymous:
                    raise PaymentRequired(
                        f"{what} has a price, and nobody says who calls.",
                        remedy="Call it with a key.",
                        info={"currency": currency},
                    )
                raise self._rail.challenge(quote, Money(amount, currency, price.scale), what)
            amount, bare = quote.available, True
        uses = self._budgets.of_call(call, currency) if amount else []
        if purse is not None and amount:
            if purse.currency != currency:
                raise OverBudget(
                    f"The call's budget is in {purse.currency}, and {what} costs {currency}.",
                    remedy=f"Give the call a budget in {currency}: A2A-Budget.",
                    info={"currency": currency, "budget": purse.name},
                )
            uses.append(purse)
        for use in uses:
            if amount > use.left:
                raise use.refusal(amount, what)
        hold = Hold(
            offer, self._rail.reserve(run, account, amount), used, tuple(uses), free=need.free, bare=bare
        )
        self._take(hold)
        self._put(run, hold)
        ops: list[Op] = [use.op() for use in uses if not use.stored]
        paid_by = None if account is None else account.no
        ops.append(
            (ADD_HOLD, (run, caller.org_no, paid_by, price.no, amount, int(need.free), self._clock.now()))
        )
        ops += [(ADD_HOLD_USE, (run, use.no, use.org)) for use in uses]
        return hold, ops

    def undo(self, hold: Hold) -> None:
        """The run was not accepted after all, though it may have begun, and ended, before that was known."""
        self.unsettle(hold)
        self._pop(hold.reserved.run)
        self._rail.undo(hold.reserved)
        self._let_go(hold)

    def resume(self, run: int) -> Hold | None:
        """The hold of a run from before the platform was started."""
        return self._open.get(run) if self._unclaimed.pop(run, None) is not None else None

    def _put(self, run: int, hold: Hold) -> None:
        self._open[run] = hold
        for use in hold.uses:
            use.holds += 1

    def _pop(self, run: int) -> Hold | None:
        hold = self._open.pop(run, None)
        if hold is not None:
            for use in hold.uses:
                use.holds -= 1
        return hold

    def _take(self, hold: Hold) -> None:
        amount, used = hold.reserved.amount, hold.used
        for use in hold.uses:
            use.held += amount
        used.open += 1
        used.open_free += hold.free
        used.open_bare += hold.bare

    def _let_go(self, hold: Hold) -> None:
        amount, used = hold.reserved.amount, hold.used
        for use in hold.uses:
            use.held -= amount
        used.open -= 1
        used.open_free -= hold.free
        used.open_bare -= hold.bare

    # --- the end --------------------------------------------------------------------------------

    def settle(self, run: EndedRun, state: str) -> Settlement:
        """Charge a run that ends as `state` (completed, failed, …), or let go of what was held for it; and
        write down what it used. The statements belong into the write of its end."""
        hold: Hold | None = run.hold
        now = self._clock.now()
        if hold is None:
            return Settlement(self._usage(run, state, now, 0, None, 0, "", None, line=0))
        offer, reserved, used = hold.offer, hold.reserved, hold.used
        terms = offer.terms
        charged = state == "completed" or (terms.charge_failed and state == "failed")
        quantities = {key: Fraction(qty) for key, qty in (run.usage or {}).items()}
        self._let_go(hold)
        amount = 0
        adds: dict[str, Fraction] = {}
        if charged:
            amount = min(charging.cost(offer.price, used, quantities, free=hold.free), reserved.amount)
            if offer.counts:
                adds = charging.counted(terms, quantities, amount)
                for meter, qty in adds.items():
                    used.qty[meter] = used.of(meter) + qty
        owner, platform, rest = charging.split(amount, terms.platform_share or 0)
        shares = [Line(offer.owner, owner), Line(offer.fees, platform), Line(offer.rounding, rest)]
        call = run.call
        caller = call.principal
        posting = self._rail.settle(
            reserved,
            f"charge:{run.id}",
            shares,
            org=caller.org_no,
            by=caller.label,
            memo=f"{call.release.name}/{call.skill or HANDLER}",
        )
        hold.settled = _Settled(posting, amount, adds)
        for use in hold.uses:
            use.spent += amount
        ops: list[Op] = [
            (END_HOLD, ("captured" if charged else "released", amount, now, run.no, caller.org_no))
        ]
        if posting is not None:
            ops += posting.ops
        whose = (offer.price.org, offer.price.agent, offer.price.skill, caller.no, used.span)
        ops += [(PUT_PRICE_USE, (*whose, meter, str(used.qty[meter]))) for meter in adds]
        paid_by = None if reserved.account is None else reserved.account.no
        txn = None if posting is None else posting.no
        ops += self._usage(run, state, now, offer.price.no, paid_by, amount, terms.currency, txn, line=1)
        facts = PriceFacts(
            amount=amount, currency=terms.currency, scale=offer.price.scale, version=offer.price.version
        )
        if posting is None:
            return Settlement(ops, facts)
        return Settlement(ops, facts, posting.id, posting.entries)

    def unsettle(self, hold: Hold) -> None:
        """What settling did could not be written: the hold is as it was before."""
        done, hold.settled = hold.settled, None
        if done is None:
            return
        self._rail.unsettle(hold.reserved, done.posting)
        self._take(hold)
        for use in hold.uses:
            use.spent -= done.amount
        for meter, qty in done.adds.items():
            hold.used.qty[meter] = hold.used.of(meter) - qty

    def over(self, run: int, purse: Use | None) -> None:
        """A run has ended, and that is on disk: nothing of it is remembered. `purse`: its own."""
        hold = self._pop(run)
        if hold is not None:
            for use in hold.uses:
                use.stored = True  # The acceptance made its row if nothing had, and is on disk too.
        if purse is not None:
            self._budgets.forget(purse)

    def _usage(
        self,
        run: EndedRun,
        state: str,
        now: float,
        price: int,
        account: int | None,
        amount: int,
        currency: str,
        txn: int | None,
        *,
        line: int,
    ) -> list[Op]:
        """A row per meter; the call itself, if it has a price, in line 0."""
        call = run.call
        caller, release = call.principal, call.release
        whose = (
            release.org_no,
            release.agent_no,
            call.skill,
            caller.org_no,
            caller.no,
            caller.key_id,
            now,
            state,
        )
        ops: list[Op] = []
        if line:
            row = ("call", "", "1", price, account, amount, currency, txn)
            ops.append((ADD_USAGE, (run.no, 0, *whose, *row)))
        for place, ((meter, unit), qty) in enumerate(sorted((run.usage or {}).items()), line):
            ops.append(
                (
                    ADD_USAGE,
                    (run.no, place, *whose, meter, unit, quantity(qty), price, account, 0, currency, txn),
                )
            )
        return ops

    # --- use of prices --------------------------------------------------------------------------

    def _used_of(self, offer: Offer, caller: int, at: float) -> Used:
        price, flat = offer.price, offer.terms.flat
        span = span_of(flat.period if flat is not None else "month", at)
        key = (price.agent, price.skill, caller, span)
        found = self._used.get(key)
        if found is None:
            if len(self._used) >= MOST_USED:
                # What a run has used that has just ended may not be on disk yet.
                busy = {id(hold.used) for hold in self._open.values()}
                self._used = {one: used for one, used in self._used.items() if id(used) in busy}
            stored = self._rows.price_use(SYSTEM, price.agent, price.skill, caller, span)
            qty = {meter: Fraction(text) for meter, text in stored.items()}
            found = self._used[key] = Used(span, qty)
        return found

    # --- what nobody owns -----------------------------------------------------------------------

    def _restore(self, row: UnclaimedRow) -> None:
        hold = row.hold
        offer = self._prices.reoffer(hold.price)
        account = None if hold.account is None else self._accounts.no(hold.account)
        currency = offer.terms.currency
        uses = tuple(self._budgets.no(no, currency) for no in row.uses)
        used = self._used_of(offer, row.caller, hold.created)
        lacking = bool(offer.terms.meters) and hold.amount < charging.need(offer.price, used).amount
        bare = lacking and not hold.free
        restored = Hold(
            offer, Reserved(hold.run, account, hold.amount), used, uses, free=bool(hold.free), bare=bare
        )
        # What its account and budgets have held was read with them.
        used.open += 1
        used.open_free += restored.free
        used.open_bare += restored.bare
        self._put(hold.run, restored)

    def sweep(self) -> int:
        """End holds of runs that are gone: how many there were."""
        gone = [hold for no, hold in self._open.items() if not self.alive(no)]
        for hold in gone:
            self._unclaimed.pop(hold.reserved.run, None)
            self._expire(hold)
        return len(gone)

    def _expire(self, hold: Hold) -> None:
        run = hold.reserved.run
        row = self._rows.hold(SYSTEM, run)
        self.undo(hold)
        if row is None or row.state != "open":
            return

        def done(error: BaseException | None) -> None:
            if error is not None:
                log.critical("the hold of run %d, which is gone, could not be ended: %s", run, error)

        self._journal.submit(
            Write([(END_HOLD, ("expired", 0, self._clock.now(), run, row.org))], done, must=True)
        )
