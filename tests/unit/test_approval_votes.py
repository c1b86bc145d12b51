"""control/approvals: asked, voted, decided once, over a real journal; also at once, and after a restart."""

from __future__ import annotations

import asyncio
import tempfile
from collections.abc import Coroutine
from pathlib import Path
from typing import Any, TypeVar

import msgspec
import pytest
from approval_fixtures import ADA, BOB, EVE, FINANCE, MEMBER, STRANGER, Site, ask, site
from hypothesis import HealthCheck, settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, precondition, rule

from a2a_cloud.control.approvals.approvals import MOST_OF_RUN
from a2a_cloud.control.approvals.covering import outside
from a2a_cloud.control.approvals.rows import end_approval
from a2a_cloud.model.approval import BY_RULES, Approval, ApprovalState, Verdict, document, story
from a2a_cloud.model.grant import Widening
from a2a_cloud.model.principal import Principal
from a2a_cloud.model.problem import (
    ApprovalClosed,
    ApprovalNotFound,
    Busy,
    Forbidden,
    InvalidParams,
    Problem,
    StorageFull,
)
from a2a_cloud.model.scope import Scope
from a2a_cloud.storage.journal.port import Refusal

T = TypeVar("T")
P = TypeVar("P", bound=Problem)
YES, NO = Verdict.APPROVE, Verdict.DENY
TWO = '[[rule]]\npaths = ["finance/**"]\ndecision = "ask_two"\nfor = 3600\n'
OWN = '[[rule]]\ndecision = "ask"\nself = true\n'


async def refused(kind: type[P], work: Coroutine[Any, Any, object]) -> P:
    with pytest.raises(kind) as caught:
        await work
    return caught.value


def test_it_is_approved_once_and_the_story_is_kept(tmp_path: Path) -> None:
    async def play() -> None:
        async with site(tmp_path) as here:
            new = await here.ask()
            assert new.open
            assert new.risk == "high"
            assert [each.id for each in here.approvals.inbox.page(BOB)] == [new.id]
            q3 = Widening(read=("finance/q3/**",))
            done = await here.approvals.vote(new.id, BOB, YES, narrowed=q3, seconds=60, note=" fine ")
            assert (done.state, done.granted, done.seconds, done.ended_by) == ("approved", q3, 60, "bob@acme")
            assert here.approvals.inbox.page(BOB) == []
            stored = here.approvals.inbox.one(BOB, new.id)
            assert msgspec.structs.replace(stored, no=0) == done
            assert here.rows.of_run(Scope(org=1), "run_1") == [stored]
            assert [line["by"] for line in story(stored)] == ["ada@acme", "rules", "bob@acme", "bob@acme"]
            assert document(stored)["votes"][0]["note"] == "fine"
            # The same again gives the same; another decision is told who was first.
            assert await here.approvals.vote(new.id, BOB, YES, note="again") == done
            late = await refused(ApprovalClosed, here.approvals.vote(new.id, EVE, NO))
            assert "bob@acme approved it" in late.detail
            assert len(here.decided) == 1

    asyncio.run(play())


def test_who_may_not_decide(tmp_path: Path) -> None:
    async def play() -> None:
        async with site(tmp_path) as here:
            new = await here.ask()
            own = await refused(Forbidden, here.approvals.vote(new.id, ADA, YES))
            assert "own" in own.detail
            await refused(Forbidden, here.approvals.vote(new.id, MEMBER, YES))
            await refused(ApprovalNotFound, here.approvals.vote(new.id, STRANGER, YES))
            await refused(ApprovalNotFound, here.approvals.vote("appr_none", BOB, YES))
            for read in (here.approvals.inbox.one, lambda by, ident: here.approvals.inbox.one(by, ident)):
                for by in (STRANGER, MEMBER):
                    with pytest.raises(ApprovalNotFound):
                        read(by, new.id)
            assert here.approvals.inbox.page(MEMBER) == []
            # To say no to oneself harms nobody.
            assert (await here.approvals.vote(new.id, ADA, NO)).state == "denied"
            await here.approvals.rulebook.put(ADA, OWN)
            mine = await here.ask()
            assert (await here.approvals.vote(mine.id, ADA, YES)).state == "approved"

    asyncio.run(play())


