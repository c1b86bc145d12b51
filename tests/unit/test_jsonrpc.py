"""wire/jsonrpc.py: one typed pass, and the exact error for what it refuses."""

from __future__ import annotations

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from a2a_cloud.model.problem import (
    Busy,
    InvalidParams,
    InvalidRequest,
    Malformed,
    Problem,
    TaskNotFound,
)
from a2a_cloud.wire import jsonrpc
from a2a_cloud.wire.json_text import MAX_DEPTH, check_text, depth_over

MESSAGE = '{"messageId":"m","role":"ROLE_USER","parts":[{"text":"hi"}]}'


def rpc(method: str, params: str | None, rpc_id: str | None = '"1"') -> bytes:
    id_member = "" if rpc_id is None else f'"id":{rpc_id},'
    tail = "" if params is None else f',"params":{params}'
    return f'{{"jsonrpc":"2.0",{id_member}"method":"{method}"{tail}}}'.encode()


def test_what_another_generation_may_know_is_handed_on() -> None:
    assert jsonrpc.decode(rpc("tasks/send", '{"id":"x"}')) == jsonrpc.Other(
        b'"1"', "tasks/send", b'{"id":"x"}'
    )
    assert jsonrpc.decode(rpc("nonsense", None, "7")) == jsonrpc.Other(b"7", "nonsense", b"{}")


def refused(body: bytes) -> jsonrpc.Undecodable:
    decoded = jsonrpc.decode(body)
    assert isinstance(decoded, jsonrpc.Undecodable), decoded
    return decoded


@pytest.mark.parametrize("rpc_id", ['"a"', "1", "-7", "null", "1.5", '"\\u00e9\\""'])
def test_the_id_comes_back_as_it_was(rpc_id: str) -> None:
    decoded = jsonrpc.decode(rpc("GetTask", '{"id":"t"}', rpc_id))
    assert not isinstance(decoded, jsonrpc.Undecodable)
    assert decoded[0] == rpc_id.encode()
    answer = msgspec.json.decode(jsonrpc.result(decoded[0], b'{"x":1}'))
    assert answer == {"jsonrpc": "2.0", "id": msgspec.json.decode(rpc_id), "result": {"x": 1}}


@pytest.mark.parametrize("rpc_id", ["true", "{}", "[1]", '"' + "x" * 300 + '"'])
def test_an_id_of_another_kind_is_refused(rpc_id: str) -> None:
    answer = refused(rpc("GetTask", '{"id":"t"}', rpc_id))
    assert answer.id == b"null"
    assert type(answer.problem) is InvalidRequest


@pytest.mark.parametrize(
    ("body", "problem", "answer_id"),
    [
        (b"{", Malformed, b"null"),
        (b'{"jsonrpc":"2.0"', Malformed, b"null"),
        (b"[]", InvalidRequest, b"null"),
        (b"[" + rpc("GetTask", '{"id":"t"}') + b"]", InvalidRequest, b"null"),
        (b"5", InvalidRequest, b"null"),
        (b'{"jsonrpc":"1.0","id":4,"method":"GetTask","params":{"id":"t"}}', InvalidRequest, b"4"),
        (b'{"id":4,"method":"GetTask","params":{"id":"t"}}', InvalidRequest, b"4"),
        (b'{"jsonrpc":"2.0","id":4}', InvalidRequest, b"4"),
        (b'{"jsonrpc":"2.0","id":4,"method":5}', InvalidRequest, b"4"),
        (rpc("GetTask", None), InvalidParams, b'"1"'),
        (rpc("GetTask", "[1]"), InvalidParams, b'"1"'),
        (rpc("GetTask", '{"id":5}'), InvalidParams, b'"1"'),
        (rpc("SendMessage", "{}"), InvalidParams, b'"1"'),
        (rpc("SendMessage", '{"message":{"messageId":"m","role":"BOSS","parts":[]}}'), InvalidParams, b'"1"'),
    ],
)
def test_each_way_to_be_wrong_has_its_error(body: bytes, problem: type[Problem], answer_id: bytes) -> None:
    answer = refused(body)
    assert type(answer.problem) is problem
    assert answer.id == answer_id


def test_params_may_be_absent_where_nothing_is_required() -> None:
    decoded = jsonrpc.decode(rpc("ListTasks", None))
    assert not isinstance(decoded, jsonrpc.Undecodable)
    decoded = jsonrpc.decode(rpc("ListTasks", "null"))
    assert not isinstance(decoded, jsonrpc.Undecodable)


