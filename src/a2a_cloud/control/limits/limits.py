"""Limits that hold: rates of requests and calls, runs at a time, budgets, the same for every dialect.

`request` is asked of each request where its caller becomes known, `take` of each new run where it is
accepted. What counts for one caller, key, agent and skill is found once and kept as a `Lane`: a call looks at
a handful of numbers. Rates and runs are in memory, and begin anew with the platform; budgets are on disk.
"""

from __future__ import annotations

import asyncio
from collections.abc import Mapping
from hashlib import blake2b
from typing import Any, NamedTuple, Protocol

import msgspec

from a2a_cloud.control.limits import policy
from a2a_cloud.control.limits.budgets import Budgets, Counter
from a2a_cloud.control.limits.declared import budget_of, rates_of
from a2a_cloud.control.limits.latency import Latency
from a2a_cloud.control.limits.rates import Cell, Cells
from a2a_cloud.control.limits.rows import DROP_RULE, PUT_RULE, LimitRows
from a2a_cloud.model.limits import CallerLimits, Rate, least, subscriber
from a2a_cloud.model.ports import Clock
from a2a_cloud.model.principal import Permission, Principal
from a2a_cloud.model.problem import BudgetSpent, NotFound, RateLimited
from a2a_cloud.model.release import Release
from a2a_cloud.model.run import Call
from a2a_cloud.model.scope import SYSTEM, Scope
from a2a_cloud.model.stamp import stamp
from a2a_cloud.storage.journal.port import Op, Write
from a2a_cloud.storage.sql.audit import change

#: Lanes in memory. Past that all are made anew, as they are needed.
MOST_LANES = 10_000


class Journal(Protocol):
    """The journal."""

    def submit(self, write: Write) -> None:
        """Queue a write."""
        ...

    async def write(self, ops: list[Op]) -> None:
        """Commit `ops`."""
        ...


class Seat:
    """Runs of one caller that have not ended."""

    __slots__ = ("taken",)

    def __init__(self) -> None:
        self.taken = 0


class Lane:
    """What counts for one caller, key, agent and skill: cells of rates; (name, seat, most); (whose, counter,
    most a day, most a month); and how long the skill takes."""

    __slots__ = ("budgets", "cells", "latency", "seats")

    def __init__(
        self,
        cells: tuple[Cell, ...],
        seats: tuple[tuple[str, Seat, int], ...],
        budgets: tuple[tuple[str, Counter, int, int], ...],
        latency: Latency,
    ) -> None:
        self.cells, self.seats, self.budgets, self.latency = cells, seats, budgets, latency


class Use(NamedTuple):
    """How far a rate is used: how many could come at once, and seconds until all of it is there again."""

    name: str
    rate: Rate
    left: int
    reset: float


class Spent(NamedTuple):
    """Calls of a skill today and this month, and how many may be."""

    day: int
    day_most: int
    month: int
    month_most: int


