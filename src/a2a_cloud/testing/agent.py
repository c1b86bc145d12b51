"""Call an agent's skills in a test: the kit's own worker code in this process, and no server.

    from a2a_cloud.testing import AgentTest

    with AgentTest("path/to/agent") as agent:
        result = agent.using(answers=["Delaware"]).call("review", text="…")
        assert result.value["law"] == "Delaware"

Arguments are decoded, effects made and results checked by the code that serves calls in production;
the test plays the runtime. docs/testing-agents.md says what a test does not see.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace
from datetime import UTC, datetime
from pathlib import Path
from types import ModuleType
from typing import Any, cast

import msgspec

from a2a_cloud.agent.load import Declared, find_entry, load
from a2a_cloud.agent.problem import BadDeclaration, Problem
from a2a_cloud.agent.skill import Agent
from a2a_cloud.agent.values import to_json
from a2a_cloud.control.grants.declare import read_grant
from a2a_cloud.control.registry.manifest import read_manifest
from a2a_cloud.model.grant import GrantSpec
from a2a_cloud.model.problem import Problem as PlatformProblem
from a2a_cloud.model.release import Limits, Manifest, SkillSpec
from a2a_cloud.testing import agent_outcome as seen
from a2a_cloud.testing.agent_answers import Answers, Calls, checked_answers
from a2a_cloud.testing.agent_begin import Beginnings, Origin, Settings
from a2a_cloud.testing.agent_loop import Loop
from a2a_cloud.testing.agent_outcome import Outcome
from a2a_cloud.testing.agent_run import Beginning, PlayedRun
from a2a_cloud.testing.agent_running import Running
from a2a_cloud.testing.agent_scope import Approve, checked_approve, scopes_of
from a2a_cloud.testing.agent_workspace import Workspace

#: When the clock of a test stands, unless it is told otherwise.
NOON = datetime(2026, 1, 1, 12, 0, tzinfo=UTC)

_specs = msgspec.json.Decoder(list[SkillSpec])


class AgentTest:
    """An agent under test: a folder with a2a.toml, a module with `@skill` functions, or an Agent.

    `now` is what skills see as the time (it stands still; `ctx.sleep` and `advance` move it), `seed`
    begins the runs' ids, and with them `ctx.random`. Raises BadDeclaration for an agent that could not
    be served. Use it with `with`, or call `close`. Any thread and any loop may call it; runs go on a
    loop of its own.
    """

    def __init__(
        self, source: str | Path | ModuleType | Agent, *, now: datetime = NOON, seed: str = "test"
    ) -> None:
        manifest, declared = _loaded(source)
        encoded = msgspec.json.encode([one.spec() for one in declared.skills.values()])
        #: The skills by id, as the worker reports them: schemas, files, options.
        self.skills: dict[str, SkillSpec] = {spec.id: spec for spec in _specs.decode(encoded)}
        self._settings = Settings()
        self._loop = Loop(declared, now.timestamp())
        handler = declared.message is not None
        grant = manifest.grant if isinstance(source, str | Path) else None
        self._begins = Beginnings(manifest, self.skills, handler, self._loop.runtime, seed, grant)

    def __enter__(self) -> AgentTest:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def close(self) -> None:
        """Stop what runs, and the worker. Later calls raise."""
        self._loop.close()

    def using(
        self,
        *,
        answers: Answers | None = None,
        calls: Calls | None = None,
        context: str | None = None,
        caller: str | None = None,
        org: str | None = None,
        parent_agent: str | None = None,
        actors: Sequence[str] | None = None,
        timeout: float | None = None,
        output_modes: Sequence[str] | None = None,
        history: Sequence[tuple[str, str]] | None = None,
        approve: Approve | None = None,
        grant: Mapping[str, Any] | None = None,
        extensions: Sequence[str] | None = None,
    ) -> AgentTest:
        """The same agent, with other circumstances for the calls made through what this returns.

        `answers` to `ctx.ask`: a list in order, a dict by (a piece of) the question, or a function of
        the Question. `calls`: `"agent/skill"` to a value, a function of the arguments, or an exception.
        `context`: the contextId (each call has a new one without it). `caller` and `org`: who calls;
        an empty `org` is nobody known; `actors` are the agents that act for them. `timeout`: seconds instead
        of the skill's. `history`: earlier messages as (`"user"` or `"agent"`, text). `approve` decides on
        `ctx.request_scope`: True, False or a function of the ScopeRequest. `grant`: what a run may do with
        the workspace, as in [grant] of a2a.toml; without one it is the agent's own, and for an agent that is
        no folder, everything.
        `extensions`: URIs of those of A2A that are active.
        """
        given: dict[str, Any] = {
            "answers": None if answers is None else checked_answers(answers),
            "calls": calls,
            "context": context,
            "caller": caller,
            "org": org,
            "parent_agent": parent_agent,
            "actors": None if actors is None else tuple(actors),
            "timeout": timeout,
            "output_modes": None if output_modes is None else tuple(output_modes),
            "history": None if history is None else tuple(history),
            "approve": None if approve is None else checked_approve(approve),
            "grant": None if grant is None else _grant(grant),
            "extensions": None if extensions is None else tuple(extensions),
        }
        other = object.__new__(type(self))
        other.__dict__.update(self.__dict__)
        changes = {name: value for name, value in given.items() if value is not None}
        other._settings = replace(self._settings, **changes)
        return other

    # --- calls ----------------------------------------------------------------------------------------

    def call(self, skill: str, /, **arguments: Any) -> Outcome:
        """Call a skill and return its Outcome; a run that does not complete raises.

        Arguments are values with a JSON form; those of file parameters are a File, a Path, or a list
        of them. Raises Refuse (rejected), InvalidArguments, BadResult, any other Problem (failed; its
        note has the traceback), NotAnswered, and what the test's own functions raise.
        """
        return self.run(skill, **arguments).value_or_raise()

    def run(self, skill: str, /, **arguments: Any) -> Outcome:
        """As `call`, but an Outcome whatever it is: look at its `status` and `problem`."""
        return self._loop.wait(self._play(self._begins.of_call(self._settings, skill, arguments)))

    def send(self, text: str, /, **files: Any) -> Outcome:
        """Send free text, as people do: to the message handler, else to the default (or only) skill.

        Files go by the name of their parameter. Returns and raises as `call`.
        """
        return self._loop.wait(self._play(self._begins.of_text(self._settings, text, files))).value_or_raise()

    async def acall(self, skill: str, /, **arguments: Any) -> Outcome:
        """`call`, awaited."""
        return (await self.arun(skill, **arguments)).value_or_raise()

    async def arun(self, skill: str, /, **arguments: Any) -> Outcome:
        """`run`, awaited."""
        return await self._loop.follow(self._play(self._begins.of_call(self._settings, skill, arguments)))

    async def asend(self, text: str, /, **files: Any) -> Outcome:
        """`send`, awaited."""
        return (
            await self._loop.follow(self._play(self._begins.of_text(self._settings, text, files)))
        ).value_or_raise()

    def start(self, skill: str, /, **arguments: Any) -> Running:
        """Begin a call and come back at once: to cancel it, or to see it in the middle."""
        beginning = self._begins.of_call(self._settings, skill, arguments)
        holder: list[PlayedRun] = []
        work = self._loop.begin(self._play(beginning, holder))
        return Running(self._loop, work, holder)

    def replay(self, outcome: Outcome, *, keep: int | None = None) -> Outcome:
        """Run a call again as after a crash that left the first `keep` of its `events` (None: all).

        What is recorded answers at once and steps do not run again; what is not goes on as it did
        first: `ctx.state` is as it was at that moment, further answers follow the ones that were given.
        The Outcome's problem has the code `replay_differs` when the skill did something else than the
        record says: then it can't be parked, nor be durable.
        """
        origin = cast("Origin", outcome.origin)
        kept = origin.events[: len(origin.events) if keep is None else keep]
        return self._loop.wait(self._play(self._begins.again(origin, kept)))

    # --- the world around -----------------------------------------------------------------------------

    @property
    def now(self) -> datetime:
        """The time that skills see, UTC."""
        return datetime.fromtimestamp(self._loop.clock.at, UTC)

    def advance(self, seconds: float) -> None:
        """Move the clock on."""
        self._loop.clock.at += seconds

    @property
    def workspace(self) -> Workspace:
        """The files that `ctx.workspace` is about: paths to bytes, to fill and to look at."""
        return self._loop.runtime.workspace

    def state(self, context: str = "") -> dict[str, Any]:
        """What `ctx.state` holds in a context (`using`'s without one), for this caller. A copy."""
        kept = self._kept(context or self._settings.context)
        return {name: msgspec.json.decode(value) for name, value in kept.items()}

    def put_state(self, values: Mapping[str, Any], context: str = "") -> None:
        """Keep values in a context's `ctx.state`, as if an earlier run had."""
        kept = self._kept(context or self._settings.context)
        kept.update({name: to_json(value) for name, value in values.items()})

    def _kept(self, context: str) -> dict[str, bytes]:
        if not context:
            raise Problem(
                "State belongs to a context.", remedy='Name one: agent.using(context="c1"), or state("c1").'
            )
        return self._loop.state.of(self._settings.owner, context)

    async def _play(self, beginning: Beginning, holder: list[PlayedRun] | None = None) -> Outcome:
        runtime = self._loop.runtime
        beginning.start = msgspec.structs.replace(beginning.start, run=runtime.number())
        before = dict(beginning.state)
        run = PlayedRun(runtime, beginning)
        if holder is not None:
            holder.append(run)
        await runtime.play(run)
        origin = Origin(
            beginning.start,
            beginning.settings,
            beginning.objects,
            before,
            run.events,
            run.state_log,
            beginning.draft,
        )
        return _outcome(run, beginning, origin, runtime.objects)


def _loaded(source: str | Path | ModuleType | Agent) -> tuple[Manifest, Declared]:
    if not isinstance(source, str | Path):
        return Manifest(name="agent", entry="agent.py", limits=Limits()), load(source)
    try:
        manifest = read_manifest(Path(source))
    except PlatformProblem as problem:
        raise BadDeclaration(problem.detail, remedy=problem.remedy) from None
    return manifest, load(find_entry(manifest.entry, source))


def _grant(table: Mapping[str, Any]) -> GrantSpec:
    try:
        return read_grant(table, "grant=")
    except PlatformProblem as problem:
        raise BadDeclaration(problem.detail, remedy=problem.remedy) from None


_STATUS = {"ok": "completed", "refused": "rejected", "canceled": "canceled"}


def _outcome(run: PlayedRun, beginning: Beginning, origin: Origin, objects: Mapping[str, bytes]) -> Outcome:
    start, events = beginning.start, seen.last_attempt(run.events)
    texts = seen.texts_of(events)
    reply = seen.said(run.reply) if run.reply is not None else None
    value: Any = msgspec.json.decode(run.value) if run.status == "ok" else None
    if value is None and run.status == "ok":
        value = reply if run.reply is not None else "".join(texts) or None
    trace = [line.line for line in run.printed if line.level == "error"]
    return Outcome(
        status=_STATUS.get(run.status, "failed"),
        value=value,
        problem=None if run.status == "ok" else seen.problem_of(run.status, run.trouble, trace),
        run_id=start.run_id,
        task_id=start.task_id,
        context_id=start.context_id,
        skill=start.skill,
        attempts=run.attempt,
        texts=texts,
        progress=seen.progress_of(events),
        artifacts=seen.artifacts_of(events, objects),
        logs=seen.logs_of(events, run.printed),
        usage=seen.usage_of(events),
        questions=seen.questions_of(events),
        calls=seen.calls_of(events, objects),
        steps=seen.steps_of(events),
        scopes=scopes_of(events),
        reply=reply,
        state={name: msgspec.json.decode(one) for name, one in beginning.state.items()},
        events=[event for _, event in run.events],
        origin=origin,
    )