@pytest.mark.parametrize(
    ("narrowed", "seconds"),
    [
        (Widening(read=("**",)), None),
        (Widening(read=("finance*/x",)), None),
        (Widening(write=("finance/x",)), None),
        (Widening(egress=("*.example.com",)), None),
        (Widening(read=("finance/x", "hr/x")), None),
        (Widening(), None),
        (Widening(read=("../x",)), None),
        (None, 7200),
        (None, 0),
        (None, -1),
    ],
)
def test_nothing_is_allowed_that_was_not_asked(
    tmp_path: Path, narrowed: Widening | None, seconds: int | None
) -> None:
    async def play() -> None:
        async with site(tmp_path) as here:
            new = await here.ask(ask(seconds=3600))
            vote = here.approvals.vote(new.id, BOB, YES, narrowed=narrowed, seconds=seconds)
            problem = await refused(InvalidParams, vote)
            assert problem.remedy
            assert here.approvals.inbox.one(BOB, new.id).open
            assert not here.decided

    asyncio.run(play())


def test_two_people_must_agree_and_get_what_both_allow(tmp_path: Path) -> None:
    async def play() -> None:
        async with site(tmp_path) as here:
            await here.approvals.rulebook.put(BOB, TWO)
            new = await here.ask()
            assert (new.needed, new.rule, new.seconds) == (2, "rule 1 of version 1", 3600)
            one = await here.approvals.vote(new.id, BOB, YES, narrowed=Widening(read=("finance/q3/**",)))
            assert one.open
            assert one.missing == 1
            # The same person again is no second person, but may think again.
            assert (
                await here.approvals.vote(new.id, BOB, YES, narrowed=Widening(read=("finance/q3/**",)))
            ).open
            again = await here.approvals.vote(new.id, BOB, YES, narrowed=Widening(read=("finance/q4/*",)))
            assert len(again.votes) == 1
            other = here.approvals.vote(new.id, EVE, YES, narrowed=Widening(read=("finance/q1/**",)))
            assert "bob@acme approved read finance/q4/*" in (await refused(InvalidParams, other)).detail
        async with site(tmp_path) as here:
            assert [each.votes[0].by for each in here.restored] == ["bob@acme"]
            done = await here.approvals.vote(new.id, EVE, YES, seconds=60)
            assert done.granted == Widening(read=("finance/q4/*",))
            assert done.seconds == 60

    asyncio.run(play())


def test_rules_decide_the_easy_ones_and_it_is_written_down(tmp_path: Path) -> None:
    async def play() -> None:
        text = '[[rule]]\npaths = ["keys/**"]\ndecision = "deny"\n[[rule]]\ndecision = "approve"\nfor = 60\n'
        async with site(tmp_path) as here:
            assert (await here.approvals.rulebook.put(BOB, text)).version == 1
            assert (await here.approvals.rulebook.put(BOB, text)).version == 1
            easy = await here.ask()
            assert (easy.state, easy.granted, easy.seconds, easy.ended_by) == (
                "approved",
                FINANCE,
                60,
                BY_RULES,
            )
            denied = await here.ask(ask(Widening(read=("**",))))
            assert (denied.state, denied.rule) == ("denied", "rule 1 of version 1")
            await refused(Forbidden, here.approvals.rulebook.put(MEMBER, ""))
            await refused(InvalidParams, here.approvals.rulebook.put(BOB, "[rule]"))
            assert not here.approvals.open_of("run_1")
        async with site(tmp_path) as here:
            assert here.approvals.rulebook.text(1).text == text
            assert here.approvals.rulebook.text(2).version == 0
            assert (await here.ask()).state == "approved"
            everything = here.approvals.inbox.page(BOB, state="")
            assert [each.state for each in everything] == ["approved", "denied", "approved"]
            closed = await refused(ApprovalClosed, here.approvals.vote(denied.id, EVE, YES))
            assert "rule 1 of version 1 denied it" in closed.detail

    asyncio.run(play())


def test_of_many_at_once_one_decides(tmp_path: Path) -> None:
    async def play() -> None:
        async with site(tmp_path) as here:
            new = await here.ask()
            votes = [
                here.approvals.vote(new.id, by, said) for by, said in ((BOB, YES), (EVE, NO), (BOB, YES))
            ]
            results = await asyncio.gather(*votes, here.approvals.expire(new.id), return_exceptions=True)
            assert isinstance(results[0], Approval)
            assert isinstance(results[1], ApprovalClosed)
            assert results[2] == results[0]
            assert isinstance(results[3], ApprovalClosed)
            assert here.ends(new.id) == ["approved"]
            assert len(here.decided) == 1

    asyncio.run(play())


