"""The engine of paid calls over a journal on disk: nobody spends more than they have or may, whatever is
refused, fails, or dies in between."""

from __future__ import annotations

import asyncio
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from money_site import ADA, BOB, DAY, EVE, NOON, Clock, Run, Site, site_of, tell

from a2a_cloud.control.billing.holds import Billing
from a2a_cloud.control.billing.rows import ADD_HOLD, ADD_HOLD_USE
from a2a_cloud.model.billing import Flat, Meter, Spend, Terms, Tier, Who
from a2a_cloud.model.principal import ANONYMOUS
from a2a_cloud.model.problem import (
    Forbidden,
    IdempotencyConflict,
    InvalidParams,
    NotFound,
    OverBudget,
    PaymentRequired,
    StorageFull,
)
from a2a_cloud.model.scope import SYSTEM
from a2a_cloud.storage.journal import group
from a2a_cloud.storage.journal.port import Refusal
from a2a_cloud.testing.commits import Commits, Fault


def test_a_call_is_held_charged_and_in_the_books(tmp_path: Path) -> None:
    async def story() -> None:
        site = await site_of(tmp_path, share=3333)
        await site.price(call="0.10")
        await site.put_in("1.00")
        run = site.begin()
        assert site.left() == 90
        settled = site.end(run)
        await site.rest()
        assert settled.price is not None
        assert (settled.price.amount, settled.price.version, site.left()) == (10, 1, 90)
        assert [one.amount for one in site.rows.entries(SYSTEM, 2)] == [-10, 6, 3, 1]
        failed = site.begin()
        site.end(failed, "failed")
        await site.rest()
        assert site.left() == 90
        site.sound()
        await site.close()

    tell(story)


def test_without_a_price_nothing_is_looked_at(tmp_path: Path) -> None:
    async def story() -> None:
        site = await site_of(tmp_path)
        run = site.begin(skill="free")
        assert run.hold is None
        assert site.end(run).ops == []
        counted = site.begin(skill="free")
        assert len(site.end(counted, tokens=5, pages=2).ops) == 2
        await site.rest()
        assert site.usage(counted) == [("pages", "2", 0), ("tokens", "5", 0)]
        site.sound()
        await site.close()

    tell(story)


def test_who_has_too_little_is_told_before_anything_begins(tmp_path: Path) -> None:
    async def story() -> None:
        site = await site_of(tmp_path)
        await site.price(call="0.60")
        with pytest.raises(PaymentRequired) as nothing:
            site.begin()
        assert nothing.value.info == {"amount": "0.60", "currency": "USD", "left": "0.00", "rail": "prepaid"}
        await site.put_in("1.00")
        site.begin()
        with pytest.raises(PaymentRequired) as held:
            site.begin()
        assert held.value.info["left"] == "0.40"
        with pytest.raises(PaymentRequired):
            site.begin(ANONYMOUS)
        await site.rest()
        site.sound()
        await site.close()

    tell(story)


def test_their_own_account_pays_for_who_has_one(tmp_path: Path) -> None:
    async def story() -> None:
        site = await site_of(tmp_path)
        await site.price(call="0.50")
        await site.put_in("10.00")
        site.end(site.begin(ADA))
        await site.put_in("0.70", owner=ADA.no, name="ada")
        site.end(site.begin(ADA))
        site.end(site.begin(BOB))
        with pytest.raises(PaymentRequired):
            site.begin(ADA)
        await site.rest()
        assert (site.left(), site.left("prepaid/acme/ada:USD")) == (900, 20)
        site.sound()
        await site.close()

    tell(story)


def test_what_ends_first_is_used_first_and_is_gone_after(tmp_path: Path) -> None:
    async def story() -> None:
        clock = Clock()
        site = await site_of(tmp_path, clock)
        await site.price(call="0.30")
        await site.put_in("1.00")
        await site.put_in("1.00", expires=NOON + DAY)
        await site.put_in("0.20", priority=9)
        site.end(site.begin())
        await site.rest()
        own = next(one for one in (site.accounts.no(no) for no in range(1, 20)) if one.parts)
        assert [part.rest for part in sorted(own.parts, key=lambda part: part.order)] == [90, 100]
        open_run = site.begin()
        clock.at += 2 * DAY
        assert site.left() == 70  # What it holds is covered by what has ended meanwhile no more.
        await site.credits.expire()
        site.end(open_run)
        await site.rest()
        await site.credits.expire()
        assert site.left() <= 100
        with pytest.raises(InvalidParams):
            await site.put_in("1.00", expires=NOON)
        site.sound()
        await site.close()

    tell(story)


