"""Questions of a run: shown, asked on a terminal as their JSON Schema says, answered from words."""

from __future__ import annotations

import json
import operator
import re
import sys
from collections.abc import Callable
from typing import Any

import click

from a2a_cloud.callers.cli.arguments import (
    STDIN,
    FromFile,
    existing_file,
    parse_arguments,
    parse_json,
    write_argument,
)
from a2a_cloud.callers.cli.exits import Exit, Failure
from a2a_cloud.callers.cli.terminal import clean_line, say
from a2a_cloud.client.shapes import items, obj, objs

Schema = dict[str, Any]
_BOUNDS: tuple[tuple[str, Callable[[Any, Any], bool], str], ...] = (
    ("minimum", operator.ge, "at least"),
    ("maximum", operator.le, "at most"),
    ("exclusiveMinimum", operator.gt, "more than"),
    ("exclusiveMaximum", operator.lt, "less than"),
)
_YES, _NO = {"y", "yes", "true"}, {"n", "no", "false"}
_ASSIGNMENT = re.compile(r"[A-Za-z_]\w*:?=")


def schema_of(question: dict[str, Any] | None) -> Schema:
    """The question's schema ({} when anything may be answered), its references resolved one level deep:
    the kit writes a dataclass or an enum as `$ref` to `$defs`."""
    schema = obj((question or {}).get("schema"))
    defs = obj(schema.get("$defs"))
    schema = _resolved(schema, defs)
    if "properties" in schema:
        fields = {name: _resolved(obj(each), defs) for name, each in obj(schema["properties"]).items()}
        schema = {**schema, "properties": fields}
    return schema


def _resolved(schema: Schema, defs: dict[str, Any]) -> Schema:
    for _ in range(len(defs)):
        name = str(schema.get("$ref", "")).removeprefix("#/$defs/")
        if name not in defs:
            break
        schema = obj(defs[name]) | {key: value for key, value in schema.items() if key != "$ref"}
    return schema


def _kinds(schema: Schema) -> list[str]:
    kind = schema.get("type")
    return [str(each) for each in items(kind)] or [str(kind or "")]


def _properties(schema: Schema) -> dict[str, Schema]:
    return {name: obj(each) for name, each in obj(schema.get("properties")).items()}


def choices(schema: Schema) -> list[Any]:
    """The values that an enumeration allows ([] when it is none)."""
    if "enum" in schema:
        return items(schema["enum"])
    for name in ("oneOf", "anyOf"):
        options = items(schema.get(name))
        consts = [each["const"] for each in objs(options) if "const" in each]
        if consts and len(consts) == len(options):
            return consts
    return []


def part_from_words(words: tuple[str, ...], question: dict[str, Any] | None) -> dict[str, Any]:
    """The A2A part that answers `question`: `k=v…` as an object where one is asked, else the text.

    The platform checks it against the schema. Raises Failure (usage).
    """
    schema = schema_of(question)
    known = _properties(schema)
    is_object = "object" in _kinds(schema) or bool(known)
    assigned = all(_ASSIGNMENT.match(word) for word in words)
    if assigned and is_object and known:
        names = {word.split("=", 1)[0].removesuffix(":") for word in words}
        assigned = names <= set(known) or len(words) > 1
    if assigned and (is_object or not schema):
        return _data({each.name: _value(each) for each in parse_arguments(words)})
    if "boolean" in _kinds(schema) and len(words) == 1 and words[0].lower() in _YES | _NO:
        return _data(words[0].lower() in _YES)
    if len(words) > 1 and (is_object or not {"string", ""} & set(_kinds(schema))):
        raise Failure(
            Exit.USAGE,
            "The answer has several words, and the question does not take text.",
            remedy="Write NAME=VALUE for each field." if is_object else "Write one JSON value, in quotes.",
        )
    return {"text": " ".join(words)}


def _value(argument: Any) -> Any:
    if not isinstance(argument, FromFile):
        return argument.value
    if argument.path == STDIN:
        raw = sys.stdin.buffer.read()
    else:
        raw = existing_file(argument.path, argument.name).read_bytes()
    if argument.as_json:
        return parse_json(raw, argument.name)
    return read_text(raw, argument.name)


def read_text(raw: bytes, name: str) -> str:
    """`raw` as UTF-8. Raises Failure (usage)."""
    try:
        return raw.decode("utf-8-sig")
    except UnicodeDecodeError:
        raise Failure(
            Exit.USAGE, f"What {name!r} was read from is not UTF-8 text, and {name!r} takes text."
        ) from None


def _data(value: Any) -> dict[str, Any]:
    return {"data": value, "mediaType": "application/json"}


