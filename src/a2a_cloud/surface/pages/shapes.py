"""JSON Schemas in words: a table's rows for what a skill takes or gives, and a sample of it."""

from __future__ import annotations

import json
from dataclasses import dataclass
from typing import Any, cast

import msgspec

Schema = dict[str, Any]

_DEEPEST = 4
_MOST_ROWS = 80
_FORMATS = {
    "date": "date",
    "date-time": "date and time",
    "time": "time of day",
    "duration": "duration",
    "uuid": "UUID",
    "email": "e-mail address",
    "uri": "URI",
}
_SAMPLES = {
    "date": "2027-01-31",
    "date-time": "2027-01-31T12:00:00Z",
    "time": "12:00:00",
    "duration": "PT1H",
    "uuid": "7b0f2f4e-3c2a-4d5e-8f6a-1b2c3d4e5f60",
    "email": "ada@example.com",
    "uri": "https://example.com",
}
_BOUNDS = (
    ("minimum", "at least {}"),
    ("exclusiveMinimum", "more than {}"),
    ("maximum", "at most {}"),
    ("exclusiveMaximum", "less than {}"),
    ("multipleOf", "a multiple of {}"),
    ("minLength", "at least {} characters"),
    ("maxLength", "at most {} characters"),
    ("pattern", "matches {}"),
    ("minItems", "at least {} items"),
    ("maxItems", "at most {} items"),
)


@dataclass(frozen=True)
class Row:
    """A line of a parameters table. `name` is dotted below the first level; `default` is JSON ("": none)."""

    name: str
    kind: str
    required: bool
    default: str
    about: str
    bounds: str
    depth: int


def decode(raw: msgspec.Raw | bytes) -> Schema:
    """A schema from its bytes; {} for `true` and for what is no schema."""
    return _schema(msgspec.json.decode(raw)) if bytes(raw) else {}


def rows(root: Schema) -> list[Row]:
    """What an object schema holds, level by level. At most 80 rows, four levels deep."""
    found: list[Row] = []
    _rows(root, root, "", 0, found)
    return found


def in_words(schema: Schema, root: Schema) -> str:
    """What values fit, in a few words: `list of string`, `one of "a", "b"`."""
    return _words(schema, root, 0)


def sample(schema: Schema, root: Schema) -> Any:
    """A value such as the schema asks for: its default or example where it has one."""
    return _sample(schema, root, 0)


def sample_arguments(root: Schema) -> dict[str, Any]:
    """Arguments for a first call: those that are required."""
    required = cast("list[str]", root.get("required", []))
    return {name: sample(_schema(each), root) for name, each in _properties(root).items() if name in required}


def _schema(value: Any) -> Schema:
    return cast("Schema", value) if isinstance(value, dict) else {}


def _list(value: Any) -> list[Any]:
    return cast("list[Any]", value) if isinstance(value, list) else []


def _properties(schema: Schema) -> Schema:
    return _schema(schema.get("properties"))


def _resolved(schema: Schema, root: Schema) -> Schema:
    """The schema behind `$ref` (of this document), with what stands beside it."""
    for _ in range(8):
        name = schema.get("$ref")
        if not isinstance(name, str) or not name.startswith("#/$defs/"):
            break
        named = _schema(_schema(root.get("$defs")).get(name[8:]))
        schema = {**named, **{key: value for key, value in schema.items() if key != "$ref"}}
    return schema


def _arms(schema: Schema, root: Schema) -> tuple[list[Schema], bool]:
    """The alternatives of a union but null, and whether null is one."""
    every = [_resolved(_schema(arm), root) for arm in _list(schema.get("anyOf") or schema.get("oneOf"))]
    arms = [arm for arm in every if arm.get("type") != "null"]
    return arms, len(arms) < len(every)


def _rows(schema: Schema, root: Schema, prefix: str, depth: int, found: list[Row]) -> None:
    required = _list(schema.get("required"))
    for name, value in _properties(schema).items():
        if len(found) >= _MOST_ROWS:
            return
        each = _resolved(_schema(value), root)
        default = each.get("default")
        found.append(
            Row(
                prefix + name,
                in_words(each, root),
                name in required,
                "" if default is None else json.dumps(default, ensure_ascii=False),
                str(each.get("description", "")),
                _bounds(each),
                depth,
            )
        )
        inner, many = _object_in(each, root)
        if inner and depth + 1 < _DEEPEST:
            _rows(inner, root, f"{prefix}{name}{'[]' if many else ''}.", depth + 1, found)


