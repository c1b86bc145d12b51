"""A skill as an operation of OpenAPI 3.1: `POST /invoke/{skill}` with its schemas, examples and problems.

A schema of a skill becomes a component of its own, because in OpenAPI a reference `#/…` starts at the
document and not at the schema.
"""

from __future__ import annotations

import re
from collections.abc import Callable
from typing import Any, cast

import msgspec

from a2a_cloud.model.release import SkillSpec
from a2a_cloud.wire.openapi_components import own_schemas
from a2a_cloud.wire.openapi_problems import problems
from a2a_cloud.wire.openapi_shapes import KEYED, Json, answer, parameter, query, ref, run_headers
from a2a_cloud.wire.schema_reading import decode, sample_arguments

#: Whether arguments fit a skill's schema.
Fits = Callable[[SkillSpec, Any], bool]

#: What the name of a component may not hold.
_UNSAFE = re.compile(r"[^A-Za-z0-9._-]")
#: Where a schema holds schemas: by name, in a list, alone.
_BY_NAME = frozenset({"properties", "patternProperties", "dependentSchemas"})
_IN_LIST = frozenset({"allOf", "anyOf", "oneOf", "prefixItems"})
_ALONE = frozenset(
    {
        "items",
        "contains",
        "additionalProperties",
        "unevaluatedProperties",
        "unevaluatedItems",
        "propertyNames",
    }
    | {"not", "if", "then", "else", "contentSchema"}
)
#: Of those, where generators of clients expect a boolean, and take one.
_SWITCHES = frozenset({"additionalProperties", "unevaluatedProperties", "unevaluatedItems"})
_OCTETS = "application/octet-stream"
_SCALARS = frozenset({"string", "integer", "number", "boolean"})

_decode = msgspec.json.Decoder().decode


def operation(spec: SkillSpec, operation_id: str, shared: Json, fits: Fits) -> Json | None:
    """The operation, its schemas put into `shared`; None for a skill that needs several files, which go in a
    message."""
    if sum(param.required for param in spec.files) > 1:
        return None
    takes = _component(spec.input_schema, f"{spec.id}.input", shared)
    gives = _component(spec.output_schema, f"{spec.id}.output", shared)
    content: Json = {}
    parameters = [
        query("async", "Answer 202 at once.", {"type": "boolean"}),
        *(parameter(name) for name in ("IdempotencyKey", "Grant", "Priority")),
    ]
    if not any(param.required for param in spec.files):
        content["application/json"] = {"schema": takes, **_examples(spec, fits)}
    if spec.files:
        parameters = [*_arguments(spec, shared), *parameters]
        names = {each["name"] for each in parameters if "name" in each}
        if len(spec.files) > 1 and "file" not in names:
            choice = {"type": "string", "enum": [param.name for param in spec.files]}
            parameters.append(query("file", "Which parameter the body is for.", choice))
        for param in spec.files:
            for kind in (*param.media_types, _OCTETS):
                about = param.description or f"The file {param.name}."
                content[kind] = {"schema": {"type": "string", "format": "binary", "description": about}}
    needed = any(param.required for param in spec.files) or bool(decode(spec.input_schema).get("required"))
    return {
        "operationId": operation_id,
        "summary": spec.name or spec.id,
        "description": spec.description,
        "tags": ["skills", *(tag for tag in dict.fromkeys(spec.tags) if tag != "skills")],
        "parameters": parameters,
        "requestBody": {"required": needed, "content": content},
        "responses": {
            "200": answer(
                "What the skill returned; with Accept: text/event-stream the run's events",
                {
                    "application/json": {"schema": _answer(spec, gives)},
                    "text/event-stream": {"schema": {"type": "string"}},
                },
                run_headers(),
            ),
            "202": answer(
                "The run goes on: it asks something, waits for an approval, or was called with async=1",
                {"application/json": {"schema": ref("Unfinished")}},
                run_headers(receipt=False),
            ),
            **problems("Invoke"),
        },
        **({"security": KEYED} if spec.extended or spec.scopes else {}),
    }


def _answer(spec: SkillSpec, gives: Json) -> Json:
    if _decode(spec.output_schema) != {"type": "null"}:
        return gives
    said = "Nothing; or what the skill said instead: text that it streamed, or a message."
    return {"description": said, "anyOf": [{"type": "null"}, {"type": "string"}, ref("Message")]}


def _examples(spec: SkillSpec, fits: Fits) -> Json:
    """Arguments for a first call, and the author's examples: JSON objects, or texts for the skill's one text
    parameter. What doesn't fit the schema is left out."""
    first = sample_arguments(decode(spec.input_schema))
    found: list[Any] = []
    for example in spec.examples:
        try:
            value = _decode(example)
        except (msgspec.DecodeError, UnicodeEncodeError, RecursionError):
            value = None
        if isinstance(value, dict):
            found.append(cast("Json", value))
        elif spec.text_param:
            found.append({**first, spec.text_param: example})
    every = [value for value in (*found, first) if fits(spec, value)]
    different = [value for n, value in enumerate(every) if value not in every[:n]]
    return (
        {"examples": {f"example{n}": {"value": value} for n, value in enumerate(different, 1)}}
        if every
        else {}
    )


