"""Evals: a release put to a rubric, its cases side by side as ordinary calls of who asked.

Each score is stored with its event (`eval.scored`, a leaf of the organisation's log) in one write. One that
a stop or a crash cuts short is `interrupted`; nothing is resumed, because the release may behave otherwise
the second time and a score says when it was made.
"""

from __future__ import annotations

import asyncio
import contextlib
import logging
from collections.abc import Sequence
from typing import Any

import msgspec
from msgspec import to_builtins

from a2a_cloud.control.evals import checks as look
from a2a_cloud.control.evals import rows as sql
from a2a_cloud.control.evals.apart import Apart
from a2a_cloud.control.evals.ports import Answer, Asker, Committer, Functions
from a2a_cloud.control.evals.rows import EvalRows
from a2a_cloud.control.evals.source import check_source, choose, own_rubric
from a2a_cloud.model.evaluation import Eval, Outcome, Score
from a2a_cloud.model.ports import Clock, Entropy, Ids
from a2a_cloud.model.principal import Principal
from a2a_cloud.model.problem import (
    Busy,
    GateNotMet,
    InvalidParams,
    InvalidRequest,
    NotFound,
    Problem,
    Unavailable,
)
from a2a_cloud.model.release import Release
from a2a_cloud.model.scope import SYSTEM, Scope
from a2a_cloud.storage.sql.audit import change
from a2a_cloud.wire.canonical import canonical, salted_sha256
from a2a_cloud.wire.json_text import readable
from a2a_cloud.wire.rubric import FILE, Case, Check, read_rubric

log = logging.getLogger("a2a_cloud.evals")

MAX_PARALLEL, MAX_REPEAT, MAX_RUNS = 16, 100, 2_000
#: Evals of one organisation at one time.
MAX_LIVE = 4
_encode = msgspec.json.Encoder().encode


class _Live:
    """An eval that goes on."""

    def __init__(self, eval_: Eval, org_no: int, release: Release, principal: Principal) -> None:
        self.eval = eval_
        self.org_no = org_no
        self.release = release
        self.principal = principal
        self.schemas: dict[str, Any] = {}
        self.marks: list[tuple[str, str]] = []
        self.passed = self.begun = 0
        self.state = "done"
        self.over = False
        self.waiters: list[asyncio.Future[None]] = []
        self.task: asyncio.Task[None] | None = None

    def wake(self) -> None:
        """There is news."""
        waiters, self.waiters = self.waiters, []
        for waiter in waiters:
            if not waiter.done():
                waiter.set_result(None)


