"""The session dialect: `/sessions`, `/sessions/{id}`, `/sessions/{id}/messages` of an agent
(docs/dialects.md).

A session is a context: each message begins a task in it, or answers the one that asks. What was said and
what `ctx.state` keeps last until the session is ended; what still runs then is canceled. Sessions belong to
who holds the key: there are none without.
"""

from __future__ import annotations

from contextlib import suppress
from typing import Any

import msgspec
from msgspec import UNSET

from a2a_cloud.model.problem import (
    IdempotencyConflict,
    InvalidParams,
    NotFound,
    SessionEnded,
    TaskNotCancelable,
    Unauthenticated,
)
from a2a_cloud.model.scope import Scope, owner_scope
from a2a_cloud.model.stamp import stamp
from a2a_cloud.model.task import Message, Role, Task, TaskState
from a2a_cloud.surface.a2a.early import own_copy
from a2a_cloud.surface.a2a.operations import Operations
from a2a_cloud.surface.front_names import qualified
from a2a_cloud.surface.names_port import Session, Sessions
from a2a_cloud.surface.narrowing import KEY, of_header
from a2a_cloud.surface.parts import check_id
from a2a_cloud.surface.request import JSON, Headers, Request, flag, segment
from a2a_cloud.wire import a2a_render, sessions
from a2a_cloud.wire.a2a_v1 import SendMessageConfiguration, SendMessageParams
from a2a_cloud.wire.json_text import check_text
from a2a_cloud.wire.members import Members, read_json

_encode = msgspec.json.Encoder().encode
_any = msgspec.json.Decoder()
#: States in which a task is canceled when its session ends.
_LIVE = (TaskState.SUBMITTED, TaskState.WORKING, TaskState.INPUT_REQUIRED, TaskState.AUTH_REQUIRED)
_PAGE = 50
_MAX_PAGE = 100
_MAX_METADATA = 16 * 1024
_WHOLE_TALK = 10_000


async def serve(request: Request, operations: Operations, tail: str) -> None:
    """Everything below `/sessions`; `tail` is the undecoded rest of the path. Raises Problem."""
    request.speaks = "session"
    if request.principal.anonymous:
        raise Unauthenticated(
            "Sessions are for callers with a key.",
            remedy="Send a key as Authorization: Bearer KEY, or as X-API-Key: KEY.",
        )
    if not tail:
        request.allow("POST")
        return await _open(request, operations)
    first, _, more = tail.partition("/")
    session = _sessions(operations).find(_scope(request), request.release.agent_no, segment(first))
    if not more:
        request.allow("GET", "DELETE")
        if request.method == "DELETE":
            return await _end(request, operations, session)
        return await _answer(request, 200, _shown(request, _open_one(session)))
    if more != "messages":
        raise NotFound("There is nothing at this path.", remedy="A session has /messages.")
    request.allow("GET", "POST")
    if request.method == "POST":
        return await _say(request, operations, _open_one(session))
    return await _talk(request, operations, _open_one(session))


def _sessions(operations: Operations) -> Sessions:
    found = operations.services.sessions
    assert found is not None, "the platform was put together without sessions"
    return found


def _scope(request: Request) -> Scope:
    return owner_scope(request.principal, request.release.org_no)


def _open_one(session: Session) -> Session:
    if session.ended is not None:
        raise SessionEnded(
            f"The session was ended at {stamp(session.ended)}: it takes no messages and shows none.",
            remedy="Open a new one: POST /sessions.",
        )
    return session


async def _answer(request: Request, status: int, body: Any, headers: Headers | None = None) -> None:
    await request.answer(status, _encode(body), JSON, headers)


async def _body(request: Request, operations: Operations) -> Members:
    request.expect_json()
    body = await request.body(operations.services.limits.body)
    check_text(body)
    return Members(read_json(body) if body.strip() else {})


def _shown(request: Request, session: Session) -> dict[str, Any]:
    return {
        "id": session.id,
        "agent": qualified(request.release),
        "state": "open",
        "created": stamp(session.created),
        "metadata": msgspec.Raw(session.metadata.encode()),
        "messages_url": f"{request.base}/sessions/{session.id}/messages",
    }


async def _open(request: Request, operations: Operations) -> None:
    given = await _body(request, operations)
    table = given.table("metadata")
    metadata = "{}" if table is UNSET else bytes(table).decode()
    if len(metadata) > _MAX_METADATA:
        raise InvalidParams(f"metadata is larger than {_MAX_METADATA} bytes.", info={"field": "metadata"})
    session = await _sessions(operations).open(_scope(request), request.release.agent_no, metadata)
    location = f"{request.base}/sessions/{session.id}".encode()
    await _answer(request, 201, _shown(request, session), [(b"location", location)])


