"""Money where things go wrong at the same moment: writes that fail together, budgets that change under calls,
months that end while calls run, keys that are used twice, rows that somebody has changed."""

from __future__ import annotations

import asyncio
import sqlite3
from decimal import Decimal
from pathlib import Path
from typing import Any

import pytest
from money_site import DAY, Clock, Site, site_of, tell

from a2a_cloud.app.billing import Money
from a2a_cloud.control.billing import holds
from a2a_cloud.control.billing.books import Books
from a2a_cloud.control.billing.check import CHECKS, check
from a2a_cloud.model.billing import Flat, Meter, Spend, Terms, Tier, Who, check_terms, read_currency
from a2a_cloud.model.problem import (
    IdempotencyConflict,
    InvalidParams,
    OverBudget,
    PaymentRequired,
    StorageFull,
)
from a2a_cloud.model.receipt import is_decimal
from a2a_cloud.model.scope import SYSTEM
from a2a_cloud.runtime.frames import add_usage
from a2a_cloud.testing.commits import Commits, Fault


def test_nothing_is_spent_of_credits_that_are_not_on_disk(tmp_path: Path) -> None:
    """The disk is full: the grant fails, the end of the call is kept and written later."""

    async def story() -> None:
        site = await site_of(tmp_path)
        await site.price(call="0.60")
        await site.put_in("1.00")
        run = site.begin()
        await site.rest()
        await site.close()
        site = Site(tmp_path, commit=Commits({1: Fault.FULL}))
        run.hold = site.billing.resume(run.no)
        site.live[run.no] = run
        grant = asyncio.ensure_future(site.put_in("5.00", priority=9))
        await asyncio.sleep(0)
        with pytest.raises(PaymentRequired):
            site.begin()  # It has 0.40 until the grant is on disk.
        site.end(run)
        with pytest.raises(StorageFull):
            await grant
        await site.rest()
        assert site.left() == 40
        site.sound()
        await site.close()

    tell(story)


def test_a_budget_changes_between_two_calls_and_not_within_one(tmp_path: Path) -> None:
    async def story() -> None:
        site = await site_of(tmp_path)
        await site.price(call="0.40")
        await site.put_in("100.00")
        await site.budgets.set(2, "team", "5.00", "USD", "day", Who(), "root")

        async def set_to(amount: str) -> None:
            await site.budgets.set(2, "team", amount, "USD", "day", Who(), "root")

        lower = asyncio.ensure_future(set_to("0.50"))
        await asyncio.sleep(0)
        runs = [site.begin()]
        with pytest.raises(OverBudget):
            site.begin()
        await lower
        higher = asyncio.ensure_future(set_to("0.90"))
        await asyncio.sleep(0)
        runs.append(site.begin())
        await higher
        await site.rest()
        assert [run.stored for run in runs] == [True, True]
        site.sound()
        await site.close()

    tell(story)


def test_a_budgets_first_call_while_it_is_changed(tmp_path: Path) -> None:
    async def story() -> None:
        site = await site_of(tmp_path)
        await site.price(call="0.40")
        await site.put_in("100.00")
        await site.budgets.set(2, "team", "0.40", "USD", "day", Who(), "root")
        higher = asyncio.ensure_future(site.budgets.set(2, "team", "5.00", "USD", "day", Who(), "root"))
        await asyncio.sleep(0)
        runs = [site.begin()]
        await higher
        runs += [site.begin() for _ in range(3)]
        await site.rest()
        assert [run.stored for run in runs] == [True] * 4
        site.sound()
        await site.close()

    tell(story)


def test_a_call_of_the_old_month_counts_there_after_a_restart_too(tmp_path: Path) -> None:
    async def story() -> None:
        clock = Clock()
        site = await site_of(tmp_path, clock)
        await site.price(call="0.10", free_calls=1)
        await site.put_in("9.00")
        old = [site.begin(), site.begin()]
        assert [run.hold.reserved.amount for run in old if run.hold] == [0, 10]
        await site.rest()
        await site.close()
        clock.at += 31 * DAY
        site = Site(tmp_path, clock)
        for run in old:
            run.hold = site.billing.resume(run.no)
            site.live[run.no] = run
        new = site.begin()
        assert new.hold is not None
        assert new.hold.reserved.amount == 0
        assert [one.price.amount for one in map(site.end, [*old, new]) if one.price] == [0, 10, 0]
        await site.rest()
        spans = dict(site.connection.execute("SELECT span, qty FROM price_use WHERE meter='#calls'"))
        assert spans == {"2027-01": "2", "2027-02": "1"}
        site.sound()
        await site.close()

    tell(story)