def test_members_may_come_in_any_order() -> None:
    body = f'{{"params":{{"message":{MESSAGE}}},"method":"SendMessage","id":1,"jsonrpc":"2.0"}}'.encode()
    decoded = jsonrpc.decode(body)
    assert not isinstance(decoded, jsonrpc.Undecodable)
    assert isinstance(decoded[1], jsonrpc.SendMessage)


def test_error_info_leads_the_data() -> None:
    error = msgspec.json.decode(jsonrpc.error(b"7", TaskNotFound(info={"taskId": "t"})))
    assert error["id"] == 7
    assert error["error"]["code"] == -32001
    assert error["error"]["data"][0] == {
        "@type": "type.googleapis.com/google.rpc.ErrorInfo",
        "reason": "TASK_NOT_FOUND",
        "domain": "a2a-protocol.org",
        "metadata": {"taskId": "t"},
    }


def test_what_only_the_operator_may_know_stays_inside() -> None:
    body = jsonrpc.error(b"1", Busy("Too many.", operator="secret 42", retry_after=2.5))
    assert b"secret" not in body
    assert b'"retryDelay":"2.5s"' in body


@given(st.binary(max_size=200))
def test_any_bytes_get_an_answer(body: bytes) -> None:
    try:
        check_text(body)
    except Problem:
        return
    decoded = jsonrpc.decode(body)
    if isinstance(decoded, jsonrpc.Undecodable):
        msgspec.json.decode(jsonrpc.error(decoded.id, decoded.problem))


json_values = st.recursive(
    st.none() | st.booleans() | st.integers(-(2**53), 2**53) | st.text(max_size=20),
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(st.text(max_size=10), inner, max_size=4),
    max_leaves=12,
)


@given(
    st.sampled_from(["SendMessage", "GetTask", "ListTasks", "SubscribeToTask", "x"]), json_values, json_values
)
def test_any_request_object_gets_an_answer(method: str, params: object, rpc_id: object) -> None:
    body = msgspec.json.encode({"jsonrpc": "2.0", "id": rpc_id, "method": method, "params": params})
    decoded = jsonrpc.decode(body)
    if isinstance(decoded, jsonrpc.Undecodable):
        msgspec.json.decode(jsonrpc.error(decoded.id, decoded.problem))


# --- json_text ----------------------------------------------------------------------------------------


def nested(depth: int, opening: str = "[", closing: str = "]") -> bytes:
    return (opening * depth + closing * depth).encode()


def test_depth_is_exact() -> None:
    assert not depth_over(nested(MAX_DEPTH), MAX_DEPTH)
    assert depth_over(nested(MAX_DEPTH + 1), MAX_DEPTH)
    mixed = b'{"a":[' * 32 + b"1" + b"]}" * 32
    assert not depth_over(mixed, MAX_DEPTH)
    assert depth_over(b"[" + mixed + b"]", MAX_DEPTH)


def test_wide_is_not_deep() -> None:
    wide = b"[" + b",".join([b'{"a":[]}'] * 5000) + b"]"
    check_text(wide)


def test_brackets_in_strings_do_not_count() -> None:
    check_text(msgspec.json.encode({"a": "[" * 500 + '"\\' + "{" * 500}))


def test_too_deep_is_refused() -> None:
    with pytest.raises(InvalidRequest):
        check_text(nested(MAX_DEPTH + 1))


@pytest.mark.parametrize("body", [b'{"a":"\xff"}', b'{"a":"\xc3"}', b'"\xed\xa0\x80"'])
def test_what_is_not_utf8_is_refused(body: bytes) -> None:
    with pytest.raises(Malformed):
        check_text(body)


@given(st.text(alphabet='[]{}"\\a', max_size=400))
def test_the_depth_scan_ends_for_any_text(text: str) -> None:
    depth_over(text.encode() * 3, MAX_DEPTH)


@given(json_values)
def test_depth_agrees_with_a_plain_count(value: object) -> None:
    def depth(item: object) -> int:
        if isinstance(item, dict):
            return 1 + max((depth(v) for v in item.values()), default=0)
        if isinstance(item, list):
            return 1 + max((depth(v) for v in item), default=0)
        return 0

    body = msgspec.json.encode(value)
    for limit in range(5):
        assert depth_over(body, limit) is (depth(value) > limit)
