"""What a release changes for callers: named changes one by one, and that no break goes unseen."""

from __future__ import annotations

import dataclasses
import json
from collections.abc import Callable
from datetime import date
from typing import Annotated, Any, Literal

import jsonschema_rs
import msgspec
import pydantic
import pytest
from hypothesis import HealthCheck, event, given, settings
from hypothesis import strategies as st

from a2a_cloud.agent.declaration import Declaration
from a2a_cloud.agent.files import File
from a2a_cloud.agent.options import Options
from a2a_cloud.control.deploys.compare import Change, compare, major, needs_new_major
from a2a_cloud.model.release import SkillSpec

Json = Any
ANY: Json = {"type": "object", "properties": {}, "additionalProperties": False}


def spec(**fields: Any) -> SkillSpec:
    """A skill `f` with some fields said."""
    base: dict[str, Any] = {
        "id": "f",
        "name": "F",
        "description": "",
        "input_schema": ANY,
        "output_schema": {},
    }
    return msgspec.json.decode(json.dumps({**base, **fields}), type=SkillSpec)


def declared(function: Callable[..., Any], **options: Any) -> SkillSpec:
    """What the kit reports of a function."""
    one = Declaration(function, Options(id="f", **options), {})
    return msgspec.json.decode(msgspec.json.encode(one.spec()), type=SkillSpec)


def parameter(schema: Json, *, required: bool = True, **defs: Json) -> Json:
    """The input schema of a skill with one parameter `x`."""
    out = {"type": "object", "properties": {"x": schema}, "additionalProperties": False}
    if required:
        out["required"] = ["x"]
    return {**out, "$defs": defs} if defs else out


def inputs(old: Json, new: Json) -> list[Change]:
    return compare([spec(input_schema=old)], [spec(input_schema=new)])


def outputs(old: Json, new: Json) -> list[Change]:
    return compare([spec(output_schema=old)], [spec(output_schema=new)])


def broken(changes: list[Change]) -> list[str]:
    return [change.where for change in changes if change.breaking]


def fine(changes: list[Change]) -> list[str]:
    assert not broken(changes), changes
    return [change.where for change in changes]


# -- skills


def test_skills_come_and_go() -> None:
    one, two = spec(id="one"), spec(id="two")
    assert compare([one], [one]) == []
    assert compare([one, two], [two]) == [Change("one", "", True, "the skill was removed")]
    assert compare([one], [one, two]) == [Change("two", "", False, "the skill is new")]


def test_texts_are_no_change() -> None:
    old = spec(description="a", input_schema=parameter({"type": "string"}))
    new = spec(
        description="b",
        tags=["t"],
        examples=["e"],
        timeout=3.0,
        input_schema=parameter({"type": "string", "description": "said", "title": "X", "default": "d"}),
    )
    assert compare([old], [new]) == []


# -- functions as people change them


def test_parameters() -> None:
    def old(text: str, depth: int = 1) -> str: ...
    def added(text: str, depth: int = 1, more: bool = False) -> str: ...
    def needed(text: str, more: bool, depth: int = 1) -> str: ...
    def removed(text: str) -> str: ...
    def demanded(text: str, depth: int) -> str: ...
    def relaxed(text: str = "", depth: int = 1) -> str: ...

    was = declared(old)
    assert compare([was], [declared(added)]) == [Change("f", "input.more", False, "the parameter is new")]
    assert compare([was], [declared(needed)]) == [
        Change("f", "input.more", True, "the parameter is new and required")
    ]
    assert compare([was], [declared(removed)]) == [
        Change("f", "input.depth", True, "the parameter was removed")
    ]
    assert compare([was], [declared(demanded)]) == [
        Change("f", "input.depth", True, "the parameter is required now")
    ]
    assert compare([was], [declared(relaxed)]) == [
        Change("f", "input.text", False, "the parameter is optional now")
    ]


