"""Types and JSON Schema: what binds is what the schema allows, and values come back as they went."""

from __future__ import annotations

import base64
import dataclasses
import datetime
import enum
import json
import math
import typing
import uuid
from collections.abc import Mapping, Sequence
from decimal import Decimal
from typing import Annotated, Any, Literal, NewType, NotRequired, Required, TypedDict

import annotated_types
import jsonschema_rs
import msgspec
import pydantic
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.strategies import SearchStrategy

from a2a_cloud.agent.declaration import Declaration
from a2a_cloud.agent.options import Options
from a2a_cloud.agent.problem import BadDeclaration, BadResult, InvalidArguments


class Color(enum.Enum):
    RED = "red"
    BLUE = "blue"


class Level(enum.IntEnum):
    LOW = 1
    HIGH = 2


@dataclasses.dataclass
class Circle:
    """A round thing."""

    radius: int
    color: Color = Color.RED


@dataclasses.dataclass
class Square:
    side: str


@dataclasses.dataclass
class Tree:
    name: str
    children: list[Tree] = dataclasses.field(default_factory=list["Tree"])


class Movie(TypedDict, total=False):
    title: Required[str]
    year: int


class Song(TypedDict):
    title: str
    year: NotRequired[int]


class Point(msgspec.Struct):
    x: int
    y: Annotated[int, msgspec.Meta(ge=0)] = 0


class Strict(msgspec.Struct, forbid_unknown_fields=True):
    name: str


class Pair(typing.NamedTuple):
    left: int
    right: str


class Model(pydantic.BaseModel):
    name: str = pydantic.Field(min_length=2, description="The name.")
    when: datetime.date | None = None
    parts: list[Part] = []


class Part(pydantic.BaseModel):
    n: int = pydantic.Field(alias="number", ge=0)


UserId = NewType("UserId", int)
Small = Annotated[int, msgspec.Meta(ge=0, le=10)]


def declare(annotation: Any, returns: Any = None, **defaults: Any) -> Declaration:
    """A skill of one parameter, `value`."""

    def f(value: Any) -> Any:
        return value

    f.__annotations__ = {"value": annotation, "return": annotation if returns is None else returns}
    if "default" in defaults:
        f.__defaults__ = (defaults["default"],)
    return Declaration(f, Options(), {})


def property_of(annotation: Any, **defaults: Any) -> dict[str, Any]:
    return declare(annotation, **defaults).input_schema["properties"]["value"]


def binds(one: Declaration, value: Any) -> bool:
    try:
        one.bind(json.dumps({"value": value}).encode())
    except InvalidArguments:
        return False
    return True


# -- property tests

SHORT = st.text(st.characters(exclude_categories=["Cs"]), max_size=8)
INTS = st.integers(-(2**63), 2**64 - 1)
FLOATS = st.floats(allow_nan=False, allow_infinity=False)
ZONED = st.datetimes(timezones=st.just(datetime.UTC))
CIRCLES = st.builds(Circle, INTS, st.sampled_from(Color))
TREES = st.recursive(
    st.builds(Tree, SHORT), lambda inner: st.builds(Tree, SHORT, st.lists(inner, max_size=3)), max_leaves=6
)