def test_a_price_has_versions_and_calls_go_by_the_one_they_began_with(tmp_path: Path) -> None:
    async def story() -> None:
        site = await site_of(tmp_path)
        first = await site.price(call="0.10")
        assert (await site.price(call="0.10")).version == first.version
        await site.put_in("1.00")
        run = site.begin()
        second = await site.price(call="0.40")
        assert second.version == 2
        settled = site.end(run)
        assert settled.price is not None
        assert (settled.price.amount, settled.price.version) == (10, 1)
        later = site.end(site.begin())
        assert later.price is not None
        assert later.price.amount == 40
        await site.rest()
        await site.prices.set(1, 7, "ask", None, name="desk/ask", by="root", may_share=False)
        assert site.begin().hold is None
        terms = Terms("USD", call="1", platform_share=5)
        with pytest.raises(Forbidden):
            await site.prices.set(1, 7, "ask", terms, name="desk/ask", by="ada", may_share=False)
        with pytest.raises(NotFound):
            await site.prices.set(1, 7, "*", None, name="desk", by="root", may_share=False)
        site.sound()
        await site.close()

    tell(story)


def test_the_agents_price_is_for_skills_without_their_own(tmp_path: Path) -> None:
    async def story() -> None:
        site = await site_of(tmp_path)
        await site.price("*", call="0.10")
        await site.price("dear", call="0.90")
        await site.prices.set(1, 7, "gift", None, name="desk/gift", by="root", may_share=False)
        await site.put_in("5.00")
        amounts = [
            0 if run.hold is None else run.hold.reserved.amount
            for run in (site.begin(skill=skill) for skill in ("ask", "dear", "gift", ""))
        ]
        assert amounts == [10, 90, 0, 10]
        await site.close()

    tell(story)


def test_free_units_let_somebody_begin_who_has_nothing_one_at_a_time(tmp_path: Path) -> None:
    async def story() -> None:
        site = await site_of(tmp_path)
        await site.price(meters={"tokens": Meter("0.01", free=100)}, most="2.00")
        run = site.begin()
        with pytest.raises(PaymentRequired):
            site.begin()
        settled = site.end(run, tokens=90)
        assert settled.price is not None
        assert settled.price.amount == 0
        site.end(site.begin(), tokens=90)
        with pytest.raises(PaymentRequired):
            site.begin()
        await site.put_in("2.00")
        paid = site.end(site.begin(), tokens=30)
        assert paid.price is not None
        assert paid.price.amount == 30
        await site.rest()
        site.sound()
        await site.close()

    tell(story)


def test_what_was_used_of_a_price_outlives_a_restart_and_ends_with_the_month(tmp_path: Path) -> None:
    async def story() -> None:
        clock = Clock()
        site = await site_of(tmp_path, clock)
        await site.price(call="0.10", free_calls=2)
        await site.price("paper", flat=Flat("1.00"))
        await site.price("tier", tiers=[Tier("0.20", 1), Tier("0.10")])
        await site.put_in("9.00")
        for skill in ("ask", "paper", "tier"):
            site.end(site.begin(skill=skill))
        open_run = site.begin()
        await site.close()
        site = Site(tmp_path, clock)
        assert site.billing.resume(open_run.no) is not None
        site.live[open_run.no] = open_run
        assert [
            0 if run.hold is None else run.hold.reserved.amount
            for run in (site.begin(skill=skill) for skill in ("ask", "paper", "tier"))
        ] == [10, 0, 10]
        await site.rest()
        site.sound()
        clock.at += 31 * DAY
        assert [
            0 if run.hold is None else run.hold.reserved.amount
            for run in (site.begin(skill=skill) for skill in ("ask", "paper", "tier"))
        ] == [0, 100, 20]
        await site.rest()
        site.sound()
        await site.close()

    tell(story)


