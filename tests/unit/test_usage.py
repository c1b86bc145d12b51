"""Usage out of durable rows, exactly: calls, meters, money, whose, and as CSV; and statements of revenue."""

from __future__ import annotations

import asyncio
import csv
import io
from collections.abc import Awaitable, Callable
from pathlib import Path
from typing import Any

import pytest
from accounting_site import DAY, OCTOBER, ROOT, Site

from a2a_cloud.control.billing import usage
from a2a_cloud.model.problem import IdempotencyConflict, InvalidParams, TooLarge
from a2a_cloud.model.scope import Scope
from a2a_cloud.model.usage import UsageQuery
from a2a_cloud.wire.csv_text import cell, pieces

HERE, ACME = Scope(1), Scope(2)
FOR_EVER = (0.0, OCTOBER + 100 * DAY)


def tell(folder: Path, story: Callable[[Site], Awaitable[None]]) -> None:
    async def told() -> None:
        site = Site(folder)
        await site.people()
        await site.put_in(2, 10_000)
        await story(site)
        await site.close()

    asyncio.run(told())


async def many(site: Site) -> None:
    """Two days of calls: ada two paid and one that failed, her neighbour one, gil one at globex's own
    agent."""
    await site.charge(2, 25, meters={"tokens": "0.1", "pages": "3"}, key="kk")
    await site.charge(2, 30, meters={"tokens": "0.2"}, key="kk")
    await site.journal.write(site.run_ops(2, state="FAILED", skill="greet"))
    site.true.at += DAY
    await site.charge(3, 5)
    await site.journal.write(site.run_ops(4, agent=2, skill="go", state="WORKING"))
    await site.journal.write(site.run_ops(1, skill="greet"))


async def ask(site: Site, scope: Scope, *by: str, **more: Any) -> dict[tuple[str, ...], tuple[Any, ...]]:
    times: dict[str, Any] = {"since": FOR_EVER[0], "until": FOR_EVER[1], **more}
    found = await site.usage.lines(scope, UsageQuery(by, **times))
    assert [one.keys for one in found] == sorted(one.keys for one in found)
    return {
        one.keys: (
            (one.calls, one.completed, one.failed, one.open),
            {each.meter: each.qty for each in one.meters},
            [str(each) for each in one.money],
        )
        for one in found
    }


def test_by_agent_and_skill(tmp_path: Path) -> None:
    async def story(site: Site) -> None:
        await many(site)
        assert await ask(site, HERE, "agent", "skill") == {
            ("desk", "greet"): ((2, 1, 1, 0), {}, []),
            ("desk", "review"): ((3, 3, 0, 0), {"tokens": "0.3", "pages": "3"}, ["0.60 USD"]),
        }
        assert await ask(site, Scope(3), "agent") == {("globex.lane",): ((1, 0, 0, 1), {}, [])}
        assert (await ask(site, HERE))[()][0] == (5, 4, 1, 0)

    tell(tmp_path, story)


def test_by_caller_day_key_meter_and_run(tmp_path: Path) -> None:
    async def story(site: Site) -> None:
        await many(site)
        by = await ask(site, HERE, "day", "caller")
        assert by["2026-10-01", "ada@acme"] == ((3, 2, 1, 0), {"tokens": "0.3", "pages": "3"}, ["0.55 USD"])
        assert by["2026-10-02", "=cmd|x@acme"][2] == ["0.05 USD"]
        keys = await ask(site, HERE, "key")
        assert keys["kk",][0] == (2, 2, 0, 0)
        assert keys["",][0] == (3, 2, 1, 0)
        meters = await ask(site, HERE, "meter")
        assert meters["calls",] == ((5, 4, 1, 0), {}, ["0.60 USD"])
        assert meters["tokens",] == ((0, 0, 0, 0), {"tokens": "0.3"}, [])
        assert len(await ask(site, HERE, "run")) == 5

    tell(tmp_path, story)


def test_whose_it_is(tmp_path: Path) -> None:
    async def story(site: Site) -> None:
        await many(site)
        assert (await ask(site, ACME, side="agents")) == {}
        assert (await ask(site, ACME, "caller", side="callers")).keys() == {("=cmd|x@acme",), ("ada@acme",)}
        assert (await ask(site, Scope(2, 2), "caller", side="callers")).keys() == {("ada@acme",)}
        assert await ask(site, Scope(3, 2), side="callers") == {}, "a principal of another organisation"

    tell(tmp_path, story)


