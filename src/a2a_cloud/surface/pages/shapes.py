"""JSON Schemas in words: a table's rows for what a skill takes or gives."""

from __future__ import annotations

import json
from dataclasses import dataclass
from typing import Any, cast

from a2a_cloud.wire.schema_reading import (
    DEEPEST,
    Schema,
    alternatives,
    as_list,
    as_schema,
    properties,
    resolved,
)

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


def rows(root: Schema) -> list[Row]:
    """What an object schema holds, level by level. At most 80 rows, four levels deep."""
    found: list[Row] = []
    _rows(root, root, "", 0, found)
    return found


def in_words(schema: Schema, root: Schema) -> str:
    """What values fit, in a few words: `list of string`, `one of "a", "b"`."""
    return _words(schema, root, 0)


def _rows(schema: Schema, root: Schema, prefix: str, depth: int, found: list[Row]) -> None:
    required = as_list(schema.get("required"))
    for name, value in properties(schema).items():
        if len(found) >= _MOST_ROWS:
            return
        each = resolved(as_schema(value), root)
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
        if inner and depth + 1 < DEEPEST:
            _rows(inner, root, f"{prefix}{name}{'[]' if many else ''}.", depth + 1, found)


def _object_in(schema: Schema, root: Schema) -> tuple[Schema, bool]:
    """The object that a property is or lists ({}: none), and whether it lists it."""
    arms, _ = alternatives(schema, root)
    if len(arms) == 1:
        schema = arms[0]
    if properties(schema):
        return schema, False
    items = resolved(as_schema(schema.get("items")), root)
    return (items, True) if properties(items) else ({}, False)


def _bounds(schema: Schema) -> str:
    said = [text.format(schema[name]) for name, text in _BOUNDS if name in schema]
    return ", ".join(said)


def _words(schema: Schema, root: Schema, depth: int) -> str:
    schema = resolved(schema, root)
    if depth > DEEPEST:
        return "any value"
    if "const" in schema:
        return json.dumps(schema["const"], ensure_ascii=False)
    if "enum" in schema:
        values = [json.dumps(value, ensure_ascii=False) for value in as_list(schema["enum"])]
        shown = ", ".join(values[:12]) + (", …" if len(values) > 12 else "")
        return f"one of {shown}" if len(values) > 1 else shown
    arms, nullable = alternatives(schema, root)
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
        fixed = as_list(schema.get("prefixItems"))
        if fixed:
            return "[" + ", ".join(_words(as_schema(each), root, depth + 1) for each in fixed) + "]"
        items = schema.get("items")
        return f"list of {_words(as_schema(items), root, depth + 1)}" if as_schema(items) else "list"
    if kind == "object" or properties(schema):
        values = as_schema(schema.get("additionalProperties"))
        if not properties(schema) and values:
            return f"object of {_words(values, root, depth + 1)} by name"
        title = str(schema.get("title", ""))
        return title or "object"
    return {"integer": "whole number", "": "any value"}.get(kind, kind)