def test_types_of_parameters() -> None:
    def text(x: str) -> str: ...
    def maybe(x: str | None) -> str: ...
    def number(x: float) -> str: ...
    def whole(x: int) -> str: ...
    def day(x: date) -> str: ...
    def low(x: Literal["low", "high"]) -> str: ...
    def mid(x: Literal["low", "mid", "high"]) -> str: ...
    def small(x: Annotated[int, msgspec.Meta(ge=1, le=9)]) -> str: ...
    def texts(x: list[str]) -> str: ...
    def raw(x: bytes) -> str: ...

    wider = [
        (text, maybe),
        (whole, number),
        (day, text),
        (low, mid),
        (low, text),
        (small, whole),
        (raw, text),
    ]
    for narrow, wide in wider:
        there = compare([declared(narrow)], [declared(wide)])
        back = compare([declared(wide)], [declared(narrow)])
        assert "input.x" in fine(there), (narrow, wide)
        assert "input.x" in broken(back), (wide, narrow)
    for a, b in [(text, number), (text, texts), (number, low)]:
        assert "input.x" in broken(compare([declared(a)], [declared(b)]))
    (change,) = compare([declared(mid)], [declared(low)])
    assert change.detail == 'takes less: "mid"'
    (change,) = compare([declared(maybe)], [declared(text)])[:1]
    assert (change.breaking, change.detail) == (True, "takes less: null")
    low_bound, high_bound = compare([declared(whole)], [declared(small)])
    assert low_bound.detail == "takes less: its minimum was none and is 1"
    assert high_bound.detail == "takes less: its maximum was none and is 9"


@dataclasses.dataclass
class Node:
    value: int
    kids: list[Node] = dataclasses.field(default_factory=list["Node"])


class Tree(pydantic.BaseModel):
    value: float
    kids: list[Tree] = []
    tag: Literal["tree"] = "tree"


class Leaf(pydantic.BaseModel):
    tag: Literal["leaf"]
    text: str | None = None


def test_what_the_kit_describes_compares_with_itself() -> None:
    def f(
        node: Node,
        tree: Tree,
        either: Annotated[Tree | Leaf, pydantic.Field(discriminator="tag")],
        pair: tuple[int, str],
        table: dict[str, list[date | None]],
        bag: set[int] | None = None,
    ) -> list[Tree | Leaf]: ...

    def g(
        node: Node,
        tree: Tree,
        either: Annotated[Leaf | Tree, pydantic.Field(discriminator="tag")],
        pair: tuple[int | float, str],
        table: dict[str, list[date | None] | None],
        bag: set[int] | None = None,
    ) -> list[Leaf | Tree]: ...

    assert compare([declared(f)], [declared(f)]) == []
    changes = compare([declared(f)], [declared(g)])
    assert fine(changes) == ["input.pair[0]", "input.table.*"], changes
    assert broken(compare([declared(g)], [declared(f)])) == ["input.pair[0]", "input.table.*"]


def test_recursion_is_followed_once_and_ends() -> None:
    def tree(kind: str) -> Json:
        kids = {"type": "array", "items": {"$ref": "#/$defs/T"}}
        return {
            "type": "object",
            "properties": {"value": {"type": kind}, "kids": kids},
            "required": ["value"],
        }

    old = parameter({"$ref": "#/$defs/T"}, T=tree("integer"))
    # The same tree, one level unrolled under another name.
    unrolled = tree("number")
    unrolled["properties"]["kids"]["items"] = {"$ref": "#/$defs/U"}
    new = parameter({"$ref": "#/$defs/T"}, T=unrolled, U={**tree("number"), "title": "U"})
    assert fine(inputs(old, new)) == ["input.x.value", "input.x.kids[].value"]
    assert broken(inputs(new, old)) == ["input.x.value", "input.x.kids[].value"]


@pytest.mark.parametrize(
    "loop",
    [
        {"$ref": "#/$defs/A"},
        {"anyOf": [{"$ref": "#/$defs/A"}, {"$ref": "#/$defs/A"}]},
        {"allOf": [{"$ref": "#/$defs/A"}, {"type": "integer"}]},
        {"anyOf": [{"$ref": "#/$defs/A"}, {"type": "integer"}]},
    ],
)
def test_a_schema_that_is_nothing_but_itself(loop: Json) -> None:
    bad = parameter({"$ref": "#/$defs/A"}, A=loop)
    text = parameter({"type": "string"})
    (change,) = [one for one in inputs(text, bad) if one.breaking]
    assert "can't be decided" in change.detail or change.where == "input.x"
    assert inputs(bad, bad) == []
    inputs(bad, text)


