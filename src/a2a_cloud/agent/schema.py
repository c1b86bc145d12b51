"""Python types as JSON Schema 2020-12 and as msgspec decoders.

msgspec reads most annotations itself. `native` rewrites the rest, arms of unions and pydantic's
types included, into something that it reads; `schemas` describes the rewritten types. Strings in
`Annotated` are descriptions. Known differences between the schema and what is accepted: a set may
hold an item twice, `1.0` is no integer here, a `format` and base64 are checked here and only hinted
at in the schema, keys of `dict[int, …]` are any string in the schema.
"""

from __future__ import annotations

import collections.abc
import datetime
import types
from collections.abc import Callable, Sequence
from typing import Annotated, Any, Literal, NewType, Union, cast, get_args, get_origin

import msgspec
from msgspec import Meta

from a2a_cloud.agent import foreign
from a2a_cloud.agent.problem import BadDeclaration

Schema = dict[str, Any]

_HINTS: dict[Any, Meta] = {
    # msgspec leaves these without a format where the time zone is optional.
    datetime.datetime: Meta(extra_json_schema={"format": "date-time"}),
    datetime.time: Meta(extra_json_schema={"format": "time"}),
}
_GENERIC = (
    list,
    tuple,
    set,
    frozenset,
    dict,
    collections.abc.Sequence,
    collections.abc.MutableSequence,
    collections.abc.Collection,
    collections.abc.Mapping,
    collections.abc.MutableMapping,
    collections.abc.Set,
    collections.abc.MutableSet,
)


class Opaque(type):
    """The class of a type that msgspec must not look into: it decodes to builtins, `read` does the rest.

    msgspec checks what a hook returns with isinstance; the values are of another type, hence the
    answer that is always yes.
    """

    read: Callable[[Any], Any]
    describe: Callable[[foreign.Mode], tuple[Schema, dict[str, Schema]]]
    pydantic: bool

    def __instancecheck__(cls, instance: Any, /) -> bool:
        return True


def _opaque(name: str, read: Any, describe: Any, *, pydantic: bool) -> Any:
    members = {"read": staticmethod(read), "describe": staticmethod(describe), "pydantic": pydantic}
    return Opaque(name, (), members)


def decode_hook(kind: Any, value: Any) -> Any:
    """msgspec's `dec_hook`: ValueError when the value doesn't fit."""
    if isinstance(kind, Opaque):
        return kind.read(value)
    if foreign.is_foreign(kind):
        return foreign.reader(kind)(value)
    raise NotImplementedError(f"the type {kind!r} has no JSON form")


def native(annotation: Any) -> Any:
    """The annotation as a type that msgspec (with `decode_hook`) reads. Raises BadDeclaration."""
    if foreign.is_foreign(annotation):
        return _pydantic(annotation)
    origin = get_origin(annotation)
    if origin is Annotated:
        return _annotated(annotation)
    if annotation is object:
        return Any
    if annotation in (collections.abc.Iterable, collections.abc.Sequence):
        return list
    if isinstance(annotation, NewType):
        return native(annotation.__supertype__)
    if isinstance(annotation, type) and annotation in _HINTS:
        return Annotated[annotation, _HINTS[annotation]]
    if origin in (Union, types.UnionType):
        return _union([native(arm) for arm in get_args(annotation)])
    if origin is collections.abc.Iterable:
        return list[native(get_args(annotation)[0])]
    if origin in _GENERIC:
        args = [arg if arg is Ellipsis or arg == () else native(arg) for arg in get_args(annotation)]
        return cast(Any, origin)[tuple(args)] if args else annotation
    return annotation


def _annotated(annotation: Any) -> Any:
    base, *extras = get_args(annotation)
    foreign.refuse_unread_constraints(annotation)
    out = native(base)
    for extra in extras:
        text = extra if isinstance(extra, str) else getattr(extra, "documentation", None)
        if isinstance(extra, Meta):
            out = Annotated[out, extra]
        elif isinstance(text, str):
            out = Annotated[out, Meta(description=text)]
    return out


def _pydantic(annotation: Any) -> Any:
    def describe(mode: foreign.Mode) -> tuple[Schema, dict[str, Schema]]:
        schema = foreign.schema(annotation, mode)
        return schema, schema.pop("$defs", {})

    return _opaque(spelled(annotation), foreign.reader(annotation), describe, pydantic=True)


def _union(arms: list[Any]) -> Any:
    joined: Any = Union[tuple(arms)]  # noqa: UP007 (made of a list)
    for arm in arms:
        decoder(arm)
    try:
        msgspec.json.Decoder(joined, dec_hook=decode_hook)
    except TypeError:
        # Two string-like or two object-like arms: msgspec can't tell them apart, so each is tried.
        return _tried_in_order(arms)
    return joined