def test_a_vote_is_finished_though_nobody_waits_for_it(tmp_path: Path) -> None:
    async def play() -> None:
        async with site(tmp_path) as here:
            new = await here.ask()
            vote = asyncio.create_task(here.approvals.vote(new.id, BOB, YES))
            await asyncio.sleep(0)
            await asyncio.sleep(0)
            vote.cancel()
            with pytest.raises(asyncio.CancelledError):
                await vote
            await here.approvals.close()
            assert here.ends(new.id) == ["approved"]
            assert (await here.approvals.vote(new.id, BOB, YES)).state == "approved"
            assert len(here.decided) == 1

    asyncio.run(play())


def test_when_it_can_not_be_stored_nothing_was_decided(tmp_path: Path) -> None:
    def full(_approval: Approval) -> None:
        raise StorageFull

    async def play() -> None:
        async with site(tmp_path) as here:
            new = await here.ask()
            here.before = full
            await refused(StorageFull, here.approvals.vote(new.id, BOB, YES))
            assert here.approvals.inbox.one(BOB, new.id).open
            here.before = lambda _approval: None
            assert (await here.approvals.vote(new.id, EVE, NO)).state == "denied"

    asyncio.run(play())


def test_an_end_that_sql_has_already_stands(tmp_path: Path) -> None:
    async def play() -> None:
        async with site(tmp_path) as here:
            new = await here.ask()
            ended = msgspec.structs.replace(
                new, state=ApprovalState.DENIED, ended=here.clock.now(), ended_by="eve@acme"
            )
            await here.journal.write(end_approval(ended))
            late = await refused(ApprovalClosed, here.approvals.vote(new.id, BOB, YES))
            assert "eve@acme denied it" in late.detail
            assert here.ends(new.id) == ["denied"]
            assert here.approvals.open_of("run_1") == []

    asyncio.run(play())


def test_another_refusal_of_the_same_write_leaves_it_open(tmp_path: Path) -> None:
    def twice(_approval: Approval) -> None:
        raise Refusal("a grant of that id is there already")

    async def play() -> None:
        async with site(tmp_path) as here:
            new = await here.ask()
            here.before = twice
            with pytest.raises(Refusal):
                await here.approvals.vote(new.id, BOB, YES)
            here.before = lambda _approval: None
            assert (await here.approvals.vote(new.id, BOB, YES)).state == "approved"

    asyncio.run(play())


def test_a_run_that_ends_takes_its_requests_along(tmp_path: Path) -> None:
    async def play() -> None:
        async with site(tmp_path) as here:
            first, second, other = await here.ask(), await here.ask(), await here.ask(ask(run="run_2"))
            ops = here.approvals.withdraw("run_1")
            assert here.approvals.withdraw("run_1") == []
            late = await refused(ApprovalClosed, here.approvals.vote(first.id, BOB, YES))
            assert "the run that asked ended" in late.detail
            await here.journal.write(ops)
            assert here.ends(second.id) == ["withdrawn"]
            assert [each.id for each in here.approvals.inbox.page(BOB)] == [other.id]

    asyncio.run(play())


def test_a_run_that_ends_while_it_is_decided(tmp_path: Path) -> None:
    async def play() -> None:
        async with site(tmp_path) as here:
            new = await here.ask()

            def gone(_approval: Approval) -> None:
                assert here.approvals.withdraw("run_1") == []
                raise ApprovalClosed

            here.before = gone
            await refused(ApprovalClosed, here.approvals.vote(new.id, BOB, YES))
            assert here.ends(new.id) == ["withdrawn"]
            assert here.approvals.inbox.page(BOB) == []
            assert here.decided == []

    asyncio.run(play())


def test_deadlines(tmp_path: Path) -> None:
    async def play() -> None:
        async with site(tmp_path) as here:
            new = await here.ask()
            assert here.approvals.due(here.clock.now()) == []
            here.clock.at += 86_401
            assert here.approvals.due(here.clock.now()) == [new]
            assert (await here.approvals.expire(new.id)).state == "expired"
            assert here.approvals.due(here.clock.now()) == []
            await refused(ApprovalClosed, here.approvals.expire(new.id))
            await refused(ApprovalNotFound, here.approvals.expire("appr_none"))

    asyncio.run(play())


