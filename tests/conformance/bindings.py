"""The three bindings of A2A 1.0, each spoken plainly: the same operation and params, sent by JSON-RPC, by
HTTP+JSON and by gRPC with the official SDK's messages. What comes back is made comparable.
"""

from __future__ import annotations

import json
import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any
from urllib.parse import quote

import grpc
import httpx
from a2a.types import a2a_pb2 as pb
from google.protobuf import empty_pb2, json_format
from google.rpc import error_details_pb2, status_pb2

from a2a_cloud.client.events import SseParser

NAMES = ("JSONRPC", "HTTP+JSON", "GRPC")
STREAMS = frozenset({"SendStreamingMessage", "SubscribeToTask"})
#: What a method takes and gives.
MESSAGES: dict[str, tuple[Any, Any]] = {
    "SendMessage": (pb.SendMessageRequest, pb.SendMessageResponse),
    "SendStreamingMessage": (pb.SendMessageRequest, pb.StreamResponse),
    "GetTask": (pb.GetTaskRequest, pb.Task),
    "ListTasks": (pb.ListTasksRequest, pb.ListTasksResponse),
    "CancelTask": (pb.CancelTaskRequest, pb.Task),
    "SubscribeToTask": (pb.SubscribeToTaskRequest, pb.StreamResponse),
    "CreateTaskPushNotificationConfig": (pb.TaskPushNotificationConfig, pb.TaskPushNotificationConfig),
    "GetTaskPushNotificationConfig": (
        pb.GetTaskPushNotificationConfigRequest,
        pb.TaskPushNotificationConfig,
    ),
    "ListTaskPushNotificationConfigs": (
        pb.ListTaskPushNotificationConfigsRequest,
        pb.ListTaskPushNotificationConfigsResponse,
    ),
    "DeleteTaskPushNotificationConfig": (pb.DeleteTaskPushNotificationConfigRequest, empty_pb2.Empty),
    "GetExtendedAgentCard": (pb.GetExtendedAgentCardRequest, pb.AgentCard),
}
HTTP: dict[str, tuple[str, str]] = {
    "SendMessage": ("POST", "/message:send"),
    "SendStreamingMessage": ("POST", "/message:stream"),
    "GetTask": ("GET", "/tasks/{id}"),
    "ListTasks": ("GET", "/tasks"),
    "CancelTask": ("POST", "/tasks/{id}:cancel"),
    "SubscribeToTask": ("POST", "/tasks/{id}:subscribe"),
    "CreateTaskPushNotificationConfig": ("POST", "/tasks/{taskId}/pushNotificationConfigs"),
    "GetTaskPushNotificationConfig": ("GET", "/tasks/{taskId}/pushNotificationConfigs/{id}"),
    "ListTaskPushNotificationConfigs": ("GET", "/tasks/{taskId}/pushNotificationConfigs"),
    "DeleteTaskPushNotificationConfig": ("DELETE", "/tasks/{taskId}/pushNotificationConfigs/{id}"),
    "GetExtendedAgentCard": ("GET", "/extendedAgentCard"),
}


@dataclass(frozen=True)
class Refused:
    """An error, as every binding says it: ErrorInfo's reason and metadata, the sentence, more details."""

    reason: str
    said: str
    facts: dict[str, str]
    more: list[Any] = field(default_factory=list)


