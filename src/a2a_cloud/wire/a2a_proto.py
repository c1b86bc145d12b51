"""A2A 1.0 as Protocol Buffers (specification, sections 4 and 10): between the bytes of the gRPC service
`lf.a2a.v1.A2AService` and ProtoJSON, which is what all else here reads and writes.

The messages' descriptors are the official SDK's (`a2a_v1.desc`, made by scripts/a2a-descriptor) in a pool of
their own, so that they meet nobody else's. `google.protobuf` is loaded with the first message. What it can't
carry is refused: it counts a JSON value as up to three of the 100 levels that a message may nest, and has no
numbers but doubles.
"""

from __future__ import annotations

import binascii
import math
import re
from base64 import b64encode
from collections.abc import Callable, Mapping
from datetime import UTC, datetime, timedelta
from functools import cache
from importlib import import_module, resources
from typing import Any, Final, NamedTuple, cast

from a2a_cloud.model.problem import InvalidAgentResponse, InvalidParams, Malformed, Problem
from a2a_cloud.wire.a2a_v1 import read_timestamp
from a2a_cloud.wire.json_text import readable
from a2a_cloud.wire.problem_json import error_details

SERVICE: Final = "lf.a2a.v1.A2AService"
#: google.rpc.Code by name.
CODES: Final = {
    "OK": 0,
    "CANCELLED": 1,
    "UNKNOWN": 2,
    "INVALID_ARGUMENT": 3,
    "DEADLINE_EXCEEDED": 4,
    "NOT_FOUND": 5,
    "ALREADY_EXISTS": 6,
    "PERMISSION_DENIED": 7,
    "RESOURCE_EXHAUSTED": 8,
    "FAILED_PRECONDITION": 9,
    "ABORTED": 10,
    "OUT_OF_RANGE": 11,
    "UNIMPLEMENTED": 12,
    "INTERNAL": 13,
    "UNAVAILABLE": 14,
    "DATA_LOSS": 15,
    "UNAUTHENTICATED": 16,
}
_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
_EXACT = 2.0**53
_URLSAFE = str.maketrans("-_", "+/")
# Clients give up on a status whose metadata are larger than 8 KB.
_MAX_SAID = 500


def read(name: str, body: bytes) -> dict[str, Any]:
    """The message `name` (`SendMessageRequest`) in `body`, as ProtoJSON says it.

    Raises Malformed when it is none, InvalidParams for a number or a time that JSON can't say.
    """
    kind = _class(name)
    try:
        message = kind.FromString(body)
    except _error():
        raise Malformed(
            f"The bytes are no {name}, or nest too deep.",
            remedy="Protocol Buffers carry 100 levels: some 30 objects within each other.",
        ) from None
    return _read(message)


def write(name: str, value: Mapping[str, Any]) -> bytes:
    """`value` as the message `name`; members that it doesn't know are left out.

    Raises InvalidAgentResponse for what Protocol Buffers can't carry.
    """
    message = _class(name)()
    try:
        _fill(message, value)
        return message.SerializeToString()
    except (OverflowError, binascii.Error, _error()):
        raise InvalidAgentResponse(
            "The answer holds a value that gRPC can't carry: a number beyond a double's range, or bytes "
            "that are not base64.",
            remedy="Ask for it by JSON-RPC or HTTP+JSON.",
        ) from None


def status(problem: Problem) -> bytes:
    """google.rpc.Status of a problem (section 10.6), for the metadata `grpc-status-details-bin`."""
    found = _class("google.rpc.Status")()
    found.code = CODES[problem.grpc]
    found.message = problem.sentence[: 2 * _MAX_SAID]
    for detail in error_details(problem):
        kind = detail["@type"]
        part = _class(kind.rpartition("/")[2])()
        _fill(part, {name: _cut(value) for name, value in detail.items()})
        found.details.add(type_url=kind, value=part.SerializeToString())
    return found.SerializeToString()