def test_budgets_of_many_kinds(tmp_path: Path) -> None:
    async def story() -> None:
        clock = Clock()
        site = await site_of(tmp_path, clock)
        await site.price(call="0.40")
        await site.put_in("100.00")

        async def budget(name: str, amount: str, period: Any = "day", **who: Any) -> None:
            await site.budgets.set(2, name, amount, "USD", period, Who(**who), "root")

        await budget("each", "0.80", each=True)
        site.end(site.begin(ADA))
        site.begin(ADA)
        with pytest.raises(OverBudget) as over:
            site.begin(ADA)
        assert over.value.info["budget"] == "each"
        assert over.value.info["again"] == "2027-01-16T00:00:00.000Z"
        site.begin(BOB)
        await budget("each", "100.00", each=True)
        await budget("shared", "0.50", callers=["ada", "bob"])
        site.begin(BOB)
        with pytest.raises(OverBudget):
            site.begin(ADA)
        await site.budgets.remove(2, "shared", "root")
        await budget("key", "0.10", keys=["aaaa"])
        with pytest.raises(OverBudget):
            site.begin(ADA)
        site.begin(BOB)
        await budget("key", "0.10", agents=["default.other"])
        site.begin(ADA)
        await budget("skill", "0.10", "total", skills=["default.desk/ask"])
        with pytest.raises(OverBudget) as total:
            site.begin(ADA)
        assert "again" not in total.value.info
        await site.rest()
        site.sound()
        clock.at += DAY
        with pytest.raises(OverBudget):
            site.begin(ADA)
        with pytest.raises(InvalidParams):
            await budget("no name", "1")
        with pytest.raises(NotFound):
            await site.budgets.remove(2, "nothing", "root")
        site.sound()
        await site.close()

    tell(story)


def test_a_run_that_another_called_spends_what_that_was_given(tmp_path: Path) -> None:
    async def story() -> None:
        clock = Clock()
        site = await site_of(tmp_path, clock)
        await site.price(call="0.40")
        await site.put_in("100.00")
        planner = site.begin(skill="free", budget=Spend("1.00", "USD"))
        first = site.begin(above=planner)
        site.end(first)
        site.begin(above=first)
        with pytest.raises(OverBudget):
            site.begin(above=planner)
        await site.rest()
        site.sound()
        await site.close()
        site = Site(tmp_path, clock)
        again = site.billing.purse(planner.call, planner.no)
        assert again is not None
        assert (again.spent, again.held, again.left) == (40, 40, 20)
        foreign = site.begin(skill="free", budget=Spend("5", "EUR"))
        with pytest.raises(OverBudget):
            site.begin(above=foreign)
        await site.close()

    tell(story)


def test_the_database_refuses_what_memory_would_let_pass(tmp_path: Path) -> None:
    async def story() -> None:
        site = await site_of(tmp_path)
        await site.price(call="0.60")
        await site.put_in("1.00")
        await site.budgets.set(2, "all", "0.70", "USD", "day", Who(), "root")
        run = site.begin()
        await site.rest()
        payer = next(row.no for row in site.rows.accounts(SYSTEM) if row.kind == "prepaid")
        with pytest.raises(Refusal, match="CHECK"):  # More than the account has.
            await site.journal.write([(ADD_HOLD, (900, 2, payer, 1, 41, 0, NOON))])
        use = site.budgets.known()[0]
        with pytest.raises(Refusal, match="budget is spent"):
            await site.journal.write(
                [(ADD_HOLD, (900, 2, payer, 1, 40, 0, NOON)), (ADD_HOLD_USE, (900, use.no, 2))]
            )
        site.end(run)
        await site.rest()
        site.sound()
        await site.close()

    tell(story)


