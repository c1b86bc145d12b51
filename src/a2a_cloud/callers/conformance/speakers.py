"""One binding of A2A 1.0 each, as thin as can be: operation and ProtoJSON params in, ProtoJSON out.

Nothing is repaired on the way: what the server sent is what the cases see. No redirects, no cookies; an
answer has at most 16 MB and 20 s. The key goes only to the origin of the card (by gRPC: to its host, and in
clear text only where the card came so).
"""

from __future__ import annotations

import asyncio
import json
from collections.abc import AsyncGenerator, Mapping
from contextlib import aclosing
from typing import Any, Final, Protocol, cast
from urllib.parse import quote, urlencode, urlsplit

import aiohttp

from a2a_cloud.callers.conformance.said import Broken, Refusal, of_grpc, of_http, of_jsonrpc, reason_of
from a2a_cloud.client.events import SseParser, StreamBroken
from a2a_cloud.client.profile import NotConfigured, origin
from a2a_cloud.client.shapes import obj, text

LARGEST: Final = 16 << 20
SILENCE: Final = 20.0
#: Operation → method, path with {id} and {config}, whether the params are the body.
_PATHS: Final = {
    "SendMessage": ("POST", "/message:send", True),
    "SendStreamingMessage": ("POST", "/message:stream", True),
    "GetTask": ("GET", "/tasks/{id}", False),
    "ListTasks": ("GET", "/tasks", False),
    "CancelTask": ("POST", "/tasks/{id}:cancel", True),
    "SubscribeToTask": ("GET", "/tasks/{id}:subscribe", False),
    "CreateTaskPushNotificationConfig": ("POST", "/tasks/{taskId}/pushNotificationConfigs", True),
    "ListTaskPushNotificationConfigs": ("GET", "/tasks/{taskId}/pushNotificationConfigs", False),
    "GetTaskPushNotificationConfig": ("GET", "/tasks/{taskId}/pushNotificationConfigs/{id}", False),
    "DeleteTaskPushNotificationConfig": ("DELETE", "/tasks/{taskId}/pushNotificationConfigs/{id}", False),
    "GetExtendedAgentCard": ("GET", "/extendedAgentCard", False),
}
Params = Mapping[str, Any]


class Speaker(Protocol):
    """A binding of the agent. `key` is a bearer token, "" for none; both raise Refusal and Broken."""

    binding: str

    async def call(
        self, operation: str, params: Params, *, key: str = "", version: str = "1.0"
    ) -> dict[str, Any]:
        """The operation's result."""
        ...

    def stream(self, operation: str, params: Params, *, key: str = "") -> AsyncGenerator[dict[str, Any]]:
        """The events of a streaming operation, as StreamResponses."""
        ...


class Http:
    """Requests to one agent, for both bindings over HTTP and for the card."""

    def __init__(self, session: aiohttp.ClientSession, origin: str) -> None:
        self._session = session
        self._origin = origin

    def open(self, method: str, url: str, *, key: str, body: bytes | None, headers: Mapping[str, str]) -> Any:
        """A request as a context manager; the key is sent to the card's origin alone."""
        sent = dict(headers)
        if key and self._own(url):
            sent["Authorization"] = f"Bearer {key}"
        timeout = aiohttp.ClientTimeout(total=None, sock_connect=5, sock_read=SILENCE)
        return self._session.request(
            method, url, data=body, headers=sent, allow_redirects=False, timeout=timeout
        )

    def _own(self, url: str) -> bool:
        try:
            return origin(url) == self._origin
        except NotConfigured:
            return False

    async def fetch(
        self,
        method: str,
        url: str,
        *,
        key: str = "",
        body: bytes | None = None,
        headers: Mapping[str, str] = {},
    ) -> tuple[int, Mapping[str, str], bytes]:
        """(status, headers, body). Raises Broken."""
        try:
            async with self.open(method, url, key=key, body=body, headers=headers) as response:
                return response.status, response.headers, await _whole(response)
        except (aiohttp.ClientError, TimeoutError, OSError) as error:
            raise Broken(f"{method} {url}: {error or type(error).__name__}") from None

    async def events(
        self, method: str, url: str, *, key: str, body: bytes | None, headers: Mapping[str, str]
    ) -> AsyncGenerator[tuple[int, bytes]]:
        """(200, data) of each server-sent event, or (status, the body) of an answer that is no stream."""
        try:
            async with self.open(
                method, url, key=key, body=body, headers={**headers, "Accept": "text/event-stream"}
            ) as response:
                if response.content_type != "text/event-stream":
                    yield response.status, await _whole(response)
                    return
                parser = SseParser()
                async for chunk in response.content.iter_any():
                    for event in parser.feed(chunk):
                        yield 200, event.data.encode()
        except StreamBroken as error:
            raise Broken(str(error)) from None
        except (aiohttp.ClientError, TimeoutError, OSError) as error:
            raise Broken(f"{method} {url}: {error or type(error).__name__}") from None


