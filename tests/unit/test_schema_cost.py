"""What a check against a schema may cost: references that double are refused, those that people write not."""

from __future__ import annotations

import json
from typing import Any

import pytest

from a2a_cloud.wire.json_schema import BadSchema, Misfit, check, compiled, fits
from a2a_cloud.wire.schema_cost import MOST_OF_PLACE, Plan


def text(schema: Any) -> bytes:
    return json.dumps(schema).encode()


def doubling(levels: int, word: str = "allOf") -> dict[str, Any]:
    parts = {
        f"a{n}": {word: [{"$ref": f"#/$defs/a{n + 1}"}, {"$ref": f"#/$defs/a{n + 1}"}]} for n in range(levels)
    }
    return {"$ref": "#/$defs/a0", "$defs": {**parts, f"a{levels}": {"type": "string"}}}


def nested(depth: int, name: str = "x") -> Any:
    value: Any = {}
    for _ in range(depth):
        value = {name: value}
    return value


@pytest.mark.parametrize("word", ["allOf", "anyOf", "oneOf"])
def test_references_that_double_are_refused(word: str) -> None:
    assert fits(text(doubling(4, word)), 3) is False
    with pytest.raises(BadSchema, match=str(MOST_OF_PLACE)):
        compiled(text(doubling(20, word)))


@pytest.mark.parametrize("name", ["#/$defs/b", "#b", "other", "http://e.example/x#/$defs/b", "other#b"])
def test_however_a_part_is_named(name: str) -> None:
    many: Any = [{"$ref": "#/$defs/c"}] * 50
    part: Any = {"$id": "other", "$anchor": "b", "allOf": many, "$defs": {"c": {"not": {}}}}
    anchored: Any = {"$anchor": "b", "allOf": [{"not": {"type": "null"}}] * 50}
    inner = part if name.startswith("other") else {**part, "$id": "http://e.example/x/b"}
    inner = anchored if name == "#b" else inner
    schema: Any = {"$id": "http://e.example/x", "allOf": [{"$ref": name}] * 50, "$defs": {"b": inner}}
    with pytest.raises(BadSchema, match="unfold"):
        compiled(text(schema))


def twice(levels: int, end: Any = True) -> dict[str, Any]:
    """`t0` looks at `t1` twice, and so on."""
    parts = {
        f"t{n}": {"anyOf": [{"not": {"$ref": f"#/$defs/t{n + 1}"}}, {"$ref": f"#/$defs/t{n + 1}"}]}
        for n in range(levels)
    }
    return {**parts, f"t{levels}": end}


def test_a_pointer_through_another_resource() -> None:
    """What is refered to below an `$id` has that base, and the outer one says otherwise."""
    inner = {"$id": "http://b/", "$defs": {"in": {"$ref": "#/$defs/t0"}, **twice(26, {"type": "string"})}}
    schema = {"$id": "http://a/", "$ref": "#/$defs/n/$defs/in", "$defs": {"n": inner, "t0": True}}
    with pytest.raises(BadSchema, match="not clear"):
        compiled(text(schema))


def dynamic(words: dict[str, Any], reference: dict[str, Any]) -> dict[str, Any]:
    """An outer resource with the costly meaning, and an inner one with the cheap one."""
    inner = {"$id": "http://b/", **reference, "$defs": {"x": words}}
    costly = {**words, "$ref": "http://a/#/$defs/t0"}
    return {
        "$id": "http://a/",
        "allOf": [{"$ref": "http://b/"}],
        "$defs": {"y": costly, "n": inner, **twice(24)},
    }


@pytest.mark.parametrize(
    ("words", "reference"),
    [
        ({"$dynamicAnchor": "x"}, {"$dynamicRef": "#x"}),
        ({"$recursiveAnchor": True}, {"$recursiveRef": "#"}),
    ],
)
def test_dynamic_references_with_two_meanings(words: dict[str, Any], reference: dict[str, Any]) -> None:
    with pytest.raises(BadSchema, match="not clear"):
        compiled(text(dynamic(words, reference)))


def test_one_dynamic_anchor_is_a_name_as_any() -> None:
    tree = {"$dynamicAnchor": "node", "properties": {"next": {"$dynamicRef": "#node"}}, "type": "object"}
    assert fits(text(tree), {"next": {"next": {}}})
    assert not fits(text(tree), {"next": {"next": 3}})


