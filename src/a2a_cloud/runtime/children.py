"""`ctx.call`: a run that calls another agent through the platform, as itself one more Call.

The child belongs to the same owner. Its idempotency key is the parent's run and the effect's key,
so a replay or a restart finds the child that it started before. Depth, number of children and
deadline are bounded by the parent's; while it waits, the parent holds no slot, so A → B → A cannot
deadlock. When the parent ends, its children are canceled.
"""

from __future__ import annotations

import hashlib
import logging
from typing import TYPE_CHECKING

import msgspec
from msgspec import UNSET, Struct

from a2a_cloud.model.grant import Operation
from a2a_cloud.model.problem import InvalidParams, Problem, SkillNotFound
from a2a_cloud.model.release import PLATFORM
from a2a_cloud.model.run import BoundFile, Call, EffectStarted, Parent, ResultEvent, StatusEvent, TextEvent
from a2a_cloud.model.task import Message, ObjectRef, Part, Role, TaskState
from a2a_cloud.runtime.live import Run
from a2a_cloud.runtime.ports import Helper
from a2a_cloud.wire.worker import FileFrame, Trouble

if TYPE_CHECKING:
    from a2a_cloud.runtime.runs import Runs


log = logging.getLogger("a2a_cloud.runs")

#: How calls of the platform's own skills begin.
_OWN = f"{PLATFORM}/"
#: What stands in a grant for an agent's message handler, as in `planner/message`.
MESSAGE = "message"


class CallInput(Struct):
    """`input` of a call effect."""

    agent: str
    skill: str
    arguments: msgspec.Raw = msgspec.Raw(b"{}")
    files: list[FileFrame] = []


_input = msgspec.json.Decoder(CallInput)
_object = msgspec.json.Decoder(dict[str, msgspec.Raw])