async def _end(request: Request, operations: Operations, session: Session) -> None:
    scope, agent_no = _scope(request), request.release.agent_no
    if session.ended is None:  # First of all: from here on it takes no message.
        await _sessions(operations).end(scope, agent_no, session.id)
    living = _living(request, operations, session)
    for task_id in living:
        with suppress(TaskNotCancelable):
            await operations.services.runs.cancel(scope, agent_no, task_id)
    if living:  # What they kept meanwhile goes too.
        await _sessions(operations).end(scope, agent_no, session.id)
    await request.answer(204, b"", JSON)


def _living(request: Request, operations: Operations, session: Session) -> list[str]:
    """The ids of the session's tasks that have not ended."""
    found: list[str] = []
    for state in _LIVE:
        cursor = ""
        while True:
            page = operations.services.runs.tasks(
                _scope(request),
                request.release.agent_no,
                context_id=session.id,
                state=state,
                limit=_MAX_PAGE,
                cursor=cursor,
            )
            found += [task.id for task in page.tasks]
            cursor = page.next
            if not cursor:
                break
    return found


# --- messages -------------------------------------------------------------------------------------------


def _telling(request: Request, session: Session) -> sessions.Telling:
    return sessions.Telling(session.id, request.release.name, request.principal.label)


async def _say(request: Request, operations: Operations, session: Session) -> None:
    """`POST …/messages`: answers with what the agent says, or at once with `?async=1`."""
    at_once = flag(request.query(), "async")
    message = await _message(request, operations, session)
    # While the body came it may have been ended.
    session = _open_one(_sessions(operations).find(_scope(request), request.release.agent_no, session.id))
    asking = operations.services.runs.tasks(
        _scope(request),
        request.release.agent_no,
        context_id=session.id,
        state=TaskState.INPUT_REQUIRED,
        limit=1,
    ).tasks
    if asking:
        message.task_id = asking[0].id
    params = SendMessageParams(
        message, SendMessageConfiguration(history_length=0, return_immediately=at_once)
    )
    try:
        # As a task, so that what was said is found again.
        outcome = await operations.send_message(request, own_copy(params), shown=True)
    except IdempotencyConflict as conflict:
        outcome = await _again(request, operations, params, conflict)
    telling = _telling(request, session)
    if isinstance(outcome, Message):
        return await _answer(request, 200, telling.message(outcome))
    if not at_once:
        answer = telling.answer(outcome)
        return await _answer(request, 200, answer or _silent(telling, outcome))
    return await _answer(request, 202, _silent(telling, outcome))


def _silent(telling: sessions.Telling, task: Task) -> dict[str, Any]:
    """The agent's message where it has said nothing, or nothing yet."""
    return telling.message(Message(f"{task.id}.answer", Role.AGENT, []), task.id, task.status.state.short)


async def _message(request: Request, operations: Operations, session: Session) -> Message:
    given = await _body(request, operations)
    key = request.idempotency_key.decode("latin-1").strip()
    if key:
        check_id(key, "Idempotency-Key")
    release = request.release
    message = sessions.read_message(
        given,
        key or operations.services.ids.new("msg"),
        session.id,
        (release.name, qualified(release)),
    )
    if of_header(request.grant) is not None:
        metadata: dict[str, Any] = {} if message.metadata is UNSET else _any.decode(message.metadata)
        message.metadata = msgspec.Raw(_encode({**metadata, KEY: msgspec.Raw(request.grant)}))
    return message


async def _again(
    request: Request, operations: Operations, params: SendMessageParams, conflict: IdempotencyConflict
) -> Task | Message:
    """The retry of a message: it went to the task that asked then, or to none. Raises IdempotencyConflict."""
    run_id = conflict.info.get("run", "")
    if not run_id:
        raise conflict
    task_id = operations.services.runs.run(_scope(request), run_id).task_id
    params.message.task_id = UNSET if params.message.task_id == task_id else task_id
    return await operations.send_message(request, params, shown=True)


async def _talk(request: Request, operations: Operations, session: Session) -> None:
    """`GET …/messages`: the latest tasks' messages, oldest first; `next` leads to those before."""
    query = request.query()
    limit = Members(dict(query)).whole("limit") if query.get("limit") else UNSET
    limit = _PAGE if limit is UNSET else limit
    if not 1 <= limit <= _MAX_PAGE:
        raise InvalidParams(f"limit has to be from 1 to {_MAX_PAGE}.", info={"field": "limit"})
    cursor = query.get("before", "")
    if len(cursor) > 512:
        raise InvalidParams("before is not one of ours.", info={"field": "before"})
    page = operations.services.runs.tasks(
        _scope(request), request.release.agent_no, context_id=session.id, limit=limit, cursor=cursor
    )
    telling = _telling(request, session)
    said: list[dict[str, Any]] = []
    for view in reversed(page.tasks):
        said += telling.talk(a2a_render.task(view, request.links, _WHOLE_TALK))
    await _answer(request, 200, {"messages": said, "next": page.next})