def _object_in(schema: Schema, root: Schema) -> tuple[Schema, bool]:
    """The object that a property is or lists ({}: none), and whether it lists it."""
    arms, _ = _arms(schema, root)
    if len(arms) == 1:
        schema = arms[0]
    if _properties(schema):
        return schema, False
    items = _resolved(_schema(schema.get("items")), root)
    return (items, True) if _properties(items) else ({}, False)


def _bounds(schema: Schema) -> str:
    said = [text.format(schema[name]) for name, text in _BOUNDS if name in schema]
    return ", ".join(said)


def _words(schema: Schema, root: Schema, depth: int) -> str:
    schema = _resolved(schema, root)
    if depth > _DEEPEST:
        return "any value"
    if "const" in schema:
        return json.dumps(schema["const"], ensure_ascii=False)
    if "enum" in schema:
        values = [json.dumps(value, ensure_ascii=False) for value in _list(schema["enum"])]
        shown = ", ".join(values[:12]) + (", …" if len(values) > 12 else "")
        return f"one of {shown}" if len(values) > 1 else shown
    arms, nullable = _arms(schema, root)
    if arms:
        words = " or ".join(dict.fromkeys(_words(arm, root, depth + 1) for arm in arms))
        return f"{words} or null" if nullable else words
    kinds = schema.get("type")
    if isinstance(kinds, list):
        every = [_words({**schema, "type": kind}, root, depth + 1) for kind in cast("list[Any]", kinds)]
        return " or ".join(dict.fromkeys(every))
    return _typed(schema, root, str(kinds or ""), depth)


def _typed(schema: Schema, root: Schema, kind: str, depth: int) -> str:
    if kind == "string":
        if "contentEncoding" in schema:
            return f"bytes ({schema['contentEncoding']})"
        return _FORMATS.get(str(schema.get("format", "")), "string")
    if kind == "array":
        fixed = _list(schema.get("prefixItems"))
        if fixed:
            return "[" + ", ".join(_words(_schema(each), root, depth + 1) for each in fixed) + "]"
        items = schema.get("items")
        return f"list of {_words(_schema(items), root, depth + 1)}" if _schema(items) else "list"
    if kind == "object" or _properties(schema):
        values = _schema(schema.get("additionalProperties"))
        if not _properties(schema) and values:
            return f"object of {_words(values, root, depth + 1)} by name"
        title = str(schema.get("title", ""))
        return title or "object"
    return {"integer": "whole number", "": "any value"}.get(kind, kind)


def _sample(schema: Schema, root: Schema, depth: int) -> Any:
    schema = _resolved(schema, root)
    if depth > _DEEPEST:
        return None
    for name in ("default", "const"):
        if schema.get(name) is not None:
            return schema[name]
    for name in ("examples", "enum"):
        if _list(schema.get(name)):
            return schema[name][0]
    arms, nullable = _arms(schema, root)
    if arms:
        return _sample(arms[0], root, depth + 1)
    if nullable:
        return None
    kinds = schema.get("type")
    kind = str((_list(kinds) or [kinds or ""])[0])
    if kind == "object" or _properties(schema):
        required = _list(schema.get("required"))
        inner = _properties(schema).items()
        return {name: _sample(_schema(each), root, depth + 1) for name, each in inner if name in required}
    if kind == "array":
        fixed = _list(schema.get("prefixItems"))
        if fixed:
            return [_sample(_schema(each), root, depth + 1) for each in fixed]
        items = _schema(schema.get("items"))
        return [_sample(items, root, depth + 1)] * max(1, int(schema.get("minItems", 1))) if items else []
    return _sample_scalar(schema, kind)


def _sample_scalar(schema: Schema, kind: str) -> Any:
    if kind in ("integer", "number"):
        low = schema.get("minimum", schema.get("exclusiveMinimum"))
        high = schema.get("maximum", schema.get("exclusiveMaximum"))
        if isinstance(low, int | float):
            return low + 1 if "exclusiveMinimum" in schema else low
        if isinstance(high, int | float) and high < 1:
            return high - 1 if "exclusiveMaximum" in schema else high
        return 1
    if kind == "boolean":
        return True
    if kind == "null":
        return None
    if "contentEncoding" in schema:
        return "aGVsbG8="
    found = _SAMPLES.get(str(schema.get("format", "")))
    return found or "hello"