TYPED: list[tuple[Any, SearchStrategy[Any]]] = [
    (bool, st.booleans()),
    (int, INTS),
    (float, FLOATS),
    (str, SHORT),
    (None, st.none()),
    (bytes, st.binary(max_size=20)),
    (list[int], st.lists(INTS, max_size=4)),
    (Sequence[str], st.lists(SHORT, max_size=4)),
    (dict[str, float], st.dictionaries(SHORT, FLOATS, max_size=4)),
    (Mapping[str, int], st.dictionaries(SHORT, INTS, max_size=4)),
    (dict[int, str], st.dictionaries(INTS, SHORT, max_size=4)),
    (set[str], st.sets(SHORT, max_size=4)),
    (frozenset[int], st.frozensets(INTS, max_size=4)),
    (tuple[int, str], st.tuples(INTS, SHORT)),
    (tuple[int, ...], st.lists(INTS, max_size=4).map(tuple)),
    (str | None, SHORT | st.none()),
    (int | str | None, INTS | SHORT | st.none()),
    (Literal["a", 1, None], st.sampled_from(["a", 1, None])),
    (Color, st.sampled_from(Color)),
    (Level, st.sampled_from(Level)),
    (Circle, CIRCLES),
    (Circle | Square, CIRCLES | st.builds(Square, SHORT)),
    (list[Circle | Square | None], st.lists(CIRCLES | st.builds(Square, SHORT) | st.none(), max_size=3)),
    (Tree, TREES),
    (Movie, st.fixed_dictionaries({"title": SHORT}, optional={"year": INTS})),
    (Song, st.fixed_dictionaries({"title": SHORT}, optional={"year": INTS})),
    (Point, st.builds(Point, INTS, st.integers(0, 99))),
    (Pair, st.builds(Pair, INTS, SHORT)),
    (datetime.date, st.dates()),
    (datetime.datetime, ZONED),
    (datetime.time, st.times()),
    (datetime.timedelta, st.timedeltas(datetime.timedelta(days=-999), datetime.timedelta(days=999))),
    (Decimal, st.decimals(allow_nan=False, allow_infinity=False)),
    (uuid.UUID, st.uuids()),
    (UserId, INTS),
    (Small, st.integers(0, 10)),
    (dict[str, list[Circle]], st.dictionaries(SHORT, st.lists(CIRCLES, max_size=2), max_size=2)),
]


@pytest.mark.parametrize(("annotation", "values"), TYPED, ids=[str(pair[0]) for pair in TYPED])
def test_values_go_out_and_come_back(annotation: Any, values: SearchStrategy[Any]) -> None:
    one = declare(annotation)
    jsonschema_rs.meta.validate(one.input_schema)
    jsonschema_rs.meta.validate(one.output_schema)
    takes = jsonschema_rs.validator_for(one.input_schema, validate_formats=False)
    gives = jsonschema_rs.validator_for(one.output_schema, validate_formats=False)

    @given(values)
    def check(value: Any) -> None:
        data = one.dump(value)
        arguments = b'{"value":' + data + b"}"
        assert one.bind(arguments) == ((value,), {})
        # Not json.loads: it would give 1e400 and the like another meaning.
        assert gives.is_valid(json.loads(data))
        assert takes.is_valid(json.loads(arguments))

    check()


# Where the schema says exactly what is accepted: any JSON value at all is either taken by both or
# refused by both. (Left out, as the module says: formats, base64, repeated items of sets.)
EXACT = [
    bool,
    int,
    float,
    str,
    None,
    Any,
    list[int],
    dict[str, bool],
    tuple[int, str],
    tuple[int, ...],
    str | None,
    int | str | None,
    Literal["a", 1, None],
    Color,
    Level,
    Circle,
    Circle | Square,
    list[Circle | Square],
    Tree,
    Movie,
    Song,
    Point,
    Strict,
    Pair,
    Small,
    UserId,
    Annotated[str, msgspec.Meta(min_length=1, max_length=3, pattern="^a")],
    Annotated[list[int], msgspec.Meta(max_length=2)],
    Annotated[int, pydantic.Field(ge=2, lt=5), annotated_types.MultipleOf(2)],
    dict[str, list[Circle | None]],
]
KEYS = st.sampled_from(["title", "year", "radius", "side", "color", "name", "children", "x", "y", "z"])
SCALARS = (
    st.none()
    | st.booleans()
    | st.integers(-3, 12)
    | FLOATS.filter(lambda f: not f.is_integer())
    | st.sampled_from(["a", "", "red", "blue", "abc", "abcd", "12"])
)
ANYTHING = st.recursive(
    SCALARS,
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(KEYS, inner, max_size=3),
    max_leaves=8,
)
# Objects that come near, or most would fail on the first key.
NEAR = st.fixed_dictionaries(
    {},
    optional={
        "radius": SCALARS,
        "color": SCALARS,
        "side": SCALARS,
        "title": SCALARS,
        "year": SCALARS,
        "name": SCALARS,
        "x": SCALARS,
        "y": SCALARS,
        "children": st.lists(st.fixed_dictionaries({"name": SCALARS}), max_size=2),
    },
)