class Limits:
    """See the module. On the loop's thread alone. `secret` keeps addresses from being told from what is on
    disk."""

    def __init__(
        self,
        rows: LimitRows,
        journal: Journal,
        clock: Clock,
        *,
        default_org: int,
        secret: bytes,
    ) -> None:
        self._rows = rows
        self._journal = journal
        self._clock = clock
        self._monotonic = clock.monotonic
        self._default_org = default_org
        self._secret = secret
        self._rules = {(row.org, row.target): policy.stored(row.body) for row in rows.rules(SYSTEM)}
        self._cells = Cells()
        self._seats: dict[object, Seat] = {}
        self._lanes: dict[tuple[int, str, str, int, str], Lane] = {}
        self._doors: dict[tuple[int, str, str], Cell] = {}
        self._latency: dict[tuple[int, str], Latency] = {}
        self._budgets = Budgets(rows, journal, clock, asyncio.get_running_loop().call_later)
        #: How often rules were changed: what was made from them is old.
        self.changes = 0

    # --- requests -------------------------------------------------------------------------------------------

    def request(self, caller: Principal) -> Use | None:
        """Count a request of any kind. Who has used more than half of what they may is told how far: a Use.
        Raises RateLimited."""
        key = (caller.no, caller.key_id or caller.address, caller.role)
        cell = self._doors.get(key)
        if cell is None:
            cell = self._door(key, caller)
        now = self._monotonic()
        wait = cell.take(now)
        if wait:
            raise self._too_fast(cell, now, wait)
        if cell.tat - now > cell.half:
            return Use(cell.name, cell.rate, cell.left(now), cell.reset(now))
        return None

    def _door(self, key: tuple[int, str, str], caller: Principal) -> Cell:
        self._make_room()
        limits = policy.of_caller(self._rules, caller, self._default_org)
        assert limits.requests is not None
        name = "address" if caller.anonymous else "requests"
        cell = self._doors[key] = self._cell(name, _whose(caller), limits.requests, caller)
        return cell

    def sign_in(self, address: str, account: str = "") -> None:
        """Count a try to sign in, register or get a token, from an address and (`account`) as somebody.
        Raises RateLimited."""
        limits = policy.of_sign_in(self._rules, self._default_org)
        now = self._monotonic()
        self._make_room()
        for whose, rate in (
            (("address", subscriber(address)), limits.requests),
            (("account", account.casefold()), limits.calls),
        ):
            if whose[1] and rate is not None:
                cell = self._cells.of("sign-in", whose, rate, now, known=False)
                wait = cell.take(now)
                if wait:
                    raise self._too_fast(cell, now, wait)

    # --- runs -----------------------------------------------------------------------------------------------

    def take(self, call: Call) -> Lane:
        """Count a new run. What a run calls has begun with it, and waits for no seat. Raises RateLimited,
        BudgetSpent; then nothing was counted."""
        caller = call.principal
        lane = self._lanes.get(
            (caller.no, caller.key_id or caller.address, caller.role, call.release.no, call.skill)
        ) or self._lane(call)
        now = self._monotonic()
        if now >= self._budgets.turn:
            self._lanes.clear()
            self._budgets.new_day()
            lane = self._lane(call)
        for _, counter, day, month in lane.budgets:
            if counter.day >= day or counter.month >= month:
                raise self._spent(lane, call)
        if call.parent is None:
            for name, seat, most in lane.seats:
                if seat.taken >= most:
                    raise _no_seat(name, most)
        for cell in lane.cells:
            wait = cell.take(now)
            if wait:
                for other in lane.cells:
                    if other is cell:
                        break
                    other.tat -= other.interval
                raise self._too_fast(cell, now, wait)
        for _, seat, _ in lane.seats:
            seat.taken += 1
        for _, counter, _, _ in lane.budgets:
            counter.day += 1
            counter.month += 1
            if not counter.changed:
                self._budgets.counted(counter)
        return lane

    def resume(self, call: Call) -> Lane:
        """A run from before the platform was started takes its seat again; nothing is counted anew."""
        lane = self._lane(call)
        for _, seat, _ in lane.seats:
            seat.taken += 1
        return lane

    def undo(self, lane: Lane) -> None:
        """The run was not accepted after all: its calls are given back. Its seat is `leave`'s."""
        for _, counter, _, _ in lane.budgets:
            counter.day = max(0, counter.day - 1)
            counter.month = max(0, counter.month - 1)
            if not counter.changed:
                self._budgets.counted(counter)

    def leave(self, lane: Lane, seconds: float | None) -> None:
        """The run is over; `seconds`: how long it took, None where that says nothing of the skill."""
        for _, seat, _ in lane.seats:
            seat.taken -= 1
        if seconds is not None:
            lane.latency.add(seconds)

    def close(self) -> None:
        """What was counted goes to disk with the journal's next group."""
        self._budgets.write()

    def _lane(self, call: Call) -> Lane:
        caller, release, skill = call.principal, call.release, call.skill
        self._make_room()
        own = policy.of_caller(self._rules, caller, self._default_org)
        key = policy.of_key(self._rules, caller)
        agent, rule = rates_of(release), rates_of(release, skill)
        here = (release.agent_no, skill)
        whose = _whose(caller)
        rates = [
            ("calls", whose, own.calls),
            ("key", caller.key_id, key.calls),
            ("agent-caller", (whose, release.agent_no), agent.of_caller),
            ("skill-caller", (whose, *here), rule.of_caller),
            ("agent", release.agent_no, agent.of_all),
            ("skill", here, rule.of_all),
        ]
        seats: list[tuple[str, object, int | None]] = [
            ("runs", _seated(caller), own.runs),
            ("key-runs", caller.key_id, key.runs),
        ]
        if release.manifest.limits.caller_runs:
            most = release.manifest.limits.caller_runs
            seats.append(("agent-runs", (_seated(caller), release.agent_no), most))
        day, month = _budget(own, release, skill)
        subject = self._subject(caller)
        budgets = [("caller", self._budgets.of(caller.org_no, subject, *here), day, month)]
        if caller.key_id:
            mine = self._budgets.of(caller.org_no, f"k:{caller.client or caller.key_id}", *here)
            budgets.append(("key", mine, least(day, key.day) or 0, least(month, key.month) or 0))
        lane = Lane(
            tuple(self._cell(name, who, rate, caller) for name, who, rate in rates if rate is not None),
            tuple((name, self._seat((name, who)), most) for name, who, most in seats if most is not None),
            tuple(budgets),
            self._latency.setdefault(here, Latency()),
        )
        self._lanes[caller.no, caller.key_id or caller.address, caller.role, release.no, skill] = lane
        return lane

    def _subject(self, caller: Principal) -> str:
        if not caller.anonymous:
            return f"p:{caller.no}"
        return f"a:{blake2b(caller.address.encode(), key=self._secret, digest_size=12).hexdigest()}"

    def _cell(self, name: str, whose: object, rate: Rate, caller: Principal) -> Cell:
        return self._cells.of(name, whose, rate, self._monotonic(), known=not caller.anonymous)

    def _seat(self, key: object) -> Seat:
        return self._seats.setdefault(key, Seat())

    def _make_room(self) -> None:
        """Before something is added: forget what is at rest, once nothing holds it any more."""
        now = self._monotonic()
        if (
            len(self._lanes) < MOST_LANES
            and len(self._doors) < MOST_LANES
            and not self._budgets.full
            and not self._cells.rests(now)
        ):
            return
        self._lanes.clear()
        self._doors.clear()
        self._cells.sweep(now)
        self._budgets.forget()
        self._seats = {key: seat for key, seat in self._seats.items() if seat.taken}

    # --- refusals -------------------------------------------------------------------------------------------

    def _too_fast(self, cell: Cell, now: float, wait: float) -> RateLimited:
        return RateLimited(
            f"{_WHOSE.get(cell.name, cell.name)}: {cell.rate} and no more.",
            remedy="Try again after the time that Retry-After gives.",
            info={
                "limit": cell.name,
                "policy": policy_field(cell.name, cell.rate.quota, cell.rate.window),
                "again": stamp(self._clock.now() + wait),
            },
            retry_after=wait,
        )

    def _spent(self, lane: Lane, call: Call) -> BudgetSpent:
        """The refusal of what is there again last."""
        found: list[tuple[float, str, str, int, int]] = []
        for who, counter, day, month in lane.budgets:
            if counter.day >= day:
                found.append((self._budgets.day_ends, who, "day", day, 86_400))
            if counter.month >= month:
                found.append((self._budgets.month_ends, who, "month", month, 30 * 86_400))
        again, who, span, most, seconds = max(found, key=lambda one: one[0])
        name = span if who == "caller" else f"key-{span}"
        skill = call.skill or "its message handler"
        mine = "You" if who == "caller" else "This key"
        return BudgetSpent(
            f"{mine} may call {skill} of {call.release.name} {most} times a {span}, and did.",
            remedy=f"Try again after {stamp(again)}, or ask for more: see `a2a limits show`.",
            info={"limit": name, "policy": policy_field(name, most, seconds), "again": stamp(again)},
            retry_after=max(1.0, again - self._clock.now()),
        )

    # --- rules ----------------------------------------------------------------------------------------------

    def rules(self, org: int) -> dict[str, dict[str, Any]]:
        """What is set for an organisation, by target."""
        return {
            target: policy.table_of(rule)
            for (owner, target), rule in sorted(self._rules.items())
            if owner == org
        }

    async def set_rule(self, org: int, target: str, table: Mapping[str, Any], by: str) -> dict[str, Any]:
        """Set some limits of a target, beside those that it has; None takes one away. Raises InvalidParams,
        NotFound."""
        self._check(org, target)
        now = {**self.rules(org).get(target, {}), **table}
        wanted = policy.read_limits(target, {name: value for name, value in now.items() if value is not None})
        told = policy.table_of(wanted)
        at = self._clock.now()
        body = msgspec.json.encode(told).decode()
        ops = [(PUT_RULE, (org, target, body, at, by)), change(org, at, by, "limit.set", target, **told)]
        await self._journal.write(ops)
        self._rules[org, target] = wanted
        self._changed()
        return told

    async def drop_rule(self, org: int, target: str, by: str) -> None:
        """Back to what is usual. Raises InvalidParams, NotFound."""
        policy.read_target(target)
        if (org, target) not in self._rules:
            raise NotFound(f"Nothing is set for {target}.", remedy="See `a2a limits show`.")
        at = self._clock.now()
        await self._journal.write([(DROP_RULE, (org, target)), change(org, at, by, "limit.removed", target)])
        self._rules.pop((org, target), None)
        self._changed()

    def _check(self, org: int, target: str) -> None:
        policy.read_target(target)
        if not self._rows.has(Scope(org=org), target):
            raise NotFound(
                f"The organisation has no {target.replace(':', ' ', 1)}.", remedy="See `a2a keys ls`."
            )

    def _changed(self) -> None:
        self.changes += 1
        self._lanes.clear()
        self._doors.clear()

    # --- what holds -----------------------------------------------------------------------------------------

    def of_caller(self, caller: Principal) -> CallerLimits:
        """What a caller may do, with the key that they show."""
        own = policy.of_caller(self._rules, caller, self._default_org)
        return policy.under(own, policy.of_key(self._rules, caller))

    def running(self, caller: Principal) -> int:
        """How many runs of theirs have not ended."""
        seat = self._seats.get(("runs", _seated(caller)))
        return seat.taken if seat is not None else 0

    def spent(self, caller: Principal, release: Release, skill: str) -> Spent:
        """How much of their budget for a skill is used."""
        own = policy.of_caller(self._rules, caller, self._default_org)
        counter = self._budgets.of(caller.org_no, self._subject(caller), release.agent_no, skill)
        day, month = _budget(own, release, skill)
        return Spent(counter.day, day, counter.month, month)

    def typical(self, release: Release, skill: str) -> tuple[float, float, int] | None:
        """How long a skill takes: seconds for half and for 95 of 100 of so many runs."""
        found = self._latency.get((release.agent_no, skill))
        return found.typical if found is not None else None