def _tried_in_order(arms: list[Any]) -> Any:
    names = [spelled(arm) for arm in arms]

    def read(value: Any) -> Any:
        why: list[str] = []
        for arm, name in zip(arms, names, strict=True):
            try:
                return msgspec.convert(value, arm, str_keys=True, dec_hook=decode_hook)
            except ValueError as error:
                why.append(f"{name}: {str(error)[:120]}")
        raise ValueError(f"Expected {' or '.join(names)} ({'; '.join(why)})")

    def describe(mode: foreign.Mode) -> tuple[Schema, dict[str, Schema]]:
        described, components = schemas(arms, mode)
        return {"anyOf": described}, components

    pydantic = any(isinstance(arm, Opaque) and arm.pydantic for arm in arms)
    return _opaque("_or_".join(names), read, describe, pydantic=pydantic)


def spelled(annotation: Any) -> str:
    """A type's name for sentences and for `$defs`."""
    if annotation is type(None):
        return "null"
    while get_origin(annotation) is Annotated:
        annotation = get_args(annotation)[0]
    return annotation.__name__ if isinstance(annotation, type) else str(annotation).replace("typing.", "")


def decoder(kind: Any) -> msgspec.json.Decoder[Any]:
    """A decoder of a native type. BadDeclaration where msgspec can't make one."""
    try:
        return msgspec.json.Decoder(kind, dec_hook=decode_hook)
    except TypeError as error:
        raise BadDeclaration(_no_form(kind, error)) from None


def schemas(
    kinds: Sequence[Any], mode: foreign.Mode = "validation"
) -> tuple[list[Schema], dict[str, Schema]]:
    """The schemas of native types and the `$defs` they refer to. Raises BadDeclaration."""
    hoisted: dict[str, Schema] = {}

    def hook(kind: Any) -> Schema:
        if isinstance(kind, Opaque):
            schema, components = kind.describe(mode)
        elif foreign.is_foreign(kind):
            schema = foreign.schema(kind, mode)
            components = schema.pop("$defs", {})
        else:
            raise NotImplementedError
        _merge(hoisted, components)
        return schema

    try:
        described, components = msgspec.json.schema_components(kinds, schema_hook=hook)
    except TypeError as error:
        raise BadDeclaration(_no_form(kinds[0] if len(kinds) == 1 else None, error)) from None
    except KeyError as error:
        # Of two classes whose full names are the same, msgspec keeps one.
        raise BadDeclaration(
            f"Two different types named {spelled(error.args[0])} are used in one skill.",
            remedy="Rename one of them.",
        ) from None
    _merge(hoisted, components)
    return [_polished(schema) for schema in described], {k: _polished(v) for k, v in hoisted.items()}


def touches_pydantic(kind: Any) -> bool:
    """Whether pydantic is anywhere in a native type, in the fields of its classes too."""
    seen = False

    def hook(found: Any) -> Schema:
        nonlocal seen
        seen = seen or foreign.is_foreign(found) or (isinstance(found, Opaque) and found.pydantic)
        return {"type": "object"}

    try:
        msgspec.json.schema_components([kind], schema_hook=hook)
    except TypeError:
        return False
    return seen


def _merge(into: dict[str, Schema], more: dict[str, Schema]) -> None:
    for name, schema in more.items():
        if into.setdefault(name, schema) != schema:
            raise BadDeclaration(
                f"Two different types named {name} are used in one skill.", remedy="Rename one of them."
            )


def _no_form(kind: Any, error: TypeError) -> str:
    # The last line of msgspec's message names the class at fault.
    why = str(error).strip().splitlines()[-1]
    subject = f"The type {spelled(kind)}" if kind is not None else "A type"
    return f"{subject} has no JSON form: {why}."


def _polished(schema: Any) -> Any:
    """msgspec's schema with two corrections: a decimal may be a number, objects need no empty list."""
    if isinstance(schema, list):
        return [_polished(item) for item in cast("list[Any]", schema)]
    if not isinstance(schema, dict):
        return schema
    found = cast("Schema", schema)
    out = {k: v if k in ("default", "enum", "const", "examples") else _polished(v) for k, v in found.items()}
    if out.get("format") == "decimal" and out.get("type") == "string":
        out["type"] = ["string", "number"]
    if out.get("required") == []:
        del out["required"]
    return out


def takes_text(annotation: Any) -> bool:
    """Whether free text can fill a parameter: `str`, also optional, annotated or a NewType of it."""
    if get_origin(annotation) is Annotated:
        return takes_text(get_args(annotation)[0])
    if isinstance(annotation, NewType):
        return takes_text(annotation.__supertype__)
    if get_origin(annotation) in (Union, types.UnionType):
        arms = [arm for arm in get_args(annotation) if arm is not type(None)]
        return len(arms) == 1 and takes_text(arms[0])
    return annotation is str


def allows_none(annotation: Any) -> bool:
    """Whether None is one of the annotation's values."""
    if annotation is None or annotation is type(None) or annotation is Any or annotation is object:
        return True
    origin = get_origin(annotation)
    if origin is Annotated:
        return allows_none(get_args(annotation)[0])
    if origin is Literal:
        return None in get_args(annotation)
    return origin in (Union, types.UnionType) and any(allows_none(arm) for arm in get_args(annotation))
