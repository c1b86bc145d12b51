"""Budgets in money: what an organisation's callers may spend in a day, a month or at all, alone or
together; and what one call may cost with everything that it calls.

A budget's period is a `Use`: what was spent, and what is held for calls that have not ended. Both are
counted here when they happen, and kept by triggers in the writes that they are part of.
"""

from __future__ import annotations

import asyncio
import re
from datetime import UTC, datetime, timedelta
from typing import Any, NamedTuple

import msgspec

from a2a_cloud.control.billing.accounts import Accounts
from a2a_cloud.control.billing.ledger import Journal
from a2a_cloud.control.billing.rows import (
    ADD_BUDGET,
    ADD_USE,
    REMOVE_BUDGET,
    SET_BUDGET,
    SET_MOST,
    BillingRows,
    BudgetRow,
    UseRow,
)
from a2a_cloud.model.billing import (
    HANDLER,
    Budget,
    Period,
    Spend,
    Who,
    read_amount,
    read_currency,
    show_amount,
)
from a2a_cloud.model.ports import Clock
from a2a_cloud.model.problem import InvalidParams, NotFound, OverBudget
from a2a_cloud.model.run import Call
from a2a_cloud.model.scope import SYSTEM, Scope
from a2a_cloud.model.stamp import stamp
from a2a_cloud.storage.journal.port import Op
from a2a_cloud.storage.sql.audit import change

#: Budgets of one organisation.
MOST_BUDGETS = 1000
#: Names of one kind in one budget: every call of the organisation that costs something is held against them.
MOST_NAMES = 100
#: The span of one call's own.
RUN = "run"
_NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]{0,63}", re.ASCII)

_who = msgspec.json.Decoder(Who)
_encode = msgspec.json.Encoder(order="deterministic").encode


class Use:
    """A budget's period, or one call's own. `ends`: when it is over, None: never. `stored` once its row is
    known to be there: until then each hold makes it. `holds`: those that count in it, and whatever else needs
    it in memory; `lives`: the run whose own it is has not ended."""

    __slots__ = (
        "budget",
        "currency",
        "ends",
        "held",
        "holds",
        "lives",
        "most",
        "name",
        "no",
        "org",
        "scale",
        "span",
        "spent",
        "stored",
        "subject",
    )

    def __init__(
        self, row: UseRow, name: str, currency: str, scale: int, ends: float | None, *, stored: bool
    ) -> None:
        self.no, self.org, self.budget, self.subject, self.span = (
            row.no,
            row.org,
            row.budget,
            row.subject,
            row.span,
        )
        self.most, self.spent, self.held = row.most, row.spent, row.held
        self.name, self.currency, self.scale, self.ends = name, currency, scale, ends
        self.stored = stored
        self.holds = 0
        self.lives = False

    @property
    def left(self) -> int:
        """What can still be held."""
        return max(0, self.most - self.spent - self.held)

    def op(self) -> Op:
        """What makes its row."""
        return ADD_USE, (self.no, self.org, self.budget, self.subject, self.span, self.most)

    def refusal(self, amount: int, what: str) -> OverBudget:
        """That it does not reach for `amount`."""
        left, again = show_amount(self.left, self.scale), stamp(self.ends) if self.ends is not None else ""
        own = self.span == RUN
        whose = "What this call may cost" if own else f"The budget {self.name}"
        info = {"amount": show_amount(amount, self.scale), "left": left, "currency": self.currency}
        remedy = "Give the call more: A2A-Budget." if own else "Ask for more: `a2a budgets set`."
        return OverBudget(
            f"{what} may cost {show_amount(amount, self.scale)} {self.currency}, and"
            f" {whose[0].lower()}{whose[1:]}"
            f" leaves {left}.",
            remedy=f"There is more from {again}. {remedy}" if again else remedy,
            info={**info, "budget": self.name, **({"again": again} if again else {})},
        )


class Shown(NamedTuple):
    """A budget and what was used of it in the period that goes on."""

    budget: Budget
    uses: list[Use]
    ends: float | None