def test_a_schema_that_would_take_for_ever() -> None:
    defs = {
        f"D{i}": {"anyOf": [{"type": "object", "properties": {"a": {"$ref": f"#/$defs/D{i + 1}"}}}] * 4}
        for i in range(30)
    }
    old = parameter({"$ref": "#/$defs/D0"}, **defs, D30={"type": "integer"})
    new = parameter({"$ref": "#/$defs/D0"}, **defs, D30={"type": "string"})
    assert broken(inputs(old, new))
    deep: Json = {"type": "integer"}
    for _ in range(400):
        deep = {"type": "array", "items": deep}
    assert broken(inputs(parameter({"type": "integer"}), parameter(deep)))


@pytest.mark.parametrize(
    ("old", "new", "where"),
    [
        ({"type": "object"}, {"type": "object", "properties": {"a": {}}}, "input.x.*"),
        ({"type": "object", "properties": {"a": {}}}, {"type": "object", "properties": {}}, "input.x.a"),
        (
            {"type": "object", "properties": {"a": {}}},
            {"type": "object", "properties": {"a": {}}, "additionalProperties": False},
            "input.x.*",
        ),
        (
            {"type": "array", "items": {"type": "number"}},
            {"type": "array", "items": {"type": "integer"}},
            "input.x[]",
        ),
        ({"type": "array"}, {"type": "array", "maxItems": 3}, "input.x"),
        ({"type": "array"}, {"type": "array", "uniqueItems": True}, "input.x"),
        ({"type": "string"}, {"type": "string", "pattern": "^a"}, "input.x"),
        ({"type": "string", "pattern": "^b"}, {"type": "string", "pattern": "^a"}, "input.x"),
        ({"type": "string"}, {"type": "string", "format": "uuid"}, "input.x"),
        ({"type": "string"}, {"type": "string", "contentEncoding": "base64"}, "input.x"),
        ({"type": "string", "minLength": 1}, {"type": "string", "minLength": 2}, "input.x"),
        ({"type": "integer"}, {"type": "integer", "multipleOf": 2}, "input.x"),
        ({"type": "number", "minimum": 0}, {"type": "number", "exclusiveMinimum": 0}, "input.x"),
        ({}, {"type": ["string", "number"]}, "input.x"),
        ({"const": 1}, {"const": True}, "input.x"),
        ({"type": "boolean"}, {"enum": [True]}, "input.x"),
        ({"type": "string"}, {"type": "string", "not": {"const": "a"}}, "input.x"),
        ({"type": "object"}, {"type": "object", "maxProperties": 2}, "input.x"),
        ({"type": "object"}, {"type": "object", "propertyNames": {"enum": ["a"]}}, "input.x.*"),
        (
            {"type": "object", "additionalProperties": {"type": "number"}},
            {"type": "object", "additionalProperties": {"type": "integer"}},
            "input.x.*",
        ),
        ({"anyOf": [{"type": "string"}, {"type": "null"}]}, {"type": "string"}, "input.x"),
        ({"type": "integer"}, {"oneOf": [{"type": "integer"}, {"type": "number"}]}, "input.x"),
    ],
)
def test_narrowed(old: Json, new: Json, where: str) -> None:
    assert where in broken(inputs(parameter(old), parameter(new)))
    # What is no longer taken was news the other way round, and no break. (Named fields are another rule.)
    if where == "input.x" and "not" not in new and "oneOf" not in new and old.get("pattern") is None:
        assert old.get("const") or fine(inputs(parameter(new), parameter(old))) == ["input.x"]