@pytest.mark.parametrize("place", ["$defs", "properties", "other"])
def test_two_parts_of_one_name(place: str) -> None:
    """Whoever checks may take the other one."""
    anchored = {"$anchor": "x", "$ref": "#/$defs/t0"}
    cheap = {"$anchor": "x"}
    schema = {"$ref": "#x", "$defs": {"cheap": cheap, **twice(24)}, place: {"default": anchored}}
    if place == "$defs":
        schema["$defs"] = {"cheap": cheap, "default": anchored, **twice(24)}
    with pytest.raises(BadSchema):
        compiled(text(schema))


def test_the_metaschema_with_a_part_of_ones_own() -> None:
    meta = {"$ref": "https://json-schema.org/draft/2020-12/schema"}
    assert fits(text({"properties": {"schema": meta}}), {"schema": {"type": "string"}})
    with pytest.raises(BadSchema, match="not clear"):
        compiled(text({"$dynamicAnchor": "meta", "allOf": [meta, meta]}))


def test_what_names_nothing_or_itself() -> None:
    with pytest.raises(BadSchema):
        compiled(text({"$ref": "#/$defs/none"}))
    with pytest.raises(BadSchema, match="itself"):
        compiled(text({"allOf": [{"$ref": "#"}]}))
    chain = {str(n): {"$ref": f"#/$defs/{n + 1}"} for n in range(5000)}
    with pytest.raises(BadSchema, match="unfold"):
        compiled(text({"$ref": "#/$defs/0", "$defs": {**chain, "5000": {}}}))


def test_doubling_with_depth_is_counted_along_the_value() -> None:
    schema = text({"properties": {"x": {"allOf": [{"$ref": "#"}, {"$ref": "#"}]}}, "required": ["x"]})
    assert fits(schema, nested(3)) is False  # The innermost has no x.
    with pytest.raises(Misfit, match="nested too deeply"):
        check(schema, nested(60))
    assert not fits(schema, nested(60))


def test_doubling_through_parts_of_their_own() -> None:
    """Two different parts of each level lead on to both of the next."""
    defs = {
        f"{side}{n}": {
            "properties": {"x": {"allOf": [{"$ref": f"#/$defs/l{n + 1}"}, {"$ref": f"#/$defs/r{n + 1}"}]}}
        }
        for n in range(50)
        for side in "lr"
    }
    schema = text({"$ref": "#/$defs/l0", "$defs": {**defs, "l50": {}, "r50": {}}})
    check(schema, nested(5))
    with pytest.raises(Misfit, match="nested too deeply"):
        check(schema, nested(45))


@pytest.mark.parametrize("word", ["additionalProperties", "unevaluatedProperties"])
def test_any_name_meets_each_name(word: str) -> None:
    both = {"anyOf": [{"properties": {"x": {"$ref": "#"}}}, {word: {"$ref": "#"}}]}
    assert Plan(both).counted
    assert Plan({"anyOf": [{"patternProperties": {"x": {"$ref": "#"}}}, {word: {"$ref": "#"}}]}).counted


def test_schemas_that_people_write() -> None:
    tree = {
        "$ref": "#/$defs/Node",
        "$defs": {
            "Node": {
                "type": "object",
                "properties": {
                    "left": {"anyOf": [{"$ref": "#/$defs/Node"}, {"type": "null"}]},
                    "right": {"anyOf": [{"$ref": "#/$defs/Node"}, {"type": "null"}]},
                },
            }
        },
    }
    assert not Plan(tree).counted
    check(text(tree), nested(60, "left"))
    assert not Plan({"properties": {"a": {"type": "array", "items": {"type": "string"}}}}).counted
    of = {"items": {"$ref": "#/$defs/Term"}}
    terms = {
        "$ref": "#/$defs/Term",
        "$defs": {
            "Term": {"anyOf": [{"$ref": "#/$defs/Sum"}, {"$ref": "#/$defs/Product"}, {"type": "number"}]},
            "Sum": {"properties": {"op": {"const": "+"}, "of": of}, "required": ["op"]},
            "Product": {"properties": {"op": {"const": "*"}, "of": of}, "required": ["op"]},
        },
    }
    assert Plan(terms).counted
    value: Any = 1
    for level in range(10):
        value = {"op": "+*"[level % 2], "of": [value, 2]}
    check(text(terms), value)
    check(text({"$ref": "https://json-schema.org/draft/2020-12/schema"}), terms)
