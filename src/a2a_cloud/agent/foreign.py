"""pydantic in a skill's types, when the agent's environment has it.

Never imports pydantic: an annotation can only be pydantic's when the author's code imported it, and
then it is in `sys.modules`. What pydantic knows how to check is handed to pydantic whole.
"""

from __future__ import annotations

import sys
from collections.abc import Callable
from functools import lru_cache
from typing import Annotated, Any, Literal, cast, get_args, get_origin

import msgspec

from a2a_cloud.agent.problem import BadDeclaration

Mode = Literal["validation", "serialization"]


def is_foreign(annotation: Any) -> bool:
    """Whether pydantic has to check this annotation itself (this level only, not its arguments)."""
    if "pydantic" not in sys.modules:
        return False
    if get_origin(annotation) is Annotated:
        return any(_is_constraint(extra) for extra in get_args(annotation)[1:])
    return isinstance(annotation, type) and (
        hasattr(annotation, "__get_pydantic_core_schema__") or hasattr(annotation, "__pydantic_validator__")
    )


def refuse_unread_constraints(annotation: Any) -> None:
    """BadDeclaration for `annotated_types` bounds that nobody here would enforce."""
    for extra in get_args(annotation)[1:]:
        if type(extra).__module__.split(".")[0] == "annotated_types":
            raise BadDeclaration(
                f"Nothing checks the bound {extra!r} without pydantic.",
                remedy="Write Annotated[…, msgspec.Meta(ge=…, max_length=…)].",
            )


def _is_constraint(extra: Any) -> bool:
    home = type(extra).__module__.split(".")[0]
    return home in ("pydantic", "annotated_types") or hasattr(extra, "__get_pydantic_core_schema__")


@lru_cache(maxsize=1024)
def _adapter(annotation: Any) -> Any:
    pydantic: Any = sys.modules["pydantic"]
    try:
        return pydantic.TypeAdapter(annotation)
    except Exception as error:  # pydantic's own errors share no base but Exception
        raise BadDeclaration(f"pydantic can't read the type {annotation!r}: {error}") from None


def reader(annotation: Any) -> Callable[[Any], Any]:
    """A function from decoded JSON to the annotated type; ValueError with the first misfit."""
    adapter = _adapter(annotation)

    def read(value: Any) -> Any:
        # As JSON, not as Python values: that is the mode in which a strict model takes a date's text.
        try:
            return adapter.validate_json(msgspec.json.encode(value))
        except ValueError as error:
            raise ValueError(misfit(error)) from None

    return read


def writer(annotation: Any) -> Callable[[Any], bytes]:
    """A function from a value to JSON, checked against the annotation; ValueError if it doesn't fit."""
    adapter = _adapter(annotation)

    def write(value: Any) -> bytes:
        try:
            return adapter.dump_json(adapter.validate_python(value), by_alias=True)
        except ValueError as error:
            raise ValueError(misfit(error)) from None

    return write


def schema(annotation: Any, mode: Mode) -> dict[str, Any]:
    """pydantic's JSON Schema, with its `$defs`."""
    try:
        return _adapter(annotation).json_schema(mode=mode)
    except Exception as error:
        raise BadDeclaration(f"The type {annotation!r} has no JSON Schema: {error}") from None


def builtins(value: Any) -> Any:
    """A pydantic value inside another one, as JSON builtins. NotImplementedError for anything else."""
    if not is_foreign(type(value)):
        raise NotImplementedError(f"values of type `{type(value).__name__}` have no JSON form")
    return _adapter(cast(Any, type(value))).dump_python(value, mode="json", by_alias=True)


def misfit(error: ValueError) -> str:
    """The first of pydantic's complaints in one line, with its path."""
    errors = getattr(error, "errors", None)
    if errors is None:
        return str(error)
    first = errors(include_url=False, include_context=False, include_input=False)[0]
    path = ".".join(str(step) for step in first["loc"])
    return f"{first['msg']} (at {path})" if path else str(first["msg"])