@pytest.mark.parametrize(
    ("old", "new"),
    [
        ({"type": "integer", "exclusiveMinimum": 0}, {"type": "integer", "minimum": 1}),
        ({"type": ["integer", "null"]}, {"anyOf": [{"type": "null"}, {"type": "integer"}]}),
        ({"enum": ["a"]}, {"const": "a"}),
        ({"type": "boolean"}, {"enum": [False, True]}),
        ({"type": "integer"}, {"type": "integer", "multipleOf": 1}),
        ({"allOf": [{"type": "integer"}, {"minimum": 3}]}, {"type": "integer", "minimum": 3.0}),
        ({"type": "string"}, {"$ref": "#/$defs/S"}),
        (
            {"type": "array", "prefixItems": [{"type": "null"}], "items": False},
            {"type": "array", "prefixItems": [{"type": "null"}], "maxItems": 1},
        ),
    ],
)
def test_the_same_in_other_words(old: Json, new: Json) -> None:
    s: Json = {"type": "string", "title": "S"}
    assert inputs(parameter(old, S=s), parameter(new, S=s)) == []
    assert inputs(parameter(new, S=s), parameter(old, S=s)) == []


def test_the_nearest_alternative_says_what_is_wrong() -> None:
    old = parameter({"anyOf": [{"type": "string", "maxLength": 9}, {"type": "integer"}]})
    new = parameter({"anyOf": [{"type": "string", "maxLength": 5}, {"type": "null"}]})
    assert {change.detail for change in inputs(old, new) if change.breaking} == {
        "takes less: `maxLength` was 9 and is 5",
        "takes less: integer",
    }


def test_what_an_alternative_took_for_granted_is_forgotten_when_it_fails() -> None:
    def pair(a: Json, b: Json) -> Json:
        return {"type": "object", "properties": {"a": a, "b": b}, "additionalProperties": False}

    def held(kind: str) -> Json:
        return {"type": "object", "properties": {"v": {"type": kind}}, "required": ["v"]}

    d, e = {"$ref": "#/$defs/D"}, {"$ref": "#/$defs/E"}
    old = parameter({**pair(d, d), "required": ["a", "b"]}, D=held("integer"))
    new = parameter({"anyOf": [pair(e, {}), pair({}, e)]}, E=held("string"))
    assert broken(inputs(old, new)) == ["input.x"]


def test_names_by_pattern_are_fields_too() -> None:
    old = {"type": "object", "patternProperties": {"^a": {"type": "string"}}, "additionalProperties": False}
    new = {"type": "object", "properties": {}, "additionalProperties": False}
    assert broken(inputs(parameter(old), parameter(new))) == ["input.x.*"]
    assert inputs(parameter(old), parameter(dict(old, title="X"))) == []
    # What can't be judged breaks, and says so.
    (change,) = inputs(parameter(new), parameter(old))[:1]
    assert change.breaking
    assert "can't be judged" in change.detail


def test_a_nested_field_that_is_added_or_demanded() -> None:
    old = parameter({"type": "object", "properties": {"a": {"type": "integer"}}})
    new = parameter({"type": "object", "properties": {"a": {"type": "integer"}, "b": {"type": "string"}}})
    assert fine(inputs(old, new)) == ["input.x.b"]
    new["properties"]["x"]["required"] = ["b"]
    assert broken(inputs(old, new)) == ["input.x.b"]


def test_other_drafts_and_documents_are_not_judged() -> None:
    old = parameter({"type": "string"})
    for new in (
        {**old, "$schema": "http://json-schema.org/draft-07/schema#", "minProperties": 1},
        parameter({"$anchor": "a", "type": "string"}),
        parameter({"$ref": "#/$defs/Absent"}),
        parameter({"$ref": "https://example.com/s"}),
    ):
        (change,) = inputs(old, new)
        assert change.breaking
        assert "can't be decided" in change.detail


# -- results


def result(**properties: Json) -> Json:
    return {"type": "object", "properties": properties, "required": sorted(properties)}


