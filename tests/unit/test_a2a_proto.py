"""wire/a2a_proto.py against the official SDK's messages and protobuf's own ProtoJSON."""

from __future__ import annotations

import contextlib
import math
import runpy
from pathlib import Path
from typing import Any

import grpc
import pytest
from a2a.types import a2a_pb2 as pb
from google.protobuf import descriptor_pb2, json_format, struct_pb2
from google.rpc import error_details_pb2, status_pb2
from hypothesis import given
from hypothesis import strategies as st

from a2a_cloud.model.problem import (
    Busy,
    InvalidAgentResponse,
    InvalidParams,
    Malformed,
    TaskNotFound,
)
from a2a_cloud.wire import a2a_proto

SCRIPT = Path(__file__).parents[2] / "scripts" / "a2a-descriptor"


def bare(described: Any) -> Any:
    """A file's description as the script keeps it."""
    proto = descriptor_pb2.FileDescriptorProto()
    described.CopyToProto(proto)
    return runpy.run_path(str(SCRIPT))["bare"](proto)


def test_the_messages_are_the_official_sdks() -> None:
    ours = a2a_proto._pool().FindFileByName("a2a.proto")  # pyright: ignore[reportPrivateUsage]
    assert bare(ours) == bare(pb.DESCRIPTOR)


def test_codes_are_googles() -> None:
    assert {code.name: code.value[0] for code in grpc.StatusCode} == a2a_proto.CODES


# --- round trips -----------------------------------------------------------------------------------------

texts = st.text(st.characters(exclude_categories=["Cs"]), max_size=20)
numbers = st.integers(-(2**53), 2**53) | st.floats(allow_nan=False, allow_infinity=False)
values = st.recursive(
    st.none() | st.booleans() | numbers | texts,
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(texts, inner, max_size=4),
    max_leaves=12,
)
structs = st.dictionaries(texts, values, max_size=4)
parts = st.builds(
    lambda content, rest: {**content, **rest},
    st.one_of(
        st.builds(lambda text: {"text": text}, texts),
        st.builds(lambda url: {"url": url}, texts),
        st.builds(lambda data: {"data": data}, values),
        st.builds(lambda raw: {"raw": a2a_proto._base64(raw)}, st.binary(max_size=40)),  # pyright: ignore
    ),
    st.fixed_dictionaries({}, optional={"filename": texts, "mediaType": texts, "metadata": structs}),
)
messages = st.fixed_dictionaries(
    {"messageId": texts, "role": st.sampled_from(["ROLE_USER", "ROLE_AGENT"]), "parts": st.lists(parts)},
    optional={"contextId": texts, "taskId": texts, "metadata": structs, "extensions": st.lists(texts)},
)
requests = st.fixed_dictionaries(
    {"message": messages},
    optional={
        "tenant": texts,
        "metadata": structs,
        "configuration": st.fixed_dictionaries(
            {}, optional={"historyLength": st.integers(0, 2**31 - 1), "returnImmediately": st.booleans()}
        ),
    },
)


@given(requests)
def test_what_is_written_and_read_is_what_protobuf_says(request: dict[str, Any]) -> None:
    official = json_format.ParseDict(request, pb.SendMessageRequest())
    written = a2a_proto.write("SendMessageRequest", request)
    assert pb.SendMessageRequest.FromString(written) == official
    assert a2a_proto.read("SendMessageRequest", official.SerializeToString()) == json_format.MessageToDict(
        official
    )


@given(st.binary(max_size=200), st.sampled_from(["SendMessageRequest", "ListTasksRequest", "AgentCard"]))
def test_any_bytes_are_read_or_refused(body: bytes, name: str) -> None:
    with contextlib.suppress(Malformed, InvalidParams):
        a2a_proto.read(name, body)


def test_a_card_with_everything() -> None:
    card = {
        "name": "n",
        "supportedInterfaces": [{"url": "u", "protocolBinding": "GRPC", "tenant": "t"}],
        "capabilities": {
            "streaming": True,
            "pushNotifications": False,
            "extensions": [{"uri": "urn:x", "params": {"a": {"b": [1]}}}],
        },
        "securitySchemes": {
            "o": {"oauth2SecurityScheme": {"flows": {"clientCredentials": {"scopes": {"a": "b"}}}}},
            "k": {"apiKeySecurityScheme": {"location": "header", "name": "X-API-Key"}},
        },
        "securityRequirements": [{"schemes": {"k": {"list": []}}}],
        "signatures": [{"protected": "p", "signature": "s", "header": {"kid": "1"}}],
        "url": "of another generation",
    }
    official = json_format.ParseDict(card, pb.AgentCard(), ignore_unknown_fields=True)
    assert pb.AgentCard.FromString(a2a_proto.write("AgentCard", card)) == official
    assert a2a_proto.read("AgentCard", official.SerializeToString()) == json_format.MessageToDict(official)


