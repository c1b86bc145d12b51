"""Skills' schemas as MCP wants them, and what a run put out as its content."""

from __future__ import annotations

import base64
import json
from typing import Any

import jsonschema_rs
import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st
from msgspec import Raw

from a2a_cloud.model.release import FileParam, SkillSpec
from a2a_cloud.model.run import (
    ArtifactEvent,
    AttemptEvent,
    ProgressEvent,
    ResultEvent,
    StatusEvent,
    TextEvent,
)
from a2a_cloud.model.task import Artifact, ObjectRef, Part, TaskState
from a2a_cloud.wire import mcp_content as content
from a2a_cloud.wire import mcp_schema as schema

STRING = {"type": "string"}


def spec(inputs: Any = None, output: Any = None, **more: Any) -> SkillSpec:
    """A skill with these schemas."""
    return SkillSpec(
        id="skill",
        name="Skill",
        description="Does it.",
        input_schema=Raw(json.dumps(inputs or {"type": "object"}).encode()),
        output_schema=Raw(json.dumps({} if output is None else output).encode()),
        **more,
    )


# --- tools ------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("output", "wrapped", "shown"),
    [
        ({}, False, None),
        (True, False, None),
        ({"type": "null"}, False, None),
        (
            {"type": "object", "properties": {"a": STRING}},
            False,
            {"type": "object", "properties": {"a": STRING}},
        ),
        (STRING, True, {"type": "object", "properties": {"result": STRING}, "required": ["result"]}),
        (
            {"$ref": "#/$defs/A", "$defs": {"A": {"type": "object", "properties": {"a": STRING}}}},
            False,
            {
                "type": "object",
                "properties": {"a": STRING},
                "$defs": {"A": {"type": "object", "properties": {"a": STRING}}},
            },
        ),
        (
            {"type": "array", "items": {"$ref": "#/$defs/A"}, "$defs": {"A": STRING}},
            True,
            {
                "type": "object",
                "properties": {"result": {"type": "array", "items": {"$ref": "#/$defs/A"}}},
                "required": ["result"],
                "$defs": {"A": STRING},
            },
        ),
        (
            {"anyOf": [{"type": "object"}, {"type": "null"}]},
            True,
            {
                "type": "object",
                "properties": {"result": {"anyOf": [{"type": "object"}, {"type": "null"}]}},
                "required": ["result"],
            },
        ),
        ({"$ref": "#/$defs/A", "$defs": {"A": {"$ref": "#/$defs/A"}}}, True, None),
    ],
    ids=["any", "true", "null", "object", "string", "ref", "list", "optional", "circle"],
)
def test_what_a_tool_gives_is_an_object(output: Any, wrapped: bool, shown: Any) -> None:
    assert schema.wraps(spec(output=output)) is wrapped
    if shown is not None or not wrapped:
        assert schema.output_schema(spec(output=output)) == shown


def test_files_stand_among_the_parameters() -> None:
    files = [FileParam("one", media_types=["text/*"], description="A text."), FileParam("many", False, True)]
    shown = schema.input_schema(
        spec({"type": "object", "properties": {"a": STRING}, "required": ["a"]}, files=files)
    )
    assert shown["required"] == ["a", "one"]
    assert shown["properties"]["many"]["items"]["properties"].keys() == {
        "text",
        "data",
        "uri",
        "filename",
        "mediaType",
    }
    assert "(text/*)" in shown["properties"]["one"]["description"]


# --- questions --------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("asked", "how", "fields"),
    [
        (True, "answer", {"answer": STRING}),
        ({}, "answer", {"answer": STRING}),
        (STRING, "answer", {"answer": STRING}),
        (
            {"type": "string", "format": "uuid", "pattern": "x"},
            "answer",
            {"answer": {"type": "string", "pattern": "x"}},
        ),
        ({"type": "string", "format": "email"}, "answer", {"answer": {"type": "string", "format": "email"}}),
        ({"enum": ["a", "b"]}, "answer", {"answer": {"type": "string", "enum": ["a", "b"]}}),
        ({"enum": ["a", 1]}, "json", None),
        ({"type": "boolean", "default": True}, "answer", {"answer": {"type": "boolean", "default": True}}),
        ({"anyOf": [STRING, {"type": "null"}]}, "answer", {"answer": STRING}),
        ({"anyOf": [STRING, {"type": "integer"}]}, "json", None),
        (
            {"oneOf": [{"const": "a", "title": "A"}, {"const": "b"}]},
            "answer",
            {
                "answer": {
                    "type": "string",
                    "oneOf": [{"const": "a", "title": "A"}, {"const": "b", "title": "b"}],
                }
            },
        ),
        (
            {"type": "array", "items": {"enum": ["a"]}, "maxItems": 1},
            "answer",
            {"answer": {"type": "array", "items": {"type": "string", "enum": ["a"]}, "maxItems": 1}},
        ),
        ({"type": "array", "items": STRING}, "json", None),
        ({"type": "object", "properties": {"a": STRING}}, "content", {"a": STRING}),
        ({"type": "object", "properties": {"a": {"type": "object"}}}, "json", None),
        (
            {"$ref": "#/$defs/A", "$defs": {"A": {"type": "integer", "minimum": 1}}},
            "answer",
            {"answer": {"type": "integer", "minimum": 1}},
        ),
    ],
    ids=str,
)
def test_a_question_is_a_form_of_one_level(asked: Any, how: str, fields: Any) -> None:
    form = schema.form(asked)
    assert form.how == how
    if fields is not None:
        assert form.schema["properties"] == fields
    else:
        assert form.schema["properties"]["answer"]["type"] == "string"