def test_results() -> None:
    a, b = {"type": "integer"}, {"type": "string"}
    assert outputs(result(a=a), result(a=a, b=b)) == [Change("f", "output.b", False, "the field is new")]
    assert outputs(result(a=a, b=b), result(a=a)) == [Change("f", "output.b", True, "the field was removed")]
    assert broken(outputs(result(a=a), {**result(a=a), "required": []})) == ["output.a"]
    assert broken(outputs(result(a=a), result(a={"type": "number"}))) == ["output.a"]
    assert fine(outputs(result(a={"type": "number"}), result(a=a))) == ["output.a"]
    assert broken(outputs(a, {"anyOf": [a, {"type": "null"}]})) == ["output"]
    assert broken(outputs(a, {})) == ["output"]
    assert fine(outputs({}, a)) == ["output"]
    # A result may gain fields even where its model was closed.
    closed = {**result(a=a), "additionalProperties": False}
    assert fine(outputs(closed, {**result(a=a, b=b), "additionalProperties": False})) == ["output.b"]
    (change,) = outputs({"enum": ["low", "high"]}, {"enum": ["low", "high", "none"]})
    assert change == Change("f", "output", True, 'may give what callers do not know: "none"')
    deep = outputs(
        {"type": "array", "items": result(s={"enum": ["a"]})},
        {"type": "array", "items": result(s={"type": "string"})},
    )
    assert broken(deep) == ["output[].s"]


# -- beside the schemas


def test_files() -> None:
    def one(doc: File) -> str: ...
    def maybe(doc: File | None = None) -> str: ...
    def many(doc: list[File]) -> str: ...
    def pdf(doc: Annotated[File, "application/pdf"]) -> str: ...
    def texts(doc: Annotated[File, "text/*"]) -> str: ...
    def csv(doc: Annotated[File, "text/csv"]) -> str: ...
    def none() -> str: ...

    for narrow, wide in [(one, maybe), (one, many), (pdf, one), (csv, texts), (texts, one), (none, maybe)]:
        assert fine(compare([declared(narrow)], [declared(wide)])) == ["files.doc"]
        assert broken(compare([declared(wide)], [declared(narrow)])) == ["files.doc"]
    assert broken(compare([declared(none)], [declared(one)])) == ["files.doc"]
    (change,) = compare([declared(texts)], [declared(csv)])
    assert change.detail == "no longer takes text/*"


def test_modes_and_free_text() -> None:
    def text(text: str) -> str: ...
    def file(doc: File, wish: str = "") -> str: ...

    def modes(function: Callable[..., Any], *given: str) -> SkillSpec:
        return declared(function, input_modes=given)

    # A skill without files takes nothing else than before.
    assert broken(compare([modes(text)], [modes(text, "text/plain")])) == []
    assert broken(compare([modes(file)], [modes(file, "text/csv")])) == ["input_modes"]
    assert broken(compare([modes(file, "text/csv", "text/html")], [modes(file, "text/csv")])) == [
        "input_modes"
    ]
    assert fine(compare([modes(file, "text/csv")], [modes(file, "text/*")])) == ["input_modes"]
    assert fine(compare([modes(file, "text/csv")], [modes(file)])) == ["input_modes"]

    out = spec(output_modes=["application/json", "text/csv"])
    assert broken(compare([spec()], [out])) == ["output_modes"]
    assert broken(compare([out], [spec()])) == ["output_modes"]
    assert fine(compare([out], [spec(output_modes=["text/*", "application/json"])])) == ["output_modes"]

    words = parameter({"type": "string"})
    filled = spec(input_schema=words, text_param="x")
    assert broken(compare([filled], [spec(input_schema=words)])) == ["text"]
    assert fine(compare([spec(input_schema=words)], [filled])) == ["text"]
    assert fine(compare([spec(streams=True)], [spec()])) == ["streams"]