def _arguments(spec: SkillSpec, shared: Json) -> list[Json]:
    """The skill's arguments as query parameters, for when the body is a file: text as it is, the rest as
    JSON."""
    component = shared.get(f"{spec.id}.input", {})
    required = cast("list[str]", component.get("required", []))
    found: list[Json] = []
    for name, schema in cast("Json", component.get("properties", {})).items():
        each: Json = {"name": name, "in": "query", "required": name in required}
        if schema.get("type") in _SCALARS or ("enum" in schema and "type" not in schema):
            each["schema"] = schema
        else:
            each["content"] = {"application/json": {"schema": schema}}
        if "description" in schema:
            each["description"] = schema["description"]
        found.append(each)
    return found


def _component(raw: msgspec.Raw, name: str, shared: Json) -> Json:
    """A reference to the schema, put into `shared` with the definitions that it has; what is no object with
    members is given as it is."""
    value = _decode(raw)
    if not isinstance(value, dict):
        return {} if value is not False else {"not": {}}
    schema = {
        key: each for key, each in cast("Json", value).items() if key not in ("$defs", "$schema", "$id")
    }
    name = _UNSAFE.sub("_", name)
    defs = cast("Json", cast("Json", value).get("$defs", {}))
    refs = {f"#/$defs/{_pointer(each)}": _definition_name(each, defs, name, shared) for each in defs}
    for each, definition in defs.items():
        moved = _moved(definition, refs, name)
        component = refs[f"#/$defs/{_pointer(each)}"]
        if component.startswith(f"{name}."):
            moved.pop("title", None)  # Generators name classes by it, and this one isn't the only one.
        shared[component] = moved
    moved = _moved(schema, refs, name)
    plain = schema.get("type") != "object" or "properties" not in schema
    if plain and not _refers(moved, f"#/components/schemas/{name}"):
        return moved
    shared[name] = moved
    return ref(name)


def _definition_name(each: str, defs: Json, name: str, shared: Json) -> str:
    """The definition's own name, where no other of that name is another type; else one with the skill's."""
    plain, whole = _UNSAFE.sub("_", each), f"{name}.{_UNSAFE.sub('_', each)}"
    refs = {f"#/$defs/{_pointer(other)}": _UNSAFE.sub("_", other) for other in defs}
    mine: set[str] = set()
    _reached(each, defs, mine)
    for other in mine:
        called = _UNSAFE.sub("_", other)
        if called in own_schemas() or "." in called:
            return whole
        if called in shared and shared[called] != _moved(defs[other], refs, name):
            return whole
    return plain


def _reached(each: str, defs: Json, found: set[str]) -> None:
    """The definition and those that it refers to, directly or not."""
    if each in found or each not in defs:
        return
    found.add(each)
    for other in defs:
        if _refers(defs[each], f"#/$defs/{_pointer(other)}"):
            _reached(other, defs, found)


def _refers(node: Any, target: str) -> bool:
    """Whether something in a schema refers to `target` or to what is in it."""
    if isinstance(node, dict):
        found = cast("Json", node)
        aim = found.get("$ref")
        if isinstance(aim, str) and (aim == target or aim.startswith(f"{target}/")):
            return True
        return any(_refers(each, target) for each in found.values())
    return isinstance(node, list) and any(_refers(each, target) for each in cast("list[Any]", node))


def _moved(node: Any, refs: dict[str, str], root: str) -> Any:
    """A schema whose references start at the document. Only where JSON Schema has schemas: what stands in a
    default or an example is left alone."""
    if not isinstance(node, dict):
        return {} if node is True else {"not": {}}
    moved: Json = {}
    for key, value in cast("Json", node).items():
        if key in _SWITCHES and isinstance(value, bool):
            moved[key] = value
        elif key == "$ref" and isinstance(value, str):
            moved[key] = _reference(value, refs, root)
        elif key == "discriminator" and isinstance(value, dict):
            mapping = cast("dict[str, str]", cast("Json", value).get("mapping", {}))
            named = {name: _reference(each, refs, root) for name, each in mapping.items()}
            moved[key] = {**cast("Json", value), "mapping": named}
        elif key in _BY_NAME and isinstance(value, dict):
            moved[key] = {name: _moved(each, refs, root) for name, each in cast("Json", value).items()}
        elif key in _IN_LIST and isinstance(value, list):
            moved[key] = [_moved(each, refs, root) for each in cast("list[Any]", value)]
        elif key in _ALONE:
            moved[key] = _moved(value, refs, root)
        else:
            moved[key] = value
    if moved.get("type") == "array" and "prefixItems" not in moved:
        moved.setdefault("items", {})  # It says the same, and generators ask for it.
    return moved


def _reference(value: str, refs: dict[str, str], root: str) -> str:
    """Where a reference inside of the schema leads in the document."""
    if not value.startswith("#"):
        return value
    for old, new in refs.items():
        if value == old or value.startswith(f"{old}/"):
            return f"#/components/schemas/{new}{value[len(old) :]}"
    return f"#/components/schemas/{root}{value[1:]}"


def _pointer(name: str) -> str:
    return name.replace("~", "~0").replace("/", "~1")