def test_a_free_call_is_not_forgotten_before_it_is_on_disk(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    async def story() -> None:
        site = await site_of(tmp_path)
        await site.price(call="0.10", free_calls=1)
        await site.price("other", call="0.10")
        await site.put_in("9.00")
        monkeypatch.setattr(holds, "MOST_USED", 1)
        run = site.begin()
        await site.rest()
        site.end(run)
        site.begin(skill="other")
        again = site.begin()
        assert again.hold is not None
        assert again.hold.reserved.amount == 10
        await site.rest()
        site.sound()
        await site.close()

    tell(story)


def test_one_key_is_one_refund(tmp_path: Path) -> None:
    async def story() -> None:
        site = await site_of(tmp_path)
        await site.price(call="0.10")
        await site.put_in("9.00")
        runs = [site.begin(), site.begin()]
        for run in runs:
            site.end(run)
        await site.rest()
        await site.credits.refund(runs[0].no, "", by="root", by_org=1, key="k")
        with pytest.raises(IdempotencyConflict):
            await site.credits.refund(runs[1].no, "", by="root", by_org=1, key="k")
        await site.credits.refund(runs[1].no, "", by="ada", by_org=2, key="k")  # Another's key.
        site.sound()
        await site.close()

    tell(story)


def test_an_account_that_was_not_made_is_made_with_the_next(tmp_path: Path) -> None:
    async def story() -> None:
        site = await site_of(tmp_path)
        await site.price(call="0.10")
        await site.prices.set(
            1, 7, "euro", Terms("EUR", call="0.10"), name="desk/euro", by="root", may_share=True
        )
        await site.put_in("1.00")
        await site.credits.grant(2, 0, "", "1.00", "EUR", by="root", by_org=1)
        for skill in ("ask", "euro"):
            site.end(site.begin(skill=skill))
        await site.rest()
        owners = [site.accounts.find(f"owner/default:{code}") for code in ("USD", "EUR")]
        assert owners[0] is not None
        assert owners[1] is not None
        first = asyncio.ensure_future(site.rail.payout("k", owners[0], 1, by="root", memo=""))
        await asyncio.sleep(0)
        with pytest.raises(IdempotencyConflict):
            await site.rail.payout("k", owners[1], 1, by="root", memo="")
        await first
        await site.rail.payout("l", owners[1], 1, by="root", memo="")
        with pytest.raises(IdempotencyConflict):
            await site.rail.payout("k", owners[1], 1, by="root", memo="")
        site.sound()
        await site.close()

    tell(story)


def test_a_budget_keeps_the_digits_of_its_currency(tmp_path: Path) -> None:
    async def story() -> None:
        site = await site_of(tmp_path)
        await site.budgets.set(2, "team", "5.00", "USD", "day", Who(), "root")
        assert site.rows.scales(SYSTEM) == [("USD", 2)]
        await site.close()

    tell(story)


def test_quantities_are_added_up_exactly(tmp_path: Path) -> None:
    many, few = "9" * 30, "0.000000000000000001"
    assert is_decimal(many)
    assert is_decimal(few)

    async def story() -> None:
        site = await site_of(tmp_path)
        run = site.begin(skill="free")
        add_usage(run, "tokens", many, "")  # type: ignore[arg-type]
        add_usage(run, "tokens", few, "")  # type: ignore[arg-type]
        assert run.usage is not None
        site.end(run, tokens=run.usage["tokens", ""])
        await site.rest()
        assert [qty for _, qty, _ in site.usage(run)] == [f"{many}.{few[2:]}"]
        await site.close()

    tell(story)


@pytest.mark.parametrize("qty", ["NaN", "Infinity", "1e9", "+1", "", " 1", "1_000", "٣", "1.", "-0"])
def test_what_is_no_quantity(qty: str) -> None:
    assert is_decimal(qty) == (qty == "-0")
    if qty == "-0":
        assert Decimal(qty) == 0


# --- rows that somebody changed -------------------------------------------------------------------

#: By check: what somebody does to the database, whose triggers are gone.
DAMAGE = {
    "entries-sum": "UPDATE ledger_entry SET amount=amount+1 WHERE txn=2 AND line=1",
    "entries-whole": "DELETE FROM ledger_txn WHERE kind='credit'",
    "balances": "UPDATE ledger_account SET balance=balance+1 WHERE kind='owner'",
    "held": "UPDATE ledger_account SET held=held+1 WHERE kind='prepaid'",
    "covered": "UPDATE ledger_account SET held=balance+1 WHERE kind='prepaid'",
    "holds-open": "UPDATE run SET ended=5.0 WHERE no=(SELECT run FROM ledger_hold WHERE state='open')",
    "captured": "UPDATE ledger_hold SET captured=captured-1 WHERE state='captured' AND captured>1",
    "charges-held": "DELETE FROM ledger_hold WHERE run=1",
    "usage-of-calls": "DELETE FROM usage WHERE run=1",
    "usage-sums": "UPDATE usage SET amount=amount+1 WHERE run=1 AND line=0",
    "usage-says": "UPDATE usage SET price=(SELECT MAX(no) FROM price) WHERE run=1",
    "refunds": "UPDATE ledger_hold SET captured=1 WHERE run=2",
    "refunds-of": "UPDATE ledger_txn SET refers=1 WHERE kind='refund'",
    "credits": "UPDATE credit_grant SET amount=amount+1",
    "budgets-held": "UPDATE spend_use SET held=held+1",
    "budgets-spent": "UPDATE spend_use SET spent=spent+1",
    "rounding": "UPDATE ledger_entry SET amount=2 WHERE account=(SELECT no FROM ledger_account"
    " WHERE kind='platform/rounding')",
    "shares": "UPDATE ledger_entry SET amount=5-amount WHERE txn=2 AND amount IN (2, 3)",
    "receipts": "UPDATE receipt SET body=x'7b7d' WHERE run=1",
    "rail-prepaid": "UPDATE credit_grant SET rest=rest-1",
}


async def _books(folder: Path) -> Path:
    """A ledger with a bit of everything."""
    site = await site_of(folder, share=4500)
    await site.price(call="0.06")
    await site.put_in("1.00")
    await site.budgets.set(2, "team", "0.90", "USD", "day", Who(), "root")
    for run in (site.begin(), site.begin()):
        site.end(run)
    await site.rest()
    await site.credits.refund(2, "0.03", by="root", by_org=1)
    site.end(site.begin(budget=Spend("0.50", "USD")), "failed")
    site.begin()
    await site.price(call="0.07")
    await site.rest()
    site.sound()
    await site.close()
    return site.path


def test_every_check_has_a_damage() -> None:
    assert {one.name for one in CHECKS} | {"rail-prepaid"} == set(DAMAGE)


@pytest.mark.parametrize("name", DAMAGE)
def test_damage_is_found_and_named(name: str, tmp_path: Path) -> None:
    path = asyncio.run(_books(tmp_path))
    with sqlite3.connect(path) as connection:
        connection.execute("PRAGMA ignore_check_constraints=ON")
        for (trigger,) in connection.execute(
            "SELECT name FROM sqlite_master WHERE type='trigger'"
        ).fetchall():
            connection.execute(f"DROP TRIGGER {trigger}")
        assert connection.execute(DAMAGE[name]).rowcount > 0
    connection.close()
    assert name in {one.name for one in check(path) if one.broken}
    assert all(len(one.broken) <= 5 for one in check(path))


def test_what_can_not_be_tended_keeps_nobody_from_the_rest(tmp_path: Path) -> None:
    async def story() -> None:
        clock = Clock()
        site = await site_of(tmp_path, clock)
        await site.put_in("1.00", expires=clock.at + 5)
        await site.close()
        with sqlite3.connect(site.path) as connection:  # What memory does not know: all of it is held.
            connection.execute("UPDATE ledger_account SET held=100 WHERE kind='prepaid'")
        connection.close()
        site = Site(tmp_path, clock)
        payer = site.accounts.find("prepaid/acme:USD")
        assert payer is not None
        payer.held = 0
        clock.at += 10
        books = Books(site.rows, site.journal, clock, site.path, 1)
        money = Money(clock, site.accounts, site.ledger, site.rail, site.prices, site.budgets, site.credits, books, site.billing)  # type: ignore[arg-type]  # noqa: E501  # fmt: skip
        await money.tend()
        told = site.connection.execute("SELECT COUNT(*) FROM audit_event WHERE kind='ledger.balanced'")
        assert told.fetchone() == (1,)
        await site.close()

    tell(story)


def test_a_fee_that_nobody_paid_is_not_paid(tmp_path: Path) -> None:
    async def story() -> None:
        site = await site_of(tmp_path)
        await site.price("flat", flat=Flat("1.00"))
        await site.put_in("9.00")
        first = site.begin(skill="flat")
        await site.rest()
        site.end(first, fails=True)
        second = site.begin(skill="flat")  # While it seems that the first has paid.
        await site.rest()
        assert [one.hold.reserved.amount for one in (first, second) if one.hold] == [100, 0]
        site.end(second)
        third = site.begin(skill="flat")
        assert third.hold is not None
        assert third.hold.reserved.amount == 100
        site.end(third)
        await site.rest()
        assert site.left() == 800
        site.sound()
        await site.close()

    tell(story)


@pytest.mark.parametrize(
    "terms",
    [
        {"tiers": [Tier("1", 2**70), Tier("1")]},
        {"tiers": [*(Tier("1", place) for place in range(1, 200)), Tier("1")]},
        {"meters": {"x": Meter("1", unit="u" * 33)}, "most": "1"},
        {"meters": {"x": Meter("1", unit="\u202e")}, "most": "1"},
    ],
    ids=["far", "many", "long", "unprintable"],
)
def test_what_no_card_can_say_is_no_price(terms: dict[str, Any]) -> None:
    with pytest.raises(InvalidParams):
        check_terms(Terms("USD", **terms), 2)


@pytest.mark.parametrize("text", ["ſek", "creditſ", "", "US", "USD "])
def test_what_is_no_currency(text: str) -> None:
    with pytest.raises(InvalidParams):
        read_currency(text)


def test_an_account_has_no_more_than_documents_can_say(tmp_path: Path) -> None:
    async def story() -> None:
        site = await site_of(tmp_path)
        for key in ("a", "a"):
            await site.put_in("90071992547409.91", key=key)
        with pytest.raises(InvalidParams):
            await site.put_in("0.01")
        site.sound()
        await site.close()

    tell(story)
