"""Parameters of A2A 1.0's operations (specification, sections 3.1 and 4), read as ProtoJSON is read.

The usual shape (camelCase, full enum names) decodes in one typed pass. What ProtoJSON allows besides
(null for an absent field, the proto's snake_case names, enums as numbers, integers as strings) is
brought into the usual shape by a second, slower look. Unknown fields are ignored.
"""

from __future__ import annotations

import re
from datetime import UTC, datetime
from typing import Any, TypeVar, cast

import msgspec
from msgspec import UNSET, Raw, Struct, UnsetType

from a2a_cloud.model.problem import InvalidParams, Malformed
from a2a_cloud.model.task import Message, Role, TaskState
from a2a_cloud.wire.json_text import readable

P = TypeVar("P", bound=Struct)


class AuthenticationInfo(Struct, rename="camel", omit_defaults=True, frozen=True):
    """What a receiver of push notifications wants in Authorization: `Bearer`, and what follows it."""

    scheme: str = ""
    credentials: str = ""


class TaskPushNotificationConfig(Struct, rename="camel", omit_defaults=True, frozen=True):
    """Where notifications of a task go, as it comes and as it is shown. In a message's configuration
    `task_id` says nothing: the message has a task of its own."""

    url: str
    id: str = ""
    task_id: str = ""
    token: str = ""
    authentication: AuthenticationInfo | UnsetType = UNSET
    tenant: str = ""


class SendMessageConfiguration(Struct, rename="camel", frozen=True):
    """What a caller wants of the answer."""

    accepted_output_modes: list[str] = []
    task_push_notification_config: TaskPushNotificationConfig | UnsetType | None = UNSET
    history_length: int | UnsetType = UNSET
    return_immediately: bool = False


_NO_CONFIGURATION = SendMessageConfiguration()


class SendMessageParams(Struct, rename="camel"):
    """SendMessageRequest."""

    message: Message
    configuration: SendMessageConfiguration = _NO_CONFIGURATION
    metadata: Raw | UnsetType = UNSET
    tenant: str = ""


class GetTaskParams(Struct, rename="camel", frozen=True):
    """GetTaskRequest."""

    id: str
    history_length: int | UnsetType = UNSET
    tenant: str = ""


class ListTasksParams(Struct, rename="camel", frozen=True):
    """ListTasksRequest; `status` is a full state name or "" and checked by `task_state`."""

    context_id: str = ""
    status: str = ""
    page_size: int | UnsetType = UNSET
    page_token: str = ""
    history_length: int | UnsetType = UNSET
    status_timestamp_after: str = ""
    include_artifacts: bool = False
    tenant: str = ""


class TaskIdParams(Struct, rename="camel", frozen=True):
    """CancelTaskRequest and SubscribeToTaskRequest."""

    id: str
    tenant: str = ""


class TenantParams(Struct, rename="camel", frozen=True):
    """GetExtendedAgentCardRequest: nothing but the tenant."""

    tenant: str = ""


class PushConfigParams(Struct, rename="camel", frozen=True):
    """GetTaskPushNotificationConfigRequest and DeleteTaskPushNotificationConfigRequest."""

    task_id: str
    id: str
    tenant: str = ""


class ListPushConfigsParams(Struct, rename="camel", frozen=True):
    """ListTaskPushNotificationConfigsRequest."""

    task_id: str
    page_size: int = 0
    page_token: str = ""
    tenant: str = ""


class PushConfigList(Struct, rename="camel"):
    """ListTaskPushNotificationConfigsResponse."""

    configs: list[TaskPushNotificationConfig]
    next_page_token: str = ""


_decoders: dict[type[Struct], msgspec.json.Decoder[Any]] = {
    cls: msgspec.json.Decoder(cls)
    for cls in (
        SendMessageParams,
        GetTaskParams,
        ListTasksParams,
        TaskIdParams,
        TenantParams,
        TaskPushNotificationConfig,
        PushConfigParams,
        ListPushConfigsParams,
    )
}
_any = msgspec.json.Decoder()


def decode_params(raw: bytes, params: type[P]) -> P:
    """The parameters in `raw`. Raises Malformed when it isn't JSON, InvalidParams when it doesn't fit."""
    try:
        return cast("P", _decoders[params].decode(raw))
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError) as error:
        if not isinstance(error, msgspec.ValidationError):
            raise Malformed(f"The body is not valid JSON: {error}.") from None
    try:
        value = _any.decode(raw)
    except msgspec.ValidationError as error:
        raise InvalidParams(f"A value does not fit: {error}.") from None
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError) as error:
        raise Malformed(f"The body is not valid JSON: {error}.") from None
    if not isinstance(value, dict):
        raise InvalidParams("The parameters are a JSON object.")
    return convert_params(cast("dict[str, Any]", value), params)


