"""MCP's messages: whatever comes is a message, or a refusal that says why."""

from __future__ import annotations

import json
from contextlib import suppress
from typing import Any

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from a2a_cloud.model.problem import (
    Busy,
    CapabilityRequired,
    HeaderMismatch,
    IdempotencyConflict,
    Internal,
    InvalidParams,
    InvalidRequest,
    Malformed,
    McpSessionNotFound,
    MethodNotFound,
    Problem,
    ProtocolVersionNotSupported,
    Refused,
    ResourceNotFound,
    TaskNotFound,
    Unauthenticated,
)
from a2a_cloud.wire import mcp, mcp_errors
from a2a_cloud.wire.mcp import Answered, Asked, Client, Told, Undecodable

JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False) | st.text(),
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(st.text(max_size=8), inner, max_size=4),
    max_leaves=12,
)
KINDS = [
    mcp.Params,
    mcp.PageParams,
    mcp.CallParams,
    mcp.PromptParams,
    mcp.UriParams,
    mcp.InitializeParams,
    mcp.LevelParams,
    mcp.CompleteParams,
    mcp.CancelledParams,
    mcp.TaskParams,
    mcp.ListenParams,
]


@given(st.binary(max_size=200))
def test_any_bytes_are_a_message_or_refused(body: bytes) -> None:
    found = mcp.decode(body)
    assert isinstance(found, Asked | Told | Answered | Undecodable)


@given(
    st.fixed_dictionaries(
        {},
        optional={
            "jsonrpc": st.just("2.0") | JSON,
            "id": JSON,
            "method": st.sampled_from(["tools/call", "ping"]) | JSON,
            "params": JSON,
            "result": JSON,
            "error": JSON,
        },
    )
)
def test_any_object_is_a_message_or_refused(body: dict[str, Any]) -> None:
    found = mcp.decode(json.dumps(body).encode())
    if isinstance(found, Asked):
        assert json.loads(found.id) == body["id"]
        assert isinstance(body["id"], int | float | str)


@given(JSON, st.sampled_from(KINDS))
def test_any_params_fit_or_are_refused(params: Any, kind: type[Any]) -> None:
    with suppress(InvalidParams):
        mcp.decode_params(json.dumps(params).encode(), kind)


@given(JSON)
def test_any_capabilities_are_read_or_refused(capabilities: Any) -> None:
    try:
        found = mcp.client_of(msgspec.Raw(json.dumps(capabilities).encode()))
    except InvalidParams:
        return
    assert Client.of_bits(found.bits) == found


@pytest.mark.parametrize(
    ("capabilities", "client"),
    [
        ("{}", Client()),
        ('{"elicitation":{}}', Client(form=True)),
        ('{"elicitation":{"form":{}}}', Client(form=True)),
        ('{"elicitation":{"url":{}}}', Client(url=True)),
        ('{"elicitation":{"form":{},"url":{}}}', Client(form=True, url=True)),
        (
            '{"elicitation":null,"sampling":{"tools":{}},"roots":{"listChanged":true}}',
            Client(False, False, True, True),
        ),
        ('{"extensions":{"io.modelcontextprotocol/tasks":{}}}', Client(tasks=True)),
        ('{"tasks":{"requests":{}},"experimental":{}}', Client()),
    ],
)
def test_what_a_client_can(capabilities: str, client: Client) -> None:
    assert mcp.client_of(msgspec.Raw(capabilities.encode())) == client


@pytest.mark.parametrize(
    ("problem", "modern", "legacy"),
    [
        (Malformed(), (-32700, 400), (-32700, 400)),
        (InvalidRequest(), (-32600, 400), (-32600, 400)),
        (MethodNotFound(), (-32601, 404), (-32601, 200)),
        (InvalidParams(), (-32602, 400), (-32602, 200)),
        (IdempotencyConflict(), (-32602, 400), (-32602, 200)),
        (ResourceNotFound(), (-32602, 400), (-32002, 200)),
        (TaskNotFound(), (-32602, 400), (-32602, 200)),
        (HeaderMismatch(), (-32020, 400), (-32020, 400)),
        (CapabilityRequired(info={"capability": "roots"}), (-32021, 400), (-32021, 400)),
        (ProtocolVersionNotSupported(), (-32022, 400), (-32022, 400)),
        (McpSessionNotFound(), (-32600, 404), (-32600, 404)),
        (Unauthenticated(), (401, 401), (401, 401)),
        (Busy(), (429, 429), (429, 429)),
        (Refused(), (422, 422), (422, 422)),
        (Internal(), (-32603, 200), (-32603, 200)),
    ],
    ids=lambda value: type(value).__name__ if isinstance(value, Problem) else None,
)
def test_codes_and_statuses(problem: Problem, modern: tuple[int, int], legacy: tuple[int, int]) -> None:
    for want, is_modern in ((modern, True), (legacy, False)):
        code = mcp_errors.code_of(problem, modern=is_modern)
        assert (code, mcp_errors.status_of(problem, modern=is_modern)) == want
        assert code > 0 or code in (-32700, -32600, -32601, -32602, -32603, -32002, -32020, -32021, -32022)


def test_no_problem_has_a_code_that_is_the_specifications() -> None:
    """-32020 to -32099 mean what MCP says they mean."""
    todo, seen = [Problem], set[type[Problem]]()
    while todo:
        kind = todo.pop()
        seen.add(kind)
        todo.extend(kind.__subclasses__())
        code = mcp_errors.code_of(kind("x"), modern=True)
        own = (HeaderMismatch, CapabilityRequired, ProtocolVersionNotSupported)
        assert not -32099 <= code <= -32000 or issubclass(kind, own), kind
        assert mcp_errors.status_of(kind("x"), modern=True) < 600
    assert len(seen) > 40


def test_an_error_without_an_id_has_none() -> None:
    found = json.loads(mcp_errors.error(b"", Malformed("No."), modern=True))
    assert "id" not in found
    assert json.loads(mcp_errors.error(b'"a"', Malformed("No."), modern=True))["id"] == "a"
