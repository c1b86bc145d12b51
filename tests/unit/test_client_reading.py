"""What other agents say is read whatever its age and make; what we say in their words comes back the same."""

from __future__ import annotations

from contextlib import suppress
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from a2a_cloud.client.a2a_card import read_card
from a2a_cloud.client.a2a_problems import http_problem, rpc_problem
from a2a_cloud.client.a2a_shapes import Part, parts_of, read_event, read_task
from a2a_cloud.client.errors import NoCard
from a2a_cloud.wire import a2a_early_client as early
from a2a_cloud.wire import a2a_v03_client as v03
from a2a_cloud.wire import a2a_v03_rest_client as v03_rest

OPERATIONS = [
    "SendMessage",
    "SendStreamingMessage",
    "GetTask",
    "ListTasks",
    "CancelTask",
    "SubscribeToTask",
    "CreateTaskPushNotificationConfig",
    "GetTaskPushNotificationConfig",
    "ListTaskPushNotificationConfigs",
    "DeleteTaskPushNotificationConfig",
    "GetExtendedAgentCard",
]
MEMBERS = """kind type text data file bytes uri parts content role message status state artifact artifacts
task id taskId contextId sessionId history metadata update final index statusUpdate artifactUpdate name url
pushNotificationConfig authentication schemes configs error code fileWithBytes mimeType"""
NAMES = st.sampled_from(MEMBERS.split())
ANY = st.recursive(
    st.none() | st.booleans() | st.integers(-9, 9) | st.floats(allow_nan=False) | st.text(max_size=5) | NAMES,
    lambda inner: (
        st.lists(inner, max_size=4) | st.dictionaries(NAMES | st.text(max_size=4), inner, max_size=6)
    ),
    max_leaves=20,
)


@given(ANY, st.sampled_from(OPERATIONS))
def test_nothing_that_comes_raises(value: Any, operation: str) -> None:
    for result in (v03.result, v03_rest.result, early.result):
        read_event(result(operation, value))
        read_task(result(operation, value))
    for event in (v03.event_from_v03, v03_rest.event, early.event):
        read_event(event(value if isinstance(value, dict) else {}))
    read_event(value)
    read_task(value)
    http_problem(500, {}, repr(value).encode())
    rpc_problem(value if isinstance(value, dict) else {})


@given(ANY)
def test_a_card_is_a_card_or_none(value: Any) -> None:
    with suppress(NoCard):
        read_card(value if isinstance(value, dict) else {}, "http://x")


DATA = st.recursive(
    st.none() | st.booleans() | st.integers(-99, 99) | st.text(max_size=5),
    lambda inner: (
        st.lists(inner, max_size=3) | st.dictionaries(st.text(min_size=1, max_size=4), inner, max_size=3)
    ),
    max_leaves=8,
)
METADATA = st.dictionaries(st.text(min_size=1, max_size=4), DATA.filter(lambda v: v is not None), max_size=2)
WORDS = st.text(min_size=1, max_size=6)


def _part(kind: str, value: Any, metadata: dict[str, Any], name: str) -> dict[str, Any]:
    part: dict[str, Any] = {kind: value}
    if kind in ("raw", "url"):
        part |= {"filename": name, "mediaType": "image/png"}
    return {**part, "metadata": metadata} if metadata else part


PARTS = st.one_of(
    st.builds(_part, st.just("text"), st.text(max_size=6), METADATA, WORDS),
    st.builds(_part, st.just("data"), DATA, METADATA, WORDS),
    st.builds(_part, st.just("raw"), st.sampled_from(["", "AAEC", "aGVsbG8=", "/w=="]), METADATA, WORDS),
    st.builds(_part, st.just("url"), st.just("https://example.org/a"), METADATA, WORDS),
)


@given(st.lists(PARTS, max_size=4), METADATA)
def test_a_message_says_the_same_in_the_words_of_0_3(
    parts: list[dict[str, Any]], metadata: dict[str, Any]
) -> None:
    message = {"messageId": "m", "role": "ROLE_USER", "parts": parts, "taskId": "t", "contextId": "c"}
    if metadata:
        message["metadata"] = metadata
    assert v03.message_from_v03(v03.message_to_v03(message)) == message
    ask = v03_rest.ask("SendMessage", {"message": message})
    assert ask is not None
    assert ask.body is not None
    assert v03_rest.event({"message": ask.body["request"]}) == {"message": message}
    # Early messages have neither ids; their parts say the same.
    said = early.call("SendMessage", {"message": message})
    assert said is not None
    assert said[1]["id"] == "t"
    assert v03.message_from_v03(said[1]["message"])["parts"] == parts


def test_an_early_task_is_read() -> None:
    task = {
        "id": "t1",
        "sessionId": "s1",
        "status": {
            "state": "input-required",
            "message": {"role": "agent", "parts": [{"type": "text", "text": "?"}]},
        },
        "artifacts": [{"name": "a", "index": 2, "parts": [{"type": "data", "data": {"n": 1}}]}],
    }
    read = read_task(early.result("GetTask", task))
    assert (read.id, read.context_id, read.state) == ("t1", "s1", "input-required")
    assert read.said is not None
    assert read.said.text == "?"
    assert (read.artifacts[0].id, read.artifacts[0].parts[0].data) == ("artifact-2", {"n": 1})
    update = read_event(early.event({"id": "t1", "status": {"state": "completed"}, "final": True}))
    assert update is not None
    assert (update.kind, update.state, update.task_id) == ("status", "completed", "t1")
    piece = read_event(early.event({"id": "t1", "artifact": {"parts": [], "index": 0, "append": True}}))
    assert piece is not None
    assert (piece.kind, piece.append) == ("artifact", True)