def test_narrowed_by_time_agent_skill_and_caller(tmp_path: Path) -> None:
    async def story(site: Site) -> None:
        await many(site)
        late = await ask(site, HERE, since=OCTOBER + DAY / 2)
        assert late[()][0] == (2, 2, 0, 0)
        assert await ask(site, HERE, until=OCTOBER) == {}
        assert (await ask(site, HERE, agent="default.desk", skill="greet"))[()][0] == (2, 1, 1, 0)
        assert await ask(site, HERE, agent="globex.lane") == {}
        assert (await ask(site, HERE, caller="ada@acme"))[()][0] == (3, 2, 1, 0)

    tell(tmp_path, story)


def test_an_answer_has_an_end(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    async def story(site: Site) -> None:
        await many(site)
        monkeypatch.setattr(usage, "MOST", 2)
        with pytest.raises(TooLarge, match="more than 2 lines"):
            await ask(site, HERE, "run")

    tell(tmp_path, story)


@pytest.mark.parametrize("bad", ["=1+1", "+1", "-a", "@x", "\tx", "\rx"], ids=range(6))
def test_a_formula_is_text(bad: str) -> None:
    assert cell(bad) == "'" + bad


@pytest.mark.parametrize("good", ["-5.00", "12", "a=b", "", "x-y"], ids=range(5))
def test_what_is_no_formula_stays(good: str) -> None:
    assert cell(good) == good


def test_csv_is_read_as_it_was_meant() -> None:
    rows = [('a"b', "c,d", 1), ("line\nbreak", None, "ü")]
    text = b"".join(pieces(("x", "y", "z"), rows)).decode()
    read = list(csv.reader(io.StringIO(text, newline="")))
    assert read == [["x", "y", "z"], ['a"b', "c,d", "1"], ["line\nbreak", "", "ü"]]
    assert len(list(pieces(("x",), (("y" * 1000,) for _ in range(1000))))) > 10


def test_a_statement_and_a_payout(tmp_path: Path) -> None:
    async def story(site: Site) -> None:
        first = await site.charge(2, 100)
        await site.charge(2, 200)
        site.true.at += DAY
        await site.refund(first, 50)
        found = await site.payouts.statement(1, "2026-10")
        assert [(one.day, one.kind, one.skill, one.calls, one.amount) for one in found.lines] == [
            ("2026-10-01", "revenue", "review", 2, 270),
            ("2026-10-02", "refund", "review", 1, -50),
        ]
        made = await site.payouts.make(1, "1.20", "usd", "wire 7", "k1", ROOT)
        assert (made["amount"], made["left"], made["rail"]) == ("1.20", "1.00", "prepaid")
        assert await site.payouts.make(1, "1.20", "USD", "wire 7", "k1", ROOT) == made
        for wrong in (("1.21", "wire 7"), ("1.20", "wire 8")):
            with pytest.raises(IdempotencyConflict):
                await site.payouts.make(1, wrong[0], "USD", wrong[1], "k1", ROOT)
        for amount in ("0", "1.01"):
            with pytest.raises(InvalidParams, match=r"owed 1\.00 USD"):
                await site.payouts.make(1, amount, "USD", "", "", ROOT)
        assert (await site.payouts.make(1, "", "USD", "", "k2", ROOT))["left"] == "0.00"
        assert (await site.payouts.make(1, "", "USD", "", "k2", ROOT))["amount"] == "1.00"
        (total,) = (await site.payouts.statement(1, "2026-10")).totals
        assert (total.earned, total.refunded, total.paid_out, total.closing) == (270, 50, 220, 0)
        (later,) = (await site.payouts.statement(1, "2026-11")).totals
        assert (later.opening, later.earned) == (0, 0)
        assert b"Revenue of default" in site.payouts.html(found)
        with pytest.raises(InvalidParams, match="earned nothing in EUR"):
            await site.payouts.make(1, "", "EUR", "", "", ROOT)
        with pytest.raises(InvalidParams, match="2026-13"):
            await site.payouts.statement(1, "2026-13")

    tell(tmp_path, story)