def test_majors() -> None:
    assert [major(v) for v in ("1.0.0", "12", "0.3", "2.0.0-rc.1", "")] == [1, 12, 0, 2, 0]
    breaks, adds = [Change("f", "", True, "")], [Change("f", "", False, "")]
    assert needs_new_major("1.2.0", "1.3.0", breaks)
    assert needs_new_major("2.0.0", "1.3.0", breaks)
    assert needs_new_major("0.1.0", "0.2.0", breaks)
    assert not needs_new_major("1.2.0", "2.0.0", breaks)
    assert not needs_new_major("1.2.0", "1.2.0", adds)
    assert not needs_new_major("1.2.0", "1.2.0", [])


# -- no break goes unseen

NAMES = ("a", "b")
SCALARS: list[Json] = [None, True, False, -1, 0, 1, 2, 3, 0.5, 2.0, "", "a", "b", "ab", "2020-01-01"]


@st.composite
def objects(draw: st.DrawFn, inner: st.SearchStrategy[Json]) -> Json:
    out: Json = {"type": "object"}
    if draw(st.booleans()):
        out["properties"] = draw(st.dictionaries(st.sampled_from(NAMES), inner, max_size=2))
        out["required"] = [name for name in out["properties"] if draw(st.booleans())]
    further = draw(st.sampled_from(["no", "yes", "absent", "schema"]))
    if further == "schema":
        out["additionalProperties"] = draw(inner)
    elif further != "absent":
        out["additionalProperties"] = further == "yes"
    if draw(st.integers(0, 5)) == 0:
        out["maxProperties"] = draw(st.integers(0, 2))
    return out


@st.composite
def arrays(draw: st.DrawFn, inner: st.SearchStrategy[Json]) -> Json:
    out: Json = {"type": "array"}
    if draw(st.integers(0, 2)) == 0:
        out["prefixItems"] = draw(st.lists(inner, min_size=1, max_size=2))
    if draw(st.booleans()):
        out["items"] = draw(inner | st.just(False))
    for key in ("minItems", "maxItems"):
        if draw(st.integers(0, 3)) == 0:
            out[key] = draw(st.integers(0, 2))
    if draw(st.integers(0, 4)) == 0:
        out["uniqueItems"] = True
    return out


def numbers(kind: str) -> st.SearchStrategy[Json]:
    bound = st.sampled_from([-1, 0, 0.5, 1, 2])
    keys = ("minimum", "maximum", "exclusiveMinimum", "exclusiveMaximum")
    return st.fixed_dictionaries(
        {"type": st.just(kind)},
        optional={**dict.fromkeys(keys, bound), "multipleOf": st.sampled_from([1, 2, 0.5])},
    )


STRINGS = st.fixed_dictionaries(
    {"type": st.just("string")},
    optional={
        "minLength": st.integers(0, 2),
        "maxLength": st.integers(0, 2),
        "pattern": st.sampled_from(["^a", "b$"]),
        "format": st.just("date"),
    },
)
LEAVES = st.one_of(
    st.sampled_from(
        [
            {},
            True,
            {"type": "null"},
            {"type": "boolean"},
            {"type": ["integer", "null"]},
            {"$ref": "#/$defs/D"},
        ]
    ),
    numbers("integer"),
    numbers("number"),
    STRINGS,
    st.lists(st.sampled_from(SCALARS), min_size=1, max_size=4).map(lambda values: {"enum": values}),
    st.sampled_from(SCALARS).map(lambda value: {"const": value}),
)


def grown(inner: st.SearchStrategy[Json]) -> st.SearchStrategy[Json]:
    arms = st.lists(inner, min_size=1, max_size=3)
    return st.one_of(
        objects(inner),
        arrays(inner),
        arms.map(lambda found: {"anyOf": found}),
        arms.map(lambda found: {"oneOf": found}),
        arms.map(lambda found: {"allOf": found}),
        st.tuples(inner, arms).map(
            lambda both: {**both[0], "anyOf": both[1]} if isinstance(both[0], dict) else both[0]
        ),
        inner.map(lambda one: {"not": one}),
    )


SCHEMAS = st.recursive(LEAVES, grown, max_leaves=6)


@st.composite
def parameters(draw: st.DrawFn) -> Json:
    # `D` is met inside itself behind a field, as in a tree.
    d = {"type": "object", "properties": {"a": draw(SCHEMAS)}, "additionalProperties": draw(LEAVES)}
    return parameter(draw(SCHEMAS), D=d)