class Children:
    """Starts children and brings their outcomes back."""

    def __init__(self, runs: Runs) -> None:
        self._runs = runs

    def call(self, run: Run, seq: int, started: EffectStarted) -> None:
        """Start the child of an effect, or find the one that it started in an earlier life: the key
        leads to it."""
        helper = self._runs.helper
        if helper is not None and started.name.startswith(_OWN):
            self._runs.workfiles.spawn(self._help(helper, run, seq, started))
            return
        try:
            child = self._child(run, seq, started)
        except Problem as problem:
            self._runs.frames.end_effect(
                run, seq, b"null", Trouble(problem.code, problem.detail, problem.remedy)
            )
            return
        self._runs.flush(run)
        run.children = [one for one in run.children or () if one.no != child.no]
        run.children.append(child)
        if child.terminal:
            self._ended(run, seq, child)
            return
        child.on_end = lambda ended: self._ended(run, seq, ended)
        if run.deadline != float("inf") and child.call.deadline is None:  # Found again after a restart.
            child.call.deadline = run.deadline
            if not child.parked:
                child.deadline = min(child.deadline, run.deadline)
        self._runs.pools[run.call.release.no].leave(run)

    async def _help(self, helper: Helper, run: Run, seq: int, started: EffectStarted) -> None:
        """A skill of the platform's own: no run, and the answer comes at once. What the caller's key is
        narrowed to was asked where they came in."""
        value, trouble = b"null", None
        try:
            asked = _input.decode(started.input)
            if asked.files:
                raise InvalidParams(f"{PLATFORM} takes no files.")
            self._runs.granted.check(run, Operation.CALL, f"{PLATFORM}/{asked.skill or MESSAGE}")
            principal = msgspec.structs.replace(run.call.principal, scopes=None)
            value = await helper.call(principal, asked.skill, bytes(asked.arguments))
        except Problem as problem:
            trouble = Trouble(problem.code, problem.detail, problem.remedy, problem.retry)
        except Exception as error:  # Of our own making: the skill must hear something all the same.
            log.exception("run %s: %s failed", run.id, started.name)
            trouble = Trouble("internal", f"The call failed on our side ({type(error).__name__}).")
        self._runs.frames.end_effect(run, seq, value, trouble)

    def _child(self, run: Run, seq: int, started: EffectStarted) -> Run:
        call = self._child_call(run, seq, started)
        known = self._runs.keys.run_of(call)
        if (
            known is not None
            and run.attempt > 1
            and known.terminal
            and known.state is not TaskState.COMPLETED
        ):
            # A further attempt is no further attempt when what failed in the last one stays failed.
            call.key = f"{call.key}:{run.attempt}"
            known = self._runs.keys.run_of(call)
        if known is not None:
            return known
        self._runs.granted.check(run, Operation.CALL, f"{call.release.name}/{call.skill or MESSAGE}")
        limits = run.call.release.manifest.limits
        if call.depth > limits.depth:
            raise InvalidParams(
                f"Calls between agents go {limits.depth} deep at most.", remedy="Raise `depth` in [limits]."
            )
        if len(run.children or ()) >= limits.children:
            raise InvalidParams(
                f"A run makes {limits.children} calls at most.", remedy="Raise `children` in [limits]."
            )
        return self._runs.submit(call)

    def _child_call(self, run: Run, seq: int, started: EffectStarted) -> Call:
        asked = _input.decode(started.input)
        call = run.call
        release = self._runs.releases.find(call.release.org, asked.agent)
        spec = release.skill(asked.skill)
        if spec is None and asked.skill:
            known = ", ".join(one.id for one in release.skills)
            raise SkillNotFound(f"{release.name} has no skill {asked.skill!r}.", remedy=f"It has: {known}.")
        _object.decode(asked.arguments)
        files: list[BoundFile] = []
        for one in asked.files:
            reference = ObjectRef(one.sha256, one.size) if one.sha256 else None
            if reference is not None and (reference.sha256, reference.size) not in run.objects:
                raise InvalidParams(f"The file {one.name!r} is not this run's to pass on.")
            files.append(BoundFile(one.param, one.name, one.media_type, one.size, one.inline, reference))
        key = f"child:{run.id}:{started.name}:{started.args.hex()}:{started.occurrence}"
        message = Message(
            message_id=f"{run.id}-{seq}",
            role=Role.USER,
            parts=[
                Part(
                    data=msgspec.Raw(
                        msgspec.json.encode({"skill": asked.skill, "arguments": asked.arguments})
                    )
                ),
                *(
                    Part(object=one.object, filename=one.name, media_type=one.media_type)
                    for one in files
                    if one.object is not None
                ),
            ],
            metadata=UNSET,
        )
        return Call(
            release=release,
            # RFC 8693, section 4.1: the user stays the subject, the nearest actor comes first.
            principal=msgspec.structs.replace(
                call.principal,
                actors=(self._runs.notary.actor(call.release), *call.principal.actors),
            ),
            skill=asked.skill,
            arguments=bytes(asked.arguments),
            message=message,
            files=files,
            key=key,
            fingerprint=hashlib.sha256(bytes(started.input)).digest()[:16],
            shown=True,
            deadline=run.deadline if run.deadline != float("inf") else None,
            parent=Parent(run.no, run.id, seq),
            depth=call.depth + 1,
            trace_id=call.trace_id,
            dialect="agent",
            priority=call.priority,
        )

    def _ended(self, run: Run, seq: int, child: Run) -> None:
        if run.ending is not None:
            return
        if child.state is TaskState.COMPLETED:
            self._runs.frames.end_effect(run, seq, self._value(child))
            return
        code, detail = "skill_failed", f"The call ended as {child.state.short}."
        if child.state is TaskState.CANCELED:
            code = "canceled"
        for _, event in self._runs.talk.all_events(child):
            if isinstance(event, StatusEvent) and event.problem_code:
                code, detail = event.problem_code, event.problem_detail
        self._runs.frames.end_effect(run, seq, b"null", Trouble(code, detail))

    def _value(self, child: Run) -> bytes:
        events = [event for _, event in self._runs.talk.all_events(child)]
        text: list[str] = []
        for event in events:
            if isinstance(event, ResultEvent):
                return bytes(event.value)
            if isinstance(event, TextEvent):
                text.append(event.delta)
            if (
                isinstance(event, StatusEvent)
                and event.state is TaskState.COMPLETED
                and event.message is not None
            ):
                return _said(event.message)
        return msgspec.json.encode("".join(text)) if text else b"null"


def _said(message: Message) -> bytes:
    """The JSON value of a reply: its data, else its text."""
    for part in message.parts:
        if part.data is not UNSET:
            return bytes(part.data)
    return msgspec.json.encode("\n".join(part.text for part in message.parts if part.text is not UNSET))