@given(
    st.recursive(
        st.sampled_from(
            [
                {"type": "string"},
                {"type": "integer"},
                {"enum": ["a", "b"]},
                {"const": 1},
                True,
                {},
                {"type": "null"},
            ]
        ),
        lambda inner: (
            st.builds(lambda items: {"type": "array", "items": items}, inner)
            | st.builds(lambda arms: {"anyOf": arms}, st.lists(inner, min_size=1, max_size=3))
            | st.builds(
                lambda fields: {"type": "object", "properties": fields},
                st.dictionaries(st.text(max_size=3), inner, max_size=3),
            )
        ),
        max_leaves=8,
    )
)
def test_any_question_is_a_valid_form(asked: Any) -> None:
    form = schema.form(asked)
    jsonschema_rs.validator_for(form.schema)
    assert form.schema["type"] == "object"
    for one in form.schema["properties"].values():
        assert one["type"] in ("string", "number", "integer", "boolean", "array")


def test_answers_come_out_of_forms() -> None:
    assert schema.form(True).value({"answer": "x"}) == "x"
    assert schema.form({"type": "array", "items": STRING}).value({"answer": '["a"]'}) == ["a"]
    assert schema.form({"type": "array", "items": STRING}).value({"answer": "no json"}) == "no json"
    assert schema.form({"type": "object", "properties": {"a": STRING}}).value({"a": "x"}) == {"a": "x"}
    assert schema.form({"anyOf": [STRING, {"type": "null"}]}).value({}) is None


# --- content ----------------------------------------------------------------------------------------------


def test_an_attempt_makes_void_what_was_before() -> None:
    events: list[Any] = [
        (1, TextEvent(delta="gone")),
        (2, ArtifactEvent(artifact=Artifact("a", [Part(text="gone")]))),
        (3, AttemptEvent(attempt=2, why="x")),
        (4, ArtifactEvent(artifact=Artifact("b", [Part(text="1")]), last=False)),
        (5, ArtifactEvent(artifact=Artifact("b", [Part(text="2")]), append=True)),
        (6, ProgressEvent(stage="s", message="m")),
        (7, ResultEvent(value=Raw(b"[1]"))),
    ]
    found = content.made(events)
    assert found.text == ""
    assert [(one.artifact_id, len(one.parts)) for one in found.artifacts] == [("b", 2)]
    assert found.progress == "s: m"
    assert content.made([*events, (8, StatusEvent(state=TaskState.COMPLETED, at=1.0))]).progress == ""
    assert content.returned(found, wrap=True) == ([{"type": "text", "text": "[1]"}], {"result": [1]})
    assert content.returned(found, wrap=False) == ([{"type": "text", "text": "[1]"}], None)


@pytest.mark.parametrize(
    ("part", "body", "kind"),
    [
        (Part(text="x"), b"x", "resource"),
        (Part(raw="AAAA", media_type="image/png"), b"\0\0\0", "image"),
        (Part(raw="AAAA", media_type="audio/wav; rate=1"), b"\0\0\0", "audio"),
        (Part(data=Raw(b"{}")), b"{}", "resource"),
        (Part(object=ObjectRef("0" * 64, 9), media_type="image/png"), None, "resource_link"),
        (Part(url="https://example.com/x"), None, "resource_link"),
    ],
    ids=["text", "image", "audio", "data", "object", "address"],
)
def test_a_part_is_content_of_its_kind(part: Part, body: bytes | None, kind: str) -> None:
    block = content.block(part, body, "artifact:///r/a", "a")
    assert block["type"] == kind
    json.dumps(block)


@given(st.text(min_size=1, max_size=60), st.text(min_size=1, max_size=60))
def test_uris_lead_back(run: str, artifact: str) -> None:
    uri = content.artifact_uri(run, artifact)
    assert uri.isascii()
    assert content.read_artifact_uri(uri) == (run, artifact)
    assert content.read_task_uri(content.task_uri(run)) == run


@pytest.mark.parametrize(
    "uri", ["", "artifact:///", "artifact:///r", "artifact:///r/", "artifact:////a", "task:///", "http://x"]
)
def test_uris_that_lead_nowhere(uri: str) -> None:
    assert content.read_artifact_uri(uri) is None
    assert content.read_task_uri(uri) is None


def test_text_that_is_none_is_a_blob() -> None:
    assert content.contents("u", "text/plain", b"\xff")["blob"] == base64.b64encode(b"\xff").decode()
    assert content.contents("u", "image/svg+xml", b"<svg/>")["text"] == "<svg/>"
    msgspec.json.encode(content.contents("u", "x/y", b""))