def show_question(question: dict[str, Any] | None) -> None:
    """The question and what may be answered, on stderr."""
    say(str((question or {}).get("text") or "The run waits for an answer."))
    schema = schema_of(question)
    if choices(schema):
        say("  one of: " + ", ".join(_word(each) for each in choices(schema)))
    for name, each in _properties(schema).items():
        need = "required" if name in items(schema.get("required")) else "optional"
        allowed = " | ".join(_word(value) for value in choices(each)) or "/".join(_kinds(each)) or "any"
        about = f"  {each['description']}" if each.get("description") else ""
        say(f"  {clean_line(name)}: {clean_line(allowed)} ({need}){clean_line(about)}")


def example_words(question: dict[str, Any] | None) -> list[str]:
    """An answer's words as an example, with … where only the person knows."""
    schema = schema_of(question)
    fields = _properties(schema)
    if fields:
        required = items(schema.get("required"))
        wanted = [name for name in fields if name in required] or list(fields)[:1]
        return [_example(name, fields[name]) for name in wanted]
    allowed = choices(schema)
    if "boolean" in _kinds(schema):
        return ["yes"]
    return [_word(allowed[0])] if allowed else ["…"]


def _example(name: str, schema: Schema) -> str:
    allowed = choices(schema)
    if allowed:
        return write_argument(name, allowed[0])
    return f"{name}=…" if set(_kinds(schema)) & {"string", ""} else f"{name}:=…"


def _word(value: Any) -> str:
    return value if isinstance(value, str) else json.dumps(value, ensure_ascii=False)


def ask_person(question: dict[str, Any] | None) -> dict[str, Any]:
    """Ask on the terminal until the answer fits; the part. Raises click.Abort at end of input."""
    say()
    show_question(question)
    schema = schema_of(question)
    fields = _properties(schema)
    if not fields:
        return _data(_ask(schema, "Answer", required=True))
    answer: dict[str, Any] = {}
    for name, each in fields.items():
        value = _ask(each, clean_line(name), required=name in items(schema.get("required")))
        if value is not None:
            answer[name] = value
    return _data(answer)


def _ask(schema: Schema, label: str, *, required: bool) -> Any:
    allowed = choices(schema)
    for number, value in enumerate(allowed, 1):
        say(f"  {number}. {clean_line(_word(value))}")
    hint = f" (1–{len(allowed)})" if allowed else "" if required else " (Enter for none)"
    default = schema.get("default")
    if default is not None:
        hint = f" [{clean_line(_word(default))}]"
    while True:
        line: str = click.prompt(label + hint, default="", show_default=False, err=True)
        if not line.strip():
            if default is not None:
                return default
            if not required:
                return None
            if "string" not in _kinds(schema) or schema.get("minLength", 0) or allowed:
                say("  An answer is needed.")
                continue
        value, why = _read(schema, line, allowed)
        if not why:
            return value
        say(f"  {why}")


def _read(schema: Schema, line: str, allowed: list[Any]) -> tuple[Any, str]:
    """The value of a typed line, and why it does not fit ("" when it does)."""
    word = line.strip()
    if allowed:
        for value in allowed:
            if word == _word(value):
                return value, ""
        if word.isdecimal() and 1 <= int(word) <= len(allowed):
            return allowed[int(word) - 1], ""
        folded = [value for value in allowed if _word(value).casefold() == word.casefold()]
        return (folded[0], "") if len(folded) == 1 else (None, f"Choose 1 to {len(allowed)}.")
    kinds = set(_kinds(schema))
    if "string" in kinds:
        return line, ""
    if "boolean" in kinds:
        if word.lower() in _YES | _NO:
            return word.lower() in _YES, ""
        return None, "Answer yes or no."
    if "array" in kinds and not word.startswith("["):
        if "string" in _kinds(obj(schema.get("items"))):
            return [each.strip() for each in word.split(",") if each.strip()], ""
        return None, "Write a JSON list, such as [1, 2]."
    if kinds & {"integer", "number"}:
        return _number(word, kinds, schema)
    try:
        return json.loads(word), ""
    except (ValueError, RecursionError):
        return (word, "") if kinds == {""} else (None, "Write it as JSON.")


def _number(word: str, kinds: set[str], schema: Schema) -> tuple[Any, str]:
    convert: Callable[[str], Any] = float if "number" in kinds else int
    try:
        value: Any = convert(word)
    except ValueError:
        return None, "Write a number." if "number" in kinds else "Write a whole number."
    if isinstance(value, float) and (value != value or abs(value) == float("inf")):
        return None, "Write a number."
    if isinstance(value, float) and value.is_integer() and re.fullmatch(r"[+-]?\d+", word):
        value = int(word)
    for name, fits, words in _BOUNDS:
        bound = schema.get(name)
        if isinstance(bound, int | float) and not fits(value, bound):
            return None, f"It has to be {words} {bound}."
    return value, ""