def test_refunds_come_to_the_whole_and_no_further(tmp_path: Path) -> None:
    async def story() -> None:
        site = await site_of(tmp_path, share=3333)
        await site.price(call="0.10")
        await site.put_in("1.00")
        await site.budgets.set(2, "all", "5.00", "USD", "month", Who(), "root")
        run = site.begin()
        site.end(run)
        await site.rest()
        for amount in ("0.01", "0.03", "0.05"):
            await site.credits.refund(run.no, amount, by="root", by_org=1, key=amount)
            site.sound()
        assert (await site.credits.refund(run.no, "0.05", by="root", by_org=1, key="0.05")).refunded == 9
        with pytest.raises(IdempotencyConflict):
            await site.credits.refund(run.no, "0.01", by="root", by_org=1, key="0.05")
        with pytest.raises(InvalidParams):
            await site.credits.refund(run.no, "0.02", by="root", by_org=1)
        with pytest.raises(NotFound):
            await site.credits.refund(run.no, "", by="root", by_org=1, org=3)
        await site.credits.refund(run.no, "", by="root", by_org=1)
        assert site.left() == 100
        assert [row.balance for row in site.rows.accounts(SYSTEM) if row.kind != "prepaid"] == [0, 0, 0, -100]
        with pytest.raises(InvalidParams):
            await site.credits.refund(run.no, "", by="root", by_org=1)
        site.sound()
        await site.close()

    tell(story)


def test_the_same_key_is_the_same_credit(tmp_path: Path) -> None:
    async def story() -> None:
        site = await site_of(tmp_path)
        for _ in range(2):
            await site.put_in("1.00", key="k")
        assert site.left() == 100
        with pytest.raises(IdempotencyConflict):
            await site.put_in("2.00", key="k")
        both = await asyncio.gather(
            *(site.put_in("3.00", key="twice") for _ in range(4)), return_exceptions=True
        )
        assert all(one is None or isinstance(one, IdempotencyConflict) for one in both)
        assert site.left() == 400
        site.sound()
        await site.close()

    tell(story)


def test_holds_that_nobody_owns_end(tmp_path: Path) -> None:
    async def story() -> None:
        clock = Clock()
        site = await site_of(tmp_path, clock)
        await site.price(call="0.60")
        await site.put_in("1.00")
        run = site.begin()
        await site.rest()
        del site.live[run.no]
        await site.close()
        site = Site(tmp_path, clock)
        with pytest.raises(PaymentRequired):
            site.begin()
        assert site.billing.sweep() == 1
        await site.rest()
        assert site.left() == 100
        site.sound()
        await site.close()

    tell(story)


# --- whatever happens -----------------------------------------------------------------------------

_CALLERS = [ADA, ADA, BOB, EVE]
_SKILLS = ["ask", "meter", "tier", "flat", "free", "always"]
_STEP = st.tuples(
    st.sampled_from(
        ["begin"] * 6
        + [
            "child",
            "refused",
            "end",
            "end",
            "end",
            "fail",
            "cancel",
            "write-fails",
            "credit",
            "ending-credit",
            "full",
            "full",
        ]
        + ["budget", "price", "day", "month", "refund", "expire", "rest", "crash", "sweep"]
    ),
    st.integers(0, 10**6),
)


async def _begun(site: Site) -> None:
    await site.people()
    await site.price("ask", call="0.13", platform_share=3333)
    await site.price("meter", meters={"tokens": Meter("0.007", free=3)}, most="0.40", platform_share=100)
    await site.price("tier", tiers=[Tier("0.20", 2), Tier("0.31", 4), Tier("0.05")], free_calls=1)
    await site.price("flat", flat=Flat("0.90", "day"))
    await site.price("always", call="0.08", charge_failed=True, platform_share=9_999)
    await site.put_in("2.00")
    await site.put_in("3.00", org=3)
    await site.budgets.set(2, "team", "1.50", "USD", "day", Who(), "root")


