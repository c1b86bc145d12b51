"""The methods of `lf.a2a.v1.A2AService` (A2A 1.0, sections 5.3 and 10): bytes in, bytes out, errors as
google.rpc.Status.

What goes through here is what JSON-RPC and HTTP+JSON say, in Protocol Buffers: a request becomes the
ProtoJSON that the other bindings read, and their answers become messages. Nothing here imports grpcio: a call
is given to it as a `Context`, which is what grpc.aio gives to a method.
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Awaitable, Callable, Sequence
from typing import Any, Final, Protocol

import msgspec

from a2a_cloud.model.principal import ANONYMOUS, Principal
from a2a_cloud.model.problem import (
    Busy,
    Internal,
    InvalidParams,
    InvalidRequest,
    Problem,
    RateLimited,
    Unauthenticated,
)
from a2a_cloud.model.release import Release
from a2a_cloud.surface.a2a.grpc.caller import GrpcCaller
from a2a_cloud.surface.a2a.operations import Opening, Operations
from a2a_cloud.surface.a2a.versions import check_spoken
from a2a_cloud.surface.admission import Admission, check_reached, private, refusal
from a2a_cloud.surface.feed import Feed
from a2a_cloud.surface.front_names import qualified
from a2a_cloud.surface.identity_port import Issuers
from a2a_cloud.surface.limits import counted, fields_of
from a2a_cloud.surface.links import AgentLinks, Links
from a2a_cloud.surface.request import known_extensions
from a2a_cloud.wire import a2a_proto, a2a_render
from a2a_cloud.wire.a2a_v1 import (
    GetTaskParams,
    ListPushConfigsParams,
    ListTasksParams,
    PushConfigParams,
    SendMessageParams,
    TaskIdParams,
    TaskPushNotificationConfig,
    convert_params,
)
from a2a_cloud.wire.problem_json import problem_headers
from a2a_cloud.wire.views import Delivered

log = logging.getLogger("a2a_cloud.surface")

Params = dict[str, Any]
Metadata = Sequence[tuple[str, str | bytes]]
#: gRPC's own message is a header; the whole sentence is in the status.
_MAX_MESSAGE: Final = 300
#: Members that JSON requires and that may be empty there: Protocol Buffers don't send what is empty.
_EMPTY: Final[dict[str, Params]] = {
    "GetTaskRequest": {"id": ""},
    "CancelTaskRequest": {"id": ""},
    "SubscribeToTaskRequest": {"id": ""},
    "TaskPushNotificationConfig": {"url": ""},
    "GetTaskPushNotificationConfigRequest": {"taskId": "", "id": ""},
    "DeleteTaskPushNotificationConfigRequest": {"taskId": "", "id": ""},
    "ListTaskPushNotificationConfigsRequest": {"taskId": ""},
}
_encode = msgspec.json.Encoder().encode
_decode = msgspec.json.Decoder(dict[str, Any]).decode


class Context(Protocol):
    """A call, as grpc.aio shows it."""

    def invocation_metadata(self) -> Metadata | None: ...
    def address(self) -> str:
        """Where the call came from, "" when that is not known."""
        ...

    async def send_initial_metadata(self, initial_metadata: Metadata) -> None: ...
    async def write(self, message: bytes) -> None: ...
    async def refuse(self, code: str, message: str, trailing: Metadata) -> None:
        """Ends the call with that status. Doesn't return."""
        ...


