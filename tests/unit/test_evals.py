"""Evals over a real store: what is stored with which events, what a stop leaves, what a gate looks at."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from pathlib import Path
from typing import Any

import msgspec
import pytest

from a2a_cloud.control.evals.evals import MAX_LIVE, MAX_PARALLEL, MAX_REPEAT, MAX_RUNS, Evals
from a2a_cloud.control.evals.ports import Answer
from a2a_cloud.control.evals.rows import EvalRows, erased
from a2a_cloud.control.identity.keys import Identity
from a2a_cloud.model.evaluation import Eval
from a2a_cloud.model.principal import Principal
from a2a_cloud.model.problem import (
    Busy,
    GateNotMet,
    InvalidParams,
    InvalidRequest,
    NotFound,
    Refused,
    SkillFailed,
    Unavailable,
)
from a2a_cloud.model.release import Manifest, Release, SkillSpec
from a2a_cloud.ops.system import SystemClock, SystemEntropy, TimeIds
from a2a_cloud.storage.journal.sqlite import SqliteJournal
from a2a_cloud.storage.sql.sqlite import SqliteReader
from a2a_cloud.wire.canonical import canonical, salted_sha256
from a2a_cloud.wire.rubric import Case, Check

RUBRIC = """
[[case]]
name = "good"
skill = "greet"
arguments = { name = "Ada" }
[[case.check]]
kind = "equals"
value = "Hello, Ada."
[[case.check]]
kind = "python"
function = "checks:polite"

[[case]]
name = "bad"
skill = "greet"
arguments = { name = "Bob" }
weight = 3
[[case.check]]
kind = "contains"
value = "Bob"
[[case.check]]
kind = "judge"
agent = "judge"
skill = "rate"
weight = 3
"""


class Scripted:
    """An asker and functions that answer from a script: the ports' own shape, no platform behind."""

    def __init__(self) -> None:
        self.open = asyncio.Event()
        self.open.set()
        self.begun = self.most = self.now = self.canceled = 0
        self.results: dict[str, Any] = {"Ada": "Hello, Ada.", "Bob": "Hello, Bob."}
        self.rating: Any = {"score": 0.5, "reason": "dry"}
        self.polite: Any = True

    async def ask(self, release: Release, principal: Principal, case: Case) -> Answer:
        self.begun += 1
        self.now += 1
        self.most = max(self.most, self.now)
        try:
            await self.open.wait()
        except asyncio.CancelledError:
            self.canceled += 1
            raise
        finally:
            self.now -= 1
        assert case.arguments is not None
        result = self.results[case.arguments["name"]]
        if isinstance(result, Exception):
            raise result
        return Answer(f"run_{self.begun}", f"rcpt_{self.begun}", "completed", result, case.arguments)

    async def judge(
        self, release: Release, principal: Principal, check: Check, arguments: dict[str, Any]
    ) -> Answer:
        if isinstance(self.rating, Exception):
            raise self.rating
        return Answer("run_judge", "rcpt_judge", "completed", self.rating)

    async def call(self, release: Release, function: str, value: bytes, seconds: float) -> bytes:
        if isinstance(self.polite, Exception):
            raise self.polite
        return msgspec.json.encode(self.polite)


class Site:
    """Evals over a database, with a release whose source is in a folder."""

    def __init__(self, folder: Path) -> None:
        self.path = folder / "journal.db"
        self.clock, self.entropy = SystemClock(), SystemEntropy()
        self.journal = SqliteJournal(self.path)
        self.reader = SqliteReader(self.path)
        self.script = Scripted()
        self.evals = self.made()
        source = folder / "source"
        source.mkdir(exist_ok=True)
        (source / "evals.toml").write_text(RUBRIC)
        (source / "checks.py").write_text("")
        raw = msgspec.Raw(b"{}")
        self.release = Release(
            no=7,
            agent_no=3,
            org_no=1,
            org="default",
            number=2,
            digest="sha256:aa",
            folder=str(source),
            manifest=Manifest("greeter", "agent"),
            skills=(SkillSpec("greet", "greet", "", raw, raw),),
        )

    def made(self) -> Evals:
        rows = EvalRows(self.reader.connection)
        ids = TimeIds(self.clock, self.entropy)
        evals = Evals(rows, self.journal, self.clock, ids, self.entropy)
        evals.asker = evals.functions = self.script
        return evals

    async def whole(self, who: Principal, **more: Any) -> Eval:
        """An eval, run to its end."""
        begun = await self.evals.start(self.release, who, **more)
        after = 0
        while (found := self.evals.one(1, 3, begun.id)).state == "running":
            await self.evals.wait(begun.id, after, 5)
            after = found.done
        return found

    def events(self, kind: str) -> list[dict[str, Any]]:
        sql = "SELECT detail FROM audit_event WHERE kind=? ORDER BY no"
        return [msgspec.json.decode(row[0]) for row in self.reader.connection.execute(sql, (kind,))]


