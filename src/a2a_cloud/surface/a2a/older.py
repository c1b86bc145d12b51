"""JSON-RPC methods of the generations before 1.0, by name. Loaded with the first request that has one.

`tasks/get`, `tasks/cancel` and `tasks/resubscribe` are methods of 0.3 and of earlier: an id that its caller
chose itself (`tasks/send`) is answered in the words of that time, any other in those of 0.3.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable

from a2a_cloud.model.problem import MethodNotFound
from a2a_cloud.surface.a2a import early, v03
from a2a_cloud.surface.a2a.operations import Operations, check_version
from a2a_cloud.surface.request import Request
from a2a_cloud.wire import jsonrpc
from a2a_cloud.wire.json_text import readable
from a2a_cloud.wire.members import Members, read_json

Method = Callable[[Request, Operations, Members], Awaitable[None]]


def _either(of_early: Method, of_v03: Method) -> Method:
    async def serve(request: Request, operations: Operations, params: Members) -> None:
        named = early.is_name(request, operations, params)
        await (of_early if named else of_v03)(request, operations, params)

    return serve


_V03: dict[str, Method] = {
    "message/send": v03.send,
    "message/stream": v03.stream,
    "tasks/get": _either(early.get, v03.get),
    "tasks/cancel": _either(early.cancel, v03.cancel),
    "tasks/resubscribe": _either(early.resubscribe, v03.resubscribe),
    "tasks/pushNotificationConfig/set": v03.set_push,
    "tasks/pushNotificationConfig/get": v03.get_push,
    "tasks/pushNotificationConfig/list": v03.list_push,
    "tasks/pushNotificationConfig/delete": v03.delete_push,
    "agent/getAuthenticatedExtendedCard": v03.extended_card,
}
_EARLY: dict[str, Method] = {
    "tasks/send": early.send,
    "tasks/sendSubscribe": early.send_subscribe,
    "tasks/pushNotification/set": early.set_push,
    "tasks/pushNotification/get": early.get_push,
}


async def serve(request: Request, operations: Operations, asked: jsonrpc.Other) -> None:
    """Answers a request whose method is not one of 1.0's. Raises Problem."""
    check_version(request)
    method = _V03.get(asked.method)
    if method is not None:
        request.speaks = "a2a-0.3"
    else:
        method = _EARLY.get(asked.method)
        if method is None:
            raise MethodNotFound(
                f"There is no method {readable(asked.method)}.",
                remedy=f"The methods of A2A 1.0 are {', '.join(jsonrpc.METHODS)}; of 0.3, {', '.join(_V03)}; "
                f"of earlier, {', '.join(_EARLY)}.",
            )
        request.speaks = "a2a-0.2"
    value = read_json(asked.params)
    await method(request, operations, Members({} if value is None else value))