def _cut(value: Any) -> Any:
    if isinstance(value, str):
        return value[:_MAX_SAID]
    if isinstance(value, dict):
        return {name: _cut(item) for name, item in cast("dict[str, Any]", value).items()}
    return [_cut(item) for item in cast("list[Any]", value)] if isinstance(value, list) else value


# --- messages and their fields ---------------------------------------------------------------------------


@cache
def _error() -> type[Exception]:
    return import_module("google.protobuf.message").Error


@cache
def _pool() -> Any:
    pool = import_module("google.protobuf.descriptor_pool").DescriptorPool()
    found = import_module("google.protobuf.descriptor_pb2").FileDescriptorSet()
    found.ParseFromString(resources.files(__package__ or "").joinpath("a2a_v1.desc").read_bytes())
    for file in found.file:
        pool.Add(file)
    return pool


@cache
def _class(name: str) -> Any:
    full = name if "." in name else f"lf.a2a.v1.{name}"
    return import_module("google.protobuf.message_factory").GetMessageClass(
        _pool().FindMessageTypeByName(full)
    )


class _Field(NamedTuple):
    """A field of a message: how its value is read (None: as it is) and written ("" for a plain value)."""

    name: str
    json: str
    read: Callable[[Any], Any] | None
    write: str
    repeated: bool
    map: bool
    enum: Any


@cache
def _fields(kind: Any) -> tuple[dict[int, _Field], dict[str, _Field]]:
    """The fields of a message's class by number and by their names in JSON."""
    found = [_field(field) for field in kind.DESCRIPTOR.fields]
    numbers = [field.number for field in kind.DESCRIPTOR.fields]
    return dict(zip(numbers, found, strict=True)), {field.json: field for field in found}


def _field(field: Any) -> _Field:
    entry = field.message_type
    is_map: bool = entry is not None and entry.GetOptions().map_entry
    value = cast("Any", entry).fields_by_name["value"] if is_map else field
    how: Callable[[Any], Any] | None = None
    write = ""
    if value.message_type is not None:
        write = value.message_type.full_name
        how = _READERS.get(write, _read)
        if write not in _READERS:
            write = "message"
    elif value.enum_type is not None:
        write = "enum"
        names = {one.number: one.name for one in value.enum_type.values}

        def name_of(number: int) -> Any:
            return names.get(number, number)

        how = name_of
    elif value.type == value.TYPE_BYTES:
        write = "bytes"
        how = _base64
    return _Field(field.name, field.json_name, how, write, field.is_repeated, is_map, value.enum_type)


# --- reading ---------------------------------------------------------------------------------------------


def _read(message: Any) -> dict[str, Any]:
    fields = _fields(message.__class__)[0]
    result: dict[str, Any] = {}
    for descriptor, value in message.ListFields():
        field = fields[descriptor.number]
        how = field.read
        if field.map:
            result[field.json] = {name: value[name] if how is None else how(value[name]) for name in value}
        elif field.repeated:
            result[field.json] = list(value) if how is None else [how(item) for item in value]
        else:
            result[field.json] = value if how is None else how(value)
    return result


def _base64(value: bytes) -> str:
    return b64encode(value).decode("ascii")


def _struct(value: Any) -> dict[str, Any]:
    # In one order, since a map has none: what is kept of a message and hashed is the same for a retry.
    return {name: _value(item) for name, item in sorted(value.fields.items())}


def _value(value: Any) -> Any:
    kind = value.WhichOneof("kind")
    if kind == "string_value":
        return value.string_value
    if kind == "number_value":
        number = value.number_value
        if not math.isfinite(number):
            raise InvalidParams(f"{number} is no number of JSON.", remedy="Send a finite number.")
        # As people write it: 2 and not 2.0. Beyond 2**53 a double says nothing of its last digits.
        return int(number) if number.is_integer() and abs(number) <= _EXACT else number
    if kind == "bool_value":
        return value.bool_value
    if kind == "struct_value":
        return _struct(value.struct_value)
    if kind == "list_value":
        return _list(value.list_value)
    return None


