"""A2A 0.3 over HTTP+JSON (specification 0.3.0, section 3.2.3): paths below `/v1`, ProtoJSON of 0.3's proto
(wire/a2a_v03_rest), errors as `{code, message, data}`.
"""

from __future__ import annotations

from typing import Any

import msgspec
from msgspec import UNSET

from a2a_cloud.model.problem import NotFound
from a2a_cloud.surface.a2a.older_framing import V03RestFraming
from a2a_cloud.surface.a2a.operations import Operations, check_version, resumed
from a2a_cloud.surface.a2a.v03 import all_push
from a2a_cloud.surface.request import JSON, Request, segment
from a2a_cloud.wire import a2a_v03_rest
from a2a_cloud.wire.a2a_render import response
from a2a_cloud.wire.a2a_v1 import GetTaskParams, PushConfigParams, TaskIdParams
from a2a_cloud.wire.json_text import check_text, readable
from a2a_cloud.wire.members import Members, read_json

_encode = msgspec.json.Encoder().encode


async def serve(request: Request, operations: Operations, tail: str) -> None:
    """Everything below `/v1`; `tail` is the undecoded rest of the path. Raises Problem."""
    check_version(request)
    request.speaks = "a2a-0.3"
    first, _, rest = tail.partition("/")
    name = segment(first)
    if name == "message:send" and not rest:
        return await _send(request, operations)
    if name == "message:stream" and not rest:
        return await _stream(request, operations)
    if name == "tasks" and rest:
        return await _task(request, operations, rest)
    if name == "card" and not rest:
        request.allow("GET")
        return await _answer(request, operations.extended_card(request))
    raise NotFound(
        "There is nothing at this path.",
        remedy="A2A 0.3 has /v1/message:send, /v1/message:stream, /v1/tasks/{id} and /v1/card; "
        "A2A 1.0 has its paths without /v1, and lists tasks at /tasks.",
    )


async def _answer(request: Request, result: Any, status: int = 200) -> None:
    await request.answer(status, _encode(result), JSON)


async def body_of(request: Request, operations: Operations) -> Members:
    """The request's JSON object. Raises Problem."""
    request.expect_json()
    body = await request.body(operations.services.limits.body)
    check_text(body)
    return Members(read_json(body))


async def _send(request: Request, operations: Operations) -> None:
    request.allow("POST")
    params = a2a_v03_rest.read_send(await body_of(request, operations))
    outcome = await operations.send_message(request, params)
    await _answer(request, a2a_v03_rest.shown(response(outcome)))


async def _stream(request: Request, operations: Operations) -> None:
    request.allow("POST")
    opening = await operations.open_message(
        request, a2a_v03_rest.read_send(await body_of(request, operations))
    )
    await operations.stream(request, opening, V03RestFraming())


async def _task(request: Request, operations: Operations, rest: str) -> None:
    first, _, more = rest.partition("/")
    name = segment(first)
    if more:
        kind, _, config = more.partition("/")
        if kind != "pushNotificationConfigs" or "/" in config:
            raise NotFound("There is nothing at this path.", remedy="A task has /pushNotificationConfigs.")
        return await _push(request, operations, name, segment(config))
    task_id, _, verb = name.rpartition(":")
    if not task_id:
        request.allow("GET")
        query = request.query()
        length = Members(dict(query)).whole("historyLength") if query.get("historyLength") else UNSET
        task = operations.get_task(request, GetTaskParams(name, length or UNSET))
        return await _answer(request, a2a_v03_rest.task(task))
    if verb == "cancel":
        request.allow("POST")
        canceled = await operations.cancel_task(request, TaskIdParams(task_id))
        return await _answer(request, a2a_v03_rest.task(canceled))
    if verb == "subscribe":
        request.allow("GET", "POST")
        opening = operations.open_task(request, task_id, resumed(request))
        return await operations.stream(request, opening._replace(until_input=True), V03RestFraming())
    raise NotFound(f"There is no operation {readable(verb)} on a task.", remedy="Use :cancel or :subscribe.")


async def _push(request: Request, operations: Operations, task_id: str, config_id: str) -> None:
    """`/v1/tasks/{id}/pushNotificationConfigs` and what is below it."""
    request.allow(*(("GET", "DELETE") if config_id else ("GET", "POST")))
    if config_id:
        asked = PushConfigParams(task_id, config_id)
        if request.method == "DELETE":
            await operations.delete_push_config(request, asked)
            return await request.answer(200, b"{}", JSON)
        return await _answer(request, a2a_v03_rest.push(operations.get_push_config(request, asked)))
    if request.method == "POST":
        config = a2a_v03_rest.read_push(await body_of(request, operations), task_id)
        return await _answer(request, a2a_v03_rest.push(await operations.create_push_config(request, config)))
    configs = all_push(request, operations, task_id)
    return await _answer(request, {"configs": [a2a_v03_rest.push(config) for config in configs]})