async def _walk(folder: Path, steps: list[tuple[str, int]]) -> None:
    clock, faults = Clock(), Commits()
    site = Site(folder, clock, commit=faults)
    await _begun(site)
    ended: list[Run] = []
    for what, n in steps:
        living = [site.live[no] for no in sorted(site.live)]
        some = living[n % len(living)] if living else None
        caller, skill = _CALLERS[n % 4], _SKILLS[n // 4 % 6]
        try:
            if what == "begin":
                site.begin(caller, skill, budget=Spend("0.50", "USD") if n % 5 == 0 else None)
            elif what == "child" and some is not None:
                site.begin(some.call.principal, skill, above=some)
            elif what == "refused":
                ended.append(site.begin(caller, skill, fails=True))
            elif what in ("end", "fail", "cancel", "write-fails") and some is not None and some not in ended:
                ended.append(some)
                state = {"fail": "failed", "cancel": "canceled"}.get(what, "completed")
                site.end(some, state, fails=what == "write-fails", tokens=n % 90)
            elif what == "credit":
                await site.put_in(f"0.{n % 100:02}", org=caller.org_no)
            elif what == "ending-credit":
                await site.put_in(f"1.{n % 100:02}", expires=clock.at + n % (3 * 86_400) + 1, priority=n % 3)
            elif what == "budget":
                who = Who(each=bool(n % 2), callers=["ada"] if n % 3 else [])
                await site.budgets.set(2, f"b{n % 3}", f"{n % 4}.50", "USD", "day", who, "root")
            elif what == "price":
                await site.price("ask", call=f"0.{n % 40:02}", platform_share=n % 10_001)
            elif what in ("day", "month"):
                clock.at += DAY if what == "day" else 31 * DAY
            elif what == "refund" and ended:
                await site.rest()
                await site.credits.refund(
                    ended[n % len(ended)].no, "0.01" if n % 2 else "", by="root", by_org=1
                )
            elif what == "expire":
                await site.credits.expire()
            elif what == "sweep":
                site.billing.sweep()
                site.budgets.sweep()
            elif what == "rest":
                await site.rest()
                site.sound()
            elif what == "full":
                faults.set({faults.count + 1 + n % 3: Fault.FULL})
            elif what == "crash":
                site = await _again(folder, site, clock, faults)
        except (PaymentRequired, NotFound, InvalidParams, StorageFull):
            continue
    faults.set(None)
    await site.rest()
    site.sound()
    for run in [site.live[no] for no in sorted(site.live)]:
        site.end(run, "failed")
    await site.rest()
    site.sound()
    assert not any(row.held for row in site.rows.accounts(SYSTEM))
    await site.close()


async def _again(folder: Path, before: Site, clock: Clock, faults: Commits) -> Site:
    """Another life: runs that had not ended go on, or are lost."""
    await before.close()
    site = Site(folder, clock, commit=faults)
    for no, run in sorted(before.live.items()):
        (ended,) = site.connection.execute("SELECT ended FROM run WHERE no=?", (no,)).fetchone() or (1.0,)
        if ended is None:
            run.hold = site.billing.resume(no)
            run.purse = site.billing.purse(run.call, no)
            site.live[no] = run
    site.billing.sweep()
    return site


@settings(max_examples=60, deadline=None, suppress_health_check=[HealthCheck.too_slow])
@given(st.lists(_STEP, min_size=5, max_size=60))
def test_whatever_happens_it_adds_up(steps: list[tuple[str, int]]) -> None:
    with TemporaryDirectory() as folder, pytest.MonkeyPatch.context() as patch:
        patch.setattr(group, "RETRY_SECONDS", 0.01)
        asyncio.run(_walk(Path(folder), steps))


def test_many_callers_at_once_never_overspend(tmp_path: Path) -> None:
    async def story() -> None:
        site = await site_of(tmp_path)
        await site.price(call="0.07")
        await site.price("meter", meters={"tokens": Meter("0.01")}, most="0.09")
        await site.put_in("20.00")
        await site.budgets.set(2, "team", "10.00", "USD", "month", Who(), "root")
        await site.budgets.set(2, "each", "6.00", "USD", "day", Who(each=True), "root")
        refused: list[PaymentRequired] = []
        done: list[int] = []

        async def client(caller: Any, n: int) -> None:
            for step in range(40):
                try:
                    run = site.begin(caller, "ask" if (n + step) % 3 else "meter", fails=(n + step) % 11 == 0)
                except PaymentRequired as problem:
                    refused.append(problem)
                    await asyncio.sleep(0)
                    continue
                await site.rest()
                if run.stored is True:
                    settled = site.end(run, "failed" if step % 7 == 0 else "completed", tokens=step % 9)
                    assert settled.price is not None
                    done.append(settled.price.amount)

        await asyncio.gather(*(client(caller, n) for n in range(30) for caller in (ADA, BOB)))
        await site.rest()
        site.sound()
        assert refused
        assert sum(done) == 2000 - site.left() <= 1000
        assert all(isinstance(problem, OverBudget) for problem in refused)
        await site.close()

    tell(story)


def test_billing_is_the_port_that_the_runtime_wants() -> None:
    from a2a_cloud.runtime.ports import Billing as Port

    assert all(hasattr(Billing, name) for name in vars(Port) if name[0] != "_")
