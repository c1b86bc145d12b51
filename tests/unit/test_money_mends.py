"""Faults of billing that were found, each with what it did."""

from __future__ import annotations

import asyncio
from pathlib import Path

import pytest
from money_site import DAY, NOON, Clock, Site, site_of, tell

from a2a_cloud.control.billing.books import TRIAL_SECONDS, Books
from a2a_cloud.control.billing.budgets import RUN
from a2a_cloud.model.billing import Spend, Who
from a2a_cloud.model.problem import BadSetting, OverBudget, StorageFull
from a2a_cloud.model.scope import SYSTEM
from a2a_cloud.settings.billing import read_billing
from a2a_cloud.testing.commits import Commits, Fault

# --- what is not on disk is not taken for stored --------------------------------------------------


def test_a_budget_whose_first_call_was_refused_is_counted_on_disk(tmp_path: Path) -> None:
    """The call ended before its acceptance was refused: the next one has to make the budget's row."""

    async def story() -> None:
        site = await site_of(tmp_path)
        await site.price(call="0.40")
        await site.put_in("10.00")
        await site.budgets.set(2, "team", "1.00", "USD", "day", Who(), "root")
        refused = site.begin(fails=True)
        site.end(refused)
        await site.rest()
        assert not site.budgets.known()[0].stored
        site.end(site.begin())
        await site.rest()
        assert site.budgets.known()[0].stored
        site.sound()
        await site.close()
        site = Site(tmp_path)
        site.begin()
        with pytest.raises(OverBudget):  # 0.40 was spent before, and 0.40 is held.
            site.begin()
        await site.rest()
        site.sound()
        await site.close()

    tell(story)


def test_a_refused_end_says_nothing_of_a_calls_budget(tmp_path: Path) -> None:
    async def story() -> None:
        site = await site_of(tmp_path)
        await site.price(call="0.40")
        await site.put_in("10.00")
        run = site.begin(budget=Spend("1.00", "USD"))
        site.end(run, fails=True)
        assert not run.purse.stored
        await site.rest()
        assert site.rows.use(SYSTEM, 0, run.no, RUN) is not None
        site.sound()
        await site.close()

    tell(story)


# --- credits whose time is over -------------------------------------------------------------------


def test_living_credits_pay_before_those_whose_time_is_over(tmp_path: Path) -> None:
    async def story() -> None:
        clock = Clock()
        site = await site_of(tmp_path, clock)
        await site.price(call="0.30")
        await site.put_in("0.50", expires=NOON + DAY)
        await site.put_in("1.00")
        clock.at += 2 * DAY
        site.end(site.begin())
        await site.rest()
        account = site.accounts.find("prepaid/acme:USD")
        assert account is not None
        assert {part.expires: part.rest for part in account.parts} == {NOON + DAY: 50, None: 70}
        assert site.left() == 70
        site.sound()
        await site.close()

    tell(story)


def test_what_was_held_before_the_end_is_paid_by_what_ended(tmp_path: Path) -> None:
    async def story() -> None:
        clock = Clock()
        site = await site_of(tmp_path, clock)
        await site.price(call="0.30")
        await site.put_in("0.20")
        await site.put_in("0.25", expires=NOON + DAY)
        run = site.begin()
        clock.at += 2 * DAY
        site.end(run)
        await site.rest()
        account = site.accounts.find("prepaid/acme:USD")
        assert account is not None
        assert {part.expires: part.rest for part in account.parts} == {NOON + DAY: 15}
        assert site.left() == 0
        site.sound()
        await site.close()

    tell(story)


# --- memory ---------------------------------------------------------------------------------------


def test_what_nothing_counts_in_is_forgotten(tmp_path: Path) -> None:
    async def story() -> None:
        clock = Clock()
        site = await site_of(tmp_path, clock)
        await site.price(call="0.10")
        await site.put_in("10.00")
        for name, period in (("gone", "total"), ("team", "day"), ("all", "total")):
            await site.budgets.set(2, name, "5.00", "USD", period, Who(), "root")  # type: ignore[arg-type]
        run = site.begin(budget=Spend("1.00", "USD"))
        site.end(run)
        await site.rest()
        assert sorted(use.name for use in site.budgets.known()) == ["all", "gone", "team"]
        await site.budgets.remove(2, "gone", "root")
        clock.at += DAY
        # What a refund reads again is not kept either.
        await site.credits.refund(run.no, "0.05", by="root", by_org=1)
        site.sound()
        site.budgets.sweep()
        assert [(use.name, use.spent) for use in site.budgets.known()] == [("all", 5)]
        await site.close()
        site = Site(tmp_path, clock)
        await site.credits.refund(run.no, "", by="root", by_org=1)
        site.budgets.sweep()
        assert [use.name for use in site.budgets.known()] == ["all"]
        site.sound()
        await site.close()

    tell(story)


def test_what_something_counts_in_is_kept(tmp_path: Path) -> None:
    """An end on its way holds nothing, and may be refused; a run's own is needed between its calls."""

    async def story() -> None:
        clock = Clock()
        site = await site_of(tmp_path, clock)
        await site.price(call="0.10")
        await site.put_in("10.00")
        await site.budgets.set(2, "team", "5.00", "USD", "day", Who(), "root")
        run = site.begin(skill="free", budget=Spend("1.00", "USD"))
        child = site.begin(above=run)
        await site.rest()
        clock.at += DAY
        site.end(child, fails=True)
        site.budgets.sweep()
        assert len(site.budgets.known()) == 2
        await site.rest()
        site.sound()
        site.budgets.sweep()
        assert site.budgets.known() == [run.purse]
        site.end(run)
        await site.rest()
        assert site.budgets.known() == []
        site.sound()
        await site.close()

    tell(story)


# --- settings -------------------------------------------------------------------------------------


@pytest.mark.parametrize("digits", ["9" * 5000, "0" * 5000, "10", "", "-1"])
def test_digits_that_no_currency_has(digits: str) -> None:
    with pytest.raises(BadSetting):
        read_billing({"A2A_CURRENCIES": f"USD:{digits}"})
    assert read_billing({"A2A_CURRENCIES": "USD:6"}).currencies == (("USD", 6),)


# --- trial balances -------------------------------------------------------------------------------


def test_a_trial_balance_a_day_over_restarts_and_failures(tmp_path: Path) -> None:
    async def story() -> None:
        clock, faults = Clock(), Commits()
        site = await site_of(tmp_path, clock, commit=faults)

        def books() -> Books:
            return Books(site.rows, site.journal, clock, site.path, 1)

        def told() -> int:
            text = "SELECT COUNT(*) FROM audit_event WHERE kind='ledger.balanced'"
            return site.connection.execute(text).fetchone()[0]

        await site.put_in("1.00")
        first = books()
        faults.next(Fault.FULL)
        with pytest.raises(StorageFull):
            await first.tend()
        faults.set(None)
        await site.rest()
        assert told() == 0
        await asyncio.gather(first.tend(), first.tend())  # What failed is not left out for a day.
        assert told() == 1
        await books().tend()
        clock.at += TRIAL_SECONDS
        await books().tend()  # Nothing moved.
        assert told() == 1
        await site.put_in("1.00")
        again = books()
        await again.tend()
        await again.tend()
        assert told() == 2
        await site.put_in("1.00")
        await books().tend()  # The day is not over.
        assert told() == 2
        await site.close()

    tell(story)