class Servicer:
    """A2A's operations for calls by gRPC. `usual` is the agent of requests that name none, "" for none."""

    def __init__(self, admission: Admission, operations: Operations, links: Links, usual: str = "") -> None:
        self._admission = admission
        self._usual = usual
        self._operations = operations
        self._services = operations.services
        self._links = links
        #: What each method takes, gives, and does.
        self.unary: dict[str, tuple[str, str, Callable[[GrpcCaller, Params], Awaitable[Params]]]] = {
            "SendMessage": ("SendMessageRequest", "SendMessageResponse", self._send_message),
            "GetTask": ("GetTaskRequest", "Task", self._get_task),
            "ListTasks": ("ListTasksRequest", "ListTasksResponse", self._list_tasks),
            "CancelTask": ("CancelTaskRequest", "Task", self._cancel_task),
            "CreateTaskPushNotificationConfig": (
                "TaskPushNotificationConfig",
                "TaskPushNotificationConfig",
                self._create_config,
            ),
            "GetTaskPushNotificationConfig": (
                "GetTaskPushNotificationConfigRequest",
                "TaskPushNotificationConfig",
                self._get_config,
            ),
            "ListTaskPushNotificationConfigs": (
                "ListTaskPushNotificationConfigsRequest",
                "ListTaskPushNotificationConfigsResponse",
                self._list_configs,
            ),
            "DeleteTaskPushNotificationConfig": (
                "DeleteTaskPushNotificationConfigRequest",
                "google.protobuf.Empty",
                self._delete_config,
            ),
            "GetExtendedAgentCard": ("GetExtendedAgentCardRequest", "AgentCard", self._extended_card),
        }
        self.streaming: dict[str, tuple[str, Callable[[GrpcCaller, Params], Awaitable[Opening]]]] = {
            "SendStreamingMessage": ("SendMessageRequest", self._open_message),
            "SubscribeToTask": ("SubscribeToTaskRequest", self._open_task),
        }

    # --- calls ----------------------------------------------------------------------------------------

    async def answer(self, method: str, body: bytes, context: Context) -> bytes:
        """A method that gives one message."""
        takes, gives, act = self.unary[method]

        async def work() -> bytes:
            caller, params = await self._admit(takes, body, context)
            answer = a2a_proto.write(gives, await act(caller, params))
            await self._tell(caller, context)
            return answer

        return await self._guarded(method, context, work())

    async def stream(self, method: str, body: bytes, context: Context) -> None:
        """A method that gives a stream."""
        takes, begin = self.streaming[method]

        async def work() -> None:
            caller, params = await self._admit(takes, body, context)
            opening = await begin(caller, params)
            await self._tell(caller, context)
            await self._follow(caller, opening, context)

        await self._guarded(method, context, work())

    async def _guarded(self, method: str, context: Context, work: Awaitable[Any]) -> Any:
        """Does the work; what goes wrong becomes a status, and everything is counted."""
        metrics = self._services.metrics
        status = 499  # The client is gone, or its deadline was over.
        try:
            result = await work
            status = 200
            return result
        except Problem as problem:
            status = problem.http
            metrics.problems[problem.code] += 1
            if problem.operator:
                log.warning("gRPC %s: %s: %s", method, problem.code, problem.operator)
            await _refuse(context, problem)
        except Exception:
            status = 500
            incident = self._services.ids.new("err")
            log.exception("%s: gRPC %s failed", incident, method)
            await _refuse(
                context,
                Internal(
                    "Something went wrong on our side.",
                    remedy=f"Tell the operator this id: {incident}.",
                    info={"incident": incident},
                ),
            )
        finally:
            metrics.requests[f"grpc-{method}", status] += 1

    async def _admit(self, takes: str, body: bytes, context: Context) -> tuple[GrpcCaller, Params]:
        """The caller, let in to the agent that the tenant names, and what the request says."""
        caller = GrpcCaller(context.invocation_metadata() or (), context.address())
        admission = self._admission
        issuers = self._services.issuers
        outside = "" if issuers is None else issuers.token_of(caller.authorization)
        principal = caller.principal = ANONYMOUS if outside else self._known(caller)
        params = {**_EMPTY.get(takes, {}), **a2a_proto.read(takes, body)}
        if "message" in params:
            params["message"] = {"messageId": "", "parts": [], **params["message"]}
        # The tenant has done its work with this: no operation looks at it again.
        name = params.pop("tenant", "") or self._usual or self._only_agent(caller)
        release = caller.release = admission.release(name, principal, caller.wanted)
        if outside and issuers is not None:
            principal = caller.principal = await self._outside(issuers, caller, outside, release)
        if private(release, principal):
            raise refusal(name, principal)
        check_reached(release, principal)
        base = f"{self._services.base_url}/agents/{name}"
        if principal.client:  # A token is for some agents alone, and which this is was not known before.
            caller.url = base
            admission.principal(caller.authorization, caller.api_key, caller)
        caller.links = AgentLinks(self._links, base, qualified(release))
        check_spoken(caller.version.decode("latin-1").strip(), ("1.0",))
        return caller, params

    def _known(self, caller: GrpcCaller) -> Principal:
        """Who calls; their call is counted. Raises Unauthenticated, RateLimited."""
        try:
            principal = self._admission.principal(caller.authorization, caller.api_key, caller)
        except Unauthenticated:
            self._count(caller, ANONYMOUS)
            raise
        return self._count(caller, principal)

    async def _outside(self, issuers: Issuers, caller: GrpcCaller, token: str, release: Release) -> Principal:
        """Who calls with a token of an outside issuer; the call is counted. Raises as `_known`,
        UpstreamFailed."""
        if caller.api_key:
            raise InvalidRequest("There is a token and a key.", remedy="Send one of the two.")
        try:
            principal = await issuers.authenticate(token, release)
        except Unauthenticated:
            self._count(caller, ANONYMOUS)
            raise
        return self._count(caller, principal)

    def _count(self, caller: GrpcCaller, principal: Principal) -> Principal:
        quotas = self._services.quotas
        if quotas is not None:
            principal, caller.use = counted(quotas, principal, caller)
        return principal

    async def _tell(self, caller: GrpcCaller, context: Context) -> None:
        """Say in the metadata which extensions are used, when the version ends, and how much is left."""
        said = self._admission.ending(caller.release)
        if caller.use is not None:
            said += fields_of(caller.use)
        if caller.extensions:
            used = known_extensions(caller.release, caller.extensions)
            if used:
                said.append((b"a2a-extensions", used))
        if said:
            await context.send_initial_metadata(
                [(key.decode(), value.decode("ascii", "ignore")) for key, value in said]
            )

    def _only_agent(self, caller: GrpcCaller) -> str:
        """Without a tenant: the one agent that there is for this caller. Raises InvalidParams."""
        found = self._services.registry.agents(caller.principal)
        if len(found) == 1:
            return qualified(found[0])
        raise InvalidParams(
            "The request doesn't say which agent it is for.",
            remedy="Send the agent's name as tenant, as its card says.",
            info={"field": "tenant"},
        )

    # --- methods that give one message ----------------------------------------------------------------

    async def _send_message(self, caller: GrpcCaller, params: Params) -> Params:
        outcome = await self._operations.send_message(caller, convert_params(params, SendMessageParams))
        return _decode(a2a_render.sent(outcome))

    async def _get_task(self, caller: GrpcCaller, params: Params) -> Params:
        return _shape(self._operations.get_task(caller, convert_params(params, GetTaskParams)))

    async def _list_tasks(self, caller: GrpcCaller, params: Params) -> Params:
        return _shape(self._operations.list_tasks(caller, convert_params(params, ListTasksParams)))

    async def _cancel_task(self, caller: GrpcCaller, params: Params) -> Params:
        return _shape(await self._operations.cancel_task(caller, convert_params(params, TaskIdParams)))

    async def _extended_card(self, caller: GrpcCaller, params: Params) -> Params:
        return _decode(self._operations.extended_card(caller))

    async def _create_config(self, caller: GrpcCaller, params: Params) -> Params:
        config = convert_params(params, TaskPushNotificationConfig)
        # What is being written is written, whether the client waits for it or not.
        return _shape(await asyncio.shield(self._operations.create_push_config(caller, config)))

    async def _get_config(self, caller: GrpcCaller, params: Params) -> Params:
        return _shape(self._operations.get_push_config(caller, convert_params(params, PushConfigParams)))

    async def _list_configs(self, caller: GrpcCaller, params: Params) -> Params:
        wanted = convert_params(params, ListPushConfigsParams)
        return _shape(self._operations.list_push_configs(caller, wanted))

    async def _delete_config(self, caller: GrpcCaller, params: Params) -> Params:
        wanted = convert_params(params, PushConfigParams)
        await asyncio.shield(self._operations.delete_push_config(caller, wanted))
        return {}

    # --- streams --------------------------------------------------------------------------------------

    async def _open_message(self, caller: GrpcCaller, params: Params) -> Opening:
        return await self._operations.open_message(caller, convert_params(params, SendMessageParams))

    async def _open_task(self, caller: GrpcCaller, params: Params) -> Opening:
        return self._operations.open_task(caller, convert_params(params, TaskIdParams).id)

    async def _follow(self, caller: GrpcCaller, opening: Opening, context: Context) -> None:
        """Writes what the stream begins with, and what happens to the task from there."""
        assert opening.shown is not None
        first = a2a_proto.write("StreamResponse", _shape(a2a_render.response(opening.shown)))
        if not opening.task_id:
            return await self._write(context, first)
        _, scope, task_id, after, begun, until_input = opening
        del opening  # An open stream keeps nothing of what opened it.
        feed = Feed(
            self._operations.streams,
            caller.principal,
            scope,
            caller.release.agent_no,
            task_id,
            after=after,
            text_begun=begun,
            until_input=until_input,
        )
        async with feed:
            try:
                await self._write(context, first)
                async for delivered, first_text in feed:
                    body = _event(delivered, caller.links, first_text)
                    if body:
                        await self._write(context, body)
            except Busy:
                feed.reason = "too-slow"
                raise
        return None

    async def _write(self, context: Context, body: bytes) -> None:
        """Writes a message once the client has room for it. Raises Busy when that takes too long."""
        try:
            async with asyncio.timeout(self._operations.streams.drain_seconds):
                await context.write(body)
        except TimeoutError:
            raise Busy(
                "The stream was read too slowly, and was cut off.",
                remedy="Take it up again with SubscribeToTask.",
            ) from None


def _shape(value: Any) -> Params:
    return _decode(_encode(value))


def _event(delivered: Delivered, links: AgentLinks, first_text: bool) -> bytes:
    """An event as a StreamResponse, made once for all who follow by gRPC; b"" for one that A2A has no
    word for."""
    name = f"grpc {links.base}"
    body = delivered.cache.get(name)
    if body is None:
        said = a2a_render.stream_event(delivered, links, first_text)
        body = a2a_proto.write("StreamResponse", _decode(said)) if said else b""
        delivered.cache[name] = body
    return body


async def _refuse(context: Context, problem: Problem) -> None:
    trailing: list[tuple[str, str | bytes]] = [("grpc-status-details-bin", a2a_proto.status(problem))]
    if isinstance(problem, RateLimited):
        trailing += [(name.decode(), value.decode()) for name, value in problem_headers(problem)]
    await context.refuse(problem.grpc, problem.sentence[:_MAX_MESSAGE], trailing)