# --- values that differ ----------------------------------------------------------------------------------


def read_value(value: struct_pb2.Value) -> Any:
    part = pb.Part(data=value)
    return a2a_proto.read("Part", part.SerializeToString())["data"]


def test_whole_numbers_are_whole() -> None:
    found = read_value(struct_pb2.Value(number_value=2.0))
    assert (found, type(found)) == (2, int)
    assert type(read_value(struct_pb2.Value(number_value=2.0**60))) is float


@pytest.mark.parametrize("number", [math.nan, math.inf, -math.inf], ids=["nan", "inf", "minus-inf"])
def test_what_json_has_no_number_for_is_refused(number: float) -> None:
    with pytest.raises(InvalidParams):
        read_value(struct_pb2.Value(number_value=number))


def test_a_value_of_no_kind_is_null() -> None:
    assert read_value(struct_pb2.Value()) is None


@pytest.mark.parametrize(
    "data", [10**400, {"a": [-(10**400)]}], ids=["too-large-a-number", "too-large-a-number-within"]
)
def test_what_protobuf_cannot_carry_is_refused(data: object) -> None:
    with pytest.raises(InvalidAgentResponse):
        a2a_proto.write("Part", {"data": data})


def test_bytes_in_either_alphabet() -> None:
    for raw in ("+/+/", "-_-_", "-_-_-w==", "-_-_-w"):
        assert pb.Part.FromString(a2a_proto.write("Part", {"raw": raw})).raw[:3] == b"\xfb\xff\xbf"


def test_deep_nesting_is_refused() -> None:
    value: Any = 1
    for _ in range(40):
        value = {"a": value}
    body = a2a_proto.write("Part", {"data": value})
    with pytest.raises(Malformed, match="nest too deep"):
        a2a_proto.read("Part", body)


@pytest.mark.parametrize(
    ("seconds", "nanos", "text"),
    [
        (0, 0, "1970-01-01T00:00:00Z"),
        (1_700_000_000, 123_000_000, "2023-11-14T22:13:20.123Z"),
        (-1, 500_000_000, "1969-12-31T23:59:59.5Z"),
        (10**15, 0, ""),
        (-(10**15), 0, ""),
        (0, -1, ""),
        (0, 10**9, ""),
    ],
    ids=["epoch", "millis", "before", "far", "long-ago", "minus", "too-many-nanos"],
)
def test_times(seconds: int, nanos: int, text: str) -> None:
    request = pb.ListTasksRequest()
    request.status_timestamp_after.seconds, request.status_timestamp_after.nanos = seconds, nanos
    body = request.SerializeToString()
    if not text:
        with pytest.raises(InvalidParams):
            a2a_proto.read("ListTasksRequest", body)
        return
    assert a2a_proto.read("ListTasksRequest", body) == {"statusTimestampAfter": text}
    assert a2a_proto.write("ListTasksRequest", {"statusTimestampAfter": text}) == body


# --- errors ----------------------------------------------------------------------------------------------


def test_a_problem_is_a_status_with_details() -> None:
    problem = InvalidParams("a is no number", remedy="Send one.", info={"field": "a"}, retry_after=2.5)
    status = status_pb2.Status.FromString(a2a_proto.status(problem))
    assert (status.code, status.message) == (3, "a is no number. Send one.")
    info, bad, retry = (
        error_details_pb2.ErrorInfo(),
        error_details_pb2.BadRequest(),
        error_details_pb2.RetryInfo(),
    )
    assert status.details[0].Unpack(info)
    assert status.details[1].Unpack(bad)
    assert status.details[2].Unpack(retry)
    assert (info.reason, info.domain) == ("INVALID_PARAMS", "a2a-protocol.org")
    assert dict(info.metadata) == {"field": "a", "remedy": "Send one."}
    assert bad.field_violations[0].field == "a"
    assert (retry.retry_delay.seconds, retry.retry_delay.nanos) == (2, 500_000_000)


def test_a_status_fits_into_metadata() -> None:
    problem = Busy("ü" * 50_000, remedy="x" * 50_000, info={"a": "b" * 50_000})
    assert len(a2a_proto.status(problem)) < 6_000
    assert a2a_proto.status(TaskNotFound()) != a2a_proto.status(Busy())
