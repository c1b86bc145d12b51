"""Evals and reviews tied to the planes beside them: calls go the way of every message, as the principal who
asked, to the very release; functions run where the release's workers do."""

from __future__ import annotations

import asyncio
import base64
import contextlib
import sqlite3
from pathlib import Path
from typing import TYPE_CHECKING, Any, cast

import msgspec
from msgspec import UNSET, Raw
from msgspec.structs import replace

from a2a_cloud.control.evals import rows as eval_rows
from a2a_cloud.control.evals.evals import Evals
from a2a_cloud.control.evals.ports import Answer
from a2a_cloud.control.evals.rows import EvalRows
from a2a_cloud.control.reviews import rows as review_rows
from a2a_cloud.control.reviews.reviews import Reviews
from a2a_cloud.control.reviews.rows import ReviewRows
from a2a_cloud.model.ports import Clock, Entropy, Ids
from a2a_cloud.model.principal import Permission, Principal
from a2a_cloud.model.problem import (
    BudgetSpent,
    Busy,
    Forbidden,
    InvalidParams,
    Problem,
    RateLimited,
    RunNotFound,
    TooLarge,
)
from a2a_cloud.model.release import Release
from a2a_cloud.model.run import (
    AttemptEvent,
    Call,
    ReplyEvent,
    ResultEvent,
    RunEvent,
    StatusEvent,
    TextEvent,
    decode_event,
)
from a2a_cloud.model.scope import Scope, owner_scope, reader_scope
from a2a_cloud.model.task import TERMINAL, Message, Part, Role, TaskState
from a2a_cloud.runtime.live import Run
from a2a_cloud.runtime.runs import Runs
from a2a_cloud.runtime.stored import load_call
from a2a_cloud.storage.journal.port import Journal, Op
from a2a_cloud.surface.calls import Calls, find_skill
from a2a_cloud.wire.a2a_v1 import SendMessageParams
from a2a_cloud.wire.jws import Signer
from a2a_cloud.wire.rubric import Case, CaseFile, Check
from a2a_cloud.wire.source import open_source

if TYPE_CHECKING:
    from a2a_cloud.surface.ports import Services

#: Bytes of one file that a case sends.
MAX_FILE = 16 << 20
#: Seconds that a run which is given up has to end, before it is left to the engine.
CANCEL = 30.0
_encode = msgspec.json.Encoder().encode
_decode = msgspec.json.Decoder().decode


def evals_of(rows: sqlite3.Connection, journal: Journal, clock: Clock, ids: Ids, entropy: Entropy) -> Evals:
    """The evals; `tie_evals` gives them hands."""
    return Evals(EvalRows(rows), journal, clock, ids, entropy)


def reviews_of(
    rows: sqlite3.Connection, journal: Journal, clock: Clock, ids: Ids, entropy: Entropy, signer: Signer
) -> Reviews:
    """The reviews; `signer` signs on behalf of who has no key."""
    return Reviews(ReviewRows(rows), journal, clock, ids, entropy, signer)


def tie_evals(services: Services, runs: Runs, evals: Evals, data: Path) -> None:
    """What they call goes through these."""
    from a2a_cloud.runtime.functions import Functions

    evals.asker = Asking(services, runs)
    evals.functions = Functions(runs.launch, runs.sandbox, data)


def judged(org: int, run_id: str) -> list[Op]:
    """What an erased run leaves in scores and reviews goes too."""
    return [*eval_rows.erased(org, run_id), *review_rows.erased(org, run_id)]