def at_site(test: Callable[[Site, Principal], Awaitable[None]]) -> Callable[[Path], None]:
    """A test with a site and somebody in it, in a loop of its own."""

    def run(tmp_path: Path) -> None:
        async def all_of_it() -> None:
            site = Site(tmp_path)
            identity = Identity(site.reader, site.journal, site.clock, site.entropy)
            who = identity.authenticate(await identity.admin_key(tmp_path / "admin.key"))
            await test(site, who)
            await site.evals.close()
            await site.journal.close()
            site.reader.close()

        asyncio.run(all_of_it())

    return run


@at_site
async def test_each_score_is_stored_with_its_event(site: Site, who: Principal) -> None:
    found = await site.whole(who)
    # bad: (1·1 + 0.5·3) / 4 = 0.625; all: (1·1 + 0.625·3) / 4
    assert (found.state, found.score, found.done, found.passed) == ("done", "0.71875", 2, 1)
    by_case = {score.case: score for score in site.evals.scores(1, found.id)}
    assert (by_case["good"].score, by_case["bad"].score) == ("1", "0.625")
    rated = (by_case["bad"].checks or [])[1]
    assert (rated.kind, rated.score, rated.run, rated.receipt) == ("judge", "0.5", "run_judge", "rcpt_judge")
    (begun,), scored = site.events("eval.begun"), site.events("eval.scored")
    assert begun["rubric_sha256"] == found.rubric_sha256
    for event in scored:
        score = by_case[event["case"]]
        assert (event["receipt"], event["score"], event["eval"]) == (score.receipt, score.score, found.id)
        # What the checks said is what the log has the hash of.
        told = canonical(msgspec.to_builtins(score.checks))
        assert event["checks_sha256"] == score.checks_sha256
        assert salted_sha256(bytes.fromhex(score.salt or ""), told) == score.checks_sha256
    ((ended),) = site.events("eval.ended")
    assert (ended["score"], ended["state"], ended["passed"]) == ("0.71875", "done", 1)
    assert site.evals.last(site.release) == found
    assert site.evals.rubric(1, found.rubric_sha256) == RUBRIC.encode()


@at_site
async def test_a_gate_looks_at_the_last_whole_eval_by_the_releases_own_rubric(
    site: Site, who: Principal
) -> None:
    with pytest.raises(GateNotMet, match="no score"):
        site.evals.check_gate(site.release, "0")
    site.script.rating = 1
    await site.whole(who, cases=["good"])
    await site.whole(who, rubric=RUBRIC.replace("weight = 3", "weight = 1").encode())
    with pytest.raises(GateNotMet, match="no score"):
        site.evals.check_gate(site.release, "0")
    assert (await site.whole(who, rubric=RUBRIC.encode())).own
    assert site.evals.check_gate(site.release, "1").score == "1"
    site.script.rating = 0
    await site.whole(who)
    with pytest.raises(GateNotMet) as refused:
        site.evals.check_gate(site.release, "0.95")
    assert refused.value.info["score"] == "0.4375"
    assert site.evals.check_gate(site.release, "0.4375").score == "0.4375"