def test_spellings_of_protojson() -> None:
    event = read_event(
        {
            "status_update": {
                "task_id": "t",
                "context_id": None,
                "status": {"state": 6, "message": {"message_id": "m", "role": 2, "parts": [{"text": "?"}]}},
            }
        }
    )
    assert event is not None
    assert (event.task_id, event.state) == ("t", "input-required")
    assert event.message is not None
    assert (event.message.role, event.message.text) == ("agent", "?")
    assert read_task({"status": {"state": "TASK_STATE_NEW"}}).state == "unknown"
    data = (
        read_task({"artifacts": [{"parts": [{"data": None}, {"data": {"snake_case": None}}]}]})
        .artifacts[0]
        .parts
    )
    assert [part.kind for part in data] == ["data", "data"]
    assert data[1].data == {"snake_case": None}  # somebody's names are theirs


def test_what_can_be_said(tmp_path: Any) -> None:
    file = tmp_path / "a.json"
    file.write_bytes(b"{}")
    parts = parts_of(["text", b"raw", file, {"n": 1}, Part.link("https://x")])
    assert [part.json() for part in parts] == [
        {"text": "text"},
        {"raw": "cmF3"},
        {"raw": "e30=", "filename": "a.json", "mediaType": "application/json"},
        {"data": {"n": 1}, "mediaType": "application/json"},
        {"url": "https://x"},
    ]


CARD = {"name": "n", "description": "d", "version": "1", "capabilities": {}, "skills": []}


@pytest.mark.parametrize(
    ("members", "expected"),
    [
        (
            {
                "supportedInterfaces": [
                    {"url": "http://a", "protocolBinding": "JSONRPC", "protocolVersion": "1.0.1"}
                ]
            },
            [("http://a", "JSONRPC", "1.0")],
        ),
        (
            {"url": "http://a", "protocolVersion": "0.3.0", "preferredTransport": "HTTP+JSON"},
            [("http://a", "HTTP+JSON", "0.3")],
        ),
        ({"url": "http://a", "protocolVersion": "0.2.6"}, [("http://a", "JSONRPC", "0.2")]),
        ({"url": "http://a"}, [("http://a", "JSONRPC", "0.3"), ("http://a", "JSONRPC", "")]),
        (
            {
                "url": "http://old",
                "protocolVersion": "0.3.0",
                "additionalInterfaces": [{"url": "http://old/r", "transport": "HTTP+JSON"}],
                "supportedInterfaces": [
                    {"url": "http://new/x", "protocolBinding": "CARRIER-PIGEON", "protocolVersion": "1.0"},
                    {"url": "javascript:1", "protocolBinding": "JSONRPC", "protocolVersion": "1.0"},
                    {"url": "http://new", "protocolBinding": "HTTP+JSON", "protocolVersion": "1.0"},
                ],
            },
            [
                ("http://new", "HTTP+JSON", "1.0"),
                ("http://old", "JSONRPC", "0.3"),
                ("http://old/r", "HTTP+JSON", "0.3"),
            ],
        ),
    ],
    ids=["1.0.1", "0.3 rest", "0.2", "no version", "all at once"],
)
def test_interfaces(members: dict[str, Any], expected: list[tuple[str, str, str]]) -> None:
    card = read_card({**CARD, **members}, "http://x")
    assert [(each.url, each.binding, each.version) for each in card.interfaces] == expected


@pytest.mark.parametrize(
    ("schemes", "header"),
    [
        ({}, ""),
        ({"k": {"apiKeySecurityScheme": {"location": "header", "name": "X-Key"}}}, "X-Key"),
        ({"k": {"type": "apiKey", "in": "header", "name": "X-Key"}}, "X-Key"),
        ({"k": {"type": "apiKey", "in": "query", "name": "key"}}, ""),
        ({"k": {"type": "apiKey", "in": "header", "name": "Host"}}, ""),
        ({"k": {"type": "apiKey", "in": "header", "name": "a\r\nb"}}, ""),
        (
            {
                "k": {"type": "apiKey", "in": "header", "name": "X-Key"},
                "b": {"httpAuthSecurityScheme": {"scheme": "Bearer"}},
            },
            "",
        ),
    ],
    ids=["none", "1.0", "0.3", "query", "host", "injection", "bearer is there"],
)
def test_where_a_key_goes(schemes: dict[str, Any], header: str) -> None:
    assert read_card({**CARD, "url": "http://a", "securitySchemes": schemes}, "http://x").key_header == header


@pytest.mark.parametrize(
    ("status", "body", "code"),
    [
        (
            404,
            b'{"error":{"code":404,"status":"NOT_FOUND","message":"m","details":[{"@type":"x.ErrorInfo","reason":"TASK_NOT_FOUND"}]}}',
            "task_not_found",
        ),
        (400, b'{"jsonrpc":"2.0","id":1,"error":{"code":-32009,"message":"m"}}', "version_not_supported"),
        (404, b'{"type":"TaskNotFoundError","message":"m"}', "task_not_found"),
        (400, b'{"code":-32002,"message":"m"}', "task_not_cancelable"),
        (422, b'{"title":"t","code":"refused","detail":"m"}', "refused"),
        (502, b"<html>", "http_502"),
    ],
    ids=["1.0 rest", "rpc", "0.3 rest", "bare rpc", "rfc9457", "proxy"],
)
def test_refusals(status: int, body: bytes, code: str) -> None:
    problem = http_problem(status, {}, body)
    assert (problem.code, problem.status) == (code, status)