class Asking:
    """Makes the calls of cases and judges. Fits control/evals/ports.py, Asker."""

    def __init__(self, services: Services, runs: Runs) -> None:
        self._services = services
        self._runs = runs
        self._calls = Calls(services)
        self._clock = services.clock
        self._ids = services.ids

    async def ask(self, release: Release, principal: Principal, case: Case) -> Answer:
        """See the port."""
        answer = Answer()
        self._still(principal)
        if case.run:
            call = self._again(release, principal, case.run, answer)
        else:
            call = await self._made(release, principal, case)
        answer.asked = _asked(call, case)
        return await self._answered(call, case.timeout, list(case.answers), answer)

    async def judge(
        self, release: Release, principal: Principal, check: Check, arguments: dict[str, Any]
    ) -> Answer:
        """See the port."""
        self._still(principal)
        judge = self._runs.releases.find(release.org, check.agent)
        known = self._calls.gates.of(judge, find_skill(judge, check.skill)).properties
        if "result" not in known:
            raise InvalidParams(
                f"{check.agent}/{check.skill} takes no `result`, so it can't be a judge.",
                remedy="A judge takes result, and asked, expected and prompt if it likes: docs/evals.md.",
            )
        given = {name: value for name, value in arguments.items() if name in known}
        parts = [Part(data=Raw(_encode({"skill": check.skill, "arguments": given})))]
        call = await self._of_message(judge, principal, self._message(parts))
        return await self._answered(call, check.timeout, [], Answer(asked=given))

    # --- calls --------------------------------------------------------------------------------------

    def _still(self, principal: Principal) -> None:
        """An eval goes on for hours; whoever began it may have left. Raises Forbidden."""
        now = self._runs.principals.rights(principal.no)
        if now is None or not now.has(Permission.DEPLOY):
            raise Forbidden(f"{principal.label}, who began the eval, may deploy agents no more.")

    def _message(self, parts: list[Part], skill: str = "") -> Message:
        metadata = Raw(_encode({"skill": skill})) if skill else UNSET
        return Message(self._ids.new("msg"), Role.USER, parts, metadata=metadata)

    async def _of_message(self, release: Release, principal: Principal, message: Message) -> Call:
        call = await self._calls.of_message(release, principal, SendMessageParams(message), shown=True)
        call.dialect = "http"
        return call

    async def _made(self, release: Release, principal: Principal, case: Case) -> Call:
        if case.message is not None:
            parts, skill = [Part(text=case.message)], case.skill
        else:
            arguments = case.arguments or {}
            data = {"skill": case.skill, "arguments": arguments} if case.skill else arguments
            parts, skill = [Part(data=Raw(_encode(data)))], ""
        parts += [await asyncio.to_thread(_file, Path(release.folder), one) for one in case.files]
        return await self._of_message(release, principal, self._message(parts, skill))

    def _again(self, release: Release, principal: Principal, run_id: str, answer: Answer) -> Call:
        """The call of a run that was: the same to this release. Raises RunNotFound, InvalidParams."""
        scope = reader_scope(principal, release.org_no)
        reader = self._runs.reader
        row = reader.run(scope, run_id)
        if row is None or row.agent != release.agent_no:
            raise RunNotFound(f"{release.name} has no run {run_id}.", remedy="See `a2a runs`.")
        own = Scope(org=release.org_no)
        if TaskState(row.state) not in TERMINAL:
            raise InvalidParams(f"The run {run_id} has not ended.", remedy="Wait for its end.")
        stored = load_call(reader.call(own, row.no) or b"", release, principal, row.skill, "", "")
        if stored.arguments == b"null" or not stored.message.parts:
            raise InvalidParams(
                f"What the run {run_id} was asked is gone.", remedy="Write the case's arguments by hand."
            )
        arguments = stored.arguments
        if row.skill:
            gate = self._calls.gates.of(release, find_skill(release, row.skill))
            arguments = gate.check(_decode(stored.arguments))
        events = [decode_event(body) for _, body in reader.events(own, row.no)]
        answer.wanted, answer.expected = TaskState(row.state).short, value_of(events)
        message = replace(stored.message, message_id=self._ids.new("msg"), task_id=UNSET, context_id=UNSET)
        return Call(
            release=release,
            principal=principal,
            skill=row.skill,
            arguments=arguments,
            message=message,
            files=stored.files,
            key=message.message_id,
            fingerprint=message.message_id.encode(),
            shown=True,
            output_modes=stored.output_modes,
            dialect="http",
            narrow=stored.narrow,
            extensions=stored.extensions,
        )

    # --- what comes of them -------------------------------------------------------------------------

    async def _answered(self, call: Call, seconds: float, answers: list[Any], answer: Answer) -> Answer:
        begun = self._clock.monotonic()
        run: Run | None = None
        try:
            async with asyncio.timeout(seconds):
                run = await self._submitted(call)
                await run.settled()
                while run.state is TaskState.INPUT_REQUIRED and answers:
                    await self._reply(run, answers.pop(0))
        except TimeoutError:
            if run is None:
                raise Busy(f"{call.release.name} took no call within {seconds:g} s.") from None
            answer.state = "timed-out"
        except asyncio.CancelledError:
            if run is not None and not run.terminal:
                self._runs.cancel_run(run)
            raise
        answer.state = answer.state or run.state.short
        answer.run = run.id
        answer.result = self._value(run)
        if not run.terminal:  # It asks what nobody answers here, or takes too long.
            with contextlib.suppress(Problem, TimeoutError):
                async with asyncio.timeout(CANCEL):
                    await self._cancel(run)
        answer.receipt = run.receipt_id
        answer.seconds = round(self._clock.monotonic() - begun, 3)
        return answer

    def _value(self, run: Run) -> Any:
        return value_of([event for _, event in self._runs.talk.all_events(run)])

    async def _submitted(self, call: Call) -> Run:
        """The run, once there is room for it: an eval waits where a caller is told to."""
        while True:
            try:
                run = self._runs.submit(call)
                try:
                    await run.accepted()
                except BaseException:
                    # Nobody else knows the run: given up here it would go on, and be charged for.
                    self._runs.cancel_run(run)
                    raise
            except BudgetSpent:
                raise
            except (Busy, RateLimited) as full:
                await asyncio.sleep(min(max(full.retry_after or 0.2, 0.05), 5.0))
            else:
                return run

    async def _reply(self, run: Run, value: Any) -> None:
        part = Part(text=value) if isinstance(value, str) else Part(data=Raw(_encode(value)))
        message = self._message([part])
        message.task_id = run.task_id
        call = await self._of_message(run.call.release, run.call.principal, message)
        await self._runs.submit(call).settled()

    async def _cancel(self, run: Run) -> None:
        scope = owner_scope(run.call.principal, run.call.release.org_no)
        await self._services.runs.cancel(scope, run.call.release.agent_no, run.task_id)


