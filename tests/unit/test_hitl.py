"""Questions and approvals in the words of the hitl extension: wire/hitl.py."""

from __future__ import annotations

from typing import Any

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st
from msgspec import Raw

from a2a_cloud.model.card import HITL
from a2a_cloud.model.problem import InvalidParams
from a2a_cloud.model.task import Message, Part, Role
from a2a_cloud.wire import hitl
from a2a_cloud.wire.json_schema import fits

OBJECT = {
    "$ref": "#/$defs/Size",
    "$defs": {
        "Size": {
            "type": "object",
            "properties": {
                "width": {"type": "integer", "description": "in mm"},
                "side": {"$ref": "#/$defs/Side"},
                "sides": {"type": "array", "items": {"$ref": "#/$defs/Side"}},
                "note": {"anyOf": [{"type": "string"}, {"type": "null"}]},
                "sure": {"type": "boolean"},
                "free": {"type": "object"},
            },
            "required": ["width"],
        },
        "Side": {"enum": ["left", "right", 3]},
    },
}


def encoded(value: Any) -> bytes:
    return msgspec.json.encode(value)


def said(payload: Any, extensions: list[str] | None = None) -> Message:
    return Message(
        "m",
        Role.USER,
        [Part(text="see the metadata")],
        metadata=Raw(encoded({"other": 1, HITL: payload})),
        extensions=[HITL] if extensions is None else extensions,
    )


def test_an_object_is_asked_property_by_property() -> None:
    request = hitl.ask_request("run_1.4", "Which size?", encoded(OBJECT))
    assert (request["type"], request["id"]) == ("ask_user_request", "run_1.4")
    assert request["questions"] == [
        {"question": "Which size? — width: in mm", "choices": [], "multiple": False},
        {"question": "Which size? — side", "choices": ["left", "right", "3"], "multiple": False},
        {"question": "Which size? — sides", "choices": ["left", "right", "3"], "multiple": True},
        {"question": "Which size? — note", "choices": [], "multiple": False},
        {"question": "Which size? — sure", "choices": ["yes", "no"], "multiple": False},
        {"question": "Which size? — free", "choices": [], "multiple": False},
    ]
    answers = [["30"], ["3"], ["left", "right"], ["null and void"], ["No"], ['{"a": [1]}']]
    value = hitl.value_of(encoded(OBJECT), answers)
    assert value == {
        "width": 30,
        "side": 3,
        "sides": ["left", "right"],
        "note": "null and void",
        "sure": False,
        "free": {"a": [1]},
    }
    assert fits(encoded(OBJECT), value)
    assert hitl.value_of(encoded(OBJECT), [["7"], [], [], [], [], []]) == {"width": 7}


@pytest.mark.parametrize(
    ("schema", "texts", "value"),
    [
        ({"type": "string"}, ["30"], "30"),
        ({"type": "string"}, ["yes"], "yes"),
        ({}, ["text"], "text"),
        (True, ["text"], "text"),
        ({"type": "boolean"}, ["yes"], True),
        ({"type": "boolean"}, ["FALSE"], False),
        ({"type": "integer"}, ["12"], 12),
        ({"type": "integer"}, ["twelve"], "twelve"),
        ({"type": "array", "items": {"type": "integer"}}, ["1", "2"], [1, 2]),
        ({"type": "array"}, [], []),
        ({"type": "null"}, ["null"], None),
        ({"type": "object", "properties": {}}, ["{}"], {}),
    ],
    ids=str,
)
def test_an_answer_takes_the_type_of_its_question(schema: Any, texts: list[str], value: Any) -> None:
    assert hitl.value_of(encoded(schema), [texts]) == value


def test_every_question_has_its_answer() -> None:
    with pytest.raises(InvalidParams, match="6 questions, and 1"):
        hitl.value_of(encoded(OBJECT), [["30"]])
    with pytest.raises(InvalidParams, match="1 questions, and 2"):
        hitl.value_of(b"{}", [["a"], ["b"]])


def test_responses_are_read() -> None:
    decided = said(
        {
            "type": "tool_approval_response",
            "approvals": [{"id": "appr_1", "approved": False, "rejection_reason": "no"}],
        }
    )
    assert hitl.response_in(decided) == hitl.Decision("appr_1", False, "no")
    answered = said({"type": "ask_user_response", "id": "q", "answers": [{"answer": ["a", "b"]}, {}]})
    assert hitl.response_in(answered) == hitl.Answers("q", [["a", "b"], []])


def test_a_message_without_a_response_is_an_ordinary_one() -> None:
    plain = Message("m", Role.USER, [Part(text="a")])
    assert hitl.response_in(plain) is None
    assert hitl.response_in(msgspec.structs.replace(plain, extensions=[HITL])) is None
    assert hitl.response_in(msgspec.structs.replace(plain, extensions=[HITL], metadata=Raw(b"{}"))) is None
    # One that does not name the extension says nothing in its words.
    assert hitl.response_in(said({"type": "anything"}, extensions=["urn:other"])) is None


@pytest.mark.parametrize(
    "payload",
    [
        None,
        [],
        {},
        {"type": "ask_user_request", "id": "q"},
        {"type": "ask_user_response"},
        {"type": "ask_user_response", "id": "q", "answers": [{"answer": "a"}]},
        {"type": "tool_approval_response"},
        {"type": "tool_approval_response", "approvals": []},
        {"type": "tool_approval_response", "approvals": [{"id": "a"}]},
        {"type": "tool_approval_response", "approvals": [{"id": "a", "approved": "yes"}]},
        {"type": "tool_approval_response", "approvals": [{"id": "a", "approved": True}] * 2},
        {
            "type": "tool_approval_response",
            "approvals": [{"id": "a", "approved": True, "rejection_reason": "but"}],
        },
    ],
    ids=repr,
)
def test_what_can_not_be_read_is_refused(payload: Any) -> None:
    with pytest.raises(InvalidParams):
        hitl.response_in(said(payload))


@given(
    st.recursive(
        st.none() | st.booleans() | st.text(max_size=5),
        lambda inner: (
            st.lists(inner)
            | st.dictionaries(st.sampled_from(["type", "id", "answers", "approvals", "answer"]), inner)
        ),
    )
)
def test_a_reader_raises_problems_alone(payload: Any) -> None:
    try:
        hitl.response_in(said(payload))
    except InvalidParams:
        return


def test_a_request_goes_into_the_metadata_that_is_there() -> None:
    message = Message("m", Role.AGENT, [Part(text="?")], metadata=Raw(b'{"a2a-cloud/question":{}}'))
    payload = hitl.approval_request("appr_1", "run_1.2", "The run asks.", {"read": ["a/**"]})
    hitl.carry(message, payload)
    assert isinstance(message.metadata, Raw)
    assert msgspec.json.decode(message.metadata) == {"a2a-cloud/question": {}, HITL: payload}
    assert message.extensions == [HITL]
    bare = Message("m", Role.AGENT, [Part(text="?")])
    hitl.carry(bare, payload)
    assert isinstance(bare.metadata, Raw)
    assert msgspec.json.decode(bare.metadata) == {HITL: payload}
    assert payload["tools"] == [
        {"id": "appr_1", "call_id": "run_1.2", "name": "request_scope", "args": {"read": ["a/**"]}}
    ]
