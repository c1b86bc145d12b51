"""JSON Schema (2020-12) in a form that can be compared: annotations gone, const as enum, each keyword in
its place. `inclusion` reads it. What it can't represent faithfully is kept as text in `other`, or refused
as Undecided."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, field
from typing import Any, cast

import msgspec

#: `number` is two of them, so that an integer is a number and not the other way round.
TYPES = frozenset({"null", "boolean", "integer", "fraction", "string", "array", "object"})

_NUMBERS = frozenset({"integer", "fraction"})
_DRAFTS = ("https://json-schema.org/draft/2020-12/schema",)
_MARKS = ("pattern", "format", "contentEncoding", "contentMediaType")
_BOUNDS = (
    "minimum",
    "maximum",
    "exclusiveMinimum",
    "exclusiveMaximum",
    "minLength",
    "maxLength",
    "minItems",
    "maxItems",
    "minProperties",
    "maxProperties",
)
_OTHER = frozenset(
    {
        "not",
        "if",
        "then",
        "else",
        "contains",
        "minContains",
        "maxContains",
        "patternProperties",
        "dependentRequired",
        "dependentSchemas",
        "dependencies",
        "additionalItems",
        "unevaluatedProperties",
        "unevaluatedItems",
        "contentSchema",
    }
)
_REFUSED = ("$id", "$anchor", "$dynamicRef", "$dynamicAnchor", "$recursiveRef", "$recursiveAnchor")
_LEAVES = frozenset({"type", "enum", "const", "multipleOf", "pattern", "format", *_BOUNDS})
_canonical = msgspec.json.Encoder(order="sorted").encode


class Undecided(Exception):
    """Two schemas can't be compared; the text says why."""


@dataclass(slots=True)
class Node:
    """One schema object. Absent keywords are None or empty; `types` are all when nothing is said.

    `enum` maps canonical JSON to the value. `additional` is None where nothing is said beside named
    properties: further fields are then ignored; without named properties the object is a map, and
    `additional` is True. `other` holds keywords that are compared as text alone. `refs` are all
    references in it, at any depth. `leaves` are the raw keywords that concern scalars.
    """

    types: frozenset[str] = TYPES
    enum: dict[bytes, Any] | None = None
    bounds: dict[str, float] = field(default_factory=dict[str, float])
    multiple: float | None = None
    marks: dict[str, str] = field(default_factory=dict[str, str])
    ref: str | None = None
    all_of: tuple[Schema, ...] = ()
    any_of: tuple[Schema, ...] = ()
    one_of: tuple[Schema, ...] = ()
    properties: dict[str, Schema] | None = None
    additional: Schema | None = True
    required: frozenset[str] = frozenset()
    names: Schema | None = None
    prefix: tuple[Schema, ...] = ()
    items: Schema | None = None
    unique: bool = False
    other: dict[str, bytes] = field(default_factory=dict[str, bytes])
    refs: frozenset[str] = field(default=frozenset(), compare=False)
    leaves: dict[str, Any] = field(default_factory=dict[str, Any], compare=False)
    title: str = field(default="", compare=False)


Schema = Node | bool


class Document:
    """A schema with what its references lead to. Raises Undecided."""

    __slots__ = ("_kept", "_raw", "root")

    def __init__(self, raw: Any) -> None:
        self._raw = raw
        self._kept: dict[str, Schema] = {}
        self.root = self.at("#")

    def at(self, ref: str) -> Schema:
        """What a reference such as `#/$defs/Node` leads to; the same object each time."""
        found = self._kept.get(ref)
        if found is None:
            found = self._kept[ref] = build(self._point(ref))
        return found

    def _point(self, ref: str) -> Any:
        if ref != "#" and not ref.startswith("#/"):
            raise Undecided(f"the reference {ref[:80]!r} leads elsewhere")
        here = self._raw
        for step in ref.split("/")[1:]:
            name = step.replace("~1", "/").replace("~0", "~")
            if isinstance(here, dict) and name in here:
                here = cast("dict[str, Any]", here)[name]
            else:
                raise Undecided(f"the reference {ref[:80]!r} leads nowhere")
        return here


def kind_of(value: Any) -> str:
    """The type, of TYPES, that a JSON value has."""
    match value:
        case None:
            return "null"
        case bool():
            return "boolean"
        case int():
            return "integer"
        case float():
            return "integer" if value.is_integer() else "fraction"
        case str():
            return "string"
        case list():
            return "array"
        case _:
            return "object"


