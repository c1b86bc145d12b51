"""JSON-RPC 2.0 envelopes as A2A 1.0 uses them (specification, section 9).

A request is decoded in one typed pass, envelope and params together: the method's name is the tag of a
union. What does not decode is looked at a second time, slowly, to say which of the five standard errors
it is. The id stays the bytes that the client sent. Batches are refused. Methods of older generations are
handed on as they came.
"""

from __future__ import annotations

import re
from typing import Any, NamedTuple

import msgspec
from msgspec import UNSET, Raw, Struct, UnsetType

from a2a_cloud.model.problem import InvalidParams, InvalidRequest, Malformed, Problem
from a2a_cloud.wire import a2a_v1 as v1
from a2a_cloud.wire.json_text import readable
from a2a_cloud.wire.problem_json import error_details

NULL_ID = b"null"
_MAX_ID = 256
_NUMBER = re.compile(rb"-?(?:0|[1-9][0-9]*)(?:\.[0-9]+)?(?:[eE][+-]?[0-9]+)?\Z")


class _Request(Struct, tag_field="method", kw_only=True):
    jsonrpc: str
    id: Raw | UnsetType = UNSET


class SendMessage(_Request, tag="SendMessage", kw_only=True):
    params: v1.SendMessageParams


class SendStreamingMessage(_Request, tag="SendStreamingMessage", kw_only=True):
    params: v1.SendMessageParams


class GetTask(_Request, tag="GetTask", kw_only=True):
    params: v1.GetTaskParams


class ListTasks(_Request, tag="ListTasks", kw_only=True):
    params: v1.ListTasksParams = v1.ListTasksParams()


class CancelTask(_Request, tag="CancelTask", kw_only=True):
    params: v1.TaskIdParams


class SubscribeToTask(_Request, tag="SubscribeToTask", kw_only=True):
    params: v1.TaskIdParams


class GetExtendedAgentCard(_Request, tag="GetExtendedAgentCard", kw_only=True):
    params: v1.TenantParams = v1.TenantParams()


class CreateTaskPushNotificationConfig(_Request, tag="CreateTaskPushNotificationConfig", kw_only=True):
    params: v1.TaskPushNotificationConfig


class GetTaskPushNotificationConfig(_Request, tag="GetTaskPushNotificationConfig", kw_only=True):
    params: v1.PushConfigParams


class ListTaskPushNotificationConfigs(_Request, tag="ListTaskPushNotificationConfigs", kw_only=True):
    params: v1.ListPushConfigsParams


class DeleteTaskPushNotificationConfig(_Request, tag="DeleteTaskPushNotificationConfig", kw_only=True):
    params: v1.PushConfigParams


PushRequest = (
    CreateTaskPushNotificationConfig
    | GetTaskPushNotificationConfig
    | ListTaskPushNotificationConfigs
    | DeleteTaskPushNotificationConfig
)
Request = (
    SendMessage
    | SendStreamingMessage
    | GetTask
    | ListTasks
    | CancelTask
    | SubscribeToTask
    | GetExtendedAgentCard
    | PushRequest
)

_PARAMS: dict[str, tuple[type[Any], type[Struct]]] = {
    cls.__name__: (cls, params)
    for cls, params in (
        (SendMessage, v1.SendMessageParams),
        (SendStreamingMessage, v1.SendMessageParams),
        (GetTask, v1.GetTaskParams),
        (ListTasks, v1.ListTasksParams),
        (CancelTask, v1.TaskIdParams),
        (SubscribeToTask, v1.TaskIdParams),
        (GetExtendedAgentCard, v1.TenantParams),
        (CreateTaskPushNotificationConfig, v1.TaskPushNotificationConfig),
        (GetTaskPushNotificationConfig, v1.PushConfigParams),
        (ListTaskPushNotificationConfigs, v1.ListPushConfigsParams),
        (DeleteTaskPushNotificationConfig, v1.PushConfigParams),
    )
}


class _Envelope(Struct):
    """What any JSON object may hold where a request was expected."""

    jsonrpc: Any = None
    method: Any = None
    id: Raw = Raw(NULL_ID)
    params: Raw = Raw(b"")


class Undecodable(NamedTuple):
    """A request that can't be served: why, and the id to answer to (`null` when it can't be told)."""

    id: bytes
    problem: Problem


class Other(NamedTuple):
    """A well formed request with a method that 1.0 doesn't have; `params` is JSON."""

    id: bytes
    method: str
    params: bytes


#: The methods of A2A 1.0.
METHODS = tuple(_PARAMS)