class Spoken:
    """One binding of one platform. `call` answers with a result, a Refused, or a list of events; `status` is
    the binding's own code of the last refusal."""

    def __init__(self, name: str, url: str, grpc_at: str, agent: str, headers: Mapping[str, str]) -> None:
        self.name, self.url, self.grpc_at, self.agent = name, url, grpc_at, agent
        self.headers = dict(headers)
        self.status: int | str = 0
        self.extensions = ""

    @property
    def base(self) -> str:
        return f"{self.url}/agents/{self.agent}"

    def call(self, method: str, params: Mapping[str, Any]) -> Any:
        """The operation `method`."""
        self.status, self.extensions = 0, ""
        speak = {"JSONRPC": self._rpc, "HTTP+JSON": self._http, "GRPC": self._grpc}[self.name]
        return speak(method, dict(params))

    def opened(self, method: str, params: Mapping[str, Any]) -> Iterator[Any]:
        """A stream's events as they come."""
        speak = {"JSONRPC": self._rpc_stream, "HTTP+JSON": self._http_stream, "GRPC": self._grpc_stream}
        return speak[self.name](method, dict(params))

    # --- JSON-RPC ---------------------------------------------------------------------------------------

    def _rpc_request(self, method: str, params: dict[str, Any]) -> dict[str, Any]:
        return {
            "method": "POST",
            "url": self.base,
            "json": {"jsonrpc": "2.0", "id": 7, "method": method, "params": params},
            "headers": {"A2A-Version": "1.0", **self.headers},
            "timeout": 30,
        }

    def _rpc(self, method: str, params: dict[str, Any]) -> Any:
        if method in STREAMS:
            return list(self._rpc_stream(method, params))
        answer = httpx.request(**self._rpc_request(method, params))
        self.extensions = answer.headers.get("a2a-extensions", "")
        return self._rpc_said(method, answer.json())

    def _rpc_said(self, method: str, said: dict[str, Any]) -> Any:
        if "error" not in said:
            return _shape(method, said["result"])
        self.status = said["error"]["code"]
        return _refused(said["error"]["message"], said["error"].get("data") or [])

    def _rpc_stream(self, method: str, params: dict[str, Any]) -> Iterator[Any]:
        with httpx.stream(**self._rpc_request(method, params)) as answer:
            self.extensions = answer.headers.get("a2a-extensions", "")
            for text in _texts(answer):
                yield self._rpc_said(method, json.loads(text))

    # --- HTTP+JSON --------------------------------------------------------------------------------------

    def _http_request(self, method: str, params: dict[str, Any]) -> dict[str, Any]:
        verb, path = HTTP[method]
        tenant = params.pop("tenant", "")
        for name in re.findall(r"\{(\w+)\}", path):
            path = path.replace("{" + name + "}", quote(str(params.pop(name, "")), safe=""))
        request: dict[str, Any] = {
            "method": verb,
            "url": self.base + (f"/{quote(tenant, safe='')}" if tenant else "") + path,
            "headers": {"A2A-Version": "1.0", **self.headers},
            "timeout": 30,
        }
        if verb == "POST":
            request["json"] = params
        else:
            request["params"] = {
                name: str(value).lower() if isinstance(value, bool) else value
                for name, value in params.items()
            }
        return request

    def _http(self, method: str, params: dict[str, Any]) -> Any:
        if method in STREAMS:
            return list(self._http_stream(method, params))
        answer = httpx.request(**self._http_request(method, params))
        self.extensions = answer.headers.get("a2a-extensions", "")
        if answer.status_code < 400:
            return _shape(method, answer.json() if answer.content else {})
        return self._http_refused(answer)

    def _http_refused(self, answer: httpx.Response) -> Refused:
        error = answer.json()["error"]
        self.status = answer.status_code
        assert error["code"] == answer.status_code
        return _refused(error["message"], error["details"])

    def _http_stream(self, method: str, params: dict[str, Any]) -> Iterator[Any]:
        with httpx.stream(**self._http_request(method, params)) as answer:
            self.extensions = answer.headers.get("a2a-extensions", "")
            if answer.status_code >= 400:
                answer.read()
                yield self._http_refused(answer)
                return
            for text in _texts(answer):
                yield _shape(method, json.loads(text))

    # --- gRPC -------------------------------------------------------------------------------------------

    def _grpc_call(self, channel: grpc.Channel, method: str, params: dict[str, Any]) -> Any:
        takes, gives = MESSAGES[method]
        params.setdefault("tenant", self.agent)
        kind = channel.unary_stream if method in STREAMS else channel.unary_unary
        begin = kind(
            f"/lf.a2a.v1.A2AService/{method}",
            request_serializer=takes.SerializeToString,
            response_deserializer=gives.FromString,
        )
        metadata = [("a2a-version", "1.0")] if "A2A-Version" not in self.headers else []
        metadata += [(name.lower(), value) for name, value in self.headers.items()]
        request = json_format.ParseDict(params, takes())
        if method in STREAMS:
            return begin(request, metadata=metadata, timeout=30)
        return begin.with_call(request, metadata=metadata, timeout=30)

    def _grpc(self, method: str, params: dict[str, Any]) -> Any:
        if method in STREAMS:
            return list(self._grpc_stream(method, params))
        with grpc.insecure_channel(self.grpc_at) as channel:
            try:
                result, call = self._grpc_call(channel, method, params)
            except grpc.RpcError as error:
                return self._grpc_refused(error)
            self._grpc_extensions(call)
            return json_format.MessageToDict(result)

    def _grpc_extensions(self, call: Any) -> None:
        self.extensions = dict(call.initial_metadata()).get("a2a-extensions", "")

    def _grpc_stream(self, method: str, params: dict[str, Any]) -> Iterator[Any]:
        with grpc.insecure_channel(self.grpc_at) as channel:
            events = self._grpc_call(channel, method, params)
            try:
                for event in events:
                    yield json_format.MessageToDict(event)
                self._grpc_extensions(events)
            except grpc.RpcError as error:
                yield self._grpc_refused(error)

    def _grpc_refused(self, error: Any) -> Refused:
        self.status = error.code().name
        trailing = dict(error.trailing_metadata())
        if "grpc-status-details-bin" not in trailing:
            return Refused("", error.details(), {})
        status = status_pb2.Status.FromString(trailing["grpc-status-details-bin"])
        assert status.code == error.code().value[0]
        details: list[dict[str, Any]] = []
        for detail in status.details:
            kind = getattr(error_details_pb2, detail.type_url.rpartition(".")[2])
            told = kind()
            assert detail.Unpack(told)
            details.append({"@type": detail.type_url, **json_format.MessageToDict(told)})
        return _refused(status.message, details)