def spelled(types: Iterable[str]) -> str:
    """Types as people and JSON Schema call them."""
    named = set(types)
    if named >= TYPES:
        return "anything"
    if named >= _NUMBERS:
        named = named - _NUMBERS | {"number"}
    words = sorted("number with a fraction" if name == "fraction" else name for name in named)
    return " or ".join(words) or "nothing"


def canonical(value: Any) -> bytes:
    """JSON that is equal where JSON Schema says that values are: 1 is 1.0, and neither is true."""
    return _canonical(_whole(value))


def _whole(value: Any) -> Any:
    if isinstance(value, float) and value.is_integer():
        return int(value)
    if isinstance(value, dict):
        return {name: _whole(item) for name, item in cast("dict[str, Any]", value).items()}
    if isinstance(value, list):
        return [_whole(item) for item in cast("list[Any]", value)]
    return value


def build(raw: Any) -> Schema:
    """A decoded schema as a Node. Raises Undecided."""
    if isinstance(raw, bool):
        return raw
    if not isinstance(raw, dict):
        raise Undecided("what should be a schema is none")
    said = cast("dict[str, Any]", raw)
    for key in _REFUSED:
        if key in said:
            raise Undecided(f"it uses `{key}`")
    if said.get("$schema", _DRAFTS[0]).rstrip("#") not in _DRAFTS:
        raise Undecided("it is of another draft than 2020-12")
    if isinstance(said.get("items"), list):
        raise Undecided("its `items` is a list, as in older drafts")
    node = Node(
        types=_types(said.get("type")),
        enum=_enum(said),
        bounds={key: said[key] for key in _BOUNDS if key in said},
        multiple=said.get("multipleOf"),
        marks={key: said[key] for key in _MARKS if key in said},
        ref=said.get("$ref"),
        all_of=_each(said.get("allOf")),
        any_of=_each(said.get("anyOf")),
        one_of=_each(said.get("oneOf")),
        required=frozenset(said.get("required", ())),
        names=build(said["propertyNames"]) if "propertyNames" in said else None,
        prefix=_each(said.get("prefixItems")),
        items=build(said["items"]) if "items" in said else None,
        unique=said.get("uniqueItems") is True,
        other={key: canonical(said[key]) for key in said if key in _OTHER},
        leaves={key: said[key] for key in said if key in _LEAVES},
        title=str(said.get("title", "")),
    )
    if "properties" in said:
        node.properties = {name: build(one) for name, one in said["properties"].items()}
    if "additionalProperties" in said:
        node.additional = build(said["additionalProperties"])
    elif node.properties is not None:
        node.additional = None
    node.refs = frozenset(_refs(node, said))
    return node


def _types(said: Any) -> frozenset[str]:
    if said is None:
        return TYPES
    names: list[str] = [said] if isinstance(said, str) else list(said)
    return frozenset(name for name in names if name != "number") | (
        _NUMBERS if "number" in names else frozenset[str]()
    )


def _enum(said: dict[str, Any]) -> dict[bytes, Any] | None:
    if "enum" not in said and "const" not in said:
        return None
    values = {canonical(one): one for one in said.get("enum", ())}
    if "const" not in said:
        return values
    only = canonical(said["const"])
    return {only: said["const"]} if "enum" not in said or only in values else {}


def _each(raw: Any) -> tuple[Schema, ...]:
    return tuple(build(one) for one in raw or ())


def _refs(node: Node, said: dict[str, Any]) -> Iterable[str]:
    if node.ref is not None:
        yield node.ref
    parts: list[Schema | None] = [*node.all_of, *node.any_of, *node.one_of, *node.prefix]
    parts += [*(node.properties or {}).values(), node.additional, node.names, node.items]
    for part in parts:
        if isinstance(part, Node):
            yield from part.refs
    for key in node.other:
        yield from _raw_refs(said[key])


def _raw_refs(raw: Any) -> Iterable[str]:
    if isinstance(raw, dict):
        for key, value in cast("dict[str, Any]", raw).items():
            if key == "$ref" and isinstance(value, str):
                yield value
            elif key in _REFUSED:
                raise Undecided(f"it uses `{key}`")
            else:
                yield from _raw_refs(value)
    elif isinstance(raw, list):
        for item in cast("list[Any]", raw):
            yield from _raw_refs(item)
