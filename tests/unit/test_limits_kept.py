"""Limits over a journal on disk: budgets over days, restarts and turned clocks; rules; rates; runs."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from pathlib import Path
from typing import Any

import msgspec
import pytest

from a2a_cloud.control.limits.limits import Limits
from a2a_cloud.control.limits.rows import LimitRows
from a2a_cloud.control.limits.shown import Shown
from a2a_cloud.model.limits import ANONYMOUS, MEMBER, OPERATOR
from a2a_cloud.model.principal import Principal, Role
from a2a_cloud.model.problem import BudgetSpent, InvalidParams, NotFound, RateLimited
from a2a_cloud.model.release import Limits as AgentLimits
from a2a_cloud.model.release import Manifest, Release, SkillRules, SkillSpec, Visibility
from a2a_cloud.model.run import Call
from a2a_cloud.model.scope import SYSTEM, Scope
from a2a_cloud.model.task import Message
from a2a_cloud.model.task import Role as Says
from a2a_cloud.storage.journal.port import Statement
from a2a_cloud.storage.journal.sqlite import SqliteJournal
from a2a_cloud.storage.journal.writer import connect
from a2a_cloud.storage.sql import statements as sql
from a2a_cloud.surface.limits import stranger

NOON = 1_800_014_400.0  # 2027-01-15 12:00 UTC
DAY = 86_400.0
ADA = Principal(2, 1, "ada", "default", Role.MEMBER, key_id="aaaa")
ADA_AGAIN = Principal(2, 1, "ada", "default", Role.MEMBER, key_id="bbbb")
BOB = Principal(3, 1, "bob", "default", Role.MEMBER, key_id="cccc")
ROOT = Principal(1, 1, "admin", "default", Role.ADMIN, key_id="dddd")
EVE = Principal(9, 2, "eve", "other", Role.ADMIN, key_id="eeee")


ADD_KEY = Statement(
    "test_add_key",
    "INSERT INTO api_key(id, org, principal, hash, role, label, created, created_by)"
    " VALUES(?,?,?,?,'member','',1.0,'')",
)


class Clock:
    """Stands still until it is turned. Wall time can be turned alone."""

    def __init__(self, now: float = NOON) -> None:
        self.wall, self.steady = now, 50.0

    def now(self) -> float:
        return self.wall

    def monotonic(self) -> float:
        return self.steady

    def pass_by(self, seconds: float) -> None:
        self.wall += seconds
        self.steady += seconds


class Site:
    """A data folder, and one life of the limits on it."""

    def __init__(self, folder: Path, clock: Clock) -> None:
        self.journal = SqliteJournal(folder / "journal.db")
        self.connection = connect(folder / "journal.db", readonly=True)
        self.clock = clock
        self.limits = Limits(LimitRows(self.connection), self.journal, clock, default_org=1, secret=b"k" * 32)

    async def people(self) -> None:
        ops: list[Any] = [(sql.ADD_ORG, (2, "other", 1.0))]
        for who in (ADA, BOB, EVE):
            ops.append((sql.ADD_PRINCIPAL, (who.no, who.org_no, who.name, 1.0)))
        for who in (ADA, ADA_AGAIN, EVE):
            ops.append((ADD_KEY, (who.key_id, who.org_no, who.no, who.key_id.encode())))
        await self.journal.write(ops)

    async def close(self) -> None:
        self.limits.close()
        await self.crash()

    async def crash(self) -> None:
        """As `close`, without a word to the limits."""
        await self.journal.close()
        self.connection.close()


def tell(story: Callable[[], Awaitable[None]]) -> None:
    asyncio.run(story())  # type: ignore[arg-type]


def release(no: int = 1, *, skills: dict[str, SkillRules] | None = None, **limits: Any) -> Release:
    manifest = Manifest(
        f"agent{no}",
        "agent.py",
        visibility=Visibility.PUBLIC,
        limits=AgentLimits(**limits),
        skills=skills or {},
    )
    return Release(no, no, 1, "default", 1, f"sha256:{no}", "/", manifest, ())


def call(caller: Principal, agent: Release, skill: str = "greet", *, child: bool = False) -> Call:
    made = Call(
        release=agent,
        principal=caller,
        skill=skill,
        arguments=b"{}",
        message=Message("m", Says.USER, []),
        files=[],
    )
    if child:
        made.parent = object()  # type: ignore[assignment]
    return made


def refused(limits: Limits, asked: Call) -> RateLimited:
    with pytest.raises(RateLimited) as caught:
        limits.take(asked)
    return caught.value


def test_a_budget_outlives_restarts_and_ends_with_its_day(tmp_path: Path) -> None:
    async def story() -> None:
        clock = Clock()
        agent = release(caller_day=3, caller_month=5)
        site = Site(tmp_path, clock)
        for _ in range(2):
            site.limits.leave(site.limits.take(call(ADA, agent)), 0.1)
        await site.close()
        site = Site(tmp_path, clock)
        site.limits.take(call(ADA, agent))
        problem = refused(site.limits, call(ADA_AGAIN, agent))
        assert (type(problem), problem.info["limit"]) == (BudgetSpent, "day")
        assert problem.info["again"] == "2027-01-16T00:00:00.000Z"
        assert problem.retry_after == DAY / 2
        # Of another skill, and for another caller, it is another one.
        site.limits.take(call(ADA, agent, "other"))
        site.limits.take(call(BOB, agent))
        clock.pass_by(DAY / 2 + 1)
        for _ in range(2):
            site.limits.take(call(ADA, agent))
        problem = refused(site.limits, call(ADA, agent))
        assert (problem.info["limit"], problem.info["again"]) == ("month", "2027-02-01T00:00:00.000Z")
        await site.close()
        clock.pass_by(20 * DAY)
        site = Site(tmp_path, clock)
        site.limits.take(call(ADA, agent))
        assert site.limits.spent(ADA, agent, "greet") == (1, 3, 1, 5)
        await site.close()

    tell(story)


def test_a_clock_that_is_turned_back_gives_nothing_twice(tmp_path: Path) -> None:
    async def story() -> None:
        clock = Clock()
        agent = release(caller_day=1)
        site = Site(tmp_path, clock)
        site.limits.take(call(ADA, agent))
        # Turned while it runs: days go on as time passes.
        clock.wall += 400 * DAY
        assert isinstance(refused(site.limits, call(ADA, agent)), BudgetSpent)
        await site.close()
        site = Site(tmp_path, clock)  # With the wrong time from its start on.
        site.limits.take(call(ADA, agent))
        await site.close()
        clock.wall -= 400 * DAY
        site = Site(tmp_path, clock)
        assert isinstance(refused(site.limits, call(ADA, agent)), BudgetSpent)
        await site.close()

    tell(story)


def test_what_was_counted_is_written_by_itself(tmp_path: Path) -> None:
    async def story() -> None:
        clock = Clock()
        agent = release()
        site = Site(tmp_path, clock)
        site.limits.take(call(ADA, agent))
        site.limits.take(call(ADA, agent))
        found: dict[str, int] = {}
        for _ in range(100):
            await asyncio.sleep(0.05)
            found = LimitRows(site.connection).used(
                Scope(org=1), "p:2", 1, "greet", ("2027-01-15", "2027-01")
            )
            if found:
                break
        assert found == {"2027-01-15": 2, "2027-01": 2}
        assert LimitRows(site.connection).used(Scope(org=2), "p:2", 1, "greet", ("2027-01-15", "")) == {}
        await site.crash()
        site = Site(tmp_path, clock)
        assert site.limits.spent(ADA, agent, "greet") == (2, MEMBER.day, 2, MEMBER.month)
        await site.close()

    tell(story)


def test_old_days_are_cleared_away(tmp_path: Path) -> None:
    async def story() -> None:
        clock = Clock()
        agent = release()
        site = Site(tmp_path, clock)
        for _ in range(45):
            site.limits.take(call(ADA, agent))
            site.limits.take(call(EVE, agent))
            site.limits.close()
            await site.journal.write([])
            clock.pass_by(DAY)
        site.limits.take(call(ADA, agent))
        await site.close()
        site = Site(tmp_path, clock)
        await site.journal.write([])
        spans = LimitRows(site.connection).spans(SYSTEM)
        assert spans[0] == "2027-01"
        assert [span for span in spans if len(span) == 7] == ["2027-01", "2027-02", "2027-03"]
        days = [span for span in spans if len(span) == 10]
        assert (len(days), days[0], days[-1]) == (35, "2027-01-26", "2027-03-01")
        await site.close()

    tell(story)


def test_a_run_that_was_not_accepted_costs_nothing(tmp_path: Path) -> None:
    async def story() -> None:
        site = Site(tmp_path, Clock())
        agent = release(caller_day=1, caller_runs=1)
        for _ in range(3):
            lane = site.limits.take(call(ADA, agent))
            site.limits.undo(lane)
            site.limits.leave(lane, None)
        assert site.limits.spent(ADA, agent, "greet")[::2] == (0, 0)
        assert site.limits.running(ADA) == 0
        await site.close()

    tell(story)


def test_runs_at_a_time(tmp_path: Path) -> None:
    async def story() -> None:
        site = Site(tmp_path, Clock())
        limits = site.limits
        await site.people()
        agent, other = release(1, caller_runs=2), release(2)
        lanes = [limits.take(call(ADA, agent)), limits.take(call(ADA_AGAIN, agent, "other"))]
        problem = refused(limits, call(ADA, agent))
        assert problem.info == {"limit": "agent-runs", "policy": '"agent-runs";q=2;qu="concurrent-requests"'}
        assert limits.running(ADA) == 2
        limits.take(call(BOB, agent))
        limits.take(call(ADA, other))
        # What a run calls began with it, and goes on.
        lanes.append(limits.take(call(ADA, agent, child=True)))
        await limits.set_rule(1, "caller:ada", {"runs": 3}, "root@default")
        assert refused(limits, call(ADA, other)).info["limit"] == "runs"
        for lane in lanes:
            limits.leave(lane, 0.1)
        limits.take(call(ADA, agent))
        await limits.set_rule(1, "key:aaaa", {"runs": 0}, "root@default")
        assert refused(limits, call(ADA, other)).info["limit"] == "key-runs"
        limits.take(call(ADA_AGAIN, other))
        # A run from before counts, and is never refused.
        for _ in range(3):
            limits.resume(call(BOB, agent))
        assert limits.running(BOB) == 4
        await site.close()

    tell(story)


def test_rates_of_agents_skills_and_callers(tmp_path: Path) -> None:
    async def story() -> None:
        clock = Clock()
        site = Site(tmp_path, clock)
        limits = site.limits
        rules = {"rare": SkillRules(rate="1/min"), "each": SkillRules(caller_rate="1/h")}
        agent = release(rate="6/10s", caller_rate="4/10s", skills=rules)
        limits.take(call(ADA, agent, "rare"))
        assert refused(limits, call(BOB, agent, "rare")).info["limit"] == "skill"
        limits.take(call(ADA, agent, "each"))
        assert refused(limits, call(ADA, agent, "each")).info["policy"] == '"skill-caller";q=1;w=3600'
        limits.take(call(BOB, agent, "each"))
        limits.take(call(ADA, agent))
        limits.take(call(ADA, agent))
        problem = refused(limits, call(ADA, agent))
        assert problem.info["limit"] == "agent-caller"
        assert problem.retry_after == pytest.approx(2.475)
        assert problem.info["again"] == "2027-01-15T12:00:02.475Z"
        # Refusals used nothing of the agent's own rate.
        limits.take(call(BOB, agent))
        assert refused(limits, call(BOB, agent)).info["limit"] == "agent"
        assert refused(limits, call(stranger("198.51.100.7"), agent)).info["limit"] == "agent"
        clock.pass_by(10)
        for _ in range(4):
            limits.take(call(ADA, agent))
        await site.close()

    tell(story)


def test_strangers_go_by_their_address(tmp_path: Path) -> None:
    async def story() -> None:
        clock = Clock()
        site = Site(tmp_path, clock)
        limits = site.limits
        await limits.set_rule(1, "anonymous", {"requests": "3/min", "day": 2}, "root@default")
        one, other = stranger("2001:db8:1:2:aaaa::1"), stranger("2001:db8:1:3::1")
        assert one is stranger("2001:db8:1:2:aaaa::1")
        assert one.address == stranger("2001:db8:1:2:ffff::9").address == "2001:db8:1:2::"
        assert stranger("::ffff:192.0.2.9").address == stranger("192.0.2.9").address == "192.0.2.9"
        assert stranger("fe80::1%eth0").address == "fe80::"
        assert stranger("no address").anonymous
        assert limits.request(one) is None
        use = limits.request(one)
        assert use is not None
        assert (use.name, use.left, round(use.reset)) == ("address", 1, 40)
        limits.request(one)
        with pytest.raises(RateLimited) as caught:
            limits.request(one)
        assert caught.value.info["policy"] == '"address";q=3;w=60'
        assert limits.request(other) is None
        assert limits.request(ADA) is None
        agent = release()
        limits.take(call(other, agent))
        limits.take(call(other, agent))
        assert isinstance(refused(limits, call(other, agent)), BudgetSpent)
        limits.take(call(one, agent))
        await site.close()
        # An address is not told from what is on disk, and its budget holds all the same.
        assert b"2001:db8" not in (tmp_path / "journal.db").read_bytes()
        site = Site(tmp_path, clock)
        assert isinstance(refused(site.limits, call(other, agent)), BudgetSpent)
        await site.close()

    tell(story)


def test_signing_in_is_counted_by_address_and_by_account(tmp_path: Path) -> None:
    async def story() -> None:
        site = Site(tmp_path, Clock())
        limits = site.limits
        await limits.set_rule(1, "sign-in", {"requests": "2/min", "calls": "2/min"}, "root@default")
        limits.sign_in("192.0.2.1", "ada@example.com")
        limits.sign_in("192.0.2.2", "Ada@Example.com")
        for address, account in (("192.0.2.3", "ADA@example.com"), ("192.0.2.3", "ada@example.com")):
            with pytest.raises(RateLimited) as caught:
                limits.sign_in(address, account)
            assert caught.value.info["limit"] == "sign-in"
        limits.sign_in("192.0.2.1", "bob@example.com")
        with pytest.raises(RateLimited):
            limits.sign_in("192.0.2.1")
        limits.sign_in("192.0.2.9")
        await site.close()

    tell(story)


def test_rules_are_kept_and_the_nearest_one_holds(tmp_path: Path) -> None:
    async def story() -> None:
        clock = Clock()
        site = Site(tmp_path, clock)
        limits = site.limits
        await site.people()
        assert limits.of_caller(ROOT) == OPERATOR
        assert limits.of_caller(ADA) == MEMBER
        assert limits.of_caller(EVE) == MEMBER  # An admin, and none of those who run the platform.
        assert limits.of_caller(stranger("192.0.2.1")) == ANONYMOUS
        await limits.set_rule(1, "callers", {"calls": "100/s", "day": 500}, "root@default")
        await limits.set_rule(1, "caller:ada", {"day": 700}, "root@default")
        await limits.set_rule(1, "key:aaaa", {"calls": "1/s", "day": 9999}, "root@default")
        own = limits.of_caller(ADA)
        assert (str(own.calls), own.day, own.runs) == ("1/s", 700, MEMBER.runs)
        assert str(limits.of_caller(ADA_AGAIN).calls) == "100/s"
        assert limits.of_caller(BOB).day == 500
        assert limits.of_caller(EVE) == MEMBER
        await limits.set_rule(1, "ceiling", {"day": 600}, "root@default")
        assert limits.of_caller(ADA).day == 600
        await site.close()
        site = Site(tmp_path, clock)
        limits = site.limits
        assert limits.rules(1) == {
            "callers": {"calls": "100/s", "day": 500},
            "caller:ada": {"day": 700},
            "ceiling": {"day": 600},
            "key:aaaa": {"calls": "1/s", "day": 9999},
        }
        assert limits.rules(2) == {}
        assert await limits.set_rule(1, "callers", {"day": None}, "root@default") == {"calls": "100/s"}
        await limits.drop_rule(1, "ceiling", "root@default")
        assert limits.of_caller(BOB).day == MEMBER.day
        kinds = site.connection.execute("SELECT kind, target FROM audit_event WHERE org=1").fetchall()
        assert kinds[-2:] == [("limit.set", "callers"), ("limit.removed", "ceiling")]
        assert [row.target for row in LimitRows(site.connection).rules(SYSTEM)].count("callers") == 1
        await site.close()

    tell(story)


@pytest.mark.parametrize(
    ("target", "table", "error"),
    [
        ("everybody", {"day": 1}, InvalidParams),
        ("caller:", {"day": 1}, InvalidParams),
        ("callers", {}, InvalidParams),
        ("callers", {"calls": "fast"}, InvalidParams),
        ("callers", {"calls": 5}, InvalidParams),
        ("callers", {"day": "5"}, InvalidParams),
        ("callers", {"day": -1}, InvalidParams),
        ("callers", {"day": True}, InvalidParams),
        ("callers", {"day": 10**13}, InvalidParams),
        ("callers", {"hour": 5}, InvalidParams),
        ("sign-in", {"day": 5}, InvalidParams),
        ("caller:nobody", {"day": 5}, NotFound),
        ("caller:eve", {"day": 5}, NotFound),
        ("key:eeee", {"day": 5}, NotFound),
    ],
    ids=[
        "no-target",
        "no-name",
        "nothing",
        "no-rate",
        "number-as-rate",
        "text-as-number",
        "negative",
        "flag",
        "too-many",
        "no-limit",
        "sign-in-has-no-days",
        "no-caller",
        "others-caller",
        "others-key",
    ],
)
def test_a_bad_rule_is_refused(
    tmp_path: Path, target: str, table: dict[str, Any], error: type[Exception]
) -> None:
    async def story() -> None:
        site = Site(tmp_path, Clock())
        await site.people()
        with pytest.raises(error):
            await site.limits.set_rule(1, target, table, "root@default")
        assert site.limits.rules(1) == {}
        with pytest.raises((NotFound, InvalidParams)):
            await site.limits.drop_rule(1, target, "root@default")
        await site.close()

    tell(story)


def test_a_flood_of_addresses_resets_nobody(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("a2a_cloud.control.limits.limits.MOST_LANES", 50)

    async def story() -> None:
        clock = Clock()
        site = Site(tmp_path, clock)
        limits = site.limits
        agent = release(caller_day=2, caller_runs=1, caller_rate="2/h")
        lane = limits.take(call(ADA, agent))
        for number in range(300):
            who = stranger(f"10.0.{number // 250}.{number % 250}")
            limits.request(who)
            limits.leave(limits.take(call(who, agent)), None)
        assert refused(limits, call(ADA, agent)).info["limit"] == "agent-runs"
        limits.leave(lane, None)
        limits.leave(limits.take(call(ADA, agent)), None)
        assert refused(limits, call(ADA, agent)).info["limit"] == "day"
        assert limits.running(ADA) == 0
        await site.close()

    tell(story)


def test_what_cards_say(tmp_path: Path) -> None:
    async def story() -> None:
        clock = Clock()
        site = Site(tmp_path, clock)
        shown = Shown(site.limits, clock)
        agent = release(caller_rate="5/s", caller_day=7)
        agent = msgspec.structs.replace(agent, skills=(_spec("greet"), _spec("inner", extended=True)))
        params, since = shown.of(agent)
        assert params["caller"] == {"rate": {"quota": 5, "window": 1}, "runs": 1000}
        assert params["anonymous"]["budget"] == {"day": 7, "month": 200_000}
        assert list(params["skills"]) == ["greet"]
        assert params["skills"]["greet"]["budget"] == {"day": 7, "month": 2_000_000}
        assert "latency" not in params["skills"]["greet"]
        lane = site.limits.take(call(BOB, agent))
        for number in range(100):
            site.limits.leave(lane, (number + 1) / 1000)
            site.limits.resume(call(BOB, agent))
        assert shown.of(agent) == (params, since)
        clock.pass_by(61)
        said, later = shown.of(agent)
        assert said["skills"]["greet"]["latency"] == {"p50": 0.05, "p95": 0.095, "runs": 100}
        assert later == since + 61
        clock.pass_by(61)
        assert shown.of(agent) == (said, later)
        await site.limits.set_rule(1, "callers", {"calls": "1/s"}, "root@default")
        assert shown.of(agent)[0]["caller"]["rate"] == {"quota": 1, "window": 1}
        await site.close()

    tell(story)


def _spec(name: str, **more: Any) -> Any:
    empty = msgspec.Raw(b"{}")
    return SkillSpec(id=name, name=name, description="", input_schema=empty, output_schema=empty, **more)
