"""The HTTP+JSON binding (A2A 1.0, section 11), and `POST /tasks`, which hands a task out at once."""

from __future__ import annotations

from typing import Any
from urllib.parse import quote

import msgspec

from a2a_cloud.model.problem import InvalidParams, NotFound
from a2a_cloud.surface.a2a.operations import (
    Operations,
    check_version,
    resumed,
)
from a2a_cloud.surface.framing import REST
from a2a_cloud.surface.request import A2A_JSON, Request, segment
from a2a_cloud.wire.a2a_render import sent
from a2a_cloud.wire.a2a_v1 import (
    GetTaskParams,
    ListPushConfigsParams,
    ListTasksParams,
    PushConfigParams,
    SendMessageParams,
    TaskIdParams,
    TaskPushNotificationConfig,
    convert_params,
    decode_params,
)
from a2a_cloud.wire.json_text import check_text, readable

_encode = msgspec.json.Encoder().encode
_MAX_CONFIG = 64 << 10
_BOOLEANS = {"true": True, "false": False, "1": True, "0": False}
_LIST_QUERY = frozenset(
    {
        "contextId",
        "status",
        "pageSize",
        "pageToken",
        "historyLength",
        "statusTimestampAfter",
        "includeArtifacts",
        "tenant",
    }
)


async def _params(request: Request, operations: Operations) -> SendMessageParams:
    request.expect_json()
    body = await request.body(operations.services.limits.body)
    check_text(body)
    return decode_params(body, SendMessageParams)


async def send(request: Request, operations: Operations) -> None:
    """`POST /message:send`."""
    request.allow("POST")
    check_version(request)
    params = await _params(request, operations)
    await request.answer(200, sent(await operations.send_message(request, params)), A2A_JSON)


async def stream(request: Request, operations: Operations) -> None:
    """`POST /message:stream`."""
    request.allow("POST")
    check_version(request)
    params = await _params(request, operations)
    following = operations.stream(request, await operations.open_message(request, params), REST)
    del params  # An open stream keeps nothing of what opened it.
    await following


async def tasks(request: Request, operations: Operations, tail: str) -> None:
    """Everything below `/tasks`; `tail` is the undecoded rest of the path."""
    check_version(request)
    if not tail:
        if request.method == "POST":
            return await _post_task(request, operations)
        request.allow("GET", "POST")
        page = operations.list_tasks(request, _list_params(request))
        return await request.answer(200, _encode(page), A2A_JSON)
    first, _, more = tail.partition("/")
    name = segment(first)
    if more:
        kind, _, config = more.partition("/")
        if kind != "pushNotificationConfigs" or "/" in config:
            raise NotFound("There is nothing here.", remedy="See /openapi.json for the paths of this agent.")
        return await _push_configs(request, operations, name, segment(config))
    task_id, _, verb = name.rpartition(":")
    if not task_id:
        request.allow("GET")
        params = GetTaskParams(id=name, history_length=_history(request))
        return await request.answer(200, _encode(operations.get_task(request, params)), A2A_JSON)
    if verb == "cancel":
        request.allow("POST")
        canceled = await operations.cancel_task(request, TaskIdParams(task_id))
        return await request.answer(200, _encode(canceled), A2A_JSON)
    if verb == "subscribe":
        request.allow("GET", "POST")
        opening = operations.open_task(request, task_id, resumed(request))
        return await operations.stream(request, opening, REST)
    raise NotFound(f"There is no operation {readable(verb)} on a task.", remedy="Use :cancel or :subscribe.")


async def _push_configs(request: Request, operations: Operations, task_id: str, config_id: str) -> None:
    """`/tasks/{id}/pushNotificationConfigs` and what is below it."""
    request.allow(*(("GET", "DELETE") if config_id else ("GET", "POST")))
    if config_id:
        params = PushConfigParams(task_id, config_id)
        if request.method == "DELETE":
            await operations.delete_push_config(request, params)
            return await request.answer(200, b"{}", A2A_JSON)
        shown = operations.get_push_config(request, params)
        return await request.answer(200, _encode(shown), A2A_JSON)
    if request.method == "POST":
        request.expect_json()
        body = await request.body(_MAX_CONFIG)
        check_text(body)
        config = decode_params(body, TaskPushNotificationConfig)
        config = msgspec.structs.replace(config, task_id=task_id)  # The path says which.
        created = await operations.create_push_config(request, config)
        return await request.answer(200, _encode(created), A2A_JSON)
    query = request.query()
    size = _whole(query.get("pageSize", "") or "0", "pageSize")
    page = operations.list_push_configs(
        request, ListPushConfigsParams(task_id, size, query.get("pageToken", ""))
    )
    return await request.answer(200, _encode(page), A2A_JSON)


async def _post_task(request: Request, operations: Operations) -> None:
    params = await _params(request, operations)
    task = await operations.submit_task(request, params)
    link = _encode(request.links.sse(task.id))
    body = b'{"task":' + _encode(task) + b',"sse_url":' + link + b"}"
    location = f"{request.base}/tasks/{quote(task.id, safe='')}".encode()
    await request.answer(202, body, A2A_JSON, [(b"location", location)])


async def extended_card(request: Request, operations: Operations) -> None:
    """`GET /extendedAgentCard`."""
    request.allow("GET")
    check_version(request)
    await operations.cards.serve_extended(request)


def _history(request: Request) -> int | msgspec.UnsetType:
    value = request.query().get("historyLength", "")
    return msgspec.UNSET if value == "" else _whole(value, "historyLength")


def _whole(value: str, field: str) -> int:
    digits = value[1:] if value[:1] == "-" else value
    if not (digits.isascii() and digits.isdigit() and len(digits) <= 9):
        raise InvalidParams(
            f"{field} has to be a whole number, not {readable(value)}.", info={"field": field}
        )
    return int(value)


def _list_params(request: Request) -> ListTasksParams:
    query = {name: value for name, value in request.query().items() if name in _LIST_QUERY and value != ""}
    typed: dict[str, Any] = dict(query)
    for name in ("pageSize", "historyLength"):
        if name in query:
            typed[name] = _whole(query[name], name)
    if "includeArtifacts" in query:
        flag = _BOOLEANS.get(query["includeArtifacts"].lower())
        if flag is None:
            raise InvalidParams(
                "includeArtifacts has to be true or false.", info={"field": "includeArtifacts"}
            )
        typed["includeArtifacts"] = flag
    return convert_params(typed, ListTasksParams)