@st.composite
def edited(draw: st.DrawFn, schema: Json) -> Json:
    """A schema with one keyword or place changed, as an author would."""
    if not isinstance(schema, dict) or not schema or draw(st.integers(0, 4)) == 0:
        return draw(SCHEMAS)
    out = dict(schema)
    key = draw(st.sampled_from(sorted(out)))
    value = out[key]
    if draw(st.integers(0, 3)) == 0:
        del out[key]
    elif key in ("properties", "$defs") and value:
        name = draw(st.sampled_from(sorted(value)))
        out[key] = {**value, name: draw(edited(value[name]))}
    elif key in ("anyOf", "oneOf", "allOf", "prefixItems"):
        place = draw(st.integers(0, len(value) - 1))
        grow = draw(st.booleans())
        out[key] = [*value, draw(SCHEMAS)] if grow else [*value[:place], draw(edited(value[place]))]
    elif key in ("items", "additionalProperties", "not"):
        out[key] = draw(edited(value))
    elif key == "enum":
        out[key] = [*value, draw(st.sampled_from(SCALARS))]
    elif isinstance(value, int | float) and not isinstance(value, bool) and key != "const":
        out[key] = max(0, value + draw(st.sampled_from([-1, 1]))) or 1
    return out


@st.composite
def values(draw: st.DrawFn, schema: Json, defs: Json, depth: int = 0) -> Json:
    """A value that is likely to fit; it has no field that an object leaves unsaid."""
    scalar = st.sampled_from(SCALARS)
    if not isinstance(schema, dict) or depth > 4:
        return draw(scalar)
    if "$ref" in schema:
        return draw(values(defs["D"], defs, depth + 1))
    for key in ("anyOf", "oneOf", "allOf"):
        if key in schema and draw(st.integers(0, 3)):
            return draw(values(draw(st.sampled_from(schema[key])), defs, depth))
    if "enum" in schema:
        return draw(st.sampled_from(schema["enum"]))
    if "const" in schema:
        return schema["const"]
    kind = schema.get("type")
    if kind == "object":
        named = schema.get("properties")
        further = schema.get("additionalProperties", named is None)
        out = {
            name: draw(values(one, defs, depth + 1))
            for name, one in (named or {}).items()
            if name in schema.get("required", ()) or draw(st.booleans())
        }
        for name in draw(st.sets(st.sampled_from([*NAMES, "c"]), max_size=2)) if further is not False else ():
            if name not in (named or {}):
                out[name] = draw(values(further, defs, depth + 1))
        return out
    if kind == "array":
        prefix = schema.get("prefixItems", [])
        count = draw(st.integers(0, 3))
        return [
            draw(values(prefix[i] if i < len(prefix) else schema.get("items", {}), defs, depth + 1))
            for i in range(count)
        ]
    return draw(scalar)


def takes(schema: Json, value: Json) -> bool:
    return jsonschema_rs.validator_for(schema, validate_formats=True).is_valid(value)


quick = settings(max_examples=300, deadline=None, suppress_health_check=list(HealthCheck))


@quick
@given(parameters())
def test_nothing_changes_against_oneself(schema: Json) -> None:
    assert inputs(schema, schema) == []
    assert outputs(schema, schema) == []


@quick
@given(st.data())
def test_what_is_called_compatible_takes_what_it_took(data: st.DataObject) -> None:
    old = data.draw(parameters(), "old")
    both = st.one_of(edited(old["properties"]["x"]), SCHEMAS)
    defs = old["$defs"] if data.draw(st.booleans()) else {"D": data.draw(edited(old["$defs"]["D"]))}
    new = parameter(data.draw(both, "new"), **defs)
    if broken(inputs(old, new)):
        event("breaking")
        return
    event("compatible")
    for _ in range(10):
        value = {"x": data.draw(values(old["properties"]["x"], old["$defs"]))}
        if takes(old, value):
            event("a value that fits")
            assert takes(new, value), (old, new, value)