class Budgets:
    """See the module."""

    def __init__(
        self,
        rows: BillingRows,
        accounts: Accounts,
        journal: Journal,
        clock: Clock,
        numbers: dict[str, int],
    ) -> None:
        self._rows = rows
        self._accounts = accounts
        self._journal = journal
        self._clock = clock
        self._last = numbers["spend_budget"]
        self._last_use = numbers["spend_use"]
        self._setting = asyncio.Lock()
        self._budgets: dict[int, dict[str, Budget]] = {}
        self._uses: dict[tuple[int, int, str], Use] = {}
        self._by_no: dict[int, Use] = {}
        for row in rows.budgets(SYSTEM):
            self._budgets.setdefault(row.org, {})[row.name] = _budget(row)

    # --- calls ----------------------------------------------------------------------------------

    def of_call(self, call: Call, currency: str) -> list[Use]:
        """The budgets that a call counts in."""
        own = self._budgets.get(call.principal.org_no)
        if not own:
            return []
        return [
            self._use(budget, call.principal.no if budget.who.each else 0)
            for budget in own.values()
            if budget.currency == currency and _matches(budget.who, call)
        ]

    def of_run(self, call: Call, run: int, spend: Spend) -> Use:
        """What the caller gave one call. Raises InvalidParams."""
        scale = self._accounts.scale(spend.currency)
        most = read_amount(spend.amount, spend.currency, scale, "The call's budget")
        row = self._rows.use(SYSTEM, 0, run, RUN)
        if row is not None:
            known = self._by_no.get(row.no)
            if known is not None:
                known.lives = True
                return known
        self._last_use += row is None
        made = row or UseRow(self._last_use, call.principal.org_no, 0, run, RUN, most, 0, 0)
        use = Use(made, RUN, spend.currency, scale, None, stored=row is not None)
        use.lives = True
        self._by_no[use.no] = use
        return use

    def no(self, no: int, currency: str) -> Use:
        """A period by its number, which exists."""
        found = self._by_no.get(no)
        if found is None:
            row = self._rows.use_no(SYSTEM, no)
            assert row is not None, f"the period {no} is named and not there"
            name, ends = "", None
            for one in self._budgets.get(row.org, {}).values():
                if one.no == row.budget:
                    name = one.name
                    ends = self._ends(one.period) if row.span == self._span(one.period) else None
            found = self._by_no[no] = Use(
                row, name, currency, self._accounts.scale(currency), ends, stored=True
            )
            if row.budget:
                self._uses[row.budget, row.subject, row.span] = found
        return found

    def known(self) -> list[Use]:
        """Those that are in memory."""
        return list(self._by_no.values())

    def forget(self, use: Use) -> None:
        """The call whose own it was is over."""
        use.lives = False
        if not use.holds:
            self._by_no.pop(use.no, None)

    def sweep(self) -> None:
        """Let go of what nothing counts in any more: runs' own that have ended, periods that are over, those
        of budgets that are gone. What a refund needs of them is read again."""
        living = {
            budget.no: self._span(budget.period) for own in self._budgets.values() for budget in own.values()
        }
        for use in self.known():
            if not (use.holds or use.lives or living.get(use.budget) == use.span):
                del self._by_no[use.no]
                self._uses.pop((use.budget, use.subject, use.span), None)

    def _use(self, budget: Budget, subject: int) -> Use:
        span = self._span(budget.period)
        found = self._uses.get((budget.no, subject, span))
        if found is None:
            row = self._rows.use(SYSTEM, budget.no, subject, span)
            self._last_use += row is None
            made = row or UseRow(self._last_use, budget.org, budget.no, subject, span, budget.amount, 0, 0)
            ends = self._ends(budget.period)
            found = Use(made, budget.name, budget.currency, budget.scale, ends, stored=row is not None)
            self._uses[budget.no, subject, span] = self._by_no[found.no] = found
        return found

    def _span(self, period: Period) -> str:
        return span_of(period, self._clock.now())

    def _ends(self, period: Period) -> float | None:
        return end_of(period, self._clock.now())

    # --- what organisations set -----------------------------------------------------------------

    def shown(self, org: int) -> list[Shown]:
        """An organisation's budgets, by name."""
        found: list[Shown] = []
        for _, budget in sorted(self._budgets.get(org, {}).items()):
            span = self._span(budget.period)
            for row in self._rows.uses(Scope(org=org), budget.no, span):
                self.no(row.no, budget.currency)
            uses = [use for (no, _, at), use in self._uses.items() if no == budget.no and at == span]
            found.append(Shown(budget, uses, self._ends(budget.period)))
        return found

    async def set(
        self, org: int, name: str, amount: str, currency: str, period: Period, who: Who, by: str
    ) -> Budget:
        """Set a budget, or change one: what was spent in the period that goes on stays spent, unless it is
        for another currency or period, or for each instead of all together. Raises InvalidParams."""
        async with self._setting:
            return await self._set(org, name, amount, currency, period, who, by)

    async def _set(
        self, org: int, name: str, amount: str, currency: str, period: Period, who: Who, by: str
    ) -> Budget:
        if _NAME.fullmatch(name) is None:
            raise InvalidParams(
                f"{name[:80]!r} is no name of a budget.",
                remedy="Use letters, digits, `.`, `_`, `-`, 64 at most.",
            )
        if max(len(who.callers), len(who.keys), len(who.agents), len(who.skills)) > MOST_NAMES:
            raise InvalidParams(
                f"A budget names {MOST_NAMES} callers, keys, agents or skills at most.",
                remedy="Make several, or leave the list out.",
            )
        currency = read_currency(currency)
        scale = self._accounts.scale(currency)
        units = read_amount(amount, currency, scale)
        own = self._budgets.setdefault(org, {})
        before = own.get(name)
        if before is None and len(own) >= MOST_BUDGETS:
            raise InvalidParams(f"An organisation has {MOST_BUDGETS} budgets at most.", remedy="Remove some.")
        at = self._clock.now()
        told = _encode(who).decode()
        goes_on = before is not None and (before.currency, before.period, before.who.each) == (
            currency,
            period,
            who.each,
        )
        if before is not None and goes_on:
            no, span = before.no, self._span(period)
            ops: list[Op] = [
                (SET_BUDGET, (units, told, at, by, org, no)),
                (SET_MOST, (units, org, no, span)),
            ]
        else:
            self._last += 1
            no, span = self._last, ""
            ops = [(REMOVE_BUDGET, (at, org, before.no))] if before is not None else []
            ops.append((ADD_BUDGET, (no, org, name, units, currency, scale, period, told, at, by)))
        event: dict[str, Any] = {"amount": show_amount(units, scale), "currency": currency, "period": period}
        ops.append(change(org, at, by, "budget.set", name, who=told, **event))
        # Calls that are queued behind this write go by it, and no others.
        made = own[name] = Budget(no, org, name, units, currency, scale, period, who, at, by)
        self._limit(no, span, units)
        try:
            await self._journal.write(ops)
        except BaseException:
            if before is None:
                del own[name]
            else:
                own[name] = before
                self._limit(no, span, before.amount)
            raise
        return made

    def _limit(self, no: int, span: str, units: int) -> None:
        for (budget, _, each), use in self._uses.items():
            if (budget, each) == (no, span):
                use.most = units

    async def remove(self, org: int, name: str, by: str) -> None:
        """Take a budget away. Raises NotFound."""
        async with self._setting:
            await self._remove(org, name, by)

    async def _remove(self, org: int, name: str, by: str) -> None:
        budget = self._budgets.get(org, {}).get(name)
        if budget is None:
            raise NotFound(f"There is no budget {name[:80]!r}.", remedy="See `a2a budgets ls`.")
        at = self._clock.now()
        await self._journal.write(
            [(REMOVE_BUDGET, (at, org, budget.no)), change(org, at, by, "budget.removed", name)]
        )
        self._budgets[org].pop(name, None)