def _list(value: Any) -> list[Any]:
    return [_value(item) for item in value.values]


def _timestamp(value: Any) -> str:
    nanos = value.nanos
    try:
        second = _EPOCH + timedelta(seconds=value.seconds)
        if not 0 <= nanos < 1_000_000_000:
            raise OverflowError
    except OverflowError:
        raise InvalidParams(
            "A timestamp is out of range.", remedy="Send one of the years 1 to 9999."
        ) from None
    fraction = f".{nanos:09d}".rstrip("0") if nanos else ""
    return f"{second:%Y-%m-%dT%H:%M:%S}{fraction}Z"


def _duration(value: Any) -> str:
    return f"{value.seconds + value.nanos / 1e9:g}s"


_READERS: Final[dict[str, Callable[[Any], Any]]] = {
    "google.protobuf.Struct": _struct,
    "google.protobuf.Value": _value,
    "google.protobuf.ListValue": _list,
    "google.protobuf.Timestamp": _timestamp,
    "google.protobuf.Duration": _duration,
}


# --- writing ---------------------------------------------------------------------------------------------


def _fill(message: Any, value: Mapping[str, Any]) -> None:
    fields = _fields(message.__class__)[1]
    for name, item in value.items():
        field = fields.get(name)
        # null is a value of `data`; everywhere else it means absent.
        if field is not None and (item is not None or field.write == "google.protobuf.Value"):
            _set(message, field, cast("Any", item))


def _set(message: Any, field: _Field, item: Any) -> None:
    if field.map:
        target = getattr(message, field.name)
        for key, each in item.items():
            if field.write:
                _put(target[key], field, each)
            else:
                target[key] = each
    elif field.repeated:
        target = getattr(message, field.name)
        for each in item:
            if field.write:
                _put(target.add(), field, each)
            else:
                target.append(each)
    elif not field.write:
        setattr(message, field.name, item)
    elif field.write == "enum":
        setattr(message, field.name, field.enum.values_by_name[item].number)
    elif field.write == "bytes":
        text: str = item.translate(_URLSAFE) if "-" in item or "_" in item else item
        setattr(message, field.name, binascii.a2b_base64(text + "=" * (-len(text) % 4)))
    else:
        _put(getattr(message, field.name), field, item)


def _put(target: Any, field: _Field, value: Any) -> None:
    kind = field.write
    if kind == "message":
        target.SetInParent()
        _fill(target, value)
    elif kind == "google.protobuf.Struct":
        target.SetInParent()
        _fill_struct(target, value)
    elif kind == "google.protobuf.Value":
        _fill_value(target, value)
    elif kind == "google.protobuf.Timestamp":
        micros = round(read_timestamp(value, field.json) * 1e6)
        target.seconds, target.nanos = micros // 1_000_000, micros % 1_000_000 * 1000
    else:
        assert kind == "google.protobuf.Duration", kind
        target.seconds, target.nanos = _seconds(value)


def _fill_struct(target: Any, value: Mapping[str, Any]) -> None:
    fields = target.fields
    for name, item in value.items():
        _fill_value(fields[name], item)


def _fill_value(target: Any, value: Any) -> None:
    if isinstance(value, str):
        target.string_value = value
    elif value is None:
        target.null_value = 0
    elif isinstance(value, bool):
        target.bool_value = value
    elif isinstance(value, int | float):
        target.number_value = float(value)
    elif isinstance(value, dict):
        target.struct_value.SetInParent()
        _fill_struct(target.struct_value, cast("dict[str, Any]", value))
    else:
        target.list_value.SetInParent()
        for item in cast("list[Any]", value):
            _fill_value(target.list_value.values.add(), item)


_DURATION = re.compile(r"(\d+)(?:\.(\d{1,9})\d*)?s")


def _seconds(text: str) -> tuple[int, int]:
    found = _DURATION.fullmatch(text)
    if found is None:
        raise ValueError(f"{readable(text)} is no duration")
    return int(found[1]), int((found[2] or "").ljust(9, "0"))
