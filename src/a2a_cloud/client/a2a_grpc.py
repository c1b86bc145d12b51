"""A2A 1.0 over gRPC from a caller's side (specification, section 10): `lf.a2a.v1.A2AService`.

grpcio is loaded when such an interface is used. Messages are ProtoJSON on the one side and Protocol
Buffers on the other (`wire.a2a_proto`). The channel is TLS for `https://` and `grpcs://`, plain otherwise.
"""

from __future__ import annotations

import base64
import binascii
from collections.abc import AsyncGenerator, Sequence
from importlib import import_module, util
from typing import Any, NoReturn
from urllib.parse import urlsplit

from a2a_cloud.client.a2a_http import Limits
from a2a_cloud.client.a2a_problems import rpc_problem
from a2a_cloud.client.a2a_shapes import Json, shown
from a2a_cloud.client.errors import BadAnswer, NoAnswer, NoInterface
from a2a_cloud.client.shapes import objs, text
from a2a_cloud.model.problem import Problem
from a2a_cloud.wire import a2a_proto as proto

_STREAMS = frozenset({"SendStreamingMessage", "SubscribeToTask"})
#: What an operation takes and gives, where that is not `{operation}Request` and `{operation}Response`.
_TAKES = {
    "CreateTaskPushNotificationConfig": "TaskPushNotificationConfig",
    "SendStreamingMessage": "SendMessageRequest",
}
_GIVES = {
    "GetTask": "Task",
    "CancelTask": "Task",
    "SendStreamingMessage": "StreamResponse",
    "SubscribeToTask": "StreamResponse",
    "CreateTaskPushNotificationConfig": "TaskPushNotificationConfig",
    "GetTaskPushNotificationConfig": "TaskPushNotificationConfig",
    "DeleteTaskPushNotificationConfig": "google.protobuf.Empty",
    "GetExtendedAgentCard": "AgentCard",
}
_HTTP = {
    "INVALID_ARGUMENT": 400,
    "FAILED_PRECONDITION": 400,
    "OUT_OF_RANGE": 400,
    "UNAUTHENTICATED": 401,
    "PERMISSION_DENIED": 403,
    "NOT_FOUND": 404,
    "ALREADY_EXISTS": 409,
    "ABORTED": 409,
    "RESOURCE_EXHAUSTED": 429,
    "UNIMPLEMENTED": 501,
    "UNAVAILABLE": 503,
    "DEADLINE_EXCEEDED": 504,
}


def has_grpc() -> bool:
    """Whether gRPC can be spoken here."""
    return util.find_spec("grpc") is not None and util.find_spec("google.protobuf") is not None


class GrpcTransport:
    """An agent's gRPC interface. `credentials` are headers to send as metadata."""

    binding = "GRPC"

    def __init__(
        self, url: str, version: str, tenant: str, credentials: dict[str, str], limits: Limits
    ) -> None:
        if not has_grpc():
            raise NoInterface(
                "gRPC can't be spoken here.", "Install grpcio and protobuf, or take another binding."
            )
        self.url = url
        self.version = version
        self._tenant = {"tenant": tenant} if tenant else {}
        self._limits = limits
        self._metadata = tuple((name.lower(), value) for name, value in credentials.items())
        self._grpc: Any = import_module("grpc")
        self._aio: Any = import_module("grpc.aio")
        self._channel: Any = None

    def _open(self) -> Any:
        if self._channel is None:
            target, secure = address(self.url)
            options = [
                ("grpc.max_receive_message_length", self._limits.body),
                ("grpc.primary_user_agent", "a2a-cloud"),
                ("grpc.enable_http_proxy", 0),
            ]
            if secure:
                credentials = self._grpc.ssl_channel_credentials()
                self._channel = self._aio.secure_channel(target, credentials, options=options)
            else:
                self._channel = self._aio.insecure_channel(target, options=options)
        return self._channel

    async def close(self) -> None:
        """See Transport."""
        if self._channel is not None:
            await self._channel.close()

    def _how(self, extensions: Sequence[str]) -> tuple[tuple[str, str], ...]:
        more = (("a2a-extensions", ", ".join(extensions)),) if extensions else ()
        return (*self._metadata, ("a2a-version", self.version), *more)

    async def call(self, operation: str, params: Json, extensions: Sequence[str] = ()) -> Json:
        """See Transport."""
        request = self._request(operation, params)
        method = self._open().unary_unary(f"/{proto.SERVICE}/{operation}")
        try:
            answer = await method(request, metadata=self._how(extensions), timeout=self._limits.answer)
        except self._aio.AioRpcError as error:
            self._refused(error)
        return self._answer(operation, answer)

    async def stream(
        self, operation: str, params: Json, extensions: Sequence[str] = (), *, after: str = ""
    ) -> AsyncGenerator[tuple[str, Json]]:
        """See Transport. gRPC has no event ids, so `after` says nothing here."""
        request = self._request(operation, params)
        call = self._open().unary_stream(f"/{proto.SERVICE}/{operation}")(
            request, metadata=self._how(extensions)
        )
        try:
            async for message in call:
                yield "", self._answer(operation, message)
        except self._aio.AioRpcError as error:
            self._refused(error)
        finally:
            call.cancel()

    def _request(self, operation: str, params: Json) -> bytes:
        try:
            return proto.write(_TAKES.get(operation, f"{operation}Request"), {**self._tenant, **params})
        except Problem:
            raise BadAnswer("What is to be said holds a value that gRPC can't carry.") from None

    def _answer(self, operation: str, raw: bytes) -> Json:
        try:
            return proto.read(_GIVES.get(operation, f"{operation}Response"), raw)
        except Problem as problem:
            raise BadAnswer(f"What {self.url} answers can't be read: {problem.detail}") from None

    def _refused(self, error: Any) -> NoReturn:
        """The problem that a call ended with. Raises NoAnswer, ServerProblem."""
        code: str = error.code().name
        details = shown(error.details(), 2000)
        found = [
            value for name, value in error.trailing_metadata() or () if name == "grpc-status-details-bin"
        ]
        if not found and code in ("UNAVAILABLE", "DEADLINE_EXCEEDED", "CANCELLED"):
            refused = "connect" in details.lower()
            raise NoAnswer(self.url, details or code.lower(), sent=not refused) from None
        data = _details(found[0]) if found else []
        raise rpc_problem(
            {"code": code.lower(), "message": details, "data": data}, _HTTP.get(code, 500)
        ) from None


def _details(raw: bytes) -> list[Json]:
    """The details of a google.rpc.Status, as JSON-RPC's `data` has them."""
    try:
        status = proto.read("google.rpc.Status", raw)
        return [
            {
                "@type": text(each.get("typeUrl")),
                **proto.read(
                    text(each.get("typeUrl")).rpartition("/")[2], base64.b64decode(text(each.get("value")))
                ),
            }
            for each in objs(status.get("details"))
        ]
    except (Problem, KeyError, binascii.Error, ValueError):
        return []


def address(url: str) -> tuple[str, bool]:
    """(host:port, whether by TLS) of an interface's URL, with or without a scheme."""
    parts = urlsplit(url if "://" in url else f"//{url}")
    secure = parts.scheme in ("https", "grpcs")
    host = parts.hostname or ""
    port = parts.port or (443 if secure else 80)
    return (f"[{host}]:{port}" if ":" in host else f"{host}:{port}"), secure
