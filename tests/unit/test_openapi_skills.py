"""Skills in an OpenAPI document: their schemas are components, references lead there, examples fit."""

from __future__ import annotations

import json
from typing import Any

import msgspec
import pytest
from openapi_spec_validator import OpenAPIV31SpecValidator, validate

from a2a_cloud.model.release import FileParam, Manifest, Release, SkillSpec, Visibility
from a2a_cloud.surface.arguments import Gates
from a2a_cloud.wire.openapi import document

TEXT = {"type": "string"}


def spec(name: str, takes: Any, gives: Any = True, **more: Any) -> SkillSpec:
    return SkillSpec(
        name,
        name,
        "",
        msgspec.Raw(json.dumps(takes).encode()),
        msgspec.Raw(json.dumps(gives).encode()),
        **more,
    )


def described(*skills: SkillSpec, visibility: Visibility = Visibility.ORG) -> Any:
    manifest = Manifest(name="one", entry="agent", visibility=visibility)
    release = Release(1, 1, 1, "default", 1, "", "", manifest, skills)
    gates = Gates()
    found = document(release, "http://x", lambda one, value: gates.of(release, one).validator.is_valid(value))
    found = json.loads(msgspec.json.encode(found))
    validate(found, cls=OpenAPIV31SpecValidator)
    return found


def of(found: Any, skill: str) -> Any:
    return found["paths"][f"/invoke/{skill}"]["post"]


def schemas(found: Any) -> Any:
    return found["components"]["schemas"]


def takes(**properties: Any) -> dict[str, Any]:
    return {"type": "object", "properties": properties, "required": list(properties)}


def test_equal_definitions_are_one_component_and_others_have_the_skills_name() -> None:
    offer = takes(cents={"type": "integer"})
    other = takes(euros={"type": "integer"})
    with_offer = {**takes(offer={"$ref": "#/$defs/Offer"}), "$defs": {"Offer": {"title": "Offer", **offer}}}
    with_other = {**takes(offer={"$ref": "#/$defs/Offer"}), "$defs": {"Offer": {"title": "Offer", **other}}}
    found = described(spec("buy", with_offer, with_offer), spec("sell", with_other))
    assert schemas(found)["Offer"]["properties"] == offer["properties"]
    assert schemas(found)["buy.output"]["properties"]["offer"] == {"$ref": "#/components/schemas/Offer"}
    assert schemas(found)["sell.input.Offer"] == other
    assert schemas(found)["sell.input"]["properties"]["offer"] == {
        "$ref": "#/components/schemas/sell.input.Offer"
    }


@pytest.mark.parametrize("name", ["Task", "Problem", "Session"])
def test_a_definition_takes_no_name_of_ours(name: str) -> None:
    schema = {**takes(one={"$ref": f"#/$defs/{name}"}), "$defs": {name: takes(own=TEXT)}}
    found = described(spec("go", schema))
    assert schemas(found)[f"go.input.{name}"] == takes(own=TEXT)
    assert schemas(found)[name] != takes(own=TEXT)


def test_references_lead_to_the_document() -> None:
    node = {**takes(next={"anyOf": [{"$ref": "#/$defs/A~1B"}, {"type": "null"}]}), "title": "Node"}
    cat, dog = takes(kind={"const": "cat"}), takes(kind={"const": "dog"})
    pets = {
        "anyOf": [{"$ref": "#/$defs/Cat"}, {"$ref": "#/$defs/Dog"}],
        "discriminator": {"propertyName": "kind", "mapping": {"cat": "#/$defs/Cat", "dog": "#/$defs/Dog"}},
    }
    schema = {
        **takes(node={"$ref": "#/$defs/A~1B"}, pet=pets, same={"$ref": "#/properties/node"}),
        "$defs": {"A/B": node, "Cat": cat, "Dog": dog},
    }
    found = schemas(described(spec("go", schema)))
    assert found["A_B"]["properties"]["next"]["anyOf"][0] == {"$ref": "#/components/schemas/A_B"}
    pet = found["go.input"]["properties"]["pet"]
    assert pet["discriminator"]["mapping"] == {
        "cat": "#/components/schemas/Cat",
        "dog": "#/components/schemas/Dog",
    }
    assert found["go.input"]["properties"]["same"] == {
        "$ref": "#/components/schemas/go.input/properties/node"
    }


def test_what_stands_in_a_default_is_left_alone() -> None:
    value = {"items": True, "properties": {"x": True}}
    schema = takes(one={"default": value, "type": "object"})
    assert schemas(described(spec("go", schema)))["go.input"]["properties"]["one"]["default"] == value


def test_what_generators_do_not_read_is_said_otherwise() -> None:
    schema = {**takes(any=True, none=False, many={"type": "array"}), "additionalProperties": False}
    found = schemas(described(spec("go", schema)))["go.input"]
    assert found["properties"] == {"any": {}, "none": {"not": {}}, "many": {"type": "array", "items": {}}}
    assert found["additionalProperties"] is False


def test_examples_are_the_authors_where_they_fit() -> None:
    schema = takes(text=TEXT, n={"type": "integer", "minimum": 3})
    examples = ["Say this", '{"text": "a", "n": 4}', '{"text": "a", "n": 1}', "[1]"]
    found = of(described(spec("go", schema, text_param="text", examples=examples)), "go")
    values = [
        each["value"] for each in found["requestBody"]["content"]["application/json"]["examples"].values()
    ]
    assert values == [
        {"text": "Say this", "n": 3},
        {"text": "a", "n": 4},
        {"text": "[1]", "n": 3},
        {"text": "hello", "n": 3},
    ]


def test_a_file_is_the_body_and_arguments_are_in_the_query() -> None:
    schema = {**takes(law=TEXT, n={"type": "array", "items": TEXT}), "required": ["law"]}
    files = [FileParam("contract", media_types=["application/pdf", "text/*"])]
    found = of(described(spec("go", schema, files=files)), "go")
    assert list(found["requestBody"]["content"]) == ["application/pdf", "text/*", "application/octet-stream"]
    law, many = found["parameters"][:2]
    assert (law["name"], law["in"], law["required"], law["schema"]) == ("law", "query", True, TEXT)
    assert (many["required"], list(many["content"])) == (False, ["application/json"])


def test_a_skill_that_needs_several_files_is_called_by_a_message() -> None:
    files = [FileParam("a"), FileParam("b")]
    assert "/invoke/go" not in described(spec("go", {"type": "object"}, files=files))["paths"]


def test_a_skill_may_have_the_name_of_an_operation() -> None:
    found = described(spec("getTask", takes(text=TEXT)))
    assert of(found, "getTask")["operationId"] == "invoke_getTask"


def test_security_is_what_is_enforced() -> None:
    plain, hidden = spec("go", takes(text=TEXT)), spec("deep", takes(text=TEXT), extended=True)
    keys = [{"bearer": []}, {"apiKey": []}]
    closed = described(plain)
    assert closed["security"] == keys
    assert closed["paths"]["/sse/{task}"]["get"]["security"] == [{"link": []}, *keys]
    public = described(plain, hidden, visibility=Visibility.PUBLIC)
    assert public["security"] == [{}, *keys]
    assert "security" not in of(public, "go")
    assert of(public, "deep")["security"] == keys
    assert public["paths"]["/sessions"]["post"]["security"] == keys
    assert public["paths"]["/hooks/{skill}/{key}"]["post"]["security"] == [{}]