def test_one_run_can_not_flood_the_inbox(tmp_path: Path) -> None:
    async def play() -> None:
        async with site(tmp_path) as here:
            for _ in range(MOST_OF_RUN):
                await here.ask()
            with pytest.raises(Busy):
                here.approvals.request(ask())
            last = here.approvals.open_of("run_1")[-1]
            here.approvals.forget(last.id)
            here.approvals.forget(last.id)
            assert here.approvals.request(ask())[0].open

    asyncio.run(play())


def test_pages_and_news(tmp_path: Path) -> None:
    async def play() -> None:
        async with site(tmp_path) as here:
            inbox = here.approvals.inbox
            ids = [(await here.ask(ask(run=f"run_{n}"))).id for n in range(5)]
            page = inbox.page(BOB, limit=2)
            page += inbox.page(BOB, limit=2, before=page[-1].no)
            assert [each.id for each in page] == ids[:0:-1]
            found, last = inbox.since(BOB, 0, limit=3)
            assert ([each.id for each in found], last) == (ids[:3], 3)
            found, last = inbox.since(BOB, last)
            assert ([each.id for each in found], last) == (ids[3:], 5)
            assert inbox.since(BOB, last) == ([], 5)
            assert inbox.since(STRANGER, 0) == ([], 0)
            with pytest.raises(InvalidParams):
                inbox.page(BOB, state="perhaps")
            waiting = asyncio.create_task(inbox.wait(1, 5))
            foreign = asyncio.create_task(inbox.wait(2, 5))
            await asyncio.sleep(0)
            await here.ask()
            await asyncio.wait_for(waiting, 1)
            assert not foreign.done()
            foreign.cancel()
            await inbox.wait(1, 0.01)

    asyncio.run(play())


def test_every_read_has_an_index(tmp_path: Path) -> None:
    async def play() -> None:
        async with site(tmp_path) as here:
            seen: list[str] = []
            here.connection.set_trace_callback(seen.append)
            scope = Scope(org=1)
            await here.ask()
            here.rows.approval(scope, "appr_1")
            here.rows.of_run(scope, "run_1")
            here.rows.every_open()
            here.rows.last(scope)
            for state in ("", "open"):
                here.rows.before(scope, state=state)
                here.rows.before(scope, state=state, requester="ada@acme")
                here.rows.after(scope, last=9, after=0, state=state)
            here.connection.set_trace_callback(None)
            reads = [sql for sql in seen if sql.startswith("SELECT")]
            assert len(reads) > 8
            for sql in reads:
                plan = " ".join(row[3] for row in here.connection.execute(f"EXPLAIN QUERY PLAN {sql}"))
                assert "SCAN approval" not in plan or "approval_open" in plan, (sql, plan)
                small = "approval_vote" in sql or "INDEXED BY approval_open" in sql
                assert small or "TEMP B-TREE FOR ORDER BY" not in plan, (sql, plan)

    asyncio.run(play())


# --- any order of votes, restarts and ends ------------------------------------------------------------

PEOPLE = (ADA, BOB, EVE)
NARROWED = st.sampled_from([None, Widening(read=("finance/q3/**",)), Widening(read=("finance/**",))])


