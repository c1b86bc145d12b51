"""A skill's schemas as MCP wants them (2025-11-25 and 2026-07-28, server/tools and client/elicitation).

A tool's input is an object: file parameters join the others as objects. Its output is one too: what a
skill returns besides is wrapped as `{"result": …}`. A question's schema becomes a form of one level; what
doesn't fit into one is asked for as JSON text.
"""

from __future__ import annotations

from typing import Any, NamedTuple, cast

import msgspec

from a2a_cloud.model.release import FileParam, SkillSpec

Json = dict[str, Any]

RESULT = "result"
ANSWER = "answer"
#: In a question's schema: requests that are put to an MCP client as they are, by name.
INPUT_REQUESTS = "x-mcp-input-requests"
_PRIMITIVES = frozenset({"string", "number", "integer", "boolean"})
_FORMATS = frozenset({"email", "uri", "date", "date-time"})
_KEPT: dict[str, tuple[str, ...]] = {
    "string": ("title", "description", "minLength", "maxLength", "pattern", "format", "default", "enum"),
    "number": ("title", "description", "minimum", "maximum", "default"),
    "integer": ("title", "description", "minimum", "maximum", "default"),
    "boolean": ("title", "description", "default"),
}
_decode = msgspec.json.Decoder().decode


def _object(value: Any) -> Json:
    return cast(Json, value) if isinstance(value, dict) else {}


def _resolved(schema: Json, root: Json) -> Json:
    """`schema`, or what its local `$ref` leads to."""
    for _ in range(8):
        ref = schema.get("$ref")
        if not isinstance(ref, str) or not ref.startswith("#/"):
            return schema
        found: Any = root
        for step in ref[2:].split("/"):
            found = _object(found).get(step.replace("~1", "/").replace("~0", "~"))
        schema = _object(found)
    return schema


# --- tools ---------------------------------------------------------------------------------------------


def input_schema(spec: SkillSpec) -> Json:
    """The tool's parameters, files among them."""
    schema = dict(_object(_decode(spec.input_schema)))
    schema["type"] = "object"
    if schema.get("description") == spec.description:
        del schema["description"]  # The tool says it.
    if not spec.files:
        return schema
    properties = dict(_object(schema.get("properties")))
    required = list(cast("list[str]", schema.get("required") or []))
    for param in spec.files:
        one = _file(param)
        properties[param.name] = {"type": "array", "items": one} if param.many else one
        if param.required:
            required.append(param.name)
    schema["properties"] = properties
    if required:
        schema["required"] = required
    return schema


def _file(param: FileParam) -> Json:
    words = param.description.rstrip(".")
    kinds = f" ({', '.join(param.media_types)})" if param.media_types else ""
    return {
        "type": "object",
        "description": f"{words + '. ' if words else ''}A file{kinds}: its text, or its bytes in base64 as "
        "data, or as uri one of this server's resources or a data: address.",
        "properties": {
            "text": {"type": "string"},
            "data": {"type": "string", "contentEncoding": "base64"},
            "uri": {"type": "string", "format": "uri"},
            "filename": {"type": "string"},
            "mediaType": {"type": "string"},
        },
        "additionalProperties": False,
    }


def wraps(spec: SkillSpec) -> bool:
    """Whether what the skill returns has to be wrapped to be an object."""
    declared: Any = _decode(spec.output_schema)
    if not isinstance(declared, dict) or not declared or cast(Json, declared).get("type") == "null":
        return False
    return not _is_object(cast(Json, declared))


def output_schema(spec: SkillSpec) -> Json | None:
    """The tool's structured result; None for a skill that returns nothing, or doesn't say what."""
    declared: Any = _decode(spec.output_schema)
    if not isinstance(declared, dict) or not declared:
        return None
    schema = cast(Json, declared)
    if schema.get("type") == "null":
        return None
    if _is_object(schema):
        # Written out at the root: clients look for its properties there.
        rest = {name: value for name, value in schema.items() if name != "$ref"}
        return {**_resolved(schema, schema), **rest, "type": "object"}
    inner = {name: value for name, value in schema.items() if name != "$defs"}
    whole: Json = {"type": "object", "properties": {RESULT: inner}, "required": [RESULT]}
    if "$defs" in schema:
        whole["$defs"] = schema["$defs"]
    return whole


