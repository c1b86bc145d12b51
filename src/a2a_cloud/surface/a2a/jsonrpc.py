"""The JSON-RPC binding (A2A 1.0, section 9): `POST` on the agent's base. The hot path of the platform."""

from __future__ import annotations

from a2a_cloud.model.problem import (
    AgentNotFound,
    Busy,
    Forbidden,
    MethodNotAllowed,
    Problem,
    RequestTimeout,
    StorageFull,
    TooLarge,
    Unauthenticated,
    Unavailable,
    UrlTooLong,
)
from a2a_cloud.surface.a2a.operations import (
    Operations,
    check_version,
    no_extended_card,
    no_push,
    no_tenants,
)
from a2a_cloud.surface.request import Request, UnsupportedMediaType
from a2a_cloud.wire import jsonrpc
from a2a_cloud.wire.json_text import check_text

#: Problems that HTTP itself speaks of: everything on the way acts on their status. All others answer 200.
_HTTP = (
    Unauthenticated,
    Forbidden,
    AgentNotFound,
    TooLarge,
    UrlTooLong,
    MethodNotAllowed,
    Busy,
    Unavailable,
    StorageFull,
    RequestTimeout,
    UnsupportedMediaType,
)


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
    request_id, call = decoded
    request.rpc_id = request_id
    if request.version or request.query_string:
        check_version(request)
    kind = type(call)
    if kind is jsonrpc.SendMessage:
        result = await operations.send_message(request, call.params)  # type: ignore[arg-type]
    elif isinstance(call, jsonrpc.SendStreamingMessage):
        params = call.params
        del call, decoded
        prefix = jsonrpc.stream_prefix(request_id)
        return await operations.stream_message(request, params, "jsonrpc", prefix)
    elif isinstance(call, jsonrpc.GetTask):
        result = operations.get_task(request, call.params)
    elif isinstance(call, jsonrpc.ListTasks):
        result = operations.list_tasks(request, call.params)
    elif isinstance(call, jsonrpc.CancelTask):
        if call.params.tenant:
            no_tenants(call.params.tenant)
        result = await operations.cancel_task(request, call.params.id)
    elif isinstance(call, jsonrpc.SubscribeToTask):
        if call.params.tenant:
            no_tenants(call.params.tenant)
        prefix = jsonrpc.stream_prefix(request_id)
        return await operations.subscribe(request, call.params.id, "jsonrpc", prefix)
    elif isinstance(call, jsonrpc.GetExtendedAgentCard):
        no_extended_card()
    else:
        no_push()
    return await request.answer(200, jsonrpc.result(request_id, result))