class Evals:
    """See the module. `asker` and `functions` are set by who ties the planes."""

    asker: Asker
    functions: Functions

    def __init__(self, rows: EvalRows, journal: Committer, clock: Clock, ids: Ids, entropy: Entropy) -> None:
        self._rows = rows
        self._journal = journal
        self._clock = clock
        self._ids = ids
        self._entropy = entropy
        self._apart = Apart()
        self._live: dict[str, _Live] = {}
        self._closed = False

    async def recover(self) -> int:
        """What a crash cut short is interrupted; returns how many."""
        found = self._rows.running(SYSTEM)
        for org_no, each in found:
            await self._end(org_no, each, "interrupted", "", each.done, each.passed, "The platform stopped.")
        return len(found)

    async def close(self) -> None:
        """What goes on is interrupted."""
        self._closed = True
        tasks = [(live, live.task) for live in self._live.values() if live.task is not None]
        for live, task in tasks:
            self._stop(live, task, "interrupted")
        if tasks:
            await asyncio.wait([task for _, task in tasks])

    # --- reads --------------------------------------------------------------------------------------

    def one(self, org_no: int, agent_no: int, eval_id: str) -> Eval:
        """Raises NotFound."""
        found = self._rows.eval(Scope(org=org_no), agent_no, eval_id) if len(eval_id) < 100 else None
        if found is None:
            raise NotFound(f"There is no eval {readable(eval_id)} of this agent.")
        return found

    def listed(
        self, org_no: int, agent_no: int, *, release_no: int = 0, before: str = "", limit: int = 50
    ) -> list[Eval]:
        """An agent's, newest first."""
        scope = Scope(org=org_no)
        return self._rows.evals(scope, agent_no, release_no=release_no, before=before, limit=limit)

    def scores(self, org_no: int, eval_id: str, after: int = 0) -> list[Score]:
        """The scores of an eval after that number."""
        return self._rows.scores(Scope(org=org_no), eval_id, after)

    def of_run(self, org_no: int, run_id: str) -> list[tuple[str, Score]]:
        """(eval's id, score) of a run."""
        return self._rows.of_run(Scope(org=org_no), run_id)

    def rubric(self, org_no: int, sha256: str) -> bytes:
        """The text of a rubric that was used. Raises NotFound."""
        text = self._rows.rubric(Scope(org=org_no), sha256)
        if text is None:
            raise NotFound("There is no such rubric.")
        return text

    def last(self, release: Release) -> Eval | None:
        """The newest eval that says how good a release is by its own rubric, all cases of it."""
        return self._rows.last(Scope(org=release.org_no), release.no)

    async def wait(self, eval_id: str, after: int, seconds: float) -> None:
        """Returns once there is a score after that number, the eval is over, or the time is."""
        live = self._live.get(eval_id)
        if live is None or len(live.marks) > after:
            return
        waiter: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        live.waiters.append(waiter)
        with contextlib.suppress(TimeoutError):
            await asyncio.wait_for(waiter, seconds)

    def check_gate(self, release: Release, gate: str) -> Eval:
        """The eval by which a release may be promoted at `gate`, a decimal string. Raises GateNotMet."""
        last = self.last(release)
        name = f"Release {release.number} of {release.name}"
        if last is None:
            raise GateNotMet(
                f"{name} has no score by its own rubric.",
                remedy=f"Run all of its cases first: a2a eval {release.name} --release {release.number}",
                info={"gate": gate},
            )
        if not look.at_least(last.score, gate):
            raise GateNotMet(
                f"{name} has the score {last.score}; {gate} is needed.",
                remedy="Mend what failed and deploy again, or promote it without the gate.",
                info={"gate": gate, "score": last.score, "eval": last.id},
            )
        return last

    # --- changes ------------------------------------------------------------------------------------

    async def start(
        self,
        release: Release,
        principal: Principal,
        *,
        rubric: bytes | None = None,
        cases: Sequence[str] = (),
        parallel: int = 4,
        repeat: int = 1,
    ) -> Eval:
        """Begin an eval; `rubric` None: the release's own; `cases` narrow it. Raises InvalidParams,
        TooLarge, NotFound, Busy, Unavailable, StorageFull."""
        if self._closed:
            raise Unavailable("The platform is stopping.", remedy="Try again shortly.", retry_after=5)
        for name, value, most in (("parallel", parallel, MAX_PARALLEL), ("repeat", repeat, MAX_REPEAT)):
            if not 1 <= value <= most:
                raise InvalidParams(
                    f"{name} is from 1 to {most}.", remedy=f"Write {name} within that.", info={"field": name}
                )
        own = await asyncio.to_thread(own_rubric, release)
        text = own if rubric is None else rubric
        if text is None:
            raise NotFound(
                f"Release {release.number} of {release.name} has no {FILE}.",
                remedy="Write one beside its a2a.toml and deploy it, or give another: --rubric FILE.",
            )
        read = await asyncio.to_thread(read_rubric, text)
        chosen = choose(read, cases)
        runs = len(chosen) * repeat
        if runs > MAX_RUNS:
            raise InvalidParams(
                f"That makes {runs} runs; an eval has {MAX_RUNS} at most.",
                remedy="Repeat less, or fewer cases.",
            )
        schemas = await asyncio.to_thread(check_source, release, chosen)
        if sum(live.org_no == release.org_no for live in self._live.values()) >= MAX_LIVE:
            raise Busy(
                f"{MAX_LIVE} evals are running already.", remedy="Wait for one, or cancel it.", retry_after=5
            )
        eval_ = Eval(
            id=self._ids.new("eval"),
            agent_no=release.agent_no,
            agent=release.name,
            release_no=release.no,
            release=release.number,
            digest=release.digest,
            rubric_sha256=read.sha256,
            own=text == own,
            whole=len(chosen) == len(read.cases),
            state="running",
            by=principal.label,
            runs=runs,
            repeat=repeat,
            done=0,
            passed=0,
            score="",
            created=self._clock.now(),
            ended=None,
            why="",
        )
        live = _Live(eval_, release.org_no, release, principal)
        live.schemas = schemas
        self._live[eval_.id] = live  # Counts at once: others that begin are looked at before this is stored.
        # What is begun is ended though nobody waits any more: memory has to know what is stored.
        return await asyncio.shield(self._begin(live, text, chosen, parallel))

    async def _begin(self, live: _Live, text: bytes, cases: Sequence[Case], parallel: int) -> Eval:
        eval_, org_no = live.eval, live.org_no
        event = change(
            org_no,
            eval_.created,
            eval_.by,
            "eval.begun",
            eval_.agent,
            eval=eval_.id,
            release=eval_.release,
            digest=eval_.digest,
            rubric_sha256=eval_.rubric_sha256,
            runs=eval_.runs,
        )
        try:
            rubric = (sql.ADD_RUBRIC, (org_no, eval_.rubric_sha256, text))
            await self._journal.write([rubric, (sql.ADD_EVAL, _row(org_no, eval_)), event])
        except BaseException:
            del self._live[eval_.id]
            raise
        live.task = asyncio.create_task(self._run(live, cases, parallel))
        if self._closed:
            self._stop(live, live.task, "interrupted")
        return eval_

    async def cancel(self, org_no: int, agent_no: int, eval_id: str) -> Eval:
        """End an eval; its runs are canceled. Raises NotFound, InvalidRequest."""
        found = self.one(org_no, agent_no, eval_id)
        live = self._live.get(eval_id)
        if live is None or live.task is None:
            raise InvalidRequest(f"The eval has ended ({found.state}).")
        self._stop(live, live.task, "canceled")
        await asyncio.wait([live.task])
        return self.one(org_no, agent_no, eval_id)

    def _stop(self, live: _Live, task: asyncio.Task[None], state: str) -> None:
        if live.state == "done" and not live.over:
            live.state = state
            task.cancel()

    # --- the work -----------------------------------------------------------------------------------

    async def _run(self, live: _Live, cases: Sequence[Case], parallel: int) -> None:
        seats = asyncio.Semaphore(parallel)
        state, why = "failed", ""
        try:
            async with asyncio.TaskGroup() as group:
                for attempt in range(1, live.eval.repeat + 1):
                    for case in cases:
                        group.create_task(self._one(live, case, attempt, seats))
            state = live.state
        except asyncio.CancelledError:
            state = live.state if live.state != "done" else "interrupted"
        except BaseExceptionGroup as group:
            first = group.exceptions[0]
            why = first.detail if isinstance(first, Problem) else "It failed on our side."
            if not isinstance(first, Problem):
                log.error("eval %s failed", live.eval.id, exc_info=first)
        live.over = True
        score = look.mean(live.marks) if state == "done" else ""
        try:
            await self._end(live.org_no, live.eval, state, score, len(live.marks), live.passed, why)
        except Problem as problem:  # The next start finds it running and ends it.
            log.warning("The end of eval %s is not stored: %s", live.eval.id, problem.detail)
        del self._live[live.eval.id]
        live.wake()

    async def _end(
        self, org_no: int, eval_: Eval, state: str, score: str, done: int, passed: int, why: str
    ) -> None:
        now = self._clock.now()
        event = change(
            org_no,
            now,
            eval_.by,
            "eval.ended",
            eval_.agent,
            eval=eval_.id,
            release=eval_.release,
            digest=eval_.digest,
            rubric_sha256=eval_.rubric_sha256,
            state=state,
            score=score,
            done=done,
            passed=passed,
            runs=eval_.runs,
            complete=eval_.whole,
            own=eval_.own,
        )
        await self._journal.write([(sql.END_EVAL, (state, score, now, why, org_no, eval_.id)), event])

    async def _one(self, live: _Live, case: Case, attempt: int, seats: asyncio.Semaphore) -> None:
        async with seats:
            answer, outcomes = Answer(), list[Outcome]()
            try:
                answer = await self.asker.ask(live.release, live.principal, case)
            except Problem as problem:
                said = {"code": problem.code, "detail": problem.sentence}
                outcomes = [look.ended(case.state or "completed", "refused", said)]
            else:
                outcomes = await self._outcomes(live, case, answer)
            await self._store(live, case, attempt, answer, outcomes)

    async def _outcomes(self, live: _Live, case: Case, answer: Answer) -> list[Outcome]:
        """What the checks of a case say; none of them is made where the run did not end as it had to."""
        ended = look.ended(case.state or answer.wanted or "completed", answer.state, answer.result)
        if not ended.passed:
            return [ended]
        checks = case.checks
        if answer.wanted and not checks:
            checks = (Check("equals", value=answer.expected),)
        return [await self._outcome(live, case, check, answer) for check in checks] or [ended]

    async def _outcome(self, live: _Live, case: Case, check: Check, answer: Answer) -> Outcome:
        if check.kind not in ("python", "judge"):
            schema = live.schemas[check.file] if check.file else check.schema
            try:
                return await self._apart.judge(check, answer.result, schema)
            except RecursionError:
                return look.broken(check, "the result is nested too deeply")
        found = look.at(answer.result, check.path)
        if found is look.NOTHING:
            return look.broken(check, f"the result has nothing at {check.path}")
        try:
            if check.kind == "python":
                return await self._function(live, case, check, answer, found)
            return await self._judged(live, check, answer, found)
        except Problem as problem:
            return look.broken(check, problem.sentence)
        except (ValueError, msgspec.MsgspecError) as error:
            return look.broken(check, f"{error}")

    async def _function(self, live: _Live, case: Case, check: Check, answer: Answer, found: Any) -> Outcome:
        about = {
            "name": case.name,
            "state": answer.state,
            "asked": answer.asked,
            "expected": answer.expected,
        }
        value = _encode({"result": found, "case": about})
        made = await self.functions.call(live.release, check.function, value, check.timeout)
        return look.said(check, msgspec.json.decode(made), found)

    async def _judged(self, live: _Live, check: Check, answer: Answer, found: Any) -> Outcome:
        arguments: dict[str, Any] = {"prompt": check.prompt, "result": found, "asked": answer.asked}
        if answer.wanted:
            arguments["expected"] = answer.expected
        judged = await self.asker.judge(live.release, live.principal, check, arguments)
        if judged.state != "completed":
            made = look.broken(check, f"the judge's run ended as {judged.state}: {look.shown(judged.result)}")
        else:
            made = look.said(check, judged.result, found)
        return msgspec.structs.replace(made, run=judged.run, receipt=judged.receipt)

    async def _store(
        self, live: _Live, case: Case, attempt: int, answer: Answer, outcomes: list[Outcome]
    ) -> None:
        weights = [check.weight for check in case.checks]
        if len(weights) != len(outcomes):  # How it ended, or the one comparison with a recorded result.
            weights = ["1"] * len(outcomes)
        score = look.mean([(made.score, weight) for made, weight in zip(outcomes, weights, strict=True)])
        passed = look.at_least(score, case.passing)
        failures = sum(not made.passed for made in outcomes)
        now, salt = self._clock.now(), self._entropy.bytes(16)
        stored = canonical(to_builtins(outcomes))
        live.begun += 1
        eval_, org_no, sha256 = live.eval, live.org_no, salted_sha256(salt, stored)
        row = (
            org_no,
            eval_.id,
            live.begun,
            case.name,
            attempt,
            answer.run,
            answer.receipt,
            score,
            int(passed),
        )
        await self._journal.write(
            [
                (sql.ADD_SCORE, (*row, failures, case.weight, now, answer.seconds, sha256, salt, stored)),
                (sql.COUNT_SCORE, (int(passed), org_no, eval_.id)),
                change(
                    org_no,
                    now,
                    eval_.by,
                    "eval.scored",
                    eval_.agent,
                    eval=eval_.id,
                    release=eval_.release,
                    digest=eval_.digest,
                    rubric_sha256=eval_.rubric_sha256,
                    case=case.name,
                    attempt=attempt,
                    run=answer.run,
                    receipt=answer.receipt,
                    score=score,
                    passed=passed,
                    failures=failures,
                    checks_sha256=sha256,
                ),
            ]
        )
        live.marks.append((score, case.weight))
        live.passed += passed
        live.wake()


def _row(org_no: int, one: Eval) -> tuple[Any, ...]:
    facts = (one.id, org_no, one.agent_no, one.agent, one.release_no, one.release, one.digest)
    return (
        *facts,
        one.rubric_sha256,
        int(one.own),
        int(one.whole),
        one.by,
        one.runs,
        one.repeat,
        one.created,
    )
