"""Values that cross the line between a skill and the runtime: as JSON, and back as their types."""

from __future__ import annotations

import contextlib
import inspect
from collections.abc import Callable
from typing import Any, cast, get_type_hints
from weakref import WeakKeyDictionary

import msgspec

from a2a_cloud.agent.problem import Problem
from a2a_cloud.agent.schema import decoder, native, schemas

Read = Callable[[bytes], Any]


def _hook(value: Any) -> Any:
    dump = getattr(value, "model_dump", None)
    if callable(dump):
        return dump(mode="json")
    raise NotImplementedError(f"a value of type {type(value).__name__} has no JSON form")


_encoder = msgspec.json.Encoder(enc_hook=_hook, order="deterministic")


def clean(text: str) -> str:
    """Text that has a UTF-8 form: what has none (half of a surrogate pair) is replaced."""
    return text if text.isascii() else text.encode("utf-8", "replace").decode()


def to_json(value: Any) -> bytes:
    """JSON of what a skill hands over, the same bytes for the same value. Raises Problem."""
    try:
        return _encoder.encode(value)
    except (TypeError, NotImplementedError, ValueError, RecursionError, msgspec.MsgspecError) as error:
        raise Problem(f"The value can't be written as JSON: {error}.") from None


def question_schema(schema: Any) -> tuple[Any, Read]:
    """(JSON Schema, reader) of what `ctx.ask` was given: a type, a JSON Schema, or None for text."""
    if schema is None:
        return {"type": "string"}, msgspec.json.decode
    if isinstance(schema, dict | bool):
        return cast("Any", schema), msgspec.json.decode
    kind = native(schema)
    (declared,), definitions = schemas([kind], mode="validation")
    if definitions:
        declared = {**declared, "$defs": definitions}
    return declared, decoder(kind).decode


def answer_of(answer: bytes, read: Read) -> Any:
    """The answer as the type that the question named."""
    try:
        return read(answer)
    except msgspec.MsgspecError as error:
        raise Problem(f"The answer does not fit the question's type: {error}.") from None


def step_arguments(label: str, args: tuple[Any, ...], kwargs: dict[str, Any]) -> bytes:
    """What identifies a step besides its name. Arguments without a JSON form count by their type."""

    def plain(value: Any) -> Any:
        try:
            return msgspec.Raw(_encoder.encode(value))
        except (TypeError, NotImplementedError, ValueError, RecursionError, msgspec.MsgspecError):
            return f"<{type(value).__qualname__}>"

    return _encoder.encode(
        [label, [plain(value) for value in args], {key: plain(value) for key, value in kwargs.items()}]
    )


def read_step(fn: Callable[..., Any], value: bytes) -> Any:
    """A step's result: as its return annotation says, else plain JSON, so that a first run and a
    replay see the same."""
    read = _readers.get(fn)
    if read is None:
        read = _reader(fn)
        with contextlib.suppress(TypeError):
            _readers[fn] = read
    return answer_of(value, read)


# Steps are often closures, made anew in every run: they must not be kept alive by this.
_readers: WeakKeyDictionary[Any, Read] = WeakKeyDictionary()


def _reader(fn: Callable[..., Any]) -> Read:
    try:
        annotation = get_type_hints(fn, include_extras=True).get("return", inspect.Parameter.empty)
    except (NameError, TypeError, AttributeError):
        return msgspec.json.decode
    if annotation in (inspect.Parameter.empty, None, type(None), Any):
        return msgspec.json.decode
    try:
        return decoder(native(annotation)).decode
    except (Problem, TypeError):
        return msgspec.json.decode