class JsonRpc:
    """The JSON-RPC binding (section 9)."""

    binding = "JSONRPC"

    def __init__(self, http: Http, url: str, tenant: str) -> None:
        self._http = http
        self._url = url
        self._tenant = tenant
        self._number = 0

    def _body(self, operation: str, params: Params) -> bytes:
        self._number += 1
        given = {**params, "tenant": self._tenant} if self._tenant else dict(params)
        return dumped({"jsonrpc": "2.0", "id": self._number, "method": operation, "params": given})

    async def call(
        self, operation: str, params: Params, *, key: str = "", version: str = "1.0"
    ) -> dict[str, Any]:
        """See Speaker."""
        body = self._body(operation, params)
        number = self._number
        status, _, answer = await self._http.fetch(
            "POST", self._url, key=key, body=body, headers=_headers("application/json", version)
        )
        return _result(answer, status, number)

    async def stream(
        self, operation: str, params: Params, *, key: str = ""
    ) -> AsyncGenerator[dict[str, Any]]:
        """See Speaker."""
        body = self._body(operation, params)
        number = self._number
        headers = _headers("application/json", "1.0")
        found = self._http.events("POST", self._url, key=key, body=body, headers=headers)
        async with aclosing(found) as events:
            async for status, data in events:
                yield _result(data, status, number)

    async def raw(self, body: bytes, *, key: str = "") -> tuple[int, Any]:
        """(HTTP status, the answer) to these bytes."""
        headers = _headers("application/json", "1.0")
        status, _, answer = await self._http.fetch("POST", self._url, key=key, body=body, headers=headers)
        return status, parsed(answer)


class Rest:
    """The HTTP+JSON binding (section 11)."""

    binding = "HTTP+JSON"

    def __init__(self, http: Http, url: str, tenant: str) -> None:
        self._http = http
        self._url = url.rstrip("/") + (f"/{quote(tenant, safe='')}" if tenant else "")

    def _request(self, operation: str, params: Params) -> tuple[str, str, bytes | None]:
        method, path, in_body = _PATHS[operation]
        rest = dict(params)
        for name in ("taskId", "id"):
            if f"{{{name}}}" in path:
                path = path.replace(f"{{{name}}}", quote(text(rest.pop(name, "")), safe=""))
        if in_body:
            return method, self._url + path, dumped(rest)
        query = {name: _plain(value) for name, value in rest.items()}
        return method, self._url + path + (f"?{urlencode(query)}" if query else ""), None

    async def call(
        self, operation: str, params: Params, *, key: str = "", version: str = "1.0"
    ) -> dict[str, Any]:
        """See Speaker."""
        method, url, body = self._request(operation, params)
        headers = _headers("application/a2a+json", version)
        status, _, answer = await self._http.fetch(method, url, key=key, body=body, headers=headers)
        if status >= 400:
            raise of_http(parsed(answer), status)
        return obj(parsed(answer)) if answer else {}

    async def stream(
        self, operation: str, params: Params, *, key: str = ""
    ) -> AsyncGenerator[dict[str, Any]]:
        """See Speaker."""
        method, url, body = self._request(operation, params)
        found = self._http.events(
            method, url, key=key, body=body, headers=_headers("application/a2a+json", "1.0")
        )
        async with aclosing(found) as events:
            async for status, data in events:
                if status >= 400:
                    raise of_http(parsed(data), status)
                yield obj(parsed(data))


class Grpc:
    """The gRPC binding (section 10), in clear text where the card's URL names no https."""

    binding = "GRPC"

    def __init__(self, url: str, tenant: str, card: str) -> None:
        import grpc
        from grpc import aio

        secure = url.startswith("https://")
        target = url.partition("://")[2] if "://" in url else url
        self._target = target.rstrip("/")
        own = urlsplit(card)
        same = urlsplit(f"//{self._target}").hostname == own.hostname
        self._trusted = same and (secure or own.scheme == "http")
        self._tenant = tenant
        self._channel: Any = (
            aio.secure_channel(self._target, grpc.ssl_channel_credentials())
            if secure
            else aio.insecure_channel(self._target)
        )

    async def close(self) -> None:
        """Ends the connection."""
        await self._channel.close()

    def _metadata(self, key: str, version: str) -> list[tuple[str, str]]:
        found = [("a2a-version", version)] if version else []
        return [*found, ("authorization", f"Bearer {key}")] if key and self._trusted else found

    def _given(self, params: Params) -> dict[str, Any]:
        return {**params, "tenant": self._tenant} if self._tenant else dict(params)

    async def call(
        self, operation: str, params: Params, *, key: str = "", version: str = "1.0"
    ) -> dict[str, Any]:
        """See Speaker."""
        import grpc

        from a2a_cloud.wire import a2a_proto

        sent, back = _MESSAGES[operation]
        method = self._channel.unary_unary(f"/{a2a_proto.SERVICE}/{operation}")
        try:
            answer = await method(
                a2a_proto.write(sent, self._given(params)),
                metadata=self._metadata(key, version),
                timeout=SILENCE,
            )
        except grpc.RpcError as error:
            raise _refused(error) from None
        return a2a_proto.read(back, answer) if back else {}

    async def stream(
        self, operation: str, params: Params, *, key: str = ""
    ) -> AsyncGenerator[dict[str, Any]]:
        """See Speaker."""
        import grpc

        from a2a_cloud.wire import a2a_proto

        sent, back = _MESSAGES[operation]
        method = self._channel.unary_stream(f"/{a2a_proto.SERVICE}/{operation}")
        call = method(
            a2a_proto.write(sent, self._given(params)), metadata=self._metadata(key, "1.0"), timeout=60
        )
        try:
            async for event in call:
                yield a2a_proto.read(back, event)
        except grpc.RpcError as error:
            raise _refused(error) from None
        finally:
            call.cancel()


