"""`/api/v1/runs` and `/api/v1/tasks`: what ran. Admins see their organisation's runs, others their own."""

from __future__ import annotations

from typing import Any

import msgspec

from a2a_cloud.model.principal import Permission
from a2a_cloud.model.problem import InvalidParams, RunNotFound, TaskNotFound
from a2a_cloud.model.release import Release
from a2a_cloud.model.run import StatusEvent, encode_event
from a2a_cloud.model.scope import Scope, manager_scope, owner_scope, reader_scope
from a2a_cloud.model.stamp import stamp
from a2a_cloud.model.task import Message, TaskState
from a2a_cloud.surface.api.acts import record
from a2a_cloud.surface.api.agents import after_line, lines
from a2a_cloud.surface.api.erasures import shown
from a2a_cloud.surface.api.reviews import document as review
from a2a_cloud.surface.api.scores import score
from a2a_cloud.surface.front_names import qualified
from a2a_cloud.surface.ports import Services
from a2a_cloud.surface.request import Request, flag
from a2a_cloud.surface.runs_port import RunRow
from a2a_cloud.wire import sse
from a2a_cloud.wire.a2a_v1 import task_state
from a2a_cloud.wire.views import TaskView

_decode = msgspec.json.Decoder(dict[str, Any]).decode
_MAX_PAGE = 1000


async def listed(services: Services, request: Request, _values: list[str]) -> tuple[int, Any]:
    """`GET /api/v1/runs?agent=&task=&state=&dead=1&limit=&cursor=`."""
    query = request.query()
    limit = query.get("limit", "") or "50"
    if not (limit.isascii() and limit.isdigit() and 1 <= int(limit[:9]) <= _MAX_PAGE):
        raise InvalidParams(f"limit has to be from 1 to {_MAX_PAGE}.", info={"field": "limit"})
    state = task_state(query.get("state", ""))
    page = services.runs.runs(
        _scope(request),
        agent=query.get("agent", ""),
        task_id=query.get("task", ""),
        state=state.value if state is not None else "",
        dead=flag(query, "dead"),
        limit=int(limit),
        cursor=query.get("cursor", ""),
    )
    return 200, {"runs": [document(row) for row in page.runs], "next": page.next}


async def one(services: Services, request: Request, values: list[str]) -> tuple[int, Any]:
    """`GET /api/v1/runs/{id}`, with its visible events, and in `record` what it did through its context;
    what rubrics and people said of it."""
    scope = _scope(request)
    row = _row(services, scope, values[0])
    answer = document(row)
    events: list[dict[str, Any]] = []
    found = services.runs.run_events(scope, row.id)
    for seq, event in found:
        if event.visible:
            body = _decode(encode_event(event))
            events.append({"seq": seq, "kind": body.pop("k"), **body})
    answer["events"] = events
    erasure = services.erasures.of(scope, row.id) if services.erasures is not None else None
    answer["erased"] = None if erasure is None else shown(erasure)
    if scope.owner is None:  # A caller is not told what an agent does inside, as in receipts.
        answer["record"] = record(found)
        if services.evals is not None:
            scored = services.evals.of_run(request.principal.org_no, row.id)
            answer["scores"] = [{"eval": of, **score(one, whole=True)} for of, one in scored]
    if services.reviews is not None:
        said = services.reviews.of_run(request.principal.org_no, row.id)
        answer["reviews"] = [review(services.reviews, one) for one in said]
    return 200, answer


async def logs(services: Services, request: Request, values: list[str]) -> tuple[int, Any]:
    """`GET /api/v1/runs/{id}/logs`: of one's own runs, of others' with READ_LOGS."""
    principal = request.principal
    whole = principal.may(Permission.READ_LOGS)
    scope = _scope(request) if whole else owner_scope(principal, principal.org_no)
    row = _row(services, scope, values[0])
    return 200, {"lines": lines(services.runs.logs(scope, row.id, after_line(request)))}


async def cancel(services: Services, request: Request, values: list[str]) -> tuple[int, Any]:
    """`POST /api/v1/runs/{id}/cancel`: cancels the run's task."""
    scope = manager_scope(request.principal, request.principal.org_no)
    row = _row(services, scope, values[0])
    await services.runs.cancel(scope, _release(services, request, row).agent_no, row.task_id)
    return 200, document(services.runs.run(scope, row.id))


async def task(services: Services, request: Request, values: list[str]) -> tuple[int, Any]:
    """`GET /api/v1/tasks/{id}`: which agent has it, its state, its open question, its runs."""
    scope = _scope(request)
    if len(values[0]) > 256:
        raise TaskNotFound("There is no such task.")
    page = services.runs.runs(scope, task_id=values[0], limit=_MAX_PAGE)
    if not page.runs:
        raise TaskNotFound("There is no such task.")
    release = _release(services, request, page.runs[0])
    view = services.runs.task(scope, release.agent_no, values[0])
    return 200, {
        "id": view.id,
        "agent": release.name,
        "org": release.org,
        "url": f"{request.base}/agents/{qualified(release)}",
        "state": view.state.short,
        "context_id": view.context_id,
        "question": question_of(view),
        "approval": approval_of(view),
        "runs": [document(row) for row in page.runs],
    }


def question_of(view: TaskView) -> dict[str, Any] | None:
    """The task's open question, if it waits for an answer."""
    return sse.question(_open_in(view, TaskState.INPUT_REQUIRED))


def approval_of(view: TaskView) -> dict[str, Any] | None:
    """What the task waits to be allowed, if it does."""
    return sse.approval(_open_in(view, TaskState.AUTH_REQUIRED))


def _open_in(view: TaskView, state: TaskState) -> Message | None:
    """The message with which the task came to wait in `state`, if it waits so."""
    if view.state is not state:
        return None
    for run in view.runs:
        for _, event in reversed(run.events):
            if isinstance(event, StatusEvent):
                if event.state is state:
                    return event.message
                break
    return None


def document(row: RunRow) -> dict[str, Any]:
    """A run as this API shows it."""
    error = None
    if row.problem_code:
        error = {"code": row.problem_code, "detail": row.problem_detail}
    return {
        "id": row.id,
        "task_id": row.task_id,
        "context_id": row.context_id,
        "agent": row.agent,
        "release": row.release,
        "skill": row.skill,
        "state": row.state.short,
        "attempt": row.attempt,
        "owner": row.owner,
        "created": stamp(row.created),
        "started": None if row.started is None else stamp(row.started),
        "ended": None if row.ended is None else stamp(row.ended),
        "error": error,
        "dead": bool(row.dead),
        "receipt_id": row.receipt_id,
        "parent": row.parent,
    }


def _scope(request: Request) -> Scope:
    return reader_scope(request.principal, request.principal.org_no)


def _row(services: Services, scope: Scope, run_id: str) -> RunRow:
    if len(run_id) > 256:
        raise RunNotFound("There is no such run.")
    return services.runs.run(scope, run_id)


def _release(services: Services, request: Request, row: RunRow) -> Release:
    return services.registry.serving(f"{request.principal.org}.{row.agent}")
