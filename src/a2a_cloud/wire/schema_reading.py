"""JSON Schemas read by shape: what is behind a reference, the arms of a union, a value such as one asks
for."""

from __future__ import annotations

from typing import Any, cast

import msgspec

Schema = dict[str, Any]

#: Levels that are looked into.
DEEPEST = 4
_SAMPLES = {
    "date": "2027-01-31",
    "date-time": "2027-01-31T12:00:00Z",
    "time": "12:00:00",
    "duration": "PT1H",
    "uuid": "7b0f2f4e-3c2a-4d5e-8f6a-1b2c3d4e5f60",
    "email": "ada@example.com",
    "uri": "https://example.com",
}


def decode(raw: msgspec.Raw | bytes) -> Schema:
    """A schema from its bytes; {} for `true` and for what is no schema."""
    return as_schema(msgspec.json.decode(raw)) if bytes(raw) else {}


def sample(schema: Schema, root: Schema) -> Any:
    """A value such as the schema asks for: its default or example where it has one."""
    return _sample(schema, root, 0)


def sample_arguments(root: Schema) -> dict[str, Any]:
    """Arguments for a first call: those that are required."""
    required = cast("list[str]", root.get("required", []))
    return {
        name: sample(as_schema(each), root) for name, each in properties(root).items() if name in required
    }


def as_schema(value: Any) -> Schema:
    """The schema, {} for what is none."""
    return cast("Schema", value) if isinstance(value, dict) else {}


def as_list(value: Any) -> list[Any]:
    """The list, [] for what is none."""
    return cast("list[Any]", value) if isinstance(value, list) else []


def properties(schema: Schema) -> Schema:
    """The properties that it names, by name."""
    return as_schema(schema.get("properties"))


def resolved(schema: Schema, root: Schema) -> Schema:
    """The schema behind `$ref` (of this document), with what stands beside it."""
    for _ in range(8):
        name = schema.get("$ref")
        if not isinstance(name, str) or not name.startswith("#/$defs/"):
            break
        named = as_schema(as_schema(root.get("$defs")).get(name[8:]))
        schema = {**named, **{key: value for key, value in schema.items() if key != "$ref"}}
    return schema


def alternatives(schema: Schema, root: Schema) -> tuple[list[Schema], bool]:
    """The alternatives of a union but null, and whether null is one."""
    every = [resolved(as_schema(arm), root) for arm in as_list(schema.get("anyOf") or schema.get("oneOf"))]
    arms = [arm for arm in every if arm.get("type") != "null"]
    return arms, len(arms) < len(every)


def _sample(schema: Schema, root: Schema, depth: int) -> Any:
    schema = resolved(schema, root)
    if depth > DEEPEST:
        return None
    for name in ("default", "const"):
        if schema.get(name) is not None:
            return schema[name]
    for name in ("examples", "enum"):
        if as_list(schema.get(name)):
            return schema[name][0]
    arms, nullable = alternatives(schema, root)
    if arms:
        return _sample(arms[0], root, depth + 1)
    if nullable:
        return None
    kinds = schema.get("type")
    kind = str((as_list(kinds) or [kinds or ""])[0])
    if kind == "object" or properties(schema):
        required = as_list(schema.get("required"))
        inner = properties(schema).items()
        return {name: _sample(as_schema(each), root, depth + 1) for name, each in inner if name in required}
    if kind == "array":
        fixed = as_list(schema.get("prefixItems"))
        if fixed:
            return [_sample(as_schema(each), root, depth + 1) for each in fixed]
        items = as_schema(schema.get("items"))
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
