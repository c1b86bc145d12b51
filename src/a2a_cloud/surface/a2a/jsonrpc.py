"""The JSON-RPC binding (A2A 1.0, section 9): `POST` on the agent's base. The hot path of the platform."""

from __future__ import annotations

import msgspec

from a2a_cloud.model.problem import (
    AgentNotFound,
    Busy,
    Forbidden,
    MethodNotAllowed,
    Problem,
    RateLimited,
    RequestTimeout,
    StorageFull,
    TooLarge,
    Unauthenticated,
    Unavailable,
    UrlTooLong,
)
from a2a_cloud.surface.a2a.operations import (
    Operations,
    check_tenant,
    check_version,
    resumed,
)
from a2a_cloud.surface.framing import RpcFraming
from a2a_cloud.surface.request import Request, UnsupportedMediaType
from a2a_cloud.wire import jsonrpc
from a2a_cloud.wire.a2a_render import sent
from a2a_cloud.wire.json_text import check_text

_encode = msgspec.json.Encoder().encode

#: Problems that HTTP itself speaks of: everything on the way acts on their status. All others answer 200.
_HTTP = (
    Unauthenticated,
    Forbidden,
    AgentNotFound,
    TooLarge,
    UrlTooLong,
    MethodNotAllowed,
    Busy,
    RateLimited,
    Unavailable,
    StorageFull,
    RequestTimeout,
    UnsupportedMediaType,
)


def refusal(request: Request, problem: Problem) -> bytes:
    """The answer that carries `problem`."""
    return jsonrpc.error(request.rpc_id, problem, older=request.speaks != "a2a-1.0")


def status_of(problem: Problem) -> int:
    """The HTTP status of a JSON-RPC answer that carries `problem`."""
    return problem.http if isinstance(problem, _HTTP) else 200


async def serve(request: Request, operations: Operations) -> None:
    """Answers one JSON-RPC request. Raises Problem; `request.rpc_id` says which id it answers."""
    if request.method != "POST":
        request.allow("POST")
    request.expect_json()
    body = await request.body(operations.services.limits.body)
    check_text(body)
    decoded = jsonrpc.decode(body)
    del body
    if isinstance(decoded, jsonrpc.Undecodable):
        request.rpc_id = decoded.id
        raise decoded.problem
    if isinstance(decoded, jsonrpc.Other):
        from a2a_cloud.surface.a2a import older  # Loaded when the first such caller comes.

        request.rpc_id = decoded.id
        return await older.serve(request, operations, decoded)
    request_id, call = decoded
    request.rpc_id = request_id
    if request.version or request.query_string:
        check_version(request)
    if type(call) is jsonrpc.SendMessage:
        outcome = await operations.send_message(request, call.params)  # type: ignore[attr-defined]
        return await request.answer(200, jsonrpc.result(request_id, sent(outcome)))
    if isinstance(call, jsonrpc.SendStreamingMessage | jsonrpc.SubscribeToTask):
        following = _stream(request, operations, request_id, call)
        del call, decoded  # An open stream keeps nothing of what opened it.
        return await following
    if isinstance(call, jsonrpc.GetTask):
        result = operations.get_task(request, call.params)
    elif isinstance(call, jsonrpc.ListTasks):
        result = operations.list_tasks(request, call.params)
    elif isinstance(call, jsonrpc.CancelTask):
        result = await operations.cancel_task(request, call.params)
    elif isinstance(call, jsonrpc.GetExtendedAgentCard):
        result = operations.extended_card(request, call.params.tenant)
    elif isinstance(call, jsonrpc.CreateTaskPushNotificationConfig):
        result = await operations.create_push_config(request, call.params)
    elif isinstance(call, jsonrpc.GetTaskPushNotificationConfig):
        result = operations.get_push_config(request, call.params)
    elif isinstance(call, jsonrpc.ListTaskPushNotificationConfigs):
        result = operations.list_push_configs(request, call.params)
    else:
        assert isinstance(call, jsonrpc.DeleteTaskPushNotificationConfig)
        result = await operations.delete_push_config(request, call.params)
    return await request.answer(200, jsonrpc.result(request_id, _encode(result)))


async def _stream(
    request: Request,
    operations: Operations,
    request_id: bytes,
    call: jsonrpc.SendStreamingMessage | jsonrpc.SubscribeToTask,
) -> None:
    framing = RpcFraming(request_id)
    if isinstance(call, jsonrpc.SendStreamingMessage):
        params = call.params
        del call
        opening = await operations.open_message(request, params)
        del params
    else:
        if call.params.tenant:
            check_tenant(request.release, call.params.tenant)
        opening = operations.open_task(request, call.params.id, resumed(request))
    following = operations.stream(request, opening, framing)
    del opening
    await following