def _asked(call: Call, case: Case) -> dict[str, Any]:
    """What was put to an agent, for who judges the answer."""
    asked: dict[str, Any] = {"skill": call.skill, "arguments": _decode(call.arguments)}
    if not call.skill:
        asked = {"message": "\n".join(part.text for part in call.message.parts if part.text is not UNSET)}
    return asked | ({"answers": list(case.answers)} if case.answers else {})


def _file(folder: Path, file: CaseFile) -> Part:
    with open_source(folder, file.path) as (source, _):
        body = b""
        while block := source.read(1 << 20):
            body += block
            if len(body) > MAX_FILE:
                raise TooLarge(f"The case's file {file.path} has more than {MAX_FILE >> 20} MiB.")
    return Part(
        raw=base64.b64encode(body).decode(),
        filename=file.path.rpartition("/")[2],
        media_type=file.media_type or UNSET,
        metadata=Raw(_encode({"param": file.param})) if file.param else UNSET,
    )


def value_of(events: list[RunEvent]) -> Any:
    """What a run came to, as a JSON value: its result, its text, its last words; {code, detail} of one that
    did not complete."""
    texts: list[str] = []
    last: StatusEvent | None = None
    for event in events:
        if isinstance(event, ResultEvent):
            return _decode(event.value)
        if isinstance(event, ReplyEvent):
            return _said(event.message)
        if isinstance(event, AttemptEvent):
            texts = []
        elif isinstance(event, TextEvent):
            texts.append(event.delta)
        elif isinstance(event, StatusEvent):
            last = event
    if last is not None and last.state is not TaskState.COMPLETED:
        told: dict[str, Any] = {"code": last.problem_code, "detail": last.problem_detail}
        return told if last.message is None else {**told, "message": _said(last.message)}
    if texts:
        return "".join(texts)
    return _said(last.message) if last is not None and last.message is not None else None


def _said(message: Message) -> Any:
    """The JSON value of a message: its data, else its text."""
    for part in message.parts:
        if part.data is not UNSET:
            return _decode(cast("bytes", part.data))
    return "\n".join(part.text for part in message.parts if part.text is not UNSET)