def _texts(answer: httpx.Response) -> Iterator[str]:
    if "event-stream" not in answer.headers["content-type"]:
        yield answer.read().decode()
        return
    parser = SseParser()
    for piece in answer.iter_bytes():
        for event in parser.feed(piece):
            yield event.data


def _shape(method: str, result: Any) -> Any:
    """As a client sees it who knows the proto alone: absent and default are one."""
    return json_format.MessageToDict(
        json_format.ParseDict(result or {}, MESSAGES[method][1](), ignore_unknown_fields=True)
    )


def _refused(message: str, details: list[dict[str, Any]]) -> Refused:
    info = details[0] if details else {}
    assert info.get("domain", "a2a-protocol.org") == "a2a-protocol.org"
    return Refused(info.get("reason", ""), message, dict(info.get("metadata", {})), details[1:])


# --- what may differ -------------------------------------------------------------------------------------

_ID = re.compile(r"\b(?:task|ctx|run|err|msg)_[0-9a-f]{20,}\b|\brcpt_[0-9a-f]{64}\b")
_SIGNED = re.compile(r"exp=\d+&sig=[\w-]+")


class Alike:
    """Takes away what no two calls share: ids by the order in which they come, times, signatures."""

    def __init__(self) -> None:
        self._ids: dict[str, str] = {}

    def _id(self, found: re.Match[str]) -> str:
        name = found[0]
        return self._ids.setdefault(name, f"<{name.partition('_')[0]} {len(self._ids)}>")

    def __call__(self, value: Any) -> Any:
        if isinstance(value, list):
            return [self(item) for item in value]
        if isinstance(value, dict):
            members = sorted(value.items())  # By protobuf they come in any order, and ids get numbers.
            return {name: "<time>" if name == "timestamp" else self(item) for name, item in members}
        if isinstance(value, Refused):
            return Refused(value.reason, self(value.said), self(value.facts), self(value.more))
        if isinstance(value, str):
            return _SIGNED.sub("<signed>", _ID.sub(self._id, value))
        return value


def whole_texts(events: list[Any]) -> list[Any]:
    """Streamed text in one piece: where it is cut depends on when it was committed."""
    joined: list[Any] = []
    for event in events:
        update = event.get("artifactUpdate") if isinstance(event, dict) else None
        before = joined[-1].get("artifactUpdate") if joined and isinstance(joined[-1], dict) else None
        if (
            update
            and before
            and update.get("append")
            and update["artifact"]["artifactId"] == before["artifact"]["artifactId"] == "text"
        ):
            before["artifact"]["parts"][0]["text"] += update["artifact"]["parts"][0]["text"]
        else:
            joined.append(event)
    return joined