_decoder: msgspec.json.Decoder[Request] = msgspec.json.Decoder(Request)
_envelopes = msgspec.json.Decoder(_Envelope)
_encode = msgspec.json.Encoder().encode


def decode(body: bytes) -> tuple[bytes, Request] | Undecodable | Other:
    """The id's bytes and the typed request in `body` (whose text was checked before), or why not."""
    try:
        request = _decoder.decode(body)
    except (msgspec.DecodeError, UnicodeDecodeError):
        return _look_again(body)
    except RecursionError:
        return Undecodable(NULL_ID, Malformed("The body is nested too deeply."))
    raw = request.id
    if raw is UNSET:
        request_id = NULL_ID
    else:
        request_id = bytes(raw)  # type: ignore[arg-type]
        # A plain short string is the usual case; anything else is looked at.
        if len(request_id) > _MAX_ID or (request_id[0] != 34 and not _valid_id(request_id)):
            return Undecodable(NULL_ID, _bad_id())
    if request.jsonrpc != "2.0":
        return Undecodable(request_id, _bad_version(request.jsonrpc))
    return request_id, request


def _valid_id(raw: bytes) -> bool:
    return raw == NULL_ID or _NUMBER.match(raw) is not None


def _bad_id() -> Problem:
    return InvalidRequest("The id has to be a string, a number or null, at most 256 bytes long.")


def _bad_version(value: object) -> Problem:
    return InvalidRequest(f'jsonrpc has to be exactly "2.0", not {readable(value)}.')


def _look_again(body: bytes) -> tuple[bytes, Request] | Undecodable | Other:
    """The same, for a body that the one pass refused: ProtoJSON's leniency, or the exact error."""
    try:
        envelope = _envelopes.decode(body)
    except msgspec.ValidationError:
        return Undecodable(NULL_ID, _not_an_object(body))
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError) as error:
        return Undecodable(NULL_ID, Malformed(f"The body is not valid JSON: {error}."))
    request_id = bytes(envelope.id)
    if len(request_id) > _MAX_ID or (request_id[:1] != b'"' and not _valid_id(request_id)):
        return Undecodable(NULL_ID, _bad_id())
    if envelope.jsonrpc != "2.0":
        return Undecodable(request_id, _bad_version(envelope.jsonrpc))
    if not isinstance(envelope.method, str) or not envelope.method:
        return Undecodable(request_id, InvalidRequest("A request needs a method, as a string."))
    found = _PARAMS.get(envelope.method)
    if found is None:
        return Other(request_id, envelope.method, bytes(envelope.params) or b"{}")
    request_type, params_type = found
    raw = bytes(envelope.params) or b"{}"
    try:
        params = v1.decode_params(b"{}" if raw == b"null" else raw, params_type)
    except Problem as problem:
        return Undecodable(request_id, problem)
    return request_id, request_type(jsonrpc="2.0", params=params)


def _not_an_object(body: bytes) -> Problem:
    if body.lstrip()[:1] == b"[":
        return InvalidRequest("Batches are not served.", remedy="Send one request object per HTTP request.")
    return InvalidRequest("A JSON-RPC request is a JSON object.")


def result(request_id: bytes, body: bytes) -> bytes:
    """The answer that carries `body`, JSON already."""
    return b'{"jsonrpc":"2.0","id":' + request_id + b',"result":' + body + b"}"


def error(request_id: bytes, problem: Problem, *, older: bool = False) -> bytes:
    """The answer that carries `problem`; google.rpc.ErrorInfo leads its data. Clients of `older` dialects
    may want data to be an object: it is then the ErrorInfo alone."""
    details = error_details(problem)
    data = details[0] if older else details
    body = _encode({"code": problem.rpc, "message": problem.sentence, "data": data})
    return b'{"jsonrpc":"2.0","id":' + request_id + b',"error":' + body + b"}"


def stream_prefix(request_id: bytes) -> bytes:
    """What stands before an event's JSON in a JSON-RPC stream; `}` and a blank line close it."""
    return b'data: {"jsonrpc":"2.0","id":' + request_id + b',"result":'


__all__ = [
    "METHODS",
    "NULL_ID",
    "CancelTask",
    "GetExtendedAgentCard",
    "GetTask",
    "InvalidParams",
    "ListTasks",
    "Other",
    "Request",
    "SendMessage",
    "SendStreamingMessage",
    "SubscribeToTask",
    "Undecodable",
    "decode",
    "error",
    "result",
    "stream_prefix",
]