def _budget(row: BudgetRow) -> Budget:
    return Budget(
        row.no,
        row.org,
        row.name,
        row.amount,
        row.currency,
        row.scale,
        row.period,  # type: ignore[arg-type]
        _who.decode(row.body),
        row.at,
        row.set_by,
    )


def _matches(who: Who, call: Call) -> bool:
    caller, release = call.principal, call.release
    if who.callers and caller.name not in who.callers:
        return False
    if who.keys and caller.key_id not in who.keys:
        return False
    if not who.agents and not who.skills:
        return True
    agent = release.name if release.org_no == caller.org_no else f"{release.org}.{release.name}"
    return agent in who.agents or f"{agent}/{call.skill or HANDLER}" in who.skills


def span_of(period: Period, now: float) -> str:
    """The name of the period that goes on: a day or month of UTC, or all time."""
    if period == "total":
        return period
    at = datetime.fromtimestamp(now, UTC)
    return f"{at:%Y-%m-%d}" if period == "day" else f"{at:%Y-%m}"


def end_of(period: Period, now: float) -> float | None:
    """When it is over, in wall seconds."""
    if period == "total":
        return None
    begins = datetime.fromtimestamp(now, UTC).replace(hour=0, minute=0, second=0, microsecond=0)
    if period == "day":
        return (begins + timedelta(days=1)).timestamp()
    return (begins.replace(day=28) + timedelta(days=4)).replace(day=1).timestamp()