class Votes(RuleBasedStateMachine):
    """One approval, whatever people and crashes do to it."""

    def __init__(self) -> None:
        super().__init__()
        self.loop = asyncio.new_event_loop()
        self.folder = tempfile.TemporaryDirectory()
        self.outcome: Approval | None = None
        self.said: dict[str, tuple[Verdict, Widening | None]] = {}
        self.told = 0

    def do(self, work: Coroutine[Any, Any, T]) -> T:
        return self.loop.run_until_complete(work)

    async def _site(self) -> Site:
        return Site(Path(self.folder.name))

    @initialize(two=st.booleans(), own=st.booleans())
    def begin(self, two: bool, own: bool) -> None:
        self.here = self.do(self._site())
        decision = "ask_two" if two else "ask"
        self.do(
            self.here.approvals.rulebook.put(
                BOB, f'[[rule]]\ndecision = "{decision}"\nself = {own}\n'.lower()
            )
        )
        self.own = own
        self.asked = self.do(self.here.ask())
        assert self.asked.needed == (2 if two else 1)

    @rule(by=st.sampled_from(PEOPLE), verdict=st.sampled_from(Verdict), narrowed=NARROWED)
    def vote(self, by: Principal, verdict: Verdict, narrowed: Widening | None) -> None:
        narrowed = narrowed if verdict is YES else None
        self._voted(by, verdict, narrowed, self.do(self._one(by, verdict, narrowed)))

    async def _one(self, by: Principal, verdict: Verdict, narrowed: Widening | None) -> Approval | Problem:
        try:
            return await self.here.approvals.vote(self.asked.id, by, verdict, narrowed=narrowed)
        except Problem as problem:
            return problem

    def _voted(
        self, by: Principal, verdict: Verdict, narrowed: Widening | None, got: Approval | Problem
    ) -> None:
        if isinstance(got, Forbidden):
            assert by is ADA
            assert not self.own
            assert verdict is YES
            return
        if isinstance(got, Approval) and self.outcome is None:
            self.said[by.label] = (verdict, narrowed)
            if not got.open:
                self.outcome = got
        elif isinstance(got, Approval):
            # Only who said the same before is told the outcome.
            assert msgspec.structs.replace(got, no=0) == msgspec.structs.replace(self.outcome, no=0)
            assert self.said[by.label][0] is verdict
        else:
            assert isinstance(got, ApprovalClosed)
            assert self.outcome is not None

    @rule(first=st.permutations(PEOPLE), verdict=st.sampled_from(Verdict))
    def votes_at_once(self, first: list[Principal], verdict: Verdict) -> None:
        async def all_at_once() -> list[Approval | Problem]:
            return await asyncio.gather(*(self._one(by, verdict, None) for by in first))

        for by, got in zip(first, self.do(all_at_once()), strict=True):
            self._voted(by, verdict, None, got)

    @rule()
    def expires(self) -> None:
        async def expire() -> Approval | None:
            try:
                return await self.here.approvals.expire(self.asked.id)
            except ApprovalClosed:
                return None

        ended = self.do(expire())
        assert (ended is None) == (self.outcome is not None)
        self.outcome = self.outcome or ended

    @precondition(lambda self: self.outcome is None)
    @rule()
    def the_run_ends(self) -> None:
        self.do(self.here.journal.write(self.here.approvals.withdraw("run_1")))
        self.outcome = self.here.approvals.inbox.one(BOB, self.asked.id)
        assert self.outcome.state == "withdrawn"

    @rule()
    def restart(self) -> None:
        self.told += len(self.here.decided)
        self.do(self.here.close())
        self.here = self.do(self._site())
        assert [each.id for each in self.here.restored] == ([] if self.outcome else [self.asked.id])

    @invariant()
    def one_end_and_only_what_was_allowed(self) -> None:
        if not hasattr(self, "asked"):
            return
        stored = self.here.approvals.inbox.one(BOB, self.asked.id)
        told = self.told + len(self.here.decided)
        if self.outcome is None:
            assert stored.open
            assert told == 0
            assert self.here.approvals.open_of("run_1")[0].votes == stored.votes
            assert {vote.by for vote in stored.votes} == set(self.said)
            return
        assert self.here.ends(self.asked.id) == [self.outcome.state]
        assert told == (0 if stored.state == "withdrawn" else 1)
        assert msgspec.structs.replace(stored, no=0) == msgspec.structs.replace(self.outcome, no=0)
        assert outside(stored.granted, FINANCE) is None
        if stored.state == "approved":
            voters = {vote.by for vote in stored.votes if vote.verdict is YES}
            assert len(voters) == stored.needed
            assert self.own or ADA.label not in voters
            for vote in stored.votes:
                assert outside(stored.granted, vote.granted) is None
        else:
            assert stored.granted == Widening()

    def teardown(self) -> None:
        if hasattr(self, "here"):
            self.do(self.here.close())
        self.loop.run_until_complete(self.loop.shutdown_default_executor())
        self.loop.close()
        self.folder.cleanup()


TestVotes = Votes.TestCase
TestVotes.settings = settings(
    max_examples=60, stateful_step_count=12, deadline=None, suppress_health_check=list(HealthCheck)
)
