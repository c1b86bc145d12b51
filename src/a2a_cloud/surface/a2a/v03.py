"""A2A 0.3 over JSON-RPC (specification 0.3.0, section 7): each method is an operation of 1.0, said in
0.3's words (wire/a2a_v03).

A stream ends with a status update whose `final` is true, when the task ends and also when it asks.
"""

from __future__ import annotations

from typing import Any

import msgspec

from a2a_cloud.surface.a2a.older_framing import V03Framing
from a2a_cloud.surface.a2a.operations import Operations, resumed
from a2a_cloud.surface.request import Request
from a2a_cloud.wire import a2a_v03, jsonrpc
from a2a_cloud.wire.a2a_render import response
from a2a_cloud.wire.a2a_v1 import ListPushConfigsParams, PushConfigParams, TaskPushNotificationConfig
from a2a_cloud.wire.members import Members

_encode = msgspec.json.Encoder().encode


async def answer(request: Request, result: Any) -> None:
    """The answer that carries `result`."""
    await request.answer(200, jsonrpc.result(request.rpc_id, _encode(result)))


async def send(request: Request, operations: Operations, params: Members) -> None:
    """`message/send`."""
    outcome = await operations.send_message(request, a2a_v03.read_send(params))
    await answer(request, a2a_v03.shown(response(outcome)))


async def stream(request: Request, operations: Operations, params: Members) -> None:
    """`message/stream`."""
    opening = await operations.open_message(request, a2a_v03.read_send(params))
    del params  # An open stream keeps nothing of what opened it.
    await operations.stream(request, opening, V03Framing(request.rpc_id))


async def get(request: Request, operations: Operations, params: Members) -> None:
    """`tasks/get`."""
    await answer(request, a2a_v03.task(operations.get_task(request, a2a_v03.read_query(params))))


async def cancel(request: Request, operations: Operations, params: Members) -> None:
    """`tasks/cancel`."""
    await answer(request, a2a_v03.task(await operations.cancel_task(request, a2a_v03.read_id(params))))


async def resubscribe(request: Request, operations: Operations, params: Members) -> None:
    """`tasks/resubscribe`."""
    opening = operations.open_task(request, params.needed("id"), resumed(request))
    await operations.stream(request, opening._replace(until_input=True), V03Framing(request.rpc_id))


async def extended_card(request: Request, operations: Operations, params: Members) -> None:
    """`agent/getAuthenticatedExtendedCard`: the card has 0.3's members too."""
    await answer(request, operations.extended_card(request))


# --- push configs ---------------------------------------------------------------------------------------


async def set_push(request: Request, operations: Operations, params: Members) -> None:
    """`tasks/pushNotificationConfig/set`."""
    config = await operations.create_push_config(request, read_task_push(params, params.needed("taskId")))
    await answer(request, a2a_v03.push(config))


def read_task_push(params: Members, task_id: str) -> TaskPushNotificationConfig:
    """The config in the params, for that task. Raises InvalidParams."""
    given = params.object("pushNotificationConfig")
    if given is None:
        raise params.misfit("pushNotificationConfig", "is missing")
    return a2a_v03.read_push(given, task_id)


async def get_push(request: Request, operations: Operations, params: Members) -> None:
    """`tasks/pushNotificationConfig/get`."""
    config_id = params.text("pushNotificationConfigId")
    await answer(request, a2a_v03.push(push_of(request, operations, params.needed("id"), config_id)))


def push_of(
    request: Request, operations: Operations, task_id: str, config_id: str = ""
) -> TaskPushNotificationConfig:
    """A config of the task; without its id the one that was made without an id, else the first."""
    if not config_id:
        configs = operations.list_push_configs(request, ListPushConfigsParams(task_id)).configs
        for config in configs:
            if config.id == task_id:
                return config
        if configs:
            return configs[0]
    return operations.get_push_config(request, PushConfigParams(task_id, config_id or task_id))


async def list_push(request: Request, operations: Operations, params: Members) -> None:
    """`tasks/pushNotificationConfig/list`: all of them."""
    configs = all_push(request, operations, params.needed("id"))
    await answer(request, [a2a_v03.push(config) for config in configs])


def all_push(request: Request, operations: Operations, task_id: str) -> list[TaskPushNotificationConfig]:
    """All configs of a task: 0.3 knows no pages."""
    configs: list[TaskPushNotificationConfig] = []
    token = ""
    while True:
        page = operations.list_push_configs(request, ListPushConfigsParams(task_id, page_token=token))
        configs += page.configs
        token = page.next_page_token
        if not token:
            return configs


async def delete_push(request: Request, operations: Operations, params: Members) -> None:
    """`tasks/pushNotificationConfig/delete`."""
    asked = PushConfigParams(params.needed("id"), params.needed("pushNotificationConfigId"))
    await operations.delete_push_config(request, asked)
    await answer(request, None)
