"""How each generation of A2A says an operation over HTTP: five dialects, one shape in and out.

A dialect turns an operation of 1.0 and its parameters (1.0's JSON) into a request, and what is answered
back into 1.0's JSON. It opens no connection. JSON-RPC: specification 1.0, section 9, and 0.3.0, section
7; HTTP+JSON: 1.0, section 11, and 0.3.0's /v1. The earliest one is that of tasks/send.
"""

from __future__ import annotations

import itertools
from typing import Any, Protocol
from urllib.parse import quote

from a2a_cloud.client.a2a_problems import rpc_problem
from a2a_cloud.client.a2a_shapes import Json
from a2a_cloud.client.errors import BadAnswer, NotSpoken
from a2a_cloud.client.shapes import obj, text
from a2a_cloud.wire import a2a_early_client as early
from a2a_cloud.wire import a2a_v03_client as v03
from a2a_cloud.wire import a2a_v03_rest_client as v03_rest
from a2a_cloud.wire.a2a_v03_rest_client import Ask

JSONRPC, HTTP_JSON, GRPC = "JSONRPC", "HTTP+JSON", "GRPC"
#: The media type of 1.0's HTTP+JSON; some servers take none but application/json, all take that.
_JSON = "application/json"
#: Operations that change nothing, so that asking twice is asking once.
READS = frozenset(
    {
        "GetTask",
        "ListTasks",
        "GetTaskPushNotificationConfig",
        "ListTaskPushNotificationConfigs",
        "GetExtendedAgentCard",
    }
)
#: Operations that may be done twice with the effect of once.
REPEATABLE = READS | {"DeleteTaskPushNotificationConfig", "SubscribeToTask"}


class Dialect(Protocol):
    """One version in one binding. `version` is what A2A-Version says, "" for versions before it."""

    version: str
    binding: str

    def ask(self, operation: str, params: Json) -> Ask:
        """The request. Raises NotSpoken where this version has no such operation."""
        ...

    def answer(self, operation: str, value: Any) -> Json:
        """The result in 1.0's JSON. Raises ServerProblem for an error, BadAnswer for no answer at all."""
        ...

    def event(self, value: Any) -> Json:
        """A stream's event in 1.0's JSON, {} for none that is known. Raises ServerProblem for an error."""
        ...


def _not_spoken(operation: str, version: str) -> NotSpoken:
    return NotSpoken(
        f"A2A {version} has no {operation}, and that is what is spoken with this agent.",
        "What it offers in another version may have it: name that version.",
    )


class _Rpc:
    """JSON-RPC's envelope, the same for all generations."""

    binding = JSONRPC

    def __init__(self) -> None:
        self._ids = itertools.count(1)

    def _request(self, method: str, params: Json) -> Ask:
        body = {"jsonrpc": "2.0", "id": next(self._ids), "method": method, "params": params}
        return Ask("POST", "", {}, body)

    def _result(self, value: Any) -> Any:
        envelope = obj(value)
        error = envelope.get("error")
        if error is not None:
            raise rpc_problem(obj(error))
        if "result" not in envelope and "jsonrpc" not in envelope:
            raise BadAnswer("What the agent answers is no JSON-RPC response.")
        return envelope.get("result")


class RpcV1(_Rpc):
    """1.0 over JSON-RPC."""

    def __init__(self, version: str = "1.0", tenant: str = "") -> None:
        super().__init__()
        self.version = version
        self._tenant = {"tenant": tenant} if tenant else {}

    def ask(self, operation: str, params: Json) -> Ask:
        """See Dialect."""
        return self._request(operation, {**self._tenant, **params})

    def answer(self, operation: str, value: Any) -> Json:
        """See Dialect."""
        return obj(self._result(value))

    def event(self, value: Any) -> Json:
        """See Dialect."""
        return obj(self._result(value))


class RestV1:
    """1.0 over HTTP+JSON."""

    binding = HTTP_JSON

    def __init__(self, version: str = "1.0", tenant: str = "") -> None:
        self.version = version
        self._prefix = f"/{quote(tenant, safe='')}" if tenant else ""

    def ask(self, operation: str, params: Json) -> Ask:
        """See Dialect."""
        method, path, in_path, has_body = _REST[operation]
        rest = {name: value for name, value in params.items() if name not in in_path or has_body}
        names = {name: quote(text(params.get(name)), safe="") for name in in_path}
        path = self._prefix + path.format(**names)
        if has_body:
            return Ask(method, path, {}, rest)
        return Ask(method, path, {name: _flat(value) for name, value in rest.items()}, None)

    def answer(self, operation: str, value: Any) -> Json:
        """See Dialect."""
        return obj(value)

    def event(self, value: Any) -> Json:
        """See Dialect."""
        return obj(value)