@pytest.mark.parametrize("annotation", EXACT, ids=str)
def test_what_binds_is_what_the_schema_allows(annotation: Any) -> None:
    one = declare(annotation)
    schema = jsonschema_rs.validator_for(one.input_schema)

    @given(ANYTHING | NEAR | st.lists(NEAR, max_size=2))
    def check(value: Any) -> None:
        assert binds(one, value) == schema.is_valid({"value": value})

    check()


# -- particular types


def test_the_frame_of_a_schema() -> None:
    def f(ctx, a: int, b: Annotated[str, "Said here."] = "x", c: Circle | None = None) -> list[Circle]:  # type: ignore[no-untyped-def]
        """Sum it up.

        Args:
            a: From the docstring.
            b: Not this one.

        Returns:
            Circles.
        """
        return []

    one = Declaration(f, Options(), {})
    schema = one.input_schema
    assert schema["description"] == "Sum it up."
    assert schema["additionalProperties"] is False
    assert schema["required"] == ["a"]
    assert schema["properties"]["a"] == {"type": "integer", "description": "From the docstring."}
    assert schema["properties"]["b"] == {"type": "string", "description": "Said here.", "default": "x"}
    assert schema["properties"]["c"]["default"] is None
    assert set(schema["$defs"]) == {"Circle", "Color"}
    assert one.output_schema["description"] == "Circles."
    assert set(one.output_schema["$defs"]) == {"Circle", "Color"}


def test_no_parameters() -> None:
    def f() -> None: ...

    one = Declaration(f, Options(), {})
    assert one.input_schema == {"type": "object", "properties": {}, "additionalProperties": False}
    assert one.output_schema == {"type": "null"}
    assert one.bind(b"") == one.bind(b"{}") == ((), {})
    with pytest.raises(InvalidArguments, match="takes no arguments"):
        one.bind(b'{"x":1}')


def test_formats_and_encodings() -> None:
    assert property_of(datetime.datetime)["format"] == "date-time"
    assert property_of(datetime.date)["format"] == "date"
    assert property_of(datetime.time)["format"] == "time"
    assert property_of(datetime.timedelta)["format"] == "duration"
    assert property_of(uuid.UUID)["format"] == "uuid"
    assert property_of(bytes)["contentEncoding"] == "base64"
    assert property_of(Decimal)["type"] == ["string", "number"]
    assert property_of(set[int])["uniqueItems"] is True
    aware = declare(Annotated[datetime.datetime, msgspec.Meta(tz=True)])
    assert not binds(aware, "2026-01-02T03:04:05")
    assert binds(aware, "2026-01-02T03:04:05Z")


def test_string_like_unions() -> None:
    one = declare(datetime.date | str)
    assert one.bind(b'{"value":"2026-01-02"}') == ((datetime.date(2026, 1, 2),), {})
    assert one.bind(b'{"value":"soon"}') == (("soon",), {})
    with pytest.raises(InvalidArguments, match="expected date or str"):
        one.bind(b'{"value":3}')
    assert one.dump(datetime.date(2026, 1, 2)) == b'"2026-01-02"'
    with pytest.raises(BadResult):
        one.dump(3)


def test_defaults() -> None:
    assert property_of(int, default=3)["default"] == 3
    assert property_of(Color, default=Color.BLUE)["default"] == "blue"
    assert property_of(datetime.date, default=datetime.date(2026, 1, 2))["default"] == "2026-01-02"
    assert property_of(bytes, default=b"ab")["default"] == base64.b64encode(b"ab").decode()
    assert property_of(Circle, default=Circle(3))["default"] == {"radius": 3, "color": "red"}
    assert "default" not in property_of(Any, default=object())
    widened = declare(int, default=None)
    assert widened.bind(b'{"value":null}') == ((None,), {})
    assert declare(Any, default=msgspec.UNSET).bind(b"") == ((msgspec.UNSET,), {})


def test_bounds() -> None:
    one = declare(Small)
    assert property_of(Small) == {"type": "integer", "minimum": 0, "maximum": 10}
    with pytest.raises(InvalidArguments, match="`value` of the skill `f` does not fit: expected `int` <= 10"):
        one.bind(b'{"value":11}')
    with pytest.raises(BadResult):
        one.dump(11)


