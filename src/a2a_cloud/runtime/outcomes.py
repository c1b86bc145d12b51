"""What a worker's last word about a run comes to: an Outcome, checked because agents are not trusted."""

from __future__ import annotations

import msgspec

from a2a_cloud.model.problem import (
    InvalidAgentResponse,
    InvalidParams,
    LimitExceeded,
    Problem,
    Refused,
    SkillFailed,
)
from a2a_cloud.model.run import AnswerEvent, AttemptEvent, StatusEvent
from a2a_cloud.model.task import Message, Role, TaskState
from a2a_cloud.runtime.live import Outcome, Run
from a2a_cloud.wire.worker import RESULT_LIMIT, Result, Trouble

_json = msgspec.json.Decoder()
_message = msgspec.json.Decoder(Message)

#: Codes that an agent may raise itself, or the worker's keeper in its place (a limit that was hit); any
#: other becomes skill_failed.
_ALLOWED: dict[str, type[Problem]] = {
    cls.code: cls for cls in (InvalidParams, InvalidAgentResponse, LimitExceeded, Refused, SkillFailed)
}


def problem_codes() -> frozenset[str]:
    """The codes with which agent code itself may end a run."""
    return frozenset(_ALLOWED)


def problem_of(trouble: Trouble | None) -> Problem:
    """A worker's trouble as a Problem; sentences are cut at 2,000 characters."""
    if trouble is None:
        return SkillFailed()
    cls = _ALLOWED.get(trouble.code, SkillFailed)
    info = {} if trouble.code in _ALLOWED else {"agent_code": trouble.code[:64]}
    return cls(trouble.detail[:2000], remedy=trouble.remedy[:2000], info=info)


def outcome_of(run: Run, frame: Result) -> Outcome:
    """The outcome that a Result frame stands for."""
    if len(frame.value) > RESULT_LIMIT:
        return _bad(f"The skill's result of {len(frame.value)} bytes is larger than {RESULT_LIMIT}.")
    if frame.status == "ok":
        value = frame.value
        if value == b"null":
            return Outcome(TaskState.COMPLETED)
        try:
            _json.decode(value)
        except (msgspec.DecodeError, UnicodeDecodeError, RecursionError):
            return _bad("The skill's result is not valid JSON.")
        return Outcome(TaskState.COMPLETED, value=msgspec.Raw(value))
    if frame.status in ("reply", "said"):
        try:
            message = _message.decode(frame.value)
        except (msgspec.MsgspecError, UnicodeDecodeError, RecursionError):
            return _bad("The skill's reply is not a message.")
        message.role = Role.AGENT
        if frame.status == "said":
            run.call.shown = True  # The answer is the task: the message belongs to its status.
        message.context_id = run.context_id
        message.task_id = run.task_id if run.call.shown or run.ordinal > 1 else msgspec.UNSET
        for part in message.parts:
            part.object = msgspec.UNSET
        return Outcome(TaskState.COMPLETED, reply=message, late=frame.status == "said")
    if frame.status == "refused":
        return Outcome(TaskState.REJECTED, problem=problem_of(frame.trouble))
    if frame.status == "canceled":
        return Outcome(TaskState.CANCELED)
    if frame.status == "failed":
        return Outcome(TaskState.FAILED, problem=problem_of(frame.trouble))
    return _bad(f"The worker ended the run with the unknown status {frame.status[:32]!r}.")


def reply_of(run: Run, outcome: Outcome, reply: Message) -> Outcome:
    """What a reply comes to when something was put out before it: an error, unless that was void (of
    an earlier attempt) or a question, by which the task is known already."""
    said = run.events_cut
    for _, event in (*run.events, *run.flight, *run.pending):
        if type(event) is AttemptEvent:
            said = False
        elif type(event) is StatusEvent:
            run.call.shown = True
            reply.task_id = run.task_id
        elif event.visible and type(event) is not AnswerEvent:
            said = True
    return _bad("The skill replied after other output; a reply must come first.") if said else outcome


def _bad(detail: str) -> Outcome:
    return Outcome(TaskState.FAILED, problem=InvalidAgentResponse(detail))