def _flat(value: Any) -> str:
    return str(value).lower() if isinstance(value, bool) else text(value)


_CONFIGS = "/tasks/{taskId}/pushNotificationConfigs"
#: Operation → method, path, the parameters in the path, whether the rest is a body (else the query).
_REST: dict[str, tuple[str, str, tuple[str, ...], bool]] = {
    "SendMessage": ("POST", "/message:send", (), True),
    "SendStreamingMessage": ("POST", "/message:stream", (), True),
    "GetTask": ("GET", "/tasks/{id}", ("id",), False),
    "ListTasks": ("GET", "/tasks", (), False),
    "CancelTask": ("POST", "/tasks/{id}:cancel", ("id",), True),
    "SubscribeToTask": ("POST", "/tasks/{id}:subscribe", ("id",), False),
    "CreateTaskPushNotificationConfig": ("POST", _CONFIGS, ("taskId",), True),
    "GetTaskPushNotificationConfig": ("GET", _CONFIGS + "/{id}", ("taskId", "id"), False),
    "ListTaskPushNotificationConfigs": ("GET", _CONFIGS, ("taskId",), False),
    "DeleteTaskPushNotificationConfig": ("DELETE", _CONFIGS + "/{id}", ("taskId", "id"), False),
    "GetExtendedAgentCard": ("GET", "/extendedAgentCard", (), False),
}


class RpcV03(_Rpc):
    """0.3 over JSON-RPC."""

    version = "0.3"

    def ask(self, operation: str, params: Json) -> Ask:
        """See Dialect."""
        said = v03.call(operation, params)
        if said is None:
            raise _not_spoken(operation, self.version)
        return self._request(*said)

    def answer(self, operation: str, value: Any) -> Json:
        """See Dialect."""
        return v03.result(operation, self._result(value))

    def event(self, value: Any) -> Json:
        """See Dialect."""
        return v03.event_from_v03(obj(self._result(value)))


class RestV03:
    """0.3 over HTTP+JSON."""

    version = "0.3"
    binding = HTTP_JSON

    def ask(self, operation: str, params: Json) -> Ask:
        """See Dialect."""
        said = v03_rest.ask(operation, params)
        if said is None:
            raise _not_spoken(operation, self.version)
        return said

    def answer(self, operation: str, value: Any) -> Json:
        """See Dialect."""
        return v03_rest.result(operation, value)

    def event(self, value: Any) -> Json:
        """See Dialect."""
        return v03_rest.event(obj(value))


class RpcEarly(_Rpc):
    """tasks/send, as it was before 0.3's names."""

    version = ""

    def ask(self, operation: str, params: Json) -> Ask:
        """See Dialect."""
        said = early.call(operation, params)
        if said is None:
            raise _not_spoken(operation, "before 0.3")
        return self._request(*said)

    def answer(self, operation: str, value: Any) -> Json:
        """See Dialect."""
        return early.result(operation, self._result(value))

    def event(self, value: Any) -> Json:
        """See Dialect."""
        return early.event(obj(self._result(value)))


def dialect_of(binding: str, version: str, tenant: str = "") -> Dialect | None:
    """The dialect of an interface; None for one that is not spoken over HTTP here.

    `version` may have a patch number, which does not count; "" is the one of tasks/send.
    """
    if not version:
        return RpcEarly() if binding == JSONRPC else None
    major, _, rest = version.partition(".")
    minor = rest.partition(".")[0] or "0"
    if major == "1" and minor.isdigit():
        if binding == JSONRPC:
            return RpcV1(f"1.{minor}", tenant)
        return RestV1(f"1.{minor}", tenant) if binding == HTTP_JSON else None
    if major == "0" and minor in ("2", "3"):
        if binding == JSONRPC:
            return RpcV03()
        return RestV03() if binding == HTTP_JSON else None
    return None