def test_a_choice_is_spelled_out() -> None:
    with pytest.raises(InvalidArguments, match='Write one of "blue", "red"'):
        declare(Color).bind(b'{"value":"green"}')
    with pytest.raises(InvalidArguments, match='Write one of "blue", "red"'):
        declare(list[Circle]).bind(b'{"value":[{"radius":1,"color":"green"}]}')
    with pytest.raises(InvalidArguments, match="Did you mean `name`"):
        declare(Strict).bind(b'{"value":{"nam":"x"}}')


def test_unhashable_items_of_a_set() -> None:
    one = declare(set[Circle])
    with pytest.raises(InvalidArguments, match="unhashable"):
        one.bind(b'{"value":[{"radius":1}]}')


def test_sets_have_one_order() -> None:
    assert declare(set[str]).dump({"c", "a", "b"}) == b'["a","b","c"]'
    assert declare(dict[str, int]).dump({"b": 1, "a": 2}) == b'{"b":1,"a":2}'


def test_numbers_beyond_range() -> None:
    assert not binds(declare(float), 10**400)
    assert math.isclose(declare(float).bind(b'{"value":3}')[0][0], 3.0)
    assert (
        declare(int).bind(b'{"value":123456789012345678901234567890}')[0][0] == 123456789012345678901234567890
    )


# -- pydantic


def test_pydantic_in() -> None:
    one = declare(Model)
    jsonschema_rs.meta.validate(one.input_schema)
    assert one.input_schema["properties"]["value"]["properties"]["name"]["minLength"] == 2
    assert "Part" in one.input_schema["$defs"]
    ((value,), _) = one.bind(b'{"value":{"name":"ab","when":"2026-01-02","parts":[{"number":1}]}}')
    assert value == Model(name="ab", when=datetime.date(2026, 1, 2), parts=[Part(number=1)])
    with pytest.raises(InvalidArguments, match=r"at least 2 characters \(at name\)"):
        one.bind(b'{"value":{"name":"a"}}')
    for annotation in (list[Model], dict[str, Model], Model | None, Model | str, Annotated[Model, "x"]):
        jsonschema_rs.meta.validate(declare(annotation).input_schema)
    assert declare(list[Model]).bind(b'{"value":[{"name":"ab"}]}') == (([Model(name="ab")],), {})


def test_pydantic_out() -> None:
    one = declare(int, Model)
    assert json.loads(one.dump(Model(name="ab", parts=[Part(number=1)]))) == {
        "name": "ab",
        "when": None,
        "parts": [{"number": 1}],
    }
    assert json.loads(one.dump({"name": "ab"}))["name"] == "ab"
    with pytest.raises(BadResult, match="at name"):
        one.dump({"name": "a"})
    with pytest.raises(BadResult):
        one.dump(Part(number=1))
    jsonschema_rs.meta.validate(one.output_schema)
    several = declare(int, list[Model])
    assert json.loads(several.dump([Model(name="ab")]))[0]["name"] == "ab"
    assert json.loads(declare(int, Any).dump({"m": Part(number=2)})) == {"m": {"number": 2}}


@dataclasses.dataclass
class Holder:
    model: Model
    n: int = 0


def test_pydantic_inside_a_dataclass() -> None:
    one = declare(Holder)
    jsonschema_rs.meta.validate(one.input_schema)
    assert one.bind(b'{"value":{"model":{"name":"ab"}}}') == ((Holder(Model(name="ab")),), {})
    with pytest.raises(InvalidArguments, match=r"value\.model"):
        one.bind(b'{"value":{"model":{"name":"a"}}}')
    assert json.loads(one.dump(Holder(Model(name="ab"))))["model"]["name"] == "ab"


def test_pydantic_fields_bound_plain_types() -> None:
    one = declare(Annotated[int, pydantic.Field(ge=3, description="Three or more.")])
    schema = one.input_schema["properties"]["value"]
    assert (schema["minimum"], schema["description"]) == (3, "Three or more.")
    assert not binds(one, 2)
    with pytest.raises(BadResult):
        one.dump(2)
    assert not binds(declare(pydantic.PositiveInt), -1)
    assert not binds(declare(list[pydantic.HttpUrl]), ["nonsense"])


def test_two_types_of_one_name() -> None:
    def make(field: str) -> Any:
        return dataclasses.make_dataclass("Part", [(field, int)])

    for annotation in (make("a") | make("b"), list[make("a") | Model]):
        with pytest.raises(BadDeclaration, match="Two different types named Part"):
            declare(annotation)