@at_site
async def test_runs_go_side_by_side_within_bounds(site: Site, who: Principal) -> None:
    site.script.open.clear()
    begun = await site.evals.start(site.release, who, parallel=3, repeat=5)
    for _ in range(20):
        await asyncio.sleep(0)
    assert (site.script.begun, site.script.most) == (3, 3)
    for _ in range(MAX_LIVE - 1):
        await site.evals.start(site.release, who)
    with pytest.raises(Busy):
        await site.evals.start(site.release, who)
    site.script.open.set()
    while site.evals.one(1, 3, begun.id).state == "running":
        await site.evals.wait(begun.id, 99, 0.05)
    assert site.evals.one(1, 3, begun.id).done == 10
    assert [score.no for score in site.evals.scores(1, begun.id)] == list(range(1, 11))
    case = '[[case]]\nname = "c{}"\nskill = "greet"\n[[case.check]]\nkind = "contains"\nvalue = "x"\n'
    many = "".join(case.format(n) for n in range(MAX_RUNS // MAX_REPEAT + 1))
    with pytest.raises(InvalidParams, match="at most"):
        await site.evals.start(site.release, who, rubric=many.encode(), repeat=MAX_REPEAT)
    for parallel, repeat in ((1, 0), (1, MAX_REPEAT + 1), (0, 1), (MAX_PARALLEL + 1, 1)):
        with pytest.raises(InvalidParams, match="is from 1 to"):
            await site.evals.start(site.release, who, parallel=parallel, repeat=repeat)


@at_site
async def test_what_is_canceled_or_stopped_ends_so(site: Site, who: Principal) -> None:
    site.script.open.clear()
    first = await site.evals.start(site.release, who)
    await asyncio.sleep(0.01)
    assert (await site.evals.cancel(1, 3, first.id)).state == "canceled"
    assert site.script.canceled == 2
    with pytest.raises(InvalidRequest):
        await site.evals.cancel(1, 3, first.id)
    with pytest.raises(NotFound):
        await site.evals.cancel(2, 3, first.id)
    second = await site.evals.start(site.release, who)
    await asyncio.sleep(0.01)
    await site.evals.close()
    assert site.evals.one(1, 3, second.id).state == "interrupted"
    assert [event["state"] for event in site.events("eval.ended")] == ["canceled", "interrupted"]
    with pytest.raises(Unavailable):
        await site.evals.start(site.release, who)


@at_site
async def test_what_a_crash_cut_short_is_interrupted_at_the_start(site: Site, who: Principal) -> None:
    site.script.open.clear()
    begun = await site.evals.start(site.release, who)
    again = site.made()  # As the next life of the platform finds it.
    assert await again.recover() == 1
    found = again.one(1, 3, begun.id)
    assert (found.state, found.why, found.score) == ("interrupted", "The platform stopped.", "")
    assert await again.recover() == 0


@at_site
async def test_what_goes_wrong_is_a_failure_of_its_case_alone(site: Site, who: Principal) -> None:
    site.script.results["Bob"] = Refused("Not today.")
    site.script.polite = SkillFailed("The function checks:polite failed: boom")
    found = await site.whole(who)
    assert (found.state, found.done, found.passed) == ("done", 2, 0)
    by_case = {score.case: score.checks or [] for score in site.evals.scores(1, found.id)}
    assert by_case["bad"][0].detail == "the run ended as refused"
    assert "boom" in by_case["good"][1].detail
    for polite in (2, "x", {"score": "NaN"}, None):
        site.script.polite = polite
        found = await site.whole(who, cases=["good"])
        assert (found.state, found.score) == ("done", "0.5")


@at_site
async def test_a_fault_of_ours_fails_the_eval_and_says_so(site: Site, who: Principal) -> None:
    site.script.results["Ada"] = RuntimeError("a bug")
    found = await site.whole(who)
    assert (found.state, found.why, found.score) == ("failed", "It failed on our side.", "")
    assert site.evals.last(site.release) is None


@at_site
async def test_a_rubric_names_what_the_release_has(site: Site, who: Principal) -> None:
    head = '[[case]]\nname = "a"\nskill = "greet"\n'
    check = head + "[[case.check]]\n"
    for text, named in (
        ('[[case]]\nname = "a"\nskill = "greed"\nstate = "failed"', "greed"),
        (head + 'files = ["none.txt"]\nstate = "failed"', "none.txt"),
        (check + 'kind = "python"\nfunction = "other:f"', "other.py"),
        (check + 'kind = "schema"\nfile = "none.json"', "none.json"),
        (check + 'kind = "schema"\nfile = "checks.py"', "checks.py"),
    ):
        with pytest.raises(InvalidParams, match=named):
            await site.evals.start(site.release, who, rubric=text.encode())
    with pytest.raises(InvalidParams, match="no case 'goods'") as refused:
        await site.evals.start(site.release, who, cases=["goods"])
    assert refused.value.remedy == "Did you mean good?"
    (Path(site.release.folder) / "evals.toml").unlink()
    with pytest.raises(NotFound, match=r"no evals\.toml"):
        await site.evals.start(site.release, who)


@at_site
async def test_an_erased_run_leaves_its_score_and_nothing_of_its_result(site: Site, who: Principal) -> None:
    found = await site.whole(who)
    score = next(each for each in site.evals.scores(1, found.id) if each.case == "bad")
    await site.journal.write(erased(1, score.run))
    ((_, left),) = site.evals.of_run(1, score.run)
    assert (left.checks, left.salt, left.score) == (None, None, score.score)
    assert left.checks_sha256 == score.checks_sha256
    assert len(site.evals.listed(1, 3)) == 1
    assert site.evals.listed(1, 3, before=found.id) == site.evals.listed(2, 3) == []
    assert site.evals.listed(1, 3, release_no=8) == []