_CONFIG: Final = "TaskPushNotificationConfig"
#: Operation → the messages of its request and its answer.
_MESSAGES: Final = {
    "SendMessage": ("SendMessageRequest", "SendMessageResponse"),
    "SendStreamingMessage": ("SendMessageRequest", "StreamResponse"),
    "GetTask": ("GetTaskRequest", "Task"),
    "ListTasks": ("ListTasksRequest", "ListTasksResponse"),
    "CancelTask": ("CancelTaskRequest", "Task"),
    "SubscribeToTask": ("SubscribeToTaskRequest", "StreamResponse"),
    f"Create{_CONFIG}": (_CONFIG, _CONFIG),
    f"List{_CONFIG}s": (f"List{_CONFIG}sRequest", f"List{_CONFIG}sResponse"),
    f"Get{_CONFIG}": (f"Get{_CONFIG}Request", _CONFIG),
    f"Delete{_CONFIG}": (f"Delete{_CONFIG}Request", ""),
    "GetExtendedAgentCard": ("GetExtendedAgentCardRequest", "AgentCard"),
}


def _refused(error: Any) -> Refusal:
    from a2a_cloud.wire import a2a_proto

    reason = ""
    for name, value in error.trailing_metadata() or ():
        if name == "grpc-status-details-bin":
            # A detail's value is bytes of its own message, in base64 as ProtoJSON has it.
            details = obj(a2a_proto.read("google.rpc.Status", value)).get("details", [])
            reason = reason_of([_detail(each) for each in details])
    return of_grpc(error.code().name, text(error.details()), reason)


def _detail(found: Any) -> dict[str, Any]:
    import binascii

    from a2a_cloud.wire import a2a_proto

    kind = text(obj(found).get("typeUrl") or obj(found).get("type_url"))
    if not kind.endswith("google.rpc.ErrorInfo"):
        return {}
    body = binascii.a2b_base64(text(obj(found).get("value")))
    return {"@type": kind, **a2a_proto.read("google.rpc.ErrorInfo", body)}


def dumped(value: Any) -> bytes:
    """JSON."""
    return json.dumps(value, ensure_ascii=False).encode()


def parsed(body: bytes) -> Any:
    """The JSON of an answer. Raises Broken."""
    try:
        return json.loads(body)
    except (ValueError, RecursionError):
        raise Broken(f"The answer is not JSON: {body[:120]!r}") from None


def _plain(value: Any) -> str:
    return ("true" if value else "false") if isinstance(value, bool) else text(value)


def _headers(kind: str, version: str) -> dict[str, str]:
    found = {"Content-Type": kind, "Accept": "application/a2a+json, application/json"}
    return found | {"A2A-Version": version} if version else found


def _result(answer: bytes, status: int, number: int) -> dict[str, Any]:
    body = obj(parsed(answer))
    if body.get("jsonrpc") != "2.0":
        if status in (401, 403):
            raise of_jsonrpc({"message": f"HTTP {status}"}, status)
        raise Broken(f'HTTP {status}: the answer has no "jsonrpc": "2.0".')
    if "error" in body:
        raise of_jsonrpc(body["error"], status)
    if body.get("id") != number:
        raise Broken(f"The answer's id is {body.get('id')!r}, the request's was {number}.")
    return obj(body.get("result"))


async def _whole(response: Any) -> bytes:
    body = cast(bytes, await asyncio.wait_for(response.content.read(LARGEST), SILENCE))
    while len(body) < LARGEST and (more := await asyncio.wait_for(response.content.read(LARGEST), SILENCE)):
        body += more
    return body