def _is_object(schema: Json) -> bool:
    return _resolved(schema, schema).get("type") == "object"


# --- questions -----------------------------------------------------------------------------------------


class Form(NamedTuple):
    """A question as a form. `how` the answer comes out of its content: the content itself, its one field
    `answer`, or that field's text read as JSON."""

    schema: Json
    how: str

    def value(self, content: Json) -> Any:
        """The answer in what the client's user filled in."""
        if self.how == "content":
            return content
        found = content.get(ANSWER)
        if self.how == "json" and isinstance(found, str):
            try:
                return _decode(found.encode())
            except (msgspec.DecodeError, UnicodeEncodeError, RecursionError):
                return found
        return found


def form(schema: Any) -> Form:
    """The form of a question's JSON Schema."""
    root = _object(schema)
    resolved = _resolved(root, root)
    if resolved.get("type") == "object" and resolved.get("properties"):
        properties: Json = {}
        for name, one in _object(resolved["properties"]).items():
            made = _field(_object(one), root)
            if made is None:
                break
            properties[name] = made
        else:
            whole: Json = {"type": "object", "properties": properties}
            if resolved.get("required"):
                whole["required"] = resolved["required"]
            return Form(whole, "content")
    if not root:
        return Form(_one({"type": "string"}), ANSWER)
    field = _field(root, root)
    if field is not None:
        return Form(_one(field, required=not _nullable(root, root)), ANSWER)
    text = msgspec.json.encode(schema).decode()
    words = f"JSON that fits this schema: {text if len(text) <= 2000 else text[:1999] + '…'}"
    return Form(_one({"type": "string", "description": words}), "json")


def _one(field: Json, *, required: bool = True) -> Json:
    whole: Json = {"type": "object", "properties": {ANSWER: field}}
    if required:
        whole["required"] = [ANSWER]
    return whole


def _arms(schema: Json, root: Json) -> list[Json]:
    arms = schema.get("anyOf") or schema.get("oneOf")
    if not isinstance(arms, list):
        return []
    return [_resolved(_object(arm), root) for arm in cast("list[Any]", arms)]


def _nullable(schema: Json, root: Json) -> bool:
    return any(arm.get("type") == "null" for arm in _arms(_resolved(schema, root), root))


def _field(schema: Json, root: Json) -> Json | None:
    """A field of a form, or None for what a form can't hold."""
    resolved = _resolved(schema, root)
    words = {name: schema[name] for name in ("title", "description", "default") if name in schema}
    arms = _arms(resolved, root)
    if arms and all("const" in arm and isinstance(arm["const"], str) for arm in arms):
        titled = [{"const": arm["const"], "title": str(arm.get("title", arm["const"]))} for arm in arms]
        return {"type": "string", "oneOf": titled, **words}
    others = [arm for arm in arms if arm.get("type") != "null"]
    if arms and len(others) == 1 and len(others) < len(arms):
        inner = _field(others[0], root)
        return None if inner is None else {**inner, **words}
    if arms:
        return None
    kind = resolved.get("type")
    values = resolved.get("enum")
    if isinstance(values, list):
        texts = cast("list[Any]", values)
        if not texts or not all(isinstance(value, str) for value in texts):
            return None
        kind = "string"
    if kind == "array":
        return _choices(resolved, root, words)
    if not isinstance(kind, str) or kind not in _PRIMITIVES:
        return None
    field: Json = {"type": kind}
    for name in _KEPT[kind]:
        if name in resolved and not (name == "format" and resolved[name] not in _FORMATS):
            field[name] = resolved[name]
    if "enumNames" in resolved:  # Titles of an enum, as until 2025-06-18.
        field["enumNames"] = resolved["enumNames"]
    return {**field, **words}


def _choices(schema: Json, root: Json, words: Json) -> Json | None:
    """A list of some of a few texts."""
    items = _resolved(_object(schema.get("items")), root)
    if isinstance(items.get("enum"), list):
        inner: Json = {"type": "string", "enum": items["enum"]}
    elif _arms(items, root) and all("const" in arm for arm in _arms(items, root)):
        inner = {"anyOf": items.get("anyOf") or items.get("oneOf")}
    else:
        return None
    kept = {name: schema[name] for name in ("minItems", "maxItems") if name in schema}
    return {"type": "array", "items": inner, **kept, **words}