_WHOSE = {
    "requests": "Your requests",
    "address": "Requests without a key from your address",
    "calls": "Your calls",
    "key": "Calls with this key",
    "agent": "Calls of this agent, all callers together",
    "agent-caller": "Your calls of this agent",
    "skill": "Calls of this skill, all callers together",
    "skill-caller": "Your calls of this skill",
    "sign-in": "Tries to sign in or register",
}


def _budget(own: CallerLimits, release: Release, skill: str) -> tuple[int, int]:
    """How often a caller with these limits may call a skill in a day, and in a month."""
    day, month = budget_of(release, skill)
    return least(own.day, day) or 0, least(own.month, month) or 0


def policy_field(name: str, count: int, seconds: int) -> str:
    """An item of RateLimit-Policy (draft-ietf-httpapi-ratelimit-headers-11, section 3)."""
    return f'"{name}";q={count};w={seconds}'


def _whose(caller: Principal) -> tuple[int, str, bool]:
    """Whose cell it is. Who runs the platform, and has other keys, has one beside that."""
    return caller.no, caller.address, caller.may(Permission.MANAGE_PLATFORM)


def _seated(caller: Principal) -> tuple[int, str]:
    return caller.no, caller.address


def _no_seat(name: str, most: int) -> RateLimited:
    words = {"runs": "of yours", "key-runs": "with this key", "agent-runs": "of yours with this agent"}
    return RateLimited(
        f"{most} runs {words[name]} have not ended, and that is as many as may be at a time.",
        remedy="Wait for some of them, or cancel them.",
        info={"limit": name, "policy": f'"{name}";q={most};qu="concurrent-requests"'},
        retry_after=1,
    )