def convert_params(value: dict[str, Any], params: type[P]) -> P:
    """The same from a decoded object or from query parameters (whose values are strings)."""
    try:
        return msgspec.convert(_usual(value, params.__name__), params, strict=False)
    except msgspec.ValidationError as error:
        raise _misfit(error) from None


_AT = re.compile(r"(?P<what>.*?) - at `\$\.?(?P<path>.*)`\Z", re.DOTALL)


def _misfit(error: msgspec.ValidationError) -> InvalidParams:
    found = _AT.match(str(error))
    if found is None:
        return InvalidParams(f"{error}.")
    path = found["path"]
    return InvalidParams(f"{found['what']}, at {path or 'the top'}.", info={"field": path})


# --- ProtoJSON's other spellings -----------------------------------------------------------------

_SNAKE = re.compile(r"_([a-z0-9])")
_OPEN = frozenset({"metadata", "data", "params"})
_ROLES = {0: "ROLE_UNSPECIFIED", 1: Role.USER.value, 2: Role.AGENT.value}
_STATES = {
    0: "",
    1: TaskState.SUBMITTED.value,
    2: TaskState.WORKING.value,
    3: TaskState.COMPLETED.value,
    4: TaskState.FAILED.value,
    5: TaskState.CANCELED.value,
    6: TaskState.INPUT_REQUIRED.value,
    7: TaskState.REJECTED.value,
    8: TaskState.AUTH_REQUIRED.value,
}
_MESSAGES = {
    "message": "Message",
    "configuration": "SendMessageConfiguration",
    "parts": "Part",
    "taskPushNotificationConfig": "TaskPushNotificationConfig",
    "authentication": "AuthenticationInfo",
}


def _usual(value: dict[str, Any], kind: str) -> dict[str, Any]:
    """`value` with camelCase names, without nulls, with enum names; open values are encoded again."""
    usual: dict[str, Any] = {}
    for name, item in value.items():
        key = _SNAKE.sub(lambda found: found[1].upper(), name)
        if key == "data" and kind == "Part":
            # The value null is a value of `data`; everywhere else null means absent.
            usual[key] = Raw(msgspec.json.encode(item))
        elif item is None:
            continue
        elif key in _OPEN:
            usual[key] = Raw(msgspec.json.encode(item))
        elif key in _MESSAGES and isinstance(item, dict):
            usual[key] = _usual(cast("dict[str, Any]", item), _MESSAGES[key])
        elif key == "parts" and isinstance(item, list):
            usual[key] = [
                _usual(cast("dict[str, Any]", part), "Part") if isinstance(part, dict) else part
                for part in cast("list[Any]", item)
            ]
        elif key == "role" and isinstance(item, int):
            usual[key] = _ROLES.get(item, item)
        elif key == "status" and isinstance(item, int):
            usual[key] = _STATES.get(item, str(item))
        elif key == "object" and kind == "Part":
            continue
        else:
            usual[key] = item
    return usual


def task_state(name: str) -> TaskState | None:
    """The state that a filter names, in full or short (`working`); None for no filter. InvalidParams."""
    if name in ("", "TASK_STATE_UNSPECIFIED"):
        return None
    full = name if name.startswith("TASK_STATE_") else "TASK_STATE_" + name.upper().replace("-", "_")
    try:
        return TaskState(full)
    except ValueError:
        states = ", ".join(state.value for state in TaskState)
        raise InvalidParams(
            f"{readable(name)} is no task state.", remedy=f"Use one of {states}.", info={"field": "status"}
        ) from None


# --- timestamps (section 5.6.1) ----------------------------------------------------------------------

_RFC3339 = re.compile(
    r"(\d{4}-\d{2}-\d{2})[Tt](\d{2}:\d{2}:\d{2})(?:\.(\d{1,9}))?(?:[Zz]|([+-]\d{2}:\d{2}))\Z", re.ASCII
)


def read_timestamp(text: str, field: str) -> float:
    """Seconds since the epoch of an RFC 3339 timestamp. Raises InvalidParams."""
    found = _RFC3339.match(text)
    try:
        if found is None:
            raise ValueError(text)
        date, clock, fraction, zone = found.groups()
        base = datetime.fromisoformat(f"{date}T{clock}{zone or '+00:00'}").astimezone(UTC).timestamp()
    except (ValueError, OverflowError):
        raise InvalidParams(
            f"{field} is not a timestamp: {readable(text)}.",
            remedy="Write it as 2026-01-31T12:00:00.000Z.",
            info={"field": field},
        ) from None
    return base + (float(f"0.{fraction}") if fraction else 0.0)
